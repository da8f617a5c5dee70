"""False alarms of quiet weeks come at the promised rate, and estimates hold what the truth brings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from propensity.evaluation.drift import (
    describe_blocks,
    describe_share,
    drift_p_value,
    share_moved_p_value,
    stability_index,
)
from propensity.evaluation.estimated import compute_realised, estimate_performance
from propensity.evaluation.noise import (
    adjust,
    count_p_value,
    next_p_value,
    share_p_value,
    silence_p_value,
    volume_p_value,
)
from propensity.loop.reference import expected_auc

WORLDS, WEEKS, ALPHA = 1500, 52, 0.02


def quiet_volume(rng: np.random.Generator) -> float:
    """Poisson counts whose weeks differ by a fifth beside chance."""
    level = 40 * rng.gamma(25, 1 / 25, WEEKS + 1)
    counts = rng.poisson(level)
    return volume_p_value(counts[-1], counts[:-1], ahead=float(rng.integers(1, 50)))


def quiet_silence(rng: np.random.Generator) -> float:
    """The longest of a hundred gaps a week; the look comes at any moment."""
    longest = rng.exponential(1.7, (WEEKS, 100)).max(axis=1)
    return silence_p_value(rng.exponential(1.7), longest)


def clustered(rng: np.random.Generator, shares: list[float], weeks: int) -> np.ndarray:
    """Weekly counts of bins: forty leads with one to four snapshots each in one bin, weeks that differ."""
    mixes = rng.dirichlet(200 * np.array(shares), weeks)
    blocks = [rng.multinomial(10, mix) * times for mix in mixes for times in (1, 2, 3, 4)]
    return np.array(blocks).reshape(weeks, 4, len(shares)).sum(axis=1).astype(float)


def quiet_drift(shares: list[float], *, ordered: bool) -> Callable[[np.random.Generator], float]:
    def p_value(rng: np.random.Generator) -> float:
        blocks = clustered(rng, shares, WEEKS + 1)
        known, now = blocks[:-1], blocks[-1]
        pooled = known.sum(axis=0) / known.sum()
        noise = describe_blocks(known, pooled, ordered=ordered)
        return drift_p_value(now, pooled, noise, reference_n=known.sum())

    return p_value


def quiet_share(rng: np.random.Generator) -> float:
    blocks = clustered(rng, [0.1, 0.9], WEEKS + 1)
    described = describe_share(blocks[:-1, 0], blocks[:-1].sum(axis=1))
    return share_moved_p_value(blocks[-1, 0], blocks[-1].sum(), described, clusters=40)


def quiet_next(rng: np.random.Generator) -> float:
    values = rng.normal(0.75, 0.02, 14)
    return next_p_value(values[-1], values[:-1])


QUIET = {
    "volume": quiet_volume,
    "silence": quiet_silence,
    "category": quiet_drift([0.5, 0.3, 0.15, 0.05], ordered=False),
    "number": quiet_drift([0.1] * 10, ordered=True),
    "share": quiet_share,
    "next": quiet_next,
}


@pytest.mark.parametrize("kind", QUIET)
def test_a_quiet_week_raises_a_false_alarm_no_more_often_than_promised(kind):
    rng = np.random.default_rng(11)
    p_values = np.array([QUIET[kind](rng) for _ in range(WORLDS)])
    error = np.sqrt(ALPHA * (1 - ALPHA) / WORLDS)
    assert (p_values <= ALPHA).mean() <= ALPHA + 3 * error


def test_a_feed_that_falls_to_a_fifth_is_found_in_most_worlds():
    rng = np.random.default_rng(12)
    found = [volume_p_value(int(rng.poisson(8)), rng.poisson(40, WEEKS), ahead=10) for _ in range(200)]
    assert np.mean(np.array(found) <= 0.001) > 0.8


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_values_are_those_of_the_step_up_rule(p_values):
    """Benjamini and Hochberg's rule by its own words: reject up to the largest k with p(k) <= k/m alpha."""
    adjusted = adjust(p_values)
    m, ordered = len(p_values), sorted(p_values)
    for alpha in (0.01, 0.05, 0.3):
        ks = [k for k in range(1, m + 1) if ordered[k - 1] * m / k <= alpha]
        limit = ordered[ks[-1] - 1] if ks else -1.0
        assert [p <= alpha for p in adjusted] == [p <= limit for p in p_values]


def test_no_p_values_are_adjusted_to_none():
    assert adjust([]) == []


def test_a_count_is_as_surprising_as_the_poisson_distribution_says():
    assert count_p_value(0, 3.0, 3.0) == pytest.approx(2 * np.exp(-3))
    assert count_p_value(0, 3.0, 9.0) == pytest.approx(2 * (1 / 3) ** 1.5)  # negative binomial of size 1.5


def test_a_count_that_a_trend_explains_is_no_surprise():
    growing = [100 + 10 * week for week in range(20)]
    assert volume_p_value(390, growing, ahead=10) > 0.1
    level = [195 + 10 * (week % 3) for week in range(20)]
    assert volume_p_value(390, level, ahead=10) < 1e-4


def test_a_share_of_none_in_the_reference_is_taken_for_half_a_row():
    assert share_p_value(0, 50, 0.0, design_effect=1, reference_n=1000) == 1.0
    assert share_p_value(5, 50, 0.0, design_effect=1, reference_n=1000) < 1e-6
    assert share_p_value(0, 0, 0.3, design_effect=1, reference_n=1000) == 1.0


def test_the_stability_index_is_that_of_its_formula_and_zero_without_change():
    shares = np.array([0.5, 0.5])
    counts = np.array([4999.5, 14999.5])  # a quarter and three quarters, with the half rows that are added
    assert stability_index(counts, shares) == pytest.approx(
        0.25 * np.log(0.75 / 0.5) - 0.25 * np.log(0.25 / 0.5)
    )
    assert stability_index(np.array([10.0, 10.0]), shares) == pytest.approx(0)


# --- estimates -------------------------------------------------------------------------------------


def test_estimates_are_the_expectations_of_calibrated_probabilities():
    log_odds = np.random.default_rng(3).normal(-1.5, 1.0, 4000)
    p = expit(log_odds)
    found = estimate_performance(log_odds, np.arange(4000), seed=1)
    assert found["wins"]["value"] == pytest.approx(p.sum(), rel=0.02)
    assert found["brier"]["value"] == pytest.approx((p * (1 - p)).mean(), rel=0.02)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean()
    assert found["log_loss"]["value"] == pytest.approx(entropy, rel=0.02)
    assert found["auc"]["value"] == pytest.approx(expected_auc(p), abs=0.005)


def test_the_expected_auc_of_two_leads_is_that_of_their_pair():
    """Of (0.8, 0.2): ranked right with 0.8 * 0.8, wrong with 0.2 * 0.2, and no pair else."""
    assert expected_auc(np.array([0.8, 0.2])) == pytest.approx(0.64 / 0.68)
    assert expected_auc(np.array([0.3, 0.3])) == pytest.approx(0.5)
    assert expected_auc(np.array([0.5])) is None


def test_nineteen_of_twenty_realised_figures_lie_in_their_intervals():
    """Outcomes drawn from the true probabilities, three snapshots a lead that mostly end alike."""
    rng = np.random.default_rng(5)
    inside = []
    for world in range(120):
        leads = np.repeat(np.arange(100), 3)
        log_odds = np.repeat(rng.normal(-1.3, 1.1, 100), 3) + 0.2 * rng.normal(size=300)
        level = 0.15 * rng.normal()  # how far the calibration is off, as its standard error says
        won = rng.random(100)[leads] < expit(log_odds + level)
        found = estimate_performance(log_odds, leads, seed=world, level_error=0.15)
        came = compute_realised(won, expit(log_odds))
        inside.append([found[name]["low"] <= came[name] <= found[name]["high"] for name in found])
    assert (np.mean(inside, axis=0) >= 0.89).all()


def test_without_rows_nothing_is_estimated():
    assert estimate_performance(np.empty(0), np.empty(0), seed=1) == {}
