"""The review page: it stands alone, hostile text in it stays text, and each figure can be had as a table."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.report.render import write_review
from report_cases import Page, make_card, make_cutoff, make_measures, make_metrics, render

HOSTILE = "<script>alert(1)</script></style></title></svg>\" onload='x' {{ 7 * 7 }} {% raw %}&amp;"


def make_page_with(text: str) -> str:
    """Put `text` wherever the page shows a name, a label or a sentence from the data."""
    metrics = make_metrics(
        by_channel=[{"channel": text, **make_measures()}],
        drivers=[{"feature": text, "label": text, "qualifier": text, "mean_abs_points": 2.0}],
        qualifiers=[{"qualifier": text, "mean_abs_points": 2.0}],
    )
    metrics["split"]["dropped"] = {text or "-": 1292}
    metrics["model"]["candidates"] = {text: {"log_loss": 0.3}}
    metrics["cutoffs"]["sql"] = make_cutoff(policy=text, supported=False, note=text or "-")
    metrics["counts"]["quarantine"] = [{"table": text, "rule": text, "column": text, "rows": 3}]
    reasons = [{"feature": text, "qualifier": text, "value": text, "points": 26.2, "text": text}]
    card = make_card(
        lead_id=text, tier=text, why_shown=text, reasons=reasons, facts=[{"label": text, "value": text}]
    )
    return render(metrics, [card], model_version=text, versions={text: text})


@pytest.fixture(scope="module")
def harmless() -> Page:
    return Page(make_page_with("plain"))


def test_hostile_text_stays_text_everywhere(harmless: Page) -> None:
    page = Page(make_page_with(HOSTILE))
    assert page.tags == harmless.tags
    assert [name for name, _ in page.attributes] == [name for name, _ in harmless.attributes]
    assert "script" not in page.tags
    assert sum(HOSTILE in text for text in page.texts) > 20


@settings(deadline=None, max_examples=50)
@given(text=st.text(max_size=60))
def test_no_text_changes_the_structure_of_the_page(harmless: Page, text: str) -> None:
    page = Page(make_page_with(text))
    assert page.tags == harmless.tags
    assert [name for name, _ in page.attributes] == [name for name, _ in harmless.attributes]


def test_the_page_refers_to_nothing_outside_itself() -> None:
    html = render(cards=[make_card(i) for i in range(30)])
    page = Page(html)
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert not page.values("src")
    assert not page.values("style")
    assert len(html.encode()) < 1_000_000


def test_every_link_leads_to_a_place_in_the_page() -> None:
    page = Page(render(cards=[make_card(i) for i in range(3)]))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in page.values("href")} <= set(ids)
    assert {name for value in page.values("aria-labelledby") for name in value.split()} <= set(ids)


def test_the_security_policy_allows_only_the_pages_own_style() -> None:
    html = render()
    policy = next(v for v in Page(html).values("content") if "default-src" in v)
    style = re.search("<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    assert "unsafe" not in policy
    assert html.index("default-src") < html.index("<style>")


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
    assert page.tags.count("svg") == 36
    assert page.text.count("Works in software") >= 30
    for part in ("L-00029", "SQL", "Disqualified", "+14.5", "−3.4", "46.8%", "Head of Operations"):
        assert part in page.text


def test_every_drawing_is_named_and_has_its_table() -> None:
    page = Page(render(cards=[make_card()]))
    assert len(page.values("aria-labelledby")) == page.tags.count("svg")
    assert page.tags.count("desc") == page.tags.count("svg") == 7
    assert page.tags.count("figure") == 6
    assert page.text.count("The same as a table") == 6
    assert page.tags.count("caption") == page.tags.count("table")


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
    roots = re.findall(r":root \{(.*?)\}", render(), re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6});", root)) for root in roots)
    colours = light if scheme == "light" else {**light, **dark}
    pairs = [(text, paper) for text in ("ink", "quiet", "up", "down") for paper in ("paper", "raised")]
    pairs += [("other", "paper"), ("ink", "warn-paper")]
    assert min(compute_contrast(colours[a], colours[b]) for a, b in pairs) >= 4.5


def test_the_page_is_written_whole(tmp_path: Path) -> None:
    html = render()
    write_review(html, tmp_path / "reports" / "review.html")
    assert (tmp_path / "reports" / "review.html").read_bytes() == html.encode()
    assert [p.name for p in (tmp_path / "reports").iterdir()] == ["review.html"]
