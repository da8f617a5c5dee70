"""The files that are handed in: their delimiter, their rows, what their columns hold."""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from propensity.data.locations import find_source
from propensity.data.profiles import keep_columns, profile_columns
from propensity.data.sources import read_raw
from propensity.errors import InputError
from propensity.intake.guesses import File
from propensity.intake.words import PLACEHOLDERS

if TYPE_CHECKING:
    import ibis.expr.types as ir

_DELIMITERS = ",;\t|^~:"  # in this order, where two of them split the lines equally well
_LINES = 50  # of a file, to find its delimiter by
_TEXTS_ARE_FEW = 2  # columns that hold a text such as "None" before it is taken to stand for nothing
_DOUBTFUL = frozenset({"none", "na"})  # also answers: no children, Namibia


@dataclass(frozen=True)
class Table:
    """A file with its rows in the engine."""

    file: File
    rows: ir.Table
    con: Any


def read_table(
    con: Any, path: Path, folder: Path, table: Literal["leads", "events", "outcomes"], *, zone: str = "UTC"
) -> Table:
    """Read a file and profile its columns.

    Parameters
    ----------
    con : ibis backend
    path : Path
        CSV with any delimiter, gz, or Parquet.
    folder : Path
        What the path in the params is relative to.
    table : str
        What the file holds, for messages and the params.
    zone : str
        The zone of timestamps without one.

    Raises
    ------
    InputError
        The file is not there, of no known kind, damaged or empty.
    """
    parquet = path.name.lower().endswith((".parquet", ".pq"))
    delimiter = None if parquet or not path.is_file() else sniff_delimiter(path)
    source = find_source(str(path.absolute()), folder, delimiter=delimiter or ",", section=f"data.{table}")
    rows = read_raw(con, source, source.columns).table
    profiles = profile_columns(con, rows, source.columns, zone=zone)
    missing = placeholders([p.values for p in profiles.values()])
    held = [name for name, profile in profiles.items() if set(missing) & set(profile.values)]
    profiles |= profile_columns(con, rows, held, missing=missing, zone=zone)
    shown = Path(os.path.relpath(path.absolute(), folder)).as_posix()
    return Table(File(table, shown, delimiter, profiles, missing), rows, con)


def keep(table: Table, path: Path) -> None:
    """Write a table's rows as Parquet, to be read again quickly."""
    keep_columns(table.con, table.rows, table.file.columns, str(path))


def sniff_delimiter(path: Path) -> str:
    """Return the character that splits a file's first lines into most columns, equally many in each."""
    lines = _first_lines(path)
    return max(_DELIMITERS, key=lambda d: (*_widths(lines, d), -_DELIMITERS.index(d)))


def placeholders(columns: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the texts among the columns' values that stand for nothing, as they are spelt."""
    held = Counter(value for values in columns for value in set(values))
    sure = {value for value in held if value.lower() in PLACEHOLDERS}
    doubtful = {v for v, n in held.items() if v.lower() in _DOUBTFUL and n > _TEXTS_ARE_FEW}
    return tuple(sorted(sure | doubtful))


def _first_lines(path: Path) -> list[str]:
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as stream:
                return list(islice(stream, _LINES))
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            return list(islice(stream, _LINES))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} could not be read: {error}") from None


def _widths(lines: list[str], delimiter: str) -> tuple[bool, int]:
    """Return whether nearly all records are as wide as the header and of several columns, and how wide."""
    try:
        records = [record for record in csv.reader(lines, delimiter=delimiter) if record]
    except csv.Error:
        return False, 0
    if not records or len(records[0]) < 2:
        return False, 0
    width = len(records[0])
    alike = sum(len(record) == width for record in records) / len(records)
    return alike >= 0.9, width
