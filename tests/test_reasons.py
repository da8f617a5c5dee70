"""Reasons: the sum they keep, the windows that speak as one, and the sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.explain.contributions import compute_contributions
from propensity.explain.evidence import Evidence
from propensity.explain.phrases import days_back, local_clock, phrase, value_text
from propensity.explain.points import Points, compute_points
from propensity.explain.reasons import OTHER, Voice, group_families, tell_rule, top_reasons
from propensity.explain.words import load_words, merge_words
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
EN = load_words("en")
PLAIN = Voice(EN)


def make_points(base: float, rows: Any) -> Points:
    values = np.array(rows, dtype=float)
    return Points(base, values, base + values.sum(axis=1))


def make_rows(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "as_of": pd.Timestamp("2025-06-15 09:00", tz="UTC"),
            "visits_7d": [2.0, 0.0, 1.0][:n],
            "visits_30d": [9.0, 1.0, 1.0][:n],
            "home_city": pd.array(["Ulm", None, "Ulm"][:n], dtype="str"),
            "employees": [np.nan, 1200.0, 0.4][:n],
        }
    )


def test_reasons_by_hand() -> None:
    """The windows of visits sum to 7 and to -3; the window that weighs most gives the words."""
    points = make_points(40.0, [[2, 5, -6, 1], [-4, 1, 0, 2]])
    first, second = top_reasons(points, make_rows(2), FOUR, PLAIN, most=2).to_pylist()
    assert [(r["feature"], r["qualifier"], r["value"], r["points"], r["text"]) for r in first] == [
        ("visits_30d", "web", "9", 7.0, "Visit 9 times in the last 30 days: +7."),
        ("home_city", "demographic", "Ulm", -6.0, "Home city is Ulm: -6."),
        (OTHER, OTHER, None, 1.0, "All other evidence together"),
    ]
    assert [(r["feature"], r["value"], r["points"], r["text"]) for r in second] == [
        ("visits_7d", "0", -3.0, "No visit in the last 7 days: -3."),
        ("employees", "1,200", 2.0, "Employees is 1,200: +2."),
        (OTHER, None, 0.0, "All other evidence together"),
    ]


def test_there_are_no_more_reasons_than_families_with_points() -> None:
    reasons = top_reasons(make_points(40.0, [[1, 1, 1, 0]]), make_rows(1), FOUR, PLAIN).to_pylist()[0]
    assert [r["feature"] for r in reasons] == ["visits_7d", "home_city", OTHER]
    assert reasons[-1]["points"] == 0.0


def test_a_row_has_the_same_reasons_alone_and_in_a_batch() -> None:
    points = make_points(40.0, [[2, 5, -6, 1], [-4, 1, 0, 2], [0, 0, 0, 0]])
    together = top_reasons(points, make_rows(3), FOUR, PLAIN).to_pylist()
    for i in range(3):
        alone = Points(points.base, points.values[[i]], points.score[[i]])
        rows = make_rows(3).iloc[[i]]
        assert top_reasons(alone, rows, FOUR, PLAIN).to_pylist() == [together[i]]


@given(st.lists(st.tuples(*[st.floats(-40, 40)] * 4), min_size=1, max_size=3), st.integers(1, 5))
def test_base_and_reasons_are_the_score_and_come_weightiest_first(rows: Any, most: int) -> None:
    points = make_points(45.0, rows)
    told = top_reasons(points, make_rows(len(rows)), FOUR, PLAIN, most=most).to_pylist()
    for row_points, score, reasons in zip(points.values, points.score, told, strict=True):
        assert 45.0 + sum(r["points"] for r in reasons) == pytest.approx(score, abs=1e-9)
        named = [abs(r["points"]) for r in reasons[:-1]]
        assert named == sorted(named, reverse=True)
        families = [row_points[0] + row_points[1], row_points[2], row_points[3]]
        assert len(named) == min(most, sum(p != 0 for p in families))


@pytest.mark.parametrize("kind", KINDS)
def test_base_and_reasons_are_the_score_of_every_model(kind: str) -> None:
    rows = table()[table()["split"] == "calibrate"]
    contributions = compute_contributions(
        training(kind).model, calibrator(kind, "isotonic"), matrix(kind, "calibrate")
    )
    points = compute_points(contributions, 0.02)
    reasons = top_reasons(points, rows, training(kind).encoding.features, PLAIN, most=2).to_pylist()
    total = [points.base + sum(r["points"] for r in row) for row in reasons]
    assert total == pytest.approx(points.score, abs=1e-9)
    assert (points.score == 100).any()


def test_no_rows_have_no_reasons() -> None:
    assert len(top_reasons(make_points(40.0, np.empty((0, 4))), make_rows(0), FOUR, PLAIN)) == 0


# --- one behaviour, told once -----------------------------------------------------------------------

SINCE = make_feature("since", qualifier="web", family="web_visit", statistic="days_since", subject="visit")
ACTIVE = make_feature(
    "active", qualifier="web", family="web_activity", statistic="active_days", subject="web", window_days=7.0
)
FORM = make_feature(
    "forms", qualifier="web", family="web_form", statistic="count", subject="form", window_days=30.0
)
PAGE = make_feature(
    "pages", qualifier="web", family="web_asset_pricing", statistic="asset_count", subject="pricing",
    window_days=30.0,
)  # fmt: skip
BEHAVIOUR = [VISIT_7, SINCE, FORM, ACTIVE, PAGE]


def behave(visits: float, since: float | None, points: Any, *, voice: Voice = PLAIN) -> list[dict[str, Any]]:
    """The reasons of one lead that visited so, at nine o'clock on a 15 June."""
    table = pd.DataFrame(
        {
            "as_of": [pd.Timestamp("2025-06-15 09:00", tz="UTC")],
            "visits_7d": [visits],
            "since": [np.nan if since is None else since],
            "forms": [2.0],
            "active": [3.0],
            "pages": [1.0],
        }
    )
    reasons: list[dict[str, Any]] = top_reasons(
        make_points(40.0, [points]), table, BEHAVIOUR, voice
    ).to_pylist()[0]
    return reasons


@pytest.mark.parametrize(
    ("visits", "since", "text"),
    [
        (4.0, 0.01, "Visit 4 times in the last 7 days, last within the last hour"),
        (4.0, 0.3, "Visit 4 times in the last 7 days, last today"),
        (4.0, 0.5, "Visit 4 times in the last 7 days, last yesterday"),
        (1.0, 1.2, "Visit once in the last 7 days, last yesterday"),
        (1.0, 1.4, "Visit once in the last 7 days, last 2 days ago"),
        (0.0, 40.0, "No visit in the last 7 days, last 40 days ago"),
        (0.0, None, "No visit so far"),
    ],
)
@pytest.mark.parametrize("points", [[3.0, 1.0, 0, 0, 0], [1.0, 3.0, 0, 0, 0]])
def test_a_behaviour_is_told_with_how_much_and_when_last(
    visits: float, since: float | None, text: str, points: list[float]
) -> None:
    """Nine o'clock less half a day is yesterday, whichever of the two weighs more."""
    told = behave(visits, since, points)[0]
    assert told["text"] == f"{text}: +4."
    assert told["feature"] == ("visits_7d" if points[0] == 3 else "since")


def test_yesterday_is_that_of_the_companys_calendar() -> None:
    """Nine in the evening of the 14th in New York is two in the morning of the 15th in London."""
    moments = pd.DataFrame({"as_of": [pd.Timestamp("2025-06-15 01:00", tz="UTC")]})
    ago = np.array([0.1])
    assert days_back(ago, local_clock(moments, "Europe/London")).tolist() == [1]
    assert days_back(ago, local_clock(moments, "America/New_York")).tolist() == [0]


def test_activity_with_the_sign_of_the_weightiest_event_type_is_told_with_it() -> None:
    first, form, page, other = behave(4.0, 1.0, [5.0, 0, 1.0, 3.0, 2.0])
    assert (first["feature"], first["points"]) == ("visits_7d", 8.0)
    assert (page["feature"], page["points"], form["points"], other["points"]) == ("forms", 1.0, 2.0, 0.0)


def test_the_weightier_of_the_two_speaks() -> None:
    first, *_ = behave(4.0, 1.0, [3.0, 0, 1.0, 5.0, 0])
    assert (first["feature"], first["points"]) == ("active", 8.0)
    assert first["text"] == "Active by web on 3 days in the last 7 days: +8."


def test_activity_that_points_the_other_way_is_told_apart() -> None:
    first, second, *_ = behave(4.0, 1.0, [5.0, 0, 0, -3.0, 0])
    assert [(r["feature"], r["points"]) for r in (first, second)] == [("visits_7d", 5.0), ("active", -3.0)]


@given(st.lists(st.tuples(*[st.floats(-40, 40)] * 5), min_size=1, max_size=4))
def test_grouping_loses_no_point(rows: Any) -> None:
    points = make_points(45.0, rows)
    sums = group_families(points, BEHAVIOUR).sums
    assert sums.sum(axis=1) == pytest.approx(points.values.sum(axis=1), abs=1e-9)


# --- words, evidence, addresses ---------------------------------------------------------------------

WON = Evidence(
    4000, 240, {"visits_7d": {"edges": [1.0, 3.0], "cells": [None, None, {"n": 812, "won": 170}, None]}}
)


def test_a_sentence_says_how_such_leads_ended() -> None:
    own = merge_words(EN, "subjects: {visit: Viewed pricing}", "own.yaml")
    told = behave(4.0, 1.0, [13.2, 0, 0, 0, 0], voice=Voice(own, WON))[0]
    assert told["text"] == (
        "Viewed pricing 4 times in the last 7 days, last yesterday: +13. "
        "Leads with 3 or more: 21% won (170 of 812), 6% overall."
    )
    assert told["points"] == 13.2


def test_evidence_against_the_points_is_told_in_the_same_words() -> None:
    told = behave(4.0, 1.0, [-13.2, 0, 0, 0, 0], voice=Voice(EN, WON))[0]["text"]
    assert told.endswith(": -13. Leads with 3 or more: 21% won (170 of 812), 6% overall.")
    assert not {"because", "therefore", "causes"} & set(told.split())


def test_without_evidence_of_enough_leads_the_sentence_ends_with_the_points() -> None:
    told = behave(2.0, 1.0, [1.0, 0, 0, 0, 0], voice=Voice(EN, WON))[0]["text"]
    assert told == "Visit 2 times in the last 7 days, last yesterday: +1."


def test_a_sentence_in_russian() -> None:
    told = behave(4.0, 1.0, [0.44, 0, 0, 0, 0], voice=Voice(load_words("ru"), WON))[0]["text"]
    assert told == (
        "Visit 4 раза за последние 7 дней, последний раз вчера: +0,4. "
        "Лиды от 3 и более: 21\u00a0% выиграно (170 из 812), 6\u00a0% в целом."
    )


def test_no_address_is_shown() -> None:
    table = make_rows(1).assign(home_city=pd.array(["ask ana.diaz@example.com"], dtype="str"))
    told = top_reasons(make_points(40.0, [[0, 0, 5, 0]]), table, FOUR, PLAIN).to_pylist()[0][0]
    assert (told["value"], told["text"]) == ("ask ***@example.com", "Home city is ask ***@example.com: +5.")


def test_a_rule_is_told_without_points_and_without_an_address() -> None:
    hits = pd.DataFrame({"reason": ["free mail", "student"], "column": ["email", "title"]})
    hits["value"] = pd.array(["ana@example.com", None], dtype="str")
    told = [tell_rule(hit, EN) for hit in hits.itertuples()]
    assert [(r["points"], r["value"], r["text"]) for r in told] == [
        (0.0, "***@example.com", "Disqualified (free mail): email is ***@example.com"),
        (0.0, None, "Disqualified (student): title is not given"),
    ]


def timing(name: str) -> Feature:
    return make_feature(name, qualifier="timing", statistic="timing")


def recency(subject: str) -> Feature:
    return make_feature("since", qualifier="web", statistic="days_since", subject=subject)


def windowed(statistic: str, subject: str, days: float) -> Feature:
    return make_feature("x", qualifier="web", statistic=statistic, subject=subject, window_days=days)


@pytest.mark.parametrize(
    ("feature", "value", "text"),
    [
        (CITY, "Ulm", "home city is Ulm"),
        (CITY, None, "home city is not given"),
        (SIZE, 12.0, "employees is 12"),
        (SIZE, 1234567.0, "employees is 1,234,567"),
        (SIZE, 12.34, "employees is 12.3"),
        (SIZE, 0.456, "employees is 0.46"),
        (SIZE, float("nan"), "employees is not given"),
        (windowed("count", "form", 7.0), 0.0, "no form in the last 7 days"),
        (windowed("count", "form", 7.0), 1.0, "form once in the last 7 days"),
        (windowed("count", "form", 1.0), 2.0, "form 2 times in the last 24 hours"),
        (windowed("asset_count", "pricing", 0.5), 3.0, "pricing 3 times in the last 12 hours"),
        (windowed("assets", "web", 30.0), 1.0, "1 different web asset in the last 30 days"),
        (windowed("assets", "web", 30.0), 4.0, "4 different web assets in the last 30 days"),
        (windowed("active_days", "web", 30.0), 1.0, "active by web on 1 day in the last 30 days"),
        (windowed("active_days", "web", 30.0), 0.0, "no web activity in the last 30 days"),
        (windowed("value", "visit", 7.0), 90.5, "visit 90.5 in total in the last 7 days"),
        (recency("visit"), 12, "last visit 12 days ago"),
        (recency("web"), 1, "last web activity yesterday"),
        (recency("web"), None, "no web activity so far"),
        (recency("visit"), None, "no visit so far"),
        (
            make_feature("x", "category", qualifier="web", statistic="last_asset", subject="web"),
            "pricing",
            "last web asset is pricing",
        ),
        (
            make_feature("x", "category", qualifier="web", statistic="last_asset", subject="web"),
            None,
            "no web asset so far",
        ),
        (make_feature("account_won", statistic="account"), 2.0, "2 colleagues won so far"),
        (make_feature("account_won", statistic="account"), None, "no account known"),
        (timing("age_days"), 3, "created 3 days ago"),
        (timing("created_hour"), 23.0, "created between 23:00 and 24:00"),
        (timing("created_weekday"), 0.0, "created on a Monday"),
        (timing("as_of_month"), 12.0, "the month is December"),
        (timing("as_of_month"), None, "as of month is not known"),
    ],
)
def test_phrases(feature: Feature, value: Any, text: str) -> None:
    assert phrase(feature, value, EN) == text


@pytest.mark.parametrize("language", ["en", "es", "pt", "nl", "ru"])
def test_every_feature_of_a_catalogue_has_a_phrase_with_and_without_a_value(language: str) -> None:
    plan = Plan(
        attributes={"size": "number", "city": "text"},
        qualifier_of={"size": "firmographic", "city": "demographic"},
        event_types={"web": ["visit"], "email": ["open"]},
        assets={"web": ["pricing"]},
        lookback_days=[0.5, 7.0],
        has_channel=True,
        asset_types=["open", "visit"],
        value_types=["open", "visit"],
        has_account=True,
    )
    for feature in catalogue(plan):
        for value in (
            [0.0, 1.0, 3.0, 5.0][feature.name == "as_of_month" :] if feature.kind == "number" else ["Ulm"]
        ):
            for sentence in (
                phrase(feature, value, load_words(language)),
                phrase(feature, None, load_words(language)),
            ):
                assert sentence
                assert not {"nan", "None", "{", "}"} & set(sentence.split())


def test_values_are_short_text() -> None:
    assert value_text(SIZE, 3.0, EN) == "3"
    assert value_text(SIZE, np.nan, EN) is None
    assert value_text(CITY, pd.NA, EN) is None
    assert value_text(CITY, "Ulm", EN) == "Ulm"
