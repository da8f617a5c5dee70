"""The two cut-offs: where a lead becomes an MQL and where it becomes an SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.errors import InputError
from propensity.evaluation.intervals import bootstrap, lower_bound
from propensity.explain.points import score_of
from propensity.model.estimators import Vector, probability_of
from propensity.params import CutoffParams, CutoffsParams

TIERS = ("disqualified", "nurture", "mql", "sql")
# The shares of leads, from the top, at which a promise of precision is tested, in this order.
STEPS = (0.02, 0.03, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
STARTS = (0.02, 0.05, 0.1)
POINT_IN_LOG_ODDS = np.log(2) / 10
# A cut-off stands this share under the probability it was read from: a lead at it, summed in another
# order when it is scored, must not fall below by rounding.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Cutoff:
    """One cut-off and what supports it.

    Attributes
    ----------
    probability : float
        A lead at or above it is in the tier.
    supported : bool
        Whether the data bear the policy's promise.
    note : str or None
        What a person has to know before using it.
    """

    probability: float
    supported: bool
    note: str | None


def choose_cutoffs(
    log_odds: Vector,
    won: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int64],
    params: CutoffsParams,
    *,
    seed: int,
) -> dict[str, Any]:
    """Choose both cut-offs on the calibrate part and describe them.

    Parameters
    ----------
    log_odds : array of shape (n_rows,)
        Calibrated.
    won, groups : arrays of shape (n_rows,)
    params : CutoffsParams
    seed : int

    Returns
    -------
    dict
        ``reference_odds`` (those of this part's win rate, which score 50) and under ``mql`` and
        ``sql`` the policy, ``probability``, ``score``, ``supported``, ``note`` and, on this part,
        ``n`` leads at or above, ``precision``, ``recall`` with 95% intervals, and ``share``.
        ``precision`` is NaN where no lead is above.

    Raises
    ------
    InputError
        The part holds no winner, or nobody else.
    """
    probability = probability_of(log_odds)
    found = find_cutoffs(probability, won, groups, params)
    rate = float(won.mean())
    reference_odds = rate / (1 - rate)
    return {"reference_odds": reference_odds} | {
        name: _describe(found[name], policy, probability, won, groups, reference_odds, seed)
        for name, policy in (("mql", params.mql), ("sql", params.sql))
    }


def find_cutoffs(
    probability: Vector,
    won: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int64],
    params: CutoffsParams,
) -> dict[str, Cutoff]:
    """Find the cut-offs that `choose_cutoffs` describes, under ``mql`` and ``sql``.

    Parameters
    ----------
    probability, won, groups : arrays of shape (n_rows,)
    params : CutoffsParams

    Raises
    ------
    InputError
        The part holds no winner, or nobody else.
    """
    if won.all() or not won.any():
        raise InputError(
            f"the calibrate part holds {int(won.sum())} won of {len(won)} snapshots; cut-offs need won and "
            "not-won ones: widen split.calibrate, shorten snapshots.horizon_days or bring more history"
        )
    sql = _choose(params.sql, probability, won, groups)
    return {"mql": _below(_choose(params.mql, probability, won, groups), sql, params.mql), "sql": sql}


def assign_tiers(
    probability: Vector, disqualified: npt.NDArray[np.bool_], cutoffs: Mapping[str, Any]
) -> npt.NDArray[np.str_]:
    """Return each lead's tier."""
    above_sql = probability >= cutoffs["sql"]["probability"]
    above_mql = probability >= cutoffs["mql"]["probability"]
    return np.select([disqualified, above_sql, above_mql], ["disqualified", "sql", "mql"], "nurture")


def cutoff_curve(
    log_odds: Vector, won: npt.NDArray[np.bool_], reference_odds: float, *, steps: int = 100
) -> pd.DataFrame:
    """Return volume, precision and recall against the cut-off.

    Returns
    -------
    DataFrame
        ``probability, score, share, precision, recall`` at up to `steps` + 1 cut-offs, rising.
    """
    order = np.sort(log_odds)
    places = np.unique(order[np.linspace(0, len(order) - 1, steps + 1).round().astype(int)])
    rows = []
    for place in places:
        above = log_odds >= place
        rows.append(
            {
                "probability": float(probability_of(place)),
                "score": float(score_of(np.array([place]), reference_odds)[0]),
                "share": float(above.mean()),
                "precision": float(won[above].mean()),
                "recall": float(won[above].sum() / max(won.sum(), 1)),
            }
        )
    return pd.DataFrame(rows)


def _choose(
    policy: CutoffParams, probability: Vector, won: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64]
) -> Cutoff:
    if policy.policy == "recall":
        return _for_recall(policy.target, probability, won)
    return _for_precision(policy, probability, won, groups)


def _for_recall(target: float, probability: Vector, won: npt.NDArray[np.bool_]) -> Cutoff:
    """Return the highest cut-off that keeps the target share of winners at or above it."""
    winners = np.sort(probability[won])[::-1]
    kept = int(np.ceil(target * len(winners) - ROUNDING))
    return Cutoff(float(winners[kept - 1]) * (1 - ROUNDING), supported=True, note=None)


def _for_precision(
    policy: CutoffParams, probability: Vector, won: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64]
) -> Cutoff:
    """Return the lowest cut-off above which the share won is at least the target, with confidence.

    Fixed-sequence testing (Angelopoulos and others 2021, arXiv 2110.01052): volumes are tested from
    few leads to many, until the lower bound of the share won falls under the target. The error is
    shared among several starting volumes, so that a top too small to prove anything does not end
    the sequence.
    """
    descending = np.sort(probability)[::-1]
    edges = {share: descending[max(round(share * len(descending)), 1) - 1] for share in STEPS}
    confidence = 1 - (1 - policy.confidence) / len(STARTS)
    passed: list[float] = []
    for start in STARTS:
        for share in (s for s in STEPS if s >= start):
            above = probability >= edges[share]
            if lower_bound(won[above], groups[above], confidence=confidence) < policy.target:
                break
            passed.append(float(edges[share]) * (1 - ROUNDING))
    if passed:
        return Cutoff(min(passed), supported=True, note=None)
    return Cutoff(
        policy.target,
        supported=False,
        note=(
            f"The data cannot support {policy.target:.0%} won above the cut-off with {policy.confidence:.0%} "
            f"confidence. The cut-off stands where the calibrated probability is {policy.target:.0%}; "
            "more matured leads, a lower target or a lower confidence would let it be promised."
        ),
    )


def _below(mql: Cutoff, sql: Cutoff, policy: CutoffParams) -> Cutoff:
    """Hold the MQL cut-off a point under the SQL cut-off: every SQL is an MQL first.

    A lower cut-off still keeps a promise of recall, and no longer one of precision.
    """
    odds = sql.probability / (1 - sql.probability) * np.exp(-POINT_IN_LOG_ODDS)
    highest = float(odds / (1 + odds))
    if mql.probability <= highest:
        return mql
    promised = mql.supported and policy.policy == "recall"
    notes = [
        mql.note or "",
        "Its own policy would put the MQL cut-off above the SQL cut-off; it is held one point under it.",
        "" if promised or not mql.supported else "Its precision is not promised there.",
    ]
    return Cutoff(highest, promised, " ".join(filter(None, notes)))


def _describe(
    cutoff: Cutoff,
    policy: CutoffParams,
    probability: Vector,
    won: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int64],
    reference_odds: float,
    seed: int,
) -> dict[str, Any]:
    above = probability >= cutoff.probability
    log_odds = np.log(cutoff.probability / (1 - cutoff.probability))

    def rates(weight: Vector) -> Vector:
        hit = (weight * (above & won)).sum()
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.array([hit / (weight * above).sum(), hit / (weight * won).sum()])

    draws = bootstrap(rates, groups, seed=seed, resamples=400)
    precision, recall = rates(np.ones(len(won)))
    return {
        "policy": policy.policy,
        "target": policy.target,
        "confidence": policy.confidence if policy.policy == "precision" else None,
        "probability": cutoff.probability,
        "score": float(score_of(np.array([log_odds]), reference_odds)[0]),
        "supported": cutoff.supported,
        "note": cutoff.note,
        "n": int(above.sum()),
        "precision": float(precision),
        "precision_interval": _percentiles(draws[:, 0]),
        "recall": float(recall),
        "recall_interval": _percentiles(draws[:, 1]),
        "share": float(above.mean()),
    }


def _percentiles(values: Vector) -> list[float] | None:
    known = values[~np.isnan(values)]
    return [float(x) for x in np.quantile(known, [0.025, 0.975])] if len(known) else None
