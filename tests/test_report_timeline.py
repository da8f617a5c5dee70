"""What a lead did, on a line of days around its snapshot."""

from __future__ import annotations

from typing import Any

import pandas as pd

from propensity.features.catalogue import Plan
from propensity.report.timeline import add_timelines

PLAN = Plan({}, {}, event_types={"web": ["visit", "form"], "email": ["open"]})
AS_OF = pd.Timestamp("2025-03-10 12:00", tz="UTC")
COLUMNS = ["lead_id", "event_at", "known_at", "type", "asset"]


def make_events(*rows: tuple[float, float, str, str | None], lead: str = "a") -> pd.DataFrame:
    """Each row: days from the snapshot to the event and to its being known, type, asset."""
    made = [
        (lead, AS_OF + pd.Timedelta(days=at), AS_OF + pd.Timedelta(days=known), kind, asset)
        for at, known, kind, asset in rows
    ]
    return pd.DataFrame(made, columns=COLUMNS)


def get_timeline(events: pd.DataFrame | None, *, until: float = 100.0, cards: int = 1) -> Any:
    shown = pd.DataFrame({"lead_id": ["a", *(f"x{i}" for i in range(cards - 1))], "as_of": AS_OF})
    told = add_timelines(shown, events, PLAN, until=AS_OF + pd.Timedelta(days=until))
    return told["timeline"][0]


def get_marks(timeline: dict[str, Any]) -> list[tuple[str, float, str, bool]]:
    return [
        (lane["name"], m["x"], m["text"], m["after"]) for lane in timeline["lanes"] for m in lane["marks"]
    ]


def test_marks_lie_in_the_lane_of_their_qualifier_by_days_from_the_snapshot() -> None:
    timeline = get_timeline(
        make_events((-2.5, -2.5, "open", "digest"), (-4, -4, "form", "demo"), (3, 3, "visit", None))
    )
    assert get_marks(timeline) == [
        ("Web", -4.0, "form demo, 2025-03-06", False),
        ("Web", 3.0, "visit, 2025-03-13", True),
        ("E-mail", -2.5, "open digest, 2025-03-08", False),
    ]
    assert (timeline["start"], timeline["moment"], timeline["end"], timeline["more"]) == (-4.0, 0.0, 3.0, 0)
    assert timeline["caption"] == (
        "2 actions known at the snapshot of 2025-03-10, 1 that came or became known after it"
    )


def test_what_happened_before_but_was_known_later_is_marked_as_after() -> None:
    timeline = get_timeline(make_events((0, 0, "visit", "home"), (-1, 0.1, "visit", "home")))
    assert get_marks(timeline) == [
        ("Web", -1.0, "visit home, 2025-03-09, known later", True),
        ("Web", 0.0, "visit home, 2025-03-10", False),
    ]


def test_the_same_action_on_one_day_is_one_mark() -> None:
    timeline = get_timeline(make_events(*((-1 - i / 100, -1.0, "visit", "home") for i in range(3))))
    assert get_marks(timeline) == [("Web", -1.0, "visit home, 3 times, 2025-03-09", False)]
    assert timeline["more"] == 0


def test_only_types_in_use_and_only_what_the_data_covers_are_shown() -> None:
    events = make_events((-1, -1, "call", None), (5, 5, "visit", None), (-1, 5, "visit", None))
    assert get_timeline(events, until=4.0) is None
    assert get_timeline(None) is None
    assert get_timeline(make_events((-1, -1, "visit", None), lead="other")) is None


def test_the_newest_before_and_the_first_after_are_kept_and_the_rest_counted() -> None:
    before = [(-float(i), -float(i), "visit", "home") for i in range(1, 61)]
    after = [(float(i), float(i), "visit", "home") for i in range(1, 31)]
    timeline = get_timeline(make_events(*before, *after))
    marks = [x for _, x, _, _ in get_marks(timeline)]
    assert marks == [float(x) for x in [*range(-30, 0), *range(1, 11)]]
    assert timeline["more"] == 50


def test_a_page_with_many_cards_has_fewer_marks_on_each() -> None:
    events = make_events(*((-float(i), -float(i), "visit", "home") for i in range(1, 61)))
    assert [len(get_marks(get_timeline(events, cards=n))) for n in (1, 200, 500, 5000)] == [40, 40, 16, 12]


def test_a_lead_without_a_date_has_no_timeline() -> None:
    cards = pd.DataFrame({"lead_id": ["a"], "as_of": pd.to_datetime([None], utc=True)})
    assert add_timelines(cards, make_events((-1, -1, "visit", None)), PLAN, until=None)["timeline"][0] is None


def test_addresses_in_assets_are_masked() -> None:
    timeline = get_timeline(make_events((-1, -1, "visit", "/thanks?mail=ana%40example.com&x=1")))
    assert get_marks(timeline)[0][2] == "visit /thanks?mail=[e-mail address]&x=1, 2025-03-09"
