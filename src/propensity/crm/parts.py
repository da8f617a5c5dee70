"""Lines to numbered files, none larger than its importer takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from propensity.errors import ParamsError

_NEEDS_QUOTES = re.compile('[",\r\n]')


def quote(cell: str) -> str:
    """Return a cell between double quotes, where RFC 4180 asks for them."""
    return quote_always(cell) if _NEEDS_QUOTES.search(cell) else cell


def quote_always(cell: str) -> str:
    """Return a cell between double quotes, those inside doubled."""
    return '"' + cell.replace('"', '""') + '"'


def part_name(stem: str, number: int, suffix: str) -> str:
    """Return the name of a part, such as ``hubspot-001.csv``."""
    return f"{stem}-{number:03d}{suffix}"


def write_parts(
    rows: Iterable[Sequence[str]],
    headers: Sequence[str],
    folder: Path,
    stem: str,
    *,
    line_end: str,
    most_rows: int,
    most_bytes: int,
) -> int:
    """Write rows of cells as CSV files in UTF-8, and return how many files it took.

    Parameters
    ----------
    rows : iterable of sequences of str
        Without rows no file is written: there is nothing to import.
    headers : sequence of str
        The first row of every file.
    folder : Path
    stem : str
        What the files' names begin with.
    line_end : str
    most_rows, most_bytes : int
        The largest file, with its header.

    Raises
    ------
    ParamsError
        A single row is larger than a file may be.
    """
    header = _line(headers, line_end)
    files, held, written, stream = 0, 0, 0, None
    try:
        for row in rows:
            line = _line(row, line_end)
            if stream is None or held == most_rows or written + len(line) > most_bytes:
                if len(header) + len(line) > most_bytes:
                    raise ParamsError(
                        f"megabytes_per_file allows {most_bytes:,} bytes, and the header with one row takes "
                        f"{len(header) + len(line):,}; allow more"
                    )
                if stream is not None:
                    stream.close()
                files += 1
                stream = (folder / part_name(stem, files, ".csv")).open("wb")
                stream.write(header)
                held, written = 1, len(header)
            stream.write(line)
            held, written = held + 1, written + len(line)
    finally:
        if stream is not None:
            stream.close()
    return files


def _line(cells: Sequence[str], line_end: str) -> bytes:
    return (",".join(map(quote, cells)) + line_end).encode("utf-8")
