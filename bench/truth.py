"""The simulation's truth against a trained bundle: how much of what can be known was learned.

Run in a workspace of simulated data after ``propensity run``::

    python -m bench.truth WORKSPACE
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from propensity.evaluation.intervals import bootstrap, wilson_interval
from propensity.evaluation.metrics import compute_metrics, equal_mass_bins, make_ranking
from propensity.model.bundle import log_odds, read_bundle
from propensity.model.estimators import probability_of


def compare(workspace: Path) -> dict[str, object]:
    """Return the bundle's and the truth's figures on the test part, and the gap between them."""
    bundle = read_bundle(workspace / "models" / "bundle")
    table = pd.read_parquet(workspace / "data/processed/training.parquet")
    truth = pd.read_parquet(workspace / "data/raw/truth/snapshots.parquet")
    test = table[table["split"] == "test"].merge(truth, on=["lead_id", "as_of"], validate="1:1")
    won, true = test["won"].to_numpy(dtype=bool), test["true_probability"].to_numpy()
    learned = probability_of(log_odds(bundle, test))
    groups = test["lead_id"].to_numpy()
    train = table[table["split"] == "train"]
    rate = float(np.average(train["won"], weights=train["weight"]))
    losses = {
        name: -np.where(won, np.log(p), np.log1p(-p))
        for name, p in (("learned", learned), ("true", true), ("base", np.full(len(won), rate)))
    }
    # The expected loss under the truth has no label noise: a sharper look at the same gap.
    expected = {
        name: -(true * np.log(p) + (1 - true) * np.log1p(-p))
        for name, p in (("learned", learned), ("true", true), ("base", np.full(len(won), rate)))
    }

    def gap(weight: np.ndarray) -> np.ndarray:
        mean = {n: np.average(x, weights=weight) for n, x in losses.items()}
        return np.array([(mean["learned"] - mean["true"]) / (mean["base"] - mean["true"])])

    def gap_expected() -> float:
        mean = {n: x.mean() for n, x in expected.items()}
        return float((mean["learned"] - mean["true"]) / (mean["base"] - mean["true"]))

    draws = bootstrap(gap, groups, seed=7, resamples=300)[:, 0]
    both = {"learned": learned, "true": true}
    auc = {n: float(compute_metrics(make_ranking(won, p), np.ones(len(won)))[1]) for n, p in both.items()}
    covered, bins = 0, equal_mass_bins(learned)
    for k in np.unique(bins):
        low, high = wilson_interval(won[bins == k], groups[bins == k])
        covered += bool(low <= true[bins == k].mean() <= high)
    return {
        "n": len(test),
        "wins": int(won.sum()),
        "auc": auc,
        "log_loss": {n: float(x.mean()) for n, x in losses.items()},
        "gap": float(gap(np.ones(len(won)))[0]),
        "gap_interval": [float(x) for x in np.quantile(draws, [0.025, 0.975])],
        "gap_without_label_noise": gap_expected(),
        "tenths_whose_interval_holds_the_true_mean": covered,
    }


if __name__ == "__main__":
    for name, value in compare(Path(sys.argv[1])).items():
        print(f"{name}: {value}")
