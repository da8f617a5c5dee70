"""Effects of levels, each drawn towards 0 by as much as those of its column vary no more than chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

ROUNDS = 200


def fit_effects(
    values: Vector, design: Matrix, columns: Sequence[str]
) -> tuple[Vector, Matrix, dict[str, float]]:
    """Solve Henderson's mixed-model equations, the variances by EM-REML.

    One thread, because sums over several depend on their number.

    Parameters
    ----------
    values : array of shape (n_rows,)
    design : array of shape (n_rows, 1 + n_effects)
        Ones, then 1 where a row has the level of an effect.
    columns : sequence of str, length n_effects
        The column each effect belongs to.

    Returns
    -------
    coefficients : array of shape (1 + n_effects,)
    covariance : array of shape (1 + n_effects, 1 + n_effects)
        Of the errors of the coefficients.
    spread : dict
        For each column the variance of its effects.

    References
    ----------
    Henderson (1975), doi:10.2307/2529430; Searle, Casella and McCulloch (1992), Variance Components, ch. 8.
    """
    with threadpool_limits(limits=1):
        return _iterate(values, design, columns)


def _iterate(values: Vector, design: Matrix, owner: Sequence[str]) -> tuple[Vector, Matrix, dict[str, float]]:
    columns = list(dict.fromkeys(owner))
    place = {c: 1 + np.flatnonzero(np.array(owner) == c) for c in columns}
    products, target = design.T @ design, design.T @ values
    rest = max((float(values.var()) or 1e-12) / (1 + len(columns)), 1e-12)
    spread = dict.fromkeys(columns, rest)
    for _ in range(ROUNDS):
        penalty = np.zeros(len(products))
        for c in columns:
            penalty[place[c]] = rest / spread[c]
        inverse = np.linalg.inv(products + np.diag(penalty))
        solution = inverse @ target
        before = (rest, *spread.values())
        for c in columns:
            at = place[c]
            errors = rest * np.trace(inverse[np.ix_(at, at)])
            spread[c] = max(float(solution[at] @ solution[at] + errors) / len(at), 1e-10)
        rest = max(float(values @ values - solution @ target) / max(len(values) - 1, 1), 1e-12)
        if np.allclose(before, (rest, *spread.values()), rtol=1e-4, atol=1e-9):
            break
    covariance: Matrix = np.asarray((inverse + inverse.T) * rest / 2, dtype=np.float64)
    return solution, covariance, spread
