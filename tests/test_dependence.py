"""How many points a feature gives, by its value."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.explain.dependence import compute_dependence
from propensity.explain.points import Points
from propensity.features.catalogue import Feature


def make_feature(name: str, kind: Any = "number") -> Feature:
    return Feature(name, kind, "web", name, "count", "events", f"label of {name}", name)


def describe(values: Any, given_points: Any, *, kind: Any = "number", bins: int = 12) -> dict[str, Any]:
    given_points = np.asarray(given_points, dtype=np.float64)
    points = Points(40.0, given_points[:, None], 40 + given_points)
    (found,) = compute_dependence(points, pd.DataFrame({"f": values}), [make_feature("f", kind)], bins=bins)
    return found


def test_few_values_of_a_number_are_each_a_bin() -> None:
    found = describe([0, 0, 0, 1, 1, 5], [-3.0, -2.0, -1.0, 4.0, 6.0, 9.0])
    assert [(r["x"], r["n"], r["points"]) for r in found["rows"]] == [
        (0.0, 3, -2.0),
        (1.0, 2, 5.0),
        (5.0, 1, 9.0),
    ]
    assert found["rows"][0]["low"] == pytest.approx(-2.8)
    assert found["rows"][0]["high"] == pytest.approx(-1.2)


def test_many_values_fall_into_bins_of_one_size() -> None:
    found = describe(np.arange(120.0), np.arange(120.0), bins=12)
    assert [r["n"] for r in found["rows"]] == [10] * 12
    first = found["rows"][0]
    assert (first["first"], first["last"], first["x"], first["points"]) == (0.0, 9.0, 4.5, 4.5)


def test_the_levels_of_a_category_come_by_frequency_and_what_is_missing_last() -> None:
    values = ["b", None, "a", "b", "c", "a", "b"]
    found = describe(values, [1.0, 7.0, 2.0, 1.0, 3.0, 2.0, 1.0], kind="category", bins=2)
    assert [(r["x"], r["n"], r["points"]) for r in found["rows"]] == [
        ("b", 3, 1.0),
        ("a", 2, 2.0),
        (None, 1, 7.0),
    ]
    assert found["levels"] == 3


def test_a_feature_that_is_never_known_has_one_row() -> None:
    found = describe([np.nan, np.nan], [1.0, 3.0])
    assert [(r["x"], r["n"], r["points"]) for r in found["rows"]] == [(None, 2, 2.0)]


def test_the_features_that_move_scores_most_come_first() -> None:
    values = np.array([[0.1, -5.0, 3.0], [0.1, 5.0, 3.5]])
    table = pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0], "z": [1.0, 2.0]})
    features = [make_feature(name) for name in table]
    found = compute_dependence(Points(40.0, values, 40 + values.sum(axis=1)), table, features, most=2)
    assert [f["feature"] for f in found] == ["y", "z"]
    assert found[0]["label"] == "label of y"


def test_no_rows_have_no_dependence() -> None:
    points = Points(40.0, np.empty((0, 1)), np.empty(0))
    assert compute_dependence(points, pd.DataFrame({"f": []}), [make_feature("f")]) == []


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=60), st.integers(2, 12))
def test_every_row_is_in_one_bin_and_their_mean_is_that_of_all(values: list[float | None], bins: int) -> None:
    points = np.linspace(-3, 8, len(values))
    column = pd.array(values, dtype="Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    rows = describe(column, points, bins=bins)["rows"]
    assert sum(r["n"] for r in rows) == len(values)
    assert sum(r["n"] * r["points"] for r in rows) == pytest.approx(points.sum(), abs=1e-6)
    known = [r for r in rows if r["x"] is not None]
    assert len(known) <= bins
    assert all(a["last"] < b["first"] for a, b in itertools.pairwise(known))
