"""The model and rows that `bench.score` and `bench.explain` measure on: 60 features, categories and NaN."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np

from propensity.features.catalogue import Feature
from propensity.model.calibration import Calibrator
from propensity.model.encoding import Encoding
from propensity.model.estimators import Boosted, make_boosted

FEATURES, CATEGORIES, LEVELS = 60, 8, 50
TRAIN_ROWS = 12_000
SIGMOID = Calibrator("sigmoid", {"slope": 0.9, "intercept": -0.1})


@dataclass(frozen=True)
class Example:
    """A booster, the product's model of it, and the features they read."""

    booster: lgb.Booster
    model: Boosted
    encoding: Encoding


def make_rows(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and outcomes: numbers, counts and codes, a sixth of some numbers missing.

    The rows are in the order of columns in memory, as `propensity.model.encoding.encode` makes them.
    """
    rng, effects = np.random.default_rng(seed), np.random.default_rng(0)
    numbers = FEATURES - CATEGORIES
    X = np.asfortranarray(rng.normal(size=(n, FEATURES)))
    X[:, 1:numbers:4] = np.maximum(0, np.round(2 * X[:, 1:numbers:4]))
    for j in range(numbers, FEATURES):
        X[:, j] = rng.integers(0, 6 + (LEVELS - 6) * (j - numbers) // CATEGORIES, n)
    for j in range(0, numbers, 3):
        X[rng.random(n) < 1 / 6, j] = np.nan
    known = np.nan_to_num(X)
    margin = known[:, :numbers] @ effects.normal(0, 0.3, numbers) + known[:, 0] * known[:, 2]
    for j in range(numbers, FEATURES):
        margin += effects.normal(0, 0.5, LEVELS)[X[:, j].astype(int)]
    return X, rng.random(n) < 1 / (1 + np.exp(-margin))


def make_example(folder: Path, *, trees: int, leaves: int, threads: int, by_category: bool = True) -> Example:
    """Fit a model, or read the one that `folder` holds; codes are categories, or numbers like others."""
    path = folder / f"model_{trees}_{leaves}{'' if by_category else '_numbers'}.txt"
    if not path.exists():
        X, y = make_rows(TRAIN_ROWS, 1)
        settings = {
            "objective": "binary", "num_leaves": leaves, "learning_rate": 0.05, "num_threads": 1,
            "verbosity": -1, "seed": 1, "deterministic": True, "force_row_wise": True,
        }  # fmt: skip
        codes = list(range(FEATURES - CATEGORIES, FEATURES)) if by_category else []
        data = lgb.Dataset(X, y, categorical_feature=codes)
        path.parent.mkdir(parents=True, exist_ok=True)
        lgb.train(settings, data, trees).save_model(path)
    text = path.read_text(encoding="utf-8")
    model = make_boosted(text, FEATURES, threads=threads)
    return Example(lgb.Booster(model_str=text), model, Encoding(name_features(), {}))


def name_features() -> list[Feature]:
    """Return the features' meanings: behaviour in three windows each, then attributes."""
    features = []
    for j in range(FEATURES):
        behaviour = j < 30
        features.append(
            Feature(
                name=f"f{j}",
                kind="number",
                qualifier=("web", "email", "social")[j // 3 % 3] if behaviour else "firmographic",
                family=f"behaviour_{j // 3}" if behaviour else f"f{j}",
                statistic="count" if behaviour else "attribute",
                unit="as given",
                label=f"f{j}",
                subject=f"type_{j // 3}" if behaviour else f"f{j}",
                window_days=(7.0, 30.0, 90.0)[j % 3] if behaviour else None,
            )
        )
    return features
