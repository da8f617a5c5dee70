"""The review's section on monitoring: every check is told, alarms first."""

from __future__ import annotations

from typing import Any

import pandas as pd

from propensity.report.context import build_context
from propensity.report.monitoring import MOST_OF_A_CHECK, monitoring_section
from propensity.report.render import render_review
from report_cases import MANIFEST, get_texts, make_card, make_metrics, make_scores


def signal(
    code: str = "PRM201", status: str = "alarm", subject: str | None = "events/visit"
) -> dict[str, Any]:
    return {
        "code": code,
        "check": "silent_feed",
        "status": status,
        "severity": "critical",
        "subject": subject,
        "message": "nothing of events/visit for 60 hours",
        "evidence": {},
        "next_step": "propensity score" if status == "alarm" else "",
    }


def content(*signals: dict[str, Any], realised: int = 0) -> dict[str, Any]:
    statuses = [s["status"] for s in signals]
    return {
        "as_of": "2025-06-30T00:00:00+00:00",
        "statuses": {name: statuses.count(name) for name in ("alarm", "cannot say", "ok")},
        "coverage": {"realised": realised, "inside": realised - 1},
        "signals": list(signals),
    }


def test_alarms_stand_apart_with_the_next_step_and_the_rest_is_counted() -> None:
    found = monitoring_section(
        content(signal(), signal("PRM301", "ok", None), signal("PRM504", "cannot say"))
    )
    assert found["summary"] == (
        "As of 2025-06-30, of 3 checks 1 raised an alarm, 1 could not look and 1 found nothing."
    )
    assert get_texts(found["alarms"]) == [
        ["PRM201", "Alarm", "events/visit", "nothing of events/visit for 60 hours"]
    ]
    assert found["alarms"]["rows"][0][3]["note"] == "propensity score"
    assert [row[1] for row in get_texts(found["others"])] == ["Ok", "Cannot say"]


def test_of_one_check_only_the_first_alarms_are_shown() -> None:
    found = monitoring_section(content(*(signal(subject=f"x{i}") for i in range(MOST_OF_A_CHECK + 3))))
    assert [row[2] for row in get_texts(found["alarms"])] == [f"x{i}" for i in range(MOST_OF_A_CHECK)]


def test_estimates_are_told_once_some_are_final() -> None:
    told = monitoring_section(content(signal(), realised=20))["summary"]
    assert told.endswith(
        "Of 20 estimates of looks so far whose outcomes are final, 19 lay in their 95% interval."
    )


def page(**monitoring: Any) -> str:
    cards = pd.DataFrame([make_card()])
    return render_review(build_context(make_metrics(), make_scores([50.0]), cards, MANIFEST, **monitoring))


def test_the_page_has_the_section_only_where_the_monitor_looked() -> None:
    shown = page(monitoring=content(signal(), signal("PRM301", "ok", None)))
    assert '<section id="monitoring">' in shown
    assert "nothing of events/visit for 60 hours" in shown
    assert '<section id="monitoring">' not in page()
