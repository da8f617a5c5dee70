"""The operations of expressions that a few rows are computed with, each as a function of single values."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import Any

import ibis.expr.operations as ops

from propensity.data import scalars
from propensity.data.scalars import Declined, strictly


@dataclass(frozen=True)
class Constant:
    """A value that is the same in every row."""

    value: Any


def each(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function for columns, each a list or a `Constant`."""

    def apply(*columns: Any) -> Any:
        if not any(isinstance(column, list) for column in columns):
            return Constant(function(*(column.value for column in columns)))
        return list(map(function, *(c if isinstance(c, list) else repeat(c.value) for c in columns)))

    return apply


def operation(node: Any) -> tuple[Callable[..., Any], Sequence[Any]]:
    """Return the function of single values that an operation is, and the values it takes.

    Raises
    ------
    Declined
        The operation is not known here.
    """
    kind = type(node)
    if isinstance(node, ops.Literal):
        value = _constant(node)
        return (lambda: value), ()
    if isinstance(node, ops.ScalarUDF):
        return _engine_function(node)
    if kind in _PLAIN:
        return _PLAIN[kind], node.args
    if kind in _COMPARED:
        return _comparison(node), node.args
    if kind in _MANY:
        return _MANY[kind], node.arg
    if kind in _MADE:
        return _MADE[kind](node)
    raise Declined(kind.__name__)


def _constant(node: Any) -> Any:
    value, dtype = node.value, node.dtype
    if value is None:
        return None
    if isinstance(value, datetime) and dtype.is_timestamp() and value.tzinfo is not None:
        return scalars.microseconds(value)
    if dtype.is_string() or dtype.is_boolean() or dtype.is_integer():
        return value
    if dtype.is_floating():
        return float(value)
    raise Declined(f"a constant of type {dtype}")


def _engine_function(node: Any) -> tuple[Callable[..., Any], Sequence[Any]]:
    """Of the functions that the engine has under names of its own."""
    if node.__func_name__ == "epoch_us":
        return (lambda moment: moment), node.args
    if node.__func_name__ == "timezone":
        to_moment = node.dtype.timezone is not None
        return strictly(scalars.moment_of_clock if to_moment else scalars.local_clock), node.args
    raise Declined(node.__func_name__)


def _comparison(node: Any) -> Callable[..., Any]:
    compare = _COMPARED[type(node)]
    if not (node.left.dtype.is_floating() or node.right.dtype.is_floating()):
        return strictly(compare)
    return strictly(lambda one, other: compare(scalars.rank(one), scalars.rank(other)))


def _cast(node: Any) -> tuple[Callable[..., Any], Sequence[Any]]:
    have, want = node.arg.dtype, node.to
    number = have.is_integer() or have.is_boolean()
    if have == want or (have.is_timestamp() and want.is_timestamp() and have.timezone == want.timezone):
        return (lambda value: value), (node.arg,)
    if want.is_float64() and (number or have.is_floating()):
        return strictly(scalars.to_float), (node.arg,)
    if want.is_int64() and number:
        return strictly(scalars.to_whole), (node.arg,)
    if want.is_string() and (number or have.is_float64()):
        return strictly(scalars.to_text), (node.arg,)
    if have.is_null():
        return (lambda _: None), (node.arg,)
    raise Declined(f"from {have} to {want}")


def _try_cast(node: Any) -> tuple[Callable[..., Any], Sequence[Any]]:
    have, want = node.arg.dtype, node.to
    if have.is_float64() and want.is_int64():
        return strictly(scalars.try_whole), (node.arg,)
    if have.is_string() and want.is_float64():
        return strictly(scalars.try_float), (node.arg,)
    if have.is_string() and want.is_timestamp():
        return strictly(scalars.try_clock if want.timezone is None else scalars.try_moment), (node.arg,)
    raise Declined(f"from {have} to {want}")


def _listed(node: Any) -> tuple[Callable[..., Any], Sequence[Any]]:
    options = {_constant(option) for option in node.options if isinstance(option, ops.Literal)}
    if len(options) != len(node.options) or None in options or not node.value.dtype.is_string():
        raise Declined("a list of values that are not constant text")
    return strictly(options.__contains__), (node.value,)


def _cases(node: Any) -> tuple[Callable[..., Any], Sequence[Any]]:
    n = len(node.cases)

    def choose(*values: Any) -> Any:
        for condition, result in zip(values[:n], values[n:], strict=False):
            if scalars.choose(condition, True, False):
                return result
        return values[-1]

    return choose, (*node.cases, *node.results, node.default)


def _search(node: Any) -> tuple[Callable[..., Any], Sequence[Any]]:
    if not isinstance(node.pattern, ops.Literal):
        raise Declined("a pattern that is not constant")
    return strictly(scalars.find_pattern(node.pattern.value)), (node.arg,)


def _replace(node: Any) -> tuple[Callable[..., Any], Sequence[Any]]:
    pattern, replacement = node.pattern, node.replacement
    if not isinstance(pattern, ops.Literal) or not isinstance(replacement, ops.Literal):
        raise Declined("a pattern that is not constant")
    return strictly(scalars.replace_pattern(pattern.value, replacement.value)), (node.arg,)


def _exchange(node: Any) -> tuple[Callable[..., Any], Sequence[Any]]:
    if not isinstance(node.from_str, ops.Literal) or not isinstance(node.to_str, ops.Literal):
        raise Declined("letters that are not constant")
    return strictly(scalars.exchange(node.from_str.value, node.to_str.value)), (node.arg,)


def _difference(node: Any) -> tuple[Callable[..., Any], Sequence[Any]]:
    if node.part.value != "microsecond":
        raise Declined(node.part.value)
    return strictly(operator.sub), (node.left, node.right)


def _round(node: Any) -> tuple[Callable[..., Any], Sequence[Any]]:
    if node.digits is not None and getattr(node.digits, "value", None) != 0:
        raise Declined("rounding to digits")
    return strictly(scalars.round_off), (node.arg,)


def _arithmetic(function: Callable[[Any, Any], Any]) -> Callable[[Any], tuple[Any, Sequence[Any]]]:
    def make(node: Any) -> tuple[Callable[..., Any], Sequence[Any]]:
        if not node.dtype.is_integer():
            return strictly(function), node.args
        return strictly(lambda one, other: scalars.in_range(function(one, other))), node.args

    return make


def _smallest(rows: list[int], column: list[Any]) -> Any:
    return scalars.smallest(*(column[i] for i in rows))


def _total(rows: list[int], column: list[Any]) -> Any:
    given = [column[i] for i in rows if column[i] is not None]
    if not all(isinstance(value, int) for value in given):
        raise Declined("a sum of floats, which depends on the order")
    return sum(given) if given else None


def _earliest(rows: list[int], column: list[Any], *keys: list[Any]) -> Any:
    """Return the first value that is given, in the order of the keys."""
    given = [i for i in rows if column[i] is not None]
    if any(key[i] is None for key in keys for i in given):
        raise Declined("an order by nulls")
    return column[min(given, key=lambda i: tuple(key[i] for key in keys))] if given else None


_PLAIN: dict[type, Callable[..., Any]] = {
    ops.And: scalars.both,
    ops.Or: scalars.either,
    ops.Not: strictly(operator.not_),
    ops.IsNull: scalars.is_null,
    ops.NotNull: lambda value: not scalars.is_null(value),
    ops.IfElse: scalars.choose,
    ops.NullIf: scalars.null_if,
    ops.IsNan: strictly(lambda number: number != number),
    ops.IsInf: strictly(lambda number: number in (float("inf"), float("-inf"))),
    ops.Divide: strictly(scalars.divide),
    ops.FloorDivide: strictly(scalars.divide_down),
    ops.Abs: strictly(abs),
    ops.Strip: strictly(lambda text: text.strip(scalars.SPACES)),
    ops.Lowercase: strictly(scalars.lower),
    ops.StringReplace: strictly(str.replace),
    ops.ExtractHour: strictly(scalars.hour),
    ops.ExtractMonth: strictly(scalars.month),
    ops.DayOfWeekIndex: strictly(scalars.weekday),
}
_COMPARED: dict[type, Callable[..., Any]] = {
    ops.Equals: operator.eq,
    ops.NotEquals: operator.ne,
    ops.Less: operator.lt,
    ops.LessEqual: operator.le,
    ops.Greater: operator.gt,
    ops.GreaterEqual: operator.ge,
}
_MANY: dict[type, Callable[..., Any]] = {
    ops.Coalesce: scalars.first_given,
    ops.Greatest: scalars.largest,
    ops.Least: scalars.smallest,
}
_MADE: dict[type, Callable[[Any], tuple[Callable[..., Any], Sequence[Any]]]] = {
    ops.Cast: _cast,
    ops.TryCast: _try_cast,
    ops.InValues: _listed,
    ops.SearchedCase: _cases,
    ops.RegexSearch: _search,
    ops.RegexReplace: _replace,
    ops.Translate: _exchange,
    ops.TimestampDelta: _difference,
    ops.Round: _round,
    ops.Add: _arithmetic(operator.add),
    ops.Subtract: _arithmetic(operator.sub),
    ops.Multiply: _arithmetic(operator.mul),
}
AGGREGATES: dict[type, Callable[..., Any]] = {
    ops.CountStar: lambda rows: len(rows),
    ops.Min: _smallest,
    ops.Sum: _total,
    ops.First: _earliest,
}
