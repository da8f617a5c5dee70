"""What the operations of a table expression mean for single values: what the engine makes of them.

Null is None, a moment is whole microseconds since 1970; text, numbers and truth values are Python's. Where
this process may not do as the engine does (rare letters, numbers beyond what a float holds exactly, an hour
that the clocks repeat), `Declined` says so, and the engine is asked instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPACES = " \t\n\r\v\f"
_WHOLE = 2**53
LOWEST, LARGEST = -(2**63), 2**63  # the engine's whole numbers: from the one to below the other
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}([.][0-9]{1,15})?")
_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.]([0-9]{1,6}))?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_LAST_LETTER = "\u0480"  # Latin, Greek and Cyrillic, which Python and the engine know alike
_MARKS = "\u0300-\u036f"
_MARK = re.compile(f"[{_MARKS}]")
_NAMED = re.compile(r"\[:\^?[a-z]+:\]")
_CLASSES = re.compile(r"\\[a-zA-Z]")


class Declined(Exception):  # noqa: N818 - it is no error, the engine does the work
    """A value for which only the engine knows the answer."""


def rank(value: Any) -> Any:
    """Return what orders a value: NaN equals itself and comes after all other numbers."""
    return (1, 0.0) if isinstance(value, float) and math.isnan(value) else (0, value)


def find_pattern(pattern: str) -> Callable[[str], bool]:
    """Return a search for a regular expression."""
    found = _compiled(pattern)
    return lambda text: found.search(_searchable(text, found)) is not None


def replace_pattern(pattern: str, replacement: str) -> Callable[[str], str]:
    """Return the replacement of every match of a regular expression by plain text."""
    if "\\" in replacement:
        raise Declined(replacement)
    found = _compiled(pattern)
    return lambda text: found.sub(replacement, _searchable(text, found))


def lower(text: str) -> str:
    """Return text in lower case, letter by letter."""
    if text.isascii():
        return text.lower()
    letters = [letter.lower() for letter in text]
    if max(text) > _LAST_LETTER or any(len(letter) != 1 for letter in letters):
        _decline(text)
    return "".join(letters)


def exchange(olds: str, news: str) -> Callable[[str], str]:
    """Return the exchange of single letters for others."""
    if len(olds) != len(news) or len(set(olds)) != len(olds):
        raise Declined(olds)
    table = str.maketrans(olds, news)
    return lambda text: text.translate(table)


def divide(one: float, other: float) -> float:
    """Divide as floats."""
    return one / other if other != 0 else _decline(other)


def divide_down(one: float, other: float) -> int:
    """Divide as floats, and take the whole number below."""
    return math.floor(divide(one, other))


def remainder(one: int, other: int) -> int | None:
    """Return what is left of a division, with the sign of the first."""
    if other == 0:
        return None
    left = abs(one) % abs(other)
    return left if one >= 0 else -left


def round_off(number: float) -> int:
    """Round to a whole number, halves away from zero."""
    if not abs(number) < LARGEST:
        return int(_decline(number))
    size = abs(number)
    below = math.floor(size)
    return int(math.copysign(below + (size - below >= 0.5), number))


def in_range(number: int) -> int:
    """Return a whole number that the engine's own type holds."""
    return number if LOWEST <= number < LARGEST else int(_decline(number))


def to_text(value: Any) -> str:
    """Write a number or a truth value; of floats only those that everybody writes alike."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text if "e" not in text and "n" not in text else str(_decline(value))


def to_float(value: Any) -> float:
    """Return a number or a truth value as a float."""
    if isinstance(value, int) and not -_WHOLE <= value < LARGEST:
        _decline(value)
    return float(value)


def to_whole(value: Any) -> int:
    """Return a whole number or a truth value as a whole number."""
    return in_range(int(value)) if isinstance(value, int) else int(_decline(value))


def try_whole(value: float) -> int | None:
    """Return a float as a whole number, null where that is none; halves to even."""
    if abs(value) < LARGEST // 2:
        return round(value)
    return int(_decline(value)) if math.isfinite(value) else None


def try_float(text: str) -> Any:
    """Read text as a float."""
    return float(text) if _NUMBER.fullmatch(text) else _decline(text)


def try_moment(text: str) -> Any:
    """Read text with an offset as a moment."""
    found = _MOMENT.fullmatch(text)
    if not found or found[8] is None:
        return _decline(text)
    offset = 0 if found[8] == "Z" else _offset(found[8])
    return _clock(found) - offset


def try_clock(text: str) -> Any:
    """Read text without an offset as the time of a clock."""
    found = _MOMENT.fullmatch(text)
    return _clock(found) if found and found[8] is None else _decline(text)


def microseconds(moment: datetime) -> int:
    """Return the microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def stamp_microseconds(stamp: Any) -> int:
    """Return what `microseconds` does of a pandas Timestamp, in a tenth of the time; what is finer is cut."""
    try:
        return int(stamp.value) // 1000
    except OverflowError:  # nanoseconds since 1970 end in 2262
        return microseconds(stamp.to_pydatetime(warn=False))


@lru_cache(maxsize=4096)
def local_clock(zone: str, moment: int) -> int:
    """Return the clock of a zone at a moment."""
    at = _at(moment).astimezone(_zone(zone))
    return microseconds(at.replace(tzinfo=UTC))


def moment_of_clock(zone: str, clock: int) -> int:
    """Return the moment at which a zone's clock shows a time."""
    local = _at(clock).replace(tzinfo=_zone(zone))
    moments = {microseconds(local.replace(fold=fold).astimezone(UTC)) for fold in (0, 1)}
    return moments.pop() if len(moments) == 1 else int(_decline(clock))


def hour(clock: int) -> int:
    """Return the hour of a clock's time."""
    return _at(clock).hour


def weekday(clock: int) -> int:
    """Return the weekday of a clock's time, 0 for Monday."""
    return _at(clock).weekday()


def month(clock: int) -> int:
    """Return the month of a clock's time."""
    return _at(clock).month


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _at(microseconds_since: int) -> datetime:
    try:
        return EPOCH + timedelta(microseconds=microseconds_since)
    except OverflowError:
        raise Declined(microseconds_since) from None


def _clock(found: re.Match[str]) -> Any:
    year, month_, day, hours, minutes, seconds = (int(part or 0) for part in found.groups()[:6])
    try:
        at = datetime(year, month_, day, hours, minutes, seconds, int((found[7] or "").ljust(6, "0")), UTC)
    except ValueError:
        return _decline(found[0])
    return microseconds(at)


def _offset(text: str) -> int:
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    return (-1 if text[0] == "-" else 1) * minutes * 60_000_000


def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern so that it finds what RE2 finds in the text that `_searchable` lets through.

    Of the classes of letters those are known that the rules are written with. Other classes mean the same
    as RE2's, in text of plain characters, under the flag ``ASCII``.
    """
    known = pattern.replace(r"[^\p{L}\p{M}\p{N}]", r"[\W_]").replace(r"\p{M}", f"[{_MARKS}]")
    classes = _CLASSES.search(pattern.replace(r"[^\p{L}\p{M}\p{N}]", "").replace(r"\p{M}", ""))
    if _NAMED.search(pattern) or "(?" in pattern or (classes and known != pattern):
        raise Declined(pattern)
    try:
        return re.compile(known, re.ASCII if classes else 0)
    except re.error:
        raise Declined(pattern) from None


def _searchable(text: str, pattern: re.Pattern[str]) -> str:
    if "\n" in text or "\v" in text:
        _decline(text)
    if not text.isascii() and (pattern.flags & re.ASCII or max(text) > _LAST_LETTER or _MARK.search(text)):
        _decline(text)
    return text


def _decline(value: Any) -> Any:
    raise Declined(value)
