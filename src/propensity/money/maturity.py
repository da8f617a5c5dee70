"""What is still to come: how likely an open lead is won in the end, by its score and by its age.

A score says how likely a lead is won within the horizon. A channel's worth counts every win that the data
can show, so the probability of an open lead is carried on from the horizon to the end of the curve of wins
over time. A lead older than any that the model has learned from has no probability of its own: it takes the
rate at which open leads of its age and channel are still won.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.cohort.incidence import FEWEST_AT_RISK, FEWEST_WINS, cumulative_incidence

Vector = npt.NDArray[np.float64]

# A channel's own rate counts half where it has this many wins.
HALF_WEIGHT_WINS = 20


@dataclass(frozen=True)
class WinCurve:
    """The shares of leads won and lost by an age.

    Attributes
    ----------
    days : array of shape (n_times,)
        Rising, from 0.
    won, lost : arrays of shape (n_times,)
        From 0; Aalen and Johansen's estimates.
    n_wins : int
    """

    days: Vector
    won: Vector
    lost: Vector
    n_wins: int

    def won_by(self, age_days: Vector) -> Vector:
        """Return the share of leads won by each age."""
        return self.won[self._place(age_days)]

    def still_to_come(self, age_days: Vector) -> Vector:
        """Return the share of the leads open at each age that is won later, up to the curve's end."""
        at = self._place(age_days)
        still_open = 1 - self.won[at] - self.lost[at]
        rate = np.zeros(len(at))
        np.divide(self.won[-1] - self.won[at], still_open, out=rate, where=still_open > 1e-9)
        return rate

    def _place(self, age_days: Vector) -> npt.NDArray[np.int64]:
        return np.searchsorted(self.days, np.nan_to_num(age_days, nan=0.0), side="right") - 1


def fit_curve(followed: pd.DataFrame) -> WinCurve | None:
    """Return the curve of wins, or None where fewer than `FEWEST_WINS` are seen.

    Parameters
    ----------
    followed : DataFrame
        As `cohort.incidence.follow_episodes` gives: ``days`` and ``fate``.
    """
    if followed.empty:
        return None
    days, place = np.unique(followed["days"].to_numpy(dtype=np.float64), return_inverse=True)
    fate = followed["fate"].to_numpy(dtype=np.int64)
    at_risk = np.bincount(place)[::-1].cumsum()[::-1]
    n_read = int(np.sum(at_risk >= FEWEST_AT_RISK))
    n_wins = int(np.sum((fate == 1) & (place < n_read)))
    if n_wins < FEWEST_WINS:
        return None
    won, lost = (share[:n_read] for share in cumulative_incidence(place, fate, np.ones(len(fate))))
    start = np.zeros(1)
    return WinCurve(
        np.concatenate([start, days[:n_read]]),
        np.concatenate([start, won]),
        np.concatenate([start, lost]),
        n_wins,
    )


def fit_curves(followed: pd.DataFrame) -> dict[str | None, WinCurve]:
    """Return the curve of all leads under None, and that of each channel with enough wins.

    Parameters
    ----------
    followed : DataFrame
        As for `fit_curve`, with ``channel``.
    """
    everyone = fit_curve(followed)
    if everyone is None:
        return {}
    own = {str(channel): fit_curve(rows) for channel, rows in followed.groupby("channel")}
    return {None: everyone, **{channel: curve for channel, curve in own.items() if curve is not None}}


def win_chances(
    leads: pd.DataFrame,
    curves: dict[str | None, WinCurve],
    *,
    horizon_days: float | None,
    oldest_days: float,
) -> pd.DataFrame:
    """Return how likely each lead is won in the end, and how much of its outcome is in.

    Parameters
    ----------
    leads : DataFrame
        ``status`` (won, lost, open), ``tier``, ``channel``, ``age_days`` (from the opening to the end of the
        data; null without dates) and ``probability`` (null where a lead has no score).
    curves : dict
        As `fit_curves` gives; empty where too little is known, then a probability counts as it is.
    horizon_days : float or None
        The horizon of the probabilities.
    oldest_days : float
        The oldest age that the model has learned from.

    Returns
    -------
    DataFrame
        On the leads' index: ``chance`` (1 for a won lead, 0 for a lost one; 0 for an open one that is
        disqualified, since nobody pursues it; null for an open one of which nothing is known) and
        ``settled``, the share of a lead's wins that have come by its age, 1 for a lead that has ended.
    """
    chance = np.where(leads["status"] == "won", 1.0, 0.0)
    settled = np.ones(len(leads))
    waiting = ((leads["status"] == "open") & (leads["tier"] != "disqualified")).to_numpy()
    age = leads["age_days"].to_numpy(dtype=np.float64, na_value=np.nan)
    score = leads["probability"].to_numpy(dtype=np.float64, na_value=np.nan)
    if not curves:
        chance[waiting], settled[waiting] = score[waiting], 0.0
        return pd.DataFrame({"chance": chance, "settled": settled}, index=leads.index)
    everyone = curves[None]
    by_age = _by_age(leads["channel"], age, curves)
    carried = np.clip(score * _beyond_horizon(everyone, age, horizon_days), 0.0, 1.0)
    # A snapshot a little older than the oldest learned from is still like it; an eighth is far below the
    # distance between two ages.
    learned = ~np.isnan(score) & (np.isnan(age) | (age <= oldest_days * 1.125 + 1))
    chance[waiting] = np.where(learned, carried, by_age)[waiting]
    settled[waiting] = (everyone.won_by(age) / everyone.won[-1])[waiting]
    return pd.DataFrame({"chance": chance, "settled": settled}, index=leads.index)


def _beyond_horizon(curve: WinCurve, age: Vector, horizon_days: float | None) -> Vector:
    """Return how many times the wins within the horizon all wins are that come after an age."""
    if horizon_days is None:
        return np.ones(len(age))
    within = curve.won_by(age + horizon_days) - curve.won_by(age)
    later = curve.won[-1] - curve.won_by(age)
    times = np.ones(len(age))
    np.divide(later, within, out=times, where=within > 1e-9)
    return times


def _by_age(channel: pd.Series[str], age: Vector, curves: dict[str | None, WinCurve]) -> Vector:
    """Return the rate of open leads of an age that are still won, a channel's own mixed with that of all."""
    rate = curves[None].still_to_come(age)
    for name, curve in curves.items():
        if name is None:
            continue
        rows = (channel == name).fillna(False).to_numpy(dtype=bool)
        share = curve.n_wins / (curve.n_wins + HALF_WEIGHT_WINS)
        rate[rows] += share * (curve.still_to_come(age[rows]) - rate[rows])
    return rate
