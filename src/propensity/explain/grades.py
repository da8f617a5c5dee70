"""Grades: fit as a letter and engagement as a number, A1 to D4, by quarters of earlier leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.errors import BundleError
from propensity.model.estimators import Vector

GRADES = {"fit": "ABCD", "engagement": "1234"}
QUARTERS = (0.75, 0.5, 0.25)
# Points differ by less than this only by rounding, which may depend on the rows scored together.
SAME_POINTS = 1e-9


def choose_grades(fit: Vector, engagement: Vector) -> dict[str, Any]:
    """Choose the points from which on each grade is given: quarters of the leads at hand.

    Parameters
    ----------
    fit, engagement : array of shape (n_rows,)
        Points of the calibrate part.

    Returns
    -------
    dict
        ``fit`` and ``engagement``, each with ``cuts`` (the least points of the three best grades,
        falling), and a ``note``, empty unless all rows have the same points: then each gets the best grade.
    """
    return {"fit": _choose(fit, "fit"), "engagement": _choose(engagement, "engagement")}


def _choose(points: Vector, side: str) -> dict[str, Any]:
    cuts = [float(np.quantile(points, q, method="higher")) for q in QUARTERS]
    best = GRADES[side][0]
    same = float(np.ptp(points)) <= SAME_POINTS
    note = f"all leads have the same {side} points, so all have the grade {best}" if same else ""
    return {"cuts": cuts, "note": note}


def assign_grades(fit: Vector, engagement: Vector, grades: Mapping[str, Any] | None) -> pd.DataFrame:
    """Grade leads: points at or above a cut get its grade, so ties get the better one.

    Parameters
    ----------
    fit, engagement : array of shape (n_rows,)
    grades : dict or None
        As `choose_grades`; None for a bundle without, whose leads have no grade.

    Returns
    -------
    DataFrame
        ``grade`` (such as ``B2``), ``fit_grade`` (``A`` to ``D``), ``engagement_grade`` (``1`` to ``4``).

    Raises
    ------
    BundleError
        `grades` has another shape.
    """
    if grades is None:
        none = pd.array([None] * len(fit), dtype="str")
        return pd.DataFrame({"grade": none, "fit_grade": none, "engagement_grade": none})
    fits = _assign(fit, grades, "fit")
    numbers = _assign(engagement, grades, "engagement")
    both = np.char.add(fits, numbers)
    columns = {"grade": both, "fit_grade": fits, "engagement_grade": numbers}
    return pd.DataFrame(
        {name: pd.array(column.astype(object), dtype="str") for name, column in columns.items()}
    )


def grade_row(points: float, cuts: Sequence[float], side: str) -> str:
    """Return the grade of a single lead on one side, for the cuts that `cuts_of` returned."""
    return GRADES[side][sum(points < cut - SAME_POINTS for cut in cuts)]


def cuts_of(grades: Mapping[str, Any], side: str) -> Vector:
    """Return the points from which on each grade is given on one side.

    Raises
    ------
    BundleError
        They are not three falling numbers.
    """
    cuts = np.asarray(grades.get(side, {}).get("cuts", []), dtype=float)
    if cuts.shape != (3,) or not (np.diff(cuts) <= 0).all():
        raise BundleError(f"grades.json should have three falling cuts for {side}, it has {cuts.tolist()}")
    return cuts


def _assign(points: Vector, grades: Mapping[str, Any], side: str) -> npt.NDArray[np.str_]:
    place = (points[:, None] < cuts_of(grades, side) - SAME_POINTS).sum(axis=1)
    return np.asarray(np.array(list(GRADES[side]))[place])


def count_grades(given: pd.DataFrame, won: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Count rows and wins by grade.

    Parameters
    ----------
    given : DataFrame
        As `assign_grades`.
    won : array of bool, shape (n_rows,)

    Returns
    -------
    list of dict
        ``fit_grade, engagement_grade, n, won``, the grades in their order; none without grades.
    """
    counted = given.assign(won=won).groupby(["fit_grade", "engagement_grade"])["won"].agg(["size", "sum"])
    return [
        {"fit_grade": fit, "engagement_grade": number, "n": int(n), "won": int(k)}
        for (fit, number), n, k in counted.itertuples()
    ]
