"""How much fields tell, alone and together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from audit_records import ask, check_of, make_records
from propensity.audit import refits, strength
from propensity.audit.strength import auc_of, explained_alone, take_sample
from propensity.audit.trees import explained_by_trees

SORTS, LEVEL = (check_of(strength.CHECKS, code) for code in ("PRP301", "PRP302"))
LOST, WHOLE, FEATURES = (check_of(refits.CHECKS, code) for code in ("PRP303", "PRP304", "PRP305"))
N = 2000


def world(seed: int = 3) -> tuple[np.ndarray, dict[str, np.ndarray], list[str]]:
    """Leads of which 25% are won, and honest columns that tell a little."""
    rng = np.random.default_rng(seed)
    won = rng.random(N) < 0.25
    honest = {
        "size": rng.normal(won * 0.5, 1.0),
        "industry": np.where(rng.random(N) < 0.3 + 0.2 * won, "software", "retail"),
        "noise": rng.normal(size=N),
    }
    return won, honest, ["won" if w else "lost" for w in won]


def leak(won: np.ndarray, distance: float, seed: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(won * distance, 1.0)


def test_a_field_that_sorts_the_outcome_is_an_issue_with_its_auc():
    won, honest, status = world()
    column = leak(won, 3.0)
    (found,) = ask(SORTS, make_records({**honest, "grade": column}, status))
    assert (found.result, found.severity, found.subject) == ("issue", "blocking", "grade")
    assert found.evidence["auc"] == pytest.approx(roc_auc_score(won, column), abs=0.01)
    assert found.evidence["n"] == N


def test_a_text_that_sorts_the_outcome_is_found_as_well_as_a_number():
    won, honest, status = world()
    column = np.where(leak(won, 3.0) > 1.5, "hot", "cold")
    assert [f.subject for f in ask(SORTS, make_records({**honest, "rating": column}, status))] == ["rating"]


def test_a_strong_field_is_a_tip_and_an_honest_one_passes():
    won, honest, status = world()
    (found,) = ask(SORTS, make_records({**honest, "minutes": leak(won, 1.3)}, status))
    assert (found.result, found.subject) == ("tip", "minutes")
    (passed,) = ask(SORTS, make_records(honest, status))
    assert (passed.result, passed.evidence["columns"]) == ("passed", 3)


def test_a_name_for_each_lead_tells_nothing_of_leads_it_was_not_fitted_on():
    _, _, status = world()
    names = [f"n{i}" for i in range(N)]
    assert [f.result for f in ask(SORTS, make_records({"name": names}, status))] == ["passed"]


@pytest.mark.parametrize("check", [SORTS, LEVEL, LOST, WHOLE])
def test_strength_without_attributes_does_not_apply(check):
    _, _, status = world()
    assert [f.result for f in ask(check, make_records({}, status))] == ["not applicable"]


@pytest.mark.parametrize("check", [SORTS, LEVEL, LOST, WHOLE])
def test_strength_among_few_leads_is_skipped(check):
    records = make_records({"a": range(40)}, ["won"] * 20 + ["lost"] * 20)
    assert [f.result for f in ask(check, records)] == ["skipped"]


@pytest.mark.parametrize("check", [SORTS, LEVEL, LOST, WHOLE])
def test_with_permuted_outcomes_no_check_of_strength_finds_anything(check):
    won, honest, status = world()
    rng = np.random.default_rng(0)
    records = make_records({**honest, "grade": leak(won, 3.0)}, list(rng.permutation(status)))
    assert {f.result for f in ask(check, records)} == {"passed"}


def test_a_value_that_nearly_decides_is_a_tip_with_its_rate():
    _, honest, status = world()
    source = np.where(np.arange(N) < 100, "reference", "web")
    status = ["won"] * 98 + ["lost"] * 2 + status[100:]
    (found,) = ask(LEVEL, make_records({**honest, "source": source}, status))
    assert (found.result, found.subject, found.evidence["level"]) == ("tip", "source", "reference")
    assert (found.evidence["rate"], found.evidence["n"]) == (0.98, 100)


def test_values_of_leads_that_are_nearly_all_won_are_not_judged():
    records = make_records({"source": ["a", "b"] * 500}, ["won"] * 900 + ["lost"] * 100)
    assert [f.result for f in ask(LEVEL, records)] == ["not applicable"]


def test_a_field_that_trees_lose_too_much_without_is_an_issue():
    won, honest, status = world()
    found = ask(LOST, make_records({**honest, "duration": leak(won, 2.0)}, status))
    assert [(f.result, f.subject) for f in found] == [("issue", "duration")]
    figures = found[0].evidence
    assert figures["lost"] == pytest.approx(figures["explained"] - max(figures["explained_without"], 0))
    assert figures["lost"] > refits.TOO_MUCH_ALONE


def test_without_a_leak_no_field_is_lost_too_much():
    _, honest, status = world()
    assert [f.result for f in ask(LOST, make_records(honest, status))] == ["passed"]


def test_two_fields_that_say_the_same_hide_from_the_refit_and_not_from_the_whole():
    won, honest, status = world()
    twice = leak(won, 3.2)
    both = {**honest, "grade": twice, "rating": twice + 0.01}
    records = make_records(both, status)
    assert "issue" not in {f.result for f in ask(LOST, records)}
    found = ask(WHOLE, records)
    assert {f.subject for f in found} == {"grade", "rating"}
    assert {f.result for f in found} == {"issue"}
    assert all(set(f.evidence["culprits"]) == {"grade", "rating"} for f in found)
    assert found[0].evidence["auc_without"] < 0.8


def test_an_honest_score_passes_as_a_whole():
    _, honest, status = world()
    (found,) = ask(WHOLE, make_records(honest, status))
    assert found.result == "passed"
    assert 0.5 < found.evidence["auc"] < 0.8


def training_table(feature: np.ndarray, won: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({"lead_id": [f"L{i}" for i in range(N)], "as_of": pd.NaT, "won": won, "weight": 1.0})
    return table.assign(split=np.where(np.arange(N) < 1400, "train", "stop"), visits=feature)


def test_features_that_know_the_outcome_are_an_issue_and_honest_ones_pass():
    won, honest, status = world()
    for feature, result in ((leak(won, 3.0), "issue"), (honest["size"], "passed")):
        (found,) = ask(FEATURES, make_records({}, status, table=training_table(feature, won)))
        assert found.result == result
        assert found.evidence["n"] == 600


def test_features_are_not_judged_on_an_empty_stop_part():
    won, honest, status = world()
    table = training_table(honest["size"], won).query("split == 'train'")
    assert [f.result for f in ask(FEATURES, make_records({}, status, table=table))] == ["skipped"]


def test_leads_that_no_value_calls_lost_are_compared_with_all_others():
    won, honest, _ = world()
    status = ["won" if w else "open" for w in won]
    (found,) = ask(SORTS, make_records({**honest, "grade": leak(won, 3.0)}, status))
    assert (found.subject, found.evidence["n"]) == ("grade", N)


def test_the_auc_and_its_bound_are_those_of_hanley_and_mcneil():
    margin = np.array([0.1, 0.4, 0.35, 0.8, 0.5, 0.5])
    won = np.array([False, False, True, True, False, True])
    auc, low = auc_of(margin, won)
    assert auc == pytest.approx(roc_auc_score(won, margin))
    # AUC 13/18: q1 = 13/23, q2 = 2 (13/18)^2 / (1 + 13/18)
    a, q1, q2 = 13 / 18, 13 / 23, 2 * (13 / 18) ** 2 / (31 / 18)
    variance = (a * (1 - a) + 2 * (q1 - a**2) + 2 * (q2 - a**2)) / 9
    assert low == pytest.approx(a - 1.96 * np.sqrt(variance))


def test_a_level_is_rated_by_the_other_folds_and_drawn_to_the_base_rate():
    won, _, status = world()
    sample = take_sample(make_records({"level": np.where(won, "w", "l")}, status))
    assert sample is not None
    margin = explained_alone(sample, "level")
    out = sample.fold == 0
    wins, n = sample.won[~out].sum(), (~out).sum()
    expected = (wins + 20 * (wins + 0.5) / (n + 1)) / (wins + 20)
    assert margin[out & sample.won] == pytest.approx(np.log(expected / (1 - expected)))


def test_what_trees_explain_is_one_less_the_ratio_of_log_losses():
    won, honest, _ = world()
    fold = np.arange(N) % 3
    fit = explained_by_trees(pd.DataFrame(honest), won, fold, seed=1)
    p = 1 / (1 + np.exp(-fit.margin))
    base = log_loss(won, np.full(N, won.mean()))
    assert fit.explained == pytest.approx(1 - log_loss(won, p) / base)
    assert sum(fit.importance.values()) == pytest.approx(1.0)
