"""From probability to tier, with or without memory of the tier a lead had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

TIERS = ("disqualified", "nurture", "mql", "sql")
POINT_IN_LOG_ODDS = float(np.log(2) / 10)
# What a log-odds may lose by rounding, in log-odds: far under what a person could see.
ROUNDING_IN_LOG_ODDS = 1e-9


def assign_tiers(
    probability: npt.NDArray[np.float64],
    disqualified: npt.NDArray[np.bool_],
    cutoffs: Mapping[str, Any],
    *,
    previous: npt.NDArray[Any] | None = None,
    hold: float = 0.0,
) -> npt.NDArray[np.str_]:
    """Return each lead's tier.

    Parameters
    ----------
    probability : array of shape (n_leads,)
        0 to 1.
    disqualified : array of shape (n_leads,)
    cutoffs : mapping
        ``probability`` under ``mql`` and ``sql``.
    previous : array of shape (n_leads,), optional
        The tier each lead had when it was last scored; None or NaN for a lead that was not.
    hold : float
        Points, at least 0. A lead keeps the higher tier it had until its score lies more than this
        below that tier's cut-off: as long as its scores stay within `hold` points of each other, its
        tier never falls.
    """
    above = {name: probability >= cutoffs[name]["probability"] for name in ("mql", "sql")}
    if previous is not None and hold > 0:
        had_sql = np.asarray(previous == "sql", dtype=bool)
        had = {"mql": had_sql | np.asarray(previous == "mql", dtype=bool), "sql": had_sql}
        for name in above:
            lowest = lower_by(float(cutoffs[name]["probability"]), hold)
            above[name] = above[name] | (had[name] & (probability >= lowest))
    pursued = np.where(above["sql"], "sql", np.where(above["mql"], "mql", "nurture"))
    return np.where(disqualified, "disqualified", pursued)


@dataclass(frozen=True)
class TierBounds:
    """The probabilities from which on a single lead has each tier, as `assign_tiers` has them.

    Attributes
    ----------
    mql, sql : float
    kept_mql, kept_sql : float
        For a lead that had this tier, or a higher one.
    """

    mql: float
    sql: float
    kept_mql: float
    kept_sql: float

    def assign(self, probability: float, previous: str | None) -> str:
        """Return the tier of a lead that no rule disqualifies; `previous` as of `assign_tiers`."""
        had_sql = previous == "sql"
        if probability >= self.sql or (had_sql and probability >= self.kept_sql):
            return "sql"
        had_mql = had_sql or previous == "mql"
        return "mql" if probability >= self.mql or (had_mql and probability >= self.kept_mql) else "nurture"


def tier_bounds(cutoffs: Mapping[str, Any], hold: float = 0.0) -> TierBounds:
    """Return the bounds of the tiers; parameters as of `assign_tiers`."""
    mql, sql = (float(cutoffs[name]["probability"]) for name in ("mql", "sql"))
    kept = (lower_by(mql, hold), lower_by(sql, hold)) if hold > 0 else (mql, sql)
    return TierBounds(mql, sql, *kept)


def lower_by(probability: float, points: float) -> float:
    """Return the probability that scores so many points less, a hair under it for rounding's sake."""
    odds = probability / (1 - probability) * np.exp(-points * POINT_IN_LOG_ODDS - ROUNDING_IN_LOG_ODDS)
    return float(odds / (1 + odds))
