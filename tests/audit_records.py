"""Records for the tests of the audit, from a few columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from propensity.audit.findings import Check, Finding
from propensity.audit.records import Records

EMPTY = {
    "snapshots": [
        *("lead_id", "account_id", "created_at", "as_of", "label_end"),
        *("age_days", "won", "mature", "part"),
    ],
    "table": ["lead_id", "as_of", "split", "won", "weight"],
}


def make_records(
    columns: Mapping[str, Sequence[Any]],
    status: Sequence[str],
    *,
    created_at: Sequence[Any] | None = None,
    order_key: Sequence[float] | None = None,
    used: bool = True,
    **more: Any,
) -> Records:
    """Records of leads with these attributes and statuses; every column is used unless said otherwise."""
    n = len(status)
    leads = pd.DataFrame(
        {
            "lead_id": [f"L{i:06d}" for i in range(n)],
            "account_id": pd.Series([None] * n, dtype="str"),
            "channel": pd.Series([None] * n, dtype="str"),
            "created_at": pd.to_datetime(
                pd.Series([None] * n if created_at is None else list(created_at)), utc=True
            ),
            "order_key": np.full(n, np.nan) if order_key is None else np.asarray(order_key, dtype=float),
            "status": list(status),
            "closed_at": pd.to_datetime(pd.Series([None] * n), utc=True),
        }
    )
    types = {}
    for name, values in columns.items():
        column = pd.Series(list(values))
        number = pd.api.types.is_numeric_dtype(column)
        types[name] = "number" if number else "text"
        leads[name] = column.astype("float64") if number else column.astype("str").where(column.notna())
    empty = {name: pd.DataFrame({c: [] for c in names}) for name, names in EMPTY.items()}
    given = {"used": frozenset(columns if used else ())} | empty | more
    return Records(leads=leads, attributes=types, **given)


def ask(check: Check, records: Records) -> list[Finding]:
    """What one check says."""
    return check.look(check, records)


def check_of(checks: Sequence[Check], code: str) -> Check:
    """The check with a code."""
    return next(check for check in checks if check.code == code)
