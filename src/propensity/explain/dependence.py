"""Dependence: how many points the strongest features give, by their value."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.explain.points import Points
from propensity.features.catalogue import Feature

SPREAD = (0.1, 0.9)


def compute_dependence(
    points: Points, table: pd.DataFrame, features: list[Feature], *, most: int = 6, bins: int = 12
) -> list[dict[str, Any]]:
    """Return the points of the features that move scores most, by their value.

    Parameters
    ----------
    points : Points
        Of the rows, columns as `features`.
    table : DataFrame
        The rows' feature values, in the same order.
    features : list of Feature
    most : int
        Features at most, by mean absolute points.
    bins : int
        Bins of a number, about equally full, at most; levels of a category, the most frequent ones.

    Returns
    -------
    list of dict
        ``feature, label, qualifier, unit, kind, n`` and ``rows``, ``levels`` (how many there are) of a
        category. A row has ``x`` (the median of a bin, the level of a category, None for rows in which it
        is not known), ``first`` and ``last`` (a bin's ends), ``n``, the mean ``points`` and, as the spread
        over rows and not an interval of the mean, their 10% and 90% quantiles ``low`` and ``high``.
    """
    if len(table) == 0:
        return []
    order = np.argsort(-np.abs(points.values).mean(axis=0), kind="stable")[:most]
    return [_describe(features[j], table[features[j].name], points.values[:, j], bins) for j in order]


def _describe(
    feature: Feature, column: pd.Series[Any], given: npt.NDArray[np.float64], bins: int
) -> dict[str, Any]:
    known = column.notna().to_numpy(dtype=bool)
    if feature.kind == "number":
        rows = _by_number(column[known].to_numpy(dtype=np.float64), given[known], bins)
    else:
        rows = _by_level(column[known].astype(str), given[known], bins)
    if not known.all():
        rows.append({"x": None, "first": None, "last": None, **_spread(given[~known])})
    return {
        "feature": feature.name,
        "label": feature.label,
        "qualifier": feature.qualifier,
        "unit": feature.unit,
        "kind": feature.kind,
        "n": len(column),
        "levels": int(column.nunique()),
        "rows": rows,
    }


def _by_number(
    values: npt.NDArray[np.float64], given: npt.NDArray[np.float64], bins: int
) -> list[dict[str, Any]]:
    """Cut at quantiles that are values themselves, so that no bin is empty; a value at a cut is below it."""
    if len(values) == 0:
        return []
    inner = np.arange(1, bins) / bins
    cuts = np.unique(np.quantile(values, inner, method="inverted_cdf"))
    place = np.searchsorted(cuts[cuts < values.max()], values, side="left")
    return [
        {
            "x": float(np.median(values[place == b])),
            "first": float(values[place == b].min()),
            "last": float(values[place == b].max()),
            **_spread(given[place == b]),
        }
        for b in np.unique(place)
    ]


def _by_level(values: pd.Series[str], given: npt.NDArray[np.float64], most: int) -> list[dict[str, Any]]:
    counts = values.value_counts()
    kept = sorted(counts.index, key=lambda level: (-counts[level], level))[:most]
    masks = {level: (values == level).to_numpy(dtype=bool) for level in kept}
    return [{"x": level, "first": None, "last": None, **_spread(given[m])} for level, m in masks.items()]


def _spread(given: npt.NDArray[np.float64]) -> dict[str, Any]:
    low, high = np.quantile(given, SPREAD)
    return {"n": len(given), "points": float(given.mean()), "low": float(low), "high": float(high)}
