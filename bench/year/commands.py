"""The product's commands as a user gives them, in this process so that libraries are imported once."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import yaml

from propensity.cli import main

ROOT = Path(__file__).parents[2]
DONE, REFUSED, ALARM = 0, 3, 6


@dataclass(frozen=True)
class Answer:
    """What a command said and its exit code."""

    code: int
    said: str


def propensity(folder: Path, *arguments: str, may: tuple[int, ...] = (DONE,)) -> Answer:
    """Give a command in a workspace.

    Parameters
    ----------
    folder : Path
    arguments : str
    may : tuple of int
        The exit codes that are answers; any other ends the year with what the command said.
    """
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            main(["--params", str(folder / "params.yaml"), *arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
    if code not in may:
        command = " ".join(arguments)
        raise RuntimeError(f"'propensity {command}' ended with {code}:\n{out.getvalue()}{errors.getvalue()}")
    return Answer(code, f"{out.getvalue()}{errors.getvalue()}")


def write_params(folder: Path, *, exclude: list[str]) -> None:
    """Write the workspace's params: those of the project, with less to read and to try.

    One candidate is trained, and the tables that no model learns from are left out, so that a year is quick.

    Parameters
    ----------
    folder : Path
    exclude : list of str
        Event types that are never used.
    """
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for table in ("stages", "history", "spend"):
        del content["data"][table]
    content["model"] |= {"candidates": ["lightgbm"], "threads": 1}
    content["features"]["exclude"] = [*content["features"].get("exclude", []), *exclude]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
