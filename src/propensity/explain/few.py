"""The points of a few rows, number by number: what `contributions` and `points` compute of many, to the bit.

An operation on an array of one number costs a hundred times what it costs on the number alone. Logarithms and
exponentials are numpy's all the same: those of Python may differ in the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, reduce
from operator import add
from typing import NamedTuple

import numpy as np

from propensity.explain.contributions import NEAR_BASE
from propensity.explain.points import MIDDLE, POINTS_PER_LOG_ODDS
from propensity.model.calibration import Calibrator
from propensity.model.estimators import Estimator, Matrix, Vector, probability_of

_PER_LOG_ODDS = float(POINTS_PER_LOG_ODDS)


class RowPoints(NamedTuple):
    """The score of a row, the points of its features, and its probability with the ends of its interval."""

    score: float
    points: list[float]
    probability: tuple[float, float, float]


class RowExplainer:
    """Explains one row after another.

    Parameters
    ----------
    model : Estimator
    calibrator : Calibrator
    reference_odds : float
        That score 50.

    Attributes
    ----------
    base : float
        The points of a lead about which nothing is special.
    """

    def __init__(self, model: Estimator, calibrator: Calibrator, reference_odds: float) -> None:
        self._model, self._calibrator = model, calibrator
        self._reference = float(np.log(reference_odds))
        self._margin = float(model.base)
        self._log_odds = float(calibrator.log_odds(np.array([model.base]))[0])
        self._raw = self._unheld(self._log_odds)
        self.base = _hold(self._raw)

    def explain(self, matrix: Matrix) -> list[RowPoints]:
        """Return what `compute_points` and the calibrator tell of each row."""
        rows = self._model.contributions(matrix).tolist()
        margins = [reduce(add, row, self._margin) for row in rows]
        log_odds = self._calibrator.log_odds(np.array(margins))
        ends: Vector = np.array(self._calibrator.interval(log_odds))
        middle = [1 / (1 + x) for x in np.exp(-log_odds).tolist()]
        probabilities = zip(middle, *probability_of(ends).tolist(), strict=True)
        told = zip(rows, margins, log_odds.tolist(), probabilities, strict=True)
        return [RowPoints(*self._score(*row), probability) for *row, probability in told]

    def _score(self, row: Sequence[float], margin: float, log_odds: float) -> tuple[float, list[float]]:
        distance = margin - self._margin
        near = abs(distance) < NEAR_BASE
        scale = self._slope if near else (log_odds - self._log_odds) / distance
        raw = self._unheld(log_odds)
        score, more = _hold(raw), 1.0
        if self._raw != self.base or raw != score:
            more = (score - self.base) / ((raw - self._raw) or 1.0)
        more *= _PER_LOG_ODDS
        return score, [value * scale * more for value in row]

    @cached_property
    def _slope(self) -> float:
        return self._calibrator.slope(self._margin)

    def _unheld(self, log_odds: float) -> float:
        return MIDDLE + _PER_LOG_ODDS * (log_odds - self._reference)


def _hold(points: float) -> float:
    return min(max(points, 0.0), 100.0)
