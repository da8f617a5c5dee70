"""The review page as it is written: it stands alone, is small, and hostile text in it stays text.

What a browser makes of it is tested in tests/browser.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.report.render import render_review, write_review
from report_cases import Page, make_card, make_metrics, render
from review_pages import make_context, make_page, make_timeline, map_texts

HOSTILE = "<script>alert(1)</script></style></title></svg>\" onload='x' {{ 7 * 7 }} {% raw %}&amp;"


@pytest.fixture(scope="module")
def full() -> dict[str, Any]:
    return make_context(cards=2)


@pytest.fixture(scope="module")
def harmless(full: dict[str, Any]) -> Page:
    return render_with(full, "plain")


def render_with(context: dict[str, Any], text: str) -> Page:
    return Page(render_review(map_texts(context, lambda _: text)))


def test_hostile_text_stays_text_everywhere(full: dict[str, Any], harmless: Page) -> None:
    page = render_with(full, HOSTILE)
    assert page.tags == harmless.tags
    assert [name for name, _ in page.attributes] == [name for name, _ in harmless.attributes]
    assert page.tags.count("script") == 2
    assert sum(HOSTILE in text for text in page.texts) > 100


@settings(deadline=None, max_examples=20)
@given(text=st.text(min_size=1, max_size=60))
def test_no_text_changes_the_structure_of_the_page(full: dict[str, Any], harmless: Page, text: str) -> None:
    page = render_with(full, text)
    assert page.tags == harmless.tags
    assert [name for name, _ in page.attributes] == [name for name, _ in harmless.attributes]


def test_the_page_refers_to_nothing_outside_itself() -> None:
    html = make_page(cards=30)
    page = Page(html)
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert not {"link", "img", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert not page.values("src")
    assert not page.values("style")
    for reaching in ("fetch(", "XMLHttpRequest", "WebSocket", "import(", "innerHTML", "eval("):
        assert reaching not in html


def test_five_hundred_leads_with_forty_actions_each_are_under_five_megabytes() -> None:
    context = make_context(cards=500)
    cards = [{**card, "timeline": make_timeline(marks=40)} for card in context["cards"]]
    html = render_review({**context, "cards": cards})
    assert len(html.encode()) < 5_000_000
    longest = max(len(card.encode()) for card in re.findall(r"<article.*?</article>", html, re.DOTALL))
    assert longest < 8_000


def test_every_link_leads_to_a_place_in_the_page() -> None:
    page = Page(make_page(cards=3))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in page.values("href")} <= set(ids)
    assert {name for value in page.values("aria-labelledby") for name in value.split()} <= set(ids)


def test_the_security_policy_allows_only_the_pages_own_style_and_script() -> None:
    html = render()
    policy = next(v for v in Page(html).values("content") if "default-src" in v).split("; ")
    style = re.search("<style>(.*?)</style>", html, re.DOTALL)
    script = re.search("<script>(.*?)</script>", html, re.DOTALL)
    assert style is not None
    assert script is not None
    hashes = [base64.b64encode(hashlib.sha256(m[1].encode()).digest()).decode() for m in (style, script)]
    assert policy == [
        "default-src 'none'",
        f"style-src 'sha256-{hashes[0]}'",
        f"script-src 'sha256-{hashes[1]}'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    assert html.index("default-src") < html.index("<style>")


def test_filters_are_offered_for_what_differs_between_the_leads() -> None:
    cards = make_context(cards=3)["cards"]
    alike = [{**card, "owner": "Ana", "channel": "", "tier": "sql", "qualifiers": ["web"]} for card in cards]
    page = Page(make_page(cards=3))
    assert page.values("data-filter") == ["tier", "channel", "owner", "qualifiers", "judged"]
    assert Page(render_review({**make_context(cards=3), "cards": alike})).values("data-filter") == ["judged"]


def test_empty_tables_still_make_a_page() -> None:
    metrics = make_metrics(
        reliability=[], gains=[], cutoff_curve=[], drivers=[], qualifiers=[], by_channel=[]
    )
    page = Page(render(metrics, [make_card()]))
    assert page.text.count("Nothing to draw.") == 5
    assert "None." in page.text


def test_thirty_cards_each_show_sentences_and_signed_points() -> None:
    page = Page(render(cards=[make_card(i) for i in range(30)]))
    assert page.tags.count("article") == 30
    assert page.text.count("Works in software") >= 30
    for part in ("L-00029", "SQL", "Disqualified", "+14.5", "−3.4", "46.8%", "Head of Operations"):
        assert part in page.text


def test_every_drawing_is_named_or_stands_beside_its_text_and_has_its_table() -> None:
    page = Page(make_page(cards=1))
    waterfall = len(make_context(cards=1)["cards"][0]["figure"]["rows"])
    timelines = 1
    named = page.tags.count("svg") - waterfall - timelines
    assert page.values("aria-hidden") == ["true"] * waterfall
    assert page.values("role").count("img") == named + timelines
    assert page.tags.count("desc") == page.tags.count("figure") == named == 8
    assert page.text.count("The same as a table") == named
    assert page.tags.count("caption") == page.tags.count("table")


def test_the_cutoffs_table_without_script_holds_those_in_use_and_what_lies_beside() -> None:
    page = Page(make_page())
    for told in (
        "MQL, in use 47 53% of snapshots",
        "SQL, −10 points 58 42% of snapshots",
        "MQL, +10 points 57",
    ):
        assert told in page.text


def test_a_review_without_the_optional_parts_does_not_name_them() -> None:
    absent = {"tradeoff": None, "dependence": [], "winners": None, "model_card": None}
    page = Page(make_page(**absent, knows={"does": [], "does_not": []}))
    for heading in (
        "What other cut-offs",
        "strongest features",
        "wins have in common",
        "Model card",
        "knows",
    ):
        assert heading not in page.text.split('{"cards"')[0]


def compute_contrast(first: str, second: str) -> float:
    """Return the WCAG 2 contrast ratio of two colours such as ``#1c2127``."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_colours_reach_contrast_level_aa(scheme: str) -> None:
    roots = re.findall(r":root \{(.*?)\}", render(), re.DOTALL)[:2]
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6});", root)) for root in roots)
    colours = light if scheme == "light" else {**light, **dark}
    pairs = [(text, paper) for text in ("ink", "quiet", "up", "down") for paper in ("paper", "raised")]
    pairs += [("other", "paper"), ("ink", "warn-paper")]
    assert compute_contrast(colours["field"], colours["paper"]) >= 3
    assert min(compute_contrast(colours[a], colours[b]) for a, b in pairs) >= 4.5


def test_the_page_is_written_whole(tmp_path: Path) -> None:
    html = render()
    write_review(html, tmp_path / "reports" / "review.html")
    assert (tmp_path / "reports" / "review.html").read_bytes() == html.encode()
    assert [p.name for p in (tmp_path / "reports").iterdir()] == ["review.html"]
