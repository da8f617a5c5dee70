"""Shifts planted in the simulated CRM: what they change, what they leave alone, and the truth under them."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from propensity.data import mechanism, planted
from propensity.data.extracts import extract_at
from propensity.data.shifts import ChannelChange, DeadFeed, FewerWins
from propensity.data.simulate import HORIZON_DAYS, Simulation, simulate, true_probability, write_simulation
from propensity.errors import InputError
from test_simulate import (
    CREATED,
    events_of,
    normal_share,
    one_lead,
    season_and_drift,
    slow_posterior,
    snapshot,
)

AT = pd.Timestamp("2024-06-03", tz="UTC")
LATER = pd.Timestamp("2024-09-02", tz="UTC")
SHIFTS = (DeadFeed(AT, ("visit", "open")), FewerWins(AT, 0.5), ChannelChange(AT, "referral", -1.5))


@pytest.fixture(scope="module")
def plain() -> Simulation:
    return simulate(1_500, 3)


@pytest.fixture(scope="module")
def shifted() -> Simulation:
    return simulate(20_000, 5, shifts=SHIFTS)


def moment(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def test_a_shift_after_the_end_changes_no_byte(tmp_path):
    never = moment("2030-01-01")
    write_simulation(simulate(150, 9), tmp_path / "without")
    shifts = (DeadFeed(never, ("visit",)), FewerWins(never, 0.5), ChannelChange(never, "referral", -1.5))
    write_simulation(simulate(150, 9, shifts=shifts), tmp_path / "with")
    files = {path.relative_to(tmp_path / "without") for path in (tmp_path / "without").rglob("*.*")}
    assert len(files) == 8
    for file in files:
        if file.parent.name != "truth":
            assert (tmp_path / "with" / file).read_bytes() == (tmp_path / "without" / file).read_bytes()
    truths = [pd.read_parquet(tmp_path / name / "truth/snapshots.parquet") for name in ("with", "without")]
    pd.testing.assert_frame_equal(*truths, rtol=1e-12)
    effects = json.loads((tmp_path / "with/truth/effects.json").read_text())
    assert [shift["shift"] for shift in effects["shifts"]] == ["DeadFeed", "FewerWins", "ChannelChange"]
    assert "shifts" not in json.loads((tmp_path / "without/truth/effects.json").read_text())


def test_a_dead_feed_and_fewer_wins_change_nothing_that_was_known_before(plain):
    changed = simulate(1_500, 3, shifts=SHIFTS[:2])
    before = AT - pd.Timedelta(microseconds=1)
    one, other = extract_at(plain, before), extract_at(changed, before)
    for table in ("events", "outcomes", "stages"):
        pd.testing.assert_frame_equal(getattr(one, table), getattr(other, table))
    honest = one.leads.columns.difference([*one.effects["leak_columns"], "owner"])
    pd.testing.assert_frame_equal(one.leads[honest], other.leads[honest])


def test_a_dead_feed_takes_its_types_and_no_others(plain):
    changed = simulate(1_500, 3, shifts=[DeadFeed(AT, ("visit", "open"))])
    lost = plain.events["type"].isin(["visit", "open"]) & (plain.events["known_at"] >= AT)
    assert lost.sum() > 1_000
    pd.testing.assert_frame_equal(changed.events, plain.events[~lost].reset_index(drop=True))
    pd.testing.assert_frame_equal(changed.outcomes, plain.outcomes)


def test_fewer_wins_turn_wins_into_losses_at_the_same_moment(plain):
    changed = simulate(1_500, 3, shifts=[FewerWins(AT, 0.5), FewerWins(LATER, 0.0)])
    pd.testing.assert_series_equal(changed.outcomes["closed_at"], plain.outcomes["closed_at"])
    pd.testing.assert_frame_equal(changed.events, plain.events)
    turned = changed.outcomes["status"] != plain.outcomes["status"]
    assert (plain.outcomes["status"][turned] == "won").all()
    assert (changed.outcomes["status"][turned] == "lost").all()
    assert (plain.outcomes["closed_at"][turned] >= AT).all()
    won_between = (plain.outcomes["status"] == "won") & plain.outcomes["closed_at"].between(AT, LATER)
    assert 0.25 < turned[won_between].mean() < 0.75
    won = changed.outcomes["status"] == "won"
    assert not (changed.outcomes["closed_at"][won] >= LATER).any()


def test_silence_of_a_dead_feed_tells_nothing_and_what_came_before_still_does():
    """By hand: created 1 March 12:00, looked at on 3 March 18:00, visits dead since 2 March 12:00, age 1."""
    events = events_of(
        ("2024-03-01T18:00", "2024-03-01T18:00", "visit", "pricing"),  # age 0.25
        ("2024-03-03T12:00", "2024-03-03T12:00", "visit", "demo"),  # after the feed died: not recorded
    )
    dead = [DeadFeed(moment("2024-03-02T12:00"), ("visit",))]
    found = true_probability(one_lead(), events, snapshot("2024-03-03T18:00"), horizon_days=90, shifts=dead)
    seen = [("visit", "pricing", 0.25)]
    # The odds of the classes change by the visits not expected after age 1: undo them in the slow rule.
    decay, visits = planted.DECAY_DAYS, np.array(planted.EVENTS_PER_LEAD["visit"])
    unwatched = visits * (np.exp(-1 / decay) - np.exp(-2.25 / decay))
    expected = slow_posterior(season_and_drift(), seen, age=2.25, nightly_age=38 / 24, undo=unwatched)
    assert found[0] == pytest.approx(expected, rel=1e-9)


def test_a_nightly_feed_that_dies_is_known_up_to_its_last_sync():
    """Opens die at 3 March 02:00, the sync of which is lost; the last one before was at age 14/24."""
    dead = [DeadFeed(moment("2024-03-03T02:00"), ("open",))]
    lost = events_of(("2024-03-02T12:00", "2024-03-03T02:00", "open", "offer"))
    found = true_probability(one_lead(), lost, snapshot("2024-03-03T18:00"), horizon_days=90, shifts=dead)
    decay, opens = planted.DECAY_DAYS, np.array(planted.EVENTS_PER_LEAD["open"])
    unwatched = opens * (np.exp(-14 / 24 / decay) - np.exp(-38 / 24 / decay))
    expected = slow_posterior(season_and_drift(), [], age=2.25, nightly_age=38 / 24, undo=unwatched)
    assert found[0] == pytest.approx(expected, rel=1e-9)


def test_fewer_wins_count_from_their_moment_on():
    """By hand: of what would be won, that of the first 20 days is won, then half of it, then a tenth."""
    shifts = [
        FewerWins(CREATED + pd.Timedelta(days=50), 0.2),
        FewerWins(CREATED + pd.Timedelta(days=20), 0.5),
    ]
    created = mechanism.to_micros(pd.Series([CREATED]))
    found = mechanism.won_share(created, np.array([0.0]), np.array([90.0]), shifts)[0]

    def by(age: float, z: int) -> float:
        return normal_share(math.log(age / planted.MEDIAN_DAYS["won"][z]) / planted.LOG_SD_DAYS["won"][z])

    for z in range(3):
        expected = by(20, z) + 0.5 * (by(50, z) - by(20, z)) + 0.1 * (by(90, z) - by(50, z))
        assert found[z] == pytest.approx(expected, rel=1e-12)
    later = mechanism.won_share(created, np.array([60.0]), np.array([90.0]), shifts)[0, 0]
    assert later == pytest.approx(0.1 * (by(90, 0) - by(60, 0)), rel=1e-12)


def test_a_channel_changes_for_leads_created_from_its_moment_on():
    changed = [ChannelChange(CREATED, "referral", -1.5)]
    plain = season_and_drift()
    assert mechanism.log_odds(one_lead(channel="referral"), changed)[0] == pytest.approx(plain - 1.5)
    late = [ChannelChange(CREATED + pd.Timedelta(seconds=1), "referral", -1.5)]
    assert mechanism.log_odds(one_lead(channel="referral"), late)[0] == pytest.approx(plain + 1.1)
    assert mechanism.log_odds(one_lead(channel="partner"), changed)[0] == pytest.approx(plain + 0.7)


@pytest.mark.parametrize("tenths_of", ["all", "referral", "before"])
def test_truth_is_calibrated_in_every_tenth_under_all_shifts_at_once(shifted, tenths_of):
    rows = shifted.truth.merge(shifted.outcomes, on="lead_id").merge(
        shifted.leads[["lead_id", "created_at", "channel"]], on="lead_id"
    )
    until = rows["as_of"] + pd.Timedelta(days=HORIZON_DAYS)
    rows["won"] = (rows["status"] == "won") & (rows["closed_at"] <= until)
    age = (rows["as_of"] - rows["created_at"]) / pd.Timedelta(days=1)
    rows = rows.assign(until=until)
    final = rows[(until <= shifted.observed_until) & (age == 7)]
    chosen = {
        "all": final["as_of"] >= AT,
        "referral": (final["created_at"] >= AT) & (final["channel"] == "referral"),
        "before": (final["as_of"] < AT) & (final["until"] > AT),
    }[tenths_of]
    part = final[chosen]
    assert len(part) > 200
    for _, tenth in part.groupby(pd.qcut(part["true_probability"], 10, labels=False)):
        p = tenth["true_probability"].to_numpy()
        assert abs(tenth["won"].sum() - p.sum()) < 3.5 * math.sqrt((p * (1 - p)).sum())


@pytest.mark.parametrize(
    ("shift", "told"),
    [
        (DeadFeed(AT, ("visit", "fax")), "event types must be among visit, .*; got 'fax'"),
        (ChannelChange(AT, "radio", 0.0), "channels must be among referral, .*; got 'radio'"),
        (FewerWins(AT, 1.5), "must lie in 0 to 1, got 1.5"),
    ],
)
def test_a_shift_of_what_is_not_there_is_refused(shift, told):
    with pytest.raises(InputError, match=told):
        simulate(10, 1, shifts=[shift])


def test_an_extract_holds_what_was_known_at_its_moment(plain):
    found = extract_at(plain, AT)
    assert (
        found.leads["lead_id"].tolist()
        == plain.leads.loc[plain.leads["created_at"] <= AT, "lead_id"].tolist()
    )
    assert found.events["known_at"].max() <= AT
    assert len(found.events) == (plain.events["known_at"] <= AT).sum()
    both = plain.outcomes.merge(found.outcomes, on="lead_id", suffixes=("", "_then"))
    later = ~(both["closed_at"] <= AT)
    assert later.any()
    assert (both["status_then"][later] == "open").all()
    assert both[["closed_at_then", "amount_then", "reason_then"]][later].isna().all(axis=None)
    assert (both["status_then"] == both["status"])[~later].all()
    assert found.leads.columns.tolist() == plain.leads.columns.tolist()
    assert not found.leads.loc[found.outcomes["status"] == "open", "lost_reason_code"].notna().any()


def test_an_extract_names_the_owner_of_its_moment(plain):
    """An oracle: walk through each lead's changes one by one."""
    found = extract_at(plain, AT)
    changes = dict(list(plain.history.groupby("lead_id")))
    for lead_id, final, owner in zip(
        found.leads["lead_id"], plain.leads["owner"], found.leads["owner"], strict=False
    ):
        expected = final
        for row in reversed(list(changes.get(lead_id, plain.history[:0]).itertuples())):
            if row.changed_at > AT:
                expected = row.old
        assert owner == expected


def test_the_extract_at_the_end_is_the_whole(plain):
    found = extract_at(plain, plain.observed_until)
    for table in ("events", "outcomes", "stages", "history", "spend", "truth"):
        pd.testing.assert_frame_equal(getattr(found, table), getattr(plain, table))
    pd.testing.assert_series_equal(found.leads["owner"], plain.leads["owner"])
