"""The layout of the raw tables: their columns and the kind of values in each, read without their rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from propensity.data.locations import find_source
from propensity.data.tables import table_specs
from propensity.params import DataParams


def read_layout(data: DataParams, workspace: Path) -> dict[str, dict[str, str]]:
    """Return each configured table's raw columns with their kind.

    The kind is ``number``, ``moment``, ``truth``, ``text`` or ``other`` for Parquet, ``text`` throughout for
    delimited files, and ``unknown`` for a database's tables.

    Raises
    ------
    InputError
        A table is missing or unreadable.
    """
    found = {}
    for name in table_specs(data):
        section = getattr(data, name)
        if section.path is None:
            continue
        source = find_source(section.path, workspace, delimiter=section.delimiter, section=f"data.{name}")
        if source.kind == "parquet":
            schema = pq.read_schema(source.files[0])
            found[name] = {column: _kind_of(schema.field(column).type) for column in source.columns}
        else:
            kind = "text" if source.kind == "delimited" else "unknown"
            found[name] = dict.fromkeys(source.columns, kind)
    return found


def columns_named(data: DataParams, attributes: list[str]) -> dict[str, list[str]]:
    """Return the raw columns that params or a model name, by table.

    Parameters
    ----------
    attributes : list of str
        The columns of leads that the model reads.
    """
    named = {name: list(spec.raw_columns) for name, spec in table_specs(data).items()}
    if data.outcomes.path is None:
        named["leads"] += named.pop("outcomes")
    named["leads"] = list(dict.fromkeys([*named["leads"], *attributes]))
    return named


def _kind_of(kind: pa.DataType) -> str:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_boolean(kind):
        return "truth"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_temporal(kind):
        return "moment"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    return "other"
