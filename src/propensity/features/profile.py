"""Who the lead is, and where it stands in time."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from propensity.cohort.snapshots import MICROSECONDS_PER_DAY
from propensity.features.catalogue import Plan


@ibis.udf.scalar.builtin(
    name="timezone", signature=((dt.string, dt.Timestamp("UTC", 6)), dt.Timestamp(None, 6))
)
def _local_time(zone, moment):  # type: ignore[no-untyped-def]
    """DuckDB's conversion of a moment to the clock of a zone."""


def profile_features(spine: ir.Table, leads: ir.Table, plan: Plan) -> ir.Table:
    """Return the attributes of each snapshot's lead, keyed by ``snapshot``.

    Numbers stay null where they are missing; text too.
    """
    columns = [*plan.attributes, *(["channel"] if plan.has_channel else [])]
    attributes = leads.select(lead=leads.lead_id, **{column: leads[column] for column in columns})
    joined = spine.select("snapshot", "lead_id").left_join(attributes, [("lead_id", "lead")])
    return joined.select("snapshot", *columns)


def timing_features(spine: ir.Table, plan: Plan) -> ir.Table:
    """Return the lead's age and the calendar, keyed by ``snapshot``.

    The hour and weekday are those of the creation, which a nightly job does not move; the month is
    that of ``as_of``.
    """
    created = _local_time(plan.timezone, spine.created_at)
    local = _local_time(plan.timezone, spine.as_of)
    age = spine.as_of.delta(spine.created_at, unit="microsecond") / MICROSECONDS_PER_DAY
    return spine.select(
        "snapshot",
        age_days=age,
        created_hour=created.hour(),
        created_weekday=created.day_of_week.index(),
        as_of_month=local.month(),
    )
