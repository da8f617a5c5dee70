"""What holds a score above its cut-off, what moved it, and what would lift it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from propensity.report.counts import TIERS
from propensity.report.numbers import Row, count, day, decimal, finite, share, signed, text

# What moved a score, as the columns of scores/changes.parquet name it.
CAUSES = {
    "behaviour": "What it did",
    "time": "Time passing",
    "attributes": "What is known of it",
    "data": "Corrections in the data",
    "model": "A new model",
}
UNNAMED = ("other", "rule")


def rests_on(tier: str, score: Any, reasons: list[Row], cutoffs: Row) -> list[str]:
    """Return the reasons without which a lead would be under the cut-off it is over.

    It is the smallest set of named reasons whose points exceed the distance to the cut-off, the weightiest
    first; empty for a lead under both, for one that no set of named reasons could bring down, and for one
    that keeps a tier it once had.

    Parameters
    ----------
    tier : str
    score : number
        0 to 100.
    reasons : list of dict
        ``feature, qualifier, points, text``.
    cutoffs : mapping
        ``mql`` and ``sql``, each with its ``score``.
    """
    place, reached = finite(score), finite(cutoffs[tier]["score"]) if tier in ("mql", "sql") else None
    if place is None or reached is None or place < reached:
        return []
    named = [r for r in reasons if r["feature"] not in UNNAMED and r["qualifier"] not in UNNAMED]
    given = sorted((r for r in named if r["points"] > 0), key=lambda r: -float(r["points"]))
    held, told = place - reached, []
    for reason in given:
        told.append(text(reason["text"]))
        held -= reason["points"]
        if held < 0:
            return told
    return []


def add_changes(cards: pd.DataFrame, changes: pd.DataFrame | None) -> pd.DataFrame:
    """Add ``change``, what moved each score since the one before, ``{text, parts}``; None where unknown.

    Parameters
    ----------
    cards : DataFrame
        ``lead_id, as_of``.
    changes : DataFrame or None
        As ``scores/changes.parquet``; only rows about the moment of the card are told.
    """
    if changes is None:
        return cards.assign(change=None)
    rows = cards[["lead_id", "as_of"]].merge(changes, "left", ["lead_id", "as_of"], validate="1:1")
    told = [_tell_change(row) if finite(row["change"]) is not None else None for row in _rows(rows)]
    return cards.assign(change=pd.Series(told, index=cards.index, dtype="object"))


def of_this_moment(changes: pd.DataFrame | None, scores: pd.DataFrame) -> pd.DataFrame | None:
    """Return `changes` if they lead to these scores, else None: others say nothing of them."""
    if changes is None or scores.empty:
        return None
    same = all(set(changes[key]) <= set(scores[key]) for key in ("as_of", "model_version"))
    return changes if same and not changes.empty else None


def _tell_change(row: Row) -> dict[str, Any]:
    change = signed(row["change"])
    moved = "Unchanged" if change == "0.0" else f"{change} points"
    before: str = "" if pd.isna(row["as_of_before"]) else f" of {day(row['as_of_before'])}"
    was = f" since the score{before}, {decimal(row['score_before'], 1)}"
    tiers = [TIERS.get(row[k], text(row[k])) for k in ("tier_before", "tier")]
    tier = f"; {tiers[0]} before, {tiers[1]} now" if row["tier_before"] != row["tier"] else ""
    why = "" if pd.isna(row["why"]) or not row["why"] else f". {text(row['why'])}"
    parts = [{"label": label, "text": signed(row[k])} for k, label in CAUSES.items() if finite(row[k])]
    return {"text": f"{moved}{was}{tier}{why}", "parts": parts}


def add_lifts(cards: pd.DataFrame, lifts: pd.DataFrame | None) -> pd.DataFrame:
    """Add ``lifts``, what would bring each lead to the next tier; None where nothing is known.

    Parameters
    ----------
    cards : DataFrame
        ``lead_id``.
    lifts : DataFrame or None
        ``lead_id, target`` (a tier), ``reached`` and ``actions``, a list of ``{text, points, share, n}``:
        how many points each gives, and which share of how many leads did it.

    Returns
    -------
    DataFrame
        `cards` with ``{sentence, reached, options}`` a row, an option ``{text, points, often}``.
    """
    rows = [] if lifts is None else _rows(lifts)
    told = {row["lead_id"]: _tell_lifts(row) for row in rows if len(row["actions"])}
    made = [told.get(lead) for lead in cards["lead_id"]]
    return cards.assign(lifts=pd.Series(made, index=cards.index, dtype="object"))


def _tell_lifts(row: Row) -> dict[str, Any]:
    tier, reached = TIERS.get(row["target"], text(row["target"])), bool(row["reached"])
    sentence = (
        f"Together these would bring it to {tier}, if it is like the leads that did them"
        if reached
        else f"Even together these would not bring it to {tier}"
    )
    options = [
        {
            "text": text(action["text"]),
            "points": signed(action["points"]),
            "often": f"{share(action['share'])} of {count(action['n'])} leads did it",
        }
        for action in row["actions"]
    ]
    return {"sentence": sentence, "reached": reached, "options": options}


def _rows(table: pd.DataFrame) -> list[Row]:
    return [dict(row) for row in table.to_dict("records")]
