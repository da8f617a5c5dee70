"""Grades: quarters, ties, no spread, and that more points never give a worse grade."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.errors import BundleError
from propensity.explain.grades import assign_grades, choose_grades, count_grades

EIGHT = np.arange(8.0)
GRADES = choose_grades(EIGHT, -EIGHT)


def test_quarters_by_hand() -> None:
    """Of eight leads two have each letter and two each number; high fit goes with low engagement here."""
    assert GRADES["fit"] == {"cuts": [6.0, 4.0, 2.0], "note": ""}
    given_ = assign_grades(EIGHT, -EIGHT, GRADES)
    assert given_["fit_grade"].tolist() == list("DDCCBBAA")
    assert given_["engagement_grade"].tolist() == list("11223344")
    assert given_["grade"].tolist() == ["D1", "D1", "C2", "C2", "B3", "B3", "A4", "A4"]


def test_a_tie_gets_the_better_grade() -> None:
    tied = np.array([0.0, 0.0, 0.0, 5.0, 5.0, 5.0, 5.0, 9.0])
    found = assign_grades(tied, tied, choose_grades(tied, tied))
    assert found["grade"].tolist() == ["C3", "C3", "C3", "A1", "A1", "A1", "A1", "A1"]


def test_rounding_does_not_change_a_grade() -> None:
    found = assign_grades(np.array([6.0 - 1e-12, 6.0 - 1e-6]), np.zeros(2), GRADES)
    assert found["fit_grade"].tolist() == ["A", "B"]


def test_without_spread_there_is_one_grade_and_it_says_so() -> None:
    same = np.zeros(5)
    chosen = choose_grades(same, EIGHT[:5])
    assert chosen["fit"]["note"] == "all leads have the same fit points, so all have the grade A"
    assert chosen["engagement"]["note"] == ""
    assert set(assign_grades(same, EIGHT[:5], chosen)["fit_grade"]) == {"A"}


@given(st.lists(st.floats(-60, 60), min_size=1, max_size=30), st.lists(st.floats(-90, 90), min_size=2))
def test_more_points_never_give_a_worse_grade(seen: Any, new: Any) -> None:
    chosen = choose_grades(np.array(seen), np.array(seen))
    points = np.sort(np.array(new))
    found = assign_grades(points, points, chosen)
    assert found["fit_grade"].tolist() == sorted(found["fit_grade"], reverse=True)
    assert found["engagement_grade"].tolist() == sorted(found["engagement_grade"], reverse=True)


def test_a_bundle_without_grades_gives_none() -> None:
    assert assign_grades(EIGHT, EIGHT, None).isna().all(axis=None)
    assert count_grades(assign_grades(EIGHT, EIGHT, None), EIGHT > 3) == []


def test_wins_are_counted_by_grade() -> None:
    found = count_grades(assign_grades(EIGHT, -EIGHT, GRADES), EIGHT == 7)
    assert found == [
        {"fit_grade": "A", "engagement_grade": "4", "n": 2, "won": 1},
        {"fit_grade": "B", "engagement_grade": "3", "n": 2, "won": 0},
        {"fit_grade": "C", "engagement_grade": "2", "n": 2, "won": 0},
        {"fit_grade": "D", "engagement_grade": "1", "n": 2, "won": 0},
    ]


@pytest.mark.parametrize("cuts", [[1.0], [1.0, 2.0, 3.0], None])
def test_cuts_of_another_shape_are_refused(cuts: Any) -> None:
    with pytest.raises(BundleError, match="three falling cuts for fit"):
        assign_grades(EIGHT, EIGHT, {"fit": {"cuts": cuts}, "engagement": {"cuts": [3.0, 2.0, 1.0]}})
