"""What a won lead brings: its expected amount, with strength shared over channels and segments.

Amounts are taken on the log scale as ``mean + one effect for the level of each column + rest``. The effects
of a column are drawn from a normal distribution of their own, whose variance the wins decide: a level with
few wins stays near the overall mean, and a column that tells nothing about amounts adds nothing
(empirical-Bayes shrinkage; Henderson 1975, doi 10.2307/2529430, variances by EM-REML as in Searle, Casella
and McCulloch 1992, chapter 8). The mean on the money scale is Duan's smearing estimate (1983, doi
10.1080/01621459.1983.10478017), which asks for no particular shape of the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.money.levels import Levels, fit_levels, to_levels
from propensity.params import ValueParams

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

# Fewer amounts do not tell their spread within a third (a chi-square with nine degrees of freedom).
FEWEST_AMOUNTS = 10
MOST_LEVELS = 30
ROUNDS = 200
Z = 1.96


@dataclass(frozen=True)
class AmountModel:
    """Expected amounts of won leads.

    Attributes
    ----------
    source : str
        ``amounts`` of won leads, ``params`` (the same amount for all) or ``none``.
    mean : float
        The mean amount over all wins, in the currency of the amounts; NaN for ``none``.
    n_wins : int
        Won leads with an amount, which the model rests on.
    levels : Levels
        The columns whose levels have effects.
    names : list of (str, str)
        Column and level of each effect.
    coefficients : array of shape (1 + n_effects,)
        The overall mean, then the effects, of the log amount.
    covariance : array of shape (1 + n_effects, 1 + n_effects)
        Of the errors of `coefficients`.
    spread : dict
        For each column the variance of its effects: what is added for a level that no win had.
    scale, scale_error : float
        From the exponential of the expected logarithm to the expected amount, and its relative error.
    wins_of : dict
        Number of wins with an amount by (column, level).
    """

    source: str
    mean: float
    n_wins: int = 0
    levels: Levels = field(default_factory=Levels)
    names: list[tuple[str, str]] = field(default_factory=list)
    coefficients: Vector = field(default_factory=lambda: np.zeros(1))
    covariance: Matrix = field(default_factory=lambda: np.zeros((1, 1)))
    spread: dict[str, float] = field(default_factory=dict)
    scale: float = 1.0
    scale_error: float = 0.0
    wins_of: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Amount:
    """An expected amount with its 95% interval and the wins behind it."""

    amount: float
    low: float
    high: float
    wins: int


def fit_amounts(won: pd.DataFrame, columns: Sequence[str], value: ValueParams) -> AmountModel:
    """Fit the expected amount of a won lead.

    Parameters
    ----------
    won : DataFrame
        Won leads: ``amount`` (0 or more, null where it is not known) and `columns`.
    columns : sequence of str
        Channel and segments; a number is cut into quarters.
    value : ValueParams
        ``won`` is taken for every lead where fewer than `FEWEST_AMOUNTS` amounts above 0 are known.
    """
    known = won[won["amount"].notna()]
    paid = known[known["amount"] > 0]
    if len(paid) < FEWEST_AMOUNTS:
        return AmountModel("params", value.won) if value.won > 0 else AmountModel("none", float("nan"))
    levels = fit_levels(paid, columns, most=MOST_LEVELS)
    held = to_levels(paid, levels)
    names = [(c, level) for c in held.columns for level in sorted(held[c].unique())]
    design = _design(held, names)
    logs = np.log(paid["amount"].to_numpy(dtype=np.float64))
    coefficients, covariance, spread = _fit_effects(logs, design, [c for c, _ in names])
    rest = np.exp(logs - design @ coefficients)
    share_paid = len(paid) / len(known)
    return AmountModel(
        source="amounts",
        mean=float(known["amount"].mean()),
        n_wins=len(known),
        levels=levels,
        names=names,
        coefficients=coefficients,
        covariance=covariance,
        spread=spread,
        scale=float(rest.mean()) * share_paid,
        scale_error=float(
            np.hypot(rest.std() / rest.mean(), np.sqrt((1 - share_paid) / share_paid)) / np.sqrt(len(paid))
        ),
        wins_of={
            (c, str(level)): int(n) for c in levels.columns for level, n in held[c].value_counts().items()
        },
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
        single amount) and ``amount_wins``, the wins of its channel (the first column) that stand behind it.
    """
    if model.source != "amounts":
        constant = pd.DataFrame(index=leads.index, data={"amount": model.mean})
        return constant.assign(amount_low=model.mean, amount_high=model.mean, amount_wins=0)
    held = to_levels(leads, model.levels)
    design = _design(held, model.names)
    middle = design @ model.coefficients
    variance = np.einsum("ij,jk,ik->i", design, model.covariance, design) + model.scale_error**2
    for column in model.levels.columns:
        seen = {level for c, level in model.names if c == column}
        variance += np.where(held[column].isin(seen), 0.0, model.spread[column])
    half = Z * np.sqrt(variance)
    found = pd.DataFrame(index=leads.index, data={"amount": model.scale * np.exp(middle)})
    first = model.levels.columns[0] if model.levels.columns else None
    wins = model.n_wins if first is None else held[first].map(lambda v: model.wins_of.get((first, v), 0))
    return found.assign(
        amount_low=model.scale * np.exp(middle - half),
        amount_high=model.scale * np.exp(middle + half),
        amount_wins=wins,
    )


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
    held = to_levels(leads, model.levels)
    middle = share @ _design(held, model.names)
    half = Z * float(np.sqrt(middle @ model.covariance @ middle + model.scale_error**2))
    wins = int(each["amount_wins"].max())
    return Amount(amount, amount * float(np.exp(-half)), amount * float(np.exp(half)), wins)


def expected_values(
    probability: Vector, amount: Vector, tier: npt.NDArray[np.str_], value: ValueParams
) -> Vector:
    """Return each lead's expected margin less what its tier costs, with an amount of its own for each.

    As `decisions.value.expected_value`, with the amount of the lead for ``value.won``.
    """
    cost = touch_costs(tier, value)
    return np.where(tier == "disqualified", 0.0, probability * amount * value.margin - cost)


def touch_costs(tier: npt.NDArray[np.str_], value: ValueParams) -> Vector:
    """Return what sales and nurture spend on a lead of each tier."""
    costs: Vector = np.select(
        [tier == "sql", tier == "disqualified"], [value.sales_touch, 0.0], value.nurture
    ).astype(np.float64)
    return costs


def _design(held: pd.DataFrame, names: list[tuple[str, str]]) -> Matrix:
    columns = [(held[column] == level).to_numpy(dtype=np.float64) for column, level in names]
    return np.column_stack([np.ones(len(held)), *columns])


def _fit_effects(logs: Vector, design: Matrix, owner: list[str]) -> tuple[Vector, Matrix, dict[str, float]]:
    """Solve Henderson's mixed-model equations, the variances by EM-REML.

    Returns
    -------
    coefficients, covariance, and for each column the variance of its effects
    """
    columns = list(dict.fromkeys(owner))
    place = {c: 1 + np.flatnonzero(np.array(owner) == c) for c in columns}
    products, target = design.T @ design, design.T @ logs
    rest = float(logs.var()) or 1e-12
    spread = dict.fromkeys(columns, rest / (1 + len(columns)))
    rest = max(rest / (1 + len(columns)), 1e-12)
    for _ in range(ROUNDS):
        penalty = np.zeros(len(products))
        for c in columns:
            penalty[place[c]] = rest / spread[c]
        inverse = np.linalg.inv(products + np.diag(penalty))
        solution = inverse @ target
        before = (rest, *spread.values())
        for c in columns:
            at = place[c]
            errors = rest * np.trace(inverse[np.ix_(at, at)])
            spread[c] = max(float(solution[at] @ solution[at] + errors) / len(at), 1e-10)
        rest = max(float(logs @ logs - solution @ target) / max(len(logs) - 1, 1), 1e-12)
        if np.allclose(before, (rest, *spread.values()), rtol=1e-4, atol=1e-9):
            break
    covariance: Matrix = np.asarray(inverse * rest, dtype=np.float64)
    return solution, covariance, spread
