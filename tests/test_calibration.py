"""Calibrators: oracles for each family, never decreasing, and chosen only on evidence."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from propensity.errors import BundleError, InputError
from propensity.model.calibration import (
    LEAST_SLOPE,
    LEAST_STEP,
    Calibrator,
    calibrator_from_json,
    calibrator_to_json,
    choose_calibrator,
    describe_choice,
    fit_calibrator,
)
from tiny_models import METHODS

MARGINS = st.lists(
    st.tuples(st.floats(-30, 30), st.booleans(), st.sampled_from([0.0, 0.5, 1.0, 3.0])),
    min_size=1,
    max_size=40,
).filter(lambda rows: any(weight > 0 for _, _, weight in rows))


def make_rows(n: int = 3000, slope: float = 1.0, shift: float = 0.0, seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1, 1.5, n)
    return margin, rng.random(n) < expit(slope * margin + shift), np.ones(n)


def test_sigmoid_is_scikit_learns_logistic_regression_of_the_margin() -> None:
    margin, won, weight = make_rows(400, 0.6, 0.5)
    found = fit_calibrator("sigmoid", margin, won, 1e6 * weight).numbers
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(margin[:, None], won)
    assert found["slope"] == pytest.approx(oracle.coef_[0, 0], abs=1e-4)
    assert found["intercept"] == pytest.approx(oracle.intercept_[0], abs=1e-4)


def test_beta_is_a_logistic_regression_of_the_logs_of_the_probability_and_its_complement() -> None:
    margin, won, weight = make_rows(2000, 0.8, 0.2)
    found = fit_calibrator("beta", margin, won, 1e6 * weight).numbers
    logs = np.column_stack([np.log(expit(margin)), -np.log(expit(-margin))])
    oracle = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(logs, won)
    assert (oracle.coef_ > 0).all()
    assert [found["a"], found["b"], found["c"]] == pytest.approx(
        [*oracle.coef_[0], oracle.intercept_[0]], abs=2e-3
    )


def test_isotonic_by_hand() -> None:
    """Pooled are -1 and 0 (a loss after a win); each block is drawn to the base rate by one row."""
    margin = np.array([-2.0, -1.0, 0.0, 3.0])
    won = np.array([False, True, False, True])
    found = fit_calibrator("isotonic", margin, won, np.ones(4)).numbers
    assert found["margins"] == [-2.0, -0.5, 3.0]
    rates = np.array([(0 + 0.5) / 2, (1 + 0.5) / 3, (1 + 0.5) / 2])
    by_hand = np.log(rates / (1 - rates)) + LEAST_SLOPE * np.array([0.0, 1.5, 5.0])
    assert found["log_odds"] == pytest.approx(by_hand)


def test_isotonic_steps_are_scikit_learns_blocks() -> None:
    margin, won, weight = make_rows(2000)
    margin = np.round(margin, 2)
    weight = np.random.default_rng(1).choice([1.0, 2.0], len(margin))
    numbers = fit_calibrator("isotonic", margin, won, weight).numbers
    oracle = IsotonicRegression().fit(margin, won, sample_weight=weight).predict(margin)
    rates, block = np.unique(oracle, return_inverse=True)
    mass = np.bincount(block, weight)
    assert len(numbers["margins"]) == len(rates)
    assert numbers["margins"] == pytest.approx(np.bincount(block, weight * margin) / mass)
    prior = (np.sum(weight * won) + 0.5) / (weight.sum() + 1)
    shrunk = (rates * mass + prior) / (mass + 1)
    raw = np.array(numbers["log_odds"]) - LEAST_SLOPE * (np.array(numbers["margins"]) - numbers["margins"][0])
    assert raw == pytest.approx(np.maximum.accumulate(np.log(shrunk / (1 - shrunk))))


def test_isotonic_steps_are_never_cliffs() -> None:
    """A winner a hair above a loser is one step with it: rounding in the margin must not move a score."""
    margin = np.array([0.0] * 50 + [1e-9] * 50)
    won = np.arange(100) >= 50
    found = fit_calibrator("isotonic", margin, won, np.ones(100))
    assert found.numbers["margins"] == [0.0]
    margin, won, weight = make_rows(3000)
    knots = np.array(fit_calibrator("isotonic", margin, won, weight).numbers["margins"])
    assert len(knots) > 10
    assert np.diff(knots).min() > LEAST_STEP * 0.999


@pytest.mark.parametrize("method", METHODS)
@given(rows=MARGINS, asked=st.lists(st.floats(-100, 100), min_size=2, max_size=30))
@settings(max_examples=30)
def test_no_calibrator_ever_decreases_or_overflows(method: str, rows: list[Any], asked: list[float]) -> None:
    margin, won, weight = (np.array(column) for column in zip(*rows, strict=True))
    calibrator = fit_calibrator(method, margin, won.astype(bool), weight)
    mapped = calibrator.log_odds(np.sort(asked))
    assert np.isfinite(mapped).all()
    assert (np.diff(mapped) >= -1e-9).all()
    far = calibrator.log_odds(np.array([-100.0, 100.0]))
    assert far[1] - far[0] >= LEAST_SLOPE * 0.99
    assert calibrator_from_json(json.loads(json.dumps(calibrator_to_json(calibrator)))) == calibrator


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("outcome", [True, False])
def test_rows_of_one_outcome_only_give_finite_log_odds(method: str, outcome: bool) -> None:
    margin = np.linspace(-2, 2, 50)
    mapped = fit_calibrator(method, margin, np.full(50, outcome), np.ones(50)).log_odds(margin)
    assert np.isfinite(mapped).all()
    assert (mapped > 1).all() if outcome else (mapped < -1).all()


@pytest.mark.parametrize("method", ["sigmoid", "beta"])
def test_separable_rows_give_a_finite_slope(method: str) -> None:
    margin = np.linspace(-2, 2, 40)
    calibrator = fit_calibrator(method, margin, margin > 0, np.ones(40))
    assert 1 < calibrator.slope(0.0) < 100


@pytest.mark.parametrize("method", METHODS)
def test_rows_of_no_weight_count_for_nothing(method: str) -> None:
    margin, won, weight = make_rows(300)
    extra = np.array([-9.0, 9.0, 0.123])
    padded = fit_calibrator(
        method, np.append(margin, extra), np.append(won, [True, False, True]), np.append(weight, np.zeros(3))
    )
    alone = fit_calibrator(method, margin, won, weight)
    grid = np.linspace(-4, 4, 30)
    assert padded.log_odds(grid) == pytest.approx(alone.log_odds(grid), abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_bent_margin_is_straightened(method: str) -> None:
    margin, won, weight = make_rows(20_000, 0.5, -0.7)
    mapped = fit_calibrator(method, margin, won, weight).log_odds(np.array([-2.0, -1.0, 0.0]))
    assert mapped == pytest.approx(0.5 * np.array([-2.0, -1.0, 0.0]) - 0.7, abs=0.25)


def test_a_model_that_ranks_backwards_is_made_nearly_flat_not_turned_round() -> None:
    margin, won, weight = make_rows(2000)
    numbers = fit_calibrator("sigmoid", -margin, won, weight).numbers
    assert numbers["slope"] == LEAST_SLOPE
    assert expit(numbers["intercept"]) == pytest.approx(won.mean(), abs=0.01)


def test_the_slope_is_the_derivative() -> None:
    assert Calibrator("sigmoid", {"slope": 0.7, "intercept": 2.0}).slope(-3.0) == pytest.approx(0.7)
    beta = Calibrator("beta", {"a": 2.0, "b": 0.5, "c": 0.0})
    assert beta.slope(1.0) == pytest.approx(2.0 * expit(-1.0) + 0.5 * expit(1.0), rel=1e-6)


def test_the_simplest_is_kept_where_it_is_right() -> None:
    for seed in range(4):
        margin, won, weight = make_rows(2000, 0.8, 0.3, seed)
        choice = choose_calibrator(margin, won, weight, np.arange(2000), list(METHODS), seed=seed)
        assert choice.calibrator.method == "sigmoid"
        assert choice.gain["sigmoid"] == (0.0, 0.0)
        assert set(choice.log_loss) == set(METHODS)
        assert describe_choice(choice)["calibrators"]["beta"]["chosen"] is False


def test_a_more_flexible_one_is_chosen_where_the_margin_is_bent() -> None:
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 2, 6000)
    beta_shaped = rng.random(6000) < expit(
        1.0 - 2.0 * np.logaddexp(0, -margin) + 0.1 * np.logaddexp(0, margin)
    )
    choice = choose_calibrator(margin, beta_shaped, np.ones(6000), np.arange(6000), list(METHODS), seed=1)
    assert choice.calibrator.method == "beta"
    gain, error = choice.gain["beta"]
    assert gain == pytest.approx(choice.log_loss["sigmoid"] - choice.log_loss["beta"])
    assert gain > 2 * error > 0
    steps = rng.random(6000) < np.select([margin < -1, margin < 1], [0.05, 0.3], 0.35)
    choice = choose_calibrator(margin, steps, np.ones(6000), np.arange(6000), list(METHODS), seed=1)
    assert choice.calibrator.method == "isotonic"


def test_only_the_methods_asked_for_are_tried() -> None:
    margin, won, weight = make_rows(500)
    choice = choose_calibrator(margin, won, weight, np.arange(500), ["isotonic"], seed=1)
    assert choice.calibrator.method == "isotonic"
    assert list(choice.log_loss) == ["isotonic"]


def test_copies_of_a_group_are_not_evidence() -> None:
    """Ten copies of each row at a tenth of its weight, in the row's group, change nothing."""
    margin, won, weight = make_rows(400, seed=5)
    once = choose_calibrator(margin, won, weight, np.arange(400), ["sigmoid", "beta"], seed=2)
    copies = [np.repeat(values, 10) for values in (margin, won, weight / 10, np.arange(400))]
    copied = choose_calibrator(*copies, ["sigmoid", "beta"], seed=2)
    assert copied.gain["beta"] == pytest.approx(once.gain["beta"], rel=1e-3)
    assert once.gain["beta"][1] > 0.001


def test_text_groups_and_too_few_groups() -> None:
    margin, won, weight = make_rows(100)
    choose_calibrator(margin, won, weight, np.array([f"a{i % 5}" for i in range(100)]), ["sigmoid"], seed=1)
    with pytest.raises(InputError, match=r"holds 100 snapshots of 4 groups .* takes at least 5 groups"):
        choose_calibrator(margin, won, weight, np.arange(100) % 4, ["sigmoid"], seed=1)


@pytest.mark.parametrize(
    "content",
    [
        {"method": "spline"},
        {},
        {"method": "sigmoid", "slope": 1.0},
        {"method": "sigmoid", "slope": -1.0, "intercept": 0.0},
        {"method": "sigmoid", "slope": float("nan"), "intercept": 0.0},
        {"method": "beta", "a": 1.0, "b": -0.5, "c": 0.0},
        {"method": "isotonic", "margins": [0.0, 0.01, 0.02], "log_odds": [0.0, 1.0, 0.99]},
        {"method": "isotonic", "margins": [0.0, 2.0, 1.0], "log_odds": [0.0, 1.0, 2.0]},
        {"method": "isotonic", "margins": [30.0, 31.0], "log_odds": [1.0, 0.0]},
    ],
)
def test_json_that_is_no_increasing_map_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match=r"calibrator\.json"):
        calibrator_from_json(content)
