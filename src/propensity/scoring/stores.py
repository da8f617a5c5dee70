"""The databases that scores can be written to: a DuckDB file, a PostgreSQL server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from propensity.data.files import check_room
from propensity.data.locations import DUCKDB
from propensity.data.postgresql import is_postgresql, open_session
from propensity.errors import BusyError, InputError, ParamsError, hide_passwords
from propensity.params import Database
from propensity.scoring.target import Store, quote, quote_name

_SECTION = "scoring.to"
_ROWS = 5_000  # held as Python values at a time


@contextmanager
def open_store(database: Database, folder: Path) -> Iterator[Store]:
    """Open the database of ``scoring.to``.

    Raises
    ------
    ParamsError
        It is of no kind that is known.
    BusyError
        It does not answer, or another job is writing the same table.
    """
    if is_postgresql(database.url):
        with open_session(database.url, section=_SECTION) as session:
            session.autocommit = True
            store = PostgresStore(session, database)
            yield store
            store.release()
    elif database.url.startswith(DUCKDB):
        yield DuckdbStore(folder / database.url.removeprefix(DUCKDB))
    else:
        raise ParamsError(
            f"scoring.to.url: {database.url.split('://')[0]}:// is not supported; expected {DUCKDB}FILE or "
            "postgresql://HOST/DATABASE"
        )


class DuckdbStore:
    """A DuckDB file, open for as long as a transaction takes: while it is, no other process can read it."""

    def __init__(self, file: Path) -> None:
        self.name = str(file)
        self._file = file
        self._con: Any = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with _told(self._file), duckdb.connect(str(self._file)) as con:
            con.execute("SET TimeZone = 'UTC'")
            con.begin()
            self._con = con
            yield
            con.commit()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return list(self._con.execute(statement, list(values)).fetchall())

    def find_columns(self, table: str) -> dict[str, str] | None:
        schema, _, name = table.rpartition(".")
        found = self.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database() "
            "AND schema_name = ? AND table_name = ?",
            [schema or "main", name],
        )
        return dict(found) or None

    def types_of(self, part: Path) -> dict[str, str]:
        return {row[0]: row[1] for row in self.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(part)])}

    def insert(self, table: str, part: Path, run: str, chunk: int) -> int:
        self.execute(
            f"INSERT INTO {table} BY NAME SELECT *, ? AS run, ?::BIGINT AS chunk FROM read_parquet(?)",
            [run, chunk, str(part)],
        )
        return int(pq.read_metadata(part).num_rows)


class PostgresStore:
    """A session with a PostgreSQL server that nobody else writes the same table in."""

    def __init__(self, session: Any, database: Database) -> None:
        self.name = hide_passwords(database.url)
        self._session = session
        (free,) = session.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [f"propensity {database.table}"]
        ).fetchone()
        if not free:
            raise BusyError(
                f"scoring.to: another job is writing {database.table} of {self.name}; try again later"
            )

    def release(self) -> None:
        """Let the next job in: a server notices only some time later that a session was closed."""
        self._session.execute("SELECT pg_advisory_unlock_all()")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._session.transaction():
            yield

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        found = self._session.execute(statement.replace("?", "%s"), list(values))
        return list(found.fetchall()) if found.description else []

    def find_columns(self, table: str) -> dict[str, str] | None:
        found = self.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [quote_name(table)],
        )
        return dict(found) or None

    def types_of(self, part: Path) -> dict[str, str]:
        return {field.name: _postgres_type(field.type) for field in pq.read_schema(part)}

    def insert(self, table: str, part: Path, run: str, chunk: int) -> int:
        file = pq.ParquetFile(part)
        names = file.schema_arrow.names
        columns = ", ".join(map(quote, [*names, "run", "chunk"]))
        with self._session.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            for batch in file.iter_batches(batch_size=_ROWS):
                values = [_as_values(batch.column(name)) for name in names]
                for row in zip(*values, strict=True):
                    copy.write_row((*row, run, chunk))
        return int(file.metadata.num_rows)


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Turn what DuckDB says of a file that it cannot write into our errors."""
    try:
        yield
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        if "could not set lock" in said.lower():
            raise BusyError(f"{file} is in use by another program; try again later: {said}") from None
        check_room(error)
        raise InputError(f"scoring.to.url: {file} could not be written: {said}") from None


def _as_values(column: pa.Array) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if pa.types.is_nested(column.type):
        return [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
    return values


def _postgres_type(kind: pa.DataType) -> str:
    if pa.types.is_nested(kind):
        return "jsonb"
    if pa.types.is_timestamp(kind):
        return "timestamp with time zone"
    if pa.types.is_floating(kind):
        return "double precision"
    return "bigint" if pa.types.is_integer(kind) else "text"
