"""The search: folds that respect time and leads, the same result twice, and a harmless addition."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.data.files import to_json
from propensity.model.estimators import Boosted
from propensity.model.search import make_folds
from propensity.model.training import log_loss, train_model
from propensity.params import ModelParams
from tiny_models import FEATURES, make_table


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_what_is_fitted_on_is_earlier_and_of_other_leads(seed: int) -> None:
    rng = np.random.default_rng(seed)
    leads = pd.factorize(rng.integers(0, 40, 120))[0]
    moments = pd.Series(pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.permutation(120), unit="h"))
    folds = list(make_folds(leads, moments, seed=1))
    assert len(folds) == 3
    for fit, held in folds:
        assert not set(leads[fit]) & set(leads[held])
        assert moments[fit].max() < moments[held].min()
    assert sorted(np.concatenate([held for _, held in folds])) == sorted(moments.nlargest(90).index)


def test_without_moments_leads_are_dealt_to_the_folds() -> None:
    leads = np.repeat(np.arange(30), 2)
    folds = list(make_folds(leads, pd.Series([pd.NaT] * 60), seed=1))
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(60))
    for fit, held in folds:
        assert not set(leads[fit]) & set(leads[held])


@pytest.fixture(scope="module")
def small() -> pd.DataFrame:
    return make_table(700)


def text_of(model: Boosted) -> str:
    return "".join(b.model_to_string() for b in model.boosters)


def test_the_same_seed_finds_the_same_and_it_is_no_worse_on_the_stop_part(small: pd.DataFrame) -> None:
    params = ModelParams(candidates=["lightgbm"], threads=1, trials=4)
    one, other = (train_model(small, FEATURES, params, {}) for _ in range(2))
    assert isinstance(one.model, Boosted)
    assert isinstance(other.model, Boosted)
    assert text_of(one.model) == text_of(other.model)
    assert to_json(one.settings) == to_json(other.settings)
    plain = train_model(small, FEATURES, ModelParams(candidates=["lightgbm"], threads=1), {})
    losses = [log_loss(found.stop_margins["lightgbm"], *found.stop[1:]) for found in (one, plain)]
    assert losses[0] <= losses[1]


def test_no_trials_load_no_optuna() -> None:
    code = "import sys, propensity.model.training; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
