"""Do segments' own levels help? On workspaces with a training table, and in a made-up world.

``model.segments`` is tried on the columns given; pooled and segmented model are calibrated alike (sigmoid, on
the calibrate part) and held against each other on the test part::

    python -m bench.segments WORKSPACE COLUMN [COLUMN ...]
    python -m bench.segments simulated

The world has 10,000 leads of 12 levels; from half of them on one level's log-odds are moved.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from propensity.data.files import read_json
from propensity.evaluation.intervals import bootstrap
from propensity.features.catalogue import Feature
from propensity.model.calibration import fit_calibrator
from propensity.model.encoding import encode
from propensity.model.segments import pooled_of
from propensity.model.training import Training, describe_candidates, train_model
from propensity.params import ModelParams, load_params

WORLDS = 40
SHIFTS = (0.0, 0.8, 1.5, -1.5)


def compare(workspace: Path, columns: list[str]) -> None:
    """Print the levels kept, and by how much log-loss falls on the test part."""
    params = load_params(workspace / "params.yaml")
    table = pd.read_parquet(workspace / "data/processed/training.parquet")
    features = [Feature(**f) for f in read_json(workspace / "data/interim/features.json")["catalogue"]]
    wanted = params.model.model_copy(update={"segments": columns, "threads": 1})
    found = train_model(table, features, wanted, dict(params.features.monotone))
    rows = describe_candidates(found)["segments"]
    print(f"{workspace.name}: {found.chosen}, {len(rows)} levels of {columns} judged")
    for row in rows:
        if row["kept"]:
            print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
    test = table[table["split"] == "test"]
    fall = calibrated_fall(found, table, test)
    groups = np.asarray(pd.factorize(test["lead_id"])[0])
    draws = bootstrap(lambda w: np.array([fall @ w / w.sum()]), groups, seed=7, resamples=400)[:, 0]
    low, high = np.quantile(draws, [0.025, 0.975])
    print(f"log-loss falls by {fall.mean():.5f} [{low:.5f}, {high:.5f}] on {len(test):,} test snapshots")


def calibrated_fall(found: Training, table: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """Return each test row's log-loss under the pooled model less that under the segmented one."""
    part = table[table["split"] == "calibrate"]
    losses = []
    for model in (pooled_of(found.model), found.model):
        margins = [model.margin(encode(rows, found.encoding)) for rows in (part, test)]
        calibrator = fit_calibrator(
            "sigmoid", margins[0], part["won"].to_numpy(dtype=bool), part["weight"].to_numpy()
        )
        z = calibrator.log_odds(margins[1])
        losses.append(np.logaddexp(0.0, np.where(test["won"], -z, z)))
    return np.asarray(losses[0] - losses[1])


def make_world(seed: int, shift: float, n: int = 10_000) -> pd.DataFrame:
    """Return a training table in which level "a" moves by `shift` after the first half of the leads."""
    rng = np.random.default_rng(seed)
    x, y, moved = rng.normal(size=n), rng.poisson(1.0, n).astype(float), np.arange(n) >= n / 2
    level = rng.choice(list("abcdefghijkl"), n, p=[0.08, *[0.92 / 11] * 11])
    won = rng.random(n) < expit(-1.8 + 0.8 * x + 0.3 * y + shift * (moved & (level == "a")))
    edges = np.searchsorted([0.55, 0.7, 0.85], np.arange(n) / n, side="right")
    return pd.DataFrame(
        {
            "lead_id": [f"lead-{i:06d}" for i in range(n)],
            "as_of": pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(n), unit="h"),
            "split": np.array(["train", "stop", "calibrate", "test"])[edges],
            "won": won,
            "weight": 1.0,
            "x": x,
            "y": y,
            "level": pd.array(level, dtype="str"),
        }
    )


def describe(name: str, kind: str) -> Feature:
    """Return an attribute of the world."""
    unit = "text" if kind == "category" else "as given"
    return Feature(name, kind, "demographic", name, "attribute", unit, name, name)  # type: ignore[arg-type]


def simulate() -> None:
    """Print how often the moved level and others are kept, and what it brings on the test part."""
    features = [describe("x", "number"), describe("y", "number"), describe("level", "category")]
    params = ModelParams(candidates=["logistic"], threads=1, segments=["level"])
    for shift in SHIFTS:
        kept, others, falls = 0, 0, []
        for seed in range(WORLDS):
            table = make_world(seed, shift)
            found = train_model(table, features, params, {})
            names = [row["level"] for row in describe_candidates(found)["segments"] if row["kept"]]
            kept += "a" in names
            others += any(name != "a" for name in names)
            falls.append(calibrated_fall(found, table, table[table["split"] == "test"]).mean())
        print(
            f"shift {shift:+.1f}: kept in {kept} of {WORLDS} worlds, others in {others}; log-loss falls by "
            f"{np.mean(falls):.5f} in the mean, {min(falls):.5f} to {max(falls):.5f}",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:] == ["simulated"]:
        simulate()
    else:
        compare(Path(sys.argv[1]), sys.argv[2:])
