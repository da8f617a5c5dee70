"""What a nurtured lead has not done, and what that costs it: where nurture can start.

Only what a lead can still change counts: behaviour it has not shown, or not within a window. Who the lead
is, its company, its age and its colleagues are not of that kind, and neither is what it did, such as
unsubscribing from a mail. The points are what the model takes off; they do not promise what a nudge does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.explain.families import group_families
from propensity.explain.points import Points
from propensity.explain.reasons import Voice, phrase_cells
from propensity.explain.words import say, write_decimal
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
    voice: Voice,
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
        The rows' feature values and ``as_of``, in the same order.
    features : list of Feature
    voice : Voice
    wanted : array of bool, shape (n_rows,)
    most : int
        What is named at most, the weightiest first.
    """
    other = say(voice.words, "other")
    told = np.full(len(table), other, dtype=object)
    rows = np.flatnonzero(wanted)
    families = group_families(points, features)
    if len(rows) == 0 or families.sums.shape[1] == 0:
        return told
    spokesman, sums = families.spokesman[rows], families.sums[rows]
    open_to_it = _not_done(table.iloc[rows], features)[np.arange(len(rows))[:, None], spokesman]
    lost = np.where(open_to_it & (sums <= -LEAST), sums, 0.0)
    order = np.argsort(lost, axis=1, kind="stable")[:, :most]
    place = np.arange(len(rows))[:, None]
    texts = phrase_cells(spokesman[place, order], table.iloc[rows], features, voice)
    for row, named, taken in zip(rows, texts, lost[place, order], strict=True):
        parts = [_tell_lift(text, p, voice) for text, p in zip(named, taken, strict=True) if p]
        if parts:
            told[row] = say(voice.words, "lifts", other=other, list=", ".join(parts))
    return told


def _tell_lift(text: str, points: float, voice: Voice) -> str:
    return say(voice.words, "lift", what=text, points=write_decimal(voice.words, points, signed=True))


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
