"""Fitting LightGBM, repeatably."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from propensity.errors import ParamsError
from propensity.model.encoding import Encoding
from propensity.model.estimators import Boosted, Matrix, Vector, make_boosted, threads_for
from propensity.model.statistics import (
    Statistics,
    crowded_places,
    fit_statistics,
    look_up,
    useful_places,
    widen,
    widen_encoding,
)

MOST_ROUNDS = 2000
# Learning rates for few rows and for many, where half as many trees, each twice as bold, do as well.
RATE, RATE_OF_MANY = 0.03, 0.06
PATIENCE = 4.5  # rounds without a gain, times the learning rate
LEAVES, FEWER_LEAVES = 8, 4
# From so many rows on neither the size of a small tree nor the seed matters beyond noise, while each fit
# takes its time.
MANY_ROWS = 20_000

Rows = tuple[Matrix, npt.NDArray[np.bool_], Vector]
Leads = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """What kind of trees are fitted.

    Attributes
    ----------
    leaves : int
        Leaves of a tree.
    statistics : bool
        Whether the trees read the statistics of all categories with levels enough; without, only of
        those whose levels are too many to have a split each.
    found : dict
        LightGBM's settings that a search found.
    rate : float
        The learning rate.
    """

    leaves: int = LEAVES
    statistics: bool = False
    found: Mapping[str, float] = field(default_factory=dict)
    rate: float = RATE

    @property
    def settings(self) -> dict[str, Any]:
        """LightGBM's settings of this shape."""
        return {"num_leaves": self.leaves, "learning_rate": self.rate, **self.found}


@dataclass(frozen=True)
class Forge:
    """What all fits of one training share.

    Attributes
    ----------
    encoding : Encoding
    monotone : dict
        Feature to +1 or -1.
    seed, threads : int
    """

    encoding: Encoding
    monotone: Mapping[str, int]
    seed: int
    threads: int

    def places(self, shape: Shape) -> list[int]:
        """Return the categories whose statistics the trees read."""
        return useful_places(self.encoding) if shape.statistics else crowded_places(self.encoding)

    def statistics(self, rows: Rows, leads: Leads, places: Sequence[int]) -> Statistics:
        """Return the statistics of rows to fit on."""
        return fit_statistics(*rows, leads, self.encoding, places, seed=self.seed)

    def settings(self, n_rows: int, shape: Shape, *, seed: int) -> dict[str, Any]:
        """Return LightGBM's settings."""
        wide = widen_encoding(self.encoding, self.places(shape))
        made = boosting_settings(n_rows, wide, seed=seed, threads=self.threads, monotone=self.monotone)
        return made | shape.settings


def likely_shapes(n_rows: int, encoding: Encoding) -> list[Shape]:
    """Return the shapes worth trying on so many rows, the plainest first."""
    rate = RATE if n_rows < MANY_ROWS else RATE_OF_MANY
    shapes = [Shape(rate=rate)]
    if n_rows < MANY_ROWS:
        shapes.append(Shape(FEWER_LEAVES))
    if set(useful_places(encoding)) - set(crowded_places(encoding)):
        shapes.append(Shape(statistics=True, rate=rate))
    return shapes


def fit_shape(
    forge: Forge, shape: Shape, train: Rows, leads: Leads, stop: Rows, *, seed: int
) -> tuple[Boosted, int]:
    """Fit on `train` for as long as log-loss on `stop` falls; return the trees and their rounds."""
    found = forge.statistics(train, leads, forge.places(shape))
    wide = widen_encoding(forge.encoding, list(found.tables))
    booster = fit_rounds(
        (widen(train[0], found.out_of_fold), *train[1:]),
        (widen(stop[0], look_up(stop[0], found.tables)), *stop[1:]),
        wide,
        forge.settings(len(train[1]), shape, seed=seed),
    )
    rounds = booster.best_iteration
    text = booster.model_to_string(num_iteration=rounds)
    return _load(forge, text, found), rounds


def refit_shape(
    forge: Forge, shape: Shape, rows: Rows, leads: Leads, *, rounds: int, seeds: Sequence[int]
) -> Boosted:
    """Fit a given number of rounds, once for each seed."""
    found = forge.statistics(rows, leads, forge.places(shape))
    wide = widen_encoding(forge.encoding, list(found.tables))
    part = (widen(rows[0], found.out_of_fold), *rows[1:])
    made = [
        fit_boosting(part, wide, forge.settings(len(rows[1]), shape, seed=seed), rounds=rounds)
        for seed in seeds
    ]
    return _load(forge, [booster.model_to_string() for booster in made], found)


def _load(forge: Forge, texts: str | Sequence[str], found: Statistics) -> Boosted:
    n_features = len(forge.encoding.features)
    return make_boosted(texts, n_features, threads=forge.threads, statistics=found.tables)


def fit_rounds(
    train: tuple[Matrix, npt.NDArray[np.bool_], Vector],
    stop: tuple[Matrix, npt.NDArray[np.bool_], Vector],
    encoding: Encoding,
    settings: dict[str, Any],
) -> lgb.Booster:
    """Fit on the training part until log-loss on the stop part has not fallen for a while (`PATIENCE`).

    Parameters
    ----------
    train, stop : (matrix, won, weight)
    encoding : Encoding
    settings : dict
        What `boosting_settings` returns.
    """
    data = _dataset(train, encoding)
    return lgb.train(
        settings,
        data,
        num_boost_round=MOST_ROUNDS,
        valid_sets=[_dataset(stop, encoding, reference=data)],
        callbacks=[lgb.early_stopping(round(PATIENCE / settings["learning_rate"]), verbose=False)],
    )


def fit_boosting(
    train: tuple[Matrix, npt.NDArray[np.bool_], Vector],
    encoding: Encoding,
    settings: dict[str, Any],
    *,
    rounds: int,
) -> lgb.Booster:
    """Fit a given number of rounds."""
    return lgb.train(settings, _dataset(train, encoding), num_boost_round=rounds)


def boosting_settings(
    n_rows: int, encoding: Encoding, *, seed: int, threads: int, monotone: Mapping[str, int]
) -> dict[str, Any]:
    """Return LightGBM's parameters: small trees, strong shrinkage, the same result every time.

    Raises
    ------
    ParamsError
        ``features.monotone`` names a feature that is not used or is a category.
    """
    check_monotone(monotone, encoding)
    settings: dict[str, Any] = {
        "objective": "binary",
        "metric": "binary_logloss",
        "learning_rate": RATE,
        "num_leaves": LEAVES,
        "min_data_in_leaf": int(np.clip(n_rows // 100, 10, 100)),
        "lambda_l2": 10.0,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "max_cat_to_onehot": 64,
        "seed": seed,
        "num_threads": threads_for(n_rows, threads),
        "deterministic": True,
        # The histograms of one column after the other: the same sums as by rows, in less time, and on two
        # threads of a busy machine in a quarter of it.
        "force_col_wise": True,
        "verbosity": -1,
    }
    if monotone:
        settings["monotone_constraints"] = [monotone.get(f.name, 0) for f in encoding.features]
    return settings


def check_monotone(monotone: Mapping[str, int], encoding: Encoding) -> None:
    """Refuse a direction for a feature that is not used or is a category.

    Raises
    ------
    ParamsError
        Naming the features that are wrong and those that could stand there.
    """
    numbers = [f.name for f in encoding.features if f.kind == "number"]
    wrong = sorted(set(monotone) - set(numbers))
    if wrong:
        raise ParamsError(f"features.monotone: {wrong} are not number features in use; these are: {numbers}")


def _dataset(
    part: tuple[Matrix, npt.NDArray[np.bool_], Vector],
    encoding: Encoding,
    *,
    reference: lgb.Dataset | None = None,
) -> lgb.Dataset:
    matrix, won, weight = part
    return lgb.Dataset(
        matrix,
        label=won.astype(np.float64),
        weight=weight,
        categorical_feature=encoding.categories,
        reference=reference,
        params={"verbosity": -1},
    )
