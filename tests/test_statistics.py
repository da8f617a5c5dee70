"""Target statistics: by hand, never from a row's own lead, and told as their category's points."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.errors import BundleError
from propensity.model.boosting import Forge, Shape, refit_shape
from propensity.model.bundle import read_model, write_model
from propensity.model.encoding import Encoding, Matrix, encode, fit_encoding
from propensity.model.estimators import Blend, Boosted, Logistic, Vector
from propensity.model.statistics import (
    OWN_LEVELS,
    PRIOR_ROWS,
    crowded_places,
    fit_statistics,
    level_log_odds,
    look_up,
    useful_places,
    widen,
    widen_few,
)
from propensity.model.training import train_model
from propensity.params import ModelParams
from tiny_models import make_feature

PAGES = 120
PAGE = Encoding([make_feature("x"), make_feature("page", "category")], {"page": list("abc")})


def make_pages(n: int = 8000, seed: int = 5) -> pd.DataFrame:
    """Return a training table whose outcome depends on which of 120 pages was seen."""
    rng = np.random.default_rng(seed)
    effect = rng.normal(0, 1.2, PAGES)
    page = rng.integers(0, PAGES, n)
    x = rng.normal(size=n)
    won = rng.random(n) < 1 / (1 + np.exp(1.0 - effect[page] - 0.3 * x))
    part = np.select([np.arange(n) < 0.7 * n, np.arange(n) < 0.85 * n], ["train", "stop"], "calibrate")
    names = pd.array([f"page-{k:03d}" for k in page], dtype="str")
    return pd.DataFrame(
        {
            "lead_id": [f"lead-{i:05d}" for i in range(n)],
            "as_of": pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(n), unit="h"),
            "split": part,
            "won": won,
            "weight": 1.0,
            "x": x,
            "page": names,
            "truth": effect[page] + 0.3 * x,
        }
    )


@pytest.fixture(scope="module")
def pages() -> pd.DataFrame:
    return make_pages()


@cache
def train(kind: str) -> tuple[Any, Matrix, Vector]:
    pages = make_pages()
    params = ModelParams.model_validate({"candidates": [kind], "threads": 1})
    found = train_model(pages, PAGE.features, params, {})
    held = pages[pages["split"] == "calibrate"]
    return found, encode(held, found.encoding), held["truth"].to_numpy()


def test_a_levels_statistic_by_hand() -> None:
    codes = np.array([2, 2, 2, 3])
    won = np.array([True, True, False, False])
    found = level_log_odds(codes, won, np.ones(4), 5)
    prior = 2.5 / 5
    rates = [(2 + PRIOR_ROWS * prior) / (3 + PRIOR_ROWS), PRIOR_ROWS * prior / (1 + PRIOR_ROWS)]
    assert found[2:4] == pytest.approx([np.log(r / (1 - r)) for r in rates])
    assert found[[0, 1, 4]] == pytest.approx(np.log(prior / (1 - prior))), "no rows: the base rate"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 39))
def test_a_rows_statistic_does_not_depend_on_its_leads_outcome(seed: int, lead: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = np.column_stack([rng.normal(size=80), rng.integers(0, 5, 80)])
    leads, won = np.repeat(np.arange(40), 2), rng.random(80) < 0.4
    ends = [np.where(leads == lead, end, won) for end in (True, False)]
    before, after = (
        fit_statistics(matrix, y, np.ones(80), leads, PAGE, [1], seed=3).out_of_fold[1] for y in ends
    )
    assert (before[leads == lead] == after[leads == lead]).all()
    assert (before != after).any()


def test_which_categories_have_statistics() -> None:
    features = [make_feature(name, "category") for name in ("few", "some", "many")]
    levels = {
        "few": list("abc"),
        "some": list("abcdefghijkl"),
        "many": [str(k) for k in range(OWN_LEVELS + 1)],
    }
    encoding = Encoding(features, levels)
    assert useful_places(encoding) == [1, 2]
    assert crowded_places(encoding) == [2]


@pytest.mark.parametrize("kind", ["logistic", "lightgbm"])
def test_rare_pages_are_told_apart(pages: pd.DataFrame, kind: str) -> None:
    """Sixty pages have a split of their own; the others are 'any other' without the statistic."""
    found, matrix, truth = train(kind)
    rare = matrix[:, 1] >= OWN_LEVELS + 2
    assert rare.mean() > 0.3
    assert np.corrcoef(found.model.margin(matrix)[rare], truth[rare])[0, 1] > 0.6


@pytest.mark.parametrize("kind", ["logistic", "lightgbm", "blend"])
def test_contributions_are_of_the_features_and_sum_to_the_margin(pages: pd.DataFrame, kind: str) -> None:
    found, matrix, _ = train(kind)
    parts = found.model.contributions(matrix)
    assert parts.shape == matrix.shape
    assert found.model.base + parts.sum(axis=1) == pytest.approx(found.model.margin(matrix), abs=1e-9)
    assert np.abs(parts[:, 1]).mean() > np.abs(parts[:, 0]).mean(), "the page says more than x"


def test_an_unseen_page_is_told_by_the_base_rate(pages: pd.DataFrame) -> None:
    found, *_ = train("lightgbm")
    known = pages[pages["split"] != "calibrate"]
    assert isinstance(found.model, Boosted)
    rate = known["won"].mean()
    assert found.model.statistics[1][1] == pytest.approx(np.log(rate / (1 - rate)), abs=0.01)
    assert np.ptp(found.model.statistics[1]) > 1


@pytest.mark.parametrize("kind", ["lightgbm", "blend"])
def test_statistics_and_averaged_boosters_are_read_as_they_were_written(
    pages: pd.DataFrame, kind: str, tmp_path: Path
) -> None:
    found, matrix, _ = train(kind)
    rows = pages[pages["split"] == "train"]
    part = (encode(rows, found.encoding), rows["won"].to_numpy(dtype=bool), np.ones(len(rows)))
    forge = Forge(found.encoding, {}, seed=7, threads=1)
    boosted = refit_shape(forge, Shape(), part, np.arange(len(rows)), rounds=20, seeds=[7, 8, 9])
    model = Blend(found.model.logistic, boosted, 0.6) if kind == "blend" else boosted
    write_model(model, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"model.txt", "model_1.txt", "model_2.txt", "statistics.json"} <= names
    again = read_model(tmp_path, found.encoding, blend_weight=0.6, threads=1)
    assert (again.margin(matrix) == model.margin(matrix)).all()
    assert (again.contributions(matrix) == model.contributions(matrix)).all()
    (tmp_path / "statistics.json").write_text('[{"feature": 1, "log_odds": [0.0]}]')
    with pytest.raises(BundleError, match=r"statistics.json and features.json disagree"):
        read_model(tmp_path, found.encoding, blend_weight=0.6)


def test_averaged_boosters_are_the_mean_of_their_margins_and_contributions(pages: pd.DataFrame) -> None:
    rows = pages[pages["split"] == "train"]
    encoding = fit_encoding(rows, PAGE.features)
    part = (encode(rows, encoding), rows["won"].to_numpy(dtype=bool), np.ones(len(rows)))
    forge, leads = Forge(encoding, {}, seed=7, threads=1), np.arange(len(rows))
    alone = [refit_shape(forge, Shape(), part, leads, rounds=15, seeds=[seed]) for seed in (7, 8)]
    mean = refit_shape(forge, Shape(), part, leads, rounds=15, seeds=[7, 8])
    X = part[0][:50]
    assert mean.margin(X) == pytest.approx((alone[0].margin(X) + alone[1].margin(X)) / 2)
    both = (alone[0].contributions(X) + alone[1].contributions(X)) / 2
    assert mean.contributions(X) == pytest.approx(both)
    assert (alone[0].margin(X) != alone[1].margin(X)).any()
    assert mean.base + mean.contributions(X).sum(axis=1) == pytest.approx(mean.margin(X))


def test_the_logistic_gives_a_page_without_rows_nothing() -> None:
    levels = [str(k) for k in range(OWN_LEVELS + 20)]
    encoding = Encoding(PAGE.features, {"page": levels})
    rng = np.random.default_rng(0)
    codes = rng.integers(2, OWN_LEVELS + 12, 3000).astype(float)
    matrix, won = np.column_stack([rng.normal(size=3000), codes]), rng.random(3000) < 0.3
    found = fit_statistics(matrix, won, np.ones(3000), np.arange(3000), encoding, [1], seed=1)
    from propensity.model.logistic import fit_logistic

    model = fit_logistic(matrix, won, np.ones(3000), encoding, penalty=10.0, monotone={}, statistics=found)
    assert isinstance(model, Logistic)
    assert len(model.values[1]) == encoding.n_codes("page")
    unseen = [0, 1, *range(OWN_LEVELS + 12, OWN_LEVELS + 22)]
    assert (model.values[1][unseen] == 0).all()
    assert (model.values[1][2 : OWN_LEVELS + 12] != 0).all()


def test_a_few_rows_are_widened_as_many_are() -> None:
    rng = np.random.default_rng(2)
    tables = {3: rng.normal(size=OWN_LEVELS + 20), 1: rng.normal(size=9)}
    matrix = rng.normal(size=(300, 5))
    matrix[:, 2] = np.nan
    for j, table in tables.items():
        matrix[:, j] = rng.integers(0, len(table), 300)
    expected = widen(matrix, look_up(matrix, tables))
    np.testing.assert_array_equal(widen_few(matrix, tables), expected)
    assert (expected[:, 3] != matrix[:, 3]).any()
    np.testing.assert_array_equal(expected[:, 5], tables[3][matrix[:, 3].astype(int)])
