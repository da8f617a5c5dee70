"""What the lead did: counts, recency, variety and value of its visible events."""

from __future__ import annotations

from functools import reduce

import ibis
import ibis.expr.types as ir

from propensity.cohort.snapshots import MICROSECONDS_PER_DAY
from propensity.features.catalogue import Plan, window_name

# Sums of `value` are taken over whole millionths: integer addition gives the same total in any
# order, so a lead's features do not depend on the batch or the number of threads.
VALUE_SCALE = 1_000_000


def behaviour_features(visible: ir.Table, plan: Plan) -> ir.Table:
    """Return the behaviour features of the plan, keyed by ``snapshot``.

    A snapshot without any visible event of the plan's types is absent.

    Parameters
    ----------
    visible : ibis table
        What `propensity.features.visible.visible_events` returns.
    plan : Plan
        Of at least one event type.
    """
    used = _with_qualifier(visible, plan)
    parts = [_totals(used, plan), _active_days(used, plan)]
    if plan.has_asset:
        parts.append(_assets(used, plan))
    return reduce(add_part, parts)


def add_part(table: ir.Table, part: ir.Table) -> ir.Table:
    """Join columns keyed by ``snapshot`` to a table of snapshots, null where the part has none."""
    renamed = part.rename(_key="snapshot")
    return table.left_join(renamed, table.snapshot == renamed["_key"]).drop("_key")


def event_types(plan: Plan) -> list[str]:
    """Return the event types that the plan reads, sorted."""
    return sorted({t for types in plan.event_types.values() for t in types})


def frequent_assets(
    events: ir.Table, event_types: dict[str, list[str]], *, most: int = 12, least: int = 50
) -> ir.Table:
    """Return the assets worth a count of their own: the `most` frequent of each qualifier.

    Returns
    -------
    ibis table
        ``qualifier, asset, n``, at most `most` rows a qualifier, each asset with `least` events or
        more, most frequent first, ties by name.
    """
    named = events.mutate(qualifier=_qualifier(events, event_types)).filter(
        lambda t: t.qualifier.notnull() & t.asset.notnull()
    )
    counted = named.group_by("qualifier", "asset").agg(n=named.count()).filter(lambda t: t.n >= least)
    order = [counted.n.desc(), counted.asset]
    ranked = counted.mutate(place=ibis.row_number().over(group_by=counted.qualifier, order_by=order))
    return ranked.filter(ranked.place < most).order_by("qualifier", "place").drop("place")


def _with_qualifier(visible: ir.Table, plan: Plan) -> ir.Table:
    wanted = visible.filter(visible.type.isin(event_types(plan)))
    return wanted.mutate(qualifier=_qualifier(wanted, plan.event_types))


def _qualifier(events: ir.Table, event_types: dict[str, list[str]]) -> ir.StringValue:
    return ibis.cases(*((events.type.isin(types), q) for q, types in event_types.items()))


def _within(age_us: ir.IntegerValue, window_days: float) -> ir.BooleanValue:
    """The window is ``(as_of - window, as_of]``."""
    return age_us < round(window_days * MICROSECONDS_PER_DAY)


def _totals(used: ir.Table, plan: Plan) -> ir.Table:
    """Count, sum and date the events by type, and date them by qualifier."""
    columns: dict[str, ir.Value] = {}
    scaled = (used.value * VALUE_SCALE).round().cast("int64")
    for q, types in plan.event_types.items():
        for t in types:
            of_type = used.type == t
            for w in plan.lookback_days:
                inside = of_type & _within(used.age_us, w)
                columns[f"{q}_{t}_count_{window_name(w)}"] = used.count(where=inside)
                if plan.has_value:
                    total = scaled.sum(where=inside).cast("float64") / VALUE_SCALE
                    columns[f"{q}_{t}_value_{window_name(w)}"] = total
            columns[f"{q}_{t}_days_since"] = used.age_us.min(where=of_type) / MICROSECONDS_PER_DAY
    by_type = used.group_by("snapshot").agg(**columns)
    latest = {
        f"{q}_days_since": _least([by_type[f"{q}_{t}_days_since"] for t in types])
        for q, types in plan.event_types.items()
    }
    return by_type.mutate(**latest)


def _least(columns: list[ir.FloatingColumn]) -> ir.FloatingColumn:
    """Return the least that is not null; some engines want at least two to choose from."""
    return columns[0] if len(columns) == 1 else ibis.least(*columns)


def _active_days(used: ir.Table, plan: Plan) -> ir.Table:
    """Count the days, in whole days back from ``as_of``, on which anything happened."""
    by_day = used.mutate(day=used.age_us // MICROSECONDS_PER_DAY)
    latest = by_day.group_by("snapshot", "qualifier", "day").agg(age_us=by_day.age_us.min())
    return latest.group_by("snapshot").agg(
        **{
            f"{q}_active_days_{window_name(w)}": latest.count(
                where=(latest.qualifier == q) & _within(latest.age_us, w)
            )
            for q in plan.event_types
            for w in plan.lookback_days
        }
    )


def _assets(used: ir.Table, plan: Plan) -> ir.Table:
    """Count different assets, name the last one, and count the frequent ones one by one."""
    widest = plan.lookback_days[-1]
    named = used.filter(used.asset.notnull())
    latest = named.group_by("snapshot", "qualifier", "asset").agg(
        age_us=named.age_us.min(), times=named.count(where=_within(named.age_us, widest))
    )
    columns: dict[str, ir.Value] = {}
    for q in plan.event_types:
        mine = latest.qualifier == q
        for w in plan.lookback_days:
            columns[f"{q}_assets_{window_name(w)}"] = latest.count(where=mine & _within(latest.age_us, w))
        for asset in plan.assets.get(q, []):
            name = f"{q}_asset_{asset}_count_{window_name(widest)}"
            columns[name] = latest.times.sum(where=mine & (latest.asset == asset))
        columns[f"{q}_last_asset"] = latest.asset.first(where=mine, order_by=[latest.age_us, latest.asset])
    return latest.group_by("snapshot").agg(**columns)
