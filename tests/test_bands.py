"""The calibrator's band: it covers at its level, narrows with data, moves with a shift, and is verified."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit

from propensity.errors import BundleError
from propensity.model.bands import Band
from propensity.model.calibration import (
    Calibrator,
    calibrator_from_json,
    calibrator_to_json,
    fit_band,
    fit_calibrator,
)
from tiny_models import METHODS

MARGINS = np.array([-3.0, -1.5, 0.0, 1.0])


def fit(n: int, method: str = "sigmoid", seed: int = 0, each: int = 1, draws: int = 60) -> Calibrator:
    """A calibrator with its band; the truth is 0.4 + 0.8 margin, `each` rows of a group end alike."""
    rng = np.random.default_rng(seed)
    margin = np.repeat(rng.normal(-1.2, 1.2, n // each), each)
    won = np.repeat(rng.random(n // each), each) < expit(0.4 + 0.8 * margin)
    groups = np.repeat(np.arange(n // each), each)
    found = fit_calibrator(method, margin, won, np.ones(n))
    band = fit_band(found, margin, won, np.ones(n), groups, seed=seed, draws=draws)
    return Calibrator(found.method, found.numbers, band)


def width(calibrator: Calibrator) -> float:
    low, high = calibrator.interval(calibrator.log_odds(MARGINS))
    return float((high - low).mean())


def test_the_band_covers_the_truth_in_about_95_of_100_whatever_the_grouping() -> None:
    """40 repetitions at four margins that rise and fall together: 0.85 is three errors under 0.95."""
    held = []
    for seed in range(40):
        calibrator = fit(600, seed=seed, each=2, draws=100)
        low, high = calibrator.interval(calibrator.log_odds(MARGINS))
        truth = 0.4 + 0.8 * MARGINS
        held.append((low <= truth) & (truth <= high))
    assert 0.85 <= np.mean(held) < 1.0


@pytest.mark.parametrize("method", METHODS)
def test_the_interval_holds_the_probability_and_narrows_with_data(method) -> None:
    few, many = fit(500, method), fit(8000, method)
    for calibrator in (few, many):
        at = calibrator.log_odds(np.linspace(-12, 12, 99))
        low, high = calibrator.interval(at)
        assert (low <= at).all()
        assert (at <= high).all()
    assert width(many) < 0.6 * width(few)


def test_rows_that_end_alike_count_once() -> None:
    assert width(fit(4000, each=4)) > 1.5 * width(fit(4000))


def test_the_same_seed_gives_the_same_numbers_and_they_survive_the_round_trip() -> None:
    once, again = (json.dumps(calibrator_to_json(fit(500))) for _ in range(2))
    assert once == again
    read = calibrator_from_json(json.loads(once))
    assert calibrator_to_json(read) == json.loads(once)


@pytest.mark.parametrize("method", METHODS)
def test_a_shift_moves_log_odds_and_band_alike_and_keeps_the_order(method) -> None:
    calibrator = fit(500, method)
    moved = calibrator.shifted(-0.7)
    margin = np.linspace(-6, 6, 200)
    before, after = calibrator.log_odds(margin), moved.log_odds(margin)
    np.testing.assert_allclose(after, before - 0.7, atol=1e-12)
    assert (np.argsort(after) == np.argsort(before)).all()
    for end, moved_end in zip(calibrator.interval(before), moved.interval(after), strict=True):
        np.testing.assert_allclose(moved_end, end - 0.7, atol=1e-9)


def test_without_a_band_the_interval_is_not_known() -> None:
    low, high = Calibrator("sigmoid", {"slope": 1.0, "intercept": 0.0}).interval(MARGINS)
    assert np.isnan([low, high]).all()


def test_distances_are_joined_by_lines_and_held_beyond() -> None:
    band = Band(np.array([-1.0, 1.0]), np.array([0.2, 0.4]), np.array([0.1, 0.1]))
    low, high = band.around(np.array([-5.0, 0.0, 3.0]))
    assert low.tolist() == pytest.approx([-5.2, -0.3, 2.6])
    assert high.tolist() == pytest.approx([-4.9, 0.1, 3.1])


@pytest.mark.parametrize(
    "band",
    [
        {"log_odds": [0.0, 0.0], "below": [1.0, 1.0], "above": [1.0, 1.0]},
        {"log_odds": [0.0, 1.0], "below": [1.0], "above": [1.0, 1.0]},
        {"log_odds": [0.0, 1.0], "below": [1.0, -1.0], "above": [1.0, 1.0]},
        {"log_odds": [], "below": [], "above": []},
        {"log_odds": [0.0, 1.0]},
    ],
)
def test_a_band_that_is_none_is_refused(band) -> None:
    with pytest.raises(BundleError, match="band"):
        calibrator_from_json({"method": "sigmoid", "slope": 1.0, "intercept": 0.0, "band": band})
