"""The two cut-offs, decided together: where a lead becomes an MQL and where it becomes an SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.decisions.arrivals import Arrivals
from propensity.decisions.curves import describe_moves, score_at
from propensity.decisions.policies import (
    Cutoff,
    Evidence,
    choose,
    overflow,
    required,
    target_finder,
    won_at_least,
)
from propensity.decisions.tiers import lower_by
from propensity.decisions.value import gain_of_pair
from propensity.errors import InputError
from propensity.evaluation.intervals import bootstrap
from propensity.model.estimators import Vector, probability_of
from propensity.params import CutoffParams, CutoffsParams, ValueParams

NAMES = ("mql", "sql")
RESAMPLES = 400


def choose_cutoffs(
    log_odds: Vector,
    won: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int64],
    params: CutoffsParams,
    *,
    seed: int,
    arrivals: Arrivals | None = None,
    champion: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Choose both cut-offs on the calibrate part and describe them.

    Parameters
    ----------
    log_odds : array of shape (n_rows,)
        Calibrated.
    won, groups : arrays of shape (n_rows,)
    params : CutoffsParams
    seed : int
    arrivals : Arrivals, optional
        Without it every row is a lead of its own and no capacity can be kept to.
    champion : mapping, optional
        The ``cutoffs.json`` of the model in use, whose cut-offs stay unless the data support a move.

    Returns
    -------
    dict
        ``reference_odds`` (those of this part's win rate, which score 50), ``said`` (both cut-offs in one
        sentence), ``gain`` (of the pair, a snapshot; None without a value) with its interval, and under
        ``mql`` and ``sql``

        - the policy and its keys, ``probability``, ``score``, ``supported``, ``note``;
        - ``probability_interval`` and ``score_interval``: where the policy's target is met (see
          `target_finder`); an end is None where no cut-off is high enough;
        - on this part ``n`` snapshots at or above, ``precision`` (NaN where none is), ``recall``,
          ``share``, ``moves`` (see `describe_moves`) and, for a capacity, ``queue`` (see `overflow`);
        - ``champion``: its ``probability``, ``score`` and whether it was ``kept``; None without one.

        Intervals are 95% percentile bootstraps over groups with the calibrator held fixed: what
        fitting it added to the uncertainty is not in them.

    Raises
    ------
    InputError
        The part holds no winner, or nobody else.
    """
    evidence = _gather(probability_of(log_odds), won, groups, arrivals)
    rate = float(won.mean()) if len(won) else 0.0
    free = _choose_each(evidence, params)
    reference_odds = rate / (1 - rate)
    intervals = bootstrap_targets(evidence, params, seed=seed)
    kept = {n: _keep(free[n], _policy(params, n), intervals[n], evidence, champion, n) for n in NAMES}
    found = {"mql": _below(kept["mql"], kept["sql"], params.mql), "sql": kept["sql"]}
    described = {
        name: _describe(name, found, evidence, params, reference_odds, seed)
        | _tell_interval(intervals[name], reference_odds)
        | {"champion": _tell_champion(champion, name, found[name], reference_odds)}
        for name in NAMES
    }
    return {
        "reference_odds": reference_odds,
        "said": tell_pair(described),
        **_gain(found, evidence, params.value, seed),
        **described,
    }


def find_cutoffs(
    probability: Vector,
    won: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int64],
    params: CutoffsParams,
    *,
    arrivals: Arrivals | None = None,
) -> dict[str, Cutoff]:
    """Find the cut-offs that `choose_cutoffs` describes, under ``mql`` and ``sql``, with no champion.

    Parameters
    ----------
    probability, won, groups : arrays of shape (n_rows,)
    params : CutoffsParams
    arrivals : Arrivals, optional

    Raises
    ------
    InputError
        The part holds no winner, or nobody else.
    """
    found = _choose_each(_gather(probability, won, groups, arrivals), params)
    return {"mql": _below(found["mql"], found["sql"], params.mql), "sql": found["sql"]}


def bootstrap_targets(
    evidence: Evidence, params: CutoffsParams, *, seed: int
) -> dict[str, tuple[float, float]]:
    """Return the 95% interval of where each policy's target is met, under ``mql`` and ``sql``.

    A percentile bootstrap over groups, with the calibrator held fixed. An end of 1 means that no cut-off
    is high enough.
    """
    finders = [target_finder(_policy(params, name), name, evidence, params) for name in NAMES]
    draws = bootstrap(
        lambda weight: np.array([find(weight) for find in finders]),
        evidence.groups,
        seed=seed,
        resamples=RESAMPLES,
    )
    # The order statistics themselves: a draw in which no cut-off is high enough counts as 1.
    ends = np.quantile(draws, [0.025, 0.975], axis=0, method="inverted_cdf")
    return {name: (float(ends[0, k]), float(ends[1, k])) for k, name in enumerate(NAMES)}


def tell_pair(described: Mapping[str, Any]) -> str:
    """Return both cut-offs as one sentence."""
    mql, sql = described["mql"], described["sql"]
    return (
        f"SQL from score {sql['score']:.1f} ({_tell_given(sql)}), MQL from {mql['score']:.1f} "
        f"({_tell_given(mql)})"
    )


def _tell_given(cutoff: Mapping[str, Any]) -> str:
    won = "nobody" if np.isnan(cutoff["precision"]) else f"{cutoff['precision']:.0%} won"
    queue = cutoff.get("queue")
    full = f", over {cutoff['per_week']:g} in {queue['overflow']:.0%} of weeks" if queue else ""
    return (
        f"{cutoff['policy']}: {cutoff['share']:.1%} of snapshots, {won}, {cutoff['recall']:.0%} of wins{full}"
    )


def _policy(params: CutoffsParams, name: str) -> CutoffParams:
    return params.mql if name == "mql" else params.sql


def _gather(
    probability: Vector,
    won: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int64],
    arrivals: Arrivals | None,
) -> Evidence:
    if won.all() or not won.any():
        raise InputError(
            f"the calibrate part holds {int(won.sum())} won of {len(won)} snapshots; cut-offs need won and "
            "not-won ones: widen split.calibrate, shorten snapshots.horizon_days or bring more history"
        )
    leads = np.arange(len(won)) if arrivals is None else arrivals.leads
    return Evidence(probability, won, groups, leads, None if arrivals is None else arrivals.weekly)


def _choose_each(evidence: Evidence, params: CutoffsParams) -> dict[str, Cutoff]:
    return {name: choose(_policy(params, name), name, evidence, params) for name in NAMES}


def _below(mql: Cutoff, sql: Cutoff, policy: CutoffParams) -> Cutoff:
    """Hold the MQL cut-off a point under the SQL cut-off: every SQL is an MQL first.

    A lower cut-off still keeps a promise of recall, and no longer one of precision or of gain.
    """
    highest = lower_by(sql.probability, 1.0)
    if mql.probability <= highest:
        return mql
    promised = mql.supported and policy.policy == "recall"
    lost = {
        "precision": "Its precision is not promised there.",
        "capacity": "More leads a week than its capacity lie above it.",
        "value": "Nurture alone pays for no lead: calling pays sooner.",
    }
    notes = [
        mql.note or "",
        "Its own policy would put the MQL cut-off above the SQL cut-off; it is held one point under it.",
        lost.get(policy.policy, "") if mql.supported else "",
    ]
    return Cutoff(highest, promised, " ".join(filter(None, notes)))


def _keep(
    fresh: Cutoff,
    policy: CutoffParams,
    interval: tuple[float, float],
    evidence: Evidence,
    champion: Mapping[str, Any] | None,
    name: str,
) -> Cutoff:
    """Return the champion's cut-off unless the data support moving away from it.

    It stays where the fresh one is not supported, and where it lies between what the interval and
    the fresh one span. A supported promise of precision is not given up for it: the champion's, one
    cut-off named before these data were seen, has to pass the test alone.
    """
    if champion is None:
        return fresh
    place = float(champion[name]["probability"])
    low, high = min(interval[0], fresh.probability), max(interval[1], fresh.probability)
    bears = True
    if policy.policy == "precision":
        bears = won_at_least(place, evidence, required(policy.confidence)) >= required(policy.target)
    if not fresh.supported:
        return Cutoff(place, supported=policy.policy == "precision" and bears, note=_stays(policy, bears))
    if bears and low <= place <= high:
        told = "The champion's cut-off stays: the data do not support moving it."
        return replace(fresh, probability=place, note=told)
    return fresh


def _stays(policy: CutoffParams, bears: bool) -> str:
    """Return why the champion's cut-off stays where the data support no other."""
    if policy.policy != "precision":
        return "The champion's cut-off stays: the data do not support the promise of another."
    if bears:
        return "The champion's cut-off stays: its promise holds, and the data support no lower one."
    return (
        f"The champion's cut-off stays: the data cannot support {required(policy.target):.0%} won above it, "
        f"or above any other, with {required(policy.confidence):.0%} confidence."
    )


def _tell_interval(ends: tuple[float, float], reference_odds: float) -> dict[str, Any]:
    known = [None if end >= 1 else end for end in ends]
    scores = [None if end is None else score_at(end, reference_odds) for end in known]
    return {"probability_interval": known, "score_interval": scores}


def _tell_champion(
    champion: Mapping[str, Any] | None, name: str, found: Cutoff, reference_odds: float
) -> dict[str, Any] | None:
    if champion is None:
        return None
    place = float(champion[name]["probability"])
    return {
        "probability": place,
        "score": score_at(place, reference_odds),
        "kept": found.probability == place,
    }


def _describe(
    name: str,
    found: Mapping[str, Cutoff],
    evidence: Evidence,
    params: CutoffsParams,
    reference_odds: float,
    seed: int,
) -> dict[str, Any]:
    policy, cutoff, won, groups = _policy(params, name), found[name], evidence.won, evidence.groups
    above = evidence.probability >= cutoff.probability

    def rates(weight: Vector) -> Vector:
        hit = (weight * (above & won)).sum()
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.array([hit / (weight * above).sum(), hit / (weight * won).sum()])

    draws = bootstrap(rates, groups, seed=seed, resamples=RESAMPLES)
    precision, recall = rates(np.ones(len(won)))
    places = {n: found[n].probability for n in NAMES}
    described: dict[str, Any] = {
        "policy": policy.policy,
        "target": policy.target,
        "confidence": policy.confidence,
        "per_week": policy.per_week,
        "probability": cutoff.probability,
        "score": score_at(cutoff.probability, reference_odds),
        "supported": cutoff.supported,
        "note": cutoff.note,
        "n": int(above.sum()),
        "precision": float(precision),
        "precision_interval": _percentiles(draws[:, 0]),
        "recall": float(recall),
        "recall_interval": _percentiles(draws[:, 1]),
        "share": float(above.mean()),
        "moves": describe_moves(
            name, places, evidence.probability, won, groups, reference_odds, params.value, seed=seed
        ),
    }
    if policy.policy == "capacity":
        described["queue"] = overflow(cutoff.probability, required(policy.per_week), evidence)
    return described


def _gain(found: Mapping[str, Cutoff], evidence: Evidence, value: ValueParams, seed: int) -> dict[str, Any]:
    """Return what acting by both cut-offs gained over leaving everybody alone, a snapshot of the part."""
    if not value.won:
        return {"gain": None, "gain_interval": None}
    above = {name: evidence.probability >= found[name].probability for name in NAMES}
    gains = gain_of_pair(evidence.won.astype(np.float64), above["mql"], above["sql"], value)
    draws = bootstrap(
        lambda w: np.array([(w * gains).sum() / w.sum()]), evidence.groups, seed=seed, resamples=RESAMPLES
    )
    return {"gain": float(gains.mean()), "gain_interval": _percentiles(draws[:, 0])}


def _percentiles(values: Vector) -> list[float] | None:
    known = values[~np.isnan(values)]
    return [float(x) for x in np.quantile(known, [0.025, 0.975])] if len(known) else None
