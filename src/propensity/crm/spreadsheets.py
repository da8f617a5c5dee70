"""The scored leads for people: CSV that a spreadsheet opens without calculating, and workbooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain, islice
from math import ceil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from propensity.crm.parts import part_name, quote_always
from propensity.crm.rows import DECIMALS, MOMENTS, read_chunks, write_decimal
from propensity.data.cells import disarm, printable, shorten

COLUMNS = [
    "lead_id",
    "tier",
    "score",
    "grade",
    "probability",
    "expected_value",
    "fit_points",
    "engagement_points",
    "reasons",
    "as_of",
    "scored_at",
    "model_version",
]
SHEET_ROWS = 1_048_576  # of a worksheet, with its header: Microsoft, "Excel specifications and limits"
CELL_CHARACTERS = 32_767
_WIDTHS = {"reasons": 80, "lead_id": 20, "as_of": 17, "scored_at": 17, "model_version": 16}
_FORMATS = {1: "0.0", 2: "0.00", 4: "0.0000"}

Row = list[Any]


def write_csv(scores: Path, folder: Path, *, most_rows: int = SHEET_ROWS) -> str:
    """Write the scores as CSV for people into a folder, and return what was written.

    UTF-8 with a mark by which spreadsheets know it, every cell in quotes, an apostrophe before what would
    be calculated, times in UTC.
    """

    def write(rows: Iterator[Row], path: Path) -> None:
        with path.open("w", encoding="utf-8-sig", newline="") as stream:
            for row in chain([COLUMNS], rows):
                stream.write(",".join(quote_always(cell) for cell in row) + "\r\n")

    return _write_all(scores, folder, ".csv", _readable, write, most_rows)


def write_xlsx(scores: Path, folder: Path, *, most_rows: int = SHEET_ROWS) -> str:
    """Write the scores as workbooks into a folder, and return what was written.

    Texts are cells of text, whatever they begin with; numbers and times (UTC) are typed. One row is in memory
    at a time.
    """

    def write(rows: Iterator[Row], path: Path) -> None:
        _write_workbook(rows, path, folder)

    return _write_all(scores, folder, ".xlsx", _typed, write, most_rows)


def _write_all(
    scores: Path,
    folder: Path,
    suffix: str,
    to_rows: Callable[[pa.RecordBatch], Iterator[Row]],
    write: Callable[[Iterator[Row], Path], None],
    most_rows: int,
) -> str:
    """Write one file after the other, each with a header, the first one also when there is no lead."""
    leads = pq.read_metadata(scores).num_rows
    files = max(1, ceil(leads / (most_rows - 1)))
    rows = chain.from_iterable(to_rows(chunk) for chunk in read_chunks(scores, COLUMNS))
    for number in range(1, files + 1):
        write(islice(rows, most_rows - 1), folder / part_name("scores", number, suffix))
    return f"{leads:,} leads in {files} file{'' if files == 1 else 's'}"


def _readable(chunk: pa.RecordBatch) -> Iterator[Row]:
    columns = [_readable_cells(chunk.column(name).to_pylist(), name) for name in COLUMNS]
    return (list(row) for row in zip(*columns, strict=True))


def _readable_cells(values: list[Any], name: str) -> list[str]:
    """Return a column as text; what this product counted is left as it is, whatever its sign."""
    if name in DECIMALS:
        return ["" if v is None or v != v else write_decimal(v, DECIMALS[name]) for v in values]
    if name in MOMENTS:
        return ["" if v is None else f"{v:%Y-%m-%d %H:%M}" for v in values]
    return ["" if v is None else disarm(printable(v)) for v in values]


def _typed(chunk: pa.RecordBatch) -> Iterator[Row]:
    return (list(row.values()) for row in chunk.select(COLUMNS).to_pylist())


def _write_workbook(rows: Iterator[Row], path: Path, folder: Path) -> None:
    import xlsxwriter

    options = {"constant_memory": True, "tmpdir": str(folder), "in_memory": False}
    with xlsxwriter.Workbook(str(path), options) as book:
        sheet = book.add_worksheet("scores")
        bold = book.add_format({"bold": True})
        formats = {name: book.add_format({"num_format": _FORMATS[n]}) for name, n in DECIMALS.items()}
        formats |= dict.fromkeys(MOMENTS, book.add_format({"num_format": "yyyy-mm-dd hh:mm"}))
        for place, name in enumerate(COLUMNS):
            sheet.set_column(place, place, _WIDTHS.get(name, 12))
            sheet.write_string(0, place, name, bold)
        sheet.freeze_panes(1, 1)
        for number, row in enumerate(rows, start=1):
            for place, (name, value) in enumerate(zip(COLUMNS, row, strict=True)):
                _write_cell(sheet, number, place, value, formats.get(name))


def _write_cell(sheet: Any, row: int, place: int, value: Any, shape: Any) -> None:
    if value is None or value != value:
        return
    if isinstance(value, datetime):
        sheet.write_datetime(row, place, value.replace(tzinfo=None), shape)
    elif isinstance(value, float):
        sheet.write_number(row, place, value, shape)
    else:
        text = printable(value).replace("\r\n", "\n").replace("\r", "\n")  # a line ends so in a cell
        sheet.write_string(row, place, shorten(text, CELL_CHARACTERS))
