"""Snapshots that a person gave a verdict on: how they ended, and what they count in fitting.

A verdict given when the outcome was known says nothing of what could be foreseen, and a choice of leads by
their outcome, weighed more, would move what the model learns of outcomes. Such verdicts are told apart here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from propensity.cohort.labels import add_labels
from propensity.cohort.snapshots import open_at, with_outcomes
from propensity.cohort.splits import FITTED


def judged_labels(
    moments: ir.Table,
    leads: ir.Table,
    outcomes: ir.Table,
    unsettled: ir.Table,
    *,
    observed_until: datetime | None,
    horizon_days: float | None,
    dated_closings: bool,
    stages: ir.Table | None = None,
    events: ir.Table | None = None,
) -> ir.Table:
    """Label moments of leads by the rule that labels snapshots.

    Parameters
    ----------
    moments : ibis table
        ``lead_id, as_of``, each pair once; `as_of` null in an undated table.
    leads, outcomes, unsettled, stages, events : ibis tables
        Canonical tables.

    Returns
    -------
    ibis table
        ``lead_id, as_of, won, mature`` and ``known``, when the label was known: at the close, or at the end
        of the horizon; null where closings have no date. A moment at which the lead was not open, and a
        lead whose outcome was refused, has no row.
    """
    episodes = with_outcomes(leads, outcomes, observed_until=observed_until, stages=stages, events=events)
    settled = episodes.anti_join(unsettled, "lead_id")
    at = settled.inner_join(moments, "lead_id")
    labelled = add_labels(
        at.filter(open_at(at)),
        horizon_days=horizon_days,
        observed_until=observed_until,
        dated_closings=dated_closings,
    )
    known = ibis.least(labelled.closed_at.coalesce(labelled.label_end), labelled.label_end)
    return labelled.select("lead_id", "as_of", "won", "mature", known=known)


def weigh_judged(
    snapshots: pd.DataFrame,
    part: pd.Series[str],
    weight: pd.Series[float],
    verdicts: pd.DataFrame,
    *,
    times: float,
) -> tuple[pd.Series[float], dict[str, Any]]:
    """Let the snapshots of the fitted parts that were judged count `times` as much; labels are not read.

    Leads are scored between the ages at which the model looks at them. A verdict therefore belongs to its
    lead's last snapshot at or before its moment whose horizon had not ended by then. It counts if it was
    given before the label was known.

    Parameters
    ----------
    snapshots : DataFrame
        ``lead_id, as_of, closed_at, label_end``, one row a mature snapshot.
    part, weight : Series
        Of the same index: the part each belongs to, and what it counts so far.
    verdicts : DataFrame
        ``lead_id, as_of, given_at``.
    times : float
        Over 0.

    Returns
    -------
    weight : Series of float
    counts : dict
        ``verdicts``, those that belong to a snapshot (``matched``), of these those given too late
        (``known_before``), the ``snapshots`` that weigh more, and ``times``.
    """
    matched = _matched(snapshots, verdicts)
    late = (matched["given_at"] >= matched["known"]).to_numpy()
    judged = snapshots.index.isin(matched.loc[~late, "row"]) & part.isin(FITTED).to_numpy()
    counts = {
        "verdicts": len(verdicts),
        "matched": len(matched),
        "known_before": int(late.sum()),
        "snapshots": int(judged.sum()),
        "times": times,
    }
    return weight * np.where(judged, times, 1.0), counts


def _matched(snapshots: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return each verdict that belongs to a snapshot, with its ``row`` and when its label was ``known``."""
    known = snapshots["label_end"].where(
        ~(snapshots["closed_at"] < snapshots["label_end"]), snapshots["closed_at"]
    )
    taken = snapshots[["lead_id", "as_of", "label_end"]].assign(known=known, row=snapshots.index)
    given = verdicts[["lead_id", "as_of", "given_at"]].assign(verdict=np.arange(len(verdicts)))
    pairs = given.merge(taken, on="lead_id", suffixes=("", "_taken"))
    before = (pairs["as_of_taken"] <= pairs["as_of"]) | (pairs["as_of"].isna() & pairs["as_of_taken"].isna())
    within = ~(pairs["as_of"] >= pairs["label_end"])
    ordered = pairs[before & within].sort_values(["verdict", "as_of_taken"], kind="stable")
    return ordered.drop_duplicates("verdict", keep="last")


def tell_judged(counts: dict[str, Any]) -> str:
    """Return what `weigh_judged` counted as a sentence's part."""
    return (
        f"{counts['snapshots']:,} judged snapshots count {counts['times']:g} times "
        f"({counts['verdicts']:,} verdicts, {counts['matched']:,} on a snapshot, "
        f"{counts['known_before']:,} of them given when the outcome was known)"
    )
