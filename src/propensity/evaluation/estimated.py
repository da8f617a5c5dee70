"""What a model's figures will be before the outcomes are final, from its probabilities alone.

Confidence-based performance estimation: if a lead with probability p is won with probability p, every
figure of rows that are not final has a distribution, which follows from their probabilities. It holds under
two assumptions, that what leads with equal probability do has not changed (only who comes has, covariate
shift) and that the probabilities are calibrated, and it cannot notice that either fails.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from propensity.evaluation.metrics import Ranking, Vector, Won, make_ranking

ESTIMATED = ("auc", "log_loss", "brier", "wins")
DRAWS = 200
ASSUMPTIONS = (
    "Assumed: leads with equal probability do what they did (only who comes has changed), and the "
    "probabilities are calibrated to within the level's standard error. Neither can be seen from these rows."
)


def compute_realised(y_true: Won, y_prob: Vector) -> dict[str, float]:
    """Return the figures of `ESTIMATED` for rows whose outcomes are final; NaN where one is not defined."""
    return _figures(make_ranking(y_true, y_prob))


def _figures(ranking: Ranking) -> dict[str, float]:
    """As `compute_realised`; one ranking serves all draws of the same rows."""
    won, p, code = ranking.y_true, ranking.y_prob, ranking.code
    clipped = np.clip(p, 1e-15, 1 - 1e-15)
    figures = {
        "log_loss": float(-np.log(np.where(won, clipped, 1 - clipped)).mean()),
        "brier": float(((p - won) ** 2).mean()),
        "wins": float(won.sum()),
        "auc": float("nan"),
    }
    if won.any() and not won.all():
        wins, losses = np.bincount(code, won), np.bincount(code, ~won)
        figures["auc"] = float((wins * (np.cumsum(losses) - losses / 2)).sum() / (wins.sum() * losses.sum()))
    return figures


def estimate_performance(
    log_odds: Vector, leads: npt.NDArray[Any], *, seed: int, level_error: float = 0.0
) -> dict[str, dict[str, float]]:
    """Estimate log-loss, Brier score, AUC and wins of rows from their calibrated log-odds.

    Parameters
    ----------
    log_odds : array of shape (n_rows,)
    leads : array of shape (n_rows,)
        Rows of one lead share a draw, the strongest tie there is between outcomes: they mostly end alike.
    seed : int
    level_error : float
        Standard error of the probabilities' level, in log-odds; each draw has a level of its own.

    Returns
    -------
    dict
        For each of `ESTIMATED` the ``value``, the mean of `DRAWS` draws of the outcomes, their ``sd``, and
        the 95% interval ``low, high`` in which the realised figure is expected. Empty without rows.
    """
    if len(log_odds) == 0:
        return {}
    _, codes = np.unique(leads, return_inverse=True)
    rng = np.random.default_rng(seed)
    y_prob = expit(log_odds)
    ranking = make_ranking(np.zeros(len(y_prob), dtype=bool), y_prob)
    drawn = []
    for _ in range(DRAWS):
        chance = expit(log_odds + level_error * rng.standard_normal())
        won = rng.random(int(codes.max()) + 1)[codes] < chance
        figures = _figures(replace(ranking, y_true=won))
        drawn.append([figures[name] for name in ESTIMATED])
    return {name: _summarise(values) for name, values in zip(ESTIMATED, np.array(drawn).T, strict=True)}


def _summarise(values: Vector) -> dict[str, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return dict.fromkeys(("value", "sd", "low", "high"), float("nan"))
    low, high = np.quantile(known, [0.025, 0.975])
    sd = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    return {"value": float(known.mean()), "sd": sd, "low": float(low), "high": float(high)}
