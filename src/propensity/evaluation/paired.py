"""Two models side by side on the same leads: each one's figures, and their difference with an interval."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.evaluation.intervals import bootstrap
from propensity.evaluation.metrics import METRICS, compute_metrics, make_ranking

Vector = npt.NDArray[np.float64]
RESAMPLES = 400


def compare_models(
    y_true: npt.NDArray[np.bool_],
    one: Vector,
    other: Vector,
    groups: npt.NDArray[np.int64],
    *,
    seed: int,
    names: tuple[str, str] = ("champion", "challenger"),
) -> pd.DataFrame:
    """Compare two models' probabilities of the same rows.

    The interval of a difference comes from a bootstrap over groups that resamples both models together, so
    what makes a lead hard for both cancels.

    Parameters
    ----------
    y_true : array of bool, shape (n_rows,)
    one, other : arrays of shape (n_rows,)
        Probabilities.
    groups : array of shape (n_rows,)
        What is resampled together: leads, or accounts.
    seed : int
    names : (str, str)

    Returns
    -------
    DataFrame
        One row a metric of `METRICS`, by name; columns `names`, ``difference`` (`other` less `one`), and its
        95% interval ``low, high``. NaN where a metric is not defined.
    """
    rankings = [make_ranking(y_true, p) for p in (one, other)]

    def both(weight: Vector) -> Vector:
        return np.concatenate([compute_metrics(ranking, weight) for ranking in rankings])

    measured = both(np.ones(len(y_true))).reshape(2, -1)
    draws = bootstrap(both, groups, seed=seed, resamples=RESAMPLES).reshape(RESAMPLES, 2, -1)
    low, high = np.array([_interval(column) for column in (draws[:, 1] - draws[:, 0]).T]).T
    return pd.DataFrame(
        {
            names[0]: measured[0],
            names[1]: measured[1],
            "difference": measured[1] - measured[0],
            "low": low,
            "high": high,
        },
        index=pd.Index(METRICS, name="metric"),
    )


def _interval(draws: Vector) -> Vector:
    known = draws[~np.isnan(draws)]
    return np.asarray(np.quantile(known, [0.025, 0.975]) if len(known) else [np.nan, np.nan])
