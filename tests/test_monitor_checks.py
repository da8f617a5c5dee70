"""The monitor's checks on small tables: each raises an alarm, stays quiet, or says why it cannot look."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from monitor_cases import UNTIL, WEEKS, ask, make_feeds, make_reference, make_rows, make_watch
from propensity.loop.lookout import CHECKS, ask_checks, count_statuses, share_alpha
from propensity.loop.watch import Watch

BY_CODE = {check.code: check for check in CHECKS}
LATER = UNTIL + pd.Timedelta(days=140).to_pytimedelta()


@cache
def past() -> pd.DataFrame:
    return make_rows(WEEKS, UNTIL, seed=1)


@cache
def reference() -> dict[str, Any]:
    return make_reference(past())


def later(after_days: float = 28, changes: dict[str, Any] | None = None, **rows: Any) -> Watch:
    """A watch with the reference's rows and 20 more weeks, which may differ."""
    fresh = make_rows(20, LATER, seed=2, **rows)
    return make_watch(
        pd.concat([past(), fresh], ignore_index=True), reference(), after_days=after_days, **(changes or {})
    )


def status(code: str, watch: Watch) -> str:
    found = {signal.status for signal in ask(BY_CODE[code], watch)}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_a_week_like_the_reference_raises_no_alarm(code):
    assert status(code, later(after_days=120)) == "ok"


@pytest.mark.parametrize("code", sorted(set(BY_CODE) - {"PRM102", "PRM505"}))
def test_without_a_reference_a_check_cannot_say_and_never_says_ok(code):
    watch = replace(later(), reference={})
    (signal,) = ask(BY_CODE[code], watch)
    assert signal.status == "cannot say"
    assert "reference.json" in signal.message
    assert signal.next_step.startswith("propensity run")


@pytest.mark.parametrize("code", sorted(set(BY_CODE) - {"PRM101", "PRM102", "PRM103"}))
def test_where_the_raw_tables_cannot_be_read_a_check_of_rows_cannot_say(code):
    watch = replace(later(), refused="leads.csv could not be read", rows=pd.DataFrame(), feeds={})
    (signal,) = ask(BY_CODE[code], watch)
    assert (signal.status, "PRM102" in signal.message) == ("cannot say", True)


def test_raw_tables_that_cannot_be_read_are_an_alarm():
    (signal,) = ask(BY_CODE["PRM102"], replace(later(), refused="leads.csv could not be read"))
    assert (signal.status, signal.severity) == ("alarm", "critical")
    assert signal.message == "leads.csv could not be read"


def test_a_column_gone_or_of_another_kind_is_named_and_a_new_one_is_no_alarm():
    columns = {"leads": {"size": "text", "colour": "text"}}
    signals = ask(BY_CODE["PRM101"], later(changes={"columns": columns}))
    assert [(s.status, s.subject) for s in signals] == [("alarm", "leads.lead_id"), ("alarm", "leads.size")]
    assert "the model or params use it" in signals[0].message
    assert "holds text values, number ones at training" in signals[1].message
    known = {"leads": {"lead_id": "text", "size": "number", "colour": "text"}}
    (signal,) = ask(BY_CODE["PRM101"], later(changes={"columns": known}))
    assert (signal.status, signal.evidence["new"]) == ("ok", ["leads.colour"])


def test_a_table_that_params_name_no_more_is_an_alarm():
    (signal,) = ask(BY_CODE["PRM101"], later(changes={"columns": {}}))
    assert (signal.status, signal.subject) == ("alarm", "leads")


def test_more_refused_rows_than_before_are_an_alarm_and_as_many_are_not():
    def counts(quarantined: int) -> dict[str, Any]:
        return {"counts": pd.DataFrame({"table": ["leads"], "read": [1500], "quarantined": [quarantined]})}

    (signal,) = ask(BY_CODE["PRM103"], later(changes=counts(40)))
    assert signal.status == "alarm"
    assert "30 of 500 rows" in signal.message
    assert "(6.00%; 1.00% of 1,000 then)" in signal.message
    assert status("PRM103", later(changes=counts(15))) == "ok"
    assert status("PRM103", later(changes={"counts": None})) == "cannot say"


def test_a_feed_that_stopped_is_named_with_its_silence():
    (signal,) = ask(BY_CODE["PRM201"], later(changes={"feeds": make_feeds([70, 71, 69, 20], open_hours=60)}))
    assert (signal.status, signal.subject, signal.severity) == ("alarm", "events/visit", "critical")
    assert "for 60 hours" in signal.message
    assert "never over 14 hours" in signal.message
    assert status("PRM201", later(changes={"feeds": make_feeds([70], open_hours=14)})) == "ok"


def test_a_feed_that_is_gone_from_the_export_is_silent_since_the_reference():
    feeds = {"events": {}, "leads": make_feeds([70])["leads"]}
    (signal,) = ask(BY_CODE["PRM201"], later(after_days=28, changes={"feeds": feeds}))
    assert signal.subject == "events/visit"
    assert signal.evidence["hours"] == 28 * 24


@pytest.mark.parametrize(
    ("newest", "expected"), [(70, "ok"), (66, "ok"), (20, "alarm"), (210, "alarm"), (0, "alarm")]
)
def test_a_volume_beyond_what_weeks_do_is_an_alarm_either_way(newest, expected):
    feeds = make_feeds([70, 71, 69, newest])
    signals = ask(BY_CODE["PRM202"], later(changes={"feeds": feeds}))
    assert {s.status for s in signals} == {expected}
    if expected == "alarm":
        assert {s.subject for s in signals} == {"events/visit"}
        assert signals[0].evidence["interval"] == [66, 74]


def test_a_new_event_type_is_told_and_no_alarm():
    feeds = make_feeds([70, 71, 69, 72])
    feeds["events"]["chat"] = feeds["events"]["visit"]
    (signal,) = ask(BY_CODE["PRM202"], later(changes={"feeds": feeds}))
    assert (signal.status, signal.evidence["new"]) == ("ok", ["events/chat"])


def test_a_feature_that_moved_is_named_and_others_are_not():
    signals = ask(BY_CODE["PRM301"], later(moved=1.0))
    assert [(s.status, s.subject) for s in signals] == [("alarm", "x")]
    assert signals[0].evidence["psi"] > signals[0].evidence["psi_high"]


def test_a_category_whose_shares_moved_is_named():
    watch = later()
    rows = watch.rows.copy()
    fresh = rows["as_of"] > pd.Timestamp(UNTIL)
    rows.loc[fresh & (rows["kind"] == "b"), "kind"] = "a"
    signals = ask(BY_CODE["PRM301"], replace(watch, rows=rows))
    assert [(s.status, s.subject) for s in signals] == [("alarm", "kind")]
    assert "'b': 0%, 3" in signals[0].message or "'a': 8" in signals[0].message


def test_a_field_that_is_missing_more_often_is_named():
    (signal,) = ask(BY_CODE["PRM302"], later(missing=0.5))
    assert (signal.status, signal.subject) == ("alarm", "x")
    assert signal.evidence["share"] == pytest.approx(0.5, abs=0.12)
    assert signal.evidence["before"] == pytest.approx(0.1, abs=0.02)


def test_a_value_that_the_model_does_not_know_is_an_alarm_only_in_numbers():
    watch = later()
    rows = watch.rows.copy()
    fresh = rows.index[rows["as_of"] > pd.Timestamp(UNTIL)]
    rows.loc[fresh[-1:], "kind"] = "new"
    assert status("PRM303", replace(watch, rows=rows)) == "ok"
    rows.loc[fresh[-40:], "kind"] = "new"
    (signal,) = ask(BY_CODE["PRM303"], replace(watch, rows=rows))
    assert (signal.status, signal.subject) == ("alarm", "kind")


def test_scores_that_moved_are_an_alarm():
    (signal,) = ask(BY_CODE["PRM401"], later(shift=0.7))
    assert (signal.status, signal.subject) == ("alarm", "probability")


def test_more_leads_in_a_tier_than_it_has_room_for_are_an_alarm():
    assert status("PRM402", later(changes={"capacity": {"sql": 20.0}})) == "ok"
    (signal,) = ask(BY_CODE["PRM402"], later(changes={"capacity": {"sql": 2.0}}))
    assert (signal.status, signal.subject) == ("alarm", "sql")
    assert "the capacity is 2 a week, 8 in the 28 days" in signal.message


def test_a_tier_that_empties_is_an_alarm():
    signals = ask(BY_CODE["PRM402"], later(shift=-1.5))
    assert {s.subject for s in signals} >= {"mql"}
    assert {s.status for s in signals} == {"alarm"}


def test_probabilities_that_bunch_let_expect_a_lower_auc():
    assert status("PRM501", later()) == "ok"
    (signal,) = ask(BY_CODE["PRM501"], later(spread=0.2))
    assert (signal.status, signal.subject) == ("alarm", "auc")
    assert "covariate" not in signal.message
    assert "Assumed:" in signal.message


def test_wins_that_halve_are_seen_before_labels_are_final_and_at_the_final_ones():
    early = later(after_days=56, rate=0.4)
    assert status("PRM503", early) == "alarm"
    late = later(after_days=120, rate=0.4)
    signals = ask(BY_CODE["PRM504"], late)
    assert [(s.status, s.subject) for s in signals] == [("alarm", "shift")]
    assert signals[0].evidence["interval"][1] < 0
    assert signals[0].next_step.startswith("propensity promote --recentre")


def test_a_channel_that_brings_no_winners_any_more_is_named() -> None:
    channels = np.array(["referral", "search"])
    known = past().assign(channel=channels[np.arange(len(past())) % 2])
    fresh = make_rows(20, LATER, seed=2)
    fresh = fresh.assign(channel=channels[np.arange(len(fresh)) % 2])
    fresh["won_at"] = fresh["won_at"].where(fresh["channel"] != "referral")
    rows = pd.concat([known, fresh], ignore_index=True)
    watch = make_watch(rows, make_reference(known), after_days=56)
    subjects = {s.subject for s in ask(BY_CODE["PRM503"], watch) if s.status == "alarm"}
    assert "wins of referral" in subjects
    assert "wins of search" not in subjects


def test_an_estimate_that_outcomes_refute_is_an_alarm_in_the_week_they_are_final():
    signals = ask(BY_CODE["PRM502"], later(after_days=28 + 30, rate=0.3))
    assert {s.status for s in signals} == {"alarm"}
    assert "wins" in {s.subject for s in signals}
    assert {s.status for s in ask(BY_CODE["PRM502"], later(after_days=28 + 30 + 10, rate=0.3))} == {"ok"}
    assert status("PRM502", later(after_days=28)) == "cannot say"


def test_a_cutoff_that_does_not_keep_its_promise_is_an_alarm():
    signals = ask(BY_CODE["PRM505"], later(after_days=120, rate=0.1))
    assert "sql" in {s.subject for s in signals if s.status == "alarm"}
    assert status("PRM505", later(after_days=5)) == "cannot say"


def test_no_win_at_all_where_many_were_expected_is_an_alarm_of_level_and_cutoff():
    watch = later(after_days=120, rate=1e-9)
    rows = watch.rows.assign(won=watch.rows["won"] & (watch.rows["as_of"] <= pd.Timestamp(UNTIL)))
    none = replace(watch, rows=rows[rows["as_of"] > pd.Timestamp(UNTIL)])
    assert [(s.status, s.subject) for s in ask(BY_CODE["PRM504"], none)] == [("alarm", "shift")]
    assert "sql" in {s.subject for s in ask(BY_CODE["PRM505"], none) if s.status == "alarm"}


def test_calibration_cannot_be_told_before_labels_are_final():
    (signal,) = ask(BY_CODE["PRM504"], later(after_days=1))
    assert signal.status == "cannot say"
    assert "2025-01-06" in signal.message


def test_checks_are_counted_once_by_their_gravest_signal():
    signals = ask_checks(later(after_days=56, rate=0.4, moved=1.0))
    counts = count_statuses(signals)
    assert sum(counts.values()) == len(CHECKS)
    assert counts["alarm"] >= 2
    assert [s.status for s in signals] == sorted(
        (s.status for s in signals), key=["alarm", "cannot say", "ok"].index
    )


def test_looks_and_checks_share_the_false_alarms_of_a_year():
    noisy = sum(check.by_chance for check in CHECKS)
    assert share_alpha(1, 7) * noisy * 365.25 / 7 == pytest.approx(1)
    assert share_alpha(1, 1) == pytest.approx(share_alpha(1, 7) / 7)
