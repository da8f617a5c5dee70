"""Fields that change: what each held as of a moment, read from the log of its changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ibis
import ibis.expr.types as ir

_MOMENT = ("lead_id", "column", "changed_at")
_NOTHING, _TEXT = "0", "1"  # what begins the key of an empty field and of a filled one


def history_fields(history: ir.Table) -> ir.Table:
    """Return the different names in a history's ``field``, sorted."""
    return history.select("field").distinct().order_by("field")


def values_as_of(spine: ir.Table, history: ir.Table, tracked: Mapping[str, Sequence[str]]) -> ir.Table:
    """Return what the tracked columns held at each snapshot, where the history tells.

    A column holds the ``new`` of the last change at or before ``as_of``; before the first change it
    holds that change's ``old``, since a log of changes has no row for the first value. A lead without
    any change of a column has no row for it here.

    Several changes of one field at one moment count as one. Where they form a chain, it leads from the
    ``old`` that is no other one's ``new`` to the ``new`` that is no other one's ``old``; of several such
    values, or none, the first ``old`` and the last ``new`` by text are taken, an empty one before all
    texts.

    Parameters
    ----------
    spine : ibis table
        One row per snapshot: ``snapshot`` (its number), ``lead_id``, ``as_of``.
    history : ibis table
        Canonical history.
    tracked : dict
        As from `propensity.features.tracked.tracked_columns`.

    Returns
    -------
    ibis table
        One row per snapshot and column: ``snapshot, column, value`` (text, null where the field was
        empty).
    """
    periods = _periods(_net_changes(_changes(history, tracked)))
    keys = spine.select("snapshot", "as_of", spine_lead=spine.lead_id)
    joined = keys.inner_join(periods, keys.spine_lead == periods.lead_id)
    begun = joined.since.isnull() | (joined.since <= joined.as_of)
    lasting = joined.until.isnull() | (joined.until > joined.as_of)
    return joined.filter(begun, lasting).select("snapshot", "column", value=_text_of(joined.key))


def _changes(history: ir.Table, tracked: Mapping[str, Sequence[str]]) -> ir.Table:
    """Return ``lead_id, column, changed_at`` and the keys of what the column held before and after."""
    return ibis.union(
        *(
            history.filter(history.field.isin(names)).select(
                "lead_id",
                "changed_at",
                column=ibis.literal(column),
                old=_key(history.old),
                new=_key(history.new),
            )
            for column, names in tracked.items()
        ),
        distinct=False,
    ).select(*_MOMENT, "old", "new")


def _net_changes(changes: ir.Table) -> ir.Table:
    """Take the changes of one field at one moment together: what it held before and after them all."""
    linked = _with_links(_with_links(changes, changes, "new", "old"), changes, "old", "new")
    itself = ibis.ifelse(linked.old == linked.new, 1, 0)
    is_end, is_start = linked.links_new == itself, linked.links_old == itself
    return linked.group_by(*_MOMENT).agg(
        before=linked.old.min(where=is_start).coalesce(linked.old.min()),
        after=linked.new.max(where=is_end).coalesce(linked.new.max()),
    )


def _with_links(table: ir.Table, changes: ir.Table, one: str, other: str) -> ir.Table:
    """Count, as ``links_ONE``, the changes at the same moment whose `other` value is the row's `one`."""
    there = changes.group_by(*(changes[name].name(f"there_{name}") for name in _MOMENT), there=changes[other])
    counted = there.agg(n=lambda t: t.count())
    same = [(name, f"there_{name}") for name in _MOMENT]
    joined = table.left_join(counted, [*same, (one, "there")])
    return joined.select(*table.columns, **{f"links_{one}": joined.n.fill_null(0)})


def _periods(net: ir.Table) -> ir.Table:
    """Return what each field held ``since`` a moment (null: ever) and ``until`` the next (null: for good)."""
    in_order = ibis.window(group_by=[net.lead_id, net.column], order_by=net.changed_at)
    placed = net.mutate(until=net.changed_at.lead().over(in_order), place=ibis.row_number().over(in_order))
    first = placed.filter(placed.place == 0)
    never = ibis.null("timestamp('UTC', 6)")
    return ibis.union(
        placed.select("lead_id", "column", "until", since=placed.changed_at, key=placed.after),
        first.select("lead_id", "column", until=first.changed_at, since=never, key=first.before).select(
            "lead_id", "column", "until", "since", "key"
        ),
        distinct=False,
    )


def _key(value: ir.StringValue) -> ir.StringValue:
    """Write a value so that an empty one can be compared and comes first."""
    return ibis.ifelse(value.isnull(), _NOTHING, ibis.literal(_TEXT) + value)


def _text_of(key: ir.StringValue) -> ir.StringValue:
    return ibis.ifelse(key == _NOTHING, ibis.null("string"), key.substr(1))
