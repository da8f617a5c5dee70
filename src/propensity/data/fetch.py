"""From table expressions to pandas frames, where the tables end and the models begin."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import ibis

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd
    import pyarrow as pa

Tables = Mapping[str, "ir.Table"]


def fetch(con: Any, table: ir.Table) -> pd.DataFrame:
    """Execute a table expression; timestamps come in UTC microseconds, text as ``str``."""
    return con.to_pyarrow(table).to_pandas()  # type: ignore[no-any-return]


def digest(con: Any, table: ir.Table) -> str:
    """Return a text that is the same for the same rows, in whatever order, and else another."""
    name = f"digested_{uuid.uuid4().hex}"
    con.create_view(name, table)
    sums = "count(*), sum(hash(r)), bit_xor(hash(r)), sum(hash(r, 1))"
    found = con.con.execute(f"SELECT {sums} FROM {name} AS r").fetchone()
    con.drop_view(name)
    return "-".join(map(str, found))


class CompiledQuery:
    """A table expression over tables that are handed in, compiled once.

    Compiling the features takes Ibis a hundred times as long as DuckDB takes to compute them for one
    lead.

    Parameters
    ----------
    build : callable
        From tables by name to the table to compute.
    """

    def __init__(self, build: Callable[[Tables], ir.Table]) -> None:
        self._build = build
        self._sql: dict[str, str] = {}

    def fetch(self, con: Any, tables: Mapping[str, pa.Table]) -> pd.DataFrame:
        """Compute the query for these tables; those of equal schema share one compilation."""
        key = repr([(name, table.schema) for name, table in sorted(tables.items())])
        if key not in self._sql:
            unbound = {
                name: ibis.table(ibis.Schema.from_pyarrow(table.schema), name=f"given_{name}")
                for name, table in tables.items()
            }
            self._sql[key] = str(ibis.to_sql(self._build(unbound), dialect="duckdb"))
        for name, table in tables.items():
            con.con.register(f"given_{name}", table)
        try:
            return con.con.sql(self._sql[key]).to_arrow_table().to_pandas()  # type: ignore[no-any-return]
        finally:
            for name in tables:
                con.con.unregister(f"given_{name}")
