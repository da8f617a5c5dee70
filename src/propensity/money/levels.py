"""Columns as a few levels each, so that leads can be counted by them: numbers in quarters, few texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

MISSING, OTHER = "not known", "other"
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Levels:
    """How columns are cut.

    Attributes
    ----------
    columns : tuple of str
        In the order they were asked for.
    edges : dict
        For each number the inner edges of its quarters, rising; a value at an edge is below it.
    kept : dict
        For each text the levels told apart.
    """

    columns: tuple[str, ...] = ()
    edges: dict[str, list[float]] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)


def fit_levels(table: pd.DataFrame, columns: Sequence[str], *, most: int) -> Levels:
    """Decide the levels of `columns` from the rows of `table`: of a text the `most` most frequent ones."""
    edges: dict[str, list[float]] = {}
    kept: dict[str, list[str]] = {}
    for column in columns:
        values = table[column].dropna()
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            edges[column] = _inner_edges(values.to_numpy(dtype=np.float64))
        else:
            counts = values.astype(str).value_counts()
            ranked = sorted(counts.index, key=lambda level: (-counts[level], level))
            kept[column] = ranked[:most]
    return Levels(tuple(columns), edges, kept)


def to_levels(table: pd.DataFrame, levels: Levels) -> pd.DataFrame:
    """Return the level of each row in each column, as text; what is missing is a level of its own."""
    found = {column: _cut(table[column], edges) for column, edges in levels.edges.items()}
    for column, kept in levels.kept.items():
        values = table[column].astype("str")
        known = values.where(values.isin(kept), OTHER)
        found[column] = known.where(table[column].notna(), MISSING)
    return pd.DataFrame({c: found[c].astype("str") for c in levels.columns}, index=table.index)


def _inner_edges(values: npt.NDArray[np.float64]) -> list[float]:
    """Return the quartiles, each once, but for one that is the largest value: nothing lies above it."""
    if len(values) == 0:
        return []
    return [float(cut) for cut in np.unique(np.quantile(values, QUARTERS)) if cut < values.max()]


def _cut(values: pd.Series[float], edges: list[float]) -> pd.Series[str]:
    names = _names(edges)
    place = np.searchsorted(edges, values.to_numpy(dtype=np.float64, na_value=np.nan), side="left")
    named = pd.Series(np.array(names)[np.minimum(place, len(names) - 1)], index=values.index, dtype="str")
    return named.where(values.notna(), MISSING)


def _names(edges: list[float]) -> list[str]:
    if not edges:
        return ["any value"]
    between = [f"over {low:g} to {high:g}" for low, high in pairwise(edges)]
    return [f"up to {edges[0]:g}", *between, f"over {edges[-1]:g}"]
