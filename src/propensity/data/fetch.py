"""From table expressions to pandas frames, where the tables end and the models begin."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import ibis

from propensity.data.rows import Declined, compile_rows

if TYPE_CHECKING:
    from pathlib import Path

    import ibis.expr.types as ir
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import pyarrow as pa

# Beyond it the engine is faster.
FEW_ROWS = 500

logger = logging.getLogger(__name__)

Tables = Mapping[str, "ir.Table"]


def fetch(con: Any, table: ir.Table) -> pd.DataFrame:
    """Execute a table expression; timestamps come in UTC microseconds, text as ``str``."""
    return con.to_pyarrow(table).to_pandas()  # type: ignore[no-any-return]


class Repeated:
    """Table expressions over tables whose content changes and whose names and columns do not.

    Compiling the features takes Ibis as long as DuckDB takes to compute them for tens of thousands of leads.
    """

    def __init__(self, con: Any) -> None:
        self._con = con
        self._sql: dict[str, str] = {}

    def fetch(self, name: str, build: Callable[[], ir.Table]) -> pd.DataFrame:
        """Compute the expression that `build` returns, which is called once for each name."""
        if self._con.name != "duckdb":
            return fetch(self._con, build())
        if name not in self._sql:
            self._sql[name] = str(self._con.compile(build()))
        found = self._con.con.sql(self._sql[name]).to_arrow_table()
        return found.to_pandas()  # type: ignore[no-any-return]


def read_rows(path: Path, kept: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Return the marked rows of a Parquet file, or a folder of them, holding little more than those."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    found, first = [], 0
    data = ds.dataset(path)
    for batch in data.to_batches():
        found.append(batch.filter(pa.array(kept[first : first + batch.num_rows])))
        first += batch.num_rows
    return pa.Table.from_batches(found, schema=data.schema).to_pandas()  # type: ignore[no-any-return]


def digest(con: Any, table: ir.Table) -> str:
    """Return a text that is the same for the same rows, in whatever order, and else another."""
    if con.name == "pyspark":
        from propensity.data.spark import digest_rows

        return digest_rows(con, table)
    name = f"digested_{uuid.uuid4().hex}"
    con.create_view(name, table)
    sums = "count(*), sum(hash(r)), bit_xor(hash(r)), sum(hash(r, 1))"
    ((*found,),) = con.con.execute(f"SELECT {sums} FROM {name} AS r").fetchall()
    con.drop_view(name)
    return "-".join(map(str, found))


class CompiledQuery:
    """A table expression over tables that are handed in, compiled once.

    Compiling the features takes Ibis a hundred times as long as DuckDB takes to compute them for one
    lead, and parsing and planning them takes DuckDB longer still: a few rows are computed without it.

    Parameters
    ----------
    build : callable
        From tables by name to the table to compute.
    """

    def __init__(self, build: Callable[[Tables], ir.Table]) -> None:
        self._build = build
        self._compiled: dict[str, Compiled] = {}

    def fetch(self, con: Any, tables: Mapping[str, pa.Table]) -> pd.DataFrame:
        """Compute the query for these tables; those of equal schema share one compilation."""
        found = self.compile({name: table.schema for name, table in tables.items()})
        return found.compute(con, tables).to_pandas()  # type: ignore[no-any-return]

    def compile(self, schemas: Mapping[str, pa.Schema]) -> Compiled:
        """Return the query for tables of these schemas."""
        key = repr(sorted(schemas.items()))
        if key not in self._compiled:
            tables = {
                name: ibis.table(ibis.Schema.from_pyarrow(schema), name=name)
                for name, schema in schemas.items()
            }
            self._compiled[key] = Compiled(self._build(tables))
        return self._compiled[key]


class Compiled:
    """One expression over unbound tables: computed row by row where rows are few, else by the engine.

    Parameters
    ----------
    expression : ibis table

    Attributes
    ----------
    program : RowProgram or None
        Its steps over rows; None where not all of them are known.
    """

    def __init__(self, expression: ir.Table) -> None:
        self._expression = expression
        self.program = compile_rows(expression)
        self._sql: str | None = None

    def compute(self, con: Any, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Compute the expression; `tables` are by the names of its unbound tables."""
        if self.program is not None and sum(table.num_rows for table in tables.values()) <= FEW_ROWS:
            try:
                return self.program.compute(tables)
            except Declined as reason:
                logger.debug("left to the engine: %s", reason)
        return self.compute_with_engine(con, tables)

    def compute_with_engine(self, con: Any, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Compute as `compute`, in the engine however few the rows are."""
        if self._sql is None:
            self._sql = str(ibis.to_sql(self._expression, dialect="duckdb"))
        for name, table in tables.items():
            con.con.register(name, table)
        try:
            return con.con.sql(self._sql).to_arrow_table()
        finally:
            for name in tables:
                con.con.unregister(name)
