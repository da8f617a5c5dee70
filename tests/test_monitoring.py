"""Monitoring and re-centring in a workspace: outcomes since, a shift proposed, put in, recorded."""

from __future__ import annotations

import json
import shutil
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


def look(folder: Path, *options: str) -> tuple[int, str, dict[str, Any]]:
    """The exit code and stdout of a look, and what it wrote."""
    finished = CliRunner().invoke(app, ["--params", str(folder / "params.yaml"), "monitor", *options])
    written = json.loads((folder / "reports" / "monitor.json").read_text(encoding="utf-8"))
    return getattr(finished.exception, "exit_code", finished.exit_code), finished.stdout, written


@pytest.fixture
def copied(folder, tmp_path) -> Path:
    """The workspace as it was trained, with all that came later in its raw tables."""
    shutil.copytree(folder, tmp_path / "copy")
    open_until(tmp_path / "copy", "2026-01-01")
    return tmp_path / "copy"


def test_a_quiet_look_exits_with_0_and_keeps_a_history_with_one_row_a_look(copied) -> None:
    code, told, written = look(copied, "--as-of", UNTIL)
    assert code == 0, told
    assert "0 alarm" in told
    assert written["statuses"]["alarm"] == 0
    assert written["as_of"].startswith(UNTIL)
    history = pd.read_parquet(copied / "reports" / "monitor_history.parquet")
    look(copied, "--as-of", UNTIL)
    again = pd.read_parquet(copied / "reports" / "monitor_history.parquet")
    pd.testing.assert_frame_equal(history, again)
    assert set(history.loc[history["kind"] == "estimate", "subject"]) == {"auc", "log_loss", "brier", "wins"}
    assert history.loc[history["kind"] == "estimate", "realised"].isna().all()


def test_a_feed_that_dies_is_named_and_the_exit_code_is_6(copied) -> None:
    path = copied / "data" / "raw" / "events.parquet"
    events = pd.read_parquet(path)
    late = pd.to_datetime(events["known_at"], utc=True, errors="coerce") > pd.Timestamp(
        "2025-01-10", tz="UTC"
    )
    events[~(late & (events["type"] == "visit"))].to_parquet(path)
    code, told, written = look(copied, "--as-of", "2025-01-31")
    assert code == 6
    alarms = {(s["code"], s["subject"]) for s in written["signals"] if s["status"] == "alarm"}
    assert ("PRM201", "events/visit") in alarms
    assert all(subject != "leads" for _, subject in alarms)
    assert "nothing of events/visit for 2" in told


def test_wins_that_come_no_more_are_found_and_the_estimates_are_held_against_that(copied) -> None:
    path = copied / "data" / "raw" / "outcomes.csv"
    outcomes = pd.read_csv(path, dtype=str)
    late = (outcomes["status"] == "won") & (outcomes["closed_at"] > "2025-01-02")
    outcomes.loc[late, "status"] = "lost"
    outcomes.to_csv(path, index=False)
    params = copied / "params.yaml"
    content = yaml.safe_load(params.read_text(encoding="utf-8"))
    content["monitor"] = {"false_alarms_per_year": 50}  # eight wins are expected, which says little
    params.write_text(yaml.safe_dump(content), encoding="utf-8")
    look(copied, "--as-of", "2025-02-15")
    code, told, written = look(copied, "--as-of", LATER, "--retrain")
    assert code == 6
    assert "PRM503" in {s["code"] for s in written["signals"] if s["status"] == "alarm"}
    assert "PRM506 retraining" in told
    assert written["coverage"]["realised"] == 3  # without a win there is no AUC
    history = pd.read_parquet(copied / "reports" / "monitor_history.parquet")
    wins = history[(history["subject"] == "wins") & history["realised"].notna()]
    assert wins["realised"].tolist() == [0.0]


def test_a_raw_table_without_a_column_is_told_by_the_monitor_as_an_alarm(copied) -> None:
    path = copied / "data" / "raw" / "leads.csv"
    leads = pd.read_csv(path, dtype=str, on_bad_lines="skip", encoding_errors="replace")
    leads.drop(columns="industry").to_csv(path, index=False)
    code, told, written = look(copied, "--as-of", UNTIL)
    assert code == 6
    alarms = {(s["code"], s["subject"]) for s in written["signals"] if s["status"] == "alarm"}
    assert alarms == {("PRM101", "leads.industry"), ("PRM102", None)}
    assert "CANNOT SAY PRM301" in told


def test_the_reference_in_the_bundle_names_no_lead_and_no_account(folder) -> None:
    text = (folder / "models" / "bundle" / "reference.json").read_text(encoding="utf-8")
    leads = pd.read_parquet(folder / "data" / "interim" / "leads.parquet")
    for column in ("lead_id", "account_id"):
        assert not any(f'"{value}"' in text for value in leads[column].dropna())


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
