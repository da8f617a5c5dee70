"""The one way files are written: complete, or not at all."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from propensity.errors import BusyError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_milestones = logging.getLogger("propensity.milestones")


def milestone(name: str) -> None:
    """Say, at DEBUG on the logger ``propensity.milestones``, that a job is past a point of no return.

    These are the moments at which being killed could leave something undone; what they are called is part
    of the tests that kill there.
    """
    _milestones.debug(name)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it into place when the block succeeds.

    A reader sees the old file or the whole new one; either may be a folder of files, as Spark writes. When
    the block raises, the temporary file is removed and `path` is untouched. The folder is made if it is
    missing.
    """
    with atomic_paths([path]) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(paths: list[Path]) -> Iterator[list[Path]]:
    """Yield a temporary path for each of `paths`; move all into place when the block succeeds.

    All files are complete and on disk before the first is moved, so a failure while writing any of
    them leaves every old file as it was. A temporary path that the block did not write is skipped.
    """
    temporaries = [_temporary_beside(path) for path in paths]
    try:
        yield temporaries
        for temporary in temporaries:
            for written in [*temporary.rglob("*"), temporary]:
                _sync(written)
        for temporary, path in zip(temporaries, paths, strict=True):
            if temporary.exists():
                _move(temporary, path)
    finally:
        for temporary in temporaries:
            _remove(temporary)
    for folder in {path.parent for path in paths}:
        _sync(folder)


def write_bytes(content: bytes, path: Path) -> None:
    """Write `content` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(content: str, path: Path) -> None:
    """Write `content` to `path` atomically, as UTF-8 with unchanged line ends."""
    write_bytes(content.encode("utf-8"), path)


def write_json(content: Any, path: Path) -> None:
    """Write `content` to `path` atomically as JSON with a stable layout; NaN and infinity become null."""
    write_text(to_json(content), path)


def to_json(content: Any) -> str:
    """Return `content` as indented JSON that is the same for the same content."""
    return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_parquet(table: pd.DataFrame | pa.Table, path: Path) -> None:
    """Write `table` to `path` atomically as Parquet, without pandas' index."""
    arrow = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False)
    with atomic_path(path) as temporary:
        pq.write_table(arrow.replace_schema_metadata(None), temporary, compression="zstd")


def write_tables(tables: Iterable[pa.Table], path: Path) -> int:
    """Write tables of one schema to one Parquet file atomically, each as it comes; return the rows.

    Raises
    ------
    ValueError
        There is no table, and so no schema.
    """
    with atomic_path(path) as temporary:
        return stream_parquet(tables, temporary)


def stream_parquet(tables: Iterable[pa.Table], path: Path) -> int:
    """Write tables of one schema to `path`, which `atomic_paths` gave, each as it comes; return the rows.

    Raises
    ------
    ValueError
        There is no table, and so no schema.
    """
    rest = iter(tables)
    first = next(rest, None)
    if first is None:
        raise ValueError(f"no table to write to {path}")
    schema, rows = first.schema.remove_metadata(), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in chain([first], rest):
            writer.write_table(table.replace_schema_metadata(None).cast(schema))
            rows += table.num_rows
    return rows


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder`, and let it take that one's place when the block succeeds.

    There is no moment without `folder`, whenever the process ends.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent) as name:
        fresh = Path(name) / "new"
        fresh.mkdir()
        yield fresh
        for path in [*fresh.rglob("*"), fresh]:
            _sync(path)
        if folder.exists():
            _exchange(fresh, folder)
        else:
            fresh.rename(folder)
        _sync(folder.parent)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`, which is made if it is missing.

    The lock goes with the process, however it ends.

    Raises
    ------
    BusyError
        Another process holds it and `wait` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise BusyError(f"{path} is locked: another command is at work here; try again later") from None
        yield


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that were killed left in a folder; no writer may be at work there."""
    for path in folder.glob(".*.tmp"):
        _remove(path)


@contextmanager
def told_when_full() -> Iterator[None]:
    """Turn running out of room into an error that says so, and after which to try again.

    Raises
    ------
    BusyError
        A file could not be written for want of room.
    """
    import duckdb

    try:
        yield
    except (OSError, duckdb.Error) as error:
        check_room(error)
        raise


def check_room(error: Exception) -> None:
    """Tell a full disk from other causes of an error.

    Raises
    ------
    BusyError
        A file could not be written for want of room.
    """
    said = str(error)
    by_number = isinstance(error, OSError) and error.errno in _FULL
    if by_number or any(os.strerror(number).lower() in said.lower() for number in _FULL):
        told = said.splitlines()[0][:200]
        raise BusyError(f"there is no room left for a file; make some and try again: {told}") from error


def _temporary_beside(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    temporary.unlink()  # writers such as DuckDB's COPY create the file themselves
    return temporary


def _exchange(one: Path, other: Path) -> None:
    """Swap two folders in one step, where the file system can, else in three."""
    libc = ctypes.CDLL(None, use_errno=True)
    at_here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE: rename(2) itself replaces empty folders only
    if libc.renameat2(at_here, os.fsencode(one), at_here, os.fsencode(other), exchange) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(code, os.strerror(code), str(other))
    aside = _temporary_beside(one)
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def _move(temporary: Path, path: Path) -> None:
    """Put a file, or a folder of files, in the place of another one."""
    if path.exists() and (temporary.is_dir() or path.is_dir()):
        _exchange(temporary, path)
    else:
        temporary.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    if not path.exists():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _plain(value: Any) -> Any:
    """Turn numpy and pandas values, at any depth, into what JSON can hold."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(v) for v in value]
    if isinstance(value, pd.DataFrame):
        return [_plain(row) for row in value.to_dict(orient="records")]
    if value is None or value is pd.NaT:
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
