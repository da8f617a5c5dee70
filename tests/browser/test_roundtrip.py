"""From a workspace to its review, to verdicts given in it, and back through ``propensity feedback``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from test_verdicts import NOTES, judge, read, save

from conftest import Open
from propensity.data.simulate import simulate, write_simulation
from propensity.loop.feedback import take_feedback
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A small workspace, run up to the review."""
    folder = tmp_path_factory.mktemp("reviewed")
    write_simulation(simulate(800, seed=11), folder / "data" / "raw")
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["snapshots"]["ages_days"], content["features"]["lookback_days"] = [0, 7], [30]
    content["model"]["candidates"], content["calibration"]["methods"] = ["logistic"], ["sigmoid"]
    content["data"] |= {"stages": None, "spend": None}
    content["feedback"] = {"use": "report", "weight": 2}
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    opened = open_workspace(folder / "params.yaml")
    for name in list(STAGES)[: list(STAGES).index("track")]:
        STAGES[name](opened)
    return opened


def test_what_is_judged_in_the_review_comes_back_with_nothing_lost(
    workspace: Workspace, open_page: Open, tmp_path: Path
) -> None:
    page = open_page((workspace.reports / "review.html").read_text(encoding="utf-8"), "#leads")
    for index, note in enumerate(NOTES, start=1):
        judge(page, index, "disagree" if index % 2 else "agree", reason="no_budget", note=note)
    path = shutil.copy(save(page, "Ana Díaz"), tmp_path / "verdicts.csv")
    entered = pd.DataFrame(read(path))
    entered["note"] = entered["note"].str.strip()  # blanks around a text go, as in every table
    assert "5 verdicts" in take_feedback(workspace, [path])
    kept = pd.read_parquet(workspace.feedback).set_index("lead_id").loc[entered["lead_id"]].reset_index()
    same = ["lead_id", "verdict", "reason", "given_by", "note", "model_version"]
    pd.testing.assert_frame_equal(kept[same].astype(object), entered[same].astype(object))
    for moment in ("as_of", "given_at"):
        assert (kept[moment] == pd.to_datetime(entered[moment], utc=True, format="ISO8601")).all()
    STAGES["report"](workspace)
    page = open_page((workspace.reports / "review.html").read_text(encoding="utf-8"), "#feedback")
    assert "5 verdicts on 5 leads" in (page.locator("#feedback").text_content() or "")
