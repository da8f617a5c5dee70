"""A browser without a network, and pages opened in it from files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from review_pages import make_page

CHROMIUM = Path(os.environ.get("PROPENSITY_CHROMIUM", "/usr/bin/chromium"))
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.is_file():
        pytest.fail(
            f"chromium is expected at {CHROMIUM}, where there is no file; install it (apt-get install "
            "chromium on Debian) or name it in PROPENSITY_CHROMIUM",
            pytrace=False,
        )
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open a page from a file; at the end of the test it must have asked for nothing else nor complained."""
    contexts, requests, complaints = [], [], []
    path = tmp_path / "review.html"

    def opened(html: str | None = None, part: str = "", *, before: str = "", **context: Any) -> Page:
        path.write_text(make_page() if html is None else html, encoding="utf-8")
        made = browser.new_context(**context)
        contexts.append(made)
        page = made.new_page()
        page.add_init_script(before)
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(f"{path.as_uri()}{part}")
        return page

    yield opened
    for made in contexts:
        made.close()
    assert {url.split("#")[0] for url in requests if not url.startswith("blob:")} == {path.as_uri()}
    assert complaints == []
