"""From an Ibis expression to a pandas frame, where the tables end and the models begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd


def fetch(con: Any, table: ir.Table) -> pd.DataFrame:
    """Execute a table expression; timestamps come in UTC microseconds, text as ``str``."""
    return con.to_pyarrow(table).to_pandas()  # type: ignore[no-any-return]
