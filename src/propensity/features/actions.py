"""What leads do in the days after a snapshot, and the features of a lead that did a little more."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from propensity.cohort.snapshots import MICROSECONDS_PER_DAY, days
from propensity.features.build import build_behaviour
from propensity.features.catalogue import Plan, own_types
from propensity.features.visible import visible_events

SEEN = ("snapshot", "type", "asset", "value", "age_us")


def followed_events(spine: ir.Table, events: ir.Table, plan: Plan, *, days_after: float) -> ir.Table:
    """Return what each snapshot's lead did in ``(as_of, as_of + days_after]`` while it was open.

    Parameters
    ----------
    spine : ibis table
        ``snapshot, lead_id, as_of, closed_at``.
    events : ibis table
        Canonical events; what was not known by ``as_of + days_after`` does not count.
    plan : Plan
    days_after : float

    Returns
    -------
    ibis table
        One row per (snapshot, event of the plan's web, email or social types): ``snapshot, qualifier, type,
        asset, value``. An asset that the model does not count by itself is null.
    """
    later = spine.mutate(as_of=spine.as_of + days(days_after)).select(
        "snapshot", "lead_id", "as_of", "closed_at"
    )
    seen = visible_events(later, events).inner_join(
        later.select("snapshot", ended_us=later.as_of.delta(later.closed_at, unit="microsecond")), "snapshot"
    )
    while_open = (seen.age_us >= seen.ended_us).fill_null(True)
    inside = seen.filter(while_open, seen.age_us < round(days_after * MICROSECONDS_PER_DAY))
    types = own_types(plan)
    if not types:
        return _typed(inside.filter(ibis.literal(False)), ibis.null("string"), ibis.null("string"))
    qualifier = ibis.cases(*((inside.type.isin(listed), q) for q, listed in types.items()))
    counted = [
        (inside.type.isin(listed) & inside.asset.isin(plan.assets[q]), inside.asset)
        for q, listed in types.items()
        if plan.assets.get(q)
    ]
    asset = ibis.cases(*counted) if counted else ibis.null("string")
    return _typed(inside.filter(qualifier.notnull()), qualifier, asset)


def count_followed(followed: ir.Table) -> ir.Table:
    """Count what `followed_events` returns: ``snapshot, qualifier, type, asset, times``."""
    return followed.group_by("snapshot", "qualifier", "type", "asset").agg(times=followed.count())


def typical_values(followed: ir.Table) -> ir.Table:
    """Return the median value of each kind of event: ``qualifier, type, asset, value``."""
    return followed.group_by("qualifier", "type", "asset").agg(value=followed.value.median())


def variant_features(spine: ir.Table, events: ir.Table, added: ir.Table, plan: Plan) -> ir.Table:
    """Compute the behaviour features of leads that did something more.

    A variant is a snapshot of its lead with a number of its own; who the lead is, its age and its
    colleagues are as they were, so only behaviour is computed.

    Parameters
    ----------
    spine : ibis table
        One row per variant: ``snapshot`` (its number), ``lead_id``, ``as_of``.
    events : ibis table
        Canonical events of the leads.
    added : ibis table
        What each variant did more: ``snapshot, type, asset, value, age_us`` (microseconds before ``as_of``).
    plan : Plan

    Returns
    -------
    ibis table
        ``snapshot, lead_id, as_of`` and the behaviour features of the plan.
    """
    seen = visible_events(spine, events).select(*SEEN)
    more = added.select(*SEEN).cast(dict(seen.schema().items()))
    return build_behaviour(spine, ibis.union(seen, more, distinct=False), plan)


def _typed(seen: ir.Table, qualifier: ir.Value, asset: ir.Value) -> ir.Table:
    return seen.select("snapshot", "type", "value", qualifier=qualifier, asset=asset)
