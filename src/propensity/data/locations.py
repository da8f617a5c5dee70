"""Where params say a raw table is, whether it is there, and what columns it has."""

from __future__ import annotations

import glob
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from propensity.data.delimited import read_header
from propensity.data.files import check_room
from propensity.data.postgresql import find_columns, is_postgresql, open_session
from propensity.errors import BusyError, InputError, ParamsError, hide_passwords, nearest, some
from propensity.params import Database

_DELIMITED = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_PARQUET = (".parquet", ".pq")
DUCKDB = "duckdb:///"


@dataclass(frozen=True)
class RawSource:
    """A raw table that was found: its files, in order of name, and the columns in the first of them.

    A table of a server has no files, and a URL that messages show without its password.
    """

    kind: Literal["delimited", "parquet", "duckdb", "postgresql"]
    files: tuple[Path, ...]
    columns: tuple[str, ...]
    delimiter: str | None = None
    table: str | None = None
    url: str | None = field(default=None, repr=False)
    section: str = ""

    @property
    def where(self) -> str:
        """How messages call it."""
        if self.url is not None:
            return f"table {self.table!r} of {hide_passwords(self.url)}"
        if self.table is not None:
            return f"table {self.table!r} of {self.files[0]}"
        more = f" and {len(self.files) - 1} more" if len(self.files) > 1 else ""
        return f"{self.files[0]}{more}"


def find_source(path: str | Database, workspace: Path, *, delimiter: str, section: str) -> RawSource:
    """Return the raw table that params name, after reading the names of its columns only.

    Parameters
    ----------
    path
        A file, a pattern such as ``data/raw/leads-*.csv``, or a database and its table; relative to
        `workspace`.
    section
        How messages call the params, such as ``data.leads``.

    Raises
    ------
    InputError
        Nothing is there, or it cannot be read.
    BusyError
        The database is open elsewhere for writing, or does not answer.
    """
    if isinstance(path, Database):
        return _find_database(path, workspace, section)
    files = _find_files(path, workspace, section)
    kind = _kind_of(files, section)
    if kind == "delimited" and len(delimiter) != 1:
        raise ParamsError(f"{section}.delimiter: expected one character, got {delimiter!r}")
    columns = [_read_columns(file, kind, delimiter) for file in files]
    for file, names in zip(files[1:], columns[1:], strict=True):
        _check_same_columns(columns[0], names, files[0], file)
    return RawSource(kind, tuple(files), tuple(columns[0]), delimiter if kind == "delimited" else None)


def _find_files(pattern: str, workspace: Path, section: str) -> list[Path]:
    path = workspace / pattern
    if path.is_file():
        return [path]
    if path.is_dir():
        raise InputError(
            f"{section}.path: {path} is a folder; name a file, or a pattern such as '{pattern}/*.parquet'"
        )
    if not glob.has_magic(pattern):
        raise InputError(f"{section}.path: {path} does not exist{_beside(path)}")
    files = [file for file in _matching(path) if file.is_file()]
    if not files:
        raise InputError(f"{section}.path: no file matches {path}")
    return files


def _matching(pattern: Path) -> list[Path]:
    parts = pattern.parts
    fixed = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    return sorted(Path(*parts[:fixed]).glob("/".join(parts[fixed:])))


def _beside(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent} either"
    files = (file for file in path.parent.iterdir() if file.is_file())
    names = sorted(file.name for file in files if not file.name.startswith("."))
    return (
        f"{nearest(path.name, names)}; the files there: {some(names)}" if names else "; its folder is empty"
    )


def _kind_of(files: Sequence[Path], section: str) -> Literal["delimited", "parquet"]:
    kinds = {_kind_of_file(file, section) for file in files}
    if len(kinds) > 1:
        raise InputError(f"{section}.path matches delimited and Parquet files; expected one kind")
    return kinds.pop()


def _kind_of_file(file: Path, section: str) -> Literal["delimited", "parquet"]:
    name = file.name.lower()
    if name.endswith(_PARQUET):
        return "parquet"
    if name.endswith(_DELIMITED):
        return "delimited"
    raise InputError(
        f"{section}.path: {file} is of no known kind; supported are {', '.join((*_DELIMITED, *_PARQUET))} "
        f"and {{url: {DUCKDB}FILE or postgresql://HOST/DATABASE, table: NAME}}"
    )


def _read_columns(file: Path, kind: str, delimiter: str) -> list[str]:
    if kind == "delimited":
        names = read_header(file, delimiter=delimiter)
    else:
        with as_input_error(file):
            names = [n for n in pq.read_schema(file).names if not PANDAS_INDEX.fullmatch(n)]
    _check_names(names, file)
    return names


# The columns in which pandas keeps the index of a frame that was filtered or sorted.
PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def _check_names(names: Sequence[str], file: Path) -> None:
    lower = [name.lower() for name in names]
    alike = [name for name in names if lower.count(name.lower()) > 1]
    if alike:
        raise InputError(f"{file}: the columns {some(alike)} differ only in case; rename all but one")
    taken = [name for name in names if name.startswith("__")]
    if taken:
        raise InputError(f"{file}: the columns {some(taken)} begin with '__', which is reserved; rename them")


def _check_same_columns(first: Sequence[str], names: Sequence[str], first_file: Path, file: Path) -> None:
    extra, absent = sorted(set(names) - set(first)), sorted(set(first) - set(names))
    if extra or absent:
        differences = [f"has {some(extra)}"] if extra else []
        differences += [f"lacks {some(absent)}"] if absent else []
        raise InputError(
            f"{file} {' and '.join(differences)}, unlike {first_file}; expected the same columns"
        )


def _find_database(source: Database, workspace: Path, section: str) -> RawSource:
    if is_postgresql(source.url):
        with open_session(source.url, section=f"{section}.path") as session:
            found = find_columns(session, source.table)
        _check_names(list(found), Path(source.table))
        return RawSource(
            "postgresql", (), tuple(found), table=source.table, url=source.url, section=f"{section}.path"
        )
    if not source.url.startswith(DUCKDB):
        raise InputError(
            f"{section}.path.url: {source.url.split('://')[0]}:// is not supported; "
            f"expected {DUCKDB}FILE, postgresql://HOST/DATABASE, or export the table to Parquet or CSV"
        )
    file = workspace / source.url.removeprefix(DUCKDB)
    if not file.is_file():
        raise InputError(f"{section}.path.url: {file} does not exist{_beside(file)}")
    con = ibis.duckdb.connect()
    try:
        with as_input_error(file), attached(con, file) as database:
            columns = table_in(con, database, source.table).columns
    finally:
        con.disconnect()
    _check_names(columns, file)
    return RawSource("duckdb", (file,), tuple(columns), table=source.table)


@contextmanager
def attached(con: Backend, file: Path) -> Iterator[str]:
    name = f"source_{uuid.uuid4().hex}"
    con.attach(str(file).replace("'", "''"), name, read_only=True)
    try:
        yield name
    finally:
        con.detach(name)


def table_in(con: Backend, database: str, name: str) -> ir.Table:
    """Return a table or view of an attached database; `name` may begin with its schema.

    Raises
    ------
    InputError
        It is not there.
    """
    schema, _, table = name.rpartition(".")
    listed = con.con.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = $1 UNION ALL "
        "SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = $1 AND NOT internal",
        [database],
    ).fetchall()
    if (schema or "main", table) not in listed:
        names = sorted(t if s == "main" else f"{s}.{t}" for s, t in listed)
        raise InputError(f"table {name!r} is not there{nearest(name, names)}; the tables: {some(names)}")
    return con.table(table, database=(database, schema or "main"))


@contextmanager
def as_input_error(file: Path) -> Iterator[None]:
    """Turn what an engine says of a damaged or locked file into our errors."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        check_room(error)
        if isinstance(error, duckdb.IOException) and "could not set lock" in str(error).lower():
            raise BusyError(f"{file} is in use by another program; try again later: {error}") from None
        raise InputError(f"{file} could not be read: {str(error).splitlines()[0]}") from None
