"""Small gradient-boosted trees on raw columns: what the fields together tell, out of fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

ROUNDS = 60
MOST_LEVELS = 200
_SETTINGS = {
    "objective": "binary",
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_data_in_leaf": 20,
    "cat_smooth": 20.0,
    "max_cat_threshold": 32,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Fit:
    """What trees make of some columns.

    Attributes
    ----------
    margin : array of float
        Each row's log-odds from trees that were fitted without its fold.
    explained : float
        ``1 - log-loss / log-loss of the base rate`` over the rows that were held out; below 0 for trees that
        are worse than the base rate.
    importance : dict
        Column to its share of the trees' gain.
    """

    margin: Floats
    explained: float
    importance: dict[str, float]


def explained_by_trees(
    table: pd.DataFrame,
    won: npt.NDArray[np.bool_],
    fold: npt.NDArray[np.int64],
    *,
    seed: int,
    folds: Sequence[int] | None = None,
) -> Fit:
    """Fit trees without each fold and look at what they say of it.

    Parameters
    ----------
    table : DataFrame
        One row a lead or snapshot, numbers and texts, in any mixture; missing is a value.
    won, fold : arrays
        Of the same length.
    seed : int
    folds : sequence of int, optional
        The folds to hold out; all in `fold` if left out.
    """
    matrix, categories = _to_matrix(table)
    margin, gain = np.zeros(len(won)), np.zeros(table.shape[1])
    held_out = np.unique(fold) if folds is None else np.array(folds)
    for out in held_out:
        fitted = fold != out
        rate = np.clip(won[fitted].mean(), 1e-6, 1 - 1e-6) if fitted.any() else 0.5
        margin[fold == out] = np.log(rate) - np.log1p(-rate)
        if table.shape[1] == 0 or won[fitted].all() or not won[fitted].any():
            continue
        data = lgb.Dataset(
            matrix[fitted], label=won[fitted].astype(np.float64), categorical_feature=categories
        )
        booster = lgb.train({**_SETTINGS, "seed": seed}, data, num_boost_round=ROUNDS)
        margin[fold == out] = np.asarray(booster.predict(matrix[fold == out], raw_score=True))
        gain += booster.feature_importance("gain")
    seen = np.isin(fold, held_out)
    importance = gain / gain.sum() if gain.sum() > 0 else gain
    return Fit(
        margin,
        _explained(margin[seen], won[seen]),
        dict(zip(table.columns, importance.tolist(), strict=True)),
    )


def strongest(fit: Fit, columns: Sequence[str]) -> list[str]:
    """Return the columns by their share of the trees' gain, the largest first."""
    return sorted(columns, key=lambda column: (-fit.importance[column], column))


def _to_matrix(table: pd.DataFrame) -> tuple[Floats, list[int]]:
    """Return numbers as they are and texts as codes by frequency; beyond `MOST_LEVELS` they are missing."""
    columns, categories = [], []
    for place, name in enumerate(table.columns):
        values = table[name]
        if pd.api.types.is_numeric_dtype(values):
            columns.append(values.to_numpy(dtype=np.float64, na_value=np.nan))
            continue
        categories.append(place)
        levels = sorted(values.value_counts().items(), key=lambda item: (-item[1], str(item[0])))
        code = {level: float(i) for i, (level, _) in enumerate(levels[:MOST_LEVELS])}
        columns.append(values.map(code).to_numpy(dtype=np.float64, na_value=np.nan))
    return (np.column_stack(columns) if columns else np.empty((len(table), 0))), categories


def _explained(margin: Floats, won: npt.NDArray[np.bool_]) -> float:
    if len(won) == 0 or won.all() or not won.any():
        return 0.0
    rate = won.mean()
    base = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
    return float(1 - np.mean(np.logaddexp(0.0, np.where(won, -margin, margin))) / base)
