"""Table expressions in the SQL of other databases, for features that are computed where the tables are.

An expression says most things in words that Ibis translates for every database. What it says in words of
DuckDB's own, because they are many times as fast there, is put into the words of another database here.
"""

from __future__ import annotations

from collections.abc import Callable
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
    def speak(node: Any, changed: dict[str, Any] | None) -> Any:
        arguments = dict(zip(node.argnames, node.args, strict=True)) if changed is None else changed
        if isinstance(node, ops.ScalarUDF) and node.__func_name__ == "epoch_us":
            (moment,) = arguments.values()
            return moment.to_expr().delta(_EPOCH, unit="microsecond").op()
        if isinstance(node, ops.ScalarUDF) and node.__func_name__ == "timezone" and dialect != "postgres":
            zone, moment = (value.to_expr() for value in arguments.values())
            said = _bigquery_clock(moment, zone) if dialect == "bigquery" else _snowflake_clock(zone, moment)
            return said.op()
        if isinstance(node, ops.First) and dialect == "postgres":
            return ops.ArrayIndex(ops.ArrayCollect(**arguments, distinct=False), 0)
        if isinstance(node, ops.Round) and dialect == "postgres":
            return _rounded(arguments["arg"].to_expr()).op()
        if isinstance(node, ops.Divide) and dialect == "snowflake":
            # A quotient of whole numbers has six digits after the point there.
            return ops.Divide(ops.Cast(arguments["left"], dt.float64), arguments["right"])
        return node if changed is None else node.__recreate__(changed)

    return speak


def _rounded(number: ir.FloatingColumn) -> ir.IntegerColumn:
    """Round halves away from zero; PostgreSQL rounds them to even."""
    size = number.abs()
    whole = size.floor()
    rounded = whole + ibis.ifelse(size - whole >= 0.5, 1, 0)
    return ibis.ifelse(number < 0, -rounded, rounded)


def _check_names(table: ir.Table) -> None:
    long = [name for name in table.columns if len(name.encode()) > _LONGEST_NAME]
    if long:
        raise InputError(
            f"PostgreSQL keeps {_LONGEST_NAME} bytes of a column's name, and {len(long)} are longer: "
            f"{', '.join(long[:5])}; leave such assets out of the plan, or compute them with DuckDB"
        )


@ibis.udf.scalar.builtin(name="datetime", signature=((UTC, dt.string), _LOCAL))  # type: ignore[untyped-decorator]
def _bigquery_clock(moment: Any, zone: Any) -> Any:
    """BigQuery's conversion of a moment to the clock of a zone."""


@ibis.udf.scalar.builtin(name="convert_timezone", signature=((dt.string, UTC), _LOCAL))  # type: ignore[untyped-decorator]
def _snowflake_clock(zone: Any, moment: Any) -> Any:
    """Snowflake's conversion of a moment to the clock of a zone."""
