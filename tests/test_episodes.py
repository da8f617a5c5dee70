"""Leads that come back: on cases worked out by hand, against a plain loop, and blind to the future."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_worlds import LAST_DAY, as_tables, at, export, lives_of_leads
from propensity.cohort.episodes import known_episodes, lead_episodes
from propensity.cohort.labels import add_labels
from propensity.cohort.snapshots import scoring_snapshots, training_snapshots
from propensity.data.fetch import fetch
from propensity.features.build import build_features
from propensity.features.catalogue import Plan

MOMENT = "timestamp('UTC', 6)"
LEAD = [{"lead_id": "a", "created_at": at(0)}]


def closed(status: str, day: float, **more: Any) -> dict[str, Any]:
    return {"lead_id": "a", "status": status, "closed_at": at(day), **more}


def still_open(**more: Any) -> dict[str, Any]:
    return {"lead_id": "a", "status": "open", "closed_at": None, **more}


def stage(day: float, lead_id: str = "a") -> dict[str, Any]:
    return {"lead_id": lead_id, "stage": "working", "entered_at": at(day)}


def event(day: float, *, late: float = 0, lead_id: str = "a") -> dict[str, Any]:
    return {"lead_id": lead_id, "event_at": at(day), "known_at": at(day + late), "type": "visit"}


@pytest.fixture
def find(con, make_table):
    def episodes(outcomes, *, stages=None, events=None, leads=LEAD, until=None):
        extra = {"opened_at": MOMENT} if any("opened_at" in row for row in outcomes) else {}
        found = lead_episodes(
            make_table("leads", leads),
            make_table("outcomes", outcomes, **extra),
            stages=None if stages is None else make_table("stages", stages),
            events=None if events is None else make_table("events", events),
        )
        known = known_episodes(found, observed_until=until)
        return fetch(con, known.order_by("lead_id", "episode"))

    return episodes


def days(moments: pd.Series) -> list[float | None]:
    passed = (moments - pd.Timestamp(at(0))) / pd.Timedelta(days=1)
    return [None if pd.isna(day) else day for day in passed]


# --- where an episode begins and ends --------------------------------------------------------------


@pytest.mark.parametrize("outcomes", [[], [still_open()], [closed("lost", 4)]])
def test_a_lead_with_one_outcome_or_none_has_one_episode_from_its_creation(find, outcomes):
    found = find(outcomes, stages=[stage(1)], events=[event(2)])
    assert found["episode"].tolist() == [1]
    assert days(found["opened_at"]) == [0]
    assert found["status"].tolist() == [outcomes[0]["status"] if outcomes else "open"]


def test_each_close_ends_an_episode_and_an_open_row_is_the_last(find):
    found = find([still_open(), closed("won", 9), closed("lost", 4)], stages=[stage(6), stage(12)])
    assert found["episode"].tolist() == [1, 2, 3]
    assert found["status"].tolist() == ["lost", "won", "open"]
    assert days(found["opened_at"]) == [0, 6, 12]
    assert days(found["closed_at"]) == [4, 9, None]


@pytest.mark.parametrize(
    ("stages", "events", "opened"),
    [
        ([stage(7), stage(6)], [event(5)], 6),  # a stage before an event, the first of them
        ([stage(4), stage(9)], [event(5.5), event(5)], 5),  # none strictly between the closes: the event
        ([stage(3), stage(10)], [event(4), event(9)], 4),  # neither: at the close before
        ([], [event(3.5, late=3), event(5, late=2)], 7),  # what happened before the close opens nothing
        ([], [event(5, late=4)], 4),  # known only when it was closed again
        ([stage(6, "b")], [event(5, lead_id="b")], 4),  # another lead's
        (None, None, 4),
    ],
)
def test_a_later_episode_begins_with_the_first_sign_of_life_after_the_close(find, stages, events, opened):
    found = find([closed("lost", 4), closed("won", 9)], stages=stages, events=events)
    assert days(found["opened_at"]) == [0, opened]


def test_an_open_episode_begins_with_the_first_sign_of_life_however_late(find):
    found = find([closed("lost", 4), still_open()], stages=[], events=[event(400)])
    assert days(found["opened_at"]) == [0, 400]


def test_a_stated_opening_counts_unless_it_overlaps_what_was_before(find):
    outcomes = [
        closed("lost", 4, opened_at=at(1)),
        closed("won", 9, opened_at=at(2)),
        closed("lost", 14, opened_at=at(12)),
        still_open(opened_at=None),
    ]
    assert days(find(outcomes, stages=[stage(11), stage(16)])["opened_at"]) == [1, 4, 12, 16]
    assert days(find([still_open(opened_at=at(-3))])["opened_at"]) == [0]


def test_a_closed_lead_stays_closed_whatever_it_does(con, make_table):
    tables = {
        "stages": make_table("stages", [stage(6)]),
        "events": make_table("events", [event(5), event(7)]),
    }
    leads, outcomes = make_table("leads", LEAD), make_table("outcomes", [closed("lost", 4)])
    assert fetch(con, scoring_snapshots(leads, outcomes, as_of=at(8), **tables)).empty


# --- the clock -------------------------------------------------------------------------------------


def test_the_clock_hides_later_episodes_and_later_closes(find):
    outcomes = [closed("lost", 4), closed("won", 9), still_open()]
    stages = [stage(6), stage(12)]

    def at_day(day: float) -> list[tuple[int, str]]:
        found = find(outcomes, stages=stages, until=at(day))
        return list(zip(found["episode"], found["status"], strict=True))

    assert at_day(3) == [(1, "open")]
    assert at_day(4) == [(1, "lost")]
    assert at_day(6) == [(1, "lost"), (2, "open")]
    assert at_day(9) == [(1, "lost"), (2, "won")]
    assert at_day(12) == [(1, "lost"), (2, "won"), (3, "open")]


# --- snapshots and labels --------------------------------------------------------------------------


@pytest.fixture
def learn(con, make_table):
    def labelled(outcomes, *, stages=(), leads=LEAD, ages=(0.0, 2.0), until=100.0, horizon=30.0):
        none = make_table("leads", []).select("lead_id")
        snapshots, counts = training_snapshots(
            make_table("leads", leads),
            make_table("outcomes", outcomes),
            none,
            none,
            ages_days=list(ages),
            observed_until=at(until),
            stages=make_table("stages", list(stages)),
        )
        made = add_labels(snapshots, horizon_days=horizon, observed_until=at(until), dated_closings=True)
        return fetch(con, made.order_by("snapshot")), fetch(con, counts).iloc[0].to_dict()

    return labelled


def test_a_snapshot_has_the_label_of_the_episode_that_was_open(learn):
    table, counts = learn([closed("lost", 4), closed("won", 9)], stages=[stage(6)])
    assert days(table["as_of"]) == [0, 2, 6, 8]
    assert table["age_days"].tolist() == [0, 2, 0, 2]
    # Won on day 9, within the horizon of all four, but it is the second episode that was won.
    assert table["won"].tolist() == [False, False, True, True]
    assert (counts["leads"], counts["reopened"], counts["episodes"]) == (1, 1, 2)


def test_leads_closed_as_they_came_give_no_snapshot_and_are_not_refused(learn):
    table, counts = learn([closed("won", 0), closed("lost", 2)])
    assert days(table["as_of"]) == [0]  # the second episode begins at the close of the first
    assert table["won"].tolist() == [False]
    assert counts["closed"] == 3


def test_the_age_of_a_reopened_lead_is_a_feature_from_its_creation_on(con, make_table):
    leads = make_table("leads", LEAD)
    outcomes = make_table("outcomes", [closed("lost", 4), still_open()])
    spine = scoring_snapshots(leads, outcomes, as_of=at(10), stages=make_table("stages", [stage(6)]))
    built = build_features(spine, leads, Plan(attributes={}, qualifier_of={}))
    assert fetch(con, spine)["age_days"].tolist() == [4]
    assert fetch(con, built)["age_days"].tolist() == [10]


def test_colleagues_see_each_close(con, make_table):
    leads = make_table("leads", [{**LEAD[0], "lead_id": x, "account_id": "x"} for x in ("a", "b")])
    outcomes = make_table("outcomes", [closed("lost", 1), closed("won", 3), closed("lost", 5), still_open()])
    plan = Plan({}, {}, event_types={"web": ["visit"]}, lookback_days=[7.0], has_account=True)
    spine = make_table(
        "spine",
        [
            {"snapshot": i, "lead_id": "b", "account_id": "x", "created_at": at(0), "as_of": at(day)}
            for i, day in enumerate([0, 1, 4, 5])
        ],
    )
    built = build_features(spine, leads, plan, events=make_table("events", []), outcomes=outcomes)
    table = fetch(con, built.order_by("snapshot"))
    assert table["account_lost"].tolist() == [0, 1, 1, 2]
    assert table["account_won"].tolist() == [0, 0, 1, 1]


# --- properties ------------------------------------------------------------------------------------

DAYS = st.integers(0, 20).map(float)


@st.composite
def outcome_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    ends = draw(st.lists(DAYS, max_size=4, unique=True))
    rows = [closed(draw(st.sampled_from(["won", "lost"])), end) for end in ends]
    rows += [still_open()] if draw(st.booleans()) else []
    stated = draw(st.booleans())
    for row in rows if stated else ():
        day = draw(st.none() | DAYS)
        row["opened_at"] = None if day is None else min(at(day), row["closed_at"] or at(day))
    return draw(st.permutations(rows))


@settings(max_examples=30)
@given(outcome_rows(), st.lists(DAYS, max_size=4), st.lists(DAYS, max_size=4))
def test_episodes_agree_with_a_plain_loop(find, outcomes, stages, events):
    found = find(outcomes, stages=[stage(d) for d in stages], events=[event(d) for d in events])
    expected = _plainly(outcomes, [at(d) for d in stages], [at(d) for d in events])
    assert [
        (row.opened_at.to_pydatetime(), row.status, None if pd.isna(row.closed_at) else row.closed_at)
        for row in found.itertuples()
    ] == expected


def _plainly(
    outcomes: list[dict[str, Any]], stages: list[datetime], events: list[datetime]
) -> list[tuple[datetime, str, datetime | None]]:
    for_ever = at(0) + timedelta(days=10_000)
    rows = sorted(outcomes or [still_open()], key=lambda row: row["closed_at"] or for_ever)
    before, found = None, []
    for row in rows:
        opened = row.get("opened_at")
        for signs in (stages, events):
            inside = [s for s in signs if before and before < s < (row["closed_at"] or for_ever)]
            opened = opened or min(inside, default=None)
        earliest = before or at(0)
        found.append((max(opened or earliest, earliest), row["status"], row["closed_at"]))
        before = row["closed_at"]
    return found


@settings(max_examples=20)
@given(outcome_rows(), st.lists(DAYS, max_size=4), st.lists(DAYS, min_size=1, max_size=4, unique=True))
def test_a_lead_is_looked_at_once_at_a_moment(learn, outcomes, stages, ages):
    plain = [{k: v for k, v in row.items() if k != "opened_at"} for row in outcomes]
    table, _ = learn(plain, stages=[stage(d) for d in stages], ages=ages)
    assert not table.duplicated(["lead_id", "as_of"]).any()


MOMENTS = st.integers(0, 4 * LAST_DAY).map(lambda quarters: quarters / 4)


@settings(max_examples=15)
@given(lives_of_leads(), MOMENTS, st.booleans())
def test_what_comes_later_changes_neither_who_is_looked_at_nor_when(con, make_table, lives, moment, opened):
    """The export of a moment and a later one give the same snapshots up to that moment."""
    seen = []
    for until in (moment, 2.0 * LAST_DAY):
        tables = as_tables(export(lives, until, opened=opened), make_table, opened=opened)
        signs = {name: tables[name] for name in ("stages", "events")}
        scored = scoring_snapshots(tables["leads"], tables["outcomes"], as_of=at(moment), **signs)
        none = tables["leads"].filter(False).select("lead_id")
        learned, _ = training_snapshots(
            tables["leads"],
            tables["outcomes"],
            none,
            none,
            ages_days=[0.0, 1.0, 2.5, 10.0],
            observed_until=at(until),
            **signs,
        )
        keys = ["lead_id", "as_of", "age_days"]
        frame = fetch(con, learned.order_by("snapshot"))[keys]
        seen.append((fetch(con, scored.order_by("snapshot"))[keys], frame[frame["as_of"] <= at(moment)]))
    for early, late in zip(*seen, strict=True):
        pd.testing.assert_frame_equal(early.reset_index(drop=True), late.reset_index(drop=True))
