"""Where a field is filled: what is filled in because of the outcome."""

from __future__ import annotations

import pandas as pd
import pytest

from audit_records import ask, check_of, make_records
from propensity.audit.presence import CHECKS

TELLS, LATE = check_of(CHECKS, "PRP201"), check_of(CHECKS, "PRP202")
DAYS = pd.date_range("2024-01-01", periods=400, freq="D", tz="UTC")


def filled(n: int, of: int) -> list[str | None]:
    return ["x"] * n + [None] * (of - n)


def test_a_field_filled_for_won_leads_only_is_an_issue_with_its_shares():
    column = [*filled(95, 100), *filled(30, 300)]
    (found,) = ask(TELLS, make_records({"deal": column}, ["won"] * 100 + ["lost"] * 300))
    assert (found.result, found.severity, found.subject) == ("issue", "blocking", "deal")
    assert found.evidence == {"filled_won": 0.95, "filled_not_won": 0.1, "won": 100, "not_won": 300}
    assert "filled for 95% of 100 won leads and 10% of 300 others" in found.message


def test_a_field_filled_for_lost_leads_only_is_an_issue_too():
    column = [*filled(0, 100), *filled(270, 300)]
    (found,) = ask(TELLS, make_records({"reason": column}, ["won"] * 100 + ["lost"] * 300))
    assert (found.result, found.subject) == ("issue", "reason")


def test_an_issue_about_a_column_that_is_not_used_does_not_stop_a_run():
    column = [*filled(95, 100), *filled(30, 300)]
    (found,) = ask(TELLS, make_records({"deal": column}, ["won"] * 100 + ["lost"] * 300, used=False))
    assert (found.result, found.severity, found.stops) == ("issue", "note", False)


def test_a_difference_of_a_third_is_a_tip():
    column = [*filled(270, 300), *filled(180, 300)]
    (found,) = ask(TELLS, make_records({"job": column}, ["won"] * 300 + ["lost"] * 300))
    assert (found.result, found.subject) == ("tip", "job")


def test_equal_shares_pass():
    column = [*filled(50, 100), *filled(150, 300)]
    (found,) = ask(TELLS, make_records({"phone": column}, ["won"] * 100 + ["lost"] * 300))
    assert (found.result, found.evidence["columns"]) == ("passed", 1)


def test_presence_of_few_leads_is_not_judged_and_not_passed():
    (found,) = ask(TELLS, make_records({"deal": filled(10, 20)}, ["won"] * 10 + ["lost"] * 10))
    assert found.result == "skipped"
    assert "10 leads are won and 10 are not" in found.message


@pytest.mark.parametrize("check", [TELLS, LATE])
def test_without_attributes_presence_does_not_apply(check):
    (found,) = ask(check, make_records({}, ["won"] * 40 + ["lost"] * 40))
    assert found.result == "not applicable"


def test_a_tracked_column_is_not_judged_by_what_it_holds_in_the_export():
    column = [*filled(95, 100), *filled(30, 300)]
    records = make_records({"deal": column}, ["won"] * 100 + ["lost"] * 300, tracked=frozenset({"deal"}))
    assert [f.result for f in ask(TELLS, records)] == ["not applicable"]


def test_a_field_filled_when_leads_end_is_an_issue():
    status = ["won", "lost", "lost", "open"] * 100
    column = [None if s == "open" else "hot" for s in status]
    (found,) = ask(LATE, make_records({"rating": column}, status, created_at=DAYS))
    assert (found.result, found.severity, found.subject) == ("issue", "blocking", "rating")
    assert found.evidence["filled_ended"] == 1
    assert found.evidence["filled_open"] == 0
    assert found.evidence["difference_at_same_age"] == pytest.approx(1.0)


def test_a_field_that_older_leads_have_more_often_passes_at_the_same_age():
    """Half of each age is open; the older half of all leads has the field, whether or not it ended."""
    status = ["lost", "open"] * 200
    column = ["x"] * 200 + [None] * 200
    (found,) = ask(LATE, make_records({"segment": column}, status, created_at=DAYS))
    assert found.result == "passed"


def test_where_no_age_holds_both_kinds_nothing_is_passed():
    """All old leads have ended and have it, all young ones are open."""
    status, column = ["lost"] * 200 + ["open"] * 200, ["x"] * 200 + [None] * 200
    (found,) = ask(LATE, make_records({"s": column}, status, created_at=DAYS))
    assert (found.result, found.message[:6]) == ("skipped", "no age")


def test_without_dates_the_difference_is_a_tip():
    status = ["won", "lost", "lost", "open"] * 100
    column = [None if s == "open" else "hot" for s in status]
    (found,) = ask(LATE, make_records({"rating": column}, status))
    assert found.result == "tip"


@pytest.mark.parametrize(("status", "why"), [("lost", "no lead is open"), ("open", "no lead has ended")])
def test_with_one_kind_of_lead_late_filling_does_not_apply(status, why):
    (found,) = ask(LATE, make_records({"s": ["x"] * 40}, [status] * 40))
    assert (found.result, found.message) == ("not applicable", why)
