"""An interval for a share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def wilson_bounds(wins: Floats, n: Floats, *, z: float = 1.96) -> tuple[Floats, Floats]:
    """Return Wilson's lower and upper bound of shares, 95% by default; n of 0 gives 0 and 1.

    References
    ----------
    Wilson 1927, doi 10.1080/01621459.1927.10502953.
    """
    n = np.maximum(n, 1e-12)
    share = wins / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def wilson_interval(part: float, whole: float) -> tuple[float, float]:
    """Return Wilson's 95% interval of one share; (0, 1) of none."""
    low, high = wilson_bounds(np.array([part], dtype=np.float64), np.array([whole], dtype=np.float64))
    return float(low[0]), float(high[0])
