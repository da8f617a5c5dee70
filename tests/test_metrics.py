"""Metrics: scikit-learn's values, ties and weights included, and intervals that count groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from propensity.evaluation.metrics import (
    METRICS,
    compute_metrics,
    equal_mass_bins,
    gains_table,
    make_ranking,
    reliability_table,
    report_metrics,
    slices_of,
)

ROWS = st.lists(
    st.tuples(st.booleans(), st.integers(1, 19), st.sampled_from([0.25, 1.0, 2.0])), min_size=2, max_size=60
).filter(lambda rows: len({won for won, _, _ in rows}) == 2)


def measure(won: Any, probability: Any, weight: Any = None) -> dict[str, float]:
    ranking = make_ranking(np.asarray(won, dtype=bool), np.asarray(probability, dtype=float))
    values = compute_metrics(ranking, np.ones(len(won)) if weight is None else np.asarray(weight))
    return dict(zip(METRICS, values.tolist(), strict=True))


@given(ROWS)
def test_metrics_are_scikit_learns_with_weights_and_ties(rows: list[Any]) -> None:
    won, twentieths, weight = (np.array(column) for column in zip(*rows, strict=True))
    probability = twentieths / 20
    found = measure(won, probability, weight)
    assert found["auc"] == pytest.approx(roc_auc_score(won, probability, sample_weight=weight))
    assert found["average_precision"] == pytest.approx(
        average_precision_score(won, probability, sample_weight=weight)
    )
    assert found["log_loss"] == pytest.approx(log_loss(won, probability, sample_weight=weight))
    assert found["brier"] == pytest.approx(brier_score_loss(won, probability, sample_weight=weight))
    assert found["base_rate"] == pytest.approx(np.average(won, weights=weight))


@given(ROWS)
def test_a_weight_is_a_number_of_copies(rows: list[Any]) -> None:
    """So a bootstrap resample is the same call; the bins are cut before, hence not the copies' own."""
    won, twentieths, weight = (np.array(column) for column in zip(*rows, strict=True))
    times = (4 * weight).astype(int)
    found = measure(won, twentieths / 20, times)
    copies = measure(np.repeat(won, times), np.repeat(twentieths / 20, times))
    same = [name for name in METRICS if name != "ece"]
    assert [found[name] for name in same] == pytest.approx([copies[name] for name in same])


def test_weights_of_zero_take_rows_out() -> None:
    won, probability = [True, False, True, False, True], [0.9, 0.8, 0.5, 0.3, 0.1]
    found = measure(won, probability, [0.0, 1.0, 1.0, 1.0, 0.0])
    assert found == pytest.approx(measure(won[1:4], probability[1:4]) | {"ece": found["ece"]})


def test_lift_counts_a_tie_at_the_tenth_in_part() -> None:
    """The top tenth of 20 is two rows: the winner at .9 and half of the tie of four at .5 (one won)."""
    probability = [0.9] + [0.5] * 4 + [0.1] * 15
    won = [True] + [True, False, False, False] + [True, True] + [False] * 13
    assert measure(won, probability)["lift_at_10"] == pytest.approx(((1 + 0.25) / 2) / (4 / 20))


def test_ece_by_hand() -> None:
    """Twenty rows in tenths of two: the gap is .1 in each of nine, and .4 in the last."""
    probability = np.repeat(np.arange(1, 11) / 20, 2) + np.tile([0.0, 0.001], 10) - 0.0005
    won = np.zeros(20, dtype=bool)
    by_hand = np.repeat(np.arange(1, 11) / 20, 2).sum() / 20
    assert measure(won, probability)["ece"] == pytest.approx(by_hand)
    won[-2:] = True
    assert measure(won, probability)["ece"] == pytest.approx(by_hand - 2 * 0.5 / 20 + 2 * 0.5 / 20)
    won[0] = True
    assert measure(won, probability)["ece"] == pytest.approx(by_hand - 2 * 0.05 / 20 + 2 * 0.45 / 20)


def test_bins_are_of_equal_size_and_ties_share_one() -> None:
    assert equal_mass_bins(np.array([0.4, 0.1, 0.3, 0.2]), 2).tolist() == [1, 0, 1, 0]
    assert equal_mass_bins(np.array([0.1, 0.5, 0.5, 0.5, 0.9]), 5).tolist() == [0, 1, 1, 1, 4]
    assert equal_mass_bins(np.full(7, 0.3)).tolist() == [0] * 7
    assert equal_mass_bins(np.empty(0)).tolist() == []
    assert np.bincount(equal_mass_bins(np.random.default_rng(0).random(1000))).tolist() == [100] * 10


def test_a_constant_probability_ranks_nothing() -> None:
    found = measure([True, False, False, False], [0.25] * 4)
    assert (found["auc"], found["average_precision"], found["lift_at_10"]) == (0.5, 0.25, 1.0)
    assert found["ece"] == 0.0


def test_one_outcome_only_leaves_ranking_undefined() -> None:
    report = report_metrics(np.zeros(30, dtype=bool), np.linspace(0.1, 0.2, 30), np.arange(30), seed=1)
    assert [report[name] for name in ("auc", "average_precision", "lift_at_10")] == [None] * 3
    assert report["auc_interval"] is None
    assert report["base_rate"] == 0.0
    low, high = interval(report, "base_rate")
    assert low == 0.0
    assert high == pytest.approx(1.959964**2 / (30 + 1.959964**2), abs=1e-6)


def interval(report: Any, name: str) -> list[float]:
    found = report[f"{name}_interval"]
    assert isinstance(found, list)
    return found


def test_probabilities_of_zero_and_one_have_a_finite_log_loss() -> None:
    found = measure([True, False], [0.0, 1.0])
    assert found["log_loss"] == pytest.approx(-np.log(1e-15), rel=1e-3)
    assert measure([True, False], [1.0, 0.0])["log_loss"] == pytest.approx(0.0, abs=1e-12)


def make_rows(n: int, seed: int = 0, shift: float = 0.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1.5, 1, n)
    return rng.random(n) < expit(margin + shift), expit(margin)


def test_no_rows_and_one_group_have_no_intervals() -> None:
    none = report_metrics(np.zeros(0, dtype=bool), np.zeros(0), np.zeros(0, dtype=int), seed=1)
    assert none["n"] == 0
    assert set(none.values()) == {0, None}
    won, probability = make_rows(50)
    one = report_metrics(won, probability, np.zeros(50, dtype=int), seed=1)
    assert one["auc"] == pytest.approx(roc_auc_score(won, probability))
    assert [one[f"{name}_interval"] for name in METRICS] == [None] * len(METRICS)


def test_every_interval_holds_its_figure_and_is_the_same_for_the_same_seed() -> None:
    won, probability = make_rows(600)
    report = report_metrics(won, probability, np.arange(600), seed=3, resamples=100)
    for name in METRICS:
        low, high = interval(report, name)
        assert low <= report[name] <= high
    assert report == report_metrics(won, probability, np.arange(600), seed=3, resamples=100)
    assert report != report_metrics(won, probability, np.arange(600), seed=4, resamples=100)


def test_copies_within_a_group_do_not_narrow_an_interval() -> None:
    won, probability = make_rows(200)
    once = report_metrics(won, probability, np.arange(200), seed=3, resamples=80)
    groups = np.array([f"lead-{i:03d}" for i in np.repeat(np.arange(200), 5)])
    copied = report_metrics(np.repeat(won, 5), np.repeat(probability, 5), groups, seed=3, resamples=80)
    for name in METRICS:
        assert interval(copied, name) == pytest.approx(interval(once, name), abs=1e-9)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """The truth is that of 400,000 rows; 60 samples of 500 at 95%: fewer than 50 would be a fault."""
    won, probability = make_rows(400_000, seed=99, shift=0.4)
    gap = probability - expit(logit(probability) + 0.4)
    truth = measure(won, probability)
    truth["ece"] = float(np.abs(np.bincount(equal_mass_bins(probability), gap)).sum() / len(won))
    held = dict.fromkeys(("auc", "log_loss", "ece", "base_rate", "lift_at_10"), 0)
    for seed in range(60):
        report = report_metrics(*make_rows(500, seed, 0.4), np.arange(500), seed=seed, resamples=60)
        for name in held:
            low, high = interval(report, name)
            held[name] += low <= truth[name] <= high
    assert min(held.values()) >= 50, held


def test_a_calibrated_models_interval_for_ece_begins_at_zero() -> None:
    """Noise alone makes the measured error positive; the interval must not call that an error."""
    began = 0
    for seed in range(30):
        report = report_metrics(*make_rows(500, seed), np.arange(500), seed=seed, resamples=60)
        began += interval(report, "ece")[0] == 0.0
        assert report["ece"] > 0.005
    assert began >= 26


def test_the_reliability_table_by_hand() -> None:
    probability = np.array([0.1] * 10 + [0.6] * 10)
    won = np.array([True] + [False] * 9 + [True] * 5 + [False] * 5)
    table = reliability_table(won, probability, np.arange(20))
    assert table["bin"].tolist() == [1, 6]
    assert table["n"].tolist() == [10, 10]
    assert table["mean_predicted"].tolist() == pytest.approx([0.1, 0.6])
    assert table["observed"].tolist() == [0.1, 0.5]
    assert table["low"].tolist() == pytest.approx([0.0179, 0.2366], abs=1e-4)
    assert table["high"].tolist() == pytest.approx([0.4042, 0.7634], abs=1e-4)


def test_the_gains_table_by_hand() -> None:
    won = np.array([True, True, False, False, False, True, False, False])
    table = gains_table(won, np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.2, 0.2, 0.2]), steps=4)
    assert table["share_contacted"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert table["share_won"].tolist() == pytest.approx([0, 2 / 3, 2 / 3, 2 / 3 + 1 / 6, 1])
    assert table["lift"].tolist()[1:] == pytest.approx([8 / 3, 4 / 3, 10 / 9, 1])
    assert gains_table(np.zeros(4, dtype=bool), np.arange(4) / 4)["share_won"].tolist() == [0.0] * 21


def test_slices_are_the_largest_values_in_their_own_order() -> None:
    won, probability = make_rows(90)
    channel = pd.Series(["b"] * 40 + ["a"] * 30 + ["c"] * 10 + [None] * 10, dtype="str")
    table = pd.DataFrame({"slice_channel": channel})
    slices = slices_of(table, "channel", won, probability, np.arange(90), seed=1, most=2)
    assert [(row["channel"], row["n"]) for row in slices] == [("a", 30), ("b", 40)]
    assert slices[0]["base_rate"] == pytest.approx(won[40:70].mean())
