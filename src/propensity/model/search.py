"""The search over the trees' settings (``model.trials``): one job, seeded, worse trials cut short."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd

from propensity.model.boosting import Forge, Rows, Shape, fit_shape
from propensity.model.statistics import useful_places

FOLDS = 3
# Trials that run to their end before others are measured against them.
UNPRUNED = 5

Places = npt.NDArray[np.int64]


def search_shape(rows: Rows, leads: Places, moments: pd.Series[Any], forge: Forge, *, trials: int) -> Shape:
    """Return the shape with the least mean log-loss over folds.

    A fold fits on what is earlier than the rows it is measured on, and on no lead of theirs; where
    there are no moments, leads are dealt to the folds at random.

    Parameters
    ----------
    rows : Rows
        Train and stop.
    leads : array of int, shape (n_rows,)
    moments : Series
        When each snapshot was taken; null throughout in a table without dates.
    forge : Forge
    trials : int
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folds = list(make_folds(leads, moments, seed=forge.seed))
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=forge.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED),
    )
    study.enqueue_trial({"leaves": 8, "min_data_in_leaf": 50, "lambda_l2": 10.0, "feature_fraction": 0.5})
    study.optimize(
        lambda trial: _loss(trial, rows, leads, folds, forge),
        n_trials=trials,
        n_jobs=1,
        show_progress_bar=sys.stderr.isatty(),
    )
    return _shape(study.best_trial, forge)


def make_folds(leads: Places, moments: pd.Series[Any], *, seed: int) -> Iterator[tuple[Places, Places]]:
    """Yield the rows to fit on and the rows to measure on; no lead stands on both sides.

    With moments the rows are cut into four stretches of equal size, and each but the first is
    measured on what is fitted on all before it.
    """
    if moments.isna().any():
        fold = np.random.default_rng(seed).permutation(leads.max() + 1)[leads] % FOLDS
        for k in range(FOLDS):
            yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        return
    place = moments.rank(method="first").to_numpy() - 1
    stretch = (place * (FOLDS + 1) // len(place)).astype(np.int64)
    for k in range(1, FOLDS + 1):
        held = np.flatnonzero(stretch == k)
        earlier = np.flatnonzero(stretch < k)
        yield earlier[~np.isin(leads[earlier], leads[held])], held


def _loss(
    trial: optuna.Trial, rows: Rows, leads: Places, folds: list[tuple[Places, Places]], forge: Forge
) -> float:
    shape, losses = _shape(trial, forge), []
    for step, (fit, held) in enumerate(folds):
        train, measured = _take(rows, fit), _take(rows, held)
        if train[1].all() or not train[1].any():
            continue
        codes = np.unique(leads[fit], return_inverse=True)[1]
        boosted, _ = fit_shape(forge, shape, train, codes, measured, seed=forge.seed)
        matrix, won, weight = measured
        margin = boosted.margin(matrix)
        losses.append(np.average(np.logaddexp(0.0, np.where(won, -margin, margin)), weights=weight))
        trial.report(float(np.mean(losses)), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return float(np.mean(losses)) if losses else 0.0


def _take(rows: Rows, places: Places) -> Rows:
    matrix, won, weight = rows
    return matrix[places], won[places], weight[places]


def _shape(trial: optuna.Trial | optuna.trial.FrozenTrial, forge: Forge) -> Shape:
    leaves = trial.suggest_int("leaves", 3, 32, log=True)
    either = [False, True] if useful_places(forge.encoding) else [False]
    statistics = trial.suggest_categorical("statistics", either)
    return Shape(
        leaves,
        bool(statistics),
        {
            "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 5, 200, log=True),
            "lambda_l2": trial.suggest_float("lambda_l2", 0.1, 100.0, log=True),
            "feature_fraction": trial.suggest_float("feature_fraction", 0.2, 1.0),
        },
    )
