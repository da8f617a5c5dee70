"""The engine: where table expressions are computed, kept, read from files and written to them.

Two there are, DuckDB in this process and Spark. Everything else is Ibis expressions, which say the same on
both; what differs between the two stands here and in `propensity.data.spark`.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from propensity.data.delimited import ROW
from propensity.errors import ParamsError
from propensity.params import DataParams

_STAGING, _IN_USE = ".propensity-", "in_use"  # a folder of staged tables, and the file that its process locks
_held: dict[Path, IO[str]] = {}

Engine = Any  # an Ibis backend: of DuckDB, or the one of propensity.data.spark
_EXTRA = ("pyspark", "grpc", "grpc_status", "google", "zstandard")  # what the extra spark brings
Batches = Iterator[pa.RecordBatch]


def connect(params: DataParams, *, folder: Path | None = None, threads: int = 0) -> Engine:
    """Return the engine of ``data.engine``, which spills and stages to a folder of its own.

    The folder is made inside `folder` (default: the system's temporary folder) and removed when the
    connection is garbage collected or the process ends.

    Parameters
    ----------
    threads : int
        Of a Spark in this process; 0: all cores.

    Raises
    ------
    ParamsError
        The engine is spark, and PySpark is not installed or there is no Java.
    BusyError
        The Spark Connect server in ``SPARK_REMOTE`` cannot be reached.
    InputError
        That server does not see `folder`.
    """
    if params.engine == "duckdb":
        return connect_here(folder=folder, memory_limit=params.memory_limit)
    with warnings.catch_warnings():
        # PySpark says that it does not support all of pandas 3; what it does not is not used here.
        warnings.simplefilter("ignore", FutureWarning)
        return _connect_spark(folder, threads)


def _connect_spark(folder: Path | None, threads: int) -> Engine:
    try:
        from propensity.data.spark import connect_spark
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in _EXTRA:
            raise
        raise ParamsError(
            f"data.engine: spark needs {package}, which is not installed; run pip install "
            "'propensity[spark]', or set data.engine: duckdb"
        ) from None
    staging = _staging_folder(folder)
    try:
        con = connect_spark(staging, threads=threads)
    except BaseException:
        _remove_staging(staging)
        raise
    weakref.finalize(con, _remove_staging, staging)
    return con


def connect_here(*, folder: Path | None = None, memory_limit: str | None = None) -> Engine:
    """Return a DuckDB in memory whose session is in UTC, whatever ``data.engine`` is; `folder` as above.

    It spills to its folder where it would hold more than `memory_limit`, such as ``4GB``.
    """
    bounds = {} if memory_limit is None else {"memory_limit": memory_limit}
    staging = _staging_folder(folder)
    con = ibis.duckdb.connect(
        temp_directory=str(staging),
        TimeZone="UTC",
        preserve_insertion_order=True,
        autoinstall_known_extensions=False,
        **bounds,
    )
    weakref.finalize(con, _remove_staging, staging)
    return con


def stage(con: Engine, table: ir.Table) -> ir.Table:
    """Return the table computed once and kept in files until the connection is gone."""
    path = staging_path(con)
    if con.name == "duckdb":
        # What is read again within minutes: zstd takes a third off the file and adds a third to the time.
        con.to_parquet(table, path, compression="lz4")
    else:
        write_table(con, table, path)
    return read_table(con, path)


def define(con: Engine, table: ir.Table) -> ir.Table:
    """Return the table under a name of its own: a long expression is then compiled once, not at every use."""
    return con.create_view(f"view_{uuid.uuid4().hex}", table)


def staging_path(con: Engine) -> Path:
    """Return a path for a new Parquet file in the folder of `connect`."""
    return _staging_of(con) / f"{uuid.uuid4().hex}.parquet"


def read_table(con: Engine, path: Path) -> ir.Table:
    """Return a Parquet file, or the folder of such files that Spark writes, as a table."""
    if con.name == "pyspark":
        from propensity.data.spark import read_parquet

        return read_parquet(con, path)
    return con.read_parquet(path / "*.parquet" if path.is_dir() else path)


def read_numbered(con: Engine, path: Path, columns: Sequence[str]) -> ir.Table:
    """Return the columns of a Parquet file beside the number of each row in it, ``__row``, from 1."""
    if con.name == "pyspark":
        from propensity.data.spark import read_numbered as read

        return read(con, path, columns, row=ROW)
    table = con.read_parquet(path, file_row_number=True)
    return table.select(*columns, **{ROW: table["file_row_number"].cast("int64") + 1})


def write_table(con: Engine, table: ir.Table, path: Path) -> None:
    """Write a table to `path`, where nothing is yet: DuckDB one Parquet file, Spark a folder of them.

    The files of the folder hold the rows in order, if the table has one, by their names.
    """
    if con.name == "pyspark":
        from propensity.data.spark import write_parquet

        write_parquet(con, table, path)
    else:
        con.to_parquet(table, path, compression="zstd")


def map_batches(
    con: Engine, table: ir.Table, function: Callable[[Batches], Batches], schema: pa.Schema
) -> ir.Table:
    """Return what `function` makes of a table's batches, of the given schema.

    Spark calls it where each partition lies, so all that it uses must be installed there; DuckDB calls it
    here, once, and keeps what it gives in a file.
    """
    if con.name == "pyspark":
        from propensity.data.spark import map_batches as map_partitions

        return map_partitions(con, table, function, schema)
    import pyarrow.parquet as pq

    path = staging_path(con)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in function(iter(con.to_pyarrow_batches(table))):
            writer.write_batch(batch)
    return con.read_parquet(path)


def _staging_folder(folder: Path | None) -> Path:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
    unseen = staging / f"{_IN_USE}.new"
    _held[staging] = unseen.open("w")
    fcntl.flock(_held[staging], fcntl.LOCK_EX)
    unseen.rename(staging / _IN_USE)  # others look for it, and find it locked
    return staging


def _remove_staging(staging: Path) -> None:
    _held.pop(staging).close()
    shutil.rmtree(staging, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove the staging folders of processes that were killed: nobody holds the lock in them."""
    for marker in folder.glob(f"{_STAGING}*/{_IN_USE}"):
        with marker.open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(marker.parent, ignore_errors=True)


def _staging_of(con: Engine) -> Path:
    if con.name == "pyspark":
        return Path(con.staging)
    # All rows are taken: a result that is not read to its end blocks the connection.
    ((folder,),) = con.con.execute("SELECT current_setting('temp_directory')").fetchall()
    return Path(folder)
