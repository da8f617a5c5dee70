"""Exact contributions: what each feature adds to a lead's calibrated log-odds.

The candidates are additive in their margin. A calibrator ``g`` bends the margin ``m``, and carries
the contributions by the secant from the base ``b``: each is scaled by ``(g(m) - g(b)) / (m - b)``,
so that ``g(b)`` and the scaled contributions sum to ``g(m)`` for every row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from propensity.data.timing import timed
from propensity.model.calibration import Calibrator
from propensity.model.estimators import Estimator, Matrix, Vector, add_columns

# Under this distance from the base the secant is taken to be the tangent: above it the secant's rounding
# error stays under a hundredth, below it the tangent's error in the sum stays under 1e-9.
NEAR_BASE = 1e-13


@dataclass(frozen=True)
class Contributions:
    """Log-odds, and what they are made of.

    Attributes
    ----------
    base : float
        The calibrated log-odds of the base.
    values : array of shape (n_rows, n_features)
        What each feature adds.
    log_odds : array of shape (n_rows,)
        The calibrated log-odds: base plus the row's values.
    """

    base: float
    values: Matrix
    log_odds: Vector


@timed("contributions")
def compute_contributions(model: Estimator, calibrator: Calibrator, matrix: Matrix) -> Contributions:
    """Explain each row of `matrix` on the calibrated log-odds scale."""
    values = model.contributions(matrix)
    margin = add_columns(values, model.base)
    base, log_odds = calibrator.log_odds(np.array([model.base]))[0], calibrator.log_odds(margin)
    distance = margin - model.base
    near = np.abs(distance) < NEAR_BASE
    secant = (log_odds - base) / np.where(near, 1.0, distance)
    scale = np.where(near, calibrator.slope(model.base) if near.any() else 0.0, secant)
    return Contributions(float(base), values * scale[:, None], log_odds)
