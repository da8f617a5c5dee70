"""The gate's checks on rows small enough to work out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from propensity.evaluation.recentring import recentre
from propensity.loop.gate import (
    Check,
    check_audit,
    check_better_than_rate,
    check_calibration,
    check_comparable,
    check_enough,
    check_log_loss,
    check_recentred,
    check_slices,
    check_tiers,
    check_volumes,
    compare,
    failed,
    row_losses,
)
from propensity.loop.promotion import judge
from propensity.params import PromotionParams
from tiny_models import bundle

PARAMS = PromotionParams()


def params(**changed) -> PromotionParams:
    return PromotionParams.model_validate(changed)


def snapshots(leads: int, wins: int, each: int = 2) -> pd.DataFrame:
    """`each` snapshots of every lead; the first `wins` leads are won."""
    ids = np.repeat(np.arange(leads), each)
    return pd.DataFrame(
        {
            "lead_id": [f"L{i}" for i in ids],
            "as_of": pd.Timestamp("2025-03-01", tz="UTC"),
            "won": ids < wins,
        }
    )


# --- enough ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("leads", "wins", "passed"), [(10, 3, True), (9, 3, False), (10, 2, False)])
def test_leads_and_won_leads_are_counted_not_snapshots(leads, wins, passed):
    check = check_enough(snapshots(leads, wins), "leads since", params(min_leads=10, min_wins=3))
    assert check.passed is passed
    assert (check.figures["leads"], check.figures["wins"]) == (leads, wins)
    assert check.said.startswith("too few to tell: ") is not passed
    assert "2025-03-01" in check.said


def test_a_first_model_is_asked_for_no_minimum():
    assert check_enough(snapshots(1, 0), "leads since", PARAMS, first=True).passed is None


def test_without_leads_the_reason_is_told():
    check = check_enough(snapshots(0, 0), "the tables have no dates", PARAMS)
    assert check.passed is False
    assert "the tables have no dates" in check.said


def shifted(times: int):
    """The tiny bundle after so many shifts, each found on the model before it."""
    made = replace(bundle("logistic"), model_version="v0")
    for number in range(times):
        found = {
            "model_version": made.model_version,
            "observed_until": "2025-09-30T00:00:00+00:00",
            "shift": -0.4,
            "shift_interval": [-0.6, -0.2],
            "n": 500,
            "wins": 40,
        }
        made = replace(recentre(made, -0.4, found), model_version=f"v{number + 1}")
    return made


def test_a_shift_of_the_champion_rests_on_the_outcomes_it_was_found_in():
    check = check_recentred(shifted(1), shifted(2))
    assert check is not None
    assert (check.name, check.passed) == ("enough", True)
    assert "-0.400 [-0.600, -0.200]" in check.said
    assert "500 snapshots" in check.said
    for champion, challenger in ((None, shifted(1)), (shifted(0), shifted(2)), (shifted(1), shifted(0))):
        assert check_recentred(champion, challenger) is None


# --- log-loss and calibration ------------------------------------------------------------------------


def test_the_loss_of_a_row_is_minus_the_logarithm_of_what_was_given_to_what_happened():
    losses = row_losses(np.array([True, False, True]), np.array([0.5, 0.75, 1.0]))
    np.testing.assert_allclose(losses, [np.log(2), np.log(4), 0], atol=1e-11)
    assert np.isfinite(row_losses(np.array([True]), np.array([0.0]))).all()


def drawn(n: int = 2000):
    """Outcomes drawn from probabilities, which are the best that can be said of them."""
    rng = np.random.default_rng(4)
    truth = rng.uniform(0.05, 0.6, n)
    return rng.random(n) < truth, truth, np.arange(n)


def test_equal_models_differ_by_nothing_and_pass():
    won, truth, groups = drawn()
    table = compare(won, truth, truth, groups, seed=1)
    assert table.loc["log_loss", ["difference", "low", "high"]].tolist() == [0, 0, 0]
    assert check_log_loss(table, PARAMS).passed
    assert check_calibration(table, PARAMS).passed


def test_a_worse_challenger_is_refused_and_passes_where_it_is_the_champion():
    won, truth, groups = drawn()
    worse = np.clip(truth * 2, 0, 0.99)
    as_challenger = compare(won, truth, worse, groups, seed=1)
    as_champion = compare(won, worse, truth, groups, seed=1)
    for check in (check_log_loss, check_calibration):
        assert check(as_challenger, PARAMS).passed is False
        assert check(as_champion, PARAMS).passed is True
    assert "promotion.log_loss" in check_log_loss(as_challenger, PARAMS).said


def test_being_worse_by_no_more_than_the_bound_passes():
    won, truth, groups = drawn()
    table = compare(won, truth, np.clip(truth * 1.5, 0, 0.99), groups, seed=1)
    low = table.loc["log_loss", "low"]
    assert low > 0
    assert check_log_loss(table, params(log_loss=low * 0.9)).passed is False
    assert check_log_loss(table, params(log_loss=low)).passed is True


# --- slices ----------------------------------------------------------------------------------------


def two_channels(bad: float):
    """200 leads of each of two channels, half of them won; of one, the challenger gives winners `bad`."""
    won = np.tile([True, False], 200)
    channel = pd.Series(np.repeat(["ads", "search"], 200))
    champion = np.where(won, 0.6, 0.4)
    challenger = np.where((channel == "ads") & won, bad, champion)
    return won, champion, challenger, np.arange(400), {"channel": channel}


def test_a_slice_that_falls_is_named_with_its_difference():
    check = check_slices(*two_channels(0.3), params(slices=0.05))
    assert check.passed is False
    # Half the leads of ads lose the logarithm of 0.6 / 0.3.
    assert check.figures["slices"]["channel ads"]["difference"] == pytest.approx(np.log(2) / 2)
    assert check.figures["slices"]["channel search"]["difference"] == 0
    assert "channel ads" in check.said


def test_a_slice_within_its_bound_passes():
    assert check_slices(*two_channels(0.3), params(slices=0.4)).passed is True


def test_the_interval_of_a_slice_is_that_of_a_mean_of_groups_shared_by_all_slices():
    won, champion, challenger, groups, slices = two_channels(0.3)
    row = check_slices(won, champion, challenger, groups, slices, PARAMS).figures["slices"]["channel ads"]
    # 100 rows at log 2 and 100 at 0: deviation log(2) / 2; two slices share the 5%, so 2.2414 errors.
    error = np.log(2) / 2 / np.sqrt(199)
    assert row["high"] - row["difference"] == pytest.approx(2.241403 * error, rel=1e-5)
    pairs = check_slices(won, champion, challenger, groups // 2, slices, PARAMS)
    assert pairs.figures["slices"]["channel ads"]["high"] == pytest.approx(row["difference"])


def test_small_slices_and_missing_levels_are_left_out():
    won, champion, challenger, groups, slices = two_channels(0.3)
    assert check_slices(won, champion, challenger, groups, slices, params(min_slice=201)).passed is None
    only = {"channel": slices["channel"].where(slices["channel"] == "search")}
    found = check_slices(won, champion, challenger, groups, only, PARAMS).figures["slices"]
    assert list(found) == ["channel search"]


# --- volumes, tiers, the rest --------------------------------------------------------------------------

CUTOFFS = {"mql": {"probability": 0.2}, "sql": {"probability": 0.5}}


def volumes(**capacity):
    """Four leads: one reaches sql with its second snapshot, two mql; 20 leads come in a week."""
    leads = np.array([0, 0, 1, 2, 3])
    probability = np.array([0.1, 0.5, 0.2, 0.49, 0.19])
    return check_volumes(leads, probability, np.array([10.0, 30.0]), CUTOFFS, params(capacity=capacity))


def test_a_lead_counts_once_by_its_highest_probability():
    check = volumes(sql=5, mql=10)
    assert check.figures["volumes"] == {"sql": 5.0, "mql": 10.0}
    assert check.passed is True


@pytest.mark.parametrize("capacity", [{"sql": 4.9}, {"mql": 9.9}])
def test_more_leads_than_there_is_room_for_are_refused(capacity):
    check = volumes(**capacity)
    assert check.passed is False
    assert "room for" in check.said
    assert "promotion.capacity" in check.said


def test_volumes_are_not_asked_without_a_capacity_or_a_whole_week():
    assert volumes().passed is None
    check = check_volumes(np.array([0]), np.array([0.9]), np.empty(0), CUTOFFS, params(capacity={"sql": 1}))
    assert check.passed is None


def tiers() -> pd.DataFrame:
    return pd.DataFrame(
        {"champion": ["sql", "mql", "mql", "nurture"], "challenger": ["sql", "sql", "sql", "nurture"]}
    )


def test_the_share_of_leads_that_change_tier_is_told_and_bounded_where_params_say_so():
    told = check_tiers(tiers(), PARAMS)
    assert told.passed is None
    assert told.figures["share"] == 0.5
    assert told.figures["moves"] == [{"from": "mql", "to": "sql", "leads": 2}]
    assert "50.0% of 4 open leads" in told.said
    assert check_tiers(tiers(), params(changing_tier=0.5)).passed is True
    assert check_tiers(tiers(), params(changing_tier=0.49)).passed is False
    assert check_tiers(tiers().head(0), PARAMS).passed is None


def test_models_about_other_horizons_or_types_cannot_be_compared():
    types = {"champion": {"employees": "number"}, "challenger": {"employees": "number"}}
    assert check_comparable({"champion": 90, "challenger": 90}, types).passed is True
    other = check_comparable({"champion": 90, "challenger": 30}, types)
    assert other.passed is False
    assert "90 days" in other.said
    assert "30 days" in other.said
    types["champion"] = {"employees": "text"}
    mixed = check_comparable({"champion": 90, "challenger": 90}, types)
    assert mixed.passed is False
    assert "'employees'" in mixed.said


def test_only_a_clean_audit_passes():
    assert check_audit("clean").passed is True
    assert check_audit("stops: PRP101 deal_amount").passed is False
    assert check_audit(None).passed is False


def test_a_first_model_has_to_tell_more_than_the_win_rate():
    won, truth, groups = drawn()
    rate = float(won.mean())
    assert check_better_than_rate(won, truth, rate, groups).passed is True
    assert check_better_than_rate(won, np.full(len(won), rate), rate, groups).passed is False
    assert check_better_than_rate(won[:12], truth[:12], rate, groups[:12]).passed is False


# --- what the checks come to ---------------------------------------------------------------------------


def asked(**passed: bool | None) -> list[Check]:
    return [Check(name, value, "said") for name, value in passed.items()]


@pytest.mark.parametrize(
    ("checks", "first", "too_few", "verdict"),
    [
        (asked(enough=True, log_loss=True, volumes=None), False, "refuse", "promoted"),
        (asked(enough=True, log_loss=False), False, "refuse", "refused"),
        (asked(enough=False), False, "refuse", "too few"),
        (asked(enough=False), False, "promote", "promoted"),
        (asked(enough=False, audit=False), False, "promote", "refused"),
        (asked(enough=None, log_loss=True), True, "refuse", "promoted"),
        (asked(enough=None, log_loss=False), True, "promote", "refused"),
        (asked(enough=None), True, "refuse", "too few"),
        (asked(enough=None), True, "promote", "promoted"),
        (asked(comparable=False), False, "promote", "refused"),
    ],
)
def test_one_failed_check_refuses_and_too_few_outcomes_are_an_answer_of_their_own(
    checks, first, too_few, verdict
):
    assert judge(checks, first=first, too_few=too_few) == verdict
    assert {check.name for check in failed(checks)} == {c.name for c in checks if c.passed is False}
