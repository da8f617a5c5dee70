"""Workspaces with registered models, to promote and to serve."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from propensity.data.simulate import simulate, write_simulation
from propensity.loop.handover import holds
from propensity.loop.promotion import promote_challenger
from propensity.model.bundle import verify_files
from propensity.registry.store import open_registry
from propensity.registry.versions import CHAMPION, PREVIOUS, Version, version_at
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[1]
WEAK, STRONG = ["firmographic"], ["demographic", "firmographic", "web", "email", "social"]


def set_params(folder: Path, **changed: dict[str, Any]) -> Workspace:
    """Change keys of sections of a workspace's params, and open it."""
    path = folder / "params.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for section, values in changed.items():
        content[section] |= values
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return open_workspace(path)


def train(folder: Path, use: list[str]) -> Workspace:
    """Train with some families of features, and register the model."""
    workspace = set_params(folder, features={"use": use})
    names = list(STAGES)
    first = "ingest" if not workspace.interim.exists() else "features"
    for name in [*names[names.index(first) : names.index("score")], "track"]:
        STAGES[name](workspace)
    return workspace


def make_two_models(folder: Path) -> Path:
    """Make a workspace whose champion knows companies' attributes alone; its challenger knows all it may."""
    write_simulation(simulate(1200, seed=11), folder / "data" / "raw")
    content: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["snapshots"]["ages_days"], content["features"]["lookback_days"] = [0, 7], [30]
    content["model"]["candidates"], content["calibration"]["methods"] = ["logistic"], ["sigmoid"]
    content["model"]["threads"] = 1
    content["data"] |= {"stages": None, "spend": None}
    content["promotion"] |= {"min_leads": 60, "min_wins": 8}
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    first = train(folder, WEAK)
    promote_challenger(first, by="ana", force="the first model", dry_run=False)
    train(folder, STRONG)
    return folder


def copied(folder: Path, to: Path) -> Workspace:
    """Return a copy of a workspace."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return open_workspace(to / "params.yaml")


def champions(workspace: Workspace) -> tuple[str | None, str | None]:
    """Return the numbers of the champion and of the previous one, once all that tells of them agrees.

    MLflow's aliases name them, ``models/`` holds exactly their bundles, whole, and nothing is left half done.
    """
    registry = open_registry(workspace.params.tracking, workspace.folder)
    named = {alias: version_at(registry, alias) for alias in (CHAMPION, PREVIOUS)}
    for alias, version in named.items():
        folder = workspace.models / alias
        assert folder.exists() == (version is not None), alias
        assert version is None or holds(folder, version), alias
    assert not (workspace.promotions / ".pending.json").exists()
    assert not (workspace.models / ".incoming").exists()
    return _number(named[CHAMPION]), _number(named[PREVIOUS])


def seal(folder: Path) -> str:
    """Return a bundle's seal, once its files are verified."""
    return str(verify_files(folder)["seal"])


def _number(version: Version | None) -> str | None:
    return None if version is None else version.number
