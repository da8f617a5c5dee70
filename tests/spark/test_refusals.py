"""What a command says where Spark cannot be had, and with which exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import free_port

PARAMS = """
data:
  engine: spark
  leads: {path: leads.csv, created_at: null}
  outcomes: {status: status, won: [won]}
snapshots: {ages_days: [0]}
split: {by: random}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "leads.csv").write_text("lead_id,status\na,won\nb,lost\n")
    return tmp_path


def ingest(
    workspace: Path, *, before: str = "", **environment: str | None
) -> subprocess.CompletedProcess[str]:
    """Run the stage in a process of its own, whose environment lacks what is None."""
    env = {k: v for k, v in (os.environ | environment).items() if v is not None}
    code = f"{before}\nfrom propensity.cli import main\nmain(['run', 'ingest'])"
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, cwd=workspace, env=env, capture_output=True, text=True, check=False)


def test_a_server_that_does_not_answer_is_tried_again_later(workspace: Path) -> None:
    port = free_port()
    done = ingest(workspace, SPARK_REMOTE=f"sc://127.0.0.1:{port}/;token=secret")
    assert done.returncode == 75
    assert f"no Spark Connect server answers at SPARK_REMOTE=sc://127.0.0.1:{port}" in done.stderr
    assert "secret" not in done.stderr
    assert {path.name for path in workspace.iterdir()} <= {"params.yaml", "leads.csv", ".propensity.lock"}


def test_without_java_the_command_says_what_to_install(workspace: Path) -> None:
    done = ingest(workspace, PATH=str(workspace), JAVA_HOME=None, SPARK_REMOTE=None)
    assert done.returncode == 3
    assert "spark runs on Java 17 or later, and there is no java in JAVA_HOME or on PATH" in done.stderr


def test_without_pyspark_the_command_says_what_to_install(workspace: Path) -> None:
    done = ingest(workspace, before="import sys\nsys.modules['pyspark'] = None")
    assert done.returncode == 3
    assert "data.engine: spark needs pyspark, which is not installed" in done.stderr
    assert "pip install 'propensity[spark]'" in done.stderr
