"""Trees cut into pieces whose leaves' contributions fit into a table.

In path-dependent tree SHAP (Lundberg et al. 2020, doi:10.1038/s42256-019-0138-9) a leaf of value ``v`` adds
to the contribution of a feature ``i`` on its path

    ``v (o_i - z_i) * integral over t in [0, 1] of  prod over j != i of  (t o_j + (1 - t) z_j)  dt``

where, for each distinct feature ``j`` of the path, ``o_j`` says whether the row meets all the path's
conditions on it, and ``z_j`` is the product of the shares of training rows that do (the Shapley weights are
this integral). So what a leaf adds depends on one bit a feature, and what the leaves of a connected piece of
a tree add depends on one bit for each feature on the way to the piece and one for each node in it: a table of
two to the power of the bits rows. FastTreeSHAP (arXiv 2109.09847) and WOODELF tabulate leaf by leaf.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from propensity.model.trees import Tree

# A condition is met by a row that goes left (or right) at an inner node.
Condition = tuple[int, bool]


@dataclass(frozen=True)
class Leaf:
    """A leaf, and its path's conditions by feature.

    Attributes
    ----------
    value : float
    conditions : dict
        Feature to its conditions, from the root down.
    shares : dict
        Feature to the share of rows that meet them, ``z``.
    """

    value: float
    conditions: dict[int, list[Condition]]
    shares: dict[int, float]


@dataclass(frozen=True)
class Piece:
    """A connected part of a tree.

    Attributes
    ----------
    above : dict
        Feature to the conditions on the way to the piece, one bit each; these bits come first.
    nodes : list of int
        The inner nodes that tell its leaves apart, one bit each.
    leaves : list of Leaf
    """

    above: dict[int, list[Condition]]
    nodes: list[int]
    leaves: list[Leaf]

    @property
    def n_bits(self) -> int:
        """How many bits say what the piece's leaves add."""
        return len(self.above) + len(self.nodes)


@dataclass(frozen=True)
class CutTree:
    """A tree's pieces, and its leaves on paths of too many features for a table."""

    pieces: list[Piece]
    wide: list[Leaf]


@dataclass
class _Walk:
    """What the way down a tree told: parents before children."""

    order: list[int] = field(default_factory=list)
    above: dict[int, dict[int, list[Condition]]] = field(default_factory=dict)
    shares: dict[int, dict[int, float]] = field(default_factory=dict)


def cut_tree(tree: Tree, most_bits: int, leaf_bits: int) -> CutTree:
    """Cut a tree into pieces of at most `most_bits` bits.

    From the leaves up, a node joins the pieces of its children; where that takes too many bits, the larger
    child's piece is cut off. A leaf that is too deep for it is a piece of its own of up to `leaf_bits`.
    """
    walk = _walk(tree)
    open_: dict[int, list[int]] = {}
    pieces, wide = [], []
    for node in reversed(walk.order):
        room = most_bits - len(walk.above[node])
        children = [c for c in (int(tree.left[node]), int(tree.right[node])) if open_.get(c)]
        children.sort(key=lambda c: len(open_[c]))
        while children and 1 + sum(len(open_[c]) for c in children) > room:
            cut = children.pop()
            pieces.append(_piece(tree, walk, cut, open_.pop(cut)))
        if room >= 1:
            open_[node] = [node, *(n for c in children for n in open_.pop(c))]
            continue
        for child in (int(tree.left[node]), int(tree.right[node])):
            if child < 0:
                leaf = _leaf(tree, walk, child)
                fits = len(leaf.conditions) <= leaf_bits
                pieces.append(Piece(leaf.conditions, [], [leaf])) if fits else wide.append(leaf)
    pieces += [_piece(tree, walk, top, nodes) for top, nodes in open_.items()]
    return CutTree([p for p in reversed(pieces) if p.leaves], wide)


def _walk(tree: Tree) -> _Walk:
    walk = _Walk([], {0: {}}, {0: {}})
    waiting = [0]
    while waiting:
        node = waiting.pop()
        walk.order.append(node)
        feature = int(tree.feature[node])
        for child, left in _children(tree, node):
            count = tree.count[child] if child >= 0 else tree.leaf_count[~child]
            above, shares = walk.above[node], walk.shares[node]
            walk.above[child] = {**above, feature: [*above.get(feature, []), (node, left)]}
            share = shares.get(feature, 1.0) * float(count / tree.count[node])
            walk.shares[child] = {**shares, feature: share}
            if child >= 0:
                waiting.append(child)
    return walk


def _children(tree: Tree, node: int) -> Iterator[tuple[int, bool]]:
    yield int(tree.left[node]), True
    yield int(tree.right[node]), False


def _leaf(tree: Tree, walk: _Walk, child: int) -> Leaf:
    return Leaf(float(tree.leaf_value[~child]), walk.above[child], walk.shares[child])


def _piece(tree: Tree, walk: _Walk, top: int, nodes: list[int]) -> Piece:
    """Keep the nodes of a piece that tell its leaves apart."""
    members = set(nodes)
    found = [child for node in nodes for child, _ in _children(tree, node) if child < 0]
    leaves = [_leaf(tree, walk, child) for child in found]
    telling = {n for leaf in leaves for met in leaf.conditions.values() for n, _ in met} & members
    return Piece(walk.above[top], [n for n in nodes if n in telling], leaves)
