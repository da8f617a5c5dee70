"""Intervals: published and scipy's values, and groups counted as what they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from propensity.evaluation.intervals import bootstrap, effective_size, lower_bound, wilson_interval

NONE = np.zeros(0, dtype=bool)


def rows(wins: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(n) < wins, np.arange(n)


@pytest.mark.parametrize(
    ("wins", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_is_as_published(wins: int, n: int, low: float, high: float) -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3."""
    assert wilson_interval(*rows(wins, n)) == pytest.approx((low, high), abs=5e-5)


def test_wilson_of_everything_and_of_nothing() -> None:
    low, high = wilson_interval(*rows(20, 20))
    assert (low, high) == (pytest.approx(1 - 0.1611, abs=1e-4), pytest.approx(1.0))
    assert wilson_interval(NONE, np.zeros(0, dtype=np.int64)) == (0.0, 1.0)


def test_a_wider_level_gives_a_wider_interval() -> None:
    narrow, wide = wilson_interval(*rows(30, 100), level=0.8), wilson_interval(*rows(30, 100), level=0.99)
    assert wide[0] < narrow[0] < 0.3 < narrow[1] < wide[1]


@given(st.integers(1, 60), st.integers(0, 60), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_the_lower_bound_is_scipys_exact_one(n: int, wins: int, confidence: float) -> None:
    wins = min(wins, n)
    exact = binomtest(wins, n, alternative="greater").proportion_ci(confidence, method="exact").low
    assert lower_bound(*rows(wins, n), confidence=confidence) == pytest.approx(exact, abs=1e-12)


def test_the_lower_bound_exceeds_the_truth_at_most_as_often_as_allowed() -> None:
    """Exactly, by summing over every possible number of wins in 40 rows."""
    bounds = np.array([lower_bound(*rows(wins, 40), confidence=0.9) for wins in range(41)])
    for truth in (0.05, 0.3, 0.62):
        assert binom.pmf(np.arange(41), 40, truth)[bounds > truth].sum() <= 0.1


def test_the_lower_bound_of_nothing_is_zero() -> None:
    assert lower_bound(NONE, np.zeros(0, dtype=np.int64), confidence=0.9) == 0.0
    assert lower_bound(*rows(0, 50), confidence=0.9) == 0.0


def test_rows_that_agree_within_their_group_count_once() -> None:
    won, groups = rows(10, 40)
    assert effective_size(won, groups) == 40
    assert effective_size(np.repeat(won, 5), np.repeat(groups, 5)) == pytest.approx(40)
    assert wilson_interval(np.repeat(won, 5), np.repeat(groups, 5)) == pytest.approx(
        wilson_interval(won, groups)
    )
    copied = lower_bound(np.repeat(won, 5), np.repeat(groups, 5), confidence=0.9)
    assert copied == pytest.approx(lower_bound(won, groups, confidence=0.9))


def test_groups_that_tell_no_more_than_rows_cost_nothing() -> None:
    won = np.tile([True, False], 50)
    assert effective_size(won, np.repeat(np.arange(50), 2)) == 100


def test_the_effective_size_by_hand() -> None:
    """Rate 1/2; the groups' sums of won - 1/2 are 1, -1, 0 and 0: 2 between, 2 = 8/4 within, effect 1."""
    won = np.array([1, 1, 0, 0, 1, 0, 0, 1], dtype=bool)
    assert effective_size(won, np.array([0, 0, 1, 1, 2, 2, 3, 3])) == 8
    assert effective_size(won, np.array([0, 0, 1, 1, 0, 1, 1, 0])) == 2


def test_without_variation_the_groups_count() -> None:
    assert effective_size(np.zeros(12, dtype=bool), np.repeat(np.arange(4), 3)) == 4
    assert effective_size(np.ones(12, dtype=bool), np.array(["a", "b"] * 6)) == 2
    assert effective_size(NONE, np.zeros(0, dtype=np.int64)) == 0


def test_the_bootstrap_finds_the_standard_error_of_a_mean() -> None:
    values = np.random.default_rng(0).exponential(size=200)
    draws = bootstrap(
        lambda w: np.array([np.average(values, weights=w)]), np.arange(200), seed=1, resamples=2000
    )
    assert draws.shape == (2000, 1)
    assert draws.mean() == pytest.approx(values.mean(), abs=0.01)
    assert draws.std() == pytest.approx(values.std() / np.sqrt(200), rel=0.06)


def test_the_bootstrap_draws_whole_groups_and_repeats_itself() -> None:
    groups = np.array(["b", "a", "b", "c", "a", "b"])

    def seen(weight: np.ndarray) -> np.ndarray:
        assert weight[0] == weight[2] == weight[5]
        assert weight[1] == weight[4]
        assert weight[0] + weight[1] + weight[3] == 3
        return weight

    draws = bootstrap(seen, groups, seed=5, resamples=50)
    assert len(np.unique(draws, axis=0)) > 5
    assert np.array_equal(draws, bootstrap(seen, groups, seed=5, resamples=50))
    assert not np.array_equal(draws, bootstrap(seen, groups, seed=6, resamples=50))
