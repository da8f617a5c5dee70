"""The policies of a cut-off: what each promises, where it puts the cut-off, and how sure the place is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from propensity.decisions.value import best_thresholds
from propensity.evaluation.intervals import lower_bound
from propensity.model.estimators import Vector
from propensity.params import CutoffParams, CutoffsParams

# The shares of leads, from the top, at which a promise of precision is tested, in this order.
STEPS = (0.02, 0.03, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
STARTS = (0.02, 0.05, 0.1)
# A cut-off stands this share under the probability it was read from: a lead at it, summed in another
# order when it is scored, must not fall below by rounding.
ROUNDING = 1e-9
CONFIDENCE_THAT_IT_PAYS = 0.9
FEWEST_WEEKS = 8  # under two months of weeks, how they spread is not known
NEWTON_STEPS = 12


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


@dataclass(frozen=True)
class Evidence:
    """The calibrate part, as cut-offs are read from it; one row a snapshot.

    Attributes
    ----------
    probability : array of shape (n_rows,)
        Calibrated.
    won : array of bool, shape (n_rows,)
    groups : array of shape (n_rows,)
        Rows of one group say less than as many rows of several.
    leads : array of shape (n_rows,)
        Whose snapshot each row is.
    weekly : array of shape (n_weeks,) or None
        Leads first seen in each whole week of the part's period; None without dates.
    """

    probability: Vector
    won: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.int64]
    leads: npt.NDArray[np.int64]
    weekly: Vector | None = None

    def highest(self) -> Vector:
        """Return the highest probability that each lead reaches, in falling order."""
        _, codes = np.unique(self.leads, return_inverse=True)
        found = np.zeros(codes.max() + 1)
        np.maximum.at(found, codes, self.probability)
        return np.sort(found)[::-1]


def choose(policy: CutoffParams, name: str, evidence: Evidence, params: CutoffsParams) -> Cutoff:
    """Return where a policy puts the cut-off `name`, ``mql`` or ``sql``, with no regard to the other's."""
    if policy.policy == "recall":
        return for_recall(required(policy.target), evidence)
    if policy.policy == "precision":
        return for_precision(policy, evidence)
    if policy.policy == "capacity":
        return for_capacity(required(policy.per_week), evidence)
    return for_value(best_thresholds(params.value)[name], evidence)


def for_recall(target: float, evidence: Evidence) -> Cutoff:
    """Return the highest cut-off that keeps the target share of winners at or above it."""
    winners = np.sort(evidence.probability[evidence.won])[::-1]
    kept = int(np.ceil(target * len(winners) - ROUNDING))
    return Cutoff(float(winners[kept - 1]) * (1 - ROUNDING), supported=True, note=None)


def for_precision(policy: CutoffParams, evidence: Evidence) -> Cutoff:
    """Return the lowest cut-off above which the share won is at least the target, with confidence.

    Fixed-sequence testing (Angelopoulos and others 2021, arXiv 2110.01052): volumes are tested from
    few leads to many, until the lower bound of the share won falls under the target. The error is
    shared among several starting volumes, so that a top too small to prove anything does not end
    the sequence.
    """
    target, sure = required(policy.target), required(policy.confidence)
    descending = np.sort(evidence.probability)[::-1]
    edges = {share: descending[max(round(share * len(descending)), 1) - 1] for share in STEPS}
    confidence = 1 - (1 - sure) / len(STARTS)
    passed: list[float] = []
    for start in STARTS:
        for share in (s for s in STEPS if s >= start):
            if won_at_least(edges[share], evidence, confidence) < target:
                break
            passed.append(float(edges[share]) * (1 - ROUNDING))
    if passed:
        return Cutoff(min(passed), supported=True, note=None)
    return Cutoff(
        target,
        supported=False,
        note=(
            f"The data cannot support {target:.0%} won above the cut-off with {sure:.0%} "
            f"confidence. The cut-off stands where the calibrated probability is {target:.0%}; "
            "more matured leads, a lower target or a lower confidence would let it be promised."
        ),
    )


def won_at_least(cutoff: float, evidence: Evidence, confidence: float) -> float:
    """Return a lower bound of the share won at or above a cut-off; 0 where nobody is."""
    above = evidence.probability >= cutoff
    return lower_bound(evidence.won[above], evidence.groups[above], confidence=confidence)


def for_capacity(per_week: float, evidence: Evidence) -> Cutoff:
    """Return the cut-off that about `per_week` leads a week come to stand above.

    A lead counts once, at the highest probability it reaches in the part. The share of leads above is
    `per_week` over the leads that arrive a week.
    """
    if evidence.weekly is None or len(evidence.weekly) == 0 or evidence.weekly.sum() == 0:
        highest = evidence.highest()[0]
        note = (
            "How many leads arrive a week is not known: the calibrate part covers no whole week. The cut-off "
            f"stands at its best lead, not where {per_week:g} a week lie above it."
        )
        return Cutoff(float(highest) * (1 - ROUNDING), supported=False, note=note)
    highest = evidence.highest()
    share = per_week / float(evidence.weekly.mean())
    kept = min(max(int(share * len(highest) + ROUNDING), 1), len(highest))
    cutoff = float(highest[kept - 1]) * (1 - ROUNDING)
    if share >= 1:
        arrive = f"{evidence.weekly.mean():.1f} leads arrive a week"
        return Cutoff(cutoff, supported=True, note=f"Only {arrive}, so there is room for all of them.")
    if len(evidence.weekly) < FEWEST_WEEKS:
        weeks = f"{len(evidence.weekly)} whole week{'s' if len(evidence.weekly) > 1 else ''}"
        note = f"The arrivals are those of {weeks}; how they spread over a year is not known."
        return Cutoff(cutoff, supported=False, note=note)
    return Cutoff(cutoff, supported=True, note=None)


def for_value(threshold: float, evidence: Evidence) -> Cutoff:
    """Return the cut-off from which acting gains more than it costs, and whether the outcomes bear it out."""
    won = won_at_least(threshold, evidence, CONFIDENCE_THAT_IT_PAYS)
    if won >= threshold:
        return Cutoff(threshold * (1 - ROUNDING), supported=True, note=None)
    note = (
        f"That acting pays from {threshold:.1%} up follows from cutoffs.value; the outcomes do not show it "
        f"with {CONFIDENCE_THAT_IT_PAYS:.0%} confidence: at least {won:.1%} of the leads above it are won."
    )
    return Cutoff(threshold * (1 - ROUNDING), supported=False, note=note)


def overflow(cutoff: float, per_week: float, evidence: Evidence) -> dict[str, float | int] | None:
    """Return what the spread of weeks does to a queue with room for `per_week` leads.

    In a week in which ``a`` leads arrive, a Poisson number of mean ``share * a`` comes to stand above
    the cut-off; the weeks are those of the calibrate part's period.

    Returns
    -------
    dict or None
        ``weeks``, ``arrivals`` (mean a week), ``arrivals_sd``, ``overflow`` (the share of weeks with more
        leads than there is room for) and ``busy_week`` (what nine weeks in ten do not exceed).
    """
    if evidence.weekly is None or len(evidence.weekly) == 0:
        return None
    mean = evidence.weekly * float((evidence.highest() >= cutoff).mean())
    counts = np.arange(int(mean.max() + 10 * np.sqrt(mean.max()) + 20))
    within = stats.poisson.cdf(counts[:, None], mean).mean(axis=1)
    return {
        "weeks": len(evidence.weekly),
        "arrivals": float(evidence.weekly.mean()),
        "arrivals_sd": float(evidence.weekly.std(ddof=1)) if len(evidence.weekly) > 1 else float("nan"),
        "overflow": float(1 - stats.poisson.cdf(np.floor(per_week), mean).mean()),
        "busy_week": int(counts[np.argmax(within >= 0.9)]),
    }


def target_finder(
    policy: CutoffParams, name: str, evidence: Evidence, params: CutoffsParams
) -> Callable[[Vector], float]:
    """Return a function of row weights: the cut-off at which the policy's target is just met.

    It is what the bootstrap resamples, and what the policy would choose on all leads there could be.
    For ``precision`` it is the lowest cut-off above which the weighted share won is the target, with
    no allowance for chance: the cut-off of `for_precision` lies above it on purpose. For ``value`` it
    is where a logistic regression of the outcomes on the calibrated log-odds gives the threshold's
    probability, so that the outcomes, and not the calibrator alone, say how sure it is. Where no
    cut-off meets the target, it is 1.
    """
    order = np.argsort(-evidence.probability, kind="stable")
    p, won = evidence.probability[order], evidence.won[order].astype(np.float64)
    last = np.append(p[1:] != p[:-1], True)
    if policy.policy == "recall":
        return lambda w: _first(p, np.cumsum(w[order] * won), required(policy.target))
    if policy.policy == "capacity":
        first = np.zeros(len(p))
        first[np.unique(evidence.leads[order], return_index=True)[1]] = 1.0
        share = required(policy.per_week) / _mean(evidence.weekly)
        return lambda w: _first(p, np.cumsum(w[order] * first), min(share, 1.0))
    if policy.policy == "precision":
        return lambda w: _lowest_precise(p, w[order], won, last, required(policy.target))
    x = np.log(p) - np.log1p(-p)
    threshold = best_thresholds(params.value)[name]
    start = _fit_line(x, won, np.ones(len(x)), np.array([0.0, 1.0]))
    return lambda w: _crossing(_fit_line(x, won, w[order], start), threshold)


def _mean(weekly: Vector | None) -> float:
    return float(weekly.mean()) if weekly is not None and len(weekly) and weekly.sum() else float("inf")


def _first(p: Vector, amount: Vector, share: float) -> float:
    """Return the probability at which a cumulated amount reaches its share."""
    reached = np.searchsorted(amount, share * amount[-1] - ROUNDING)
    return float(p[min(int(reached), len(p) - 1)])


def _lowest_precise(
    p: Vector, weight: Vector, won: Vector, last: npt.NDArray[np.bool_], target: float
) -> float:
    volume = np.cumsum(weight)
    wins = np.cumsum(weight * won)
    enough = last & (volume >= STEPS[0] * volume[-1]) & (wins >= target * volume - ROUNDING)
    found = np.flatnonzero(enough)
    return float(p[found[-1]]) if len(found) else 1.0


def _fit_line(x: Vector, won: Vector, weight: Vector, start: Vector) -> Vector:
    """Return ``a, b`` of ``P(won) = expit(a + b x)`` by maximum likelihood: Newton's steps, held short."""
    beta = start
    for _ in range(NEWTON_STEPS):
        q = 1 / (1 + np.exp(-np.clip(beta[0] + beta[1] * x, -30, 30)))
        bend, pull = weight * q * (1 - q), weight * (won - q)
        bend_x = bend * x
        curvature = np.array([[bend.sum(), bend_x.sum()], [bend_x.sum(), bend_x @ x]])
        # The ridge, far under one row's weight, is for weights that leave no outcome of one kind.
        step = np.linalg.solve(curvature + 1e-6 * np.eye(2), np.array([pull.sum(), pull @ x]))
        beta = beta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-6:
            break
    return beta


def _crossing(line: Vector, threshold: float) -> float:
    """Return the probability, as calibrated, at which the fitted one is the threshold."""
    if line[1] <= 0:
        return 1.0
    place = (np.log(threshold) - np.log1p(-threshold) - line[0]) / line[1]
    return float(1 / (1 + np.exp(-np.clip(place, -30, 30))))


def required(number: float | None) -> float:
    """Return a key that the policy is known to have: `params` has checked it."""
    assert number is not None
    return number
