"""The horizon found from the data: by hand, against another library, and against a simulated truth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sksurv.nonparametric import cumulative_incidence_competing_risks

from propensity.cohort.delay import (
    ROUND_DAYS,
    describe_horizon,
    episode_times,
    horizon_to_json,
    resolve_horizon,
)
from propensity.cohort.incidence import cumulative_incidence, follow_episodes
from propensity.cohort.labels import add_labels
from propensity.cohort.snapshots import training_snapshots
from propensity.data.fetch import fetch
from propensity.data.files import to_json
from propensity.errors import InputError

START = pd.Timestamp("2020-01-01", tz="UTC")


def episodes(fates, *, opened_day=0.0, until_day: float = 1000.0):
    """One row for each (status, days to the closing or None), opened on `opened_day`."""
    status, days = zip(*fates, strict=True)
    opened = START + pd.to_timedelta(np.broadcast_to(opened_day, len(fates)), unit="D")
    frame = pd.DataFrame(
        {
            "lead_id": [f"l{i:05d}" for i in range(len(fates))],
            "account_id": pd.Series([None] * len(fates), dtype="str"),
            "opened_at": opened.as_unit("us"),
            "status": list(status),
        }
    )
    waited = pd.to_timedelta(pd.Series(days, dtype="float64"), unit="D").dt.round("us")
    frame["closed_at"] = (frame["opened_at"] + waited).astype("datetime64[us, UTC]")
    return frame, (START + pd.Timedelta(days=until_day)).to_pydatetime()


def find(fates, asked="auto", *, seed=1, **options):
    frame, until = episodes(fates, **options)
    return resolve_horizon(frame, asked, observed_until=until, seed=seed)


ONE_WIN_A_DAY = [("won", day) for day in range(1, 101)] + [("open", None)] * 60


def test_the_horizon_is_the_time_by_which_nine_tenths_of_the_wins_have_come():
    found = find(ONE_WIN_A_DAY)
    assert (found.estimate, found.days, found.source, found.capped) == (90.0, 90.0, "data", False)
    assert (found.n_leads, found.n_wins, found.watched) == (160, 100, 1000.0)
    assert found.covered == pytest.approx(0.9)
    assert found.low <= 90 <= found.high


def test_a_short_history_caps_the_horizon_at_a_tenth_of_it_and_keeps_the_estimate():
    found = find(ONE_WIN_A_DAY, until_day=350)
    assert (found.estimate, found.longest, found.days, found.capped) == (90.0, 35.0, 30.0, True)
    assert found.covered == pytest.approx(0.3)


def test_one_lead_of_another_century_is_no_history():
    frame, until = episodes([*ONE_WIN_A_DAY, ("open", None)], until_day=350)
    frame.loc[160, "opened_at"] = pd.Timestamp("1970-01-01", tz="UTC")
    assert resolve_horizon(frame, "auto", observed_until=until, seed=1).days == 30


def test_lost_leads_compete_and_open_ones_are_censored():
    # Six leads: won at 1, lost at 2, open at 2, won at 3, open at 4, won at 5.
    place, fate = np.array([0, 1, 1, 2, 3, 4]), np.array([1, 2, 0, 1, 0, 1])
    won, lost = cumulative_incidence(place, fate, np.ones(6))
    # Still open: 5/6 after 1, 5/6 * 4/5 = 2/3 after 2, 2/3 * 2/3 = 4/9 after 3.
    np.testing.assert_allclose(won, [1 / 6, 1 / 6, 1 / 6 + 2 / 9, 1 / 6 + 2 / 9, 1 / 6 + 2 / 9 + 4 / 9])
    np.testing.assert_allclose(lost, [0, 1 / 6, 1 / 6, 1 / 6, 1 / 6])


leads_with_ties = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 2)), min_size=4, max_size=40).filter(
    lambda rows: {1, 2} <= {fate for _, fate in rows}
)


@given(leads_with_ties)
def test_the_curve_is_that_of_scikit_survival(rows):
    days, fate = (np.array(column) for column in zip(*rows, strict=True))
    times, place = np.unique(days, return_inverse=True)
    won, lost = cumulative_incidence(place, fate, np.ones(len(fate)))
    expected_times, expected = cumulative_incidence_competing_risks(fate, days)
    np.testing.assert_array_equal(times, expected_times)
    np.testing.assert_allclose(won, expected[1], atol=1e-12)
    np.testing.assert_allclose(lost, expected[2], atol=1e-12)


@given(leads_with_ties, st.integers(0, 100))
def test_a_lead_that_counts_twice_is_two_leads(rows, seed):
    days, fate = (np.array(column) for column in zip(*rows, strict=True))
    times = np.random.default_rng(seed).integers(1, 4, len(fate))
    place = np.unique(days, return_inverse=True)[1]
    won, _ = cumulative_incidence(place, fate, times.astype(float))
    expected, _ = cumulative_incidence(np.repeat(place, times), np.repeat(fate, times), np.ones(times.sum()))
    np.testing.assert_allclose(won, expected, atol=1e-12)


def test_what_is_never_open_while_watched_is_left_out():
    frame, until = episodes(
        [("won", 5), ("lost", 0), ("won", None), ("open", None), ("won", 400)], until_day=300
    )
    frame.loc[3, "opened_at"] = START + pd.Timedelta(days=301)
    followed = follow_episodes(frame, until)
    assert followed["lead_id"].tolist() == ["l00000", "l00004"]
    assert followed["days"].tolist() == [5, 300]
    assert followed["fate"].tolist() == [1, 0]


def simulated(rng, n):
    """Wins after a median of 20 days, losses after 10, staggered over 400 days, watched for 500."""
    opened = rng.uniform(0, 400, n)
    fate = rng.choice(["won", "lost", "open"], n, p=[0.3, 0.4, 0.3])
    days = np.where(fate == "won", 20 * rng.lognormal(0, 0.8, n), 10 * rng.lognormal(0, 0.5, n))
    still_open = (fate == "open") | (opened + days > 500)
    fates = list(zip(np.where(still_open, "open", fate), np.where(still_open, np.nan, days), strict=True))
    return find(fates, opened_day=opened, until_day=500.0, seed=3)


def test_the_interval_holds_the_true_time_about_as_often_as_it_says():
    # 90% of a log-normal's mass: 20 days times exp(0.8 * 1.2816).
    truth = 20 * np.exp(0.8 * 1.2815515655)
    found = [simulated(np.random.default_rng(seed), 1500) for seed in range(60)]
    held = sum(f.low <= truth <= f.high for f in found)
    # 95% of 60 is 57; fewer than 51 would come once in two hundred times.
    assert held >= 51
    assert np.mean([f.estimate for f in found]) == pytest.approx(truth, rel=0.05)


def test_open_leads_left_out_would_make_the_wins_look_quicker_than_they_are():
    rng = np.random.default_rng(5)
    opened = rng.uniform(0, 100, 4000)
    days = rng.exponential(40, 4000)
    still_open = opened + days > 100
    status = np.where(still_open, "open", np.where(rng.random(4000) < 0.5, "won", "lost"))
    fates = list(zip(status, np.where(still_open, np.nan, days), strict=True))
    found = find(fates, opened_day=opened, until_day=100.0)
    # The share of an exponential's wins by the last time watched, at 0.9 of which the horizon stands.
    truth = -40 * np.log(1 - 0.9 * (1 - np.exp(-found.watched / 40)))
    naive = np.quantile(days[status == "won"], 0.9)
    assert found.low <= truth <= found.high
    assert naive < found.low


def test_wins_within_hours_give_a_horizon_in_hours():
    found = find([("won", hours / 24) for hours in np.linspace(0.1, 10, 100)] + [("open", None)] * 60)
    assert found.days == pytest.approx(8 / 24)
    assert describe_horizon(found).startswith("horizon 0.3333 days")


def test_wins_quicker_than_an_hour_give_an_hour():
    assert find([("won", 1e-3)] * 100 + [("open", None)] * 60).days == pytest.approx(1 / 24)


@pytest.mark.parametrize(("wins", "open_leads"), [(19, 100), (30, 10)])
def test_too_few_wins_or_leads_are_refused_with_the_remedy(wins, open_leads):
    fates = [("won", 5)] * wins + [("open", None)] * open_leads
    message = (
        rf"20 wins.*50 or more leads.*of {wins + open_leads} leads {wins} are won.*set snapshots.horizon_days"
    )
    with pytest.raises(InputError, match=message):
        find(fates)
    given_by_hand = find(fates, 30.0)
    assert (given_by_hand.days, given_by_hand.source, given_by_hand.estimate) == (30.0, "params", None)


def test_a_history_of_hours_is_refused():
    fates = [("won", day / 1000) for day in range(1, 101)] + [("open", None)] * 60
    with pytest.raises(InputError, match=r"ten hours or more.*8 hours.*by hand"):
        find(fates, until_day=1 / 3)


def test_a_given_horizon_stands_and_the_curve_is_shown_beside_it():
    found = find(ONE_WIN_A_DAY, 50.0)
    assert (found.days, found.source, found.estimate, found.capped) == (50.0, "params", 90.0, False)
    assert found.covered == pytest.approx(0.5)
    assert "from params, covers 50%" in describe_horizon(found)
    assert found.curve["won"].iloc[-1] == pytest.approx(100 / 160)


def test_the_curve_rises_within_its_band_and_has_at_most_a_hundred_points():
    curve = simulated(np.random.default_rng(1), 3000).curve
    assert 20 < len(curve) <= 102
    assert (curve["won"].diff().dropna() >= 0).all()
    assert (curve["at_risk"].diff().dropna() <= 0).all()
    assert curve["at_risk"].min() >= 50
    inside = (curve["won_low"] <= curve["won"]) & (curve["won"] <= curve["won_high"])
    assert inside.all()


def test_leads_of_one_account_widen_the_interval():
    frame, until = episodes(ONE_WIN_A_DAY * 3)
    alone = resolve_horizon(frame, "auto", observed_until=until, seed=1)
    frame["account_id"] = [f"a{i % 160}" for i in range(480)]
    together = resolve_horizon(frame, "auto", observed_until=until, seed=1)
    assert together.estimate == alone.estimate
    assert together.high - together.low > 1.3 * (alone.high - alone.low)


def test_the_order_of_the_rows_changes_nothing():
    frame, until = episodes(ONE_WIN_A_DAY)
    shuffled = frame.sample(frac=1, random_state=3)
    one, other = (
        to_json(horizon_to_json(resolve_horizon(f, "auto", observed_until=until, seed=1)))
        for f in (frame, shuffled)
    )
    assert one == other


def test_without_closing_times_there_is_no_horizon_to_find():
    found = resolve_horizon(None, "auto", observed_until=None, seed=1)
    assert found.days is None
    assert describe_horizon(found) == "no horizon: closings have no date"
    assert resolve_horizon(None, 90, observed_until=None, seed=1).days == 90


def test_episodes_of_leads_that_are_not_learned_from_are_not_counted(con, make_table):
    leads = make_table("leads", [{"lead_id": x, "created_at": "2024-01-01T00:00:00Z"} for x in "abc"])
    outcomes = make_table(
        "outcomes", [{"lead_id": "a", "status": "won", "closed_at": "2024-01-06T00:00:00Z"}]
    )
    one, other = leads.filter(leads.lead_id == "b"), leads.filter(leads.lead_id == "c")
    until = datetime(2024, 1, 3, tzinfo=UTC)
    table = fetch(con, episode_times(leads, outcomes, one, other, observed_until=until))
    # The win lies after the end of the data.
    assert table[["lead_id", "status"]].to_numpy().tolist() == [["a", "open"]]


def test_every_horizon_is_a_round_number():
    assert sorted(ROUND_DAYS) == list(ROUND_DAYS)
    assert find(ONE_WIN_A_DAY, until_day=777).days == 60


# --- The clock -------------------------------------------------------------------------------------

CREATED = datetime(2024, 1, 1, tzinfo=UTC)
SECONDS = st.integers(0, 86_399)
# Closings, windows and clocks crowd the same three weeks, so that many windows are cut by a clock.
a_lead = st.tuples(st.integers(0, 9), st.sampled_from(["won", "lost", "open"]), st.integers(0, 20), SECONDS)


def labelled_at(con, make_table, rows, until):
    leads, outcomes = [], []
    for i, (day, status, wait, seconds) in enumerate(rows):
        created = CREATED + timedelta(days=day)
        leads.append({"lead_id": f"l{i}", "created_at": created.isoformat()})
        closed = None if status == "open" else (created + timedelta(days=wait, seconds=seconds)).isoformat()
        outcomes.append({"lead_id": f"l{i}", "status": status, "closed_at": closed})
    tables = make_table("leads", leads), make_table("outcomes", outcomes)
    nobody = make_table("leads", []).select("lead_id")
    snapshots, _ = training_snapshots(
        *tables, nobody, nobody, ages_days=[0.0, 0.5, 7.0], observed_until=until
    )
    table = add_labels(snapshots, horizon_days=14.0, observed_until=until, dated_closings=True)
    return fetch(con, table).set_index(["lead_id", "as_of"])[["won", "mature"]]


@settings(max_examples=15, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(a_lead, min_size=30, max_size=60), st.integers(10, 25), st.integers(0, 15), SECONDS)
def test_moving_the_clock_changes_immature_labels_only(con, make_table, rows, day, later, seconds):
    first = CREATED + timedelta(days=day, seconds=seconds)
    early = labelled_at(con, make_table, rows, first)
    late = labelled_at(con, make_table, rows, first + timedelta(days=later))
    assert set(early.index) <= set(late.index)
    final = early[early["mature"]]
    assert late.loc[final.index, "mature"].all()
    pd.testing.assert_series_equal(final["won"], late.loc[final.index, "won"])
