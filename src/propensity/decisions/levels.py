"""Columns as a few levels each, so that leads can be counted by them: parts of numbers, few texts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.data.cells import has_address

MISSING, OTHER = "not known", "other"
QUARTERS = (0.25, 0.5, 0.75)
LEAST_ROWS = 3


@dataclass(frozen=True)
class Levels:
    """How columns are cut.

    Attributes
    ----------
    columns : tuple of str
        In the order they were asked for.
    edges : dict
        For each number the inner edges of its parts, rising; a value at an edge is below it.
    kept : dict
        For each text the levels told apart.
    """

    columns: tuple[str, ...] = ()
    edges: dict[str, list[float]] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)


def fit_levels(
    table: pd.DataFrame, columns: Sequence[str], *, most: int, cuts: Sequence[float] = QUARTERS
) -> Levels:
    """Decide the levels of `columns` from the rows of `table`.

    Of a text they are the `most` most frequent ones, of a number the parts between its quantiles `cuts`.
    A text that fewer than `LEAST_ROWS` rows hold, or with an e-mail address in it, is none: it may be of one
    person, and levels are kept in bundles.
    """
    edges: dict[str, list[float]] = {}
    kept: dict[str, list[str]] = {}
    for column in columns:
        values = table[column].dropna()
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            edges[column] = _inner_edges(values.to_numpy(dtype=np.float64), cuts)
        else:
            counts = values.astype(str).value_counts()
            shared = [level for level in counts.index[counts >= LEAST_ROWS] if not has_address(level)]
            ranked = sorted(shared, key=lambda level: (-counts[level], level))
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


def level_finder(column: str, levels: Levels) -> Callable[[Any], str]:
    """Return what finds the level of a single value of a column, None where it is missing."""
    if column in levels.kept:
        kept = frozenset(levels.kept[column])
        return lambda value: MISSING if value is None else str(value) if str(value) in kept else OTHER
    edges, names = levels.edges[column], _names(levels.edges[column])
    last = len(names) - 1
    return lambda value: MISSING if value is None else names[min(bisect_left(edges, value), last)]


def levels_from_json(content: Mapping[str, Any]) -> Levels:
    """Read the fields of `Levels`.

    Raises
    ------
    ValueError
        A column is cut both ways or not at all, or edges do not rise.
    """
    columns = tuple(str(column) for column in content["columns"])
    edges = {str(c): [float(edge) for edge in row] for c, row in content["edges"].items()}
    kept = {str(c): [str(level) for level in row] for c, row in content["kept"].items()}
    if sorted(columns) != sorted([*edges, *kept]):
        raise ValueError(f"the levels of {columns} should be told once each")
    if any((np.diff(row) <= 0).any() or not np.isfinite(row).all() for row in edges.values()):
        raise ValueError(f"the edges of levels should rise, they are {edges}")
    return Levels(columns, edges, kept)


def _inner_edges(values: npt.NDArray[np.float64], cuts: Sequence[float]) -> list[float]:
    """Return the quantiles, each once, but for one that is the largest value: nothing lies above it."""
    if len(values) == 0:
        return []
    return [float(cut) for cut in np.unique(np.quantile(values, cuts)) if cut < values.max()]


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
