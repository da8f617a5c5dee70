"""Canonical tables from data frames, for scoring: the same reading and rules as for files, no quarantine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import ibis
import ibis.expr.schema as sch
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from ibis.backends.duckdb import Backend

from propensity.data.canonical import find_typed, finish, read_columns
from propensity.data.delimited import FILE, POSITION, ROW
from propensity.data.fetch import Compiled
from propensity.data.quarantine import quarantined_rows
from propensity.data.rules import (
    BAD,
    judge,
    judge_briefly,
    repeat_rule,
    repeated_rows,
    row_rules,
    with_leads,
    with_repeats,
)
from propensity.data.tables import (
    NOW,
    AttributeType,
    TableSpec,
    check_columns,
    only_attributes,
    optional_order,
    table_specs,
    with_attributes,
)
from propensity.data.values import UTC
from propensity.errors import InputError, some
from propensity.params import Params

_UTC_US = pa.timestamp("us", tz="UTC")
RAW, JUDGED, LEADS = "__frame", "__judged_frame", "__frame_leads"


def canonical_frames(
    leads: pd.DataFrame,
    events: pd.DataFrame | None,
    params: Params,
    con: Backend,
    *,
    types: Mapping[str, AttributeType],
    now: datetime,
    outcomes: pd.DataFrame | None = None,
    history: pd.DataFrame | None = None,
) -> dict[str, pa.Table]:
    """Return canonical leads, and events, outcomes and history where they are passed.

    Parameters
    ----------
    leads, events, outcomes, history
        Columns as `params` map them or, where such a column is not there, by their canonical names; in any
        order. Columns that nothing asks for are ignored, and so are the rows of other leads than those
        passed.
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
    spec = optional_order(resolved(specs["leads"], leads.columns), list(leads.columns))
    specs["leads"] = with_attributes(spec, only_attributes(types))
    tables = {"leads": _accept(con, leads, specs["leads"], now, None)}
    known = tables["leads"].select(["lead_id", "created_at"])
    for name, frame in (("events", events), ("outcomes", outcomes), ("history", history)):
        if frame is not None and name in specs:
            tables[name] = _accept(con, frame, resolved(specs[name], frame.columns), now, known)
    return tables


def _accept(
    con: Backend, frame: pd.DataFrame, spec: TableSpec, now: datetime, leads: pa.Table | None
) -> pa.Table:
    """Return the canonical rows of a frame, all of which have to be good."""
    _check_frame(frame, spec)
    raw = _to_arrow(frame, spec.raw_columns, now)
    given = {RAW: raw} if leads is None else {RAW: raw, LEADS: leads}
    judged = judging(spec, sch.infer(raw)).compute(con, given)
    repeats = repeating(spec, sch.infer(judged)).compute(con, {JUDGED: judged})
    if repeats.num_rows or pc.any(judged[BAD]).as_py():
        with _registered(con, given):
            raise InputError(_refusal(con, spec, sch.infer(raw)))
    return judged.drop_columns([BAD, POSITION])


@contextmanager
def _registered(con: Backend, tables: Mapping[str, pa.Table]) -> Iterator[None]:
    for name, table in tables.items():
        con.con.register(name, table)
    try:
        yield
    finally:
        for name in tables:
            con.con.unregister(name)


# Compiled once for each form of frame: that takes many times as long as judging one row.
@lru_cache(maxsize=64)
def judging(spec: TableSpec, schema: ibis.Schema) -> Compiled:
    """Return what gives the canonical rows of a raw table, their positions and whether they are bad."""
    judged = judge_briefly(_read(spec, schema), row_rules(spec, typed=find_typed(schema, spec)))
    return Compiled(finish(judged, spec, keep=(POSITION, BAD)))


@lru_cache(maxsize=64)
def repeating(spec: TableSpec, schema: ibis.Schema) -> Compiled:
    """Return what gives the positions of judged rows that repeat others."""
    return Compiled(repeated_rows(ibis.table(schema, name=JUDGED), spec))


def _read(spec: TableSpec, schema: ibis.Schema) -> ir.Table:
    raw = ibis.table(schema, name=RAW)
    table = read_columns(raw, spec, now=raw[NOW])
    if not spec.of_leads:
        return table
    leads = ibis.table({"lead_id": "string", "created_at": UTC}, name=LEADS)
    lead_id = table["lead_id"]
    table = table.filter(lead_id.isin(leads["lead_id"]) | lead_id.isnull())
    return with_leads(table, spec, leads)


def _refusal(con: Backend, spec: TableSpec, schema: ibis.Schema) -> str:
    """Judge again at length, to tell which rules were broken where."""
    rules = row_rules(spec)
    judged = judge(_read(spec, schema), rules)
    repeats = repeated_rows(finish(judged, spec, keep=(POSITION, BAD)), spec)
    judged = with_repeats(judged, repeats, len(rules))
    raw = ibis.table(schema, name=RAW)
    refused = quarantined_rows(con, judged, raw, spec, [*rules, repeat_rule(spec)])
    told = [
        f"{rule} in column {column!r}: {len(rows):,} rows, the first {', '.join(map(str, rows['row'][:5]))} "
        f"(values look like {', '.join(map(repr, rows['value'][:5]))})"
        for (rule, column), rows in refused.groupby(["rule", "column"], sort=True)
    ]
    return (
        f"the frame of {spec.name} has {refused['row'].nunique():,} bad rows, counted from 1. "
        f"{'; '.join(told)}. Mend or drop them"
    )


def _check_frame(frame: pd.DataFrame, spec: TableSpec) -> None:
    where, columns = f"the frame of {spec.name}", [str(column) for column in frame.columns]
    check_columns(spec, columns, where=where)
    repeated = [column for column in spec.raw_columns if columns.count(column) > 1]
    if repeated:
        raise InputError(f"{where} has the columns {some(repeated)} more than once; expected each once")


def resolved(spec: TableSpec, columns: Iterable[Any]) -> TableSpec:
    """Return the specification with the names under which a frame of these columns has its own.

    An id of its own is preferred to the row number, which is only what a file without one falls back on.
    """
    there = {None, *columns}
    fields = [
        replace(field, raw=field.name) if field.raw not in there and field.name in there else field
        for field in spec.fields
    ]
    return replace(spec, fields=tuple(fields))


def _to_arrow(frame: pd.DataFrame, columns: Sequence[str], now: datetime) -> pa.Table:
    rows = pa.array(np.arange(1, len(frame) + 1))
    arrays = {column: _column_to_arrow(frame[column]) for column in columns}
    moment = pa.repeat(pa.scalar(now, type=_UTC_US), len(frame))
    return pa.table({**arrays, FILE: pa.repeat("", len(frame)), ROW: rows, POSITION: rows, NOW: moment})


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
