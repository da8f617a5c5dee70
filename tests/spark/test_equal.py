"""The same expressions give the same values on DuckDB, on Spark in this process and over Spark Connect."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds import END, write_world

from propensity.cohort.labels import add_labels
from propensity.cohort.snapshots import scoring_snapshots, training_snapshots
from propensity.data.engines import connect_here, read_table
from propensity.data.ingest import Canonical, ingest, read_canonical, write_canonical
from propensity.decisions.rules import disqualified_leads, rule_hits
from propensity.features.behaviour import frequent_assets
from propensity.features.build import build_features
from propensity.features.catalogue import Plan, catalogue, make_plan
from propensity.features.history import history_fields
from propensity.features.states import build_states
from propensity.model.bundle import Bundle, read_bundle, write_bundle
from propensity.model.calibration import fit_calibrator
from propensity.model.encoding import encode
from propensity.model.training import train_model
from propensity.params import ModelParams
from propensity.scoring.tables import Outlet, score_tables
from propensity.workspace import Workspace

NOW = datetime(2025, 1, 1, tzinfo=UTC)
UNTIL = datetime.fromisoformat(END)
CANONICAL = ("leads", "outcomes", "events", "stages", "history", "unsettled")
MADE = ("snapshots", "counts", "hits", "assets", "features", "spine", "states", "scores")
ATTRIBUTES = {"title": "text", "employees": "number", "city": "text", "note": "text"}
FIELDS = ["Title", "employees", "title"]
ENGINES = ("local", "remote")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("world")
    return folder, write_world(folder)


def canonical_on(con: Any, world: tuple[Path, Any], folder: Path) -> Canonical:
    """Ingest the world on an engine, by way of the files that the stage writes."""
    made = ingest(world[1].data, world[0], now=NOW, con=con)
    write_canonical(made, folder)
    return read_canonical(con, folder)


def derived(con: Any, params: Any, canonical: Canonical) -> dict[str, Any]:
    """Return what cohort, features and scoring make of canonical tables, each with what orders its rows."""
    tables = canonical.tables
    disqualified = disqualified_leads(tables["leads"], params.disqualify)
    told = {"stages": tables["stages"], "events": tables["events"]}
    snapshots, counts = training_snapshots(
        tables["leads"],
        tables["outcomes"],
        disqualified,
        tables["unsettled"],
        ages_days=params.snapshots.ages_days,
        observed_until=UNTIL,
        **told,
    )
    labelled = con.create_table(
        "labelled",
        add_labels(snapshots, horizon_days=60, observed_until=UNTIL, dated_closings=True),
        overwrite=True,
    )
    assert con.to_pyarrow(history_fields(tables["history"]))["field"].to_pylist() == FIELDS
    plan = plan_of(params, canonical.attribute_types, FIELDS)
    read = {"events": tables["events"], "outcomes": tables["outcomes"], "history": tables["history"]}
    spine = con.create_table(
        "spine", scoring_snapshots(tables["leads"], tables["outcomes"], as_of=UNTIL, **told), overwrite=True
    )
    before = spine.mutate(as_of_before=spine.as_of - pd.Timedelta(days=20)).filter(
        lambda t: t.created_at <= t.as_of_before
    )
    return {
        "snapshots": (labelled, ["snapshot"]),
        "counts": (counts, []),
        "hits": (rule_hits(tables["leads"], params.disqualify), ["lead_id", "rule"]),
        "assets": (frequent_assets(tables["events"], plan.event_types, least=2), ["qualifier", "asset"]),
        "features": (build_features(labelled, tables["leads"], plan, **read), ["snapshot"]),
        "spine": (spine, ["snapshot"]),
        "states": (build_states(before, tables["leads"], plan, **read), ["snapshot", "state"]),
    }


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


def scores_on(con: Any, world: tuple[Path, Any], canonical: Canonical, folder: Path) -> pa.Table:
    """Score the open leads in chunks, as the nightly job does."""
    ws = Workspace(world[0], world[1])
    path = folder / "scores.parquet"
    score_tables(ws, read_bundle(world[0] / "bundle", threads=1), con, canonical, Outlet(path, alone=True))
    return pq.read_table(path).drop_columns(["scored_at"])


def plan_of(params: Any, types: Any, fields: list[str]) -> Plan:
    assets = {"web": ["/pricing", "/préçios"], "email": []}
    return make_plan(params.data, params.features, types, assets=assets, history_fields=fields)


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
    found["scores"] = scores_on(con, world, canonical, folder)
    found["quarantine"] = canonical.quarantine
    found["counts of rows"] = canonical.counts
    found["rules"] = canonical.rule_counts
    found["types"] = canonical.attribute_types
    found["until"] = canonical.observed_until
    return found


@pytest.fixture(scope="session")
def given(request: pytest.FixtureRequest) -> Any:
    """Return the results of an engine, computed once."""
    known: dict[str, Any] = {}

    def of(engine: str) -> dict[str, Any]:
        if engine not in known:
            known[engine] = results(engine, request)
        return known[engine]

    return of


def check_equal(found: pa.Table, expected: pa.Table) -> None:
    """Compare two tables by schema, nulls and bits; NaN is equal to NaN."""
    assert found.schema.remove_metadata() == expected.schema.remove_metadata()
    assert found.num_rows == expected.num_rows
    for name in expected.column_names:
        mine, other = found[name].combine_chunks(), expected[name].combine_chunks()
        if pa.types.is_floating(mine.type):
            assert mine.is_null().equals(other.is_null()), name
            bits = [
                pa.array(a.fill_null(0).to_numpy(zero_copy_only=False).view("int64")) for a in (mine, other)
            ]
            assert bits[0].equals(bits[1]), (name, mine.to_pylist(), other.to_pylist())
        else:
            assert mine.equals(other), (name, mine.to_pylist(), other.to_pylist())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [*CANONICAL, *MADE])
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
