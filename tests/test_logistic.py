"""The logistic regression: scikit-learn's on the same design, turned into curves and tables."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from propensity.errors import BundleError
from propensity.model.encoding import Encoding, Matrix
from propensity.model.estimators import FEW_ROWS, Logistic, Vector, logistic_from_json, logistic_to_json
from propensity.model.logistic import BEND_WIDTH, fit_logistic
from tiny_models import NUMBERS, make_feature, make_numbers

MIXED = Encoding([make_feature("x"), make_feature("c", "category")], {"c": ["a", "b", "never"]})


def make_mixed(n: int = 400) -> tuple[Matrix, Any, Vector]:
    rng = np.random.default_rng(1)
    X = np.column_stack([rng.normal(size=n), rng.integers(2, 4, n)]).astype(float)
    won = rng.random(n) < expit(X[:, 0] + (X[:, 1] == 2))
    return X, won, np.ones(n)


def design_of(model: Logistic, X: Matrix) -> Matrix:
    """Hinges from each knot but the last and a missing column, or a column a code; bends are narrower."""
    columns, width = [], []
    for j, knots in enumerate(model.knots):
        x = X[:, j]
        if j in model.categories:
            columns += [(x == code).astype(float) for code in knots]
            width += [1.0] * len(knots)
            continue
        filled = np.where(np.isnan(x), knots[0], x).clip(knots[0], knots[-1])
        columns += [np.maximum(filled - knot, 0) for knot in knots[:-1]]
        columns.append(np.isnan(x).astype(float))
        width += [1.0, *[BEND_WIDTH] * (len(knots) - 2), 1.0]
    design = np.column_stack(columns)
    spread = design.std(axis=0)
    return np.array(width) * (design - design.mean(axis=0)) / np.where(spread == 0, 1, spread)


@pytest.mark.parametrize("penalty", [1.0, 50.0])
def test_the_logistic_margin_is_scikit_learns_decision_function_on_the_same_design(penalty: float) -> None:
    for X, won, weight, encoding in ((*make_numbers(), NUMBERS), (*make_mixed(), MIXED)):
        model = fit_logistic(X, won, weight, encoding, penalty=penalty, monotone={})
        design = design_of(model, X)
        oracle = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=2000).fit(design, won)
        assert model.margin(X) == pytest.approx(oracle.decision_function(design), abs=2e-5)


def test_a_weight_of_two_is_a_row_twice_but_for_the_penalty() -> None:
    X, won, weight = make_numbers()
    doubled = fit_logistic(X, won, 2 * weight, NUMBERS, penalty=20.0, monotone={})
    single = fit_logistic(X, won, weight, NUMBERS, penalty=10.0, monotone={})
    assert doubled.margin(X) == pytest.approx(single.margin(X), abs=1e-6)


def test_the_terms_have_mean_zero_on_the_training_rows() -> None:
    X, won, weight = make_numbers()
    model = fit_logistic(X, won, weight, NUMBERS, penalty=5.0, monotone={})
    assert model.contributions(X).mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    assert model.margin(X).mean() == pytest.approx(model.base, abs=1e-12)


def test_a_curve_is_straight_between_its_knots_and_flat_beyond_them() -> None:
    model = Logistic(0.5, [np.array([0.0, 10.0])], [np.array([-1.0, 1.0])], np.array([0.25]), frozenset())
    x = np.array([[-5.0], [0.0], [2.5], [10.0], [99.0], [np.nan]])
    assert model.contributions(x)[:, 0].tolist() == [-1.0, -1.0, -0.5, 1.0, 1.0, 0.25]
    assert model.margin(x).tolist() == [-0.5, -0.5, 0.0, 1.5, 1.5, 0.75]


NUMBER = st.floats(-1e6, 1e6, width=32).map(float)


@given(
    points=st.dictionaries(NUMBER, NUMBER, min_size=1, max_size=5),
    numbers=st.lists(NUMBER | st.sampled_from([np.nan, np.inf, -np.inf]), min_size=1, max_size=20),
)
def test_few_rows_have_the_terms_of_the_same_rows_among_many_to_the_bit(points, numbers) -> None:
    knots = np.array(sorted(points))
    values = np.array([points[knot] for knot in knots])
    codes = np.arange(3.0)
    model = Logistic(0.0, [knots, codes], [values, codes * 0.3], np.array([0.7, 0.0]), frozenset({1}))
    x = np.array([*numbers, *knots, *np.nextafter(knots, np.inf), *(knots[:-1] + knots[1:]) / 2])
    many = np.column_stack([np.resize(x, FEW_ROWS + len(x)), np.resize(codes, FEW_ROWS + len(x))])
    each = [model.contributions(row[None, :])[0].tolist() for row in many]
    assert each == model.contributions(many).tolist()


def test_what_training_did_not_hold_adds_nothing() -> None:
    X, won, weight = make_mixed()
    model = fit_logistic(X, won, weight, MIXED, penalty=1.0, monotone={})
    missing, other, level_a, level_b, level_never = model.values[1]
    assert (missing, other, level_never) == (0.0, 0.0, 0.0)
    assert level_a > 0.1 > -0.1 > level_b
    assert model.contributions(np.array([[np.nan, 1.0]])).tolist() == [[0.0, 0.0]]


def test_a_feature_held_flat_leaves_the_others_as_if_it_were_not_there() -> None:
    X, won, weight = make_numbers()
    held = fit_logistic(X, won, weight, NUMBERS, penalty=5.0, monotone={"x": -1})
    without = fit_logistic(
        X[:, 1:], won, weight, Encoding(NUMBERS.features[1:], {}), penalty=5.0, monotone={}
    )
    assert held.values[0] == pytest.approx(np.zeros(2), abs=1e-12)
    assert held.margin(X) == pytest.approx(without.margin(X[:, 1:]), abs=1e-8)


def test_a_monotone_feature_with_one_known_value_keeps_the_effect_of_missing() -> None:
    rng = np.random.default_rng(2)
    X = np.where(rng.random((300, 1)) < 0.5, np.nan, 7.0)
    won = rng.random(300) < np.where(np.isnan(X[:, 0]), 0.1, 0.6)
    encoding = Encoding([make_feature("x")], {})
    for sign in (1, -1):
        model = fit_logistic(X, won, np.ones(300), encoding, penalty=1.0, monotone={"x": sign})
        known, missing = model.margin(np.array([[7.0], [np.nan]]))
        assert known - missing > 1


def test_logistic_json_keeps_every_bit_and_refuses_what_does_not_fit() -> None:
    X, won, weight = make_mixed()
    model = fit_logistic(X, won, weight, MIXED, penalty=1.0, monotone={})
    content = json.loads(json.dumps(logistic_to_json(model)))
    again = logistic_from_json(content, n_codes={1: 5})
    assert again.margin(X).tolist() == model.margin(X).tolist()
    with pytest.raises(BundleError, match="disagree about the categories"):
        logistic_from_json(content, n_codes={1: 6})
    with pytest.raises(BundleError, match="disagree about the categories"):
        logistic_from_json(content, n_codes={0: 5})
    with pytest.raises(BundleError, match="differ in length"):
        logistic_from_json(content | {"missing": [0.0]}, n_codes={1: 5})
