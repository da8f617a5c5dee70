"""The nightly scoring: in chunks, resumable, counted, kept in a history, compared with the last run."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from nightly_cases import copy_workspace, edit_params
from propensity.commands import score_raw
from propensity.errors import QuarantineError
from propensity.scoring import chunks
from propensity.scoring.history import find_latest, list_runs, read_history
from propensity.scoring.parts import make_key, open_parts
from propensity.stages import STAGES
from propensity.workspace import Workspace

EARLY, LATER = "2025-05-01", "2025-06-01"


def score(ws: Workspace, **given: str | None) -> str:
    return score_raw(ws, **({"leads": None, "events": None, "as_of": None} | given))


def same_scores(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found.drop(columns="scored_at"), expected.drop(columns="scored_at"))


@pytest.fixture
def ws(nightly_workspace, tmp_path) -> Workspace:
    return copy_workspace(nightly_workspace, tmp_path)


def test_chunks_of_any_size_give_the_scores_of_one(ws):
    score(ws, as_of=LATER)
    whole = pd.read_parquet(ws.scores)
    assert len(whole) > 50
    for rows in (50, len(whole)):
        smaller = edit_params(ws, scoring={"chunk_rows": rows})
        score(smaller, as_of=LATER)
        same_scores(pd.read_parquet(ws.scores), whole)
    assert not (ws.scores.parent / ".parts").exists()
    assert whole["scored_at"].nunique() == 1


def test_changes_in_chunks_are_those_of_one(ws):
    score(ws, as_of=EARLY)
    shutil.copy(ws.scores, ws.folder / "before.parquet")
    found = []
    for rows in (1000, 40):
        said = score(edit_params(ws, scoring={"chunk_rows": rows}), as_of=LATER, previous="before.parquet")
        beside = [ws.scores.with_name(f"{name}.parquet") for name in ("changes", "crossings")]
        told = next(line for line in said.splitlines() if "leads compared" in line)
        found.append((told, *map(pd.read_parquet, beside)))
    (told, changes, crossed), (others_told, others_changes, others_crossed) = found
    assert told == others_told
    pd.testing.assert_frame_equal(changes, others_changes)
    pd.testing.assert_frame_equal(crossed, others_crossed)


def test_every_lead_read_is_accounted_for_once(ws):
    said = score(ws, as_of=LATER)
    run = json.loads((ws.scores.parent / "run.json").read_text())
    counts = run["leads"]
    assert counts["read"] == sum(n for name, n in counts.items() if name != "read")
    assert min(counts["scored"], counts["not_open"], counts["created_later"], counts["quarantined"]) > 0
    assert counts["scored"] == len(pd.read_parquet(ws.scores)) == sum(run["tiers"].values())
    assert f"{counts['read']:,} leads read = {counts['scored']:,} scored + " in said


def test_leads_that_could_not_be_scored_are_listed_with_what_was_wrong(ws):
    raw = pd.read_csv(ws.folder / "data/raw/leads.csv", dtype=str, on_bad_lines="skip")
    first, second = raw["lead_id"].iloc[0], raw["lead_id"].iloc[1]
    raw.loc[0, "created_at"] = "soon"
    outcomes = pd.read_csv(ws.folder / "data/raw/outcomes.csv", dtype=str)
    outcomes.loc[outcomes["lead_id"] == second, ["status", "closed_at"]] = ["won", "some day"]
    raw.to_csv(ws.folder / "data/raw/leads.csv", index=False)
    outcomes.to_csv(ws.folder / "data/raw/outcomes.csv", index=False)
    score(ws, as_of=LATER)
    listed = pd.read_parquet(ws.scores.parent / "quarantine.parquet")
    assert list(listed.columns) == ["lead_id", "table", "rule", "column", "value"]
    mine = listed[listed["lead_id"].isin([first, second]) & (listed["rule"] == "type")]
    assert mine.drop(columns="rule").values.tolist() == [
        [first, "leads", "created_at", "aaaa"],
        [second, "outcomes", "closed_at", "aaaa aaa"],
    ]
    assert not {first, second} & set(pd.read_parquet(ws.scores)["lead_id"])


def test_too_many_refused_leads_replace_nothing(ws):
    score(ws, as_of=EARLY)
    held = {path: path.read_bytes() for path in ws.scores.parent.rglob("*") if path.is_file()}
    strict = edit_params(ws, scoring={"max_quarantined": 0.0})
    with pytest.raises(QuarantineError, match=r"scoring.max_quarantined allows 0.0%") as caught:
        score(strict, as_of=LATER)
    assert caught.value.exit_code == 4
    assert {path: path.read_bytes() for path in ws.scores.parent.rglob("*") if path.is_file()} == held


# --- resuming --------------------------------------------------------------------------------------


def test_a_scoring_that_broke_off_goes_on_after_its_last_chunk(ws, monkeypatch):
    small = edit_params(ws, scoring={"chunk_rows": 40})
    score(small, as_of=LATER)
    whole = pd.read_parquet(ws.scores)
    score(small, as_of=EARLY)
    held = ws.scores.read_bytes()
    done = []

    def score_some(job, number, **given):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(number)
        return chunks.score_chunk(job, number, **given)

    monkeypatch.setattr("propensity.scoring.tables.score_chunk", score_some)
    with pytest.raises(KeyboardInterrupt):
        score(small, as_of=LATER)
    assert ws.scores.read_bytes() == held
    done.clear()
    monkeypatch.undo()

    def score_rest(job, number, **given):
        done.append(number)
        return chunks.score_chunk(job, number, **given)

    monkeypatch.setattr("propensity.scoring.tables.score_chunk", score_rest)
    score(small, as_of=LATER)
    assert done == list(range(2, -(-len(whole) // 40)))
    same_scores(pd.read_parquet(ws.scores), whole)


def test_parts_of_another_run_are_thrown_away(tmp_path):
    old, new = (make_key({"as_of": day}) for day in (1, 2))
    (tmp_path / old).mkdir()
    (tmp_path / old / "000000.parquet").write_bytes(b"stale")
    assert open_parts(tmp_path, new).folder == tmp_path / new
    assert not (tmp_path / old).exists()


# --- the history -----------------------------------------------------------------------------------


def test_each_finished_run_is_kept_and_one_done_again_is_replaced(ws):
    score(ws, as_of=EARLY)
    first = pd.read_parquet(ws.scores)
    score(ws, as_of=LATER)
    second = pd.read_parquet(ws.scores)
    score(ws, as_of=LATER)
    kept = read_history(ws)
    assert len(kept) == len(first) + len(second)
    assert not kept.duplicated(["lead_id", "as_of", "model_version"]).any()
    by_run = kept.set_index(["as_of", "lead_id"])["probability"]
    for scores in (first, second):
        expected = scores.set_index(["as_of", "lead_id"])["probability"]
        np.testing.assert_array_equal(by_run.loc[expected.index], expected)
    assert len(read_history(ws, since=pd.Timestamp(LATER, tz="UTC").to_pydatetime())) == len(second)


def test_a_history_that_is_not_there_is_empty_and_has_its_columns(tmp_path, nightly_workspace):
    found = read_history(Workspace(tmp_path, nightly_workspace.params))
    assert found.empty
    assert list(found.columns) == [
        "lead_id", "as_of", "probability", "score", "tier", "model_version", "scored_at",
    ]  # fmt: skip


def test_runs_older_than_params_say_are_forgotten(ws):
    short = edit_params(ws, scoring={"keep_days": 20})
    score(short, as_of=EARLY)
    score(short, as_of=LATER)
    assert [run.as_of.month for run in list_runs(ws)] == [6]


def test_files_of_leads_and_params_without_history_leave_it_alone(ws):
    score(ws, as_of=LATER, leads="data/raw/leads.csv")
    score(edit_params(ws, scoring={"history": False}), as_of=LATER)
    assert list_runs(ws) == []


def test_the_latest_run_is_the_last_before_and_never_itself(ws):
    said = score(ws, as_of=EARLY, previous="latest")
    assert "the history holds no earlier run to compare with" in said
    before = pd.read_parquet(ws.scores)
    for _ in range(2):
        score(ws, as_of=LATER, previous="latest")
        changes = pd.read_parquet(ws.scores.with_name("changes.parquet"))
        assert changes["as_of_before"].dropna().unique() == [pd.Timestamp(EARLY, tz="UTC")]
    known = changes[changes["change"].notna()]
    assert set(known["lead_id"]) == set(before["lead_id"]) & set(changes["lead_id"])
    score(ws, as_of=EARLY, previous="latest")
    assert not ws.scores.with_name("changes.parquet").exists()
    version = before["model_version"].iloc[0]
    assert find_latest(ws, as_of=None, model_version=version) is None


# --- which model -----------------------------------------------------------------------------------


def promote(ws: Workspace) -> str:
    """Make a champion of another version: the workspace's bundle under other params."""
    from dataclasses import replace

    from propensity.model.bundle import read_bundle, write_bundle

    made = read_bundle(ws.models / "bundle")
    probe = pd.read_parquet(ws.models / "bundle" / "probe.parquet")
    other = replace(made, data=made.data | {"files": {"leads.csv": "0" * 64}})
    return write_bundle(other, ws.models / "champion", probe.drop(columns="log_odds", errors="ignore"))


def test_the_champion_scores_and_the_pipeline_leaves_its_scores_alone(nightly_workspace, tmp_path):
    ws = copy_workspace(nightly_workspace, tmp_path, all_of_it=True)
    champion = promote(ws)
    said = score(ws, as_of=LATER)
    assert f"model {champion} of {ws.models / 'champion'}" in said
    held = ws.scores.read_bytes()
    assert set(pd.read_parquet(ws.scores)["model_version"]) == {champion}
    STAGES["score"](ws)
    assert ws.scores.read_bytes() == held
    challenger = pd.read_parquet(ws.challenger_scores)
    assert champion not in set(challenger["model_version"])
    assert (ws.scores.parent / "run.json").exists()
    said = score(ws, as_of=LATER, model="models/bundle")
    assert set(pd.read_parquet(ws.scores)["model_version"]) == set(challenger["model_version"])
