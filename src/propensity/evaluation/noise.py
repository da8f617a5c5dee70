"""How surprising a figure is, told from how much the same figure varied in quiet weeks.

Every function returns a p-value or what one is made of. Variances are estimated from a reference and enter
as their upper 90% bounds, since too small a variance means false alarms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

Vector = npt.NDArray[np.float64]

FEWEST_BLOCKS = 8  # fewer blocks of reference weeks do not tell how a figure varies
SURE_OF_VARIANCE = 0.1
LEAST_LOG_SD = 0.15  # a silence that is always equally long, as with a nightly feed, may still be late


def dispersion(scaled_squares: Vector, df: float) -> float:
    """Return the upper 90% bound of the mean square that the scaled squares show, never below 1.

    Parameters
    ----------
    scaled_squares : array of shape (n_blocks,)
        Squared deviations over the variance had nothing but chance been at work.
    df : float
        How many of them are free.
    """
    if df < 1:
        return 1.0
    return max(1.0, float(scaled_squares.sum() / stats.chi2.ppf(SURE_OF_VARIANCE, df)))


def predict_count(counts: Vector, ahead: float) -> list[tuple[float, float]]:
    """Return mean and variance of a later block's count: if the level stays, and if its trend goes on.

    Parameters
    ----------
    counts : array of shape (n_blocks,)
        Counts of blocks of equal length, in the order of time.
    ahead : float
        Blocks from the last one to the one that is predicted.

    Returns
    -------
    list of (mean, variance)
        The variance holds what a block varies by, and how well the line is known.
    """
    n = len(counts)
    at = np.arange(n) - (n - 1) / 2
    spread = float((at**2).sum())
    slope = float((at * counts).sum() / spread)
    flat = np.full(n, counts.mean())
    place = (n - 1) / 2 + ahead
    lines = [(flat, counts.mean(), 1 / n, n - 1)]
    lines.append((flat + slope * at, counts.mean() + slope * place, 1 / n + place**2 / spread, n - 2))
    found = []
    for fitted, mean, unsure, df in lines:
        variance = float(((counts - fitted) ** 2).sum() / stats.chi2.ppf(SURE_OF_VARIANCE, df))
        found.append((max(float(mean), 0.5), max(variance, float(counts.mean())) * (1 + unsure)))
    return found


def count_p_value(count: float, mean: float, variance: float) -> float:
    """Return the two-sided p-value of a count: negative binomial, Poisson where the variance is the mean."""
    if variance <= mean * (1 + 1e-9):
        below, above = stats.poisson.cdf(count, mean), stats.poisson.sf(count - 1, mean)
    else:
        size, share = mean**2 / (variance - mean), mean / variance
        below, above = stats.nbinom.cdf(count, size, share), stats.nbinom.sf(count - 1, size, share)
    return float(min(1.0, 2 * min(below, above)))


def volume_p_value(count: float, counts: Sequence[float], ahead: float) -> float:
    """Return how surprising a block's count is after the counts of reference blocks.

    It is the larger of the p-values under a level that stays and under a trend that goes on, and 1 for a
    count that the reference itself has seen: what either explains is no surprise.
    """
    known = np.asarray(counts, dtype=np.float64)
    if known.min() <= count <= known.max():
        return 1.0
    return max(count_p_value(count, mean, variance) for mean, variance in predict_count(known, ahead))


def silence_p_value(hours: float, longest: Sequence[float]) -> float:
    """Return how surprising a silence is after the longest one of each reference week.

    Student's t for the next of the logarithms. The longest of many gaps has a lighter tail than that, so the
    p-value is too large rather than too small.

    Parameters
    ----------
    hours : float
        Since the last event.
    longest : sequence of float
        Hours, above 0.
    """
    logs = np.log(np.asarray(longest, dtype=np.float64))
    n = len(logs)
    sd = max(float(logs.std(ddof=1)), LEAST_LOG_SD) * np.sqrt(1 + 1 / n)
    return float(stats.t.sf((np.log(max(hours, 1e-3)) - logs.mean()) / sd, n - 1))


def share_p_value(hits: float, n: float, share: float, *, design_effect: float, reference_n: float) -> float:
    """Return the two-sided p-value of a share of clustered rows, by the binomial of their effective number.

    Parameters
    ----------
    hits, n : float
        Rows that have the property, and rows.
    share : float
        The reference's.
    design_effect : float
        By how many rows count as one, 1 or more.
    reference_n : float
        Rows of the reference; a share of 0 of them is taken for half a row, of all for half a row less.
    """
    if n == 0:
        return 1.0
    expected = float(np.clip(share, 0.5 / (reference_n + 1), 1 - 0.5 / (reference_n + 1)))
    size = n / (design_effect * (1 + n / max(reference_n, 1)))
    k = hits / n * size
    below = stats.beta.sf(expected, k + 1, size - k) if k < size else 1.0
    above = stats.beta.cdf(expected, k, size - k + 1) if k > 0 else 1.0
    return float(min(1.0, 2 * min(below, above)))


def next_p_value(value: float, values: Sequence[float]) -> float:
    """Return the two-sided p-value of the next value after earlier ones: Student's t for one more of them."""
    known = np.asarray(values, dtype=np.float64)
    n = len(known)
    sd = float(known.std(ddof=1)) * np.sqrt(1 + 1 / n)
    if sd == 0:
        return 1.0 if value == known[0] else 0.0
    return float(2 * stats.t.sf(abs(value - known.mean()) / sd, n - 1))


def adjust(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that those at or under alpha hold alpha false ones among them.

    Benjamini and Hochberg (1995, doi:10.1111/j.2517-6161.1995.tb02031.x). Where nothing has changed, the
    chance that any lies at or under alpha is at most alpha.
    """
    if not len(p_values):
        return []
    return [float(p) for p in stats.false_discovery_control(np.asarray(p_values, dtype=np.float64))]
