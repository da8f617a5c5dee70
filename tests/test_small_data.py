"""A few hundred leads: the whole way runs, and says what so few can and cannot support."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from propensity.data.simulate import simulate, write_simulation
from test_pipeline import propensity

ROOT = Path(__file__).parents[1]
N_LEADS, SEED = 400, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_simulation(simulate(N_LEADS, SEED), folder / "data" / "raw")
    shutil.copy(ROOT / "params.yaml", folder)
    finished = propensity("run", folder=folder)
    assert finished.returncode == 0, finished.stderr
    return folder


@pytest.fixture(scope="module")
def metrics(folder) -> dict:
    return json.loads((folder / "reports" / "metrics.json").read_text())


def test_a_model_and_scores_are_had_from_few_wins(folder, metrics):
    outcomes = pd.read_csv(folder / "data" / "raw" / "outcomes.csv").drop_duplicates("lead_id")
    assert (outcomes["status"] == "won").sum() < 80
    assert metrics["model"]["few_wins"]
    assert pd.read_parquet(folder / "scores" / "scores.parquet")["probability"].between(0, 1).all()


def test_what_so_few_cannot_support_is_said(folder, metrics):
    assert not metrics["cutoffs"]["sql"]["supported"]
    review = (folder / "reports" / "review.html").read_text()
    assert "There are few wins to learn from" in review
    assert "cut-off is not supported by the data" in review


def test_the_interval_of_the_ranking_is_as_wide_as_so_few_leads_make_it(metrics):
    low, high = metrics["test"]["auc_interval"]
    assert high - low > 0.15
