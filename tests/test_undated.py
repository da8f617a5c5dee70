"""A flat table without any dates goes the whole way: trained, scored, reviewed, scored again in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from propensity.errors import PromotionError
from propensity.loop.promotion import promote_challenger
from propensity.model.bundle import verify_files
from propensity.predict import Predictor
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace

PARAMS = """
data:
  leads: {path: leads.csv, lead_id: id}
  outcomes: {status: bought, won: ["1"], lost: ["0"]}
features: {demographic: [job], firmographic: [size]}
snapshots: {ages_days: [0]}
split: {by: random, group: lead_id}
model: {candidates: [logistic], threads: 1}
calibration: {methods: [sigmoid]}
cutoffs:
  sql: {policy: precision, target: 0.5}
"""


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder: Path = tmp_path_factory.mktemp("undated")
    rng = np.random.default_rng(3)
    size, job = rng.integers(1, 100, 900), rng.choice(["clerk", "director"], 900)
    chance = 1 / (1 + np.exp(3 - size / 40 - (job == "director")))
    leads = pd.DataFrame({"id": range(900), "job": job, "size": size, "bought": rng.random(900) < chance})
    leads.assign(bought=leads["bought"].astype(int)).to_csv(folder / "leads.csv", index=False)
    (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
    opened = open_workspace(folder / "params.yaml")
    for name in list(STAGES)[: list(STAGES).index("track")]:
        STAGES[name](opened)
    return opened


def some_leads(ws: Workspace, scores: pd.DataFrame) -> pd.DataFrame:
    return (
        pd.read_csv(ws.folder / "leads.csv", dtype=str).set_index("id").loc[scores["lead_id"]].reset_index()
    )


def test_python_and_the_pipeline_give_the_same_scores(ws: Workspace) -> None:
    scores = pd.read_parquet(ws.scores)
    again = Predictor.load(ws.models / "bundle").score(some_leads(ws, scores))
    np.testing.assert_allclose(again["probability"], scores["probability"], rtol=0, atol=1e-12)
    assert again["as_of"].isna().all()
    assert str(again["as_of"].dtype) == "datetime64[us, UTC]"


def test_without_events_nothing_it_could_do_would_change_it(ws: Workspace) -> None:
    scores = pd.read_parquet(ws.scores).head(5)
    found = Predictor.load(ws.models / "bundle").what_would_change(some_leads(ws, scores))
    assert not found["reached"].any()
    assert [len(actions) for actions in found["actions"]] == [0] * 5


def test_the_review_is_written(ws: Workspace) -> None:
    assert "drawn at random" in (ws.reports / "review.html").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore")  # mlflow and SQLAlchemy warn about each other
def test_its_first_model_is_held_against_the_win_rate_on_the_test_part(ws: Workspace) -> None:
    STAGES["track"](ws)
    tested = pd.read_parquet(ws.processed / "training.parquet").query("split == 'test'")
    found = f"{tested['lead_id'].nunique():,} leads with {tested['won'].sum():,} wins: the test part"
    with pytest.raises(PromotionError, match=rf"{found}(?s:.*)not shown to tell more"):
        promote_challenger(ws, by=None, force=None, dry_run=False)
    promote_challenger(ws, by=None, force="the sample is small", dry_run=False)
    assert verify_files(ws.models / "champion") == verify_files(ws.models / "bundle")
