"""Raw columns to canonical columns: types found, values read, exactly the columns that are promised."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from propensity.data.delimited import FILE, POSITION, ROW
from propensity.data.engines import Engine
from propensity.data.tables import GIVEN, LEADS_COLUMNS, NOW, AttributeType, Field, TableSpec
from propensity.data.values import UTC, category_of, is_given, moment_of, number_of, text_of

NUMBER_SHARE = 0.99  # of a text column's values that read as numbers, from which on it is a number

_DTYPES = {"number": "float64", "amount": "float64", "moment": UTC, "past": UTC}


def find_types(
    con: Engine, raw: ir.Table, names: Sequence[str], *, missing: Sequence[str]
) -> dict[str, AttributeType]:
    """Return which attributes are numbers.

    A typed column says so itself; truth values are text. A text column is a number when one value is a
    finite number and at least `NUMBER_SHARE` of those not missing are numbers, NaN and infinity included.
    """
    types: dict[str, AttributeType] = {n: "number" if raw[n].type().is_numeric() else "text" for n in names}
    texts = [name for name in names if raw[name].type().is_string()]
    if not texts:
        return types
    spelt = raw.select(**{f"text_{i}": text_of(raw[name], missing) for i, name in enumerate(texts)})
    table = spelt.mutate(**{f"number_{i}": number_of(spelt[f"text_{i}"]) for i in range(len(texts))})
    counts: dict[str, ir.Value] = {}
    for i in range(len(texts)):
        number = table[f"number_{i}"]
        counts[f"given_{i}"] = table[f"text_{i}"].count()
        counts[f"number_{i}"] = number.count()
        counts[f"finite_{i}"] = (~number.isnan() & ~number.isinf()).sum()
    row = con.to_pyarrow(table.aggregate(**counts)).to_pylist()[0]
    for i, name in enumerate(texts):
        enough = row[f"number_{i}"] >= NUMBER_SHARE * row[f"given_{i}"]
        types[name] = "number" if row[f"finite_{i}"] and enough else "text"
    return types


def read_columns(raw: ir.Table, spec: TableSpec, *, now: ir.TimestampValue) -> ir.Table:
    """Return the canonical columns of a raw table, beside each row's place, what was given, and `now`.

    Values that were given and not understood are null here; rules tell them from missing ones.
    """
    columns: dict[str, ir.Value] = {name: raw[name] for name in (FILE, ROW, POSITION)}
    columns[NOW] = now
    for field in spec.fields:
        columns[field.name] = _value(raw, field, spec)
        if field.parsed:
            # A row's number is never missing, whatever texts mean that in the file.
            missing = () if field.raw == POSITION else spec.missing
            columns[GIVEN + field.name] = is_given(raw[field.raw], missing)
    table = raw.select(**columns)
    return _only_when_closed(table) if spec.name == "outcomes" else table


def find_typed(raw: ibis.Schema, spec: TableSpec) -> list[str]:
    """Return the columns that are read from values of their own type."""
    wanted = {field.name: ibis.dtype(_DTYPES[field.kind]) for field in spec.fields if field.kind in _DTYPES}
    return [f.name for f in spec.fields if f.name in wanted and raw.get(f.raw) == wanted[f.name]]


def finish(table: ir.Table, spec: TableSpec, *, keep: Sequence[str] = ()) -> ir.Table:
    """Return accepted rows with exactly the canonical columns, and those to `keep`."""
    if spec.name == "leads":
        names = [f.name for f in spec.fields]
        place = len([name for name in names if name in LEADS_COLUMNS])
        return table.mutate(row=table[POSITION]).select(*names[:place], "row", *names[place:], *keep)
    if spec.name == "events":
        known = ibis.greatest(table["event_at"], table["known_at"].coalesce(table["event_at"]))
        table = table.mutate(known_at=known)
    return table.select(*spec.columns, *keep)


def _value(raw: ir.Table, field: Field, spec: TableSpec) -> ir.Value:
    if field.raw is None:
        return ibis.null(_DTYPES.get(field.kind, "string"))
    column = raw[field.raw]
    if field.raw == POSITION:
        return column.cast("string") if field.kind == "text" else column
    if field.kind in ("number", "amount"):
        return number_of(column, spec.missing)
    if field.kind in ("moment", "past"):
        return moment_of(column, spec.missing, zone=spec.zone)
    if field.kind == "category":
        return category_of(column, spec.missing)
    text = text_of(column, spec.missing)
    if field.kind == "status":
        return _status(text, spec)
    if field.kind == "verdict":
        return ibis.ifelse(text.lower().isin(["agree", "disagree"]), text.lower(), ibis.null("string"))
    return text


def _status(text: ir.StringColumn, spec: TableSpec) -> ir.StringColumn:
    lower = text.lower()
    won = (lower.isin(spec.won).fill_null(False), "won")
    lost = (lower.isin(spec.lost).fill_null(False), "lost") if spec.lost else (ibis.literal(False), "lost")
    return ibis.cases(won, lost, else_="open")


def _only_when_closed(outcomes: ir.Table) -> ir.Table:
    """An open lead's closing date, if there is one, is a plan and not a fact."""
    is_open = outcomes["status"] == "open"
    columns = {"closed_at": ibis.ifelse(is_open, ibis.null(UTC), outcomes["closed_at"])}
    if GIVEN + "closed_at" in outcomes.columns:
        columns[GIVEN + "closed_at"] = ~is_open & outcomes[GIVEN + "closed_at"]
    return outcomes.mutate(**columns)
