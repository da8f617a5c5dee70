"""Spark as an engine: a session, its tables and files, and Ibis' backend for it.

Everything above `data` is written in Ibis expressions, which this module and `propensity.data.spark_sql`
make give on Spark what they give on DuckDB. Both are imported only where ``data.engine`` is spark.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.schema as sch
import ibis.expr.types as ir
import pyarrow as pa
import pyspark.sql.types as pt
from ibis.backends.pyspark import Backend
from ibis.backends.pyspark.datatypes import PySparkType
from ibis.formats.pyarrow import PyArrowSchema
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from propensity.data.spark_sql import SparkCompiler, register_spellings
from propensity.errors import BusyError, InputError, ParamsError

_CONNECT_PORT = 15002
_REACHED_WITHIN = 10.0  # seconds

# What values mean and how files are written; a cluster's own settings for all else are left alone.
_SESSION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.execution.arrow.useLargeVarTypes": "false",
}
_LOCAL = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}


def connect_spark(staging: Path, *, threads: int = 0) -> SparkEngine:
    """Return an engine on the Spark that the environment names.

    That is the server in ``SPARK_REMOTE``; else the cluster of ``spark-submit`` or of a session that is
    active in this process; else one in this process, on this machine's cores.

    Parameters
    ----------
    staging : Path
        An empty folder for intermediate files, which executors see under the same path.
    threads : int
        Of a local Spark; 0: all cores.

    Raises
    ------
    BusyError
        The server in ``SPARK_REMOTE`` cannot be reached.
    ParamsError
        There is no Java to run Spark with.
    InputError
        The server does not see the folder `staging`.
    """
    remote = os.environ.get("SPARK_REMOTE")
    session = _remote_session(remote) if remote else _own_session(threads)
    for key, value in _SESSION.items():
        session.conf.set(key, value)
    _ = ibis.pyspark  # registers the options of the backend, which its compiler reads
    con = SparkEngine()
    con.do_connect(session)
    con.staging = staging
    register_spellings(con.session)
    if remote:
        _check_shared(con, remote)
    return con


def _remote_session(remote: str) -> SparkSession:
    where = urlsplit(remote)
    try:
        address = (where.hostname or "", where.port or _CONNECT_PORT)
        socket.create_connection(address, timeout=_REACHED_WITHIN).close()
    except (OSError, ValueError) as error:
        raise BusyError(
            f"data.engine: no Spark Connect server answers at SPARK_REMOTE={where.scheme}://"
            f"{where.hostname}:{where.port or _CONNECT_PORT} ({error}); start it or try again later"
        ) from None
    return SparkSession.builder.remote(remote).create()


def _own_session(threads: int) -> SparkSession:
    active = SparkSession.getActiveSession()
    if active is not None:
        return active.newSession()  # views and settings of its own
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return SparkSession.builder.appName("propensity").getOrCreate()
    if not _has_java():
        raise ParamsError(
            "data.engine: spark runs on Java 17 or later, and there is no java in JAVA_HOME or on PATH; "
            "install one, name a server in SPARK_REMOTE, or set data.engine: duckdb"
        )
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # of the processes that run Python for Spark
    cores = threads or os.cpu_count() or 1
    builder = SparkSession.builder.appName("propensity").master(f"local[{cores}]")
    for key, value in {**_LOCAL, "spark.sql.shuffle.partitions": str(2 * cores)}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def _has_java() -> bool:
    home = os.environ.get("JAVA_HOME")
    return (Path(home) / "bin" / "java").exists() if home else shutil.which("java") is not None


def _check_shared(con: SparkEngine, remote: str) -> None:
    path = con.staging / f"{uuid.uuid4().hex}.parquet"
    con.session.range(1).write.parquet(str(path))
    if not path.exists():
        raise InputError(
            f"the Spark server at {urlsplit(remote).hostname} does not write to the {con.staging.parent} of "
            "this machine; put the workspace on storage that both see under the same path"
        )


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep quiet what PySpark says of pandas 3: that some of its own features, none used here, may fail."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        yield


class SparkEngine(Backend):  # type: ignore[misc]
    """Ibis' backend for Spark, with the values that DuckDB gives.

    Attributes
    ----------
    staging : Path
        The folder for intermediate files.
    """

    compiler = SparkCompiler()
    staging: Path

    @property
    def session(self) -> SparkSession:
        """The Spark session."""
        return self._session

    def frame_of(self, table: ir.Table) -> Any:
        """Return a table expression as Spark's DataFrame."""
        self._run_pre_execute_hooks(table)
        return self.session.sql(self.compile(table))

    def named(self, frame: Any, schema: sch.Schema | None = None) -> ir.Table:
        """Return a DataFrame as a table expression, under a name of its own; `schema` spares asking."""
        name = f"view_{uuid.uuid4().hex}"
        frame.createOrReplaceTempView(name)
        found = _schema_of(frame.schema) if schema is None else schema
        return named_table(self, name, found)

    def get_schema(self, table_name: str, *, catalog: Any = None, database: Any = None) -> sch.Schema:
        """Return a table's schema; Ibis takes moments and local times for the same type."""
        if catalog is not None or database is not None:
            return super().get_schema(table_name, catalog=catalog, database=database)
        return _schema_of(self.session.table(table_name).schema)

    def _get_schema_using_query(self, query: str) -> sch.Schema:
        return _schema_of(self.raw_sql(query).schema)

    def to_pyarrow(self, expr: ir.Expr, /, **_: Any) -> Any:
        """Execute an expression without the way through pandas, in which integers with nulls are floats."""
        table = expr.as_table()
        with without_warnings():
            found = self.frame_of(table).toArrow()
        return expr.__pyarrow_result__(found.cast(PyArrowSchema.from_ibis(table.schema())))

    def execute(self, expr: ir.Expr, /, **_: Any) -> Any:
        """Execute an expression and return what pandas makes of it."""
        table = self.to_pyarrow(expr.as_table())
        return expr.__pandas_result__(table.to_pandas())

    def create_table(self, name: str, /, obj: Any = None, **_: Any) -> ir.Table:
        """Keep a frame or what an expression gives under a name, for this session alone."""
        if isinstance(obj, ir.Table):
            path = self.staging / f"{uuid.uuid4().hex}.parquet"
            write_parquet(self, obj, path)
            frame = self.session.read.parquet(_address(path))
        else:
            given = obj if isinstance(obj, pa.Table) else pa.Table.from_pandas(obj, preserve_index=False)
            frame = self._hold(given)
        frame.createOrReplaceTempView(name)
        return named_table(self, name, _schema_of(frame.schema))

    def drop_table(self, name: str, /, **_: Any) -> None:
        """Forget what `create_table` keeps under a name."""
        self.session.catalog.dropTempView(name)

    def _register_in_memory_table(self, op: ops.InMemoryTable) -> None:
        self._hold(op.data.to_pyarrow(op.schema)).createOrReplaceTempView(op.name)

    def _hold(self, table: pa.Table) -> Any:
        with without_warnings():
            return self.session.createDataFrame(table.replace_schema_metadata())


def read_parquet(con: SparkEngine, path: Path) -> ir.Table:
    """Return a Parquet file, or a folder of such files, as a table."""
    return con.named(con.session.read.parquet(_address(path)))


def read_numbered(con: SparkEngine, path: Path, columns: Sequence[str], *, row: str) -> ir.Table:
    """Return the columns of a Parquet file beside the number of each row in it, from 1."""
    frame = con.session.read.parquet(_address(path))
    number = f"_metadata.row_index + 1 AS {_quoted(row)}"
    return con.named(frame.selectExpr(*map(_quoted, columns), number))


def write_parquet(con: SparkEngine, table: ir.Table, path: Path) -> None:
    """Write a table to a folder of Parquet files, one for each of its partitions, in their order."""
    frame, schema = con.frame_of(table), table.schema()
    typed = [frame[_quoted(name)].cast(_spark_type(kind)) for name, kind in schema.items()]
    frame.select(*typed).write.parquet(_address(path))


def digest_rows(con: SparkEngine, table: ir.Table) -> str:
    """Return a text that is the same for the same rows, in whatever order, and else another."""
    con.frame_of(table).createOrReplaceTempView("digested")
    # A hash of several values passes over nulls.
    row = ", ".join(f"{name}, isnull({name})" for name in map(_quoted, table.columns))
    sums = (
        f"count(*), sum(CAST(xxhash64({row}) AS DECIMAL(38))), bit_xor(xxhash64({row})), "
        f"sum(CAST(hash({row}) AS BIGINT))"
    )
    (found,) = con.session.sql(f"SELECT {sums} FROM digested").collect()
    return "-".join(map(str, found))


def map_batches(
    con: SparkEngine,
    table: ir.Table,
    function: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
    schema: pa.Schema,
) -> ir.Table:
    """Return what `function` makes of the batches of each partition, which run where the partition is."""
    names = list(table.columns)

    def with_names(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return function(batch.rename_columns(names) for batch in batches)

    # Spark takes a dot in the name of a column that it hands over for a field of a structure.
    plain = con.frame_of(table).toDF(*(f"c{i}" for i in range(len(names))))
    with without_warnings():
        return con.named(plain.mapInArrow(with_names, from_arrow_schema(schema)))


def named_table(con: SparkEngine, name: str, schema: sch.Schema) -> ir.Table:
    """Return a named table whose schema is known."""
    return ops.DatabaseTable(name, schema=schema, source=con, namespace=ops.Namespace()).to_expr()


def _address(path: Path) -> str:
    return path.resolve().as_uri()


def _quoted(column: str) -> str:
    return "`" + column.replace("`", "``") + "`"


def _schema_of(struct: pt.StructType) -> sch.Schema:
    return sch.Schema({field.name: _type_of(field.dataType) for field in struct.fields})


def _spark_type(kind: dt.DataType) -> pt.DataType:
    if kind.is_timestamp():
        return pt.TimestampNTZType() if kind.timezone is None else pt.TimestampType()
    return PySparkType.from_ibis(kind)


def _type_of(kind: pt.DataType) -> dt.DataType:
    if isinstance(kind, pt.TimestampType):
        return dt.Timestamp(timezone="UTC", scale=6)
    if isinstance(kind, pt.TimestampNTZType):
        return dt.Timestamp(scale=6)
    if isinstance(kind, pt.ArrayType):
        return dt.Array(_type_of(kind.elementType))
    if isinstance(kind, pt.StructType):
        return dt.Struct({field.name: _type_of(field.dataType) for field in kind.fields})
    return PySparkType.to_ibis(kind)
