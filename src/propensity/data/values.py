"""How one raw column becomes a text, a number or a moment, as Ibis expressions.

The same expressions read files and data frames, so that a value means the same in training and in scoring.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC as DATETIME_UTC
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

UTC = dt.Timestamp(timezone="UTC", scale=6)

# Character classes are spelt out because engines differ in what \d matches.
_NUMBER = (
    r"^[+-]?([0-9]+[.]?[0-9]*([eE][+-]?[0-9]+)?|[.][0-9]+([eE][+-]?[0-9]+)?"
    r"|[nN][aA][nN]|[iI][nN][fF]([iI][nN][iI][tT][yY])?)$"
)
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[T ][0-2][0-9]:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
_ZONE = r" ?(Z|z|UTC|[+-][01][0-9](:?[0-9]{2})?)"
_MOMENT = f"{_DATE}({_TIME}({_ZONE})?)?$"
_ZONED = f"{_DATE}{_TIME}{_ZONE}$"
_LARGEST_WHOLE = 2.0**53  # above it a float no longer tells one whole number from the next


@ibis.udf.scalar.builtin(name="epoch_us", signature=((UTC,), dt.int64))  # type: ignore[untyped-decorator]
def microseconds_of(moment: object) -> Any:
    """DuckDB's microseconds since 1970; Spark calls it ``unix_micros``.

    Whole numbers compare and subtract many times as fast as timestamps with a zone do.
    """


@ibis.udf.scalar.builtin(name="timezone", signature=((dt.string, dt.Timestamp()), UTC))  # type: ignore[untyped-decorator]
def _local_to_utc(zone: str, local: object) -> object:
    """DuckDB's ``timezone(zone, local)``; Spark calls it ``to_utc_timestamp(local, zone)``."""


def text_of(column: ir.Column, missing: Sequence[str] = ()) -> ir.StringColumn:
    """Return the trimmed text of a column, null where that is empty or one of `missing`.

    A whole number is written without a decimal point whatever its type, because the same column is a float
    as soon as one of its values is missing.
    """
    text = _as_text(column).strip().nullif("")
    tokens = _tokens(missing)
    return ibis.ifelse(text.isin(tokens), ibis.null("string"), text) if tokens else text


def category_of(column: ir.Column, missing: Sequence[str] = ()) -> ir.StringColumn:
    """Return `text_of`, with truth values in lower case: typed sources have no ``TRUE`` or ``True``."""
    text = text_of(column, missing)
    lower = text.lower()
    return ibis.ifelse(lower.isin(["true", "false"]), lower, text)


def number_of(column: ir.Column, missing: Sequence[str] = ()) -> ir.FloatingColumn:
    """Return a column as float64, null where it is missing or does not read as a number.

    NaN and infinities, spelt out or beyond the range of a float, come back as such.
    """
    kind = column.type()
    if kind.is_numeric() or kind.is_boolean():
        number = column.cast("float64")
        return _unless_missing(number, column, missing)
    if not (kind.is_string() or kind.is_null()):
        return ibis.null("float64")
    text = text_of(column, missing)
    return ibis.ifelse(text.re_search(_NUMBER), text.try_cast("float64"), ibis.null("float64"))


def moment_of(column: ir.Column, missing: Sequence[str] = (), *, zone: str) -> ir.TimestampColumn:
    """Return a column as UTC timestamps in microseconds, null where it is missing or not a timestamp.

    Text is ISO 8601: a date, or a date and a time with ``T`` or a space, with or without seconds, fraction
    and offset; what is finer than a microsecond is cut off. Without an offset the time is that of `zone`;
    an hour that the clocks skip is moved on by an hour, one that they repeat is its second occurrence.
    Numbers are not timestamps.
    """
    kind = column.type()
    if kind.is_timestamp() and kind.timezone is not None:
        return _unless_missing(column.cast(UTC), column, missing)
    if kind.is_timestamp() or kind.is_date():
        return _unless_missing(_in_zone(column.cast(dt.Timestamp(scale=6)), zone), column, missing)
    if not (kind.is_string() or kind.is_null()):
        return ibis.null(UTC)
    return _parse_moment(text_of(column, missing), zone)


def moment(at: datetime) -> ir.TimestampScalar:
    """Return an aware datetime as a literal."""
    return ibis.literal(at.astimezone(DATETIME_UTC), type=UTC)


def is_given(column: ir.Column, missing: Sequence[str] = ()) -> ir.BooleanColumn:
    """Return where a column holds anything that does not count as missing."""
    if column.type().is_string() or _tokens(missing):
        return text_of(column, missing).notnull() | _is_nan(column)
    return column.notnull()


def _parse_moment(text: ir.StringColumn, zone: str) -> ir.TimestampColumn:
    spelt = text.replace(" +", "+").replace(" -", "-").replace(" UTC", "Z").replace("UTC", "Z")
    zoned = spelt.replace("z", "Z").try_cast(UTC)
    local = _in_zone(text.try_cast(dt.Timestamp(scale=6)), zone)
    moment = ibis.ifelse(text.re_search(_ZONED), zoned, local)
    return ibis.ifelse(text.re_search(_MOMENT), moment, ibis.null(UTC))


def _in_zone(local: ir.TimestampColumn, zone: str) -> ir.TimestampColumn:
    return _local_to_utc(zone, local)


def _as_text(column: ir.Column) -> ir.StringColumn:
    kind = column.type()
    if not kind.is_floating():
        return column.cast("string")
    whole = column.try_cast("int64")  # null for infinities, which Ibis's floor fails on
    is_whole = (whole.cast("float64") == column) & (column.abs() < _LARGEST_WHOLE)
    text = ibis.ifelse(is_whole, whole.cast("string"), column.cast("string"))
    return ibis.ifelse(column.isnan(), ibis.null("string"), text)


def _unless_missing(value: ir.Column, column: ir.Column, missing: Sequence[str]) -> ir.Column:
    tokens = _tokens(missing)
    if not tokens:
        return value
    return ibis.ifelse(_as_text(column).isin(tokens), ibis.null(value.type()), value)


def _tokens(missing: Sequence[str]) -> list[str]:
    """Return what means missing beside the empty text, which always does."""
    return sorted({token.strip() for token in missing} - {""})


def _is_nan(column: ir.Column) -> ir.BooleanValue:
    return column.isnan() if column.type().is_floating() else ibis.literal(value=False)
