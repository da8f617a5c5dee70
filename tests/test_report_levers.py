"""What a score rests on, what moved it, what would lift it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.report.levers import add_changes, add_lifts, of_this_moment, rests_on

CUTOFFS = {"mql": {"score": 45.0}, "sql": {"score": 60.0}}
MOMENT = pd.Timestamp("2025-03-10", tz="UTC")


def make_reasons(*points: float, **changed: Any) -> list[dict[str, Any]]:
    return [
        {"feature": f"f{p}", "qualifier": "web", "points": p, "text": f"R{p:g}", **changed} for p in points
    ]


@pytest.mark.parametrize(
    ("tier", "score", "points", "told"),
    [
        ("sql", 68.0, (5.0, 9.0, -4.0, 2.0), ["R9"]),
        ("sql", 70.0, (5.0, 9.0, -4.0, 2.0), ["R9", "R5"]),
        ("sql", 69.0, (9.0,), []),  # nine points less is still on the cut-off
        ("sql", 99.0, (5.0, 9.0), []),
        ("mql", 46.0, (0.5, 0.7), ["R0.7", "R0.5"]),
        ("sql", 59.0, (9.0,), []),  # keeps a tier it had
        ("nurture", 40.0, (9.0,), []),
        ("disqualified", 90.0, (50.0,), []),
    ],
)
def test_a_score_rests_on_the_fewest_reasons_without_which_it_is_under_the_cutoff(
    tier: str, score: float, points: tuple[float, ...], told: list[str]
) -> None:
    assert rests_on(tier, score, make_reasons(*points), CUTOFFS) == told


def test_what_has_no_name_is_nothing_to_rest_on() -> None:
    unnamed = [*make_reasons(20.0, feature="other"), *make_reasons(20.0, qualifier="rule")]
    assert rests_on("sql", 61.0, unnamed, CUTOFFS) == []
    assert rests_on("sql", None, make_reasons(9.0), CUTOFFS) == []
    assert rests_on("sql", 61.0, make_reasons(9.0), {**CUTOFFS, "sql": {"score": None}}) == []


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=6), st.integers(60, 100))
def test_no_smaller_set_of_reasons_would_do(points: list[int], score: int) -> None:
    told = rests_on("sql", float(score), make_reasons(*map(float, points)), CUTOFFS)
    ranked = sorted((p for p in points if p > 0), reverse=True)
    enough = [k for k in range(len(ranked) + 1) if score - sum(ranked[:k]) < 60]
    assert len(told) == (enough[0] if enough else 0)


def make_changes(**changed: Any) -> pd.DataFrame:
    row = {
        "lead_id": "a",
        "as_of_before": MOMENT - pd.Timedelta(days=1),
        "as_of": MOMENT,
        "score_before": 50.0,
        "score": 62.3,
        "change": 12.3,
        "behaviour": 13.0,
        "time": -0.7,
        "attributes": 0.0,
        "data": 0.0,
        "model": np.nan,
        "model_version": "m1",
        "tier_before": "mql",
        "tier": "sql",
        "why": "Visited pricing",
    }
    return pd.DataFrame([{**row, **changed}])


def get_change(**changed: Any) -> Any:
    cards = pd.DataFrame({"lead_id": ["a"], "as_of": MOMENT})
    return add_changes(cards, make_changes(**changed))["change"][0]


def test_a_change_is_told_with_its_parts_and_tiers() -> None:
    assert get_change() == {
        "text": "+12.3 points since the score of 2025-03-09, 50.0; MQL before, SQL now. Visited pricing",
        "parts": [{"label": "What it did", "text": "+13.0"}, {"label": "Time passing", "text": "−0.7"}],
    }
    still = get_change(change=0.01, tier="mql", why=None, as_of_before=pd.NaT)
    assert still["text"] == "Unchanged since the score, 50.0"


def test_a_card_of_another_moment_or_lead_has_no_change() -> None:
    assert get_change(as_of=MOMENT - pd.Timedelta(days=1)) is None
    assert get_change(lead_id="b") is None
    assert add_changes(pd.DataFrame({"lead_id": ["a"], "as_of": MOMENT}), None)["change"][0] is None


def test_changes_of_an_earlier_run_are_left_out() -> None:
    scores = pd.DataFrame({"lead_id": ["a", "b"], "as_of": MOMENT, "model_version": "m1"})
    assert of_this_moment(make_changes(), scores) is not None
    assert of_this_moment(make_changes(as_of=MOMENT - pd.Timedelta(days=1)), scores) is None
    assert of_this_moment(make_changes(model_version="m0"), scores) is None
    assert of_this_moment(make_changes().head(0), scores) is None
    assert of_this_moment(None, scores) is None


def test_what_would_lift_a_lead_says_how_often_it_is_done() -> None:
    actions = [{"text": "A visit to pricing", "points": 4.25, "share": 0.12, "n": 1340}]
    rows = [
        {"lead_id": "a", "target": "mql", "reached": True, "actions": actions},
        {"lead_id": "b", "target": "sql", "reached": False, "actions": np.array(actions, dtype=object)},
        {"lead_id": "c", "target": "sql", "reached": False, "actions": []},
    ]
    cards = pd.DataFrame({"lead_id": ["b", "a", "c", "d"]})
    b, a, c, d = add_lifts(cards, pd.DataFrame(rows))["lifts"]
    assert a["sentence"].startswith("Together these would bring it to MQL")
    assert b["sentence"] == "Even together these would not bring it to SQL"
    assert (a["reached"], b["reached"], c, d) == (True, False, None, None)
    option = {"text": "A visit to pricing", "points": "+4.2", "often": "12.0% of 1,340 leads did it"}
    assert a["options"] == b["options"] == [option]
