"""Scores in a database: every chunk with its mark in one transaction, and the whole shown in another.

Beside the table ``T`` that ``scoring.to`` names stand

``T_current``
    a view of the rows of the last finished run: what readers should read
``T_runs``
    the finished runs, one row an ``(as_of, model_version)``
``T_staged``, ``T_chunks``
    the rows of a run under way, and the mark of each chunk of them; nobody but the job reads these

``T`` holds the scores of finished runs alone, keyed by ``(lead_id, as_of, model_version)``. A run's rows are
moved into it, those of an earlier run of the same moment and model removed, and the view turned to it in one
transaction: a reader sees the old result or the new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from propensity.errors import InputError, nearest
from propensity.params import Database

_RUN, _CHUNK = "run", "chunk"


class Store(Protocol):
    """A database that scores are written to."""

    name: str

    def transaction(self) -> AbstractContextManager[None]:
        """Do what the block executes wholly or not at all."""

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute one statement with ``?`` for each value; return its rows, if it has any."""

    def find_columns(self, table: str) -> dict[str, str] | None:
        """Return the types of a table's columns; None if there is no such table."""

    def types_of(self, part: Path) -> dict[str, str]:
        """Return the types that the columns of a part have in this database."""

    def insert(self, table: str, part: Path, run: str, chunk: int) -> int:
        """Add the rows of a part, with the run and the chunk they belong to; return how many."""


@dataclass(frozen=True)
class Run:
    """The run that is written.

    Attributes
    ----------
    name : str
        Another for each run, and the same when one goes on.
    as_of : datetime or None
    model_version : str
    scored_at : datetime
    keep_days : float or None
        As ``scoring.keep_days``; 0 with ``scoring.history: false``.
    """

    name: str
    as_of: datetime | None
    model_version: str
    scored_at: datetime
    keep_days: float | None


@dataclass(frozen=True)
class Target:
    """A table of a database, and the run that is written to it; without a store nothing is done."""

    store: Store | None
    table: str
    run: Run


@contextmanager
def open_target(database: Database | None, folder: Path, run: Run) -> Iterator[Target]:
    """Open the database that scores go to; `folder` is what its path is relative to.

    Raises
    ------
    BusyError
        It does not answer, or another job is writing the same table.
    """
    if database is None:
        yield Target(None, "", run)
        return
    from propensity.scoring.stores import open_store

    with open_store(database, folder) as store:
        yield Target(store, database.table, run)


def load_chunk(target: Target, number: int, part: Path) -> None:
    """Write a chunk's rows and its mark in one transaction, unless it has its mark."""
    from propensity.data.files import milestone

    store, run = target.store, target.run
    if store is None:
        return
    if number == 0:
        _prepare(target, part)
    with store.transaction():
        if _is_finished(target) or _is_marked(target, number):
            return
        rows = store.insert(_name(target, "staged"), part, run.name, number)
        mark = f"INSERT INTO {_name(target, 'chunks')} (run, chunk, leads) VALUES (?, ?, ?)"
        store.execute(mark, [run.name, number, rows])
        milestone("score: chunk inserted")
    milestone("score: chunk committed")


def show_run(target: Target, leads: int) -> None:
    """Move a run's rows into the table and turn the view to it, in one transaction.

    Parameters
    ----------
    target : Target
    leads : int
        That were scored, and so the rows to be there.
    """
    from propensity.data.files import milestone

    store, run = target.store, target.run
    if store is None:
        return
    with store.transaction():
        if not _is_finished(target):
            _check_rows(target, leads)
            _replace_rows(target, leads)
            _forget_runs(target)
        store.execute(f"UPDATE {_name(target, 'runs')} SET is_current = (run = ?)", [run.name])
        milestone("score: database turned")
    milestone("score: database committed")


def _prepare(target: Target, part: Path) -> None:
    """Create the tables that are not there, and remove what an unfinished other run left."""
    store, run = _store(target), target.run
    with store.transaction():
        types = store.types_of(part)
        staged = types | {_RUN: "text", _CHUNK: "bigint"}
        _create(target, "", types)
        _create(target, "staged", staged)
        _create(target, "chunks", {_RUN: "text", _CHUNK: "bigint", "leads": "bigint"})
        moment = types["scored_at"]
        about = {"as_of": moment, "model_version": "text", "scored_at": moment, "leads": "bigint"}
        _create(target, "runs", about | {_RUN: "text", "is_current": "boolean"})
        if store.find_columns(f"{target.table}_current") is None:
            store.execute(
                f"CREATE VIEW {_name(target, 'current')} AS SELECT s.* FROM {_name(target)} AS s "
                f"JOIN {_name(target, 'runs')} AS r ON r.is_current AND r.model_version = s.model_version "
                "AND r.as_of IS NOT DISTINCT FROM s.as_of"
            )
        for name in ("staged", "chunks"):
            store.execute(f"DELETE FROM {_name(target, name)} WHERE run <> ?", [run.name])


def _create(target: Target, suffix: str, types: dict[str, str]) -> None:
    """Create a table, or make sure that the one there has the columns."""
    store, name = _store(target), f"{target.table}_{suffix}" if suffix else target.table
    there = store.find_columns(name)
    if there is None:
        columns = ", ".join(f"{quote(column)} {kind}" for column, kind in types.items())
        store.execute(f"CREATE TABLE {quote_name(name)} ({columns})")
        return
    problems = [
        f"{column} should be {kind}, {_found(column, there)}"
        for column, kind in types.items()
        if there.get(column, "").lower() != kind.lower() and not _alike(there.get(column), kind)
    ]
    if problems:
        raise InputError(
            f"scoring.to.table: {name} of {store.name} is no table that scores can be written to: "
            f"{'; '.join(problems[:5])}. Name another table, which is created, or rename this one"
        )


def _alike(there: str | None, kind: str) -> bool:
    return (there or "").lower() in {"varchar", "text"} and kind.lower() in {"varchar", "text"}


def _found(column: str, there: dict[str, str]) -> str:
    return f"it is {there[column]}" if column in there else f"it is not there{nearest(column, there)}"


def _is_finished(target: Target) -> bool:
    found = _store(target).execute(f"SELECT 1 FROM {_name(target, 'runs')} WHERE run = ?", [target.run.name])
    return bool(found)


def _is_marked(target: Target, number: int) -> bool:
    query = f"SELECT 1 FROM {_name(target, 'chunks')} WHERE run = ? AND chunk = ?"
    return bool(_store(target).execute(query, [target.run.name, number]))


def _check_rows(target: Target, leads: int) -> None:
    query = f"SELECT count(*), count(DISTINCT lead_id) FROM {_name(target, 'staged')} WHERE run = ?"
    ((rows, distinct),) = _store(target).execute(query, [target.run.name])
    if not rows == distinct == leads:
        raise AssertionError(f"{leads} leads were scored, {rows} rows of {distinct} leads were written")


def _replace_rows(target: Target, leads: int) -> None:
    store, run = _store(target), target.run
    same = "as_of IS NOT DISTINCT FROM ? AND model_version = ?"
    for name in ("", "runs"):
        store.execute(f"DELETE FROM {_name(target, name)} WHERE {same}", [run.as_of, run.model_version])
    kept = [c for c in store.find_columns(f"{target.table}_staged") or {} if c not in (_RUN, _CHUNK)]
    columns = ", ".join(map(quote, kept))
    store.execute(
        f"INSERT INTO {_name(target)} ({columns}) SELECT {columns} "
        f"FROM {_name(target, 'staged')} WHERE run = ?",
        [run.name],
    )
    store.execute(
        f"INSERT INTO {_name(target, 'runs')} (as_of, model_version, scored_at, leads, run, is_current) "
        "VALUES (?, ?, ?, ?, ?, true)",
        [run.as_of, run.model_version, run.scored_at, leads, run.name],
    )
    for name in ("staged", "chunks"):
        store.execute(f"DELETE FROM {_name(target, name)} WHERE run = ?", [run.name])


def _forget_runs(target: Target) -> None:
    """Remove the runs whose moment lies too many days before this one's, and their rows."""
    store, run = _store(target), target.run
    if run.keep_days is None or run.as_of is None:
        return
    before = run.as_of - timedelta(days=run.keep_days)
    for name in ("", "runs"):
        store.execute(f"DELETE FROM {_name(target, name)} WHERE as_of < ?", [before])


def _store(target: Target) -> Store:
    assert target.store is not None
    return target.store


def _name(target: Target, suffix: str = "") -> str:
    return quote_name(f"{target.table}_{suffix}" if suffix else target.table)


def quote_name(name: str) -> str:
    """Return a table's name, which may begin with its schema, as SQL."""
    return ".".join(quote(part) for part in name.split("."))


def quote(name: str) -> str:
    """Return a name as SQL."""
    return '"' + name.replace('"', '""') + '"'
