"""Points: the additive 0-100 score and its parts.

``score = 50 + 10 log2(odds / reference odds)``, held within 0 and 100: the reference odds score 50
and 10 points more double the odds. The parts are the contributions in the same unit; where the
score is held at 0 or 100, they are scaled down alike so that they still sum to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.explain.contributions import Contributions
from propensity.features.catalogue import Feature
from propensity.model.estimators import Matrix, Vector, add_columns

POINTS_PER_LOG_ODDS = 10 / np.log(2)
MIDDLE = 50.0
FIT = frozenset({"demographic", "firmographic"})


@dataclass(frozen=True)
class Points:
    """Scores and the points they are made of.

    Attributes
    ----------
    base : float
        The points of a lead about which nothing is special.
    values : array of shape (n_rows, n_features)
        Points of each feature; ``base`` plus a row's values is its score.
    score : array of shape (n_rows,)
        0 to 100.
    """

    base: float
    values: Matrix
    score: Vector


def score_of(log_odds: Vector, reference_odds: float) -> Vector:
    """Return the score of calibrated log-odds, 0 to 100."""
    return np.asarray(np.clip(_unheld(log_odds, reference_odds), 0.0, 100.0))


def compute_points(contributions: Contributions, reference_odds: float) -> Points:
    """Turn contributions into points that sum to the score."""
    base = float(score_of(np.array([contributions.base]), reference_odds)[0])
    score = score_of(contributions.log_odds, reference_odds)
    raw_base = _unheld(np.array([contributions.base]), reference_odds)
    raw_score = _unheld(contributions.log_odds, reference_odds)
    held = (raw_base != base) | (raw_score != score)
    free = raw_score - raw_base
    scale = np.where(held, (score - base) / np.where(free == 0, 1.0, free), 1.0)
    return Points(base, contributions.values * (POINTS_PER_LOG_ODDS * scale)[:, None], score)


def _unheld(log_odds: Vector, reference_odds: float) -> Vector:
    return np.asarray(MIDDLE + POINTS_PER_LOG_ODDS * (log_odds - np.log(reference_odds)))


def sum_by_side(points: Points, features: list[Feature]) -> tuple[Vector, Vector]:
    """Return the points for who the lead is (fit) and for what it did and when (engagement).

    With the base they sum to the score.
    """
    fit = np.array([feature.qualifier in FIT for feature in features], dtype=bool)
    return add_columns(points.values[:, fit], 0.0), add_columns(points.values[:, ~fit], 0.0)


def mean_absolute_points(points: Points, features: list[Feature]) -> dict[str, Any]:
    """Return how much each feature and each qualifier moves scores: the mean absolute points.

    Returns
    -------
    dict
        ``drivers``, a row a feature, and ``qualifiers``, a row a qualifier whose points are summed
        within a lead first; the largest first.
    """
    drivers = [
        {
            "feature": f.name,
            "label": f.label,
            "qualifier": f.qualifier,
            "mean_abs_points": float(np.abs(points.values[:, j]).mean()),
        }
        for j, f in enumerate(features)
    ]
    names = sorted({f.qualifier for f in features})
    qualifiers = []
    for name in names:
        mine = [j for j, f in enumerate(features) if f.qualifier == name]
        total = points.values[:, mine].sum(axis=1)
        qualifiers.append({"qualifier": name, "mean_abs_points": float(np.abs(total).mean())})
    return {
        "drivers": sorted(drivers, key=lambda row: -row["mean_abs_points"]),
        "qualifiers": sorted(qualifiers, key=lambda row: -row["mean_abs_points"]),
    }
