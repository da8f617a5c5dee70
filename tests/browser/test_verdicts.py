"""Verdicts: given by click or key, kept by the browser, saved as a file and read back from it."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from conftest import Open
from review_pages import make_page

COLUMNS = ["lead_id", "as_of", "verdict", "reason", "given_by", "given_at", "note", "model_version"]
NOTES = ['says "later", not no', "two\nlines, and a comma", "=1+1", "Łódź, 東京, שלום 👍", " space around "]


def save(page: Page, name: str = "Ana") -> Path:
    """Save the page's verdicts as a file, as a reviewer does, and return where it is."""
    page.locator("#reviewer").fill(name)
    with page.expect_download() as started:
        page.locator("#save").click()
    path = Path(started.value.path()).with_name(started.value.suggested_filename)
    started.value.save_as(path)
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def judge(page: Page, index: int, verdict: str, *, reason: str = "", note: str = "") -> None:
    page.locator(f"#lead-{index} input[value={verdict}]").check()
    page.locator(f"#lead-{index} select").select_option(reason)
    page.locator(f"#lead-{index} textarea").fill(note)


def get_state(page: Page, index: int) -> tuple[Any, ...]:
    card = page.locator(f"#lead-{index}")
    chosen = card.locator("input:checked").evaluate_all("(nodes) => nodes.map((n) => n.value)")
    return (chosen, card.locator("select").input_value(), card.locator("textarea").input_value())


def test_verdicts_by_click_and_by_key_survive_a_reload(open_page: Open) -> None:
    page = open_page(part="#leads")
    judge(page, 1, "disagree", reason="no_budget", note="asked twice")
    page.locator("#name-2").click()
    page.keyboard.press("a")
    assert page.locator("#judged").text_content() == "2 of 4 judged"
    page.reload()
    assert get_state(page, 1) == (["disagree"], "no_budget", "asked twice")
    assert get_state(page, 2) == (["agree"], "", "")
    assert get_state(page, 3) == ([], "", "")
    assert page.locator("#judged").text_content() == "2 of 4 judged"


def test_the_file_is_what_was_entered(open_page: Open) -> None:
    page = open_page(make_page(cards=6), "#leads")
    for index, note in enumerate(NOTES, start=1):
        judge(page, index, "disagree" if index % 2 else "agree", reason="other", note=note)
    page.locator("#lead-6 textarea").fill("a note alone is no verdict")
    path = save(page, "Ana Díaz, 東京")
    assert path.name == "feedback-Ana-Díaz-東京.csv"
    rows = read(path)
    assert list(rows[0]) == COLUMNS
    assert [row["note"] for row in rows] == NOTES
    assert [row["lead_id"] for row in rows] == [f"L-{i:05d}" for i in range(5)]
    assert [row["verdict"] for row in rows] == ["disagree", "agree"] * 2 + ["disagree"]
    assert {row["as_of"] for row in rows} == {"2025-01-31T00:00:00+00:00"}
    assert {row["reason"] for row in rows} == {"other"}
    assert {row["given_by"] for row in rows} == {"Ana Díaz, 東京"}
    assert {row["model_version"] for row in rows} == {"2025-02-01.1"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["given_at"]) for row in rows)
    assert "1 notes without agree or disagree are left out." in (
        page.locator("#message").text_content() or ""
    )


def test_the_file_loads_elsewhere_and_saves_the_same_again(open_page: Open) -> None:
    html = make_page(cards=5)
    page = open_page(html, "#leads")
    for index, note in enumerate(NOTES, start=1):
        judge(page, index, "agree", note=note)
    path = save(page)
    other = open_page(html, "#leads")
    assert other.locator("#judged").text_content() == "0 of 5 judged"
    other.locator("#load").set_input_files(path)
    expect(other.locator("#message")).to_have_text("5 verdicts loaded.")
    assert other.locator("#judged").text_content() == "5 of 5 judged"
    assert other.locator("#reviewer").input_value() == "Ana"
    assert save(other).read_bytes() == path.read_bytes()


def test_what_is_older_or_elsewhere_or_of_somebody_else_is_left_out_and_counted(
    open_page: Open, tmp_path: Path
) -> None:
    moment, model = "2025-01-31T00:00:00+00:00", "2025-02-01.1"
    lines = [
        ["L-00000", moment, "disagree", "", "Ana", "2020-01-01T00:00:00.000Z", "old", model],
        ["L-00001", moment, "disagree", "", "Ben", "2025-02-03T00:00:00.000Z", "", model],
        ["L-00009", moment, "disagree", "", "Ana", "2025-02-03T00:00:00.000Z", "", model],
        ["L-00002", moment, "disagree", "", "Ana", "2025-02-03T00:00:00.000Z", "new", model],
    ]
    path = tmp_path / "feedback.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *lines])
    page = open_page(part="#leads")
    page.locator("#reviewer").fill("Ana")
    judge(page, 1, "agree")
    page.locator("#load").set_input_files(path)
    expect(page.locator("#message")).to_have_text(
        "1 verdicts loaded. 1 left out: given by somebody else than Ana. 1 left out: not about a lead of "
        "this page. 1 left out: older than what is here."
    )
    assert [get_state(page, i)[0] for i in (1, 2, 3)] == [["agree"], [], ["disagree"]]


def test_a_file_that_is_no_feedback_is_refused(open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("lead_id,as_of\nL-00000,x\n", encoding="utf-8")
    page = open_page(part="#leads")
    page.locator("#load").set_input_files(path)
    message = (
        "This is no file of verdicts: it lacks verdict, reason, given_by, given_at, note, model_version."
    )
    expect(page.locator("#message")).to_have_text(message)
    assert page.locator("#judged").text_content() == "0 of 4 judged"


def test_a_file_without_a_name_is_not_saved(open_page: Open) -> None:
    page = open_page(part="#leads")
    judge(page, 1, "agree")
    page.locator("#save").click()
    assert "Write your name first" in (page.locator("#message").text_content() or "")
    assert page.evaluate("document.activeElement.id") == "reviewer"


def test_a_verdict_can_be_taken_back(open_page: Open) -> None:
    page = open_page(part="#leads")
    judge(page, 1, "agree", reason="other", note="no")
    page.locator("#lead-1 button").click()
    assert get_state(page, 1) == ([], "", "")
    page.reload()
    assert get_state(page, 1) == ([], "", "")


def test_another_model_starts_without_verdicts(open_page: Open) -> None:
    page = open_page(part="#leads")
    judge(page, 1, "agree")
    page.evaluate(
        "localStorage.setItem('propensity review other', localStorage.getItem(localStorage.key(0)))"
    )
    assert page.evaluate("Object.keys(localStorage).sort()") == [
        "propensity review 2025-02-01.1 2025-01-31T00:00:00+00:00",
        "propensity review other",
    ]


def test_without_storage_the_page_says_so_and_works_on(open_page: Open) -> None:
    refused = "get() { throw new DOMException('no', 'SecurityError') }"
    page = open_page(part="#leads", before=f"Object.defineProperty(window, 'localStorage', {{ {refused} }})")
    assert page.locator("#refused").is_visible()
    judge(page, 1, "disagree", note="kept until the file is saved")
    assert page.locator("#judged").text_content() == "1 of 4 judged"
    assert [row["note"] for row in read(save(page))] == ["kept until the file is saved"]


def test_two_windows_on_one_review_see_each_others_verdicts(open_page: Open) -> None:
    page = open_page(part="#leads")
    second = page.context.new_page()
    second.goto(page.url)
    judge(page, 1, "agree")
    second.wait_for_function("document.getElementById('judged').textContent === '1 of 4 judged'")
    judge(second, 2, "disagree")
    page.wait_for_function("document.getElementById('judged').textContent === '2 of 4 judged'")
