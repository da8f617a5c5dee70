"""Small watches for the monitor's checks: a reference worked out by hand, and weeks that differ from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from propensity.evaluation.drift import number_bins
from propensity.loop.reference import describe_column, describe_level, describe_wins, place_in_blocks
from propensity.loop.signals import Check, Signal
from propensity.loop.watch import WINDOWS, Watch

UNTIL = datetime(2025, 1, 6, tzinfo=UTC)  # the reference ends
WEEKS = 52
HORIZON = 30.0
CUTOFFS: dict[str, Any] = {
    "mql": {
        "probability": 0.2,
        "policy": "recall",
        "target": 0.8,
        "recall": 0.8,
        "recall_interval": [0.7, 0.9],
    },
    "sql": {"probability": 0.4, "policy": "precision", "target": 0.45, "supported": True},
}


def make_rows(
    weeks: int,
    until: datetime,
    *,
    seed: int,
    a_week: int = 60,
    shift: float = 0.0,
    spread: float = 1.0,
    rate: float = 1.0,
    moved: float = 0.0,
    missing: float = 0.1,
) -> pd.DataFrame:
    """Return scored snapshots, one a lead, of whole weeks up to `until`.

    `shift` moves what leads are like, `rate` multiplies the odds of winning that the model does not know of,
    `moved` shifts the feature ``x`` alone.
    """
    rng = np.random.default_rng(seed)
    n = weeks * a_week
    age = np.sort(rng.random(n))[::-1] * weeks * 7
    as_of = pd.Timestamp(until) - pd.to_timedelta(age, unit="D").round("us")
    log_odds = -1.5 + shift + spread * rng.normal(size=n)
    won = rng.random(n) < expit(log_odds + np.log(rate))
    delay = pd.to_timedelta(1 + rng.random(n) * (HORIZON - 2), unit="D")
    x = log_odds + rng.normal(size=n) + moved
    label_end = as_of + pd.Timedelta(days=HORIZON)
    won_at = pd.Series(as_of + delay).where(won)
    return pd.DataFrame(
        {
            "lead_id": [f"{seed}-{i}" for i in range(n)],
            "group": [f"{seed}-{i}" for i in range(n)],
            "as_of": as_of,
            "x": np.where(rng.random(n) < missing, np.nan, x),
            "kind": pd.array(rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2]), dtype="str"),
            "first": True,
            "won": won,
            "won_at": won_at,
            "label_end": label_end,
            "mature": label_end <= pd.Timestamp(until),
            "log_odds": log_odds,
            "probability": expit(log_odds),
        }
    )


def seen_at(rows: pd.DataFrame, moment: datetime) -> pd.DataFrame:
    """Return the rows as they are known at a moment."""
    at = pd.Timestamp(moment)
    known = rows[rows["as_of"] <= at]
    return known.assign(mature=known["label_end"] <= at, won_at=known["won_at"].where(known["won_at"] <= at))


def make_reference(rows: pd.DataFrame, *, weeks: int = WEEKS, until: datetime = UNTIL) -> dict[str, Any]:
    """Describe rows as `gather_reference` does, for two features and no feed."""
    blocks = {days: place_in_blocks(rows["as_of"], until, days, weeks * 7 // days) for days in WINDOWS}
    x = describe_column(rows["x"], blocks, number_bins(rows["x"].to_numpy()))
    kind = describe_column(rows["kind"], blocks, {"kind": "category", "levels": ["a", "b", "c"]})
    never = {"share": 0.0, "n": float(len(rows)), "design_effect": 1.0}
    tested = rows[rows["mature"]]
    return {
        "until": until.isoformat(),
        "from": (pd.Timestamp(until) - pd.Timedelta(days=7 * weeks)).isoformat(),
        "weeks": weeks,
        "tables": {"leads": {"lead_id": "text", "size": "number"}},
        "counts": {"leads": {"read": 1000, "quarantined": 10}},
        "feeds": [
            {
                "table": "events",
                "type": "visit",
                "weekly": [70, 66, 74, 71] * 13,
                "silence": [10, 14, 12, 9] * 13,
                "silent_weeks": 0,
            },
            {
                "table": "leads",
                "type": None,
                "weekly": [20, 25, 18, 22] * 13,
                "silence": [30, 40, 25, 35] * 13,
                "silent_weeks": 0,
            },
        ],
        "features": {
            "x": x,
            "kind": kind | {"unseen": {str(days): never for days in WINDOWS}},
        },
        "scores": describe_column(rows["probability"], blocks, number_bins(rows["probability"].to_numpy())),
        "tiers": {"mql": [20, 24, 22, 18] * 13, "sql": [6, 9, 7, 8] * 13},
        "wins": describe_wins(rows, until, weeks, HORIZON),
        "level": describe_level(tested),
        "estimated": [0.76, 0.75, 0.77, 0.74, 0.76, 0.75, 0.77, 0.76, 0.75, 0.76, 0.74, 0.77, 0.75],
    }


def _feed(table: str, kind: str | None, *, weekly: list[int], silence: list[float]) -> dict[str, Any]:
    weeks = {"weekly": weekly * 13, "silence": silence * 13, "silent_weeks": 0}
    return {"table": table, "type": kind, **weeks}


def make_feeds(events: list[int], *, open_hours: float = 3.0) -> dict[str, Any]:
    """Return the weeks of two feeds; `events` are the newest weeks of visits."""
    n = len(events)
    visits = pd.DataFrame({"n": events, "silence": [10.0] * n, "open": [open_hours] * n})
    leads = pd.DataFrame({"n": [21] * n, "silence": [30.0] * n, "open": [5.0] * n})
    return {"events": {"visit": visits}, "leads": {None: leads}}


def make_watch(
    rows: pd.DataFrame, reference: dict[str, Any], *, after_days: float = 28, **changes: Any
) -> Watch:
    """Return a watch some days after the reference's end."""
    as_of = UNTIL + pd.Timedelta(days=after_days).to_pytimedelta()
    watch = Watch(
        as_of=as_of,
        alpha=0.002,
        reference=reference,
        cutoffs=CUTOFFS,
        horizon_days=HORIZON,
        since=UNTIL,
        seed=1,
        columns={"leads": {"lead_id": "text", "size": "number"}},
        used_columns={"leads": ["lead_id"]},
        counts=pd.DataFrame({"table": ["leads"], "read": [1500], "quarantined": [15]}),
        feeds=make_feeds([70, 71, 69, 72]),
        rows=seen_at(rows, as_of),
        levels={"kind": ["a", "b", "c"]},
    )
    return replace(watch, **changes)


def ask(check: Check, watch: Watch) -> list[Signal]:
    """Return what a check says, and hold that it says something."""
    signals = check.look(check, watch)
    assert signals
    assert {signal.code for signal in signals} == {check.code}
    return signals
