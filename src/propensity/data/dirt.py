"""The few bad rows in the simulated raw files, each breaking a known rule.

They are added to the honest rows and replace none. A copy stands after its original, since of
two good rows with one key the first is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from propensity.data.mechanism import Ints, to_micros

Content = TypeVar("Content", str, pa.Table)

DIRT_SHARE = 0.0005  # of a table's rows, for each kind of dirt
BAD_MOMENTS = ("2024-13-45 10:00", "yesterday", "31/02/2024", "in May")
BAD_NUMBERS = ("about 50", "10-49", "many", "2OO")
BAD_VALUES = (np.nan, np.inf)
FAR_FUTURE = pd.Timestamp("2099-01-01", tz="UTC")


@dataclass(frozen=True)
class Dirty(Generic[Content]):
    """A file's content, and how many of its rows break each rule."""

    content: Content
    counts: dict[str, int]


def dirty_leads(leads: pd.DataFrame, rng: np.random.Generator) -> Dirty[str]:
    """Return ``leads.csv`` with rows that are repeated, hold bad values, or have too many fields."""
    honest = _csv_lines(leads)
    repeated, undated, uncounted, ragged = (_pick(len(leads), rng) for _ in range(4))
    numbered = leads.assign(employees=leads["employees"].astype("str"), created_at=iso(leads["created_at"]))
    bad_date = numbered.iloc[undated].assign(
        lead_id=_new_ids("T", len(undated)), created_at=_cycle(BAD_MOMENTS, len(undated))
    )
    bad_number = numbered.iloc[uncounted].assign(
        lead_id=_new_ids("N", len(uncounted)), employees=_cycle(BAD_NUMBERS, len(uncounted))
    )
    too_long = leads.iloc[ragged].assign(lead_id=_new_ids("R", len(ragged)))
    added = [honest[1 + row] for row in repeated] + _csv_lines(bad_date)[1:] + _csv_lines(bad_number)[1:]
    added += [f"{line},surplus,surplus" for line in _csv_lines(too_long)[1:]]
    after = np.concatenate([repeated, undated, uncounted, ragged])
    counts = {"duplicate_key": len(repeated), "type": len(undated) + len(uncounted), "malformed": len(ragged)}
    return Dirty(_mix(honest, added, after, rng), counts)


def dirty_outcomes(outcomes: pd.DataFrame, leads: pd.DataFrame, rng: np.random.Generator) -> Dirty[str]:
    """Return ``outcomes.csv`` with second rows of closed leads, closed before they were created.

    `outcomes` and `leads` are in the same order.
    """
    ended = np.flatnonzero((outcomes["status"] != "open").to_numpy())
    chosen = ended[_pick(len(ended), rng)]
    early = leads["created_at"].iloc[chosen] - pd.to_timedelta(rng.uniform(1, 30, size=len(chosen)), unit="D")
    added = _csv_lines(outcomes.iloc[chosen].assign(closed_at=early.dt.as_unit("us")))[1:]
    content = _mix(_csv_lines(outcomes), added, chosen, rng)
    return Dirty(content, {"closed_before_created": len(chosen)})


def dirty_events(events: pd.DataFrame, rng: np.random.Generator) -> Dirty[pa.Table]:
    """Return the events with rows of infinite or undefined value, unknown leads and far futures.

    Rows are in order of ``event_at``. A missing value is null and differs from an undefined one, NaN.
    """
    odd, stray, late = (_pick(len(events), rng) for _ in range(3))
    if len(odd) == 1:  # one row for each of BAD_VALUES at least
        odd = np.repeat(odd, len(BAD_VALUES))
    far = FAR_FUTURE + pd.to_timedelta(np.arange(len(late)), unit="s")
    parts = [
        events.iloc[odd].assign(value=_cycle(BAD_VALUES, len(odd))),
        events.iloc[stray].assign(lead_id=_new_ids("X", len(stray))),
        events.iloc[late].assign(event_at=far.as_unit("us"), known_at=far.as_unit("us")),
    ]
    tables = [pa.Table.from_pandas(part, preserve_index=False) for part in (events, *parts)]
    undefined = pa.array(parts[0]["value"].to_numpy(), type=pa.float64(), from_pandas=False)
    tables[1] = tables[1].set_column(tables[1].schema.get_field_index("value"), "value", undefined)
    table = pa.concat_tables(tables, promote_options="permissive")
    moments = np.concatenate([to_micros(part["event_at"]) for part in (events, *parts)])
    counts = {"not_finite": len(odd), "unknown_lead": len(stray), "future": len(late)}
    return Dirty(table.take(np.argsort(moments, kind="stable")), counts)


def to_csv(table: pd.DataFrame) -> str:
    """Return `table` as CSV; timestamps are ISO 8601 with microseconds and offset, missing is empty."""
    return "\n".join(_csv_lines(table)) + "\n"


def iso(moments: pd.Series[Any]) -> pd.Series[str]:
    """Return UTC timestamps as text, such as ``2024-02-29T12:00:00.000000+00:00``."""
    naive = moments.dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    text = pd.Series(np.datetime_as_string(naive), index=moments.index, dtype="str") + "+00:00"
    return text.mask(moments.isna())


def _csv_lines(table: pd.DataFrame) -> list[str]:
    moments = {
        name: iso(table[name]) for name in table.columns if isinstance(table[name].dtype, pd.DatetimeTZDtype)
    }
    text: str = table.assign(**moments).to_csv(index=False, lineterminator="\n")
    return text.removesuffix("\n").split("\n")


def _mix(honest: list[str], added: list[str], after: Ints, rng: np.random.Generator) -> str:
    """Put each added line at a random place after the honest row with that number."""
    n_rows = len(honest) - 1
    place = np.concatenate([np.arange(n_rows), rng.uniform(after, n_rows)])
    lines = honest[1:] + added
    return "\n".join([honest[0], *(lines[row] for row in np.argsort(place, kind="stable"))]) + "\n"


def _pick(n_rows: int, rng: np.random.Generator) -> Ints:
    size = min(n_rows, max(1, round(DIRT_SHARE * n_rows)))
    return np.sort(rng.choice(n_rows, size=size, replace=False)) if size else np.zeros(0, dtype="int64")


def _new_ids(prefix: str, size: int) -> list[str]:
    return [f"{prefix}{number:06d}" for number in range(1, size + 1)]


def _cycle(values: Sequence[str | float], size: int) -> npt.NDArray[Any]:
    return np.resize(np.array(values), size)
