"""The candidates: additive in their log-odds, so that every prediction can be explained exactly.

Each estimator reads the matrix of `propensity.model.encoding` and returns a *margin*, the raw
log-odds before calibration.
"""

from __future__ import annotations

import logging
import re
import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import add
from typing import Any, Protocol

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from scipy.special import expit

from propensity.errors import BundleError
from propensity.model.attributions import Attributions, explain, load_kernels, plan_attributions
from propensity.model.statistics import look_up, widen, widen_few
from propensity.model.trees import UnreadableTreesError, average, read_forest

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


# Under so many rows one thread is as quick, and on a machine that is busy with other work many times
# quicker: LightGBM's threads wait for each other by spinning. A row's contributions cost as much as
# about so many plain predictions.
ROWS_FOR_THREADS = 100_000
EXPLAINING = 70
# So many rows come from a service, which asks again and again. They are looked up and added quicker number by
# number than column by column, to the same sums.
FEW_ROWS = 30
# From so many rows times leaves on, tables and their compiled loops are quicker than LightGBM's own
# contributions by more than they take to load and make the first time, a second or two.
TABLES_FROM = 5_000_000
PLANNING = threading.Lock()

logger = logging.getLogger(__name__)


class Estimator(Protocol):
    """What a candidate must offer."""

    def margin(self, matrix: Matrix) -> Vector:
        """Return the log-odds of each row, shape (n_rows,)."""
        ...

    def contributions(self, matrix: Matrix) -> Matrix:
        """Return what each feature adds to each row's margin, shape (n_rows, n_features)."""
        ...

    @property
    def base(self) -> float:
        """The margin to which the contributions are added."""
        ...


@dataclass(frozen=True)
class Logistic:
    """A generalised additive model: one curve or table a feature, summed.

    Attributes
    ----------
    base : float
        The mean margin of the training rows; each term has mean zero there.
    knots : list of array
        Per feature, ascending x values of a piecewise linear curve, constant beyond both ends; for
        a category, its codes 0, 1, 2, ...
    values : list of array
        What the feature adds at each knot or code.
    missing : array of shape (n_features,)
        What a missing number adds.
    categories : frozenset of int
        The features that are categories.
    """

    base: float
    knots: list[Vector]
    values: list[Vector]
    missing: Vector
    categories: frozenset[int]

    def contributions(self, matrix: Matrix) -> Matrix:
        """Return each feature's term, shape (n_rows, n_features)."""
        if len(matrix) <= FEW_ROWS:
            told = [[term(x) for term, x in zip(self._terms, row, strict=True)] for row in matrix.tolist()]
            return np.array(told, dtype=np.float64).reshape(matrix.shape)
        terms = np.empty_like(matrix)
        for j, (knots, values) in enumerate(zip(self.knots, self.values, strict=True)):
            x = matrix[:, j]
            if j in self.categories:
                terms[:, j] = values[x.astype(np.int64)]
            else:
                terms[:, j] = np.where(np.isnan(x), self.missing[j], np.interp(x, knots, values))
        return terms

    def margin(self, matrix: Matrix) -> Vector:
        """Return the sum of base and terms, added in the features' order so that batches agree."""
        return add_columns(self.contributions(matrix), self.base)

    @cached_property
    def _terms(self) -> list[Callable[[float], float]]:
        """What each feature adds, as a function of one number."""
        terms = enumerate(zip(self.knots, self.values, self.missing.tolist(), strict=True))
        return [_table(y) if j in self.categories else _curve(x, y, missing) for j, (x, y, missing) in terms]


def _table(values: Vector) -> Callable[[float], float]:
    found: list[float] = values.tolist()
    return lambda code: found[int(code)]


def _curve(knots: Vector, values: Vector, missing: float) -> Callable[[float], float]:
    """Return what `np.interp` does of one number, to the bit."""
    xs: list[float] = knots.tolist()
    ys: list[float] = values.tolist()
    last = len(xs) - 1

    def at(x: float) -> float:
        if x != x:  # NaN
            return missing
        i = bisect_right(xs, x) - 1
        if i < 0:
            return ys[0]
        if i == last or xs[i] == x:
            return ys[i]
        return (ys[i + 1] - ys[i]) / (xs[i + 1] - xs[i]) * (x - xs[i]) + ys[i]

    return at


@dataclass(frozen=True)
class Boosted:
    """LightGBM trees, explained by exact path-dependent tree SHAP.

    Attributes
    ----------
    boosters : tuple of lightgbm.Booster
        One, or several that differ in their seed and are averaged.
    base : float
        The mean margin under the trees' own cover counts.
    threads : int
        Threads to use; 0 for all.
    statistics : dict
        Place of a category to its levels' statistic, a log-odds for each code. The trees read it as
        a column more; what that column adds is told as the category's.
    leaves : int
        Of all boosters together.
    """

    boosters: tuple[lgb.Booster, ...]
    base: float
    threads: int = 0
    statistics: Mapping[int, Vector] = field(default_factory=dict)
    leaves: int = 0

    def margin(self, matrix: Matrix) -> Vector:
        """Return the mean raw prediction of each row."""
        if len(matrix) == 0:  # LightGBM divides by the number of rows
            return np.empty(0)
        threads = threads_for(len(matrix), self.threads)
        wide = self._widen(matrix)
        raw = [b.predict(wide, raw_score=True, num_threads=threads) for b in self.boosters]
        return np.asarray(_mean(raw))

    def contributions(self, matrix: Matrix) -> Matrix:
        """Return each feature's SHAP value, shape (n_rows, n_features).

        Large batches and a few rows take tables (`propensity.model.attributions`), others LightGBM's own;
        the two agree to 1e-10. Which of them a batch takes depends on its size and the model alone.
        """
        if len(matrix) == 0:
            return np.empty_like(matrix)
        wide = self._widen(matrix)
        tabled = len(matrix) <= FEW_ROWS or len(matrix) * self.leaves >= TABLES_FROM
        planned = self._planned() if tabled else None
        if planned is None:
            threads = threads_for(EXPLAINING * len(matrix), self.threads)
            raw = _mean([b.predict(wide, pred_contrib=True, num_threads=threads) for b in self.boosters])
        else:
            raw = explain(planned, wide, threads=self.threads)
        n = matrix.shape[1]
        own = np.array(raw[:, :n], dtype=np.float64, order="A")
        if self.statistics:
            own[:, list(self.statistics)] += raw[:, n : n + len(self.statistics)]
        return own

    def _planned(self) -> Attributions | None:
        with PLANNING:  # threads that come first at once make the tables once
            return self._plan

    @cached_property
    def _plan(self) -> Attributions | None:
        """The tables of the averaged boosters; None where these trees or this machine take LightGBM's way."""
        if load_kernels() is None:
            return None
        try:
            return plan_attributions(average([read_forest(b.model_to_string()) for b in self.boosters]))
        except UnreadableTreesError as error:
            logger.warning("contributions take LightGBM's slower way: %s", error)
            return None

    def _widen(self, matrix: Matrix) -> Matrix:
        if not self.statistics:
            return matrix
        if len(matrix) <= FEW_ROWS:
            return widen_few(matrix, self.statistics)
        return widen(matrix, look_up(matrix, self.statistics))


@dataclass(frozen=True)
class Blend:
    """A weighted mean of two candidates' margins; their contributions blend alike.

    Attributes
    ----------
    logistic, boosted : Logistic, Boosted
    weight : float
        The share of `boosted`, 0 to 1.
    """

    logistic: Logistic
    boosted: Boosted
    weight: float

    @property
    def base(self) -> float:
        """The blended base."""
        return self.weight * self.boosted.base + (1 - self.weight) * self.logistic.base

    def margin(self, matrix: Matrix) -> Vector:
        """Return the blended margin of each row."""
        return self.weight * self.boosted.margin(matrix) + (1 - self.weight) * self.logistic.margin(matrix)

    def contributions(self, matrix: Matrix) -> Matrix:
        """Return the blended contribution of each feature, shape (n_rows, n_features)."""
        boosted = self.boosted.contributions(matrix)
        return self.weight * boosted + (1 - self.weight) * self.logistic.contributions(matrix)


def _mean(arrays: Sequence[Any]) -> Any:
    return arrays[0] if len(arrays) == 1 else np.mean(arrays, axis=0)


def add_columns(terms: Matrix, base: float) -> Vector:
    """Sum base and columns one after another: a row's sum then does not depend on its batch."""
    if len(terms) <= FEW_ROWS:
        return np.array([reduce(add, row, base) for row in terms.tolist()], dtype=np.float64)
    total = np.full(len(terms), base)
    for column in terms.T:
        total += column
    return total


def probability_of(log_odds: Vector) -> Vector:
    """Return the probability of log-odds."""
    return np.asarray(expit(log_odds))


def threads_for(n_rows: int, threads: int) -> int:
    """Return how many threads LightGBM should use: `threads`, or for 0 what suits `n_rows`."""
    return 1 if threads == 0 and n_rows < ROWS_FOR_THREADS else threads


def make_boosted(
    model_texts: str | Sequence[str],
    n_features: int,
    *,
    threads: int = 0,
    statistics: Mapping[int, Vector] | None = None,
) -> Boosted:
    """Load LightGBM's text format, one text a booster, and read the base from it.

    Raises
    ------
    BundleError
        A text is not a model of `n_features` features and the statistics.
    """
    texts = [model_texts] if isinstance(model_texts, str) else model_texts
    tables = dict(statistics or {})
    loaded = [_load_booster(text, k, n_features + len(tables)) for k, text in enumerate(texts)]
    base = float(_mean([base for _, base in loaded]))
    leaves = sum(int(n) for text in texts for n in re.findall(r"^num_leaves=(\d+)$", text, re.MULTILINE))
    return Boosted(tuple(b for b, _ in loaded), base, threads, tables, leaves)


def model_file(k: int) -> str:
    """Return the name of the file of booster `k`."""
    return f"model_{k}.txt" if k else "model.txt"


def _load_booster(text: str, k: int, n_columns: int) -> tuple[lgb.Booster, float]:
    if re.search(r"^is_linear=1$", text, re.MULTILINE):
        raise BundleError(
            f"{model_file(k)} has linear models in its leaves, which cannot be explained exactly"
        )
    try:
        booster = lgb.Booster(model_str=text)
    except lgb.basic.LightGBMError as error:
        raise BundleError(f"{model_file(k)} is not a LightGBM model: {error}") from error
    if booster.num_feature() != n_columns:
        raise BundleError(f"{model_file(k)} has {booster.num_feature()} features, features.json {n_columns}")
    row = np.full((1, n_columns), np.nan)
    return booster, float(np.asarray(booster.predict(row, pred_contrib=True, num_threads=1))[0, -1])


def logistic_to_json(model: Logistic) -> dict[str, Any]:
    """Return the model's numbers for ``logistic.json``."""
    return {
        "base": model.base,
        "knots": [k.tolist() for k in model.knots],
        "values": [v.tolist() for v in model.values],
        "missing": model.missing.tolist(),
        "categories": sorted(model.categories),
    }


def logistic_from_json(content: dict[str, Any], *, n_codes: dict[int, int]) -> Logistic:
    """Read what `logistic_to_json` returned.

    Raises
    ------
    BundleError
        The shapes do not fit together.
    """
    model = Logistic(
        float(content["base"]),
        [np.asarray(k, dtype=np.float64) for k in content["knots"]],
        [np.asarray(v, dtype=np.float64) for v in content["values"]],
        np.asarray(content["missing"], dtype=np.float64),
        frozenset(content["categories"]),
    )
    shapes = zip(model.knots, model.values, strict=True)
    if any(len(k) != len(v) for k, v in shapes) or len(model.missing) != len(model.knots):
        raise BundleError("logistic.json: knots and values differ in length")
    if model.categories != set(n_codes) or any(len(model.values[j]) != n for j, n in n_codes.items()):
        raise BundleError("logistic.json and features.json disagree about the categories")
    return model
