"""Segments: what some levels of a category add to the pooled model, where held-out data shows that they do.

All leads share one model, which knows the segment like any feature: shrunk, and in the mean over the past. A
level that the model misses on the stop part, the newest rows it can be held against, adds one number more to
the log-odds, if that lowers the log-loss of leads it was not fitted on by more than noise explains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.errors import BundleError, ParamsError, nearest, some
from propensity.features.catalogue import Feature
from propensity.model.encoding import FIRST_LEVEL, OTHER, Encoding
from propensity.model.estimators import Estimator, Matrix, Vector
from propensity.model.offsets import Rows, Trial, Won, fit_offsets, level_margin


@dataclass(frozen=True)
class Offset:
    """What the levels of one category add to the pooled margin.

    Attributes
    ----------
    log_odds : array of shape (n_codes,)
        By code; 0 for a level that the pooled model serves.
    mean : float
        Over the rows fitted on; it is told in the base, so that contributions have mean zero there.
    """

    log_odds: Vector
    mean: float


@dataclass(frozen=True)
class Segmented:
    """A pooled model, and what levels of categories add to it.

    Attributes
    ----------
    pooled : Estimator
    offsets : dict
        Place of the category among the features to its offset.
    """

    pooled: Estimator
    offsets: Mapping[int, Offset]

    @property
    def base(self) -> float:
        """The pooled base and the offsets' means."""
        return self.pooled.base + sum(offset.mean for offset in self.offsets.values())

    def margin(self, matrix: Matrix) -> Vector:
        """Return the pooled margin of each row with its levels' offsets."""
        margin = self.pooled.margin(matrix)
        for j, offset in self.offsets.items():
            margin = margin + offset.log_odds[matrix[:, j].astype(np.int64)]
        return margin

    def contributions(self, matrix: Matrix) -> Matrix:
        """Return the pooled contributions, each offset told as its category's; shape (n_rows, n_features)."""
        terms = self.pooled.contributions(matrix)
        for j, offset in self.offsets.items():
            terms[:, j] += offset.log_odds[matrix[:, j].astype(np.int64)] - offset.mean
        return terms


def segment_places(columns: Sequence[str], features: Sequence[Feature], encoding: Encoding) -> list[int]:
    """Return the places of the segments' columns; one that does not vary in the train part has none.

    Raises
    ------
    ParamsError
        A column is no attribute in use that holds levels.
    """
    known = [f.name for f in features if f.kind == "category" and f.statistic == "attribute"]
    if wrong := [column for column in columns if column not in known]:
        hints = ", ".join(f"'{column}'{nearest(column, known)}" for column in wrong)
        raise ParamsError(
            f"model.segments: {hints} is no category that the model reads; these are: {some(known, 20)}. "
            "List a text column of leads under features.demographic or features.firmographic"
        )
    wanted = [column for column in dict.fromkeys(columns) if column in encoding.names]
    return [encoding.names.index(column) for column in wanted]


def add_offsets(
    pooled: Estimator, trials: Sequence[Trial], stop: tuple[Matrix, Won, Vector], both: Matrix
) -> Estimator:
    """Return the pooled model with the offsets of the levels kept; itself where none is.

    Parameters
    ----------
    pooled : Estimator
        Fitted on train and stop together.
    trials : sequence of Trial
    stop : (matrix, won, weight)
        What the offsets are fitted on.
    both : array of shape (n_rows, n_features)
        What `pooled` is fitted on, for the offsets' means.
    """
    matrix, won, weight = stop
    margin, offsets = level_margin(pooled.margin(matrix), won, weight), {}
    for trial in (t for t in trials if t.kept.any()):
        codes = matrix[:, trial.place].astype(np.int64)
        fitted = fit_offsets(Rows(margin, won, weight, codes), len(trial.kept), trial.strength)
        own = np.where(trial.kept, fitted, 0.0)
        margin = margin + own[codes]
        offsets[trial.place] = Offset(own, float(own[both[:, trial.place].astype(np.int64)].mean()))
    return Segmented(pooled, offsets) if offsets else pooled


def tell_segments(trials: Sequence[Trial], model: Estimator, encoding: Encoding) -> list[dict[str, Any]]:
    """Return a row for each level that was judged.

    Returns
    -------
    list of dict
        ``column``; ``level``, None for missing; ``n, wins``, of stop snapshots; ``gain, gain_se``, of
        log-loss on them; ``kept``; ``tried``, the log-odds that were judged; ``offset``, what the model adds.
    """
    offsets = model.offsets if isinstance(model, Segmented) else {}
    rows = []
    for trial in trials:
        column = encoding.names[trial.place]
        used = offsets[trial.place].log_odds if trial.place in offsets else np.zeros(len(trial.kept))
        rows += [
            {
                "column": column,
                "level": encoding.levels[column][code - FIRST_LEVEL] if code >= FIRST_LEVEL else None,
                **{
                    name: getattr(trial, name)[code].item()
                    for name in ("n", "wins", "gain", "gain_se", "kept")
                },
                "tried": float(trial.offsets[code]),
                "offset": float(used[code]),
            }
            for code in np.flatnonzero(trial.judged)
        ]
    return rows


def pooled_of(model: Estimator) -> Estimator:
    """Return the model without its segments' offsets."""
    return model.pooled if isinstance(model, Segmented) else model


def segments_to_json(model: Segmented) -> list[dict[str, Any]]:
    """Return the offsets for ``segments.json``."""
    return [
        {"feature": j, "log_odds": offset.log_odds.tolist(), "mean": offset.mean}
        for j, offset in model.offsets.items()
    ]


def segments_from_json(content: list[dict[str, Any]], pooled: Estimator, encoding: Encoding) -> Segmented:
    """Read what `segments_to_json` returned.

    Raises
    ------
    BundleError
        It names no feature, one twice or one that is no category, or its numbers are not one for each level.
    """
    offsets = {
        row["feature"]: Offset(np.asarray(row["log_odds"], dtype=np.float64), float(row["mean"]))
        for row in content
    }
    sizes = {j: (encoding.n_codes(encoding.names[j]),) for j in encoding.categories}
    if any(sizes.get(j) != offset.log_odds.shape for j, offset in offsets.items()):
        raise BundleError("segments.json and features.json disagree about the categories' levels")
    numbers = [x for offset in offsets.values() for x in (*offset.log_odds, offset.mean)]
    if not offsets or len(offsets) != len(content) or not np.isfinite(numbers).all():
        raise BundleError("segments.json does not hold one row of finite numbers for each of its features")
    if any(offset.log_odds[OTHER] != 0 for offset in offsets.values()):
        raise BundleError("segments.json has an offset for levels that training did not see")
    return Segmented(pooled, offsets)
