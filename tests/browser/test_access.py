"""The page against axe's checks of WCAG 2 at level A and AA, in each colour scheme and on a phone."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from conftest import Open
from review_pages import make_page

LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def get_violations(page: Page) -> str:
    options = {"runOnly": {"type": "tag", "values": LEVELS}, "resultTypes": ["violations"]}
    results = Axe().run(page, options=options)
    return "" if not results.violations_count else str(results.generate_report())


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page: Open, scheme: Any, size: Any) -> None:
    page = open_page(color_scheme=scheme, viewport=size)
    page.evaluate("for (const node of document.querySelectorAll('details')) node.open = true")
    for part in ("For the meeting", "Leads", "Model and data"):
        page.get_by_role("link", name=part, exact=True).click()
        assert get_violations(page) == "", part


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_help_and_in_a_judged_card(open_page: Open, scheme: Any) -> None:
    page = open_page(part="#leads", color_scheme=scheme)
    page.keyboard.press("j")
    page.keyboard.press("d")
    assert get_violations(page) == ""
    page.keyboard.press("?")
    assert get_violations(page) == ""


def test_axe_finds_nothing_without_script(open_page: Open) -> None:
    page = open_page(make_page(cards=4).replace("<script>", '<script type="text/plain">'))
    assert get_violations(page) == ""


def test_axe_would_find_a_fault(open_page: Open) -> None:
    page = open_page()
    page.evaluate("document.querySelector('#cut-mql').labels[0].remove()")
    assert "label" in get_violations(page)
