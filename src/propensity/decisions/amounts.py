"""What a won lead brings: its expected amount, with strength shared over channels and segments.

Amounts are taken on the log scale as ``mean + one effect for the level of each column + rest``. The effects
of a column are drawn from a normal distribution of their own, whose variance the wins decide: a level with
few wins stays near the overall mean, and a column that tells nothing about amounts adds nothing
(empirical-Bayes shrinkage, `effects`). The mean on the money scale is Duan's smearing estimate (1983, doi
10.1080/01621459.1983.10478017), which asks for no particular shape of the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.decisions.effects import fit_effects
from propensity.decisions.levels import OTHER, Levels, fit_levels, level_finder, levels_from_json, to_levels
from propensity.errors import BundleError
from propensity.params import ValueParams

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

# Fewer amounts do not tell their spread within a third (a chi-square with nine degrees of freedom).
FEWEST_AMOUNTS = 10
MOST_LEVELS = 30
# Tenths of a number tell amounts closer than quarters do where there are 60 wins or more (docs/money.md).
TENTHS = tuple(i / 10 for i in range(1, 10))
Z = 1.96
REMEMBERED = 5000  # combinations of levels whose amounts are kept


@dataclass(frozen=True)
class AmountModel:
    """Expected amounts of won leads.

    Attributes
    ----------
    source : str
        ``amounts`` of won leads, ``params`` (the same amount for all) or ``none``.
    mean : float
        The mean amount over all wins, in the currency of the amounts; 0 for ``none``.
    n_wins : int
        Won leads with an amount, which the model rests on.
    levels : Levels
        The columns whose levels have effects.
    names : list of (str, str)
        Column and level of each effect.
    wins : list of int
        Wins above 0 of each effect's level.
    coefficients : array of shape (1 + n_effects,)
        The overall mean, then the effects, of the log amount.
    covariance : array of shape (1 + n_effects, 1 + n_effects)
        Of the errors of `coefficients`.
    spread : dict
        For each column the variance of its effects: what is added for a level without one of its own.
    scale, scale_error : float
        From the exponential of the expected logarithm to the expected amount, and its relative error.
    """

    source: str
    mean: float
    n_wins: int = 0
    levels: Levels = field(default_factory=Levels)
    names: list[tuple[str, str]] = field(default_factory=list)
    wins: list[int] = field(default_factory=list)
    coefficients: Vector = field(default_factory=lambda: np.zeros(1))
    covariance: Matrix = field(default_factory=lambda: np.zeros((1, 1)))
    spread: dict[str, float] = field(default_factory=dict)
    scale: float = 1.0
    scale_error: float = 0.0


@dataclass(frozen=True)
class Amount:
    """An expected amount with its 95% interval and the wins behind it."""

    amount: float
    low: float
    high: float
    wins: int


def fit_amounts(
    won: pd.DataFrame, columns: Sequence[str], value: ValueParams, *, cuts: Sequence[float] = TENTHS
) -> AmountModel:
    """Fit the expected amount of a won lead.

    Parameters
    ----------
    won : DataFrame
        Won leads: ``amount`` (0 or more, null where it is not known) and `columns`.
    columns : sequence of str
        Channel and segments.
    value : ValueParams
        ``won`` is taken for every lead where fewer than `FEWEST_AMOUNTS` amounts above 0 are known.
    cuts : sequence of float
        The quantiles at which a number is cut into levels.
    """
    known = won[won["amount"].notna()]
    paid = known[known["amount"] > 0]
    if len(paid) < FEWEST_AMOUNTS:
        return _from_params(value)
    levels = fit_levels(paid, columns, most=MOST_LEVELS, cuts=cuts)
    held = to_levels(paid, levels)
    counts = {c: held[c].value_counts() for c in held.columns}
    names = [(c, level) for c in held.columns for level in sorted(counts[c].index)]
    design = np.column_stack([np.ones(len(held)), *(held[c] == level for c, level in names)])
    logs = np.log(paid["amount"].to_numpy(dtype=np.float64))
    coefficients, covariance, spread = fit_effects(logs, design, [c for c, _ in names])
    rest = np.exp(logs - _expected_logs(_codes(held, names), coefficients))
    share_paid = len(paid) / len(known)
    return AmountModel(
        source="amounts",
        mean=float(known["amount"].mean()),
        n_wins=len(known),
        levels=levels,
        names=names,
        wins=[int(counts[c][level]) for c, level in names],
        coefficients=coefficients,
        covariance=covariance,
        spread=spread,
        scale=float(rest.mean()) * share_paid,
        scale_error=float(
            np.hypot(rest.std() / rest.mean(), np.sqrt((1 - share_paid) / share_paid)) / np.sqrt(len(paid))
        ),
    )


def expected_amounts(model: AmountModel, leads: pd.DataFrame) -> pd.DataFrame:
    """Return what each lead would bring if it were won.

    Parameters
    ----------
    model : AmountModel
    leads : DataFrame
        With the columns the model was fitted on.

    Returns
    -------
    DataFrame
        On the leads' index: ``amount, amount_low, amount_high`` (a 95% interval of the expectation, not of a
        single amount) and ``amount_wins``, the wins with that lead's level of the first column (the channel,
        where there is one), of all wins where no column is used; 0 where the params give the amount.
    """
    if model.source != "amounts":
        constant = pd.DataFrame(index=leads.index, data={"amount": model.mean})
        return constant.assign(amount_low=model.mean, amount_high=model.mean, amount_wins=0)
    codes = _codes(to_levels(leads, model.levels), model.names)
    middle = model.scale * np.exp(_expected_logs(codes, model.coefficients))
    half = Z * np.sqrt(_variances(codes, model) + model.scale_error**2)
    wins = np.array([0, *model.wins, 0])[codes[:, 1]] if model.levels.columns else model.n_wins
    return pd.DataFrame(
        index=leads.index,
        data={
            "amount": middle,
            "amount_low": middle * np.exp(-half),
            "amount_high": middle * np.exp(half),
            "amount_wins": wins,
        },
    )


class SingleAmounts:
    """What single leads would bring if they were won, as `expected_amounts` says of many.

    Parameters
    ----------
    model : AmountModel

    Attributes
    ----------
    columns : tuple of str
        The columns of leads whose values `of` takes, in this order.
    """

    def __init__(self, model: AmountModel) -> None:
        self._model = model
        self.columns = model.levels.columns
        self._find = [level_finder(column, model.levels) for column in self.columns]
        self._places = [
            {level: 1 + i for i, (own, level) in enumerate(model.names) if own == column}
            for column in self.columns
        ]
        self._coefficients = [*model.coefficients.tolist(), 0.0]
        self._covariance: list[list[float]] = np.pad(model.covariance, (0, 1)).tolist()
        self._strange, self._none = set(_strange(model)), 1 + len(model.names)
        self._wins = [0, *model.wins, 0]
        self._of_codes = lru_cache(maxsize=REMEMBERED)(self._compute)

    def of(self, values: Sequence[Any]) -> Amount:
        """Return what a lead with these values would bring."""
        model = self._model
        if model.source != "amounts":
            return Amount(model.mean, model.mean, model.mean, 0)
        found = zip(self._places, self._find, values, strict=True)
        return self._of_codes((0, *(places.get(find(value), self._none) for places, find, value in found)))

    def _compute(self, codes: tuple[int, ...]) -> Amount:
        model = self._model
        logs = np.array([self._coefficients[code] for code in codes]).sum()
        variance = 0.0
        for own in codes:
            for other in codes:
                variance += self._covariance[own][other]
        for column, code in zip(self.columns, codes[1:], strict=True):
            variance += model.spread[column] if code in self._strange else 0.0
        amount = model.scale * float(np.exp(logs))
        half = Z * math.sqrt(variance + model.scale_error**2)
        wins = self._wins[codes[1]] if self.columns else model.n_wins
        return Amount(amount, amount * float(np.exp(-half)), amount * float(np.exp(half)), wins)


def mean_amount(model: AmountModel, leads: pd.DataFrame, weight: Vector) -> Amount:
    """Return the expected amount of a win among `leads`, each weighing its probability of being won.

    Parameters
    ----------
    model : AmountModel
    leads : DataFrame
        One row at least.
    weight : array of shape (n_leads,)
        0 or more; where all are 0 the leads count alike.
    """
    each = expected_amounts(model, leads)
    share = weight / weight.sum() if weight.sum() > 0 else np.full(len(leads), 1 / len(leads))
    amount = float(share @ each["amount"].to_numpy(dtype=np.float64))
    if model.source != "amounts":
        return Amount(amount, amount, amount, 0)
    codes = _codes(to_levels(leads, model.levels), model.names)
    size = len(model.coefficients)
    middle = np.bincount(codes.ravel(), np.repeat(share, codes.shape[1]), size + 1)[:size]
    half = Z * float(np.sqrt(middle @ model.covariance @ middle + model.scale_error**2))
    wins = int(each["amount_wins"].max())
    return Amount(amount, amount * float(np.exp(-half)), amount * float(np.exp(half)), wins)


def amounts_to_json(model: AmountModel) -> dict[str, Any]:
    """Return the numbers of a model for the bundle, of the covariance the lower triangle row by row."""
    if model.source != "amounts":
        return {"source": model.source}
    told = {name: content for name, content in vars(model).items() if name not in ("levels", "covariance")}
    lower = model.covariance[np.tril_indices(len(model.covariance))]
    return {**told, "covariance": lower, "levels": vars(model.levels)}


def amounts_from_json(content: Mapping[str, Any] | None, value: ValueParams) -> AmountModel:
    """Read what `amounts_to_json` returned; without it, or without amounts, ``value.won`` is the amount.

    Raises
    ------
    BundleError
        It has another shape.
    """
    if content is None or content.get("source") in ("params", "none"):
        return _from_params(value)
    try:
        model = _read(content)
        _check(model)
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BundleError(f"amounts.json should hold effects of levels on amounts: {error!r}") from None
    return model


def _read(content: Mapping[str, Any]) -> AmountModel:
    coefficients = np.asarray(content["coefficients"], dtype=np.float64)
    size = len(coefficients)
    listed = np.asarray(content["covariance"], dtype=np.float64)
    assert listed.shape == (size * (size + 1) // 2,)
    lower = np.zeros((size, size))
    lower[np.tril_indices(size)] = listed
    return AmountModel(
        source=content["source"],
        mean=float(content["mean"]),
        n_wins=int(content["n_wins"]),
        levels=levels_from_json(content["levels"]),
        names=[(str(column), str(level)) for column, level in content["names"]],
        wins=[int(n) for n in content["wins"]],
        coefficients=coefficients,
        covariance=lower + np.tril(lower, -1).T,
        spread={str(c): float(variance) for c, variance in content["spread"].items()},
        scale=float(content["scale"]),
        scale_error=float(content["scale_error"]),
    )


def _check(model: AmountModel) -> None:
    assert model.source == "amounts"
    assert len(model.names) == len(model.wins) == len(model.coefficients) - 1
    assert list(model.spread) == list(model.levels.columns)
    assert {column for column, _ in model.names} <= set(model.spread)
    numbers = [model.mean, model.scale, model.scale_error, *model.coefficients, *model.spread.values()]
    assert np.isfinite(numbers).all() and np.isfinite(model.covariance).all()
    assert min(model.scale, *np.diag(model.covariance), *model.spread.values()) > 0


def _from_params(value: ValueParams) -> AmountModel:
    return AmountModel("params" if value.won > 0 else "none", value.won)


def _codes(held: pd.DataFrame, names: Sequence[tuple[str, str]]) -> Codes:
    """Return the place of each row's effects among the coefficients, the mean's 0 first.

    A level that has no effect has the place after the last one.
    """
    place = {name: 1 + i for i, name in enumerate(names)}
    codes = [
        held[c].map({level: i for (own, level), i in place.items() if own == c}).fillna(1 + len(names))
        for c in held.columns
    ]
    return np.column_stack([np.zeros(len(held)), *codes]).astype(np.int64)


def _expected_logs(codes: Codes, coefficients: Vector) -> Vector:
    return np.asarray(np.append(coefficients, 0.0)[codes].sum(axis=1))


def _variances(codes: Codes, model: AmountModel) -> Vector:
    """Return the variance of each row's expected logarithm.

    A level that no win had varies as its column does, and so does each of those that make up `OTHER`.
    """
    padded = np.pad(model.covariance, (0, 1))
    found = np.zeros(len(codes))
    for own in codes.T:
        for other in codes.T:
            found += padded[own, other]
    for j, column in enumerate(model.levels.columns, start=1):
        found += np.where(np.isin(codes[:, j], _strange(model)), model.spread[column], 0.0)
    return found


def _strange(model: AmountModel) -> list[int]:
    """Return the places of levels that vary as their column does."""
    return [len(model.names) + 1, *(1 + i for i, (_, level) in enumerate(model.names) if level == OTHER)]
