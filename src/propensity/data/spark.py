"""Spark as an engine: a session, and Ibis' backend for it where the two engines would differ.

Everything above `data` is written in Ibis expressions. This module is what makes them give on Spark
what they give on DuckDB: nulls that are not NaN, timestamps with and without a zone, texts of numbers
and moments. The module is imported only where ``data.engine`` is spark.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import string
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
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.pyspark import Backend
from ibis.backends.pyspark.datatypes import PySparkType
from ibis.backends.sql.compilers.base import NULL
from ibis.backends.sql.compilers.pyspark import PySparkCompiler
from ibis.backends.sql.datatypes import PySparkType as SqlType
from ibis.formats.pyarrow import PyArrowSchema
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

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
_LONGEST_OVERLAP = 3  # hours that clocks are put back at once, at most
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SPELL = "propensity_spell_{}"


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
    con.register_spellings()
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

    def register_spellings(self) -> None:
        """Register how floats are written as text: Java's way and DuckDB's differ.

        The functions are local so that they travel to executors whole, which then need no copy of this
        product.
        """

        def spell_double(value: float | None) -> str | None:
            return None if value is None else repr(float(value))

        def spell_single(value: float | None) -> str | None:
            import numpy as np

            return None if value is None else repr(float(str(np.float32(value))))

        for bits, spell in ((32, spell_single), (64, spell_double)):
            self.session.udf.register(_SPELL.format(bits), spell, pt.StringType())


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


class _Types(SqlType):  # type: ignore[misc]
    @classmethod
    def _from_ibis_Timestamp(cls, dtype: dt.Timestamp) -> sge.DataType:  # noqa: N802, Ibis' name
        kind = sge.DataType.Type.TIMESTAMPNTZ if dtype.timezone is None else sge.DataType.Type.TIMESTAMPLTZ
        return sge.DataType(this=kind)


class _Compiler(PySparkCompiler):  # type: ignore[misc]
    """Ibis' compiler for Spark where its SQL would give other values than its SQL for DuckDB."""

    __slots__ = ()

    type_mapper = _Types

    def visit_IsNull(self, _op: Any, *, arg: Any) -> Any:  # noqa: N802
        """NaN is a number that was given, not a missing one."""
        return arg.is_(NULL)

    def visit_NotNull(self, _op: Any, *, arg: Any) -> Any:  # noqa: N802
        return arg.is_(sg.not_(NULL))

    def visit_IsInf(self, op: Any, *, arg: Any) -> Any:  # noqa: N802
        """Ibis compares the expressions themselves here, in Python, which is never true."""
        if not op.arg.dtype.is_floating():
            return sge.false()
        return sg.or_(arg.eq(self.POS_INF), arg.eq(self.NEG_INF))

    def visit_BitOr(self, _op: Any, *, arg: Any, where: Any) -> Any:  # noqa: N802
        """Ibis does not know that Spark has it."""
        return self.agg.bit_or(arg, where=where)

    def visit_Median(self, _op: Any, *, arg: Any, where: Any) -> Any:  # noqa: N802
        """Ibis puts the condition on the share too, which Spark wants to be the same for all rows."""
        return self.f.percentile(arg if where is None else self.if_(where, arg, NULL), sge.convert(0.5))

    def visit_Cast(self, op: Any, *, arg: Any, to: dt.DataType) -> Any:  # noqa: N802
        kind = op.arg.dtype
        if to.is_string() and kind.is_floating():
            return self.f.anon[_SPELL.format(kind.nbytes * 8)](arg)
        if to.is_string() and kind.is_timestamp() and kind.timezone is not None:
            return self.f.concat(self.cast(arg, to), "+00")
        return super().visit_Cast(op, arg=arg, to=to)

    def visit_TryCast(self, op: Any, *, arg: Any, to: dt.DataType) -> Any:  # noqa: N802
        """Read texts of moments as DuckDB does: ``24:00``, no seconds, and offsets in hours alone."""
        if op.arg.dtype.is_string() and to.is_timestamp():
            return self._local(arg) if to.timezone is None else self._zoned(arg)
        if op.arg.dtype.is_string() and to.is_floating():
            return self._float(arg, to)
        return super().visit_TryCast(op, arg=arg, to=to)

    def visit_NonNullLiteral(self, op: Any, *, value: Any, dtype: dt.DataType) -> Any:  # noqa: N802
        """Spell control characters, which Spark's literals escape in other ways, by their numbers."""
        if not dtype.is_string() or not _CONTROL.search(value):
            return super().visit_NonNullLiteral(op, value=value, dtype=dtype)
        return self._text(value)

    def visit_Strip(self, _op: Any, *, arg: Any) -> Any:  # noqa: N802
        return sge.Trim(this=arg, expression=self._text(string.whitespace), position="BOTH")

    def visit_Lowercase(self, _op: Any, *, arg: Any) -> Any:  # noqa: N802
        """Java lowers two letters by their neighbours or to two letters; DuckDB each to one."""
        return self.f.lower(self.f.anon.translate(arg, "\u0130\u03a3", "i\u03c3"))

    def visit_First(  # noqa: N802
        self, op: Any, *, arg: Any, where: Any, order_by: Any, include_null: bool
    ) -> Any:
        """Spark's FIRST takes no order; the least of the sort keys does."""
        if not order_by or include_null:
            return super().visit_First(op, arg=arg, where=where, order_by=order_by, include_null=include_null)
        given = arg.is_(sg.not_(NULL)) if where is None else sg.and_(where, arg.is_(sg.not_(NULL)))
        keys = [part for key in order_by for part in self._ascending(key)]
        return self.f.anon.min_by(arg, self.if_(given, self.f.anon.struct(*keys), NULL))

    def visit_ScalarUDF(self, op: Any, **arguments: Any) -> Any:  # noqa: N802
        """``timezone(zone, moment)`` is two functions in Spark, by what the moment is."""
        if op.__func_name__ == "epoch_us":
            return self.f.anon.unix_micros(*arguments.values())
        if op.__func_name__ != "timezone":
            return super().visit_ScalarUDF(op, **arguments)
        zone, moment = arguments.values()
        local = sge.DataType(this=sge.DataType.Type.TIMESTAMPNTZ)
        if op.dtype.timezone is None:
            return sg.cast(self.f.anon.convert_timezone("UTC", zone, sg.cast(moment, local)), local)
        return self._instant_of(zone, moment)

    def _instant_of(self, zone: Any, local: Any) -> Any:
        """Of an hour that the clocks repeat, Spark takes the first; what is meant is the second."""
        utc = dt.Timestamp(timezone="UTC", scale=6)
        if isinstance(zone, sge.Literal) and zone.this == "UTC":
            return self.cast(local, utc)
        first = self.f.anon.to_utc_timestamp(local, zone)
        after = self.f.anon.timestampadd(sge.Var(this="HOUR"), sge.convert(_LONGEST_OVERLAP), first)
        offset = self._micros(after, self.f.anon.from_utc_timestamp(after, zone))
        second = self.f.anon.timestampadd(sge.Var(this="MICROSECOND"), -offset, self.cast(local, utc))
        repeated = self.f.anon.from_utc_timestamp(second, zone).eq(self.cast(local, utc))
        return self.if_(repeated, second, first)

    def _micros(self, since: Any, until: Any) -> Any:
        return self.f.anon.timestampdiff(sge.Var(this="MICROSECOND"), since, until)

    def _text(self, value: str) -> Any:
        pieces = [piece for piece in re.split(f"({_CONTROL.pattern})", value) if piece]
        return self.f.concat(
            *(
                self.f.anon.chr(sge.convert(ord(piece))) if _CONTROL.fullmatch(piece) else sge.convert(piece)
                for piece in pieces
            )
        )

    def _float(self, text: Any, to: dt.DataType) -> Any:
        lower = self.f.lower(text)
        spelt = {"^[+-]?nan$": "NaN", "^[+]?inf(inity)?$": "Infinity", "^-inf(inity)?$": "-Infinity"}
        cases = [
            self.if_(self.f.anon.rlike(lower, pattern), self.cast(sge.convert(word), to))
            for pattern, word in spelt.items()
        ]
        return sge.Case(ifs=cases, default=self._plain(text, to))

    def _ascending(self, key: Any) -> list[Any]:
        if key.args.get("desc"):
            raise NotImplementedError("first() in descending order")
        nulls_first = bool(key.args.get("nulls_first"))
        return [key.this.is_(NULL) if not nulls_first else key.this.is_(sg.not_(NULL)), key.this]

    def _local(self, text: Any) -> Any:
        kind = dt.Timestamp(scale=6)
        plain = self._plain(text, kind)
        midnight = self._plain(self.f.regexp_replace(text, "([T ])24:", "$1" + "00:"), kind)
        day = sge.Interval(this=sge.convert("1"), unit=sge.Var(this="DAY"))
        after = sge.Add(this=midnight, expression=day)
        return self.if_(self.f.anon.rlike(text, "[T ]24:00(:00([.]0*)?)?$"), after, plain)

    def _plain(self, text: Any, kind: dt.DataType) -> Any:
        return sge.TryCast(this=text, to=self.type_mapper.from_ibis(kind), safe=True)

    def _zoned(self, text: Any) -> Any:
        """Read the local time, then take off the offset, of which Spark knows fewer than may be written."""
        shape = "^(.*[0-9])(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
        clock = self._local(self.f.anon.regexp_extract(text, shape, 1))
        zone = self.f.anon.regexp_extract(text, shape, 2)
        digits = self.f.regexp_replace(zone, "[^0-9]", "")
        padded = self.f.anon.rpad(digits, 4, "0")
        hours, minutes = (self.cast(self.f.substring(padded, start, 2), dt.int32) for start in (1, 3))
        sign = self.if_(self.f.anon.startswith(zone, "-"), sge.convert(1), sge.convert(-1))
        shift = sign * sge.Paren(this=hours * 60 + minutes)
        moment = self.cast(clock, dt.Timestamp(timezone="UTC", scale=6))
        return self.f.anon.timestampadd(sge.Var(this="MINUTE"), shift, moment)


SparkEngine.compiler = _Compiler()
