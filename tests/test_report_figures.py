"""The figures of the review: where charts draw, how much they show, and how numbers are written."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest

from propensity.report import charts
from propensity.report.context import build_context
from propensity.report.numbers import age, points, share, signed
from report_cases import MANIFEST, build, get_texts, make_card, make_measures, make_metrics, make_scores


def make_figure(rows: list[dict[str, Any]], marks: list[dict[str, Any]] | None = None) -> charts.Figure:
    return {"name": "f", "title": "t", "desc": "d", "rows": rows, "marks": marks or []}


def find_shapes(svg: str, tag: str, css: str) -> list[dict[str, float]]:
    found = re.findall(f'<{tag} class="{css}" ([^>]*?)/?>', svg)
    return [{k: float(v) for k, v in re.findall(r'(\w+)="([-\d.]+)"', attributes)} for attributes in found]


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
    assert 'class="curve precision" d="M50 203"' in svg
    assert 'class="curve recall" d="M50 62 L370 250"' in svg
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


def test_text_in_a_drawing_is_escaped() -> None:
    rows = [{"label": "</text><script>", "value": 2.0, "text": "2.00"}]
    svg = charts.draw_bars({"name": "b", "title": "<b>", "desc": '"><script>', "rows": rows, "marks": []})
    assert "<script" not in svg
    assert "&lt;/text&gt;&lt;script&gt;" in svg
    assert '<title id="b-title">&lt;b&gt;</title>' in svg


def test_cut_figures_and_tables_say_how_much_they_show() -> None:
    drivers = [
        {"feature": f"f{i}", "label": f"f{i}", "qualifier": "web", "mean_abs_points": i} for i in range(120)
    ]
    gains = [{"share_contacted": k / 200, "share_won": k / 200, "lift": 1.0} for k in range(201)]
    metrics = make_metrics(drivers=drivers, gains=gains)
    metrics["counts"]["quarantine"] = [
        {"table": "events", "rule": f"r{i}", "column": None, "rows": i} for i in range(130)
    ]
    context = build(metrics)
    figures = context["figures"]
    assert figures["drivers"]["title"] == "Points by feature; 15 of 120, the largest"
    assert [r["label"] for r in figures["drivers"]["rows"]][:2] == ["F119", "F118"]
    assert figures["drivers"]["table"]["caption"] == "Points by feature; 100 of 120, the largest"
    assert figures["gains"]["table"]["caption"] == "Gains, test part; 25 of 200, evenly spaced"
    assert context["tables"]["quarantine"]["caption"].endswith("; 100 of 130, the largest")
    assert get_texts(context["tables"]["quarantine"])[0] == ["events", "r129", "whole row", "129"]
    assert build()["figures"]["drivers"]["title"] == "Points by feature"


def test_a_cutoff_curve_leaves_out_a_handful_of_snapshots_and_repeated_scores() -> None:
    # Of 1,000 snapshots 20 are 2%.
    held = [
        {"probability": p, "score": s, "share": n, "precision": 0.5, "recall": 0.5}
        for p, s, n in ((0.1, 50.0, 0.4), (0.8, 100.0, 0.1), (0.9, 100.0, 0.05), (0.95, 100.0, 0.019))
    ]
    context = build(cutoff_curve=held, calibrate=make_measures(1000))
    rows = context["figures"]["cutoff_curve"]["rows"]
    assert [(r["score"], r["share"]) for r in rows] == [(50.0, 0.4), (100.0, 0.1)]
    more = [{**r, "score": 10.0, "share": 0.02} for r in held[:1]]
    context = build(cutoff_curve=more, calibrate=make_measures(1000))
    assert len(context["figures"]["cutoff_curve"]["rows"]) == 1


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (share(0.004), "0.40%"),
        (share(0.0), "0.0%"),
        (share(None), "not available"),
        (points(0.004), "under 0.01"),
        (points(0.0), "0.00"),
        (signed(-3.44), "−3.4"),
        (signed(-0.04), "0.0"),
        (age(1 / 24), "1 hour"),
        (age(0.5), "12 hours"),
        (age(1.0), "1 day"),
    ],
)
def test_numbers_are_written_for_people(shown: str, expected: str) -> None:
    assert shown == expected


def test_a_long_label_is_cut_to_its_width_and_wide_letters_count_for_more() -> None:
    labels = ("é" * 54, "é" * 55, "漢" * 28, "M" * 37)
    svg = charts.draw_bars(make_figure([{"label": x, "value": 1.0, "text": "1.00"} for x in labels]))
    cut = re.findall(r'class="label"[^>]*>([^<]*)<', svg)
    assert cut == ["é" * 54, "é" * 53 + "…", "漢" * 26 + "…", "M" * 35 + "…"]


def test_the_delay_curve_rises_over_days_and_marks_the_horizon() -> None:
    rows = [
        {"days": 0.0, "won": 0.0, "won_low": 0.0, "won_high": 0.0, "lost": 0.0},
        {"days": 100.0, "won": 0.08, "won_low": 0.07, "won_high": 0.09, "lost": 0.16},
    ]
    svg = charts.draw_delay(make_figure(rows, [{"days": 50.0, "text": "horizon 50 days"}]))
    (guide,) = find_shapes(svg, "line", "guide")
    assert guide["x1"] == guide["x2"]
    left, right = charts.LEFT, charts.RIGHT
    assert guide["x1"] == (left + right) / 2
    assert "horizon 50 days" in svg
    assert svg.count('class="bound"') == 2
