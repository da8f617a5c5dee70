"""A few rows computed without the engine: the same, bit for bit, as what the engine computes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import SCHEMAS
from propensity.data import values
from propensity.data.fetch import Compiled
from propensity.data.rows import COLUMNS_FROM, Declined, RowProgram, compile_rows
from propensity.decisions.rules import rule_hits
from propensity.features.build import build_features
from propensity.features.catalogue import Plan
from propensity.params import DisqualifyRule

T0 = datetime(2024, 10, 27, 1, 30, tzinfo=UTC)
PLAN = Plan(
    attributes={"industry": "text", "employees": "number"},
    qualifier_of={"industry": "firmographic", "employees": "firmographic"},
    event_types={"web": ["visit", "form"], "email": ["open"]},
    assets={"web": ["pricing"]},
    lookback_days=[0.5, 7.0],
    timezone="Europe/Berlin",
    has_channel=True,
    asset_types=["form", "open", "visit"],
    value_types=["form", "open", "visit"],
)
SPINE = SCHEMAS["spine"]
LEADS = SCHEMAS["leads"] | {"industry": "string", "employees": "float64"}


def both_ways(con: Any, expression: ibis.Table, tables: dict[str, pa.Table]) -> tuple[pa.Table, pa.Table]:
    """Compute an expression without the engine and with it."""
    here = RowProgram(expression).compute(tables)
    return here, Compiled(expression).compute_with_engine(con, tables)


def arrow(schema: dict[str, str], rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=ibis.schema(schema).to_pyarrow())


def values_of(con: Any, make: Any, column: list[Any], kind: str = "string") -> tuple[list[Any], list[Any]]:
    """Return what an expression of one column gives here and in the engine."""
    table = ibis.table({"x": kind, "i": "int64"}, name="given")
    expression = table.select("i", y=make(table.x)).order_by("i")
    rows = [{"x": value, "i": i} for i, value in enumerate(column)]
    here, there = both_ways(con, expression, {"given": arrow({"x": kind, "i": "int64"}, rows)})
    return here["y"].to_pylist(), there["y"].to_pylist()


MOMENTS = st.integers(-40 * 86_400_000_000, 86_400_000_000).map(lambda us: T0 + timedelta(microseconds=us))
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "lead_id": st.sampled_from(["a", "b", "c"]),
            "event_at": MOMENTS | st.sampled_from([T0, T0 - timedelta(days=7), T0 - timedelta(hours=12)]),
            "type": st.sampled_from(["visit", "form", "open", "call"]),
            "asset": st.sampled_from(["pricing", "home", "über", None]),
            "value": st.sampled_from([0.1, 0.0000005, 2.5e6, 1e11, None]),
            "late": st.sampled_from([0, 0, 86_400]),
        }
    ),
    max_size=20,
)


@settings(max_examples=30)
@given(EVENTS, st.sampled_from([T0, T0 - timedelta(days=3), T0 + timedelta(days=200)]))
def test_features_are_those_of_the_engine(con, events, as_of):
    rows = [{**e, "known_at": e["event_at"] + timedelta(seconds=e.pop("late"))} for e in map(dict, events)]
    leads = [
        {"lead_id": name, "created_at": T0 - timedelta(days=50 * i), "industry": text, "employees": size}
        for i, (name, text, size) in enumerate([("a", "bank", 3.0), ("b", None, None), ("c", "Öl", 1e300)])
    ]
    spine = [{**lead, "snapshot": i, "as_of": as_of} for i, lead in enumerate(leads)]
    schemas = {"spine": SPINE, "leads": LEADS, "events": SCHEMAS["events"]}
    expression = build_features(
        ibis.table(SPINE, name="spine"),
        ibis.table(LEADS, name="leads"),
        PLAN,
        events=ibis.table(SCHEMAS["events"], name="events"),
    ).order_by("snapshot")
    given_rows = {"spine": spine, "leads": leads, "events": rows}
    here, there = both_ways(con, expression, {n: arrow(schemas[n], r) for n, r in given_rows.items()})
    pd.testing.assert_frame_equal(here.to_pandas(), there.to_pandas(), check_exact=True)


RULES = [
    DisqualifyRule(reason="student", column="job", matches=["student", "praktikant", "étudiant"]),
    DisqualifyRule.model_validate({"reason": "students", "column": "job", "list": "students"}),
    DisqualifyRule.model_validate({"reason": "mail", "column": "mail", "list": "free_mail"}),
    DisqualifyRule(reason="rival", column="mail", domains=["rival.com"]),
    DisqualifyRule(reason="small", column="size", below=5),
    DisqualifyRule(reason="nothing", column="job", missing=True),
    DisqualifyRule(reason="exact", column="job", equals="Boss"),
]
JOBS = [
    "Student",
    "student-trainee",
    "Studentin",
    "CEO",
    "",
    None,
    "PRAKTIKANT (m/w)",
    "Étudiante",
    "étudiant",
    "boss",
]
MAILS = [
    "a@gmail.com",
    "b@x.RIVAL.com",
    "rival.community",
    "https://rival.com/path?x",
    None,
    "mailto:c@gmail.com.",
]


def test_the_rules_that_leads_meet_are_those_of_the_engine(con):
    schema = {"lead_id": "string", "job": "string", "mail": "string", "size": "float64"}
    rows = [
        {"lead_id": f"{i}-{k}", "job": job, "mail": mail, "size": [3.0, 7.0, None][(i + k) % 3]}
        for i, job in enumerate(JOBS)
        for k, mail in enumerate(MAILS)
    ]
    expression = rule_hits(ibis.table(schema, name="leads"), RULES)
    here, there = both_ways(con, expression, {"leads": arrow(schema, rows)})
    key = ["rule", "lead_id"]
    frames = [t.to_pandas().sort_values(key, ignore_index=True) for t in (here, there)]
    assert len(frames[0]) > 20
    pd.testing.assert_frame_equal(*frames)


def test_every_letter_known_here_has_the_engines_lower_case(con):
    letters = [chr(code) for code in range(1, 0x480) if len(chr(code).lower()) == 1]
    here, there = values_of(con, lambda x: x.lower(), letters)
    assert here == there


@pytest.mark.parametrize("text", ["İstanbul", "ẞ"])
def test_lower_case_of_other_letters_is_left_to_the_engine(con, text):
    with pytest.raises(Declined):
        values_of(con, lambda x: x.lower(), [text])


NUMBERS = ["1", "-2.50", " 3 ", "+4", "1e5", "nan", "x", "", "0.1", "007", "1,5", None]


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_read_as_in_the_engine_or_are_left_to_it(con, text):
    try:
        here, there = values_of(con, lambda x: values.number_of(x, ["-"]), [text])
    except Declined:
        assert text in ("1e5", "nan")
        return
    assert here == there


CLOCKS = [
    "2024-03-10",
    "2024-03-10T12:30",
    "2024-03-10 12:30:05.25",
    "2024-07-01T00:00:00+02:00",
    "2024-07-01 00:00:00.000001Z",
    "2024-02-30",
    "soon",
    None,
]


@pytest.mark.parametrize("text", CLOCKS)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_moments_read_as_in_the_engine_or_are_left_to_it(con, text, zone):
    try:
        here, there = values_of(con, lambda x: values.moment_of(x, zone=zone), [text])
    except Declined:
        assert text == "2024-02-30"
        return
    assert here == there


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/London", "Pacific/Auckland", "America/Sao_Paulo", "Asia/Tehran"]
)
def test_the_clock_of_a_zone_is_the_engines(con, zone):
    plan = Plan(attributes={}, qualifier_of={}, timezone=zone)
    moments = [datetime(1990, 1, 1, tzinfo=UTC) + timedelta(hours=977 * k) for k in range(350)]
    rows = [{"snapshot": i, "lead_id": "a", "created_at": m, "as_of": m} for i, m in enumerate(moments)]
    tables = {"spine": arrow(SPINE, rows), "leads": arrow(LEADS, [{"lead_id": "a"}])}
    expression = build_features(ibis.table(SPINE, name="spine"), ibis.table(LEADS, name="leads"), plan)
    here, there = both_ways(con, expression.order_by("snapshot"), tables)
    assert here.equals(there)


@settings(max_examples=40)
@given(st.lists(st.floats() | st.none(), max_size=8))
def test_numbers_compare_round_and_become_text_as_in_the_engine(con, numbers):
    def in_millionths(x: Any) -> Any:
        return (ibis.ifelse(x.isnan() | x.isinf() | (x.abs() > 1e9), 0.0, x) * 1e6).round()

    here, there = values_of(con, in_millionths, numbers, "float64")
    assert here == there
    here, there = values_of(con, lambda x: (x > 3.5) | (x <= -1.0), numbers, "float64")
    assert here == there
    try:
        here, there = values_of(con, values.text_of, numbers, "float64")
    except Declined:
        return
    assert here == there


def test_an_operation_that_is_not_known_is_left_to_the_engine(con):
    table = ibis.table({"x": "string"}, name="given")
    expression = table.select(y=table.x.reverse())
    assert compile_rows(expression) is None
    found = Compiled(expression).compute(con, {"given": arrow({"x": "string"}, [{"x": "ab"}])})
    assert found["y"].to_pylist() == ["ba"]


def test_a_value_that_only_the_engine_can_tell_is_left_to_it(con):
    table = ibis.table({"x": "string"}, name="given")
    given_rows = {"given": arrow({"x": "string"}, [{"x": "ẞ"}])}
    assert Compiled(table.select(y=table.x.lower())).compute(con, given_rows)["y"].to_pylist() == ["ß"]


MIXED = {"i": "int64", "a": "boolean", "b": "boolean", "x": "float64", "y": "float64", "t": "string"}
FLOATS = st.sampled_from([1.0, -2.5, 0.0, float("inf"), float("nan"), None])
MIXED_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.sampled_from([True, False, None]),
            "b": st.sampled_from([True, False, None]),
            "x": FLOATS,
            "y": FLOATS,
            "t": st.sampled_from(["u", " v ", "", None]),
        }
    ),
    min_size=1,
    max_size=2 * COLUMNS_FROM,
)


COMPARED: list[Callable[[Any], Any]] = [
    *(lambda x: x < 0, lambda x: x <= 0, lambda x: x > 0),
    *(lambda x: x >= 1, lambda x: x == 1, lambda x: x != 1),
]


@settings(max_examples=50)
@given(MIXED_ROWS)
def test_conditions_and_aggregates_are_the_engines_for_a_few_rows_and_for_more(con, rows):
    table = ibis.table(MIXED, name="given")
    a, b, x, y, t = (table[name] for name in "abxyt")
    computed = table.mutate(
        every=a & b,
        some=a | b,
        bad=ibis.or_((a & b).fill_null(False), x.isnan().fill_null(False)),
        strange=x.isnan() | x.isinf(),
        text=t.strip().nullif(""),
        number=ibis.ifelse(x.isnan() | x.isinf(), ibis.null("float64"), x).coalesce(7.0),
        either=ibis.coalesce(x, y),
        most=ibis.greatest(x, y),
        least=ibis.least(x, y),
        **{f"compared_{k}": test(x) for k, test in enumerate(COMPARED)},
        shifted=ibis.literal(1, "int64") << table.i,
    ).order_by("i")
    kept = computed.filter(~computed.bad, computed.text.isnull() | computed.some)
    grouped = computed.group_by("text", "a").agg(
        n=computed.count(),
        u=computed.count(where=(computed.t == "u") & computed.b),
        least=computed.i.min(where=computed.every & (computed.t == "u")),
        first=computed.t.first(where=computed.b, order_by=computed.i),
        total=computed.i.sum(where=computed.b).cast("float64"),
        true=computed.b.sum().cast("float64"),
    )
    numbered = {"given": arrow(MIXED, [{**row, "i": i} for i, row in enumerate(rows)])}
    for expression in (computed, kept.order_by("i"), grouped):
        here, there = both_ways(con, expression, numbered)
        key = [n for n in ("i", "text", "a") if n in here.column_names]
        frames = [frame.to_pandas().sort_values(key, ignore_index=True) for frame in (here, there)]
        pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_what_nothing_is_made_of_is_not_computed() -> None:
    given = ibis.table({"a": "int64", "b": "string", "k": "int64"}, name="given")
    unknown = given.mutate(c=given.b.reverse())
    assert compile_rows(unknown) is None
    counted = unknown.group_by("k").agg(n=unknown.count(), c=unknown.c.max()).select("k", "n")
    both = ibis.union(unknown.select("a", "c"), unknown.select("a", "c")).select("a")
    joined = counted.left_join(unknown.select(_k="k", e="c"), [("k", "_k")]).select("k", "n")
    rows = [(1, "x", 7), (2, "y", 7), (3, None, 8)]
    for expression, expected in (
        (unknown.filter(unknown.a > 1).select("a"), [(2,), (3,)]),
        (counted, [(7, 2), (8, 1)]),
        (both, [(1,), (2,), (3,)] * 2),
        (joined, [(7, 2), (7, 2), (8, 1)]),
        (unknown.filter(unknown.a > 1).agg(n=lambda t: t.count()), [(2,)]),
    ):
        program = compile_rows(expression)
        assert program is not None
        assert program.run({"given": rows}) == expected
