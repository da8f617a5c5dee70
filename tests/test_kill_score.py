"""The kill matrix of the nightly scoring: wherever it ends, the next start brings each lead exactly once."""

from __future__ import annotations

import fcntl
import random
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import psycopg
import pytest

from nightly_cases import copy_workspace, edit_params
from postgres_server import ask
from propensity.scoring.history import list_runs
from propensity.workspace import LOCK, Workspace, open_workspace
from scoring_children import CONTEXT, End, run_score, start_score

EARLY, LATER = "2025-05-01", "2025-06-01"
NIGHT = ("--as-of", LATER)
DATABASES = ("duckdb", "postgresql")
KEY = ["lead_id", "as_of", "model_version"]


class Base:
    """A workspace with one finished run, and what the next one leaves when nothing befalls it."""

    def __init__(self, ws: Workspace, postgres: Any, kind: str) -> None:
        self.ws, self.kind, self._postgres = ws, kind, postgres
        self.expected: dict[str, pd.DataFrame] = {}
        self.touches = 0

    def copy(self, folder: Path, name: str) -> Workspace:
        """Copy the workspace, and the database that it writes to."""
        shutil.copytree(self.ws.folder, folder, dirs_exist_ok=True)
        if self.kind != "postgresql":
            return open_workspace(folder / "params.yaml")
        url = self._postgres.url(name)
        with psycopg.connect(self._postgres.url("postgres"), autocommit=True) as session:
            session.execute(f'CREATE DATABASE "{name}" TEMPLATE "base"')
        return edit_params(
            open_workspace(folder / "params.yaml"), scoring={"to": {"url": url, "table": "scores"}}
        )


def read_table(ws: Workspace, name: str) -> pd.DataFrame:
    """Return a table of the database that a workspace writes to, sorted by key where it has one."""
    target = ws.params.scoring.to
    assert target is not None
    if target.url.startswith("duckdb"):
        with duckdb.connect(str(ws.folder / target.url.removeprefix("duckdb:///")), read_only=True) as con:
            con.execute("SET TimeZone = 'UTC'")
            frame = con.sql(f"SELECT * FROM {name}").to_arrow_table().to_pandas()
    else:
        with psycopg.connect(target.url) as session:
            found = session.execute(f"SELECT * FROM {name}")
            frame = pd.DataFrame(found.fetchall(), columns=[c.name for c in found.description])
    return frame.sort_values(KEY, ignore_index=True) if set(KEY) <= set(frame.columns) else frame


@pytest.fixture(scope="module")
def bases(nightly_workspace, postgres, tmp_path_factory) -> dict[str, Base]:
    made = {}
    for kind in ("files", *DATABASES):
        ws = copy_workspace(nightly_workspace, tmp_path_factory.mktemp(kind))
        to = {
            "files": None,
            "duckdb": {"url": "duckdb:///scores/out.duckdb", "table": "scores"},
            "postgresql": {"url": postgres.make_database("base"), "table": "scores"},
        }[kind]
        ws = edit_params(ws, scoring={"chunk_rows": 60, "to": to})
        assert run_score(ws.folder, "--as-of", EARLY) == 0, log_of(ws)
        made[kind] = Base(ws, postgres, kind)
    whole = made["files"].copy(tmp_path_factory.mktemp("undisturbed"), "undisturbed")
    assert run_score(whole.folder, *night("files"), end=End(touches=-1, count="touches")) == 0
    expected = {name: read_file(whole, name) for name in ("scores", "changes", "crossings")}
    for base in made.values():
        base.expected = expected
    made["files"].touches = int((whole.folder / "touches").read_text())
    return made


def log_of(ws: Workspace) -> str:
    return (ws.folder / "score.log").read_text(encoding="utf-8")


def night(kind: str) -> tuple[str, ...]:
    """The command's arguments; with files alone it also tells the changes."""
    return (*NIGHT, "--previous", "latest") if kind == "files" else NIGHT


def read_file(ws: Workspace, name: str) -> pd.DataFrame:
    return pd.read_parquet(ws.scores.with_name(f"{name}.parquet")).drop(columns="scored_at", errors="ignore")


def check_readers_see_old_or_new(ws: Workspace, base: Base) -> None:
    """What a reader finds between the end of the job and its next start."""
    old, new = read_file(base.ws, "scores"), base.expected["scores"]
    found = read_file(ws, "scores")
    assert found.equals(old) or found.equals(new)
    if base.kind != "files":
        current = read_table(ws, "scores_current")[["lead_id", "probability"]]
        whole = [s[["lead_id", "probability"]] for s in (old, new)]
        assert any(len(current) == len(s) and (current.to_numpy() == s.to_numpy()).all() for s in whole)


def check_finished(ws: Workspace, base: Base) -> None:
    """Each lead is there once, as if nothing had happened, and nothing else is left."""
    names = base.expected if base.kind == "files" else ["scores"]
    for name in names:
        pd.testing.assert_frame_equal(read_file(ws, name), base.expected[name])
    runs = list_runs(ws)
    assert [run.as_of.month for run in runs] == [5, 6]
    kept = pd.read_parquet(runs[-1].path)
    assert kept["probability"].tolist() == base.expected["scores"]["probability"].tolist()
    left = [path.name for path in (*ws.folder.glob(".propensity-*"), *ws.scores.parent.glob(".*"))]
    assert left == []
    if base.kind != "files":
        check_database(ws, base)


def check_database(ws: Workspace, base: Base) -> None:
    rows, expected = read_table(ws, "scores"), base.expected["scores"]
    assert not rows.duplicated(KEY).any()
    assert len(rows) == len(expected) + len(read_file(base.ws, "scores"))
    current = read_table(ws, "scores_current")
    assert current["lead_id"].tolist() == expected["lead_id"].tolist()
    np.testing.assert_array_equal(current["probability"], expected["probability"])
    assert current["tier"].tolist() == expected["tier"].tolist()
    assert [len(read_table(ws, f"scores_{name}")) for name in ("runs", "staged", "chunks")] == [2, 0, 0]


FILES = ("part written", "all chunks done", "results replaced", "history appended")
FILES += ("behaviour copied", "behaviour kept")
DATABASE = ("chunk inserted", "chunk committed", "database turned", "database committed")


@pytest.mark.parametrize(
    ("kind", "milestone"),
    [("files", name) for name in FILES] + [(kind, name) for kind in DATABASES for name in DATABASE],
)
def test_killed_at_a_milestone_it_finishes_at_the_next_start(bases, tmp_path, kind, milestone):
    base = bases[kind]
    ws = base.copy(tmp_path, f"kill_{milestone.replace(' ', '_')}")
    nth = 2 if milestone.split()[0] in ("part", "chunk") else 1
    assert run_score(ws.folder, *night(kind), end=End(at=f"score: {milestone}", nth=nth)) == -9
    check_readers_see_old_or_new(ws, base)
    assert run_score(ws.folder, *night(kind)) == 0, log_of(ws)
    check_finished(ws, base)


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments_it_finishes_in_the_end(bases, tmp_path, seed):
    base = bases["files"]
    ws, generator = base.copy(tmp_path, f"random_{seed}"), random.Random(seed)
    for _ in range(2):
        end = End(touches=generator.randrange(1, base.touches))
        assert run_score(ws.folder, *night("files"), end=end) in (-9, 0)
        check_readers_see_old_or_new(ws, base)
    assert run_score(ws.folder, *night("files")) == 0, log_of(ws)
    check_finished(ws, base)


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("files", End(largest=30_000)),
        ("files", End(at="score: all chunks done", largest=5_000)),
        ("duckdb", End(at="score: part written", largest=10_000)),
    ],
    ids=["files, while reading", "files, at the end", "duckdb"],
)
def test_without_room_it_asks_to_try_again_and_then_finishes(bases, tmp_path, kind, end):
    base = bases[kind]
    ws = base.copy(tmp_path, "full")
    assert run_score(ws.folder, *night(kind), end=end) == 75, log_of(ws)
    assert "no room left" in log_of(ws)
    check_readers_see_old_or_new(ws, base)
    assert run_score(ws.folder, *night(kind)) == 0, log_of(ws)
    check_finished(ws, base)


@pytest.mark.parametrize("milestone", ["chunk inserted", "database turned"])
def test_a_server_that_restarts_meanwhile_makes_it_ask_to_try_again_and_then_finish(
    bases, postgres, tmp_path, milestone
):
    base = bases["postgresql"]
    ws = base.copy(tmp_path, f"restart_{milestone.replace(' ', '_')}")
    reached, go_on = CONTEXT.Event(), CONTEXT.Event()
    process = start_score(ws.folder, *NIGHT, end=End(at=f"score: {milestone}", meeting=(reached, go_on)))
    assert reached.wait(300)
    postgres.restart()
    go_on.set()
    process.join()
    assert process.exitcode == 75, log_of(ws)
    check_readers_see_old_or_new(ws, base)
    assert run_score(ws.folder, *NIGHT) == 0, log_of(ws)
    check_finished(ws, base)


def test_a_workspace_that_is_locked_is_left_alone(bases, tmp_path):
    base = bases["files"]
    ws = base.copy(tmp_path, "locked")
    with (ws.folder / LOCK).open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert run_score(ws.folder, *night("files")) == 75
    assert "locked" in log_of(ws)
    check_readers_see_old_or_new(ws, base)
    assert run_score(ws.folder, *night("files")) == 0
    check_finished(ws, base)


def test_a_table_that_another_job_writes_is_left_alone(bases, tmp_path):
    base = bases["postgresql"]
    ws = base.copy(tmp_path, "written")
    with psycopg.connect(ws.params.scoring.to.url) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('propensity scores', 0))")
        assert run_score(ws.folder, *NIGHT) == 75
    assert "another job is writing scores" in log_of(ws)
    check_readers_see_old_or_new(ws, base)
    assert run_score(ws.folder, *NIGHT) == 0
    check_finished(ws, base)
    assert ask(ws.params.scoring.to.url, "SELECT count(*) FROM scores_runs WHERE is_current") == [(1,)]
