"""Exact contributions of a forest from tables: the plan made once a model, and its use on batches.

What a row's contributions need of it are comparisons, and a table entry for each feature of each piece of a
tree (`propensity.model.pieces`). A leaf on a path of more features than a table has bits is done row by row.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import numpy as np
import numpy.typing as npt

from propensity.model.codes import Arrays, find_cuts, list_planes, node_arrays, plane_arrays
from propensity.model.pieces import CutTree, cut_tree
from propensity.model.tables import count_bytes, piece_arrays, quadrature, wide_arrays
from propensity.model.trees import Forest

# Tables of 2 to the power of 9 or 10 entries a feature stay in the processor's cache; smaller ones make more
# pieces, larger ones more to read.
# Where an entry lies in its table is a number of 16 bits: 12 features have 12 * 2 ** 12.
PIECE_BITS, LEAF_BITS, FEWEST_BITS = 9, 12, 3
MOST_BYTES = 256 * 2**20
BLOCK = 2048

Matrix = npt.NDArray[np.float64]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attributions:
    """What `explain` needs of a forest.

    Attributes
    ----------
    planes, nodes, pieces, wide : tuple of array
        As `propensity.model.codes` and `propensity.model.tables` make them.
    rule : tuple of array
        Quadrature for the leaves without a table.
    most_nodes, most_parts : int
        Inner nodes of a tree, and features on the path to a leaf without a table, at most.
    base : float
        The mean prediction under the trees' own counts of rows.
    """

    planes: Arrays
    nodes: Arrays
    pieces: Arrays
    wide: Arrays
    rule: Arrays
    most_nodes: int
    most_parts: int
    base: float


@cache
def load_kernels() -> ModuleType | None:
    """Return the compiled loops; None, and a line in the log, where numba is missing or finds no cache."""
    try:
        from propensity.model import kernels
    except ImportError as error:
        logger.warning("contributions take LightGBM's slower way: no numba (%s)", error)
        return None
    except RuntimeError as error:  # numba finds no folder for its cache
        logger.warning(
            "contributions take LightGBM's slower way: numba can store no compiled code "
            "(%s); set NUMBA_CACHE_DIR to a folder that can be written",
            error,
        )
        return None
    return kernels


def needed_kernels() -> ModuleType:
    """Return the compiled loops where `load_kernels` was seen to find them."""
    kernels = load_kernels()
    assert kernels is not None
    return kernels


def plan_attributions(
    forest: Forest,
    *,
    piece_bits: int = PIECE_BITS,
    leaf_bits: int = LEAF_BITS,
    most_bytes: int = MOST_BYTES,
) -> Attributions:
    """Cut a forest into pieces and fill their tables.

    Parameters
    ----------
    forest : Forest
    piece_bits, leaf_bits : int
        Of a piece, and of a leaf that is one.
    most_bytes : int
        Of all tables; where they would take more, fewer bits are used.

    Raises
    ------
    UnreadableTreesError
        A feature has more thresholds or categories than there are codes.
    """
    cuts, planes = find_cuts(forest), list_planes(forest)
    cut = _cut_within(forest, piece_bits, leaf_bits, most_bytes)
    parts = max((len(leaf.conditions) for tree in cut for leaf in tree.wide), default=1)
    means = [float(tree.leaf_value @ tree.leaf_count / tree.count[0]) for tree in forest.trees]
    return Attributions(
        plane_arrays(planes, cuts),
        node_arrays(forest, planes, cuts),
        piece_arrays(cut, needed_kernels()),
        wide_arrays(cut),
        quadrature(parts),
        max((len(tree.feature) for tree in forest.trees), default=1),
        parts,
        forest.constant + sum(means),
    )


def _cut_within(forest: Forest, piece_bits: int, leaf_bits: int, most_bytes: int) -> list[CutTree]:
    while True:
        cut = [cut_tree(tree, piece_bits, leaf_bits) for tree in forest.trees]
        if count_bytes(cut) <= most_bytes or piece_bits <= FEWEST_BITS:
            return cut
        piece_bits, leaf_bits = piece_bits - 1, max(leaf_bits - 2, FEWEST_BITS)


def explain(attributions: Attributions, matrix: Matrix, *, threads: int) -> Matrix:
    """Return the contributions of each feature of each row, shape (n_rows, n_features).

    Parameters
    ----------
    attributions : Attributions
    matrix : array of shape (n_rows, n_features)
    threads : int
        0 for all. A row's result depends neither on it nor on the other rows.
    """
    n_rows, n_columns = matrix.shape
    source, kernels = _source(matrix), needed_kernels()
    a, out = attributions, np.zeros((n_columns, n_rows))

    def work(start: int, stop: int) -> None:
        kernels.explain_rows(
            *source,
            a.planes,
            a.nodes,
            a.pieces,
            a.wide,
            a.rule,
            (a.most_nodes, a.most_parts, min(BLOCK, n_rows)),
            out,
            start,
            stop,
        )

    spread(work, n_rows, threads)
    return out.T


def spread(work: Callable[[int, int], None], n_rows: int, threads: int) -> None:
    """Call `work` with the bounds of stretches of rows that cover all of them, one a thread; 0 for all."""
    wanted = threads if threads > 0 else len(os.sched_getaffinity(0))
    used = min(wanted, -(-n_rows // BLOCK))
    if used <= 1:
        work(0, n_rows)
        return
    bounds = np.linspace(0, n_rows, used + 1).astype(np.int64).tolist()
    with ThreadPoolExecutor(used) as pool:
        list(pool.map(work, bounds[:-1], bounds[1:]))


def _source(matrix: Matrix) -> tuple[npt.NDArray[np.float64], int, int]:
    """Return the numbers of a matrix in their order in memory, and how far apart rows and columns lie."""
    n_rows, n_columns = matrix.shape
    if matrix.flags.f_contiguous:
        return matrix.T.reshape(-1), 1, n_rows
    return np.ascontiguousarray(matrix).reshape(-1), n_columns, 1
