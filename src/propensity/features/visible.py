"""The point-in-time filter: the only way by which a lead's features read its events."""

from __future__ import annotations

from collections.abc import Collection

import ibis.expr.types as ir

from propensity.data.values import microseconds_of


def visible_events(spine: ir.Table, events: ir.Table, *, types: Collection[str] | None = None) -> ir.Table:
    """Pair each snapshot with the events of its lead that were known at its ``as_of``.

    Parameters
    ----------
    spine : ibis table
        One row per snapshot: ``snapshot`` (its number), ``lead_id``, ``as_of``.
    events : ibis table
        Canonical events; ``known_at`` is never before ``event_at``.
    types : collection of str, optional
        The event types wanted; all if left out.

    Returns
    -------
    ibis table
        One row per (snapshot, visible event): ``snapshot``, ``age_us`` (microseconds from the event
        to ``as_of``, 0 or more), ``known_at``, ``type``, ``asset``, ``value``.
    """
    keys = spine.select("snapshot", as_of_us=microseconds_of(spine.as_of), spine_lead=spine.lead_id)
    wanted = events if types is None else events.filter(events.type.isin(sorted(types)))
    facts = wanted.select(
        "lead_id",
        "known_at",
        "type",
        "asset",
        "value",
        event_us=microseconds_of(wanted.event_at),
        known_us=microseconds_of(wanted.known_at),
    )
    joined = keys.inner_join(facts, keys.spine_lead == facts.lead_id)
    known = joined.filter(joined.known_us <= joined.as_of_us, joined.event_us <= joined.as_of_us)
    age = known.as_of_us - known.event_us
    return known.select("snapshot", "known_at", "type", "asset", "value", age_us=age)
