"""What several test files build on: an engine, and tables from rows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings

SCHEMAS = {
    "leads": {
        "lead_id": "string",
        "account_id": "string",
        "channel": "string",
        "created_at": "timestamp('UTC', 6)",
    },
    "outcomes": {"lead_id": "string", "status": "string", "closed_at": "timestamp('UTC', 6)"},
    "events": {
        "lead_id": "string",
        "event_at": "timestamp('UTC', 6)",
        "known_at": "timestamp('UTC', 6)",
        "type": "string",
        "asset": "string",
        "value": "float64",
    },
    "stages": {"lead_id": "string", "stage": "string", "entered_at": "timestamp('UTC', 6)"},
    "history": {
        "lead_id": "string",
        "field": "string",
        "changed_at": "timestamp('UTC', 6)",
        "old": "string",
        "new": "string",
    },
    "spine": {
        "snapshot": "int64",
        "lead_id": "string",
        "account_id": "string",
        "created_at": "timestamp('UTC', 6)",
        "as_of": "timestamp('UTC', 6)",
    },
}

# Examples that start a database engine take as long as the machine is busy.
settings.register_profile(
    "propensity", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("propensity")

MakeTable = Callable[..., ir.Table]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL server; where none is installed, tests that need it are skipped, but not in CI."""
    from postgres_server import Server, find_binaries

    binaries = find_binaries()
    if binaries is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no PostgreSQL server under /usr/lib/postgresql; apt-get install postgresql")
        pytest.skip("no PostgreSQL server under /usr/lib/postgresql; apt-get install postgresql")
    # A folder directly under the temporary one: the server's user may not enter pytest's.
    with tempfile.TemporaryDirectory(prefix="propensity-postgres-") as folder:
        Path(folder).chmod(0o755)
        server = Server(Path(folder), binaries)
        server.initialise()
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def nightly_workspace(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A small workspace with a bundle and nothing scored yet; tests work on copies."""
    from nightly_cases import make_workspace

    return make_workspace(tmp_path_factory.mktemp("nightly"))


@pytest.fixture(scope="session")
def con() -> Iterator[Any]:
    """DuckDB in memory, its clock in UTC."""
    backend = ibis.duckdb.connect()
    backend.raw_sql("SET TimeZone = 'UTC'")
    yield backend
    backend.disconnect()


@pytest.fixture(scope="session")
def make_table() -> MakeTable:
    """Make a canonical table from rows; columns that no row names are null, others are added as given."""

    def make(name: str, rows: list[dict[str, Any]], **extra: str) -> ir.Table:
        schema = SCHEMAS[name] | extra
        frame = pd.DataFrame(rows, columns=list(schema))
        for column, kind in schema.items():
            if kind.startswith("timestamp"):
                frame[column] = pd.to_datetime(frame[column], utc=True, format="ISO8601").astype(
                    "datetime64[us, UTC]"
                )
            elif kind == "float64":
                frame[column] = frame[column].astype("float64")
        arrow = ibis.schema(schema).to_pyarrow()
        return ibis.memtable(pa.Table.from_pandas(frame, schema=arrow, preserve_index=False))

    return make


@pytest.fixture(scope="session")
def two_models(tmp_path_factory) -> Path:
    """A workspace with a champion and a better challenger; tests work on copies of it."""
    from gated_worlds import make_two_models

    return make_two_models(tmp_path_factory.mktemp("two_models"))
