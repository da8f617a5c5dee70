"""Weights for immature snapshots: by hand, against another estimator, and against a known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.cohort.censoring import describe_weighting, inverse_probability, weigh_part
from propensity.cohort.incidence import cumulative_incidence

END = pd.Timestamp("2024-06-01", tz="UTC")
OPEN = np.inf


def part_of(closed, until_end, *, window=10.0, age=0.0):
    """Snapshots taken `until_end` days before the part's end, closed after `closed` days."""
    as_of = END - pd.to_timedelta(pd.Series(until_end, dtype="float64"), unit="D").dt.round("us")
    wait = pd.to_timedelta(pd.Series(closed, dtype="float64").replace(OPEN, np.nan), unit="D").dt.round("us")
    return pd.DataFrame(
        {
            "as_of": as_of,
            "closed_at": as_of + wait,
            "label_end": as_of + pd.Timedelta(days=window),
            "age_days": age,
        }
    )


def test_six_rows_by_hand():
    closed = np.array([2, OPEN, 4, OPEN, OPEN, 20.0])
    until_end = np.array([5, 3, 4, 4, 12, 15.0])
    found = inverse_probability(closed, until_end, np.full(6, 10.0))
    # The follow-up ends for one of five at 3; at 4, when a closing is seen first, for one of three.
    # A row decided at 4 stands for 1 / (4/5), one followed through its window for 1 / (4/5 * 2/3).
    np.testing.assert_allclose(found, [1, np.nan, 5 / 4, np.nan, 15 / 8, 15 / 8])


def test_rows_that_are_decided_stand_for_all():
    found = inverse_probability(
        np.array([2, OPEN, 4, OPEN, OPEN, 20.0]), np.array([5, 3, 4, 4, 12, 15.0]), np.full(6, 10.0)
    )
    assert np.nansum(found) == pytest.approx(6)


rows = st.lists(
    st.tuples(st.one_of(st.integers(1, 30), st.just(OPEN)), st.integers(1, 30), st.booleans()),
    min_size=1,
    max_size=50,
)


@given(rows)
def test_the_weighted_share_won_is_that_of_aalen_and_johansen(found):
    """Two estimators of one quantity that agree exactly (Satten and Datta 2001)."""
    followed_through = (OPEN, 99, False)
    closed, until_end, wins = (np.array(column) for column in zip(*found, followed_through, strict=True))
    window = np.full(len(closed), 12.0)
    weight = inverse_probability(closed.astype(float), until_end.astype(float), window)
    if weight is None:
        return
    seen = np.minimum(np.minimum(closed, until_end), window)
    fate = np.where((closed <= until_end) & (closed <= window), np.where(wins, 1, 2), 0)
    _, place = np.unique(seen, return_inverse=True)
    share, _ = cumulative_incidence(place, fate, np.ones(len(fate)))
    won = (fate == 1)[~np.isnan(weight)]
    assert np.average(won, weights=weight[~np.isnan(weight)]) == pytest.approx(share[-1], abs=1e-12)
    assert np.nansum(weight) == pytest.approx(len(closed))


def test_weights_are_one_where_every_outcome_is_decided():
    found = weigh_part(part_of([3, OPEN, 20, 9], [11, 10, 12, 9]), END)
    assert found.weight.tolist() == [1, 1, 1, 1]
    assert (found.largest, found.undecided.sum(), found.ages_left_out) == (1, 0, [])


def test_the_weighted_share_is_the_true_one_where_that_of_the_decided_is_not():
    rng = np.random.default_rng(8)
    n, window = 20_000, 10.0
    # Wins at a rate of 0.05 a day, losses at 0.02, taken in over 20 days before the part's end.
    closed = rng.exponential(1 / 0.07, n)
    won = rng.random(n) < 5 / 7
    truth = 5 / 7 * (1 - np.exp(-0.07 * window))
    found = weigh_part(part_of(closed, rng.uniform(0.01, 20, n), window=window), END)
    decided = found.weight.notna()
    label = won & (closed <= window)
    standard_error = np.sqrt(truth * (1 - truth) / (decided.sum() / 2))
    assert np.average(label[decided], weights=found.weight[decided]) == pytest.approx(
        truth, abs=3 * standard_error
    )
    assert label[decided].mean() > truth + 10 * standard_error
    assert found.weight.mean() == pytest.approx(1)


def test_what_happens_after_the_end_has_no_influence():
    one = weigh_part(part_of([2, 8, 4, 9, OPEN, OPEN], [5, 3, 4, 6, 12, 15]), END)
    other = weigh_part(part_of([2, OPEN, 4, 7, OPEN, 16], [5, 3, 4, 6, 12, 15]), END)
    pd.testing.assert_series_equal(one.weight, other.weight)


def test_each_age_has_its_own_curve():
    young = part_of([2, OPEN, 4, OPEN, OPEN, 20], [5, 3, 4, 4, 12, 15], age=0)
    old = part_of([1, OPEN, OPEN], [2, 4, 14], age=7)
    alone = weigh_part(young, END).weight
    together = weigh_part(pd.concat([young, old], ignore_index=True), END).weight
    np.testing.assert_allclose(together[:6] / together[0], alone / alone[0])
    # Of the old ones, the follow-up ends for one of two at 4.
    np.testing.assert_allclose(together[6:] / together[6], [1, np.nan, 2])


@pytest.mark.parametrize("longest", [9, 12])
def test_an_age_that_few_could_be_followed_through_keeps_its_final_labels_alone(longest):
    closed = [OPEN] * 30 + [2, OPEN]
    found = weigh_part(part_of(closed, [3] * 30 + [4, longest]), END)
    assert found.ages_left_out == [0]
    assert found.weight.notna().tolist() == [False] * 31 + [longest == 12]
    assert not found.undecided.any()


def test_the_description_counts_rows_and_what_they_are_worth():
    found = weigh_part(part_of([2, OPEN, 4, OPEN, OPEN, 20], [5, 3, 4, 4, 12, 15]), END)
    described = describe_weighting(found, final=2)
    assert (described["immature"], described["undecided"]) == (2, 2)
    assert described["largest"] == pytest.approx(15 / 8)
    assert described["effective"] == pytest.approx(6**2 / (1 + 25 / 16 + 2 * 225 / 64))
