"""SVG as escaped text: scales, axes and the few shapes that the charts are drawn with.

A chart is drawn 380 units wide, about a phone's width, so that its text stays legible there and grows
with the page. Colours come from the page's style sheet by class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypedDict
from unicodedata import east_asian_width

from markupsafe import Markup

WIDTH = 380.0
LEFT, RIGHT, TOP, BOTTOM = 50.0, 370.0, 10.0, 250.0
PLOT_HEIGHT = 290.0

Point = tuple[float, float]


class Figure(TypedDict):
    """What a chart is drawn from.

    `name` is unique in the page; `title` and `desc` are read out by screen readers; `rows` are the
    drawn numbers and `marks` what is pointed out among them, each chart saying which keys it needs.
    """

    name: str
    title: str
    desc: str
    rows: list[dict[str, Any]]
    marks: list[dict[str, Any]]


@dataclass(frozen=True)
class Scale:
    """A straight-line map from data (`low` to `high`) to drawing units (`start` to `end`)."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


@dataclass(frozen=True)
class Axis:
    """A scale with its ticks, how a tick is written and what the axis is called."""

    scale: Scale
    ticks: list[float]
    write: Callable[[float], str]
    name: str


def compute_ticks(low: float, high: float, *, about: int = 5) -> list[float]:
    """Return round tick values, a step of 1, 2 or 5 times a power of ten apart.

    The first is at or below `low` and the last at or above `high`, so that they bound an axis. When
    `high` is not above `low` the axis is one unit long.
    """
    high = high if high > low else low + 1
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def draw_frame(x: Axis, y: Axis) -> list[Markup]:
    """Return grid lines, ticks and axis names; the y axis is named inside, at the top left."""
    parts = [draw_line("grid", LEFT, y.scale.at(t), RIGHT, y.scale.at(t)) for t in y.ticks]
    parts += [draw_text("tick end", LEFT - 7, y.scale.at(t) + 4, y.write(t)) for t in y.ticks]
    parts += [draw_text("tick middle", x.scale.at(t), BOTTOM + 17, x.write(t)) for t in x.ticks]
    parts.append(draw_line("axis", LEFT, BOTTOM, RIGHT, BOTTOM))
    parts.append(draw_text("tick middle", (LEFT + RIGHT) / 2, BOTTOM + 35, x.name))
    return [*parts, draw_text("tick", LEFT + 6, y.scale.end + 13, y.name)] if y.name else parts


def make_svg(figure: Figure, height: float, parts: Iterable[Markup]) -> Markup:
    template = Markup(
        '<svg class="chart" viewBox="0 0 {width} {height}" role="img" '
        'aria-labelledby="{name}-title {name}-desc">'
        '<title id="{name}-title">{title}</title><desc id="{name}-desc">{desc}</desc>{body}</svg>'
    )
    return template.format(
        width=write_unit(WIDTH),
        height=write_unit(height),
        name=figure["name"],
        title=figure["title"],
        desc=figure["desc"],
        body=Markup("").join(parts),
    )


def draw_line(css: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    template = Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>')
    return template.format(css, write_unit(x1), write_unit(y1), write_unit(x2), write_unit(y2))


def draw_rect(css: str, x: float, y: float, width: float, height: float, tip: str) -> Markup:
    template = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>')
    return template.format(css, write_unit(x), write_unit(y), write_unit(width), write_unit(height), tip)


def draw_dot(css: str, x: float, y: float, tip: str) -> Markup:
    template = Markup('<circle class="{}" cx="{}" cy="{}" r="4.5"><title>{}</title></circle>')
    return template.format(css, write_unit(x), write_unit(y), tip)


def draw_text(css: str, x: float, y: float, text: str) -> Markup:
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(css, write_unit(x), write_unit(y), text)


def draw_path(css: str, points: list[Point]) -> Markup:
    steps = " ".join(f"{'L' if i else 'M'}{write_unit(x)} {write_unit(y)}" for i, (x, y) in enumerate(points))
    return Markup('<path class="{}" d="{}"/>').format(css, steps) if points else Markup("")


def write_unit(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def write_plain(value: float) -> str:
    return f"{value:,.10g}"


def _width(letter: str) -> float:
    """Return about how wide a letter is, in small letters; a Chinese one takes two."""
    if east_asian_width(letter) in "WF":
        return 2.0
    return 1.5 if letter.isupper() or letter in "mw@%" else 1.0


def write_percent(value: float) -> str:
    return f"{round(value * 100, 8):g}%"


def clip(text: str, limit: int) -> str:
    """Return `text` cut to the width of about `limit` small letters."""
    widths = [_width(letter) for letter in text]
    if sum(widths) <= limit:
        return text
    fitting = sum(width < limit for width in accumulate(widths))
    return text[:fitting].rstrip() + "…"
