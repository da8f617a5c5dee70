"""What the nodes of a forest compare: whole numbers in place of features.

A feature's code says where a value lies among all thresholds of the forest on it, or which of the
categories that the forest names it is. What is missing gets the lowest or the highest code, by the way it
goes, so that a feature has a *plane* of codes for each way its nodes treat what is missing, and a node needs
one comparison.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.model.trees import (
    CATEGORICAL,
    DEFAULT_LEFT,
    MISSING_NONE,
    Forest,
    Tree,
    UnreadableTreesError,
)

# What sends a code left: at or under the node's value, equal to it, listed from that place on.
UNDER, EQUAL, LISTED = 0, 1, 2
MOST_CODES = 2**16 - 2  # a code has 16 bits

Column = tuple[int, bool]  # feature, whether nodes read it as a category
Plane = tuple[int, bool, int, bool]  # and what they take for missing, whether that goes left
Cuts = dict[Column, npt.NDArray[np.float64]]
Arrays = tuple[npt.NDArray[Any], ...]


def find_cuts(forest: Forest) -> Cuts:
    """Return the rising thresholds, or the categories, that the nodes on each feature compare with.

    Raises
    ------
    UnreadableTreesError
        A feature has more of them than codes.
    """
    found: dict[Column, list[npt.NDArray[Any]]] = {}
    for tree in forest.trees:
        for k, threshold in enumerate(tree.threshold):
            plane = plane_of(tree, k)
            own = tree.categories[int(threshold)] if plane[1] else np.array([threshold])
            found.setdefault(plane[:2], []).append(own)
    cuts = {
        column: np.unique(np.concatenate(own).astype(np.float64)) for column, own in sorted(found.items())
    }
    if any(len(own) > MOST_CODES for own in cuts.values()):
        raise UnreadableTreesError(f"a feature has more than {MOST_CODES} thresholds")
    return cuts


def plane_of(tree: Tree, k: int) -> Plane:
    """Return the plane that node `k` of a tree compares."""
    decision = int(tree.decision[k])
    if decision & CATEGORICAL:
        return int(tree.feature[k]), True, MISSING_NONE, False
    missing = decision >> 2 & 3
    return int(tree.feature[k]), False, missing, missing != MISSING_NONE and bool(decision & DEFAULT_LEFT)


def list_planes(forest: Forest) -> list[Plane]:
    """Return the planes that a forest's nodes compare, each once."""
    return sorted({plane_of(tree, k) for tree in forest.trees for k in range(len(tree.feature))})


def plane_arrays(planes: list[Plane], cuts: Cuts) -> Arrays:
    """Return what `propensity.model.kernels.encode_block` needs of the planes."""
    own = [cuts[plane[:2]] for plane in planes]
    return (
        np.array([plane[0] for plane in planes], dtype=np.int64),
        np.array([plane[1] for plane in planes], dtype=np.bool_),
        np.array([plane[2] for plane in planes], dtype=np.int64),
        np.array([plane[3] for plane in planes], dtype=np.bool_),
        offsets(len(c) for c in own),
        np.concatenate([*own, np.empty(0)]),
    )


def node_arrays(forest: Forest, planes: list[Plane], cuts: Cuts) -> Arrays:
    """Return where each tree's nodes begin, and each node's plane, kind and value, and all lists of codes."""
    place = {plane: i for i, plane in enumerate(planes)}
    rows: list[tuple[int, int, int]] = []
    lists: list[npt.NDArray[np.uint8]] = []
    for tree in forest.trees:
        for k in range(len(tree.feature)):
            plane = plane_of(tree, k)
            rows.append((place[plane], *_comparison(tree, k, cuts[plane[:2]], lists)))
    table = np.array(rows, dtype=np.int32).reshape(-1, 3)
    listed = table[:, 1] == LISTED
    table[listed, 2] = offsets(map(len, lists))[table[listed, 2]]
    return (
        offsets(len(tree.feature) for tree in forest.trees),
        *(np.ascontiguousarray(table[:, i]) for i in range(3)),
        np.concatenate([*lists, np.empty(0, dtype=np.uint8)]),
    )


def _comparison(
    tree: Tree, k: int, cuts: npt.NDArray[np.float64], lists: list[npt.NDArray[np.uint8]]
) -> tuple[int, int]:
    """Return the kind and value of a node's comparison.

    A list of several categories joins `lists`, and the value is its place among them.
    """
    if not int(tree.decision[k]) & CATEGORICAL:
        return UNDER, int(np.searchsorted(cuts, tree.threshold[k]))
    levels = np.searchsorted(cuts, tree.categories[int(tree.threshold[k])]) + 1
    if len(levels) == 1:
        return EQUAL, int(levels[0])
    listed = np.zeros(len(cuts) + 1, dtype=np.uint8)
    listed[levels] = 1
    lists.append(listed)
    return LISTED, len(lists) - 1


def offsets(sizes: Any) -> npt.NDArray[np.int64]:
    """Return where stretches of these sizes begin, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(np.array(list(sizes), dtype=np.int64))]).astype(np.int64)
