"""Raw tables read into the engine, with each row's number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq

from propensity.data.delimited import FILE, POSITION, ROW, Malformed, stage_delimited
from propensity.data.engines import (
    Engine,
    connect,
    connect_here,
    define,
    read_numbered,
    read_table,
    stage,
    staging_path,
)
from propensity.data.files import sha256
from propensity.data.locations import RawSource, as_input_error, attached, table_in
from propensity.data.postgresql import copy_table, open_snapshot
from propensity.errors import InputError

__all__ = ["Raw", "connect", "define", "open_servers", "read_raw", "stage"]


@dataclass(frozen=True)
class Raw:
    """A raw table's rows.

    Parameters
    ----------
    table
        One row for each well-formed record: the raw columns, the file's name (``__file``), the row number
        within it from 1 (``__row``), and a running number over all files (``__position``).
    malformed
        The other records; only delimited files have any.
    digest
        SHA-256 of what was read from a server, which has no files to hash.
    """

    source: RawSource
    table: ir.Table
    malformed: tuple[Malformed, ...] = ()
    digest: str | None = None


@contextmanager
def open_servers(sources: Iterable[RawSource]) -> Iterator[dict[str, Any]]:
    """Open one session for each server that raw tables are read from, so that they are as of one moment.

    Yields
    ------
    dict
        A session by the URL of the sources.
    """
    with ExitStack() as stack:
        sessions: dict[str, Any] = {}
        for source in sources:
            if source.url is not None and source.url not in sessions:
                opened = open_snapshot(source.url, section=source.section)
                sessions[source.url] = stack.enter_context(opened)
        yield sessions


def read_raw(
    con: Engine, source: RawSource, columns: Sequence[str], *, sessions: Mapping[str, Any] | None = None
) -> Raw:
    """Return the rows of a raw table, with the named columns.

    Delimited text is all text here, whatever it looks like. All is staged, so that a file that changes
    meanwhile does not, and nothing later can fail on reading it.

    Parameters
    ----------
    sessions
        From `open_servers`; a server is asked in a session of its own if left out.

    Raises
    ------
    InputError
        A file is damaged, holds no rows, or none that are well formed.
    BusyError
        A server does not answer.
    """
    columns = list(dict.fromkeys(columns))
    if source.kind == "delimited":
        raw = _read_delimited(con, source, columns)
    elif source.kind == "parquet":
        raw = _read_parquet(con, source, columns)
    elif source.kind == "duckdb":
        raw = _read_database(con, source, columns)
    elif sessions is not None:
        raw = _read_server(con, source, columns, sessions[str(source.url)])
    else:
        with open_servers([source]) as opened:
            raw = _read_server(con, source, columns, opened[str(source.url)])
    if con.to_pyarrow(raw.table.count()).as_py() == 0:
        raise InputError(_empty(raw))
    return raw


def _empty(raw: Raw) -> str:
    if not raw.malformed:
        return f"{raw.source.where} holds column names and no rows"
    first = ", ".join(str(m.row) for m in raw.malformed[:5])
    return (
        f"{raw.source.where}: none of the {len(raw.malformed):,} rows is UTF-8 text with "
        f"{len(raw.source.columns)} columns separated by {raw.source.delimiter!r} as its header has "
        f"(first rows {first}); check the delimiter and save the file as UTF-8"
    )


def _read_delimited(con: Engine, source: RawSource, columns: list[str]) -> Raw:
    tables, malformed, offset = [], [], 0
    for file in source.files:
        target = staging_path(con)
        staged = stage_delimited(file, target, delimiter=str(source.delimiter), columns=columns)
        table = read_table(con, target)
        tables.append(table.mutate(**{FILE: ibis.literal(file.name), POSITION: table[ROW] + offset}))
        malformed += staged.malformed
        offset += staged.rows
    return Raw(source, _together(con, tables), tuple(malformed))


def _read_parquet(con: Engine, source: RawSource, columns: list[str]) -> Raw:
    tables, offset = [], 0
    for file in source.files:
        with as_input_error(file):
            table = read_numbered(con, file, columns)
            place = {FILE: ibis.literal(file.name), ROW: table[ROW], POSITION: table[ROW] + offset}
            tables.append(stage(con, table.select(*columns, **place)))
            offset += pq.read_metadata(file).num_rows
        _check_same_types(tables[0], tables[-1], source.files[0], file)
    return Raw(source, _together(con, tables))


def _read_database(con: Engine, source: RawSource, columns: list[str]) -> Raw:
    """Read a table of a DuckDB file, with DuckDB, whatever the engine is."""
    file, target = source.files[0], staging_path(con)
    here = con if con.name == "duckdb" else connect_here(folder=target.parent)
    with as_input_error(file), attached(here, file) as database:
        table = table_in(here, database, str(source.table))
        row = ibis.row_number() + 1
        place = {FILE: ibis.literal(file.name), ROW: row, POSITION: row}
        here.to_parquet(table.select(*columns, **place), target, compression="zstd")
    return Raw(source, read_table(con, target))


def _read_server(con: Engine, source: RawSource, columns: list[str], session: Any) -> Raw:
    target = staging_path(con)
    copy_table(session, str(source.table), columns, target, where=source.where)
    table = read_table(con, target)
    place = {FILE: ibis.literal(str(source.table)), POSITION: table[ROW]}
    return Raw(source, table.mutate(**place), digest=sha256(target))


def _together(con: Engine, tables: Sequence[ir.Table]) -> ir.Table:
    return define(con, ibis.union(*tables)) if len(tables) > 1 else tables[0]


def _check_same_types(first: ir.Table, table: ir.Table, first_file: Path, file: Path) -> None:
    types, others = first.schema(), table.schema()
    changed = [
        f"{name!r} ({types[name]}, then {others[name]})" for name in types if types[name] != others[name]
    ]
    if changed:
        raise InputError(
            f"the type of {', '.join(changed[:5])} differs between {first_file} and {file}; write one type"
        )
