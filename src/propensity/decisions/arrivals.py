"""How many leads come in a week: what a capacity is held against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

WEEK = pd.Timedelta(days=7)


@dataclass(frozen=True)
class Arrivals:
    """Whose snapshots the rows of the calibrate part are, and how many leads come.

    Attributes
    ----------
    leads : array of shape (n_rows,)
    weekly : array of shape (n_weeks,) or None
        Leads first seen in each whole week of the part's period; None without dates.
    """

    leads: npt.NDArray[np.int64]
    weekly: npt.NDArray[np.float64] | None


def count_arrivals(part: pd.DataFrame, snapshots: pd.DataFrame) -> Arrivals:
    """Count the leads that arrived in each whole week between the part's first and last snapshot.

    Parameters
    ----------
    part : DataFrame
        The calibrate part, ``lead_id, as_of``.
    snapshots : DataFrame
        All snapshots, ``lead_id, as_of``: those whose outcome is not final, and those that the split
        left out, arrive too.
    """
    leads = np.asarray(pd.factorize(part["lead_id"])[0], dtype=np.int64)
    if part["as_of"].isna().any():
        return Arrivals(leads, None)
    start = part["as_of"].min()
    weeks = int((part["as_of"].max() - start) // WEEK)
    week = (snapshots.groupby("lead_id")["as_of"].min() - start) // WEEK
    inside = week[(week >= 0) & (week < weeks)].to_numpy(dtype=np.int64)
    return Arrivals(leads, np.bincount(inside, minlength=weeks).astype(np.float64))
