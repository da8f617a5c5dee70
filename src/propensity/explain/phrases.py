"""Phrases: what a feature's value says, each different value once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.explain.texts import Told, write_each
from propensity.explain.words import (
    Words,
    localise,
    mask_addresses,
    name_absence,
    name_qualifier,
    name_subject,
    plain_number,
    say,
    write_number,
)
from propensity.features.catalogue import Feature

DAY_US = 86_400_000_000
LAST_HOUR = -1  # what `days_back` gives for the last hour, whatever the calendar says
DAYS, AMOUNT, PLAIN = "days", "amount", "plain"
AMOUNTS = frozenset({"count", "value", "assets", "active_days"})

Whole = npt.NDArray[np.int64]


class ActivityKind(NamedTuple):
    """Whether a feature is about all of a qualifier's activity, or about one of its event types."""

    qualifier: str
    whole: bool


def activity_kind(feature: Feature) -> ActivityKind | None:
    """Return what behaviour a feature is about; None for pages, colleagues and all that is no behaviour."""
    if feature.statistic in ("active_days", "assets"):
        return ActivityKind(feature.qualifier, whole=True)
    if feature.statistic in ("count", "value", "days_since"):
        return ActivityKind(feature.qualifier, whole=feature.subject == feature.qualifier)
    return None


def local_clock(table: pd.DataFrame, zone: str) -> Whole:
    """Return each row's ``as_of`` on the clock of a zone, in microseconds; zeros in a table without time."""
    if "as_of" not in table or table["as_of"].isna().all():
        return np.zeros(len(table), dtype=np.int64)
    local = pd.DatetimeIndex(table["as_of"]).tz_convert(zone).tz_localize(None)
    return np.asarray(local.as_unit("us").asi8)


def days_back(days: npt.NDArray[np.float64], clock: Whole) -> Whole:
    """Return how many midnights ago something was: 0 today, 1 yesterday; `LAST_HOUR` for the last hour.

    Parameters
    ----------
    days : array of shape (n_rows,)
        Days elapsed until `clock`, without NaN.
    clock : array of int, shape (n_rows,)
        As `local_clock`; a change of the clock in between is not followed.
    """
    then = clock - np.round(days * DAY_US).astype(np.int64)
    return np.where(days < 1 / 24, LAST_HOUR, clock // DAY_US - then // DAY_US)


def phrase_column(
    feature: Feature,
    column: pd.Series[Any],
    words: Words,
    *,
    clock: Whole,
    last: pd.Series[Any] | None = None,
) -> Told:
    """Say what each value of a feature is, and when it last happened.

    Parameters
    ----------
    feature : Feature
    column : Series
    words : Words
    clock : array of int, shape (n_rows,)
        As `local_clock`.
    last : Series, optional
        Days since the last time, of the same behaviour; missing where it never happened.

    Returns
    -------
    Told
        Of each row, without a capital letter or a full stop.
    """
    kind = phrase_kind(feature, dated=last is not None)
    if kind == DAYS:
        return _by_value(_days_ago(column, clock), lambda n: phrase_cell(kind, feature, n, None, words))
    if last is None or kind != AMOUNT:
        return _by_value(column, lambda x: phrase_cell(kind, feature, x, None, words))
    codes, distinct = pd.factorize(column, use_na_sentinel=False)
    ago, agos = pd.factorize(_days_ago(last, clock), use_na_sentinel=False)
    pairs, place = np.unique(codes * len(agos) + ago, return_inverse=True)
    cells = [(distinct[p // len(agos)], agos[p % len(agos)]) for p in pairs]
    return Told(place, [phrase_cell(kind, feature, amount, n, words) for amount, n in cells])


def phrase_kind(feature: Feature, *, dated: bool) -> str:
    """Return what a phrase about a feature is made of: `DAYS` back, an `AMOUNT` and when last, or `PLAIN`.

    Parameters
    ----------
    feature : Feature
    dated : bool
        Whether it is known when the same behaviour was last seen.
    """
    if feature.statistic == "days_since" or feature.name == "age_days":
        return DAYS
    return AMOUNT if dated and feature.statistic in AMOUNTS else PLAIN


def phrase_cell(kind: str, feature: Feature, value: Any, ago: float | None, words: Words) -> str:
    """Say what a value is.

    Parameters
    ----------
    kind : str
        As `phrase_kind`.
    feature : Feature
    value : number, str or None
        Of `DAYS`, the midnights since.
    ago : float or None
        Of an `AMOUNT`, the midnights since the last time.
    words : Words
    """
    if kind == DAYS:
        return _phrase_days(feature, value, words)
    return _phrase_amount(feature, value, ago, words) if kind == AMOUNT else phrase(feature, value, words)


def midnights_back(days: float | None, clock: int) -> int | None:
    """Return what `days_back` does, of a single number; None of None."""
    if days is None:
        return None
    then = clock - round(days * DAY_US)
    return LAST_HOUR if days < 1 / 24 else clock // DAY_US - then // DAY_US


def phrase(feature: Feature, value: Any, words: Words) -> str:
    """Say what a value is; of days, the whole ones counted on the calendar.

    Parameters
    ----------
    feature : Feature
    value : number, str or None
        None, NaN or NA where it is unknown.
    words : Words
    """
    if value is None or pd.isna(value):
        return _ABSENT.get(feature.statistic, _unknown)(feature, words)
    if feature.name == "age_days" or feature.statistic == "days_since":
        return _phrase_days(feature, value, words)
    return _PRESENT[feature.statistic](feature, value, words)


def value_texts(feature: Feature, column: pd.Series[Any], words: Words) -> Told:
    """Say of each value of a column what `value_text` says of one."""
    if feature.kind == "number":
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return write_each(numbers, plain_number, lambda text: localise(words, text))
    return _by_value(column, lambda x: value_text(feature, x, words))


def value_text(feature: Feature, value: Any, words: Words) -> str | None:
    """Return a value as short text, None where it is unknown; addresses are masked."""
    missing = value != value if isinstance(value, float) else not isinstance(value, str) and pd.isna(value)
    if missing:
        return None
    return write_number(words, float(value)) if feature.kind == "number" else mask_addresses(str(value))


def _by_value(column: Any, tell: Callable[[Any], str | None]) -> Told:
    codes, distinct = pd.factorize(column, use_na_sentinel=False)
    return Told(codes, [tell(x) for x in distinct])


def _days_ago(column: pd.Series[Any], clock: Whole) -> npt.NDArray[np.float64]:
    days = column.to_numpy(dtype=np.float64, na_value=np.nan)
    known = ~np.isnan(days)
    found = np.full(len(days), np.nan)
    found[known] = days_back(days[known], clock[known])
    return found


def _phrase_amount(feature: Feature, amount: Any, ago: float | None, words: Words) -> str:
    if ago is None or pd.isna(ago):
        return _never(feature, words) if amount == 0 else phrase(feature, amount, words)
    return say(words, "last", what=phrase(feature, amount, words), ago=_ago(ago, words))


def _phrase_days(feature: Feature, n: float | None, words: Words) -> str:
    if n is None or pd.isna(n):
        return _never(feature, words) if feature.statistic == "days_since" else _unknown(feature, words)
    if feature.name == "age_days":
        return say(words, "created", ago=_ago(n, words))
    return say(words, "recency", subject=_behaviour(feature, words), ago=_ago(n, words))


def _ago(n: float, words: Words) -> str:
    named = {LAST_HOUR: "last_hour", 0: "today", 1: "yesterday"}.get(int(n))
    return say(words, named) if named else say(words, "days_ago", n)


def _behaviour(feature: Feature, words: Words) -> str:
    kind = activity_kind(feature)
    return _activity(feature, words) if kind and kind.whole else name_subject(words, feature.subject)


def _activity(feature: Feature, words: Words) -> str:
    return say(words, "activity", qualifier=name_qualifier(words, feature.qualifier))


def _never(feature: Feature, words: Words) -> str:
    return say(words, "never", none=_none(feature, words))


def _none(feature: Feature, words: Words) -> str:
    kind = activity_kind(feature)
    if kind and kind.whole:
        return say(words, "none", subject=_activity(feature, words))
    return name_absence(words, feature.subject)


def _window(feature: Feature, words: Words) -> str:
    days = feature.window_days or 0
    return say(words, "window_days", days) if days > 1 else say(words, "window_hours", round(24 * days, 6))


def _count(feature: Feature, n: Any, words: Words) -> str:
    window = _window(feature, words)
    if n == 0:
        return say(words, "none_within", none=_none(feature, words), window=window)
    subject = name_subject(words, feature.subject)
    return say(words, "count", subject=subject, times=say(words, "times", n), window=window)


def _amount(feature: Feature, x: Any, words: Words) -> str:
    window = _window(feature, words)
    if x == 0:
        return say(words, "none_within", none=_none(feature, words), window=window)
    subject, amount = name_subject(words, feature.subject), write_number(words, float(x))
    return say(words, "value", subject=subject, amount=amount, window=window)


def _counted_activity(feature: Feature, n: Any, words: Words) -> str:
    window = _window(feature, words)
    if n == 0:
        return say(words, "none_within", none=_none(feature, words), window=window)
    qualifier = name_qualifier(words, feature.qualifier)
    return say(words, feature.statistic, n, qualifier=qualifier, window=window)


def _account(feature: Feature, n: Any, words: Words) -> str:
    if feature.window_days is None:
        return say(words, feature.name, n)
    qualifier = name_qualifier(words, feature.qualifier)
    return say(words, "account_events", n, qualifier=qualifier, window=_window(feature, words))


def _timing(feature: Feature, x: Any, words: Words) -> str:
    if feature.name == "created_hour":
        return say(words, "created_hour", start=str(int(x)), end=str(int(x) + 1))
    if feature.name == "created_weekday":
        return say(words, "created_weekday", weekday=words.texts["weekdays"][int(x)])
    return say(words, "month", month=words.texts["months"][int(x) - 1])


def _attribute(feature: Feature, x: Any, words: Words) -> str:
    value = value_text(feature, x, words) or ""
    return say(words, "attribute", subject=name_subject(words, feature.subject), value=value)


def _last_asset(feature: Feature, x: Any, words: Words) -> str:
    qualifier = name_qualifier(words, feature.qualifier)
    return say(words, "last_asset", qualifier=qualifier, value=mask_addresses(str(x)))


def _unknown(feature: Feature, words: Words) -> str:
    return say(words, "not_known", subject=name_subject(words, feature.subject))


_PRESENT: dict[str, Callable[[Feature, Any, Words], str]] = {
    "attribute": _attribute,
    "count": _count,
    "asset_count": _count,
    "assets": _counted_activity,
    "active_days": _counted_activity,
    "value": _amount,
    "last_asset": _last_asset,
    "account": _account,
    "timing": _timing,
}
_ABSENT: dict[str, Callable[[Feature, Words], str]] = {
    "attribute": lambda f, w: say(w, "not_given", subject=name_subject(w, f.subject)),
    "days_since": _never,
    "last_asset": lambda f, w: say(w, "no_asset", qualifier=name_qualifier(w, f.qualifier)),
    "account": lambda _, w: say(w, "no_account"),
}
