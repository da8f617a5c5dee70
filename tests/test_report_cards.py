"""The lead cards of the review: what is known of each lead, and how its points add up."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.errors import InputError
from propensity.features.catalogue import Plan
from propensity.report.context import build_context
from propensity.report.facts import add_facts, add_outcomes, find_owner
from report_cases import MANIFEST, Page, make_card, make_metrics, make_scores, render


def get_steps(**changed: Any) -> list[tuple[str, str]]:
    card = pd.DataFrame([make_card(**changed)])
    context = build_context(make_metrics(), make_scores([50.0]), card, MANIFEST)
    return [(step["label"], step["text"]) for step in context["cards"][0]["figure"]["rows"]]


def get_card(**changed: Any) -> dict[str, Any]:
    cards = pd.DataFrame([make_card(**changed)])
    card: dict[str, Any] = build_context(make_metrics(), make_scores([50.0]), cards, MANIFEST)["cards"][0]
    return card


def test_steps_run_from_the_start_over_the_reasons_to_the_score() -> None:
    assert get_steps() == [
        ("Start", "42.0"),
        ("1 web", "+14.5"),
        ("2 firmographic", "+9.1"),
        ("3 email", "−3.4"),
        ("other", "+6.0"),
        ("Score", "68.2"),
    ]


def test_points_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(InputError, match=r"lead L-00000 should add up to its score 75, they add up to 68\.2"):
        get_steps(score=75.0)


@pytest.mark.parametrize("missing", [None, np.nan, np.array([], dtype=object)])
def test_a_lead_without_reasons_or_facts_has_a_card_without_points(missing: Any) -> None:
    page = Page(
        render(cards=[make_card(reasons=missing, facts=missing, probability=None, expected_value=None)])
    )
    assert "No points were given for this lead." in page.text
    assert "not available probability of a win within 90 days" in page.text
    assert "Expected value" not in page.text


def test_an_expected_value_names_its_currency_and_is_left_out_where_no_money_was_given() -> None:
    assert "Expected value 642 in the currency of cutoffs.value" in Page(render()).text
    assert "Expected value" not in Page(render(cards=[make_card(expected_value=0.0)])).text


def test_an_expected_value_says_how_sure_it_is_and_what_amount_it_rests_on() -> None:
    money = {"expected_amount": 4700.4, "expected_value_low": -12.6, "expected_value_high": 1204.0}
    told = "642 in the currency of cutoffs.value; 95% interval −13 to 1,204; won, it would bring 4,700"
    assert f"{told}, by 41 wins like it" in Page(render(cards=[make_card(**money, amount_wins=41)])).text
    assert f"{told} " in Page(render(cards=[make_card(**money, amount_wins=0)])).text
    unsure = money | {"expected_value_low": np.nan, "expected_value_high": np.nan}
    assert "95% interval −13" not in Page(render(cards=[make_card(**unsure, amount_wins=0)])).text


def test_facts_name_what_is_known_of_a_lead_and_nothing_that_is_missing() -> None:
    plan = Plan({"yearly_revenue": "number"}, {"yearly_revenue": "firmographic"})
    leads = pd.DataFrame(
        {
            "lead_id": ["a", "b"],
            "account_id": ["x", None],
            "channel": ["paid", None],
            "created_at": pd.to_datetime(["2025-01-02 03:04:05", None], utc=True),
            "yearly_revenue": [1234567.5, None],
            "call_notes": ["seen by sales only", ""],
        }
    )
    cards = add_facts(pd.DataFrame({"lead_id": ["b", "a"]}), leads, plan)
    assert cards["facts"].tolist() == [
        [],
        [
            {"label": "Account", "value": "x"},
            {"label": "Channel", "value": "paid"},
            {"label": "Created at", "value": "2025-01-02 03:04 UTC"},
            {"label": "Yearly revenue", "value": "1,234,567.5"},
        ],
    ]


def test_an_owner_is_a_fact_and_a_text_to_filter_by_whether_the_model_reads_it_or_not() -> None:
    leads = pd.DataFrame(
        {
            "lead_id": ["a", "b"],
            "account_id": [None, None],
            "channel": ["paid", None],
            "created_at": pd.to_datetime([None, None], utc=True),
            "Sales Rep": ["Hana", None],
        }
    )
    cards = add_facts(pd.DataFrame({"lead_id": ["b", "a", "gone"]}), leads, Plan({}, {}))
    assert cards["owner"].tolist() == ["", "Hana", ""]
    assert cards["channel"].tolist() == ["", "paid", ""]
    assert cards["facts"][1][-1] == {"label": "Sales Rep", "value": "Hana"}


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["Owner_ID", "owner"], "owner"),
        (["industry", "Lead Owner"], "Lead Owner"),
        (["hubspot_owner_id"], "hubspot_owner_id"),
        (["homeowner", "ownership"], None),
    ],
)
def test_the_owner_is_found_by_its_column_s_name(columns: list[str], found: str | None) -> None:
    assert find_owner(columns) == found


DAYS = pd.to_datetime(["2025-01-01", "2025-01-13", "2025-01-01T20", "2025-03-01"], utc=True, format="ISO8601")


def test_an_outcome_is_the_first_one_after_the_snapshot_that_the_data_covers() -> None:
    cards = pd.DataFrame({"lead_id": list("abcde"), "as_of": DAYS[0]})
    outcomes = pd.DataFrame(
        {
            "lead_id": ["a", "a", "b", "c", "d"],
            "status": ["lost", "won", "lost", "won", "open"],
            "closed_at": [DAYS[0], DAYS[1], DAYS[2], DAYS[3], pd.NaT],
        }
    )
    told = add_outcomes(cards, outcomes, until=pd.Timestamp("2025-02-01", tz="UTC"))["outcome"]
    assert told.tolist() == ["Won 12 days later", "Lost 1 day later", "", "", ""]


def test_an_outcome_without_dates_has_no_days() -> None:
    cards = pd.DataFrame({"lead_id": ["a"], "as_of": pd.to_datetime([None], utc=True)})
    outcomes = pd.DataFrame({"lead_id": ["a"], "status": ["lost"], "closed_at": cards["as_of"]})
    assert add_outcomes(cards, outcomes, until=None)["outcome"].tolist() == ["Lost"]


def test_a_card_is_named_by_its_lead_and_moment_to_the_microsecond() -> None:
    card = get_card(as_of=pd.Timestamp("2025-01-31 12:00:00.000001", tz="UTC"))
    assert card["as_of_iso"] == "2025-01-31T12:00:00.000001+00:00"
    assert pd.Timestamp(card["as_of_iso"]) == pd.Timestamp("2025-01-31 12:00:00.000001", tz="UTC")
    undated = get_card(as_of=pd.NaT)
    assert (undated["as_of"], undated["as_of_iso"]) == ("", "")


def test_a_card_has_what_is_filtered_by() -> None:
    card = get_card(channel="organic", owner="Hana", outcome="Won 12 days later", grade="B2")
    assert card["qualifiers"] == ["web", "firmographic", "email"]
    assert (card["channel"], card["owner"], card["outcome"]) == ("organic", "Hana", "Won 12 days later")
    assert (card["grade"], card["fit_points"], card["engagement_points"]) == ("B2", "+9.1", "+17.1")


def test_a_card_does_without_what_nobody_told() -> None:
    card = get_card(fit_points=None)
    assert [card[k] for k in ("grade", "channel", "owner", "outcome", "fit_points")] == [""] * 5
    assert [card[k] for k in ("change", "timeline", "lifts")] == [None] * 3


def test_the_rule_that_disqualified_a_lead_is_no_qualifier_of_its_evidence() -> None:
    rule = {"feature": "job_title", "qualifier": "rule", "value": "x", "points": 0.0, "text": "Disqualified"}
    card = get_card(tier="disqualified", reasons=[rule, *make_card()["reasons"]])
    assert card["qualifiers"] == ["web", "firmographic", "email"]
    assert card["rests_on"] == []


def test_no_address_is_shown_but_identifiers_stay_exact() -> None:
    mail = "ana.diaz+x@example.co.uk"
    reasons = [{**reason, "text": f"Last form by {mail}"} for reason in make_card()["reasons"]]
    card = get_card(
        lead_id=mail,
        reasons=reasons,
        facts=[{"label": "Job title", "value": f"reach me at <{mail}>"}],
        owner=mail,
        channel=f"ref={mail.replace('@', '%40')}",
    )
    assert card.pop("lead_id") == mail
    assert "example.co" not in json.dumps(card)
    assert card["owner"] == "[e-mail address]"
