"""Drawings of a lead's card, kept small because a page holds hundreds: the waterfall and the timeline."""

from __future__ import annotations

from typing import Any, TypedDict

from markupsafe import Markup

from propensity.report.svg import WIDTH, Scale, clip, compute_ticks, draw_line, draw_text, write_unit

LANES_LEFT, LANES_RIGHT, LANE = 92.0, 372.0, 20.0
NEAR = 26.0


class Waterfall(TypedDict):
    """The ends of the axis, and one drawing for each step, to stand beside its sentence."""

    low: str
    high: str
    steps: list[Markup]


def draw_waterfall(rows: list[dict[str, Any]]) -> Waterfall:
    """Draw how the points add up to a score, one drawing a row from the first to the last.

    Rows hold `start` and `end` (points) and `kind` (`total`, `up`, `down` or `flat`). The axis spans 0
    to 100 and further where a running sum does. A thin line leads from the end of a step to the next.
    """
    reach = [0.0, 100.0, *(r["end"] for r in rows), *(r["start"] for r in rows)]
    x = Scale(min(reach), max(reach), 0.0, 100.0)
    ends = [None, *(x.at(r["end"]) for r in rows[:-1])]
    steps = [_draw_step(before, row, x) for before, row in zip(ends, rows, strict=False)]
    return {"low": f"{x.low:.0f}".replace("-", "−"), "high": f"{x.high:.0f}", "steps": steps}


def _draw_step(before: float | None, row: dict[str, Any], x: Scale) -> Markup:
    left, right = sorted((x.at(row["start"]), x.at(row["end"])))
    width = write_unit(max(round(right - left, 1), 0.2))
    join = Markup("") if before is None else Markup('<rect x="{}%"/>').format(_tenth(before))
    bar = Markup('<rect class="{}" x="{}%" width="{}%"/>').format(row["kind"], _tenth(left), width)
    return Markup('<svg aria-hidden="true">{}{}</svg>').format(join, bar)


def _tenth(value: float) -> str:
    return write_unit(round(value, 1))


def draw_timeline(timeline: dict[str, Any]) -> Markup:
    """Draw what a lead did, a dot for each action, with the moment it was scored.

    `start`, `end` and `moment` are days, `lanes` hold a `name` and `marks` of `x` (days), `text` and
    `after`: true for what came after the moment, which the score did not know.
    """
    low, high = timeline["start"], max(timeline["end"], timeline["start"] + 1.0)
    x = Scale(low, high, LANES_LEFT, LANES_RIGHT)
    floor = LANE * max(len(timeline["lanes"]), 1) + 12
    moment = x.at(timeline["moment"])
    parts = [draw_line("moment", moment, 6, moment, floor), *_ticks(x, timeline, floor)]
    for i, lane in enumerate(timeline["lanes"]):
        y = LANE * i + 22
        parts += [draw_line("grid", LANES_LEFT, y, LANES_RIGHT, y)]
        parts += [draw_text("label end", LANES_LEFT - 8, y + 4, clip(lane["name"], 13))]
        parts += [_draw_marks(css, lane["marks"], x, y, after=after) for css, after in KINDS_OF_MARK]
    template = Markup('<svg class="chart timeline" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return template.format(
        write_unit(WIDTH), write_unit(floor + 18), timeline["caption"], Markup("").join(parts)
    )


KINDS_OF_MARK = (("did", False), ("did after", True))


def _draw_marks(css: str, marks: list[dict[str, Any]], x: Scale, y: float, *, after: bool) -> Markup:
    """A stroke of no length with round ends is a dot, in the fewest letters."""
    dots = sorted({_tenth(x.at(m["x"])) for m in marks if bool(m["after"]) is after}, key=float)
    path = "".join(f"M{at} {write_unit(y)}h0" for at in dots)
    return Markup('<path class="{}" d="{}"/>').format(css, path) if dots else Markup("")


def _ticks(x: Scale, timeline: dict[str, Any], floor: float) -> list[Markup]:
    """Days around the moment, left out where they would stand on each other's feet."""
    moment = x.at(timeline["moment"])
    days = [t for t in compute_ticks(x.low, x.high, about=4) if x.low <= t <= x.high]
    shown = [t for t in days if abs(x.at(t) - moment) > NEAR]
    parts = [draw_text("tick middle", x.at(t), floor + 14, f"{t:+g} d".replace("-", "−")) for t in shown]
    return [*parts, draw_text("tick middle", moment, floor + 14, "scored")]
