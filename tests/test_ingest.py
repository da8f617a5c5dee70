"""From raw files to canonical tables: what is read, what is refused row by row, and what is written."""

from __future__ import annotations

import gc
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from ingest_cases import NOW, OUTCOMES, at, dated, engine, params, read, refused, rows, write
from propensity.data.ingest import Canonical, ingest, read_canonical, summarise_counts, write_canonical
from propensity.data.quarantine import mask
from propensity.data.schemas import check_schema
from propensity.data.sources import connect, stage
from propensity.data.tables import table_specs
from propensity.errors import InputError, ParamsError
from propensity.params import Params

# Ibis calls what DuckDB and pandas have renamed.
pytestmark = [
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'future.infer_string':pandas.errors.Pandas4Warning"),
]

REAL = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def canonical(tmp_path_factory: pytest.TempPathFactory) -> Canonical:
    good = "\n".join(f"g{i},2024-01-01,{i}" for i in range(300))
    folder = write(
        tmp_path_factory.mktemp("rules"),
        leads=f"""
        lead_id,created_at,employees
        a,2024-01-01T10:00:00Z,10
        b,2024-01-02,20
        ,2024-01-03,30
        a,2024-01-04,40
        c,not yet,50
        d,1969-12-31,60
        e,2025-06-01,70
        f,2024-01-05,many
        h,2024-01-06,inf
        i,,80
        j,2024-01-07,90,extra
        k,2024-01-08
        "l"x,2024-01-08,1
        {good}
        """,
        outcomes="""
        lead_id,status,closed_at,amount
        a,Won ,2024-02-01,100
        a,lost,2024-02-01T00:00:00Z,
        b,won,2024-01-01,5
        zz,won,2024-02-01,5
        g0,won,,5
        g1,lost,soon,5
        g2,open,soon,5
        g3,won,2024-02-01,-1
        g4,won,2024-02-01,2e12
        g5,won,2024-02-01,nan
        ,won,2024-02-01,1
        g6,won,2026-01-01,1
        g7,lost,2024-02-01,1
        """,
        events="""
        who,when,what,asset,seconds
        a,2024-01-02,visit,pricing,10
        a,2024-01-02,visit,pricing,10
        a,2024-01-02,visit,pricing,11
        nobody,2024-01-02,visit,pricing,10
        c,2024-01-02,visit,,
        a,,visit,,
        a,2024-01-02,,,
        a,yesterday,visit,,-5
        a,2099-01-01,visit,,
        a,2024-01-03,visit,,inf
        b,2024-01-03,visit,Ñu 12,
        """,
        stages="""
        lead_id,stage,entered_at
        a,demo,2024-01-02
        a,demo,2024-01-02
        a,demo,2024-01-03
        """,
        history="""
        lead_id,field,changed_at,old,new
        a,title,2024-01-02,CEO,CTO
        x,title,2024-01-02,CEO,CTO
        """,
        spend="""
        channel,period_start,period_end,spend
        web,2024-01-01,2024-01-31,100
        web,2024-01-01,2024-01-31,200
        web,2024-02-01,2024-01-31,100
        web,2024-12-01,2025-01-31,-1
        mail,2024-12-01,2025-01-31,7
        """,
        feedback="""
        lead_id,as_of,verdict,reason,given_by,given_at
        a,2024-02-01,Agree,,ana,2024-02-02
        a,2024-02-01,perhaps,,ana,2024-02-02
        """,
    )
    outcomes = {"path": "outcomes.csv", **OUTCOMES, "amount": "amount"}
    events = {"path": "events.csv", "lead_id": "who", "event_at": "when", "type": "what"}
    given = dated(
        outcomes=outcomes,
        events=events | {"asset": "asset", "value": "seconds"},
        max_quarantined=0.9,
        **{name: {"path": f"{name}.csv"} for name in ("stages", "history", "spend", "feedback")},
    )
    return read(given, folder)


class TestRules:
    """One workspace in which each rule is broken in a known row."""

    def test_leads(self, canonical: Canonical) -> None:
        assert refused(canonical, "leads") == [
            (3, "missing_key", "lead_id", ""),
            (4, "duplicate_key", "lead_id", "a"),
            (5, "type", "created_at", "aaa aaa"),
            (6, "range", "created_at", "9999-99-99"),
            (7, "future", "created_at", "9999-99-99"),
            (8, "type", "employees", "aaaa"),
            (9, "not_finite", "employees", "aaa"),
            (10, "missing_key", "created_at", ""),
            (11, "malformed", None, "a,9999-99-99,99,aaaaa"),
            (12, "malformed", None, "a,9999-99-99"),
            (13, "malformed", None, '"a"a,9999-99-99,9'),
        ]

    def test_outcomes(self, canonical: Canonical) -> None:
        assert refused(canonical, "outcomes") == [
            (2, "duplicate_key", "lead_id", "a"),
            (3, "closed_before_created", "closed_at", "9999-99-99"),
            (4, "unknown_lead", "lead_id", "aa"),
            (5, "closed_without_date", "closed_at", ""),
            (6, "type", "closed_at", "aaaa"),
            (8, "range", "amount", "-9"),
            (9, "range", "amount", "9a99"),
            (10, "not_finite", "amount", "aaa"),
            (11, "missing_key", "lead_id", ""),
            (12, "future", "closed_at", "9999-99-99"),
        ]
        assert rows(canonical, "outcomes", "lead_id", "status", "closed_at", "amount") == [
            ("a", "won", at("2024-02-01T00:00Z"), 100.0),
            ("g2", "open", None, 5.0),
            ("g7", "lost", at("2024-02-01T00:00Z"), 1.0),
        ]

    def test_each_close_of_a_lead_is_a_row_and_so_is_its_being_open_again(self, tmp_path: Path) -> None:
        write(
            tmp_path,
            leads="lead_id,created_at\na,2024-01-01\nb,2024-01-01",
            outcomes="""
            lead_id,status,closed_at,since
            a,open,,2024-03-01
            a,lost,2024-02-01,2024-01-05
            a,won,2024-02-20,2024-02-15
            a,won,2024-02-20,2024-02-16
            a,open,,
            b,won,2024-02-01,2024-02-02
            b,won,2024-02-03,soon
            """,
        )
        given = dated(
            outcomes={"path": "outcomes.csv", **OUTCOMES, "opened_at": "since"}, max_quarantined=0.9
        )
        canonical = read(given, tmp_path)
        assert rows(canonical, "outcomes", "lead_id", "closed_at", "status", "opened_at") == [
            ("a", at("2024-02-01T00:00Z"), "lost", at("2024-01-05T00:00Z")),
            ("a", at("2024-02-20T00:00Z"), "won", at("2024-02-15T00:00Z")),
            ("a", None, "open", at("2024-03-01T00:00Z")),
        ]
        assert refused(canonical, "outcomes") == [
            (4, "duplicate_key", "lead_id", "a"),
            (5, "duplicate_key", "lead_id", "a"),
            (6, "closed_before_opened", "closed_at", "9999-99-99"),
            (7, "type", "since", "aaaa"),
        ]
        assert canonical.observed_until == at("2024-03-01T00:00Z")

    @pytest.mark.parametrize("undated", ["created_at", "closed_at", "path"])
    def test_without_dates_or_a_table_of_their_own_outcomes_have_one_row_a_lead(
        self, tmp_path: Path, undated: str
    ) -> None:
        table = "lead_id,made,status,closed_at\na,2024-01-01,lost,2024-02-01\na,2024-01-01,won,2024-03-01"
        write(tmp_path, leads=table, outcomes=table)
        leads = {"path": "leads.csv", "created_at": "made"}
        outcomes = {"path": "outcomes.csv", **OUTCOMES}
        (leads if undated == "created_at" else outcomes)[undated] = None
        canonical = read(params(leads=leads, outcomes=outcomes, max_quarantined=0.9), tmp_path)
        assert rows(canonical, "outcomes", "lead_id", "status") == [("a", "lost")]
        assert refused(canonical, "outcomes") == [(2, "duplicate_key", "lead_id", "a")]

    def test_leads_with_no_outcome_left_are_listed_as_unsettled(self, canonical: Canonical) -> None:
        assert rows(canonical, "unsettled") == [("b",), *((f"g{i}",) for i in (0, 1, 3, 4, 5, 6))]

    def test_events(self, canonical: Canonical) -> None:
        assert refused(canonical, "events") == [
            (2, "duplicate_row", "who", "a"),
            (4, "unknown_lead", "who", "aaaaaa"),
            (5, "unknown_lead", "who", "a"),
            (6, "missing_key", "when", ""),
            (7, "missing_key", "what", ""),
            (8, "range", "seconds", "-9"),
            (8, "type", "when", "aaaaaaaaa"),
            (9, "future", "when", "9999-99-99"),
            (10, "not_finite", "seconds", "aaa"),
        ]

    def test_other_tables(self, canonical: Canonical) -> None:
        assert refused(canonical, "stages") == [(2, "duplicate_row", "lead_id", "a")]
        assert refused(canonical, "history") == [(2, "unknown_lead", "lead_id", "a")]
        assert refused(canonical, "spend") == [
            (2, "duplicate_key", "channel", "aaa"),
            (3, "range", "period_end", "9999-99-99"),
            (4, "range", "spend", "-9"),
        ]
        assert refused(canonical, "feedback") == [(2, "type", "verdict", "aaaaaaa")]
        assert rows(canonical, "feedback", "verdict", "given_by") == [("agree", "ana")]

    def test_a_row_that_breaks_two_rules_counts_once(self, canonical: Canonical) -> None:
        assert summarise_counts(canonical.counts).splitlines() == [
            "leads: 313 rows read = 302 accepted + 11 quarantined",
            "outcomes: 13 rows read = 3 accepted + 10 quarantined",
            "events: 11 rows read = 3 accepted + 8 quarantined",
            "stages: 3 rows read = 2 accepted + 1 quarantined",
            "history: 2 rows read = 1 accepted + 1 quarantined",
            "feedback: 2 rows read = 1 accepted + 1 quarantined",
            "spend: 5 rows read = 2 accepted + 3 quarantined",
        ]
        broken = canonical.rule_counts.set_index(["table", "rule", "column"])["rows"]
        assert broken["events", "unknown_lead", "who"] == 2

    def test_the_data_reaches_to_the_last_accepted_moment(self, canonical: Canonical) -> None:
        assert canonical.observed_until == at("2024-02-01T00:00Z")

    def test_each_row_names_its_file(self, canonical: Canonical) -> None:
        assert set(canonical.quarantine["file"]) == {f"{name}.csv" for name in canonical.counts["table"]}


def test_the_schemas_hold_against_rules_that_let_bad_rows_through() -> None:
    spec = table_specs(params().data)["outcomes"]
    table = ibis.memtable(
        pa.table(
            {
                "lead_id": ["a", "a", None],
                "status": ["won", "lost", "perhaps"],
                "closed_at": pa.array([None] * 3, pa.timestamp("us", tz="UTC")),
                "amount": [1.0, -1.0, None],
                "reason": pa.array([1, 2, 3]),
            }
        )
    )
    with pytest.raises(SchemaErrors) as caught:
        check_schema(engine().create_table("bad_outcomes", table, temp=True), spec)
    told = str(caught.value)
    assert all(
        name in told for name in ("'lead_id' contains null", "not unique", "perhaps", "-1.0", "string")
    )


def test_a_mask_keeps_the_shape_and_hides_the_content() -> None:
    assert mask("Ana Ñúñez, 28013") == "aaa aaaaa, 99999"
    assert mask("x" * 100) == "a" * 40
    assert mask(None) is None
    assert mask("٣日²") == "9aa"


class TestLeads:
    def test_columns_types_and_missing_values(self, tmp_path: Path) -> None:
        write(
            tmp_path,
            leads="""
            id,when,Source,size,note,flag,empty,status
            b,2024-01-02,Select, 7 , x y ,TRUE,,won
            a,2024-01-01,web,Select,12a,False,Select,lost
            """,
        )
        leads = {"path": "leads.csv", "lead_id": "id", "created_at": "when", "channel": "Source"}
        given = params(leads=leads | {"missing": ["Select"]})
        canonical = read(given, tmp_path)
        assert canonical.attribute_types == {
            "Source": "text", "size": "number", "note": "text", "flag": "text", "empty": "text",
        }  # fmt: skip
        assert canonical.tables["leads"].columns == (
            "lead_id", "created_at", "account_id", "channel", "row",
            "Source", "size", "note", "flag", "empty",
        )  # fmt: skip
        assert rows(canonical, "leads") == [
            ("a", at("2024-01-01T00:00Z"), None, "web", 2, "web", None, "12a", "false", None),
            ("b", at("2024-01-02T00:00Z"), None, None, 1, None, 7.0, "x y", "true", None),
        ]
        assert rows(canonical, "outcomes", "lead_id", "status", "closed_at") == [
            ("a", "open", None),
            ("b", "won", None),
        ]

    def test_a_column_is_a_number_when_99_in_100_values_are(self, tmp_path: Path) -> None:
        lines = [f"{i},{i},{i},won" for i in range(198)] + ["198,x,x,won", "199,199,x,won", "200,200,x,won"]
        write(tmp_path, leads="\n".join(["lead_id,mostly,partly,status", *lines]))
        canonical = read(params(), tmp_path)
        assert canonical.attribute_types == {"mostly": "number", "partly": "text"}
        assert refused(canonical, "leads") == [(199, "type", "mostly", "a")]

    def test_types_can_be_given(self, tmp_path: Path) -> None:
        write(tmp_path, leads="lead_id,code,size,status\na,1,2,won\nb,x,3,won\nc,3,x,won")
        types = {"size": "number", "channel": "text"}
        canonical = read(params(max_quarantined=0.5), tmp_path, types=types, tables=[])
        assert list(canonical.tables) == ["leads"]
        assert canonical.tables["leads"].columns[-2:] == ("row", "size")
        assert refused(canonical, "leads") == [(3, "type", "size", "a")]
        with pytest.raises(InputError, match=r"column 'sise' .* is not there, did you mean 'size'"):
            read(params(), tmp_path, types={"sise": "number"})

    def test_row_number_as_id_and_order(self, tmp_path: Path) -> None:
        write(tmp_path, leads="size;status\n5;won\n6;open")
        leads = {"path": "leads.csv", "lead_id": "row", "order_by": "row", "delimiter": ";"}
        canonical = read(params(leads=leads), tmp_path)
        assert rows(canonical, "leads") == [
            ("1", None, None, None, 1, 1, 5.0), ("2", None, None, None, 2, 2, 6.0),
        ]  # fmt: skip
        assert rows(canonical, "outcomes", "lead_id", "status") == [("1", "won"), ("2", "open")]
        assert canonical.observed_until is None

    def test_a_row_number_is_never_missing(self, tmp_path: Path) -> None:
        leads = {"path": "leads.csv", "lead_id": "row", "order_by": "row", "missing": ["", "2"]}
        write(tmp_path, leads="size,status\n7,won\n2,won\n9,lost")
        canonical = read(params(leads=leads), tmp_path)
        assert rows(canonical, "leads", "lead_id", "size") == [("1", 7.0), ("2", None), ("3", 9.0)]

    def test_order_by_a_column(self, tmp_path: Path) -> None:
        write(tmp_path, leads="lead_id,nr,status\na,12.5,won\nb,,won\nc,3,won")
        leads = {"path": "leads.csv", "order_by": "nr"}
        canonical = read(params(leads=leads, max_quarantined=0.5), tmp_path)
        assert rows(canonical, "leads", "lead_id", "order_key", "nr") == [
            ("a", 12.5, 12.5),
            ("c", 3.0, 3.0),
        ]
        assert refused(canonical, "leads") == [(2, "missing_key", "nr", "")]

    def test_a_good_row_stays_when_a_bad_one_of_the_same_id_comes_first(self, tmp_path: Path) -> None:
        write(tmp_path, leads="lead_id,created_at,status\na,bad,won\na,2024-01-01,won\na,2024-01-02,won")
        leads = {"path": "leads.csv", "created_at": "created_at"}
        canonical = read(params(leads=leads, max_quarantined=0.9), tmp_path)
        assert rows(canonical, "leads", "lead_id", "row") == [("a", 2)]
        assert [row[:2] for row in refused(canonical, "leads")] == [(1, "type"), (3, "duplicate_key")]

    @pytest.mark.parametrize("column", ["channel", "Account_ID", "row"])
    def test_an_attribute_cannot_take_a_canonical_name(self, tmp_path: Path, column: str) -> None:
        write(tmp_path, leads=f"lead_id,{column},status\na,x,won")
        with pytest.raises(InputError, match=f"'{column}'.* map them under data.leads"):
            ingest(params().data, tmp_path, now=NOW)


class TestMoments:
    ZONED = (
        ("2011-10-01T00:38:44.546+02:00", "2011-09-30T22:38:44.546000+00:00"),
        ("2024-01-01 10:00:00Z", "2024-01-01T10:00:00+00:00"),
        ("2024-01-01 10:00:00.1234569 UTC", "2024-01-01T10:00:00.123456+00:00"),
        ("2024-01-01T10:00-0530", "2024-01-01T15:30:00+00:00"),
        ("2024-01-01 10:00:00 +01", "2024-01-01T09:00:00+00:00"),
    )
    LOCAL = (
        ("2024-01-01", "2023-12-31T23:00:00+00:00"),
        ("2024-07-01T12:00", "2024-07-01T10:00:00+00:00"),
        ("2024-07-01 12:00:00.5", "2024-07-01T10:00:00.500000+00:00"),
        ("2024-03-31T02:30:00", "2024-03-31T01:30:00+00:00"),
        ("2024-10-27T02:30:00", "2024-10-27T01:30:00+00:00"),
    )
    BAD = ("20240101", "1704067200", "01/02/2024", "2024-02-30", "2024-01-01T25:00", "24-1-1", "2024-01-01Z")

    def test_text_in_a_local_zone(self, tmp_path: Path) -> None:
        texts = [text for text, _ in (*self.ZONED, *self.LOCAL)] + list(self.BAD)
        lines = "\n".join(f"{i:02},{text},won" for i, text in enumerate(texts))
        write(tmp_path, leads=f"lead_id,created_at,status\n{lines}")
        leads = {"path": "leads.csv", "created_at": "created_at"}
        given = params(leads=leads, timezone="Europe/Madrid", max_quarantined=0.9)
        canonical = read(given, tmp_path)
        found = [row[1] for row in rows(canonical, "leads", "lead_id", "created_at")]
        assert found == [at(expected) for _, expected in (*self.ZONED, *self.LOCAL)]
        assert {row[1] for row in refused(canonical, "leads")} == {"type"}
        assert canonical.tables["leads"].schema()["created_at"].timezone == "UTC"

    def test_typed_columns(self, tmp_path: Path) -> None:
        local = datetime(2024, 7, 1, 12)
        table = pa.table(
            {
                "lead_id": pa.array([7], pa.int32()),
                "created_at": pa.array([local], pa.timestamp("ns")),
                "day": pa.array([local.date()], pa.date32()),
                "status": ["won"],
                "closed_at": pa.array(
                    [datetime(2024, 7, 1, 12, tzinfo=UTC)], pa.timestamp("ms", tz="Asia/Tokyo")
                ),
                "amount": pa.array([3], pa.decimal128(5, 2)),
                "size": pa.array([1.0]),
                "flag": pa.array([True]),
            }
        )
        pq.write_table(table, tmp_path / "leads.parquet")
        leads = {"path": "leads.parquet", "created_at": "created_at"}
        given = params(leads=leads, outcomes=OUTCOMES | {"amount": "amount"}, timezone="Europe/Madrid")
        canonical = read(given, tmp_path)
        assert rows(canonical, "leads") == [
            ("7", at("2024-07-01T10:00Z"), None, None, 1, "2024-07-01", 1.0, "true")
        ]
        assert rows(canonical, "outcomes") == [("7", "won", at("2024-07-01T12:00Z"), 3.0, None)]

    def test_known_at_is_never_before_the_event(self, tmp_path: Path) -> None:
        write(
            tmp_path,
            leads="lead_id,created_at\na,2024-01-01",
            outcomes="lead_id,status,closed_at\na,open,",
            events="""
            lead_id,event_at,type,known_at
            a,2024-01-02,open,2024-01-03
            a,2024-01-04,open,2024-01-03
            a,2024-01-05,open,
            """,
        )
        canonical = read(dated(events={"path": "events.csv", "known_at": "known_at"}), tmp_path)
        assert [row[0].day for row in rows(canonical, "events", "known_at")] == [3, 4, 5]
        assert canonical.observed_until == at("2024-01-05T00:00Z")

    def test_the_end_of_the_data_can_be_stated(self, tmp_path: Path) -> None:
        write(tmp_path, leads="lead_id,status\na,won")
        given = params(observed_until="2024-06-30 12:00", timezone="Europe/Madrid")
        assert read(given, tmp_path).observed_until == at("2024-06-30T10:00Z")
        with pytest.raises(ParamsError, match=r"data.observed_until: .*ISO 8601.*'June'"):
            read(params(observed_until="June"), tmp_path)


class TestFiles:
    LEADS = (
        "lead_id,created_at,size,status,closed_at\nb,2024-01-02,2,won,2024-02-01\na,2024-01-01,1,open,\n,,,,"
    )
    EVENTS = "lead_id,event_at,type\nb,2024-01-03,visit\na,2024-01-02,open\na,2024-01-02,click\n"

    def given(self) -> Params:
        leads = {"path": "leads.csv", "created_at": "created_at"}
        return params(leads=leads, outcomes=OUTCOMES, events={"path": "events.csv"}, max_quarantined=0.5)

    def hashes(self, folder: Path) -> dict[str, str]:
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}

    def test_the_same_input_gives_the_same_bytes(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            write(folder, leads=self.LEADS, events=self.EVENTS)
            backend = engine() if name == "one" else connect(self.given().data, folder=tmp_path / "spill")
            write_canonical(ingest(self.given().data, folder, now=NOW, con=backend), folder / "interim")
        first = self.hashes(tmp_path / "one" / "interim")
        assert first == self.hashes(tmp_path / "two" / "interim")
        assert set(first) == {
            "leads.parquet", "outcomes.parquet", "events.parquet", "unsettled.parquet", "quarantine.parquet",
            "ingest.json",
        }  # fmt: skip

    def test_the_order_of_raw_rows_does_not_matter(self, tmp_path: Path) -> None:
        found = []
        for turn in (1, -1):
            header, *lines = self.LEADS.splitlines()
            event_header, *events = self.EVENTS.splitlines()
            write(
                tmp_path,
                leads="\n".join([header, *lines[::turn]]),
                events="\n".join([event_header, *events[::turn]]),
            )
            write_canonical(read(self.given(), tmp_path), tmp_path / "interim")
            tables = {p.stem: pq.read_table(p).to_pylist() for p in (tmp_path / "interim").glob("*.parquet")}
            tables.pop("quarantine")
            found.append({k: [{**r, "row": None} for r in v] for k, v in tables.items()})
        assert found[0] == found[1]
        assert [row["lead_id"] for row in found[0]["leads"]] == ["a", "b"]

    def test_what_is_written_comes_back(self, tmp_path: Path) -> None:
        write(tmp_path, leads=self.LEADS, events=self.EVENTS)
        made = read(self.given(), tmp_path)
        write_canonical(made, tmp_path / "interim")
        back = read_canonical(engine(), tmp_path / "interim")
        assert list(back.tables) == sorted(made.tables)
        for name, table in made.tables.items():
            assert back.tables[name].schema() == table.schema()
            assert rows(back, name) == rows(made, name)
        pd.testing.assert_frame_equal(back.quarantine, made.quarantine)
        pd.testing.assert_frame_equal(back.counts, made.counts)
        assert (back.attribute_types, back.observed_until) == (made.attribute_types, made.observed_until)
        summary = json.loads((tmp_path / "interim" / "ingest.json").read_text())
        assert summary["ingest"][0] == {"table": "leads", "read": 3, "accepted": 2, "quarantined": 1}
        assert summary["quarantine"][0] == {
            "table": "leads", "rule": "missing_key", "column": "created_at", "rows": 1,
        }  # fmt: skip
        assert (
            summary["files"]["leads.csv"] == hashlib.sha256((tmp_path / "leads.csv").read_bytes()).hexdigest()
        )
        assert summary["observed_until"] == "2024-02-01T00:00:00+00:00"

    def test_an_incomplete_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"ingest.json does not exist; run the ingest stage first"):
            read_canonical(engine(), tmp_path)

    def test_the_spill_folder_goes_with_the_connection(self, tmp_path: Path) -> None:
        backend = connect(params().data, folder=tmp_path)
        stage(backend, ibis.range(3).unnest().name("a").as_table())
        assert len(list(tmp_path.glob(".propensity-*/*.parquet"))) == 1
        backend.disconnect()
        del backend
        gc.collect()
        assert list(tmp_path.iterdir()) == []


ID = st.sampled_from(["a", "b", "c", "d", " a ", ""])
MOMENT = st.sampled_from(
    ["2024-01-01", "2024-01-02T10:00:00+02:00", "1960-01-01", "2030-01-01", "x", "", "7"]
)
NUMBER = st.sampled_from(["1", "-1", "1e13", "nan", "inf", "x", "", " 5 "])
JUNK = st.sampled_from(["", "z", ",", ",,,,,", '"x', 'a,"b"c,,', "é,,,"])  # each a record of its own


def dirty(*fields: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.tuples(*fields).map(",".join) | JUNK, max_size=25)


@settings(max_examples=5)
@given(leads=dirty(ID, MOMENT, NUMBER), events=dirty(ID, MOMENT, st.sampled_from(["visit", ""]), NUMBER))
def test_every_row_is_accepted_or_quarantined(leads: list[str], events: list[str], tmp_path: Path) -> None:
    leads, events = ["ok,2024-01-01,1", *leads], ["ok,2024-01-01,visit,1", *events]
    (tmp_path / "leads.csv").write_text("\n".join(["lead_id,created_at,size", *leads]), "latin-1")
    (tmp_path / "events.csv").write_text("\n".join(["lead_id,event_at,type,value", *events]), "latin-1")
    given_params = dated(events={"path": "events.csv", "value": "value"}, max_quarantined=1)
    canonical = read(given_params, tmp_path, tables=["events"])
    counts = canonical.counts.set_index("table")
    for name, lines in (("leads", leads), ("events", events)):
        bad = canonical.quarantine[lambda q, n=name: q["table"] == n]["row"].nunique()
        good = len(rows(canonical, name))
        assert counts.loc[name].tolist() == [len([line for line in lines if line]), good, bad]
        assert good + bad == counts.loc[name, "read"]


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data is not here")
class TestRealData:
    def test_bpic2012(self) -> None:
        given = params(
            leads={"path": "bpic2012/leads.csv", "lead_id": "case_id", "created_at": "reg_date"},
            outcomes={
                "path": "bpic2012/outcomes.csv", "lead_id": "case_id", "status": "outcome", "won": ["won"],
                "lost": ["declined", "cancelled"], "closed_at": "outcome_ts",
            },
            events={
                "path": "bpic2012/events.csv.gz", "lead_id": "case_id", "event_at": "timestamp",
                "type": "activity", "asset": "resource",
            },
        )  # fmt: skip
        canonical = read(given, REAL)
        assert canonical.counts["accepted"].tolist() == [13_087, 13_087, 262_200]
        statuses = canonical.tables["outcomes"].group_by("status").agg(n=lambda t: t.count())
        expected = [
            {"status": "lost", "n": 10_442},
            {"status": "open", "n": 399},
            {"status": "won", "n": 2_246},
        ]
        assert engine().to_pyarrow(statuses.order_by("status")).to_pylist() == expected
        first = canonical.tables["leads"].filter(lambda t: t.lead_id == "173688")
        assert engine().to_pyarrow(first.created_at).to_pylist() == [at("2011-09-30T22:38:44.546+00:00")]

    def test_x_education(self) -> None:
        given = params(
            leads={
                "path": "x_education/Leads.csv", "lead_id": "Prospect ID", "order_by": "Lead Number",
                "missing": ["", "Select"],
            },
            outcomes={"status": "Converted", "won": [1], "lost": [0]},
        )  # fmt: skip
        canonical = read(given, REAL)
        leads, outcomes = canonical.tables["leads"], canonical.tables["outcomes"]
        assert engine().to_pyarrow((outcomes.status == "won").sum()).as_py() == 3_561
        assert engine().to_pyarrow((leads["Lead Profile"] == "Select").sum()).as_py() == 0
        assert canonical.attribute_types["TotalVisits"] == "number"

    def test_bank_marketing(self) -> None:
        leads = {
            "path": "uci_bank_marketing/bank-additional-full.csv", "lead_id": "row", "order_by": "row",
            "delimiter": ";",
        }  # fmt: skip
        given = params(leads=leads, outcomes={"status": "y", "won": ["yes"], "lost": ["no"]})
        canonical = read(given, REAL)
        assert canonical.counts["accepted"].tolist() == [41_188, 41_188]
        assert sum(kind == "number" for kind in canonical.attribute_types.values()) == 10
