"""Features computed in another database: PostgreSQL gives DuckDB's values; other dialects compile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_values import ATTRIBUTES, FIELDS, canonical_on, check_equal, derived, plan_of
from hard_worlds import PARAMS, write_world
from postgres_server import OWNER
from propensity.data.dialects import translate
from propensity.data.engines import connect_here
from propensity.data.ingest import Canonical
from propensity.data.values import UTC
from propensity.errors import InputError
from propensity.features.build import build_features
from propensity.params import Params

TABLES = ("snapshots", "counts", "assets", "features", "spine", "states")


@ibis.udf.scalar.builtin(name="bit_count", signature=(("int64",), "int8"))
def bit_count(mask):
    """DuckDB's number of bits that are set."""


@pytest.fixture(scope="module")
def values(
    postgres: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, dict[str, pa.Table]]]:
    """The tables of the hard world by engine; without rules of disqualification, which are not translated."""
    folder = tmp_path_factory.mktemp("pushed")
    params = write_world(folder).model_copy(update={"disqualify": []})
    here = connect_here()
    canonical = canonical_on(here, (folder, params), folder / "interim")
    there = ibis.postgres.connect(host="127.0.0.1", port=postgres.port, user=OWNER, database="postgres")
    sent = {name: there.create_table(name, here.to_pyarrow(t)) for name, t in canonical.tables.items()}
    moved = Canonical(**vars(canonical) | {"tables": sent})
    try:
        yield {
            "duckdb": computed(here, derived(here, params, canonical)),
            "postgres": computed(
                there, derived(there, params, moved, translated=lambda table: translate(table, "postgres"))
            ),
        }
    finally:
        there.disconnect()


def computed(con: Any, tables: dict[str, Any]) -> dict[str, pa.Table]:
    wanted = {name: tables[name] for name in TABLES}
    return {name: con.to_pyarrow(t.order_by(order) if order else t) for name, (t, order) in wanted.items()}


@pytest.mark.parametrize("name", TABLES)
def test_postgresql_gives_every_value_that_duckdb_gives(values: Any, name: str) -> None:
    assert values["duckdb"][name].num_rows > 0
    check_equal(values["postgres"][name], values["duckdb"][name])


@pytest.fixture(scope="module")
def features() -> Any:
    """The features of the hard world's plan over tables of no database."""
    ids, text, number = ["lead_id", "account_id"], "string", "float64"
    columns = {
        "spine": {text: ids, UTC: ["created_at", "as_of"], "int64": ["snapshot"]},
        "leads": {
            text: [*ids, "channel", "title", "city", "note"],
            UTC: ["created_at"],
            number: ["employees"],
        },
        "events": {text: ["lead_id", "type", "asset"], UTC: ["event_at", "known_at"], number: ["value"]},
        "outcomes": {text: ["lead_id", "status"], UTC: ["closed_at"]},
        "history": {text: ["lead_id", "field", "old", "new"], UTC: ["changed_at"]},
    }
    given = {
        name: ibis.table({column: kind for kind, names in kinds.items() for column in names}, name=name)
        for name, kinds in columns.items()
    }
    plan = plan_of(Params.model_validate(PARAMS), ATTRIBUTES, FIELDS)
    return build_features(given.pop("spine"), given.pop("leads"), plan, **given)


# The words in which each says what DuckDB says with functions that it does not know.
WORDS = {
    "postgres": ["EXTRACT(epoch", "TIMEZONE('America/New_York'", "INT8SHL(", "% 255"],
    "bigquery": ["TIMESTAMP_DIFF(", "DATETIME(`t1`.`created_at`, 'America/New_York')", "BIT_COUNT("],
    "snowflake": ["DATEDIFF(MICROSECOND", "CONVERT_TIMEZONE('America/New_York'", "BITSHIFTLEFT(", "% 255"],
}
UNKNOWN = {
    "postgres": {"EPOCH_US", "BIT_COUNT", "FIRST"},
    "bigquery": {"EPOCH_US", "TIMEZONE"},
    "snowflake": {"EPOCH_US", "BIT_COUNT", "TIMEZONE"},
}


def functions_in(features: Any, dialect: str) -> set[str]:
    said = str(ibis.to_sql(features, dialect=dialect))
    return {name.upper() for name in re.findall(r"(\w+)\(", said)}


@pytest.mark.parametrize("dialect", WORDS)
def test_features_compile_to_words_that_the_dialect_knows(features: Any, dialect: str) -> None:
    said = str(ibis.to_sql(translate(features, dialect), dialect=dialect))
    assert [word for word in WORDS[dialect] if word not in said] == []
    assert not UNKNOWN[dialect] & functions_in(translate(features, dialect), dialect)
    assert functions_in(features, dialect) >= UNKNOWN[dialect]


@given(masks=st.lists(st.one_of(st.integers(0, 2**60 - 1), st.integers(0, 70)), min_size=1, max_size=50))
def test_bits_are_counted_by_arithmetic_where_a_database_cannot(con: Any, masks: list[int]) -> None:
    """The translation for Snowflake, which asks for nothing else, computed by DuckDB."""
    table = ibis.memtable({"at": range(len(masks)), "mask": masks}, schema={"at": "int64", "mask": "int64"})
    counted = translate(table.select("at", bits=bit_count(table.mask)), "snowflake")
    assert "BIT_COUNT" not in functions_in(counted, "duckdb")
    found = con.to_pyarrow(counted.order_by("at"))["bits"].to_pylist()
    assert found == [mask.bit_count() for mask in masks]


def test_halves_are_rounded_away_from_zero(con: Any) -> None:
    """The translation for PostgreSQL, computed by DuckDB; its own rounding of 2.5 would be 2 there."""
    table = ibis.memtable({"x": [0.5, 1.5, 2.5, 0.49999999999999994, -0.5, -2.5, 3.2, 2.0**53 - 1, 0.0]})
    rounded = translate(table.select(x=table.x.round()), "postgres")
    assert "ROUND" not in functions_in(rounded, "duckdb")
    assert con.to_pyarrow(rounded)["x"].to_pylist() == [1, 2, 3, 0, -1, -3, 3, 2**53 - 1, 0]


def test_a_dialect_that_is_not_known_is_refused_with_the_nearest(features: Any) -> None:
    expected = "expected one of postgres, bigquery, snowflake, got 'bigqery'.*bigquery"
    with pytest.raises(InputError, match=expected):
        translate(features, "bigqery")


def test_a_name_that_postgresql_would_cut_off_is_refused() -> None:
    """63 bytes stay: 31 letters of two bytes and one of one."""
    kept, cut = "é" * 31 + "x", "é" * 32
    translate(ibis.table({kept: "int64"}, name="t"), "postgres")
    with pytest.raises(InputError, match=f"keeps 63 bytes of a column's name, and 1 are longer: {cut}"):
        translate(ibis.table({kept: "int64", cut: "int64"}, name="t"), "postgres")
    translate(ibis.table({cut: "int64"}, name="t"), "snowflake")
