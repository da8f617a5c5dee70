"""Monitoring and re-centring in a workspace: outcomes since, a shift proposed, put in, recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from propensity.cli import app
from propensity.commands import monitor_workspace, promote_recentred
from propensity.data.simulate import simulate, write_simulation
from propensity.errors import InputError
from propensity.evaluation.recentring import RECENTRING
from propensity.model.bundle import log_odds, read_bundle
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[1]
UNTIL, LATER = "2024-12-31", "2025-09-30"


def open_until(folder: Path, until: str) -> Workspace:
    path = folder / "params.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["data"]["observed_until"] = until
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return open_workspace(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Trained on what is known by `UNTIL`; of the leads created after, three wins in four are lost."""
    folder = tmp_path_factory.mktemp("monitored")
    write_simulation(simulate(1500, seed=11), folder / "data" / "raw")
    content: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["snapshots"]["ages_days"], content["features"]["lookback_days"] = [0, 7], [30]
    content["model"]["candidates"], content["calibration"]["methods"] = ["logistic"], ["sigmoid"]
    content["data"] |= {"stages": None, "spend": None}
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    workspace = open_until(folder, UNTIL)
    for name in list(STAGES)[: list(STAGES).index("score")]:
        STAGES[name](workspace)
    outcomes = pd.read_csv(folder / "data/raw/outcomes.csv", dtype=str)
    late = (outcomes["status"] == "won") & (outcomes["closed_at"] > "2025-01-02")
    lost = late & (np.random.default_rng(1).random(len(outcomes)) < 0.75)
    outcomes.loc[lost, "status"] = "lost"
    outcomes.to_csv(folder / "data/raw/outcomes.csv", index=False)
    return folder


def probabilities(workspace: Workspace) -> Any:
    made = read_bundle(workspace.models / "bundle")
    table = pd.read_parquet(workspace.processed / "training.parquet")
    return log_odds(made, table)


def test_without_new_outcomes_nothing_is_proposed_and_nothing_promoted(folder) -> None:
    workspace = open_until(folder, UNTIL)
    said = monitor_workspace(workspace)[0]
    assert "\nno outcome became final after 2024-12-31, where the model's data end" in said
    with pytest.raises(InputError, match="proposes no shift"):
        promote_recentred(workspace)


def test_a_shift_is_proposed_put_in_recorded_and_not_put_in_twice(folder) -> None:
    workspace = open_until(folder, LATER)
    before = probabilities(workspace)
    first = read_bundle(workspace.models / "bundle")
    said = monitor_workspace(workspace)[0]
    assert "proposed: -" in said
    found = json.loads((workspace.reports / "monitor.json").read_text(encoding="utf-8"))
    assert found["model_version"] == first.model_version
    assert found["expected_over_observed_interval"][0] > 1
    assert found["shift_interval"][1] < 0
    said = promote_recentred(workspace)
    second = read_bundle(workspace.models / "bundle")
    assert second.model_version in said
    assert second.data["recentred"] == [{name: found[name] for name in RECENTRING}]
    np.testing.assert_allclose(probabilities(workspace) - before, found["shift"], atol=1e-9)
    with pytest.raises(InputError, match=f"is about model {first.model_version}, the bundle holds"):
        promote_recentred(workspace)
    monitor_workspace(workspace)[0]
    again = json.loads((workspace.reports / "monitor.json").read_text(encoding="utf-8"))
    assert again["proposed"] is False
    assert again["expected_over_observed"] == pytest.approx(1, abs=0.05)


def test_the_figures_are_those_of_the_moved_model(folder) -> None:
    workspace = open_until(folder, LATER)
    metrics = json.loads((workspace.reports / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["model_version"] == read_bundle(workspace.models / "bundle").model_version


def test_the_snapshots_are_those_that_became_final_after_the_training(folder) -> None:
    workspace = open_until(folder, LATER)
    found = json.loads((workspace.reports / "monitor.json").read_text(encoding="utf-8"))
    for name in ("ingest", "cohort"):
        STAGES[name](workspace)
    snapshots = pd.read_parquet(workspace.interim / "snapshots.parquet").query("mature")
    new = snapshots[snapshots["label_end"] > pd.Timestamp(found["since"])]
    assert (found["n"], found["wins"], found["leads"]) == (
        len(new),
        int(new["won"].sum()),
        new["lead_id"].nunique(),
    )


def test_recentring_takes_no_option_of_a_promotion(folder) -> None:
    finished = CliRunner().invoke(
        app, ["--params", str(folder / "params.yaml"), "promote", "--recentre", "--dry-run"]
    )
    assert finished.exit_code == 2
    assert "--recentre" in finished.output
