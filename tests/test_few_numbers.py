"""The numbers of one lead are those of many to the last bit: points, intervals, tiers and worth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.decisions.tiers import TIERS, assign_tiers, tier_bounds
from propensity.decisions.value import expected_value, value_interval, value_single
from propensity.explain.contributions import compute_contributions
from propensity.explain.few import RowExplainer
from propensity.explain.points import compute_points
from propensity.model.bands import Band
from propensity.model.estimators import probability_of
from propensity.params import ValueParams
from tiny_models import KINDS, METHODS, calibrator, matrix, training

BAND = Band(np.array([-3.0, 0.0, 2.0]), np.array([0.3, 0.1, 0.2]), np.array([0.2, 0.1, 0.4]))
CUTOFFS: dict[str, Any] = {"mql": {"probability": 0.2}, "sql": {"probability": 0.4}}
PROBABILITIES = st.floats(0, 1) | st.sampled_from([0.2, 0.4])
LIKELY, AMOUNTS = st.floats(1e-6, 1 - 1e-6), st.floats(1e-2, 1e9)


@pytest.mark.parametrize("reference_odds", [0.25, 1e-16, 1e16], ids=["middle", "held at 100", "held at 0"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_points_and_intervals_of_a_row_are_those_of_many(
    kind: str, method: str, reference_odds: float
) -> None:
    model, curve = training(kind).model, replace(calibrator(kind, method), band=BAND)
    rows = matrix(kind, "calibrate")[:25]
    contributions = compute_contributions(model, curve, rows)
    points = compute_points(contributions, reference_odds)
    middle = 1 / (1 + np.exp(-contributions.log_odds))
    ends = map(probability_of, curve.interval(contributions.log_odds))
    explainer = RowExplainer(model, curve, reference_odds)
    found = [explainer.explain(rows[i : i + 1])[0] for i in range(len(rows))]
    assert explainer.base == points.base
    assert [row.points for row in found] == points.values.tolist()
    assert [row.score for row in found] == points.score.tolist()
    assert [row.probability for row in found] == list(zip(middle, *ends, strict=True))


@given(PROBABILITIES, st.sampled_from([*TIERS, None]), st.sampled_from([0.0, 3.0]))
def test_a_lead_alone_has_the_tier_it_has_among_many(p: float, before: str | None, hold: float) -> None:
    previous = np.array([before], dtype=object)
    many = assign_tiers(np.array([p]), np.array([False]), CUTOFFS, previous=previous, hold=hold)
    assert tier_bounds(CUTOFFS, hold).assign(p, before) == many[0]


@given(st.tuples(*[LIKELY] * 3), st.tuples(*[AMOUNTS] * 3), st.sampled_from(TIERS))
def test_a_lead_alone_is_worth_what_it_is_worth_among_many(
    probability: tuple[float, float, float], amount: tuple[float, float, float], tier: str
) -> None:
    value = ValueParams(won=1000, margin=0.7, sales_touch=30, nurture=2)
    tiers = np.array([tier])
    many = [np.array([x]) for x in probability], [np.array([x]) for x in amount]
    ends = value_interval(tuple(many[0]), tuple(many[1]), tiers, value)
    worth = expected_value(many[0][0], many[1][0], tiers, value)
    assert value_single(probability, amount, tier, value) == (worth[0], ends[0][0], ends[1][0])
