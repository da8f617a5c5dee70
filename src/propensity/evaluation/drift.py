"""Distributions held against a reference: bins, the population stability index, and tests that know of noise.

A reference is a dict of plain numbers, small enough for a bundle: shares of bins over all reference weeks,
and how much the weeks differed from that. It holds no row, no id and no level that few leads have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from propensity.evaluation.noise import FEWEST_BLOCKS, Vector, dispersion, share_p_value

N_BINS = 10
MOST_LEVELS = 20
FEWEST_LEADS = 20  # a level that fewer leads have is told of as "other"
FEWEST_EXPECTED = 3  # rows of a block that a bin should hold on average
FEWEST_ROWS = 5  # a block with fewer does not count
Codes = npt.NDArray[np.int64]


def number_bins(values: Vector) -> dict[str, Any]:
    """Return the bins of a number: tenths of its known values; equal values share one."""
    known = values[~np.isnan(values)]
    if not len(known):
        return {"kind": "number", "edges": []}
    edges = np.unique(np.quantile(known, np.arange(1, N_BINS) / N_BINS, method="inverted_cdf"))
    return {"kind": "number", "edges": [float(e) for e in edges if e < known.max()]}


def category_bins(
    values: pd.Series[Any], leads: pd.Series[Any], known: Sequence[str], *, block_rows: float
) -> dict[str, Any]:
    """Return the bins of a category: its frequent levels, and all the others together.

    Parameters
    ----------
    values, leads : Series
        The reference's rows.
    known : sequence of str
        The levels that the model knows.
    block_rows : float
        Rows that a block has on average.
    """
    counts = {str(k): int(n) for k, n in values[values.isin(list(known))].value_counts().items()}
    of_leads = {str(k): int(n) for k, n in leads.groupby(values).nunique().items()}
    least = FEWEST_EXPECTED / max(block_rows, 1) * max(int(values.notna().sum()), 1)
    frequent = {level: n for level, n in counts.items() if n >= least and of_leads[level] >= FEWEST_LEADS}
    levels = sorted(frequent, key=lambda level: (-frequent[level], level))[:MOST_LEVELS]
    return {"kind": "category", "levels": levels}


def assign_bins(values: pd.Series[Any], bins: Mapping[str, Any]) -> Codes:
    """Return the bin of each row, -1 where the value is missing."""
    if bins["kind"] == "number":
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        codes = np.searchsorted(np.asarray(bins["edges"], dtype=np.float64), numbers, side="left")
        return np.where(np.isnan(numbers), -1, codes).astype(np.int64)
    levels = pd.Index(bins["levels"], dtype="object")
    codes = levels.get_indexer(pd.Index(values, dtype="object"))
    return np.where(values.isna(), -1, np.where(codes < 0, len(levels), codes)).astype(np.int64)


def n_bins(bins: Mapping[str, Any]) -> int:
    """Return how many bins there are, "other" included."""
    return len(bins["edges"]) + 1 if bins["kind"] == "number" else len(bins["levels"]) + 1


def count_codes(codes: Codes, size: int) -> Vector:
    """Return how many rows each bin holds; missing ones are in none."""
    return np.bincount(codes[codes >= 0], minlength=size).astype(np.float64)


def stability_index(counts: Vector, shares: Vector) -> float:
    """Return the population stability index, the sum of ``(q - p) ln(q / p)`` over bins; 0 if all are equal.

    Half a row is added to each bin, so that an empty one has a logarithm.
    """
    q = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    p = np.maximum(shares, 1e-6)
    p = p / p.sum()
    return float(((q - p) * np.log(q / p)).sum())


def chi_square(counts: Vector, shares: Vector) -> float:
    """Return Pearson's statistic of the counts against the shares; bins the reference lacks count as rare."""
    p = np.maximum(shares, 1e-4)
    p = p / p.sum()
    n = counts.sum()
    return float((((counts - n * p) ** 2) / (n * p)).sum()) if n else 0.0


def mean_rank(counts: Vector, shares: Vector) -> float:
    """Return the rows' mean rank among the reference's, 0 to 1 and 0.5 if alike: Wilcoxon's in bins."""
    ranks = np.cumsum(shares) - shares / 2
    return float((counts * ranks).sum() / counts.sum())


def describe_blocks(blocks: npt.NDArray[np.float64], shares: Vector, *, ordered: bool) -> dict[str, Any]:
    """Return how much blocks of the reference differ from all of it.

    Parameters
    ----------
    blocks : array of shape (n_blocks, n_bins)
        Counts of bins.
    shares : array of shape (n_bins,)
        Of all blocks together.
    ordered : bool
        Whether the bins have an order, so that ranks mean something.

    Returns
    -------
    dict
        ``blocks``, their number; ``mean`` and ``df``, which make a block's `chi_square` a multiple of the
        chi-square distribution with so many degrees of freedom, fitted by its first two moments (Rao and
        Scott 1984, doi:10.1214/aos/1176346391, here from the blocks themselves); ``rank_sd``, the standard
        deviation of ``sqrt(n) (mean_rank - 0.5)``; ``psi`` and ``psi_high``, the median and the 95%
        quantile of `stability_index`. Only ``blocks`` with fewer than `FEWEST_BLOCKS`.
    """
    kept = blocks[blocks.sum(axis=1) >= FEWEST_ROWS]
    found: dict[str, Any] = {"blocks": len(kept)}
    if len(kept) < FEWEST_BLOCKS or len(shares) < 2:
        return found
    # A block is part of what it is compared with, and so a little nearer to it than the next one will be.
    nearer = 1 - kept.sum(axis=1) / kept.sum()
    squares = np.array([chi_square(block, shares) for block in kept]) / nearer
    mean, variance = float(squares.mean()), float(squares.var(ddof=1))
    df = float(np.clip(2 * mean**2 / variance, 0.5, len(shares) - 1)) if variance > 0 else 1.0
    indices = [stability_index(block, shares) for block in kept]
    found |= {"mean": mean, "df": df, "psi": float(np.median(indices))}
    found["psi_high"] = float(np.quantile(indices, 0.95))
    if ordered:
        moved = np.array([mean_rank(block, shares) - 0.5 for block in kept])
        scaled = moved**2 * kept.sum(axis=1) / nearer
        found["rank_sd"] = float(np.sqrt(scaled.mean()))
    return found


def drift_p_value(counts: Vector, shares: Vector, noise: Mapping[str, Any], *, reference_n: float) -> float:
    """Return how surprising the counts of a block are, given how much the reference's blocks differ.

    Categories: the block's chi-square over the mean of the reference's, by Fisher's F. Numbers: twice the
    smaller of that and of Wilcoxon's test in bins, by Student's t. Both tests take the noise from the
    reference's own blocks, which holds clustering, snapshots of one lead and the seasons of the year.
    """
    n = counts.sum()
    if "mean" not in noise or n < FEWEST_ROWS:
        return 1.0
    farther = 1 + n / reference_n
    blocks = noise["blocks"]
    ratio = chi_square(counts, shares) / farther / noise["mean"] if noise["mean"] > 0 else 0.0
    p = float(stats.f.sf(ratio, noise["df"], noise["df"] * (blocks - 1)))
    if "rank_sd" not in noise:
        return p
    moved = abs(mean_rank(counts, shares) - 0.5) * np.sqrt(n / farther)
    if noise["rank_sd"] == 0:
        return p
    ranked = 2 * float(stats.t.sf(moved / noise["rank_sd"], blocks - 1))
    return min(1.0, 2 * min(p, ranked))


def describe_share(hits: Vector, totals: Vector) -> dict[str, float]:
    """Return a share over all blocks, the rows it is of, and the design effect that the blocks show."""
    n = float(totals.sum())
    share = float(hits.sum() / n) if n else 0.0
    used = totals >= FEWEST_ROWS
    if share in (0.0, 1.0) or used.sum() < 2:
        return {"share": share, "n": n, "design_effect": 1.0}
    squares = (hits - totals * share)[used] ** 2 / (totals[used] * share * (1 - share))
    return {"share": share, "n": n, "design_effect": dispersion(squares, int(used.sum()) - 1)}


def share_moved_p_value(hits: float, n: float, described: Mapping[str, float], *, clusters: float) -> float:
    """Return how surprising a share is beside the one that `describe_share` describes.

    Parameters
    ----------
    hits, n : float
    described : mapping
    clusters : float
        Leads that the rows are of: a property that the reference never shows comes lead by lead.
    """
    effect = described["design_effect"]
    if described["share"] in (0.0, 1.0):
        effect = max(effect, n / max(clusters, 1))
    return share_p_value(
        hits, n, described["share"], design_effect=effect, reference_n=max(described["n"], 1)
    )
