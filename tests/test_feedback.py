"""``propensity feedback`` in a workspace: taken in, kept, told, and used only as far as params say."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from propensity.cli import app, main
from propensity.data.simulate import simulate, write_simulation
from propensity.errors import InputError, QuarantineError
from propensity.gathering import assemble, probe_rows
from propensity.loop.feedback import TABLES, take_feedback
from propensity.loop.verdicts import SCHEMA, to_stored
from propensity.model.bundle import write_bundle
from propensity.report.feedback import feedback_section
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[1]
ENGINE = ".propensity-*"  # where the engine keeps what it works on until its connection is gone
UNTIL, LATER = "2024-12-31", "2025-09-30"
NAMES = ("ana.perez@firm.es", "Boris \x1b[31m=1+1")


def opened(folder: Path, until: str = UNTIL, **feedback: Any) -> Workspace:
    path = folder / "params.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["data"]["observed_until"] = until
    content["feedback"] = {"use": "off", "weight": 2} | feedback
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return open_workspace(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Trained and scored by what is known at `UNTIL`; the outcomes go on."""
    folder = tmp_path_factory.mktemp("judged")
    write_simulation(simulate(1200, seed=11), folder / "data" / "raw")
    content: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["snapshots"]["ages_days"], content["features"]["lookback_days"] = [0, 7], [30]
    content["model"]["candidates"], content["calibration"]["methods"] = ["logistic"], ["sigmoid"]
    content["data"] |= {"stages": None, "spend": None}
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    workspace = opened(folder)
    for name in ("ingest", "cohort", "features"):
        STAGES[name](workspace)
    fit(workspace)
    STAGES["score"](workspace)
    return folder


def fit(workspace: Workspace) -> None:
    """Make the bundle without what only reports on it."""
    for name in ("split", "train", "calibrate"):
        STAGES[name](workspace)
    write_bundle(assemble(workspace), workspace.models / "bundle", probe_rows(workspace))


@pytest.fixture(scope="module")
def taken(folder, tmp_path_factory) -> tuple[Path, str]:
    """A copy of the workspace with the verdicts of two reviewers, and what the command printed."""
    copy = copied(folder, tmp_path_factory.mktemp("taken"))
    path = save(copy, judge_scores(copy))
    finished = CliRunner().invoke(
        app, ["--params", str(copy / "params.yaml"), "--verbose", "feedback", str(path)]
    )
    assert finished.exit_code == 0
    return copy, finished.output


def copied(folder: Path, into: Path) -> Path:
    return Path(shutil.copytree(folder, into / "workspace", ignore=shutil.ignore_patterns(ENGINE)))


def save(folder: Path, rows: list[dict[str, Any]], name: str = "verdicts.csv") -> Path:
    pd.DataFrame(rows).to_csv(folder / name, index=False, lineterminator="\r\n")
    return folder / name


def judge_scores(
    folder: Path, most: int = 60, given_at: str = "2025-01-03T09:00:00.250Z"
) -> list[dict[str, Any]]:
    """Verdicts of two on the best leads: one agrees with all, the other with every third."""
    scores = pd.read_parquet(folder / "scores" / "scores.parquet")
    best = scores[scores["tier"] != "disqualified"].nlargest(most, "probability")
    about = [(r.lead_id, r.as_of.isoformat(), r.model_version) for r in best.itertuples()]
    return [
        {
            "lead_id": lead,
            "as_of": as_of,
            "verdict": "agree" if who == NAMES[0] or place % 3 == 0 else "disagree",
            "reason": "" if who == NAMES[0] or place % 3 == 0 else "no_budget",
            "given_by": who,
            "given_at": given_at,
            "note": '=HYPERLINK("http://x")\nsecret, "note"',
            "model_version": version,
        }
        for place, (lead, as_of, version) in enumerate(about)
        for who in NAMES
    ]


def content_of(folder: Path) -> Any:
    return json.loads((folder / "reports" / "feedback.json").read_text(encoding="utf-8"))


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.parent.match(ENGINE))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_verdicts_are_merged_kept_and_told(taken):
    folder, told = taken
    assert "120 verdicts read = 120 accepted + 0 refused; 120 new, " in told
    kept = pd.read_parquet(folder / "data/feedback/feedback.parquet")
    assert len(kept) == 120
    assert set(kept["note"]) == {'=HYPERLINK("http://x")\nsecret, "note"'}
    assert kept["tier"].notna().all()
    counts = content_of(folder)["counts"]
    assert (counts["verdicts"], counts["leads"], counts["without_score"], counts["decided"]) == (
        120,
        60,
        0,
        0,
    )
    assert "the outcomes are not in yet" in told
    for name in TABLES:
        table = pd.read_parquet(folder / "reports" / f"feedback_{name}.parquet")
        assert len(table) == len(content_of(folder)[name])
    assert feedback_section(content_of(folder))["tables"]


def test_reviewers_and_notes_stand_in_the_kept_verdicts_only(taken):
    folder, told = taken
    texts = [path.read_text("utf-8") for path in (folder / "reports").glob("*.json")]
    for path in (folder / "reports").glob("feedback*.parquet"):
        texts += map(str, pd.read_parquet(path).to_numpy().ravel().tolist())
    assert "R1" in told and "R2" in told
    assert not [text for text in (told, *texts) for name in ("perez", "Boris", "secret") if name in text]


def test_the_same_file_twice_changes_nothing_and_says_so(taken, tmp_path):
    folder = copied(taken[0], tmp_path)
    before = hashes(folder / "data" / "feedback") | hashes(folder / "reports")
    told = take_feedback(opened(folder), [folder / "verdicts.csv"] * 2, names=True)
    assert "nothing changed; 240 were there already" in told
    assert hashes(folder / "data" / "feedback") | hashes(folder / "reports") == before
    assert "ana.perez@firm.es" in told and "Boris" in told
    assert "\x1b" not in told


def test_without_a_file_and_without_verdicts_there_is_nothing_to_do(folder):
    with pytest.raises(InputError, match="no file was named"):
        take_feedback(opened(folder), [])


def test_a_refused_row_is_told_with_file_row_column_and_rule(taken, tmp_path):
    folder = copied(taken[0], tmp_path)
    rows = judge_scores(folder)
    rows[4] |= {"verdict": "perhaps"}
    rows[9] |= {"lead_id": "nobody"}
    told = take_feedback(opened(folder), [save(folder, rows)])
    assert "120 verdicts read = 118 accepted + 2 refused; nothing changed" in told
    assert "refused: verdicts.csv, row 5, column verdict: type, a value like 'aaaaaaa'" in told
    assert "refused: verdicts.csv, row 10, column lead_id: unknown_lead, a value like 'aaaaaa'" in told
    assert len(pd.read_parquet(folder / "data/feedback/quarantine.parquet")) == 2


def test_too_many_bad_rows_write_nothing(taken, tmp_path):
    folder = copied(taken[0], tmp_path)
    rows = judge_scores(folder, most=70)
    path = save(folder, [row | ({"verdict": "perhaps"} if i < 40 else {}) for i, row in enumerate(rows)])
    workspace = opened(folder)
    before = hashes(folder)
    with pytest.raises(QuarantineError, match=r"40 of 140 rows") as refused:
        take_feedback(workspace, [path])
    assert refused.value.exit_code == 4
    assert hashes(folder) == before


def test_the_command_line_refuses_what_is_no_file_of_verdicts(folder, tmp_path, capsys):
    opened(folder)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["--params", str(folder / "params.yaml"), "feedback", str(tmp_path / "other.csv")])
    assert stopped.value.code == 3
    assert "InputError" in capsys.readouterr().err
    assert not (folder / "data/feedback/feedback.parquet").exists()


def test_once_outcomes_are_in_it_is_told_who_was_right(taken, tmp_path):
    folder = copied(taken[0], tmp_path)
    (folder / "scores" / "scores.parquet").unlink()  # what was shown is kept with the verdicts
    told = take_feedback(opened(folder, until=LATER), [])
    assert told.startswith("120 verdicts in ")
    counts = content_of(folder)["counts"]
    assert (counts["final"], counts["without_score"]) == (120, 0)
    outcomes = pd.read_csv(folder / "data/raw/outcomes.csv", dtype=str).drop_duplicates("lead_id")
    outcomes = outcomes.set_index("lead_id")
    kept = pd.read_parquet(folder / "data/feedback/feedback.parquet")
    against = kept[(kept["verdict"] == "disagree") & kept["tier"].isin(["sql", "mql"])]
    closed = pd.to_datetime(against["lead_id"].map(outcomes["closed_at"]), utc=True, format="ISO8601")
    end = against["as_of"] + pd.Timedelta(days=90)
    won = (against["lead_id"].map(outcomes["status"]) == "won") & (closed <= end)
    counted = ~(against["given_at"] >= closed.where(closed < end, end))
    right = {row["tier"]: row for row in content_of(folder)["right"]}
    assert right["sql"]["right"] + right["mql"]["right"] == int((~won[counted]).sum())
    assert right["sql"]["verdicts"] + right["mql"]["verdicts"] == int(counted.sum()) > 0
    assert "In how many disagreements sales was right" in told


def keep_on_training(workspace: Workspace, *, days: float) -> None:
    """Keep verdicts on the first snapshots of the training part, given so many days after each."""
    table = pd.read_parquet(workspace.processed / "training.parquet").query("split == 'train'").head(40)
    given = table[["lead_id", "as_of"]].assign(
        verdict="disagree", given_by="ana", given_at=table["as_of"] + pd.Timedelta(days=days)
    )
    workspace.feedback.parent.mkdir(exist_ok=True)
    pq.write_table(to_stored(given.reindex(columns=SCHEMA.names)), workspace.feedback)


@pytest.mark.parametrize("use", ["off", "report"])
def test_verdicts_change_no_byte_of_the_bundle(folder, tmp_path, use):
    workspace = opened(copied(folder, tmp_path), use=use)
    fit(workspace)
    before = hashes(workspace.models / "bundle") | hashes(workspace.processed)
    keep_on_training(workspace, days=0.01)
    fit(workspace)
    assert hashes(workspace.models / "bundle") | hashes(workspace.processed) == before


def test_as_weights_judged_snapshots_count_more_and_labels_stay(folder, tmp_path):
    workspace = opened(copied(folder, tmp_path), use="weights", weight=3)
    path = workspace.processed / "training.parquet"
    before = pd.read_parquet(path)
    keep_on_training(workspace, days=0.01)
    said = STAGES["split"](workspace)
    after = pd.read_parquet(path)
    pd.testing.assert_frame_equal(after.drop(columns="weight"), before.drop(columns="weight"))
    judged = after.index.isin(before[before["split"] == "train"].head(40).index)
    assert (after["weight"] == before["weight"] * (1 + 2 * judged)).all()
    assert "40 judged snapshots count 3 times (40 verdicts, 40 on a snapshot" in said
    described = json.loads((workspace.processed / "split.json").read_text("utf-8"))
    assert described["judged"]["snapshots"] == 40


def test_as_weights_verdicts_given_after_the_outcome_move_nothing(folder, tmp_path):
    workspace = opened(copied(folder, tmp_path), use="weights", weight=3)
    before = (workspace.processed / "training.parquet").read_bytes()
    keep_on_training(workspace, days=91)
    STAGES["split"](workspace)
    assert (workspace.processed / "training.parquet").read_bytes() == before
