"""Calibrators: from a model's margin to log-odds that mean what they say.

Each is a non-decreasing function of the margin, stored as numbers. *Sigmoid* is Platt's line, and
*beta* the family of Kull, Silva Filho and Flach (2017, doi:10.1214/17-EJS1338SI), which in log-odds
is ``c - a softplus(-m) + b softplus(m)`` with ``a, b >= 0``. *Isotonic* is the pool-adjacent-violators
fit, joined by straight lines between its blocks so that no two margins tie and small changes stay small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from propensity.errors import BundleError, InputError
from propensity.model.bands import Band, band_from_json, band_to_json
from propensity.model.estimators import Vector

LEAST_SLOPE = 1e-3
# Isotonic steps lie at least this far apart in margin, which bounds how steep the map can be.
LEAST_STEP = 0.01
BAND_DRAWS = 200
BAND_KNOTS = 121
BAND_REACH = 2.0  # in margin, beyond the rows on either side
WIDEST_BAND = 20.0


@dataclass(frozen=True)
class Calibrator:
    """A monotone map from margin to calibrated log-odds.

    Attributes
    ----------
    method : {'sigmoid', 'beta', 'isotonic'}
    numbers : dict
        sigmoid: ``slope``, ``intercept``; beta: ``a``, ``b``, ``c``; isotonic: ``margins`` and
        ``log_odds``, both ascending.
    band : Band or None
        How sure the log-odds are; None where nobody asked.
    """

    method: str
    numbers: dict[str, Any]
    band: Band | None = None

    def log_odds(self, margin: Vector) -> Vector:
        """Return the calibrated log-odds of each margin, same shape."""
        n = self.numbers
        if self.method == "sigmoid":
            return np.asarray(n["slope"] * margin + n["intercept"])
        if self.method == "beta":
            return np.asarray(
                n["c"] - n["a"] * np.logaddexp(0.0, -margin) + n["b"] * np.logaddexp(0.0, margin)
            )
        return _interpolate(margin, *self._knots)

    @cached_property
    def _knots(self) -> tuple[Vector, Vector]:
        return np.asarray(self.numbers["margins"]), np.asarray(self.numbers["log_odds"])

    def shifted(self, shift: float) -> Calibrator:
        """Return the map with `shift` added to its log-odds, which leaves every order as it is."""
        name = {"sigmoid": "intercept", "beta": "c", "isotonic": "log_odds"}[self.method]
        moved = (np.asarray(self.numbers[name]) + shift).tolist()
        band = None if self.band is None else self.band.shifted(shift)
        return replace(self, numbers=self.numbers | {name: moved}, band=band)

    def interval(self, log_odds: Vector) -> tuple[Vector, Vector]:
        """Return the ends of the 95% intervals around calibrated log-odds; NaN without a band."""
        if self.band is None:
            return np.full(log_odds.shape, np.nan), np.full(log_odds.shape, np.nan)
        return self.band.around(log_odds)

    def slope(self, margin: float, *, step: float = 1e-4) -> float:
        """Return the map's slope at a margin, by a central difference."""
        low, high = self.log_odds(np.array([margin - step, margin + step]))
        return float((high - low) / (2 * step))


def fit_calibrator(method: str, margin: Vector, won: npt.NDArray[np.bool_], weight: Vector) -> Calibrator:
    """Fit one calibrator by maximum likelihood (isotonic: by least squares, smoothed in each block).

    Parameters
    ----------
    method : {'sigmoid', 'beta', 'isotonic'}
    margin, won, weight : arrays of shape (n_rows,)
        Rows the model was not fitted on.
    """
    if method == "isotonic":
        return _fit_isotonic(margin, won, weight)
    tied = method == "sigmoid"
    a, b, c = _fit_beta(margin, won, weight, tied=tied)
    if tied:
        return Calibrator("sigmoid", {"slope": a, "intercept": c})
    return Calibrator("beta", {"a": a, "b": b, "c": c})


def fit_band(
    calibrator: Calibrator,
    margin: Vector,
    won: npt.NDArray[np.bool_],
    weight: Vector,
    groups: npt.NDArray[np.int64],
    *,
    seed: int,
    draws: int = BAND_DRAWS,
) -> Band:
    """Return the 95% band of a calibrator, by the bootstrap.

    Whole groups are drawn with replacement, the calibrator is fitted to each draw, and at each knot the
    2.5% and 97.5% quantiles of the log-odds are taken. Margins are rounded to a hundredth for it, so
    that rows alike are one.

    Parameters
    ----------
    calibrator : Calibrator
        Fitted on these rows.
    margin, won, weight, groups : arrays of shape (n_rows,)
    seed, draws : int
    """
    _, codes = np.unique(groups, return_inverse=True)
    n_groups = int(codes.max()) + 1
    cells, cell = np.unique(
        np.column_stack([np.round(margin / LEAST_STEP), won]), axis=0, return_inverse=True
    )
    alike, ended = LEAST_STEP * cells[:, 0], cells[:, 1].astype(bool)
    knots = np.linspace(alike.min() - BAND_REACH, alike.max() + BAND_REACH, BAND_KNOTS)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        times = np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups)[codes]
        mass: Vector = np.bincount(cell.ravel(), weight * times, minlength=len(cells)).astype(np.float64)
        if (mass * ended).sum() > 0 and (mass * ~ended).sum() > 0:
            kept = mass > 0
            again = fit_calibrator(calibrator.method, alike[kept], ended[kept], mass[kept])
            drawn.append(again.log_odds(knots))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0) if drawn else (-np.inf, np.inf)
    middle = calibrator.log_odds(knots)
    return Band(middle, np.clip(middle - low, 0.0, WIDEST_BAND), np.clip(high - middle, 0.0, WIDEST_BAND))


def calibrator_to_json(calibrator: Calibrator) -> dict[str, Any]:
    """Return the method, its numbers and its band."""
    return {"method": calibrator.method, **calibrator.numbers, **band_to_json(calibrator.band)}


def calibrator_from_json(content: Mapping[str, Any]) -> Calibrator:
    """Read what `calibrator_to_json` returned.

    Raises
    ------
    BundleError
        The method is unknown, a number is missing, the map decreases somewhere, or the band is none.
    """
    wanted = {
        "sigmoid": ("slope", "intercept"),
        "beta": ("a", "b", "c"),
        "isotonic": ("margins", "log_odds"),
    }.get(content.get("method", ""))
    if wanted is None or any(name not in content for name in wanted):
        raise BundleError(f"calibrator.json: unknown method or missing numbers in {sorted(content)}")
    numbers = {name: content[name] for name in wanted}
    calibrator = Calibrator(content["method"], numbers, band_from_json(content))
    knots = np.asarray(content.get("margins", []), dtype=np.float64)
    mapped = calibrator.log_odds(np.union1d(np.linspace(-20.0, 20.0, 401), knots))
    if (np.diff(knots) < 0).any() or not np.isfinite(mapped).all() or (np.diff(mapped) < 0).any():
        raise BundleError("calibrator.json: the map is not increasing")
    return calibrator


def _fit_beta(
    margin: Vector, won: npt.NDArray[np.bool_], weight: Vector, *, tied: bool
) -> tuple[float, float, float]:
    """Maximise the likelihood over slopes ``a, b >= 0`` and intercept ``c``; `tied` holds ``a = b``.

    A weak ridge towards slope 1 keeps the fit finite when the rows are separable.
    """
    low, high = -np.logaddexp(0.0, -margin), np.logaddexp(0.0, margin)
    total = weight.sum()
    ridge = 1.0 / total

    def loss(theta: Vector) -> tuple[float, Vector]:
        a, b, c = (theta[0], theta[0], theta[1]) if tied else theta
        z = a * low + b * high + c
        value = np.sum(weight * np.logaddexp(0.0, np.where(won, -z, z))) / total
        residual = weight * (0.5 * (1 + np.tanh(z / 2)) - won) / total
        by_a, by_b, by_c = residual @ low, residual @ high, residual.sum()
        penalty = ridge * ((a - 1) ** 2 + (b - 1) ** 2) / 2
        by_a, by_b = by_a + ridge * (a - 1), by_b + ridge * (b - 1)
        gradient = [by_a + by_b, by_c] if tied else [by_a, by_b, by_c]
        return float(value + penalty), np.array(gradient)

    start = [1.0, 0.0] if tied else [1.0, 1.0, 0.0]
    bounds = [(LEAST_SLOPE, None)] * (len(start) - 1) + [(None, None)]
    options = {"maxiter": 500, "ftol": 1e-14, "gtol": 1e-10}
    # One thread, as for the logistic regression: the last bits must not depend on the machine's load.
    with threadpool_limits(limits=1):
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return (found[0], found[0], found[1]) if tied else (found[0], found[1], found[2])


def _fit_isotonic(margin: Vector, won: npt.NDArray[np.bool_], weight: Vector) -> Calibrator:
    from sklearn.isotonic import IsotonicRegression

    margin, won, weight = margin[weight > 0], won[weight > 0], weight[weight > 0]
    grid = LEAST_STEP * np.round(margin / LEAST_STEP)
    rate = IsotonicRegression(y_min=0, y_max=1).fit_transform(
        grid, won.astype(np.float64), sample_weight=weight
    )
    _, block = np.unique(rate, return_inverse=True)
    mass = np.bincount(block, weight)
    centre = np.bincount(block, weight * grid) / mass
    wins = np.bincount(block, weight * won)
    prior = (wins.sum() + 0.5) / (mass.sum() + 1)
    # One pseudo-row at the base rate: a block without wins (or losses) has finite log-odds.
    smoothed = (wins + prior) / (mass + 1)
    log_odds = np.maximum.accumulate(np.log(smoothed / (1 - smoothed)))
    log_odds = log_odds + LEAST_SLOPE * (centre - centre[0])
    return Calibrator("isotonic", {"margins": centre.tolist(), "log_odds": log_odds.tolist()})


def _interpolate(margin: Vector, knots: Vector, values: Vector) -> Vector:
    inside = np.interp(margin, knots, values)
    beyond = np.minimum(margin - knots[0], 0.0) + np.maximum(margin - knots[-1], 0.0)
    return np.asarray(inside + LEAST_SLOPE * beyond)


@dataclass(frozen=True)
class CalibratorChoice:
    """The chosen calibrator and the evidence.

    Attributes
    ----------
    calibrator : Calibrator
        Fitted on all rows.
    log_loss : dict
        Per method, the cross-fitted mean log-loss.
    gain : dict
        Per method, how much lower that is than the best simpler method's, with its standard error:
        ``(gain, standard_error)``; zeros for the simplest.
    """

    calibrator: Calibrator
    log_loss: dict[str, float]
    gain: dict[str, tuple[float, float]]


def choose_calibrator(
    margin: Vector,
    won: npt.NDArray[np.bool_],
    weight: Vector,
    groups: npt.NDArray[np.int64],
    methods: Sequence[str],
    *,
    seed: int,
    folds: int = 5,
) -> CalibratorChoice:
    """Choose among calibrators by cross-fitting, the simplest unless another is better beyond noise.

    A method must beat the simpler ones' log-loss by more than two standard errors, taken over
    groups. Folds hold whole groups.

    Parameters
    ----------
    margin, won, weight : arrays of shape (n_rows,)
    groups : array of int, shape (n_rows,)
        Rows of one group stay in one fold.
    methods : list of str
        Of ``sigmoid``, ``beta``, ``isotonic``; judged in this order, from simple to flexible.
    seed : int

    Raises
    ------
    InputError
        There are fewer groups than folds.
    """
    ordered: list[str] = [m for m in ("sigmoid", "beta", "isotonic") if m in methods]
    _, codes = np.unique(groups, return_inverse=True)
    n_groups = int(codes.max(initial=-1)) + 1
    if n_groups < folds:
        raise InputError(
            f"the calibrate part holds {len(margin)} snapshots of {n_groups} groups (split.group); choosing "
            f"a calibrator takes at least {folds} groups: widen split.calibrate or bring more history"
        )
    fold = np.random.default_rng(seed).permutation(n_groups)[codes] % folds
    losses = {method: _cross_fitted(method, margin, won, weight, fold) for method in ordered}
    best, gains = ordered[0], {}
    for method in ordered:
        gain, error = _paired_gain(losses[best], losses[method], weight, codes)
        gains[method] = (gain, error)
        if gain > 2 * error:
            best = method
    means = {method: float(np.average(loss, weights=weight)) for method, loss in losses.items()}
    chosen = fit_calibrator(best, margin, won, weight)
    band = fit_band(chosen, margin, won, weight, groups, seed=seed)
    return CalibratorChoice(replace(chosen, band=band), means, gains)


def describe_choice(choice: CalibratorChoice) -> dict[str, Any]:
    """Return the chosen method and each method's cross-fitted log-loss, for the report."""
    chosen = choice.calibrator.method
    rows = {
        method: {"log_loss": loss, "gain": choice.gain[method], "chosen": method == chosen}
        for method, loss in choice.log_loss.items()
    }
    return {"calibrator": chosen, "calibrators": rows}


def _cross_fitted(
    method: str, margin: Vector, won: npt.NDArray[np.bool_], weight: Vector, fold: npt.NDArray[np.int64]
) -> Vector:
    """Return each row's log-loss under a calibrator fitted without its fold."""
    loss = np.empty(len(margin))
    for k in np.unique(fold):
        held, rest = fold == k, fold != k
        z = fit_calibrator(method, margin[rest], won[rest], weight[rest]).log_odds(margin[held])
        loss[held] = np.logaddexp(0.0, np.where(won[held], -z, z))
    return loss


def _paired_gain(
    before: Vector, after: Vector, weight: Vector, groups: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """Return the mean fall in loss and its standard error over groups."""
    fall = np.bincount(groups, weight * (before - after))
    size = np.bincount(groups, weight)
    mean = fall.sum() / size.sum()
    return float(mean), float(np.sqrt(np.sum((fall - mean * size) ** 2)) / size.sum())
