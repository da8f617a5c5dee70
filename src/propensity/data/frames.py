"""Canonical tables from data frames, for scoring: the same reading and rules as for files, no quarantine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from ibis.backends.duckdb import Backend

from propensity.data.canonical import finish, read_columns
from propensity.data.delimited import FILE, POSITION, ROW
from propensity.data.quarantine import quarantined_rows
from propensity.data.rules import BAD, judge, repeat_rule, row_rules
from propensity.data.tables import (
    AttributeType,
    TableSpec,
    check_columns,
    only_attributes,
    optional_order,
    table_specs,
    with_attributes,
)
from propensity.errors import InputError, some
from propensity.params import Params

_UTC_US = pa.timestamp("us", tz="UTC")


def canonical_frames(
    leads: pd.DataFrame,
    events: pd.DataFrame | None,
    params: Params,
    con: Backend,
    *,
    types: Mapping[str, AttributeType],
    now: datetime,
    outcomes: pd.DataFrame | None = None,
) -> dict[str, ir.Table]:
    """Return canonical leads, and events and outcomes where they are passed.

    Parameters
    ----------
    leads, events, outcomes
        Columns as `params` map them or, where such a column is not there, by their canonical names; in any
        order. Columns that nothing asks for are ignored, and so are events and outcomes of other leads than
        those passed.
    types
        The attributes of leads that are needed, with their types; what is not a number is read as text.
    now
        The moment of the call, with a time zone: what is dated later is refused.

    Raises
    ------
    InputError
        A column is missing, or a row breaks a rule: there is no quarantine here.
    """
    specs = table_specs(params.data)
    spec = _resolved(specs["leads"], leads)
    spec = with_attributes(optional_order(spec, list(leads.columns)), only_attributes(types))
    tables = {"leads": _accept(con, leads, spec, None, now)}
    for name, frame in (("events", events), ("outcomes", outcomes)):
        if frame is not None and name in specs:
            tables[name] = _accept(con, frame, _resolved(specs[name], frame), tables["leads"], now)
    return tables


def _accept(
    con: Backend, frame: pd.DataFrame, spec: TableSpec, leads: ir.Table | None, now: datetime
) -> ir.Table:
    _check_frame(frame, spec)
    raw = ibis.memtable(_to_arrow(frame, spec.raw_columns))
    table = read_columns(raw, spec)
    if leads is not None:
        lead_id = table["lead_id"]
        table = table.filter(lead_id.isin(leads["lead_id"]) | lead_id.isnull())
    rules = row_rules(spec, now=now)
    judged = con.to_pyarrow(judge(table, spec, rules, leads=leads))
    if pc.any(judged[BAD]).as_py():
        rules = [*rules, repeat_rule(spec)]
        refused = quarantined_rows(con, ibis.memtable(judged), raw, spec, rules)
        raise InputError(_refusal(refused, spec.name))
    return finish(ibis.memtable(judged), spec)


def _check_frame(frame: pd.DataFrame, spec: TableSpec) -> None:
    where, columns = f"the frame of {spec.name}", [str(column) for column in frame.columns]
    check_columns(spec, columns, where=where)
    repeated = [column for column in spec.raw_columns if columns.count(column) > 1]
    if repeated:
        raise InputError(f"{where} has the columns {some(repeated)} more than once; expected each once")


def _refusal(refused: pd.DataFrame, name: str) -> str:
    told = [
        f"{rule} in column {column!r}: {len(rows):,} rows, the first {', '.join(map(str, rows['row'][:5]))} "
        f"(values look like {', '.join(map(repr, rows['value'][:5]))})"
        for (rule, column), rows in refused.groupby(["rule", "column"], sort=True)
    ]
    return (
        f"the frame of {name} has {refused['row'].nunique():,} bad rows, counted from 1. {'; '.join(told)}. "
        "Mend or drop them"
    )


def _resolved(spec: TableSpec, frame: pd.DataFrame) -> TableSpec:
    """Return the specification with the names under which the frame has the columns."""
    there = {None, POSITION, *frame.columns}
    fields = [
        replace(field, raw=field.name) if field.raw not in there and field.name in there else field
        for field in spec.fields
    ]
    return replace(spec, fields=tuple(fields))


def _to_arrow(frame: pd.DataFrame, columns: Sequence[str]) -> pa.Table:
    rows = pa.array(np.arange(1, len(frame) + 1))
    arrays = {column: _column_to_arrow(frame[column]) for column in columns}
    return pa.table({**arrays, FILE: pa.repeat("", len(frame)), ROW: rows, POSITION: rows})


def _column_to_arrow(column: pd.Series) -> pa.Array:
    """Return a column as Arrow; NaN is missing, as everywhere in pandas, and a mixed column is text."""
    try:
        array = pa.Array.from_pandas(column)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        array = pa.array([_spell(value) for value in column], type=pa.string())
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_timestamp(array.type):
        return array.cast(_UTC_US if array.type.tz else pa.timestamp("us"), safe=False)
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array


def _spell(value: Any) -> str | None:
    if pd.isna(value):
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
