"""The schedules: each file is one that its scheduler reads, and calls commands and options that exist."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
import yaml

from nightly_cases import copy_workspace
from propensity import errors
from propensity.cli import app
from propensity.commands import score_raw, verify_models
from propensity.stages import STAGES
from propensity.workspace import open_workspace
from test_docs import COMMANDS, fenced, options_of, table_after

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "operations"
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
UNITS = sorted(FOLDER.glob("*.service")) + sorted(FOLDER.glob("*.timer"))


def calls_in(text: str) -> list[list[str]]:
    """The words after each ``propensity`` that stands as a command, up to the end of that command."""
    found = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        for match in re.finditer(r"(?:^|[\s/])propensity +([a-z][^#\n]*)", line):
            found.append(shlex.split(re.split(r"&&|\|\||;", match[1])[0]))
    return found


def calls_of(path: Path) -> list[list[str]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        quoted = re.findall(r"\)\(\s*((?:\"[^\"]+\",?\s*)+)\)", text)
        return [re.findall(r"\"([^\"]+)\"", words) for words in quoted]
    if path.suffix == ".yaml":
        commands = [value for key, value in leaves(yaml.safe_load(text)) if key in ("cmd", "run")]
        return [call for command in commands for call in calls_in(str(command))]
    lines = [line for line in text.splitlines() if line.startswith("ExecStart=") or path.name == "crontab"]
    return calls_in("\n".join(line.replace("ExecStart=", " ") for line in lines))


def leaves(content: Any, key: Any = None) -> list[tuple[Any, Any]]:
    if isinstance(content, dict):
        return [pair for name, value in content.items() for pair in leaves(value, name)]
    if isinstance(content, list):
        return [pair for value in content for pair in leaves(value, key)]
    return [(key, content)]


def check_call(words: list[str]) -> None:
    assert words[0] in COMMANDS, words
    assert {w for w in words[1:] if w.startswith("-")} <= options_of(COMMANDS[words[0]]), words
    if words[0] == "run":
        assert set(words[1:]) <= set(STAGES)


SCHEDULES = [path for path in sorted(FOLDER.iterdir()) if path.suffix != ".md" and "alert" not in path.name]


@pytest.mark.parametrize("path", [p for p in SCHEDULES if p.suffix != ".timer"], ids=lambda p: p.name)
def test_a_schedule_calls_commands_and_options_that_exist(path):
    calls = calls_of(path)
    assert {"run"} <= {words[0] for words in calls} or {"score", "monitor"} <= {words[0] for words in calls}
    for words in calls:
        check_call(words)


def test_the_page_calls_commands_and_options_that_exist():
    calls = calls_in("\n".join(fenced(PAGE, "sh")))
    assert {"score", "monitor", "run", "promote", "verify", "forget"} <= {words[0] for words in calls}
    for words in calls:
        check_call(words)


def test_the_dag_compiles_and_calls_what_it_defines():
    source = (FOLDER / "airflow_dag.py").read_text(encoding="utf-8")
    compile(source, "airflow_dag.py", "exec")
    assert [words[0] for words in calls_of(FOLDER / "airflow_dag.py")] == [
        "score",
        "monitor",
        "run",
        "promote",
    ]


def test_the_dvc_pipeline_runs_every_stage_but_scores_and_review_in_their_order():
    stages = yaml.safe_load((FOLDER / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    called = [name for stage in stages.values() for name in stage["cmd"].split()[2:]]
    assert called == [name for name in STAGES if name not in ("score", "report")]


def test_the_workflow_has_a_schedule_and_uploads_nothing_that_names_leads():
    workflow = yaml.safe_load((FOLDER / "github-retrain.yaml").read_text(encoding="utf-8"))
    triggers = workflow[True]  # YAML reads the key "on" so
    assert re.fullmatch(r"(\S+ ){4}\S+", triggers["schedule"][0]["cron"])
    uploaded = str([step for step in workflow["jobs"]["retrain"]["steps"] if "uses" in step])
    assert not re.search(r"review|scores|feedback|data/", uploaded)


@pytest.mark.parametrize("path", UNITS, ids=lambda p: p.name)
def test_a_unit_is_one_that_systemd_reads(path, tmp_path):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(path, encoding="utf-8")
    assert "Unit" in parser
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace(
            "/srv/propensity/.venv/bin/propensity", sys.executable
        )
        text = text.replace("/usr/bin/logger", sys.executable).replace("User=propensity\n", "")
        (tmp_path / unit.name).write_text(
            text.replace("/srv/propensity/crm", str(tmp_path)), encoding="utf-8"
        )
    name = path.name.replace("@.", "@example.")
    command = [analyze, "verify", "--man=no", "--recursive-errors=no", str(tmp_path / name)]
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    checked = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    ours = [line for line in checked.stderr.splitlines() if "propensity" in line]
    assert ours == []


def test_the_units_try_again_for_75_and_for_nothing_else():
    codes = {
        k.exit_code
        for k in vars(errors).values()
        if isinstance(k, type) and issubclass(k, Exception) and hasattr(k, "exit_code")
    }
    for path in FOLDER.glob("propensity-[nr]*.service"):
        text = path.read_text(encoding="utf-8")
        never = re.search(r"^RestartPreventExitStatus=(.*)$", text, flags=re.MULTILINE)
        assert never is not None
        assert {int(code) for code in never[1].split()} == (codes | {1, 2}) - {75}
        assert "Restart=on-failure" in text


def test_the_page_has_every_exit_code():
    rows = table_after(PAGE, "code")
    codes = {k.exit_code for k in vars(errors).values() if isinstance(k, type) and hasattr(k, "exit_code")}
    assert [int(row[0]) for row in rows] == sorted({0, 1, 2, *codes})


def test_every_command_that_a_schedule_may_need_is_on_the_page():
    main = typer.main.get_command(app)
    assert main is not None
    never = {"init", "simulate", "audit", "explain", "trends"}  # what people do at a terminal
    assert {name for name in COMMANDS if f"propensity {name}" not in PAGE} <= never


def test_a_restored_copy_scores_as_the_original_does_and_verifies(nightly_workspace, tmp_path):
    """Also what a second night compares with: the history came along."""
    here = copy_workspace(nightly_workspace, tmp_path / "here", all_of_it=True)
    early, late = "2025-11-01T00:00:00Z", "2025-12-01T00:00:00Z"
    score_raw(here, leads=None, events=None, as_of=early)
    shutil.copytree(here.folder, tmp_path / "there")
    there = open_workspace(tmp_path / "there" / "params.yaml")
    said = [score_raw(ws, leads=None, events=None, as_of=late, previous="latest") for ws in (here, there)]
    assert "leads compared with the scoring before" in said[1]
    for name in ("scores.parquet", "changes.parquet"):
        first, second = (pd.read_parquet(ws.scores.with_name(name)) for ws in (here, there))
        pd.testing.assert_frame_equal(
            first.drop(columns="scored_at", errors="ignore"),
            second.drop(columns="scored_at", errors="ignore"),
            check_exact=True,
        )
    assert "intact" in verify_models(there.folder / "params.yaml")
