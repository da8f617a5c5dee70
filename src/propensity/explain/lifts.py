"""What a nurtured lead has not done, and what that costs it: where nurture can start.

Only what a lead can still change counts: behaviour it has not shown, or not within a window. Who the lead
is, its company, its age and its colleagues are not of that kind, and neither is what it did, such as
unsubscribing from a mail. The points are what the model takes off; they do not promise what a nudge does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from propensity.data.timing import timed
from propensity.explain.families import Families, group_families
from propensity.explain.points import Points
from propensity.explain.reasons import Voice, phrase_cells
from propensity.explain.texts import Told, fill, write_each
from propensity.explain.words import localise, say
from propensity.features.catalogue import Feature

BY_THE_LEAD = frozenset({"web", "email", "social"})
AMOUNTS = frozenset({"count", "asset_count", "assets", "active_days", "value"})
SINCE = frozenset({"days_since", "last_asset"})
# In points: under a twentieth a figure would read 0.0.
LEAST = 0.05


@timed("sentences")
def tell_lifts(
    points: Points,
    table: pd.DataFrame,
    features: list[Feature],
    voice: Voice,
    *,
    wanted: npt.NDArray[np.bool_],
    most: int = 3,
    families: Families | None = None,
) -> pa.Array:
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
    families : Families, optional
        Of these points, where they are at hand.
    """
    other = say(voice.words, "other")
    rows = np.flatnonzero(wanted)
    grouped = group_families(points, features) if families is None else families
    if len(rows) == 0 or grouped.sums.shape[1] == 0:
        return pa.array([other] * len(table), pa.string())
    spokesman, sums = grouped.spokesman[rows], grouped.sums[rows]
    place = np.arange(len(rows))[:, None]
    open_to_it = _not_done(table.iloc[rows], features)[place, spokesman]
    lost = np.where(open_to_it & (sums <= -LEAST), sums, 0.0)
    order = np.argsort(lost, axis=1, kind="stable")[:, :most]
    taken = lost[place, order]
    told = phrase_cells(spokesman[place, order], table.iloc[rows], features, voice, wanted=taken != 0)
    found = np.zeros(len(table), dtype=np.int64)
    named = (taken != 0).any(axis=1)
    found[rows[named]] = 1 + np.arange(named.sum())
    texts = _tell_lifts(Told(told.codes[named], told.texts), taken[named], other, voice)
    return pa.concat_arrays([pa.array([other], pa.string()), texts]).take(pa.array(found))


def _tell_lifts(told: Told, taken: npt.NDArray[np.float64], other: str, voice: Voice) -> pa.Array:
    """Return the text of each row; what takes nothing off is not named."""
    words = voice.words
    points = write_each(taken, "{:+,.1f}".format, lambda text: localise(words, text))
    parts = []
    for k in range(taken.shape[1]):
        column = np.zeros(taken.shape, dtype=bool)
        column[:, k] = True
        part = fill(str(words.texts["lift"]), what=told.pick(column), points=points.pick(column))
        parts.append(pc.if_else(pa.array(taken[:, k] != 0), part, pa.scalar(None, pa.string())))
    listed = pc.binary_join_element_wise(*parts, ", ", null_handling="skip")
    return fill(str(words.texts["lifts"]), other=other, list=listed)


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


def is_not_done(feature: Feature, value: Any) -> bool:
    """Say of a single value whether it tells of something the lead could do and has not done."""
    if feature.qualifier not in BY_THE_LEAD:
        return False
    return (feature.statistic in AMOUNTS and not value) or (feature.statistic in SINCE and value is None)
