"""Families: the features that speak as one reason, their sums, and which of them weigh most.

All that tells of one behaviour is one family. What a qualifier's event types and its activity as a whole say
alike is told once, by the weightier of the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
import numpy.typing as npt

from propensity.explain.phrases import ActivityKind, activity_kind
from propensity.explain.points import Points
from propensity.features.catalogue import Feature
from propensity.model.attributions import load_kernels
from propensity.model.estimators import Matrix, add_columns

RECENCY = "days_since"
# From so many rows on, compiled loops save more than it takes to load them.
COMPILED_FROM = 5_000

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Families:
    """What speaks as one reason, per row.

    Attributes
    ----------
    names : list of str
        As `Feature.family`.
    spokesman : array of int, shape (n_rows, n_families)
        The weightiest member, as its place among the features.
    told : array of int, shape (n_rows, n_families)
        The member whose value is told: the spokesman, or instead of a recency the weightiest amount.
    sums : array of shape (n_rows, n_families)
        Points; a row's sum over the families is that over the features.
    """

    names: list[str]
    spokesman: Places
    told: Places
    sums: Matrix


@dataclass(frozen=True)
class Grouping:
    """Which features speak as one reason.

    Attributes
    ----------
    names : list of str
        As `Feature.family`.
    columns : list of list of int
        The places of each family's members.
    amounts : list of list of int
        Of them, those whose value may be told: all but a recency, where there are others.
    alike : list of (int, list of int)
        The place of each family about a qualifier's activity as a whole, and those about its event types.
    """

    names: list[str]
    columns: list[list[int]]
    amounts: list[list[int]]
    alike: list[tuple[int, list[int]]]


def find_grouping(features: list[Feature]) -> Grouping:
    """Say which of the features speak as one reason."""
    members: dict[str, list[int]] = {}
    for j, feature in enumerate(features):
        members.setdefault(feature.family, []).append(j)
    columns = list(members.values())
    amounts = [[j for j in own if features[j].statistic != RECENCY] or own for own in columns]
    alike = _tell_alike([{activity_kind(features[j]) for j in own} for own in columns])
    return Grouping(list(members), columns, amounts, alike)


def group_families(points: Points, features: list[Feature]) -> Families:
    """Group the features of each family, and what tells of the same behaviour in another way.

    A qualifier's activity as a whole is mostly its event types over again. Where its points and those of
    the weightiest event type have the same sign, the weightier of the two takes both.
    """
    found = find_grouping(features)
    group = _group_compiled if _large(points.values) and found.columns else _group
    return Families(found.names, *group(points.values, found.columns, found.amounts, found.alike))


def group_row(values: Sequence[float], grouping: Grouping) -> list[float]:
    """Return for a single row the sums that `group_families` finds, to the last bit."""
    sums = [
        0.0 + values[own[0]] if len(own) == 1 else sum_in_order([values[j] for j in own])
        for own in grouping.columns
    ]
    for k, types in grouping.alike:
        strongest = max(types, key=lambda i: abs(sums[i]))
        activity, event_type = sums[k], sums[strongest]
        if activity * event_type > 0:
            by_type = abs(event_type) >= abs(activity)
            sums[strongest] = event_type + activity if by_type else 0.0
            sums[k] = 0.0 if by_type else event_type + activity
    return sums


def find_weightiest(values: Sequence[float], members: Sequence[int]) -> int:
    """Return which of some features of a single row weighs most, the first of equals."""
    return members[0] if len(members) == 1 else max(members, key=lambda j: abs(values[j]))


def sum_in_order(values: Iterable[float]) -> float:
    """Return the sum of values added one after another, as `add_columns` adds."""
    return reduce(add, values, 0.0)


def weightiest_families(families: Families, most: int) -> Places:
    """Return each row's families with the largest absolute sums, the weightiest first, the first of equals.

    Returns
    -------
    array of int, shape (n_rows, at most `most`)
    """
    sums = families.sums
    if not _large(sums) or most < 1:
        return np.argsort(-np.abs(sums), axis=1, kind="stable")[:, :most]
    from propensity.explain import choosing

    order = np.empty((min(most, sums.shape[1]), len(sums)), dtype=np.int64)
    choosing.order_rows(np.ascontiguousarray(sums.T), order)
    return order.T


def _large(values: Matrix) -> bool:
    return len(values) >= COMPILED_FROM and load_kernels() is not None


def _tell_alike(kinds: list[set[ActivityKind | None]]) -> list[tuple[int, list[int]]]:
    """Return each family about a qualifier's activity as a whole, with those about its event types."""
    found = []
    for k, kind in enumerate(kinds):
        whole = next((a for a in kind if a is not None and a.whole), None)
        if whole is not None:
            same = ActivityKind(whole.qualifier, whole=False)
            found.append((k, [i for i, other in enumerate(kinds) if same in other]))
    return [(k, types) for k, types in found if types]


def _group(
    values: Matrix, columns: list[list[int]], amounts: list[list[int]], alike: list[tuple[int, list[int]]]
) -> tuple[Places, Places, Matrix]:
    shape = (len(values), len(columns))
    spokesman, told, sums = np.empty(shape, np.int64), np.empty(shape, np.int64), np.empty(shape)
    for k, (own, told_of) in enumerate(zip(columns, amounts, strict=True)):
        spokesman[:, k] = _weightiest(values[:, own], own)
        told[:, k] = _weightiest(values[:, told_of], told_of)
        sums[:, k] = add_columns(values[:, own], 0.0)
    rows = np.arange(len(sums))
    for k, types in alike:
        strongest = np.array(types)[np.abs(sums[:, types]).argmax(axis=1)]
        activity, event_type = sums[:, k].copy(), sums[rows, strongest]
        same_sign = activity * event_type > 0
        by_type = same_sign & (np.abs(event_type) >= np.abs(activity))
        sums[rows, strongest] = np.where(by_type, event_type + activity, np.where(same_sign, 0.0, event_type))
        sums[:, k] = np.where(by_type, 0.0, np.where(same_sign, event_type + activity, activity))
    return spokesman, told, sums


def _weightiest(values: Matrix, columns: list[int]) -> Places:
    return np.asarray(np.array(columns)[np.abs(values).argmax(axis=1)])


def _group_compiled(
    values: Matrix, columns: list[list[int]], amounts: list[list[int]], alike: list[tuple[int, list[int]]]
) -> tuple[Places, Places, Matrix]:
    """Do what `_group` does, to the last bit."""
    from propensity.explain import choosing

    turned = np.ascontiguousarray(values.T)
    shape = (len(columns), len(values))
    spokesman, told = np.empty(shape, np.int64), np.empty(shape, np.int64)
    sums, unused = np.empty(shape), np.empty(shape)
    choosing.group_rows(turned, *_flatten(columns), spokesman, sums)
    choosing.group_rows(turned, *_flatten(amounts), told, unused)
    for k, types in alike:
        choosing.join_activity(sums, k, np.array(types, dtype=np.int64))
    return spokesman.T, told.T, sums.T


def _flatten(columns: list[list[int]]) -> tuple[Places, Places]:
    starts = np.concatenate([[0], np.cumsum([len(own) for own in columns])]).astype(np.int64)
    return starts, np.array([j for own in columns for j in own], dtype=np.int64)
