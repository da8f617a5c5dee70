"""What groups of rows are reduced to: their aggregates, of those rows that meet conditions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import ibis.expr.operations as ops

from propensity.data import scalars
from propensity.data.operations import Of, Row
from propensity.data.scalars import Declined

Rows = list[Row]


class Selection:
    """Rows of a group that conditions leave, what is reduced of them, and what further conditions leave.

    Most aggregates of a feature table are of rows that are not there: nothing is asked of them one by one.
    """

    def __init__(self) -> None:
        self.reducers: list[tuple[int, Callable[[Rows], Any]]] = []
        self._named: dict[int, dict[str, Selection]] = {}
        self._tested: dict[int, Selection] = {}

    def refined(self, chain: Sequence[Any], place: Callable[[Any], int]) -> Selection:
        """Return what conditions leave, one after another; they are columns, or compare one with a text.

        Parameters
        ----------
        chain : sequence of ibis operations
            As from `conditions_of`.
        place : callable
            From a column, or a condition that is one, to its place in a row.
        """
        if not chain:
            return self
        test = chain[0]
        if is_named(test):
            texts = self._named.setdefault(place(test.left), {})
            found = texts.setdefault(test.right.value, Selection())
        else:
            found = self._tested.setdefault(place(test), Selection())
        return found.refined(chain[1:], place)

    def reduce(self, rows: Rows, reduced: list[Any]) -> None:
        """Write what is reduced of some rows, one at least."""
        for i, reduce_rows in self.reducers:
            reduced[i] = reduce_rows(rows)
        for column, texts in self._named.items():
            for text, same in _group_by(rows, column).items():
                if text in texts:
                    texts[text].reduce(same, reduced)
        for column, selection in self._tested.items():
            left = [row for row in rows if row[column] is True]
            if left:
                selection.reduce(left, reduced)


def conditions_of(node: Any) -> tuple[Any, ...]:
    """Return the conditions that are all met where a value is true."""
    return (*conditions_of(node.left), *conditions_of(node.right)) if isinstance(node, ops.And) else (node,)


def is_named(node: Any) -> bool:
    """Return whether a condition is that a column of text is a certain text."""
    return (
        isinstance(node, ops.Equals)
        and isinstance(node.left, ops.Field)
        and isinstance(node.right, ops.Literal)
        and node.left.dtype.is_string()
        and isinstance(node.right.value, str)
    )


def _group_by(rows: Rows, column: int) -> dict[Any, Rows]:
    found: dict[Any, Rows] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found


def _smallest(rows: Rows, of: Of) -> Any:
    given = [value for value in map(of, rows) if value is not None]
    if given and isinstance(given[0], float):
        return min(given, key=scalars.rank)
    return min(given, default=None)


def _any_bit(rows: Rows, of: Of) -> Any:
    given = [value for value in map(of, rows) if value is not None]
    return reduce(operator.or_, given) if given else None


def _total(rows: Rows, of: Of) -> Any:
    given = [value for value in map(of, rows) if value is not None]
    return sum(given) if given else None


def _earliest(rows: Rows, of: Of, *keys: Of) -> Any:
    """Return the first value that is given, in the order of the keys."""
    given = [(tuple(key(row) for key in keys), value) for row in rows if (value := of(row)) is not None]
    if any(None in key for key, _ in given):
        raise Declined("an order by nulls")
    return min(given, key=operator.itemgetter(0))[1] if given else None


# From some rows of a group, one at least, and what the arguments are of each, to one value.
AGGREGATES: dict[type, Callable[..., Any]] = {
    ops.Min: _smallest,
    ops.Sum: _total,
    ops.BitOr: _any_bit,
    ops.First: _earliest,
}
