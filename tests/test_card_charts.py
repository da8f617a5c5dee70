"""The drawings of a lead's card: where bars and dots stand."""

from __future__ import annotations

import re
from typing import Any

import pytest

from propensity.report import charts
from propensity.report.card_charts import draw_timeline, draw_waterfall
from propensity.report.svg import Figure
from review_pages import make_timeline


def make_step(start: float, end: float, kind: str) -> dict[str, Any]:
    return {"start": start, "end": end, "kind": kind}


def find_dots(svg: str, css: str) -> list[tuple[float, float]]:
    found = re.search(f'<path class="{css}" d="([^"]*)"', svg)
    return (
        []
        if found is None
        else [(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.]+)h0", found[1])]
    )


def test_waterfall_bars_lead_from_zero_to_the_score() -> None:
    # 40 + 30 - 10 = 60, on an axis of 0 to 100; each line stands at the end of the bar before.
    rows = [
        make_step(0, 40, "total"),
        make_step(40, 70, "up"),
        make_step(70, 60, "down"),
        make_step(0, 60, "total"),
    ]
    drawn = draw_waterfall(rows)
    assert (drawn["low"], drawn["high"]) == ("0", "100")
    assert drawn["steps"] == [
        '<svg aria-hidden="true"><rect class="total" x="0%" width="40%"/></svg>',
        '<svg aria-hidden="true"><rect x="40%"/><rect class="up" x="40%" width="30%"/></svg>',
        '<svg aria-hidden="true"><rect x="70%"/><rect class="down" x="60%" width="10%"/></svg>',
        '<svg aria-hidden="true"><rect x="60%"/><rect class="total" x="0%" width="60%"/></svg>',
    ]


def test_waterfall_makes_room_for_sums_beyond_the_scale() -> None:
    # -50 to 150: half a percent a point, zero at 25%.
    drawn = draw_waterfall([make_step(0, -50, "total"), make_step(-50, 150, "up")])
    assert (drawn["low"], drawn["high"]) == ("−50", "150")
    assert 'x="0%" width="25%"' in drawn["steps"][0]
    assert 'x="0%" width="100%"' in drawn["steps"][1]


def test_a_lead_without_points_has_no_steps() -> None:
    assert draw_waterfall([])["steps"] == []


def test_a_timeline_sets_what_came_after_the_score_apart() -> None:
    # Days -8 to 2 lie on 92 to 372: 28 units a day, the moment at 316. Lanes are 20 apart.
    svg = draw_timeline(make_timeline(6))
    assert find_dots(svg, "did") == [(92, 22), (204, 22), (316, 22)]
    assert find_dots(svg.split("E-mail")[1], "did") == [(148, 42), (260, 42)]
    assert find_dots(svg, "did after") == [(372, 42)]
    assert '<line class="moment" x1="316"' in svg


def test_actions_at_one_moment_are_one_dot() -> None:
    timeline = make_timeline(2)
    timeline["lanes"][0]["marks"] *= 3
    assert len(find_dots(draw_timeline(timeline), "did")) == 1


def test_a_timeline_of_one_moment_is_a_day_long() -> None:
    timeline = {**make_timeline(2), "start": 0.0, "end": 0.0}
    assert '<line class="moment" x1="92"' in draw_timeline(timeline)


def make_plot(rows: list[dict[str, Any]]) -> Figure:
    return {"name": "d", "title": "t", "desc": "x", "rows": rows, "marks": []}


def test_dependence_on_a_number_is_a_line_in_a_band() -> None:
    # Three bins share 320 units: 53.33, 160 and 266.67 from 50; -10 to 10 points on 250 to 10.
    rows = [
        {"x": str(i), "y": y, "low": y - 5, "high": y + 5, "text": "t"}
        for i, y in enumerate((-5.0, 0.0, 5.0))
    ]
    svg = charts.draw_dependence(make_plot(rows), kind="number")
    assert '<path class="curve" d="M103.33 190 L210 130 L316.67 70"/>' in svg
    assert '<path class="band" d="M103.33 250 L210 190 L316.67 130 L316.67 10 L210 70 L103.33 130"/>' in svg


def test_dependence_on_a_category_is_a_dot_for_each_level() -> None:
    # -10 to 10 points on 130 to 366: 11.8 units a point.
    rows = [{"x": "software", "y": 5.0, "low": -10.0, "high": 10.0, "text": "t"}]
    svg = charts.draw_dependence(make_plot(rows), kind="category")
    assert '<line class="whisker" x1="130" y1="13" x2="366" y2="13"/>' in svg
    assert '<circle class="dot" cx="307" cy="13"' in svg


@pytest.mark.parametrize("kind", ["number", "category"])
def test_a_feature_without_points_is_drawn_empty(kind: str) -> None:
    assert "circle" not in charts.draw_dependence(make_plot([]), kind=kind)
