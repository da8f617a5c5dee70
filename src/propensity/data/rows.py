"""A table expression over a handful of rows, computed in this process without an engine.

An engine takes a hundred times as long to parse and plan the features of one lead as to compute them. So the
same expression, compiled once to a list of steps over columns, is computed here where it can be: compiling
declines operations that are not known here, and a run declines values of which only the engine knows what
becomes of them. What the values' operations mean stands in `propensity.data.scalars`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa

from propensity.data.operations import AGGREGATES, each, operation
from propensity.data.scalars import UNKNOWN, Declined, rank

__all__ = ["Declined", "Frame", "RowProgram", "compile_rows"]

Column = list[Any]


@dataclass(frozen=True)
class Frame:
    """Columns by name, each of `n` values."""

    n: int
    columns: dict[str, Column]

    def take(self, places: Sequence[int]) -> Frame:
        """Return the rows at these places."""
        return Frame(len(places), {name: [c[i] for i in places] for name, c in self.columns.items()})


class RowProgram:
    """The steps that compute an expression.

    Parameters
    ----------
    expression : ibis table
        Over unbound tables.

    Raises
    ------
    Declined
        The expression holds an operation that is not known here.
    """

    def __init__(self, expression: ir.Table) -> None:
        self.schema = expression.schema().to_pyarrow()
        # A step's function takes the results of earlier steps; the tables handed in are result 0.
        self._steps: list[tuple[Callable[..., Any], tuple[int, ...]]] = []
        self._slots: dict[Any, int] = {}
        self._result = self._table(expression.op())

    def compute(self, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Compute the expression from Arrow tables to one; raises as `run`."""
        found = self.run({name: _to_frame(table) for name, table in tables.items()})
        arrays = [_to_array(found.columns[field.name], field.type) for field in self.schema]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def run(self, tables: Mapping[str, Frame]) -> Frame:
        """Compute the expression; `tables` are by the names of its unbound tables.

        Raises
        ------
        Declined
            A value is such that only the engine can tell.
        """
        done: list[Any] = [tables]
        try:
            for function, inputs in self._steps:
                done.append(function(*[done[i] for i in inputs]))
        except (ArithmeticError, ValueError, TypeError) as error:
            raise Declined(error) from error
        found: Frame = done[self._result]
        if any(UNKNOWN in column for column in found.columns.values()):
            raise Declined("a value that only the engine can read")
        return found

    def _step(self, function: Callable[..., Any], inputs: Iterable[int]) -> int:
        self._steps.append((function, tuple(inputs)))
        return len(self._steps)

    def _table(self, node: Any) -> int:
        """Return the slot of a table's frame."""
        if node not in self._slots:
            make = _TABLES.get(type(node))
            if make is None:
                raise Declined(type(node).__name__)
            self._slots[node] = make(self, node)
        return self._slots[node]

    def _values(self, nodes: Iterable[Any]) -> list[int]:
        return [self._value(node) for node in nodes]

    def _value(self, node: Any, groups: int | None = None) -> int:
        """Return the slot of a value's column; with `groups`, of one value a group."""
        key = (node, groups)
        if key not in self._slots:
            self._slots[key] = self._new_value(node, groups)
        return self._slots[key]

    def _new_value(self, node: Any, groups: int | None) -> int:
        if isinstance(node, ops.Field):
            if groups is not None:
                raise Declined("a column among aggregates")
            name = node.name
            return self._step(lambda frame: frame.columns[name], [self._table(node.rel)])
        if isinstance(node, ops.Reduction):
            return self._aggregate(node, groups)
        if isinstance(node, ops.WindowFunction):
            return self._row_number(node)
        if isinstance(node, ops.InSubquery):
            return self._step(_among, [self._value(node.needle), self._table(node.rel)])
        function, arguments = operation(node)
        return self._step(each(function), [self._value(argument, groups) for argument in arguments])

    def _aggregate(self, node: Any, groups: int | None) -> int:
        if groups is None or type(node) not in AGGREGATES:
            raise Declined(type(node).__name__)
        if isinstance(node, ops.CountStar):
            arguments = []
        elif isinstance(node, ops.First) and node.order_by and not node.include_null:
            if not all(key.ascending for key in node.order_by):
                raise Declined("a descending order")
            arguments = [node.arg, *(key.arg for key in node.order_by)]
        elif isinstance(node, ops.First):
            raise Declined("the first without an order")
        else:
            arguments = [node.arg]
        slots = self._values([*([] if node.where is None else [node.where]), *arguments])
        reduce_group, filtered = AGGREGATES[type(node)], node.where is not None

        def aggregate(grouped: _Groups, *columns: Any) -> Column:
            rows = grouped.rows
            if filtered:
                mask, *columns = columns  # type: ignore[assignment]
                full = _full(mask, grouped.n)
                rows = [[i for i in group if full[i] is True] for group in rows]
            values = [_full(column, grouped.n) for column in columns]
            return [reduce_group(group, *values) for group in rows]

        return self._step(aggregate, [groups, *slots])

    def _row_number(self, node: Any) -> int:
        if not isinstance(node.func, ops.RowNumber) or not all(key.ascending for key in node.order_by):
            raise Declined("a window other than a row number")
        keys, order = self._values(node.group_by), self._values(key.arg for key in node.order_by)
        count = len(keys)

        def number(*columns: Column) -> Column:
            numbers = [0] * len(columns[0])
            for group in _group(len(columns[0]), columns[:count]).rows:
                for place, i in enumerate(_in_order(group, columns[count:])):
                    numbers[i] = place
            return numbers

        return self._step(number, [*keys, *order])


def compile_rows(expression: ir.Table) -> RowProgram | None:
    """Return the steps that compute an expression, or None where they are not all known here."""
    try:
        return RowProgram(expression)
    except Declined:
        return None


@dataclass(frozen=True)
class _Groups:
    n: int
    rows: list[list[int]]


def _given(program: RowProgram, node: Any) -> int:
    name = node.name
    return program._step(lambda tables: tables[name], [0])


def _project(program: RowProgram, node: Any) -> int:
    parent, names = program._table(node.parent), list(node.values)
    values = program._values(node.values.values())

    def project(frame: Frame, *columns: Any) -> Frame:
        return Frame(frame.n, {n: _full(c, frame.n) for n, c in zip(names, columns, strict=True)})

    return program._step(project, [parent, *values])


def _drop(program: RowProgram, node: Any) -> int:
    kept = list(node.schema)
    return program._step(
        lambda frame: Frame(frame.n, {name: frame.columns[name] for name in kept}),
        [program._table(node.parent)],
    )


def _filter(program: RowProgram, node: Any) -> int:
    def keep(frame: Frame, *masks: Any) -> Frame:
        full = [_full(mask, frame.n) for mask in masks]
        if any(UNKNOWN in mask for mask in full):
            raise Declined("a condition that only the engine knows")
        return frame.take([i for i in range(frame.n) if all(mask[i] is True for mask in full)])

    return program._step(keep, [program._table(node.parent), *program._values(node.predicates)])


def _sort(program: RowProgram, node: Any) -> int:
    if not all(key.ascending for key in node.keys):
        raise Declined("a descending order")

    def sort(frame: Frame, *keys: Column) -> Frame:
        return frame.take(_in_order(range(frame.n), keys))

    return program._step(sort, [program._table(node.parent), *program._values(k.arg for k in node.keys)])


def _limit(program: RowProgram, node: Any) -> int:
    n = node.n
    if not isinstance(n, int) or node.offset != 0:
        raise Declined("a limit that is not constant")
    return program._step(lambda frame: frame.take(range(min(n, frame.n))), [program._table(node.parent)])


def _union(program: RowProgram, node: Any) -> int:
    if node.distinct:
        raise Declined("a union of different rows")

    def append(one: Frame, other: Frame) -> Frame:
        return Frame(one.n + other.n, {name: c + other.columns[name] for name, c in one.columns.items()})

    return program._step(append, [program._table(node.left), program._table(node.right)])


def _aggregated(program: RowProgram, node: Any) -> int:
    parent, keys = program._table(node.parent), program._values(node.groups.values())
    grouped = program._step(lambda frame, *columns: _group(frame.n, columns), [parent, *keys])
    metrics = [program._value(metric, grouped) for metric in node.metrics.values()]
    names, count = [*node.groups, *node.metrics], len(keys)

    def aggregate(groups: _Groups, *columns: Any) -> Frame:
        keyed = [_full(column, groups.n) for column in columns[:count]]
        firsts = [[column[group[0]] for group in groups.rows] for column in keyed]
        told = [*firsts, *(_full(c, len(groups.rows)) for c in columns[count:])]
        return Frame(len(groups.rows), dict(zip(names, told, strict=True)))

    return program._step(aggregate, [grouped, *keys, *metrics])


def _join(program: RowProgram, node: Any) -> int:
    """Join tables one after another, each on values that are equal."""
    references = [node.first, *(link.table for link in node.rest)]
    frames = [program._table(reference.parent) for reference in references]
    program._slots.update(zip(references, frames, strict=True))
    pairs = []
    for place, link in enumerate(node.rest, start=1):
        if link.how not in ("inner", "left"):
            raise Declined(link.how)
        pairs.append([_sides(references, place, predicate) for predicate in link.predicates])
    slots = [s for link in pairs for _, old, new in link for s in (program._value(old), program._value(new))]
    chosen = {
        name: (references.index(_only(value)), program._value(value)) for name, value in node.values.items()
    }
    hows, count = [link.how for link in node.rest], len(frames)
    owners = [[owner for owner, _, _ in link] for link in pairs]

    def join(*inputs: Any) -> Frame:
        given = iter(inputs[count : count + len(slots)])
        places: list[list[int | None]] = [list(range(inputs[0].n))]
        for how, link in zip(hows, owners, strict=True):
            columns = [(owner, next(given), next(given)) for owner in link]
            _join_one(places, columns, how)
        values = zip(chosen.items(), inputs[count + len(slots) :], strict=True)
        return Frame(
            len(places[0]),
            {name: _take(column, places[owner]) for (name, (owner, _)), column in values},
        )

    return program._step(join, [*frames, *slots, *(slot for _, slot in chosen.values())])


def _join_one(places: list[list[int | None]], columns: list[tuple[int, Column, Column]], how: str) -> None:
    """Add one table to the rows joined so far: `places` holds each table's row of each of them."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for i, key in enumerate(zip(*(new for _, _, new in columns), strict=True)):
        if None not in key:
            found.setdefault(key, []).append(i)
    rows: list[int] = []
    partners: list[int | None] = []
    for row in range(len(places[0])):
        at = [(places[owner][row], old) for owner, old, _ in columns]
        key = tuple(None if i is None else old[i] for i, old in at)
        matches: Sequence[int | None] = found.get(key, []) or ([None] if how == "left" else [])
        rows += [row] * len(matches)
        partners += matches
    places[:] = [[table[row] for row in rows] for table in places] + [partners]


def _sides(references: list[Any], place: int, predicate: Any) -> tuple[int, Any, Any]:
    """Return an equality's earlier table, and its values for that and for the table at `place`."""
    if not isinstance(predicate, ops.Equals):
        raise Declined("a join on something else than equality")
    sides = [(references.index(_only(side)), side) for side in (predicate.left, predicate.right)]
    (owner, old), (newest, new) = sorted(sides, key=lambda side: side[0])
    if newest != place or owner == place:
        raise Declined("a join on values of one table")
    return owner, old, new


def _only(value: Any) -> Any:
    """Return the one table of a join that a value is of."""
    if not isinstance(value, ops.Field) or not isinstance(value.rel, ops.JoinReference):
        raise Declined("a computed value in a join")
    return value.rel


def _among(needles: Column, frame: Frame) -> Column:
    (column,) = frame.columns.values()
    known = set(column)
    otherwise = None if None in known else False
    return [None if v is None else True if v in known else otherwise for v in needles]


def _group(n: int, keys: Sequence[Any]) -> _Groups:
    """Group rows by their keys; NaN equals NaN, and null equals null."""
    if not keys:
        return _Groups(n, [list(range(n))])
    found: dict[Any, list[int]] = {}
    for i, key in enumerate(zip(*(_full(column, n) for column in keys), strict=True)):
        found.setdefault(tuple(map(rank, key)), []).append(i)
    return _Groups(n, list(found.values()))


def _in_order(rows: Iterable[int], keys: Sequence[Column]) -> list[int]:
    return sorted(rows, key=lambda i: tuple(rank(column[i]) for column in keys))


def _take(column: Column, places: Sequence[int | None]) -> Column:
    return [None if i is None else column[i] for i in places]


def _to_frame(table: pa.Table) -> Frame:
    columns = zip(table.column_names, table.columns, strict=True)
    return Frame(table.num_rows, {name: _to_values(column) for name, column in columns})


def _to_values(column: pa.ChunkedArray) -> Column:
    kind = column.type
    if pa.types.is_timestamp(kind):
        if kind.unit != "us":
            raise Declined(kind)
        return column.cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]
    known = (pa.types.is_string, pa.types.is_large_string, pa.types.is_signed_integer, pa.types.is_null)
    if not any(check(kind) for check in (*known, pa.types.is_float64, pa.types.is_boolean)):
        raise Declined(kind)
    return column.to_pylist()  # type: ignore[no-any-return]


def _to_array(column: Column, kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(column, type=pa.int64()).cast(kind)
    return pa.array(column, type=kind)


def _full(column: Any, n: int) -> Column:
    return column if isinstance(column, list) else [column.value] * n


_TABLES: dict[type, Callable[[RowProgram, Any], int]] = {
    ops.UnboundTable: _given,
    ops.Project: _project,
    ops.DropColumns: _drop,
    ops.Filter: _filter,
    ops.Sort: _sort,
    ops.Limit: _limit,
    ops.Union: _union,
    ops.Aggregate: _aggregated,
    ops.JoinChain: _join,
}
