"""Reasons: the points that moved a score most, as sentences.

The windows of one behaviour speak as one reason, in the words of the window that weighs most. The
last reason, ``other``, holds what the named ones leave, so that base and reasons sum to the score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from propensity.explain.points import Points
from propensity.features.catalogue import Feature, window_words

OTHER = "other"
ALL_OTHER = "All other evidence together"
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
REASONS_TYPE = pa.list_(
    pa.struct(
        [
            ("feature", pa.string()),
            ("qualifier", pa.string()),
            ("value", pa.string()),
            ("points", pa.float64()),
            ("text", pa.string()),
        ]
    )
)


def top_reasons(
    points: Points,
    table: pd.DataFrame,
    features: list[Feature],
    *,
    most: int = 5,
    rest: npt.NDArray[np.object_] | None = None,
) -> pa.ListArray:
    """Choose and phrase each row's reasons.

    Parameters
    ----------
    points : Points
        Of the rows, columns as `features`.
    table : DataFrame
        The rows' feature values, in the same order.
    features : list of Feature
    most : int
        Named reasons a row.
    rest : array of str, shape (n_rows,), optional
        The text of each row's ``other``.

    Returns
    -------
    pyarrow list array of length n_rows
        Each a list of ``{feature, qualifier, value, points, text}``, the weightiest first, at most
        `most` and one ``other``; a row's points and the base sum to its score.
    """
    families, spokesman, sums = by_family(points, features)
    most = min(most, len(families))
    order = np.argsort(-np.abs(sums), axis=1, kind="stable")[:, :most]
    rows = np.arange(len(sums))[:, None]
    chosen, amounts = spokesman[rows, order], sums[rows, order]
    value, text = phrase_cells(chosen, table, features)
    other_text = np.full(len(sums), ALL_OTHER, dtype=object) if rest is None else rest
    left = sums.sum(axis=1) - amounts.sum(axis=1)
    names = np.array([f.name for f in features], dtype=object)
    qualifiers = np.array([f.qualifier for f in features], dtype=object)
    other = np.full((len(sums), 1), OTHER, dtype=object)
    columns = [
        np.hstack([names[chosen], other]),
        np.hstack([qualifiers[chosen], other]),
        np.hstack([value, np.full_like(other, None)]),
        np.hstack([amounts, left[:, None]]),
        np.hstack([text, other_text[:, None]]),
    ]
    arrays = [
        pa.array(column.ravel(), type=field.type, from_pandas=field.type != pa.float64())
        for column, field in zip(columns, REASONS_TYPE.value_type, strict=True)
    ]
    flat = pa.StructArray.from_arrays(arrays, fields=list(REASONS_TYPE.value_type))
    offsets = pa.array(np.arange(len(sums) + 1, dtype=np.int32) * (most + 1))
    return pa.ListArray.from_arrays(offsets, flat)


def tell(scored: Mapping[str, Any]) -> str:
    """Return one row of the scores as lines of text: the score, then each reason with its points."""
    lines = [
        f"{scored['lead_id']}: score {scored['score']:.1f}, tier {scored['tier']}, "
        f"probability {scored['probability']:.1%} (model {scored['model_version']})",
        f"{scored['base_points']:+7.1f}  Base",
    ]
    lines += [f"{reason['points']:+7.1f}  {reason['text']}" for reason in scored["reasons"]]
    return "\n".join([*lines, f"{scored['score']:7.1f}  Score"])


def phrase(feature: Feature, value: Any) -> str:
    """Say in one sentence what a feature's value is.

    Parameters
    ----------
    feature : Feature
    value : number, str or None
        None, NaN or NA where it is unknown.
    """
    if value is None or pd.isna(value):
        return _ABSENT[feature.statistic](feature)
    return _PRESENT[feature.statistic](feature, value)


def value_text(feature: Feature, value: Any) -> str | None:
    """Return a value as short text, None where it is unknown."""
    if value is None or pd.isna(value):
        return None
    return _number(float(value)) if feature.kind == "number" else str(value)


def by_family(
    points: Points, features: list[Feature]
) -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the families, each row's weightiest member of each, and each family's points.

    The last two are of shape (n_rows, n_families); a member is its place in `features`.
    """
    members: dict[str, list[int]] = {}
    for j, feature in enumerate(features):
        members.setdefault(feature.family, []).append(j)
    spokesman = np.empty((len(points.values), len(members)), dtype=np.int64)
    sums = np.empty(spokesman.shape)
    for k, columns in enumerate(members.values()):
        own = points.values[:, columns]
        spokesman[:, k] = np.array(columns)[np.abs(own).argmax(axis=1)]
        sums[:, k] = own.sum(axis=1)
    return list(members), spokesman, sums


def phrase_cells(
    chosen: npt.NDArray[np.int64], table: pd.DataFrame, features: list[Feature]
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """Return value and text of the chosen cells, one feature after another, each different value once.

    Parameters
    ----------
    chosen : array of int, shape (n_rows, n_cells)
        The place of each cell's feature in `features`.
    table : DataFrame
    features : list of Feature
    """
    value = np.empty(chosen.shape, dtype=object)
    text = np.empty(chosen.shape, dtype=object)
    for j in np.unique(chosen):
        row, place = np.nonzero(chosen == j)
        feature = features[j]
        codes, distinct = pd.factorize(table[feature.name].iloc[row], use_na_sentinel=False)
        values = np.array([value_text(feature, v) for v in distinct], dtype=object)
        texts = np.array([phrase(feature, v) for v in distinct], dtype=object)
        value[row, place], text[row, place] = values[codes], texts[codes]
    return value, text


def _number(x: float) -> str:
    if x == int(x):
        return f"{int(x):,}"
    return f"{x:,.1f}" if abs(x) >= 10 else f"{x:.2g}"


def _times(n: float) -> str:
    return "once" if n == 1 else f"{_number(n)} times"


def _ago(x: float) -> str:
    if x < 1 / 24:
        return "within the last hour"
    if x < 1:
        return _plural(round(x * 24), "hour") + " ago"
    return _plural(round(x), "day") + " ago"


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _within(feature: Feature) -> str:
    return f"in the last {window_words(feature.window_days or 0)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _count(feature: Feature, n: Any) -> str:
    if n == 0:
        return f"No {feature.subject} {_within(feature)}"
    return f"{_capital(feature.subject)} {_times(n)} {_within(feature)}"


def _timing(feature: Feature, x: Any) -> str:
    if feature.name == "age_days":
        return f"Created {_ago(float(x))}"
    if feature.name == "created_hour":
        return f"Created between {int(x)}:00 and {int(x) + 1}:00"
    if feature.name == "created_weekday":
        return f"Created on a {WEEKDAYS[int(x)]}"
    return f"The month is {MONTHS[int(x) - 1]}"


_PRESENT: dict[str, Callable[[Feature, Any], str]] = {
    "attribute": lambda f, x: f"{_capital(f.label)}: {value_text(f, x)}",
    "count": _count,
    "asset_count": _count,
    "days_since": lambda f, x: f"Last {f.subject}{_activity(f)} {_ago(float(x))}",
    "assets": lambda f, x: f"{_plural(int(x), f'different {f.subject} asset')} {_within(f)}",
    "active_days": lambda f, x: f"Active by {f.subject} on {_plural(int(x), 'day')} {_within(f)}",
    "value": lambda f, x: f"{_capital(f.subject)}: {_number(float(x))} in total {_within(f)}",
    "last_asset": lambda f, x: f"Last {f.subject} asset: {x}",
    "account": lambda f, x: f"{_capital(f.label)}: {_number(float(x))}",
    "timing": _timing,
}
_ABSENT: dict[str, Callable[[Feature], str]] = dict.fromkeys(
    _PRESENT, lambda f: f"{_capital(f.label)}: not known"
) | {
    "attribute": lambda f: f"{_capital(f.label)}: not given",
    "days_since": lambda f: f"No {f.subject}{_activity(f)} so far",
    "last_asset": lambda f: f"No {f.subject} asset so far",
    "account": lambda _: "No account known",
}


def _activity(feature: Feature) -> str:
    """A qualifier's recency is about any activity of it; an event type's is about itself."""
    return " activity" if feature.subject == feature.qualifier else ""
