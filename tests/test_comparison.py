"""The baselines: the base rate, and the points rule as marketing would write it."""

from __future__ import annotations

import numpy as np
import pytest

from propensity.evaluation.comparison import (
    MOST_POINTS,
    base_rate_probability,
    fit_points_rule,
    points_rule_probability,
)
from propensity.model.encoding import Encoding
from tiny_models import make_feature

VISITS = Encoding([make_feature("visits")], {})
BOTH = Encoding(
    [make_feature("visits"), make_feature("channel", "category")], {"channel": ["ads", "referral"]}
)


def blocks(*counts: tuple[float, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return values and outcomes from (value, won, lost)."""
    values = np.concatenate([np.full(won + lost, value) for value, won, lost in counts])
    outcomes = np.concatenate([np.arange(won + lost) < won for _, won, lost in counts])
    return values[:, None], outcomes


def test_the_base_rate_is_the_training_parts() -> None:
    assert base_rate_probability(np.array([True, False, False, False]), 3).tolist() == [0.25] * 3


def test_points_are_ten_for_doubled_odds_to_the_nearest_five() -> None:
    """Odds of 1 : 2 at three visits or more against 1 : 4 below: twice the odds."""
    X, won = blocks((0.0, 80, 320), (3.0, 200, 400))
    rule = fit_points_rule(X, won, VISITS)
    assert rule.conditions == [(0, 3.0, None, 10)]
    assert rule.points(np.array([[0.0], [2.9], [3.0], [9.0], [np.nan]])).tolist() == [0, 0, 10, 10, 0]


def test_points_end_at_twenty_and_may_be_negative() -> None:
    X, won = blocks((0.0, 350, 50), (3.0, 10, 590))
    assert fit_points_rule(X, won, VISITS).conditions == [(0, 3.0, None, -MOST_POINTS)]


def test_a_condition_within_noise_gets_no_points() -> None:
    X, won = blocks((0.0, 20, 80), (3.0, 24, 76))
    assert fit_points_rule(X, won, VISITS).conditions == []
    assert points_rule_probability(X, won, X[:5], VISITS) == pytest.approx(np.full(5, 0.22), abs=1e-3)


def test_the_clearest_condition_of_each_feature_stands_and_the_clearest_feature_first() -> None:
    """Nine in ten of the won came by referral; the others came by ads or without a channel."""
    visits, won = blocks((0.0, 80, 320), (3.0, 200, 400))
    turn = np.arange(1000)
    channel = np.where(won ^ (turn % 10 == 0), 3.0, np.where(turn % 2 == 0, 2.0, 0.0))
    X = np.column_stack([visits[:, 0], channel])
    rule = fit_points_rule(X, won, BOTH)
    assert rule.conditions == [(1, None, 3, MOST_POINTS), (0, 3.0, None, 10)]
    assert rule.points(np.array([[3.0, 3.0], [3.0, 1.0], [0.0, 3.0]])).tolist() == [30, 10, 20]
    assert fit_points_rule(X, won, BOTH, most=1).conditions == rule.conditions[:1]


def test_the_rules_probabilities_are_calibrated_on_the_training_part() -> None:
    X, won = blocks((0.0, 100, 400), (3.0, 250, 250))
    probability = points_rule_probability(X, won, X, VISITS)
    assert probability.mean() == pytest.approx(won.mean(), abs=1e-4)
    assert np.unique(probability) == pytest.approx([0.2, 0.5], abs=2e-3)
