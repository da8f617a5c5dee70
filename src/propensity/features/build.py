"""The feature table: one definition for training, batch scoring and a single call."""

from __future__ import annotations

from dataclasses import replace

import ibis.expr.types as ir

from propensity.features.account import account_features
from propensity.features.behaviour import behaviour_features
from propensity.features.catalogue import Plan, catalogue
from propensity.features.profile import profile_features, timing_features
from propensity.features.visible import visible_events

# Where nothing was seen, these are truly zero; every other statistic is unknown and stays null.
ZERO_WHEN_ABSENT = frozenset({"count", "value", "assets", "active_days", "asset_count"})


def build_features(
    spine: ir.Table,
    leads: ir.Table,
    plan: Plan,
    *,
    events: ir.Table | None = None,
    outcomes: ir.Table | None = None,
    history: ir.Table | None = None,
) -> ir.Table:
    """Compute every feature of the plan for every snapshot, from what was known at its ``as_of``.

    Parameters
    ----------
    spine : ibis table
        One row per snapshot: ``snapshot`` (a number, unique), ``lead_id``, ``account_id``,
        ``created_at``, ``as_of``.
    leads, events, outcomes, history : ibis tables
        Canonical tables; all but leads only where the plan reads them. Without a history, the leads hold
        what was known at ``as_of``.
    plan : Plan

    Returns
    -------
    ibis table
        ``snapshot, lead_id, as_of``, then the features in the catalogue's order; numbers as float64
        and categories as text, null where unknown.
    """
    parts = [profile_features(spine, leads, plan, history)]
    if plan.dated:
        parts.append(timing_features(spine, plan))
    if plan.event_types and events is not None:
        parts += behaviour_features(visible_events(spine, events), plan)
    if plan.has_account and events is not None and outcomes is not None:
        parts.append(account_features(spine, leads, events, outcomes, plan))
    return _finish(_join(spine.select("snapshot", "lead_id", "as_of"), parts), plan)


def build_behaviour(spine: ir.Table, visible: ir.Table, plan: Plan) -> ir.Table:
    """Compute, as `build_features` does, the features of what leads did, from events already paired.

    Parameters
    ----------
    spine : ibis table
        One row per snapshot: ``snapshot``, ``lead_id``, ``as_of``.
    visible : ibis table
        As `propensity.features.visible.visible_events` returns.
    plan : Plan
    """
    only = replace(plan, attributes={}, qualifier_of={}, dated=False, has_channel=False, has_account=False)
    return _finish(
        _join(spine.select("snapshot", "lead_id", "as_of"), behaviour_features(visible, plan)), only
    )


def _join(spine: ir.Table, parts: list[ir.Table]) -> ir.Table:
    joined = spine
    for part in parts:
        renamed = part.rename(_key="snapshot")
        joined = joined.left_join(renamed, joined.snapshot == renamed._key).drop("_key")
    return joined


def _finish(joined: ir.Table, plan: Plan) -> ir.Table:
    columns: dict[str, ir.Value] = {}
    for feature in catalogue(plan):
        column = joined[feature.name]
        if feature.kind == "number":
            column = column.cast("float64")
        if feature.statistic in ZERO_WHEN_ABSENT:
            column = column.fill_null(0.0)
        columns[feature.name] = column
    return joined.select("snapshot", "lead_id", "as_of", **columns)
