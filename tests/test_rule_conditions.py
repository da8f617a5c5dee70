"""Each condition of a disqualification rule, every hit kept, and the rules that are refused."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import MakeTable
from propensity.decisions.lists import FREE_MAIL, STUDENTS
from propensity.decisions.rules import count_hits, disqualified_leads, rule_hits, tell_hits
from propensity.errors import InputError, ParamsError
from propensity.params import DisqualifyRule, parse_params

PARAMS = """data: {outcomes: {won: [won], closed_at: closed_at}, leads: {created_at: created_at}}
snapshots: {horizon_days: 90.0}
"""


def rule(column: str = "held", reason: str = "r", **condition: Any) -> DisqualifyRule:
    return DisqualifyRule.model_validate({"reason": reason, "column": column, **condition})


def hits(con: Any, leads: Any, *rules: DisqualifyRule) -> list[tuple[Any, ...]]:
    table = con.to_pyarrow(rule_hits(leads, rules)).to_pylist()
    return sorted(tuple(row.values()) for row in table)


def held_by(con: Any, make_table: MakeTable, values: list[Any], kind: str, **condition: Any) -> list[Any]:
    """The values that meet the condition; both tables of the module agree on them."""
    leads = make_table("leads", [{"lead_id": str(i), "held": v} for i, v in enumerate(values)], held=kind)
    found = {row[0] for row in hits(con, leads, rule(**condition))}
    first = con.to_pyarrow(disqualified_leads(leads, [rule(**condition)]))["lead_id"].to_pylist()
    assert found == set(first)
    return [v for i, v in enumerate(values) if str(i) in found]


TEXTS = ["DE", "de ", "nl", "DEU", "", None]


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ({"equals": "de"}, ["DE", "de "]),
        ({"in": ["NL", "deu"]}, ["nl", "DEU"]),
        ({"served": ["DE", "nl"]}, ["DEU"]),
        ({"missing": True}, ["", None]),
        ({"matches": ["de"]}, ["DE", "de "]),
    ],
)
def test_a_condition_on_text_is_met_by(con, make_table, condition, met) -> None:
    assert held_by(con, make_table, TEXTS, "string", **condition) == met


@pytest.mark.parametrize("kind", ["float64", "string"])
@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ({"below": 3}, [-1.0, 2.5]),
        ({"above": 3}, [70.0]),
        ({"equals": 3}, [3.0]),
        ({"in": [70, -1]}, [-1.0, 70.0]),
        ({"missing": True}, [None]),
        ({"served": [3]}, [-1.0, 2.5, 70.0]),
    ],
)
def test_a_condition_on_a_number_is_the_same_for_a_number_and_its_text(
    con, make_table, kind, condition, met
) -> None:
    given_values = [-1.0, 2.5, 3.0, 70.0, None]
    spelt = [None if v is None else f"{v:g}" for v in given_values]
    found = held_by(con, make_table, spelt if kind == "string" else given_values, kind, **condition)
    assert [None if v is None else float(v) for v in found] == met


def test_what_is_no_number_is_neither_below_nor_above(con, make_table) -> None:
    values = ["many", "NaN", "1e3"]
    assert held_by(con, make_table, values, "string", above=3) == ["1e3"]
    assert held_by(con, make_table, values, "string", below=3) == []


@pytest.mark.parametrize(
    "title",
    [
        "PhD Student", "Marketing Intern", "estudiante de derecho", "BECARIA", "en practicas", "Estagiario",
        "estagiária", "Stagiair marketing", "Student:in", "Werkstudent (m/w/d)", "Praktikantin",
        "Schüler", "SCHULER", "Etudiante", "ÉTUDIANT en droit", "E\u0301tudiant", "stagiaire RH",
        "Студентка", "СТАЖЕР отдела", "стажёр", "Stażystka",
    ],
)  # fmt: skip
def test_students_and_interns_are_known_in_several_languages(con, make_table, title) -> None:
    assert held_by(con, make_table, [title], "string", list="students") == [title]


@pytest.mark.parametrize(
    "title",
    ["Internal Audit", "Head of Students Services", "Interne Revision",
     "Stage manager", "Studentenwerk", "Стажировка", "Internist", None],
)  # fmt: skip
def test_others_are_not(con, make_table, title) -> None:
    assert held_by(con, make_table, [title], "string", list="students") == []


@given(st.sampled_from(STUDENTS), st.sampled_from(["", "Senior ", "(", "ex-"]))
def test_every_word_of_the_list_is_met_in_any_case(con, make_table, word, before) -> None:
    for spelt in (word, word.title()):
        assert held_by(con, make_table, [f"{before}{spelt}!"], "string", list="students")


ADDRESSES = ["ana@gmail.com", "Ana <ANA@Mail.GMAIL.com>", "gmail.com", "ana@notgmail.com",
             "gmail.com.evil.org", "https://gmail.com/inbox?to=a@firm.com", "firm.com", "", None]  # fmt: skip


def test_free_mail_is_told_by_the_domain_and_what_is_under_it(con, make_table) -> None:
    met = [ADDRESSES[i] for i in (0, 1, 2, 5)]
    assert held_by(con, make_table, ADDRESSES, "string", list="free_mail") == met


def test_domains_are_told_with_their_subdomains_and_shown_without_the_person(con, make_table) -> None:
    values = ["jo@competitor.com", "jo@eu.competitor.com", "jo@mycompetitor.com", "www.COMPETITOR.com/about"]
    leads = make_table("leads", [{"lead_id": str(i), "held": v} for i, v in enumerate(values)], held="string")
    assert hits(con, leads, rule(domains=["Competitor.com"])) == [
        ("0", 1, "r", "held", "competitor.com"),
        ("1", 1, "r", "held", "eu.competitor.com"),
        ("3", 1, "r", "held", "www.competitor.com"),
    ]


def test_the_list_of_free_mail_holds_domains_once_each() -> None:
    assert len(set(FREE_MAIL)) == len(FREE_MAIL)
    assert rule(domains=FREE_MAIL).domains == FREE_MAIL


def test_all_hits_of_a_lead_are_kept_and_counted(con, make_table) -> None:
    leads = make_table(
        "leads",
        [
            {"lead_id": "1", "title": "Intern", "reason": "US"},
            {"lead_id": "2", "title": None, "reason": "DE"},
            {"lead_id": "3", "title": "Buyer", "reason": None},
        ],
        title="string",
        reason="string",  # a column may have the name of one of the answer's
    )
    rules = [
        rule("title", "student", list="students"),
        rule("reason", "not served", served=["DE"]),
        rule("title", "no title", missing=True),
        rule("title", "robot", equals="bot"),
    ]
    found = hits(con, leads, *rules)
    assert found == [
        ("1", 1, "student", "title", "Intern"),
        ("1", 2, "not served", "reason", "US"),
        ("2", 3, "no title", "title", None),
    ]
    frame = pd.DataFrame(found, columns=["lead_id", "rule", "reason", "column", "value"])
    counted = count_hits(frame, rules)
    assert [row["leads"] for row in counted] == [1, 1, 1, 0]
    assert tell_hits(counted) == "disqualified by rule: student 1, not served 1, no title 1, robot 0"


def test_without_rules_there_is_no_hit_and_nothing_to_tell(con, make_table) -> None:
    leads = make_table("leads", [{"lead_id": "1"}])
    assert hits(con, leads) == []
    assert tell_hits(count_hits(pd.DataFrame(columns=["lead_id", "rule"]), [])) == ""
    with pytest.raises(InputError, match="no column 'titel'"):
        rule_hits(leads, [rule("titel", missing=True)])


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("{reason: r, column: c}", "a rule has one condition, of equals, in, matches, .* this one has none"),
        ("{reason: r, column: c, missing: true, above: 3}", "has 2: above, missing; write a rule for each"),
        ("{reason: r, column: c, missing: false}", "disqualify.0.missing: Input should be True"),
        ("{reason: r, column: c, list: pupils}", "disqualify.0.list: Input should be 'students' or 'free_m"),
        ("{reason: r, column: c, domains: [competitor]}", "'competitor' is no domain such as competitor.com"),
        ("{reason: r, column: c, domains: [a@b.com]}", "'a@b.com' is no domain such as competitor.com"),
        ("{reason: r, column: c, in: []}", r"disqualify.0.in: List should have at least 1 item"),
        ("{reason: r, column: c, equals: ''}", "disqualify.0.equals: String should have at least 1 char"),
        ("{reason: r, column: c, is_in: [a]}", "disqualify.0.is_in: unknown key.*in"),
        ("{reason: r, column: c, among: [a]}", "disqualify.0.among: unknown key"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_a_sentence(written, sentence) -> None:
    with pytest.raises(ParamsError, match=sentence):
        parse_params(f"{PARAMS}disqualify: [{written}]")


def test_rules_come_back_from_what_the_bundle_stores() -> None:
    rules = "[{reason: a, column: c, in: [NO, 7]}, {reason: b, column: c, list: students}]"
    params = parse_params(f"{PARAMS}disqualify: {rules}")
    assert params.disqualify[0].condition == ("in", ["NO", "7"])
    assert type(params).model_validate(params.model_dump(mode="json")) == params
