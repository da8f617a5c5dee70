"""Workspaces that benchmarks measure in: simulated data, run up to the bundle, made once in a folder."""

from __future__ import annotations

from pathlib import Path

from propensity.data.simulate import simulate, write_simulation
from propensity.params import Params, load_params
from propensity.stages import STAGES
from propensity.workspace import Workspace

ROOT = Path(__file__).parents[1]


def simulated_workspace(folder: Path, *, leads: int, seed: int = 7, candidate: str = "lightgbm") -> Workspace:
    """Simulate a CRM in `folder` and run every stage up to ``bundle``; a bundle that is there is kept.

    Parameters
    ----------
    folder : Path
    leads, seed : int
        Of the simulation.
    candidate : {'lightgbm', 'logistic', 'blend'}
        The only candidate that is trained.
    """
    content = load_params(ROOT / "params.yaml").model_dump(warnings=False)
    content["model"]["candidates"] = [candidate]
    ws = Workspace(folder, Params.model_validate(content))
    if not (ws.models / "bundle" / "manifest.json").exists():
        write_simulation(simulate(leads, seed=seed), folder / "data" / "raw")
        names = list(STAGES)
        for name in names[: names.index("bundle") + 1]:
            STAGES[name](ws)
    return ws
