"""The operations of expressions that a few rows are computed with, each as a function of a row."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import reduce
from typing import Any

import ibis.expr.operations as ops

from propensity.data import scalars
from propensity.data.scalars import Declined

Row = tuple[Any, ...]
Of = Callable[[Row], Any]
# What a value is of every row of a table.
Column = list[Any]
# From what the arguments are of a row to what the operation is of it.
Make = Callable[..., Of]


class Constant:
    """A value that is the same for every row."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, _: Row) -> Any:
        return self.value


def operation(node: Any) -> tuple[Make, Sequence[Any]]:
    """Return how an operation is made of what its arguments are of a row, and the arguments.

    Raises
    ------
    Declined
        The operation is not known here.
    """
    kind = type(node)
    if isinstance(node, ops.Literal):
        value = _constant(node)
        return (lambda: Constant(value)), ()
    if isinstance(node, ops.ScalarUDF):
        return _engine_function(node)
    if kind in _JOINED:
        return _JOINED[kind](_parts(node, kind))
    if kind in _PLAIN:
        return _PLAIN[kind], node.args
    if kind in _COMPARED:
        return _comparison(node), node.args
    if kind in _MANY:
        return _MANY[kind], node.arg
    if kind in _MADE:
        return _MADE[kind](node)
    raise Declined(kind.__name__)


class Strict:
    """How a function of values is made one of rows that is null where any argument is null.

    Parameters
    ----------
    function : callable
        Of as many values as the operation has arguments.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Of) -> Of:
        """Return what the operation is of a row."""
        function = self.function
        if len(arguments) == 1:
            return _strict_of_one(function, *arguments)
        if len(arguments) == 2 and isinstance(arguments[1], Constant) and arguments[1].value is not None:
            return _strict_with(function, arguments[0], arguments[1].value)
        if len(arguments) == 2:
            return _strict_of_two(function, *arguments)

        def of(row: Row) -> Any:
            values = [argument(row) for argument in arguments]
            for value in values:
                if value is None:
                    return None
            return function(*values)

        return of

    def over(self, constants: Sequence[Constant | None]) -> Callable[..., Column] | None:
        """Return what the operation is of columns, those of the arguments that are not constant.

        None where its arguments are of another form than most.
        """
        function = self.function
        if len(constants) == 1:
            return lambda xs: [None if x is None else function(x) for x in xs]
        if len(constants) != 2 or any(c is not None and c.value is None for c in constants):
            return None
        first, second = constants
        if first is not None:
            one = first.value
            return lambda ys: [None if y is None else function(one, y) for y in ys]
        if second is not None:
            other = second.value
            return lambda xs: [None if x is None else function(x, other) for x in xs]
        return lambda xs, ys: [
            None if x is None or y is None else function(x, y) for x, y in zip(xs, ys, strict=True)
        ]


strict = Strict


def _strict_of_one(function: Callable[[Any], Any], argument: Of) -> Of:
    def of(row: Row) -> Any:
        value = argument(row)
        return None if value is None else function(value)

    return of


def _strict_of_two(function: Callable[[Any, Any], Any], first: Of, second: Of) -> Of:
    def of(row: Row) -> Any:
        one = first(row)
        if one is None:
            return None
        other = second(row)
        return None if other is None else function(one, other)

    return of


def _strict_with(function: Callable[[Any, Any], Any], argument: Of, other: Any) -> Of:
    def of(row: Row) -> Any:
        value = argument(row)
        return None if value is None else function(value, other)

    return of


def _joined_by(decisive: bool) -> Make:
    """Three-valued logic: what comes after a decisive condition is not looked at; null is in between."""

    def make(*parts: Of) -> Of:
        known = [part for part in parts if not (isinstance(part, Constant) and part.value is (not decisive))]
        if any(isinstance(part, Constant) and part.value is decisive for part in known):
            return Constant(decisive)

        def of(row: Row) -> Any:
            found: bool | None = not decisive
            for part in known:
                value = part(row)
                if value is decisive:
                    return decisive
                if value is None:
                    found = None
            return found

        return known[0] if len(known) == 1 else of

    return make


both, _either = _joined_by(False), _joined_by(True)


def _any_true(*parts: Of) -> Of:
    """Two-valued or: whether any part is true, be the others false or null."""
    known = [part for part in parts if not isinstance(part, Constant) or part.value is True]

    def of(row: Row) -> bool:
        for part in known:  # noqa: SIM110 - a generator costs as much as the parts
            if part(row) is True:
                return True
        return False

    return of


def _parts(node: Any, kind: Any) -> list[Any]:
    """Return the conditions that are joined by one kind of operation."""
    return [*_parts(node.left, kind), *_parts(node.right, kind)] if type(node) is kind else [node]


def _disjunction(parts: Sequence[Any]) -> tuple[Make, Sequence[Any]]:
    """Return how conditions are joined by or; null need not be told where it counts as false in all."""
    if all(type(p) is ops.Coalesce and len(p.arg) == 2 and _is_false(p.arg[1]) for p in parts):
        return _any_true, [part.arg[0] for part in parts]
    return _either, parts


def _is_false(node: Any) -> bool:
    return isinstance(node, ops.Literal) and node.value is False


def _choose(condition: Of, yes: Of, no: Of) -> Of:
    """``if condition then yes else no``; null counts as no."""
    return lambda row: yes(row) if condition(row) is True else no(row)


def _first_given(*parts: Of) -> Of:
    if len(parts) == 2 and isinstance(parts[1], Constant):
        return _given_or(parts[0], parts[1].value)

    def of(row: Row) -> Any:
        for part in parts:
            value = part(row)
            if value is not None:
                return value
        return None

    return of


def _given_or(part: Of, otherwise: Any) -> Of:
    def of(row: Row) -> Any:
        value = part(row)
        return otherwise if value is None else value

    return of


def _or_else(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _extreme(choose: Callable[[Any, Any], Any]) -> Make:
    """Return how one of the values that are not null is made, which is chosen between two at a time."""

    def make(*parts: Of) -> Of:
        def of(row: Row) -> Any:
            best = None
            for part in parts:
                best = choose(best, part(row))
            return best

        return of

    return make


def _larger(one: Any, other: Any) -> Any:
    """Return the larger of two values, be one of them null; NaN, which differs from itself, is above all."""
    if one is None or other is None:
        return other if one is None else one
    return other if other > one or other != other else one


def _smaller(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return other if one is None else one
    return other if other < one or one != one else one


def _is_null(argument: Of) -> Of:
    return lambda row: argument(row) is None


def _not_null(argument: Of) -> Of:
    return lambda row: argument(row) is not None


def _null_if(value: Of, other: Of) -> Of:
    def of(row: Row) -> Any:
        found = value(row)
        return None if found is not None and found == other(row) else found

    return of


def _same(argument: Of) -> Of:
    return argument


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


def _engine_function(node: Any) -> tuple[Make, Sequence[Any]]:
    """Of the functions that the engine has under names of its own."""
    if node.__func_name__ == "epoch_us":
        return _same, node.args
    if node.__func_name__ == "timezone":
        to_moment = node.dtype.timezone is not None
        return strict(scalars.moment_of_clock if to_moment else scalars.local_clock), node.args
    if node.__func_name__ == "bit_count":
        return strict(int.bit_count), node.args
    raise Declined(node.__func_name__)


def _comparison(node: Any) -> Make:
    compare = _COMPARED[type(node)]
    if not (node.left.dtype.is_floating() or node.right.dtype.is_floating()):
        return strict(compare)
    if isinstance(node.right, ops.Literal) and node.right.value == node.right.value:
        # NaN is above the constant, and Python has it neither above nor below.
        above = compare in (operator.gt, operator.ge)
        return strict((lambda one, other: compare(one, other) or one != one) if above else compare)
    return strict(lambda one, other: compare(scalars.rank(one), scalars.rank(other)))


def _cast(node: Any) -> tuple[Make, Sequence[Any]]:
    have, want = node.arg.dtype, node.to
    number = have.is_integer() or have.is_boolean()
    if have == want or (have.is_timestamp() and want.is_timestamp() and have.timezone == want.timezone):
        return _same, (node.arg,)
    if want.is_float64() and (number or have.is_floating()):
        return strict(scalars.to_float), (node.arg,)
    if want.is_int64() and number:
        return strict(scalars.to_whole), (node.arg,)
    if want.is_string() and (number or have.is_float64()):
        return strict(scalars.to_text), (node.arg,)
    if have.is_null():
        return (lambda: Constant(None)), ()
    raise Declined(f"from {have} to {want}")


def _try_cast(node: Any) -> tuple[Make, Sequence[Any]]:
    have, want = node.arg.dtype, node.to
    if have.is_float64() and want.is_int64():
        return strict(scalars.try_whole), (node.arg,)
    if have.is_string() and want.is_float64():
        return strict(scalars.try_float), (node.arg,)
    if have.is_string() and want.is_timestamp():
        return strict(scalars.try_clock if want.timezone is None else scalars.try_moment), (node.arg,)
    raise Declined(f"from {have} to {want}")


def _listed(node: Any) -> tuple[Make, Sequence[Any]]:
    options = {_constant(option) for option in node.options if isinstance(option, ops.Literal)}
    if len(options) != len(node.options) or None in options or not node.value.dtype.is_string():
        raise Declined("a list of values that are not constant text")
    return strict(options.__contains__), (node.value,)


def _cases(node: Any) -> tuple[Make, Sequence[Any]]:
    n = len(node.cases)

    def make(*parts: Of) -> Of:
        pairs, default = list(zip(parts[:n], parts[n:-1], strict=True)), parts[-1]

        def of(row: Row) -> Any:
            for condition, result in pairs:
                if condition(row) is True:
                    return result(row)
            return default(row)

        return of

    return make, (*node.cases, *node.results, node.default)


def _search(node: Any) -> tuple[Make, Sequence[Any]]:
    if not isinstance(node.pattern, ops.Literal):
        raise Declined("a pattern that is not constant")
    return strict(scalars.find_pattern(node.pattern.value)), (node.arg,)


def _replace(node: Any) -> tuple[Make, Sequence[Any]]:
    pattern, replacement = node.pattern, node.replacement
    if not isinstance(pattern, ops.Literal) or not isinstance(replacement, ops.Literal):
        raise Declined("a pattern that is not constant")
    return strict(scalars.replace_pattern(pattern.value, replacement.value)), (node.arg,)


def _exchange(node: Any) -> tuple[Make, Sequence[Any]]:
    if not isinstance(node.from_str, ops.Literal) or not isinstance(node.to_str, ops.Literal):
        raise Declined("letters that are not constant")
    return strict(scalars.exchange(node.from_str.value, node.to_str.value)), (node.arg,)


def _difference(node: Any) -> tuple[Make, Sequence[Any]]:
    if node.part.value != "microsecond":
        raise Declined(node.part.value)
    return strict(operator.sub), (node.left, node.right)


def _round(node: Any) -> tuple[Make, Sequence[Any]]:
    if node.digits is not None and getattr(node.digits, "value", None) != 0:
        raise Declined("rounding to digits")
    return strict(scalars.round_off), (node.arg,)


def _arithmetic(function: Callable[[Any, Any], Any]) -> Callable[[Any], tuple[Make, Sequence[Any]]]:
    def make(node: Any) -> tuple[Make, Sequence[Any]]:
        if not node.dtype.is_integer():
            return strict(function), node.args
        return strict(in_range), node.args

    def in_range(one: Any, other: Any) -> Any:
        number = function(one, other)
        return number if scalars.LOWEST <= number < scalars.LARGEST else scalars.in_range(number)

    return make


_largest, _smallest = _extreme(_larger), _extreme(_smaller)

_PLAIN: dict[type, Make] = {
    ops.Not: strict(operator.not_),
    ops.IsNull: _is_null,
    ops.NotNull: _not_null,
    ops.IfElse: _choose,
    ops.NullIf: _null_if,
    ops.IsNan: strict(math.isnan),
    ops.IsInf: strict(math.isinf),
    ops.Divide: strict(scalars.divide),
    ops.FloorDivide: strict(scalars.divide_down),
    ops.Modulus: strict(scalars.remainder),
    ops.Abs: strict(abs),
    ops.Strip: strict(lambda text: text.strip(scalars.SPACES)),
    ops.Lowercase: strict(scalars.lower),
    ops.StringReplace: strict(str.replace),
    ops.ExtractHour: strict(scalars.hour),
    ops.ExtractMonth: strict(scalars.month),
    ops.DayOfWeekIndex: strict(scalars.weekday),
}
_JOINED: dict[type, Callable[[Sequence[Any]], tuple[Make, Sequence[Any]]]] = {
    ops.And: lambda parts: (both, parts),
    ops.Or: _disjunction,
}
_COMPARED: dict[type, Callable[..., Any]] = {
    ops.Equals: operator.eq,
    ops.NotEquals: operator.ne,
    ops.Less: operator.lt,
    ops.LessEqual: operator.le,
    ops.Greater: operator.gt,
    ops.GreaterEqual: operator.ge,
}
_MANY: dict[type, Make] = {
    ops.Coalesce: _first_given,
    ops.Greatest: _largest,
    ops.Least: _smallest,
}
_MADE: dict[type, Callable[[Any], tuple[Make, Sequence[Any]]]] = {
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
    ops.BitwiseLeftShift: _arithmetic(operator.lshift),
    ops.BitwiseAnd: _arithmetic(operator.and_),
}


def over_columns(make: Make, constants: Sequence[Constant | None]) -> Callable[..., Column] | None:
    """Return what an operation is of the columns of those of its arguments that are not constant.

    Each argument is then known of every row, be it asked for or not: an operation that skips arguments with
    a purpose, as a condition does, is not among them.

    Parameters
    ----------
    make : callable
        As from `operation`.
    constants : sequence
        The arguments, None for one that is not constant.

    Returns
    -------
    callable or None
        None where the operation has to be asked for row by row.
    """
    if isinstance(make, Strict):
        return make.over(constants)
    given = [constant.value for constant in constants if constant is not None]
    if make is _first_given and len(constants) == 2 and constants[1] is not None:
        otherwise = constants[1].value
        return lambda xs: [otherwise if x is None else x for x in xs]
    if make is _any_true and not any(value is True for value in given):
        return lambda *parts: [True in values for values in zip(*parts, strict=True)]
    if make is both and all(value is True for value in given):
        return _all_true
    if make is _null_if and constants[0] is None and constants[1] is not None:
        other = constants[1].value
        return lambda xs: [None if x == other else x for x in xs]
    return None if given else _OVER.get(make)


def _all_true(*parts: Column) -> Column:
    if len(parts) == 2:
        one, other = parts
        return [
            False if x is False or y is False else None if x is None or y is None else True
            for x, y in zip(one, other, strict=True)
        ]
    return [False if False in row else None if None in row else True for row in zip(*parts, strict=True)]


def _one_true(*parts: Column) -> Column:
    if len(parts) == 2:
        one, other = parts
        return [
            True if x is True or y is True else None if x is None or y is None else False
            for x, y in zip(one, other, strict=True)
        ]
    return [True if True in row else None if None in row else False for row in zip(*parts, strict=True)]


_OVER: dict[Make, Callable[..., Column]] = {
    _either: _one_true,
    _same: lambda xs: xs,
    _is_null: lambda xs: [x is None for x in xs],
    _first_given: lambda *parts: reduce(lambda xs, ys: list(map(_or_else, xs, ys)), parts),
    _largest: lambda *parts: reduce(lambda xs, ys: list(map(_larger, xs, ys)), parts),
    _smallest: lambda *parts: reduce(lambda xs, ys: list(map(_smaller, xs, ys)), parts),
    _not_null: lambda xs: [x is not None for x in xs],
}
