"""What a nurtured lead has not done, and what that costs it: where nurture can start.

Only what a lead can still change counts: behaviour it has not shown, or not within a window. Who the lead
is, its company, its age and its colleagues are not of that kind, and neither is what it did, such as
unsubscribing from a mail. The points are what the model takes off; they do not promise what a nudge does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.explain.points import Points
from propensity.explain.reasons import ALL_OTHER, by_family, phrase_cells
from propensity.features.catalogue import Feature

BY_THE_LEAD = frozenset({"web", "email", "social"})
AMOUNTS = frozenset({"count", "asset_count", "assets", "active_days", "value"})
SINCE = frozenset({"days_since", "last_asset"})
# In points: under a twentieth a figure would read 0.0.
LEAST = 0.05


def tell_lifts(
    points: Points,
    table: pd.DataFrame,
    features: list[Feature],
    *,
    wanted: npt.NDArray[np.bool_],
    most: int = 3,
) -> npt.NDArray[np.object_]:
    """Return the text of each row's ``other`` reason, with what would lift it where that is wanted.

    Parameters
    ----------
    points : Points
        Of the rows, columns as `features`.
    table : DataFrame
        The rows' feature values, in the same order.
    features : list of Feature
    wanted : array of bool, shape (n_rows,)
    most : int
        What is named at most, the weightiest first.
    """
    told = np.full(len(table), ALL_OTHER, dtype=object)
    rows = np.flatnonzero(wanted)
    families, spokesman, sums = by_family(points, features)
    if len(rows) == 0 or not families:
        return told
    spokesman, sums = spokesman[rows], sums[rows]
    open_to_it = _not_done(table.iloc[rows], features)[np.arange(len(rows))[:, None], spokesman]
    lost = np.where(open_to_it & (sums <= -LEAST), sums, 0.0)
    order = np.argsort(lost, axis=1, kind="stable")[:, :most]
    place = np.arange(len(rows))[:, None]
    _, texts = phrase_cells(spokesman[place, order], table.iloc[rows], features)
    for row, named, taken in zip(rows, texts, lost[place, order], strict=True):
        parts = [f"{text[:1].lower()}{text[1:]} ({p:.1f})" for text, p in zip(named, taken, strict=True) if p]
        if parts:
            told[row] = f"{ALL_OTHER}. Would lift it: {', '.join(parts)}"
    return told


def _not_done(table: pd.DataFrame, features: list[Feature]) -> npt.NDArray[np.bool_]:
    """Return, per row and feature, whether it tells of something the lead could do and has not done."""
    found = np.zeros((len(table), len(features)), dtype=bool)
    for j, feature in enumerate(features):
        if feature.qualifier not in BY_THE_LEAD:
            continue
        column = table[feature.name]
        if feature.statistic in AMOUNTS:
            found[:, j] = (column.isna() | (column == 0)).to_numpy(dtype=bool)
        elif feature.statistic in SINCE:
            found[:, j] = column.isna().to_numpy(dtype=bool)
    return found
