"""Exports for CRMs and for people: by hand, by the importers' published rules, with hostile values."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from importer_rules import check_hubspot, check_salesforce, parse_csv
from propensity.crm.advances import next_stage
from propensity.crm.exports import check_exports, write_exports
from propensity.crm.records import write_records
from propensity.crm.spreadsheets import COLUMNS, write_csv, write_xlsx
from propensity.crm.systems import hubspot_layout, salesforce_layout
from propensity.data.cells import disarm, printable, shorten
from propensity.errors import ParamsError, QuarantineError
from propensity.params import AdvanceParams, CrmParams, parse_params
from propensity.workspace import Workspace
from scored_leads import scored, write_scores

HUBSPOT = {
    "propensity_score": "number",
    "propensity_probability": "number",
    "propensity_tier": "text",
    "propensity_grade": "text",
    "propensity_reasons": "text",
    "propensity_model_version": "text",
    "propensity_scored_at": "date",
}
SALESFORCE = {
    "Propensity_Score__c": "number",
    "Propensity_Probability__c": "number",
    "Propensity_Tier__c": "text",
    "Propensity_Grade__c": "text",
    "Propensity_Reasons__c": "text",
    "Propensity_Model_Version__c": "text",
    "Propensity_Scored_At__c": "date",
}
HOSTILE = [
    "=cmd|'/c calc'!A1",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    'say "yes", or\r\nno',
    "a,b;c\td",
    "ends\\",
    "'",
    '"',
    '""',
    "\u2028\u2029\x85",
    "žluťoučký 日本語 🐎",
    "#N/A",
    "NULL",
    " blank before and after ",
    "x" * 70_000,
    "🐎" * 40_000,
    "bell \x07 nul \x00 escape \x1b",
    "\ufffe\uffff",
    "＝1+1",
    "x; =1+1",
]
STAGES = ["lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer"]


def crm(**changed: Any) -> CrmParams:
    """Params under which any lead_id is a key."""
    given = {"hubspot": {"header": "crm_key"}, "salesforce": {"header": "Lead_Key__c"}}
    return CrmParams.model_validate({name: given.get(name, {}) | changed.get(name, {}) for name in given})


def workspace(
    folder: Path, rows: list[dict[str, Any]], leads: pd.DataFrame | None = None, **own: Any
) -> Workspace:
    """A workspace with scores, and leads as a CSV."""
    content = {
        "data": {"leads": {"path": "leads.csv"}, "outcomes": {"won": ["won"]}},
        "split": {"by": "random"},
    }
    ws = Workspace(folder, parse_params(yaml.safe_dump(content | {"crm": own})))
    write_scores(rows, ws.scores)
    if leads is not None:
        leads.to_csv(folder / "leads.csv", index=False)
    return ws


def lines(text: str) -> str:
    return text.replace("\r\n", "\n")


# --- texts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+49 170", "'+49 170"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "  '=1"),
        ("＝1", "'＝1"),
        ("a;=1", "a;'=1"),
        ("a\n=1", "a\n'=1"),
        ("\tx", "'\tx"),
        ("", ""),
        ("Industry is software: +3.", "Industry is software: +3."),
        ("a-b=c", "a-b=c"),
    ],
)
def test_a_text_that_a_spreadsheet_would_calculate_gets_an_apostrophe(text, safe):
    assert disarm(text) == safe
    assert disarm(safe) == safe


@given(st.text(), st.integers(4, 30))
def test_a_text_is_cut_to_the_units_that_importers_count(text, limit):
    cut = shorten(text, limit)
    assert len(cut.encode("utf-16-le")) <= 2 * limit
    assert cut == text or (cut.endswith("...") and text.startswith(cut[:-3]))
    assert (cut == text) == (len(text.encode("utf-16-le")) <= 2 * limit)


# --- the files for CRMs --------------------------------------------------------------------------------


def test_a_lead_is_written_as_each_system_reads_it(tmp_path):
    ws = workspace(tmp_path, [scored("7", score=-0.04, tier="mql", expected_amount=None)])
    layout = hubspot_layout(crm(hubspot={"header": "Record ID"}))
    (tmp_path / "hubspot").mkdir()
    said = write_records(ws.scores, layout, tmp_path / "hubspot", looked_up=None, most_unusable=0.2)
    assert said == "1 of 1 leads in 1 file"
    assert (tmp_path / "hubspot" / "hubspot-001.csv").read_bytes() == (
        b"Record ID,propensity_score,propensity_probability,propensity_tier,propensity_grade,"
        b"propensity_reasons,propensity_model_version,propensity_scored_at\r\n"
        b"7,0.0,0.1235,mql,B2,Industry is software: +3. | No visit so far: -1.,abcdefabcdef,2025-06-30\r\n"
    )
    own = CrmParams.model_validate(
        {
            "salesforce": {
                "header": "Lead_Key__c",
                "fields": {"expected_amount": "Amount__c", "tier": "Tier__c"},
            }
        }
    )
    (tmp_path / "salesforce").mkdir()
    write_records(ws.scores, salesforce_layout(own), tmp_path / "salesforce", looked_up=None, most_unusable=0)
    written = (tmp_path / "salesforce" / "salesforce-001.csv").read_bytes()
    assert written == b"Lead_Key__c,Amount__c,Tier__c\n7,#N/A,mql\n"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=8))
def test_any_text_passes_both_validators_and_is_read_back_as_it_was(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("any")
    ws = workspace(folder, [scored(f"L{i}", reasons=[text]) for i, text in enumerate(texts)])
    for layout, kinds, check, line_end in (
        (hubspot_layout(crm()), HUBSPOT, check_hubspot, "\r\n"),
        (salesforce_layout(crm()), SALESFORCE, check_salesforce, "\n"),
    ):
        (folder / layout.system).mkdir()
        write_records(ws.scores, layout, folder / layout.system, looked_up=None, most_unusable=0)
        path = folder / layout.system / f"{layout.system}-001.csv"
        assert check(path, kinds, key=layout.header) == []
        rows = parse_csv(path.read_bytes(), line_end=line_end).rows
        assert [row[5] for row in rows[1:]] == [printable(text) for text in texts]


@pytest.mark.parametrize("system", ["hubspot", "salesforce"])
def test_hostile_values_reach_the_importer_byte_for_byte_and_within_its_limits(tmp_path, system):
    leads = [scored(f"{value[:40]}-{i}", reasons=[value], grade=value[:9]) for i, value in enumerate(HOSTILE)]
    usable = [
        lead
        for lead in leads
        if printable(lead["lead_id"]) == lead["lead_id"] and "\r" not in lead["lead_id"]
    ]
    ws = workspace(tmp_path, leads)
    layout = {"hubspot": hubspot_layout, "salesforce": salesforce_layout}[system](crm())
    kinds = {"hubspot": HUBSPOT, "salesforce": SALESFORCE}[system]
    check = {"hubspot": check_hubspot, "salesforce": check_salesforce}[system]
    (tmp_path / "out").mkdir()
    write_records(ws.scores, layout, tmp_path / "out", looked_up=None, most_unusable=1)
    path = tmp_path / "out" / f"{system}-001.csv"
    assert check(path, kinds, key=layout.header) == []
    rows = parse_csv(path.read_bytes(), line_end=layout.line_end).rows[1:]
    written = {row[0]: row[5] for row in rows}
    assert set(written) >= {lead["lead_id"] for lead in usable if "\t" not in lead["lead_id"]}
    assert written["=cmd|'/c calc'!A1-0"] == "=cmd|'/c calc'!A1"
    longest = {"hubspot": 65_536, "salesforce": 32_000}[system]
    assert len(written["x" * 40 + "-15"]) == longest
    assert written["x" * 40 + "-15"].endswith("x...")


def test_the_validators_see_what_importers_refuse(tmp_path):
    ws = workspace(tmp_path, [scored("L1")])
    write_records(ws.scores, hubspot_layout(crm()), tmp_path, looked_up=None, most_unusable=0)
    write_records(ws.scores, salesforce_layout(crm()), tmp_path, looked_up=None, most_unusable=0)
    for name, check, kinds, key, line_end in (
        ("hubspot-001.csv", check_hubspot, HUBSPOT, "crm_key", b"\r\n"),
        ("salesforce-001.csv", check_salesforce, SALESFORCE, "Lead_Key__c", b"\n"),
    ):
        good = (tmp_path / name).read_bytes()
        assert check(tmp_path / name, kinds, key=key) == []
        broken = {
            "a mark": b"\xef\xbb\xbf" + good,
            "another encoding": good.replace(b"software", b"\xe9"),
            "a decimal comma": good.replace(b",47.0,", b',"47,0",'),
            "a day first": good.replace(b"2025-06-30", b"30/06/2025"),
            "an open quote": good.replace(b"Industry", b'"Industry'),
            "a quote inside": good.replace(b"Industry", b'Indus"try'),
            "a bare carriage return": good.replace(b"Industry", b"Indus\rtry"),
            "a cell too many": good.replace(b"Industry", b"Indus,try"),
            "an empty value": good.replace(b"B2", b""),
            "a name with a blank": good.replace(b"ropensity", b"ropen sity"),
            "one key twice": good + good.split(line_end, 1)[1],
            "no key": good.replace(line_end + b"L1,", line_end + b","),
            "a text too long": good.replace(b"Industry", b"x" * 70_000),
            "a control character": good.replace(b"Industry", b"\x07"),
            "no line end": good.removesuffix(line_end),
        }
        passed = []
        for what, content in broken.items():
            assert content != good, what
            (tmp_path / name).write_bytes(content)
            passed += [what] if check(tmp_path / name, kinds, key=key) == [] else []
        assert passed == []


@pytest.mark.parametrize(
    ("header", "good", "bad"),
    [
        ("Record ID", ["1", "90071992547"], ["", "L1", "1.0", " 1"]),
        ("Email", ["a@b.de", "o'neil+x@mail.example.co.uk"], ["a@b", "@b.de", "a b@c.de", "a@b.de, c@d.de"]),
        ("crm_key", ["L1", "=1", "ü 1"], ["", "#N/A", "a\nb", "x" * 256]),
    ],
)
def test_a_lead_whose_key_no_record_can_have_is_left_out_and_named(tmp_path, header, good, bad):
    ids = [*good, *bad]
    ws = workspace(tmp_path, [scored(lead) for lead in ids])
    layout = hubspot_layout(crm(hubspot={"header": header}))
    said = write_records(ws.scores, layout, tmp_path, looked_up=None, most_unusable=1)
    rows = parse_csv((tmp_path / "hubspot-001.csv").read_bytes(), line_end="\r\n").rows
    assert [row[0] for row in rows[1:]] == good
    assert said.startswith(
        f"{len(good)} of {len(ids)} leads in 1 file; {len(bad)} left out, whose lead_id is not"
    )
    with pytest.raises(
        QuarantineError, match=f"hubspot: {len(bad)} of {len(ids)} leads have no key under '{header}'"
    ):
        write_records(ws.scores, layout, tmp_path, looked_up=None, most_unusable=0.1)


def test_salesforce_ids_have_15_or_18_letters_and_digits(tmp_path):
    ids = ["00Q5g000001AbCd", "00Q5g000001AbCdEAK", "00Q5g000001AbCdE", "L1"]
    ws = workspace(tmp_path, [scored(lead) for lead in ids])
    write_records(
        ws.scores,
        salesforce_layout(crm(salesforce={"header": "Id"})),
        tmp_path,
        looked_up=None,
        most_unusable=0.5,
    )
    path = tmp_path / "salesforce-001.csv"
    assert check_salesforce(path, SALESFORCE, key="Id") == []
    assert [row[0] for row in parse_csv(path.read_bytes(), line_end="\n").rows] == ["Id", *ids[:2]]


def test_files_are_split_at_the_rows_and_bytes_that_an_importer_takes(tmp_path):
    ws = workspace(tmp_path, [scored(f"L{i:04d}", reasons=["ä" * (i % 50)]) for i in range(1000)])
    for limit in ({"rows_per_file": 101}, {"megabytes_per_file": 0.02}):
        layout = hubspot_layout(crm(hubspot={"header": "crm_key"} | limit))
        folder = tmp_path / str(next(iter(limit)))
        folder.mkdir()
        write_records(ws.scores, layout, folder, looked_up=None, most_unusable=0)
        paths = sorted(folder.iterdir())
        parts = [parse_csv(path.read_bytes(), line_end="\r\n").rows for path in paths]
        assert [row[0] for part in parts for row in part[1:]] == [f"L{i:04d}" for i in range(1000)]
        assert all(part[0] == layout.headers for part in parts)
        assert all(len(part) <= layout.rows for part in parts)
        assert all(path.stat().st_size <= layout.size for path in paths)
        full = [
            len(part) == layout.rows or path.stat().st_size > layout.size - 300
            for part, path in zip(parts, paths, strict=True)
        ]
        assert all(full[:-1])
        assert len(parts) == 10 if "rows_per_file" in limit else len(parts) > 5


def test_a_file_that_cannot_hold_one_row_is_refused(tmp_path):
    ws = workspace(tmp_path, [scored("L1")])
    layout = hubspot_layout(crm(hubspot={"header": "crm_key", "megabytes_per_file": 0.0002}))
    with pytest.raises(ParamsError, match="megabytes_per_file allows 200 bytes"):
        write_records(ws.scores, layout, tmp_path, looked_up=None, most_unusable=0)


# --- stages: on, or nowhere ----------------------------------------------------------------------------


@given(
    st.sampled_from(["disqualified", "nurture", "mql", "sql"]),
    st.one_of(st.none(), st.sampled_from([*STAGES, *(s.upper() for s in STAGES), "evangelist", "other"])),
)
def test_a_stage_moves_on_or_stays(tier, stage):
    params = AdvanceParams(column="c", order=STAGES, mql=STAGES[1], sql=STAGES[2])
    moved = next_stage(tier, stage, params)
    places = {None: -1} | {name: i for i, name in enumerate(STAGES)}
    now = None if stage is None else stage.lower()
    if tier not in ("mql", "sql") or now not in places:
        assert moved is None
    else:
        target = STAGES[1 if tier == "mql" else 2]
        assert moved == (target if places[target] > places[now] else None)


def test_no_stage_is_written_unless_params_say_so(tmp_path):
    ws = workspace(tmp_path, [scored("L1", tier="sql")], hubspot={"header": "crm_key"})
    write_exports(ws, ["hubspot"])
    header = (ws.exports / "hubspot" / "hubspot-001.csv").read_text().splitlines()[0]
    assert header == ",".join(["crm_key", *HUBSPOT])


def test_the_stage_and_the_key_come_from_the_leads(tmp_path):
    leads = pd.DataFrame(
        {
            "lead_id": ["a", "b", "c", "d", "e", "f"],
            "mail": ["A@x.de", "b@x.de", "a@x.de", None, "e@x.de", "f@x.de"],
            "stage": ["lead", "Customer", "lead", "lead", None, "on hold"],
            "status": "open",
        }
    )
    rows = [
        scored(lead, tier="sql", score=score) for lead, score in zip("abcdefg", range(50, 57), strict=True)
    ]
    own = {"column": "stage", "order": STAGES, "mql": STAGES[1], "sql": STAGES[2]}
    ws = workspace(
        tmp_path, rows, leads, hubspot={"key": "mail", "header": "Email", "lifecycle": own}, crossings_days=3
    )
    check_exports(ws, ["hubspot"])
    params = ws.params.model_copy(update={"data": ws.params.data.model_copy(update={"max_quarantined": 0.5})})
    said = write_exports(Workspace(ws.folder, params), ["hubspot"])
    path = ws.exports / "hubspot" / "hubspot-001.csv"
    assert check_hubspot(path, HUBSPOT, key="Email", stages=("lifecyclestage", STAGES)) == []
    rows_read = parse_csv(path.read_bytes(), line_end="\r\n").rows[1:]
    # a: c has its address and a higher score. d: no address. g: not among the leads, so no address either.
    assert {row[0]: row[-1] for row in rows_read} == {
        "b@x.de": "",
        "a@x.de": "salesqualifiedlead",
        "e@x.de": "salesqualifiedlead",
        "f@x.de": "",
    }
    assert "4 of 7 leads in 1 file; 2 left out, whose mail is not an e-mail address: 'd', 'g'" in said
    assert "1 left out, for a lead with the same mail scores higher; 2 moved on in lifecyclestage" in said


def test_a_lead_that_the_leads_do_not_hold_keeps_its_stage(tmp_path):
    leads = pd.DataFrame({"lead_id": ["a"], "Lead Status": ["Open"]})
    own = {"column": "Lead Status", "order": ["Open", "Working", "Closed"], "sql": "Working"}
    ws = workspace(
        tmp_path,
        [scored("b", tier="sql"), scored("a", tier="sql")],
        leads.assign(status="open"),
        salesforce={"header": "Lead_Key__c", "status": own},
    )
    write_exports(ws, ["salesforce"])
    written = parse_csv((ws.exports / "salesforce" / "salesforce-001.csv").read_bytes(), line_end="\n").rows
    assert [(row[0], row[-1]) for row in written] == [("Lead_Key__c", "Status"), ("b", ""), ("a", "Working")]


def test_a_column_that_leads_do_not_have_is_refused_before_anything_is_scored(tmp_path):
    ws = workspace(
        tmp_path,
        [scored("L1")],
        pd.DataFrame({"lead_id": ["L1"], "email": ["a@b.de"]}),
        hubspot={"key": "emial", "header": "Email"},
    )
    with pytest.raises(ParamsError, match=r"crm\.hubspot names the column 'emial'.*did you mean 'email'"):
        check_exports(ws, ["csv", "hubspot"])
    check_exports(ws, ["csv", "salesforce"])


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"hubspot": {"properties": {"score": "Score"}}}, "'Score' is no custom property's internal name"),
        ({"hubspot": {"properties": {"tier": "lifecyclestage"}}}, "none of HubSpot's own"),
        ({"hubspot": {"properties": {"score": "a", "tier": "a"}}}, "given to more than one column"),
        ({"hubspot": {"properties": {"scores": "a"}}}, "crm.hubspot.properties.scores"),
        ({"hubspot": {"header": "Record Id"}}, "header is 'Record Id'"),
        ({"hubspot": {"rows_per_file": 2_000_000}}, "crm.hubspot.rows_per_file"),
        ({"salesforce": {"fields": {"score": "Score"}}}, "'Score' is no custom field's API name"),
        ({"salesforce": {"fields": {"score": "A__b__c"}}}, "'A__b__c' is no custom field's API name"),
        ({"salesforce": {"fields": {"score": "A" * 41 + "__c"}}}, "is no custom field's API name"),
        ({"salesforce": {"status": {"column": "s", "order": ["a", "b"]}}}, "it would move nothing"),
        ({"salesforce": {"status": {"column": "s", "order": ["a", "A"], "sql": "a"}}}, "more than once"),
        ({"salesforce": {"status": {"column": "s", "order": ["a", "b"], "sql": "c"}}}, "not in the order"),
        (
            {"salesforce": {"status": {"column": "s", "order": ["a", "b"], "mql": "b", "sql": "a"}}},
            "comes after sql",
        ),
    ],
)
def test_names_that_no_customer_can_give_are_refused(own, said):
    with pytest.raises(ParamsError) as caught:
        parse_params(
            yaml.safe_dump({"data": {"outcomes": {"won": ["won"]}}, "split": {"by": "random"}, "crm": own})
        )
    assert said in str(caught.value)


# --- for people ----------------------------------------------------------------------------------------


def test_the_csv_for_people_opens_with_nothing_to_calculate(tmp_path):
    leads = [scored(value, reasons=[value], tier="mql") for value in HOSTILE if "x" * 99 not in value]
    ws = workspace(tmp_path, leads)
    write_csv(ws.scores, tmp_path)
    content = (tmp_path / "scores-001.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    # Read with the separators of this and of other locales: a cell is where the reader says it is.
    for separator in (",", ";"):
        cells = [
            c
            for row in csv.reader(io.StringIO(content[3:].decode(), newline=""), delimiter=separator)
            for c in row
        ]
        inside = [c for c in cells if c.lstrip(' "')[:1] in set("=+-@＝\t\r\n")]
        numbers = [c for c in inside if separator == "," and c.replace(".", "").lstrip("-").isdigit()]
        assert inside == numbers
    rows = list(csv.DictReader(io.StringIO(content[3:].decode(), newline="")))
    assert [row["lead_id"] for row in rows] == [disarm(printable(lead["lead_id"])) for lead in leads]
    assert rows[0]["fit_points"] == "-1.2"
    assert rows[0]["as_of"] == "2025-06-30 22:30"


def test_a_workbook_holds_texts_as_texts_and_numbers_as_numbers(tmp_path):
    leads = [scored(value, reasons=[value], expected_value=None) for value in HOSTILE]
    ws = workspace(tmp_path, leads)
    assert write_xlsx(ws.scores, tmp_path) == f"{len(leads)} leads in 1 file"
    book = openpyxl.load_workbook(tmp_path / "scores-001.xlsx")
    header, *rows = book.active.iter_rows()
    assert [cell.value for cell in header] == COLUMNS
    for row, lead in zip(rows, leads, strict=True):
        cells = dict(zip(COLUMNS, row, strict=True))
        assert {cell.data_type for cell in (cells["lead_id"], cells["reasons"], cells["tier"])} <= {
            "s",
            "inlineStr",
        }
        assert cells["lead_id"].value == shorten(lines(printable(lead["lead_id"])), 32_767)
        assert cells["probability"].value == pytest.approx(0.1234567, abs=1e-15)
        assert (cells["probability"].number_format, cells["expected_value"].value) == ("0.0000", None)
        assert cells["as_of"].value.isoformat() == "2025-06-30T22:30:00"


def test_people_get_a_file_with_a_header_and_importers_none_where_no_lead_is_open(tmp_path):
    ws = workspace(tmp_path, [scored("L1")])
    write_scores([scored("L1")], ws.scores)
    empty = pd.read_parquet(ws.scores).iloc[:0]
    pq.write_table(
        pa.Table.from_pandas(empty, schema=pq.read_schema(ws.scores), preserve_index=False), ws.scores
    )
    said = write_exports(ws, ["csv", "xlsx", "hubspot"])
    assert said.count("0 leads in 1 file") == 2
    assert "0 of 0 leads in 0 files" in said
    assert len((ws.exports / "csv" / "scores-001.csv").read_text(encoding="utf-8-sig").splitlines()) == 1
    assert list((ws.exports / "hubspot").iterdir()) == []


@pytest.mark.parametrize("write", [write_csv, write_xlsx])
def test_files_for_people_are_split_at_the_rows_of_a_sheet(tmp_path, write):
    ws = workspace(tmp_path / "ws", [scored(f"L{i}") for i in range(25)])
    assert write(ws.scores, tmp_path, most_rows=11) == "25 leads in 3 files"
    paths = sorted(tmp_path.glob("scores-*"))
    if write is write_csv:
        texts = [path.read_text(encoding="utf-8-sig") for path in paths]
        read = [list(csv.reader(text.splitlines())) for text in texts]
    else:
        read = [[list(r) for r in openpyxl.load_workbook(path).active.values] for path in paths]
    assert [len(rows) for rows in read] == [11, 11, 6]
    assert [row[0] for rows in read for row in rows[1:]] == [f"L{i}" for i in range(25)]


# --- whole or not at all, and in little memory ------------------------------------------------------------


def test_an_export_takes_the_place_of_the_one_before_and_those_not_named_go(tmp_path):
    ws = workspace(tmp_path, [scored(str(i)) for i in range(30)], hubspot={"rows_per_file": 11})
    write_exports(ws, ["hubspot", "csv"])
    assert len(list((ws.exports / "hubspot").iterdir())) == 3
    write_scores([scored("1")], ws.scores)
    write_exports(ws, ["hubspot"])
    assert [path.name for path in ws.exports.rglob("*.*")] == ["hubspot-001.csv"]


def test_an_export_that_fails_leaves_the_one_before(tmp_path):
    ws = workspace(tmp_path, [scored("1"), scored("2")])
    write_exports(ws, ["hubspot"])
    before = {path: path.read_bytes() for path in ws.exports.rglob("*.csv")}
    write_scores([scored("1"), scored("#N/A")], ws.scores)
    with pytest.raises(QuarantineError, match="The scores are written, this export is not"):
        write_exports(ws, ["hubspot"])
    assert {path: path.read_bytes() for path in ws.folder.rglob("*.csv")} == before


def test_memory_does_not_grow_with_the_leads(tmp_path):
    program = """
import re, sys
from pathlib import Path
from propensity.crm.records import write_records
from propensity.crm.spreadsheets import write_csv
from propensity.crm.systems import hubspot_layout
from propensity.params import CrmParams
scores, out = Path(sys.argv[1]), Path(sys.argv[2])
write_csv(scores, out)
write_records(scores, hubspot_layout(CrmParams()), out, looked_up=None, most_unusable=0)
print(re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1])
"""
    peaks, sizes = [], []
    for n in (6_000, 90_000):
        folder = tmp_path / str(n)
        one = pq.read_table(write_scores([scored("1", reasons=["because " * 80])], folder / "one.parquet"))
        table = one.take(pa.array([0] * n)).set_column(
            0, "lead_id", pa.array(map(str, range(n)), pa.string())
        )
        pq.write_table(table, folder / "scores.parquet", row_group_size=5_000)
        run = [sys.executable, "-c", program, str(folder / "scores.parquet"), str(folder)]
        peaks.append(int(subprocess.run(run, capture_output=True, text=True, check=True).stdout))
        sizes.append(sum(path.stat().st_size for path in folder.glob("*.csv")) // 1024)
    assert sizes[1] - sizes[0] > 100_000
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 2
