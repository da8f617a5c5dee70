"""What the lead's colleagues did: other leads of the same account, as known at ``as_of``."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from propensity.cohort.snapshots import MICROSECONDS_PER_DAY
from propensity.features.catalogue import Plan, window_name


def account_features(
    spine: ir.Table, leads: ir.Table, events: ir.Table, outcomes: ir.Table, plan: Plan
) -> ir.Table:
    """Return the behaviour and the outcomes of each snapshot's colleagues, keyed by ``snapshot``.

    Everything the account does is laid on one timeline by the moment it became known, and running
    sums over it, less the lead's own, are read at the snapshots. One sort, whatever the size of the
    account. A lead without an account is absent.

    Returns
    -------
    ibis table
        ``account_leads``, ``account_won``, ``account_lost`` (colleagues created, won and lost up to
        ``as_of``) and, per qualifier and window, the number of colleagues' events.
    """
    timeline = _timeline(spine, leads, events, outcomes, plan)
    columns: dict[str, ir.Value] = {}
    for total in ("leads", "won", "lost"):
        columns[f"account_{total}"] = _of_colleagues(timeline, total, window_days=None)
    for q in plan.event_types:
        for w in plan.lookback_days:
            columns[f"account_{q}_count_{window_name(w)}"] = _of_colleagues(timeline, q, window_days=w)
    summed = timeline.mutate(**columns)
    return summed.filter(summed.snapshot.notnull()).select("snapshot", *columns)


def _timeline(spine: ir.Table, leads: ir.Table, events: ir.Table, outcomes: ir.Table, plan: Plan) -> ir.Table:
    """Return one row for each thing that happened in an account and one for each snapshot."""
    accounts = leads.filter(leads.account_id.notnull()).select("lead_id", "account_id", "created_at")
    of_events = events.select("lead_id", "type", moment=events.known_at).inner_join(accounts, "lead_id")
    closed = outcomes.filter(outcomes.closed_at.notnull())
    of_outcomes = closed.select("lead_id", "status", moment=closed.closed_at).inner_join(accounts, "lead_id")
    of_spine = spine.filter(spine.account_id.notnull())
    counted = ["leads", "won", "lost", *plan.event_types]

    def rows(table: ir.Table, moment: ir.Value, snapshot: ir.Value, **flags: ir.BooleanValue) -> ir.Table:
        return table.select(
            "account_id",
            "lead_id",
            snapshot=snapshot,
            moment_us=moment.cast("timestamp('UTC', 6)").delta(_EPOCH, unit="microsecond"),
            **{c: _one_where(flags[c]) if c in flags else ibis.literal(0, "int64") for c in counted},
        )

    none = ibis.null("int64")
    return ibis.union(
        rows(accounts, accounts.created_at, none, leads=ibis.literal(True)),
        rows(
            of_outcomes,
            of_outcomes.moment,
            none,
            won=of_outcomes.status == "won",
            lost=of_outcomes.status == "lost",
        ),
        rows(
            of_events,
            of_events.moment,
            none,
            **{q: of_events.type.isin(types) for q, types in plan.event_types.items()},
        ),
        rows(of_spine, of_spine.as_of, of_spine.snapshot.cast("int64")),
        distinct=False,
    )


def _one_where(flag: ir.BooleanValue) -> ir.IntegerValue:
    return ibis.ifelse(flag, 1, 0).cast("int64")


def _of_colleagues(timeline: ir.Table, counted: str, *, window_days: float | None) -> ir.IntegerValue:
    """Sum over the account up to the row's moment, less the lead's own; windows are ``(t - w, t]``."""
    preceding = None if window_days is None else round(window_days * MICROSECONDS_PER_DAY) - 1

    def total(*keys: str) -> ir.IntegerValue:
        window = ibis.range_window(
            preceding=preceding, following=0, group_by=list(keys), order_by="moment_us"
        )
        return timeline[counted].sum().over(window)

    return total("account_id") - total("account_id", "lead_id")


_EPOCH = ibis.literal("1970-01-01T00:00:00+00:00", "timestamp('UTC', 6)")
