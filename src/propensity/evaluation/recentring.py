"""Following a drifting base rate: the intercept is moved, the ranking kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit

from propensity.evaluation.metrics import Vector, Won, report_metrics

N_BLOCKS = 10
WIDEST_SHIFT = 10.0
NAMES = ("base_rate", "log_loss", "brier", "ece")


def intercept_shift(log_odds: Vector, won: Won) -> float:
    """Return what to add to the log-odds so that as many wins are expected as were seen.

    Half a win and half a loss are added to what was seen, so that the shift is finite.
    """
    wanted = (won.sum() + 0.5) / (len(won) + 1)

    def surplus(shift: float) -> float:
        return float(expit(log_odds + shift).mean() - wanted)

    if surplus(-WIDEST_SHIFT) > 0 or surplus(WIDEST_SHIFT) < 0:
        return float(np.sign(-surplus(0.0)) * WIDEST_SHIFT)
    return float(brentq(surplus, -WIDEST_SHIFT, WIDEST_SHIFT))


def recentred_report(
    log_odds: Vector,
    won: Won,
    groups: npt.NDArray[Any],
    moment: Vector,
    known_at: Vector,
    *,
    seed: int,
) -> dict[str, Any] | None:
    """Compare the probabilities with those re-centred on the newest outcomes, walking through a period.

    The rows are cut into ten blocks in time. Each block's intercept is moved by what the newest
    tenth of the rows whose outcome was known when the block began asks for; the first blocks, before
    which too little is known, are left out of both figures.

    Parameters
    ----------
    log_odds, won, groups : arrays of shape (n_rows,)
    moment : array of shape (n_rows,)
        When each row was scored, any unit.
    known_at : array of shape (n_rows,)
        When each row's outcome was final, in the same unit.
    seed : int

    Returns
    -------
    dict or None
        ``n``, and for ``as_scored`` and ``recentred`` the base rate, log-loss, Brier score and ECE with
        intervals, and ``expected_over_observed`` wins. None where no block can be re-centred.
    """
    order = np.argsort(moment, kind="stable")
    log_odds, won, groups = log_odds[order], won[order], groups[order]
    moment, known_at = moment[order], known_at[order]
    moved = np.full(len(won), np.nan)
    tenth = max(len(won) // N_BLOCKS, 1)
    for block in np.array_split(np.arange(len(won)), N_BLOCKS):
        known = np.flatnonzero(known_at[: block[0]] <= moment[block[0]]) if len(block) else block
        newest = known[-tenth:]
        if len(newest) == tenth:
            moved[block] = log_odds[block] + intercept_shift(log_odds[newest], won[newest])
    kept = ~np.isnan(moved)
    if not kept.any():
        return None
    return {"n": int(kept.sum())} | {
        name: _report(z[kept], won[kept], groups[kept], seed)
        for name, z in (("as_scored", log_odds), ("recentred", moved))
    }


def _report(log_odds: Vector, won: Won, groups: npt.NDArray[Any], seed: int) -> dict[str, Any]:
    probability = expit(log_odds)
    full = report_metrics(won, probability, groups, seed=seed)
    kept = {key: full[key] for name in NAMES for key in (name, f"{name}_interval")}
    return {"expected_over_observed": float(probability.sum() / max(won.sum(), 1)), **kept}
