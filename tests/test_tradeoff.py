"""What a cut-off at each score of an even grid would give."""

from __future__ import annotations

import numpy as np
import pytest

from propensity.decisions.arrivals import Arrivals
from propensity.decisions.tradeoff import FEWEST_ABOVE, compute_tradeoff
from propensity.params import ValueParams

POINT = np.log(2) / 10  # of log-odds; odds of one score 50 below
VALUE = ValueParams(won=1000, margin=0.5, sales_touch=60, nurture=2, untouched=0.4, nurtured=0.5)


def make_part(scores: list[float], repeats: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log-odds, outcomes and leads: each score so many times, half of them won from 50 up."""
    log_odds = np.repeat((np.array(scores) - 50) * POINT, repeats)
    won = (np.arange(len(log_odds)) % 2 == 0) & (log_odds >= 0)
    return log_odds, won, np.arange(len(log_odds))


def test_rows_are_what_a_cutoff_at_their_score_gives() -> None:
    log_odds, won, leads = make_part([20.4, 50.0, 60.0, 70.5, 71.0])
    found = compute_tradeoff(log_odds, won, leads, Arrivals(leads, np.array([20.0, 30.0])), 1.0, VALUE)
    rows = {row["score"]: row for row in found["rows"]}
    assert (found["n"], found["per_week"]) == (50, 25.0)
    assert list(rows) == [float(s) for s in range(20, 71)]
    assert rows[20.0]["n"] == 50
    row = rows[61.0]
    assert (row["n"], row["share"], row["precision"], row["recall"]) == (20, 0.4, 0.5, 0.5)
    assert row["per_week"] == pytest.approx(10.0)
    # Called: (1 - 0.4) 500 for each of 10 wins, less 60 for each of 20; nurtured: 0.1 of 500, less 2.
    assert row["gain_call"] == pytest.approx((10 * 300 - 20 * 60) / 50)
    assert row["gain_nurture"] == pytest.approx((10 * 50 - 20 * 2) / 50)
    assert row["precision_interval"][0] < 0.5 < row["precision_interval"][1]


def test_a_narrow_span_is_cut_in_halves() -> None:
    log_odds, won, leads = make_part([50.0, 51.2, 52.0])
    found = compute_tradeoff(log_odds, won, leads, Arrivals(leads, None), 1.0, VALUE)
    assert [row["score"] for row in found["rows"]] == [50.0, 50.5, 51.0]
    assert found["per_week"] is None
    assert found["rows"][0]["per_week"] is None


def test_a_lead_counts_once_a_week_at_its_highest_score() -> None:
    log_odds, won, rows = make_part([60.0, 50.0], repeats=FEWEST_ABOVE)
    found = compute_tradeoff(log_odds, won, rows % 20, Arrivals(rows % 20, np.array([8.0])), 1.0, VALUE)
    above = {row["score"]: row for row in found["rows"]}[55.0]
    assert (above["share"], above["per_week"]) == (0.5, 8.0)


def test_groups_widen_the_interval_of_the_share_won() -> None:
    log_odds = np.zeros(200)
    won = np.arange(200) < 100

    def width(groups: np.ndarray) -> float:
        found = compute_tradeoff(log_odds, won, groups, Arrivals(np.arange(200), None), 1.0, VALUE)
        low, high = found["rows"][0]["precision_interval"]
        return float(high - low)

    assert width(np.arange(200) // 10) > 2 * width(np.arange(200))


def test_without_a_value_or_enough_rows_nothing_is_made_up() -> None:
    log_odds, won, leads = make_part([50.0, 60.0])
    found = compute_tradeoff(log_odds, won, leads, Arrivals(leads, None), 1.0, ValueParams())
    assert {(row["gain_call"], row["gain_nurture"]) for row in found["rows"]} == {(None, None)}
    few = slice(0, FEWEST_ABOVE - 1)
    nothing = compute_tradeoff(log_odds[few], won[few], leads[few], Arrivals(leads[few], None), 1.0, VALUE)
    assert nothing["rows"] == []
