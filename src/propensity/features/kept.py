"""Behaviour that is kept from an earlier moment: whose it provably still is, and what it is by now.

What a lead did in a window stays the same while none of its events becomes known, none is corrected or
deleted, and none passes the edge of a window. Then counts, sums, days with activity and assets are those of
before, and only the time since the last event is longer. The rules are those of `behaviour`:

- An event passes the edge of a window at the moment it happened plus the window: the first such moment of
  all its events is how long a lead's behaviour holds.
- Days with activity are whole days back from the moment. They move alike if the moment moves by whole days;
  by another step they stay if no two events of a qualifier lie in the widest window.
- Events are compared by digests of buckets of leads, which cost one scan and next to no memory. A correction
  makes all leads of its bucket count as changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from propensity.cohort.snapshots import MICROSECONDS_PER_DAY
from propensity.data.scalars import microseconds
from propensity.data.values import UTC, microseconds_of
from propensity.features.behaviour import event_types
from propensity.features.build import ZERO_WHEN_ABSENT
from propensity.features.catalogue import Feature, Plan, catalogue
from propensity.features.visible import visible_events

BUCKETS = 1024
# What is kept of a lead beside its behaviour; no column of leads has such a name.
STATE = ("__events", "__until_us", "__crowded")
EVENTS, _UNTIL, _CROWDED = STATE
_FOREVER = 2**62


@ibis.udf.scalar.builtin(name="hash", signature=((dt.string,), dt.uint64))  # type: ignore[untyped-decorator]
def _hash_id(lead_id: object) -> Any:
    """DuckDB's hash of a text."""


@ibis.udf.scalar.builtin(  # type: ignore[untyped-decorator]
    name="hash", signature=((dt.string, UTC, UTC, dt.string, dt.string, dt.float64), dt.uint64)
)
def _hash_event(
    lead_id: object, event_at: object, known_at: object, type: object, asset: object, value: object
) -> Any:
    """DuckDB's hash of the columns of an event that features read."""


def is_kept(feature: Feature) -> bool:
    """Return whether a feature is behaviour of the lead's own."""
    return feature.statistic in ZERO_WHEN_ABSENT | {"days_since", "last_asset"}


def kept_names(plan: Plan) -> list[str]:
    """Return the features that are kept, in the order of the catalogue."""
    return [feature.name for feature in catalogue(plan) if is_kept(feature)]


def digest_events(events: ir.Table, plan: Plan, moments: Sequence[datetime]) -> ir.Table:
    """Digest the events that the plan reads, of each moment those that were known then.

    Returns
    -------
    ibis table
        ``bucket``, and for each moment, numbered from 0, ``n_0, low_0, high_0``: the events of the leads in
        the bucket, and the sums of the halves of their hashes, which are the same for the same events in
        whatever order; null where there are none.
    """
    read = _read_events(events, plan)
    hashed = read.select(
        "known_at",
        bucket=_bucket(read.lead_id),
        hashed=_hash_event(read.lead_id, read.event_at, read.known_at, read.type, read.asset, read.value),
    )
    low = (hashed.hashed & ibis.literal(2**32 - 1, "uint64")).cast("int64")
    high = (hashed.hashed >> ibis.literal(32, "uint64")).cast("int64")
    columns: dict[str, ir.Value] = {}
    for i, moment in enumerate(moments):
        known = hashed.known_at <= _moment(moment)
        columns |= {f"n_{i}": hashed.count(where=known)}
        columns |= {f"low_{i}": low.sum(where=known), f"high_{i}": high.sum(where=known)}
    return hashed.group_by("bucket").agg(**columns)


def find_unchanged(
    spine: ir.Table,
    kept: ir.Table,
    events: ir.Table,
    plan: Plan,
    *,
    before: datetime,
    moment: datetime,
    corrected: Collection[int],
) -> ir.Table:
    """Return the leads whose behaviour at `moment` is provably that of `before`.

    Parameters
    ----------
    spine : ibis table
        The snapshots, all at `moment`.
    kept : ibis table
        One row a lead scored as of `before`: ``lead_id`` and `STATE`.
    events : ibis table
        Canonical events.
    plan : Plan
    before, moment : datetime
        With a time zone, `before` not after `moment`.
    corrected : collection of int
        The buckets in which events known at `before` are no longer the same.

    Returns
    -------
    ibis table
        ``lead_id`` and `EVENTS`, the number of its events.
    """
    rows = kept.select("lead_id", *STATE).filter(kept[_UNTIL] > microseconds(moment))
    if corrected:
        rows = rows.filter(_bucket(rows.lead_id).notin(sorted(corrected)))
    if (microseconds(moment) - microseconds(before)) % MICROSECONDS_PER_DAY:
        rows = rows.filter(~rows[_CROWDED])
    news = _read_events(events, plan).filter(
        lambda t: t.known_at > _moment(before), lambda t: t.known_at <= _moment(moment)
    )
    return rows.semi_join(spine, "lead_id").anti_join(news, "lead_id").select("lead_id", EVENTS)


def add_state(features: ir.Table, spine: ir.Table, events: ir.Table, plan: Plan) -> ir.Table:
    """Add to features how long the behaviour of each snapshot holds.

    Parameters
    ----------
    features : ibis table
        Of the spine, as `propensity.features.build.build_features`.
    spine : ibis table
        One row per snapshot: ``snapshot, lead_id, as_of``.
    events : ibis table
        Canonical events.
    plan : Plan

    Returns
    -------
    ibis table
        `features` and `STATE`: the number of the lead's visible events, the moment from which on one of them
        has passed an edge (microseconds since 1970), and whether two events of a qualifier lie in the widest
        window.
    """
    edges = [round(days * MICROSECONDS_PER_DAY) for days in plan.lookback_days]
    seen = visible_events(spine, events, types=event_types(plan))
    left = ibis.cases(*((seen.age_us < edge, edge - seen.age_us) for edge in edges))
    recent = seen.age_us < edges[-1]
    counts = {q: seen.count(where=recent & seen.type.isin(types)) for q, types in plan.event_types.items()}
    reduced = seen.group_by("snapshot").agg(__seen=seen.count(), __left=left.min(), **counts)
    crowded = ibis.or_(*(reduced[q] > 1 for q in counts))
    told = reduced.select(
        __key="snapshot", __seen=reduced["__seen"], __left=reduced["__left"], __crowd=crowded
    )
    joined = features.left_join(told, features.snapshot == told["__key"])
    return joined.select(
        *features.columns,
        **{
            EVENTS: joined["__seen"].fill_null(0),
            _UNTIL: (microseconds_of(joined.as_of) + joined["__left"]).fill_null(_FOREVER),
            _CROWDED: joined["__crowd"].fill_null(False),
        },
    )


def put_back(features: ir.Table, kept: ir.Table, plan: Plan, moved_us: int | ir.IntegerValue) -> ir.Table:
    """Put kept behaviour, as it is by now, in the place of what was computed without the leads' events.

    Parameters
    ----------
    features : ibis table
        With ``snapshot`` and `kept_names`; other columns stay, but for those of `STATE`.
    kept : ibis table
        At most one row a snapshot: ``snapshot``, `STATE` and `kept_names`.
    plan : Plan
    moved_us : int or column of features
        Microseconds since the moment that `kept` is of.
    """
    names = [name for name in (*STATE, *kept_names(plan)) if name in features.columns]
    since = {feature.name for feature in catalogue(plan) if feature.statistic == "days_since"}
    renamed = kept.select(__key="snapshot", **{f"__kept_{name}": name for name in names})
    moved = features.mutate(__moved=moved_us)
    joined = moved.left_join(renamed, moved.snapshot == renamed["__key"])
    columns: dict[str, ir.Value] = {}
    for name in names:
        value = joined[f"__kept_{name}"]
        if name in since:
            # A float of days has so many digits that the whole microseconds it was made of come back.
            value = ((value * MICROSECONDS_PER_DAY).round() + joined["__moved"]) / MICROSECONDS_PER_DAY
        columns[name] = ibis.ifelse(joined["__key"].notnull(), value, joined[name])
    return joined.select(*(columns.get(name, joined[name]).name(name) for name in features.columns))


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[int]:
    """Return the buckets whose digests differ."""
    return {int(bucket) for bucket in {*one, *other} if one.get(bucket) != other.get(bucket)}


def _read_events(events: ir.Table, plan: Plan) -> ir.Table:
    return events.filter(events.type.isin(event_types(plan)))


def _bucket(lead_id: ir.StringValue) -> ir.IntegerValue:
    return (_hash_id(lead_id) % ibis.literal(BUCKETS, "uint64")).cast("int64")


def _moment(at: datetime) -> ir.TimestampScalar:
    return ibis.literal(at, "timestamp('UTC', 6)")
