"""How exactly points add up: every candidate kind under every calibrator, in finished workspaces.

::

    python -m bench.exactness WORKSPACE [WORKSPACE ...]

Each kind is fitted anew on the workspace's train and stop parts, each calibrator on its calibrate part; then
every row of the test part is explained. Printed are the largest gaps, over rows, between a score and base and
points of single features, and base plus reasons.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from propensity.data.files import read_json
from propensity.explain.contributions import compute_contributions
from propensity.explain.points import compute_points, score_of
from propensity.explain.reasons import group_families
from propensity.features.catalogue import Feature
from propensity.model.calibration import fit_calibrator
from propensity.model.encoding import encode
from propensity.model.training import train_model
from propensity.params import CalibrationParams, ModelParams
from propensity.workspace import open_workspace

KINDS = ("logistic", "lightgbm", "blend")
METHODS = get_args(get_args(CalibrationParams.model_fields["methods"].annotation)[0])


def measure(workspace: Path, kind: str) -> list[dict[str, Any]]:
    """Return the largest gaps of one kind of candidate, a row a calibrator."""
    ws = open_workspace(workspace / "params.yaml")
    table = pd.read_parquet(ws.processed / "training.parquet")
    features = [Feature(**f) for f in read_json(ws.interim / "features.json")["catalogue"]]
    params = ModelParams.model_validate({"candidates": [kind], "threads": 1})
    training = train_model(table, features, params, dict(ws.params.features.monotone))
    parts = {name: table[table["split"] == name] for name in ("calibrate", "test")}
    matrix = {name: encode(rows, training.encoding) for name, rows in parts.items()}
    won = parts["calibrate"]["won"].to_numpy(dtype=bool)
    weight = parts["calibrate"]["weight"].to_numpy(dtype=np.float64)
    odds = won.mean() / (1 - won.mean())
    rows = []
    for method in METHODS:
        calibrator = fit_calibrator(method, training.model.margin(matrix["calibrate"]), won, weight)
        contributions = compute_contributions(training.model, calibrator, matrix["test"])
        points = compute_points(contributions, odds)
        margin = training.model.margin(matrix["test"])
        score = score_of(calibrator.log_odds(margin), odds)
        sums = group_families(points, training.encoding.features).sums
        rows.append(
            {
                "workspace": workspace.resolve().name,
                "kind": kind,
                "calibrator": method,
                "n": len(score),
                "features": _gap(points.base + points.values.sum(axis=1), score),
                "reasons": _gap(points.base + sums.sum(axis=1), score),
            }
        )
    return rows


def _gap(sums: np.ndarray, score: np.ndarray) -> float:
    return float(np.abs(sums - score).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspaces", nargs="+", type=Path)
    print("| workspace | kind | calibrator | n | features | reasons |\n|---|---|---|---|---|---|")
    for workspace in parser.parse_args().workspaces:
        for kind in KINDS:
            for row in measure(workspace, kind):
                told = [f"{x:.1e}" if isinstance(x, float) else str(x) for x in row.values()]
                print(f"| {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main()
