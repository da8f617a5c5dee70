"""One row a lead: where it came from, how it ended or may end, how far it got, what it brought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from propensity.bundled import trained_with
from propensity.cohort.delay import episode_times
from propensity.cohort.incidence import SECONDS_PER_DAY, follow_episodes
from propensity.data.fetch import fetch
from propensity.decisions.rules import disqualified_leads
from propensity.decisions.tiers import TIERS, assign_tiers
from propensity.features.build import build_features
from propensity.features.visible import visible_events
from propensity.model.bundle import Bundle, log_odds
from propensity.model.estimators import probability_of
from propensity.money.maturity import fit_curves, win_chances

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir


@dataclass(frozen=True)
class Ledger:
    """What the money rests on.

    Attributes
    ----------
    leads : DataFrame
        One row a lead whose outcome was not refused: ``lead_id, group, channel, campaign`` (of the first
        event that names one), ``created_at``, ``status`` (won if it ever was), ``closed_at``, ``amount`` (of
        all its wins), ``mql_at, sql_at`` (when it first reached the tier), ``tier`` (the highest it
        reached), ``probability``, ``chance`` and ``settled`` as `maturity.win_chances` gives them, and the
        attributes.
    segments : list of str
        The attributes that amounts may depend on.
    observed_until : datetime or None
    unscored : int
        Open leads without a score, which take the rate of their age and channel.
    """

    leads: pd.DataFrame
    segments: list[str]
    observed_until: datetime | None
    unscored: int

    @property
    def until(self) -> pd.Timestamp:
        """The end of the data; the latest creation where it has none."""
        return pd.Timestamp(self.observed_until or self.leads["created_at"].max())


def make_ledger(
    con: Any,
    tables: Mapping[str, ir.Table],
    made: Bundle,
    snapshots: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    observed_until: datetime | None,
    horizon_days: float | None,
) -> Ledger:
    """Gather the ledger from canonical tables, the model and the scores.

    Parameters
    ----------
    con : ibis backend
        That holds the tables.
    tables : mapping
        Canonical tables by name.
    made : Bundle
    snapshots : DataFrame
        As the stage ``cohort`` writes them, immature ones too.
    scores : DataFrame
        As ``scores/scores.parquet``.
    observed_until : datetime or None
    horizon_days : float or None
    """
    params = trained_with(made)
    segments = [c for c, q in made.plan.qualifier_of.items() if q == "firmographic"]
    found = disqualified_leads(tables["leads"], params.disqualify)
    refused = fetch(con, tables["unsettled"])["lead_id"]
    leads = fetch(con, tables["leads"]).sort_values("lead_id", ignore_index=True)
    leads = leads[~leads["lead_id"].isin(refused)].reset_index(drop=True)
    leads["group"] = leads["account_id"].fillna(leads["lead_id"])
    leads = leads.merge(final_outcomes(fetch(con, tables["outcomes"]), observed_until), "left", "lead_id")
    leads["status"] = leads["status"].fillna("open")
    leads = leads.merge(_first_campaigns(con, tables.get("events"), observed_until), "left", "lead_id")
    reached = pd.concat(
        [score_snapshots(con, made, tables, snapshots), scores[["lead_id", "as_of", "tier"]]],
        ignore_index=True,
    )
    leads = leads.merge(highest_tiers(reached), "left", "lead_id")
    disqualified = leads["lead_id"].isin(fetch(con, found)["lead_id"])
    leads["tier"] = leads["tier"].fillna("nurture").mask(disqualified, "disqualified")
    leads = leads.merge(scores[["lead_id", "probability"]].drop_duplicates("lead_id"), "left", "lead_id")
    leads["age_days"] = np.nan
    if observed_until is not None:
        age = pd.Timestamp(observed_until) - leads["created_at"]
        leads["age_days"] = age.dt.total_seconds() / SECONDS_PER_DAY
    followed = _follow(con, tables, found, observed_until, leads)
    chances = win_chances(
        leads,
        {} if followed is None else fit_curves(followed),
        horizon_days=horizon_days,
        oldest_days=max(params.snapshots.ages_days),
    )
    open_ones = (leads["status"] == "open") & (leads["tier"] != "disqualified")
    unscored = int((open_ones & leads["probability"].isna()).sum())
    return Ledger(pd.concat([leads, chances], axis=1), segments, observed_until, unscored)


def final_outcomes(outcomes: pd.DataFrame, observed_until: datetime | None) -> pd.DataFrame:
    """Return how each lead with an outcome stands at the end of the data.

    A lead that was ever won is won; else one with an open row, or a close after `observed_until`, is open.

    Parameters
    ----------
    outcomes : DataFrame
        Canonical outcomes.
    observed_until : datetime or None

    Returns
    -------
    DataFrame
        One row a lead: ``lead_id, status, closed_at`` (the first win, else the last loss) and ``amount``
        (of all its wins; null where none is known).
    """
    late = np.zeros(len(outcomes), dtype=bool)
    if observed_until is not None:
        late = (outcomes["closed_at"] > pd.Timestamp(observed_until)).to_numpy()
    rows = outcomes.assign(status=outcomes["status"].fillna("open").mask(late, "open"))
    rows["rank"] = rows["status"].map({"won": 0, "open": 1, "lost": 2})
    rows["amount"] = rows["amount"].where(rows["status"] == "won")
    rows["closed_at"] = rows["closed_at"].where(rows["status"] != "open")
    amounts = rows.groupby("lead_id")["amount"].sum(min_count=1)
    lost_last = rows[rows["status"] == "lost"].groupby("lead_id")["closed_at"].max()
    first = rows.sort_values(["lead_id", "rank", "closed_at"]).drop_duplicates("lead_id")
    first = pd.DataFrame(first[["lead_id", "status", "closed_at"]].reset_index(drop=True))
    lost = first["status"] == "lost"
    first["closed_at"] = first["closed_at"].where(~lost, first["lead_id"].map(lost_last))
    told: pd.DataFrame = first.assign(amount=first["lead_id"].map(amounts))
    return told


def score_snapshots(
    con: Any, made: Bundle, tables: Mapping[str, ir.Table], snapshots: pd.DataFrame
) -> pd.DataFrame:
    """Return the model's tier of each snapshot, as of its moment.

    The model has learned from part of them; the tiers say where the leads would have gone, not how good it
    is.

    Returns
    -------
    DataFrame
        ``lead_id, as_of, tier``.
    """
    found = []
    for _, rows in snapshots.groupby("age_days", dropna=False):  # an age at a time: a fifth of the memory
        spine = con.create_table("money_spine", rows[list(_SPINE)], overwrite=True)
        built = build_features(
            spine,
            tables["leads"],
            made.plan,
            events=tables.get("events"),
            outcomes=tables.get("outcomes"),
            history=tables.get("history"),
        )
        table = fetch(con, built.order_by("snapshot"))
        probability = probability_of(log_odds(made, table))
        tier = assign_tiers(probability, np.zeros(len(table), dtype=bool), made.cutoffs)
        found.append(table[["lead_id", "as_of"]].assign(tier=tier))
    empty = pd.DataFrame({"lead_id": [], "as_of": [], "tier": []})
    return pd.concat(found, ignore_index=True) if found else empty


_SPINE = ("snapshot", "lead_id", "account_id", "channel", "created_at", "as_of")


def highest_tiers(reached: pd.DataFrame) -> pd.DataFrame:
    """Return the highest tier that each lead reached at any of its snapshots, and when it first reached it.

    Returns
    -------
    DataFrame
        One row a lead: ``lead_id, tier, mql_at, sql_at``; an SQL is an MQL too.
    """
    rank = reached["tier"].map({name: i for i, name in enumerate(TIERS)})
    rows = reached.assign(rank=rank)
    moments = {
        name: rows[rows["rank"] >= TIERS.index(name)].groupby("lead_id")["as_of"].min()
        for name in ("mql", "sql")
    }
    best = rows.groupby("lead_id", as_index=False)["rank"].max()
    tier = best["rank"].map(dict(enumerate(TIERS)))
    found: pd.DataFrame = best[["lead_id"]].assign(tier=tier)
    for name, at in moments.items():
        found[f"{name}_at"] = found["lead_id"].map(at)
    return found


def met_before(con: Any, snapshots: pd.DataFrame, events: ir.Table, types: Sequence[str]) -> pd.DataFrame:
    """Return what each snapshot's lead had met by then, read through the point-in-time filter.

    Returns
    -------
    DataFrame
        ``snapshot, type, asset, n``: how often; ``asset`` null where the event names none.
    """
    spine = con.create_table("money_spine", snapshots[["snapshot", "lead_id", "as_of"]], overwrite=True)
    seen = visible_events(spine, events)
    seen = seen.filter(seen.type.isin(list(types)))
    counted = seen.group_by("snapshot", "type", "asset").agg(n=seen.count())
    return fetch(con, counted.order_by("snapshot", "type", "asset"))


def _first_campaigns(con: Any, events: ir.Table | None, observed_until: datetime | None) -> pd.DataFrame:
    """Return the campaign of each lead's first event that names one."""
    if events is None or "campaign" not in events.columns:
        return pd.DataFrame({"lead_id": pd.Series(dtype="str"), "campaign": pd.Series(dtype="str")})
    named = events.filter(events.campaign.notnull())
    first = named.group_by("lead_id", "campaign").agg(at=named.event_at.min(), known=named.known_at.min())
    rows = fetch(con, first)
    if observed_until is not None:
        rows = rows[rows["known"] <= pd.Timestamp(observed_until)]
    rows = rows.sort_values(["lead_id", "at", "campaign"]).drop_duplicates("lead_id")
    return rows[["lead_id", "campaign"]].reset_index(drop=True)


def _follow(
    con: Any,
    tables: Mapping[str, ir.Table],
    disqualified: ir.Table,
    observed_until: datetime | None,
    leads: pd.DataFrame,
) -> pd.DataFrame | None:
    """Return how long each lead was followed and its channel; None where closings have no date."""
    ended = leads["status"] != "open"
    if (
        observed_until is None
        or leads["created_at"].isna().all()
        or leads.loc[ended, "closed_at"].isna().all()
    ):
        return None
    times = episode_times(
        tables["leads"],
        tables["outcomes"],
        disqualified,
        tables["unsettled"],
        observed_until=observed_until,
        stages=tables.get("stages"),
        events=tables.get("events"),
    )
    followed = follow_episodes(fetch(con, times), observed_until)
    return followed.assign(channel=followed["lead_id"].map(leads.set_index("lead_id")["channel"]))
