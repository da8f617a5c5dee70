"""The audit in a workspace: what it finds in simulated leads, and how a run stops and goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from propensity.data.bookkeeping import LEAK_COLUMNS
from propensity.data.simulate import simulate, write_simulation
from propensity.stages import STAGES, audit_findings
from propensity.workspace import Workspace, open_workspace
from test_pipeline import propensity

ROOT = Path(__file__).parents[1]
HONEST = {
    *("seniority", "country", "email_domain", "first_offer", "industry", "employees", "job_title", "city"),
    *("visit", "form", "open", "click", "unsubscribe", "follow", "share", "call"),
}
UP_TO_AUDIT = list(STAGES)[: list(STAGES).index("audit")]


def make_workspace(folder: Path, *, seed: int, leads: int = 2000, **features: object) -> Path:
    write_simulation(simulate(leads, seed), folder / "data" / "raw")
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["snapshots"]["ages_days"], content["features"]["lookback_days"] = [0, 7], [30]
    content["model"]["candidates"], content["calibration"]["methods"] = ["logistic"], ["sigmoid"]
    content["features"] |= features
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    return folder


def permute_outcomes(folder: Path, *, leads: int, seed: int) -> None:
    """Give each lead the status and the days to the close of another; a close after the end is open."""
    made = simulate(leads, seed)
    order = np.random.default_rng(1).permutation(leads)
    waited = (made.outcomes["closed_at"] - made.leads["created_at"]).iloc[order].to_numpy()
    closed_at = made.leads["created_at"] + waited
    dealt = made.outcomes.iloc[order].reset_index(drop=True)[["lead_id", "status"]]
    dealt = dealt.assign(lead_id=made.outcomes["lead_id"], closed_at=closed_at, amount=None, reason=None)
    late = (closed_at > made.observed_until).to_numpy()
    dealt.loc[late, "status"], dealt.loc[late, "closed_at"] = "open", pd.NaT
    dealt.to_csv(folder / "data" / "raw" / "outcomes.csv", index=False)


def find(folder: Path) -> tuple[Workspace, list]:
    ws = open_workspace(folder / "params.yaml")
    for name in UP_TO_AUDIT:
        STAGES[name](ws)
    return ws, audit_findings(ws)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("audited"), seed=5)


@pytest.fixture(scope="module")
def findings(folder) -> list:
    return find(folder)[1]


def test_each_planted_leak_is_found_and_no_honest_column(findings):
    issues = {f.subject for f in findings if f.result == "issue"}
    assert set(LEAK_COLUMNS) <= issues
    assert not issues & HONEST


def test_leaks_in_columns_that_are_not_used_do_not_stop_a_run(findings):
    assert not any(f.stops for f in findings)


def test_with_permuted_outcomes_nothing_stops_a_run_and_nothing_is_learned(tmp_path):
    folder = make_workspace(tmp_path, seed=6)
    permute_outcomes(folder, leads=2000, seed=6)
    assert propensity("run", folder=folder).returncode == 0
    metrics = json.loads((folder / "reports" / "metrics.json").read_text())
    issues = [f for f in metrics["audit"] if f["result"] == "issue"]
    assert "blocking" not in {f["severity"] for f in issues}
    assert not {f["code"] for f in issues} & {"PRP201", "PRP202", "PRP301", "PRP303", "PRP304", "PRP305"}
    low, high = metrics["test"]["auc_interval"]
    assert low < 0.5 < high


def test_a_run_that_uses_a_leak_stops_says_why_and_goes_on_in_both_ways(tmp_path):
    folder = make_workspace(tmp_path, seed=5, firmographic=["industry", "lead_rating"])
    stopped = propensity("run", folder=folder)
    assert stopped.returncode == 3
    assert "AuditError" in stopped.stderr
    assert not (folder / "models").exists()
    blocks = [yaml.safe_load(b) for b in stopped.stderr.split("\n\n") if b.startswith("  features:")]
    exclude, allow = (block["features"] for block in blocks)
    assert exclude == {"exclude": ["lead_rating"]}
    content = yaml.safe_load((folder / "params.yaml").read_text())

    content["features"] |= exclude
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    assert propensity("run", "features", "split", "audit", folder=folder).returncode == 0

    content["features"] |= {"exclude": []} | allow
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    finished = propensity("run", folder=folder)
    assert finished.returncode == 0, finished.stderr
    metrics = json.loads((folder / "reports" / "metrics.json").read_text())
    overruled = [f for f in metrics["audit"] if f["result"] == "overruled"]
    assert {f["subject"] for f in overruled} == {"lead_rating"}
    assert {f["reason"] for f in overruled} == {"why it was known in time"}
    review = (folder / "reports" / "review.html").read_text()
    assert "overruled by a person: lead_rating" in review


def test_the_command_prints_every_finding_and_exits_as_a_run_would(folder, findings):
    printed = propensity("audit", folder=folder)
    assert printed.returncode == 0, printed.stderr
    for finding in findings:
        assert finding.name in printed.stdout
    assert json.loads((folder / "reports" / "audit.json").read_text())[0]["code"] == "PRP101"
