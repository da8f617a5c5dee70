"""Whatever a text of the input holds, the browser shows it as text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from conftest import Open
from propensity.report.render import render_review
from review_pages import make_context, make_page, map_texts

HOSTILE = {
    "script": "<script>alert(1)</script></style></title></svg><img src=x onerror=alert(2)>",
    "quotes": "\" onload='alert(3)' ` ' \" \\ {{ 7 * 7 }} {% raw %} &amp; &#60;",
    "link": "javascript:alert(4)",
    "json": '</script><!--<script>"}]; alert(5); //',
    "rtl": "\u202egnp.exe\u202c עברית العربية\u200f",
    "long": "longword" * 700,
    "emoji": "👩🏽‍💻🏴‍☠️ 👍",
    "control": "a\u0001b\u2028c\u2029d\u0085e\ufefff",
    "csv": '=HYPERLINK("x"),+1;@SUM(1)\t"',
}


def collapse(text: str) -> str:
    """Text as a browser hands it back: white space runs are one space."""
    return " ".join(text.split())


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_in_every_field_stays_text(open_page: Open, text: str) -> None:
    page = open_page(render_review(map_texts(make_context(cards=2), lambda _: text)))
    count = "(tag) => document.getElementsByTagName(tag).length"
    found = {tag: page.evaluate(count, tag) for tag in ("script", "style", "img", "iframe", "article")}
    assert found == {"script": 2, "style": 1, "img": 0, "iframe": 0, "article": 2}
    shown = page.eval_on_selector_all(
        ".points th[scope=row], .facts dd, .did li li, li small, caption",
        "(nodes) => nodes.map((n) => n.textContent)",
    )
    assert sum(collapse(text) in collapse(s) for s in shown) > 20
    assert page.locator("nav a").evaluate_all("(links) => links.every((a) => a.hash)")


def test_the_script_knows_a_lead_by_exactly_its_name(open_page: Open) -> None:
    names = [*HOSTILE.values(), "a\0b\r\nc\rd"]
    page = open_page(make_page(leads=names))
    known = json.loads(page.locator("script#page").evaluate("(node) => node.textContent"))
    assert [card["lead_id"] for card in known["cards"]] == names


def test_hostile_notes_and_names_come_back_as_they_were_typed(open_page: Open) -> None:
    page = open_page(make_page(cards=len(HOSTILE)), "#leads")
    notes = {f"#lead-{i} textarea": text[:2000] for i, text in enumerate(HOSTILE.values(), start=1)}
    for field, text in notes.items():
        page.locator(field).fill(text)
    page.locator("#reviewer").fill(HOSTILE["script"])
    page.reload()
    assert {field: page.locator(field).input_value() for field in notes} == notes
    assert page.locator("#reviewer").input_value() == HOSTILE["script"]


def test_markup_or_style_that_got_in_would_be_refused(browser: Browser, tmp_path: Path) -> None:
    """The policy is the second wall."""
    path = tmp_path / "review.html"
    path.write_text(make_page(), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    refused = page.evaluate(
        """() => new Promise((done) => {
            const found = [];
            document.addEventListener("securitypolicyviolation", (event) => {
                found.push(event.effectiveDirective);
                if (found.length === 3) done(found);
            });
            try { document.body.innerHTML += "x"; } catch { }
            const style = document.createElement("style");
            style.textContent = "body { display: none }";
            document.body.append(style);
            new Image().src = "data:image/gif;base64,R0lGODlhAQABAAAAACw=";
        })"""
    )
    page.context.close()
    assert set(refused) == {"require-trusted-types-for", "style-src-elem", "img-src"}
