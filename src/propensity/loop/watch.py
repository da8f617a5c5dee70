"""What the checks of `propensity monitor` look at: the reference in the bundle, and what came since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

WINDOWS = (7, 28)  # days; a sudden change shows in the short one, a slow one in the long
NO_REFERENCE = "the bundle holds no reference.json to compare with"
UNREADABLE = "the raw tables could not be read (PRM102)"
ANEW = "propensity run   # a bundle made anew holds one"


@dataclass(frozen=True)
class Watch:
    """All that a check may ask for.

    Attributes
    ----------
    as_of : datetime
        The moment of the look, UTC; nothing later is seen.
    alpha : float
        The chance at which one check may raise a false alarm in one look.
    reference : mapping
        The bundle's ``reference.json``; empty for a bundle without one.
    cutoffs : mapping
        The bundle's ``cutoffs.json``.
    horizon_days : float
    since : datetime
        Where the model's data end.
    seed : int
    columns : mapping
        Table to its raw columns and their types.
    used_columns : mapping
        Table to the raw columns that params or the model name.
    refused : str or None
        Why the raw tables could not be read; then there are no rows and no feeds.
    counts : DataFrame or None
        ``table, read, quarantined``; None where they cannot be told as of the moment.
    feeds : mapping
        By table, then by event type or None: a week's rows as `propensity.data.feeds.weekly_series` gives.
    rows : DataFrame
        As `propensity.loop.rows.gather_rows` gives.
    families : mapping
        Feature to the family it belongs to, for telling.
    levels : mapping
        Category to the levels that the model knows.
    capacity : mapping
        Tier to leads a week; only tiers with one.
    """

    as_of: datetime
    alpha: float
    reference: Mapping[str, Any]
    cutoffs: Mapping[str, Any]
    horizon_days: float
    since: datetime
    seed: int
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    used_columns: Mapping[str, list[str]] = field(default_factory=dict)
    refused: str | None = None
    counts: pd.DataFrame | None = None
    feeds: Mapping[str, Mapping[str | None, pd.DataFrame]] = field(default_factory=dict)
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    families: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, list[str]] = field(default_factory=dict)
    capacity: Mapping[str, float] = field(default_factory=dict)

    def window(self, days: float) -> pd.DataFrame:
        """Return the rows of snapshots taken in the days up to the moment."""
        start = pd.Timestamp(self.as_of) - pd.Timedelta(days=days)
        return self.rows[self.rows["as_of"] > start]

    def matured(self, days: float | None = None) -> pd.DataFrame:
        """Return the rows whose label became final after the model's data end, or in the newest days."""
        rows = self.rows[self.rows["mature"] & (self.rows["label_end"] > pd.Timestamp(self.since))]
        if days is None:
            return rows
        return rows[rows["label_end"] > pd.Timestamp(self.as_of) - pd.Timedelta(days=days)]

    def period(self, days: float) -> str:
        """Return the window's days, for a message."""
        start = pd.Timestamp(self.as_of) - pd.Timedelta(days=days)
        return f"{start:%Y-%m-%d} to {pd.Timestamp(self.as_of):%Y-%m-%d}"
