"""One number a level on top of a margin: fitted with a ridge, and judged on leads it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, ndtr, ndtri

from propensity.model.encoding import OTHER, Encoding
from propensity.model.estimators import Matrix, Vector

Won = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int64]

# Ridges tried, strongest first; 1 over the variance that the levels' log-odds are expected to have.
STRENGTHS = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
# One level alone is kept if it gains more than its standard error. Many share the chance of that, so that
# one of them at all is kept without a reason as rarely.
CHANCE = float(ndtr(-1.0))
FOLDS = 5


@dataclass(frozen=True)
class Trial:
    """What was tried at one category.

    Attributes
    ----------
    place : int
        Of the category among the features.
    strength : float
        Of the ridge, of `STRENGTHS` the one under which the levels that are kept gain most.
    offsets : array of shape (n_codes,)
        Log-odds fitted on all rows.
    n, wins : arrays of int, shape (n_codes,)
        Snapshots and won ones.
    gain, gain_se : arrays of shape (n_codes,)
        By how much the mean log-loss of a level's rows falls with offsets from other leads, and the
        standard error.
    judged, kept : arrays of bool, shape (n_codes,)
        The levels that have rows, and those of them that gain.
    """

    place: int
    strength: float
    offsets: Vector
    n: Codes
    wins: Codes
    gain: Vector
    gain_se: Vector
    judged: Won
    kept: Won


@dataclass(frozen=True)
class Rows:
    """Rows of one category with the margin they have without it; all arrays of shape (n_rows,)."""

    margin: Vector
    won: Won
    weight: Vector
    codes: Codes

    def where(self, chosen: Won) -> Rows:
        """Return the chosen rows."""
        return Rows(self.margin[chosen], self.won[chosen], self.weight[chosen], self.codes[chosen])


def fit_offsets(rows: Rows, n_codes: int, strength: float) -> Vector:
    """Return the log-odds that each level adds to the margin, shape (n_codes,); 0 without rows.

    The maximum of the weighted log-likelihood less ``strength / 2`` times the squared log-odds, by Newton's
    steps ``s`` cut to ``log(1 + |s|)``: over a distance ``t`` the curvature of a logistic loss falls by a
    factor of at most ``exp(t)`` (Bach 2010, doi:10.1214/09-EJS521), so that no step passes the maximum.
    """
    offsets = np.zeros(n_codes)
    for _ in range(200):
        chance = expit(rows.margin + offsets[rows.codes])
        slope = np.bincount(rows.codes, rows.weight * (rows.won - chance), n_codes) - strength * offsets
        bend = np.bincount(rows.codes, rows.weight * chance * (1 - chance), n_codes) + strength
        step = slope / bend
        offsets = offsets + np.sign(step) * np.log1p(np.abs(step))
        if np.abs(step).max(initial=0.0) < 1e-12:
            break
    return offsets


def level_margin(margin: Vector, won: Won, weight: Vector) -> Vector:
    """Bring margins to the rows' own level: what moves all leads alike is the calibrator's to follow."""
    rows = Rows(margin, won, weight, np.zeros(len(won), dtype=np.int64))
    return np.asarray(margin + fit_offsets(rows, 1, 1.0)[0])


def try_offsets(
    margin: Vector,
    part: tuple[Matrix, Won, Vector],
    leads: Codes,
    encoding: Encoding,
    places: Sequence[int],
    *,
    seed: int,
) -> list[Trial]:
    """Fit offsets on a part and judge them there, each lead by what the other leads give.

    Parameters
    ----------
    margin : array of shape (n_rows,)
    part : (matrix, won, weight)
    leads : array of int, shape (n_rows,)
        Whose snapshot each row is, counted from 0.
    encoding : Encoding
    places : sequence of int
        Of categories; each is judged given what the earlier ones keep.
    seed : int
        Of the folds of leads.
    """
    matrix, won, weight = part
    margin = level_margin(margin, won, weight)
    codes = {j: matrix[:, j].astype(np.int64) for j in places}
    judged = {j: _judged_levels(codes[j], encoding.n_codes(encoding.names[j])) for j in places}
    needed = needed_errors(sum(int(levels.sum()) for levels in judged.values()))
    folds = np.random.default_rng(seed).permutation(leads.max(initial=-1) + 1)[leads] % FOLDS
    trials = []
    for j in places:
        rows = Rows(margin, won, weight, codes[j])
        tried = [_try(j, rows, leads, folds, judged[j], needed, strength) for strength in STRENGTHS]
        best = max(tried, key=lambda trial: float((trial.gain * trial.n)[trial.kept].sum()))
        margin = margin + np.where(best.kept, best.offsets, 0.0)[codes[j]]
        trials.append(best)
    return trials


def needed_errors(n_levels: int) -> float:
    """Return how many standard errors a level has to gain where so many are judged (Bonferroni)."""
    return float(-ndtri(CHANCE / max(n_levels, 1)))


def judge_offsets(own: Vector, rows: Rows, leads: Codes, n_codes: int) -> tuple[Vector, Vector]:
    """Return by how much offsets lower the mean log-loss of each level's rows, and its standard error.

    The error is the one that the fall has if the margins are right, a lead's rows ending alike. It does not
    rest on the outcomes seen: in a level that happens to be without a win they hardly differ.

    Parameters
    ----------
    own : array of shape (n_rows,)
        Each row's offset.
    rows : Rows
    leads : array of int, shape (n_rows,)
    n_codes : int

    Returns
    -------
    gain, error : arrays of shape (n_codes,)
        0 for levels without rows.
    """
    before, after = (np.logaddexp(0.0, margin) for margin in (rows.margin, rows.margin + own))
    gain = np.bincount(rows.codes, rows.weight * (rows.won * own - after + before), n_codes)
    chance = expit(rows.margin)
    keys, of_key = np.unique(leads * n_codes + rows.codes, return_inverse=True)
    spread = np.bincount(of_key, rows.weight * own * np.sqrt(chance * (1 - chance)), len(keys))
    error = np.sqrt(np.bincount(keys % n_codes, spread**2, n_codes))
    total = np.bincount(rows.codes, rows.weight, n_codes)
    total = np.where(total > 0, total, 1.0)
    return gain / total, error / total


def _judged_levels(codes: Codes, n_codes: int) -> Won:
    """Tell which codes have rows; "any other" is left out, since levels to come have it too."""
    judged = np.bincount(codes, minlength=n_codes) > 0
    judged[OTHER] = False
    return np.asarray(judged)


def _try(
    place: int, rows: Rows, leads: Codes, folds: Codes, judged: Won, needed: float, strength: float
) -> Trial:
    n_codes = len(judged)
    own = np.zeros(len(rows.codes))
    for k in range(FOLDS):
        held = folds == k
        own[held] = fit_offsets(rows.where(~held), n_codes, strength)[rows.codes[held]]
    gain, error = judge_offsets(own, rows, leads, n_codes)
    n, wins = (np.bincount(codes, minlength=n_codes) for codes in (rows.codes, rows.codes[rows.won]))
    offsets = np.where(judged, fit_offsets(rows, n_codes, strength), 0.0)
    kept = judged & (gain > needed * error)
    return Trial(place, strength, offsets, n, wins, gain, error, judged, kept)
