"""Target statistics: how often each level of a category wins, as a number that trees can split on.

A level's statistic is the log-odds of its wins, shrunk towards the base rate as if `PRIOR_ROWS` rows
more had come at it (Micci-Barreca 2001, doi:10.1145/507533.507538). A row that is fitted on gets the
statistic of the folds that do not hold its lead: seen with its own outcome, a rare level would tell
it. New rows get the statistic of all rows fitted on; a level without rows gets the base rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from propensity.model.encoding import FIRST_LEVEL, OTHER, Encoding, Matrix

Vector = npt.NDArray[np.float64]

# Levels a category needs for its statistic to be worth a column beside the levels themselves.
LEAST_LEVELS = 10
# Levels with a column or split of their own; the statistic alone tells the rarer ones apart.
OWN_LEVELS = 60
PRIOR_ROWS = 20.0
FOLDS = 5


@dataclass(frozen=True)
class Statistics:
    """The statistics of some categories.

    Attributes
    ----------
    tables : dict
        Place of the category among the features to a log-odds for each of its codes, from all rows.
    out_of_fold : dict
        The same places to a log-odds for each row fitted on, from the other leads' folds.
    """

    tables: dict[int, Vector]
    out_of_fold: dict[int, Vector]


def fit_statistics(
    matrix: Matrix,
    won: npt.NDArray[np.bool_],
    weight: Vector,
    leads: npt.NDArray[np.int64],
    encoding: Encoding,
    places: Sequence[int],
    *,
    seed: int,
) -> Statistics:
    """Compute the statistics of the categories at `places`.

    Parameters
    ----------
    matrix : array of shape (n_rows, n_features)
    won, weight, leads : arrays of shape (n_rows,)
        `leads` counts from 0; a lead's rows share a fold.
    encoding : Encoding
    places : sequence of int
    seed : int
        Of the folds.
    """
    fold = np.random.default_rng(seed).permutation(leads.max(initial=-1) + 1)[leads] % FOLDS
    tables, out_of_fold = {}, {}
    for j in places:
        codes, n_codes = matrix[:, j].astype(np.int64), encoding.n_codes(encoding.names[j])
        tables[j] = level_log_odds(codes, won, weight, n_codes)
        out_of_fold[j] = np.empty(len(codes))
        for k in range(FOLDS):
            held = fold == k
            others = level_log_odds(codes[~held], won[~held], weight[~held], n_codes)
            out_of_fold[j][held] = others[codes[held]]
    return Statistics(tables, out_of_fold)


def level_log_odds(
    codes: npt.NDArray[np.int64], won: npt.NDArray[np.bool_], weight: Vector, n_codes: int
) -> Vector:
    """Return the shrunk log-odds of winning of each code, shape (n_codes,)."""
    rows = np.bincount(codes, weight, minlength=n_codes)
    wins = np.bincount(codes, weight * won, minlength=n_codes)
    prior = (wins.sum() + 0.5) / (rows.sum() + 1)
    rate = (wins + PRIOR_ROWS * prior) / (rows + PRIOR_ROWS)
    return np.asarray(np.log(rate / (1 - rate)))


def crowded_places(encoding: Encoding) -> list[int]:
    """Return the categories with more levels than can have a split of their own."""
    return [j for j in encoding.categories if len(encoding.levels[encoding.names[j]]) > OWN_LEVELS]


def useful_places(encoding: Encoding) -> list[int]:
    """Return the categories with levels enough for a statistic."""
    return [j for j in encoding.categories if len(encoding.levels[encoding.names[j]]) >= LEAST_LEVELS]


def own_codes(codes: Vector) -> Vector:
    """Return codes in which the levels without a split of their own are "any other"."""
    return np.where(codes >= FIRST_LEVEL + OWN_LEVELS, float(OTHER), codes)


def widen(matrix: Matrix, statistics: Mapping[int, Vector]) -> Matrix:
    """Append a column for each category's statistic.

    Parameters
    ----------
    matrix : array of shape (n_rows, n_features)
    statistics : dict
        Place to a value for each row, in the order of the new columns.
    """
    n_rows, n_features = matrix.shape
    order: Literal["F", "C"] = "F" if matrix.flags.f_contiguous else "C"
    wide = np.empty((n_rows, n_features + len(statistics)), order=order)
    wide[:, :n_features] = matrix
    places = list(statistics)
    if places:
        wide[:, n_features:] = np.array(list(statistics.values())).T
        wide[:, places] = own_codes(matrix[:, places])
    return wide


def look_up(matrix: Matrix, tables: Mapping[int, Vector]) -> dict[int, Vector]:
    """Return each row's statistic from the tables of all rows fitted on."""
    return {j: table[matrix[:, j].astype(np.int64)] for j, table in tables.items()}


def widen_few(matrix: Matrix, tables: Mapping[int, Vector]) -> Matrix:
    """Return what `widen` makes with what `look_up` finds, number by number: quicker for few rows."""
    rows = matrix.tolist()
    for row in rows:
        codes = [int(row[j]) for j in tables]
        row += [table[code] for table, code in zip(tables.values(), codes, strict=True)]
        for j, code in zip(tables, codes, strict=True):
            if code >= FIRST_LEVEL + OWN_LEVELS:
                row[j] = float(OTHER)
    return np.array(rows, dtype=np.float64)


def widen_encoding(encoding: Encoding, places: Sequence[int]) -> Encoding:
    """Return the encoding with a number for each statistic at its end."""
    named = [(encoding.features[j], f"{encoding.names[j]} (statistic)") for j in places]
    more = [replace(feature, name=name, kind="number") for feature, name in named]
    return Encoding([*encoding.features, *more], encoding.levels)
