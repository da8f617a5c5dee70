"""What the monitor's reference says of feeds: weeks as they were, without an outage that lasts to the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor_cases import ask
from propensity.loop.feeds import CHECKS
from propensity.loop.reference import describe_feeds
from propensity.loop.watch import Watch

UNTIL = datetime(2025, 6, 2, 6, tzinfo=UTC)


def daily(kind: str, *, weeks_ago: range) -> list[dict[str, Any]]:
    """Return an event a day in some weeks before `UNTIL`; week 0 is the newest."""
    days = [7 * week + day for week in weeks_ago for day in range(7)]
    at = [UNTIL - timedelta(days=day, hours=1) for day in days]
    return [{"lead_id": "L", "event_at": t, "known_at": t, "type": kind} for t in at]


@pytest.fixture
def described(con, make_table) -> Any:
    rows = [
        *daily("open", weeks_ago=range(31)),
        *daily("visit", weeks_ago=range(5, 31)),
        *daily("form", weeks_ago=range(25, 31)),
    ]

    def describe(*excluded: str) -> dict[str, dict[str, Any]]:
        events = {"events": make_table("events", rows)}
        return {f["type"]: f for f in describe_feeds(con, events, UNTIL, 20, excluded=excluded)}

    return describe


def test_a_feed_that_lives_is_described_by_its_newest_weeks(described):
    """By hand: 7 a week, a day between two, and the week of the first arrival left out."""
    feed = described()["open"]
    assert (feed["weekly"], feed["silent_weeks"]) == ([7] * 20, 0)
    assert feed["silence"] == [24.0] * 20


def test_weeks_of_an_outage_that_lasts_are_counted_and_are_no_reference(described):
    feed = described()["visit"]
    assert (feed["weekly"], feed["silence"], feed["silent_weeks"]) == ([7] * 20, [24.0] * 20, 5)


def test_an_outage_longer_than_the_reference_leaves_the_weeks_before_it(described):
    feed = described()["form"]
    assert (feed["weekly"], feed["silent_weeks"]) == ([7] * 5, 25)


def test_an_event_type_that_is_never_used_is_no_feed(described):
    assert set(described("form", "visit")) == {"open"}


def test_a_model_trained_in_an_outage_keeps_its_alarm(described):
    watch = Watch(
        as_of=UNTIL + timedelta(days=7),
        alpha=0.002,
        reference={"feeds": [described()["visit"]], "until": UNTIL.isoformat()},
        cutoffs={},
        horizon_days=90,
        since=UNTIL,
        seed=1,
        feeds={"events": {}},
    )
    (signal,) = ask(next(check for check in CHECKS if check.name == "silent_feed"), watch)
    assert (signal.status, signal.subject) == ("alarm", "events/visit")
