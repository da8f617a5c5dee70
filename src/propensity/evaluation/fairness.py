"""How the model treats groups of leads: rates, calibration within groups, who gets over a cut-off.

No single figure says that a model is fair: where groups are won at different rates, equal calibration,
equal shares above a cut-off and equal shares of winners found cannot all be had (Kleinberg, Mullainathan
and Raghavan 2017, doi:10.4230/LIPIcs.ITCS.2017.43; Chouldechova 2017, doi:10.1089/big.2016.0047). So all
three are told, each with an interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.evaluation.intervals import bootstrap, effective_size, wilson_interval

Vector = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

NOT_GIVEN = "not given"
TOO_FEW = "other, too few each"
# Fewer leads tell nothing of a group, and may tell of a person.
FEWEST_LEADS = 20
MOST_LEVELS = 12
RESAMPLES = 400


def compare_groups(
    column: pd.Series[Any],
    lead_id: pd.Series[Any],
    y_true: Flags,
    y_prob: Vector,
    groups: npt.NDArray[Any],
    *,
    cutoffs: Mapping[str, float],
    seed: int,
) -> list[dict[str, Any]]:
    """Compare the levels of a column.

    Parameters
    ----------
    column : Series of shape (n_rows,)
        A lead's level; missing where it is not given. Numbers with many values are cut into quarters.
    lead_id : Series of shape (n_rows,)
        Levels of fewer than `FEWEST_LEADS` leads are told together, or not at all.
    y_true, y_prob, groups : arrays of shape (n_rows,)
        Outcomes, probabilities, and what is resampled together.
    cutoffs : mapping
        Tier to its probability.
    seed : int

    Returns
    -------
    list of dict
        By level, the largest first: ``level, n, leads, won, base_rate, mean_probability,
        expected_over_observed``, and per tier ``above_<tier>``, the share of rows at or above the cut-off,
        and ``found_<tier>``, the share of the won rows there; each with ``<name>_interval`` (95%).
        ``expected_over_observed`` and ``found_<tier>`` are None without a win.
    """
    levels = _levels(column, lead_id)
    rows = []
    for level in levels.value_counts().index:
        inside = (levels == level).to_numpy()
        own = _describe(y_true[inside], y_prob[inside], groups[inside], cutoffs, seed)
        rows.append({"level": str(level), "leads": int(lead_id[inside].nunique()), **own})
    return rows


def _levels(column: pd.Series[Any], lead_id: pd.Series[Any]) -> pd.Series[Any]:
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > MOST_LEVELS:
        column = pd.qcut(column, 4, duplicates="drop").astype("str").where(column.notna())
    named = column.astype("str").where(column.notna(), NOT_GIVEN)
    leads = lead_id.groupby(named.to_numpy()).nunique().sort_values(ascending=False)
    kept = leads[leads >= FEWEST_LEADS].index[:MOST_LEVELS]
    told = named.where(named.isin(kept), TOO_FEW)
    few = told == TOO_FEW
    return told.mask(few) if 0 < lead_id[few].nunique() < FEWEST_LEADS else told


def _describe(
    won: Flags, probability: Vector, groups: npt.NDArray[Any], cutoffs: Mapping[str, float], seed: int
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "n": len(won),
        "won": int(won.sum()),
        "base_rate": float(won.mean()),
        "base_rate_interval": list(wilson_interval(won, groups)),
        "mean_probability": float(probability.mean()),
        **_expected_over_observed(won, probability, groups, seed),
    }
    for tier, threshold in cutoffs.items():
        above = probability >= threshold
        row |= _share(f"above_{tier}", above, groups) | _share(f"found_{tier}", above[won], groups[won])
    return row


def _share(name: str, flags: Flags, groups: npt.NDArray[Any]) -> dict[str, Any]:
    if len(flags) == 0:
        return {name: None, f"{name}_interval": None}
    return {name: float(flags.mean()), f"{name}_interval": list(wilson_interval(flags, groups))}


def _expected_over_observed(
    won: Flags, probability: Vector, groups: npt.NDArray[Any], seed: int
) -> dict[str, Any]:
    """Return the ratio of expected to observed wins, by a bootstrap over groups on the log scale."""
    if not won.any() or effective_size(won, groups) < 2:
        return {"expected_over_observed": None, "expected_over_observed_interval": None}

    def ratio(weight: Vector) -> Vector:
        return np.array([weight @ probability, weight @ won])

    draws = bootstrap(ratio, groups, seed=seed, resamples=RESAMPLES)
    known = draws[draws[:, 1] > 0]
    low, high = np.quantile(known[:, 0] / known[:, 1], [0.025, 0.975])
    return {
        "expected_over_observed": float(probability.sum() / won.sum()),
        "expected_over_observed_interval": [float(low), float(high)],
    }
