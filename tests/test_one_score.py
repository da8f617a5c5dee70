"""One lead has one score: from files, DuckDB or PostgreSQL, in a batch or alone, read back from wherever."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import psycopg
import pytest

from nightly_cases import copy_workspace, edit_params
from propensity.commands import score_raw
from propensity.predict import Predictor
from propensity.workspace import Workspace

AS_OF = "2025-06-01"
TABLES = ("leads", "events", "outcomes")
TYPES = {"lead_id": "text", "created_at": "timestamptz", "employees": "double precision", "value": "float8"}


@pytest.fixture(scope="module")
def canonical(nightly_workspace) -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(nightly_workspace.interim / f"{name}.parquet") for name in TABLES}


@pytest.fixture(scope="module")
def batch(nightly_workspace, tmp_path_factory) -> pd.DataFrame:
    """The scores from the raw files."""
    ws = copy_workspace(nightly_workspace, tmp_path_factory.mktemp("files"))
    score_raw(ws, leads=None, events=None, as_of=AS_OF)
    return pd.read_parquet(ws.scores)


def fill_duckdb(path: str, canonical: dict[str, pd.DataFrame]) -> None:
    with duckdb.connect(path) as con:
        con.execute("SET TimeZone = 'UTC'")
        for name, frame in canonical.items():
            con.register("frame", frame)
            con.execute(f"CREATE TABLE {name} AS SELECT * FROM frame")


def fill_postgresql(url: str, canonical: dict[str, pd.DataFrame]) -> None:
    with psycopg.connect(url) as session:
        for name, frame in canonical.items():
            moments = frame.select_dtypes("datetimetz").columns
            numbers = frame.select_dtypes("float64").columns
            kinds = dict.fromkeys(frame.columns, "text") | dict.fromkeys(moments, "timestamptz")
            kinds |= dict.fromkeys(numbers, "double precision")
            listed = ", ".join(f'"{column}" {kind}' for column, kind in kinds.items())
            session.execute(f"CREATE TABLE {name} ({listed})")
            rows = frame.astype(object).where(frame.notna(), None)
            with session.cursor().copy(f"COPY {name} FROM STDIN") as copy:
                for row in rows.itertuples(index=False):
                    copy.write_row(row)


def score_in_and_out(ws: Workspace, url: str) -> Workspace:
    """Score from tables of a database into a table of the same one."""
    sections: dict[str, Any] = ws.params.model_dump(mode="json")["data"]
    changed = {name: sections[name] | {"path": {"url": url, "table": name}} for name in TABLES}
    changed["leads"]["missing"] = [""]
    changed_ws = edit_params(
        ws, data=changed, scoring={"to": {"url": url, "table": "scores"}, "chunk_rows": 50}
    )
    score_raw(changed_ws, leads=None, events=None, as_of=AS_OF)
    return changed_ws


def check_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert found["lead_id"].tolist() == expected["lead_id"].tolist()
    np.testing.assert_allclose(found["probability"], expected["probability"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["score"], expected["score"], rtol=0, atol=1e-9)
    assert found["tier"].tolist() == expected["tier"].tolist()
    for ours, theirs in zip(found["reasons"], expected["reasons"], strict=True):
        names = [[{k: v for k, v in r.items() if k != "points"} for r in side] for side in (ours, theirs)]
        assert names[0] == names[1]
        points = [[r["points"] for r in side] for side in (ours, theirs)]
        np.testing.assert_allclose(*points, rtol=0, atol=1e-9)


def test_alone_a_lead_scores_as_in_the_batch(nightly_workspace, canonical, batch):
    predictor = Predictor.load(nightly_workspace.models / "bundle")
    chosen = batch.sample(12, random_state=4)
    alone = []
    for lead in chosen["lead_id"]:
        row = canonical["leads"].set_index("lead_id", drop=False).loc[lead].to_dict()
        mine = canonical["events"][canonical["events"]["lead_id"] == lead]
        alone.append(predictor.score(row, mine, as_of=AS_OF))
    check_same(pd.concat(alone, ignore_index=True), chosen)


def test_duckdb_in_and_out_gives_the_scores_of_the_files(nightly_workspace, canonical, batch, tmp_path):
    ws = copy_workspace(nightly_workspace, tmp_path)
    fill_duckdb(str(tmp_path / "crm.duckdb"), canonical)
    ws = score_in_and_out(ws, "duckdb:///crm.duckdb")
    check_same(pd.read_parquet(ws.scores), batch)
    with duckdb.connect(str(tmp_path / "crm.duckdb"), read_only=True) as con:
        table = con.sql("SELECT * FROM scores_current ORDER BY lead_id").to_arrow_table()
    check_same(pd.DataFrame(table.to_pylist()), batch)


def test_postgresql_in_and_out_gives_the_scores_of_the_files(
    nightly_workspace, canonical, batch, postgres, tmp_path
):
    ws = copy_workspace(nightly_workspace, tmp_path)
    url = postgres.make_database("one_score")
    fill_postgresql(url, canonical)
    ws = score_in_and_out(ws, url)
    check_same(pd.read_parquet(ws.scores), batch)
    with psycopg.connect(url) as session:
        found = session.execute('SELECT * FROM scores_current ORDER BY lead_id COLLATE "C"')
        frame = pd.DataFrame(found.fetchall(), columns=[column.name for column in found.description])
    check_same(frame, batch)
    run = json.loads((ws.scores.parent / "run.json").read_text())
    assert run["leads"]["scored"] == len(frame)
