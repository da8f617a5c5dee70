"""The simulated year: its calendar, whom each way calls, what alarms are worth, the page and the picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bench.year.__main__ import ROOT, name_checks, read_years
from bench.year.alarms import count_false_alarms, find_detections, names_shift
from bench.year.calendar import Year, full_year, quick_year
from bench.year.calls import add_wins, call_leads, compare_ways
from bench.year.commands import propensity, write_params
from bench.year.drawing import draw_year
from bench.year.drive import act, live, record_of
from bench.year.page import (
    BEGIN,
    END,
    make_table,
    tell_detections,
    tell_results,
    tell_summary,
    tell_wins,
    write_page,
)
from bench.year.results import name_periods
from bench.year.world import export, make_world

from propensity.data.files import write_json
from propensity.data.shifts import ChannelChange, DeadFeed, FewerWins
from propensity.workspace import open_workspace

MONDAY = pd.Timestamp("2024-10-07T06:00", tz="UTC")
FEED = DeadFeed(MONDAY, ("visit",))
WINS = FewerWins(MONDAY + pd.Timedelta(days=7), 0.5)
CHANNEL = ChannelChange(MONDAY + pd.Timedelta(days=14), "referral", -1.5)


def year_of(weeks: int) -> Year:
    since = MONDAY - pd.Timedelta(days=700)
    return Year(300, 3, since, MONDAY - pd.Timedelta(days=7), weeks, 2, (FEED, WINS, CHANNEL))


def alarm(check: str, subject: str | None = None, **evidence: float) -> dict[str, Any]:
    told = {"code": "PRM000", "check": check, "subject": subject, "message": "said", "severity": "warning"}
    return {**told, "evidence": evidence}


def record(week: int, *alarms: dict[str, Any], planted: int = 0) -> dict[str, Any]:
    return {"week": week, "alarms": list(alarms), "planted": ["shift"] * planted, "excluded": []}


# --- the calendar ----------------------------------------------------------------------------------


def test_the_year_has_52_mondays_in_12_months_and_a_retraining_in_each_but_the_first():
    year = full_year(7)
    assert len(year.moments) == 52
    assert {moment.day_name() for moment in year.moments} == {"Monday"}
    assert [year.month(week) for week in (1, 4, 5, 52)] == [1, 1, 2, 12]
    assert [year.month(week) for week in range(1, 53) if year.retrains(week)] == list(range(2, 13))


def test_the_first_shift_is_first_seen_in_month_7():
    year = full_year(7)
    first = next(week for week in range(1, 53) if year.planted(week))
    assert year.month(first) == 7
    assert year.month(first - 1) == 6
    assert year.weeks_since(year.shifts[0], first) == 1


def test_a_shift_at_the_very_moment_of_the_scores_is_seen_a_week_later():
    year = year_of(4)
    assert [len(year.planted(week)) for week in (1, 2, 3, 4)] == [0, 1, 2, 3]
    assert [year.weeks_since(FEED, week) for week in (1, 2, 3)] == [0, 1, 2]


# --- whom each way calls ---------------------------------------------------------------------------


def week_of(**leads: tuple[float, str]) -> pd.DataFrame:
    rows = [(lead, value, tier, value / 10) for lead, (value, tier) in leads.items()]
    return pd.DataFrame(rows, columns=["lead_id", "loop", "tier", "truth"])


def test_each_week_the_best_that_were_not_called_and_may_be_are_called():
    weeks = {
        1: week_of(A=(5, "sql"), B=(9, "disqualified"), C=(4, "mql"), D=(3, "nurture")),
        2: week_of(A=(5, "sql"), C=(9, "sql"), D=(3, "nurture"), E=(3, "nurture"), F=(3, "nurture")),
    }
    called = call_leads(weeks, "loop", calls=2)
    # F and E rank with D, and are newer.
    assert list(called.itertuples(index=False, name=None)) == [
        (1, "A", 0.5),
        (1, "C", 0.4),
        (2, "F", 0.3),
        (2, "E", 0.3),
    ]


def test_a_call_finds_a_win_that_comes_after_it_and_within_90_days():
    day = pd.Timedelta(days=1)
    outcomes = pd.DataFrame(
        {
            "lead_id": ["now", "soon", "last", "late", "lost", "open"],
            "status": ["won", "won", "won", "won", "lost", "open"],
            "closed_at": [MONDAY + n * day for n in (0, 1, 90, 90.001, 5)] + [pd.NaT],
        }
    )
    called = pd.DataFrame({"week": 1, "lead_id": outcomes["lead_id"], "truth": 0.5})
    found = add_wins(called, outcomes, {1: MONDAY}).set_index("lead_id")["won"]
    assert found.to_dict() == {
        "now": False,
        "soon": True,
        "last": True,
        "late": False,
        "lost": False,
        "open": False,
    }


def calls_of(*rows: tuple[int, str, float, bool]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["week", "lead_id", "truth", "won"])


def test_ways_are_compared_in_the_weeks_asked_for_with_what_they_share_cancelled():
    calls = {
        "loop": calls_of((1, "A", 0.5, True), (1, "B", 0.4, True), (2, "C", 0.9, True)),
        "rule": calls_of((1, "A", 0.5, True), (1, "D", 0.1, False), (2, "E", 0.1, False)),
    }
    account = pd.Series({"A": "a", "B": "b", "C": "c", "D": "d", "E": "e"})
    loop, rule = compare_ways(calls, account, [1], seed=1)
    assert loop == {"way": "loop", "calls": 2, "won": 2, "expected": pytest.approx(0.9)}
    assert (rule["won"], rule["expected"]) == (1, pytest.approx(0.6))
    assert (rule["won_more"], rule["expected_more"]) == (1, pytest.approx(0.3))
    assert rule["expected_more_interval"][0] < 0.3 < rule["expected_more_interval"][1]
    same = compare_ways({"loop": calls["loop"], "rule": calls["loop"]}, account, [1, 2], seed=1)[1]
    assert same["won_more_interval"] == [0, 0]


def test_periods_run_from_shift_to_shift_and_over_the_year():
    assert name_periods(year_of(5)) == [
        ("before any shift", [1]),
        ("since DeadFeed", [2]),
        ("since FewerWins", [3]),
        ("since ChannelChange", [4, 5]),
        ("the year", [1, 2, 3, 4, 5]),
    ]


# --- what alarms are worth -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "shift", "named"),
    [
        (alarm("silent_feed", "events/visit"), FEED, True),
        (alarm("silent_feed", "events/open"), FEED, False),
        (alarm("feature_drift", "web_visit_count_7d"), FEED, False),
        (alarm("early_wins", "wins", wins=5, expected=9.0), WINS, True),
        (alarm("early_wins", "wins", wins=9, expected=5.0), WINS, False),
        (alarm("early_wins", "wins of partner", wins=5, expected=9.0), WINS, False),
        (alarm("early_wins", "wins of referral", wins=1, expected=9.0), CHANNEL, True),
        (alarm("calibration", "shift", value=-0.6, before=0.1), WINS, True),
        (alarm("calibration", "shift", value=0.6, before=0.1), WINS, False),
        (alarm("calibration", "slope", value=0.6, before=1.0), WINS, False),
        (alarm("cutoffs", "sql"), WINS, True),
        (alarm("cutoffs", "mql"), WINS, False),
        (alarm("level", "channel=referral"), CHANNEL, True),
        (alarm("level", "channel=partner"), CHANNEL, False),
    ],
)
def test_an_alarm_names_a_shift_if_it_leads_a_reader_to_it(raised, shift, named):
    assert names_shift(raised, shift) is named


def test_a_detection_is_the_first_alarm_after_its_shift_that_names_it():
    early = alarm("early_wins", "wins", wins=5, expected=9.0)
    records = [
        record(1, alarm("silent_feed", "events/visit")),  # before the feed stopped
        record(2, planted=1),
        record(3, alarm("silent_feed", "events/visit"), early, planted=2),
        record(4, early, planted=3),
    ]
    feed, wins, channel = find_detections(year_of(4), records)
    assert (feed["named"]["week"], feed["named"]["weeks"], feed["weeks_watched"]) == (3, 2, 3)
    assert (wins["named"]["week"], wins["named"]["weeks"]) == (3, 1)
    assert channel == {
        "shift": "ChannelChange",
        "at": CHANNEL.at,
        "weeks_watched": 1,
        "named": None,
    }


def test_only_alarms_of_quiet_weeks_are_false():
    records = [
        record(1),
        record(2, alarm("volume", "leads"), alarm("volume", "events/open")),
        record(3),
        record(4, alarm("volume", "leads"), planted=1),
    ]
    found = count_false_alarms(records)
    assert (found["weeks"], found["with_alarm"], found["which"]) == (3, 1, [2])
    assert found["by_check"] == {"PRM000 volume": 2}
    low, high = found["interval"]
    assert 0 < low < 1 / 3 < high < 1


def test_who_acts_leaves_a_stopped_feed_out_once_it_is_named_and_forces_once(tmp_path):
    write_params(tmp_path / "workspace", exclude=[])
    silent = alarm("silent_feed", "events/visit")
    write_json(record(1, alarm("silent_feed", "leads")), record_of(tmp_path, 1))
    assert act(tmp_path, 2, record(2)) is None
    second = record(2, silent)
    assert "visit" in str(act(tmp_path, 2, second))
    written = open_workspace(tmp_path / "workspace" / "params.yaml").params
    assert written.features.exclude == ["visit"]
    write_json(second, record_of(tmp_path, 2))
    assert act(tmp_path, 3, record(3, silent)) is None


# --- the world and the commands --------------------------------------------------------------------


def test_the_world_begins_with_the_crm_and_an_export_ends_with_its_moment(tmp_path):
    year = year_of(1)
    world = make_world(year)
    assert world.leads["created_at"].min() >= year.since
    assert set(world.events["lead_id"]) <= set(world.leads["lead_id"])
    export(world, MONDAY, tmp_path)
    leads = pd.read_csv(tmp_path / "leads.csv", on_bad_lines="skip")  # bad rows are part of the export
    created = pd.to_datetime(leads["created_at"], utc=True, errors="coerce", format="ISO8601")
    assert created.max() <= MONDAY
    assert (world.leads["created_at"] > MONDAY).any()
    assert pd.read_parquet(tmp_path / "truth" / "snapshots.parquet").empty


def test_a_command_that_ends_otherwise_than_it_may_ends_the_year_with_what_it_said(tmp_path):
    write_params(tmp_path, exclude=[])
    with pytest.raises(RuntimeError, match=r"(?s)'propensity verify' ended with \d:.*bundle"):
        propensity(tmp_path, "verify")


def test_a_week_with_a_record_is_not_lived_through_again(tmp_path):
    year = quick_year(7)
    for week in range(1, year.weeks + 1):
        write_json(record(week), record_of(tmp_path, week))
    write_json({"decision": {}, "conditions": []}, tmp_path / "first" / "rule.json")
    live(year, tmp_path, acting=False)
    assert not (tmp_path / "workspace").exists()


# --- the page and the picture ----------------------------------------------------------------------


def found_of(weeks: list[dict[str, Any]]) -> dict[str, Any]:
    n = len(weeks)
    ways = {way: {"truth": [float(i)] * n} for i, way in enumerate(("rule", "once", "loop", "truth"))}
    return {"weeks": weeks, "by_week": ways, "shifts": [{"shift": "DeadFeed"}]}


def test_the_picture_shows_each_alarm_decision_and_shift():
    weeks = [
        {"week": 1, "alarms": [alarm("volume", "<leads>")], "planted": [], "decision": None},
        {"week": 2, "alarms": [], "planted": ["DeadFeed"], "decision": {"verdict": "promoted"}},
        {
            "week": 3,
            "alarms": [alarm("volume", "x"), alarm("volume", "y")],
            "planted": ["DeadFeed"],
            "decision": {"verdict": "refused"},
        },
    ]
    drawn = ET.fromstring(draw_year(found_of(weeks), {"PRM000": "volume", "PRM001": "silent_feed"}))
    classes = [element.get("class") for element in drawn.iter()]
    counts = {name: classes.count(name) for name in ("false", "alarm", "promoted", "refused", "shift")}
    assert counts == {"false": 1, "alarm": 1, "promoted": 1, "refused": 1, "shift": 1}
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"PRM001 silent_feed", "the gate", "visits stop", "the loop"} <= set(texts)


def test_the_tables_say_what_was_not_found_and_give_intervals():
    told = tell_detections([{"shift": "FewerWins", "at": "2025-04-28", "weeks_watched": 9, "named": None}])
    assert "| half of the wins are lost | 2025-04-28 | not in 9 weeks |  |  |" in told
    more = {"won_more": -3, "won_more_interval": [-9, 2.5]}
    more |= {"expected_more": 4.26, "expected_more_interval": [1, 7]}
    ways = [{"way": "loop", "won": 7, "expected": 6}, {"way": "rule", "won": 10, "expected": 1.74, **more}]
    told = tell_wins({"year": {"periods": [{"period": "the year", "weeks": [1, 9], "ways": ways}]}})
    assert "| points rule | 10 | 1.7 | +4.3 [+1.0, +7.0] | -3.0 [-9.0, +2.5] |" in told


def test_the_summary_says_what_was_named_and_what_was_not_told_apart():
    def way(name: str, expected: float, *interval: float) -> dict[str, Any]:
        more = {"expected_more": sum(interval) / 2, "expected_more_interval": list(interval)}
        return {"way": name, "calls": 9, "expected": expected, **more}

    told = tell_summary(
        {
            "false_alarms": {"with_alarm": 1, "weeks": 20, "interval": [0.01, 0.2]},
            "detections": [
                {"shift": "DeadFeed", "weeks_watched": 9, "named": {"weeks": 1}},
                {"shift": "ChannelChange", "weeks_watched": 4, "named": None},
            ],
            "first": {"verdict": "promoted"},
            "weeks": [{"decision": None}, {"decision": {"verdict": "refused"}}],
            "periods": [{"ways": [way("loop", 6, 0, 0), way("once", 5, -1, 3), way("rule", 2, 1, 7)]}],
        }
    )
    assert told.splitlines() == [
        "- 1 of 20 quiet weeks had an alarm [1%, 20%].",
        "- A feed stops (`visit`): named after 1 week of 9.",
        "- A channel changes (`referral`): not named in 4 weeks.",
        "- The gate promoted 1 of 2 challengers.",
        "- Of 9 calls the loop's bring 6.0 expected wins, those by the model trained once 5.0; the "
        "difference is +1.0 [-1.0, +3.0]: they are not told apart.",
        "- Of 9 calls the loop's bring 6.0 expected wins, those by the points rule 2.0; the difference is "
        "+4.0 [+1.0, +7.0].",
    ]


def test_the_page_keeps_what_stands_around_the_results(tmp_path: Path):
    page = tmp_path / "year.md"
    page.write_text(
        "# Year\n\n<!-- results:begin -->\nold\n<!-- results:end -->\n\nAfter.\n", encoding="utf-8"
    )
    write_page(make_table(["a"], [["x | y"]]), page)
    write_page(make_table(["a"], [["x | y"]]), page)
    expected = "# Year\n\n<!-- results:begin -->\n| a |\n| --- |\n| x / y |\n<!-- results:end -->\n\nAfter.\n"
    assert page.read_text(encoding="utf-8") == expected


def test_the_page_and_its_picture_are_those_of_the_stored_figures():
    years = read_years()
    text = (ROOT / "docs" / "year.md").read_text(encoding="utf-8")
    assert text.split(BEGIN)[1].split(END)[0].strip() == tell_results(years).strip()
    drawn = draw_year(years["year"], name_checks(years["year"]))
    assert (ROOT / "docs" / "year.svg").read_text(encoding="utf-8") == drawn
