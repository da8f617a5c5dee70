"""The engine, and raw tables read into it with each row's number."""

from __future__ import annotations

import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from propensity.data.delimited import FILE, POSITION, ROW, Malformed, stage_delimited
from propensity.data.files import sha256
from propensity.data.locations import RawSource, as_input_error, attached, table_in
from propensity.data.postgresql import copy_table, open_snapshot
from propensity.errors import InputError, ParamsError
from propensity.params import DataParams


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


def connect(params: DataParams, *, folder: Path | None = None) -> Backend:
    """Return an in-memory engine whose session is in UTC and that spills and stages to a folder of its own.

    The folder is made inside `folder` (default: the system's temporary folder) and removed when the
    connection is garbage collected or the process ends.

    Raises
    ------
    ParamsError
        ``data.engine`` is not duckdb.
    """
    if params.engine != "duckdb":
        raise ParamsError(f"data.engine: 'duckdb' is supported, got {params.engine!r}")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    staging = tempfile.mkdtemp(prefix=".propensity-", dir=folder)
    con = ibis.duckdb.connect(
        temp_directory=staging,
        TimeZone="UTC",
        preserve_insertion_order=True,
        autoinstall_known_extensions=False,
    )
    weakref.finalize(con, shutil.rmtree, staging, ignore_errors=True)
    return con


def stage(con: Backend, table: ir.Table) -> ir.Table:
    """Return the table computed once and kept as a file until the connection is gone."""
    path = staging_path(con)
    con.to_parquet(table, path, compression="zstd")
    return con.read_parquet(path)


def define(con: Backend, table: ir.Table) -> ir.Table:
    """Return the table under a name of its own: a long expression is then compiled once, not at every use."""
    return con.create_view(f"view_{uuid.uuid4().hex}", table)


def staging_path(con: Backend) -> Path:
    """Return a path for a new Parquet file in the folder of `connect`."""
    (folder,) = con.con.execute("SELECT current_setting('temp_directory')").fetchone()
    return Path(folder) / f"{uuid.uuid4().hex}.parquet"


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
    con: Backend, source: RawSource, columns: Sequence[str], *, sessions: Mapping[str, Any] | None = None
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


def _read_delimited(con: Backend, source: RawSource, columns: list[str]) -> Raw:
    tables, malformed, offset = [], [], 0
    for file in source.files:
        target = staging_path(con)
        staged = stage_delimited(file, target, delimiter=str(source.delimiter), columns=columns)
        table = con.read_parquet(target)
        tables.append(table.mutate(**{FILE: ibis.literal(file.name), POSITION: table[ROW] + offset}))
        malformed += staged.malformed
        offset += staged.rows
    return Raw(source, _together(con, tables), tuple(malformed))


def _read_parquet(con: Backend, source: RawSource, columns: list[str]) -> Raw:
    tables, offset = [], 0
    for file in source.files:
        with as_input_error(file):
            table = con.read_parquet(file, file_row_number=True)
            row = table["file_row_number"].cast("int64") + 1
            place = {FILE: ibis.literal(file.name), ROW: row, POSITION: row + offset}
            tables.append(stage(con, table.select(*columns, **place)))
            offset += pq.read_metadata(file).num_rows
        _check_same_types(tables[0], tables[-1], source.files[0], file)
    return Raw(source, _together(con, tables))


def _read_database(con: Backend, source: RawSource, columns: list[str]) -> Raw:
    file = source.files[0]
    with as_input_error(file), attached(con, file) as database:
        table = table_in(con, database, str(source.table))
        row = ibis.row_number() + 1
        place = {FILE: ibis.literal(file.name), ROW: row, POSITION: row}
        return Raw(source, stage(con, table.select(*columns, **place)))


def _read_server(con: Backend, source: RawSource, columns: list[str], session: Any) -> Raw:
    target = staging_path(con)
    copy_table(session, str(source.table), columns, target, where=source.where)
    table = con.read_parquet(target)
    place = {FILE: ibis.literal(str(source.table)), POSITION: table[ROW]}
    return Raw(source, table.mutate(**place), digest=sha256(target))


def _together(con: Backend, tables: Sequence[ir.Table]) -> ir.Table:
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
