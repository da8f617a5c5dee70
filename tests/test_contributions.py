"""Contributions: base and values are the calibrated log-odds, for every estimator and calibrator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.explain.contributions import NEAR_BASE, compute_contributions
from propensity.model.bundle import log_odds
from propensity.model.calibration import Calibrator
from propensity.model.encoding import encode
from propensity.model.estimators import Logistic
from tiny_models import KINDS, METHODS, bundle, calibrator, matrix, table, training

LINE = Logistic(
    0.5,
    [np.array([-100.0, 100.0])] * 2,
    [np.array([-100.0, 100.0])] * 2,
    np.zeros(2),
    frozenset(),
)
CALIBRATORS = [
    Calibrator("sigmoid", {"slope": 0.7, "intercept": -0.2}),
    Calibrator("beta", {"a": 3.0, "b": 0.2, "c": 0.1}),
    Calibrator(
        "isotonic", {"margins": [-1.0, 0.49, 0.5, 0.51, 3.0], "log_odds": [-9.0, -8.0, 0.0, 9.0, 9.1]}
    ),
]
PAIRS = st.tuples(st.floats(-20, 20), st.floats(-20, 20))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_base_and_contributions_are_the_calibrated_log_odds(kind: str, method: str) -> None:
    model, used, X = training(kind).model, calibrator(kind, method), matrix(kind, "calibrate")
    found = compute_contributions(model, used, X)
    assert found.base + found.values.sum(axis=1) == pytest.approx(found.log_odds, abs=1e-9)
    assert found.log_odds == pytest.approx(used.log_odds(model.margin(X)), abs=1e-9)
    assert found.base == pytest.approx(used.log_odds(np.array([model.base]))[0], abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
@given(
    row=st.tuples(
        st.integers(0, 30),
        st.integers(0, 60),
        st.none() | st.floats(0, 1e6),
        st.integers(0, 4),
        st.integers(0, 4),
    )
)
@settings(max_examples=10)
def test_they_are_for_leads_that_training_never_saw(kind: str, method: str, row: Any) -> None:
    X = np.array([[np.nan if x is None else float(x) for x in row]])
    found = compute_contributions(training(kind).model, calibrator(kind, method), X)
    assert found.base + found.values.sum(axis=1) == pytest.approx(found.log_odds, abs=1e-9)


@pytest.mark.parametrize("used", CALIBRATORS, ids=METHODS)
@given(terms=PAIRS, distance=st.sampled_from([0.0, 1e-16, 1e-14, 1e-13, 1e-12, 1e-9, 1e-7, 1e-4, 1.0]))
def test_they_are_however_near_to_the_base_and_however_steep_the_map(
    used: Calibrator, terms: Any, distance: float
) -> None:
    """The second row's terms cancel but for `distance`; the map is a cliff at this very base."""
    x = terms[0]
    found = compute_contributions(LINE, used, np.array([terms, (x, distance - x)]))
    assert found.base + found.values.sum(axis=1) == pytest.approx(found.log_odds, abs=1e-9)
    assert np.isfinite(found.values).all()


@pytest.mark.parametrize("used", CALIBRATORS, ids=METHODS)
def test_a_lead_at_the_base_keeps_the_shares_of_its_contributions(used: Calibrator) -> None:
    """What cancels exactly is scaled by the map's slope, neither lost nor blown up by rounding."""
    exact, near = compute_contributions(
        LINE, used, np.array([[2.0, -2.0], [2.0, -2.0 + 10 * NEAR_BASE]])
    ).values
    slope = used.slope(0.5)
    assert exact == pytest.approx([2 * slope, -2 * slope], rel=1e-6)
    assert near == pytest.approx(exact, rel=0.1)  # the cliff has a kink at the base


def test_contributions_keep_their_signs_and_proportions() -> None:
    """One scale a row: by hand, margin .5 + 1 - 3 and the line .7 m - .2 scale both terms by .7."""
    found = compute_contributions(LINE, CALIBRATORS[0], np.array([[1.0, -3.0]]))
    assert found.values[0] == pytest.approx([0.7, -2.1])
    assert found.base == pytest.approx(0.15)
    assert found.log_odds[0] == pytest.approx(-1.25)
    bent = compute_contributions(LINE, CALIBRATORS[1], np.array([[1.0, -3.0]]))
    assert bent.values[0, 1] / bent.values[0, 0] == pytest.approx(-3.0)
    assert bent.values[0, 0] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_explained_log_odds_are_the_evaluated_ones(kind: str) -> None:
    made = bundle(kind, "isotonic")
    rows = table()[table()["split"] == "calibrate"]
    explained = compute_contributions(made.model, made.calibrator, encode(rows, made.encoding)).log_odds
    assert explained == pytest.approx(log_odds(made, rows), abs=1e-9)


@pytest.mark.filterwarnings("ignore")  # matplotlib's warnings come with the import
def test_the_logistics_terms_agree_with_shaps_exact_explainer() -> None:
    """Against a background of rows, which shap averages over, a term counts from its mean over them."""
    import shap

    model, X = training("logistic").model, matrix("logistic", "calibrate")
    rows, background = X[:8], X[8:58]
    masker = shap.maskers.Independent(background, max_samples=len(background))
    found = shap.explainers.Exact(model.margin, masker)(rows)
    own = model.contributions(rows) - model.contributions(background).mean(axis=0)
    assert np.asarray(found.values) == pytest.approx(own, abs=1e-9)
