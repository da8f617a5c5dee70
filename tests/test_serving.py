"""A registered model behind `mlflow models serve`, a real server on a free port of this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import pandas as pd
import pytest
import yaml

from propensity.errors import InputError
from propensity.loop.packing import CODE, make_example, pack_model
from propensity.loop.serving import request_tables, score_request
from propensity.model.bundle import read_bundle
from propensity.predict import Predictor
from propensity.registry.store import open_registry
from propensity.registry.versions import CHALLENGER, version_at
from propensity.workspace import Workspace, open_workspace

pytestmark = pytest.mark.filterwarnings("ignore")  # mlflow warns about itself

AS_OF = "2025-12-31T00:00:00+00:00"


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]


@dataclass(frozen=True)
class Server:
    port: int

    def ask(self, content: Any) -> Answer:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        address = f"http://127.0.0.1:{self.port}/invocations"
        request = urllib.request.Request(address, data=data, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Answer(response.status, json.load(response))
        except urllib.error.HTTPError as error:
            return Answer(error.code, json.load(error))

    def score(self, records: list[dict[str, Any]], as_of: str = AS_OF) -> Answer:
        return self.ask({"dataframe_records": records, "params": {"as_of": as_of}})


@pytest.fixture(scope="module")
def workspace(two_models) -> Workspace:
    return open_workspace(two_models / "params.yaml")


@pytest.fixture(scope="module")
def server(workspace) -> Iterator[Server]:
    """Serves the challenger, which reads events."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "--model-uri",
        "models:/propensity@challenger",
    ]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    uri = f"sqlite:///{workspace.folder}/mlflow.db"
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])  # noqa: PTH120
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = workspace.folder / "server.txt"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            _wait_until_up(port, process, log)
            yield Server(port)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_up(port: int, process: Any, log: Any) -> None:
    while True:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5):
                return
        except OSError:
            time.sleep(0.1)


@pytest.fixture(scope="module")
def tables(workspace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Forty leads and their events, as the canonical tables have them."""
    leads = pd.read_parquet(workspace.interim / "leads.parquet").tail(40)
    events = pd.read_parquet(workspace.interim / "events.parquet")
    return leads, events[events["lead_id"].isin(leads["lead_id"])]


@pytest.fixture(scope="module")
def records(workspace, tables) -> list[dict[str, Any]]:
    """The same as a request's records."""
    leads, events = tables
    specs = request_tables(read_bundle(workspace.models / "bundle"))
    columns, own = specs["leads"].raw_columns, specs["events"].raw_columns
    rows = [_jsonable(row, columns) for row in leads.to_dict("records")]
    for row in rows:
        mine = events[events["lead_id"] == row["lead_id"]]
        row["events"] = [_jsonable(event, own) for event in mine.drop(columns="lead_id").to_dict("records")]
    return rows


def _jsonable(row: dict[Any, Any], columns: Any) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name in columns}
    return {
        name: None if pd.isna(v) else v.isoformat() if isinstance(v, pd.Timestamp) else v
        for name, v in kept.items()
    }


def test_a_request_a_frame_and_one_row_give_the_same(server, workspace, tables, records):
    answer = server.score(records)
    assert answer.status == 200, answer.body
    rows = answer.body["predictions"]
    predictor = Predictor.load(workspace.models / "bundle")
    leads, events = tables
    frame = predictor.score(leads, events, as_of=AS_OF)
    assert [row["lead_id"] for row in rows] == leads["lead_id"].tolist()
    np.testing.assert_allclose([r["probability"] for r in rows], frame["probability"], rtol=0, atol=1e-12)
    np.testing.assert_allclose([r["score"] for r in rows], frame["score"], rtol=0, atol=1e-9)
    assert [r["tier"] for r in rows] == frame["tier"].tolist()
    assert len({r["tier"] for r in rows}) > 1
    told = [[(x["feature"], x["text"]) for x in reasons] for reasons in frame["reasons"]]
    assert [[(x["feature"], x["text"]) for x in r["reasons"]] for r in rows] == told
    for place in (0, 17, 39):
        alone = predictor.score(leads.iloc[place].to_dict(), events, as_of=AS_OF).iloc[0]
        single = server.score(records[place : place + 1]).body["predictions"][0]
        assert abs(single["probability"] - alone["probability"]) < 1e-12
        assert abs(single["probability"] - rows[place]["probability"]) < 1e-12
        assert (single["score"], single["tier"]) == pytest.approx((alone["score"], alone["tier"]))
        assert [x["text"] for x in single["reasons"]] == [x["text"] for x in alone["reasons"]]


def test_reasons_and_base_sum_to_the_score(server, records):
    for row in server.score(records).body["predictions"]:
        total = row["base_points"] + sum(reason["points"] for reason in row["reasons"])
        assert total == pytest.approx(row["score"], abs=1e-9)


def test_a_lead_without_events_did_nothing_yet(server, records):
    bare = {name: value for name, value in records[0].items() if name != "events"}
    answers = [server.score([{**bare, **given}]) for given in ({}, {"events": None}, {"events": []})]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert len({answer.body["predictions"][0]["probability"] for answer in answers}) == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"created_at": "yesterday"}, "in column 'created_at': 1 rows, the first 1"),
        ({"created_at": "2999-01-01T00:00:00Z"}, "future in column 'created_at'"),
        ({"lead_id": None}, "column 'lead_id'"),
        ({"events": [{"event_at": "tomorrow", "type": "visit"}]}, "in column 'event_at': 1 rows"),
        ({"events": [{"event_at": AS_OF}]}, "Missing required properties: {'type'}"),
        ({"events": "none"}, "Expected data to be list or numpy array, got str"),
        ({"employees": "many"}, "Failed to convert column employees to type 'float64'"),
    ],
)
def test_what_is_wrong_with_a_lead_is_said(server, records, changed, said):
    answer = server.score([records[0] | changed])
    assert answer.status == 400
    assert said in answer.body["message"]
    assert "Traceback" not in json.dumps(answer.body)


def test_what_is_wrong_with_a_request_is_said(server, records):
    without = {name: value for name, value in records[0].items() if name != "created_at"}
    for content, said in (
        ({"dataframe_records": [without]}, "missing inputs ['created_at']"),
        (
            {"dataframe_records": records[:1], "params": {"as_of": "soon"}},
            "as_of should be a timestamp such as",
        ),
        ({"dataframe_records": [records[0], records[0]]}, "duplicate_key in column 'lead_id'"),
        ({"leads": records}, "exactly one of the input fields"),
        (b"{nonsense", "valid JSON"),
    ):
        answer = server.ask(content)
        assert answer.status == 400, answer.body
        assert said in answer.body["message"]
        assert "Traceback" not in json.dumps(answer.body)


def test_the_example_in_the_model_is_invented_and_answered(server, workspace):
    uri = f"sqlite:///{workspace.folder}/mlflow.db"
    registry = open_registry(workspace.params.tracking.model_copy(update={"uri": uri}), workspace.folder)
    version = version_at(registry, CHALLENGER)
    folder = Path(unquote(urlparse(version.source).path))
    answer = server.ask(json.loads((folder / "serving_input_example.json").read_text()))
    assert answer.status == 200, answer.body
    assert [row["lead_id"] for row in answer.body["predictions"]] == ["example-1", "example-2"]
    assert answer.body["predictions"][0]["model_version"] == version.model_version


def test_a_packed_model_says_what_it_needs_and_not_where_it_was_made(workspace, tmp_path):
    source = workspace.models / "bundle"
    pack_model(read_bundle(source), source, tmp_path / "model")
    described = yaml.safe_load((tmp_path / "model" / "MLmodel").read_text())
    assert described["flavors"]["python_function"]["loader_module"] == "mlflow.pyfunc.loaders.code_model"
    asked = (tmp_path / "model" / "requirements.txt").read_text().splitlines()
    assert {line.split("==")[0] for line in asked} >= {"mlflow", "propensity", "lightgbm", "pandas", "numpy"}
    assert all("==" in line for line in asked)
    texts = [p.read_text(errors="replace") for p in (tmp_path / "model").rglob("*") if p.is_file()]
    places = [str(workspace.folder), str(tmp_path), str(CODE.parent)]
    assert not [place for place in places for text in texts if place in text]


def test_nested_rows_that_are_no_objects_are_refused_with_their_place(workspace, records):
    predictor = Predictor.load(workspace.models / "bundle")
    leads = pd.DataFrame([records[0], records[1] | {"events": ["visit"]}])
    with pytest.raises(InputError, match=r"'events' should be a list of objects with .* records 2, counted"):
        score_request(predictor, leads, {"as_of": AS_OF})
    with pytest.raises(InputError, match="no lead"):
        score_request(predictor, leads.head(0), {})


def test_the_example_fits_the_plan(workspace):
    made = read_bundle(workspace.models / "bundle")
    example = make_example(made)
    assert list(example.columns) == [*request_tables(made)["leads"].raw_columns, "events"]
    scored = score_request(Predictor(made), example, {"as_of": made.data["observed_until"]})
    assert [row["lead_id"] for row in scored] == ["example-1", "example-2"]
