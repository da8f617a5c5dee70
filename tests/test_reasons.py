"""Reasons: the sum they keep, the windows that speak as one, and the sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.explain.contributions import compute_contributions
from propensity.explain.points import Points, compute_points
from propensity.explain.reasons import OTHER, phrase, top_reasons, value_text
from propensity.features.catalogue import Feature, Plan, catalogue
from tiny_models import KINDS, calibrator, make_feature, matrix, table, training

VISIT_7, VISIT_30 = (
    make_feature(
        f"visits_{w:g}d",
        qualifier="web",
        family="web_visit",
        statistic="count",
        subject="visit",
        window_days=w,
    )
    for w in (7.0, 30.0)
)
CITY = make_feature("home_city", "category")
SIZE = make_feature("employees", qualifier="firmographic")
FOUR = [VISIT_7, VISIT_30, CITY, SIZE]


def make_points(base: float, rows: Any) -> Points:
    values = np.array(rows, dtype=float)
    return Points(base, values, base + values.sum(axis=1))


def make_rows(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "visits_7d": [2.0, 0.0, 1.0][:n],
            "visits_30d": [9.0, 1.0, 1.0][:n],
            "home_city": pd.array(["Ulm", None, "Ulm"][:n], dtype="str"),
            "employees": [np.nan, 1200.0, 0.4][:n],
        }
    )


def test_reasons_by_hand() -> None:
    """The windows of visits sum to 7 and to -3; the window that weighs most gives the words."""
    points = make_points(40.0, [[2, 5, -6, 1], [-4, 1, 0, 2]])
    first, second = top_reasons(points, make_rows(2), FOUR, most=2).to_pylist()
    assert [(r["feature"], r["qualifier"], r["value"], r["points"], r["text"]) for r in first] == [
        ("visits_30d", "web", "9", 7.0, "Visit 9 times in the last 30 days"),
        ("home_city", "demographic", "Ulm", -6.0, "Home city: Ulm"),
        (OTHER, OTHER, None, 1.0, "All other evidence together"),
    ]
    assert [(r["feature"], r["value"], r["points"], r["text"]) for r in second] == [
        ("visits_7d", "0", -3.0, "No visit in the last 7 days"),
        ("employees", "1,200", 2.0, "Employees: 1,200"),
        (OTHER, None, 0.0, "All other evidence together"),
    ]


def test_there_are_no_more_reasons_than_families() -> None:
    reasons = top_reasons(make_points(40.0, [[1, 1, 1, 1]]), make_rows(1), FOUR).to_pylist()[0]
    assert [r["feature"] for r in reasons] == ["visits_7d", "home_city", "employees", OTHER]
    assert reasons[-1]["points"] == 0.0


def test_a_row_has_the_same_reasons_alone_and_in_a_batch() -> None:
    points = make_points(40.0, [[2, 5, -6, 1], [-4, 1, 0, 2], [0, 0, 0, 0]])
    together = top_reasons(points, make_rows(3), FOUR).to_pylist()
    for i in range(3):
        alone = Points(points.base, points.values[[i]], points.score[[i]])
        rows = make_rows(3).iloc[[i]]
        assert top_reasons(alone, rows, FOUR).to_pylist() == [together[i]]


@given(st.lists(st.tuples(*[st.floats(-40, 40)] * 4), min_size=1, max_size=3), st.integers(1, 5))
def test_base_and_reasons_are_the_score_and_come_weightiest_first(rows: Any, most: int) -> None:
    points = make_points(45.0, rows)
    for score, reasons in zip(
        points.score, top_reasons(points, make_rows(len(rows)), FOUR, most=most).to_pylist(), strict=True
    ):
        assert 45.0 + sum(r["points"] for r in reasons) == pytest.approx(score, abs=1e-9)
        named = [abs(r["points"]) for r in reasons[:-1]]
        assert named == sorted(named, reverse=True)
        assert len(named) == min(most, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_base_and_reasons_are_the_score_of_every_model(kind: str) -> None:
    rows = table()[table()["split"] == "calibrate"]
    contributions = compute_contributions(
        training(kind).model, calibrator(kind, "isotonic"), matrix(kind, "calibrate")
    )
    points = compute_points(contributions, 0.02)
    reasons = top_reasons(points, rows, training(kind).encoding.features, most=2).to_pylist()
    total = [points.base + sum(r["points"] for r in row) for row in reasons]
    assert total == pytest.approx(points.score, abs=1e-9)
    assert (points.score == 100).any()


def test_no_rows_have_no_reasons() -> None:
    assert len(top_reasons(make_points(40.0, np.empty((0, 4))), make_rows(0), FOUR)) == 0


def timing(name: str) -> Feature:
    return make_feature(name, qualifier="timing", statistic="timing")


def recency(subject: str) -> Feature:
    return make_feature("since", qualifier="web", statistic="days_since", subject=subject)


def windowed(statistic: str, subject: str, days: float) -> Feature:
    return make_feature("x", qualifier="web", statistic=statistic, subject=subject, window_days=days)


@pytest.mark.parametrize(
    ("feature", "value", "text"),
    [
        (CITY, "Ulm", "Home city: Ulm"),
        (CITY, None, "Home city: not given"),
        (SIZE, 12.0, "Employees: 12"),
        (SIZE, 1234567.0, "Employees: 1,234,567"),
        (SIZE, 12.34, "Employees: 12.3"),
        (SIZE, 0.456, "Employees: 0.46"),
        (SIZE, float("nan"), "Employees: not given"),
        (windowed("count", "form", 7.0), 0.0, "No form in the last 7 days"),
        (windowed("count", "form", 7.0), 1.0, "Form once in the last 7 days"),
        (windowed("count", "form", 1.0), 2.0, "Form 2 times in the last 24 hours"),
        (windowed("asset_count", "pricing", 0.5), 3.0, "Pricing 3 times in the last 12 hours"),
        (windowed("assets", "web", 30.0), 1.0, "1 different web asset in the last 30 days"),
        (windowed("assets", "web", 30.0), 4.0, "4 different web assets in the last 30 days"),
        (windowed("active_days", "web", 30.0), 1.0, "Active by web on 1 day in the last 30 days"),
        (windowed("value", "visit", 7.0), 90.5, "Visit: 90.5 in total in the last 7 days"),
        (recency("visit"), 0.01, "Last visit within the last hour"),
        (recency("visit"), 1 / 24, "Last visit 1 hour ago"),
        (recency("visit"), 0.5, "Last visit 12 hours ago"),
        (recency("visit"), 1.2, "Last visit 1 day ago"),
        (recency("web"), 12.0, "Last web activity 12 days ago"),
        (recency("web"), None, "No web activity so far"),
        (recency("visit"), None, "No visit so far"),
        (
            make_feature("x", "category", statistic="last_asset", subject="web"),
            "pricing",
            "Last web asset: pricing",
        ),
        (make_feature("x", "category", statistic="last_asset", subject="web"), None, "No web asset so far"),
        (
            make_feature("won", statistic="account", label="colleagues won so far"),
            2.0,
            "Colleagues won so far: 2",
        ),
        (make_feature("won", statistic="account"), None, "No account known"),
        (timing("age_days"), 3.4, "Created 3 days ago"),
        (timing("created_hour"), 23.0, "Created between 23:00 and 24:00"),
        (timing("created_weekday"), 0.0, "Created on a Monday"),
        (timing("as_of_month"), 12.0, "The month is December"),
        (timing("as_of_month"), None, "As of month: not known"),
    ],
)
def test_sentences(feature: Feature, value: Any, text: str) -> None:
    assert phrase(feature, value) == text


def test_every_feature_of_a_catalogue_has_a_sentence_with_and_without_a_value() -> None:
    plan = Plan(
        attributes={"size": "number", "city": "text"},
        qualifier_of={"size": "firmographic", "city": "demographic"},
        event_types={"web": ["visit"], "email": ["open"]},
        assets={"web": ["pricing"]},
        lookback_days=[0.5, 7.0],
        has_channel=True,
        has_asset=True,
        has_value=True,
        has_account=True,
    )
    for feature in catalogue(plan):
        value: Any = 3.0 if feature.kind == "number" else "Ulm"
        for sentence in (phrase(feature, value), phrase(feature, None)):
            assert sentence[0].isupper() or sentence[0].isdigit()
            assert "nan" not in sentence.lower()
            assert "None" not in sentence


def test_values_are_short_text() -> None:
    assert value_text(SIZE, 3.0) == "3"
    assert value_text(SIZE, np.nan) is None
    assert value_text(CITY, pd.NA) is None
    assert value_text(CITY, "Ulm") == "Ulm"
