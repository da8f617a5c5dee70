"""Delimited text, staged as Parquet with each record's row number; nothing is guessed from the content.

A record that is not well formed costs that record only: the reader goes on with the next line. This is
why the parser is Python's and not the engine's, which numbers rows differently after an empty line, takes
all that follows an unclosed quote for one record, and refuses a file that mixes line ends.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from propensity.data.files import check_room
from propensity.errors import InputError, some

FILE = "__file"  # the name of the file a row comes from
ROW = "__row"  # its number within that file, from 1
POSITION = "__position"  # its running number over all files of the table

_BATCH = 512  # small enough to stay in the processor's cache
_ROW_GROUP = 131_072
_SHOWN = 40  # characters of a malformed record that are kept


@dataclass(frozen=True)
class Malformed:
    """A record that could not be split into the header's columns, by its row number within `file`."""

    file: str
    row: int
    text: str


@dataclass(frozen=True)
class Staged:
    """What was staged from one file: all data rows, malformed ones included, and those malformed."""

    rows: int
    malformed: list[Malformed]


def read_header(path: Path, *, delimiter: str) -> list[str]:
    """Return the column names in the first line; a column without a name is called by its place.

    Raises
    ------
    InputError
        The file is empty, unreadable or not UTF-8 text.
    """
    with _open_text(path) as stream:
        return _take_header(iter(stream), path, delimiter)


def stage_delimited(path: Path, target: Path, *, delimiter: str, columns: Sequence[str]) -> Staged:
    """Write the named `columns` of a delimited file, all as text, to the Parquet file `target`.

    Beside them stands the row number within the file, ``__row``: 1 is the first record after the header;
    empty lines are not counted.

    Raises
    ------
    InputError
        The file is unreadable, or not UTF-8 text.
    """
    schema = pa.schema([*((column, pa.string()) for column in columns), (ROW, pa.int64())])
    malformed: list[Malformed] = []
    rows = 0
    with _open_text(path) as stream, pq.ParquetWriter(target, schema, compression="zstd") as writer:
        lines = iter(stream)
        header = _take_header(lines, path, delimiter)
        places = [header.index(column) for column in columns]
        records = parse_records(lines, delimiter=delimiter, width=len(header))
        batches: list[pa.RecordBatch] = []
        while block := list(islice(records, _BATCH)):
            batches.append(_batch(block, places, rows, path.name, schema, malformed))
            rows += len(block)
            if len(batches) * _BATCH >= _ROW_GROUP:
                writer.write_table(pa.Table.from_batches(batches))
                batches.clear()
        writer.write_table(pa.Table.from_batches(batches, schema=schema))
    return Staged(rows, malformed)


def parse_records(lines: Iterator[str], *, delimiter: str, width: int) -> Iterator[list[str] | str]:
    """Yield each record's fields, or its text where it is malformed; empty lines are skipped.

    Malformed is a record without exactly `width` fields, with text around a quoted field, with bytes that
    are not UTF-8, or with a quote that never closes. Of the last, the first line is the malformed record
    and the lines after it are read again.
    """
    pending: deque[str] = deque()
    consumed: list[str] = []

    def feed() -> Iterator[str]:
        while (line := pending.popleft() if pending else next(lines, None)) is not None:
            consumed.append(line)
            yield line

    while True:
        try:
            for fields in csv.reader(feed(), delimiter=delimiter, strict=True):
                if len(fields) == width and all(map(_is_utf8, consumed)):
                    yield fields
                elif fields:
                    yield "".join(consumed)
                consumed.clear()
            return
        except csv.Error:
            first, *rest = consumed
            pending.extendleft(reversed(rest))
            consumed.clear()
            yield first


def _batch(
    block: list[list[str] | str],
    places: list[int],
    before: int,
    file: str,
    schema: pa.Schema,
    malformed: list[Malformed],
) -> pa.RecordBatch:
    """Return the well-formed records of a block as Arrow; the others are added to `malformed`."""
    rows = np.arange(before + 1, before + len(block) + 1)
    records = [record for record in block if not isinstance(record, str)]
    if len(records) < len(block):
        is_text = np.array([isinstance(record, str) for record in block])
        texts = (record for record in block if isinstance(record, str))
        malformed += [Malformed(file, int(n), _shown(t)) for n, t in zip(rows[is_text], texts, strict=True)]
        rows = rows[~is_text]
    values = list(zip(*records, strict=True)) or [()] * (max(places, default=0) + 1)
    return pa.record_batch([*(pa.array(values[p], type=pa.string()) for p in places), rows], schema=schema)


def _shown(text: str) -> str:
    return text[:_SHOWN].rstrip("\r\n").encode(errors="replace").decode()


def _take_header(lines: Iterator[str], path: Path, delimiter: str) -> list[str]:
    try:
        names = next(
            (fields for fields in csv.reader(lines, delimiter=delimiter, strict=True) if fields), None
        )
    except csv.Error as error:
        raise InputError(f"{path}: the header line could not be read: {error}") from None
    if names is None:
        raise InputError(f"{path} is empty; expected a header line with the column names, then the rows")
    if not all(_is_utf8(name) and "\0" not in name for name in names):
        raise InputError(
            f"{path}: the header is not UTF-8 text; save the file as UTF-8 (it may be UTF-16 or Latin-1)"
        )
    names = [name or f"column_{place}" for place, name in enumerate(names, start=1)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"{path}: the header holds {some(repeated)} more than once; rename all but one")
    return names


@contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    """Open plain or gzip text; bytes that are not UTF-8 arrive as lone surrogates, see `_is_utf8`."""
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
                yield stream
        else:
            with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
                yield stream
    except (OSError, EOFError, zlib.error) as error:
        check_room(error)  # what is read from the file is written to another one meanwhile
        raise InputError(f"{path} could not be read: {error}") from None


def _is_utf8(line: str) -> bool:
    if line.isascii():
        return True
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True
