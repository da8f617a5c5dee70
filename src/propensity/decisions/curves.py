"""What a cut-off gives, and what another one would: volume, precision, recall and gain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.decisions.tiers import lower_by
from propensity.decisions.value import gain_of_call, gain_of_pair
from propensity.evaluation.intervals import bootstrap
from propensity.explain.points import score_of
from propensity.model.estimators import Vector, probability_of
from propensity.params import ValueParams

MOVES = (-5.0, 5.0)


def cutoff_curve(
    log_odds: Vector,
    won: npt.NDArray[np.bool_],
    reference_odds: float,
    *,
    steps: int = 100,
    value: ValueParams | None = None,
) -> pd.DataFrame:
    """Return volume, precision, recall and gain against the cut-off.

    Returns
    -------
    DataFrame
        ``probability, score, n, share, precision, recall, gain`` at up to `steps` + 1 cut-offs, rising.
        ``gain`` is what calling everybody above gains over calling nobody, a snapshot of the part, in
        the currency of `value`; NaN where a won lead has no value there.
    """
    order = np.sort(log_odds)
    places = np.unique(order[np.linspace(0, len(order) - 1, steps + 1).round().astype(int)])
    gains = gain_of_call(won.astype(np.float64), value) if value and value.won else np.full(len(won), np.nan)
    rows = []
    for place in places:
        above = log_odds >= place
        rows.append(
            {
                "probability": float(probability_of(place)),
                "score": float(score_of(np.array([place]), reference_odds)[0]),
                "n": int(above.sum()),
                "share": float(above.mean()),
                "precision": float(won[above].mean()),
                "recall": float(won[above].sum() / max(won.sum(), 1)),
                "gain": float((gains * above).mean()),
            }
        )
    return pd.DataFrame(rows)


def describe_moves(
    name: str,
    cutoffs: Mapping[str, float],
    probability: Vector,
    won: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int64],
    reference_odds: float,
    value: ValueParams,
    *,
    seed: int,
) -> list[dict[str, Any]]:
    """Return what moving the cut-off `name` by `MOVES` points would do, the other one left where it is.

    Parameters
    ----------
    name : str
        ``mql`` or ``sql``.
    cutoffs : mapping
        Both probabilities.
    probability, won, groups : arrays of shape (n_rows,)
    reference_odds : float
    value : ValueParams
    seed : int

    Returns
    -------
    list of dict
        One for each move: ``points, probability, score, n, share, precision, recall`` and, a snapshot
        of the part, ``gain`` (of both cut-offs together) with ``gain_change`` and its 95% interval over
        groups; gains are None where a won lead has no value. Of an MQL cut-off moved above the SQL one,
        the leads from the SQL cut-off up are still SQLs.
    """
    outcome = won.astype(np.float64)
    stays = _gains(cutoffs, probability, outcome, value)
    rows = []
    for points in MOVES:
        place = lower_by(cutoffs[name], -points)
        above = probability >= place
        moved = _gains({**cutoffs, name: place}, probability, outcome, value)
        rows.append(
            {
                "points": points,
                "probability": place,
                "score": score_at(place, reference_odds),
                "n": int(above.sum()),
                "share": float(above.mean()),
                "precision": float(won[above].mean()) if above.any() else None,
                "recall": float(won[above].sum() / won.sum()),
                **_gain_rows(moved, stays, groups, seed, known=value.won > 0),
            }
        )
    return rows


def _gains(cutoffs: Mapping[str, float], probability: Vector, outcome: Vector, value: ValueParams) -> Vector:
    return gain_of_pair(outcome, probability >= cutoffs["mql"], probability >= cutoffs["sql"], value)


def _gain_rows(
    moved: Vector, stays: Vector, groups: npt.NDArray[np.int64], seed: int, *, known: bool
) -> dict[str, Any]:
    if not known:
        return {"gain": None, "gain_change": None, "gain_change_interval": None}
    change = moved - stays
    draws = bootstrap(lambda w: np.array([(w * change).sum() / w.sum()]), groups, seed=seed, resamples=400)
    return {
        "gain": float(moved.mean()),
        "gain_change": float(change.mean()),
        "gain_change_interval": [float(x) for x in np.quantile(draws[:, 0], [0.025, 0.975])],
    }


def score_at(probability: float, reference_odds: float) -> float:
    """Return the score of a probability, 0 to 100."""
    log_odds = (
        np.array([np.log(probability) - np.log1p(-probability)]) if probability < 1 else np.array([np.inf])
    )
    return float(score_of(log_odds, reference_odds)[0])
