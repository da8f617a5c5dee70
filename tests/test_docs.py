"""The documents against the product: what they name exists, what exists is named, what they show runs."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
import yaml

from propensity import errors
from propensity.cli import app
from propensity.data.rules import LARGEST_AMOUNT
from propensity.data.simulate import simulate, write_simulation
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace
from test_architecture import LAYERS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "propensity"
README, ARCHITECTURE, DATA = ROOT / "README.md", ROOT / "docs" / "architecture.md", ROOT / "docs" / "data.md"
DOCUMENTS = sorted(
    [README, *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("examples/*/README.md")]
)
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
COMMANDS = typer.main.get_command(app).commands

# What nobody can check, what only holds on one machine, how this was made, and what it once was.
FORBIDDEN = {
    "praise": r"\b(cutting[- ]edge|state[- ]of[- ]the[- ]art|world[- ]class|best[- ]in[- ]class|holistic"
    r"|seamless(ly)?|effortless(ly)?|blazing(ly)?|lightning|powerful|robust(ly|ness)?|revolutionary|turnkey"
    r"|game[- ]chang\w+|supercharge\w*|next[- ]generation|leverag(e|es|ing)|delightful(ly)?|beautiful(ly)?"
    r"|awesome|amazing|enterprise[- ]grade|production[- ]ready|battle[- ]tested|unlock(s|ing)? the|simply)\b",
    "an absolute path": r"(?<![\w.])/(work|tmp|home|root|Users|mnt|opt)/|\b[A-Z]:\\\\",
    "the way it was made": r"\b(issue|ticket|session|sprint|phase|milestone|PR) ?#?\d+\b"
    r"|\b(TODO|FIXME|XXX|HACK)\b",
    "history": r"\b(previously|used to be|formerly|legacy|refactored|rewritten|newly added)\b",
}
SKIPPED = {
    ".git",
    ".venv",
    ".dvc",
    ".hypothesis",
    "__pycache__",
    "data",
    "models",
    "reports",
    "scores",
    "mlartifacts",
}
TEXTS = {".py", ".md", ".yaml", ".toml", ".ipynb", ".css", ".j2", ".html", ".cfg", ".txt", ""}


# --- reading the documents -------------------------------------------------------------------------


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def table_after(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table whose header row begins with `heading`, without that row."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def ticked(text: str) -> list[str]:
    """What stands between backticks, outside fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def fenced(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def command_lines() -> list[list[str]]:
    """Every call of the product in the README, in a shell block or between backticks, as words."""
    blocks = "\n".join(fenced(read(README), "sh")).splitlines()
    inline = ticked(re.sub(r"```.*?```", "", read(README), flags=re.DOTALL))
    calls = [
        shlex.split(line, comments=True) for line in [*blocks, *inline] if line.startswith("propensity ")
    ]
    assert calls
    return calls


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


def tracked_texts() -> Iterator[Path]:
    """The project's own text files; caches, workspaces' contents and the lock are none."""
    for folder, folders, names in os.walk(ROOT):
        inside = Path(folder) != ROOT / "src" / "propensity"
        folders[:] = [
            f for f in folders if not (f.endswith(("_cache", ".egg-info")) or (inside and f in SKIPPED))
        ]
        for path in (Path(folder) / name for name in names):
            if path.suffix in TEXTS and path not in {
                Path(__file__),
                ROOT / "requirements.lock",
                ROOT / ".git",
            }:
                yield path
    yield from (ROOT / name / "README.md" for name in ("data", "models"))


# --- the command line ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_has_help_for_itself_and_each_of_its_parameters(name):
    command = COMMANDS[name]
    assert command.help
    assert all(p.help for p in command.params)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_is_shown_in_the_readme(name):
    assert name in {word for words in command_lines() for word in words}


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_a_call_in_the_readme_is_one_that_the_command_line_takes(words):
    main = typer.main.get_command(app)
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        assert rest[0] in options_of(main)
        rest = rest[2 if rest[0] == "--params" else 1 :]
    if not rest or rest == ["COMMAND"]:
        return
    assert rest[0] in COMMANDS
    assert {word for word in rest if word.startswith("--")} <= options_of(COMMANDS[rest[0]])
    if rest[0] == "run":
        assert set(rest[1:]) <= set(STAGES)


def test_each_option_of_a_command_is_shown_in_the_readme():
    shown = {word for words in command_lines() for word in words}
    options = {o for command in COMMANDS.values() for o in options_of(command) if o.startswith("--")}
    assert options - shown == {"--help"}


def test_the_exit_codes_in_the_readme_are_those_of_the_errors():
    kinds = [
        k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.PropensityError)
    ]
    raised = {k.__name__: k.exit_code for k in kinds if k is not errors.PropensityError}
    rows = table_after(read(README), "exit code")
    told = {name: int(code) for code, meaning in rows for name in ticked(meaning)}
    assert told == raised
    assert [int(code) for code, _ in rows] == sorted({0, 1, 2, *raised.values()})


def test_the_targets_in_the_readme_are_in_the_makefile():
    named = {line.split()[1] for line in ticked(read(README)) if line.startswith("make ")}
    assert {"demo", "test"} <= named
    assert all(re.search(rf"^{target}:", read(ROOT / "Makefile"), flags=re.MULTILINE) for target in named)


# --- params.yaml -----------------------------------------------------------------------------------


def test_the_params_of_the_repository_are_the_template():
    assert (ROOT / "params.yaml").read_bytes() == (PACKAGE / "params_template.yaml").read_bytes()


@pytest.mark.parametrize("key", list(yaml.safe_load(read(PACKAGE / "params_template.yaml"))))
def test_each_section_of_the_params_is_explained(key):
    text = read(PACKAGE / "params_template.yaml")
    section = re.search(rf"^{key}:.*?(?=^\w|\Z)", text, flags=re.DOTALL | re.MULTILINE)
    assert section is not None
    assert re.search(r"# \w+", section[0])


# --- links, words, structure -----------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_relative_link_leads_to_a_file(path):
    targets = re.findall(r"\]\(([^)\s]+)\)", read(path))
    files = [t.split("#")[0] for t in targets if not t.startswith(("http://", "https://", "#"))]
    missing = [t for t in files if not (path.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_no_text_holds(what):
    pattern = re.compile(FORBIDDEN[what], flags=re.IGNORECASE if what in ("praise", "history") else 0)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in tracked_texts()
        for number, line in enumerate(read(path).splitlines(), start=1)
        if not line.lstrip().startswith('"image/png":')  # letters of a picture say nothing
        for match in pattern.finditer(line)
    ]
    assert not found


def test_the_words_that_are_looked_for_are_found_where_they_are():
    texts = {
        "praise": "A powerful model",
        "an absolute path": "see /home/ana/params.yaml",
        "the way it was made": "mended in issue 12",
        "history": "It previously did",
    }
    assert all(re.search(FORBIDDEN[what], text) for what, text in texts.items())


def test_the_layers_in_the_architecture_are_those_that_are_held():
    told = [set(ticked(parts)) for _, parts in table_after(read(ARCHITECTURE), "layer")]
    held = [layer - {"propensity"} for layer in LAYERS]
    assert told == held


def test_each_module_is_described_in_the_architecture():
    described = {name for row in table_after(read(ARCHITECTURE), "part") for name in ticked(row[1])}
    modules = {path.stem for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert modules - described == set()
    assert described - modules == {"params.yaml"}


def test_each_stage_is_described_in_the_architecture_in_its_order():
    assert [ticked(row[0])[0] for row in table_after(read(ARCHITECTURE), "stage")] == list(STAGES)


@pytest.mark.parametrize("path", sorted({t for t in ticked(read(ARCHITECTURE)) if t.startswith("tests/")}))
def test_a_test_file_that_the_architecture_names_exists(path):
    assert (ROOT / path).is_file()


def test_each_quarantine_rule_is_described_and_no_other():
    tree = ast.parse(read(PACKAGE / "data" / "rules.py"))
    made = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "Rule"]
    names = {c.value for call in made for c in ast.walk(call.args[0]) if isinstance(c, ast.Constant)}
    rows = table_after(read(DATA), "rule")
    assert {ticked(rule)[0] for rule, _ in rows} == names | {"malformed"}
    assert f"{LARGEST_AMOUNT:.0e}".replace("e+", "e") in dict(rows)["`range`"]


# --- what the documents show, in a workspace ---------------------------------------------------------


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    """A small workspace, run up to the scores: two ages, one window, one candidate."""
    folder = tmp_path_factory.mktemp("documented")
    write_simulation(simulate(800, seed=11), folder / "data" / "raw")
    content = yaml.safe_load(read(ROOT / "params.yaml"))
    content["snapshots"]["ages_days"], content["features"]["lookback_days"] = [0, 7], [30]
    content["model"]["candidates"], content["calibration"]["methods"] = ["logistic"], ["sigmoid"]
    content["data"] |= {"stages": None, "spend": None}
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    opened = open_workspace(folder / "params.yaml")
    for name in list(STAGES)[: list(STAGES).index("report")]:
        STAGES[name](opened)
    return opened


def test_the_columns_of_the_scores_are_those_in_the_readme(workspace):
    rows = table_after(read(README), "column")
    told = [name for names, _ in rows for name in ticked(names)]
    assert told == list(pd.read_parquet(workspace.scores).columns)


def test_the_parts_of_a_reason_are_those_in_the_readme(workspace):
    told = next(text for text in ticked(read(README)) if text.startswith("{feature"))
    reason = pd.read_parquet(workspace.scores)["reasons"].iloc[0][0]
    assert told.strip("{}").split(", ") == list(reason)


def test_the_files_of_a_workspace_are_where_the_readme_says(workspace):
    named = [name for where, _ in table_after(read(README), "where") for name in ticked(where)]
    later = {"reports/review.html", "mlflow.db", "mlartifacts/"}  # left by the stages that were not run
    later |= {"scores/run.json", "scores/quarantine.parquet", "scores/history/"}  # and by `propensity score`
    later |= {"scores/kept/"}
    later |= {"models/champion/", "models/previous/", "models/promotions/"}  # and by a promotion
    later |= {"reports/monitor.json", "reports/monitor_history.parquet"}  # and by the monitor
    assert later < set(named)
    assert [n for n in named if n not in later and not (workspace.folder / n).exists()] == []


def test_the_python_in_the_readme_runs(workspace, monkeypatch, capsys):
    monkeypatch.chdir(workspace.folder)
    for block in fenced(read(README), "python"):
        exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split() == ["lead_id", "probability", "score", "tier"]
    assert len(printed.splitlines()) == 4


def test_there_is_a_notebook_for_each_job():
    assert [path.stem for path in NOTEBOOKS] == ["cutoffs", "retrain", "review"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, workspace):
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=300", "-p", "no:cacheprovider"]
    environment = os.environ | {"PROPENSITY_WORKSPACE": str(workspace.folder), "OMP_NUM_THREADS": "1"}
    command += [str(notebook)]
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout[-3000:]
    assert "1 passed" in finished.stdout


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_with_its_outputs(notebook):
    import nbformat

    cells = [c for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == "code"]
    assert all(cell.outputs for cell in cells)
    assert not any(out.output_type in ("error", "stream") for cell in cells for out in cell.outputs)
