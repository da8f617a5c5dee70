"""The lead cards of the review: which leads are shown, what is known of them, how their points add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.errors import InputError
from propensity.features.catalogue import Plan
from propensity.report.cards import add_facts, choose_cards
from propensity.report.context import build_context
from report_cases import MANIFEST, Page, make_card, make_metrics, make_scores, render


def get_steps(**changed: Any) -> list[tuple[str, str]]:
    card = pd.DataFrame([make_card(**changed)])
    context = build_context(make_metrics(), make_scores([50.0]), card, MANIFEST)
    return [(step["label"], step["text"]) for step in context["cards"][0]["figure"]["rows"]]


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


def test_cards_are_the_top_both_sides_of_each_cutoff_and_the_disqualified() -> None:
    probability = np.round(np.arange(0.05, 0.95, 0.05), 2)
    scores = pd.DataFrame({"lead_id": [f"L{p:.2f}" for p in probability], "probability": probability})
    scores["tier"] = np.where(np.isclose(probability, 0.5), "disqualified", "any")
    cards = choose_cards(scores, {"sql": {"probability": 0.6}, "mql": {"probability": 0.3}}, most=12)
    shown = list(zip(cards["lead_id"], cards["why_shown"], strict=True))
    assert shown == [
        ("L0.90", "top of the queue"),
        ("L0.85", "top of the queue"),
        ("L0.65", "just above the SQL cut-off"),
        ("L0.60", "just above the SQL cut-off"),
        ("L0.55", "just under the SQL cut-off"),
        ("L0.45", "just under the SQL cut-off"),
        ("L0.35", "just above the MQL cut-off"),
        ("L0.30", "just above the MQL cut-off"),
        ("L0.25", "just under the MQL cut-off"),
        ("L0.20", "just under the MQL cut-off"),
        ("L0.50", "disqualified"),
    ]


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
