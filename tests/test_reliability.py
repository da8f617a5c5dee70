"""Calibration's evidence: oracles, values worked out by hand, identities, and intervals that hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from propensity.evaluation.reliability import (
    calibration_report,
    calibration_slices,
    decompose_brier,
    expected_over_observed,
    recalibration_line,
)

ROWS = st.lists(
    st.tuples(st.sampled_from([0.05, 0.1, 0.2, 0.5, 0.7, 0.95]), st.booleans()), min_size=1, max_size=50
)


def make_rows(n=4000, *, shift=0.0, slope=1.0, seed=1):
    """Probabilities whose truth has another level and spread."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-1.5, 1, n)
    return rng.random(n) < expit(shift + slope * z), expit(z), np.arange(n)


def test_the_brier_score_is_split_as_worked_out_by_hand():
    # 0.2 and 0.4 are in the wrong order and pool to 1/2 won; 0.8 keeps its own 1/1.
    won, prob = np.array([True, False, True]), np.array([0.2, 0.4, 0.8])
    found = decompose_brier(won, prob)
    brier = (0.8**2 + 0.4**2 + 0.2**2) / 3
    best = (0.5**2 + 0.5**2 + 0) / 3
    assert found["brier"] == pytest.approx(brier)
    assert found["miscalibration"] == pytest.approx(brier - best)
    assert found["uncertainty"] == pytest.approx(2 / 9)
    assert found["discrimination"] == pytest.approx(2 / 9 - best)


@given(ROWS)
def test_the_parts_make_up_the_brier_score_and_none_is_negative(rows):
    prob, won = (np.array(column) for column in zip(*rows, strict=True))
    found = decompose_brier(won, prob)
    parts = found["miscalibration"] - found["discrimination"] + found["uncertainty"]
    assert parts == pytest.approx(np.mean((prob - won) ** 2))
    assert min(found["miscalibration"], found["discrimination"], found["uncertainty"]) >= -1e-12


@given(ROWS, st.floats(0.3, 3))
def test_discrimination_depends_on_the_order_alone(rows, power):
    prob, won = (np.array(column) for column in zip(*rows, strict=True))
    bent = decompose_brier(won, prob**power)
    assert bent["discrimination"] == pytest.approx(decompose_brier(won, prob)["discrimination"])


def test_expected_over_observed_by_hand():
    won = np.array([True, False, False, True])
    prob = np.array([0.5, 0.1, 0.2, 0.4])
    ratio, (low, high) = expected_over_observed(won, prob, np.arange(4))
    assert ratio == pytest.approx(1.2 / 2)
    influence = prob / 1.2 - won / 2
    error = np.sqrt((influence**2).sum() * 4 / 3)
    assert [low, high] == pytest.approx([0.6 * np.exp(-1.96 * error), 0.6 * np.exp(1.96 * error)], rel=1e-4)


def test_rows_that_come_twice_make_no_interval_narrower():
    won, prob, groups = make_rows(500)
    once = calibration_report(won, prob, groups, seed=1)
    twice = calibration_report(*(np.repeat(x, 2) for x in (won, prob, groups)), seed=1)
    for name in ("expected_over_observed", "slope", "intercept"):
        assert twice[f"{name}_interval"] == pytest.approx(once[f"{name}_interval"])
    assert twice["miscalibration_by_chance"] == pytest.approx(once["miscalibration_by_chance"])


def test_the_line_is_scikit_learns_logistic_regression_of_the_log_odds():
    won, prob, groups = make_rows(shift=0.5, slope=0.7)
    found = recalibration_line(won, prob, groups)
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(prob)[:, None], won)
    assert found["slope"] == pytest.approx(oracle.coef_[0, 0], abs=1e-4)
    assert found["intercept"] == pytest.approx(oracle.intercept_[0], abs=1e-4)


def test_intervals_hold_the_truth_in_about_95_of_100():
    """200 repetitions with two rows a group that share their outcome: 190 expected, 179 at 3.5 errors."""
    held = dict.fromkeys(("slope", "intercept", "level"), 0)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        z = np.repeat(rng.normal(-1, 1, 400), 2)
        groups = np.repeat(np.arange(400), 2)
        won = np.repeat(rng.random(400), 2) < expit(0.3 + 0.8 * z)
        found = recalibration_line(won, expit(z), groups)
        held["slope"] += found["slope_interval"][0] <= 0.8 <= found["slope_interval"][1]
        held["intercept"] += found["intercept_interval"][0] <= 0.3 <= found["intercept_interval"][1]
        low, high = expected_over_observed(won, expit(0.3 + 0.8 * z), groups)[1]
        held["level"] += low <= 1 <= high
    assert min(held.values()) >= 179
    assert max(held.values()) <= 199


def test_miscalibration_is_told_from_noise():
    honest = calibration_report(*make_rows(), seed=1)
    assert honest["miscalibration"] <= honest["miscalibration_by_chance"]
    off = calibration_report(*make_rows(shift=0.6), seed=1)
    assert off["miscalibration"] > 3 * off["miscalibration_by_chance"]
    assert off["expected_over_observed_interval"][1] < 1
    assert off["intercept_interval"][0] > 0


def test_few_wins_give_no_slope_and_none_gives_no_level():
    won, prob, groups = make_rows(300)
    few = won & (np.cumsum(won) <= 19)
    assert recalibration_line(few, prob, groups)["slope"] is None
    found = calibration_report(np.zeros(300, dtype=bool), prob, groups, seed=1)
    assert found["expected_over_observed"] is None
    assert found["discrimination"] == 0
    assert calibration_report(won[:0], prob[:0], groups[:0], seed=1)["brier"] is None


def test_one_probability_for_all_and_a_perfect_order_give_no_slope():
    won, prob, groups = make_rows(300)
    assert recalibration_line(won, np.full(300, 0.2), groups)["slope"] is None
    assert recalibration_line(prob > 0.2, prob, groups)["slope"] is None


def test_slices_are_the_rows_with_the_value():
    won, prob, groups = make_rows(600)
    channel = np.where(groups % 3 == 0, "web", "fair")
    table = pd.DataFrame({"slice_channel": channel})
    fair, web = calibration_slices(table, "channel", won, prob, groups, seed=1)
    assert (fair["channel"], fair["n"], web["n"]) == ("fair", 400, 200)
    alone = calibration_report(
        won[channel == "web"], prob[channel == "web"], groups[channel == "web"], seed=1
    )
    assert web == {"channel": "web", **alone}
