"""Snapshots that were judged: their labels, and what they count in fitting."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from propensity.cohort.judged import judged_labels, tell_judged, weigh_judged

UNTIL = datetime(2025, 6, 1, tzinfo=UTC)


def labels(con: Any, make_table: Any, moments: list[tuple[str, str | None]], **more: Any) -> dict[Any, Any]:
    leads = [{"lead_id": i, "created_at": "2025-01-01"} for i in "WLOU"]
    outcomes = [
        {"lead_id": "W", "status": "won", "closed_at": "2025-02-10"},
        {"lead_id": "L", "status": "lost", "closed_at": "2025-02-10"},
        {"lead_id": "O", "status": "open"},
    ]
    given = make_table("spine", [{"lead_id": i, "as_of": at} for i, at in moments]).select("lead_id", "as_of")
    table = judged_labels(
        given,
        make_table("leads", leads),
        make_table("outcomes", outcomes),
        make_table("leads", [{"lead_id": "U"}]).select("lead_id"),
        **({"observed_until": UNTIL, "horizon_days": 30.0, "dated_closings": True} | more),
    )
    rows = con.to_pyarrow(table).to_pylist()
    return {(r["lead_id"], f"{r['as_of']:%m-%d}"): (r["won"], r["mature"], r["known"]) for r in rows}


def test_a_moment_is_labelled_as_a_snapshot_is(con, make_table):
    found = labels(
        con,
        make_table,
        [
            ("W", "2025-02-01"),
            ("W", "2025-01-05"),
            ("L", "2025-02-01"),
            ("O", "2025-02-01"),
            ("O", "2025-05-20"),
        ],
    )
    closed = datetime(2025, 2, 10, tzinfo=UTC)
    assert found["W", "02-01"] == (True, True, closed)
    assert found["W", "01-05"] == (False, True, datetime(2025, 2, 4, tzinfo=UTC))  # the horizon ended first
    assert found["L", "02-01"] == (False, True, closed)
    assert found["O", "02-01"] == (False, True, datetime(2025, 3, 3, tzinfo=UTC))
    assert found["O", "05-20"][:2] == (False, False)


def test_a_lead_that_was_not_open_then_or_is_unsettled_has_no_label(con, make_table):
    moments = [("W", "2025-03-01"), ("W", "2024-12-01"), ("U", "2025-02-01")]
    assert labels(con, make_table, moments) == {}


def snapshots() -> pd.DataFrame:
    """A lead looked at twice and won in May, and one that stays open; horizons of 90 days."""
    frame = pd.DataFrame(
        {
            "lead_id": ["A", "A", "B", "B"],
            "as_of": ["2025-01-01", "2025-01-31", "2025-01-01", "2025-01-31"],
            "closed_at": ["2025-03-01", "2025-03-01", None, None],
        }
    )
    for name in ("as_of", "closed_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    return frame.assign(label_end=frame["as_of"] + pd.Timedelta(days=90))


def weigh(*given: tuple[str, str, str], part: str = "train") -> tuple[list[float], dict[str, Any]]:
    verdicts = pd.DataFrame(list(given), columns=["lead_id", "as_of", "given_at"])
    for name in ("as_of", "given_at"):
        verdicts[name] = pd.to_datetime(verdicts[name], utc=True).astype("datetime64[us, UTC]")
    parts = pd.Series([part] * 4)
    weight, counts = weigh_judged(snapshots(), parts, pd.Series([1.0, 1.0, 1.0, 0.5]), verdicts, times=3.0)
    return weight.tolist(), counts


def test_the_snapshot_that_was_judged_weighs_more():
    weight, counts = weigh(("A", "2025-01-01", "2025-01-02"))
    assert weight == [3.0, 1.0, 1.0, 0.5]
    assert counts == {"verdicts": 1, "matched": 1, "known_before": 0, "snapshots": 1, "times": 3.0}
    assert tell_judged(counts).startswith("1 judged snapshots count 3 times")


def test_a_verdict_between_two_ages_belongs_to_the_one_before():
    assert weigh(("B", "2025-02-15", "2025-02-16"))[0] == [1.0, 1.0, 1.0, 1.5]


def test_several_verdicts_on_a_snapshot_weigh_once():
    assert weigh(("A", "2025-01-01", "2025-01-02"), ("A", "2025-01-01", "2025-01-03"))[0] == [
        3.0,
        1.0,
        1.0,
        0.5,
    ]


def test_a_verdict_after_the_horizon_or_before_the_lead_belongs_to_none():
    weight, counts = weigh(("B", "2025-07-01", "2025-07-02"), ("B", "2024-12-01", "2025-01-02"))
    assert (weight, counts["matched"]) == ([1.0, 1.0, 1.0, 0.5], 0)


def test_a_verdict_given_when_the_outcome_was_known_moves_no_weight():
    weight, counts = weigh(("A", "2025-01-31", "2025-03-01"))
    assert (weight, counts["known_before"]) == ([1.0, 1.0, 1.0, 0.5], 1)


@pytest.mark.parametrize(("part", "weight"), [("stop", 3.0), ("calibrate", 1.0), ("test", 1.0)])
def test_only_the_parts_that_are_fitted_are_weighed(part, weight):
    assert weigh(("A", "2025-01-01", "2025-01-02"), part=part)[0][0] == weight


def test_without_dates_a_verdict_belongs_to_its_lead():
    never = pd.Series(pd.to_datetime([None, None], utc=True)).astype("datetime64[us, UTC]")
    undated = snapshots().iloc[[0, 2]].reset_index(drop=True)
    undated = undated.assign(as_of=never, closed_at=never, label_end=never)
    verdicts = pd.DataFrame({"lead_id": ["B"], "as_of": never[:1], "given_at": pd.Timestamp(UNTIL)})
    one = pd.Series([1.0, 1.0])
    assert weigh_judged(undated, pd.Series(["train"] * 2), one, verdicts, times=2)[0].tolist() == [1.0, 2.0]
