"""Table expressions in the SQL of other databases, for features that are computed where the tables are.

An expression says most things in words that Ibis translates for every database. What it says in words of
DuckDB's own, because they are many times as fast there, is put into the words of another database here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir

from propensity.data.values import UTC
from propensity.errors import InputError, nearest

_LOCAL = dt.Timestamp(scale=6)
_EPOCH = ibis.literal("1970-01-01T00:00:00+00:00", UTC)
_LONGEST_NAME = 63  # bytes: PostgreSQL cuts off what is longer
DIALECTS = ("postgres", "bigquery", "snowflake")
_Arguments = Mapping[str, Any]


def translate(table: ir.Table, dialect: str) -> ir.Table:
    """Return the same table in words that another database understands.

    Parameters
    ----------
    table : ibis table
        Such as `propensity.features.build.build_features` returns for tables of that database.
    dialect : str
        ``postgres``, ``bigquery`` or ``snowflake``, as Ibis calls them.

    Raises
    ------
    InputError
        The dialect is none of them, or a column has a name that PostgreSQL would cut off.

    Examples
    --------
    >>> events = ibis.table({"event_at": UTC}, name="events")
    >>> from propensity.data.values import microseconds_of
    >>> told = translate(events.select(us=microseconds_of(events.event_at)), "bigquery")
    >>> "TIMESTAMP_DIFF" in ibis.to_sql(told, dialect="bigquery")
    True
    """
    if dialect not in DIALECTS:
        raise InputError(
            f"dialect: expected one of {', '.join(DIALECTS)}, got {dialect!r}{nearest(dialect, DIALECTS)}"
        )
    if dialect == "postgres":
        _check_names(table)
    return table.op().replace(_speaker(dialect)).to_expr()


def _speaker(dialect: str) -> Callable[[Any, Any], Any]:
    words = _WORDS[dialect]

    def speak(node: Any, changed: dict[str, Any] | None) -> Any:
        said = words.get(node.__func_name__ if isinstance(node, ops.ScalarUDF) else type(node).__name__)
        arguments = dict(zip(node.argnames, node.args, strict=True)) if changed is None else changed
        if said is not None:
            return said(arguments).op()
        return node if changed is None else node.__recreate__(changed)

    return speak


def _epoch_us(arguments: _Arguments) -> ir.IntegerColumn:
    (moment,) = _values(arguments)
    return moment.delta(_EPOCH, unit="microsecond")


def _first(arguments: _Arguments) -> ir.Value:
    return ops.ArrayIndex(ops.ArrayCollect(**arguments, distinct=False), 0).to_expr()


def _float_quotient(arguments: _Arguments) -> ir.FloatingColumn:
    left, right = _values(arguments)
    return left.cast("float64") / right


def _bit_count(arguments: _Arguments) -> ir.IntegerColumn:
    """Count the bits of whole numbers from 0 by adding them in pairs, fours and eights.

    The rest of a division by 255 is the sum of its bytes.
    """
    (mask,) = _values(arguments)
    pairs = mask - ((mask >> 1) & 0x5555555555555555)
    fours = (pairs & 0x3333333333333333) + ((pairs >> 2) & 0x3333333333333333)
    return (((fours + (fours >> 4)) & 0x0F0F0F0F0F0F0F0F) % 255).cast("int8")


def _rounded(arguments: _Arguments) -> ir.IntegerColumn:
    """Round halves away from zero; PostgreSQL rounds them to even."""
    number = arguments["arg"].to_expr()
    size = number.abs()
    whole = size.floor()
    rounded = whole + ibis.ifelse(size - whole >= 0.5, 1, 0)
    return ibis.ifelse(number < 0, -rounded, rounded)


def _values(arguments: _Arguments) -> list[Any]:
    return [value.to_expr() for value in arguments.values()]


def _check_names(table: ir.Table) -> None:
    long = [name for name in table.columns if len(name.encode()) > _LONGEST_NAME]
    if long:
        raise InputError(
            f"PostgreSQL keeps {_LONGEST_NAME} bytes of a column's name, and {len(long)} are longer: "
            f"{', '.join(long[:5])}; leave such assets out of the plan, or compute them with DuckDB"
        )


@ibis.udf.scalar.builtin(name="int8shl", signature=((dt.int64, dt.int32), dt.int64))  # type: ignore[untyped-decorator]
def _int8shl(number: Any, places: Any) -> Any:
    """PostgreSQL's ``<<`` of long numbers; of a literal it takes the short one."""


@ibis.udf.scalar.builtin(name="datetime", signature=((UTC, dt.string), _LOCAL))  # type: ignore[untyped-decorator]
def _datetime(moment: Any, zone: Any) -> Any:
    """BigQuery's conversion of a moment to the clock of a zone."""


@ibis.udf.scalar.builtin(name="convert_timezone", signature=((dt.string, UTC), _LOCAL))  # type: ignore[untyped-decorator]
def _convert_timezone(zone: Any, moment: Any) -> Any:
    """Snowflake's conversion of a moment to the clock of a zone."""


def _shifted(arguments: _Arguments) -> ir.IntegerColumn:
    number, places = _values(arguments)
    return _int8shl(number, places.cast("int32"))


# What DuckDB's functions, and operations that mean another thing there, are in each dialect.
_WORDS: dict[str, dict[str, Callable[[_Arguments], Any]]] = {
    "postgres": {
        "epoch_us": _epoch_us,
        "bit_count": _bit_count,
        "First": _first,
        "Round": _rounded,
        "BitwiseLeftShift": _shifted,
    },
    "bigquery": {
        "epoch_us": _epoch_us,
        "timezone": lambda arguments: _datetime(*reversed(_values(arguments))),
    },
    "snowflake": {
        "epoch_us": _epoch_us,
        "bit_count": _bit_count,
        "timezone": lambda arguments: _convert_timezone(*_values(arguments)),
        "Divide": _float_quotient,  # a quotient of whole numbers has six digits after the point there
    },
}
