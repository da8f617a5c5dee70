"""The point-in-time filter: the only way by which a lead's features read its events."""

from __future__ import annotations

import ibis.expr.types as ir


def visible_events(spine: ir.Table, events: ir.Table) -> ir.Table:
    """Pair each snapshot with the events of its lead that were known at its ``as_of``.

    Parameters
    ----------
    spine : ibis table
        One row per snapshot: ``snapshot`` (its number), ``lead_id``, ``as_of``.
    events : ibis table
        Canonical events; ``known_at`` is never before ``event_at``.

    Returns
    -------
    ibis table
        One row per (snapshot, visible event): ``snapshot``, ``age_us`` (microseconds from the event
        to ``as_of``, 0 or more), ``known_at``, ``type``, ``asset``, ``value``.
    """
    keys = spine.select("snapshot", "as_of", spine_lead=spine.lead_id)
    joined = keys.join(events, keys.spine_lead == events.lead_id)
    known = joined.filter(joined.known_at <= joined.as_of, joined.event_at <= joined.as_of)
    return known.select(
        "snapshot",
        "known_at",
        "type",
        "asset",
        "value",
        age_us=known.as_of.delta(known.event_at, unit="microsecond"),
    )
