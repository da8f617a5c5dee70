"""Re-centring: the shift that makes expected wins equal seen ones, and the walk through a period."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from propensity.evaluation.recentring import intercept_shift, propose_shift, recentre, recentred_report
from propensity.model.bundle import log_odds, read_bundle, write_bundle
from tiny_models import bundle, make_table


def test_equal_log_odds_are_moved_to_the_rate_seen():
    won = np.array([True] * 3 + [False] * 6)
    shift = intercept_shift(np.zeros(9), won)
    assert shift == pytest.approx(logit(3.5 / 10))


@given(st.lists(st.tuples(st.floats(-6, 6), st.booleans()), min_size=3, max_size=60))
def test_after_the_shift_as_many_wins_are_expected_as_were_seen(rows):
    z, won = (np.array(column) for column in zip(*rows, strict=True))
    shift = intercept_shift(z, won)
    if abs(shift) < 10:
        assert expit(z + shift).mean() == pytest.approx((won.sum() + 0.5) / (len(won) + 1))


def drifting(n: int = 4000, known_after: float = 0.0):
    rng = np.random.default_rng(5)
    moment = np.arange(n, dtype=float)
    z = rng.normal(-2, 1, n)
    won = rng.random(n) < expit(z + 1.5)  # the base rate has risen; the model does not know
    return recentred_report(z, won, np.arange(n), moment, moment + known_after, seed=1)


def test_a_risen_base_rate_is_followed():
    report = drifting()
    assert report["n"] == 3600  # the first tenth has nothing before it
    assert report["as_scored"]["expected_over_observed"] < 0.5
    assert report["recentred"]["expected_over_observed"] == pytest.approx(1, abs=0.1)
    assert report["recentred"]["ece"] < report["as_scored"]["ece"] / 3
    assert report["recentred"]["log_loss"] < report["as_scored"]["log_loss"]


def test_every_block_but_the_first_is_moved_whatever_the_number_of_rows():
    assert drifting(n=4007)["n"] == 4007 - 401


def test_only_outcomes_known_by_then_are_used():
    assert drifting(known_after=1e9) is None
    # Known 1,000 rows later: the first four blocks, whose tenth is not known yet, are left out.
    assert drifting(known_after=1000)["n"] == 2400


def thin(rng, won, share):
    """Which rows stay when that share of the wins is lost: the odds fall alike for all."""
    return ~won | (rng.random(len(won)) >= share)


def test_a_shift_is_proposed_for_a_base_rate_that_moved_and_not_for_noise():
    rng = np.random.default_rng(2)
    z = rng.normal(-1, 1, 6000)
    won = rng.random(6000) < expit(z)
    kept = thin(rng, won, 0.5)
    same, moved = (propose_shift(z[k], won[k], np.arange(k.sum())) for k in (won | ~won, kept))
    assert not same["proposed"]
    assert same["shift_interval"][0] < 0 < same["shift_interval"][1]
    assert moved["proposed"]
    assert moved["shift_interval"][0] <= np.log(0.5) <= moved["shift_interval"][1]
    assert moved["expected_over_observed_interval"][0] > 1


def test_the_interval_of_the_shift_holds_the_truth_in_about_95_of_100():
    """200 repetitions with three rows a group that end alike: 190 expected, 179 at 3.5 errors."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        z = np.repeat(rng.normal(-1, 1, 250), 3)
        won = np.repeat(rng.random(250), 3) < expit(z - 0.4)
        low, high = propose_shift(z, won, np.repeat(np.arange(250), 3))["shift_interval"]
        held += low <= -0.4 <= high
    assert 179 <= held <= 199


def test_nothing_is_proposed_without_outcomes_or_from_one_group():
    none = propose_shift(np.empty(0), np.empty(0, dtype=bool), np.empty(0))
    assert (none["n"], none["shift"], none["proposed"]) == (0, None, False)
    assert not propose_shift(np.full(9, 2.0), np.zeros(9, dtype=bool), np.zeros(9))["proposed"]


@pytest.mark.parametrize("kind", ["logistic", "blend"])
def test_a_recentred_bundle_keeps_the_ranking_and_meets_the_level_of_later_leads(kind, tmp_path):
    """Half of the later wins are lost; the shift is found on the first half of that period."""
    made = bundle(kind)
    later = make_table(16000, seed=8)
    later = later[thin(np.random.default_rng(3), later["won"].to_numpy(), 0.5)].reset_index(drop=True)
    known, coming = later.iloc[: len(later) // 2], later.iloc[len(later) // 2 :]
    found = propose_shift(log_odds(made, known), known["won"].to_numpy(), known.index.to_numpy())
    assert found["proposed"]
    probe = make_table(50)
    version = write_bundle(made, tmp_path / "old", probe)
    moved_version = write_bundle(recentre(made, found["shift"], found), tmp_path / "new", probe)
    moved = read_bundle(tmp_path / "new")
    assert moved_version != version
    before, after = log_odds(made, coming), log_odds(moved, coming)
    assert (np.argsort(before, kind="stable") == np.argsort(after, kind="stable")).all()
    np.testing.assert_allclose(after - before, found["shift"], atol=1e-9)
    wins = coming["won"].sum()
    assert expit(before).sum() / wins > 1.4
    assert 0.9 <= expit(after).sum() / wins <= 1.1
    assert moved.cutoffs == made.cutoffs
    assert [record["shift"] for record in moved.data["recentred"]] == [found["shift"]]
