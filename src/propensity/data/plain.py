"""Canonical rows of a few leads and their events, as `propensity.data.frames` gives tables of many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from propensity.data.delimited import FILE, POSITION, ROW
from propensity.data.fetch import FEW_ROWS
from propensity.data.frames import LEADS, RAW, judging, resolved
from propensity.data.rows import Declined, Row, RowProgram
from propensity.data.rules import BAD
from propensity.data.scalars import microseconds, stamp_microseconds
from propensity.data.tables import (
    NOW,
    AttributeType,
    TableSpec,
    only_attributes,
    optional_order,
    table_specs,
    with_attributes,
)
from propensity.data.values import UTC as MOMENT
from propensity.params import Params

_CLOCK = "timestamp(6)"
_EMPTY = {"number": "float64", "amount": "float64", "moment": MOMENT, "past": MOMENT}
_BESIDE = {FILE: "string", ROW: "int64", POSITION: "int64", NOW: MOMENT}
_LONG = 2**63
_FLOAT, _WHOLE, _TRUTH = np.dtype("float64"), np.dtype("int64"), np.dtype("bool")
# Combinations of columns, and of the kinds of their values, that are remembered.
LAYOUTS = 64


@dataclass(frozen=True)
class PlainTable:
    """Canonical rows, all of them good.

    Attributes
    ----------
    judge : RowProgram
        What judged the rows. Its columns are theirs: with those of a canonical table there are some that are
        of no use any more.
    rows : list of tuple
        Moments are microseconds since 1970.
    """

    judge: RowProgram
    rows: list[Row]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return self.judge.names


class PlainReader:
    """Reads a few leads and events.

    What it has to find out of their columns and types is found once.

    Parameters
    ----------
    params : Params
    types : mapping
        The attributes of leads that are needed, with their types.
    """

    def __init__(self, params: Params, types: Mapping[str, AttributeType]) -> None:
        self._specs, self._types = table_specs(params.data), only_attributes(types)
        self._find_layout = lru_cache(maxsize=LAYOUTS)(self._make_layout)

    def read(
        self, leads: pd.DataFrame | Mapping[str, Any], events: pd.DataFrame | None, now: datetime
    ) -> dict[str, PlainTable] | None:
        """Return canonical ``leads``, and ``events`` where they are passed; None to have them read as many.

        That is where rows are many or bad, or hold what only the engine knows how to read.
        """
        moment = microseconds(now)
        try:
            found = {"leads": self._judge("leads", leads, moment, None)}
            if events is not None and "events" in self._specs:
                names = found["leads"].names
                places = names.index("lead_id"), names.index("created_at")
                known = [tuple(row[place] for place in places) for row in found["leads"].rows]
                found["events"] = self._judge("events", events, moment, known)
        except Declined:
            return None
        return found

    def _judge(self, name: str, given: Any, moment: int, leads: list[Row] | None) -> PlainTable:
        layout = self._layout(name, given)
        kinds, columns = _to_columns(given, layout)
        n = len(columns[0]) if columns else 0
        if not 0 <= n <= FEW_ROWS:
            raise Declined(n)
        found = _find_judge(layout, kinds)
        numbers = range(1, n + 1)
        raw = list(zip(*columns, [""] * n, numbers, numbers, [moment] * n, strict=True))
        judged = found.judge.run({RAW: raw} if leads is None else {RAW: raw, LEADS: leads})
        if True in map(found.bad, judged):
            raise Declined("a bad row")
        # What is equal for the engine is equal here: there is no NaN in rows that are not bad.
        if len(judged) > 1 and len(set(map(found.key, judged))) < len(judged):
            raise Declined("a row that repeats another")
        return PlainTable(found.judge, judged)

    def _layout(self, name: str, given: Any) -> _Layout:
        found = self._find_layout(name, _names_of(given))
        if found is None:
            raise Declined("columns that are missing or there more than once")
        return found

    def _make_layout(self, name: str, names: tuple[Any, ...]) -> _Layout | None:
        spec = resolved(self._specs[name], names)
        if name == "leads":
            spec = with_attributes(optional_order(spec, names), self._types)
        sound = all(names.count(column) == 1 for column in spec.raw_columns)
        if not sound or not spec.raw_columns:
            return None
        # A program serves one combination of kinds. Of what is missing any kind may be told, but where a row
        # cannot do without it.
        kinds = {f.raw: "null" if f.required else _EMPTY.get(f.kind, "string") for f in reversed(spec.fields)}
        columns = spec.raw_columns
        return _Layout(spec, columns, [*map(names.index, columns)], [kinds[column] for column in columns])


@dataclass(frozen=True, eq=False)  # as a key it is itself: hashing what it holds takes long
class _Layout:
    """How a table with certain columns is read: those needed, where they are, their kinds without values."""

    spec: TableSpec
    columns: tuple[str, ...]
    places: list[int]
    empty: list[Any]


@dataclass(frozen=True)
class _Judge:
    """What judges rows; which of their values are the mark of a bad one, and what no two rows share."""

    judge: RowProgram
    bad: Callable[[Row], Any]
    key: Callable[[Row], Any]


@lru_cache(maxsize=LAYOUTS)
def _find_judge(layout: _Layout, kinds: tuple[Any, ...]) -> _Judge:
    """Return what judges rows with values of these kinds."""
    raw = ibis.schema(dict(zip(layout.columns, kinds, strict=True)) | _BESIDE)
    judge = judging(layout.spec, raw).program
    if judge is None:
        raise Declined("an operation that is not known here")
    place = judge.names.index
    key = itemgetter(*map(place, layout.spec.key or layout.spec.columns))
    return _Judge(judge, itemgetter(place(BAD)), key)


def _names_of(given: Any) -> tuple[Any, ...]:
    if isinstance(given, Mapping):
        return tuple(given)
    held = given.columns
    return tuple(_to_list(held.array)[1] if isinstance(held.dtype, pd.StringDtype) else held.tolist())


def _to_columns(given: Any, layout: _Layout) -> tuple[tuple[Any, ...], list[list[Any]]]:
    """Return the kind of each column, and its values."""
    if isinstance(given, Mapping):
        found = [_to_list_of_one(given[name]) for name in layout.columns]
    elif len(given) > FEW_ROWS:
        raise Declined(len(given))
    else:
        # A Series, which has the array of values in it, takes twenty times as long to make.
        found = [_to_list(given._get_column_array(place)) for place in layout.places]
    kinds = [other if kind == "null" else kind for (kind, _), other in zip(found, layout.empty, strict=True)]
    return tuple(kinds), [values for _, values in found]


def _to_list_of_one(value: Any) -> tuple[Any, list[Any]]:
    kind, value = _to_value(value)
    return kind, [value]


def _to_value(value: Any) -> tuple[Any, Any]:
    """Return the kind of column that pandas would make of a single value, and what it holds."""
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return "null", None
    if isinstance(value, str):
        return "string", value
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, float):
        return "float64", float(value)
    if type(value) is int and -_LONG <= value < _LONG:
        return "int64", value
    if isinstance(value, pd.Timestamp):
        return (_CLOCK if value.tzinfo is None else MOMENT), stamp_microseconds(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return _CLOCK, microseconds(value.replace(tzinfo=UTC))
        return MOMENT, microseconds(value)
    raise Declined(type(value))


def _to_list(held: Any) -> tuple[Any, list[Any]]:
    """Return the kind of a column's array, and its values; NaN is missing, as everywhere in pandas."""
    kind = held.dtype
    if isinstance(kind, pd.StringDtype):
        return "string", pa.array(held, from_pandas=True).to_pylist()
    if kind.kind == "M" and getattr(held, "unit", None) == "us":
        moments = [None if value == -_LONG else value for value in held.asi8.tolist()]
        return (_CLOCK if held.tz is None else MOMENT), moments
    if kind == _FLOAT:
        return "float64", [None if value != value else value for value in held.tolist()]
    if kind in (_WHOLE, _TRUTH):
        return ("int64" if kind == _WHOLE else "boolean"), held.tolist()
    if kind == "object":
        values = [None if value is None or value != value else value for value in held.tolist()]
        if all(value is None for value in values):
            return "null", values
        if all(value is None or isinstance(value, str) for value in values):
            return "string", values
    raise Declined(kind)
