"""What the lead did: counts, recency, variety and value of its visible events."""

from __future__ import annotations

import math
import operator
from functools import reduce
from typing import Any, NamedTuple

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from propensity.cohort.snapshots import MICROSECONDS_PER_DAY
from propensity.features.catalogue import Plan, window_name

# Sums of `value` are taken over whole millionths: integer addition gives the same total in any
# order, so a lead's features do not depend on the batch or the number of threads.
VALUE_SCALE = 1_000_000

# Days on which something happened are the bits of whole numbers, which have 63 without the sign.
DAYS_PER_MASK = 60


@ibis.udf.scalar.builtin(name="bit_count", signature=((dt.int64,), dt.int8))  # type: ignore[untyped-decorator]
def _bit_count(mask: object) -> Any:
    """The engines' number of bits that are set; from 0 to 63, of a type as narrow in DuckDB."""


def behaviour_features(visible: ir.Table, plan: Plan) -> ir.Table:
    """Return the behaviour features of the plan, keyed by ``snapshot``.

    A snapshot without any visible event is absent.

    Parameters
    ----------
    visible : ibis table
        What `propensity.features.visible.visible_events` returns.
    plan : Plan
        Of at least one event type.
    """
    day = visible.age_us // MICROSECONDS_PER_DAY
    used = visible.select(
        "snapshot",
        "type",
        "asset",
        "age_us",
        scaled=(visible.value * VALUE_SCALE).round().cast("int64"),
        day_bit=ibis.literal(1, "int64") << (day % DAYS_PER_MASK),
    )
    parts = [_totals(used, plan)]
    if plan.asset_qualifiers:
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


def filled_types(events: ir.Table) -> ir.Table:
    """Return, of each event type, whether some event has an asset and a value: ``type, asset, value``."""
    some = {column: events[column].notnull().any() for column in ("asset", "value")}
    return events.group_by("type").agg(**some)


def _qualifier(events: ir.Table, event_types: dict[str, list[str]]) -> ir.StringValue:
    return ibis.cases(*((events.type.isin(types), q) for q, types in event_types.items()))


def _within(age_us: ir.IntegerValue, window_days: float) -> ir.BooleanValue:
    """The window is ``(as_of - window, as_of]``."""
    return age_us < round(window_days * MICROSECONDS_PER_DAY)


def _totals(used: ir.Table, plan: Plan) -> ir.Table:
    """Count, sum and date the events by type, date them and count their days by qualifier.

    Events are reduced to a row for each snapshot and type before types become columns: aggregates of every
    type over all events cost as many times more as there are types.
    """
    by_type = _by_type(used, plan)
    columns: dict[str, ir.Value] = {}
    for q, types in plan.event_types.items():
        for t in types:
            of_type = by_type.type == t
            for measure in _measures(plan, t):
                columns[f"{q}_{t}_{measure}"] = by_type[measure].min(where=of_type)
            columns[f"{q}_{t}_days_since"] = by_type.age_us.min(where=of_type) / MICROSECONDS_PER_DAY
        of_qualifier = by_type.type.isin(types)
        columns[f"{q}_days_since"] = by_type.age_us.min(where=of_qualifier) / MICROSECONDS_PER_DAY
        for w in plan.lookback_days:
            days = [_days_of(by_type, mask, of_qualifier) for mask in _masks(w, plan.lookback_days[-1])]
            columns[f"{q}_active_days_{window_name(w)}"] = reduce(operator.add, days)
    return by_type.group_by("snapshot").agg(**columns)


def _measures(plan: Plan, event_type: str) -> list[str]:
    """Return the measures of a type's events in each window."""
    names = ["count", "value"] if event_type in plan.value_types else ["count"]
    return [f"{name}_{window_name(w)}" for w in plan.lookback_days for name in names]


def _by_type(used: ir.Table, plan: Plan) -> ir.Table:
    """Return a row for each snapshot and type: the measures, the age of the last event, the masks of days."""
    columns: dict[str, ir.Value] = {"age_us": used.age_us.min()}
    for w in plan.lookback_days:
        inside = _within(used.age_us, w)
        columns[f"count_{window_name(w)}"] = used.count(where=inside)
        if plan.value_types:
            total = used.scaled.sum(where=inside).cast("float64") / VALUE_SCALE
            columns[f"value_{window_name(w)}"] = total
        for mask in _masks(w, plan.lookback_days[-1]):
            inside = _within(used.age_us, mask.until)
            if mask.since:
                inside &= ~_within(used.age_us, mask.since)
            columns[mask.name] = used.day_bit.bit_or(where=inside)
    return used.group_by("snapshot", "type").agg(**columns)


class _Mask(NamedTuple):
    """The days from one age to another as the bits of a number, and how many of them a window reads."""

    since: float
    until: float
    read: int

    @property
    def name(self) -> str:
        return f"days_{window_name(self.since)}_{window_name(self.until)}"


def _masks(window_days: float, widest: float) -> list[_Mask]:
    """Return the masks that hold the days of a window.

    Windows share masks, of which a shorter one reads the first bits; the day that a window ends within is
    in a mask of that window alone.
    """
    masks = []
    for start in range(0, math.ceil(window_days), DAYS_PER_MASK):
        end = min(float(start + DAYS_PER_MASK), window_days)
        shared = min(float(start + DAYS_PER_MASK), widest) if end.is_integer() else end
        masks.append(_Mask(float(start), shared, math.ceil(end) - start))
    return masks


def _days_of(by_type: ir.Table, mask: _Mask, where: ir.BooleanValue) -> ir.IntegerValue:
    """Count the days with activity that a window reads of a mask."""
    # Where no event was seen in a mask's days, none of them is a day with activity.
    days = by_type[mask.name].bit_or(where=where).fill_null(0)
    if mask.read < math.ceil(mask.until) - mask.since:
        days = days & ibis.literal((1 << mask.read) - 1, "int64")
    return _bit_count(days).cast("int64")


def _assets(used: ir.Table, plan: Plan) -> ir.Table:
    """Count different assets, name the last one, and count the frequent ones one by one."""
    widest = plan.lookback_days[-1]
    named = used.filter(used.asset.notnull(), used.type.isin(plan.asset_types))
    named = named.mutate(qualifier=_qualifier(named, plan.event_types))
    latest = named.group_by("snapshot", "qualifier", "asset").agg(
        age_us=named.age_us.min(), times=named.count(where=_within(named.age_us, widest))
    )
    columns: dict[str, ir.Value] = {}
    for q in plan.asset_qualifiers:
        mine = latest.qualifier == q
        for w in plan.lookback_days:
            columns[f"{q}_assets_{window_name(w)}"] = latest.count(where=mine & _within(latest.age_us, w))
        for asset in plan.assets.get(q, []):
            name = f"{q}_asset_{asset}_count_{window_name(widest)}"
            columns[name] = latest.times.sum(where=mine & (latest.asset == asset))
        columns[f"{q}_last_asset"] = latest.asset.first(where=mine, order_by=[latest.age_us, latest.asset])
    return latest.group_by("snapshot").agg(**columns)
