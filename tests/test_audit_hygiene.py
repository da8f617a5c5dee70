"""Columns that tell nothing, tell the period, or hold what means missing."""

from __future__ import annotations

import numpy as np
import pytest

from audit_records import ask, check_of, make_records
from propensity.audit.hygiene import CHECKS

N = 2400
CONSTANT, SENTINEL, PLACEHOLDER, IDENTIFIER, CALENDAR, COUNTER = (
    check_of(CHECKS, code) for code in ("PRP701", "PRP702", "PRP703", "PRP704", "PRP705", "PRP706")
)
STATUS = ["won", "lost"] * (N // 2)
RNG = np.random.default_rng(5)
NUMBERS = RNG.normal(50, 10, N).round(1)
TEXTS = RNG.choice(["red", "green", "blue"], N)


def results(check, columns, **more):
    return [(f.result, f.subject) for f in ask(check, make_records(columns, STATUS, **more))]


@pytest.mark.parametrize(("values", "told"), [(["No"] * N, "nothing but 'No'"), ([None] * N, "is empty")])
def test_a_column_with_one_value_or_none_is_a_tip(values, told):
    (found,) = ask(CONSTANT, make_records({"x": values, "y": TEXTS}, STATUS))
    assert (found.result, found.subject) == ("tip", "x")
    assert told in found.message


def test_columns_that_vary_pass():
    assert results(CONSTANT, {"x": NUMBERS, "y": TEXTS}) == [("passed", None)]


@pytest.mark.parametrize("sentinel", [999, -1, 9999])
def test_a_number_apart_from_all_others_and_frequent_is_a_sentinel(sentinel):
    days = np.where(np.arange(N) % 4 > 0, sentinel, np.arange(N) % 28)
    (found,) = ask(SENTINEL, make_records({"pdays": days}, STATUS))
    assert (found.result, found.evidence["sentinel"], found.evidence["share"]) == ("tip", sentinel, 0.75)
    assert (found.evidence["rest_low"], found.evidence["rest_high"]) == (0, 24)


def test_a_largest_number_that_others_come_near_is_no_sentinel():
    assert results(SENTINEL, {"x": NUMBERS, "seconds": np.arange(N) % 1000}) == [("passed", None)]


def test_without_numbers_sentinels_do_not_apply():
    assert results(SENTINEL, {"y": TEXTS}) == [("not applicable", None)]


def test_a_text_that_means_missing_is_a_tip_with_its_count():
    column = np.where(np.arange(N) % 3 == 0, "Select", TEXTS)
    (found,) = ask(PLACEHOLDER, make_records({"city": column}, STATUS))
    assert (found.result, found.evidence) == ("tip", {"text": "Select", "n": 800})
    assert found.remedy == 'Add "Select" to data.leads.missing'


def test_unknown_and_no_are_values():
    column = np.where(np.arange(N) % 3 == 0, "unknown", "no")
    assert results(PLACEHOLDER, {"default": column}) == [("passed", None)]


def test_without_texts_placeholders_do_not_apply():
    assert results(PLACEHOLDER, {"x": NUMBERS}) == [("not applicable", None)]


def test_names_of_leads_are_found_among_texts_and_running_numbers():
    columns = {"uuid": [f"u{i}" for i in range(N)], "number": np.arange(N) + 5000, "amount": NUMBERS}
    assert results(IDENTIFIER, columns) == [("tip", "uuid"), ("tip", "number")]


def test_amounts_that_are_all_different_name_nobody():
    amounts = np.round(np.exp(RNG.normal(8, 2, N)) * 1000)
    assert results(IDENTIFIER, {"revenue": amounts, "y": TEXTS}) == [("passed", None)]


@pytest.mark.parametrize("check", [CONSTANT, IDENTIFIER])
def test_without_attributes_there_is_nothing_to_look_at(check):
    assert results(check, {}) == [("not applicable", None)]


def test_an_index_of_the_economy_tells_the_period():
    index = np.round(np.arange(N) / N * 5, 1)
    found = ask(CALENDAR, make_records({"rate": index, "age": NUMBERS}, STATUS, order_key=np.arange(N)))
    assert [(f.result, f.subject) for f in found] == [("tip", "rate")]
    assert found[0].evidence["unseen_later"] == 1
    assert found[0].evidence["between_periods"] > 0.99


def test_a_season_that_comes_back_does_not_tell_the_period():
    month = np.arange(N) * 48 // N % 12
    assert results(CALENDAR, {"month": month}, order_key=np.arange(N)) == [("passed", None)]


def test_without_order_no_period_can_be_told():
    assert results(CALENDAR, {"rate": NUMBERS}) == [("not applicable", None)]


def test_few_leads_are_no_periods():
    records = make_records({"rate": range(100)}, STATUS[:100], order_key=range(100))
    assert [f.result for f in ask(CALENDAR, records)] == ["skipped"]


def test_a_counter_without_events_is_a_tip():
    columns = {"TotalVisits": NUMBERS, "page_views": NUMBERS, "country": TEXTS, "accountability": NUMBERS}
    assert results(COUNTER, columns) == [("tip", "TotalVisits"), ("tip", "page_views")]


def test_counters_are_left_to_the_events_where_there_are_any():
    import pandas as pd

    records = {"TotalVisits": NUMBERS}
    assert results(COUNTER, records, event_counts=pd.DataFrame()) == [("not applicable", None)]


def test_columns_that_count_nothing_pass():
    assert results(COUNTER, {"country": TEXTS}) == [("passed", None)]
