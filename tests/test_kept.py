"""Behaviour kept from one scoring to the next: it is the one that would be computed anew, to the bit."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightly_cases import copy_workspace, edit_params
from propensity.commands import forget_leads, score_raw
from propensity.data.engines import connect_here
from propensity.features.build import build_features
from propensity.features.catalogue import Plan
from propensity.features.kept import (
    EVENTS,
    STATE,
    add_state,
    differing,
    digest_events,
    find_unchanged,
    kept_names,
    put_back,
)
from propensity.scoring.kept import HEADER
from propensity.workspace import Workspace

NIGHT = datetime(2025, 6, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LEADS = ["a", "b", "c", "d"]
PLAN = Plan(
    attributes={"events": "number"},
    qualifier_of={"events": "firmographic"},
    event_types={"web": ["visit", "form"], "email": ["open"]},
    assets={"web": ["home"]},
    lookback_days=[0.5, 3.0, 62.5],
    asset_types=["form", "visit"],
    value_types=["visit"],
)
COLUMNS = {"lead_id": "string", "type": "string", "asset": "string", "value": "float64"}
MOMENTS = ("event_at", "known_at")


class Tables:
    """An engine with leads and events, and the features that the two give."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.con = connect_here()
        self.leads = self._table(
            "leads",
            {"lead_id": LEADS, "events": [1.0] * len(LEADS)},
            ["created_at"],
            {"lead_id": "string", "events": "float64"},
        ).mutate(channel=ibis.null("string"), account_id=ibis.null("string"))
        rows = {name: [event[name] for event in events] for name in (*COLUMNS, *MOMENTS)}
        self.events = self._table("events", rows, MOMENTS, COLUMNS)

    def _table(self, name: str, rows: dict[str, list[Any]], moments: Any, kinds: dict[str, str]) -> Any:
        frame = pd.DataFrame({column: rows.get(column, NIGHT - 90 * DAY) for column in (*kinds, *moments)})
        for column in moments:
            frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[us, UTC]")
        schema = ibis.schema(kinds | dict.fromkeys(moments, "timestamp('UTC', 6)"))
        return self.con.create_table(name, frame, schema=schema)

    def spine(self, moment: datetime) -> Any:
        return self.leads.order_by("lead_id").select(
            "lead_id",
            "account_id",
            "created_at",
            snapshot=ibis.row_number().over(order_by="lead_id").cast("int64"),
            as_of=ibis.literal(moment, "timestamp('UTC', 6)"),
        )

    def features(self, moment: datetime, events: Any = None) -> Any:
        spine, events = self.spine(moment), self.events if events is None else events
        return add_state(build_features(spine, self.leads, PLAN, events=events), spine, events, PLAN)

    def digests(self, until: datetime) -> dict[str, Any]:
        found = self.con.to_pyarrow(digest_events(self.events, PLAN, [until])).to_pylist()
        return {str(row.pop("bucket")): row for row in found}

    def fetch(self, table: Any) -> pd.DataFrame:
        return self.con.to_pyarrow(table).to_pandas()


def rescore(before: Tables, now: Tables, then: datetime, moment: datetime) -> tuple[set[str], pd.DataFrame]:
    """Return the leads whose behaviour was kept, and the features at `moment` with what was kept."""
    kept = now.con.create_table("kept", before.con.to_pyarrow(before.features(then)), overwrite=True)
    corrected = differing(before.digests(then), now.digests(then))
    found = find_unchanged(
        now.spine(moment), kept, now.events, PLAN, before=then, moment=moment, corrected=corrected
    )
    unchanged = now.con.create_table("unchanged", found, overwrite=True)
    rest = now.events.anti_join(unchanged, "lead_id")
    moved = (moment - then) // timedelta(microseconds=1)
    rows = kept.select("lead_id", "snapshot", *STATE, *kept_names(PLAN)).semi_join(unchanged, "lead_id")
    features = put_back(now.features(moment, rest), rows, PLAN, moved)
    return set(now.fetch(unchanged)["lead_id"]), now.fetch(features.order_by("snapshot"))


def event(lead: str, ago: timedelta, **given: Any) -> dict[str, Any]:
    at = NIGHT - ago
    return {
        "lead_id": lead,
        "type": "visit",
        "asset": "home",
        "value": 2.5,
        "event_at": at,
        "known_at": at,
    } | given


ANY_EVENT = st.builds(
    event,
    st.sampled_from(LEADS),
    # On the hours, so that events often share a day and stand at the edges of windows.
    st.integers(0, 70 * 24).map(lambda hours: hours * HOUR),
    type=st.sampled_from(["visit", "form", "open", "unread"]),
    asset=st.sampled_from(["home", "price", None]),
    value=st.sampled_from([None, 0.1, 3.0]),
)
LATER = st.integers(0, 5 * 24).map(lambda hours: hours * HOUR)


@settings(max_examples=30, deadline=None)
@given(
    held=st.lists(ANY_EVENT, max_size=12),
    dropped=st.integers(0, 1),
    added=st.lists(st.tuples(ANY_EVENT, LATER), max_size=2),
    step=st.sampled_from([timedelta(0), HOUR, DAY, DAY + HOUR, 3 * DAY]),
)
def test_features_with_kept_behaviour_are_those_computed_anew(held, dropped, added, step):
    before = Tables(held)
    known = [one | {"known_at": one["event_at"] + later} for one, later in added]
    now = Tables([*held[dropped:], *known])
    kept, found = rescore(before, now, NIGHT, NIGHT + step)
    anew = now.fetch(now.features(NIGHT + step).order_by("snapshot"))
    pd.testing.assert_frame_equal(found, anew, check_exact=True)
    silent = set(LEADS) - {one["lead_id"] for one in [*held, *known]}
    assert silent <= kept


def test_a_lead_is_kept_until_its_first_event_leaves_a_window_or_another_comes():
    events = [
        event("a", timedelta(days=62.5)),  # out of every window
        event("b", 2 * DAY),  # leaves the window of three days in one
        event("c", 3 * DAY - HOUR),  # in an hour
        event("d", 40 * DAY),  # and then another becomes known
    ]
    before, now = Tables(events), Tables([*events, event("d", DAY, known_at=NIGHT + HOUR)])
    for step, expected in {
        timedelta(0): "abcd",
        HOUR - timedelta(microseconds=1): "abcd",
        HOUR: "ab",
        DAY - timedelta(microseconds=1): "ab",
        DAY: "a",
    }.items():
        assert rescore(before, now, NIGHT, NIGHT + step)[0] == set(expected), step


def test_two_events_of_a_qualifier_are_kept_over_whole_days_alone():
    mixed = [event("b", 5 * DAY), event("b", 6 * DAY, type="form")]
    apart = [event("c", 5 * DAY), event("c", 5 * DAY, type="open")]
    before = Tables([event("a", 5 * DAY), event("a", 6 * DAY), *mixed, *apart])
    assert rescore(before, before, NIGHT, NIGHT + DAY)[0] == {*LEADS}
    assert rescore(before, before, NIGHT, NIGHT + HOUR)[0] == {"c", "d"}


@pytest.mark.parametrize("edit", [{"asset": "price"}, {"value": 1.0}, {"event_at": NIGHT - 31 * DAY}])
def test_a_correction_makes_its_lead_be_computed_anew(edit):
    events = [event("a", 30 * DAY), event("b", 30 * DAY)]
    before, now = Tables(events), Tables([events[0] | edit, events[1]])
    kept, found = rescore(before, now, NIGHT, NIGHT + DAY)
    assert kept == {"b", "c", "d"}
    pd.testing.assert_frame_equal(found, now.fetch(now.features(NIGHT + DAY)), check_exact=True)


# --- from one night to the next -------------------------------------------------------------------


def score(ws: Workspace, as_of: str, **given: str | None) -> str:
    return score_raw(ws, **({"leads": None, "events": None, "as_of": as_of} | given))


def read_run(ws: Workspace) -> dict[str, Any]:
    return json.loads((ws.scores.parent / "run.json").read_text())


@pytest.fixture
def ws(nightly_workspace, tmp_path) -> Workspace:
    return copy_workspace(nightly_workspace, tmp_path)


def read_kept(ws: Workspace) -> pd.DataFrame:
    return pd.concat(map(pd.read_parquet, sorted(ws.kept.glob("*.parquet"))), ignore_index=True)


def score_anew(ws: Workspace, as_of: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score without what was kept, and return the scores and what is kept then."""
    shutil.rmtree(ws.kept, ignore_errors=True)
    score(ws, as_of)
    assert read_run(ws)["kept"] is None
    return pd.read_parquet(ws.scores), read_kept(ws)


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    left, right = (frame.drop(columns="scored_at", errors="ignore") for frame in (found, expected))
    pd.testing.assert_frame_equal(left, right, check_exact=True)


@pytest.mark.parametrize("rows", [40, 5000])
@pytest.mark.parametrize("later", ["2025-05-01", "2025-05-01T09:30", "2025-05-02", "2025-05-09"])
def test_a_night_after_another_gives_the_scores_that_it_would_give_alone(ws, later, rows):
    ws = edit_params(ws, scoring={"chunk_rows": rows})
    score(ws, "2025-05-01")
    said = score(ws, later)
    told, scores, kept = read_run(ws)["kept"], pd.read_parquet(ws.scores), read_kept(ws)
    assert told["since"] == "2025-05-01T00:00:00+00:00"
    assert 0.1 * len(scores) < told["leads"] <= len(scores)
    assert f"{told['leads']:,} of {len(scores):,} leads did nothing new" in said
    anew = score_anew(ws, later)
    same(scores, anew[0])
    same(kept, anew[1])
    if later == "2025-05-01":
        assert (told["leads"], told["events"]) == (len(scores), kept[EVENTS].sum())


def test_behaviour_of_a_later_moment_or_another_plan_is_not_taken(ws):
    score(ws, "2025-05-02")
    score(ws, "2025-05-01")
    assert read_run(ws)["kept"] is None
    header = json.loads((ws.kept / HEADER).read_text()) | {"key": "of another plan"}
    (ws.kept / HEADER).write_text(json.dumps(header))
    score(ws, "2025-05-02")
    assert read_run(ws)["kept"] is None


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (HEADER, lambda path: path.write_text("[]")),
        (HEADER, lambda path: path.write_text("{")),
        (HEADER, lambda path: path.write_text("{}")),
        ("000000.parquet", flip_bit),
        ("000000.parquet", Path.unlink),
    ],
)
def test_what_is_damaged_is_told_and_kept_anew(ws, name, damage, caplog):
    score(ws, "2025-05-01")
    expected = read_kept(ws)
    damage(ws.kept / name)
    score(ws, "2025-05-01")
    assert "kept is damaged: all behaviour is computed anew" in caplog.text
    assert read_run(ws)["kept"] is None
    same(read_kept(ws), expected)
    score(ws, "2025-05-01")
    assert read_run(ws)["kept"]["leads"] == len(expected)


def test_nothing_is_kept_if_the_params_say_so(ws):
    score(edit_params(ws, scoring={"incremental": False}), "2025-05-01")
    assert not ws.kept.exists()


def test_changes_since_the_night_that_behaviour_is_of_are_those_computed_anew(ws):
    ws = edit_params(ws, scoring={"chunk_rows": 60})
    score(ws, "2025-05-01")
    earlier = shutil.copy(ws.scores, ws.folder / "first.parquet")
    found = []
    for kept in (True, False):
        if not kept:
            shutil.rmtree(ws.kept)
        score(ws, "2025-05-03", previous=earlier.name)
        assert ((read_run(ws)["kept"] or {}).get("leads", 0) > 20) is kept
        found.append((pd.read_parquet(ws.scores), pd.read_parquet(ws.scores.with_name("changes.parquet"))))
    for one, other in zip(*found, strict=True):
        same(one, other)
    assert found[0][1]["behaviour"].abs().sum() > 0 < found[0][1]["time"].abs().sum()
    # The behaviour kept is now of a later moment than the scores to compare with.
    score(ws, "2025-05-03")
    score(ws, "2025-05-04", previous=earlier.name)
    assert read_run(ws)["kept"] is None


def test_a_night_without_anybody_keeps_nothing_and_the_next_goes_on(ws):
    score(ws, "2001-01-01")
    assert len(read_kept(ws)) == 0
    score(ws, "2025-05-01")
    assert read_run(ws)["kept"] == {"since": "2001-01-01T00:00:00+00:00", "leads": 0, "events": 0}
    same(pd.read_parquet(ws.scores), score_anew(ws, "2025-05-01")[0])


def test_a_corrected_file_of_events_changes_the_scores_it_should(ws):
    score(ws, "2025-05-01")
    lead = read_kept(ws).sort_values(EVENTS)["lead_id"].iloc[-1]
    path = ws.folder / "data/raw/events.parquet"
    events = pd.read_parquet(path)
    events[events["lead_id"] != lead].to_parquet(path)
    score(ws, "2025-05-02")
    scores, kept = pd.read_parquet(ws.scores), read_kept(ws)
    assert read_run(ws)["kept"]["leads"] > 0
    assert kept.set_index("lead_id").loc[lead, EVENTS] == 0
    same(scores, score_anew(ws, "2025-05-02")[0])


def test_a_forgotten_lead_is_not_kept(ws):
    score(ws, "2025-05-01")
    lead = read_kept(ws)["lead_id"][0]
    said = forget_leads(ws, [lead], None)
    assert not list(ws.kept.glob("*"))
    assert "scores/kept/000000.parquet" in said
    score(ws, "2025-05-02")
    assert read_run(ws)["kept"] is None
    assert lead not in set(read_kept(ws)["lead_id"])
