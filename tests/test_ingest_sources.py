"""Where raw tables come from, and what stops a run before anything is written."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_cases import dated, params, read, refused, rows, write
from propensity.data.delimited import parse_records
from propensity.errors import BusyError, InputError, QuarantineError
from propensity.params import Params

# Ibis calls what DuckDB and pandas have renamed.
pytestmark = [
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'future.infer_string':pandas.errors.Pandas4Warning"),
]


class TestRecords:
    """The parser of delimited text, on lines."""

    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            (["1,2\n", "\n", "3,4\r\n", "5,6\r", "7,8"], [["1", "2"], ["3", "4"], ["5", "6"], ["7", "8"]]),
            (['"x\n', 'y",2\n', "3,4\n"], [["x\ny", "2"], ["3", "4"]]),
            (['"a ""b""",2\n'], [['a "b"', "2"]]),
            (["1\n", "1,2,3\n", "1,2\n"], ["1\n", "1,2,3\n", ["1", "2"]]),
            (['1,"open\n', "3,4\n", "5,6\n"], ['1,"open\n', ["3", "4"], ["5", "6"]]),
            (['1,"open\n', '2,"b"\n', "5,6\n"], ['1,"open\n', ["2", "b"], ["5", "6"]]),
            (["1,\udcf1\n", "ñ,2\n"], ["1,\udcf1\n", ["ñ", "2"]]),
        ],
    )
    def test_records(self, lines: list[str], expected: list[Any]) -> None:
        assert list(parse_records(iter(lines), delimiter=",", width=2)) == expected

    @given(
        st.lists(st.lists(st.text(alphabet='ab,"\n\r ñ', max_size=4), min_size=2, max_size=2), max_size=20)
    )
    def test_well_formed_text_comes_back_as_it_was_written(self, table: list[list[str]]) -> None:
        text = "".join(",".join('"' + v.replace('"', '""') + '"' for v in row) + "\n" for row in table)
        found = list(parse_records(iter(text.splitlines(keepends=True)), delimiter=",", width=2))
        assert found == table

    def test_row_numbers_skip_empty_lines_and_count_bad_ones(self, tmp_path: Path) -> None:
        content = b'\xef\xbb\xbflead_id;status\r\na;won\r\n\r\n"b\nb";won\nc;\xf1\nd;won;\ne;won'
        (tmp_path / "leads.csv").write_bytes(content)
        given = params(leads={"path": "leads.csv", "delimiter": ";"}, max_quarantined=0.5)
        canonical = read(given, tmp_path)
        assert refused(canonical, "leads") == [
            (3, "malformed", None, "a;?"),
            (4, "malformed", None, "a;aaa;"),
        ]
        assert rows(canonical, "leads", "lead_id", "row") == [("a", 1), ("b\nb", 2), ("e", 5)]
        assert canonical.counts["read"].tolist() == [5, 5]


class TestSources:
    CONTENT = "lead_id,size,status\na,1,won\nb,2,open\n"
    EXPECTED = (("a", None, None, None, 1, 1.0), ("b", None, None, None, 2, 2.0))

    def check(self, given: Params, folder: Path) -> None:
        canonical = read(given, folder)
        assert rows(canonical, "leads") == list(self.EXPECTED)

    def test_gzip(self, tmp_path: Path) -> None:
        (tmp_path / "leads.csv.gz").write_bytes(gzip.compress(self.CONTENT.encode()))
        self.check(params(leads={"path": "leads.csv.gz"}), tmp_path)

    def test_tabs(self, tmp_path: Path) -> None:
        (tmp_path / "leads.txt").write_text(self.CONTENT.replace(",", "\t"))
        self.check(params(leads={"path": "leads.txt", "delimiter": "\t"}), tmp_path)

    def test_duckdb(self, tmp_path: Path) -> None:
        with duckdb.connect(str(tmp_path / "crm.duckdb")) as database:
            database.execute(
                "CREATE SCHEMA sales; CREATE TABLE sales.leads (lead_id VARCHAR, size INT, status VARCHAR)"
            )
            database.execute("INSERT INTO sales.leads VALUES ('a', 1, 'won'), ('b', 2, 'open')")
        self.check(params(leads={"path": {"url": "duckdb:///crm.duckdb", "table": "sales.leads"}}), tmp_path)

    def test_a_pattern_reads_its_files_in_order_of_name(self, tmp_path: Path) -> None:
        (tmp_path / "leads-1.csv").write_text("lead_id,status\na,won\n,won\nb,won\n")
        (tmp_path / "leads-2.csv").write_text("status,lead_id\nwon,c\nwon,\n")
        leads = {"path": "leads-*.csv", "order_by": "row"}
        canonical = read(params(leads=leads, max_quarantined=0.5), tmp_path)
        expected = [("a", 1, 1), ("b", 3, 3), ("c", 4, 4)]
        assert rows(canonical, "leads", "lead_id", "order_key", "row") == expected
        found = canonical.quarantine[lambda q: q["table"] == "leads"]
        assert list(zip(found["file"], found["row"], strict=True)) == [("leads-1.csv", 2), ("leads-2.csv", 2)]
        assert list(canonical.raw_hashes) == ["leads-1.csv", "leads-2.csv"]

    def test_a_pattern_of_parquet_files(self, tmp_path: Path) -> None:
        for i in (1, 2):
            table = pa.table({"lead_id": [f"{i}a", f"{i}b"], "status": ["won", "open"]})
            pq.write_table(table, tmp_path / f"{i}.parquet")
        canonical = read(params(leads={"path": "*.parquet"}), tmp_path)
        assert rows(canonical, "leads", "lead_id", "row") == [("1a", 1), ("1b", 2), ("2a", 3), ("2b", 4)]

    def test_a_typed_nan_is_not_finite(self, tmp_path: Path) -> None:
        table = pa.table(
            {"lead_id": ["a", "b", "c"], "size": [1.0, float("nan"), None], "status": ["won"] * 3}
        )
        pq.write_table(table, tmp_path / "leads.parquet")
        given = params(leads={"path": "leads.parquet"}, max_quarantined=0.5)
        canonical = read(given, tmp_path)
        assert refused(canonical, "leads") == [(2, "not_finite", "size", "aaa")]
        assert rows(canonical, "leads", "lead_id", "size") == [("a", 1.0), ("c", None)]

    def test_a_database_in_use_asks_to_try_again(self, tmp_path: Path) -> None:
        code = (
            "import duckdb, sys; con = duckdb.connect(sys.argv[1]); con.execute('CREATE TABLE t (a INT)'); "
            "print('ready', flush=True); sys.stdin.read()"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "crm.duckdb")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            with pytest.raises(BusyError, match=r"crm.duckdb is in use") as caught:
                read(params(leads={"path": {"url": "duckdb:///crm.duckdb", "table": "t"}}), tmp_path)
            holder.communicate("")
        assert caught.value.exit_code == 75


def refusal(given: Params, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(given, folder)
    assert caught.value.exit_code == 3
    return str(caught.value)


class TestRefusals:
    def test_missing_file(self, tmp_path: Path) -> None:
        write(tmp_path, lead="lead_id\na")
        message = refusal(params(), tmp_path)
        assert "data.leads.path" in message
        assert "leads.csv does not exist, did you mean 'lead.csv'?" in message

    def test_folder(self, tmp_path: Path) -> None:
        (tmp_path / "raw").mkdir()
        assert "raw is a folder" in refusal(params(leads={"path": "raw"}), tmp_path)

    def test_pattern_without_a_match(self, tmp_path: Path) -> None:
        assert "no file matches" in refusal(params(leads={"path": "a/*.csv"}), tmp_path)

    def test_unknown_kind(self, tmp_path: Path) -> None:
        (tmp_path / "leads.xlsx").write_bytes(b"PK")
        message = refusal(params(leads={"path": "leads.xlsx"}), tmp_path)
        assert "leads.xlsx is of no known kind" in message
        assert ".parquet" in message

    @pytest.mark.parametrize("name", ["leads.parquet", "leads.csv.gz"])
    def test_not_what_its_name_says(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("lead_id,status\na,won\n")
        message = refusal(params(leads={"path": name}), tmp_path)
        assert f"{name} could not be read" in message

    def test_damaged_parquet(self, tmp_path: Path) -> None:
        path = tmp_path / "leads.parquet"
        pq.write_table(pa.table({"lead_id": [str(i) for i in range(1000)], "status": ["won"] * 1000}), path)
        content = bytearray(path.read_bytes())
        content[10:2000] = bytes(1990)
        path.write_bytes(content)
        assert "leads.parquet could not be read" in refusal(params(leads={"path": "leads.parquet"}), tmp_path)

    def test_truncated_gzip(self, tmp_path: Path) -> None:
        text = "lead_id,status\n" + "".join(f"{i},won\n" for i in range(9999))
        (tmp_path / "leads.csv.gz").write_bytes(gzip.compress(text.encode())[:-100])
        message = refusal(params(leads={"path": "leads.csv.gz"}), tmp_path)
        assert "leads.csv.gz could not be read" in message

    def test_not_a_database(self, tmp_path: Path) -> None:
        (tmp_path / "crm.duckdb").write_text("hello")
        leads = {"path": {"url": "duckdb:///crm.duckdb", "table": "leads"}}
        assert "crm.duckdb could not be read" in refusal(params(leads=leads), tmp_path)

    def test_missing_table(self, tmp_path: Path) -> None:
        with duckdb.connect(str(tmp_path / "crm.duckdb")) as database:
            database.execute("CREATE TABLE leads (lead_id INT)")
        leads = {"path": {"url": "duckdb:///crm.duckdb", "table": "lead"}}
        message = refusal(params(leads=leads), tmp_path)
        assert "table 'lead' is not there, did you mean 'leads'?" in message

    def test_unsupported_database(self, tmp_path: Path) -> None:
        leads = {"path": {"url": "mysql://crm", "table": "leads"}}
        message = refusal(params(leads=leads), tmp_path)
        assert "mysql:// is not supported; expected duckdb:///FILE" in message

    def test_wrong_encoding(self, tmp_path: Path) -> None:
        (tmp_path / "leads.csv").write_text("lead_id,status\na,won\n", encoding="utf-16")
        assert "the header is not UTF-8 text" in refusal(params(), tmp_path)
        (tmp_path / "leads.csv").write_bytes("lead_id,status\nñ,won\né,won\n".encode("latin-1"))
        assert "none of the 2 rows is UTF-8 text with 2 columns separated by ','" in refusal(
            params(), tmp_path
        )

    def test_header_only(self, tmp_path: Path) -> None:
        write(tmp_path, leads="lead_id,status")
        assert "leads.csv holds column names and no rows" in refusal(params(), tmp_path)

    def test_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "leads.csv").write_text("")
        assert "leads.csv is empty" in refusal(params(), tmp_path)

    def test_empty_parquet(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"lead_id": pa.array([], pa.string()), "status": []}), tmp_path / "l.parquet")
        assert "l.parquet holds column names and no rows" in refusal(
            params(leads={"path": "l.parquet"}), tmp_path
        )

    def test_missing_column(self, tmp_path: Path) -> None:
        write(tmp_path, leads="lead,Status\na,won")
        message = refusal(params(), tmp_path)
        assert (
            "leads.csv: column 'lead_id' (data.leads.lead_id) is not there, did you mean 'lead'?" in message
        )
        assert "The columns there: 'lead', 'Status'" in message

    def test_missing_column_for_the_wrong_delimiter(self, tmp_path: Path) -> None:
        write(tmp_path, leads="lead_id;status\na;won")
        assert "Is the delimiter ';' rather than ','?" in refusal(params(), tmp_path)

    @pytest.mark.parametrize(
        ("header", "told"), [("lead_id,a,a", "'a' more than once"), ("lead_id,Ab,aB", "differ only in case")]
    )
    def test_repeated_columns(self, tmp_path: Path, header: str, told: str) -> None:
        write(tmp_path, leads=f"{header}\n1,2,3")
        assert told in refusal(params(), tmp_path)

    def test_files_of_one_pattern_with_other_columns(self, tmp_path: Path) -> None:
        write(tmp_path, leads1="lead_id,status\na,won", leads2="lead_id,state\nb,won")
        message = refusal(params(leads={"path": "leads*.csv"}), tmp_path)
        assert "leads2.csv has 'state' and lacks 'status'" in message

    def test_files_of_one_pattern_with_other_types(self, tmp_path: Path) -> None:
        for i, value in enumerate([1, "x"]):
            pq.write_table(
                pa.table({"lead_id": ["a"], "v": [value], "status": [""]}), tmp_path / f"{i}.parquet"
            )
        assert "'v' (int64, then string)" in refusal(params(leads={"path": "*.parquet"}), tmp_path)

    def test_unreadable_timestamps(self, tmp_path: Path) -> None:
        write(tmp_path, leads="lead_id,created_at,status\na,3/15/2024,won\nb,,won\nc,12/1/2024,won")
        message = refusal(params(leads={"path": "leads.csv", "created_at": "created_at"}), tmp_path)
        assert "none of the 2 values of column 'created_at' (data.leads.created_at)" in message
        assert "look like '9/99/9999', '99/9/9999'" in message

    def test_numbers_are_no_timestamps(self, tmp_path: Path) -> None:
        table = pa.table({"lead_id": ["a"], "created_at": [1704067200], "status": ["won"]})
        pq.write_table(table, tmp_path / "leads.parquet")
        message = refusal(params(leads={"path": "leads.parquet", "created_at": "created_at"}), tmp_path)
        assert "none of the 1 values of column 'created_at'" in message

    def test_too_many_bad_rows(self, tmp_path: Path) -> None:
        write(tmp_path, leads="lead_id,status\na,won\n,won\na,won\nb,won")
        with pytest.raises(QuarantineError) as caught:
            read(params(max_quarantined=0.4), tmp_path)
        assert caught.value.exit_code == 4
        assert "leads: 2 of 4 rows" in str(caught.value)
        assert "50.0%; data.max_quarantined allows 40.0%" in str(caught.value)
        assert "duplicate_key (lead_id) 1, missing_key (lead_id) 1" in str(caught.value)

    def test_no_lead_left(self, tmp_path: Path) -> None:
        write(tmp_path, leads="lead_id,status\n,won")
        with pytest.raises(QuarantineError, match="1 of 1 rows"):
            read(params(max_quarantined=1), tmp_path)

    def test_nothing_is_written(self, tmp_path: Path) -> None:
        write(tmp_path, leads="lead_id,created_at\na,x")
        before = sorted(tmp_path.rglob("*"))
        refusal(dated(), tmp_path)
        assert sorted(tmp_path.rglob("*")) == before
