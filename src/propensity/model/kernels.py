"""Compiled loops of exact contributions: rows to codes, codes to bits, bits to sums of table entries.

Everything works on blocks of rows, column by column, so that bits and sums stay in the processor's cache. A
row's sums are added in one order, whatever its block or thread. The kernels release the interpreter's lock.
What is compiled, at the first call, is kept on disk: beside this module, or in the user's cache where that is
read-only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from propensity.model.codes import EQUAL, UNDER
from propensity.model.trees import MISSING_NAN, MISSING_ZERO

F = TypeVar("F", bound=Callable[..., Any])

TINY = float(np.float32(1e-35))  # LightGBM's kZeroThreshold
LARGEST_INT = 2147483648.0
# A block of fewer rows is explained row by row: loops over so few cost more than they save.
LEAST_BLOCK = 16


def compiled(function: F) -> F:
    """Compile a function at its first call."""
    return cast(F, numba.njit(cache=True, nogil=True)(function))


@compiled
def fill_tables(
    leaf_piece: Any,
    leaf_value: Any,
    part_start: Any,
    part_column: Any,
    part_mask: Any,
    part_want: Any,
    part_share: Any,
    n_bits: Any,
    n_columns: Any,
    table_start: Any,
    points: Any,
    weights: Any,
    tables: Any,
) -> None:
    """Add what each leaf contributes to its piece's table.

    A table has a row for each of ``2 ** bits`` patterns, with an entry for each of the piece's features.
    """
    for leaf in range(len(leaf_piece)):
        piece = leaf_piece[leaf]
        first, stop = part_start[leaf], part_start[leaf + 1]
        n, size, step = stop - first, 1 << n_bits[piece], n_columns[piece]
        own = contribute(leaf_value[leaf], part_share[first:stop], points, weights)
        for pattern in range(size):
            met, row = 0, table_start[piece] + step * pattern
            for j in range(n):
                met |= int((pattern & part_mask[first + j]) == part_want[first + j]) << j
            for i in range(n):
                tables[row + part_column[first + i]] += own[met, i]


@compiled
def contribute(value: Any, share: Any, points: Any, weights: Any) -> Any:
    """Return what a leaf adds to each feature of its path, a row for each set of features that are met.

    The integral over t is a polynomial's, which Gauss-Legendre quadrature gives exactly.
    """
    n = len(share)
    n_points = (n + 1) // 2
    own = np.zeros((1 << n, n))
    for met in range(1 << n):
        for q in range(n_points):
            t = points[n_points, q]
            product = value * weights[n_points, q]
            for j in range(n):
                product *= ((met >> j) & 1) * t + (1.0 - t) * share[j]
            for i in range(n):
                own[met, i] += product / (((met >> i) & 1) * t + (1.0 - t) * share[i])
        for i in range(n):
            own[met, i] *= ((met >> i) & 1) - share[i]
    return own


@compiled
def count_under(cuts: Any, value: Any) -> Any:
    """Return how many of the rising `cuts` lie under a value; none for NaN."""
    low, left = 0, len(cuts)
    while left > 1:
        half = left // 2
        low += half * int(cuts[low + half - 1] < value)
        left -= half
    return low + int(left == 1 and cuts[low] < value)


@compiled
def find_levels(x: Any, levels: Any, codes: Any, n: Any) -> None:
    """Write, for each of `n` values, 1 + its place among the rising `levels`, 0 where it is none of them.

    As in LightGBM, a value is cut to a whole number; NaN and what is negative then is no category.
    """
    for r in range(n):
        value = np.trunc(x[r]) if x[r] > -1.0 and x[r] < LARGEST_INT else -1.0
        low = count_under(levels, value)
        codes[r] = low + 1 if low < len(levels) and levels[low] == value else 0


@compiled
def find_places(x: Any, cuts: Any, missing: Any, gone: Any, codes: Any, n: Any) -> None:
    """Write, for each of `n` values, how many of the rising `cuts` lie under it; `gone` where it is missing.

    `missing` is LightGBM's type; where NaN is no missing value it is read as zero.
    """
    for r in range(n):
        value = x[r]
        if np.isnan(value) and missing != MISSING_NAN:
            value = 0.0
        codes[r] = count_under(cuts, value)
        x[r] = value
    if missing == MISSING_NAN:
        for r in range(n):
            if np.isnan(x[r]):
                codes[r] = gone
    elif missing == MISSING_ZERO:
        for r in range(n):
            if abs(x[r]) <= TINY:
                codes[r] = gone


@compiled
def encode_block(
    flat: Any, row_step: Any, column_step: Any, planes: Any, begin: Any, n: Any, x: Any, codes: Any
) -> None:
    """Write the code of each row of a block on each plane (see `propensity.model.codes`)."""
    features, by_level, missing, goes_left, cut_start, cuts = planes
    for p in range(len(features)):
        first = begin * row_step + features[p] * column_step
        own = cuts[cut_start[p] : cut_start[p + 1]]
        for r in range(n):
            x[r] = flat[first + r * row_step]
        if by_level[p]:
            find_levels(x, own, codes[p], n)
        else:
            find_places(x, own, missing[p], 0 if goes_left[p] else len(own), codes[p], n)


@compiled
def decide(code: Any, kind: Any, value: Any, lists: Any, left: Any, n: Any) -> None:
    """Write 1 for each row of a block that goes left at a node, else 0."""
    bound = np.uint16(value)
    if kind == UNDER:
        for r in range(n):
            left[r] = code[r] <= bound
    elif kind == EQUAL:
        for r in range(n):
            left[r] = code[r] == bound
    else:
        listed = lists[value:]
        for r in range(n):
            left[r] = listed[code[r]]


@compiled
def meet(nodes: Any, wants: Any, left: Any, met: Any, n: Any) -> None:
    """Write 1 for each row that meets all conditions, else 0."""
    went, flip = left[nodes[0]], np.uint8(1 - wants[0])
    for r in range(n):
        met[r] = went[r] ^ flip
    for c in range(1, len(nodes)):
        went, flip = left[nodes[c]], np.uint8(1 - wants[c])
        for r in range(n):
            met[r] &= went[r] ^ flip


@compiled
def find_entries(
    bits: Any, step: Any, start: Any, nodes: Any, wants: Any, left: Any, met: Any, place: Any, n: Any
) -> None:
    """Write where each row's entries lie in a piece's table, of which a row has `step`.

    `bits` are the first and the one after the last.
    """
    place[:n] = 0
    first, stop = bits
    for bit in range(first, stop):
        low, high = start[bit], start[bit + 1]
        own = met
        if high - low == 1 and wants[low] == 1:
            own = left[nodes[low]]
        else:
            meet(nodes[low:high], wants[low:high], left, met, n)
        # A product of 16 bits is taken for many rows at once; a shift would be made of 64.
        weight = np.uint16(step << (bit - first))
        for r in range(n):
            place[r] += np.uint16(own[r]) * weight


@compiled
def add_entries(features: Any, table: Any, place: Any, out: Any, begin: Any, n: Any) -> None:
    """Add each row's table entry of each of a piece's features to the row's contributions."""
    for column in range(len(features)):
        entries, own = table[column:], out[features[column]]
        for r in range(n):
            own[begin + r] += entries[place[r]]


@compiled
def add_wide(
    value: Any, features: Any, shares: Any, met: Any, points: Any, weights: Any, out: Any, begin: Any, n: Any
) -> None:
    """Add what a leaf without a table contributes, from the integral itself; `met` has a row a feature.

    All factors are positive, so that nothing cancels however long the path.
    """
    n_points = (len(features) + 1) // 2
    product = np.empty(n)
    for q in range(n_points):
        t = points[n_points, q]
        product[:] = value * weights[n_points, q]
        for j in range(len(features)):
            missed = (1.0 - t) * shares[j]
            for r in range(n):
                product[r] *= missed + t * met[j, r]
        for i in range(len(features)):
            missed = (1.0 - t) * shares[i]
            by_met, by_missed = (1.0 - shares[i]) / (missed + t), -shares[i] / missed
            own = out[features[i]]
            for r in range(n):
                own[begin + r] += product[r] * (by_met if met[i, r] else by_missed)


@compiled
def explain_rows(
    flat: Any,
    row_step: Any,
    column_step: Any,
    planes: Any,
    nodes: Any,
    pieces: Any,
    wide: Any,
    rule: Any,
    sizes: Any,
    out: Any,
    start: Any,
    stop: Any,
) -> None:
    """Add the contributions of the rows from `start` to `stop` to `out`, an array of (features, rows)."""
    most_nodes, most_parts, block = sizes
    node_start, node_plane, node_kind, node_value, lists = nodes
    x, pattern = np.empty(block), np.empty(block, np.uint16)
    codes = np.empty((len(planes[0]), block), np.uint16)
    left = np.empty((most_nodes, block), np.uint8)
    met = np.empty((most_parts, block), np.uint8)
    for begin in range(start, stop, block):
        n = min(block, stop - begin)
        encode_block(flat, row_step, column_step, planes, begin, n, x, codes)
        if n < LEAST_BLOCK:
            for r in range(n):
                add_row(codes[:, r], nodes, pieces, wide, rule, left[:, :1], met[:, :1], out, begin + r)
            continue
        for tree in range(len(node_start) - 1):
            first = node_start[tree]
            for k in range(first, node_start[tree + 1]):
                decide(codes[node_plane[k]], node_kind[k], node_value[k], lists, left[k - first], n)
            add_pieces(tree, pieces, left, met[0], pattern, out, begin, n)
            add_wide_leaves(tree, wide, rule, left, met, out, begin, n)


@compiled
def goes_left(code: Any, kind: Any, value: Any, lists: Any) -> Any:
    """Return 1 for a code that goes left at a node, else 0."""
    if kind == UNDER:
        return code <= value
    return code == value if kind == EQUAL else lists[value + code]


@compiled
def find_pattern(first: Any, stop: Any, start: Any, nodes: Any, wants: Any, left: Any) -> Any:
    """Return the bits of a piece, from `first` to `stop`, of a single row as one number."""
    pattern = 0
    for bit in range(first, stop):
        meets = 1
        for c in range(start[bit], start[bit + 1]):
            meets &= int(left[nodes[c], 0] == wants[c])
        pattern |= meets << (bit - first)
    return pattern


@compiled
def add_row(
    codes: Any, nodes: Any, pieces: Any, wide: Any, rule: Any, left: Any, met: Any, out: Any, row: Any
) -> None:
    """Add the contributions of a row by its codes, in the order of `explain_rows` and so to the same sums."""
    node_start, node_plane, node_kind, node_value, lists = nodes
    piece_start, bit_start, starts, conditions, wants, column_start, features, table_start, tables = pieces
    for tree in range(len(node_start) - 1):
        first = node_start[tree]
        for k in range(first, node_start[tree + 1]):
            left[k - first, 0] = goes_left(codes[node_plane[k]], node_kind[k], node_value[k], lists)
        for piece in range(piece_start[tree], piece_start[tree + 1]):
            pattern = find_pattern(bit_start[piece], bit_start[piece + 1], starts, conditions, wants, left)
            low, high = column_start[piece], column_start[piece + 1]
            entries = table_start[piece] + pattern * (high - low)
            for column in range(high - low):
                out[features[low + column], row] += tables[entries + column]
        if wide[0][tree] < wide[0][tree + 1]:  # a call costs as much as a tree
            add_wide_leaves(tree, wide, rule, left, met, out, row, 1)


@compiled
def add_pieces(
    tree: Any, pieces: Any, left: Any, met: Any, pattern: Any, out: Any, begin: Any, n: Any
) -> None:
    """Add what the pieces of a tree contribute to a block of rows."""
    piece_start, bit_start, starts, nodes, wants, column_start, features, table_start, tables = pieces
    for piece in range(piece_start[tree], piece_start[tree + 1]):
        bits = (bit_start[piece], bit_start[piece + 1])
        own = features[column_start[piece] : column_start[piece + 1]]
        find_entries(bits, len(own), starts, nodes, wants, left, met, pattern, n)
        add_entries(own, tables[table_start[piece] :], pattern, out, begin, n)


@compiled
def add_wide_leaves(
    tree: Any, wide: Any, rule: Any, left: Any, met: Any, out: Any, begin: Any, n: Any
) -> None:
    """Add what the leaves of a tree without a table contribute to a block of rows."""
    leaf_start, values, part_start, features, shares, starts, nodes, wants = wide
    for leaf in range(leaf_start[tree], leaf_start[tree + 1]):
        low, high = part_start[leaf], part_start[leaf + 1]
        for part in range(low, high):
            a, b = starts[part], starts[part + 1]
            meet(nodes[a:b], wants[a:b], left, met[part - low], n)
        points, weights = rule
        add_wide(values[leaf], features[low:high], shares[low:high], met, points, weights, out, begin, n)
