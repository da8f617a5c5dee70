"""Which leads are worth looking at together: chosen by groups that take turns, or named by a person."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.errors import InputError, some

MOST_CARDS = 500
DEFAULT_CARDS = 40
# So many leads lie just beside a cut-off, or are the worst misses; those further off are not worth a card.
NEAREST = 25
# In points; a score that moved by less has not changed much.
LEAST_CHANGE = 1.0

TOP, DISQUALIFIED, ASKED, REST = "top of the queue", "disqualified", "asked for", "spread over the scores"
ABOVE = {tier: f"just above the {tier.upper()} cut-off" for tier in ("sql", "mql")}
UNDER = {tier: f"just under the {tier.upper()} cut-off" for tier in ("sql", "mql")}
RISER, FALLER = "risen most since the scores before", "fallen most since the scores before"
MISSED = "closed: won though unlikely"
OVERRATED = "closed: lost though likely"

# The order in which groups take turns, the top of the queue twice a round, and the order they are shown in.
TURNS = (
    *(TOP, ABOVE["sql"], UNDER["sql"], RISER, MISSED, TOP),
    *(ABOVE["mql"], UNDER["mql"], FALLER, OVERRATED, DISQUALIFIED),
)
SHOWN = (
    *(TOP, ABOVE["sql"], UNDER["sql"], ABOVE["mql"], UNDER["mql"]),
    *(RISER, FALLER, DISQUALIFIED, REST, MISSED, OVERRATED),
)


def choose_cards(
    scores: pd.DataFrame,
    cutoffs: Mapping[str, Any],
    *,
    changes: pd.DataFrame | None = None,
    closed: pd.DataFrame | None = None,
    most: int = DEFAULT_CARDS,
) -> pd.DataFrame:
    """Choose leads for the review, each for one reason.

    The groups of `TURNS` take a lead each in turn, their best first, until there are enough: what a group
    lacks, the others take. No more than a quarter are of the top. Leads that no group wants fill what is
    left, spread evenly over the scores.

    Parameters
    ----------
    scores : DataFrame
        As in ``scores.parquet``, one row a lead.
    cutoffs : mapping
        The content of ``cutoffs.json``.
    changes : DataFrame, optional
        ``lead_id, change``: the points by which scores moved since those before.
    closed : DataFrame, optional
        Rows as `scores` with ``why_shown``: snapshots of closed leads that `find_misses` found.
    most : int
        Cards at most.

    Returns
    -------
    DataFrame
        Rows of `scores` and `closed` with ``why_shown``, group by group, likeliest first within each; a
        lead once.
    """
    groups = _candidates(scores, cutoffs, changes)
    groups[TOP] = groups[TOP].head(max(most // 4, 1))
    if closed is not None and len(closed):
        groups |= {str(why): rows for why, rows in closed.groupby("why_shown", sort=False)}
    taken = _deal({why: rows["lead_id"].tolist() for why, rows in groups.items()}, most)
    rest = scores[~scores["lead_id"].isin(taken)]
    filled = _spread_evenly(_ordered(rest), most - len(taken))
    parts = [rows[rows["lead_id"].map(taken) == why].assign(why_shown=why) for why, rows in groups.items()]
    cards = pd.concat([scores.head(0).assign(why_shown=""), *parts, filled.assign(why_shown=REST)])
    rank = cards["why_shown"].map({why: i for i, why in enumerate(SHOWN)})
    ranked = _ordered(cards.assign(rank=rank)).sort_values("rank", kind="stable")
    return ranked.drop(columns="rank").reset_index(drop=True)


def find_misses(
    test: pd.DataFrame,
    probability: npt.NDArray[np.float64],
    status: pd.Series[str],
    cutoffs: Mapping[str, Any],
) -> pd.Series[str]:
    """Find the confident misses: leads won from under the MQL cut-off, and lost from above it.

    Parameters
    ----------
    test : DataFrame
        ``lead_id, as_of, won``, a row a snapshot of the test part.
    probability : array of shape (n_rows,)
    status : Series
        How each snapshot's lead ended, in the same order.
    cutoffs : mapping

    Returns
    -------
    Series
        ``why_shown`` by the place of the row in `test`, the furthest off first, up to `NEAREST` of either
        kind. Of each lead only the last snapshot counts, when most was known of it.
    """
    rows = pd.DataFrame(
        {
            "lead_id": test["lead_id"].array,
            "as_of": test["as_of"].array,
            "probability": probability,
            "won": test["won"].to_numpy(dtype=bool),
            "lost": (status == "lost").to_numpy(dtype=bool),
        }
    )
    rows = rows.sort_values("as_of", kind="stable").drop_duplicates("lead_id", keep="last")
    least = cutoffs["mql"]["probability"]
    kinds = (
        (MISSED, rows[rows["won"] & (rows["probability"] < least)], True),
        (OVERRATED, rows[rows["lost"] & (rows["probability"] >= least)], False),
    )
    found = []
    for why, missed, rising in kinds:
        worst = missed.sort_values(["probability", "lead_id"], ascending=[rising, True], kind="stable")
        found.append(pd.Series(why, index=worst.head(NEAREST).index, dtype="str"))
    return pd.concat(found)


def pick_cards(scores: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """Return the cards of the leads that a person asked for, in that order, each once.

    Raises
    ------
    InputError
        None is named, one has no score, or there are more than `MOST_CARDS`.
    """
    leads = list(dict.fromkeys(wanted))
    if not 1 <= len(leads) <= MOST_CARDS:
        raise InputError(
            f"the review shows 1 to {MOST_CARDS} leads, {len(leads):,} were asked for; split the list"
            if leads
            else f"the review shows 1 to {MOST_CARDS} leads, none was asked for; name one a line"
        )
    scored = set(scores["lead_id"])
    unknown = [lead for lead in leads if lead not in scored]
    if unknown:
        raise InputError(
            f"{len(unknown):,} of {len(leads):,} leads asked for are not among the {len(scores):,} of the "
            f"latest scores: {some(unknown)}; a lead is scored while it is open, see 'propensity score'"
        )
    chosen = scores.set_index("lead_id", drop=False).loc[leads].reset_index(drop=True)
    return chosen.assign(why_shown=ASKED)


def parse_leads(content: str) -> list[str]:
    """Return the leads that a file names: a CSV with a column ``lead_id``, or one a line.

    Raises
    ------
    InputError
        There is neither.
    """
    rows = [[cell.strip() for cell in row] for row in csv.reader(content.removeprefix("\ufeff").splitlines())]
    filled = [row for row in rows if any(row)]
    if filled and "lead_id" in filled[0]:
        place = filled[0].index("lead_id")
        return [row[place] for row in filled[1:] if len(row) > place and row[place]]
    wide = next((row for row in filled if len(row) != 1), None)
    if wide is not None:
        raise InputError(
            "the file of leads should be a CSV with a column lead_id, or have one lead a line; it has the "
            f"columns {some(filled[0])}"
            if len(filled[0]) > 1
            else f"the file of leads should have one lead a line; a line holds {some(wide)}"
        )
    return [row[0] for row in filled]


def _candidates(
    scores: pd.DataFrame, cutoffs: Mapping[str, Any], changes: pd.DataFrame | None
) -> dict[str, pd.DataFrame]:
    """Return the leads of each group, its best first; one may be in several."""
    ordered = _ordered(scores)
    out = ordered["tier"] == "disqualified"
    pursued = ordered[~out]
    groups = {TOP: pursued, DISQUALIFIED: ordered[out]}
    for tier in ("sql", "mql"):
        above = pursued["probability"] >= cutoffs[tier]["probability"]
        groups[ABOVE[tier]] = pursued[above].tail(NEAREST)[::-1]
        groups[UNDER[tier]] = pursued[~above].head(NEAREST)
    if changes is not None:
        moved = pursued.merge(changes[["lead_id", "change"]], on="lead_id", validate="1:1")
        rising = moved.sort_values("change", ascending=False, kind="stable")
        falling = moved.sort_values("change", kind="stable")
        groups[RISER] = rising[rising["change"] >= LEAST_CHANGE].drop(columns="change")
        groups[FALLER] = falling[falling["change"] <= -LEAST_CHANGE].drop(columns="change")
    return groups


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values(["probability", "lead_id"], ascending=[False, True], kind="stable")


def _deal(groups: Mapping[str, list[str]], most: int) -> dict[str, str]:
    """Return which group each chosen lead is shown in: groups take turns, until `most` leads are taken."""
    queues: dict[str, Iterator[str]] = {why: iter(leads) for why, leads in groups.items()}
    taken: dict[str, str] = {}
    while queues and len(taken) < most:
        for why in TURNS:
            lead = next((one for one in queues.get(why, ()) if one not in taken), None)
            if lead is None:
                queues.pop(why, None)
            elif len(taken) < most:
                taken[lead] = why
    return taken


def _spread_evenly(rows: pd.DataFrame, wanted: int) -> pd.DataFrame:
    """Return `wanted` rows, evenly spaced from the first to the last; all where there are fewer."""
    if wanted >= len(rows):
        return rows
    return (
        rows.iloc[np.linspace(0, len(rows) - 1, wanted).round().astype(int)] if wanted > 0 else rows.head(0)
    )
