"""The trade-off of a cut-off: volume, precision, recall and gain at every score of an even grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.decisions.arrivals import Arrivals
from propensity.decisions.value import gain_of_call, gain_of_nurture
from propensity.evaluation.intervals import wilson_interval
from propensity.explain.points import score_of
from propensity.model.estimators import Vector
from propensity.params import ValueParams

FEWEST_ABOVE = 20  # of fewer snapshots a share says next to nothing
WIDE = 40.0  # points; scores that span less are cut in halves


def compute_tradeoff(
    log_odds: Vector,
    won: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int64],
    arrivals: Arrivals,
    reference_odds: float,
    value: ValueParams,
) -> dict[str, Any]:
    """Return what a cut-off at each whole or half score would give.

    Parameters
    ----------
    log_odds, won, groups : arrays of shape (n_rows,)
        Of the calibrate part.
    arrivals : Arrivals
        Of the same rows.
    reference_odds : float
    value : ValueParams

    Returns
    -------
    dict
        ``n``, the snapshots of the part; ``per_week``, the leads that arrive a week, None where that is not
        known; and ``rows``, by rising score, as long as `FEWEST_ABOVE` snapshots lie above: ``score, n,
        share, per_week, precision, precision_interval, recall, gain_call, gain_nurture``. A row's
        ``per_week`` counts a lead once, at the highest score it reaches. Gains are of calling, or of
        nurturing, everybody above, over leaving all alone, a snapshot of the part, in the currency of
        `value`; None where a won lead has no value.
    """
    score = score_of(log_odds, reference_odds)
    weekly = arrivals.weekly
    per_week = float(weekly.mean()) if weekly is not None and len(weekly) and weekly.sum() else None
    _, codes = np.unique(arrivals.leads, return_inverse=True)
    highest = np.zeros(codes.max() + 1)
    np.maximum.at(highest, codes, score)
    outcome = won.astype(np.float64)
    gains = {"gain_call": gain_of_call(outcome, value), "gain_nurture": gain_of_nurture(outcome, value)}
    rows = []
    for place in _grid(score):
        above = score >= place
        low, high = wilson_interval(won[above], groups[above])
        rows.append(
            {
                "score": float(place),
                "n": int(above.sum()),
                "share": float(above.mean()),
                "per_week": None if per_week is None else per_week * float((highest >= place).mean()),
                "precision": float(won[above].mean()),
                "precision_interval": [low, high],
                "recall": float(won[above].sum() / max(won.sum(), 1)),
                **{k: float((gain * above).mean()) if value.won else None for k, gain in gains.items()},
            }
        )
    return {"n": len(won), "per_week": per_week, "rows": rows}


def _grid(score: Vector) -> Vector:
    """Return the scores from the last at or under the lowest up to the last with enough rows above."""
    ordered = np.sort(score)
    if len(ordered) < FEWEST_ABOVE:
        return np.empty(0)
    top = ordered[-FEWEST_ABOVE]
    step = 1.0 if top - ordered[0] >= WIDE else 0.5
    first = np.floor(ordered[0] / step)
    return np.asarray(np.arange(first, np.floor(top / step) + 1) * step)
