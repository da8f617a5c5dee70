"""Findings: overruled by name and reason, told in words, each check with its page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from audit_records import make_records
from propensity.audit.catalogue import CHECKS, run_audit, unmatched
from propensity.audit.findings import RESULTS, Check, Finding, overrule
from propensity.audit.telling import count_results, tell_findings, tell_stop, tell_unmatched
from propensity.errors import ParamsError
from propensity.params import Overruling, parse_params

PAGES = (Path(__file__).parents[1] / "docs" / "checks.md").read_text(encoding="utf-8")
ISSUE = Finding("PRP301", "sorts_alone", "issue", "blocking", "grade", "'grade' sorts.", {}, "Leave it out")
STAGE = replace(ISSUE, code="PRP102", check="stage_field", subject="lifecycle_stage")
TIP = replace(ISSUE, code="PRP701", result="tip", severity="note", subject="colour")
STATUS = ["won", "lost"] * 200


def page_of(check: Check) -> str:
    found = re.search(
        rf"^### {check.code} {check.name}$(.*?)(?=^##|\Z)", PAGES, flags=re.MULTILINE | re.DOTALL
    )
    return found[1] if found else ""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_a_check_has_a_page_that_says_what_why_and_what_to_do(check):
    bold = re.findall(r"\*\*(.+?)\*\*", page_of(check))
    assert bold == ["What it looks at.", "Why it matters.", "What to do."]


def test_no_page_is_of_another_check():
    assert re.findall(r"^### (PRP\d+) (\w+)$", PAGES, flags=re.MULTILINE) == [
        (c.code, c.name) for c in CHECKS
    ]


def test_the_results_on_the_page_are_those_there_are():
    rows = re.findall(r"^\| ([a-z ]+) \| .+ \|$", PAGES, flags=re.MULTILINE)
    assert set(rows) - {"result"} == set(RESULTS)


def test_codes_and_names_are_unique_and_every_check_says_something_of_bare_leads():
    assert len({c.code for c in CHECKS}) == len({c.name for c in CHECKS}) == len(CHECKS)
    findings = run_audit(make_records({"a": [1.0, 2.0] * 200}, STATUS), [])
    assert {f.code for f in findings} == {c.code for c in CHECKS}
    assert all(f.result in RESULTS for f in findings)


@pytest.mark.parametrize("name", ["PRP301", "sorts_alone"])
def test_an_issue_is_overruled_by_code_or_name_with_its_reason(name):
    allow = [Overruling(check=name, subject="grade", reason="asked on the form")]
    (judged,) = overrule([ISSUE], allow)
    assert (judged.result, judged.reason, judged.stops) == ("overruled", "asked on the form", False)
    assert unmatched(allow, [judged]) == []


def test_another_column_or_check_is_not_overruled():
    allow = [
        Overruling(check="PRP301", subject="rating", reason="asked on the form"),
        Overruling(check="PRP303", subject="grade", reason="asked on the form"),
    ]
    (judged,) = overrule([ISSUE], allow)
    assert judged.stops
    assert unmatched(allow, [judged]) == allow
    assert tell_unmatched(allow).startswith(
        "features.allow overrules nothing with PRP301 rating, PRP303 grade"
    )
    assert tell_unmatched([]) == ""


def test_a_tip_needs_no_overruling():
    assert overrule([TIP], [Overruling(check="PRP701", subject="colour", reason="because")]) == [TIP]


def test_an_unknown_check_is_refused_with_the_nearest():
    allow = [Overruling(check="sort_alone", subject="a", reason="because")]
    with pytest.raises(ParamsError, match="no check is called 'sort_alone', did you mean 'sorts_alone'"):
        run_audit(make_records({"a": range(400)}, STATUS), allow)


def test_a_stage_cannot_be_overruled():
    allow = [Overruling(check="PRP102", subject="lifecycle_stage", reason="because")]
    with pytest.raises(ParamsError, match=r"PRP102 .* cannot be overruled"):
        run_audit(make_records({"a": range(400)}, STATUS), allow)


def test_an_overruling_without_a_reason_is_refused():
    text = (
        "data: {outcomes: {won: [1]}}\nsplit: {by: random}\nfeatures: {allow: [{check: PRP301, subject: a}]}"
    )
    with pytest.raises(ParamsError, match=r"features.allow.0.reason: this key is required"):
        parse_params(text)


def test_an_overruled_column_is_not_asked_about_again_by_the_later_checks():
    grade = [3.0 if s == "won" else i % 2 for i, s in enumerate(STATUS)]
    allow = [Overruling(check="PRP301", subject="grade", reason="asked on the form")]
    findings = run_audit(make_records({"grade": grade}, STATUS), allow)
    assert [f.code for f in findings if f.result == "overruled"] == ["PRP301"]
    assert not any(f.stops for f in findings)


def test_what_a_stopped_run_prints_is_valid_params_for_both_ways_on():
    told = tell_stop([ISSUE, STAGE, TIP])
    assert told.startswith("2 findings stop the run:")
    blocks = [
        yaml.safe_load(block) for block in re.findall(r"(?:^  \S?.*\n?)+", told, flags=re.MULTILINE)[1:]
    ]
    assert blocks[0] == {"features": {"exclude": ["grade", "lifecycle_stage"]}}
    (entry,) = blocks[1]["features"]["allow"]
    assert (entry["check"], entry["subject"]) == ("PRP301", "grade")
    assert "PRP102 cannot be overruled" in told


def test_results_are_counted_and_told_the_gravest_first():
    passed = replace(TIP, code="PRP703", result="passed", subject=None, message="nothing", remedy="")
    assert count_results([TIP, ISSUE, passed]) == "1 issue (1 of the gravest kind), 1 tip, 1 passed"
    told = tell_findings([TIP, ISSUE, passed])
    assert (
        told.index("PRP301 grade (stops a run)") < told.index("PRP701 colour") < told.index("PRP703: nothing")
    )
