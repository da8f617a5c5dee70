"""Snapshots and labels, on leads whose fate is worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from propensity.cohort.labels import add_labels
from propensity.cohort.snapshots import scoring_snapshots, training_snapshots
from propensity.data.fetch import fetch

OBSERVED_UNTIL = datetime(2024, 3, 1, tzinfo=UTC)
LEADS = [
    {"lead_id": "won_day_5", "created_at": "2024-01-01T00:00:00Z"},
    {"lead_id": "lost_day_2", "created_at": "2024-01-01T00:00:00Z"},
    {"lead_id": "open", "created_at": "2024-01-01T00:00:00Z"},
    {"lead_id": "young", "created_at": "2024-02-27T00:00:00Z"},
    {"lead_id": "future", "created_at": "2024-04-01T00:00:00Z"},
]
OUTCOMES = [
    {"lead_id": "won_day_5", "status": "won", "closed_at": "2024-01-06T00:00:00Z"},
    {"lead_id": "lost_day_2", "status": "lost", "closed_at": "2024-01-03T00:00:00Z"},
    {"lead_id": "young", "status": "won", "closed_at": "2024-03-20T00:00:00Z"},
]


@pytest.fixture
def learn(con, make_table):
    def labelled(leads=LEADS, outcomes=OUTCOMES, ages=(0.0, 2.0, 5.0), horizon=30.0, until=OBSERVED_UNTIL):
        snapshots, counts = training_snapshots(
            make_table("leads", leads),
            make_table("outcomes", outcomes),
            make_table("leads", []).select("lead_id"),
            make_table("leads", []).select("lead_id"),
            ages_days=list(ages),
            observed_until=until,
        )
        table = add_labels(snapshots, horizon_days=horizon, observed_until=until, dated_closings=True)
        frame = fetch(con, table.order_by("snapshot"))
        return frame.set_index(["lead_id", "age_days"]), fetch(con, counts).iloc[0].to_dict()

    return labelled


def test_a_lead_has_a_snapshot_at_each_age_at_which_it_is_open(learn):
    table, counts = learn()
    assert set(table.index) == {
        ("won_day_5", 0.0),
        ("won_day_5", 2.0),
        ("lost_day_2", 0.0),
        ("open", 0.0),
        ("open", 2.0),
        ("open", 5.0),
        ("young", 0.0),
        ("young", 2.0),
    }
    # Closed: won_day_5 at day 5, lost_day_2 at days 2 and 5. After the data: young at day 5, future thrice.
    assert counts == {
        "after_the_data": 4,
        "closed": 3,
        "snapshots": 8,
        "leads": 5,
        "disqualified": 0,
        "unsettled": 0,
        "reopened": 0,
        "episodes": 5,
    }


def test_a_lead_closed_at_the_moment_of_the_snapshot_is_closed(learn):
    table, _ = learn(ages=(5.0,))
    assert ("won_day_5", 5.0) not in table.index


def test_a_lead_closed_when_it_was_created_gives_no_snapshot(learn):
    leads = [{"lead_id": "a", "created_at": "2024-01-01T00:00:00Z"}]
    table, counts = learn(leads, [{"lead_id": "a", "status": "won", "closed_at": "2024-01-01T00:00:00Z"}])
    assert table.empty
    assert counts["closed"] == 3


def test_a_win_counts_up_to_the_end_of_the_horizon_and_not_after(learn):
    at_the_end, _ = learn(ages=(0.0,), horizon=5.0)
    just_before, _ = learn(ages=(0.0,), horizon=4.999)
    assert at_the_end.loc[("won_day_5", 0.0), "won"]
    assert not just_before.loc[("won_day_5", 0.0), "won"]


def test_a_snapshot_whose_horizon_reaches_past_the_data_is_immature(learn):
    table, _ = learn()
    assert not table.loc[("young", 0.0), "mature"]
    assert table.loc[("open", 5.0), "mature"]


def test_a_closing_after_the_data_ends_is_not_known(learn):
    table, _ = learn()
    assert table.loc[("young", 0.0), "status"] == "open"
    assert pd.isna(table.loc[("young", 0.0), "closed_at"])


def test_moving_the_clock_changes_immature_labels_only(learn):
    early, _ = learn(until=datetime(2024, 2, 15, tzinfo=UTC))
    late, _ = learn(until=datetime(2024, 3, 25, tzinfo=UTC))
    final = early[early["mature"]]
    assert len(final) > 0
    pd.testing.assert_series_equal(final["won"], late.loc[final.index, "won"])


def test_fractional_ages_are_exact_to_the_microsecond(learn):
    leads = [{"lead_id": "a", "created_at": "2024-01-01T00:00:00.000001Z"}]
    table, _ = learn(leads, [], ages=(1 / 24,))
    assert table["as_of"].iloc[0] == pd.Timestamp("2024-01-01T01:00:00.000001Z")


def test_disqualified_and_unsettled_leads_are_left_out_and_counted(con, make_table):
    leads = make_table("leads", LEADS)
    snapshots, counts = training_snapshots(
        leads,
        make_table("outcomes", OUTCOMES),
        leads.filter(leads.lead_id == "open"),
        leads.filter(leads.lead_id == "young"),
        ages_days=[0.0],
        observed_until=OBSERVED_UNTIL,
    )
    assert not {"open", "young"} & set(fetch(con, snapshots)["lead_id"])
    assert fetch(con, counts)["unsettled"].item() == 1
    assert fetch(con, counts)["disqualified"].item() == 1


def test_without_closing_times_an_open_lead_is_immature_and_never_lost(con, make_table):
    leads = [{"lead_id": x} for x in ("a", "b", "c")]
    outcomes = [{"lead_id": "a", "status": "won"}, {"lead_id": "b", "status": "lost"}]
    snapshots, _ = training_snapshots(
        make_table("leads", leads),
        make_table("outcomes", outcomes),
        make_table("leads", []).select("lead_id"),
        make_table("leads", []).select("lead_id"),
        ages_days=None,
        observed_until=None,
    )
    labelled = add_labels(snapshots, horizon_days=30, observed_until=None, dated_closings=False)
    table = fetch(con, labelled).set_index("lead_id")
    assert table["won"].to_dict() == {"a": True, "b": False, "c": False}
    assert table["mature"].to_dict() == {"a": True, "b": True, "c": False}
    assert table["as_of"].isna().all()


def test_scoring_takes_leads_that_exist_and_are_open_at_the_moment(con, make_table):
    table = fetch(
        con,
        scoring_snapshots(
            make_table("leads", LEADS),
            make_table("outcomes", OUTCOMES),
            as_of=datetime(2024, 3, 1, tzinfo=UTC),
        ),
    ).set_index("lead_id")
    assert sorted(table.index) == ["open", "young"]
    assert table.loc["open", "age_days"] == 60.0


def test_scoring_earlier_takes_the_leads_that_were_open_then(con, make_table):
    table = fetch(
        con,
        scoring_snapshots(
            make_table("leads", LEADS),
            make_table("outcomes", OUTCOMES),
            as_of=datetime(2024, 1, 4, tzinfo=UTC),
        ),
    )
    assert sorted(table["lead_id"]) == ["open", "won_day_5"]
