"""The feed of crossings: who is in it, what a line says, and that a crossing is told once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from propensity.crm.crossings import append_crossings
from propensity.errors import InputError
from propensity.params import parse_params
from propensity.workspace import Workspace
from scored_leads import scored, write_scores

NOON = pd.Timestamp("2025-06-30T12:00:00Z")
DAY = pd.Timedelta(days=1)
PARAMS = yaml.safe_dump({"data": {"outcomes": {"won": ["won"]}}, "split": {"by": "random"}})


def change(lead_id: str, before: str | None, tier: str, *, as_of: Any = NOON) -> dict[str, Any]:
    """A row of changes.parquet."""
    ranks = ["disqualified", "nurture", "mql", "sql"]
    step = 0 if before is None else ranks.index(tier) - ranks.index(before)
    return {
        "lead_id": lead_id,
        "as_of_before": pd.NaT if before is None else as_of - DAY,
        "as_of": as_of,
        "score_before": None if before is None else 40.04,
        "score": 60.06,
        "tier_before": before,
        "tier": tier,
        "crossed": "up" if step > 0 else "down" if step < 0 else "",
        "why": "Nurture to SQL: +20.0 points",
        "model_version": "abcdefabcdef",
    }


def scoring(folder: Path, changes: list[dict[str, Any]], *, scored_at: Any = NOON + DAY / 24) -> Workspace:
    """A workspace as a scoring with --previous leaves it."""
    ws = Workspace(folder, parse_params(PARAMS))
    rows = [
        scored(c["lead_id"], tier=c["tier"], score=c["score"], as_of=c["as_of"], scored_at=scored_at)
        for c in changes
    ]
    write_scores(rows, ws.scores)
    frame = pd.DataFrame(changes).astype({"tier_before": "str", "score_before": "float64"})
    for column in ("as_of", "as_of_before"):
        frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[us, UTC]")
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), ws.scores.with_name("changes.parquet"))
    return ws


def feed(ws: Workspace) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ws.crossings.read_text(encoding="utf-8").split("\n")[:-1]]


def test_the_feed_holds_who_came_into_a_qualified_tier_and_who_left_it(tmp_path, con):
    ws = scoring(
        tmp_path,
        [
            change("became mql", "nurture", "mql"),
            change("became sql", "mql", "sql"),
            change("fell to mql", "sql", "mql"),
            change("fell to nurture", "mql", "nurture"),
            change("stays mql", "mql", "mql"),
            change("no longer disqualified", "disqualified", "nurture"),
            change("new sql", None, "sql"),
            change("new nurture", None, "nurture"),
            change("ruled out", "sql", "disqualified"),
        ],
    )
    said = append_crossings(ws, con, None)
    assert said.startswith("3 leads became MQL or SQL, 3 fell back; ")
    assert {(line["lead_id"], line["crossed"], line["tier_before"]) for line in feed(ws)} == {
        ("became mql", "up", "nurture"),
        ("became sql", "up", "mql"),
        ("fell to mql", "down", "sql"),
        ("fell to nurture", "down", "mql"),
        ("new sql", "new", None),
        ("ruled out", "down", "sql"),
    }


def test_a_line_says_when_and_why_and_how_long_ago_the_event_was(tmp_path, con, make_table):
    ws = scoring(tmp_path, [change("a", "nurture", "sql")])
    before = {"lead_id": "a", "type": "visit"}
    events = make_table(
        "events",
        [
            # Known at the scoring before; known since, though it happened before; the latest; not known yet.
            before | {"event_at": NOON - 2 * DAY, "known_at": NOON - 2 * DAY, "asset": "old"},
            before | {"event_at": NOON - 1.5 * DAY, "known_at": NOON - DAY / 2, "asset": "late"},
            before | {"event_at": NOON - DAY / 4, "known_at": NOON, "asset": "pricing", "type": "form"},
            before | {"event_at": NOON - DAY / 8, "known_at": NOON + DAY, "asset": "hidden"},
            before | {"lead_id": "b", "event_at": NOON, "known_at": NOON},
        ],
    )
    append_crossings(ws, con, events)
    (line,) = feed(ws)
    assert line.pop("key").isalnum()
    assert line == {
        "lead_id": "a",
        "crossed": "up",
        "tier_before": "nurture",
        "tier": "sql",
        "score_before": 40.0,
        "score": 60.1,
        "probability": 0.1235,
        "why": "Nurture to SQL: +20.0 points",
        "reasons": ["Industry is software: +3.", "No visit so far: -1."],
        "as_of_before": "2025-06-29T12:00:00+00:00",
        "as_of": "2025-06-30T12:00:00+00:00",
        "scored_at": "2025-06-30T13:00:00+00:00",
        "event": {"at": "2025-06-30T06:00:00+00:00", "type": "form", "asset": "pricing"},
        "minutes_since_event": 360.0,
        "minutes_to_scoring": 60.0,
        "model_version": "abcdefabcdef",
    }


def test_an_event_that_came_late_is_the_event_where_nothing_else_came(tmp_path, con, make_table):
    ws = scoring(tmp_path, [change("a", "nurture", "mql"), change("b", "nurture", "mql")])
    late = {"event_at": NOON - 1.5 * DAY, "known_at": NOON - DAY / 2, "type": "visit", "lead_id": "a"}
    old = {"event_at": NOON - 2 * DAY, "known_at": NOON - DAY, "type": "visit", "lead_id": "b"}
    append_crossings(ws, con, make_table("events", [late, old]))
    by_lead = {line["lead_id"]: line for line in feed(ws)}
    assert by_lead["a"]["minutes_since_event"] == 36 * 60
    assert (by_lead["b"]["event"], by_lead["b"]["minutes_since_event"]) == (None, None)


def test_a_crossing_is_told_once_however_often_it_is_found(tmp_path, con):
    append_crossings(scoring(tmp_path, [change("a", "nurture", "mql")]), con, None)
    repeated = scoring(tmp_path, [change("a", "nurture", "mql")], scored_at=NOON + DAY / 2)
    before = repeated.crossings.read_bytes()
    assert append_crossings(repeated, con, None).startswith("0 leads became MQL or SQL, 0 fell back")
    assert repeated.crossings.read_bytes() == before
    later = scoring(tmp_path, [change("a", "mql", "sql", as_of=NOON + DAY)], scored_at=NOON + DAY)
    append_crossings(later, con, None)
    assert [line["tier"] for line in feed(later)] == ["mql", "sql"]
    assert len({line["key"] for line in feed(later)}) == 2


def test_the_feed_reaches_as_far_back_as_params_say(tmp_path, con):
    append_crossings(scoring(tmp_path, [change("old", "nurture", "mql")], scored_at=NOON), con, None)
    for days, kept in ((29, ["old", "new"]), (31, ["new", "newer"])):
        moment = NOON + days * DAY
        name = "new" if days == 29 else "newer"
        ws = scoring(tmp_path, [change(name, "nurture", "mql", as_of=moment)], scored_at=moment)
        append_crossings(ws, con, None)
        assert [line["lead_id"] for line in feed(ws)] == kept


def test_data_without_dates_has_crossings_without_events(tmp_path, con):
    ws = scoring(tmp_path, [change("a", "nurture", "mql") | {"as_of": pd.NaT, "as_of_before": pd.NaT}])
    append_crossings(ws, con, None)
    (line,) = feed(ws)
    assert (line["as_of"], line["event"], line["minutes_to_scoring"]) == (None, None, None)


def test_a_text_with_strange_line_ends_is_one_line(tmp_path, con):
    ws = scoring(tmp_path, [change("a", "nurture", "mql") | {"why": "x\u2028y\x85z\nw"}])
    append_crossings(ws, con, None)
    later = scoring(tmp_path, [change("b", "nurture", "mql")])
    append_crossings(later, con, None)
    assert [line["why"][:1] for line in feed(later)] == ["x", "N"]


def test_a_feed_that_cannot_be_read_is_refused_and_left(tmp_path, con):
    ws = scoring(tmp_path, [change("a", "nurture", "mql")])
    ws.crossings.write_text('{"key": "k", "scored_at": "2025-06-30T13:00:00+00:00"}\nnot json\n')
    with pytest.raises(InputError, match=r"crossings\.jsonl, line 2, should be a crossing as JSON"):
        append_crossings(ws, con, None)
    assert ws.crossings.read_text().endswith("not json\n")
