"""Fitting LightGBM, repeatably."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from propensity.errors import ParamsError
from propensity.model.encoding import Encoding
from propensity.model.estimators import Matrix, Vector, threads_for

MOST_ROUNDS = 2000
PATIENCE = 150


def fit_rounds(
    train: tuple[Matrix, npt.NDArray[np.bool_], Vector],
    stop: tuple[Matrix, npt.NDArray[np.bool_], Vector],
    encoding: Encoding,
    settings: dict[str, Any],
) -> lgb.Booster:
    """Fit on the training part until log-loss on the stop part has not fallen for `PATIENCE` rounds.

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
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
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
        "learning_rate": 0.03,
        "num_leaves": 8,
        "min_data_in_leaf": int(np.clip(n_rows // 100, 10, 100)),
        "lambda_l2": 10.0,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "max_cat_to_onehot": 64,
        "seed": seed,
        "num_threads": threads_for(n_rows, threads),
        "deterministic": True,
        "force_row_wise": True,
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
