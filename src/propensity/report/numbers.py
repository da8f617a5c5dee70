"""How the page writes numbers, shares, intervals, dates and names; what is not known is never zero."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from propensity.report.addresses import mask_addresses

Row = Mapping[Any, Any]
Format = Callable[[Any], str]

NOT_AVAILABLE = "not available"
LONGEST_TEXT = 240


def finite(value: Any) -> float | None:
    """Return `value` as a number, or None where it is missing or infinite."""
    if value is None or value is pd.NA or not math.isfinite(value):
        return None
    return float(value)


def decimal(value: Any, places: int) -> str:
    """Return a number with thousands separators and a true minus sign."""
    number = finite(value)
    return NOT_AVAILABLE if number is None else f"{number:,.{places}f}".replace("-", "−")


def count(value: Any) -> str:
    return decimal(value, 0)


def ratio(value: Any) -> str:
    return decimal(value, 2)


def ranking(value: Any) -> str:
    return decimal(value, 3)


def loss(value: Any) -> str:
    return decimal(value, 4)


def times(value: Any) -> str:
    return NOT_AVAILABLE if finite(value) is None else f"{ratio(value)}×"


def share(value: Any) -> str:
    """Return a measured share of 0 to 1 as a percentage, with one more digit under 1%."""
    number = finite(value)
    if number is None:
        return NOT_AVAILABLE
    return f"{number:.2%}" if 0 < number < 0.01 else f"{number:.1%}"


def percent(chosen: float) -> str:
    """Return a share that somebody chose, with no more digits than it was given."""
    return f"{trim(round(chosen * 100, 6))}%"


def points(value: Any) -> str:
    """Return a size in points; one too small to show is said to be small, not zero."""
    number = finite(value)
    return "under 0.01" if number is not None and 0 < number < 0.005 else decimal(value, 2)


def signed(value: float) -> str:
    """Return points that are given or taken, to a tenth."""
    rounded = round(value, 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "−")


def trim(value: float) -> str:
    """Return a number with thousands separators and no zeros at its end."""
    return f"{value:,.10g}".replace("-", "−")


def interval(low: Any, high: Any, show: Format) -> str:
    """Return both ends, or nothing where one is not known."""
    return "" if finite(low) is None or finite(high) is None else f"{show(low)} to {show(high)}"


def age(days: Any) -> str:
    """Return an age as days, or as hours where it is less than a day."""
    number = float(days)
    amount, unit = (number, "day") if number == 0 or number >= 1 else (number * 24, "hour")
    amount = round(amount, 1)
    return f"{trim(amount)} {unit}{'' if amount == 1 else 's'}"


def day(value: Any) -> str:
    """Return the UTC date of a moment."""
    moment = pd.NaT if value is None else pd.Timestamp(value)
    return "undated" if moment is pd.NaT else f"{moment:%Y-%m-%d}"


def period(start: Any, end: Any) -> str:
    first, last = day(start), day(end)
    return first if first == last else f"{first} to {last}"


def text(value: Any, *, longest: int = LONGEST_TEXT) -> str:
    """Return any value from the data as text that is short enough for a page, e-mail addresses masked."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "not known"
    shown = trim(value) if isinstance(value, float) else mask_addresses(str(value))
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def words(name: str) -> str:
    """Return a name as words."""
    return name.replace("_", " ")


def capital(sentence: str) -> str:
    """Return a text with its first letter a capital."""
    return sentence[:1].upper() + sentence[1:]


def title(name: str) -> str:
    """Return a name such as ``label_overlaps`` as words, the first letter a capital."""
    return capital(words(name))
