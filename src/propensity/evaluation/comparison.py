"""What a model has to beat: the base rate, and a points rule as marketing would write it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.model.calibration import fit_calibrator
from propensity.model.encoding import Encoding
from propensity.model.estimators import Matrix, Vector, probability_of

STEP = 5
MOST_POINTS = 20


@dataclass(frozen=True)
class PointsRule:
    """Points for simple conditions, added up.

    Attributes
    ----------
    conditions : list of (column, threshold or None, code or None, points)
        A row meets a number's condition when it is at or above the threshold, and a category's when
        it has the code.
    """

    conditions: list[tuple[int, float | None, int | None, int]]

    def points(self, matrix: Matrix) -> Vector:
        """Return each row's total."""
        total = np.zeros(len(matrix))
        for j, threshold, code, points in self.conditions:
            x = matrix[:, j]
            met = x == code if threshold is None else np.nan_to_num(x, nan=-np.inf) >= threshold
            total += np.where(met, points, 0)
        return total


def base_rate_probability(won_train: npt.NDArray[np.bool_], n_rows: int) -> Vector:
    """Return the training part's share won for every row."""
    return np.full(n_rows, float(won_train.mean()))


def points_rule_probability(
    train: Matrix, won: npt.NDArray[np.bool_], test: Matrix, encoding: Encoding
) -> Vector:
    """Fit a points rule on the training part and return its probabilities for the test part.

    The totals are turned into probabilities by a sigmoid fitted on the training part.
    """
    rule = fit_points_rule(train, won, encoding)
    to_margin = rule.points(train) / MOST_POINTS
    calibrator = fit_calibrator("sigmoid", to_margin, won, np.ones(len(won)))
    return probability_of(calibrator.log_odds(rule.points(test) / MOST_POINTS))


def fit_points_rule(
    matrix: Matrix, won: npt.NDArray[np.bool_], encoding: Encoding, *, most: int = 12
) -> PointsRule:
    """Write the rule: the conditions that tell winners apart best, five points for each step of odds.

    Each number is tried at its median and its upper decile, each category at every level. Points are
    ten times the binary logarithm of the odds ratio, to the nearest 5 and at most 20 either way, as in a
    hand-made scorecard; the `most` clearest conditions stand, one a feature.
    """
    found = []
    for j, feature in enumerate(encoding.features):
        x = matrix[:, j]
        tried: list[tuple[float | None, int | None, npt.NDArray[np.bool_]]]
        if feature.kind == "category":
            tried = [(None, code, x == code) for code in range(encoding.n_codes(feature.name))]
        else:
            edges = np.unique(np.nanquantile(x, [0.5, 0.9]))
            tried = [(float(e), None, np.nan_to_num(x, nan=-np.inf) >= e) for e in edges]
        judged = [(*_judge(met, won), threshold, code) for threshold, code, met in tried]
        if judged:
            clearness, points, threshold, code = max(judged, key=lambda row: row[0])
            if points:
                found.append((clearness, (j, threshold, code, points)))
    found.sort(key=lambda row: -row[0])
    return PointsRule([condition for _, condition in found[:most]])


def _judge(met: npt.NDArray[np.bool_], won: npt.NDArray[np.bool_]) -> tuple[float, int]:
    """Return how clear a condition is (its z value) and its points."""
    a, b = np.sum(met & won) + 0.5, np.sum(met & ~won) + 0.5
    c, d = np.sum(~met & won) + 0.5, np.sum(~met & ~won) + 0.5
    log_ratio = np.log(a * d / (b * c))
    clearness = abs(log_ratio) / np.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    points = STEP * round(10 * log_ratio / np.log(2) / STEP)
    return float(clearness), int(np.clip(points, -MOST_POINTS, MOST_POINTS)) if clearness > 2 else 0
