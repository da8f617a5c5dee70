"""From the feature table to the matrix the estimators read, and the levels that make it the same everywhere.

A category is text outside and a number inside: its place in a list of levels stored in the bundle.
Place 0 is "missing" and place 1 "any other", which training fills with the rare levels.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.data.cells import has_address
from propensity.errors import InputError
from propensity.features.catalogue import Feature

MISSING, OTHER, FIRST_LEVEL = 0, 1, 2
Matrix = npt.NDArray[np.float64]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encoding:
    """The features a model uses, in order, and the levels of the categories among them.

    Attributes
    ----------
    features : list of Feature
    levels : dict
        Feature name to its levels; level ``i`` is encoded as ``i + 2``.
    """

    features: list[Feature]
    levels: dict[str, list[str]]

    @cached_property
    def names(self) -> list[str]:
        """The feature names, in the order of the matrix's columns."""
        return [feature.name for feature in self.features]

    @cached_property
    def categories(self) -> list[int]:
        """The places of the categories among the columns."""
        return [i for i, feature in enumerate(self.features) if feature.kind == "category"]

    @cached_property
    def known(self) -> dict[str, pd.Index[Any]]:
        """Each category's levels, to look values up in."""
        return {name: pd.Index(found, dtype="object") for name, found in self.levels.items()}

    @cached_property
    def codes(self) -> dict[int, dict[str, int]]:
        """The code of each level, by the place of the category."""
        return {
            i: {level: FIRST_LEVEL + code for code, level in enumerate(self.levels[self.names[i]])}
            for i in self.categories
        }

    def n_codes(self, feature: str) -> int:
        """How many codes a category has, missing and other included."""
        return FIRST_LEVEL + len(self.levels[feature])


def fit_encoding(
    table: pd.DataFrame, features: Sequence[Feature], *, most_levels: int = 1000, least_rows: int = 20
) -> Encoding:
    """Choose the features that vary and learn the levels of the categories.

    Dropped are features with one value throughout, features equal to an earlier one in every row,
    and the month of the year when `table` does not hold all twelve.

    Parameters
    ----------
    table : DataFrame
        The training part's features.
    features : sequence of Feature
    most_levels : int
        Levels kept of a category, the most frequent first.
    least_rows : int
        Rows a level needs to be kept.

    Raises
    ------
    InputError
        No feature varies.
    """
    levels: dict[str, list[str]] = {}
    kept: list[Feature] = []
    seen: set[bytes] = set()
    for feature in features:
        column = table[feature.name]
        if feature.name == "as_of_month" and column.nunique() < 12:
            logger.info("as_of_month is left out: the training part does not hold all twelve months")
            continue
        if feature.kind == "category":
            levels[feature.name] = _frequent(column, feature.name, most_levels, least_rows)
        own = pd.Index(levels[feature.name], dtype="object") if feature.kind == "category" else None
        codes = _encode_column(column, own)
        fingerprint = hashlib.sha256(codes.tobytes()).digest()
        if _varies(codes) and fingerprint not in seen:
            seen.add(fingerprint)
            kept.append(feature)
    if not kept:
        raise InputError(
            f"none of the {len(features)} features varies over the {len(table)} rows of the training part; "
            "list columns or event types with more than one value under features"
        )
    names = {feature.name for feature in kept}
    logger.info("%d of %d features vary in the training part and are used", len(kept), len(features))
    return Encoding(kept, {name: found for name, found in levels.items() if name in names})


def encode(table: pd.DataFrame, encoding: Encoding) -> Matrix:
    """Return the matrix of a feature table: numbers as they are, categories as codes.

    Columns may stand in any order and extra ones are ignored. Unseen categories get the code of
    "any other" and are counted in the log.

    Returns
    -------
    array of shape (n_rows, n_features)
        NaN where a number is missing. A column's numbers lie together in memory, as tables of features do.

    Raises
    ------
    InputError
        A column is missing.
    """
    missing = [name for name in encoding.names if name not in table.columns]
    if missing:
        raise InputError(f"the feature table lacks the columns {missing}; it has {list(table.columns)}")
    by_column = np.empty((len(encoding.features), len(table)))
    for i, feature in enumerate(encoding.features):
        by_column[i] = _encode_column(table[feature.name], encoding.known.get(feature.name))
    return by_column.T


def encode_rows(rows: Sequence[Sequence[Any]], encoding: Encoding) -> tuple[Matrix, dict[str, int]]:
    """Do for a few rows what `encode` and `count_unseen` do.

    Parameters
    ----------
    rows : sequence
        The values of each row, in the order of the encoding's features; None where one is missing.
    encoding : Encoding
    """
    coded = [[np.nan if value is None else value for value in row] for row in rows]
    unseen = {}
    for i, known in encoding.codes.items():
        n = 0
        for row, codes in zip(rows, coded, strict=True):
            codes[i] = MISSING if row[i] is None else known.get(row[i], OTHER)
            n += codes[i] == OTHER
        if n:
            unseen[encoding.names[i]] = n
    return np.array(coded, dtype=np.float64), unseen


def count_unseen(table: pd.DataFrame, encoding: Encoding) -> dict[str, int]:
    """Count, per category, the rows whose value is not among the stored levels."""
    counts = {}
    for i in encoding.categories:
        name = encoding.features[i].name
        place = _find_levels(table[name], encoding.known[name])
        unseen = int((table[name].notna() & (place < 0)).sum())
        if unseen:
            counts[name] = unseen
    return counts


def veil(table: pd.DataFrame, encoding: Encoding) -> pd.DataFrame:
    """Return rows of features that encode as those given and hold no text but the levels.

    A rare text may be a name or an address; the model reads it as any other.
    """
    veiled = table[encoding.names].copy()
    for i in encoding.categories:
        name = encoding.features[i].name
        other, levels = "any other", encoding.levels[name]
        while other in levels:
            other += " "
        rare = veiled[name].notna() & ~veiled[name].isin(levels)
        veiled[name] = veiled[name].where(~rare, other)
    return veiled


def encoding_to_json(encoding: Encoding) -> dict[str, Any]:
    """Return the features with their levels, for the bundle."""
    return {"features": [dict(vars(f)) for f in encoding.features], "levels": encoding.levels}


def encoding_from_json(content: dict[str, Any]) -> Encoding:
    """Read what `encoding_to_json` returned."""
    return Encoding([Feature(**f) for f in content["features"]], dict(content["levels"]))


def _encode_column(column: pd.Series[Any], known: pd.Index[Any] | None) -> npt.NDArray[np.float64]:
    """Return a column's numbers, or the codes of a category's values among its known levels."""
    if known is None:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    place = _find_levels(column, known)
    codes = np.where(place >= 0, place + FIRST_LEVEL, OTHER)
    return np.where(column.isna(), MISSING, codes).astype(np.float64)


def _find_levels(column: pd.Series[Any], known: pd.Index[Any]) -> npt.NDArray[np.int64]:
    """Return the place of each value among the levels, -1 where it is none of them or missing."""
    codes, distinct = pd.factorize(column)  # levels are few: each is looked up once
    found = known.get_indexer(pd.Index(distinct, dtype="object"))
    return np.append(found, -1)[codes]


def _frequent(column: pd.Series[str], name: str, most: int, least: int) -> list[str]:
    """Return the levels kept; an e-mail address is none, so that no model holds one."""
    counts = {str(level): int(n) for level, n in column.dropna().value_counts().items() if n >= least}
    addresses = [level for level in counts if has_address(level)]
    if addresses:
        logger.warning("%s: %d values hold an e-mail address and are no levels", name, len(addresses))
    counts = {level: n for level, n in counts.items() if level not in addresses}
    return sorted(counts, key=lambda level: (-counts[level], level))[:most]


def _varies(values: npt.NDArray[np.float64]) -> bool:
    known = values[~np.isnan(values)]
    return len(known) > 0 and (len(known) < len(values) or bool((known != known[0]).any()))
