"""Bands against the simulation's truth, and re-centring under a base rate that falls.

Run in a workspace of simulated data after ``propensity run``::

    python -m bench.recentring WORKSPACE

Bands: the test part in tenths of probability; in how many does the mean true probability lie within the
mean interval. Re-centring: half of the test part's wins are taken out at random; the shift is found on the
first half of the part, in time, and held against the second. The labels of the first are taken to be
final by then, which they are in a part that is longer than the horizon.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from propensity.evaluation.metrics import equal_mass_bins
from propensity.evaluation.recentring import propose_shift
from propensity.model.bundle import log_odds, read_bundle
from propensity.model.estimators import probability_of

DRAWS = 100


def compare(workspace: Path, lost: float = 0.5) -> dict[str, object]:
    """Return the tenths whose band holds the truth, and expected over observed wins before and after."""
    bundle = read_bundle(workspace / "models" / "bundle")
    table = pd.read_parquet(workspace / "data/processed/training.parquet").query("split == 'test'")
    truth = pd.read_parquet(workspace / "data/raw/truth/snapshots.parquet")
    test = table.merge(truth, on=["lead_id", "as_of"], validate="1:1").sort_values("as_of", ignore_index=True)
    z, won = log_odds(bundle, test), test["won"].to_numpy(dtype=bool)
    low, high = (probability_of(end) for end in bundle.calibrator.interval(z))
    true, bins = test["true_probability"].to_numpy(), equal_mass_bins(probability_of(z))
    inside = [
        bool(low[bins == k].mean() <= true[bins == k].mean() <= high[bins == k].mean())
        for k in np.unique(bins)
    ]
    coming = (test["as_of"] >= test["as_of"].median()).to_numpy()
    known = ~coming
    # Snapshots of a lead are lost together, as the lead is.
    leads, code = np.unique(test["lead_id"], return_inverse=True)
    before, after = [], []
    for seed in range(DRAWS):
        kept = ~won | (np.random.default_rng(seed).random(len(leads)) >= lost)[code]
        past, later = known & kept, coming & kept
        shift = propose_shift(z[past], won[past], code[past])["shift"]
        wins = won[later].sum()
        before.append(probability_of(z[later]).sum() / wins)
        after.append(probability_of(z[later] + shift).sum() / wins)
    quantiles = [0.05, 0.5, 0.95]
    return {
        "n": len(test),
        "tenths whose band holds the true mean": f"{sum(inside)} of {len(inside)}",
        "known, to come": (int(known.sum()), int(coming.sum())),
        "wins known, to come, before any is lost": (int(won[known].sum()), int(won[coming].sum())),
        "expected over observed, as scored (5%, 50%, 95%)": np.quantile(before, quantiles).round(3).tolist(),
        "expected over observed, re-centred": np.quantile(after, quantiles).round(3).tolist(),
    }


if __name__ == "__main__":
    for name, value in compare(Path(sys.argv[1])).items():
        print(f"{name}: {value}")
