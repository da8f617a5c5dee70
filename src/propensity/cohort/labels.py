"""Labels: whether a snapshot's lead is won within the horizon, and whether that is final yet."""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir

from propensity.cohort.snapshots import days


def add_labels(
    snapshots: ir.Table, *, horizon_days: float | None, observed_until: datetime | None, dated_closings: bool
) -> ir.Table:
    """Add ``won``, ``mature`` and ``label_end`` to each snapshot.

    With closing times, ``won`` says that the lead is won in ``(as_of, as_of + horizon]``, and the
    label is mature once ``as_of + horizon <= observed_until``: until then neither a win nor a loss
    is counted, since wins and losses do not arrive equally fast. Without closing times the final
    status is the label, and an open lead is immature.

    Parameters
    ----------
    snapshots : ibis table
        With ``as_of``, ``status`` and ``closed_at``.
    horizon_days : float or None
        Days after ``as_of`` in which a win counts; not read where closings have no date.
    observed_until : datetime or None
        The last moment the data covers.
    dated_closings : bool
        Whether ``closed_at`` is known in this data.
    """
    won = snapshots.status == "won"
    if not dated_closings:
        return snapshots.mutate(
            won=won, mature=snapshots.status != "open", label_end=ibis.null("timestamp('UTC', 6)")
        )
    assert horizon_days is not None
    label_end = snapshots.as_of + days(horizon_days)
    within = (snapshots.closed_at > snapshots.as_of) & (snapshots.closed_at <= label_end)
    return snapshots.mutate(
        won=(won & within).fill_null(False), mature=label_end <= observed_until, label_end=label_end
    )
