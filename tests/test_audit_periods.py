"""Outcomes that begin or stop at a date, and a share won that jumps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit_records import ask, check_of, make_records
from ingest_cases import REAL
from propensity.audit.hazard import expected_endings, make_spans
from propensity.audit.periods import CHECKS, design_effect
from propensity.audit.records import Records

BEFORE, AFTER, JUMP = (check_of(CHECKS, code) for code in ("PRP501", "PRP502", "PRP503"))
START = pd.Timestamp("2024-01-01", tz="UTC")
END = 400.0  # days after START


def moments(days: Any) -> pd.Series[pd.Timestamp]:
    return pd.Series(START + pd.to_timedelta(days, unit="D")).dt.as_unit("us")


def history(n: int = 2000, *, seed: int = 3, won: float = 0.3) -> pd.DataFrame:
    """Leads created evenly over 400 days, that end after 20 days in the mean."""
    rng = np.random.default_rng(seed)
    created = np.sort(rng.uniform(0, END, n))
    closed = created + rng.exponential(20, n)
    status = np.where(rng.random(n) < won, "won", "lost")
    return pd.DataFrame({"created": created, "closed": closed, "status": status})


def records_of(leads: pd.DataFrame, *, end: float = END, **more: Any) -> Records:
    """Records of dated leads; what closes after the end of the data is open."""
    leads = leads.reset_index(drop=True)
    is_open = (leads["closed"] > end).to_numpy() | leads["closed"].isna().to_numpy()
    status = leads["status"].mask(is_open, "open")
    made = make_records({}, status, created_at=moments(leads["created"]), **more)
    closed = moments(leads["closed"]).mask(is_open)
    snapshots = pd.DataFrame(
        {
            "lead_id": made.leads["lead_id"],
            "account_id": made.leads["account_id"],
            "created_at": made.leads["created_at"],
            "as_of": made.leads["created_at"],
            "won": (status == "won").to_numpy(),
            "mature": (leads["created"] <= end - 60).to_numpy(),
        }
    )
    observed = (START + pd.Timedelta(days=end)).to_pydatetime()
    return replace(
        made, leads=made.leads.assign(closed_at=closed), snapshots=snapshots, observed_until=observed
    )


def test_the_expected_endings_are_those_of_the_hazard_on_the_other_side():
    # Before day 10 two leads live from age 0 to 10 and 5; later leads end at ages 4 and 8, of two and one at
    # risk beside the first lead, which is seen from its age of 10 on, and the second, from its age of 5 on.
    created, closed = np.array([0.0, 5.0, 10.0, 10.0]), np.array([30.0, 30.0, 14.0, 18.0])
    spans = make_spans(created, closed, np.array(["won"] * 4), end=40.0)
    hazard_4, hazard_8 = 1 / 2, 1 / 2  # at age 8: the last of the later leads, and the second, seen since 5
    expected = (1 - np.exp(-(hazard_4 + hazard_8))) + (1 - np.exp(-hazard_4))
    assert expected_endings(spans, spans.ended_as("won"), 10.0, before=True) == pytest.approx(expected)


def test_leads_whose_times_are_not_in_order_have_no_span():
    created, closed = np.array([0.0, 5.0, np.nan, 1.0]), np.array([3.0, 4.0, 2.0, np.nan])
    spans = make_spans(created, closed, np.array(["won", "won", "won", "open"]), end=9.0)
    assert (spans.entry.tolist(), spans.exit.tolist()) == ([0.0, 1.0], [3.0, 9.0])


def test_a_crm_that_began_with_the_leads_alive_then_is_found():
    leads = history()
    survived = leads[(leads["created"] >= 150) | (leads["closed"] >= 150)]
    (found,) = ask(BEFORE, records_of(survived))
    # About 100 leads, 5 a day for 20 days, are alive on day 150, as old as they would live on: half of them
    # were to be expected to have ended.
    assert (found.result, found.evidence["kind"], found.evidence["came"]) == ("issue", "outcome", 0)
    assert 35 < found.evidence["expected"] < 65


def test_outcomes_that_were_not_recorded_before_a_date_are_found_with_the_date():
    leads = history()
    alive_then = (leads["created"] < 150) & (leads["closed"] < 150)
    leads.loc[alive_then, "closed"] = 150 + leads["closed"][alive_then] / 10  # closed in the new system
    (found,) = ask(BEFORE, records_of(leads))
    assert (found.result, found.severity, found.evidence["kind"]) == ("issue", "warning", "outcome")
    assert found.evidence["date"] in {"2024-05-29", "2024-05-30", "2024-05-31"}  # day 150 is May 30
    assert found.evidence["came"] == 0
    assert found.evidence["expected"] > 300
    assert "no outcomes are recorded before" in found.message


def test_leads_of_an_old_system_that_have_no_outcome_at_all_are_found():
    leads = history()
    leads.loc[leads["created"] < 100, "closed"] = np.nan
    (found,) = ask(BEFORE, records_of(leads))
    assert (found.result, found.evidence["kind"]) == ("issue", "outcome")
    assert found.evidence["ended_before"] < 0.01 < 0.9 < found.evidence["ended_after"]


def test_losses_that_were_not_recorded_before_a_date_are_found():
    leads = history()
    leads = leads[(leads["created"] >= 150) | (leads["status"] == "won")]  # only customers were imported
    (found,) = ask(BEFORE, records_of(leads))
    assert (found.result, found.evidence["kind"]) == ("issue", "lost")


def test_an_order_in_which_only_the_later_leads_were_lost_is_found():
    status = ["won"] * 100 + ["won", "lost"] * 150
    (found,) = ask(BEFORE, make_records({}, status, order_key=np.arange(400)))
    assert (found.result, found.evidence["kind"]) == ("issue", "lost")
    assert found.evidence["share_before"] == 0
    assert found.evidence["n_before"] <= 101
    assert found.evidence["n_before"] + found.evidence["n_after"] == 400


@pytest.mark.parametrize("seed", range(5))
def test_a_whole_history_passes(seed: int):
    records = records_of(history(seed=seed))
    assert [ask(check, records)[0].result for check in CHECKS] == ["passed", "passed", "passed"]


@pytest.mark.parametrize("check", [BEFORE, JUMP])
def test_without_time_or_order_periods_do_not_apply(check):
    (found,) = ask(check, make_records({}, ["won", "lost"] * 100))
    assert found.result == "not applicable"


@pytest.mark.parametrize("check", [BEFORE, AFTER, JUMP])
def test_few_leads_are_not_judged_and_not_passed(check):
    (found,) = ask(check, records_of(history(20)))
    assert found.result == "skipped"


def test_a_feed_that_died_is_found_with_its_date():
    leads = history()
    leads.loc[leads["closed"] > 340, "closed"] = np.nan
    (found,) = ask(AFTER, records_of(leads))
    assert (found.result, found.severity, found.evidence["kind"]) == ("issue", "warning", "outcome")
    assert found.evidence["date"] in {"2024-12-05", "2024-12-06"}  # day 340 is December 6
    assert found.evidence["came"] == 0
    assert found.evidence["leads_after"] == pytest.approx((leads["created"] > 340).sum(), abs=5)
    assert "no outcomes came after" in found.message


def test_wins_that_stop_while_losses_go_on_are_found():
    leads = history()
    leads.loc[(leads["closed"] > 300) & (leads["status"] == "won"), "closed"] = np.nan
    (found,) = ask(AFTER, records_of(leads))
    assert (found.result, found.evidence["kind"]) == ("issue", "won")


def test_leads_too_young_to_have_ended_pass_with_their_number():
    leads = pd.DataFrame({"created": np.arange(400.0), "closed": np.arange(400.0) + 30, "status": "lost"})
    (found,) = ask(AFTER, records_of(leads))
    assert found.result == "passed"
    assert found.evidence == {"leads": 400, "open": 29, "snapshots": 400, "immature": 59}


def test_more_than_half_open_is_a_tip():
    leads = history()
    leads.loc[leads.index % 10 < 6, "closed"] = np.nan
    (found,) = ask(AFTER, records_of(leads))
    assert (found.result, found.evidence["leads"]) == ("tip", 2000)
    assert found.evidence["open"] > 1200


def test_without_dates_nothing_can_stop_and_without_closing_times_nobody_can_see_it():
    (found,) = ask(AFTER, make_records({}, ["won", "lost"] * 100, order_key=np.arange(200)))
    assert found.result == "not applicable"
    records = records_of(history())
    (found,) = ask(AFTER, replace(records, leads=records.leads.assign(closed_at=pd.NaT)))
    assert found.result == "skipped"


def test_a_share_won_that_jumps_is_named_with_its_place_and_rates():
    status = (["won"] + ["lost"] * 9) * 50 + ["won", "lost"] * 250
    (found,) = ask(JUMP, make_records({}, status, order_key=np.arange(1000)))
    assert (found.result, found.severity, found.evidence["drift"]) == ("issue", "warning", False)
    assert (found.evidence["rate_before"], found.evidence["rate_after"]) == (0.1, 0.5)
    assert (found.evidence["n_before"], found.evidence["n_after"]) == (100, 100)
    assert found.evidence["date"] == "place 500 of the order"
    assert found.evidence["odds_ratio"] == pytest.approx((50.5 / 50.5) / (10.5 / 90.5))


def test_a_dated_jump_is_named_with_its_date():
    leads = history(4000, won=0.1)
    later = leads["created"] >= 170
    leads.loc[later, "status"] = np.where(np.arange(later.sum()) % 2 == 0, "won", "lost")
    (found,) = ask(JUMP, records_of(leads))
    assert found.result == "issue"
    assert "2024-06-0" <= found.evidence["date"] <= "2024-07-15"  # day 170 is June 19; periods last 34 days


def test_a_slow_drift_is_found_though_no_two_neighbours_differ():
    n = 8000
    rate = np.linspace(0.1, 0.3, n)
    status = np.where(np.random.default_rng(1).random(n) < rate, "won", "lost")
    (found,) = ask(JUMP, make_records({}, status, order_key=np.arange(n)))
    assert (found.result, found.evidence["drift"]) == ("issue", True)
    assert found.evidence["rate_before"] < 0.15 < 0.25 < found.evidence["rate_after"]


def test_permuted_outcomes_do_not_jump():
    rng = np.random.default_rng(2)
    results = [
        ask(
            JUMP, make_records({}, rng.permutation(["won"] * 100 + ["lost"] * 900), order_key=np.arange(1000))
        )
        for _ in range(100)
    ]
    assert sum(found.result == "issue" for (found,) in results) == 0


def test_a_difference_too_small_to_matter_is_no_jump_however_many_leads_show_it():
    place = np.arange(200_000)
    status = np.where(place % 100 < np.where(place < 100_000, 30, 33), "won", "lost")
    (found,) = ask(JUMP, make_records({}, status, order_key=place))
    assert (found.result, found.evidence["lowest"], found.evidence["highest"]) == ("passed", 0.3, 0.33)


def test_accounts_whose_leads_end_alike_do_not_make_a_jump():
    account = np.arange(1000) // 50
    status = np.where(np.random.default_rng(3).permutation(20)[account] < 8, "won", "lost")
    records = make_records({}, status, order_key=np.arange(1000))
    assert ask(JUMP, records)[0].result == "issue"
    grouped = records.leads.assign(account_id=[f"A{a}" for a in account])
    assert ask(JUMP, replace(records, leads=grouped))[0].result == "passed"


def test_accounts_whose_leads_end_alike_count_less():
    won = np.repeat([True, False, False, False], 25)
    groups = pd.Series(np.repeat(np.arange(20), 5)).astype("str")
    assert design_effect(won, groups) == pytest.approx(5.0)
    assert design_effect(won, pd.Series(range(100)).astype("str")) == pytest.approx(1.0)
    assert design_effect(np.ones(5, dtype=bool), groups[:5]) == 1.0


@pytest.mark.skipif(not REAL.exists(), reason="the real data is not there")
def test_the_crisis_shows_in_the_bank_s_calls():
    raw = pd.read_csv(REAL / "uci_bank_marketing" / "bank-additional-full.csv", sep=";")
    status = raw["y"].map({"yes": "won", "no": "lost"})
    records = make_records({}, status, order_key=np.arange(len(raw)))
    (found,) = ask(JUMP, records)
    assert (found.result, found.stops) == ("issue", False)
    assert found.evidence["rate_after"] > 2 * found.evidence["rate_before"]
    assert [f.result for f in ask(BEFORE, records)] == ["passed"]
