"""What the importers of HubSpot and Salesforce take, each rule with its source.

HubSpot: knowledge base, "Set up import files" (file types, header, columns, sizes and rows by subscription,
dates, how a column finds its property), "Import | Frequently asked questions" (a lifecycle stage is never set
backwards), "Property field types in HubSpot" (characters of a text property).

Salesforce: Bulk API 2.0 developer guide, "Prepare CSV files" (UTF-8, at most 100 MB before it is encoded,
line ends, quotes, headers are API names, ``#N/A`` sets to null and an empty cell is ignored), "Limits and
allocations" (characters of a field and of a record), "Valid date format in records".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from propensity.params import AdvanceParams, CrmParams

MILLION = 1_000_000


@dataclass(frozen=True)
class Layout:
    """How the files of one importer are written.

    Attributes
    ----------
    system : str
        ``hubspot`` or ``salesforce``.
    key, header : str
        The column of leads that finds the record, and what it is called in the file.
    fields : dict
        Value of a scored lead to the name of the CRM's field.
    advance : AdvanceParams or None
    advance_field : str
        The field that `advance` writes.
    empty : str
        What is written for a value that is not known.
    line_end : str
    characters : int
        The longest text of a field, in UTF-16 units.
    rows, size : int
        The largest file: rows with the header, bytes.
    """

    system: str
    key: str
    header: str
    fields: dict[str, str]
    advance: AdvanceParams | None
    advance_field: str
    empty: str
    line_end: str
    characters: int
    rows: int
    size: int

    @property
    def headers(self) -> list[str]:
        """The header row."""
        return [self.header, *self.fields.values(), *([self.advance_field] if self.advance else [])]

    @property
    def columns(self) -> list[str]:
        """The columns of leads that are read, each once, without the lead's id."""
        wanted = [self.key, *([self.advance.column] if self.advance else [])]
        return [name for name in dict.fromkeys(wanted) if name != "lead_id"]


@dataclass(frozen=True)
class KeyRule:
    """What a key looks like under a header."""

    pattern: re.Pattern[str]
    expected: str


_ANY = KeyRule(re.compile(r"(?!#N/A$)[^\x00-\x1f\x7f]{1,255}"), "1 to 255 characters and none of control")
_KEYS = {
    "Record ID": KeyRule(re.compile(r"[0-9]{1,19}"), "a record's number"),
    "Id": KeyRule(re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?"), "15 or 18 letters and digits"),
    "Email": KeyRule(re.compile(r"[^@\s,;\"<>]{1,64}@[^@\s,;\"<>]+\.[^@\s,;\"<>.]+"), "an e-mail address"),
}


def key_rule(header: str) -> KeyRule:
    """Return what the key must look like under a header."""
    return _KEYS.get(header, _ANY)


def hubspot_layout(params: CrmParams) -> Layout:
    """Return the layout for HubSpot's import tool, which leaves a property alone where the cell is empty."""
    own = params.hubspot
    return Layout(
        system="hubspot",
        key=own.key,
        header=own.header,
        fields={str(value): name for value, name in own.properties.items()},
        advance=own.lifecycle,
        advance_field=(own.lifecycle and own.lifecycle.field) or "lifecyclestage",
        empty="",
        line_end="\r\n",
        characters=65_536,
        rows=own.rows_per_file,
        size=int(own.megabytes_per_file * MILLION),
    )


def salesforce_layout(params: CrmParams) -> Layout:
    """Return the layout for Salesforce's Bulk API 2.0 and Data Loader, to which ``#N/A`` means null."""
    own = params.salesforce
    return Layout(
        system="salesforce",
        key=own.key,
        header=own.header,
        fields={str(value): name for value, name in own.fields.items()},
        advance=own.status,
        advance_field=(own.status and own.status.field) or "Status",
        empty="#N/A",
        line_end="\n",
        characters=32_000,
        rows=own.rows_per_file,
        size=int(own.megabytes_per_file * MILLION),
    )


LAYOUTS = {"hubspot": hubspot_layout, "salesforce": salesforce_layout}
