"""Charts as SVG text: each function takes a figure's numbers and returns markup for the page.

A chart is drawn 380 units wide, about a phone's width, so that its text stays legible there and grows
with the page. Colours come from the page's style sheet by class; every text is escaped.
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
LABELS_RIGHT, BARS_RIGHT = 106.0, 336.0
ROW = 22.0

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


def draw_reliability(figure: Figure) -> Markup:
    """Draw observed against predicted frequency.

    Rows hold `mean_predicted`, `observed`, `low`, `high` (all 0 to 1) and `text`. A point on the
    diagonal means that what was predicted happened; the stroke through it is its interval.
    """
    rows = figure["rows"]
    ticks = compute_ticks(
        0.0, max((max(r["mean_predicted"], r["observed"], r["high"]) for r in rows), default=1)
    )
    x, y = Scale(ticks[0], ticks[-1], LEFT, RIGHT), Scale(ticks[0], ticks[-1], BOTTOM, TOP)
    diagonal = _line("guide", LEFT, BOTTOM, RIGHT, TOP)
    points = [_interval_point(x.at(r["mean_predicted"]), y, r) for r in rows]
    frame = _frame(Axis(x, ticks, _percent, "predicted probability"), Axis(y, ticks, _percent, "share won"))
    return _svg(figure, PLOT_HEIGHT, [*frame, diagonal, *points])


def draw_gains(figure: Figure) -> Markup:
    """Draw the share of wins reached against the share of leads contacted, best first.

    Rows hold `x` and `y` (0 to 1), in order of `x`; marks hold `x`, `y` and `text`. The diagonal is
    contacting at random.
    """
    ticks = compute_ticks(0.0, 1.0)
    x, y = Scale(0.0, 1.0, LEFT, RIGHT), Scale(0.0, 1.0, BOTTOM, TOP)
    curve = [(x.at(r["x"]), y.at(r["y"])) for r in [{"x": 0.0, "y": 0.0}, *figure["rows"]]]
    across = Axis(x, ticks, _percent, "share of leads contacted, best first")
    parts = _frame(across, Axis(y, ticks, _percent, "share of wins"))
    parts += [_line("guide", LEFT, BOTTOM, RIGHT, TOP), _path("curve", curve)]
    for mark in figure["marks"]:
        parts += [
            _circle("dot", x.at(mark["x"]), y.at(mark["y"]), mark["text"]),
            _text("note", x.at(mark["x"]) + 9, y.at(mark["y"]) + 14, mark["text"]),
        ]
    return _svg(figure, PLOT_HEIGHT, parts)


def draw_delay(figure: Figure) -> Markup:
    """Draw the cumulative shares won, with its interval, and lost.

    Rows hold `days`, `won`, `won_low`, `won_high`, `lost` (shares, 0 to 1), in order of days; marks hold
    `days` and `text`, one for the horizon.
    """
    rows = figure["rows"]
    across = compute_ticks(0.0, max((r["days"] for r in rows), default=1.0))
    up = compute_ticks(0.0, max((max(r["won_high"], r["lost"]) for r in rows), default=1.0))
    x, y = Scale(across[0], across[-1], LEFT, RIGHT), Scale(up[0], up[-1], BOTTOM, TOP)
    parts = _frame(
        Axis(x, across, _plain, "days since the lead came"), Axis(y, up, _percent, "share of leads")
    )
    for mark in figure["marks"]:
        if mark["days"] <= across[-1]:
            parts.append(_line("guide", x.at(mark["days"]), BOTTOM, x.at(mark["days"]), TOP))
            parts.append(_text("note", x.at(mark["days"]) + 6, BOTTOM - 10, mark["text"]))
    for series, css in (
        ("won_low", "bound"),
        ("won_high", "bound"),
        ("won", "curve precision"),
        ("lost", "curve share"),
    ):
        parts.append(_path(css, [(x.at(r["days"]), y.at(r[series])) for r in rows]))
    if rows:
        last = rows[-1]
        parts += [
            _text("note", x.at(last["days"]) - 34, y.at(last[name]) - 6, name) for name in ("won", "lost")
        ]
    return _svg(figure, PLOT_HEIGHT, parts)


def draw_cutoff_curve(figure: Figure) -> Markup:
    """Draw precision, recall and share of leads at or above each score.

    Rows hold `score`, `precision`, `recall`, `share` (0 to 1, or None where undefined), in order of
    score; marks hold `score` and `text`, one for each cut-off.
    """
    scores = [r["score"] for r in [*figure["rows"], *figure["marks"]]]
    ticks = compute_ticks(min(scores, default=0.0), max(scores, default=100.0))
    x, y = Scale(ticks[0], ticks[-1], LEFT, RIGHT), Scale(0.0, 1.0, BOTTOM, TOP + 52)
    across = Axis(x, ticks, _plain, "score of the cut-off")
    parts = _frame(across, Axis(y, compute_ticks(0.0, 1.0), _percent, ""))
    for series in ("precision", "recall", "share"):
        known = [r for r in figure["rows"] if r[series] is not None]
        parts.append(_path(f"curve {series}", [(x.at(r["score"]), y.at(r[series])) for r in known]))
    return _svg(figure, PLOT_HEIGHT, [*parts, *_legend(), *_cutoff_lines(x, figure["marks"], top=TOP + 18)])


def draw_histogram(figure: Figure) -> Markup:
    """Draw how many leads have which score.

    Rows hold `low`, `high` (scores), `n` and `text`; marks hold `score` and `text`.
    """
    rows = figure["rows"]
    counts = [t for t in compute_ticks(0.0, max((r["n"] for r in rows), default=1)) if t == int(t)]
    x, y = Scale(0.0, 100.0, LEFT, RIGHT), Scale(counts[0], counts[-1], BOTTOM, TOP + 30)
    parts = _frame(Axis(x, compute_ticks(0.0, 100.0), _plain, "score"), Axis(y, counts, _plain, ""))
    for r in rows:
        left, top = x.at(r["low"]) + 1, y.at(r["n"])
        parts.append(_rect("bar", left, top, x.at(r["high"]) - 1 - left, BOTTOM - top, r["text"]))
    return _svg(figure, PLOT_HEIGHT, [*parts, *_cutoff_lines(x, figure["marks"], top=TOP)])


def draw_bars(figure: Figure) -> Markup:
    """Draw one horizontal bar a row, its label above it.

    Rows hold `label`, `value` (at least 0) and `text`, the value as it is to be read.
    """
    longest = max((r["value"] for r in figure["rows"]), default=0.0) or 1.0
    x = Scale(0.0, longest, 1.0, 318.0)
    parts: list[Markup] = []
    for i, r in enumerate(figure["rows"]):
        top, end = i * 38.0, x.at(r["value"])
        parts.append(_text("label", 1, top + 14, _clip(r["label"], 54)))
        parts.append(_rect("bar", 1, top + 19, max(end - 1, 0.5), 11, f"{r['label']}: {r['text']}"))
        parts.append(_text("value", end + 6, top + 29, r["text"]))
    return _svg(figure, max(len(figure["rows"]) * 38.0, 20.0), parts)


def draw_waterfall(figure: Figure) -> Markup:
    """Draw how the points add up to a score, one bar a row from the first to the last.

    Rows hold `label`, `start` and `end` (points), `kind` (`total`, `up`, `down` or `flat`) and `text`.
    The axis spans 0 to 100 and further where a running sum does.
    """
    rows = figure["rows"]
    reach = [0.0, 100.0, *(r["end"] for r in rows), *(r["start"] for r in rows)]
    x = Scale(min(reach), max(reach), LABELS_RIGHT, BARS_RIGHT)
    floor = len(rows) * ROW + 4
    parts = [_line("grid", x.at(t), 0, x.at(t), floor) for t in (0.0, 50.0, 100.0)]
    parts += [_text("tick middle", x.at(t), floor + 14, _plain(t)) for t in (0.0, 50.0, 100.0)]
    for i, r in enumerate(rows):
        parts += _step(r, x, i * ROW)
        if i + 1 < len(rows):
            parts.append(_line("join", x.at(r["end"]), i * ROW + 18, x.at(r["end"]), (i + 1) * ROW + 4))
    return _svg(figure, floor + 20, parts)


def _step(row: dict[str, Any], x: Scale, top: float) -> list[Markup]:
    left, right = sorted((x.at(row["start"]), x.at(row["end"])))
    return [
        _text("label end", LABELS_RIGHT - 8, top + 15, _clip(row["label"], 15)),
        _rect(
            f"step {row['kind']}", left, top + 4, max(right - left, 0.5), 14, f"{row['label']}: {row['text']}"
        ),
        _text("value", right + 5, top + 15, row["text"]),
    ]


def _interval_point(x: float, y: Scale, row: dict[str, Any]) -> Markup:
    whisker = _line("whisker", x, y.at(row["low"]), x, y.at(row["high"]))
    return whisker + _circle("dot", x, y.at(row["observed"]), row["text"])


def _legend() -> list[Markup]:
    parts: list[Markup] = []
    labels = (("precision", "share won (precision)"), ("recall", "wins kept (recall)"), ("share", "leads"))
    for left, (series, label) in zip((8.0, 164.0, 304.0), labels, strict=True):
        parts += [_path(f"curve {series}", [(left, 6), (left + 18, 6)]), _text("tick", left + 22, 10, label)]
    return parts


def _cutoff_lines(x: Scale, marks: list[dict[str, Any]], *, top: float) -> list[Markup]:
    """The lowest cut-off is named on its left and the others on their right, where there is room."""
    parts: list[Markup] = []
    for i, mark in enumerate(sorted(marks, key=lambda m: float(m["score"]))):
        at, height, room = x.at(mark["score"]), top + 12 + 15 * i, 7.5 * len(mark["text"])
        left = at - LEFT > room if i == 0 else RIGHT - at < room
        parts.append(_line("cutoff", at, height - 10, at, BOTTOM))
        parts.append(_text("note end" if left else "note", at + (-5 if left else 5), height, mark["text"]))
    return parts


def _frame(x: Axis, y: Axis) -> list[Markup]:
    """Return grid lines, ticks and axis names; the y axis is named inside, at the top left."""
    parts = [_line("grid", LEFT, y.scale.at(t), RIGHT, y.scale.at(t)) for t in y.ticks]
    parts += [_text("tick end", LEFT - 7, y.scale.at(t) + 4, y.write(t)) for t in y.ticks]
    parts += [_text("tick middle", x.scale.at(t), BOTTOM + 17, x.write(t)) for t in x.ticks]
    parts.append(_line("axis", LEFT, BOTTOM, RIGHT, BOTTOM))
    parts.append(_text("tick middle", (LEFT + RIGHT) / 2, BOTTOM + 35, x.name))
    return [*parts, _text("tick", LEFT + 6, y.scale.end + 13, y.name)] if y.name else parts


def _svg(figure: Figure, height: float, parts: Iterable[Markup]) -> Markup:
    template = Markup(
        '<svg class="chart" viewBox="0 0 {width} {height}" role="img" '
        'aria-labelledby="{name}-title {name}-desc">'
        '<title id="{name}-title">{title}</title><desc id="{name}-desc">{desc}</desc>{body}</svg>'
    )
    return template.format(
        width=_unit(WIDTH),
        height=_unit(height),
        name=figure["name"],
        title=figure["title"],
        desc=figure["desc"],
        body=Markup("").join(parts),
    )


def _line(css: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    template = Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>')
    return template.format(css, _unit(x1), _unit(y1), _unit(x2), _unit(y2))


def _rect(css: str, x: float, y: float, width: float, height: float, tip: str) -> Markup:
    template = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>')
    return template.format(css, _unit(x), _unit(y), _unit(width), _unit(height), tip)


def _circle(css: str, x: float, y: float, tip: str) -> Markup:
    template = Markup('<circle class="{}" cx="{}" cy="{}" r="4.5"><title>{}</title></circle>')
    return template.format(css, _unit(x), _unit(y), tip)


def _text(css: str, x: float, y: float, text: str) -> Markup:
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(css, _unit(x), _unit(y), text)


def _path(css: str, points: list[Point]) -> Markup:
    steps = " ".join(f"{'L' if i else 'M'}{_unit(x)} {_unit(y)}" for i, (x, y) in enumerate(points))
    return Markup('<path class="{}" d="{}"/>').format(css, steps) if points else Markup("")


def _unit(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _plain(value: float) -> str:
    return f"{value:,.10g}"


def _width(letter: str) -> float:
    """Return about how wide a letter is, in small letters; a Chinese one takes two."""
    if east_asian_width(letter) in "WF":
        return 2.0
    return 1.5 if letter.isupper() or letter in "mw@%" else 1.0


def _percent(value: float) -> str:
    return f"{round(value * 100, 8):g}%"


def _clip(text: str, limit: int) -> str:
    """Return `text` cut to the width of about `limit` small letters."""
    widths = [_width(letter) for letter in text]
    if sum(widths) <= limit:
        return text
    fitting = sum(width < limit for width in accumulate(widths))
    return text[:fitting].rstrip() + "…"
