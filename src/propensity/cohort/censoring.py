"""Weights for snapshots whose outcome was decided before their label window had passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Vector = npt.NDArray[np.float64]

# No row stands for more than twenty: where fewer than one in twenty could be followed to the end of the
# window, its immature rows are left out rather than their weights cut, which would favour the quick.
FEWEST_FOLLOWED = 0.05


@dataclass(frozen=True)
class Weighting:
    """The weights of one part's snapshots.

    Attributes
    ----------
    weight : Series of float
        Mean 1 over the snapshots that stay; NaN for those that do not. Same index as the snapshots.
    undecided : Series of bool
        The snapshots that do not stay because their outcome came later than the part's end.
    largest : float
        The largest inverse probability before they were scaled to mean 1; from 1 to 20.
    ages_left_out : list of float
        Ages (days) whose immature snapshots are left out: too few could be followed.
    """

    weight: pd.Series[float]
    undecided: pd.Series[bool]
    largest: float
    ages_left_out: list[float]


def weigh_parts(
    snapshots: pd.DataFrame,
    place: Vector,
    position: npt.NDArray[np.intp],
    ends: npt.NDArray[np.int64],
    *,
    n_fitted: int,
) -> dict[int, Weighting]:
    """Weigh the snapshots of the first `n_fitted` parts of a split in time.

    Parameters
    ----------
    snapshots : DataFrame
        What `weigh_part` reads, and ``group``.
    place : array, shape (n_rows,)
        The number of the part a snapshot stands in by its final label, NaN for none.
    position : array of int, shape (n_rows,)
        The number of the part its lead was created in.
    ends : array of int, shape (n_rows,)
        When that part ends, in microseconds since 1970.

    Returns
    -------
    dict
        By the number of the part, where it has snapshots. A group stands in one part: the one in which it
        has final labels, or else the earliest in which it appears at all, decided or not, since to look at
        the decided alone would favour the quick.
    """
    rows = pd.DataFrame({"place": place, "position": position, "group": snapshots["group"].to_numpy()})
    first = rows.groupby("group")[["place", "position"]].transform("min")
    at_home = position == first["place"].fillna(first["position"]).to_numpy()
    taken = snapshots["as_of"].dt.as_unit("us").astype("int64").to_numpy()
    eligible = at_home & (taken < ends)
    found = {}
    for part in range(n_fitted):
        mine = eligible & (position == part)
        if mine.any():
            end = pd.Timestamp(int(ends[mine][0]), unit="us", tz="UTC")
            found[part] = weigh_part(snapshots[mine], end)
    return found


def weigh_part(snapshots: pd.DataFrame, end: pd.Timestamp) -> Weighting:
    """Weigh the snapshots of a part that ends at `end` by the inverse probability of being decided.

    A snapshot stays if it is decided by then: its window has passed, or its lead was closed, won or lost.
    Closed leads alone would favour the quick; each row that stays therefore stands for ``1 / G(t-)`` rows,
    where ``t`` is the time it took to decide it (at most the window) and ``G(t-)`` the probability that
    the part goes on at least so long after a snapshot (Graf et al. 1999; Vock et al. 2016). ``G`` is
    the Kaplan-Meier curve of the time to the part's end, cut short by the closings.

    It is estimated for each age by itself: an older snapshot lies nearer to the part's end, and its lead has
    another chance, so that over all ages together the two would not be independent. Within an age
    the weights still take it that leads of the beginning and of the end of the part close equally fast, and
    a feature that tells the date can undo them (Kvamme and Borgan 2023).

    The weights are scaled to mean 1 over the rows that stay. Their plain sum is the number of all rows, those
    that went included: LightGBM's ridge on leaves and the logistic regression's penalty would weigh less
    against rows that were never seen.

    Parameters
    ----------
    snapshots : DataFrame
        The part's snapshots, taken before `end`: ``as_of``,
        ``closed_at`` (null for open), ``label_end, age_days``.
    end : Timestamp
        When the next part begins. What happens later has no influence.

    References
    ----------
    Graf, Schmoor, Sauerbrei and Schumacher (1999), Statistics in Medicine 18, 2529-2545.
    Vock et al. (2016), Journal of Biomedical Informatics 61, 119-131.
    Kvamme and Borgan (2023), Journal of Machine Learning Research 24(2), 1-26.
    """
    weight = pd.Series(np.nan, index=snapshots.index)
    left_out: list[float] = []
    undecided = pd.Series(False, index=snapshots.index)
    for age, rows in snapshots.groupby("age_days", sort=True):
        until_end = _microseconds(end - rows["as_of"])
        window = _microseconds(rows["label_end"] - rows["as_of"])
        found = inverse_probability(_microseconds(rows["closed_at"] - rows["as_of"]), until_end, window)
        if found is None:
            left_out.append(float(str(age)))
            weight[rows.index] = np.where(window <= until_end, 1.0, np.nan)
        else:
            weight[rows.index] = found
            undecided[rows.index] = np.isnan(found)
    return Weighting(weight / weight.mean(), undecided, float(weight.max()), left_out)


def inverse_probability(until_closed: Vector, until_end: Vector, window: Vector) -> Vector | None:
    """Return ``1 / G(t-)`` for each row that is decided, NaN for the others.

    Where a closing and the end of the follow-up fall together, the closing was seen: the end counts as the
    later of the two.

    Parameters
    ----------
    until_closed : array, shape (n_rows,)
        Time from the snapshot to the closing, in any unit; infinite or NaN for a lead that is open.
    until_end : array, shape (n_rows,)
        Time to the end of the follow-up, more than 0.
    window : array, shape (n_rows,)
        Length of the label window, more than 0.

    Returns
    -------
    array of shape (n_rows,), or None
        At least 1 where decided. None if the probability to be followed through the window is below 0.05.
    """
    from sksurv.nonparametric import kaplan_meier_estimator

    needed = np.fmin(until_closed, window)
    decided = needed <= until_end
    times, survival = kaplan_meier_estimator(decided, np.minimum(needed, until_end), reverse=True)
    # G(t-): the value at the last time before t.
    at = np.concatenate([[1.0], survival])
    followed = at[np.searchsorted(times, needed, side="left")]
    through = at[np.searchsorted(times, window, side="left")]
    if through.min() < FEWEST_FOLLOWED or not np.any(until_end >= window):
        return None
    return np.where(decided, 1.0 / np.where(decided, followed, 1.0), np.nan).astype(np.float64)


def describe_weighting(weighting: Weighting, *, final: int) -> dict[str, Any]:
    """Return the weighting's figures for ``split.json``.

    `final` is how many of the part's snapshots have had their whole window. ``effective`` is the number of
    equally weighted rows that the weighted ones are worth (Kish 1965), None for none.
    """
    kept = weighting.weight.dropna()
    return {
        "immature": len(kept) - final,
        "undecided": int(weighting.undecided.sum()),
        "largest": weighting.largest,
        "effective": float(kept.sum() ** 2 / (kept**2).sum()) if len(kept) else None,
        "ages_left_out": weighting.ages_left_out,
    }


def _microseconds(spans: pd.Series[pd.Timedelta]) -> Vector:
    """Return time spans as float microseconds, exact up to 285 years; NaN for null."""
    return np.asarray(spans / pd.Timedelta(microseconds=1), dtype=np.float64)
