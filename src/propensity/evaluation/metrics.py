"""How good probabilities are: ranking, sharpness and honesty.

All functions take weights, so that a bootstrap resample is the same call with other weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.evaluation.intervals import bootstrap, wilson_interval

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Won = npt.NDArray[np.bool_]

N_BINS = 10
TOP_SHARE = 0.1
METRICS = ("base_rate", "auc", "average_precision", "log_loss", "brier", "ece", "lift_at_10")
Report = dict[str, float | int | list[float] | None]


@dataclass(frozen=True)
class Ranking:
    """Rows grouped by equal probability, prepared once for many sets of weights.

    Attributes
    ----------
    y_true, y_prob : arrays of shape (n_rows,)
    code : array of int
        Each row's place among the distinct probabilities, ascending.
    bins : array of int
        Each row's equal-mass bin, 0 to `N_BINS` - 1; equal probabilities share a bin.
    """

    y_true: Won
    y_prob: Vector
    code: npt.NDArray[np.int64]
    bins: npt.NDArray[np.int64]


def make_ranking(y_true: Won, y_prob: Vector) -> Ranking:
    """Rank the rows by probability and cut them into tenths."""
    _, code = np.unique(y_prob, return_inverse=True)
    return Ranking(y_true.astype(bool), y_prob, code, equal_mass_bins(y_prob))


def equal_mass_bins(y_prob: Vector, n_bins: int = N_BINS) -> npt.NDArray[np.int64]:
    """Cut rows into bins of equal size by probability; ties stay together.

    Returns
    -------
    array of int, shape (n_rows,)
        0 for the lowest bin; a bin may be empty when many rows tie.
    """
    if len(y_prob) == 0:
        return np.empty(0, dtype=np.int64)
    order = np.sort(y_prob)
    first = np.searchsorted(order, y_prob, side="left")
    return np.minimum(first * n_bins // len(y_prob), n_bins - 1).astype(np.int64)


def compute_metrics(ranking: Ranking, weight: Vector) -> Vector:
    """Compute all of `METRICS`, in that order; NaN where one is not defined.

    ``auc``, ``average_precision`` and ``lift_at_10`` need a winner and a loser. ``lift_at_10`` is
    the win rate in the tenth with the highest probabilities over the win rate of all; a tie at its
    edge counts in part. ``ece`` is the mean gap, over ten bins of equal size, between mean
    probability and share won, weighted by size. ``log_loss``, ``brier`` and ``ece``: the smaller
    the better, zero at best.
    """
    y, p, code = ranking.y_true, ranking.y_prob, ranking.code
    total = weight.sum()
    if total == 0:
        return np.full(len(METRICS), np.nan)
    n_codes = code.max() + 1
    wins = np.bincount(code, weight * y, minlength=n_codes)
    losses = np.bincount(code, weight * ~y, minlength=n_codes)
    rate = wins.sum() / total
    clipped = np.clip(p, 1e-15, 1 - 1e-15)
    log_loss = -np.sum(weight * np.log(np.where(y, clipped, 1 - clipped))) / total
    brier = np.sum(weight * (p - y) ** 2) / total
    ece = np.abs(np.bincount(ranking.bins, weight * (p - y))).sum() / total
    if wins.sum() == 0 or losses.sum() == 0:
        return np.array([rate, np.nan, np.nan, log_loss, brier, ece, np.nan])
    auc = np.sum(wins * (np.cumsum(losses) - losses / 2)) / (wins.sum() * losses.sum())
    found, taken = np.cumsum(wins[::-1]), np.cumsum((wins + losses)[::-1])
    with np.errstate(invalid="ignore"):
        precision = np.where(taken > 0, found / taken, 0.0)
    average_precision = np.sum(wins[::-1] * precision) / wins.sum()
    at_top = np.interp(TOP_SHARE * total, np.append(0.0, taken), np.append(0.0, found))
    lift = at_top / (TOP_SHARE * total) / rate
    return np.array([rate, auc, average_precision, log_loss, brier, ece, lift])


def report_metrics(
    y_true: Won, y_prob: Vector, groups: npt.NDArray[np.int64], *, seed: int, resamples: int = 400
) -> Report:
    """Return n and every metric with its 95% interval beside it.

    The intervals come from a bootstrap over groups, so that several snapshots of a lead (or leads
    of an account) count as what they are. They are percentile intervals, but for ``base_rate``,
    which may be 0 or 1 (Wilson's), and ``ece``, which noise inflates (see `_ece_interval`).

    Returns
    -------
    dict
        ``n``, then each metric ``name`` and ``name_interval`` as ``[low, high]``; None where it is
        not defined. With fewer than two groups no interval is.
    """
    ranking = make_ranking(y_true, y_prob)
    report: Report = {"n": len(y_true)}
    if len(y_true) == 0:
        return report | {key: None for name in METRICS for key in (name, f"{name}_interval")}

    def measure(weight: Vector) -> Vector:
        return np.concatenate([compute_metrics(ranking, weight), _bin_gaps(ranking, weight)])

    point, gaps = np.split(measure(np.ones(len(y_true))), [len(METRICS)])
    draws, gap_draws = np.split(
        bootstrap(measure, groups, seed=seed, resamples=resamples), [len(METRICS)], axis=1
    )
    intervals: dict[str, list[float] | None] = dict.fromkeys(METRICS)
    if len(np.unique(groups)) > 1:
        intervals = {name: _percentiles(draws[:, i]) for i, name in enumerate(METRICS)}
        intervals["base_rate"] = list(wilson_interval(ranking.y_true, groups))
        intervals["ece"] = _ece_interval(point[METRICS.index("ece")], gaps, gap_draws)
    for name, value in zip(METRICS, point, strict=True):
        known = not np.isnan(value)
        report[name] = float(value) if known else None
        report[f"{name}_interval"] = intervals[name] if known else None
    return report


def _percentiles(draws: Vector) -> list[float] | None:
    known = draws[~np.isnan(draws)]
    return [float(x) for x in np.quantile(known, [0.025, 0.975])] if len(known) > 1 else None


def _bin_gaps(ranking: Ranking, weight: Vector) -> Vector:
    """Return each bin's signed gap times its share; the absolute values sum to ``ece``."""
    gap = ranking.y_prob - ranking.y_true
    return np.asarray(np.bincount(ranking.bins, weight * gap, minlength=N_BINS) / weight.sum())


def _ece_interval(measured: float, gaps: Vector, draws: Matrix, *, steps: int = 200) -> list[float]:
    """Return a 95% interval for the calibration error that the bins' true gaps have.

    Noise adds to absolute gaps, so the measured error is too large, a resample's larger still, and
    percentiles would miss a small true error. Each true error tried is a multiple of the measured
    gaps; those stay in the interval under which the measured error is not extreme, given the
    resamples' noise. Where the measured error is so small that none above it stays, the interval reaches
    above it by the width of the noise.

    Parameters
    ----------
    measured : float
    gaps : array of shape (n_bins,)
        Measured, signed, times the bins' shares.
    draws : array of shape (n_resamples, n_bins)
        The same of each resample.
    """
    noise = draws - gaps
    spread = np.abs(noise).sum(axis=1)
    if measured == 0:
        return [0.0, float(np.quantile(spread, 0.975))]
    tried = np.linspace(0.0, measured + spread.max(), steps)
    errors = [np.abs(error / measured * gaps + noise).sum(axis=1) for error in tried]
    low, high = np.quantile(errors, [0.025, 0.975], axis=1)
    kept = tried[(low <= measured) & (measured <= high)]
    if kept.max(initial=0.0) <= measured:
        return [0.0, float(measured + np.subtract(*np.quantile(spread, [0.975, 0.025])))]
    return [min(float(kept.min()), float(measured)), float(kept.max())]


def reliability_table(y_true: Won, y_prob: Vector, groups: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Compare mean probability with share won in tenths of equal size.

    Returns
    -------
    DataFrame
        One row a bin: ``bin`` (1 the lowest), ``n``, ``mean_predicted``, ``observed`` and its 95%
        Wilson interval ``low, high``, for as many rows as the groups are worth.
    """
    bins = equal_mass_bins(y_prob)
    rows = []
    for k in np.unique(bins):
        inside = bins == k
        low, high = wilson_interval(y_true[inside], groups[inside])
        rows.append(
            {
                "bin": int(k) + 1,
                "n": int(inside.sum()),
                "mean_predicted": float(y_prob[inside].mean()),
                "observed": float(y_true[inside].mean()),
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


def gains_table(y_true: Won, y_prob: Vector, *, steps: int = 20) -> pd.DataFrame:
    """Return the share of wins found when the best-scored share of leads is contacted.

    Returns
    -------
    DataFrame
        ``share_contacted``, ``share_won``, ``lift``; ties are counted in part.
    """
    _, code = np.unique(-y_prob, return_inverse=True)
    taken = np.append(0, np.cumsum(np.bincount(code)))
    found = np.append(0, np.cumsum(np.bincount(code, y_true.astype(float))))
    share = np.arange(steps + 1) / steps
    won = np.interp(share * len(y_true), taken, found) / max(found[-1], 1)
    lift = np.divide(won, share, out=np.full(steps + 1, np.nan), where=share > 0)
    return pd.DataFrame({"share_contacted": share, "share_won": won, "lift": lift})


def slices_of(
    table: pd.DataFrame,
    key: str,
    y_true: Won,
    y_prob: Vector,
    groups: npt.NDArray[np.int64],
    *,
    seed: int,
    most: int = 20,
) -> list[dict[str, Any]]:
    """Return `report_metrics` for each value of a column, with the value under `key`.

    Parameters
    ----------
    table : DataFrame
        The rows, with the column ``slice_<key>``; rows without a value are in no slice.
    key : str
    most : int
        Slices at most, the largest ones; they come in the order of their values.
    """
    column = table[f"slice_{key}"]
    values = sorted(column.value_counts().head(most).index)
    rows = []
    for value in values:
        inside = (column == value).to_numpy()
        report = report_metrics(y_true[inside], y_prob[inside], groups[inside], seed=seed, resamples=200)
        rows.append({key: value, **report})
    return rows
