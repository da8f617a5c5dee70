"""Intervals that know that rows come in groups."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

Vector = npt.NDArray[np.float64]


def bootstrap(
    statistic: Callable[[Vector], Vector],
    groups: npt.NDArray[np.int64],
    *,
    seed: int,
    resamples: int,
) -> npt.NDArray[np.float64]:
    """Resample whole groups with replacement and compute a statistic of the row weights.

    Parameters
    ----------
    statistic : callable
        From row weights, shape (n_rows,), to values, shape (n_values,).
    groups : array of int, shape (n_rows,)

    Returns
    -------
    array of shape (resamples, n_values)
    """
    _, codes = np.unique(groups, return_inverse=True)
    n_groups = codes.max() + 1
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(resamples):
        times = np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups).astype(np.float64)
        draws.append(statistic(times[codes]))
    return np.array(draws)


def effective_size(won: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64]) -> float:
    """Return how many independent rows would tell as much about the share won as these grouped ones.

    The number of rows over the design effect: the variance of the mean over groups divided by the
    variance had every row been its own group (Kish 1965), which is never taken below 1.
    """
    n = len(won)
    rate = won.mean() if n else 0.0
    if rate in (0.0, 1.0):
        return float(len(np.unique(groups)))
    _, codes = np.unique(groups, return_inverse=True)
    between = np.sum(np.bincount(codes, won - rate) ** 2)
    design_effect = max(1.0, between / (n * rate * (1 - rate)))
    return float(n / design_effect)


def wilson_interval(
    won: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64], *, level: float = 0.95
) -> tuple[float, float]:
    """Return Wilson's interval (1927) for the share won, for the rows' effective number; (0, 1) for none."""
    n = effective_size(won, groups)
    if n == 0:
        return 0.0, 1.0
    rate = float(won.mean())
    z = stats.norm.ppf((1 + level) / 2)
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def lower_bound(won: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64], *, confidence: float) -> float:
    """Return a lower bound of the share won: Clopper and Pearson's (1934), one-sided.

    It is taken for the rows' effective number, as Korn and Graubard (1998) do; 0 without a win.
    """
    n = effective_size(won, groups)
    wins = float(won.mean()) * n if n else 0.0
    return 0.0 if wins == 0 else float(stats.beta.ppf(1 - confidence, wins, n - wins + 1))
