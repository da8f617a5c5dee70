"""Rows that repeat others: those that the quick look leaves are all that are numbered in the end."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ingest_cases import dated, engine
from propensity.data.delimited import POSITION
from propensity.data.rules import BAD, likely_repeats, repeated_rows
from propensity.data.tables import TableSpec, table_specs

MAPPED = {"path": "events.csv"} | {name: name for name in ("lead_id", "event_at", "type", "value")}
EVENTS = table_specs(dated(events=MAPPED).data)["events"]
MOMENT = pa.timestamp("us", tz="UTC")
TYPES = {"event_at": MOMENT, "known_at": MOMENT, "value": pa.float64()}
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.sampled_from([0, 1, None]),
        st.sampled_from(["visit", None]),
        st.sampled_from([0.0, -0.0, 1.0, float("nan"), None]),
        st.booleans(),
    ),
    max_size=14,
)


def judged(rows: list[tuple[Any, ...]], spec: TableSpec) -> pa.Table:
    lead, at, kind, value, bad = map(list, zip(*rows, strict=True)) if rows else ([], [], [], [], [])
    given_columns = {"lead_id": lead, "event_at": at, "known_at": at, "type": kind, "value": value}
    columns: dict[str, pa.Array] = {
        POSITION: pa.array(range(len(rows)), pa.int64()),
        BAD: pa.array(bad, pa.bool_()),
    }
    for name in spec.columns:
        columns[name] = pa.array(given_columns.get(name, [None] * len(rows)), TYPES.get(name, pa.string()))
    return pa.table(columns)


@given(ROWS)
def test_rows_that_repeat_others_are_found_among_the_likely_ones(rows: list[tuple[Any, ...]]) -> None:
    con = engine()
    table = con.create_table("judged_rows", judged(rows, EVENTS), overwrite=True)
    found, expected = (
        sorted(con.to_pyarrow(repeated_rows(part, EVENTS))[POSITION].to_pylist())
        for part in (likely_repeats(table, EVENTS), table)
    )
    assert found == expected


def test_rows_that_stand_alone_are_not_looked_at_again() -> None:
    rows = [("a", 0, "visit", 1.0, False), ("a", 1, "visit", 1.0, False), ("b", 1, "visit", 1.0, True)]
    rows += [("c", 0, "visit", 0.0, False), ("c", 0, "visit", -0.0, False), ("b", 1, "visit", 1.0, False)]
    con = engine()
    table = con.create_table("judged_rows", judged(rows, EVENTS), overwrite=True)
    assert sorted(con.to_pyarrow(likely_repeats(table, EVENTS))[POSITION].to_pylist()) == [3, 4]
    assert con.to_pyarrow(repeated_rows(table, EVENTS))[POSITION].to_pylist() == [4]
