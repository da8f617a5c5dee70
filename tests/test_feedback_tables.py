"""Agreement, disagreement, who was right and what that suggests, on verdicts counted by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from propensity.audit.wilson import wilson_interval
from propensity.data.files import to_json
from propensity.loop.agreement import code_reviewers, compare_reviewers, count_agreement, plain
from propensity.loop.disagreement import (
    count_outcomes,
    count_right,
    decided,
    find_disagreement,
    propose,
)
from propensity.loop.feedback import examine
from propensity.loop.telling import tell_feedback
from propensity.params import DisqualifyRule
from propensity.report.feedback import feedback_section

COUNTS = {"verdicts": 2, "leads": 2, "without_score": 0, "final": 1, "known_before": 0, "decided": 1}


def judge(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Verdicts with what was shown and the label; each on a lead of its own unless it says which."""
    defaults: dict[str, Any] = {"as_of": "2025-05-01", "given_at": "2025-05-02", "known": "2025-06-01"}
    defaults |= {"verdict": "agree", "reason": None, "reviewer": "R1", "tier": "sql", "probability": 0.4}
    defaults |= {"won": False, "mature": True, "features": ["channel"], "qualifiers": ["demographic"]}
    frame = pd.DataFrame([{"lead_id": f"L{i}"} | defaults | row for i, row in enumerate(rows)])
    for name in ("as_of", "given_at", "known"):
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601").astype("datetime64[us, UTC]")
    return frame.astype({"won": "boolean", "mature": "boolean"})


def by_name(table: pd.DataFrame, by: str) -> dict[str, tuple[int, int]]:
    of = table[table["by"] == by]
    return {
        row.name: (row.verdicts, row.agree)
        for row in of.set_index("name", drop=False).itertuples(index=False)
    }


def test_verdicts_are_counted_by_what_was_shown_who_judged_and_why():
    judged = judge(
        [
            {"features": ["channel", "visits"], "qualifiers": ["demographic", "web"]},
            {"verdict": "disagree", "reason": "student", "features": ["visits"], "qualifiers": ["web"]},
            {"verdict": "disagree", "reason": "student", "tier": "nurture", "reviewer": "R2"},
            {"tier": None, "features": None, "qualifiers": None, "probability": None, "reviewer": "unnamed"},
        ]
    )
    table = count_agreement(judged)
    assert by_name(table, "all") == {"all": (4, 2)}
    assert by_name(table, "tier") == {"sql": (2, 1), "nurture": (1, 0)}
    assert by_name(table, "qualifier") == {"demographic": (2, 1), "web": (2, 1)}
    assert by_name(table, "feature") == {"channel": (2, 1), "visits": (2, 1)}
    assert by_name(table, "reviewer") == {"R1": (2, 1), "R2": (1, 0), "unnamed": (1, 1)}
    assert by_name(table, "reason") == {"none given": (2, 2), "student": (2, 0)}


def test_the_interval_is_wilsons_where_each_lead_is_judged_once():
    table = count_agreement(judge([{"verdict": "agree"}] * 7 + [{"verdict": "disagree"}] * 3))
    row = table[table["by"] == "all"].iloc[0]
    assert row["share"] == 0.7
    assert (row["low"], row["high"]) == pytest.approx(wilson_interval(7, 10), abs=1e-4)


def test_verdicts_on_one_lead_tell_less_than_on_as_many_leads():
    rows = [{"verdict": "agree" if i < 10 else "disagree"} for i in range(20)]
    apart = count_agreement(judge(rows)).iloc[0]
    together = count_agreement(judge([row | {"lead_id": f"L{i // 5}"} for i, row in enumerate(rows)])).iloc[0]
    assert together["high"] - together["low"] > 1.3 * (apart["high"] - apart["low"])


def test_reviewers_are_compared_on_what_both_judged_as_scikit_learn_does():
    first = ["agree", "agree", "agree", "disagree", "disagree", "agree"]
    second = ["agree", "disagree", "agree", "disagree", "agree", "agree"]
    rows = [{"lead_id": f"L{i}", "verdict": v} for i, v in enumerate(first)]
    rows += [{"lead_id": f"L{i}", "verdict": v, "reviewer": "R2"} for i, v in enumerate(second)]
    rows += [{"lead_id": "L99", "reviewer": "R2"}, {"lead_id": "L0", "reviewer": "unnamed"}]
    rows += [{"lead_id": "L0", "as_of": "2025-04-01", "reviewer": "R3"}]
    table = compare_reviewers(judge(rows))
    row = table.iloc[0]
    assert len(table) == 1
    assert (row["reviewer"], row["other"], row["snapshots"], row["same"]) == ("R1", "R2", 6, 4)
    assert row["kappa"] == pytest.approx(cohen_kappa_score(first, second))


def test_kappa_is_not_known_where_both_say_the_same_throughout():
    table = compare_reviewers(judge([{"lead_id": "A"}, {"lead_id": "A", "reviewer": "R2"}]))
    assert table["share"].tolist() == [1.0]
    assert table["kappa"].isna().all()


def test_reviewers_have_codes_in_the_order_of_their_first_verdicts():
    verdicts = pd.DataFrame({"given_by": ["zoe", None, "ana", "zoe"], "given_at": [1, 0, 2, 3]})
    assert code_reviewers(verdicts) == {"zoe": "R1", "ana": "R2"}


def test_a_text_of_the_data_cannot_steer_a_terminal():
    assert plain("\x1b[31mred\r\nnext\u202e") == " [31mred  next "
    assert plain("x" * 500) == "x" * 79 + "…"
    assert plain(None) is None


# --- where sales disagrees -----------------------------------------------------------------------------


def students(**more: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Twelve students of whom sales disagrees on ten, and 40 others with two disagreements."""
    rows = [{"verdict": "disagree" if i < 10 else "agree"} for i in range(12)]
    rows += [{"verdict": "disagree" if i < 2 else "agree"} for i in range(40)]
    rows = [row | (more if row["verdict"] == "disagree" else {}) for row in rows]
    levels = pd.DataFrame({"job_title": ["student"] * 12 + [f"job {i % 8}" for i in range(40)]})
    return judge(rows), levels.set_axis([f"L{i}" for i in range(52)])


def test_a_level_with_more_disagreement_is_named_with_fishers_p():
    table = find_disagreement(*students()).set_index("value")
    row = table.loc["student"]
    assert (row["leads"], row["disagree"], row["leads_others"]) == (12, 10, 40)
    assert row["share_others"] == 0.05
    assert row["p"] == pytest.approx(stats.fisher_exact([[10, 2], [2, 38]]).pvalue)
    assert row["named"]
    assert row["q"] == pytest.approx(row["p"] * len(table))  # the smallest of all p
    assert not table.drop("student")["named"].any()


def test_without_a_difference_hardly_anything_is_named():
    rng, named = np.random.default_rng(3), 0
    for _ in range(40):
        judged = judge([{"verdict": v} for v in rng.choice(["agree", "disagree"], 60)])
        levels = pd.DataFrame({c: rng.choice(list("xyz"), 60) for c in "abc"}, index=judged["lead_id"])
        named += bool(find_disagreement(judged, levels)["named"].any())
    assert named <= 5  # 5% of 40 are expected at most; more than 5 has a chance under 5%


def test_a_level_of_few_leads_is_not_compared():
    judged = judge([{"verdict": "disagree"}] * 4 + [{}] * 30)
    levels = pd.DataFrame({"c": ["rare"] * 4 + ["usual"] * 30}, index=judged["lead_id"])
    assert find_disagreement(judged, levels).empty


def test_a_lead_counts_once_by_its_latest_snapshot():
    once = judge([{"verdict": "disagree"}] * 6 + [{}] * 6)
    older = once.assign(as_of=once["as_of"] - pd.Timedelta(days=7), verdict="agree")
    levels = pd.DataFrame({"c": ["x"] * 6 + ["y"] * 6}, index=once["lead_id"])
    twice = find_disagreement(pd.concat([older, once]), levels)
    assert twice.equals(find_disagreement(once, levels))
    assert twice.loc[twice["value"] == "x", "disagree"].item() == 6


# --- who was right -------------------------------------------------------------------------------------


def test_a_verdict_counts_if_its_outcome_is_final_and_was_not_known():
    judged = judge(
        [
            {},
            {"mature": False},
            {"given_at": "2025-06-01"},
            {"mature": None, "won": None, "known": None},
            {"tier": "disqualified"},
            {"tier": None, "probability": None},
            {"known": None},
        ]
    )
    assert decided(judged)["lead_id"].tolist() == ["L0", "L6"]


def test_won_rates_are_counted_by_tier_and_verdict():
    judged = judge(
        [{"won": i < 3} for i in range(4)]
        + [{"won": i < 1, "verdict": "disagree", "probability": 0.5} for i in range(5)]
        + [{"tier": "nurture", "probability": 0.1}]
    )
    table = count_outcomes(judged).set_index(["tier", "verdict"])
    assert table.loc[("sql", "agree"), ["verdicts", "won", "share"]].tolist() == [4, 3, 0.75]
    row = table.loc[("sql", "disagree")]
    assert (row["verdicts"], row["won"], row["expected"]) == (5, 1, 0.5)
    assert (row["low"], row["high"]) == pytest.approx(wilson_interval(1, 5), abs=1e-4)
    assert table.loc[("mql", "agree"), "verdicts"] == 0


def test_sales_was_right_where_what_its_disagreement_says_came_true():
    judged = judge(
        [
            {"verdict": "disagree", "won": False, "probability": 0.7},  # right
            {"verdict": "disagree", "won": True, "probability": 0.4, "tier": "mql"},  # wrong
            {"verdict": "disagree", "won": True, "probability": 0.1, "tier": "nurture"},  # right
            {"verdict": "disagree", "won": False, "probability": 0.1, "tier": "nurture"},  # wrong
            {"verdict": "agree", "won": False},
        ]
    )
    table = count_right(judged).set_index("tier")
    assert table.loc["all", ["verdicts", "right", "share"]].tolist() == [4, 2, 0.5]
    assert table["right"].to_dict() == {"all": 2, "sql": 1, "mql": 0, "nurture": 1}
    assert table.loc["all", "expected"] == pytest.approx((0.3 + 0.6 + 0.1 + 0.1) / 4)
    assert not table.loc["all", "beyond"]


def test_verdicts_that_tell_nothing_are_right_as_often_as_expected():
    rng = np.random.default_rng(5)
    p = rng.uniform(0.2, 0.8, 4000)
    rows = [
        {"verdict": "disagree", "won": bool(w), "probability": q}
        for w, q in zip(rng.random(4000) < p, p, strict=True)
    ]
    row = count_right(judge(rows)).iloc[0]
    assert row["low"] < row["expected"] < row["high"]
    assert not row["beyond"]


# --- candidates ----------------------------------------------------------------------------------------


def test_a_level_that_sales_was_right_about_suggests_a_rule_that_params_accept():
    judged, levels = students(won=False, probability=0.6, reason="no_budget")
    table = propose(judged, levels, find_disagreement(judged, levels))
    rule = table[table["kind"] == "rule"].iloc[0]
    assert (rule["leads"], rule["right"], rule["decided"], rule["known"]) == (10, 10, 10, True)
    parsed = DisqualifyRule.model_validate(yaml.safe_load(rule["suggestion"])[0])
    assert (parsed.reason, parsed.column, parsed.equals) == ("no_budget", "job_title", "student")
    column = table[table["kind"] == "column"].iloc[0]
    assert column["suggestion"] == "a column that says 'no_budget'"


def test_a_level_whose_outcomes_are_not_in_is_suggested_as_such():
    judged, levels = students(mature=False)
    rule = propose(judged, levels, find_disagreement(judged, levels)).iloc[0]
    assert (rule["leads"], rule["decided"], rule["known"]) == (10, 0, False)


def test_a_level_that_sales_was_wrong_about_is_not_suggested():
    judged, levels = students(won=True, probability=0.6)
    assert propose(judged, levels, find_disagreement(judged, levels)).empty


def test_a_level_that_sales_disagrees_on_less_is_no_rule():
    given = [("x", i < 18) for i in range(20)] + [("y", i < 8) for i in range(60)]
    judged = judge([{"verdict": "disagree" if against else "agree", "mature": False} for _, against in given])
    levels = pd.DataFrame({"c": [value for value, _ in given]}, index=judged["lead_id"])
    contrasts = find_disagreement(judged, levels)
    assert contrasts["named"].all() and set(contrasts["value"]) == {"x", "y"}
    assert propose(judged, levels, contrasts)["value"].tolist() == ["x"]


def test_a_level_that_sales_finds_better_than_its_tier_is_no_rule():
    judged, levels = students(tier="nurture", won=True, probability=0.05)
    assert "rule" not in set(propose(judged, levels, find_disagreement(judged, levels))["kind"])


@pytest.mark.parametrize("value", ["it's: a #1 {job}", "yes", "007", "a\nb", "- [x]", "ñandú"])
def test_a_suggested_rule_holds_any_value_as_it_is(value):
    judged, levels = students(mature=False)
    levels = levels.replace("student", value)
    suggestion = propose(judged, levels, find_disagreement(judged, levels)).iloc[0]["suggestion"]
    assert yaml.safe_load(suggestion)[0]["equals"] == value
    assert "\n" not in suggestion


# --- told ----------------------------------------------------------------------------------------------


def told(judged: pd.DataFrame, levels: pd.DataFrame, **named: str) -> str:
    return tell_feedback(examine(judged, levels), COUNTS, named)


def test_all_parts_are_told_in_words():
    judged, levels = students(won=False, probability=0.6, reason="no_budget")
    text = told(judged, levels)
    assert "- {reason: no_budget, column: job_title, equals: student}" in text
    assert "disagreements on 10 leads; sales was right in 10 of the 10 with an outcome: 100.0%" in text
    assert "job_title: student" in text and "none is applied" in text


def test_names_are_told_only_where_they_are_asked_for():
    judged, levels = students()
    assert "R1" in told(judged, levels)
    assert "ana@firm.es" not in told(judged, levels)
    assert "ana@firm.es" in told(judged, levels, R1="ana@firm.es")


def test_without_verdicts_everything_is_empty_and_told():
    judged, levels = judge([{}]).iloc[:0], pd.DataFrame({"c": []}, index=pd.Index([], name="lead_id"))
    found = examine(judged, levels)
    assert all(len(found[name]) == 0 for name in ("agreement", "reviewers", "disagreement", "candidates"))
    none = dict.fromkeys(COUNTS, 0)
    assert "There are no verdicts yet." in tell_feedback(found, none, {})
    section = feedback_section({"counts": none, **found, "agreement": []})
    assert section == {"summary": "There are no verdicts yet.", "tables": [], "notes": []}


def test_the_section_of_the_review_holds_what_was_counted():
    judged, levels = students(won=False, probability=0.6, reason="<b>no budget</b>")
    content = json.loads(
        to_json({"counts": COUNTS | {"verdicts": 52, "leads": 52}, **examine(judged, levels)})
    )
    section = feedback_section(content)
    assert section["summary"].startswith("52 verdicts on 52 leads; 76.9% agree (")
    captions = [table["caption"] for table in section["tables"]]
    assert "Reviewers with each other" not in captions  # there is one reviewer
    candidates = section["tables"][captions.index("Candidates for a rule or a column; none is applied")]
    assert candidates["rows"][0][0]["text"].startswith("- {reason: <b>no budget</b>, column: job_title")
    assert all(len(row) == len(t["columns"]) for t in section["tables"] for row in t["rows"])
