"""Capacity, value, the intervals, the moves, and when the champion's cut-offs stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import poisson

from propensity.decisions.arrivals import Arrivals, count_arrivals
from propensity.decisions.curves import cutoff_curve
from propensity.decisions.cutoffs import bootstrap_targets, choose_cutoffs
from propensity.decisions.policies import Evidence, for_capacity, overflow, target_finder
from propensity.decisions.value import best_thresholds, expected_value, gain_of_call, gain_of_pair
from propensity.errors import ParamsError
from propensity.params import CutoffsParams, ValueParams, parse_params

MONEY = {"won": 5000, "margin": 0.3, "sales_touch": 60, "nurture": 2, "untouched": 0.3, "nurtured": 0.5}
RECALL = {"policy": "recall", "target": 0.8}
VALUES = st.builds(
    ValueParams,
    won=st.floats(300, 3000),
    margin=st.floats(0.5, 1),
    sales_touch=st.floats(10, 90),
    nurture=st.floats(0.1, 9),
    untouched=st.floats(0, 0.3),
    nurtured=st.one_of(st.none(), st.floats(0.35, 0.8)),
)


def params(mql: Any = RECALL, sql: Any = RECALL, **more: Any) -> CutoffsParams:
    return CutoffsParams.model_validate({"mql": mql, "sql": sql, "value": MONEY, **more})


def make_part(n: int = 1500, seed: int = 3, centre: float = -1.5) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(centre, 1.3, n)
    return log_odds, rng.random(n) < expit(log_odds), np.arange(n)


def as_evidence(probability: Any, weekly: Any, leads: Any = None) -> Evidence:
    rows = np.arange(len(probability))
    won = np.arange(len(probability)) % 2 == 0
    return Evidence(np.asarray(probability), won, rows, rows if leads is None else np.asarray(leads), weekly)


# --- what each policy's keys are -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("sql: {policy: recall, target: 0.5, confidence: 0.9}", "takes target; it has confidence"),
        ("sql: {policy: precision}", "takes target and confidence; target is missing"),
        ("sql: {policy: capacity, target: 0.5}", "takes per_week; it has target"),
        ("sql: {policy: capacity}", "takes per_week; per_week is missing"),
        ("mql: {policy: value, target: 0.5}", "numbers stand in cutoffs.value; it has target"),
        ("mql: {policy: value}", "needs value.nurtured"),
        ("sql: {policy: value}", "needs sales_touch above 0"),
        ("{sql: {policy: value}, value: {won: 50, sales_touch: 60}}", "it is 60, and that brings 50"),
        ("value: {untouched: 0.5, nurtured: 0.4}", "nurtured (0.4) is the share of winners"),
        ("sql: {policy: capacity, per_week: 20}", "data.leads.created_at is null"),
    ],
)
def test_a_wrong_key_is_told_in_a_sentence(written: str, told: str) -> None:
    text = "data: {outcomes: {won: [won]}}\nsplit: {by: random}\nsnapshots: {ages_days: [0]}\n"
    inner = written if written.startswith("{") else f"{{{written}}}"
    with pytest.raises(ParamsError) as raised:
        parse_params(f"{text}cutoffs: {inner}\n")
    assert told in str(raised.value)
    assert "cutoffs" in str(raised.value)


def test_what_was_dumped_is_read_again() -> None:
    chosen = params({"policy": "capacity", "per_week": 9}, {"policy": "precision", "target": 0.4})
    assert chosen.sql.confidence == 0.9
    assert CutoffsParams.model_validate(chosen.model_dump(mode="json")) == chosen


# --- capacity --------------------------------------------------------------------------------------


def test_capacity_by_hand() -> None:
    """Ten leads in the part, fifty arrive a week: ten a week are a fifth, so two of the ten lie above."""
    evidence = as_evidence(np.arange(1, 11) / 20, np.full(10, 50.0))
    found = for_capacity(10, evidence)
    assert found.probability == pytest.approx(0.45, rel=1e-8)
    assert (found.supported, found.note) == (True, None)


def test_a_lead_counts_once_at_the_highest_it_reaches() -> None:
    evidence = as_evidence([0.9, 0.8, 0.7, 0.3, 0.2, 0.1], np.full(10, 3.0), [0, 0, 0, 1, 1, 2])
    assert for_capacity(2, evidence).probability == pytest.approx(0.3, rel=1e-8)


def test_room_for_everybody_and_too_few_weeks_are_said() -> None:
    p = np.arange(1, 11) / 20
    everybody = for_capacity(60, as_evidence(p, np.full(10, 50.0)))
    assert everybody.note is not None
    assert "Only 50.0 leads arrive a week" in everybody.note
    assert everybody.probability < p.min()
    for weekly, told in ((np.full(3, 50.0), "those of 3 whole weeks"), (None, "no whole week")):
        found = for_capacity(10, as_evidence(p, weekly))
        assert not found.supported
        assert found.note is not None
        assert told in found.note


def test_the_queue_overflows_as_often_as_poisson_weeks_do() -> None:
    weekly = np.array([40.0, 60.0] * 5)
    told = overflow(0.45, 10, as_evidence(np.arange(1, 11) / 20, weekly))
    assert told is not None
    assert told["overflow"] == pytest.approx((poisson.sf(10, 8) + poisson.sf(10, 12)) / 2)
    assert (told["weeks"], told["arrivals"]) == (10, 50.0)
    both = [
        (poisson.cdf(told["busy_week"] - k, 8) + poisson.cdf(told["busy_week"] - k, 12)) / 2 for k in (0, 1)
    ]
    assert both[0] >= 0.9 > both[1]


def test_arrivals_are_counted_in_whole_weeks_from_all_snapshots() -> None:
    day = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(40), unit="D")
    everybody = pd.DataFrame({"lead_id": [f"l{i}" for i in range(40)], "as_of": day})
    again = everybody.assign(as_of=everybody["as_of"] + pd.Timedelta(days=1))
    part = everybody.iloc[10:26:3]
    found = count_arrivals(part, pd.concat([again, everybody]))
    assert found.leads.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.weekly is not None
    assert found.weekly.tolist() == [7.0, 7.0]
    assert count_arrivals(part.assign(as_of=pd.NaT), everybody).weekly is None


# --- value -----------------------------------------------------------------------------------------


def test_thresholds_by_hand() -> None:
    """The margin is 1500: nurture pays from 2 / (0.2 * 1500), calling instead from 58 / (0.5 * 1500)."""
    found = best_thresholds(ValueParams(**MONEY))
    assert found == {"mql": pytest.approx(2 / 300), "sql": pytest.approx(58 / 750)}
    alone = best_thresholds(ValueParams(**{**MONEY, "nurtured": None}))
    assert alone["sql"] == alone["mql"] == pytest.approx(60 / 1050)
    useless = best_thresholds(ValueParams(**{**MONEY, "nurtured": 0.31}))
    assert useless["sql"] == useless["mql"] == pytest.approx(60 / 1050)


@given(VALUES)
def test_no_pair_of_cutoffs_is_expected_to_gain_more(value: ValueParams) -> None:
    p = np.linspace(0.01, 0.99, 40) ** 2
    best = best_thresholds(value)
    chosen = gain_of_pair(p, p >= best["mql"], p >= best["sql"], value).sum()
    places = [*p, 1.0]
    pairs = [(low, high) for low in places for high in places if low <= high]
    gains = [gain_of_pair(p, p >= low, p >= high, value).sum() for low, high in pairs]
    assert chosen >= max(gains) - 1e-6


def test_gains_are_what_acting_adds_to_leaving_alone() -> None:
    """A sure winner brings 1500, of which 450 and 750 come untouched and nurtured."""
    value = ValueParams(**MONEY)
    called, nurtured, alone = np.array([[True, False, False], [False, True, False]]).T
    both = [gain_of_pair(np.ones(1), mql=np.array([m or s]), sql=np.array([s]), value=value)[0]
            for s, m in (called, nurtured, alone)]  # fmt: skip
    assert both == [1500 - 450 - 60, 750 - 450 - 2, 0]
    worth = expected_value(np.array([0.5]), np.array([value.won]), np.array(["sql"]), value)
    assert worth.tolist() == [690.0]


def test_value_says_when_outcomes_do_not_bear_it_out() -> None:
    log_odds, won, groups = make_part()
    sure = choose_cutoffs(log_odds, won, groups, params({"policy": "value"}, {"policy": "value"}), seed=1)
    assert (sure["sql"]["supported"], sure["mql"]["supported"]) == (True, True)
    assert sure["sql"]["probability"] == pytest.approx(58 / 750)
    none_above = log_odds - 3.2  # the calibrator says far too little: nobody wins where it says they do
    wrong = np.zeros(len(won), dtype=bool)
    wrong[np.argsort(none_above)[:30]] = True
    doubtful = choose_cutoffs(none_above, wrong, groups, params(sql={"policy": "value"}), seed=1)
    assert not doubtful["sql"]["supported"]
    assert "the outcomes do not show it" in doubtful["sql"]["note"]


# --- intervals, curve, moves -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mql", "sql"),
    [
        (RECALL, {"policy": "precision", "target": 0.4}),
        ({"policy": "capacity", "per_week": 40}, {"policy": "capacity", "per_week": 20}),
        ({"policy": "value"}, {"policy": "value"}),
    ],
)
def test_intervals_hold_the_cutoff_of_all_leads(mql: Any, sql: Any) -> None:
    """24 parts; were the level 95%, more than five misses would come once in five hundred."""
    weekly = np.full(20, 100.0)
    chosen = params(mql, sql)
    whole = make_part(200_000, seed=0)
    ones = np.ones(len(whole[0]))
    everyone = Evidence(expit(whole[0]), whole[1], whole[2], whole[2], weekly)
    truth = {n: target_finder(getattr(chosen, n), n, everyone, chosen)(ones) for n in ("mql", "sql")}
    missed = dict.fromkeys(truth, 0)
    for seed in range(1, 25):
        log_odds, won, groups = make_part(800, seed=seed)
        part = Evidence(expit(log_odds), won, groups, groups, weekly)
        for name, (low, high) in bootstrap_targets(part, chosen, seed=seed).items():
            missed[name] += not low <= truth[name] <= high
    assert max(missed.values()) <= 5


def test_a_target_that_no_cutoff_meets_has_no_upper_end() -> None:
    log_odds, won, groups = make_part(300)
    found = choose_cutoffs(log_odds, won, groups, params(sql={"policy": "precision", "target": 0.95}), seed=1)
    assert found["sql"]["probability_interval"][1] is None
    assert found["sql"]["score_interval"][1] is None


def test_the_curve_holds_the_gain_of_calling() -> None:
    won = np.array([False, True, False, True])
    value = ValueParams(won=1000, sales_touch=100, untouched=0.5)
    curve = cutoff_curve(np.array([-1.0, 0.0, 0.5, 2.0]), won, 1.0, steps=3, value=value)
    assert curve["gain"].tolist() == [150.0, 175.0, 75.0, 100.0]
    assert curve["n"].tolist() == [4, 3, 2, 1]
    assert cutoff_curve(np.array([-1.0, 0.0]), won[:2], 1.0)["gain"].isna().all()


def test_moving_a_cutoff_by_five_points_by_hand() -> None:
    log_odds, won, groups = make_part()
    found = choose_cutoffs(log_odds, won, groups, params(sql={"policy": "value"}), seed=1)
    lower, higher = found["sql"]["moves"]
    assert (lower["points"], higher["points"]) == (-5, 5)
    odds = found["sql"]["probability"] / (1 - found["sql"]["probability"]) / np.sqrt(2)
    assert lower["probability"] == pytest.approx(odds / (1 + odds))
    above = expit(log_odds) >= lower["probability"]
    assert (lower["n"], lower["recall"]) == (above.sum(), won[above].sum() / won.sum())
    assert lower["precision"] == won[above].mean()
    between = above & (expit(log_odds) < found["sql"]["probability"])
    value = ValueParams(**MONEY)
    nurtured = between & (expit(log_odds) >= found["mql"]["probability"])
    gained = gain_of_call(won.astype(float), value) * between
    kept = gain_of_pair(won.astype(float), nurtured, np.zeros(len(won), dtype=bool), value)
    assert lower["gain_change"] == pytest.approx((gained - kept).mean())
    low, high = lower["gain_change_interval"]
    assert low < lower["gain_change"] < high
    assert lower["gain"] == pytest.approx(found["gain"] + lower["gain_change"])


def test_without_money_there_are_no_gains() -> None:
    log_odds, won, groups = make_part(300)
    found = choose_cutoffs(log_odds, won, groups, params(value={}), seed=1)
    assert found["gain"] is None
    assert all(row["gain"] is None for row in found["mql"]["moves"])


def test_both_cutoffs_are_told_in_one_sentence() -> None:
    log_odds, won, groups = make_part()
    arrivals = Arrivals(groups, np.full(12, 100.0))
    chosen = params(sql={"policy": "capacity", "per_week": 10})
    found = choose_cutoffs(log_odds, won, groups, chosen, seed=1, arrivals=arrivals)
    sql, mql = found["sql"], found["mql"]
    assert found["said"] == (
        f"SQL from score {sql['score']:.1f} (capacity: 10.0% of snapshots, {sql['precision']:.0%} won, "
        f"{sql['recall']:.0%} of wins, over 10 in {sql['queue']['overflow']:.0%} of weeks), "
        f"MQL from {mql['score']:.1f} (recall: {mql['share']:.1%} of snapshots, {mql['precision']:.0%} won, "
        "80% of wins)"
    )
    assert sql["queue"]["overflow"] == pytest.approx(poisson.sf(10, 10))


# --- the champion ----------------------------------------------------------------------------------


def with_champion(mql: float, sql: float, chosen: CutoffsParams, n: int = 1500) -> dict[str, Any]:
    log_odds, won, groups = make_part(n)
    champion = {"mql": {"probability": mql}, "sql": {"probability": sql}}
    return choose_cutoffs(log_odds, won, groups, chosen, seed=1, champion=champion)


def test_a_champion_within_the_interval_stays_and_the_note_says_so() -> None:
    chosen = params(sql={"policy": "recall", "target": 0.3})
    free = with_champion(0.01, 0.99, chosen)
    assert [free[n]["champion"]["kept"] for n in ("mql", "sql")] == [False, False]
    ends = [free[n]["probability_interval"] for n in ("mql", "sql")]
    near = [(3 * low + high) / 4 for low, high in ends]
    kept = with_champion(*near, chosen)
    assert [kept[n]["probability"] for n in ("mql", "sql")] == near
    assert [kept[n]["champion"]["kept"] for n in ("mql", "sql")] == [True, True]
    assert kept["sql"]["note"] == "The champion's cut-off stays: the data do not support moving it."


def test_an_unsupported_promise_leaves_the_champion_where_it_is() -> None:
    found = with_champion(0.1, 0.6, params(sql={"policy": "precision", "target": 0.95}))["sql"]
    assert (found["probability"], found["supported"]) == (0.6, False)
    assert "the data cannot support 95% won above it, or above any other, with 90%" in found["note"]


def test_a_promise_that_only_the_new_cutoff_keeps_moves_it() -> None:
    """The champion's lies where the share won is the target on average, which half of all data would miss."""
    chosen = params(sql={"policy": "precision", "target": 0.4})
    free = with_champion(0.01, 0.02, chosen)["sql"]
    assert free["supported"]
    low, high = free["probability_interval"]
    moved = with_champion(0.05, (low + high) / 2, chosen)["sql"]
    assert not moved["champion"]["kept"]
    assert moved["probability"] == free["probability"]
    stays = with_champion(0.05, free["probability"] * 0.9999, chosen)["sql"]
    assert (stays["champion"]["kept"], stays["supported"]) == (True, True)
