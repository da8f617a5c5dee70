"""Cost against size, fitted to a slope: 1 is linear, 2 is quadratic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Slope:
    """The exponent of a cost in a size.

    Attributes
    ----------
    exponent : float
        Of ``cost = constant * size ** exponent``.
    low, high : float
        The ends of its 95% interval; None for two sizes.
    """

    exponent: float
    low: float | None
    high: float | None


def fit_slope(sizes: Sequence[float], costs: Sequence[float]) -> Slope:
    """Fit the slope of log cost on log size by least squares.

    Parameters
    ----------
    sizes, costs : sequence of float
        Above zero; several costs of one size are as many points. Sizes should span a decade.

    Raises
    ------
    ValueError
        There are fewer than two different sizes, or one of the numbers is not above zero.
    """
    x, y = np.asarray(sizes, dtype=float), np.asarray(costs, dtype=float)
    if len(np.unique(x)) < 2 or (x <= 0).any() or (y <= 0).any():
        raise ValueError(f"a slope takes two sizes or more and costs, all above zero, not {sizes}, {costs}")
    found = stats.linregress(np.log(x), np.log(y))
    if len(x) < 3:
        return Slope(float(found.slope), None, None)
    half = float(stats.t.ppf(0.975, len(x) - 2) * found.stderr)
    return Slope(float(found.slope), float(found.slope) - half, float(found.slope) + half)
