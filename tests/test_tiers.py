"""Tiers with memory: a lead does not flap for noise, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from propensity.batch import score_features
from propensity.decisions.tiers import TIERS, assign_tiers, lower_by
from tiny_models import bundle, make_table

PARAMS: dict[str, Any] = {
    "data": {"leads": {"created_at": "created"}, "outcomes": {"won": ["won"], "closed_at": "closed"}}
}
POINT = np.log(2) / 10
CUTOFFS: dict[str, Any] = {"mql": {"probability": 0.2}, "sql": {"probability": 0.4}}


def tiers_of(scores: list[float], previous: list[str | None] | None = None, hold: float = 0.0) -> list[str]:
    """The tiers of scores whose 0 is a probability of a half."""
    probability = expit(np.array(scores) * POINT)
    before = None if previous is None else np.array(previous, dtype=object)
    nobody = np.zeros(len(scores), dtype=bool)
    return assign_tiers(probability, nobody, CUTOFFS, previous=before, hold=hold).tolist()


def score_of(probability: float) -> float:
    return float(np.log(probability / (1 - probability)) / POINT)


def test_a_lead_keeps_its_higher_tier_until_it_lies_more_than_hold_below_the_cutoff() -> None:
    sql, mql = score_of(0.4), score_of(0.2)
    asked = [sql - 2.99, sql - 3.01, mql - 2.99, mql - 3.01, mql - 3.01]
    assert tiers_of(asked, ["sql", "sql", "mql", "mql", "sql"], 3) == ["sql", "mql", "mql", *["nurture"] * 2]


def test_an_sql_that_falls_is_an_mql_within_hold_of_the_mql_cutoff() -> None:
    assert tiers_of([score_of(0.2) - 2], ["sql"], 3) == ["mql"]


def test_a_tier_that_was_lower_unknown_or_ruled_out_holds_nothing() -> None:
    below = score_of(0.4) - 0.5
    before = ["mql", "nurture", "disqualified", None, float("nan")]
    assert tiers_of([below] * 5, before, 3) == tiers_of([below] * 5) == ["mql"] * 5


def test_a_rule_overrules_what_is_held() -> None:
    held = assign_tiers(
        np.array([0.39]), np.array([True]), CUTOFFS, previous=np.array(["sql"], dtype=object), hold=5
    )
    assert held.tolist() == ["disqualified"]


@given(
    st.floats(-1.5, 1.5),
    st.floats(0.1, 20),
    st.lists(st.floats(0, 1), min_size=2, max_size=12),
    st.floats(0.02, 0.97),
    st.floats(0.5, 30),
)
def test_no_lead_flaps_for_noise_smaller_than_hold(
    place: float, hold: float, noise: list[float], mql: float, apart: float
) -> None:
    """Scores that stay within `hold` points of each other: a tier may be reached, and is never lost."""
    cutoffs = {"mql": {"probability": mql}, "sql": {"probability": lower_by(mql, -apart)}}
    nearest = cutoffs["sql" if place > 0.5 else "mql"]["probability"]
    previous, seen = np.array([None], dtype=object), []
    for wobble in noise:
        probability = np.array([lower_by(nearest, hold * (place - wobble))])
        tier = assign_tiers(probability, np.array([False]), cutoffs, previous=previous, hold=hold)
        previous = tier.astype(object)
        seen.append(TIERS.index(str(tier[0])))
    assert seen == sorted(seen)


@given(st.lists(st.tuples(st.floats(-60, 60), st.sampled_from([*TIERS, None])), min_size=1, max_size=20))
def test_without_hold_the_tier_before_does_not_count(rows: list[Any]) -> None:
    scores, before = (list(column) for column in zip(*rows, strict=True))
    assert tiers_of(scores, before, 0.0) == tiers_of(scores)


@given(st.floats(1e-6, 1 - 1e-6), st.floats(-50, 50))
def test_so_many_points_less_are_so_many_points(probability: float, points: float) -> None:
    assert score_of(lower_by(probability, points)) == pytest.approx(score_of(probability) - points, abs=1e-5)


def test_scoring_holds_the_tiers_it_is_given() -> None:
    table = make_table(60).assign(age_days=0.0)
    nobody = pd.DataFrame(columns=["lead_id", "rule", "reason", "column", "value"])
    made = replace(bundle("logistic"), params={**PARAMS, "cutoffs": {"hold": 5}})
    free = score_features(made, table, nobody)
    mql, place = made.cutoffs["mql"]["probability"], free["probability"]
    every = dict.fromkeys(free["lead_id"], "mql")
    held = score_features(made, table, nobody, previous=every)["tier"]
    just_under = (place < mql) & (place >= lower_by(mql, 5))
    assert 0 < just_under.sum() < (place < mql).sum()
    assert held.tolist() == free["tier"].mask(just_under, "mql").tolist()
