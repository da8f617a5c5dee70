"""The review page: what it says, where its charts draw, and that hostile text in it stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.errors import InputError
from propensity.report import charts
from propensity.report.context import build_context
from propensity.report.render import render_review, write_review

HOSTILE = "<script>alert(1)</script></style></title></svg>\" onload='x' {{ 7 * 7 }} {% raw %}&amp;"
NAMES = ("base_rate", "auc", "average_precision", "log_loss", "brier", "ece", "lift_at_10")
VALUES = (0.122, 0.7412, 0.3309, 0.3123, 0.0912, 0.0114, 3.4)


def make_measures(n: int = 2431, *, shift: float = 0.0, **changed: Any) -> dict[str, Any]:
    measures: dict[str, Any] = {"n": n}
    for name, value in zip(NAMES, VALUES, strict=True):
        measures[name] = value + shift
        measures[f"{name}_interval"] = [value + shift - 0.01, value + shift + 0.012]
    return {**measures, **changed}


def make_cutoff(**changed: Any) -> dict[str, Any]:
    cutoff = {
        "policy": "precision",
        "target": 0.4,
        "confidence": 0.9,
        "probability": 0.41,
        "score": 68.2,
        "supported": True,
        "note": None,
        "n": 2204,
        "precision": 0.462,
        "precision_interval": [0.411, 0.514],
        "recall": 0.351,
        "recall_interval": [0.298, 0.402],
        "share": 0.093,
    }
    return {**cutoff, **changed}


def make_metrics(**changed: Any) -> dict[str, Any]:
    days = [
        ("2024-01-01", "2024-06-30"),
        ("2024-07-01", "2024-08-15"),
        ("2024-08-16", "2024-09-30"),
        ("2024-10-01", "2024-11-15"),
    ]
    parts = {
        name: {"snapshots": 2431 * k, "leads": 980 * k, "wins": 297 * k, "from": first, "to": last}
        for (name, k), (first, last) in zip(
            {"train": 4, "stop": 1, "calibrate": 1, "test": 1}.items(), days, strict=True
        )
    }
    metrics = {
        "split": {
            "by": "time",
            "group": "account_id",
            "parts": parts,
            "dropped": {"label_overlaps_next_part": 1204, "account_on_two_sides": 88},
        },
        "horizon_days": 90,
        "model": {
            "chosen": "blend",
            "candidates": {
                "logistic": {"log_loss": 0.3251, "log_loss_interval": [0.3122, 0.3384]},
                "lightgbm": {"log_loss": 0.3190, "log_loss_interval": [0.3061, 0.3320]},
                "blend": {"log_loss": 0.3145, "log_loss_interval": [0.3022, 0.3271]},
            },
            "calibrator": "beta",
            "calibrators": {
                "sigmoid": {"log_loss": 0.3161, "chosen": False},
                "beta": {"log_loss": 0.3150, "chosen": True},
            },
        },
        "test": make_measures(),
        "calibrate": make_measures(),
        "baselines": {
            "base_rate": make_measures(log_loss=0.371, auc=0.5, ece=0.021, lift_at_10=1.0),
            "points_rule": make_measures(log_loss=0.352, auc=0.641, ece=0.034, lift_at_10=2.1),
        },
        "by_age": [{"age_days": a, **make_measures(500)} for a in (0, 0.0416666667, 3, 7, 14)],
        "by_channel": [
            {"channel": c, **make_measures(n)}
            for c, n in (("paid", 510), ("organic", 1320), ("partner", 211))
        ],
        "reliability": [
            {
                "bin": i + 1,
                "n": 243,
                "mean_predicted": p,
                "observed": o,
                "low": o * 0.75,
                "high": o * 1.25 + 0.01,
            }
            for i, (p, o) in enumerate(
                zip(
                    (0.011, 0.02, 0.031, 0.045, 0.062, 0.083, 0.112, 0.158, 0.243, 0.455),
                    (0.012, 0.016, 0.037, 0.041, 0.07, 0.086, 0.099, 0.172, 0.235, 0.452),
                    strict=True,
                )
            )
        ],
        "gains": [
            {
                "share_contacted": k / 20,
                "share_won": 1 - (1 - k / 20) ** 3,
                "lift": (1 - (1 - k / 20) ** 3) / (k / 20),
            }
            for k in range(1, 21)
        ],
        "cutoff_curve": [
            {
                "probability": k / 101,
                "score": 10.0 + k * 0.8,
                "share": (1 - k / 101) ** 2,
                "precision": 0.12 + 0.7 * k / 101,
                "recall": 1 - (k / 101) ** 2,
            }
            for k in range(1, 101)
        ],
        "cutoffs": {
            "reference_odds": 0.25,
            "mql": make_cutoff(
                policy="recall",
                target=0.8,
                confidence=None,
                score=47.3,
                probability=0.17,
                share=0.31,
                precision=0.261,
                recall=0.803,
                precision_interval=[0.24, 0.29],
                recall_interval=[0.76, 0.85],
            ),
            "sql": make_cutoff(),
        },
        "drivers": [
            {"feature": f"f{i}", "label": label, "qualifier": q, "mean_abs_points": 6.4 / (i + 1) ** 0.7}
            for i, (label, q) in enumerate(
                [
                    ("Visits in the last 30 days", "web"),
                    ("Days since the last form", "web"),
                    ("Industry", "firmographic"),
                    ("Employees", "firmographic"),
                    ("Mails opened in the last 7 days", "email"),
                    ("Seniority", "demographic"),
                    ("Pages of the pricing section seen in the last 90 days, whole account", "web"),
                    ("Age of the lead", "demographic"),
                ]
            )
        ],
        "qualifiers": [
            {"qualifier": q, "mean_abs_points": v}
            for q, v in (
                ("web", 8.21),
                ("firmographic", 5.3),
                ("email", 3.4),
                ("demographic", 2.22),
                ("social", 0.61),
            )
        ],
        "counts": {
            "ingest": [
                {"table": "leads", "read": 20012, "accepted": 20000, "quarantined": 12},
                {"table": "events", "read": 501234, "accepted": 501200, "quarantined": 34},
            ],
            "quarantine": [
                {"table": "leads", "rule": "duplicate_key", "column": "lead_id", "rows": 12},
                {"table": "events", "rule": "in_the_future", "column": "event_at", "rows": 34},
            ],
            "cohort": {
                "leads": 20000,
                "snapshots": 61200,
                "immature": 8123,
                "closed": 2113,
                "disqualified": 1002,
            },
            "tiers": {"disqualified": 212, "nurture": 3120, "mql": 940, "sql": 328},
        },
        "audit": [],
    }
    return {**metrics, **changed}


def make_card(index: int = 0, **changed: Any) -> dict[str, Any]:
    """Points: 42 + 14.5 + 9.1 - 3.4 + 6 = 68.2."""
    told = [
        ("visits_30", "web", "12", 14.5, "Visited 12 times in the last 30 days, more than nine leads in ten"),
        ("industry", "firmographic", "software", 9.1, "Works in software"),
        ("opens_7", "email", "0", -3.4, "Opened no mail in the last 7 days"),
        ("other", "", None, 6.0, "All other evidence"),
    ]
    keys = ("feature", "qualifier", "value", "points", "text")
    card = {
        "lead_id": f"L-{index:05d}",
        "as_of": pd.Timestamp("2025-01-31", tz="UTC"),
        "probability": 0.468,
        "score": 68.2,
        "tier": ("sql", "mql", "nurture", "disqualified")[index // 8],
        "base_points": 42.0,
        "fit_points": 9.1,
        "engagement_points": 17.1,
        "expected_value": 641.5,
        "reasons": [dict(zip(keys, reason, strict=True)) for reason in told],
        "model_version": "2025-02-01.1",
        "scored_at": pd.Timestamp("2025-02-01 04:00", tz="UTC"),
        "why_shown": "top of the queue",
        "facts": [
            {"label": "Job title", "value": "Head of Operations"},
            {"label": "Employees", "value": "1,200"},
            {"label": "Channel", "value": "organic"},
        ],
    }
    return {**card, **changed}


def make_scores(values: Any = None) -> pd.DataFrame:
    scores = np.random.default_rng(3).normal(45, 14, 4600).clip(0, 100) if values is None else values
    rows = [make_card(0, score=float(s)) for s in scores]
    return pd.DataFrame(rows).drop(columns=["why_shown", "facts"])


MANIFEST = {
    "model_version": "2025-02-01.1",
    "data": {"observed_until": "2025-01-31T23:59:10+00:00"},
    "versions": {"python": "3.11.7", "lightgbm": "4.7.0"},
}


def render(
    metrics: dict[str, Any] | None = None, cards: list[dict[str, Any]] | None = None, **manifest: Any
) -> str:
    shown = pd.DataFrame([make_card()] if cards is None else cards)
    scores = make_scores([12.0, 12.5, 68.2])
    return render_review(build_context(metrics or make_metrics(), scores, shown, {**MANIFEST, **manifest}))


class Page(HTMLParser):
    """The tags, attributes and texts a browser would find."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def values(self, name: str) -> list[str]:
        return [value for attribute, value in self.attributes if attribute == name]


def make_page_with(text: str) -> str:
    """Put `text` wherever the page shows a name, a label or a sentence from the data."""
    metrics = make_metrics(
        by_channel=[{"channel": text, **make_measures()}],
        drivers=[{"feature": text, "label": text, "qualifier": text, "mean_abs_points": 2.0}],
        qualifiers=[{"qualifier": text, "mean_abs_points": 2.0}],
    )
    metrics["split"]["dropped"] = {text: 3}
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


def test_text_in_a_drawing_is_escaped() -> None:
    rows = [{"label": "</text><script>", "value": 2.0, "text": "2.00"}]
    svg = charts.draw_bars({"name": "b", "title": "<b>", "desc": '"><script>', "rows": rows, "marks": []})
    assert "<script" not in svg
    assert "&lt;/text&gt;&lt;script&gt;" in svg
    assert '<title id="b-title">&lt;b&gt;</title>' in svg


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


def make_figure(rows: list[dict[str, Any]], marks: list[dict[str, Any]] | None = None) -> charts.Figure:
    return {"name": "f", "title": "t", "desc": "d", "rows": rows, "marks": marks or []}


def find_shapes(svg: str, tag: str, css: str) -> list[dict[str, float]]:
    found = re.findall(f'<{tag} class="{css}" ([^>]*?)/?>', svg)
    return [{k: float(v) for k, v in re.findall(r'(\w+)="([-\d.]+)"', attributes)} for attributes in found]


def test_waterfall_bars_lead_from_zero_to_the_score() -> None:
    # 0..100 points lie on 106..336 units: 2.3 units a point. 40 + 30 - 10 = 60.
    rows = [
        {"label": "Start", "start": 0.0, "end": 40.0, "kind": "total", "text": "40.0"},
        {"label": "1 web", "start": 40.0, "end": 70.0, "kind": "up", "text": "+30.0"},
        {"label": "2 email", "start": 70.0, "end": 60.0, "kind": "down", "text": "−10.0"},
        {"label": "Score", "start": 0.0, "end": 60.0, "kind": "total", "text": "60.0"},
    ]
    svg = charts.draw_waterfall(make_figure(rows))
    start, score = find_shapes(svg, "rect", "step total")
    (up,), (down,) = find_shapes(svg, "rect", "step up"), find_shapes(svg, "rect", "step down")
    assert (start["x"], start["width"], start["y"]) == (106, 92, 4)
    assert (up["x"], up["width"], up["y"]) == (198, 69, 26)
    assert (down["x"], down["width"], down["y"]) == (244, 23, 48)
    assert (score["x"], score["width"], score["y"]) == (106, 138, 70)
    assert down["x"] == score["x"] + score["width"]


def test_waterfall_makes_room_for_sums_beyond_the_scale() -> None:
    # -50..150 lie on 106..336: 1.15 units a point, zero at 163.5.
    rows = [
        {"label": "Start", "start": 0.0, "end": -50.0, "kind": "total", "text": "−50.0"},
        {"label": "1 web", "start": -50.0, "end": 150.0, "kind": "up", "text": "+200.0"},
    ]
    svg = charts.draw_waterfall(make_figure(rows))
    assert find_shapes(svg, "rect", "step total")[0]["x"] == 106
    assert find_shapes(svg, "rect", "step total")[0]["width"] == 57.5
    assert find_shapes(svg, "rect", "step up")[0]["width"] == 230


def test_reliability_points_stand_at_predicted_and_observed() -> None:
    # The largest value, 0.8, ends both axes: x = 50 + 400 p, y = 250 - 300 p.
    rows = [
        {"mean_predicted": 0.2, "observed": 0.4, "low": 0.3, "high": 0.5, "text": "a"},
        {"mean_predicted": 0.7, "observed": 0.6, "low": 0.5, "high": 0.8, "text": "b"},
    ]
    svg = charts.draw_reliability(make_figure(rows))
    dots, whiskers = find_shapes(svg, "circle", "dot"), find_shapes(svg, "line", "whisker")
    assert [(d["cx"], d["cy"]) for d in dots] == [(130, 130), (330, 70)]
    assert whiskers[0] == {"x1": 130, "y1": 160, "x2": 130, "y2": 100}
    assert find_shapes(svg, "line", "guide") == [{"x1": 50, "y1": 250, "x2": 370, "y2": 10}]


def test_gains_curve_starts_at_nothing_and_passes_each_row() -> None:
    rows = [{"x": 0.25, "y": 0.5}, {"x": 1.0, "y": 1.0}]
    svg = charts.draw_gains(make_figure(rows, [{"x": 0.25, "y": 0.5, "text": "half"}]))
    assert 'class="curve" d="M50 250 L130 130 L370 10"' in svg
    assert find_shapes(svg, "circle", "dot") == [{"cx": 130, "cy": 130, "r": 4.5}]


def test_cutoff_curve_marks_both_cutoffs_and_skips_undefined_precision() -> None:
    rows = [
        {"score": 0.0, "precision": 0.25, "recall": 1.0, "share": 1.0},
        {"score": 100.0, "precision": None, "recall": 0.0, "share": 0.0},
    ]
    marks = [{"score": 75.0, "text": "SQL"}, {"score": 50.0, "text": "MQL"}]
    svg = charts.draw_cutoff_curve(make_figure(rows, marks))
    assert 'class="curve precision" d="M50 200"' in svg
    assert 'class="curve recall" d="M50 50 L370 250"' in svg
    assert [line["x1"] for line in find_shapes(svg, "line", "cutoff")] == [210, 290]


def test_histogram_counts_each_lead_once_the_top_score_included() -> None:
    scores = make_scores([0.0, 4.99, 5.0, 100.0])
    context = build_context(make_metrics(), scores, pd.DataFrame([make_card()]), MANIFEST)
    counts = [r["n"] for r in context["figures"]["histogram"]["rows"]]
    assert counts == [2, 1, *[0] * 17, 1]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 0.031, [0, 0.01, 0.02, 0.03, 0.04]),
        (12, 93, [0, 20, 40, 60, 80, 100]),
        (5, 5, [5, 5.2, 5.4, 5.6, 5.8, 6]),
    ],
)
def test_ticks_are_round_and_bound_the_values(low: float, high: float, expected: list[float]) -> None:
    assert charts.compute_ticks(low, high) == pytest.approx(expected)


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
    assert page.tags.count("details") == page.tags.count("figure") == 6
    assert page.tags.count("caption") == page.tags.count("table")


def get_titles(**changed: Any) -> list[str]:
    context = build_context(
        make_metrics(**changed), make_scores([50.0]), pd.DataFrame([make_card()]), MANIFEST
    )
    return [notice["title"] for notice in context["notices"]]


def test_a_dated_split_and_supported_cutoffs_raise_no_notice() -> None:
    assert get_titles() == []


def test_a_random_split_is_said_loudly() -> None:
    metrics = make_metrics()
    metrics["split"]["by"] = "random"
    for part in metrics["split"]["parts"].values():
        part["from"] = part["to"] = None
    page = Page(render(metrics))
    assert "Nothing here was tested on a later period" in page.text
    assert "Results on the test part drawn at random" in page.text
    assert "297 won, undated" in page.text
    assert "later test period" not in page.text


def test_an_unsupported_cutoff_is_said_loudly_with_its_note() -> None:
    cutoff = make_cutoff(supported=False, note="Only 14 wins reach 40%.", score=None, probability=None)
    metrics = make_metrics()
    metrics["cutoffs"]["sql"] = cutoff
    page = Page(render(metrics))
    assert "The SQL cut-off is not supported by the data Only 14 wins reach 40%." in page.text
    assert "The MQL cut-off is not supported" not in page.text
    assert "SQL from" not in page.text


def test_a_model_beaten_by_a_baseline_is_said_loudly() -> None:
    baselines = {"base_rate": make_measures(log_loss=0.30), "points_rule": make_measures(log_loss=None)}
    assert get_titles(baselines=baselines) == ["The model's probabilities are no better than the base rate"]


def test_null_metrics_are_not_available_and_never_zero() -> None:
    nothing = {f"{name}{end}": None for name in NAMES[1:] for end in ("", "_interval")}
    test = {**make_measures(40, base_rate=1.0), **nothing}
    context = build_context(
        make_metrics(test=test), make_scores([50.0]), pd.DataFrame([make_card()]), MANIFEST
    )
    rows = {row[0]["text"]: row[1] for row in context["headline"]["table"]["rows"]}
    assert rows["Ranking (AUC)"] == {"text": "not available", "interval": ""}
    assert rows["Log-loss"] == {"text": "not available", "interval": ""}
    assert rows["Share won"]["text"] == "100.0%"
    assert [n["title"] for n in context["notices"]] == ["The ranking could not be measured"]


def test_audit_findings_are_pointed_out() -> None:
    assert get_titles(audit=[{"code": "PRP101"}]) == ["The audit of the data found something"]


def test_the_context_is_plain_and_its_numbers_are_formatted() -> None:
    context = build_context(make_metrics(), make_scores(), pd.DataFrame([make_card()]), MANIFEST)
    assert json.loads(json.dumps(context, allow_nan=False)) == context
    assert context["heading"]["scored"] == "4,600"
    assert context["headline"]["period"] == "2,431 snapshots of 980 leads, 297 won, 2024-10-01 to 2024-11-15"
    assert context["headline"]["tiles"][0]["text"] == "0.741"
    assert context["headline"]["tiles"][0]["interval"] == "0.731 to 0.753"
    assert [row[0]["text"] for row in context["tables"]["by_age"]["rows"]] == [
        "0 days",
        "1 hour",
        "3 days",
        "7 days",
        "14 days",
    ]


def test_a_score_is_explained_from_the_reference_odds() -> None:
    # Odds 0.25: 20%; ten points less 0.125 / 1.125; twenty points more 1 / 2.
    context = build_context(make_metrics(), make_scores([50.0]), pd.DataFrame([make_card()]), MANIFEST)
    shown = {row[0]["text"]: row[2]["text"] for row in context["reading"]["table"]["rows"]}
    assert shown["50"] == "20.0%"
    assert shown["40"] == "11.1%"
    assert shown["70"] == "50.0%"


def get_steps(**changed: Any) -> list[tuple[str, str]]:
    card = pd.DataFrame([make_card(**changed)])
    context = build_context(make_metrics(), make_scores([50.0]), card, MANIFEST)
    return [(step["label"], step["text"]) for step in context["cards"][0]["figure"]["rows"]]


def test_steps_run_from_the_start_over_the_reasons_to_the_score() -> None:
    assert get_steps() == [
        ("Start", "42.0"),
        ("1 web", "+14.5"),
        ("2 firmographic", "+9.1"),
        ("3 email", "−3.4"),
        ("other", "+6.0"),
        ("Score", "68.2"),
    ]


def test_points_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(InputError, match=r"lead L-00000 should add up to its score 75, they add up to 68\.2"):
        get_steps(score=75.0)


@pytest.mark.parametrize("missing", [None, np.nan, np.array([], dtype=object)])
def test_a_lead_without_reasons_or_facts_has_a_card_without_points(missing: Any) -> None:
    page = Page(
        render(cards=[make_card(reasons=missing, facts=missing, probability=None, expected_value=None)])
    )
    assert "No points were given for this lead." in page.text
    assert "not available won within 90 days" in page.text
    assert "Expected value" not in page.text


def test_rows_that_do_not_add_up_are_refused() -> None:
    metrics = make_metrics()
    metrics["counts"]["ingest"][1]["accepted"] -= 1
    with pytest.raises(InputError, match=r"rows accepted plus quarantined, they do not in table 'events'"):
        render(metrics)


def test_a_missing_section_or_column_is_named() -> None:
    metrics = make_metrics()
    del metrics["gains"]
    with pytest.raises(InputError, match=r"needs 'gains' in reports/metrics\.json"):
        render(metrics)
    without = make_card()
    del without["why_shown"]
    with pytest.raises(InputError, match="needs 'why_shown' in the lead cards"):
        render(cards=[without])


def test_long_tables_are_cut_and_say_so() -> None:
    channels = [{"channel": f"c{i}", **make_measures(i)} for i in range(60)]
    context = build_context(
        make_metrics(by_channel=channels), make_scores([50.0]), pd.DataFrame([make_card()]), MANIFEST
    )
    table = context["tables"]["by_channel"]
    assert [row[0]["text"] for row in table["rows"]] == [f"c{i}" for i in range(59, 34, -1)]
    assert table["caption"] == "By channel, test part; the 25 largest, 35 more left out"


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
