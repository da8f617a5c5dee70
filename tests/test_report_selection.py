"""Which leads the review shows: groups that take turns, confident misses, leads that a person named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.errors import InputError
from propensity.report.selection import LEAST_CHANGE, choose_cards, find_misses, parse_leads, pick_cards

CUTOFFS = {"sql": {"probability": 0.6}, "mql": {"probability": 0.3}}
OUT_OF_REACH = {"sql": {"probability": 2.0}, "mql": {"probability": 2.0}}
WON, LOST = "closed: won though unlikely", "closed: lost though likely"


def make_scored(probability: Any, **changed: Any) -> pd.DataFrame:
    leads = [f"L{p:.3f}" for p in probability]
    return pd.DataFrame({"lead_id": leads, "probability": probability, "tier": "any"}).assign(**changed)


def get_shown(cards: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(cards["lead_id"], cards["why_shown"], strict=True))


def test_groups_take_turns_and_a_lead_is_shown_once() -> None:
    probability = np.round(np.arange(0.05, 0.95, 0.05), 2)
    scores = make_scored(probability, tier=np.where(np.isclose(probability, 0.5), "disqualified", "any"))
    assert get_shown(choose_cards(scores, CUTOFFS, most=8)) == [
        ("L0.900", "top of the queue"),
        ("L0.850", "top of the queue"),
        ("L0.650", "just above the SQL cut-off"),
        ("L0.600", "just above the SQL cut-off"),
        ("L0.550", "just under the SQL cut-off"),
        ("L0.300", "just above the MQL cut-off"),
        ("L0.250", "just under the MQL cut-off"),
        ("L0.500", "disqualified"),
    ]


@pytest.mark.parametrize(
    ("risen", "shown"),
    [(LEAST_CHANGE, "risen most since the scores before"), (0.9, "just under the MQL cut-off")],
)
def test_a_score_has_risen_from_a_point_up(risen: float, shown: str) -> None:
    scores = make_scored([0.1, 0.2, 0.4, 0.5, 0.8])
    changes = pd.DataFrame({"lead_id": scores["lead_id"], "change": [-9.0, 0.0, risen, 0.0, 0.0]})
    cards = dict(get_shown(choose_cards(scores, OUT_OF_REACH, changes=changes, most=5)))
    assert cards["L0.400"] == shown
    assert cards["L0.100"] == "fallen most since the scores before"


def test_what_no_group_wants_is_spread_over_the_scores() -> None:
    scores = make_scored(np.linspace(0.9, 0.1, 200))
    cards = choose_cards(scores, OUT_OF_REACH, most=100)
    rest = cards.loc[cards["why_shown"] == "spread over the scores", "probability"]
    # The top and the leads under a cut-off out of reach are the same 25; 75 of the other 175 are left.
    assert len(rest) == 75
    assert (rest.max(), rest.min()) == (scores["probability"][25], scores["probability"][199])
    assert rest.diff().abs().max() < 3.1 * 0.8 / 199


def test_closed_leads_come_last_in_groups_of_their_own() -> None:
    scores = make_scored([0.9, 0.1])
    closed = make_scored([0.05, 0.8], lead_id=["w", "l"], why_shown=[WON, LOST])
    assert get_shown(choose_cards(scores, CUTOFFS, closed=closed, most=10))[-2:] == [("w", WON), ("l", LOST)]


def test_a_scored_lead_that_was_closed_before_is_shown_once() -> None:
    closed = make_scored([0.05], lead_id=["L0.900"], why_shown=[WON])
    assert get_shown(choose_cards(make_scored([0.9]), CUTOFFS, closed=closed)) == [
        ("L0.900", "top of the queue")
    ]


@given(st.lists(st.floats(0.001, 0.999), max_size=40), st.integers(1, 60), st.integers(0, 3))
def test_as_many_leads_are_shown_as_there_are_or_were_asked_for(
    probability: list[float], most: int, every: int
) -> None:
    leads = [f"L{i}" for i in range(len(probability))]
    tier = ["disqualified" if every and i % every == 0 else "any" for i in range(len(leads))]
    scores = pd.DataFrame({"lead_id": leads, "probability": probability, "tier": tier}).astype(
        {"lead_id": "str", "probability": "float64", "tier": "str"}
    )
    cards = choose_cards(scores, CUTOFFS, most=most)
    assert len(cards) == min(most, len(leads))
    assert cards["lead_id"].is_unique
    again = choose_cards(scores.sample(frac=1, random_state=3), CUTOFFS, most=most)
    pd.testing.assert_frame_equal(cards, again)


def test_misses_are_wins_from_under_the_mql_cutoff_and_losses_from_above_it() -> None:
    rows = [
        ("a", 0.1, True, "won"),
        ("b", 0.29, True, "won"),
        ("c", 0.3, True, "won"),
        ("d", 0.9, False, "lost"),
        ("e", 0.3, False, "lost"),
        ("f", 0.29, False, "lost"),
        ("g", 0.95, False, "open"),
        ("h", 0.05, False, "won"),  # after the horizon
    ]
    test = pd.DataFrame(rows, columns=["lead_id", "p", "won", "status"]).assign(
        as_of=pd.Timestamp("2025-01-01")
    )
    found = find_misses(test, test["p"].to_numpy(), test["status"], CUTOFFS)
    assert [(test["lead_id"][i], why) for i, why in found.items()] == [
        ("a", WON),
        ("b", WON),
        ("d", LOST),
        ("e", LOST),
    ]


def test_of_a_lead_only_the_last_snapshot_can_be_a_miss() -> None:
    test = pd.DataFrame({"lead_id": ["a", "a", "b", "b"], "won": [True, True, True, True]})
    test["as_of"] = pd.to_datetime(["2025-01-08", "2025-01-01", "2025-01-01", "2025-01-08"])
    found = find_misses(test, np.array([0.8, 0.1, 0.8, 0.1]), pd.Series(["won"] * 4), CUTOFFS)
    assert found.to_dict() == {3: WON}


def test_leads_asked_for_are_shown_in_their_order_each_once() -> None:
    cards = pick_cards(make_scored([0.1, 0.2, 0.3]), ["L0.300", "L0.100", "L0.300"])
    assert get_shown(cards) == [("L0.300", "asked for"), ("L0.100", "asked for")]


def test_leads_that_are_not_scored_are_named_the_first_five_and_how_many() -> None:
    wanted = ["L0.100", *(f"x{i}" for i in range(7))]
    with pytest.raises(InputError, match=r"7 of 8 leads .* the 1 of the latest .*'x0', .*'x4' and 2 more"):
        pick_cards(make_scored([0.1]), wanted)


@pytest.mark.parametrize(("n", "told"), [(0, "none was asked for"), (501, "501 were asked for; split")])
def test_no_lead_or_too_many_are_refused(n: int, told: str) -> None:
    with pytest.raises(InputError, match=f"shows 1 to 500 leads, {told}"):
        pick_cards(make_scored([0.1]), [f"x{i}" for i in range(n)])


@pytest.mark.parametrize(
    "content",
    [
        "a 1\nb,2\n".replace(",", "-"),
        "\ufeffname,lead_id\nAna,a 1\r\n\nBo,b-2\n",
        '"a 1"\n\n b-2 \n',
        "lead_id\na 1\nb-2",
        'lead_id,note\na 1,"said, twice"\nb-2\n',
    ],
)
def test_a_file_of_leads_has_one_a_line_or_a_column(content: str) -> None:
    assert parse_leads(content) == ["a 1", "b-2"]


def test_a_file_without_the_column_is_refused_with_the_columns_it_has() -> None:
    with pytest.raises(
        InputError, match="column lead_id, or have one lead a line; it has the columns 'id', 'name'"
    ):
        parse_leads("id,name\n1,Ana\n")
    with pytest.raises(InputError, match="one lead a line; a line holds 'b', 'c'"):
        parse_leads("a\nb,c\n")
