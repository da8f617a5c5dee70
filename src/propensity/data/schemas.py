"""What holds for every accepted row, as schemas: a failure here is a fault of the rules, not of the data."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandera.ibis as pa

from propensity.data.rules import LARGEST_AMOUNT
from propensity.data.tables import Field, TableSpec
from propensity.data.values import UTC

_DTYPES = {"number": dt.float64, "amount": dt.float64, "moment": UTC, "past": UTC}
_CHECKS = {
    "amount": pa.Check.in_range(0, LARGEST_AMOUNT),
    "status": pa.Check.isin(["won", "lost", "open"]),
    "verdict": pa.Check.isin(["agree", "disagree"]),
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
    schema_for(spec, running_order=running).validate(table, lazy=True)


def _column(field: Field, running_order: bool) -> pa.Column:
    dtype = _DTYPES.get(field.kind, dt.string)
    if field.name == "order_key" and running_order:
        dtype = dt.int64
    return pa.Column(dtype, _CHECKS.get(field.kind), nullable=not field.required and field.kind != "status")
