"""What holds for every accepted row, as schemas: a failure here is a fault of the rules, not of the data."""

from __future__ import annotations

import warnings

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from propensity.data.rules import LARGEST_AMOUNT
from propensity.data.tables import Field, TableSpec
from propensity.data.values import UTC

with warnings.catch_warnings():
    # Where PySpark is installed pandera imports all of it, and PySpark says that it does not support all of
    # pandas 3.
    warnings.simplefilter("ignore", FutureWarning)
    import pandera.ibis as pa

_DTYPES = {"number": dt.float64, "amount": dt.float64, "moment": UTC, "past": UTC}
_AMONG = {"status": ["won", "lost", "open"], "verdict": ["agree", "disagree"]}
_CHECKS = {
    "amount": pa.Check.in_range(0, LARGEST_AMOUNT),
    **{kind: pa.Check.isin(values) for kind, values in _AMONG.items()},
}


def schema_for(spec: TableSpec, *, running_order: bool = False) -> pa.DataFrameSchema:
    """Return the schema of an accepted table: exactly its columns, their types, what is never null, the key.

    `running_order` says that the leads' order is their row number, a whole number.
    """
    columns = {field.name: _column(field, running_order) for field in spec.fields}
    if spec.name == "leads":
        columns["row"] = pa.Column(dt.int64, pa.Check.gt(0))
    return pa.DataFrameSchema(columns, strict=True, unique=list(spec.key) or None, name=spec.name)


def check_schema(table: ir.Table, spec: TableSpec) -> None:
    """Check an accepted table against its schema.

    Raises
    ------
    pandera.errors.SchemaErrors
        All failures at once.
    """
    running = "order_key" in table.columns and table["order_key"].type().is_integer()
    schema = schema_for(spec, running_order=running)
    con = table.get_backend()
    if (
        con.name == "duckdb"
        or not _is_typed(table, schema)
        or con.to_pyarrow(_count_faults(table, spec)).as_py()
    ):
        schema.validate(table, lazy=True)


def _is_typed(table: ir.Table, schema: pa.DataFrameSchema) -> bool:
    wanted = {name: column.dtype.type for name, column in schema.columns.items()}
    return {name: kind.copy(nullable=True) for name, kind in table.schema().items()} == wanted


def _count_faults(table: ir.Table, spec: TableSpec) -> ir.IntegerScalar:
    """Count, in one pass, the rows that some check of the schema refuses, and those that repeat a key."""
    refused = [table[f.name].isnull() for f in spec.fields if f.required or f.kind == "status"]
    for field in spec.fields:
        column = table[field.name]
        if field.kind == "amount":
            refused.append(~column.between(0, LARGEST_AMOUNT))
        elif field.kind in _AMONG:
            refused.append(column.notin(_AMONG[field.kind]))
    bad = table.count(where=ibis.or_(*refused).fill_null(False))
    if not spec.key:
        return bad
    keys = table.group_by(*spec.key).agg(rows=table.count(), bad=bad)
    return (keys.bad + keys.rows - 1).sum().fill_null(0)


def _column(field: Field, running_order: bool) -> pa.Column:
    dtype = _DTYPES.get(field.kind, dt.string)
    if field.name == "order_key" and running_order:
        dtype = dt.int64
    return pa.Column(dtype, _CHECKS.get(field.kind), nullable=not field.required and field.kind != "status")
