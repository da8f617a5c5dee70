"""A small workspace to score every night, made once; copies of it, and of its params with changes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from propensity.data.simulate import simulate, write_simulation
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[1]


def make_workspace(folder: Path) -> Workspace:
    """Train a small model, of visits and two attributes, up to the bundle."""
    write_simulation(simulate(700, seed=11), folder / "data" / "raw")
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["features"] |= {
        "demographic": ["seniority"],
        "firmographic": ["employees"],
        "use": ["demographic", "firmographic", "web"],
        "lookback_days": [30],
    }
    content["model"]["candidates"], content["calibration"]["methods"] = ["logistic"], ["sigmoid"]
    content["snapshots"]["ages_days"] = [0, 14]
    content["data"] |= {"spend": None, "history": None, "stages": None}
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    opened = open_workspace(folder / "params.yaml")
    for name in list(STAGES)[: list(STAGES).index("bundle") + 1]:
        STAGES[name](opened)
    return opened


def copy_workspace(made: Workspace, folder: Path, *, all_of_it: bool = False) -> Workspace:
    """Copy what scoring reads, or everything."""
    names = ("data", "models", "reports") if all_of_it else ("data/raw", "models/bundle")
    for name in names:
        shutil.copytree(made.folder / name, folder / name)
    shutil.copy(made.folder / "params.yaml", folder)
    return open_workspace(folder / "params.yaml")


def edit_params(ws: Workspace, **sections: dict[str, Any]) -> Workspace:
    """Change keys of sections of a workspace's params file, and open it anew."""
    path = ws.folder / "params.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, changed in sections.items():
        content[name] = content.get(name, {}) | changed
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return open_workspace(path)
