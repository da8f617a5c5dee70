"""Texts of many cells: each different one made once, and templates filled for all rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from string import Formatter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Told:
    """Texts of cells.

    Attributes
    ----------
    codes : array of int
        The place of each cell's text among `texts`.
    texts : list of str or None
    """

    codes: Codes
    texts: list[str | None]

    def pick(self, kept: npt.NDArray[np.bool_]) -> pa.Array:
        """Return the texts of the cells where `kept`, of the codes' shape, is true; row by row."""
        return pa.array(self.texts, type=pa.string()).take(pa.array(self.codes[kept]))

    def changed(self, change: Callable[[str], str]) -> Told:
        """Return the same cells with each different text changed."""
        return Told(self.codes, [None if text is None else change(text) for text in self.texts])


def tell_cells(
    chosen: Codes, tell: Callable[[int, Codes], Told], *, wanted: npt.NDArray[np.bool_] | None = None
) -> Told:
    """Gather the texts of cells that belong to different features.

    Parameters
    ----------
    chosen : array of int, shape (n_rows, n_cells)
        The feature of each cell.
    tell : callable
        From a feature's place and the rows to tell of to their texts.
    wanted : array of bool, shape (n_rows, n_cells), optional
        The cells that are told; others have no text.
    """
    codes, texts = np.zeros(chosen.shape, dtype=np.int64), [None]
    row, place = np.nonzero(np.ones(chosen.shape, dtype=bool) if wanted is None else wanted)
    own = chosen[row, place]
    order = np.argsort(own, kind="stable")
    found, starts = np.unique(own[order], return_index=True)
    for j, cells in zip(found, np.split(order, starts[1:]), strict=True) if len(found) else ():
        told = tell(int(j), row[cells])
        codes[row[cells], place[cells]] = told.codes + len(texts)
        texts += told.texts  # type: ignore[arg-type]
    return Told(codes, texts)  # type: ignore[arg-type]


def fill(template: str, **parts: Any) -> pa.Array:
    """Fill in a template for many rows.

    Parameters
    ----------
    template : str
        With plain names in braces.
    **parts : pyarrow array of str, or str
        What stands for each name; at least one is an array, of a text a row.
    """
    pieces: list[Any] = []
    for literal, name, _, _ in Formatter().parse(template):
        pieces += [literal] if literal else []
        pieces += [] if name is None else [parts[name]]
    return pc.binary_join_element_wise(*pieces, "")


def write_each(
    numbers: npt.NDArray[np.float64],
    write: Callable[[float], str],
    finish: Callable[[str], str] | None = None,
) -> Told:
    """Return numbers as texts, each different one written once.

    Many numbers read alike: what is done to a text belongs into `finish`, which each different text is given
    to once. NaN has no text.
    """
    distinct, codes = np.unique(numbers, return_inverse=True)
    written = [None if x != x else write(x) for x in distinct.tolist()]
    places = {text: i for i, text in enumerate(dict.fromkeys(written))}
    place = np.array([places[text] for text in written], dtype=np.int64)
    texts = [text if text is None or finish is None else finish(text) for text in places]
    return Told(place[codes.reshape(numbers.shape)], texts)
