"""Pieces of trees as flat arrays, with the tables of what their leaves contribute."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np
import numpy.typing as npt

from propensity.model.codes import Arrays, offsets
from propensity.model.pieces import Condition, CutTree, Leaf, Piece


def count_bytes(cut: Sequence[CutTree]) -> int:
    """Return how many bytes the tables of all pieces take."""
    return sum(8 * len(columns_of(piece)) << piece.n_bits for tree in cut for piece in tree.pieces)


def columns_of(piece: Piece) -> list[int]:
    """Return the features that the leaves of a piece contribute to."""
    return sorted({feature for leaf in piece.leaves for feature in leaf.conditions})


def piece_arrays(cut: Sequence[CutTree], kernels: ModuleType) -> Arrays:
    """Return where each tree's pieces begin, their bits' conditions, their features and filled tables."""
    pieces = [piece for tree in cut for piece in tree.pieces]
    columns = [columns_of(piece) for piece in pieces]
    table_start = offsets(len(c) << piece.n_bits for c, piece in zip(columns, pieces, strict=True))
    tables = np.zeros(int(table_start[-1]))
    kernels.fill_tables(*_leaf_arrays(pieces, columns), table_start, *quadrature(_most_parts(pieces)), tables)
    return (
        offsets(len(tree.pieces) for tree in cut),
        offsets(piece.n_bits for piece in pieces),
        *_flatten([met for piece in pieces for met in _bits(piece)]),
        offsets(len(c) for c in columns),
        np.array([f for c in columns for f in c], dtype=np.int32),
        table_start,
        tables,
    )


def wide_arrays(cut: Sequence[CutTree]) -> Arrays:
    """Return where each tree's leaves without a table begin, and their values, shares and conditions."""
    leaves = [leaf for tree in cut for leaf in tree.wide]
    return (
        offsets(len(tree.wide) for tree in cut),
        np.array([leaf.value for leaf in leaves], dtype=np.float64),
        offsets(len(leaf.conditions) for leaf in leaves),
        np.array([f for leaf in leaves for f in leaf.conditions], dtype=np.int64),
        np.array([leaf.shares[f] for leaf in leaves for f in leaf.conditions], dtype=np.float64),
        *_flatten([met for leaf in leaves for met in leaf.conditions.values()]),
    )


def quadrature(parts: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return Gauss-Legendre nodes and weights on [0, 1] for paths of up to `parts` features.

    Row ``n`` holds those of ``n`` nodes, which are exact for polynomials of a degree under ``2 n``.
    """
    most = (parts + 1) // 2
    nodes, weights = np.zeros((most + 1, most)), np.zeros((most + 1, most))
    for n in range(1, most + 1):
        x, w = np.polynomial.legendre.leggauss(n)
        nodes[n, :n], weights[n, :n] = (x + 1) / 2, w / 2
    return nodes, weights


def _bits(piece: Piece) -> list[list[Condition]]:
    return [*piece.above.values(), *([(node, True)] for node in piece.nodes)]


def _most_parts(pieces: Sequence[Piece]) -> int:
    return max((len(leaf.conditions) for piece in pieces for leaf in piece.leaves), default=1)


def _leaf_arrays(pieces: Sequence[Piece], columns: Sequence[list[int]]) -> Arrays:
    """Return the leaves of all pieces; of each feature on a path its column and which bits meet it."""
    leaves = [(g, leaf) for g, piece in enumerate(pieces) for leaf in piece.leaves]
    parts = [part for g, leaf in leaves for part in _parts(leaf, pieces[g], columns[g])]
    table = np.array(parts, dtype=np.int64).reshape(-1, 3)
    return (
        np.array([g for g, _ in leaves], dtype=np.int64),
        np.array([leaf.value for _, leaf in leaves], dtype=np.float64),
        offsets(len(leaf.conditions) for _, leaf in leaves),
        *(np.ascontiguousarray(table[:, i]) for i in range(3)),
        np.array([leaf.shares[f] for _, leaf in leaves for f in leaf.conditions], dtype=np.float64),
        np.array([piece.n_bits for piece in pieces], dtype=np.int64),
        np.array([len(c) for c in columns], dtype=np.int64),
    )


def _parts(leaf: Leaf, piece: Piece, columns: list[int]) -> list[tuple[int, int, int]]:
    """Return, per feature of a leaf's path, its column, a mask of the bits about it and what they must be."""
    above = {feature: 1 << i for i, feature in enumerate(piece.above)}
    inside = {node: 1 << (len(above) + i) for i, node in enumerate(piece.nodes)}
    found = []
    for feature, conditions in leaf.conditions.items():
        mask = want = above.get(feature, 0)
        for node, left in conditions:
            bit = inside.get(node, 0)
            mask, want = mask | bit, want | (bit if left else 0)
        found.append((columns.index(feature), mask, want))
    return found


def _flatten(conditions: Sequence[Sequence[Condition]]) -> Arrays:
    flat = [condition for some in conditions for condition in some]
    return (
        offsets(len(some) for some in conditions),
        np.array([node for node, _ in flat], dtype=np.int32),
        np.array([left for _, left in flat], dtype=np.uint8),
    )
