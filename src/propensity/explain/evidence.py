"""Evidence: how the leads that had such a value ended, for each feature, as counts of leads.

It is what happened, feature by feature, and no part of the score: a rate and the points of the same feature
may point in different directions, because the model weighs all features together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.data.cells import has_address
from propensity.errors import BundleError
from propensity.explain.texts import Told
from propensity.explain.words import (
    Words,
    mask_addresses,
    name_qualifier,
    name_subject,
    say,
    write_number,
    write_share,
)
from propensity.features.catalogue import Feature

PARTS = ("train", "stop", "calibrate")
# Fewer leads are joined with a neighbouring bin, so that a rate means something.
ENOUGH = 50
# Fewer leads are never told of, so that no rate is about a handful of persons.
FEWEST = 20
# What nearly every lead was like at some time, such as without a visit when it was created, tells nothing.
NEARLY_ALL = 0.9
COUNTED = frozenset({"count", "asset_count", "assets", "active_days", "account"})
IN_DAYS = frozenset({"days_since", "age_days"})
COUNT_EDGES = (1.0, 3.0)
CYCLES = {"created_weekday": "on_weekday", "as_of_month": "in_month"}
QUARTERS = (0.25, 0.5, 0.75)

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Evidence:
    """What is told of each feature's values.

    Attributes
    ----------
    n, won : int
        Leads, and those won, in `PARTS`.
    features : dict
        Feature name to ``edges`` (of bins, each from its edge up to the next one, that left out) or
        ``levels``, and ``cells``, each ``{n, won}`` or null where fewer than `FEWEST` leads or nearly all
        had such a value: by bin, or by level and then all rarer levels; the last one where it is unknown.
    """

    n: int
    won: int
    features: Mapping[str, Any]


def gather_evidence(table: pd.DataFrame, features: list[Feature]) -> Evidence:
    """Count leads and wins by the value of each feature.

    A lead counts once for each bin or level that any of its snapshots had, and as won there if such a
    snapshot is labelled won. Bins are chosen on the train part: none, 1 to 2, and 3 or more of what is
    counted, quarters of the rest; bins of fewer than `ENOUGH` leads are joined. Levels with fewer than
    `FEWEST` leads are counted together. A value that `NEARLY_ALL` leads had at some time is left out.

    Parameters
    ----------
    table : DataFrame
        ``lead_id, split, won`` and the features; snapshots of other parts are not used.
    features : list of Feature
    """
    used = table[table["split"].isin(PARTS)]
    leads = pd.factorize(used["lead_id"])[0].astype(np.int64)
    won, train = used["won"].to_numpy(dtype=bool), (used["split"] == "train").to_numpy(dtype=bool)
    found = {f.name: _describe(f, used[f.name], leads, won, train) for f in features}
    # A single bin sets no lead apart, and there are no words for it.
    told = {name: row for name, row in found.items() if any(row["cells"]) and row.get("edges") != []}
    return Evidence(len(np.unique(leads)), len(np.unique(leads[won])), told)


def evidence_to_json(evidence: Evidence) -> dict[str, Any]:
    """Return the evidence for the bundle."""
    return {"n": evidence.n, "won": evidence.won, "features": dict(evidence.features)}


def evidence_from_json(content: Mapping[str, Any]) -> Evidence:
    """Read what `evidence_to_json` returned.

    Raises
    ------
    BundleError
        It has another shape.
    """
    try:
        made = Evidence(int(content["n"]), int(content["won"]), dict(content["features"]))
        for row in made.features.values():
            assert len(row["cells"]) == _size(row)
            assert all(c is None or c["n"] >= max(c["won"], FEWEST) for c in row["cells"])
    except (AssertionError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"evidence.json should hold counts of leads by feature: {error!r}") from None
    return made


def tell_evidence(evidence: Evidence | None, feature: Feature, column: pd.Series[Any], words: Words) -> Told:
    """Return the sentence about the leads that had each value; empty where nothing can be told.

    Parameters
    ----------
    evidence : Evidence or None
    feature : Feature
    column : Series
        Values of the feature.
    words : Words
    """
    row = None if evidence is None else evidence.features.get(feature.name)
    if evidence is None or row is None:
        return Told(np.zeros(len(column), dtype=np.int64), [""])
    sentences = [tell_place(evidence, feature, row, place, words) for place in range(_size(row))]
    return Told(_place(column, row), [*sentences])


def place_value(row: Mapping[str, Any], value: Any) -> int:
    """Return the place of a single value among a feature's cells, as for many values in `tell_evidence`."""
    if value is None:
        return _size(row) - 1
    if "levels" not in row:
        return bisect_right(row["edges"], value)
    level = f"{value:g}" if isinstance(value, float) else str(value)
    return row["levels"].index(level) if level in row["levels"] else len(row["levels"])


def tell_place(evidence: Evidence, feature: Feature, row: Mapping[str, Any], place: int, words: Words) -> str:
    """Return the sentence about the leads whose value was at a place; empty where nothing can be told."""
    cell = row["cells"][place]
    if cell is None:
        return ""
    return say(
        words,
        "evidence",
        cell["n"],
        condition=_tell_condition(feature, row, place, words),
        rate=write_share(words, cell["won"] / cell["n"]),
        won=write_number(words, cell["won"]),
        overall=write_share(words, evidence.won / evidence.n),
    )


def _describe(
    feature: Feature,
    column: pd.Series[Any],
    leads: Codes,
    won: npt.NDArray[np.bool_],
    train: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    row: dict[str, Any]
    if _by_level(feature):
        row = {"levels": _frequent(_as_levels(column), leads)}
    else:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        row = {"edges": _choose_edges(feature, values[train], leads[train])}
    codes, size = _place(column, row), _size(row)
    counted = zip(_count(codes, leads, size), _count(codes[won], leads[won], size), strict=True)
    most = NEARLY_ALL * len(np.unique(leads))
    cells = [{"n": int(n), "won": int(w)} if FEWEST <= n <= most else None for n, w in counted]
    return {**row, "cells": cells}


def _size(row: Mapping[str, Any]) -> int:
    return len(row["levels"] if "levels" in row else row["edges"]) + 2


def _count(codes: Codes, leads: Codes, size: int) -> Codes:
    """Return how many different leads each code has."""
    pairs = np.unique(leads * size + codes)
    return np.bincount(pairs % size, minlength=size).astype(np.int64)


def _by_level(feature: Feature) -> bool:
    return feature.kind == "category" or feature.name in CYCLES


def _as_levels(column: pd.Series[Any]) -> pd.Series[Any]:
    """A weekday or a month is the level named by its number."""
    if pd.api.types.is_numeric_dtype(column):
        return column.map(lambda x: None if pd.isna(x) else f"{x:g}").astype("str")
    return column.astype("str")


def _frequent(column: pd.Series[Any], leads: Codes) -> list[str]:
    known = column.notna().to_numpy(dtype=bool)
    pairs = pd.DataFrame({"level": column[known].to_numpy(), "lead": leads[known]}).drop_duplicates()
    counts = pairs["level"].value_counts()
    return sorted(str(level) for level, n in counts.items() if n >= FEWEST and not has_address(str(level)))


def _choose_edges(feature: Feature, values: npt.NDArray[np.float64], leads: Codes) -> list[float]:
    known = ~np.isnan(values)
    values, leads = values[known], leads[known]
    if len(values) == 0:
        return []
    if feature.statistic in COUNTED:
        edges = list(COUNT_EDGES)
    else:
        whole = bool({feature.statistic, feature.name} & IN_DAYS)
        quarters = np.quantile(values, QUARTERS, method="higher")
        edges = sorted({float(round(q)) if whole else float(f"{q:.2g}") for q in quarters})
    return _join_small([e for e in edges if values.min() < e <= values.max()], values, leads)


def _join_small(edges: list[float], values: npt.NDArray[np.float64], leads: Codes) -> list[float]:
    """Take out edges until each bin has enough leads; the smallest bin joins its smaller neighbour."""
    while edges:
        sizes = _count(np.searchsorted(edges, values, side="right"), leads, len(edges) + 1)
        small = int(sizes.argmin())
        if sizes[small] >= ENOUGH:
            break
        left = sizes[small - 1] if small > 0 else np.inf
        right = sizes[small + 1] if small < len(edges) else np.inf
        edges = [e for i, e in enumerate(edges) if i != (small - 1 if left <= right else small)]
    return edges


def _place(column: pd.Series[Any], row: Mapping[str, Any]) -> Codes:
    """Return the place of each value among the cells."""
    if "levels" in row:
        levels = pd.Index(row["levels"], dtype="object")
        found = levels.get_indexer(pd.Index(_as_levels(column), dtype="object"))
        codes = np.where(found >= 0, found, len(levels))
    else:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        codes = np.searchsorted(row["edges"], values, side="right")
    return np.where(column.isna().to_numpy(dtype=bool), _size(row) - 1, codes).astype(np.int64)


def _tell_condition(feature: Feature, row: Mapping[str, Any], place: int, words: Words) -> str:
    if place == _size(row) - 1:
        return say(
            words, "with_never" if feature.statistic in ("days_since", "last_asset") else "with_unknown"
        )
    if "levels" not in row:
        return _tell_bin(feature, row["edges"], place, words)
    if feature.name in CYCLES:
        return say(words, CYCLES[feature.name])
    if feature.statistic == "last_asset":
        subject = say(words, "asset", qualifier=name_qualifier(words, feature.qualifier))
    else:
        subject = name_subject(words, feature.subject)
    if place == len(row["levels"]):
        return say(words, "with_rare", subject=subject)
    return say(words, "with_level", subject=subject, value=mask_addresses(row["levels"][place]))


def _tell_bin(feature: Feature, edges: list[float], place: int, words: Words) -> str:
    low = edges[place - 1] if place > 0 else None
    high = edges[place] if place < len(edges) else None
    if feature.statistic in COUNTED:
        return _tell_counted(low, high, words)
    prefix = {"days_since": "last", "timing": "aged"}.get(feature.statistic, "with")
    prefix = "with" if feature.name == "created_hour" else prefix
    low_text = "" if low is None else write_number(words, low)
    if high is None:
        return say(words, f"{prefix}_least", low, low=low_text)
    if low is None:
        return say(words, f"{prefix}_under", high, high=write_number(words, high))
    return say(words, f"{prefix}_between", high, low=low_text, high=write_number(words, high))


def _tell_counted(low: float | None, high: float | None, words: Words) -> str:
    """Whole numbers: the edge above is the first number that is not in the bin."""
    first, last = low or 0, None if high is None else high - 1
    if last == 0:
        return say(words, "with_none")
    low_text = write_number(words, first)
    if last is None:
        return say(words, "with_least", low=low_text)
    if first == last:
        return say(words, "with_exactly", low=low_text)
    return say(words, "with_between", low=low_text, high=write_number(words, last))
