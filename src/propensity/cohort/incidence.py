"""The share of leads won over time, while some are lost and some are still open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

Vector = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# At a constant rate nine tenths of the rest would take as long again.
SHARE = 0.9
# The last tenth of twenty wins is two leads; fewer do not say where it begins.
FEWEST_WINS = 20
# Beyond this many leads at risk one win moves the curve by more than 2% of those still open.
FEWEST_AT_RISK = 50
RESAMPLES = 200
WON, LOST = 1, 2
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class WinTimes:
    """How long winning takes.

    Attributes
    ----------
    times, won : arrays of shape (n_times,)
        Days, rising, and the share of leads won by then, up to the last time with `FEWEST_AT_RISK` leads.
    estimate, low, high : float
        Days in which `SHARE` of the wins at the last time have come, with the 95% interval.
    n_wins : int
    curve : DataFrame
        As in `Horizon`.
    """

    times: Vector
    won: Vector
    estimate: float
    low: float
    high: float
    n_wins: int
    curve: pd.DataFrame


def follow_episodes(episodes: pd.DataFrame, observed_until: datetime) -> pd.DataFrame:
    """Return how long each lead was followed from its opening and what it came to.

    Left out are those opened after the data ends, and those never open while they were watched: closed
    when they were opened, or at an unknown moment.

    Returns
    -------
    DataFrame
        In order of ``lead_id``: ``opened_at``, ``days`` (> 0) from there to the closing or to the end of
        the data, ``fate`` (0 open, 1 won, 2 lost) and ``group``.
    """
    until = pd.Timestamp(observed_until)
    ended = episodes["closed_at"] <= until
    closed = episodes["status"].isin(["won", "lost"])
    waited = episodes["closed_at"].where(ended, until) - episodes["opened_at"]
    days = waited.dt.total_seconds() / SECONDS_PER_DAY
    fate = np.where(ended & (episodes["status"] == "won"), WON, np.where(ended & closed, LOST, 0))
    followed = pd.DataFrame(
        {
            "lead_id": episodes["lead_id"],
            "opened_at": episodes["opened_at"],
            "days": days,
            "fate": fate,
            "group": episodes["account_id"].fillna(episodes["lead_id"]),
        }
    )
    dated = ~(closed & episodes["closed_at"].isna())
    kept: pd.DataFrame = followed[dated & (days > 0)]
    return kept.sort_values(["lead_id", "opened_at"], ignore_index=True)


def cumulative_incidence(place: Ints, fate: Ints, weight: Vector) -> tuple[Vector, Vector]:
    """Return the shares won and lost by each time, by Aalen and Johansen's estimator.

    Parameters
    ----------
    place : array of int, shape (n_leads,)
        The place of each lead's last moment in the sorted distinct times.
    fate : array of int, shape (n_leads,)
        0 open, 1 won, 2 lost. A lead that leaves at a time is at risk at that time.
    weight : array, shape (n_leads,)
        How often each lead counts, at least 0.

    Returns
    -------
    won, lost : arrays of shape (n_times,)
    """
    n = int(place.max()) + 1
    gone = np.bincount(place, weight, n)
    at_risk = gone[::-1].cumsum()[::-1]
    divisor = np.where(at_risk > 0, at_risk, 1.0)
    rates = [np.bincount(place, weight * (fate == kind), n) / divisor for kind in (WON, LOST)]
    still_open = np.cumprod(np.clip(1.0 - rates[0] - rates[1], 0.0, 1.0))
    before = np.concatenate([[1.0], still_open[:-1]])
    return np.cumsum(before * rates[0]), np.cumsum(before * rates[1])


def measure_wins(followed: pd.DataFrame, *, seed: int) -> WinTimes | None:
    """Measure how long winning takes, or return None where too little is known.

    Parameters
    ----------
    followed : DataFrame
        What `follow_episodes` gives.
    seed : int
        For the bootstrap over groups.
    """
    times, place = np.unique(followed["days"].to_numpy(dtype=np.float64), return_inverse=True)
    fate = followed["fate"].to_numpy(dtype=np.int64)
    at_risk = np.bincount(place)[::-1].cumsum()[::-1]
    n_read = int(np.sum(at_risk >= FEWEST_AT_RISK))
    n_wins = int(np.sum((fate == WON) & (place < n_read)))
    if n_wins < FEWEST_WINS:
        return None
    times = times[:n_read]
    won, lost = (c[:n_read] for c in cumulative_incidence(place, fate, np.ones(len(fate))))
    shown = _places_to_show(won)
    draws, bands = [], []
    for weight in _resamples(followed["group"], seed=seed):
        drawn = cumulative_incidence(place, fate, weight)[0][:n_read]
        draws.append(times[_reached(drawn)])
        bands.append(drawn[shown])
    low, high = np.quantile(draws, [0.025, 0.975])
    won_low, won_high = np.quantile(bands, [0.025, 0.975], axis=0)
    curve = pd.DataFrame({"days": times[shown], "won": won[shown], "won_low": won_low, "won_high": won_high})
    curve = curve.assign(lost=lost[shown], at_risk=at_risk[shown])
    return WinTimes(times, won, float(times[_reached(won)]), float(low), float(high), n_wins, curve)


def _reached(won: Vector) -> int:
    """Return the first place at which the wins reach the share asked for of the last place's."""
    return int(np.argmax(won >= SHARE * won[-1]))


def _places_to_show(won: Vector) -> Ints:
    """Return the places at which the curve passes each hundredth of its height, and its end."""
    steps = np.searchsorted(won, np.linspace(0.0, 1.0, 100) * won[-1])
    return np.unique(np.append(np.minimum(steps, len(won) - 1), len(won) - 1))


def _resamples(group: pd.Series[str], *, seed: int) -> Iterator[Vector]:
    """Draw whole groups with replacement; yield how often each row counts in each draw."""
    codes = pd.factorize(group)[0]
    n_groups = int(codes.max()) + 1
    rng = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        drawn = np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups)
        yield drawn.astype(np.float64)[codes]
