"""Fitting the regularised additive logistic regression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from propensity.model.encoding import FIRST_LEVEL, Encoding
from propensity.model.estimators import Logistic, Matrix, Vector
from propensity.model.statistics import OWN_LEVELS, Statistics, own_codes

# Strength of the ridge penalty on standardised columns, from near none to near the base rate.
PENALTIES = (1.0, 10.0, 50.0, 200.0, 1000.0, 5000.0)
# The width that a curve's bends are standardised to. Under one penalty a column of a tenth of the width
# shrinks a hundred times as much: a curve is nearly straight unless the data speak clearly.
BEND_WIDTH = 0.1


@dataclass(frozen=True)
class _Term:
    """How one feature becomes columns of the design.

    A category with more levels than can have a column each has a `statistic`, a log-odds a code.
    """

    knots: Vector
    category: bool
    sign: int = 0
    statistic: Vector | None = None


def fit_logistic(
    matrix: Matrix,
    won: npt.NDArray[np.bool_],
    weight: Vector,
    encoding: Encoding,
    *,
    penalty: float,
    monotone: Mapping[str, int],
    statistics: Statistics | None = None,
) -> Logistic:
    """Fit a ridge-penalised logistic regression on piecewise linear curves and level tables.

    A number becomes its own value and a hinge at each inner knot (quantiles of its values), a
    category one column a code, a missing number one column more. Columns are standardised, so the
    penalty treats features alike whatever their unit, and the hinges to a tenth of the width.

    Parameters
    ----------
    matrix : array of shape (n_rows, n_features)
    won : array of bool, shape (n_rows,)
    weight : array of shape (n_rows,)
    encoding : Encoding
    penalty : float
        The ridge penalty, larger for stronger shrinkage; the inverse of scikit-learn's ``C``.
    monotone : dict
        Feature to +1 or -1. Such a feature is one straight line, flat if its slope has the other sign.
    statistics : Statistics, optional
        Of the categories with more levels than can have a column each: the rarer levels share one
        column, and the statistic is another.
    """
    found = statistics or Statistics({}, {})
    terms = [_make_term(matrix[:, j], encoding, j, monotone, found) for j in range(matrix.shape[1])]
    blocks = [_columns(matrix[:, j], term, found.out_of_fold.get(j)) for j, term in enumerate(terms)]
    design = np.hstack(blocks)
    scale = design.std(axis=0)
    scale[scale == 0] = 1.0
    design -= design.mean(axis=0)
    scale /= np.concatenate([_widths(term) for term in terms])
    design /= scale
    starts = np.cumsum([0, *(block.shape[1] for block in blocks)])[:-1]
    slopes = {int(s): t.sign for s, t in zip(starts, terms, strict=True) if t.sign and len(t.knots) > 1}
    fitted = _fit_signed(design, won, weight, slopes, penalty)
    return _collect(matrix, terms, blocks, fitted.coef_[0] / scale, float(fitted.intercept_[0]))


def _fit_signed(
    design: Matrix, won: npt.NDArray[np.bool_], weight: Vector, slopes: Mapping[int, int], penalty: float
) -> LogisticRegression:
    """Fit; a column whose coefficient has the wrong sign is blanked in `design`, and all fitted again."""
    # One thread: the order of a sum, and so the last bits of a model, must not depend on the machine's load.
    with threadpool_limits(limits=1):
        while True:
            fitted = LogisticRegression(C=1 / penalty, solver="newton-cholesky", tol=1e-8, max_iter=200)
            fitted.fit(design, won, sample_weight=weight)
            wrong = [column for column, sign in slopes.items() if sign * fitted.coef_[0][column] < 0]
            if not wrong:
                return fitted
            design[:, wrong] = 0.0


def _make_term(
    x: Vector,
    encoding: Encoding,
    j: int,
    monotone: Mapping[str, int],
    statistics: Statistics,
    *,
    most_inner: int = 3,
) -> _Term:
    feature = encoding.features[j]
    if feature.kind == "category":
        codes = np.arange(encoding.n_codes(feature.name), dtype=np.float64)
        return _Term(codes, category=True, statistic=statistics.tables.get(j))
    known = x[~np.isnan(x)]
    low, high = np.quantile(known, [0.001, 0.999], method="nearest")
    if low == high:
        low, high = known.min(), known.max()
    if feature.name in monotone:
        return _Term(np.unique([low, high]), category=False, sign=monotone[feature.name])
    # Quantiles of the values above the lowest: counts that are mostly zero still get their knots.
    above = known[known > low]
    shares = np.arange(1, most_inner + 1) / (most_inner + 1)
    inner = np.quantile(above, shares, method="nearest") if len(above) else np.empty(0)
    return _Term(np.unique([low, *inner[(low < inner) & (inner < high)], high]), category=False)


def _columns(x: Vector, term: _Term, out_of_fold: Vector | None = None) -> Matrix:
    """Return the design's columns of one feature, shape (n_rows, n_columns)."""
    if term.statistic is not None:
        own = np.asarray(own_codes(x)[:, None] == term.knots[None, : FIRST_LEVEL + OWN_LEVELS])
        told = term.statistic[x.astype(np.int64)] if out_of_fold is None else out_of_fold
        return np.column_stack([own.astype(np.float64), told])
    if term.category:
        return np.asarray(x[:, None] == term.knots[None, :], dtype=np.float64)
    known = ~np.isnan(x)
    clipped = np.clip(np.where(known, x, term.knots[0]), term.knots[0], term.knots[-1])
    hinges = [np.maximum(0.0, clipped - knot) for knot in term.knots[:-1]]
    return np.asarray(np.column_stack([*hinges, ~known]), dtype=np.float64)


def _widths(term: _Term) -> Vector:
    """Return the standard deviation that each of a feature's columns is brought to."""
    if term.statistic is not None:
        return np.ones(min(len(term.knots), FIRST_LEVEL + OWN_LEVELS) + 1)
    if term.category:
        return np.ones(len(term.knots))
    bends = len(term.knots) - 2
    return np.array([1.0] * min(len(term.knots) - 1, 1) + [BEND_WIDTH] * max(bends, 0) + [1.0])


def _collect(
    matrix: Matrix, terms: list[_Term], blocks: list[Matrix], coefficients: Vector, intercept: float
) -> Logistic:
    """Turn coefficients into one curve or table a feature, each with mean zero on the training rows."""
    knots, values, missing = [], [], []
    place = 0
    for j, (term, block) in enumerate(zip(terms, blocks, strict=True)):
        own = coefficients[place : place + block.shape[1]]
        place += block.shape[1]
        centre = float(block.mean(axis=0) @ own)
        curve = _columns(term.knots, term) @ own - centre
        # What the training rows do not hold (a code, a missing number) adds nothing either way.
        seen = np.isin(term.knots, matrix[:, j])
        values.append(np.where(seen, curve, 0.0) if term.category else curve)
        knots.append(term.knots)
        has_missing = not term.category and bool(np.isnan(matrix[:, j]).any())
        missing.append(float(own[-1] - centre) if has_missing else 0.0)
    categories = frozenset(j for j, term in enumerate(terms) if term.category)
    return Logistic(intercept, knots, values, np.array(missing), categories)
