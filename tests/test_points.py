"""Points: base and values are the score, also where it is held at 0 or 100; ten more double the odds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.errors import InputError
from propensity.explain.contributions import Contributions, compute_contributions
from propensity.explain.explanation import make_explanation, sum_groups
from propensity.explain.points import Points, compute_points, mean_absolute_points, score_of, sum_by_side
from tiny_models import FEATURES, KINDS, METHODS, calibrator, make_feature, matrix, table, training

REFERENCE = 0.25
ROWS = st.lists(st.tuples(*[st.floats(-30, 30)] * 3), min_size=1, max_size=8)
BASES = st.one_of(st.floats(-12, 12), st.sampled_from([0.0, -50.0, 50.0]))


def contribute(base: float, rows: Any) -> Contributions:
    values = np.array(rows, dtype=float)
    return Contributions(base, values, base + values.sum(axis=1))


def test_the_score_by_hand() -> None:
    log_odds = np.log(
        np.array([REFERENCE, 2 * REFERENCE, REFERENCE / 4, 32 * REFERENCE, 33 * REFERENCE, 1e-9])
    )
    assert score_of(log_odds, REFERENCE).tolist() == pytest.approx([50, 60, 30, 100, 100, 0])


def test_points_by_hand() -> None:
    """Base at the reference; one feature doubles the odds twice, the other halves them once."""
    found = compute_points(contribute(np.log(REFERENCE), [[2 * np.log(2), -np.log(2)]]), REFERENCE)
    assert found.base == pytest.approx(50)
    assert found.values[0] == pytest.approx([20, -10])
    assert found.score[0] == pytest.approx(60)


def test_points_of_a_held_score_are_scaled_down_alike() -> None:
    """Odds doubled eight times would be 130 points: 50 are left, and each part gives up alike."""
    found = compute_points(contribute(np.log(REFERENCE), [[9 * np.log(2), -np.log(2)]]), REFERENCE)
    assert found.score[0] == 100
    assert found.values[0] == pytest.approx([90 * 50 / 80, -10 * 50 / 80])


@given(BASES, ROWS)
def test_base_and_points_are_the_score(base: float, rows: Any) -> None:
    found = compute_points(contribute(base, rows), REFERENCE)
    assert found.base + found.values.sum(axis=1) == pytest.approx(found.score, abs=1e-9)
    assert ((found.score >= 0) & (found.score <= 100)).all()
    assert 0 <= found.base <= 100
    assert np.isfinite(found.values).all()


@given(BASES, st.floats(-1e-8, 1e-8), st.floats(-9, 9))
def test_they_are_for_a_lead_next_to_the_base(base: float, distance: float, term: float) -> None:
    values = np.array([[term, distance - term]])
    found = compute_points(Contributions(base, values, base + values.sum(axis=1)), REFERENCE)
    assert found.base + found.values.sum(axis=1) == pytest.approx(found.score, abs=1e-9)
    if 0 < found.base < 100 and 0 < found.score[0] < 100:
        assert found.values[0, 0] == pytest.approx(term * 10 / np.log(2), rel=1e-12)


@pytest.mark.parametrize("edge", [0.0, 100.0])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_they_are_for_every_model_and_at_both_ends(kind: str, method: str, edge: float) -> None:
    used = calibrator(kind, method)
    contributions = compute_contributions(training(kind).model, used, matrix(kind, "calibrate"))
    middle = float(np.exp(np.median(contributions.log_odds)))
    reference = middle * (2**4.5 if edge == 0 else 2**-4.5)
    for odds in (middle, reference):
        found = compute_points(contributions, odds)
        assert found.base + found.values.sum(axis=1) == pytest.approx(found.score, abs=1e-9)
    assert (found.score == edge).any()
    assert (found.score != edge).any()


def test_the_two_sides_sum_to_the_score() -> None:
    contributions = compute_contributions(
        training("blend").model, calibrator("blend", "beta"), matrix("blend", "calibrate")
    )
    found = compute_points(contributions, REFERENCE)
    features = training("blend").encoding.features
    fit, engagement = sum_by_side(found, features)
    assert found.base + fit + engagement == pytest.approx(found.score, abs=1e-9)
    sides = {f.qualifier for f in features}
    assert sides == {"web", "firmographic", "demographic"}
    assert engagement == pytest.approx(found.values[:, :2].sum(axis=1))


def test_drivers_by_hand() -> None:
    """Two features of web cancel in the first lead, so that web moves scores less than either."""
    features = [
        make_feature("a", qualifier="web"),
        make_feature("b", qualifier="web"),
        make_feature("c", qualifier="timing", label="see"),
    ]
    step = np.log(2) / 10
    found = compute_points(
        contribute(np.log(REFERENCE), np.array([[4, -4, 1], [2, 0, -2]]) * step), REFERENCE
    )
    described = mean_absolute_points(found, features)
    assert [(row["feature"], row["mean_abs_points"]) for row in described["drivers"]] == [
        ("a", pytest.approx(3)),
        ("b", pytest.approx(2)),
        ("c", pytest.approx(1.5)),
    ]
    assert [(row["qualifier"], row["mean_abs_points"]) for row in described["qualifiers"]] == [
        ("timing", pytest.approx(1.5)),
        ("web", pytest.approx(1.0)),
    ]
    assert described["drivers"][2]["label"] == "see"


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_the_shap_explanation_sums_to_the_score() -> None:
    rows = table()[table()["split"] == "calibrate"].head(20)
    features = training("logistic").encoding.features
    contributions = compute_contributions(
        training("logistic").model, calibrator("logistic", "sigmoid"), matrix("logistic", "calibrate")[:20]
    )
    found = compute_points(contributions, REFERENCE)
    explanation = make_explanation(found, rows, features)
    assert explanation.base_values + explanation.values.sum(axis=1) == pytest.approx(found.score, abs=1e-9)
    assert explanation.feature_names == [f.label for f in FEATURES if f in features]
    assert explanation[3].data[3] == rows["channel"].iloc[3]
    assert explanation.shape == (20, len(features))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("by", ["feature", "family", "qualifier"])
@pytest.mark.parametrize("kind", KINDS)
def test_groups_sum_to_the_score_as_features_do(kind: str, by: Any) -> None:
    rows = table()[table()["split"] == "calibrate"].head(20)
    features = training(kind).encoding.features
    used = calibrator(kind, "isotonic")
    found = compute_points(
        compute_contributions(training(kind).model, used, matrix(kind, "calibrate")[:20]), REFERENCE
    )
    explanation = make_explanation(found, rows, features, by=by)
    assert explanation.base_values + explanation.values.sum(axis=1) == pytest.approx(found.score, abs=1e-9)
    assert explanation.shape == (20, len(explanation.feature_names))


def test_groups_by_hand() -> None:
    features = [
        make_feature("visits_7d", qualifier="web", family="web_visit"),
        make_feature("city"),
        make_feature("visits_30d", qualifier="web", family="web_visit"),
        make_feature("forms_7d", qualifier="web", family="web_form"),
    ]
    found = Points(40.0, np.array([[1.0, 2.0, 4.0, 8.0]]), np.array([55.0]))
    assert sum_groups(found, features, by="family").to_dict("records") == [
        {"web_visit": 5.0, "city": 2.0, "web_form": 8.0}
    ]
    assert sum_groups(found, features, by="qualifier").to_dict("records") == [
        {"web": 13.0, "demographic": 2.0}
    ]
    with pytest.raises(
        InputError, match="by should be one of feature, family, qualifier, it is 'familly', did"
    ):
        sum_groups(found, features, by="familly")  # type: ignore[arg-type]
