"""Whether probabilities mean what they say: level, spread, and what the Brier score is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit

from propensity.evaluation.metrics import Vector, Won

Z_95 = 1.959964
# A slope fitted to fewer wins, or fewer losses, than ten for each of its two numbers says nothing.
FEWEST_OF_A_KIND = 20
NOISE_DRAWS = 200


def calibration_report(y_true: Won, y_prob: Vector, groups: npt.NDArray[Any], *, seed: int) -> dict[str, Any]:
    """Return the evidence on calibration, with 95% intervals that know of groups.

    Parameters
    ----------
    y_true, y_prob, groups : arrays of shape (n_rows,)
    seed : int

    Returns
    -------
    dict
        ``n``, ``wins``; ``expected_over_observed`` wins (1 is right, more too hopeful); ``slope`` (1 is
        right, less too spread out) and ``intercept`` (0 is right) of the logistic recalibration, None with
        fewer than 20 wins or losses; each with ``_interval``; and ``brier`` with its parts: the keys of
        `decompose_brier` and ``miscalibration_by_chance``, the largest miscalibration that 95% of
        resamples have whose outcomes are drawn from the probabilities.
    """
    report: dict[str, Any] = {"n": len(y_true), "wins": int(y_true.sum())}
    level, interval = expected_over_observed(y_true, y_prob, groups)
    report |= {"expected_over_observed": level, "expected_over_observed_interval": interval}
    report |= recalibration_line(y_true, y_prob, groups)
    if len(y_true) == 0:
        return report | dict.fromkeys(
            ("brier", "miscalibration", "discrimination", "uncertainty", "miscalibration_by_chance")
        )
    by_chance = _miscalibration_by_chance(y_prob, groups, seed)
    return report | decompose_brier(y_true, y_prob) | {"miscalibration_by_chance": by_chance}


def expected_over_observed(
    y_true: Won, y_prob: Vector, groups: npt.NDArray[Any]
) -> tuple[float | None, list[float] | None]:
    """Return calibration-in-the-large: wins expected for each win seen, and its 95% interval.

    The interval is symmetric in the logarithm, its error taken over groups (the delta method for a ratio
    of totals); None without a win, no interval with fewer than two groups.
    """
    expected, observed = float(y_prob.sum()), int(y_true.sum())
    if observed == 0:
        return None, None
    ratio = expected / observed
    n_groups, totals = sum_by_group(y_prob / expected - y_true / observed, groups)
    if n_groups < 2:
        return ratio, None
    error = float(np.sqrt((totals**2).sum() * n_groups / (n_groups - 1)))
    return ratio, [ratio * float(np.exp(-Z_95 * error)), ratio * float(np.exp(Z_95 * error))]


def recalibration_line(y_true: Won, y_prob: Vector, groups: npt.NDArray[Any]) -> dict[str, Any]:
    """Fit won ~ intercept + slope * log-odds (Cox 1958) by maximum likelihood.

    Returns
    -------
    dict
        ``slope, slope_interval, intercept, intercept_interval``; the errors are those of Liang and Zeger
        (1986) over groups. All None where there are too few of a kind, one probability only, or no
        finite maximum.
    """
    none = dict.fromkeys(("slope", "slope_interval", "intercept", "intercept_interval"))
    wins = int(y_true.sum())
    if min(wins, len(y_true) - wins) < FEWEST_OF_A_KIND or np.ptp(y_prob) == 0:
        return none
    design = np.column_stack([np.ones(len(y_prob)), logit(np.clip(y_prob, 1e-15, 1 - 1e-15))])
    theta = np.array([0.0, 1.0])
    for _ in range(50):
        fitted = expit(design @ theta)
        bread = design.T @ (design * (fitted * (1 - fitted))[:, None])
        if np.linalg.cond(bread) > 1e12:
            return none
        step = np.linalg.solve(bread, design.T @ (y_true - fitted))
        theta = theta + step
        if np.abs(step).max() < 1e-10:
            break
    else:
        return none
    n_groups, scores = sum_by_group(design * (y_true - expit(design @ theta))[:, None], groups)
    if n_groups < 2:
        return none | {"intercept": float(theta[0]), "slope": float(theta[1])}
    inverse = np.linalg.inv(bread)
    covariance = inverse @ (scores.T @ scores) @ inverse * n_groups / (n_groups - 1)
    half = Z_95 * np.sqrt(np.diag(covariance))
    return {
        "slope": float(theta[1]),
        "slope_interval": [float(theta[1] - half[1]), float(theta[1] + half[1])],
        "intercept": float(theta[0]),
        "intercept_interval": [float(theta[0] - half[0]), float(theta[0] + half[0])],
    }


def decompose_brier(y_true: Won, y_prob: Vector) -> dict[str, float]:
    """Split the Brier score: miscalibration - discrimination + uncertainty.

    The CORP decomposition (Dimitriadis, Gneiting and Jordan 2021, doi:10.1073/pnas.2016191118): with the
    isotonic regression of the outcomes on the probabilities as the recalibrated ones, miscalibration is
    what recalibrating would take off the score, discrimination what the recalibrated ones have over the
    share won, uncertainty the score of that share. All are 0 or more.

    Returns
    -------
    dict
        ``brier, miscalibration, discrimination, uncertainty``.
    """
    won = y_true.astype(np.float64)
    recalibrated = _isotonic(won, y_prob)
    brier = float(np.mean((y_prob - won) ** 2))
    best = float(np.mean((recalibrated - won) ** 2))
    uncertainty = float(won.mean() * (1 - won.mean()))
    return {
        "brier": brier,
        "miscalibration": brier - best,
        "discrimination": uncertainty - best,
        "uncertainty": uncertainty,
    }


def calibration_slices(
    table: pd.DataFrame,
    key: str,
    y_true: Won,
    y_prob: Vector,
    groups: npt.NDArray[Any],
    *,
    seed: int,
    most: int = 20,
) -> list[dict[str, Any]]:
    """Return `calibration_report` for each value of ``slice_<key>``, with the value under `key`.

    The `most` largest slices come, in the order of their values; rows without a value are in none.
    """
    column = table[f"slice_{key}"]
    rows = []
    for value in sorted(column.value_counts().head(most).index):
        inside = (column == value).to_numpy()
        report = calibration_report(y_true[inside], y_prob[inside], groups[inside], seed=seed)
        rows.append({key: value, **report})
    return rows


def _isotonic(won: Vector, y_prob: Vector) -> Vector:
    """Return each row's share won by isotonic regression on its probability; ties are one point."""
    _, code, count = np.unique(y_prob, return_inverse=True, return_counts=True)
    mean = np.bincount(code, won) / count
    return np.asarray(isotonic_regression(mean, weights=count.astype(np.float64)).x[code])


def _miscalibration_by_chance(y_prob: Vector, groups: npt.NDArray[Any], seed: int) -> float:
    """Return the 95% quantile of the miscalibration of outcomes drawn from the probabilities.

    Rows of a group share one uniform draw, the strongest tie there is between their outcomes, as a lead's
    snapshots mostly end alike: what lies above it is not noise.
    """
    _, codes = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(seed)
    n_groups = int(codes.max()) + 1
    drawn = [
        decompose_brier(rng.random(n_groups)[codes] < y_prob, y_prob)["miscalibration"]
        for _ in range(NOISE_DRAWS)
    ]
    return float(np.quantile(drawn, 0.95))


def sum_by_group(values: npt.NDArray[np.float64], groups: npt.NDArray[Any]) -> tuple[int, Vector]:
    """Return the number of groups and the sums of `values` over each."""
    _, codes = np.unique(groups, return_inverse=True)
    n_groups = int(codes.max(initial=-1)) + 1
    totals = np.zeros((n_groups, *values.shape[1:]))
    np.add.at(totals, codes, values)
    return n_groups, totals
