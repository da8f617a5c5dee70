"""The states between two scorings: what a lead's features were before, and what they are without news.

A lead that was scored at ``as_of_before`` and is scored again at ``as_of`` differs by the time that
passed, by what became known of it, and by what its fields hold. The states tell these apart.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from propensity.features.build import build_features
from propensity.features.catalogue import AGED, BEFORE, Plan

_EPOCH = ibis.literal("1970-01-01T00:00:00+00:00", "timestamp('UTC', 6)")


def build_states(
    spine: ir.Table,
    leads: ir.Table,
    plan: Plan,
    *,
    events: ir.Table | None = None,
    outcomes: ir.Table | None = None,
    history: ir.Table | None = None,
) -> ir.Table:
    """Compute the features of every snapshot in two states.

    In state ``before`` they are those at ``as_of_before``, by today's record. In state ``aged`` they
    are those at ``as_of`` as far as they come from events, colleagues and the calendar, read from what was
    known at ``as_of_before`` alone: nothing happened since but time. The attributes of state ``aged``
    are of no use; they are those of state ``before``.

    Parameters
    ----------
    spine : ibis table
        As for `build_features`, with ``as_of_before``, at most ``as_of`` and never null; one row a lead.
    leads, events, outcomes, history : ibis tables
        As for `build_features`.
    plan : Plan
        Of a dated table.

    Returns
    -------
    ibis table
        Two rows a snapshot: ``snapshot, state``, then the features in the catalogue's order.
    """
    before = build_features(
        at_moment_before(spine), leads, plan, events=events, outcomes=outcomes, history=history
    )
    aged = _build_aged(spine, leads, plan, events, outcomes)
    return ibis.union(
        *(
            table.drop("lead_id", "as_of")
            .mutate(state=ibis.literal(state))
            .relocate("state", after="snapshot")
            for state, table in ((BEFORE, before), (AGED, aged))
        ),
        distinct=False,
    )


def at_moment_before(spine: ir.Table) -> ir.Table:
    """Return the spine with ``as_of_before`` in the place of ``as_of``."""
    return spine.drop("as_of").rename(as_of="as_of_before")


def _build_aged(
    spine: ir.Table, leads: ir.Table, plan: Plan, events: ir.Table | None, outcomes: ir.Table | None
) -> ir.Table:
    """Build the features at ``as_of`` from a record that ends at ``as_of_before``.

    The moment before may differ from lead to lead, also within an account, whose events all its leads
    share. So each moment has a record of its own, in which leads and accounts go by a name made of
    their id and the moment.
    """
    cuts = _cuts(spine, leads, plan)
    known_leads = _known(leads, cuts, "created_at")
    return build_features(
        _renamed(spine, "lead_id", "account_id"),
        _renamed(known_leads, "account_id"),
        plan,
        events=None if events is None else _known(events, cuts, "known_at", "event_at"),
        outcomes=None if outcomes is None else _known(outcomes, cuts, "closed_at"),
    )


def _cuts(spine: ir.Table, leads: ir.Table, plan: Plan) -> ir.Table:
    """Return ``lead_id, as_of_before``: whose record is wanted, up to which moment."""
    own = spine.select("lead_id", "as_of_before")
    if not plan.has_account:
        return own
    accounts = spine.filter(spine.account_id.notnull()).select("account_id", "as_of_before").distinct()
    colleagues = leads.select("lead_id", "account_id").inner_join(accounts, "account_id")
    return ibis.union(own, colleagues.select("lead_id", "as_of_before"), distinct=True)


def _known(table: ir.Table, cuts: ir.Table, *moments: str) -> ir.Table:
    """Return the rows that were known at each cut, under the cut's name for the lead."""
    joined = table.inner_join(cuts, "lead_id")
    return _renamed(joined.filter(*(joined[moment] <= joined.as_of_before for moment in moments)), "lead_id")


def _renamed(table: ir.Table, *ids: str) -> ir.Table:
    moment = table.as_of_before.cast("timestamp('UTC', 6)").delta(_EPOCH, unit="microsecond").cast("string")
    return table.mutate(**{name: table[name] + "@" + moment for name in ids})
