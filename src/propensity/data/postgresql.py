"""PostgreSQL: sessions, what a table's columns are, and its rows copied to a Parquet file.

psycopg is imported where it is used: what scores frames and files does without it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from propensity.data.delimited import ROW
from propensity.errors import BusyError, InputError, ParamsError, hide_passwords, nearest, some

if TYPE_CHECKING:
    from psycopg import Connection

SCHEMES = ("postgresql://", "postgres://")

_WAIT = 10  # seconds for a server to answer, unless the URL says how many
_BLOCK = 16 * 1024 * 1024  # bytes parsed at a time; no row may be longer
# What the server refuses a session for that no waiting mends; it sends such refusals without a code.
_LASTING = re.compile(r"authentication failed|does not exist|no password supplied|pg_hba\.conf|not permitted")

# Moments are read as text, which the rules for text then judge row by row: PostgreSQL knows moments, such as
# infinity, that no engine here does.
_NUMBERS = {"int2", "int4", "int8"}
_FLOATS = {"float4", "float8"}
_TEXTS = {
    "text",
    "varchar",
    "bpchar",
    "name",
    "citext",
    "uuid",
    "date",
    "timestamp",
    "timestamptz",
    "numeric",
}


def is_postgresql(url: str) -> bool:
    """Say whether a URL names a PostgreSQL database."""
    return url.startswith(SCHEMES)


@contextmanager
def open_session(url: str, *, section: str) -> Iterator[Connection[Any]]:
    """Connect to a database; what it refuses is told in words, without the password.

    Parameters
    ----------
    url : str
        In libpq's form. ``${NAME}`` stands for a variable of the environment; what the URL leaves out, libpq
        takes from ``PGPASSWORD`` and its like or from ``~/.pgpass``.
    section : str
        How messages call the params, such as ``data.leads.path``.

    Raises
    ------
    ParamsError
        The URL cannot be read, or a variable in it is not set.
    InputError
        The server refuses the session for good, or a statement of the block.
    BusyError
        The server does not answer, or ends the session.
    """
    import psycopg

    known = _read_url(url, section)
    secret = str(known.get("password") or "")
    try:
        known.setdefault("connect_timeout", _WAIT)
        known.setdefault("application_name", "propensity")
        with psycopg.connect(**known) as session:
            session.execute("SET TimeZone = 'UTC'")
            session.execute("SET DateStyle = 'ISO'")
            session.commit()
            yield session
    except psycopg.Error as error:
        raise _as_told(error, f"{section}.url ({hide_passwords(url)})", secret) from None


@contextmanager
def open_snapshot(url: str, *, section: str) -> Iterator[Connection[Any]]:
    """Connect for reading: what the block reads is as of one moment, and in the order it is stored."""
    import psycopg

    with open_session(url, section=section) as session:
        session.execute("SET synchronize_seqscans = off")
        session.commit()
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        session.read_only = True
        yield session


def name_table(url: str, table: str) -> str:
    """Return what a table is called where its hash is kept: server, database and table, no user."""
    known = _read_url(url, "url")
    host, port = known.get("host") or "local", known.get("port") or 5432
    return f"postgresql://{host}:{port}/{known.get('dbname') or known.get('user') or ''}/{table}"


def find_columns(session: Connection[Any], table: str) -> dict[str, str]:
    """Return the columns of a table or view and the names of their types, in its order.

    Parameters
    ----------
    session : Connection
    table : str
        Its name, which may begin with its schema; as the server keeps it, mind upper and lower case.

    Raises
    ------
    InputError
        It is not there.
    """
    schema, _, name = table.rpartition(".")
    listed = session.execute(
        "SELECT n.nspname, c.relname, pg_table_is_visible(c.oid), c.oid FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') "
        "AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
    ).fetchall()
    found = [oid for s, t, seen, oid in listed if t == name and (s == schema if schema else seen)]
    if not found:
        names = sorted(t if seen else f"{s}.{t}" for s, t, seen, _ in listed)
        there = f"; the tables: {some(names)}" if names else "; there is none that this user may see"
        raise InputError(f"table {table!r} is not there{nearest(table, names)}{there}")
    rows = session.execute(
        "SELECT a.attname, coalesce(b.typname, t.typname), t.typtype FROM pg_attribute a "
        "JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = nullif(t.typbasetype, 0) "
        "WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        [found[0]],
    ).fetchall()
    return {name: "text" if kind == "e" else type_name for name, type_name, kind in rows}


def copy_table(
    session: Connection[Any], table: str, columns: Sequence[str], target: Path, *, where: str
) -> None:
    """Write the named columns of a table to the Parquet file `target`, with each row's number as ``__row``.

    The rows come in batches and are never all in memory. Whole numbers, floats and truth values keep their
    type, all else is text: numbers of type numeric in full, without zeros at the end of a fraction.

    Raises
    ------
    InputError
        A column is of a type that holds no single text, number, truth value or moment.
    """
    from psycopg import sql

    types = find_columns(session, table)
    _check_types({name: types[name] for name in columns}, where)
    parts = [
        sql.SQL("trim_scale({})::text" if types[name] == "numeric" else "{}::text").format(
            sql.Identifier(name)
        )
        for name in columns
    ]
    query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT csv)").format(
        sql.SQL(", ").join(parts), sql.Identifier(*table.split("."))
    )
    text = target.with_suffix(".csv")
    try:
        with text.open("wb") as stream, session.cursor() as cursor, cursor.copy(query) as copy:
            for block in copy:
                stream.write(block)
        _parse(text, target, {name: _arrow_type(types[name]) for name in columns})
    finally:
        text.unlink(missing_ok=True)


def _parse(text: Path, target: Path, types: dict[str, pa.DataType]) -> None:
    schema = pa.schema([*types.items(), (ROW, pa.int64())])
    if text.stat().st_size == 0:  # a reader of CSV wants a first row
        pq.write_table(schema.empty_table(), target, compression="zstd")
        return
    reader = pc.open_csv(
        text,
        read_options=pc.ReadOptions(column_names=list(types), block_size=_BLOCK),
        parse_options=pc.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pc.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["true"],
            false_values=["false"],
        ),
    )
    rows = 0
    with reader, pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in reader:
            numbers = pa.array(range(rows + 1, rows + batch.num_rows + 1), pa.int64())
            writer.write_batch(pa.record_batch([*batch.columns, numbers], schema=schema))
            rows += batch.num_rows


def _arrow_type(name: str) -> pa.DataType:
    if name in _NUMBERS:
        return pa.int64()
    if name in _FLOATS:
        return pa.float64()
    return pa.bool_() if name == "bool" else pa.string()


def _check_types(types: dict[str, str], where: str) -> None:
    known = _NUMBERS | _FLOATS | _TEXTS | {"bool"}
    odd = [f"{name!r} is {kind}" for name, kind in types.items() if kind not in known]
    if odd:
        raise InputError(
            f"{where}: column {', '.join(odd[:5])}{f' and {len(odd) - 5} more' if len(odd) > 5 else ''}; "
            "expected text, numbers, true or false, dates and timestamps. Name a view that leaves such "
            "columns out or casts them"
        )


def _read_url(url: str, section: str) -> dict[str, Any]:
    """Return what a URL says, with variables of the environment filled in."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    unset = [name for name in re.findall(r"\$\{(\w+)\}", url) if name not in os.environ]
    if unset:
        raise ParamsError(f"{section}.url names {some(unset)} of the environment, which is not set there")
    filled = re.sub(r"\$\{(\w+)\}", lambda found: quote(os.environ[found[1]], safe=""), url)
    try:
        return dict(conninfo_to_dict(filled))
    except ProgrammingError:
        raise ParamsError(
            f"{section}.url: {hide_passwords(url)} is no URL of a database; expected "
            "postgresql://USER@HOST:PORT/DATABASE, with signs such as @ and / in a password written as %40 "
            "and %2F"
        ) from None


def _as_told(error: Any, where: str, secret: str) -> Exception:
    import psycopg

    said = " ".join(str(error).split())
    said = hide_passwords(said.replace(secret, "***") if secret else said)
    if isinstance(error, psycopg.OperationalError) and not _LASTING.search(said):
        return BusyError(
            f"{where}: the database could not be reached or ended the session; try again: {said}"
        )
    return InputError(f"{where}: the database refuses it: {said}")
