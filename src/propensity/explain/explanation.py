"""The bridge to the shap package, whose plots then work on points."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from propensity.errors import InputError, nearest
from propensity.explain.points import Points
from propensity.features.catalogue import Feature

By = Literal["feature", "family", "qualifier"]


def make_explanation(
    points: Points, table: pd.DataFrame, features: list[Feature], *, by: By = "feature"
) -> Any:
    """Return a ``shap.Explanation`` in points: base values plus values are the scores.

    Parameters
    ----------
    points : Points
    table : DataFrame
        The rows' feature values.
    features : list of Feature
    by : {'feature', 'family', 'qualifier'}
        What a column stands for: a feature, all features of one behaviour, or all of one qualifier.

    Returns
    -------
    shap.Explanation
        ``values`` of shape (n_rows, n_columns), ``base_values`` (n_rows,), ``feature_names`` in plain
        language for features, else the names of the groups in the features' order. ``data`` holds the
        feature values, None for groups.

    Raises
    ------
    InputError
        `by` is none of the three.
    """
    import shap  # heavy, and not needed to score

    base = np.full(len(points.score), points.base)
    if by == "feature":
        data = table[[feature.name for feature in features]].to_numpy(dtype=object)
        labels = [feature.label for feature in features]
        return shap.Explanation(values=points.values, base_values=base, data=data, feature_names=labels)
    grouped = sum_groups(points, features, by=by)
    names = list(grouped.columns)
    return shap.Explanation(values=grouped.to_numpy(), base_values=base, feature_names=names)


def sum_groups(points: Points, features: list[Feature], *, by: By) -> pd.DataFrame:
    """Return each row's points summed by group, a column a group; base plus a row's sum is its score.

    Raises
    ------
    InputError
        `by` is none of ``feature``, ``family`` and ``qualifier``.
    """
    keys = {"feature": "name", "family": "family", "qualifier": "qualifier"}
    if by not in keys:
        raise InputError(f"by should be one of {', '.join(keys)}, it is {by!r}{nearest(str(by), keys)}")
    groups: dict[str, list[int]] = {}
    for j, feature in enumerate(features):
        groups.setdefault(getattr(feature, keys[by]), []).append(j)
    return pd.DataFrame({name: points.values[:, columns].sum(axis=1) for name, columns in groups.items()})
