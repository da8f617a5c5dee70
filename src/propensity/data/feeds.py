"""Feeds: what arrives in a table week by week, how much of it, and how long it is silent."""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

WEEK = timedelta(days=7)
MICROSECONDS_PER_WEEK = 7 * 86_400_000_000
# The moment at which a row of each table was there, and what tells its feeds apart.
FEEDS: dict[str, tuple[str, str | None]] = {
    "leads": ("created_at", None),
    "events": ("known_at", "type"),
    "outcomes": ("closed_at", None),
    "stages": ("entered_at", None),
    "history": ("changed_at", None),
}


def count_arrivals_by_week(table: ir.Table, name: str, until: datetime) -> ir.Table:
    """Count what a table received in each week that ends at `until` or whole weeks before it.

    Parameters
    ----------
    table : ibis table
        Canonical.
    name : str
        One of `FEEDS`.
    until : datetime
        Rows that came later are not seen.

    Returns
    -------
    ibis table
        One row a feed and week with arrivals: ``feed`` (the event type, or null), ``week`` (0 for the one
        that ends at `until`, 1 for the one before), ``n``, ``gap_us`` (the longest time from one arrival to
        the next among those whose next one lies in the week; null where none does), ``last``.
    """
    moment, kind = FEEDS[name]
    feed = table[kind] if kind is not None else ibis.null("string")
    end = ibis.literal(until, "timestamp('UTC', 6)")
    came = table.select(feed=feed, at=table[moment]).filter(lambda t: t.at <= end)
    before = came.mutate(before=came.at.lag().over(group_by="feed", order_by="at"))
    timed = before.mutate(
        week=(end.delta(before.at, unit="microsecond") // MICROSECONDS_PER_WEEK).cast("int64"),
        gap_us=before.at.delta(before.before, unit="microsecond"),
    )
    return timed.group_by("feed", "week").agg(
        n=timed.count(), gap_us=timed.gap_us.max(), last=timed["at"].max()
    )


def weekly_series(arrivals: pd.DataFrame, until: datetime, weeks: int) -> dict[str | None, pd.DataFrame]:
    """Return each feed's weeks in the order of time, the newest last, from its first arrival on.

    Parameters
    ----------
    arrivals : DataFrame
        As `count_arrivals_by_week` returns.
    until : datetime
    weeks : int
        How many at most.

    Returns
    -------
    dict
        By feed: ``n``; ``silence``, the longest time in hours without an arrival that a look in the week
        could have found; ``open``, the hours from the last arrival to the week's end.
    """
    series: dict[str | None, pd.DataFrame] = {}
    for feed, rows in arrivals.groupby("feed", dropna=False):
        known = rows.set_index("week").sort_index(ascending=False)
        first = int(known.index.max())
        full = known.reindex(range(first, -1, -1))
        ends = pd.DatetimeIndex([pd.Timestamp(until) - int(week) * WEEK for week in full.index])
        open_us = (ends - pd.DatetimeIndex(full["last"].ffill())).total_seconds() * 1e6
        silence = np.fmax(full["gap_us"].to_numpy(dtype=np.float64, na_value=np.nan), open_us) / 3.6e9
        n = full["n"].fillna(0).to_numpy(dtype=np.int64)
        table = pd.DataFrame({"n": n, "silence": silence, "open": np.asarray(open_us) / 3.6e9})
        # The week of the first arrival is not whole.
        series[None if pd.isna(feed) else str(feed)] = table.iloc[1:].tail(weeks).reset_index(drop=True)
    return series
