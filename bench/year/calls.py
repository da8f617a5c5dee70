"""Whom sales calls by each way of ranking leads, and how many of them are won."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.year.calendar import HORIZON
from propensity.evaluation.intervals import bootstrap

WAYS = ("loop", "once", "rule", "truth")
RESAMPLES = 1_000


def call_leads(weeks: Mapping[int, pd.DataFrame], way: str, *, calls: int) -> pd.DataFrame:
    """Call the best leads of each week that were not called before.

    Parameters
    ----------
    weeks : mapping
        Week to its open leads: ``lead_id, tier, truth`` and a column for each way, the larger the sooner. Of
        leads that rank alike the one with the larger ``lead_id``, the newer, goes first; a disqualified one
        is never called.
    way : str
    calls : int
        How many can be called a week.

    Returns
    -------
    DataFrame
        ``week, lead_id, truth``, one row a call.
    """
    called: set[str] = set()
    made = []
    for week, table in sorted(weeks.items()):
        free = table[(table["tier"] != "disqualified") & ~table["lead_id"].isin(called)]
        best = free.sort_values([way, "lead_id"], ascending=False).head(calls)
        called |= set(best["lead_id"])
        made.append(best[["lead_id", "truth"]].assign(week=week))
    return pd.concat(made, ignore_index=True)[["week", "lead_id", "truth"]]


def add_wins(
    called: pd.DataFrame, outcomes: pd.DataFrame, moments: Mapping[int, pd.Timestamp]
) -> pd.DataFrame:
    """Add ``won``: whether the lead was won within 90 days after it was called."""
    ended = called.merge(outcomes[["lead_id", "status", "closed_at"]], on="lead_id", validate="m:1")
    at = ended["week"].map(moments)
    within = (ended["closed_at"] > at) & (ended["closed_at"] <= at + HORIZON)
    return called.assign(won=((ended["status"] == "won") & within).to_numpy())


def compare_ways(
    calls: Mapping[str, pd.DataFrame], account: pd.Series[str], weeks: Sequence[int], *, seed: int
) -> list[dict[str, Any]]:
    """Count wins by way in some weeks, and how many more the loop finds than each.

    Parameters
    ----------
    calls : mapping
        Way to its calls, with ``won``.
    account : Series
        By ``lead_id``: what is resampled together.
    weeks : sequence of int
    seed : int

    Returns
    -------
    list of dict
        For each way ``calls``, ``won`` and ``expected`` (by the true probabilities); for the others than the
        loop also ``won_more`` and ``expected_more``, what the loop has more, each with its 95% ``_interval``.
    """
    parts = {way: made[made["week"].isin(weeks)] for way, made in calls.items()}
    rows: list[dict[str, Any]] = []
    for way, part in parts.items():
        row = {"way": way, "calls": len(part), "won": int(part["won"].sum()), "expected": part["truth"].sum()}
        if way != "loop":
            row |= _differences(parts["loop"], part, account, seed=seed)
        rows.append(row)
    return rows


def _differences(
    loop: pd.DataFrame, other: pd.DataFrame, account: pd.Series[str], *, seed: int
) -> dict[str, Any]:
    both = pd.concat([loop.assign(sign=1.0), other.assign(sign=-1.0)], ignore_index=True)
    values = both[["won", "truth"]].to_numpy(dtype="float64") * both[["sign"]].to_numpy()
    groups = pd.factorize(both["lead_id"].map(account))[0]
    draws = bootstrap(lambda weight: weight @ values, groups, seed=seed, resamples=RESAMPLES)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    found: dict[str, Any] = {}
    for i, name in enumerate(("won_more", "expected_more")):
        found |= {name: values[:, i].sum(), f"{name}_interval": [low[i], high[i]]}
    return found
