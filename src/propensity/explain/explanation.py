"""The bridge to the shap package, whose plots then work on points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from propensity.explain.points import Points
from propensity.features.catalogue import Feature


def make_explanation(points: Points, table: pd.DataFrame, features: list[Feature]) -> Any:
    """Return a ``shap.Explanation`` in points: base values plus values are the scores.

    Parameters
    ----------
    points : Points
    table : DataFrame
        The rows' feature values.
    features : list of Feature

    Returns
    -------
    shap.Explanation
        ``values`` of shape (n_rows, n_features), ``base_values`` (n_rows,), ``data`` the feature
        values, ``feature_names`` in plain language.
    """
    import shap  # heavy, and not needed to score

    return shap.Explanation(
        values=points.values,
        base_values=np.full(len(points.score), points.base),
        data=table[[feature.name for feature in features]].to_numpy(dtype=object),
        feature_names=[feature.label for feature in features],
    )
