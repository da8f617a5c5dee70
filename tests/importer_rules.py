"""The published rules of the importers of HubSpot and Salesforce, as checks of a file.

Each returns what the importer would refuse or take for something else. The rules stand with where they are
published; they were read in November 2026. Nothing here is taken from the product.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

# knowledge.hubspot.com, "Set up import files": .csv, one header row, fewer than 1000 columns, UTF-8; 512 MB
# and 1,048,576 rows a file, 20 MB for the free tools.
HUBSPOT_BYTES, HUBSPOT_ROWS, HUBSPOT_COLUMNS = 512_000_000, 1_048_576, 999
# knowledge.hubspot.com, "Property field types in HubSpot": characters of a text property.
HUBSPOT_TEXT = 65_536
# knowledge.hubspot.com, "Create and edit properties": internal names.
HUBSPOT_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
# developer.salesforce.com, Bulk API 2.0, "Prepare CSV files": at most 100 MB before it is encoded; "Limits
# and allocations": 32,000 characters a field, 400,000 a record, 5,000 fields.
SALESFORCE_BYTES, SALESFORCE_TEXT, SALESFORCE_RECORD, SALESFORCE_COLUMNS = 100_000_000, 32_000, 400_000, 5_000
# developer.salesforce.com, Object reference, "Custom fields": __c; Setup's rules for a field name: a letter
# first, letters, digits and underscores, not two of these in a row, not one at the end, at most 40.
SALESFORCE_NAME = re.compile(r"[A-Za-z]\w*__c", flags=re.ASCII)
SALESFORCE_ID = re.compile(r"[A-Za-z0-9]{15}([A-Za-z0-9]{3})?")

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
QUOTED = re.compile(r'"((?:[^"]|"")*)"')
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass
class Parsed:
    """A file read by RFC 4180, to the letter."""

    rows: list[list[str]]
    problems: list[str] = field(default_factory=list)


def parse_csv(content: bytes, *, line_end: str) -> Parsed:
    """Read CSV strictly: a quote opens a cell at its start only, and lines end in `line_end` only."""
    problems = ["begins with a byte order mark"] if content.startswith(b"\xef\xbb\xbf") else []
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return Parsed([], [f"is not UTF-8: {error}"])
    rows: list[list[str]] = []
    row: list[str] = []
    place = 0
    while place < len(text):
        cell, place, problem = _cell(text, place)
        problems += [f"row {len(rows) + 1}: {problem}"] if problem else []
        row.append(cell)
        if text.startswith(",", place):
            place += 1
        elif text.startswith(line_end, place):
            rows, row, place = [*rows, row], [], place + len(line_end)
        else:
            return Parsed(rows, [*problems, f"row {len(rows) + 1}: {text[place : place + 5]!r} after a cell"])
    return Parsed(rows, [*problems, "the last line does not end"] if row else problems)


def _cell(text: str, place: int) -> tuple[str, int, str]:
    if not text.startswith('"', place):
        end = re.compile(r'[",\r\n]|\Z').search(text, place)
        assert end is not None
        return text[place : end.start()], end.start(), ""
    quoted = QUOTED.match(text, place)
    if quoted is None:
        return "", len(text), "a quote does not close"
    return quoted[1].replace('""', '"'), quoted.end(), ""


def utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def check_hubspot(
    path: Path, kinds: Mapping[str, str], *, key: str, stages: tuple[str, list[str]] | None = None
) -> list[str]:
    """Return what HubSpot's import would refuse.

    Parameters
    ----------
    path : Path
    kinds : mapping
        Property to ``number``, ``date`` or ``text``.
    key : str
        The header that finds the record.
    stages : tuple, optional
        The property of the stage and the account's values for it.
    """
    content = path.read_bytes()
    parsed = parse_csv(content, line_end="\r\n")
    problems = list(parsed.problems)
    problems += ["is no .csv"] if path.suffix != ".csv" else []
    problems += [f"has {len(content)} bytes"] if len(content) > HUBSPOT_BYTES else []
    problems += [f"has {len(parsed.rows)} rows"] if not 2 <= len(parsed.rows) <= HUBSPOT_ROWS else []
    header, *rows = parsed.rows or [[]]
    expected = [key, *kinds, *([stages[0]] if stages else [])]
    if header != expected:
        return [*problems, f"header {header}"]
    problems += [f"has {len(header)} columns"] if len(header) > HUBSPOT_COLUMNS else []
    problems += [f"'{n}' is no internal name" for n in header[1:] if not HUBSPOT_NAME.fullmatch(n)]
    keyed = {"Record ID": r"[0-9]+", "Email": r"[^@\s]+@[^@\s]+\.[^@\s]+"}.get(key, r"(?s).+")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            problems.append(f"row {number} has {len(row)} cells")
            continue
        cells = dict(zip(header, row, strict=True))
        problems += [f"row {number}: {p}" for p in _check_values(cells, kinds, HUBSPOT_TEXT)]
        # An empty cell leaves the property as it was: a value of another night beside the new ones.
        problems += [f"row {number}: {name} is empty" for name in kinds if cells[name] == ""]
        problems += [f"row {number}: key {cells[key]!r}"] if not re.fullmatch(keyed, cells[key]) else []
        if stages and cells[stages[0]] not in ("", *stages[1]):
            problems.append(f"row {number}: {cells[stages[0]]!r} is no stage of the account")
    return problems + _check_unique([row[0] for row in rows if row])


def check_salesforce(
    path: Path, kinds: Mapping[str, str], *, key: str, stages: tuple[str, list[str]] | None = None
) -> list[str]:
    """Return what a Bulk API 2.0 job with ``lineEnding: LF`` would refuse; parameters as `check_hubspot`."""
    content = path.read_bytes()
    parsed = parse_csv(content, line_end="\n")
    problems = list(parsed.problems)
    problems += [f"has {len(content)} bytes"] if len(content) > SALESFORCE_BYTES else []
    header, *rows = parsed.rows or [[]]
    expected = [key, *kinds, *([stages[0]] if stages else [])]
    if header != expected:
        return [*problems, f"header {header}"]
    problems += [f"has {len(header)} columns"] if len(header) > SALESFORCE_COLUMNS else []
    for name in kinds:
        stem = name.removesuffix("__c")
        legal = SALESFORCE_NAME.fullmatch(name) and "__" not in stem and stem[-1] != "_" and len(stem) <= 40
        problems += [] if legal else [f"'{name}' is no API name of a custom field"]
    keyed = SALESFORCE_ID if key == "Id" else re.compile("(?s).{1,255}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            problems.append(f"row {number} has {len(row)} cells")
            continue
        cells = dict(zip(header, row, strict=True))
        # "#N/A" sets a field to null; an empty cell is ignored in an update.
        given = {name: cells[name] for name in kinds if cells[name] != "#N/A"}
        problems += [f"row {number}: {name} is empty" for name in kinds if cells[name] == ""]
        problems += [
            f"row {number}: {p}" for p in _check_values(given, {n: kinds[n] for n in given}, SALESFORCE_TEXT)
        ]
        length = sum(map(utf16_length, row))
        problems += [f"row {number} has {length} characters"] if length > SALESFORCE_RECORD else []
        if not keyed.fullmatch(cells[key]) or cells[key] == "#N/A":
            problems.append(f"row {number}: key {cells[key]!r}")
        if stages and cells[stages[0]] not in ("", *stages[1]):
            problems.append(f"row {number}: {cells[stages[0]]!r} is no value of {stages[0]}")
    return problems + _check_unique([row[0] for row in rows if row])


def _check_values(cells: Mapping[str, str], kinds: Mapping[str, str], longest: int) -> list[str]:
    problems = []
    for name, kind in kinds.items():
        value = cells[name]
        if kind == "number" and value and not NUMBER.fullmatch(value):
            problems.append(f"{name} {value!r} is no number with a point")
        if kind == "date" and value and not _is_date(value):
            problems.append(f"{name} {value!r} is no YYYY-MM-DD")
        if utf16_length(value) > longest:
            problems.append(f"{name} has {utf16_length(value)} characters")
        if re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", value):
            problems.append(f"{name} has a character that XML has not")
    return problems


def _is_date(value: str) -> bool:
    try:
        return bool(DATE.fullmatch(value) and date.fromisoformat(value))
    except ValueError:
        return False


def _check_unique(keys: list[str]) -> list[str]:
    """Two rows with one key: which of them stays is left to chance, or both are refused."""
    folded = [key.lower() for key in keys]
    return [f"key {key!r} stands twice" for key in sorted({k for k in folded if folded.count(k) > 1})]
