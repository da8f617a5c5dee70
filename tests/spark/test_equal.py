"""The same expressions give the same values on DuckDB, on Spark in this process and over Spark Connect."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine_values import ATTRIBUTES, FIELDS, UNTIL, canonical_on, check_equal, derived, plan_of
from hard_worlds import write_world
from propensity.data.engines import connect_here, read_table
from propensity.data.ingest import Canonical
from propensity.features.catalogue import catalogue
from propensity.model.bundle import Bundle, read_bundle, write_bundle
from propensity.model.calibration import fit_calibrator
from propensity.model.encoding import encode
from propensity.model.training import train_model
from propensity.params import ModelParams
from propensity.scoring.earlier import read_earlier
from propensity.scoring.tables import Outlet, score_tables
from propensity.workspace import Workspace

CANONICAL = ("leads", "outcomes", "events", "stages", "history", "unsettled")
MADE = ("snapshots", "counts", "hits", "assets", "features", "spine", "states")
LEARNED = ("timing", "counts of events", "followed", "typical values")  # what audit and evidence look at
SCORED = ("scores", "scores compared", "changes")
ENGINES = ("local", "remote")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("world")
    return folder, write_world(folder)


def write_model(features: pa.Table, snapshots: pa.Table, world: tuple[Path, Any]) -> None:
    """Fit a blend on the features that DuckDB computed, and write its bundle."""
    table = features.to_pandas()
    table["won"], table["weight"] = snapshots.to_pandas()["won"].to_numpy(), 1.0
    table["split"] = np.where(table.index % 3, "train", "stop")
    plan = plan_of(world[1], ATTRIBUTES, FIELDS)
    params = ModelParams(candidates=["blend"], threads=1)
    training = train_model(table, catalogue(plan), params, {})
    margin = training.model.margin(encode(table, training.encoding))
    calibrator = fit_calibrator("sigmoid", margin, table["won"].to_numpy(dtype=bool), np.ones(len(table)))
    cutoffs = {"reference_odds": 0.1, "mql": {"probability": 0.1}, "sql": {"probability": 0.3}}
    bundle = Bundle(
        plan, training.encoding, training.model, calibrator, cutoffs, world[1].model_dump(mode="json"), {}
    )
    write_bundle(bundle, world[0] / "bundle", table.head(20))


def scores_on(con: Any, world: tuple[Path, Any], canonical: Canonical, folder: Path) -> dict[str, pa.Table]:
    """Score the open leads in chunks, as the nightly job does: alone, and compared with earlier scores."""
    ws = Workspace(world[0], world[1])
    made = read_bundle(world[0] / "bundle", threads=1)
    earlier, alone, compared = (folder / f"{name}.parquet" for name in ("earlier", "scores", "compared"))
    if con.name == "duckdb":
        before = UNTIL - timedelta(days=20)
        score_tables(ws, made, con, canonical, Outlet(earlier, alone=True), as_of=before)
    score_tables(ws, made, con, canonical, Outlet(alone, alone=True))
    found = read_earlier(
        ws, world[1], con, made, "duckdb/earlier.parquet", None, moment=UNTIL, everyone=False
    )
    score_tables(ws, made, con, canonical, Outlet(compared, alone=True), earlier=found)
    files = {"scores": alone, "scores compared": compared, "changes": folder / "changes.parquet"}
    return {name: _without_moment(pq.read_table(path)) for name, path in files.items()}


def _without_moment(table: pa.Table) -> pa.Table:
    return table.drop_columns([name for name in table.column_names if name == "scored_at"])


def results(engine: str, request: Any) -> dict[str, Any]:
    """Return everything that is compared, by name, as one engine gives it."""
    world = request.getfixturevalue("world")
    con = connect_here() if engine == "duckdb" else request.getfixturevalue(engine)
    folder = world[0] / engine
    canonical = canonical_on(con, world, folder)
    found: dict[str, Any] = {
        name: pa.table(read_table(connect_here(), folder / f"{name}.parquet").to_pyarrow())
        for name in CANONICAL
    }
    for name, (table, order) in derived(con, world[1], canonical).items():
        found[name] = con.to_pyarrow(table.order_by(order) if order else table)
    if engine == "duckdb":
        write_model(found["features"], found["snapshots"], world)
    found |= scores_on(con, world, canonical, folder)
    found["quarantine"] = canonical.quarantine
    found["counts of rows"] = canonical.counts
    found["rules"] = canonical.rule_counts
    found["types"] = canonical.attribute_types
    found["until"] = canonical.observed_until
    return found


@pytest.fixture(scope="session")
def given(request: pytest.FixtureRequest) -> Any:
    """Return the results of an engine, computed once; what fails fails every test and is not tried again."""
    known: dict[str, dict[str, Any] | Exception] = {}

    def of(engine: str) -> dict[str, Any]:
        if engine not in known:
            try:
                known[engine] = results(engine, request)
            except Exception as error:
                known[engine] = error
        found = known[engine]
        if isinstance(found, Exception):
            raise found
        return found

    return of


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [*CANONICAL, *MADE, *LEARNED, *SCORED])
def test_every_value_of_a_table_is_that_of_duckdb(given: Any, engine: str, name: str) -> None:
    expected = given("duckdb")[name]
    assert expected.num_rows > 0
    check_equal(given(engine)[name], expected)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["quarantine", "counts of rows", "rules"])
def test_the_same_rows_are_refused_for_the_same_reasons(given: Any, engine: str, name: str) -> None:
    pd.testing.assert_frame_equal(given(engine)[name], given("duckdb")[name])


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_types_are_found_and_the_same_end_of_the_data(given: Any, engine: str) -> None:
    assert given(engine)["types"] == given("duckdb")["types"] == ATTRIBUTES
    assert given(engine)["until"] == given("duckdb")["until"] == UNTIL


def test_the_world_holds_what_engines_differ_on(given: Any) -> None:
    """Rows that were read, at moments worked out by hand, and a rule of each kind that was broken."""
    leads = given("duckdb")["leads"].to_pandas().set_index("lead_id")
    moments = {
        "Ünï-Δ": "2024-03-01T04:30:00Z",
        "名前": "2024-03-01T13:00:00.123456Z",
        "gap": "2024-03-10T07:30:00Z",
        "twice": "2024-11-03T06:30:00Z",
        "quo\"te's \\ id": "2024-05-02T04:00:00Z",
        "hours": "2024-05-02T08:00:00Z",
        "far": "2024-05-01T14:30:00Z",
    }
    for lead, moment in moments.items():
        assert leads.loc[lead, "created_at"] == pd.Timestamp(moment), lead
    broken = set(given("duckdb")["rules"]["rule"])
    assert {
        "missing_key",
        "type",
        "not_finite",
        "range",
        "future",
        "duplicate_key",
        "duplicate_row",
        "unknown_lead",
        "malformed",
        "closed_before_created",
        "closed_without_date",
    } <= broken
