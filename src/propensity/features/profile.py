"""Who the lead is, and where it stands in time."""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from propensity.cohort.snapshots import MICROSECONDS_PER_DAY
from propensity.data.values import number_of
from propensity.features.catalogue import Plan
from propensity.features.history import values_as_of


@ibis.udf.scalar.builtin(
    name="timezone", signature=((dt.string, dt.Timestamp("UTC", 6)), dt.Timestamp(None, 6))
)
def _local_time(zone, moment):  # type: ignore[no-untyped-def]
    """DuckDB's conversion of a moment to the clock of a zone."""


def profile_features(
    spine: ir.Table, leads: ir.Table, plan: Plan, history: ir.Table | None = None
) -> ir.Table:
    """Return ``snapshot, lead_id, as_of``, the lead's age, the calendar, and its attributes.

    With a history, a tracked column has the value it had at ``as_of``; a lead whose column
    never changed, and every other column, has what the leads say. Numbers stay null where they are
    missing; text too.
    """
    keys = ["snapshot", "lead_id", "as_of"]
    dated = spine.select(*keys, **(_timing(spine, plan) if plan.dated else {}))
    columns = [*plan.attributes, *(["channel"] if plan.has_channel else [])]
    if not columns:
        return dated
    attributes = leads.select(_lead=leads.lead_id, **{column: leads[column] for column in columns})
    profile = dated.left_join(attributes, [("lead_id", "_lead")]).drop("_lead")
    if history is None or not plan.rebuilt:
        return profile
    return _rebuilt(profile, values_as_of(spine, history, plan.rebuilt), plan)


def _rebuilt(profile: ir.Table, values: ir.Table, plan: Plan) -> ir.Table:
    """Put the values of the tracked columns in the place of those that the leads hold."""
    found: dict[str, ir.Value] = {}
    for i, column in enumerate(plan.rebuilt):
        mine = values.column == column
        found[f"known_{i}"] = values.count(where=mine) > 0
        found[f"value_{i}"] = values.value.max(where=mine)
    by_snapshot = values.group_by(_key=values.snapshot).agg(**found)
    joined = profile.left_join(by_snapshot, profile.snapshot == by_snapshot["_key"])
    columns: dict[str, ir.Value] = {name: joined[name] for name in profile.columns}
    for i, column in enumerate(plan.rebuilt):
        value = joined[f"value_{i}"]
        if plan.attributes.get(column) == "number":
            value = _finite(number_of(value))
        columns[column] = ibis.ifelse(joined[f"known_{i}"].fill_null(False), value, joined[column])
    return joined.select(**columns)


def _finite(number: ir.FloatingColumn) -> ir.FloatingColumn:
    return ibis.ifelse(number.isnan() | number.isinf(), ibis.null("float64"), number)


def _timing(spine: ir.Table, plan: Plan) -> dict[str, ir.Value]:
    """Return the lead's age and the calendar.

    The hour and weekday are those of the creation, which a nightly job does not move; the month is
    that of ``as_of``.
    """
    created = _local_time(plan.timezone, spine.created_at)
    local = _local_time(plan.timezone, spine.as_of)
    age = spine.as_of.delta(spine.created_at, unit="microsecond") / MICROSECONDS_PER_DAY
    return {
        "age_days": age,
        "created_hour": created.hour(),
        "created_weekday": created.day_of_week.index(),
        "as_of_month": local.month(),
    }
