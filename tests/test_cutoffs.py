"""The two cut-offs: what they promise, and that the promise holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import binom

from propensity.decisions.curves import cutoff_curve
from propensity.decisions.cutoffs import choose_cutoffs, find_cutoffs
from propensity.decisions.policies import Cutoff
from propensity.decisions.tiers import TIERS, assign_tiers
from propensity.errors import InputError
from propensity.params import CutoffsParams

RECALL_08 = {"policy": "recall", "target": 0.8}
ROWS = st.lists(st.tuples(st.floats(-40, 40), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({won for _, won in rows}) == 2
)
TARGETS = st.floats(0.05, 0.95)
POLICY = st.one_of(
    st.fixed_dictionaries({"policy": st.just("recall"), "target": TARGETS}),
    st.fixed_dictionaries(
        {"policy": st.just("precision"), "target": TARGETS, "confidence": st.sampled_from([0.6, 0.9])}
    ),
    st.fixed_dictionaries({"policy": st.just("capacity"), "per_week": st.floats(0.5, 50)}),
    st.just({"policy": "value"}),
)
MONEY = {"won": 5000, "margin": 0.3, "sales_touch": 60, "nurture": 2, "untouched": 0.3, "nurtured": 0.5}


def params(mql: dict[str, Any], sql: dict[str, Any]) -> CutoffsParams:
    return CutoffsParams.model_validate({"mql": mql, "sql": sql, "value": MONEY})


def precision(target: float, confidence: float = 0.9) -> dict[str, Any]:
    return {"policy": "precision", "target": target, "confidence": confidence}


def choose(log_odds: Any, won: Any, chosen: CutoffsParams, groups: Any = None) -> dict[str, Any]:
    groups = np.arange(len(won)) if groups is None else groups
    return choose_cutoffs(
        np.asarray(log_odds, dtype=float), np.asarray(won, dtype=bool), groups, chosen, seed=1
    )


def find(log_odds: Any, won: Any, chosen: CutoffsParams) -> dict[str, Cutoff]:
    return find_cutoffs(expit(log_odds), won, np.arange(len(won)), chosen)


def as_json(found: dict[str, Cutoff]) -> dict[str, Any]:
    return {name: vars(cutoff) for name, cutoff in found.items()}


def test_recall_by_hand() -> None:
    """Of five winners four have to stay: the cut-off is the fourth's log-odds, just."""
    log_odds = np.array([2.0, 1.5, 1.0, 0.5, 0.0, -0.5, -1.0, -2.0, -3.0, -4.0])
    won = [True, False, True, True, False, True, False, False, True, False]
    found = choose(log_odds, won, params(RECALL_08, precision(0.9)))
    assert found["reference_odds"] == 1.0
    mql = found["mql"]
    assert mql["probability"] == pytest.approx(expit(-0.5), rel=1e-8)
    assert mql["score"] == pytest.approx(50 - 0.5 * 10 / np.log(2), abs=1e-6)
    assert (mql["n"], mql["share"], mql["recall"]) == (6, 0.6, 0.8)
    assert mql["precision"] == pytest.approx(4 / 6)
    assert (mql["policy"], mql["target"], mql["confidence"]) == ("recall", 0.8, None)
    assert (mql["supported"], mql["note"]) == (True, None)
    low, high = mql["recall_interval"]
    assert 0 <= low < 0.8 < high <= 1


@given(ROWS, st.floats(0.05, 0.95))
def test_the_recall_policy_keeps_its_target_and_no_higher_cutoff_would(
    rows: list[Any], target: float
) -> None:
    log_odds, won = (np.array(column) for column in zip(*rows, strict=True))
    mql = find(log_odds, won, params({"policy": "recall", "target": target}, precision(0.5)))["mql"]
    needed = target * won.sum() - 1e-6
    assert (won & (expit(log_odds) >= mql.probability)).sum() >= needed
    if mql.note is None:
        assert (won & (expit(log_odds) > mql.probability * (1 + 1e-6))).sum() < needed + 1e-6


@pytest.mark.parametrize("target", [0.07, 0.29, 0.55, 0.7])
def test_a_target_that_binary_cannot_hold_keeps_no_winner_too_many(target: float) -> None:
    """0.07 * 100 is 7.000000000000001 in binary."""
    found = choose(
        np.linspace(3, -3, 200),
        np.arange(200) % 2 == 0,
        params({"policy": "recall", "target": target}, precision(0.99)),
    )
    assert found["mql"]["recall"] == pytest.approx(target)


@given(ROWS, POLICY, POLICY)
def test_the_mql_cutoff_is_always_a_point_under_the_sql_cutoff(rows: list[Any], mql: Any, sql: Any) -> None:
    log_odds, won = (np.array(column) for column in zip(*rows, strict=True))
    found = find(log_odds, won, params(mql, sql))
    odds = {name: cutoff.probability / (1 - cutoff.probability) for name, cutoff in found.items()}
    assert 10 * np.log2(odds["sql"] / odds["mql"]) >= 1 - 1e-6
    assert 0 < found["mql"].probability < found["sql"].probability < 1
    assert all(cutoff.supported or cutoff.note for cutoff in found.values())


@given(ROWS, POLICY, POLICY, st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_tiers_rise_with_probability(rows: list[Any], mql: Any, sql: Any, asked: list[float]) -> None:
    log_odds, won = (np.array(column) for column in zip(*rows, strict=True))
    cutoffs = as_json(find(log_odds, won, params(mql, sql)))
    tiers = assign_tiers(np.sort(asked), np.zeros(len(asked), dtype=bool), cutoffs)
    order = [TIERS.index(tier) for tier in tiers]
    assert order == sorted(order)
    assert (assign_tiers(np.array(asked), np.ones(len(asked), dtype=bool), cutoffs) == "disqualified").all()


def test_tiers_at_the_cutoffs() -> None:
    cutoffs = {"mql": {"probability": 0.2}, "sql": {"probability": 0.4}}
    probability = np.array([0.1999, 0.2, 0.3999, 0.4, 0.9])
    disqualified = np.array([False, False, False, False, True])
    assert assign_tiers(probability, disqualified, cutoffs).tolist() == [
        "nurture",
        "mql",
        "mql",
        "sql",
        "disqualified",
    ]


@given(ROWS)
def test_a_lead_at_the_cutoff_stays_above_it_whatever_the_order_of_its_sum(rows: list[Any]) -> None:
    log_odds, won = (np.array(column) for column in zip(*rows, strict=True))
    log_odds = (log_odds / 2).round(2)
    found = as_json(find(log_odds, won, params(RECALL_08, precision(0.5))))
    nobody = np.zeros(len(won), dtype=bool)
    exact = assign_tiers(expit(log_odds), nobody, found) != "nurture"
    rounded = assign_tiers(expit(log_odds - 1e-12), nobody, found) != "nurture"
    assert exact.tolist() == rounded.tolist()
    assert (exact & won).sum() >= 0.8 * won.sum() - 1e-9


def test_a_supported_precision_by_hand() -> None:
    """The top 100 of 1,000 all won and nobody else: the volumes of 2% to 12.5% pass, 15% does not."""
    won = np.arange(1000) < 100
    found = choose(np.linspace(4, -4, 1000), won, params(RECALL_08, precision(0.7)))["sql"]
    assert found["supported"]
    assert found["n"] == 125
    assert found["precision"] == 0.8
    assert found["recall"] == 1.0
    assert found["confidence"] == 0.9


def test_the_first_volume_that_fails_ends_the_sequence() -> None:
    """The best-scored fifth lost and all others won: 80% of everybody, but not of those above any cut-off."""
    won = np.arange(1000) >= 200
    found = choose(np.linspace(4, -4, 1000), won, params(RECALL_08, precision(0.4)))["sql"]
    assert not found["supported"]


def test_more_confidence_asks_for_fewer_leads_or_gives_up() -> None:
    rng = np.random.default_rng(3)
    log_odds = rng.normal(-1, 1.5, 1500)
    won = rng.random(1500) < expit(log_odds)
    found = [choose(log_odds, won, params(RECALL_08, precision(0.55, c)))["sql"] for c in (0.5, 0.9, 0.99)]
    assert all(cutoff["supported"] for cutoff in found)
    assert found[0]["n"] >= found[1]["n"] >= found[2]["n"]
    assert found[0]["n"] > found[2]["n"]


def test_what_the_data_cannot_support_is_said_and_the_cutoff_stands_at_the_target() -> None:
    rng = np.random.default_rng(0)
    found = choose(rng.normal(-2, 1, 300), rng.random(300) < 0.1, params(RECALL_08, precision(0.9)))["sql"]
    assert not found["supported"]
    assert found["probability"] == 0.9
    assert "cannot support 90% won above the cut-off with 90% confidence" in found["note"]


def test_nobody_above_an_unsupported_cutoff() -> None:
    found = choose(np.linspace(-3, -1, 50), np.arange(50) % 7 == 0, params(RECALL_08, precision(0.9)))["sql"]
    assert (found["n"], found["share"], found["recall"]) == (0, 0.0, 0.0)
    assert np.isnan(found["precision"])
    assert found["precision_interval"] is None


def test_an_mql_cutoff_above_the_sql_one_is_lowered_and_its_precision_no_longer_promised() -> None:
    log_odds, won = np.linspace(1, -6, 1000), np.arange(1000) < 100
    found = choose(log_odds, won, params(precision(0.9), precision(0.7)))
    assert found["sql"]["supported"]
    assert not found["mql"]["supported"]
    assert found["mql"]["score"] == pytest.approx(found["sql"]["score"] - 1, abs=1e-6)
    assert "held one point under it. Its precision is not promised there." in found["mql"]["note"]
    found = choose(log_odds, won, params({"policy": "recall", "target": 0.5}, precision(0.7)))
    assert found["mql"]["supported"]
    assert found["mql"]["recall"] >= 0.5
    assert found["mql"]["note"].endswith("it is held one point under it.")


def simulate_errors(runs: int, make: Any, target: float, confidence: float) -> tuple[int, int]:
    """Return in how many runs a precision was promised, and in how many of them it was not kept."""
    rng = np.random.default_rng(11)
    promised = broken = 0
    for _ in range(runs):
        log_odds, truth, groups = make(rng)
        won = rng.random(groups.max() + 1)[groups] < truth
        probability = expit(log_odds)
        sql = find_cutoffs(probability, won, groups, params(RECALL_08, precision(target, confidence)))["sql"]
        promised += sql.supported
        broken += sql.supported and truth[probability >= sql.probability].mean() < target
    return promised, broken


def test_a_promised_precision_is_kept_as_often_as_it_says() -> None:
    """The worst case: every lead's chance lies just under the target, so that any promise is broken."""
    runs = 120

    def worthless(rng: np.random.Generator) -> Any:
        return rng.normal(size=300), np.full(300, 0.399), np.arange(300)

    _, broken = simulate_errors(runs, worthless, 0.4, 0.9)
    assert broken <= binom.ppf(0.999, runs, 0.1)


def test_snapshots_of_one_lead_do_not_add_confidence() -> None:
    """Each lead's five snapshots end alike: counted as rows, promises are broken far too often."""
    runs = 120

    def repeated(rng: np.random.Generator) -> Any:
        log_odds = np.repeat(rng.normal(size=100), 5) + rng.normal(0, 0.01, 500)
        return log_odds, np.full(500, 0.399), np.repeat(np.arange(100), 5)

    _, broken = simulate_errors(runs, repeated, 0.4, 0.9)
    assert broken <= binom.ppf(0.999, runs, 0.1)


def test_a_good_model_gets_its_promise_and_keeps_it() -> None:
    runs = 60

    def graded(rng: np.random.Generator) -> Any:
        log_odds = rng.normal(-2, 1.2, 1200)
        return log_odds, expit(log_odds), np.arange(1200)

    promised, broken = simulate_errors(runs, graded, 0.4, 0.9)
    assert promised > 0.8 * runs
    assert broken <= binom.ppf(0.999, runs, 0.1)


def test_the_curve_by_hand() -> None:
    curve = cutoff_curve(np.array([-1.0, 0.0, 0.0, 2.0]), np.array([False, True, False, True]), 1.0, steps=3)
    assert curve["probability"].tolist() == pytest.approx([expit(-1.0), 0.5, expit(2.0)])
    assert curve["score"].tolist() == pytest.approx([50 - 10 / np.log(2), 50, 50 + 20 / np.log(2)])
    assert curve["share"].tolist() == [1.0, 0.75, 0.25]
    assert curve["precision"].tolist() == pytest.approx([0.5, 2 / 3, 1.0])
    assert curve["recall"].tolist() == [1.0, 1.0, 0.5]


def test_one_outcome_only_is_refused() -> None:
    for wins in (0, 5):
        with pytest.raises(InputError, match=f"holds {wins} won of 5 snapshots"):
            choose(np.zeros(5), np.arange(5) < wins, params(RECALL_08, precision(0.4)))
