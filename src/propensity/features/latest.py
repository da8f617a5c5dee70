"""The latest event that became known of a lead between two scorings."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from propensity.features.visible import visible_events


def latest_news(spine: ir.Table, events: ir.Table) -> ir.Table:
    """Return each snapshot's latest event of those that were not known at the moment before.

    Parameters
    ----------
    spine : ibis table
        ``snapshot, lead_id, as_of, as_of_before``; a snapshot without a moment before knew nothing then.
    events : ibis table
        Canonical events.

    Returns
    -------
    ibis table
        At most one row a snapshot: ``snapshot, age_us, type, asset``, ``age_us`` being the microseconds
        from the event to ``as_of``. Of several at one moment, the first by type and asset.
    """
    seen = visible_events(spine, events).inner_join(spine.select("snapshot", "as_of_before"), "snapshot")
    news = seen.filter(seen.as_of_before.isnull() | (seen.known_at > seen.as_of_before))
    last = ibis.window(group_by="snapshot", order_by=["age_us", "type", "asset"])
    return (
        news.mutate(place=ibis.row_number().over(last))
        .filter(ibis._.place == 0)
        .select("snapshot", "age_us", "type", "asset")
    )
