"""A table expression over a handful of rows, computed in this process without an engine.

An engine takes a hundred times as long to parse and plan the features of one lead as to compute them. So the
same expression, compiled once to a list of steps over rows, is computed here where it can be: compiling
declines operations that are not known here, and a run declines values of which only the engine knows what
becomes of them. What the operations mean stands in `propensity.data.operations` and
`propensity.data.scalars`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from operator import add, itemgetter
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa

from propensity.data.needed import find_needed
from propensity.data.operations import Column, Constant, Of, Row, both, operation, over_columns
from propensity.data.reductions import AGGREGATES, Rows, Selection, conditions_of, is_named
from propensity.data.scalars import Declined, rank

__all__ = ["Declined", "Row", "RowProgram", "compile_rows", "rows_of"]

# What is made of a text is remembered for so many texts, and then all is forgotten.
REMEMBERED = 2000
# From so many rows on, values are quicker computed column by column.
COLUMNS_FROM = 4


class RowProgram:
    """The steps that compute an expression.

    Parameters
    ----------
    expression : ibis table
        Over unbound tables.

    Attributes
    ----------
    schema : pyarrow schema
        Of what it gives.
    names : tuple of str
        The columns in it.

    Raises
    ------
    Declined
        The expression holds an operation that is not known here.
    """

    def __init__(self, expression: ir.Table) -> None:
        self.schema = expression.schema().to_pyarrow()
        self.names = tuple(self.schema.names)
        # A step's function takes the results of earlier steps; the tables handed in are result 0.
        self._steps: list[tuple[Callable[..., Any], tuple[int, ...]]] = []
        self._relations: dict[Any, _Relation] = {}
        self._needed = find_needed(expression.op())
        found = self._table(expression.op())
        self._result = found.slot
        self._pick = _picker([found.columns[name] for name in self.names], found.width)

    def compute(self, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Compute the expression from Arrow tables to one; raises as `run`."""
        rows = self.run({name: rows_of(table) for name, table in tables.items()})
        columns = zip(*rows, strict=True) if rows else [()] * len(self.schema)
        arrays = [_to_array(c, f.type) for c, f in zip(columns, self.schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def run(self, tables: Mapping[str, Rows]) -> Rows:
        """Compute the expression; `tables` are by the names of its unbound tables, their columns in order.

        Raises
        ------
        Declined
            A value is such that only the engine can tell.
        """
        done: list[Any] = [tables]
        result = done.__getitem__
        try:
            for function, inputs in self._steps:
                done.append(function(*map(result, inputs)))
        except (ArithmeticError, ValueError, TypeError) as error:
            raise Declined(error) from error
        found: Rows = done[self._result]
        return found if self._pick is None else list(map(self._pick, found))

    def needed(self, node: Any) -> list[str]:
        """Return the columns of a table that something is made of."""
        return [name for name in node.schema if name in self._needed[node]]

    def _step(self, function: Callable[..., Any], *inputs: int) -> int:
        self._steps.append((function, inputs))
        return len(self._steps)

    def _table(self, node: Any) -> _Relation:
        """Return where a table's rows are and what they hold."""
        if node not in self._relations:
            make = _TABLES.get(type(node))
            if make is None:
                raise Declined(type(node).__name__)
            self._relations[node] = make(self, node)
        return self._relations[node]

    def _value(self, node: Any, relation: _Relation) -> Of:
        """Return what a value is of a row of a relation."""
        made = self._make(node, relation)
        return _remembering(made.of, made.text) if made.text is not None and made.size > 2 else made.of

    def _make(self, node: Any, relation: _Relation) -> _Made:
        if node in relation.known:
            return _Made(itemgetter(relation.known[node]))
        if isinstance(node, ops.Field):
            if self._relations.get(node.rel) is not relation:
                raise Declined("a column of another table")
            place = relation.columns[node.name]
            return _Made(itemgetter(place), place if node.dtype.is_string() else None)
        if isinstance(node, (ops.WindowFunction, ops.InSubquery)):
            add = self._add_number if isinstance(node, ops.WindowFunction) else self._add_among
            add(node, relation)
            return self._make(node, relation)
        if isinstance(node, ops.Reduction):
            raise Declined("an aggregate among columns")
        make, arguments = operation(node)
        parts = [self._make(argument, relation) for argument in arguments]
        if all(isinstance(part.of, Constant) for part in parts):
            return _Made(Constant(make(*(part.of for part in parts))(())))
        texts = {part.text for part in parts if not isinstance(part.of, Constant)}
        if len(texts) == 1:
            return _Made(
                make(*(part.of for part in parts)), texts.pop(), sum(part.size for part in parts) + 1
            )
        return _Made(make(*(self._value(argument, relation) for argument in arguments)))

    def _extend(self, relation: _Relation, nodes: Sequence[Any]) -> list[int]:
        """Return the places of values in a relation's rows, which those not yet there are added to."""
        fresh = [
            node
            for node in dict.fromkeys(nodes)
            if node not in relation.known and not isinstance(node, ops.Field)
        ]
        if fresh:
            values = [self._value(node, relation) for node in fresh]
            compute = self._columns(fresh, relation)
            relation.known |= {node: relation.width + i for i, node in enumerate(fresh)}
            relation.width += len(fresh)

            def extend(rows: Rows) -> Rows:
                if len(rows) < COLUMNS_FROM:
                    return [(*row, *[of(row) for of in values]) for row in rows]
                return list(map(add, rows, zip(*compute(rows), strict=True)))

            relation.slot = self._step(extend, relation.slot)
        return [relation.place(node) for node in nodes]

    def _columns(self, nodes: Sequence[Any], relation: _Relation) -> Callable[[Rows], list[Column]]:
        """Return what computes values of all rows of a relation, which takes longer for very few rows."""
        columns = _Columns(self, relation)
        places = [columns.add(node) for node in nodes]

        def compute(rows: Rows) -> list[Column]:
            done = columns.compute(rows)
            return [done[place] for place in places]

        return compute

    def _add_number(self, node: Any, relation: _Relation) -> None:
        if not isinstance(node.func, ops.RowNumber) or not all(key.ascending for key in node.order_by):
            raise Declined("a window other than a row number")
        keys, order = self._key(node.group_by, relation), self._order(node.order_by, relation)

        def number(rows: Rows) -> Rows:
            numbers = [0] * len(rows)
            for group in _group(range(len(rows)), [keys(row) for row in rows]):
                if len(group) > 1:
                    for place, i in enumerate(sorted(group, key=lambda i: order(rows[i]))):
                        numbers[i] = place
            return [(*row, n) for row, n in zip(rows, numbers, strict=True)]

        self._append(node, relation, self._step(number, relation.slot))

    def _add_among(self, node: Any, relation: _Relation) -> None:
        needle, other = self._value(node.needle, relation), self._table(node.rel)
        (place,) = (other.columns[name] for name in node.rel.schema)

        def look_up(rows: Rows, others: Rows) -> Rows:
            known = {row[place] for row in others}
            otherwise = None if None in known else False
            needles = [needle(row) for row in rows]
            found = [None if v is None else True if v in known else otherwise for v in needles]
            return [(*row, value) for row, value in zip(rows, found, strict=True)]

        self._append(node, relation, self._step(look_up, relation.slot, other.slot))

    def _append(self, node: Any, relation: _Relation, slot: int) -> None:
        relation.slot = slot
        relation.known[node] = relation.width
        relation.width += 1

    def _key(self, nodes: Sequence[Any], relation: _Relation) -> Of:
        """Return what is equal for rows of one group; NaN equals NaN, and null equals null."""
        if not any(node.dtype.is_floating() for node in nodes):
            return itemgetter(*self._extend(relation, nodes))
        parts = [_ranked(self._value(node, relation), node) for node in nodes]
        return parts[0] if len(parts) == 1 else lambda row: tuple([part(row) for part in parts])

    def _order(self, keys: Sequence[Any], relation: _Relation) -> Of:
        parts = [self._value(key.arg, relation) for key in keys]
        return lambda row: tuple([rank(part(row)) for part in parts])


@dataclass
class _Relation:
    """Where the rows of a table are among the results of steps, and what they hold at which place."""

    slot: int
    columns: dict[str, int]
    width: int
    known: dict[Any, int] = field(default_factory=dict)

    def place(self, node: Any) -> int:
        """Return where a column, or a value that was added, is in a row."""
        return self.columns[node.name] if isinstance(node, ops.Field) else self.known[node]


class _Columns:
    """Values of all rows of a relation, column by column, and each once however much is made of it."""

    def __init__(self, program: RowProgram, relation: _Relation) -> None:
        self._program, self._relation = program, relation
        self._places: dict[Any, int] = {}
        # A step's function takes the results of earlier steps; the rows are result 0.
        self._steps: list[tuple[Callable[..., Column], list[int]]] = []

    def add(self, node: Any) -> int:
        """Return the place of a value among what `compute` returns."""
        if node not in self._places:
            step = self._from_columns(node) or (self._from_rows(node), [0])
            self._steps.append(step)
            self._places[node] = len(self._steps)
        return self._places[node]

    def compute(self, rows: Rows) -> list[Any]:
        """Return the rows and the columns."""
        done: list[Any] = [rows]
        result = done.__getitem__
        for function, inputs in self._steps:
            done.append(function(*map(result, inputs)))
        return done

    def _from_rows(self, node: Any) -> Callable[[Rows], Column]:
        of = self._program._value(node, self._relation)
        if isinstance(of, Constant):
            return lambda rows: [of.value] * len(rows)
        return lambda rows: list(map(of, rows))

    def _from_columns(self, node: Any) -> tuple[Callable[..., Column], list[int]] | None:
        """Return how a value is made of other columns; None where it is to be made of each row.

        Of a text it is: what was made of the same text before is remembered.
        """
        if node in self._relation.known or isinstance(node, ops.Field):
            return None
        made = self._program._make(node, self._relation)
        if (made.text is not None and made.size > 2) or isinstance(made.of, Constant):
            return None
        make, arguments = operation(node)
        parts = [self._program._make(argument, self._relation).of for argument in arguments]
        constants = [part if isinstance(part, Constant) else None for part in parts]
        function = over_columns(make, constants)
        if function is None:
            return None
        read = [argument for argument, part in zip(arguments, constants, strict=True) if part is None]
        return function, [self.add(argument) for argument in read]


@dataclass(frozen=True)
class _Made:
    """What a value is of a row; the place of the one text it is made of, if it is, in how many operations."""

    of: Of
    text: int | None = None
    size: int = 0


def compile_rows(expression: ir.Table) -> RowProgram | None:
    """Return the steps that compute an expression, or None where they are not all known here."""
    try:
        return RowProgram(expression)
    except Declined:
        return None


def rows_of(table: pa.Table) -> Rows:
    """Return the rows of an Arrow table, moments as microseconds since 1970.

    Raises
    ------
    Declined
        A column's type is not known here.
    """
    columns = [_to_values(column) for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else [()] * table.num_rows


def _given(program: RowProgram, node: Any) -> _Relation:
    name, columns = node.name, {column: place for place, column in enumerate(node.schema)}
    return _Relation(program._step(lambda tables: tables[name], 0), columns, len(columns))


def _project(program: RowProgram, node: Any) -> _Relation:
    """Add what is computed to the rows; what is left out of a projection stays in them, without a name."""
    parent = program._table(node.parent)
    names = program.needed(node)
    places = program._extend(parent, [node.values[name] for name in names])
    return _Relation(parent.slot, dict(zip(names, places, strict=True)), parent.width)


def _drop(program: RowProgram, node: Any) -> _Relation:
    parent = program._table(node.parent)
    return replace(parent, columns={name: parent.columns[name] for name in program.needed(node)}, known={})


def _filter(program: RowProgram, node: Any) -> _Relation:
    parent = program._table(node.parent)
    keep = both(*(program._value(predicate, parent) for predicate in node.predicates))
    met = program._columns(node.predicates, parent)

    def choose(rows: Rows) -> Rows:
        if len(rows) < COLUMNS_FROM:
            return [row for row in rows if keep(row) is True]
        return _where(rows, met(rows))

    slot = program._step(choose, parent.slot)
    return replace(parent, slot=slot, known={})


def _sort(program: RowProgram, node: Any) -> _Relation:
    if not all(key.ascending for key in node.keys):
        raise Declined("a descending order")
    parent = program._table(node.parent)
    order = program._order(node.keys, parent)
    return replace(parent, slot=program._step(lambda rows: sorted(rows, key=order), parent.slot), known={})


def _limit(program: RowProgram, node: Any) -> _Relation:
    n, parent = node.n, program._table(node.parent)
    if not isinstance(n, int) or node.offset != 0:
        raise Declined("a limit that is not constant")
    return replace(parent, slot=program._step(lambda rows: rows[:n], parent.slot), known={})


def _union(program: RowProgram, node: Any) -> _Relation:
    if node.distinct:
        raise Declined("a union of different rows")
    sides = [program._table(side) for side in (node.left, node.right)]
    names = program.needed(node)
    one, other = (_picker([side.columns[name] for name in names], side.width) for side in sides)

    def append(ours: Rows, theirs: Rows) -> Rows:
        return [*(map(one, ours) if one else ours), *(map(other, theirs) if other else theirs)]

    slot = program._step(append, *(side.slot for side in sides))
    return _Relation(slot, {name: place for place, name in enumerate(names)}, len(names))


def _aggregated(program: RowProgram, node: Any) -> _Relation:
    """Reduce groups to their keys and aggregates, and then compute what is made of those."""
    parent = program._table(node.parent)
    metrics = {name: node.metrics[name] for name in program.needed(node) if name in node.metrics}
    reductions = list(
        dict.fromkeys(r for m in metrics.values() for r in m.find(ops.Reduction, filter=ops.Value))
    )
    chains = [() if r.where is None else conditions_of(r.where) for r in reductions]
    tested = [test for chain in chains for test in chain if not is_named(test)]
    keys = program._extend(parent, [*node.groups.values(), *tested])[: len(node.groups)]
    key = program._key(list(node.groups.values()), parent) if keys else None
    selection, nothing = Selection(), []
    for place, (reduction, chain) in enumerate(zip(reductions, chains, strict=True)):
        chosen = selection.refined(chain, parent.place)
        chosen.reducers.append((place, _reducer(program, reduction, parent)))
        nothing.append(0 if isinstance(reduction, ops.CountStar) else None)

    def aggregate(rows: Rows) -> Rows:
        found = []
        for group in [rows] if key is None else _group(rows, map(key, rows)):
            reduced = nothing.copy()
            if group:
                selection.reduce(group, reduced)
            found.append((*[group[0][k] for k in keys], *reduced))
        return found

    columns = {name: place for place, name in enumerate(node.groups)}
    known = {reduction: len(keys) + i for i, reduction in enumerate(reductions)}
    made = _Relation(program._step(aggregate, parent.slot), columns, len(keys) + len(known), known)
    places = program._extend(made, list(metrics.values()))
    return replace(made, columns=columns | dict(zip(metrics, places, strict=True)), known={})


def _reducer(program: RowProgram, node: Any, relation: _Relation) -> Callable[[Rows], Any]:
    """Return how some rows of a group, one at least, are reduced."""
    if isinstance(node, ops.CountStar):
        return len
    if type(node) not in AGGREGATES:
        raise Declined(type(node).__name__)
    if isinstance(node, ops.Sum) and not (node.arg.dtype.is_integer() or node.arg.dtype.is_boolean()):
        raise Declined("a sum of floats, which depends on the order")
    reduce_rows, arguments = AGGREGATES[type(node)], [node.arg]
    if isinstance(node, ops.First):
        if node.include_null or not node.order_by or not all(key.ascending for key in node.order_by):
            raise Declined("the first without an ascending order")
        arguments += [key.arg for key in node.order_by]
    of, *others = (program._value(argument, relation) for argument in arguments)
    if isinstance(node, ops.Sum) and node.arg.dtype.is_boolean():
        return lambda rows: reduce_rows(rows, of)
    return lambda rows: of(rows[0]) if len(rows) == 1 else reduce_rows(rows, of, *others)


def _join(program: RowProgram, node: Any) -> _Relation:
    """Join tables one after another, each on values that are equal; a row holds those of all tables."""
    first = program._table(node.first.parent)
    starts, slot, width = {node.first: 0}, first.slot, first.width
    for link in node.rest:
        if link.how not in ("inner", "left"):
            raise Declined(link.how)
        table = program._table(link.table.parent)
        sides = [_sides(program, starts, link.table, predicate) for predicate in link.predicates]
        old, new = (_picker(places, 0) for places in zip(*sides, strict=True))
        slot = program._step(_joiner(old, new, link.how == "left", table.width), slot, table.slot)
        starts[link.table], width = width, width + table.width
    columns = {name: _place(program, starts, node.values[name]) for name in program.needed(node)}
    return _Relation(slot, columns, width)


def _joiner(old: Any, new: Any, left: bool, width: int) -> Callable[[Rows, Rows], Rows]:
    alone: Rows = [(None,) * width] if left else []

    def join(rows: Rows, others: Rows) -> Rows:
        found: dict[Row, Rows] = {}
        for other in others:
            key = new(other)
            if None not in key:
                found.setdefault(key, []).append(other)
        return [row + other for row in rows for other in found.get(old(row), alone)]

    return join


def _sides(program: RowProgram, starts: Mapping[Any, int], newest: Any, predicate: Any) -> tuple[int, int]:
    """Return the places of an equality's values: among the tables joined so far, and in the newest one."""
    if not isinstance(predicate, ops.Equals):
        raise Declined("a join on something else than equality")
    sides = [predicate.left, predicate.right]
    old = [side for side in sides if isinstance(side, ops.Field) and side.rel in starts]
    new = [side for side in sides if isinstance(side, ops.Field) and side.rel == newest]
    if len(old) != 1 or len(new) != 1:
        raise Declined("a join on something else than a column of each table")
    return _place(program, starts, old[0]), program._table(newest.parent).columns[new[0].name]


def _place(program: RowProgram, starts: Mapping[Any, int], value: Any) -> int:
    """Return the place of a column of a joined table in the joined rows."""
    if not isinstance(value, ops.Field) or value.rel not in starts:
        raise Declined("a computed value in a join")
    return starts[value.rel] + program._table(value.rel.parent).columns[value.name]


def _remembering(of: Of, place: int) -> Of:
    """Return a function of a row's text at a place that keeps what it found."""
    known: dict[str | None, Any] = {}

    def remember(row: Row) -> Any:
        text = row[place]
        if text in known:
            return known[text]
        if len(known) >= REMEMBERED:
            known.clear()
        return known.setdefault(text, of(row))

    return remember


def _ranked(of: Of, node: Any) -> Of:
    return (lambda row: rank(of(row))) if node.dtype.is_floating() else of


def _where(rows: Rows, conditions: Sequence[Column]) -> Rows:
    """Return the rows that meet all conditions."""
    met = conditions[0] if len(conditions) == 1 else map(all, zip(*conditions, strict=True))
    return list(compress(rows, met))


def _group(items: Iterable[Any], keys: Iterable[Any]) -> list[list[Any]]:
    found: dict[Any, list[Any]] = {}
    for item, key in zip(items, keys, strict=True):
        found.setdefault(key, []).append(item)
    return list(found.values())


def _picker(places: Sequence[int], width: int) -> Callable[[Row], Row] | None:
    """Return what takes these places out of a row, None where they are all `width` of it in their order."""
    if list(places) == list(range(width)):
        return None
    if len(places) == 1:
        (place,) = places
        return lambda row: (row[place],)
    return itemgetter(*places)


def _to_values(column: pa.ChunkedArray) -> list[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind):
        if kind.unit != "us":
            raise Declined(kind)
        return column.cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]
    known = (pa.types.is_string, pa.types.is_large_string, pa.types.is_signed_integer, pa.types.is_null)
    if not any(check(kind) for check in (*known, pa.types.is_float64, pa.types.is_boolean)):
        raise Declined(kind)
    return column.to_pylist()  # type: ignore[no-any-return]


def _to_array(column: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(column, type=pa.int64()).cast(kind)
    return pa.array(column, type=kind)


_TABLES: dict[type, Callable[[RowProgram, Any], _Relation]] = {
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
