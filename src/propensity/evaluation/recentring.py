"""Following a drifting base rate: the intercept is moved, the ranking kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit

from propensity.evaluation.metrics import Vector, Won, report_metrics
from propensity.evaluation.reliability import Z_95, expected_over_observed, sum_by_group
from propensity.model.bundle import Bundle

N_BLOCKS = 10
WIDEST_SHIFT = 10.0
# What a shift rests on, as it is kept in a bundle.
RECENTRING = (
    *("model_version", "since", "observed_until", "leads", "n", "wins", "expected_over_observed"),
    *("expected_over_observed_interval", "shift", "shift_interval", "proposed"),
)
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


def propose_shift(log_odds: Vector, won: Won, groups: npt.NDArray[Any]) -> dict[str, Any]:
    """Measure the level of the probabilities on recent outcomes and say whether to move it.

    A shift is proposed where its 95% interval leaves out 0: what noise explains is left alone. The interval
    is that of a logistic regression with the log-odds as offset, its error taken over groups.

    Parameters
    ----------
    log_odds, won, groups : arrays of shape (n_rows,)
        Calibrated, and how the rows ended.

    Returns
    -------
    dict
        ``n, wins``, ``expected_over_observed`` with its interval, ``shift`` (to add to the log-odds) with its
        interval, and ``proposed``. Without rows all but ``n, wins, proposed`` are None.
    """
    report: dict[str, Any] = {"n": len(won), "wins": int(won.sum())}
    if len(won) == 0:
        names = ("expected_over_observed", "expected_over_observed_interval", "shift", "shift_interval")
        return report | dict.fromkeys(names) | {"proposed": False}
    level, interval = expected_over_observed(won, expit(log_odds), groups)
    shift = intercept_shift(log_odds, won)
    moved = expit(log_odds + shift)
    n_groups, totals = sum_by_group(moved - won, groups)
    error = np.sqrt((totals**2).sum() * n_groups / max(n_groups - 1, 1)) / (moved * (1 - moved)).sum()
    low, high = float(shift - Z_95 * error), float(shift + Z_95 * error)
    return report | {
        "expected_over_observed": level,
        "expected_over_observed_interval": interval,
        "shift": shift,
        "shift_interval": [low, high],
        "proposed": n_groups > 1 and not low <= 0 <= high,
    }


def recentre(bundle: Bundle, shift: float, record: dict[str, Any]) -> Bundle:
    """Return the bundle with `shift` added to every lead's log-odds; the order of leads stays as it is.

    The cut-offs keep their probabilities, so tiers follow what the probabilities say.

    Parameters
    ----------
    bundle : Bundle
    shift : float
    record : dict
        What the shift rests on; it is kept, after earlier ones, under ``recentred`` in the bundle's data.
    """
    records = [*bundle.data.get("recentred", []), record]
    return replace(
        bundle, calibrator=bundle.calibrator.shifted(shift), data=bundle.data | {"recentred": records}
    )


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
