"""LightGBM's trees as arrays, read from its text format.

The text holds, for each tree, one line a column: the features and thresholds of its inner nodes, the values
and counts of its leaves. A child at or above 0 is an inner node, ``~child`` a leaf.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

CATEGORICAL, DEFAULT_LEFT = 1, 2
MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2
WORD = 32  # bits of a word of a categories' bitset


@dataclass(frozen=True)
class Tree:
    """One tree with two leaves or more.

    Attributes
    ----------
    feature : array of int, shape (n_nodes,)
    threshold : array of shape (n_nodes,)
        Rows at or under it go left; of a categorical node, the place of its bitset.
    decision : array of int, shape (n_nodes,)
        LightGBM's ``decision_type``: bit 0 categorical, bit 1 missing goes left, bits 2 and 3 what is so.
    left, right : array of int, shape (n_nodes,)
    count : array of shape (n_nodes,)
        Rows that training saw in the node.
    leaf_value, leaf_count : array of shape (n_leaves,)
    categories : list of array
        Per bitset, the categories that go left.
    """

    feature: Whole
    threshold: Vector
    decision: Whole
    left: Whole
    right: Whole
    count: Vector
    leaf_value: Vector
    leaf_count: Vector
    categories: list[Whole]


@dataclass(frozen=True)
class Forest:
    """The trees of a model, summed.

    Attributes
    ----------
    trees : list of Tree
        Without those of a single leaf.
    constant : float
        The sum of the trees of a single leaf.
    """

    trees: list[Tree]
    constant: float


class UnreadableTreesError(ValueError):
    """The text holds trees of a kind that is not read here."""


def read_forest(text: str) -> Forest:
    """Read a model's text.

    Raises
    ------
    UnreadableTreesError
        The trees are linear, averaged or of several classes, or hold a node without rows.
    """
    header, *blocks = text.split("\nend of trees", 1)[0].split("\nTree=")
    if "\naverage_output" in header or _value(header, "num_tree_per_iteration") not in ("", "1"):
        raise UnreadableTreesError("its trees are averaged or of several classes")
    trees, constant = [], 0.0
    for block in blocks:
        fields = dict(_fields(block))
        if fields.get("is_linear", "0") != "0":
            raise UnreadableTreesError("its leaves hold linear models")
        if fields["num_leaves"] == "1":
            constant += float(fields["leaf_value"])
        else:
            trees.append(_read_tree(fields))
    return Forest(trees, constant)


def average(forests: Sequence[Forest]) -> Forest:
    """Return one forest whose sum is the mean of several."""
    share = 1 / len(forests)
    trees = [replace(t, leaf_value=share * t.leaf_value) for forest in forests for t in forest.trees]
    return Forest(trees, share * sum(forest.constant for forest in forests))


def _value(text: str, key: str) -> str:
    return dict(_fields(text)).get(key, "")


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, _, value = line.partition("=")
        yield key, value


def _read_tree(fields: dict[str, str]) -> Tree:
    def whole(name: str) -> Whole:
        return np.array(fields[name].split(), dtype=np.int64)

    def real(name: str) -> Vector:
        return np.array(fields[name].split(), dtype=np.float64)

    tree = Tree(
        whole("split_feature"),
        real("threshold"),
        whole("decision_type"),
        whole("left_child"),
        whole("right_child"),
        real("internal_count"),
        real("leaf_value"),
        real("leaf_count"),
        _read_categories(fields) if fields.get("num_cat", "0") != "0" else [],
    )
    if (tree.count <= 0).any() or (tree.leaf_count <= 0).any():
        raise UnreadableTreesError("a node of its trees holds no rows of training")
    return tree


def _read_categories(fields: dict[str, str]) -> list[Whole]:
    bounds = [int(b) for b in fields["cat_boundaries"].split()]
    words = [int(w) for w in fields["cat_threshold"].split()]
    found = []
    for start, stop in pairwise(bounds):
        bits = (
            WORD * i + k for i, word in enumerate(words[start:stop]) for k in range(WORD) if word >> k & 1
        )
        found.append(np.array(list(bits), dtype=np.int64))
    return found
