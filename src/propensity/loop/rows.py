"""Snapshots with what the model saw and said of them, and how they ended as far as that is known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.bundled import trained_with
from propensity.cohort.labels import add_labels
from propensity.cohort.snapshots import training_snapshots
from propensity.cohort.splits import group_of
from propensity.data.fetch import fetch
from propensity.decisions.rules import disqualified_leads
from propensity.features.build import build_features
from propensity.model.bundle import Bundle, log_odds
from propensity.model.estimators import probability_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

ABOUT = ("snapshot", "account_id", "age_days", "status", "closed_at", "won", "mature", "label_end")


def gather_rows(
    con: Any, tables: Mapping[str, ir.Table], made: Bundle, *, since: datetime, until: datetime
) -> pd.DataFrame:
    """Return the snapshots of a period, at the ages the model was trained with, scored.

    Parameters
    ----------
    con : ibis backend
    tables : mapping
        Canonical tables.
    made : Bundle
        Of data with dates.
    since, until : datetime
        Snapshots are taken after `since` and up to `until`; what was known later is not seen.

    Returns
    -------
    DataFrame
        In the order of leads and moments: the bundle's features; ``lead_id, as_of, age_days, group``;
        ``won`` and ``mature`` (see `propensity.cohort.labels.add_labels`), ``label_end``, ``won_at`` (null
        unless won by `until`), ``first`` (the earliest age at which a lead is looked at), ``log_odds`` and
        ``probability``.
    """
    params = trained_with(made)
    leads, events = tables["leads"], tables.get("events")
    snapshots, _ = training_snapshots(
        leads,
        tables["outcomes"],
        disqualified_leads(leads, params.disqualify),
        tables["unsettled"],
        ages_days=params.snapshots.ages_days,
        observed_until=until,
        stages=tables.get("stages"),
        events=events,
    )
    labelled = add_labels(
        snapshots, horizon_days=made.data["horizon_days"], observed_until=until, dated_closings=True
    )
    watched = con.create_table("watched", labelled.filter(labelled.as_of > since), overwrite=True)
    built = build_features(
        watched,
        leads,
        made.plan,
        events=events,
        outcomes=tables.get("outcomes"),
        history=tables.get("history"),
    )
    about = fetch(con, watched.select(*ABOUT, "lead_id"))
    about = about.assign(group=group_of(about, params.split.group)).drop(columns=["account_id", "lead_id"])
    table = fetch(con, built.order_by("snapshot"))
    own = [name for name in about.columns if name == "snapshot" or name not in table.columns]
    table = table.merge(about[own], on="snapshot", validate="1:1")
    return add_scores(table, made, first_age=min(params.snapshots.ages_days))


def add_scores(table: pd.DataFrame, made: Bundle, *, first_age: float) -> pd.DataFrame:
    """Add what the model says of each row, and when its lead was won."""
    margin = log_odds(made, table) if len(table) else np.empty(0)
    won_at = table["closed_at"].where(table["status"] == "won")
    return table.assign(
        log_odds=margin,
        probability=probability_of(margin),
        won_at=won_at,
        first=np.isclose(table["age_days"], first_age),
    )


def first_reached(rows: pd.DataFrame, cutoff: float) -> pd.Series[Any]:
    """Return when each lead that reaches a probability first did, by lead."""
    return rows[rows["probability"] >= cutoff].groupby("lead_id")["as_of"].min()


def weekly_counts(moments: pd.Series[Any], until: datetime, weeks: int, *, days: int = 7) -> list[int]:
    """Return how many moments lie in each block of days that ends at `until`, the newest last."""
    place = np.floor(days_before(moments, until) / days)
    kept = place[(place >= 0) & (place < weeks)].astype(np.int64)
    return [int(n) for n in np.bincount(kept, minlength=weeks)[::-1]]


def days_before(moments: pd.Series[Any], end: Any) -> npt.NDArray[np.float64]:
    """Return the days from each moment to `end`, below 0 for a later one."""
    waited = pd.Timestamp(end) - pd.DatetimeIndex(moments)
    return np.asarray(waited.total_seconds(), dtype=np.float64) / 86_400


def longest_age(made: Bundle) -> timedelta:
    """Return the oldest age at which a lead is looked at: from then on it cannot reach a tier."""
    return timedelta(days=max(trained_with(made).snapshots.ages_days))
