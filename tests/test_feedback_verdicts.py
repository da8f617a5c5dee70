"""Files of verdicts: what is read, what is refused, which verdict stays, and what was shown with it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.data.rules import LONGEST_WRITTEN
from propensity.data.sources import connect
from propensity.data.verdicts import VERDICT_COLUMNS, Verdicts, read_verdicts
from propensity.errors import InputError, QuarantineError
from propensity.loop.verdicts import SCHEMA, add_shown, merge_verdicts, read_stored, to_stored
from propensity.params import DataParams

NOW = datetime(2025, 6, 1, tzinfo=UTC)
HEADER = ",".join(VERDICT_COLUMNS)
GOOD = "A,2025-05-01T00:00:00.123456+00:00,agree,,ana,2025-05-02T09:00:00.001Z,,m1"


def data(**more: Any) -> DataParams:
    outcomes = {"status": "status", "won": ["won"]}
    return DataParams.model_validate({"leads": {"created_at": "created_at"}, "outcomes": outcomes} | more)


def read(tmp_path: Path, make_table: Any, *texts: str, params: DataParams | None = None) -> Verdicts:
    leads = make_table("leads", [{"lead_id": i, "created_at": "2025-01-01"} for i in "AB"])
    params = params or data()
    paths = [tmp_path / f"verdicts_{place}.csv" for place in range(len(texts))]
    for path, content in zip(paths, texts, strict=True):
        path.write_text(content, encoding="utf-8", newline="")
    con = connect(params, folder=tmp_path)
    leads = con.create_table("known_leads", con.to_pyarrow(leads))
    return read_verdicts(paths, params, tmp_path, leads, con, now=NOW)


def refused(found: Verdicts) -> list[tuple[Any, ...]]:
    return list(found.quarantine[["file", "row", "rule", "column"]].itertuples(index=False, name=None))


def test_a_file_of_the_review_is_read_whole(tmp_path, make_table):
    found = read(tmp_path, make_table, f"{HEADER}\r\n{GOOD}\r\n")
    assert list(found.table.columns) == list(VERDICT_COLUMNS)
    row = found.table.iloc[0]
    assert (row["lead_id"], row["verdict"], row["given_by"], row["model_version"]) == (
        "A",
        "agree",
        "ana",
        "m1",
    )
    assert row["as_of"] == pd.Timestamp("2025-05-01T00:00:00.123456Z")
    assert row["given_at"] == pd.Timestamp("2025-05-02T09:00:00.001Z")
    assert pd.isna(row["reason"]) and pd.isna(row["note"])
    assert (found.read, len(found.quarantine)) == (1, 0)


@pytest.mark.parametrize(
    ("row", "rule", "column"),
    [
        (GOOD.replace("agree", "maybe"), "type", "verdict"),
        (GOOD.replace("2025-05-02T09:00:00.001Z", "yesterday"), "type", "given_at"),
        (GOOD.replace("2025-05-01T00:00:00.123456+00:00", ""), "missing_key", "as_of"),
        (GOOD.replace("2025-05-01", "2025-06-02"), "future", "as_of"),
        (GOOD.replace("2025-05-02", "2025-06-02"), "future", "given_at"),
        (GOOD.replace("A,", "C,", 1), "unknown_lead", "lead_id"),
        (GOOD.replace("A,", ",", 1), "missing_key", "lead_id"),
        (GOOD.replace(",m1", "x" * (LONGEST_WRITTEN + 1) + ",m1"), "too_long", "note"),
        ("A,agree", "malformed", "nan"),
    ],
)
def test_a_bad_row_is_refused_with_its_file_row_column_and_rule(tmp_path, make_table, row, rule, column):
    content = "\r\n".join([HEADER, *[GOOD] * 8, row]) + "\r\n"
    found = read(tmp_path, make_table, content)
    places = [(file, place, name, str(where)) for file, place, name, where in refused(found)]
    assert places == [("verdicts_0.csv", 9, rule, column)]
    assert (found.read, len(found.table)) == (9, 8)


def test_a_note_as_long_as_allowed_is_kept(tmp_path, make_table):
    found = read(tmp_path, make_table, f"{HEADER}\n{GOOD.replace(',m1', 'x' * LONGEST_WRITTEN + ',m1')}\n")
    assert found.table["note"].str.len().tolist() == [LONGEST_WRITTEN]


def test_hostile_content_stays_data(tmp_path, make_table):
    note = "=cmd|'/c calc'!A1\n<script>alert(1)</script> \"quoted\"; DROP TABLE x --"
    quoted = '"' + note.replace('"', '""') + '"'
    found = read(tmp_path, make_table, f"{HEADER}\r\n{GOOD.replace(',m1', quoted + ',m1')}\r\n")
    assert found.table["note"].tolist() == [note]


def test_what_was_refused_is_kept_masked(tmp_path, make_table):
    secret = GOOD.replace("A,", "Eva7,", 1)
    found = read(tmp_path, make_table, "\n".join([HEADER, *[GOOD] * 8, secret, ""]))
    assert found.quarantine["value"].tolist() == ["aaa9"]


def test_too_many_bad_rows_refuse_the_file_though_another_is_good(tmp_path, make_table):
    bad = GOOD.replace("agree", "maybe")
    with pytest.raises(QuarantineError, match=r"1 of 2 rows of .*verdicts_1.csv are refused \(50.0%"):
        read(tmp_path, make_table, "\n".join([HEADER, *[GOOD] * 8]), "\n".join([HEADER, GOOD, bad]))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty"),
        (f"{HEADER}\n", "holds column names and no rows"),
        ("name,age\nx,1\n", "column 'lead_id' .* is not there"),
        (f"{HEADER.replace(',', ';')}\n{GOOD.replace(',', ';')}\n", "Is the delimiter ';' rather than ','?"),
    ],
)
def test_what_is_no_file_of_verdicts_is_refused(tmp_path, make_table, content, told):
    with pytest.raises(InputError, match=told):
        read(tmp_path, make_table, content)


def test_a_file_that_is_not_there_is_named(tmp_path, make_table):
    con = connect(data(), folder=tmp_path)
    leads = con.create_table("known_leads", con.to_pyarrow(make_table("leads", [{"lead_id": "A"}])))
    with pytest.raises(InputError, match=r"absent.csv: expected a file of verdicts"):
        read_verdicts([tmp_path / "absent.csv"], data(), tmp_path, leads, con, now=NOW)


def test_the_table_that_params_name_is_read_too_by_its_own_columns(tmp_path, make_table):
    (tmp_path / "crm.csv").write_text(
        "id;seen;opinion;why;who;when\nB;2025-05-01;disagree;timing;bo;2025-05-03\n", encoding="utf-8"
    )
    named = {"path": "crm.csv", "delimiter": ";", "lead_id": "id", "as_of": "seen", "verdict": "opinion"}
    named |= {"reason": "why", "given_by": "who", "given_at": "when"}
    found = read(tmp_path, make_table, f"{HEADER}\n{GOOD}\n", params=data(feedback=named))
    assert found.table[["lead_id", "verdict", "given_by"]].to_numpy().tolist() == [
        ["A", "agree", "ana"],
        ["B", "disagree", "bo"],
    ]
    assert found.table["note"].isna().all()


def test_without_dates_of_leads_a_verdict_needs_no_moment(tmp_path, make_table):
    undated = DataParams.model_validate({"outcomes": {"status": "status", "won": ["won"]}})
    row = GOOD.replace("2025-05-01T00:00:00.123456+00:00", "")
    found = read(tmp_path, make_table, f"{HEADER}\n{row}\n", params=undated)
    assert found.table["as_of"].isna().tolist() == [True]


# --- merging -----------------------------------------------------------------------------------------


def verdicts(*rows: dict[str, Any]) -> pd.DataFrame:
    defaults = {"lead_id": "A", "as_of": "2025-05-01", "verdict": "agree", "given_by": "ana"}
    defaults |= {"given_at": "2025-05-02", "reason": None, "note": None, "model_version": "m1"}
    frame = pd.DataFrame([defaults | row for row in rows], columns=list(VERDICT_COLUMNS))
    for name in ("as_of", "given_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601").astype("datetime64[us, UTC]")
    return frame.astype({n: "str" for n in VERDICT_COLUMNS if n not in ("as_of", "given_at")})


def told(merge: Any) -> tuple[int, int, int]:
    return merge.added, merge.replaced, merge.left


def test_the_newest_verdict_of_a_reviewer_on_a_snapshot_stays():
    stored = verdicts({"verdict": "agree"})
    merge = merge_verdicts(stored, verdicts({"verdict": "disagree", "given_at": "2025-05-03"}))
    assert merge.table["verdict"].tolist() == ["disagree"]
    assert told(merge) == (0, 1, 0)


def test_an_older_verdict_and_a_repeated_one_change_nothing():
    stored = verdicts({"verdict": "agree"})
    merge = merge_verdicts(
        stored, verdicts({}, {}, {"verdict": "disagree", "given_at": "2025-05-01T23:59:59"})
    )
    assert merge.table.equals(stored)
    assert told(merge) == (0, 0, 3)


def test_another_reviewer_lead_or_moment_is_another_verdict():
    new = verdicts({"given_by": "bo"}, {"lead_id": "B"}, {"as_of": "2025-05-08"}, {"given_by": None})
    merge = merge_verdicts(verdicts({}), new)
    assert len(merge.table) == 5
    assert told(merge) == (4, 0, 0)


def test_verdicts_without_a_moment_are_of_one_snapshot():
    merge = merge_verdicts(verdicts({"as_of": None}), verdicts({"as_of": None, "given_at": "2025-05-04"}))
    assert told(merge) == (0, 1, 0)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "lead_id": st.sampled_from(["A", "B"]),
            "as_of": st.sampled_from(["2025-05-01", None]),
            "given_by": st.sampled_from(["ana", "bo", None]),
            "given_at": st.sampled_from(["2025-05-02", "2025-05-03"]),
            "verdict": st.sampled_from(["agree", "disagree"]),
            "note": st.sampled_from(["x", None]),
        }
    ),
    max_size=8,
).map(lambda rows: verdicts(*rows))


@given(ROWS, ROWS)
def test_merging_knows_no_order_and_adds_nothing_twice(one, other):
    empty = verdicts()
    first = merge_verdicts(merge_verdicts(empty, one).table, other)
    second = merge_verdicts(merge_verdicts(empty, other).table, one)
    assert first.table.equals(second.table)
    again = merge_verdicts(first.table, pd.concat([one, other], ignore_index=True))
    assert again.table.equals(first.table)
    assert told(again) == (0, 0, len(one) + len(other))
    assert first.added + first.replaced + first.left == len(other)


# --- what was shown ----------------------------------------------------------------------------------


def scores(**more: Any) -> pd.DataFrame:
    names = ["web_visits", "channel", "web_forms", "age_days", "other"]
    of = {"web_visits": "web", "channel": "demographic", "web_forms": "web", "age_days": "timing"}
    reasons = [{"feature": name, "qualifier": of.get(name, "other")} for name in names]
    row = {"lead_id": "A", "model_version": "m1", "probability": 0.4, "score": 61.0, "tier": "sql"} | more
    frame = pd.DataFrame([row | {"as_of": pd.Timestamp("2025-05-01", tz="UTC"), "reasons": reasons}])
    return frame.astype({"as_of": "datetime64[us, UTC]"})


EMPTY = SCHEMA.empty_table().to_pandas()


def test_a_verdict_is_about_the_first_three_reasons_of_its_score():
    shown = add_shown(verdicts({}), EMPTY, scores()).iloc[0]
    assert (shown["tier"], shown["probability"]) == ("sql", 0.4)
    assert list(shown["features"]) == ["web_visits", "channel", "web_forms"]
    assert list(shown["qualifiers"]) == ["demographic", "web"]


def test_a_verdict_joins_its_own_snapshot_and_model_only():
    given_on = verdicts(
        {}, {"lead_id": "B"}, {"as_of": "2025-05-02"}, {"model_version": "m2"}, {"model_version": None}
    )
    tiers = add_shown(given_on, EMPTY, scores())["tier"]
    assert tiers.isna().tolist() == [False, True, True, True, False]


def test_what_was_shown_is_kept_when_the_scores_have_moved_on(tmp_path):
    path = tmp_path / "feedback.parquet"
    pq.write_table(to_stored(add_shown(verdicts({}), EMPTY, scores())), path)
    stored = read_stored(path)
    newer = merge_verdicts(stored, verdicts({"verdict": "disagree", "given_at": "2025-05-09"}))
    shown = add_shown(newer.table, stored, scores(model_version="m9", tier="nurture"))
    assert (shown["verdict"].item(), shown["tier"].item()) == ("disagree", "sql")
    assert to_stored(add_shown(stored[list(VERDICT_COLUMNS)], stored, None)).equals(to_stored(stored))


@pytest.mark.parametrize("shown", [None, scores(lead_id="B"), scores().iloc[:0]])
def test_verdicts_of_which_no_score_was_found_are_kept(shown):
    kept = to_stored(add_shown(verdicts({}, {"as_of": None}), EMPTY, shown))
    assert kept.schema.equals(SCHEMA)
    assert kept["features"].null_count == kept["tier"].null_count == 2
