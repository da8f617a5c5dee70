"""Two models on the same leads: the difference by hand, its interval, and what pairing brings."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from propensity.evaluation.metrics import report_metrics
from propensity.evaluation.paired import compare_models

RNG = np.random.default_rng(3)
TRUE = RNG.uniform(0.05, 0.6, 2000)
WON = RNG.random(2000) < TRUE
LEADS = np.arange(2000)


def shaken(size: float) -> np.ndarray:
    odds = np.log(TRUE / (1 - TRUE)) + np.random.default_rng(5).normal(0, size, len(TRUE))
    return 1 / (1 + np.exp(-odds))


def test_the_difference_is_of_figures_that_another_library_gives() -> None:
    other = shaken(1.0)
    found = compare_models(WON, TRUE, other, LEADS, seed=7)
    assert found.loc["auc", "champion"] == pytest.approx(roc_auc_score(WON, TRUE))
    assert found.loc["log_loss", "challenger"] == pytest.approx(log_loss(WON, other))
    expected = log_loss(WON, other) - log_loss(WON, TRUE)
    assert found.loc["log_loss", "difference"] == pytest.approx(expected)
    assert found.loc["log_loss", "low"] < expected < found.loc["log_loss", "high"]


def test_a_worse_model_is_worse_beyond_the_interval() -> None:
    found = compare_models(WON, TRUE, shaken(1.0), LEADS, seed=7)
    assert found.loc["log_loss", "low"] > 0
    assert found.loc["auc", "high"] < 0


def test_the_same_model_does_not_differ_at_all() -> None:
    found = compare_models(WON, TRUE, TRUE, LEADS, seed=7)
    assert (found[["difference", "low", "high"]] == 0).all(axis=None)


def test_paired_differences_are_surer_than_the_two_figures() -> None:
    other = shaken(0.1)
    found = compare_models(WON, TRUE, other, LEADS, seed=7)
    low, high = report_metrics(WON, TRUE, LEADS, seed=7)["log_loss_interval"]
    assert found.loc["log_loss", "high"] - found.loc["log_loss", "low"] < (high - low) / 3


def test_rows_of_a_lead_are_one_piece_of_evidence() -> None:
    other = shaken(1.0)
    once = compare_models(WON, TRUE, other, LEADS, seed=7)
    four = [np.tile(x, 4) for x in (WON, TRUE, other, LEADS)]
    again = compare_models(*four, seed=7)
    np.testing.assert_allclose(once.loc["log_loss"], again.loc["log_loss"], atol=1e-9)


def test_where_nobody_was_won_the_ranking_is_not_known_and_the_loss_is() -> None:
    found = compare_models(np.zeros(50, dtype=bool), TRUE[:50], TRUE[:50] / 2, LEADS[:50], seed=7)
    assert found.loc["auc"].isna().all()
    assert found.loc["log_loss", "high"] < 0
