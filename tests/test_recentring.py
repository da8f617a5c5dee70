"""Re-centring: the shift that makes expected wins equal seen ones, and the walk through a period."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from propensity.evaluation.recentring import intercept_shift, recentred_report


def test_equal_log_odds_are_moved_to_the_rate_seen():
    won = np.array([True] * 3 + [False] * 6)
    shift = intercept_shift(np.zeros(9), won)
    assert shift == pytest.approx(logit(3.5 / 10))


@given(st.lists(st.tuples(st.floats(-6, 6), st.booleans()), min_size=3, max_size=60))
def test_after_the_shift_as_many_wins_are_expected_as_were_seen(rows):
    z, won = (np.array(column) for column in zip(*rows, strict=True))
    shift = intercept_shift(z, won)
    if abs(shift) < 10:
        assert expit(z + shift).mean() == pytest.approx((won.sum() + 0.5) / (len(won) + 1))


def drifting(n: int = 4000, known_after: float = 0.0):
    rng = np.random.default_rng(5)
    moment = np.arange(n, dtype=float)
    z = rng.normal(-2, 1, n)
    won = rng.random(n) < expit(z + 1.5)  # the base rate has risen; the model does not know
    return recentred_report(z, won, np.arange(n), moment, moment + known_after, seed=1)


def test_a_risen_base_rate_is_followed():
    report = drifting()
    assert report["n"] == 3600  # the first tenth has nothing before it
    assert report["as_scored"]["expected_over_observed"] < 0.5
    assert report["recentred"]["expected_over_observed"] == pytest.approx(1, abs=0.1)
    assert report["recentred"]["ece"] < report["as_scored"]["ece"] / 3
    assert report["recentred"]["log_loss"] < report["as_scored"]["log_loss"]


def test_every_block_but_the_first_is_moved_whatever_the_number_of_rows():
    assert drifting(n=4007)["n"] == 4007 - 401


def test_only_outcomes_known_by_then_are_used():
    assert drifting(known_after=1e9) is None
    # Known 1,000 rows later: the first four blocks, whose tenth is not known yet, are left out.
    assert drifting(known_after=1000)["n"] == 2400
