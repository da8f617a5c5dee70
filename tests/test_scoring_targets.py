"""Scores in a database: what stands in which table after which runs, in DuckDB and PostgreSQL alike."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import psycopg
import pytest

from propensity.data.files import write_parquet
from propensity.errors import BusyError, InputError, ParamsError
from propensity.explain.reasons import REASONS_TYPE
from propensity.params import Database
from propensity.scoring.target import Run, load_chunk, open_target, show_run

MAY, JUNE = (datetime(2025, month, 1, tzinfo=UTC) for month in (5, 6))


@pytest.fixture(params=["duckdb", "postgresql"])
def database(request, tmp_path) -> Database:
    if request.param == "duckdb":
        return Database(url="duckdb:///out.duckdb", table="scores")
    server = request.getfixturevalue("postgres")
    return Database(url=server.make_database("target"), table="scores")


def run_at(moment: datetime | None, *, name: str = "a", **changed: Any) -> Run:
    return Run(name, moment, "m1", datetime(2025, 7, 1, tzinfo=UTC), changed.get("keep_days"))


def make_part(folder: Path, run: Run, leads: list[str], score: float) -> Path:
    reason = {"feature": "visits", "qualifier": "web", "value": "2", "points": 1.5, "text": 'Says "hi"\t'}
    frame = pd.DataFrame(
        {
            "lead_id": leads,
            "as_of": pd.Series([run.as_of] * len(leads), dtype="datetime64[us, UTC]"),
            "score": float(score),
            "tier": "mql",
            "reasons": pd.array([[reason]] * len(leads), dtype=pd.ArrowDtype(REASONS_TYPE)),
            "model_version": run.model_version,
            "scored_at": pd.Series([run.scored_at] * len(leads), dtype="datetime64[us, UTC]"),
        }
    )
    path = folder / f"{run.name}-{leads[0]}.parquet"
    write_parquet(frame, path)
    return path


def write_run(
    database: Database, folder: Path, run: Run, chunks: list[list[str]], score: float = 50.0
) -> None:
    with open_target(database, folder, run) as target:
        for number, leads in enumerate(chunks):
            load_chunk(target, number, make_part(folder, run, leads, score))
        show_run(target, sum(map(len, chunks)))


def rows(database: Database, folder: Path, query: str) -> list[tuple[Any, ...]]:
    if database.url.startswith("duckdb"):
        with duckdb.connect(str(folder / "out.duckdb")) as con:
            return con.sql(query).fetchall()
    with psycopg.connect(database.url, autocommit=True) as session:
        return session.execute(query).fetchall()


def change(database: Database, folder: Path, statement: str) -> None:
    if database.url.startswith("duckdb"):
        with duckdb.connect(str(folder / "out.duckdb")) as con:
            con.execute(statement)
    else:
        with psycopg.connect(database.url, autocommit=True) as session:
            session.execute(statement)


def current(database: Database, folder: Path) -> list[tuple[Any, ...]]:
    return rows(database, folder, "SELECT lead_id, score FROM scores_current ORDER BY lead_id")


def test_the_view_shows_the_last_finished_run_and_the_table_keeps_the_others(database, tmp_path):
    write_run(database, tmp_path, run_at(MAY), [["a", "b"], ["c"]])
    write_run(database, tmp_path, run_at(JUNE, name="b"), [["b"], ["d"]], score=70)
    assert current(database, tmp_path) == [("b", 70.0), ("d", 70.0)]
    assert rows(database, tmp_path, "SELECT count(*) FROM scores") == [(5,)]
    assert rows(database, tmp_path, "SELECT leads, is_current FROM scores_runs ORDER BY as_of") == [
        (3, False),
        (2, True),
    ]


def test_a_run_under_way_is_in_neither_and_goes_on_where_it_was(database, tmp_path):
    write_run(database, tmp_path, run_at(MAY), [["a"]])
    run = run_at(JUNE, name="b")
    part = make_part(tmp_path, run, ["b"], 70)
    with open_target(database, tmp_path, run) as target:
        load_chunk(target, 0, part)
    assert current(database, tmp_path) == [("a", 50.0)]
    assert rows(database, tmp_path, "SELECT count(*) FROM scores") == [(1,)]
    with open_target(database, tmp_path, run) as target:
        load_chunk(target, 0, make_part(tmp_path, run, ["b"], 71))  # it has its mark: not written again
        show_run(target, 1)
    assert current(database, tmp_path) == [("b", 70.0)]


def test_what_another_run_left_unfinished_is_removed(database, tmp_path):
    left = run_at(MAY, name="left")
    with open_target(database, tmp_path, left) as target:
        load_chunk(target, 0, make_part(tmp_path, left, ["x"], 1))
    write_run(database, tmp_path, run_at(JUNE, name="b"), [["b"]])
    assert rows(database, tmp_path, "SELECT count(*) FROM scores") == [(1,)]
    assert rows(database, tmp_path, "SELECT count(*) FROM scores_staged") == [(0,)]


def test_the_same_moment_and_model_again_takes_the_place_of_the_first(database, tmp_path):
    write_run(database, tmp_path, run_at(MAY), [["a", "b"]])
    write_run(database, tmp_path, run_at(MAY, name="again"), [["b", "c"]], score=60)
    assert current(database, tmp_path) == [("b", 60.0), ("c", 60.0)]
    assert rows(database, tmp_path, "SELECT count(*) FROM scores") == [(2,)]
    write_run(database, tmp_path, run_at(MAY, name="again"), [["b", "c"]], score=60)
    assert rows(database, tmp_path, "SELECT count(*) FROM scores") == [(2,)]


def test_runs_too_old_are_forgotten(database, tmp_path):
    write_run(database, tmp_path, run_at(MAY), [["a"]])
    write_run(database, tmp_path, run_at(JUNE, name="b", keep_days=40), [["b"]])
    assert rows(database, tmp_path, "SELECT count(*) FROM scores") == [(2,)]
    write_run(database, tmp_path, run_at(JUNE, name="c", keep_days=0), [["b"]])
    assert rows(database, tmp_path, "SELECT lead_id FROM scores") == [("b",)]


def test_scores_without_dates_are_written_like_others(database, tmp_path):
    for name in ("a", "b"):
        write_run(database, tmp_path, run_at(None, name=name), [["a"]])
    assert current(database, tmp_path) == [("a", 50.0)]
    assert rows(database, tmp_path, "SELECT count(*) FROM scores") == [(1,)]


def test_reasons_come_back_as_they_were(database, tmp_path):
    write_run(database, tmp_path, run_at(MAY), [["a"]])
    (((reason,),),) = rows(database, tmp_path, "SELECT reasons FROM scores_current")
    assert (reason["feature"], reason["points"], reason["text"]) == ("visits", 1.5, 'Says "hi"\t')


def test_a_table_of_other_columns_is_refused_and_left_alone(database, tmp_path):
    change(database, tmp_path, "CREATE TABLE scores (lead_id text, score text)")
    with pytest.raises(InputError) as caught:
        write_run(database, tmp_path, run_at(MAY), [["a"]])
    assert "scores of" in str(caught.value)
    assert "as_of should be" in str(caught.value)
    assert "it is not there" in str(caught.value)
    assert rows(database, tmp_path, "SELECT count(*) FROM scores") == [(0,)]


def test_columns_of_the_readers_own_may_stand_beside(database, tmp_path):
    write_run(database, tmp_path, run_at(MAY), [["a"]])
    change(database, tmp_path, "ALTER TABLE scores ADD COLUMN seen_by text")
    write_run(database, tmp_path, run_at(JUNE, name="b"), [["b"]])
    assert rows(database, tmp_path, "SELECT lead_id, seen_by FROM scores ORDER BY lead_id") == [
        ("a", None),
        ("b", None),
    ]


def test_a_file_that_is_read_meanwhile_asks_to_try_again(tmp_path):
    database = Database(url="duckdb:///out.duckdb", table="scores")
    write_run(database, tmp_path, run_at(MAY), [["a"]])
    code = (
        "import duckdb, sys; con = duckdb.connect(sys.argv[1], read_only=True); print('open', flush=True); "
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        with pytest.raises(BusyError, match="in use by another program"):
            write_run(database, tmp_path, run_at(JUNE, name="b"), [["b"]])
        reader.communicate("")
    write_run(database, tmp_path, run_at(JUNE, name="b"), [["b"]])
    assert current(database, tmp_path) == [("b", 50.0)]


def test_a_database_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ParamsError, match="mysql:// is not supported"):
        write_run(Database(url="mysql://crm", table="scores"), tmp_path, run_at(MAY), [["a"]])


def test_a_user_who_may_not_write_is_told_so(postgres, tmp_path):
    url = postgres.make_database("closed")
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("DROP ROLE IF EXISTS looker")
        session.execute("CREATE ROLE looker LOGIN")
    database = Database(url=url.replace("propensity@", "looker@"), table="scores")
    with pytest.raises(InputError, match=r"scoring\.to\.url .*permission denied") as caught:
        write_run(database, tmp_path, run_at(MAY), [["a"]])
    assert caught.value.exit_code == 3
