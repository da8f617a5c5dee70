"""Event types that follow the outcome, and numbers of the export that went on counting."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest

from audit_records import ask, check_of, make_records
from conftest import MakeTable
from ingest_cases import REAL
from propensity.audit.events import CHECKS, event_counts, event_timing
from propensity.audit.records import Records
from propensity.cohort.snapshots import with_outcomes
from propensity.data.fetch import fetch
from propensity.data.ingest import ingest
from propensity.data.simulate import simulate
from propensity.data.sources import connect
from propensity.params import load_params

OUTCOME, COUNTER = check_of(CHECKS, "PRP401"), check_of(CHECKS, "PRP402")
EXAMPLE = Path(__file__).parents[1] / "examples" / "bpic2012"
BPIC_OUTCOMES = {
    *("A_APPROVED", "A_REGISTERED", "A_ACTIVATED", "A_DECLINED", "A_CANCELLED", "O_ACCEPTED", "O_DECLINED"),
}


def day(n: float) -> str:
    return str(pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=n))


def event(lead: str, at: float, kind: str = "x", known: float | None = None) -> dict[str, Any]:
    return {
        "lead_id": lead,
        "event_at": day(at),
        "known_at": day(at if known is None else known),
        "type": kind,
    }


def lead(name: str, status: str, closed: float | None, created: float | None = 0) -> dict[str, Any]:
    moments = {"created_at": created, "closed_at": closed}
    return {"lead_id": name, "status": status} | {
        k: None if v is None else day(v) for k, v in moments.items()
    }


def timing_of(con, make_table: MakeTable, events: list[dict[str, Any]], leads: list[dict[str, Any]]):
    timed = make_table("outcomes", leads, created_at="timestamp('UTC', 6)")
    return fetch(con, event_timing(make_table("events", events), timed)).set_index("type")


def test_events_are_placed_before_at_and_after_the_close(con, make_table: MakeTable):
    half_a_minute = 0.5 / 1440
    events = [
        event("a", 1),
        event("a", 10 - half_a_minute),
        event("a", 12),
        event("b", 2, known=5),
        event("c", 3),
    ]
    leads = [lead("a", "won", 10), lead("b", "lost", 4), lead("c", "open", None)]
    found = timing_of(con, make_table, events, leads).loc["x"].to_dict()
    assert found == pytest.approx(
        {
            "events": 5, "leads": 3, "before": 2, "at": 1, "after": 1, "ended_leads": 2, "ended_won": 1,
            "late_leads": 0, "known_leads": 1, "known_won": 1, "known_lost": 0, "days_to_close": 9.0,
            "life_passed": 0.1, "open_events": 1, "open_leads": 1, "all_won": 1, "all_lost": 1, "all_open": 1,
        }
    )  # fmt: skip


def test_what_comes_with_the_creation_of_a_lead_that_is_over_at_once_is_not_at_the_close(
    con, make_table: MakeTable
):
    over = 0.25 / 1440
    events = [event("a", 0, "submitted"), event("a", over, "declined"), event("b", 0, "submitted")]
    leads = [lead("a", "lost", over), lead("b", "lost", 0)]  # b has no life in which anything can be placed
    found = timing_of(con, make_table, events, leads)
    assert found.loc["submitted", ["before", "at", "ended_leads"]].tolist() == [1, 0, 1]
    assert found.loc["declined", ["before", "at", "ended_leads"]].tolist() == [0, 1, 1]


def test_leads_without_a_creation_time_are_placed_by_their_close(con, make_table: MakeTable):
    events = [event("a", 1), event("a", 3 - 0.1 / 1440)]
    found = timing_of(con, make_table, events, [lead("a", "won", 3, created=None)])
    assert found.loc["x", ["before", "at", "known_won", "days_to_close"]].tolist() == [1, 1, 1, 2.0]
    assert pd.isna(found.loc["x", "life_passed"])


def timing(**types: dict[str, float]) -> pd.DataFrame:
    """One row a type, by default of 100 leads of which a tenth was won, long before the close."""
    row = {
        "events": 100, "leads": 100, "before": 100, "at": 0, "after": 0, "ended_leads": 100, "ended_won": 10,
        "late_leads": 0, "known_leads": 100, "known_won": 10, "known_lost": 90, "days_to_close": 20.0,
        "life_passed": 0.2, "open_events": 0, "open_leads": 0,
        "all_won": 100, "all_lost": 900, "all_open": 50,
    }  # fmt: skip
    return pd.DataFrame([{"type": name} | row | changed for name, changed in types.items()])


AT_CLOSE = {"before": 0, "at": 90, "after": 10, "late_leads": 100, "ended_won": 100, "known_leads": 0}


def with_timing(table: pd.DataFrame | None, used: set[str] | None = None) -> Records:
    types = frozenset(table["type"]) if used is None and table is not None else frozenset(used or ())
    return make_records({}, ["won"], event_timing=table, used_types=types)


def test_a_type_that_comes_with_the_close_is_an_outcome_event():
    (found,) = ask(OUTCOME, with_timing(timing(demo={}, signed=AT_CLOSE)))
    assert (found.result, found.severity, found.subject) == ("issue", "blocking", "signed")
    assert (found.evidence["late_share"], found.evidence["late_leads_share"]) == (1.0, 1.0)
    assert found.evidence["low"] == pytest.approx(100 / (100 + 1.96**2))  # Wilson's bound of 100 of 100
    assert "of 100 events 'signed' of leads that ended, 100.0% are at or after the close" in found.message


def test_an_outcome_event_that_is_not_used_does_not_stop_a_run():
    (found,) = ask(OUTCOME, with_timing(timing(signed=AT_CLOSE), used={"demo"}))
    assert (found.result, found.stops) == ("issue", False)


def test_a_type_at_the_close_that_tells_nothing_of_the_outcome_does_not_stop_a_run():
    (found,) = ask(OUTCOME, with_timing(timing(archived=AT_CLOSE | {"ended_won": 10})))
    assert (found.result, found.stops) == ("issue", False)


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("newsletters that go on for years", {"before": 100, "after": 5000, "late_leads": 5}),
        ("a type that open leads show as well", AT_CLOSE | {"open_leads": 5}),
        ("a demo that wins six in ten", {"known_won": 60, "known_lost": 40, "life_passed": 0.95}),
        (
            "lost a little more than all",
            {"known_leads": 1000, "known_won": 20, "known_lost": 980, "life_passed": 0.99},
        ),
        ("at the close every other time", {"before": 50, "at": 50, "late_leads": 50, "ended_won": 50}),
        ("too few leads", {"ended_leads": 19, "before": 0, "at": 19, "late_leads": 19}),
    ],
)
def test_an_honest_type_is_not_caught(kind: str, changed: dict[str, float]):
    (found,) = ask(OUTCOME, with_timing(timing(demo={}, other=changed)))
    assert found.result == "passed", kind


def test_a_type_that_decides_just_before_the_close_is_an_outcome_event():
    decides = {
        "known_leads": 200,
        "known_won": 200,
        "known_lost": 0,
        "life_passed": 0.95,
        "days_to_close": 0.5,
    }
    (found,) = ask(OUTCOME, with_timing(timing(verbal_yes=decides)))
    assert (found.result, found.severity, found.subject) == ("issue", "blocking", "verbal_yes")
    assert (found.evidence["outcome"], found.evidence["share"], found.evidence["base"]) == ("won", 1.0, 0.1)
    assert found.evidence["low"] == pytest.approx(200 / (200 + 1.96**2))


def test_a_type_that_decides_early_is_a_tip():
    decides = {"known_leads": 200, "known_won": 200, "known_lost": 0, "life_passed": 0.5}
    (found,) = ask(OUTCOME, with_timing(timing(referral=decides)))
    assert (found.result, found.subject) == ("tip", "referral")


def test_without_events_outcome_events_do_not_apply():
    (found,) = ask(OUTCOME, with_timing(None))
    assert found.result == "not applicable"


@pytest.mark.parametrize("changed", [{"all_won": 0, "all_lost": 0}, {"ended_leads": 5}])
def test_events_that_cannot_be_placed_are_skipped(changed: dict[str, float]):
    (found,) = ask(OUTCOME, with_timing(timing(x=changed)))
    assert found.result == "skipped"


def test_with_permuted_labels_nothing_stops_a_run(con, make_table: MakeTable):
    rng = np.random.default_rng(5)
    names = [f"L{i}" for i in range(500)]
    closed = rng.uniform(5, 60, 500)
    events = [
        event(name, float(share * end), kind)
        for name, end in zip(names, closed, strict=True)
        for kind, share in (("visit", rng.uniform()), ("late", rng.uniform(0.9, 1)), ("archived", 1.0))
    ]
    status = rng.permutation(["won"] * 60 + ["lost"] * 440)
    leads = [lead(n, str(s), float(c)) for n, s, c in zip(names, status, closed, strict=True)]
    table = timing_of(con, make_table, events, leads).reset_index()
    findings = ask(OUTCOME, with_timing(table))
    assert [(f.subject, f.stops) for f in findings] == [("archived", False)]


def test_events_are_counted_to_the_end_and_as_of_the_snapshots(con, make_table: MakeTable):
    events = [event("a", 1), event("a", 2, known=4), event("a", 9), event("a", 1, "y"), event("b", 1)]
    spine = [{"snapshot": i, "lead_id": "a", "as_of": day(n)} for i, n in enumerate([3, 5])]
    tables = make_table("events", events), make_table("spine", spine)
    found = fetch(con, event_counts(*tables)).set_index(["lead_id", "type"]).sort_index()
    assert found.loc[("a", "x")].to_dict() == {"at_end": 3, "at_first": 1, "at_last": 2}
    assert found.loc[("a", "y")].to_dict() == {"at_end": 1, "at_first": 1, "at_last": 1}
    assert len(found) == 2
    others = make_table("leads", [{"lead_id": "b"}])
    assert fetch(con, event_counts(*tables, others)).empty


N = 200
END = np.arange(N) % 7 + 2.0
FIRST = np.arange(N) % 2 + 0.0


def counting(columns: dict[str, Any], end: Any = END, **more: Any) -> Records:
    """Leads with `FIRST` visits at their first snapshot and `end` of them, calls and mails in the end."""
    names = [f"L{i:06d}" for i in range(N)]
    visits = pd.DataFrame(
        {"lead_id": names, "type": "visit", "at_end": end, "at_first": FIRST, "at_last": FIRST + 1}
    )
    calls = pd.DataFrame(
        {"lead_id": names, "type": "call", "at_end": np.arange(N) % 3, "at_first": 0, "at_last": 0}
    )
    mails = calls.assign(type="mail", at_end=np.arange(N) % 4)
    snapshots = pd.DataFrame({"lead_id": names, "as_of": pd.Timestamp("2024-01-01", tz="UTC")})
    given = {"event_counts": pd.concat([visits, calls, mails]), "snapshots": snapshots} | more
    return make_records(columns, ["won", "lost"] * (N // 2), **given)


def test_a_number_that_is_the_count_at_the_end_is_an_issue():
    (found,) = ask(COUNTER, counting({"total": END, "employees": np.arange(N) % 40}))
    assert (found.result, found.severity, found.subject) == ("issue", "blocking", "total")
    assert found.evidence["types"] == "'visit'"
    assert (found.evidence["n"], found.evidence["n_moved"]) == (200, 200)
    assert (found.evidence["moved_equal_share"], found.evidence["moved_equal_share_at_first"]) == (1.0, 0.0)


def test_a_sum_of_types_is_found():
    (found,) = ask(COUNTER, counting({"activities": END + np.arange(N) % 3}))
    assert (found.subject, found.evidence["types"]) == ("activities", "'call', 'visit'")


def test_a_number_that_is_nearly_the_count_is_found_by_its_ranks():
    end = np.arange(N) % 50 + 2.0
    (found,) = ask(COUNTER, counting({"hits": end * 1.5 + np.arange(N) % 2}, end))
    assert (found.result, found.subject) == ("issue", "hits")
    assert found.evidence["rank_correlation"] > 0.99
    assert "goes with the number" in found.message


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("a flag of those with many events", (END > 5) * 1.0),
        ("a size", np.arange(N) % 9 * 10.0),
        ("goes with the count somewhat", 3 * END + np.arange(N) % 11),
    ],
)
def test_an_honest_number_is_not_taken_for_a_counter(kind: str, values: Any):
    (found,) = ask(COUNTER, counting({"number": values}))
    assert found.result == "passed", kind


def test_a_counter_as_of_the_first_snapshot_passes():
    end = np.arange(N) % 7 + 5.0
    first = np.arange(N) % 5 + 0.0
    records = counting({"visits_before": first}, end)
    counts = records.event_counts
    assert counts is not None
    counts.loc[counts["type"] == "visit", "at_first"] = first
    (found,) = ask(COUNTER, records)
    assert found.result == "passed"


def test_a_counter_rebuilt_from_its_history_is_not_asked_about():
    (found,) = ask(COUNTER, counting({"total": END}, tracked=frozenset({"total"})))
    assert (found.result, found.evidence["columns"]) == ("passed", 0)


def test_leads_whose_counts_stood_still_cannot_tell():
    (found,) = ask(COUNTER, counting({"total": FIRST}, FIRST, event_counts=None))
    assert found.result == "not applicable"
    still = pd.DataFrame({"lead_id": ["L000000"], "type": "visit", "at_end": 1, "at_first": 1, "at_last": 1})
    (found,) = ask(COUNTER, counting({"total": FIRST}, event_counts=still))
    assert found.result == "skipped"
    (found,) = ask(COUNTER, counting({"name": ["a", "b"] * (N // 2)}))
    assert found.result == "not applicable"


def test_the_counter_planted_in_the_simulation_is_found_and_no_type_is_an_outcome(con):
    crm = simulate(2000, seed=7)
    created = crm.leads[["lead_id", "created_at"]]
    events = ibis.memtable(crm.events[["lead_id", "event_at", "known_at", "type"]])
    snapshots = created.rename(columns={"created_at": "as_of"})
    timed = created.merge(crm.outcomes[["lead_id", "status", "closed_at"]], on="lead_id")
    numbers = {"visits_total": crm.leads["visits_total"], "employees": crm.leads["employees"]}
    records = make_records(
        numbers,
        timed["status"],
        snapshots=snapshots.assign(lead_id=[f"L{i:06d}" for i in range(2000)]),
        event_timing=fetch(con, event_timing(events, ibis.memtable(timed))),
        event_counts=renumbered(
            fetch(con, event_counts(events, ibis.memtable(snapshots))), crm.leads["lead_id"]
        ),
        used_types=frozenset(crm.events["type"]),
    )
    assert [f.subject for f in ask(COUNTER, records)] == ["visits_total"]
    assert [f.result for f in ask(OUTCOME, records)] == ["passed"]


def renumbered(counts: pd.DataFrame, leads: pd.Series[str]) -> pd.DataFrame:
    names = {name: f"L{i:06d}" for i, name in enumerate(leads)}
    return counts.assign(lead_id=counts["lead_id"].map(names))


@pytest.mark.skipif(not REAL.exists(), reason="the real data is not there")
def test_the_outcome_events_of_the_loan_applications_are_found_and_no_other():
    params = load_params(EXAMPLE / "params.yaml")
    con = connect(params.data, folder=EXAMPLE)
    canonical = ingest(params.data, EXAMPLE, now=datetime(2025, 1, 1, tzinfo=UTC), con=con)
    leads = with_outcomes(
        canonical.tables["leads"], canonical.tables["outcomes"], observed_until=canonical.observed_until
    )
    table = fetch(con, event_timing(canonical.tables["events"], leads))
    findings = ask(OUTCOME, with_timing(table))
    assert {f.subject for f in findings if f.stops} == BPIC_OUTCOMES
    assert len(findings) == len(BPIC_OUTCOMES)
