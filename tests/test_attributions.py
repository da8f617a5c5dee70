"""Contributions from tables: LightGBM's own are the oracle, for any tree it can grow and any row."""

from __future__ import annotations

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import cache
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.errors import BundleError
from propensity.model import attributions, estimators
from propensity.model.attributions import explain, plan_attributions
from propensity.model.estimators import add_columns, make_boosted
from propensity.model.pieces import cut_tree
from propensity.model.trees import (
    DEFAULT_LEFT,
    MISSING_NAN,
    MISSING_ZERO,
    Forest,
    Tree,
    UnreadableTreesError,
    average,
    read_forest,
)

Matrix = npt.NDArray[np.float64]
QUIET = {"verbosity": -1, "num_threads": 1, "objective": "regression", "min_data_in_leaf": 1}
ODD = [
    np.nan,
    np.inf,
    -np.inf,
    0.0,
    -0.0,
    1e-36,
    -1e-36,
    1e-34,
    1e300,
    -0.5,
    -3.0,
    2.5,
    7.0,
    999.0,
    3e9,
    1e10,
]


def make_rows(rng: np.random.Generator, n: int, n_columns: int) -> Matrix:
    """Numbers, counts with many zeros, and codes, some of each missing."""
    X = rng.normal(size=(n, n_columns))
    X[:, ::3] = np.floor(np.abs(X[:, ::3]) * 2)
    X[:, 1::3] = rng.integers(0, 12, X[:, 1::3].shape)
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


def grow(seed: int, n_columns: int = 5, rounds: int = 4, **changed: Any) -> lgb.Booster:
    """A small model; every third column is read as a category."""
    rng = np.random.default_rng(seed)
    X = make_rows(rng, 200, n_columns)
    y = np.nansum(X * rng.normal(size=n_columns), axis=1) + 3 * np.sin(3 * np.nan_to_num(X[:, 0] * X[:, -1]))
    data = lgb.Dataset(X, y, categorical_feature=list(range(1, n_columns, 3)), free_raw_data=False)
    return lgb.train(QUIET | {"seed": seed, "min_data_per_group": 1, "cat_smooth": 1} | changed, data, rounds)


def odd_rows(seed: int, n: int, n_columns: int) -> Matrix:
    rng = np.random.default_rng(seed)
    X = make_rows(rng, n, n_columns)
    odd = rng.random(X.shape) < 0.3
    X[odd] = rng.choice(ODD, odd.sum())
    return X


def own(booster: lgb.Booster, X: Matrix) -> Matrix:
    return np.asarray(booster.predict(X, pred_contrib=True, num_threads=1))


def assert_as_lightgbm(booster: lgb.Booster, X: Matrix, **bits: int) -> None:
    planned = plan_attributions(read_forest(booster.model_to_string()), **bits)
    found, expected = explain(planned, X, threads=1), own(booster, X)
    size = 1 + np.abs(expected).max()
    assert np.abs(found - expected[:, :-1]).max() < 1e-10 * size
    assert planned.base == pytest.approx(expected[0, -1], rel=1e-12, abs=1e-12)
    margin = np.asarray(booster.predict(X, raw_score=True, num_threads=1))
    assert np.abs(add_columns(found, planned.base) - margin).max() < 1e-10 * size
    assert (explain(planned, X[:3], threads=1) == found[:3]).all()  # a few rows take loops of their own


@given(
    seed=st.integers(0, 10_000),
    leaves=st.integers(2, 24),
    onehot=st.sampled_from([1, 4, 100]),
    missing=st.sampled_from([{}, {"zero_as_missing": True}, {"use_missing": False}]),
    depth=st.sampled_from([-1, 2, 5]),
)
@settings(max_examples=25)
def test_contributions_are_lightgbms(seed: int, leaves: int, onehot: int, missing: Any, depth: int) -> None:
    booster = grow(seed, num_leaves=leaves, max_cat_to_onehot=onehot, max_depth=depth, **missing)
    assert_as_lightgbm(booster, odd_rows(seed, 60, 5))


@given(
    seed=st.integers(0, 1000), piece=st.integers(1, 12), leaf=st.integers(0, 12), leaves=st.integers(2, 40)
)
@settings(max_examples=20)
def test_however_trees_are_cut_the_contributions_are_the_same(
    seed: int, piece: int, leaf: int, leaves: int
) -> None:
    """Few bits leave many leaves without a table."""
    booster = grow(seed, 8, rounds=2, num_leaves=leaves)
    assert_as_lightgbm(booster, odd_rows(seed, 30, 8), piece_bits=piece, leaf_bits=leaf)


def chain(n_features: int) -> str:
    """A model of one tree in which each node asks another feature; only the deepest leaf lies under all."""
    text = grow(0, 3, rounds=1, num_leaves=2).model_to_string(num_iteration=1)
    n = n_features
    columns = {
        "num_leaves": [n + 1],
        "num_cat": [0],
        "split_feature": range(n),
        "split_gain": [1] * n,
        "threshold": [0.1 * (j % 7) - 0.2 for j in range(n)],
        "decision_type": [(2, 10, 8, 4, 6, 0)[j % 6] for j in range(n)],
        "left_child": [*range(1, n), -1],
        "right_child": [~(j + 1) for j in range(n)],
        "leaf_value": [2.5, *(0.1 * j - 1 for j in range(n))],
        "leaf_weight": [1] * (n + 1),
        "leaf_count": [3, *(1 + j % 3 for j in range(n))],
        "internal_value": [0] * n,
        "internal_weight": [1] * n,
        "internal_count": [3 + sum(1 + k % 3 for k in range(j, n)) for j in range(n)],
        "is_linear": [0],
        "shrinkage": [1],
    }
    lines = [f"{name}={' '.join(str(v) for v in values)}" for name, values in columns.items()]
    tree = "Tree=0\n" + "\n".join(lines) + "\n\n\n"
    header = text[: text.index("tree_sizes=")].splitlines()
    kept = {
        "max_feature_idx": f"{n - 1}",
        "feature_names": " ".join(f"f{j}" for j in range(n)),
        "feature_infos": " ".join(["[-1:1]"] * n),
    }
    told = [f"{k}={kept.get(k, v)}" if s else k for k, s, v in (line.partition("=") for line in header)]
    return "\n".join(told) + f"\ntree_sizes={len(tree)}\n\n{tree}end of trees\n"


def chain_rows(n_features: int, n: int) -> Matrix:
    rng = np.random.default_rng(n_features)
    X = rng.normal(-0.6, 0.5, size=(n, n_features))
    X[rng.random(X.shape) < 0.1] = np.nan
    X[rng.random(X.shape) < 0.1] = 0.0
    X[0] = -3.0
    return X


@pytest.mark.parametrize("n_features", [1, 2, 12, 13, 20])
def test_a_path_of_some_features_is_lightgbms(n_features: int) -> None:
    assert_as_lightgbm(lgb.Booster(model_str=chain(n_features)), chain_rows(n_features, 40))


def exact_contribution(forest: Forest, x: npt.NDArray[np.float64], feature: int) -> Fraction:
    """The integral of each leaf's polynomial, in fractions, for a forest without categories."""
    total = Fraction(0)
    for tree in forest.trees:
        for leaf in cut_tree(tree, 0, 0).wide:
            met, share = {}, {}
            for f, conditions in leaf.conditions.items():
                met[f], share[f] = 1, Fraction(1)
                for node, left in conditions:
                    child = tree.left[node] if left else tree.right[node]
                    count = tree.count[child] if child >= 0 else tree.leaf_count[~child]
                    share[f] *= Fraction(int(count), int(tree.count[node]))
                    met[f] &= goes_left(tree, node, x[f]) == left
            if feature not in met:
                continue
            polynomial = [Fraction(1)]
            for f in met.keys() - {feature}:
                rising = [Fraction(0), *((met[f] - share[f]) * c for c in polynomial)]
                polynomial = [share[f] * a + b for a, b in zip([*polynomial, 0], rising, strict=True)]
            integral = sum(c / (k + 1) for k, c in enumerate(polynomial))
            total += Fraction(leaf.value) * (met[feature] - share[feature]) * integral
    return total


def goes_left(tree: Tree, node: int, value: float) -> bool:
    missing = int(tree.decision[node]) >> 2 & 3
    if np.isnan(value) and missing != MISSING_NAN:
        value = 0.0
    if (missing == MISSING_ZERO and value == 0) or np.isnan(value):
        return bool(int(tree.decision[node]) & DEFAULT_LEFT)
    return bool(value <= tree.threshold[node])


@pytest.mark.parametrize("n_features", [13, 60])
def test_a_path_of_many_features_is_exact_where_lightgbms_own_is_not(n_features: int) -> None:
    """With 60 features on a path LightGBM's recursion has lost its digits; fractions lose none."""
    forest = read_forest(chain(n_features))
    X, places = chain_rows(n_features, 2), [0, n_features // 2, n_features - 1]
    planned = plan_attributions(forest)
    found = explain(planned, X, threads=1)
    exact = [[float(exact_contribution(forest, x, f)) for f in places] for x in X]
    assert found[:, places] == pytest.approx(np.array(exact), rel=1e-12, abs=1e-14)
    booster = lgb.Booster(model_str=chain(n_features))
    margin = np.asarray(booster.predict(X, raw_score=True))
    assert add_columns(found, planned.base) == pytest.approx(margin, abs=1e-12)
    if n_features == 60:
        assert np.abs(own(booster, X).sum(axis=1) - margin).max() > 1e-6


def test_a_table_by_hand() -> None:
    """One split of 100 rows, 25 to the left: a row on the left gets .75 of the leaves' difference."""
    text = (
        chain(1)
        .replace("leaf_count=3 1", "leaf_count=25 75")
        .replace("internal_count=4", "internal_count=100")
    )
    planned = plan_attributions(read_forest(text))
    found = explain(planned, np.array([[-9.0], [9.0]]), threads=1)
    assert found[:, 0] == pytest.approx([0.75 * 3.5, -0.25 * 3.5], abs=1e-15)
    assert planned.base == pytest.approx(0.25 * 2.5 - 0.75 * 1.0)


def test_trees_of_one_leaf_add_to_the_base_alone() -> None:
    booster = grow(1, num_leaves=4, min_data_in_leaf=1000)
    forest = read_forest(booster.model_to_string())
    assert forest.trees == []
    assert_as_lightgbm(booster, odd_rows(1, 10, 5))
    assert not explain(plan_attributions(forest), odd_rows(1, 10, 5), threads=1).any()


def test_averaged_boosters_have_the_mean_of_their_contributions() -> None:
    boosters = [grow(s, num_leaves=9, bagging_fraction=0.7, bagging_freq=1) for s in range(3)]
    X = odd_rows(2, 50, 5)
    planned = plan_attributions(average([read_forest(b.model_to_string()) for b in boosters]))
    expected = np.mean([own(b, X) for b in boosters], axis=0)
    assert explain(planned, X, threads=1) == pytest.approx(expected[:, :-1], abs=1e-10)
    assert planned.base == pytest.approx(expected[0, -1], abs=1e-12)


@cache
def planned_example() -> Any:
    return plan_attributions(read_forest(grow(3, 8, rounds=6, num_leaves=31).model_to_string()), leaf_bits=5)


@given(rows=st.lists(st.integers(0, 299), min_size=1, max_size=9), threads=st.integers(1, 3))
def test_a_row_is_the_same_in_every_batch_and_on_every_thread(rows: list[int], threads: int) -> None:
    X = odd_rows(4, 300, 8)
    whole = explain(planned_example(), X, threads=1)
    part = explain(planned_example(), X[rows], threads=threads)
    assert (part == whole[rows]).all()


def test_many_rows_on_several_threads_and_either_order_in_memory_are_the_same() -> None:
    X = odd_rows(5, 3 * attributions.BLOCK + 7, 8)
    one = explain(planned_example(), X, threads=1)
    assert (explain(planned_example(), X, threads=3) == one).all()
    assert (explain(planned_example(), np.asfortranarray(X), threads=0) == one).all()
    assert (explain(planned_example(), X[::2], threads=2) == one[::2]).all()


def test_tables_stay_within_their_bytes() -> None:
    forest = read_forest(grow(6, 8, rounds=6, num_leaves=60).model_to_string())
    X, free = odd_rows(6, 40, 8), plan_attributions(forest)
    bound = free.pieces[-1].nbytes // 20
    tight = plan_attributions(forest, most_bytes=bound)
    assert tight.pieces[-1].nbytes <= bound < free.pieces[-1].nbytes
    assert explain(tight, X, threads=1) == pytest.approx(explain(free, X, threads=1), abs=1e-10)


def test_a_piece_has_no_more_bits_than_asked() -> None:
    forest = read_forest(grow(7, 8, rounds=3, num_leaves=60).model_to_string())
    for tree in forest.trees:
        cut = cut_tree(tree, 6, 8)
        leaves = [leaf for piece in cut.pieces for leaf in piece.leaves] + cut.wide
        assert sorted(leaf.value for leaf in leaves) == sorted(tree.leaf_value)
        assert all(piece.n_bits <= (6 if piece.nodes else 8) for piece in cut.pieces)


# --- the candidate that uses them -------------------------------------------------------------------


def test_a_large_batch_takes_tables_and_agrees_with_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    text = grow(8, rounds=5, num_leaves=15).model_to_string()
    X, small = odd_rows(8, 200, 5), make_boosted(text, 5, threads=1)
    slow = small.contributions(X)
    monkeypatch.setattr(estimators, "TABLES_FROM", 0)
    large = make_boosted(text, 5, threads=1)
    fast = large.contributions(X)
    assert "_plan" in vars(large)
    assert "_plan" not in vars(small)
    assert fast == pytest.approx(slow, abs=1e-10)
    assert add_columns(fast, large.base) == pytest.approx(large.margin(X), abs=1e-10)


def test_a_few_rows_take_tables_too_and_are_those_of_a_large_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    text, X = grow(12, rounds=5, num_leaves=15).model_to_string(), odd_rows(12, 200, 5)
    few = make_boosted(text, 5, threads=1)
    alone = np.concatenate([few.contributions(row[None, :]) for row in X])
    assert "_plan" in vars(few)
    monkeypatch.setattr(estimators, "TABLES_FROM", 0)
    assert (alone == make_boosted(text, 5, threads=1).contributions(X)).all()


def test_threads_that_explain_rows_at_the_same_time_get_their_own() -> None:
    model, X = make_boosted(grow(13).model_to_string(), 5, threads=1), odd_rows(13, 200, 5)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(model.contributions, [X[i : i + 1] for i in range(len(X))] * 20))
    assert (np.concatenate(found) == np.tile(explain(model._plan, X, threads=1), (20, 1))).all()


def test_threads_that_explain_first_at_once_make_the_tables_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimators, "TABLES_FROM", 0)
    made: list[Forest] = []

    def plan(forest: Forest) -> Any:
        made.append(forest)
        return plan_attributions(forest)

    monkeypatch.setattr(estimators, "plan_attributions", plan)
    model, X = make_boosted(grow(9).model_to_string(), 5, threads=1), odd_rows(9, 50, 5)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: model.contributions(X), range(8)))
    assert len(made) == 1
    assert all((f == found[0]).all() for f in found)


def test_trees_of_a_kind_that_is_not_read_take_lightgbms_way_and_say_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A node whose training rows are all gone has no share; LightGBM itself decides what that means."""
    monkeypatch.setattr(estimators, "TABLES_FROM", 0)
    text = chain(3).replace("leaf_count=3 1 2 3", "leaf_count=4 0 2 3")
    with pytest.raises(UnreadableTreesError, match="holds no rows of training"):
        read_forest(text)
    model, X = make_boosted(text, 3, threads=1), np.zeros((4, 3))
    with caplog.at_level(logging.WARNING):
        first = model.contributions(X)
        assert (model.contributions(X) == first).all()
    assert [r.getMessage() for r in caplog.records] == [
        "contributions take LightGBM's slower way: a node of its trees holds no rows of training"
    ]
    assert first == pytest.approx(own(model.boosters[0], X)[:, :-1], nan_ok=True)


def test_linear_trees_are_refused() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 2))
    data = lgb.Dataset(X, X[:, 0] * X[:, 1], params={"linear_tree": True})
    text = lgb.train(QUIET | {"linear_tree": True, "num_leaves": 4}, data, 2).model_to_string()
    with pytest.raises(BundleError, match=r"model.txt has linear models in its leaves"):
        make_boosted(text, 2)


FALLBACK = """
import logging, sys
{setup}
logging.basicConfig(format="%(message)s", stream=sys.stdout)
import numpy as np
from propensity.model import estimators
estimators.TABLES_FROM = 0
model = estimators.make_boosted(open(sys.argv[1]).read(), 5, threads=1)
X = np.zeros((3, 5))
first = model.contributions(X)
print((model.contributions(X) == model.boosters[0].predict(X, pred_contrib=True)[:, :-1]).all())
"""
WITHOUT = {
    "no numba": "sys.modules['numba'] = None",
    "store no compiled code": (
        "import numba.core.caching as c; c.CacheImpl._locator_classes = []; "
        "c.CodeLibraryCacheImpl._locator_classes = []"
    ),
}


@pytest.mark.parametrize("why", list(WITHOUT))
def test_without_compiled_loops_lightgbms_way_works_and_that_is_said_once(why: str, tmp_path: Any) -> None:
    (tmp_path / "model.txt").write_text(grow(10).model_to_string(), encoding="utf-8")
    code = FALLBACK.format(setup=WITHOUT[why])
    command = [sys.executable, "-c", code, str(tmp_path / "model.txt")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[-1] == "True"
    assert len(lines) == 2
    assert why in lines[0]
