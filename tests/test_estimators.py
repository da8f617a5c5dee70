"""The candidates: oracles for their contributions, and the directions they must keep."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.errors import BundleError, ParamsError
from propensity.model.boosting import boosting_settings, fit_boosting, fit_rounds
from propensity.model.encoding import Encoding, Matrix
from propensity.model.estimators import (
    Blend,
    Boosted,
    Estimator,
    Vector,
    add_columns,
    make_boosted,
    probability_of,
)
from propensity.model.logistic import fit_logistic
from tiny_models import KINDS, NUMBERS, make_feature, make_numbers, matrix, training


def boost(X: Matrix, won: Any, encoding: Encoding, rounds: int = 12, **changed: Any) -> Boosted:
    settings_ = boosting_settings(len(X), encoding, seed=1, threads=1, monotone={}) | changed
    booster = fit_boosting((X, won, np.ones(len(X))), encoding, settings_, rounds=rounds)
    return make_boosted(booster.model_to_string(), X.shape[1], threads=1)


@pytest.mark.parametrize("kind", ["logistic", "lightgbm"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_monotone_feature_keeps_its_direction_even_against_the_data(kind: str, sign: int) -> None:
    X, won, _ = make_numbers()
    grid = np.tile(np.array([0.0, 1.0, 0.5]), (200, 1))
    grid[:, 0] = np.linspace(-4, 4, 200)

    def rises(monotone: dict[str, int]) -> Vector:
        return sign * np.diff(fit(kind, X, won, monotone).margin(grid))

    assert (rises({"x": sign}) >= 0).all()
    against = {"x": -sign}
    assert (rises(against) <= 0).all()
    free = -rises({}) if sign == 1 else rises({})
    assert (free < 0).any(), "the data rise with x, so that one of the directions is against them"


def fit(kind: str, X: Matrix, won: Any, monotone: dict[str, int]) -> Estimator:
    weight = np.ones(len(X))
    if kind == "logistic":
        return fit_logistic(X, won, weight, NUMBERS, penalty=1.0, monotone=monotone)
    chosen = boosting_settings(len(X), NUMBERS, seed=1, threads=1, monotone=monotone)
    booster = fit_boosting((X, won, weight), NUMBERS, chosen, rounds=40)
    return make_boosted(booster.model_to_string(), 3, threads=1)


def test_a_direction_for_an_unknown_or_category_feature_is_refused() -> None:
    mixed = Encoding([make_feature("x"), make_feature("c", "category")], {"c": ["a"]})
    expected = r"\['c', 'nope'\] are not number features in use; these are: \['x'\]"
    with pytest.raises(ParamsError, match=expected):
        boosting_settings(100, mixed, seed=1, threads=1, monotone={"nope": 1, "c": 1, "x": 1})


def shapley_by_hand(tree: dict[str, Any], x: Sequence[float]) -> Vector:
    """Shapley values of one tree by their definition; unknown splits are averaged by cover."""

    def expect(node: dict[str, Any], known: frozenset[int]) -> float:
        if "leaf_value" in node:
            return float(node["leaf_value"])
        branches = [node["left_child"], node["right_child"]]
        if node["split_feature"] in known:
            return expect(branches[0 if goes_left(node, x[node["split_feature"]]) else 1], known)
        cover = [b.get("internal_count", b.get("leaf_count")) for b in branches]
        return sum(c * expect(b, known) for c, b in zip(cover, branches, strict=True)) / sum(cover)

    n = len(x)
    values = np.zeros(n)
    for j in range(n):
        others = [k for k in range(n) if k != j]
        for size in range(n):
            share = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for known in itertools.combinations(others, size):
                values[j] += share * (expect(tree, frozenset({*known, j})) - expect(tree, frozenset(known)))
    return values


def goes_left(node: dict[str, Any], x: float) -> bool:
    if node["decision_type"] == "==":
        return not math.isnan(x) and str(int(x)) in node["threshold"].split("||")
    if math.isnan(x):
        if node["missing_type"] == "NaN":
            return bool(node["default_left"])
        x = 0.0
    return bool(x <= node["threshold"])


def test_boosted_contributions_are_the_shapley_values_of_the_definition() -> None:
    X, won, _ = make_numbers()
    mixed = np.column_stack([X[:, [0, 2]], np.random.default_rng(5).integers(0, 5, len(X))])
    encoding = Encoding(
        [make_feature("x"), make_feature("z"), make_feature("c", "category")], {"c": ["a", "b", "d"]}
    )
    won = won ^ (mixed[:, 2] == 3)
    model = boost(mixed, won, encoding, feature_fraction=1.0, cat_l2=1.0, min_data_per_group=10)
    trees = [tree["tree_structure"] for tree in model.boosters[0].dump_model()["tree_info"]]
    assert any('"=="' in json.dumps(tree) for tree in trees), "a category has to be split on"
    rows = mixed[[0, 1, 2, np.flatnonzero(np.isnan(mixed[:, 1]))[0]]]
    by_hand = np.array([sum(shapley_by_hand(tree, row) for tree in trees) for row in rows])
    assert model.contributions(rows) == pytest.approx(by_hand, abs=1e-10)
    assert model.margin(rows) == pytest.approx(model.base + by_hand.sum(axis=1), abs=1e-10)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_boosted_contributions_agree_with_shaps_own_tree_explainer() -> None:
    import shap  # matplotlib's warnings come with the import

    X, won, _ = make_numbers()
    model = boost(X, won, NUMBERS)
    explainer = shap.TreeExplainer(model.boosters[0], feature_perturbation="tree_path_dependent")
    explainer.model.model_type = "internal"  # shap's algorithm, not a call back into LightGBM's
    values = np.asarray(explainer.shap_values(X[:50], check_additivity=False))
    assert model.contributions(X[:50]) == pytest.approx(values.reshape(50, 3), abs=1e-8)


def test_the_base_of_trees_is_the_mean_leaf_weighted_by_cover() -> None:
    X, won, _ = make_numbers()
    model = boost(X, won, NUMBERS, bagging_fraction=1.0)
    assert model.base == pytest.approx(model.margin(X).mean(), abs=1e-9)
    assert model.contributions(X).mean(axis=0).sum() == pytest.approx(0.0, abs=1e-9)


def test_trees_without_a_split_predict_the_base_rate() -> None:
    X = np.zeros((200, 1))
    X[0] = 1.0
    won = np.arange(200) % 5 == 0
    encoding = Encoding([make_feature("x")], {})
    part = (X, won, np.ones(200))
    booster = fit_rounds(
        part, part, encoding, boosting_settings(200, encoding, seed=1, threads=1, monotone={})
    )
    model = make_boosted(booster.model_to_string(num_iteration=booster.best_iteration), 1)
    assert model.base == pytest.approx(np.log(0.2 / 0.8))
    assert model.margin(X[:3]).tolist() == [model.base] * 3
    assert not model.contributions(X).any()


def test_a_blend_is_the_weighted_mean_of_both() -> None:
    X, won, weight = make_numbers()
    logistic, boosted = (
        fit_logistic(X, won, weight, NUMBERS, penalty=5.0, monotone={}),
        boost(X, won, NUMBERS),
    )
    blend = Blend(logistic, boosted, 0.3)
    assert blend.margin(X) == pytest.approx(0.3 * boosted.margin(X) + 0.7 * logistic.margin(X))
    assert blend.base == pytest.approx(0.3 * boosted.base + 0.7 * logistic.base)


@pytest.mark.parametrize("kind", KINDS)
def test_base_and_contributions_sum_to_the_margin(kind: str) -> None:
    model, X = training(kind).model, matrix(kind, "calibrate")
    assert add_columns(model.contributions(X), model.base) == pytest.approx(model.margin(X), abs=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_scores_the_same_alone_and_in_a_batch(kind: str) -> None:
    model, X = training(kind).model, matrix(kind, "calibrate")
    margin, contributions = model.margin(X), model.contributions(X)
    for i in range(0, len(X), 60):
        assert model.margin(X[[i]])[0] == pytest.approx(margin[i], abs=1e-14)
        assert model.contributions(X[[i]])[0] == pytest.approx(contributions[i], abs=1e-14)


@given(st.lists(st.lists(st.floats(-50, 50), min_size=7, max_size=7), min_size=1, max_size=9))
@settings(max_examples=25)
def test_a_sum_of_columns_does_not_depend_on_the_other_rows(rows: list[list[float]]) -> None:
    terms = np.array(rows)
    whole = add_columns(terms, 0.1)
    assert whole.tolist() == [add_columns(terms[[i]], 0.1)[0] for i in range(len(rows))]
    assert whole == pytest.approx(0.1 + terms.sum(axis=1), abs=1e-9)


def test_probabilities_stay_finite_for_extreme_log_odds() -> None:
    assert probability_of(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]


def test_the_text_format_keeps_every_bit() -> None:
    X, won, _ = make_numbers()
    model = boost(X, won, NUMBERS)
    again = make_boosted(model.boosters[0].model_to_string(), 3, threads=1)
    assert again.margin(X).tolist() == model.margin(X).tolist()
    assert again.boosters[0].model_to_string() == model.boosters[0].model_to_string()


def test_a_text_with_other_features_or_none_is_refused() -> None:
    X, won, _ = make_numbers()
    text = boost(X, won, NUMBERS, rounds=2).boosters[0].model_to_string()
    with pytest.raises(BundleError, match=r"model\.txt has 3 features, features\.json 4"):
        make_boosted(text, 4)
    with pytest.raises(BundleError, match=r"model\.txt is not a LightGBM model"):
        make_boosted("tree\nversion=v4\n", 3)


def test_a_features_name_never_reaches_lightgbms_text() -> None:
    X, won, _ = make_numbers()
    odd = Encoding([make_feature(name) for name in ("a b", "ü,:{}", '"=\n')], {})
    assert (
        boost(X, won, odd).boosters[0].model_to_string()
        == boost(X, won, NUMBERS).boosters[0].model_to_string()
    )
