"""Texts of many cells: what is made of all at once is what each one would be given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.explain.phrases import value_text, value_texts
from propensity.explain.texts import Told, tell_cells, write_each
from propensity.explain.words import load_words, write_number
from propensity.features.catalogue import Feature

EN, ES = load_words("en"), load_words("es")
CELLS = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=0, max_size=12)
NUMBERS = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([0.0, -0.0, 9.96, 1234.5])))


def feature(kind: str) -> Feature:
    return Feature("x", kind, "firmographic", "x", "attribute", "", "x", "x", None)  # type: ignore[arg-type]


def texts_of(told: Told) -> list[str | None]:
    return [told.texts[code] for code in told.codes.ravel()]


@given(CELLS)
def test_each_wanted_cell_is_told_by_its_feature_and_row(cells: list[tuple[int, bool]]) -> None:
    half = len(cells) // 2 * 2
    chosen = np.array([j for j, _ in cells[:half]], dtype=np.int64).reshape(-1, 2)
    wanted = np.array([w for _, w in cells[:half]], dtype=bool).reshape(-1, 2)
    asked = []

    def tell(j: int, rows: np.ndarray) -> Told:
        asked.append(j)
        assert (np.diff(rows) >= 0).all()
        return Told(np.arange(len(rows))[::-1].copy(), [f"{j} of {row}" for row in rows[::-1]])

    told = tell_cells(chosen, tell, wanted=wanted)
    expected = [
        f"{j} of {row}" if wanted[row, k] else None
        for row, cells in enumerate(chosen)
        for k, j in enumerate(cells)
    ]
    assert texts_of(told) == expected
    assert sorted(asked) == sorted(set(chosen[wanted].tolist()))
    every = tell_cells(chosen, tell)
    assert None not in texts_of(every)


@given(NUMBERS)
@pytest.mark.parametrize("words", [EN, ES], ids=["en", "es"])
def test_a_columns_values_read_as_each_one_does(words, numbers: list[float | None]) -> None:
    column = pd.Series(numbers, dtype="float64")
    expected = [value_text(feature("number"), x, words) for x in column]
    assert texts_of(value_texts(feature("number"), column, words)) == expected


def test_a_columns_texts_read_as_each_one_does() -> None:
    column = pd.Series(["Ulm", None, "ana@example.com", "Ulm"], dtype="str")
    told = value_texts(feature("category"), column, EN)
    assert texts_of(told) == ["Ulm", None, "***@example.com", "Ulm"]


def test_what_reads_alike_is_finished_once() -> None:
    finished = []

    def finish(text: str) -> str:
        finished.append(text)
        return f"<{text}>"

    told = write_each(np.array([[1.21, 1.19], [2.0, np.nan]]), "{:.1f}".format, finish)
    assert texts_of(told) == ["<1.2>", "<1.2>", "<2.0>", None]
    assert finished == ["1.2", "2.0"]
    assert (
        write_number(ES, 1234567.0) == texts_of(value_texts(feature("number"), pd.Series([1234567.0]), ES))[0]
    )
