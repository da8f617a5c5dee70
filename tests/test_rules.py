"""Disqualification by whole words, and what a lead is worth in each tier."""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir
import numpy as np
import pytest

from conftest import MakeTable
from propensity.decisions.rules import disqualified_leads
from propensity.decisions.value import expected_value
from propensity.errors import InputError
from propensity.params import DisqualifyRule, ValueParams

STUDENT = DisqualifyRule(reason="student", column="job_title", matches=["student", "intern"])


def meets(con: Any, make_table: MakeTable, title: str | None, *matches: str) -> bool:
    leads = make_table("leads", [{"lead_id": "1", "job_title": title}], job_title="string")
    rule = DisqualifyRule(reason="r", column="job_title", matches=list(matches) or STUDENT.matches)
    return len(rows_of(con, disqualified_leads(leads, [rule]))) == 1


def rows_of(con: Any, table: ir.Table) -> list[dict[str, Any]]:
    return con.to_pyarrow(table.order_by("lead_id")).to_pylist()


@pytest.mark.parametrize(
    "title",
    [
        "Marketing Intern",
        "intern",
        "INTERN (paid)",
        "Intern/Working student",
        "PhD-Student",
        "head of student, finance",
        "sales_intern",
        "Intern\nBerlin",
        "\tintern",
        "«Student»",
    ],
)
def test_a_whole_word_meets_the_rule_whatever_its_case_and_company(
    con: Any, make_table: MakeTable, title: str
) -> None:
    assert meets(con, make_table, title)


@pytest.mark.parametrize(
    "title",
    [
        "Internal Audit",
        "International Sales",
        "Students' Union",
        "Intern2",
        "3intern",
        "Internée",
        "Éintern",
        "intern\u0301",
        "стажёр",
        "",
        None,
    ],
)
def test_a_part_of_a_word_or_nothing_does_not(con: Any, make_table: MakeTable, title: str | None) -> None:
    assert not meets(con, make_table, title)


@pytest.mark.parametrize(
    ("title", "match", "met"),
    [
        ("ÉTUDIANT en droit", "étudiant", True),
        ("Etudiant", "étudiant", False),
        ("СТАЖЁР отдела", "Стажёр", True),
        ("C++ developer", "c++", True),
        ("Developer (ex. A.B)", "a.b", True),
        ("axb", "a.b", False),
        ("Head of Sales", "head of", True),
        ("head  of sales", "head of", False),
        ("a|b", "a|b", True),
        ("100% student", "100%", True),
        ("no-reply [bot]", "[bot]", True),
    ],
)
def test_texts_are_taken_as_they_are_written(
    con: Any, make_table: MakeTable, title: str, match: str, met: bool
) -> None:
    assert meets(con, make_table, title, match) is met


def test_the_first_rule_met_gives_the_reason(con: Any, make_table: MakeTable) -> None:
    leads = make_table(
        "leads",
        [
            {"lead_id": "1", "job_title": "Student", "country": "XX"},
            {"lead_id": "2", "job_title": "Buyer", "country": "xx"},
            {"lead_id": "3", "job_title": "Buyer", "country": "DE"},
            {"lead_id": "4", "job_title": None, "country": None},
        ],
        job_title="string",
        country="string",
    )
    embargo = DisqualifyRule(reason="embargo", column="country", matches=["XX"])
    assert rows_of(con, disqualified_leads(leads, [STUDENT, embargo])) == [
        {"lead_id": "1", "reason": "student", "column": "job_title", "value": "Student"},
        {"lead_id": "2", "reason": "embargo", "column": "country", "value": "xx"},
    ]


def test_a_number_is_compared_as_text(con: Any, make_table: MakeTable) -> None:
    leads = make_table("leads", [{"lead_id": "1", "plan": 7}, {"lead_id": "2", "plan": 70}], plan="int64")
    rule = DisqualifyRule(reason="trial", column="plan", matches=["7"])
    assert [row["lead_id"] for row in rows_of(con, disqualified_leads(leads, [rule]))] == ["1"]


def test_without_rules_nobody_is_disqualified(con: Any, make_table: MakeTable) -> None:
    leads = make_table("leads", [{"lead_id": "1"}])
    found = con.to_pyarrow(disqualified_leads(leads, []))
    assert found.column_names == ["lead_id", "reason", "column", "value"]
    assert found.num_rows == 0


def test_a_column_that_leads_do_not_have_is_refused_with_the_nearest(con: Any, make_table: MakeTable) -> None:
    leads = make_table("leads", [{"lead_id": "1", "job_titel": "x"}], job_titel="string")
    with pytest.raises(InputError, match=r"no column 'job_title', did you mean 'job_titel'\?"):
        disqualified_leads(leads, [STUDENT])


def test_expected_value_by_hand() -> None:
    tiers = np.array(["sql", "mql", "nurture", "disqualified"])
    value = ValueParams(won=5000, margin=0.3, sales_touch=60, nurture=2)
    worth = expected_value(np.array([0.4, 0.2, 0.001, 0.9]), np.full(4, value.won), tiers, value)
    assert worth.tolist() == pytest.approx([0.4 * 1500 - 60, 0.2 * 1500 - 2, 0.001 * 1500 - 2, 0.0])
