"""What the tests of the ingest share: params, small files, and rows read back."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from ibis.backends.duckdb import Backend

from propensity.data.ingest import Canonical, ingest
from propensity.data.sources import connect
from propensity.params import Params

NOW = datetime(2025, 1, 1, tzinfo=UTC)
REAL = Path(__file__).parents[2] / "shared" / "data"

OUTCOMES = {"status": "status", "won": ["won"], "lost": ["lost"], "closed_at": "closed_at"}


def params(**data: Any) -> Params:
    """Params with the given data section; a flat file of leads and statuses unless it says more."""
    data = {"leads": {"path": "leads.csv"}, "outcomes": {"status": "status", "won": ["won"]}} | data
    dated = data["leads"].get("created_at") is not None
    ages = [0, 7] if data["outcomes"].get("closed_at") else [0]
    split = {"by": "time" if dated else "random"}
    return Params.model_validate({"data": data, "split": split, "snapshots": {"ages_days": ages}})


def dated(**data: Any) -> Params:
    """Params for leads.csv with creation times and outcomes.csv with closing times."""
    leads = {"path": "leads.csv", "created_at": "created_at"}
    return params(**({"leads": leads, "outcomes": {"path": "outcomes.csv", **OUTCOMES}} | data))


def write(folder: Path, **files: str) -> Path:
    """Write ``name="text"`` as name.csv, each line stripped."""
    for name, text in files.items():
        lines = [line.strip() for line in text.strip().splitlines()]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@cache
def engine() -> Backend:
    """One engine for all, because starting one takes longer than most tests."""
    return connect(params().data)


def read(given: Params, folder: Path, **options: Any) -> Canonical:
    """Ingest a folder at the moment `NOW`."""
    return ingest(given.data, folder, now=NOW, con=engine(), **options)


def rows(canonical: Canonical, name: str, *columns: str) -> list[tuple[Any, ...]]:
    """The rows of a canonical table in the order of its columns, as tuples."""
    table = canonical.tables[name].select(*columns) if columns else canonical.tables[name]
    found = engine().to_pyarrow(table.order_by(list(table.columns)))
    return [tuple(row.values()) for row in found.to_pylist()]


def refused(canonical: Canonical, table: str) -> list[tuple[Any, ...]]:
    """The quarantine's (row, rule, column, value) of a table."""
    found = canonical.quarantine[lambda q: q["table"] == table]
    found = found[["row", "rule", "column", "value"]].astype(object)
    return [tuple(None if pd.isna(v) else v for v in row) for row in found.itertuples(index=False)]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
