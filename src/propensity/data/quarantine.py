"""The rows refused: how many by rule, when they are too many, and the record kept of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from propensity.data.delimited import FILE, POSITION, ROW, Malformed
from propensity.data.engines import Engine
from propensity.data.forgotten import RULE
from propensity.data.rules import BAD, Rule, flag
from propensity.data.sources import Raw
from propensity.data.tables import GIVEN, TableSpec
from propensity.errors import InputError, QuarantineError

QUARANTINE_COLUMNS = ["table", "file", "row", "rule", "column", "value"]

_SHOWN = 40  # characters of a masked value
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")


@dataclass(frozen=True)
class Tally:
    """How a table's rows fared.

    Parameters
    ----------
    broken
        The rows for each (rule, column) that any row broke.
    given, latest
        By timestamp column that is mapped: the values given, and the latest among the accepted rows.
    """

    table: str
    read: int
    quarantined: int
    broken: dict[tuple[str, str], int]
    given: dict[str, int]
    latest: dict[str, datetime | None]

    @property
    def accepted(self) -> int:
        return self.read - self.quarantined

    @property
    def bad_share(self) -> float:
        """The share of bad rows, 0 to 1, among those that are not of forgotten leads."""
        forgotten = self.broken.get((RULE, "lead_id"), 0)
        return (self.quarantined - forgotten) / max(self.read - forgotten, 1)


def mask(value: str | None) -> str | None:
    """Return the shape of a value: its first 40 characters, each letter as ``a`` and each digit as ``9``.

    Examples
    --------
    >>> mask("Ana, 28013 Madrid")
    'aaa, 99999 aaaaaa'
    """
    if value is None:
        return None
    return _DIGIT.sub("9", _LETTER.sub("a", value[:_SHOWN]))


def count_rows(
    con: Engine, judged: ir.Table, spec: TableSpec, rules: Sequence[Rule], *, malformed: int
) -> Tally:
    """Count the rows of a judged table and those that break each rule, beside those `malformed`."""
    flags = {flag(i): judged[flag(i)].sum() for i in range(len(rules))}
    moments = [f.name for f in spec.fields if f.parsed and f.kind in ("moment", "past")]
    given = {GIVEN + name: judged[GIVEN + name].sum() for name in moments}
    latest = {name: judged[name].max(where=~judged[BAD]) for name in moments}
    counted = judged.aggregate(read=judged.count(), bad=judged[BAD].sum(), **flags, **given, **latest)
    row = con.to_pyarrow(counted).to_pylist()[0]
    broken = {("malformed", ""): malformed} if malformed else {}
    for i, rule in enumerate(rules):
        if count := row[flag(i)]:
            broken[rule.name, rule.column] = broken.get((rule.name, rule.column), 0) + count
    return Tally(
        table=spec.name,
        read=row["read"] + malformed,
        quarantined=row["bad"] + malformed,
        broken=broken,
        given={name: row[GIVEN + name] for name in moments},
        latest={name: row[name] for name in moments},
    )


def check_counts(
    con: Engine, tally: Tally, spec: TableSpec, judged: ir.Table, raw: Raw, *, limit: float
) -> None:
    """Refuse a table of which too much is bad; `limit` is the largest share, from 0 to 1.

    Raises
    ------
    InputError
        No value given in a timestamp column could be read.
    QuarantineError
        More than `limit` of the rows read are refused, or all of the leads.
    """
    for name, given in tally.given.items():
        if given and tally.broken.get(("type", name), 0) == given:
            raise InputError(_unreadable_moments(con, name, given, spec, judged, raw))
    share = tally.bad_share
    if share > limit or (spec.name == "leads" and tally.accepted == 0):
        raise QuarantineError(
            f"{spec.name}: {tally.quarantined:,} of {tally.read:,} rows of {raw.source.where} are refused "
            f"({share:.1%}; data.max_quarantined allows {limit:.1%}). {_top_rules(tally, spec)}. "
            "Mend the file, or params.yaml where it misreads the file"
        )


def _unreadable_moments(
    con: Engine, name: str, given: int, spec: TableSpec, judged: ir.Table, raw: Raw
) -> str:
    column = spec.raw_of(name)
    first = judged.filter(judged[GIVEN + name]).order_by(POSITION).limit(5).select(POSITION)
    values = raw.table.select(POSITION, value=raw.table[column].cast("string"))
    found = con.to_pyarrow(first.inner_join(values, POSITION).order_by(POSITION))
    masked = ", ".join(repr(mask(value)) for value in found["value"].to_pylist())
    return (
        f"{raw.source.where}: none of the {given:,} values of column {column!r} ({spec.section}.{name}) "
        "could be read as a timestamp. Expected ISO 8601, such as 2024-06-30 or 2024-06-30T14:05:00+02:00; "
        f"the first values look like {masked} (a letter is shown as a, a digit as 9)"
    )


def _top_rules(tally: Tally, spec: TableSpec) -> str:
    worst = sorted(tally.broken.items(), key=lambda item: (-item[1], item[0]))[:3]
    told = [f"{_rule_name(spec, *key)} {count:,}" for key, count in worst]
    return f"Rows by rule: {', '.join(told)}"


def _rule_name(spec: TableSpec, rule: str, column: str) -> str:
    return f"{rule} ({shown_column(spec, column)})" if column else rule


def quarantined_rows(
    con: Engine, judged: ir.Table, raw: ir.Table, spec: TableSpec, rules: Sequence[Rule]
) -> pd.DataFrame:
    """Return one row for each refused row and (rule, column) it broke, with the raw value masked."""
    columns = sorted({rule.column for rule in rules})
    values = {f"__value_{i}": raw[spec.raw_of(column)].cast("string") for i, column in enumerate(columns)}
    bad = judged.filter(judged[BAD]).select(POSITION, *(flag(i) for i in range(len(rules))))
    shown = raw.select(POSITION, FILE, ROW, **values)
    rows = con.to_pyarrow(bad.inner_join(shown, POSITION).order_by(POSITION))
    parts = [
        _records(rows.filter(rows[flag(i)]), spec, rule, f"__value_{columns.index(rule.column)}")
        for i, rule in enumerate(rules)
    ]
    return _in_order(pd.concat(parts))


def malformed_rows(malformed: Sequence[Malformed], table: str) -> pd.DataFrame:
    """Return the records that could not be split into columns, in the quarantine's form."""
    rows = [(table, m.file, m.row, "malformed", None, mask(m.text)) for m in malformed]
    return _typed(pd.DataFrame(rows, columns=QUARANTINE_COLUMNS))


def empty_quarantine() -> pd.DataFrame:
    """Return a quarantine without rows."""
    return malformed_rows([], "")


def join_quarantines(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return several quarantines as one, sorted by table, file, row, rule and column."""
    return _in_order(pd.concat([*parts, empty_quarantine()]))


def shown_column(spec: TableSpec, column: str) -> str:
    """Return how a canonical column is called in the raw table."""
    raw = spec.raw_of(column)
    return "row" if raw == POSITION else raw


def _records(rows: pa.Table, spec: TableSpec, rule: Rule, value: str) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "table": spec.name,
            "file": rows[FILE].to_pylist(),
            "row": rows[ROW].to_pylist(),
            "rule": rule.name,
            "column": shown_column(spec, rule.column),
            "value": [mask(text) for text in rows[value].to_pylist()],
        },
        columns=QUARANTINE_COLUMNS,
    )
    return _typed(frame)


def _in_order(quarantine: pd.DataFrame) -> pd.DataFrame:
    order = ["table", "file", "row", "rule", "column"]
    return quarantine.drop_duplicates(order).sort_values(order, ignore_index=True)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({name: "int64" if name == "row" else "str" for name in QUARANTINE_COLUMNS})
