"""Charts of the page: each function takes a figure's numbers and returns SVG."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from propensity.report.svg import (
    BOTTOM,
    LEFT,
    PLOT_HEIGHT,
    RIGHT,
    TOP,
    Axis,
    Figure,
    Scale,
    clip,
    compute_ticks,
    draw_dot,
    draw_frame,
    draw_line,
    draw_path,
    draw_rect,
    draw_text,
    make_svg,
    write_percent,
    write_plain,
)

LEVELS_LEFT, LEVEL, MOST_TICKS = 130.0, 26.0, 6


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
    diagonal = draw_line("guide", LEFT, BOTTOM, RIGHT, TOP)
    points = [_interval_point(x.at(r["mean_predicted"]), y, r) for r in rows]
    frame = draw_frame(
        Axis(x, ticks, write_percent, "predicted probability"), Axis(y, ticks, write_percent, "share won")
    )
    return make_svg(figure, PLOT_HEIGHT, [*frame, diagonal, *points])


def draw_gains(figure: Figure) -> Markup:
    """Draw the share of wins reached against the share of leads contacted, best first.

    Rows hold `x` and `y` (0 to 1), in order of `x`; marks hold `x`, `y` and `text`. The diagonal is
    contacting at random.
    """
    ticks = compute_ticks(0.0, 1.0)
    x, y = Scale(0.0, 1.0, LEFT, RIGHT), Scale(0.0, 1.0, BOTTOM, TOP)
    curve = [(x.at(r["x"]), y.at(r["y"])) for r in [{"x": 0.0, "y": 0.0}, *figure["rows"]]]
    across = Axis(x, ticks, write_percent, "share of leads contacted, best first")
    parts = draw_frame(across, Axis(y, ticks, write_percent, "share of wins"))
    parts += [draw_line("guide", LEFT, BOTTOM, RIGHT, TOP), draw_path("curve", curve)]
    for mark in figure["marks"]:
        parts += [
            draw_dot("dot", x.at(mark["x"]), y.at(mark["y"]), mark["text"]),
            draw_text("note", x.at(mark["x"]) + 9, y.at(mark["y"]) + 14, mark["text"]),
        ]
    return make_svg(figure, PLOT_HEIGHT, parts)


def draw_delay(figure: Figure) -> Markup:
    """Draw the cumulative shares won, with its interval, and lost.

    Rows hold `days`, `won`, `won_low`, `won_high`, `lost` (shares, 0 to 1), in order of days; marks hold
    `days` and `text`, one for the horizon.
    """
    rows = figure["rows"]
    across = compute_ticks(0.0, max((r["days"] for r in rows), default=1.0))
    up = compute_ticks(0.0, max((max(r["won_high"], r["lost"]) for r in rows), default=1.0))
    x, y = Scale(across[0], across[-1], LEFT, RIGHT), Scale(up[0], up[-1], BOTTOM, TOP)
    parts = draw_frame(
        Axis(x, across, write_plain, "days since the lead came"), Axis(y, up, write_percent, "share of leads")
    )
    for mark in figure["marks"]:
        if mark["days"] <= across[-1]:
            parts.append(draw_line("guide", x.at(mark["days"]), BOTTOM, x.at(mark["days"]), TOP))
            parts.append(draw_text("note", x.at(mark["days"]) + 6, BOTTOM - 10, mark["text"]))
    for series, css in (
        ("won_low", "bound"),
        ("won_high", "bound"),
        ("won", "curve precision"),
        ("lost", "curve share"),
    ):
        parts.append(draw_path(css, [(x.at(r["days"]), y.at(r[series])) for r in rows]))
    if rows:
        last = rows[-1]
        parts += [
            draw_text("note", x.at(last["days"]) - 34, y.at(last[name]) - 6, name) for name in ("won", "lost")
        ]
    return make_svg(figure, PLOT_HEIGHT, parts)


def draw_cutoff_curve(figure: Figure) -> Markup:
    """Draw precision, recall and share of leads at or above each score.

    Rows hold `score`, `precision`, `recall`, `share` (0 to 1, or None where undefined), in order of
    score; marks hold `score` and `text`, one for each cut-off.
    """
    scores = [r["score"] for r in [*figure["rows"], *figure["marks"]]]
    ticks = compute_ticks(min(scores, default=0.0), max(scores, default=100.0))
    x, y = Scale(ticks[0], ticks[-1], LEFT, RIGHT), Scale(0.0, 1.0, BOTTOM, TOP + 52)
    across = Axis(x, ticks, write_plain, "score of the cut-off")
    parts = draw_frame(across, Axis(y, compute_ticks(0.0, 1.0), write_percent, ""))
    for series in ("precision", "recall", "share"):
        known = [r for r in figure["rows"] if r[series] is not None]
        parts.append(draw_path(f"curve {series}", [(x.at(r["score"]), y.at(r[series])) for r in known]))
    return make_svg(
        figure, PLOT_HEIGHT, [*parts, *_legend(), *_cutoff_lines(x, figure["marks"], top=TOP + 18)]
    )


def draw_histogram(figure: Figure) -> Markup:
    """Draw how many leads have which score.

    Rows hold `low`, `high` (scores), `n` and `text`; marks hold `score` and `text`.
    """
    rows = figure["rows"]
    counts = [t for t in compute_ticks(0.0, max((r["n"] for r in rows), default=1)) if t == int(t)]
    x, y = Scale(0.0, 100.0, LEFT, RIGHT), Scale(counts[0], counts[-1], BOTTOM, TOP + 30)
    parts = draw_frame(
        Axis(x, compute_ticks(0.0, 100.0), write_plain, "score"), Axis(y, counts, write_plain, "")
    )
    for r in rows:
        left, top = x.at(r["low"]) + 1, y.at(r["n"])
        parts.append(draw_rect("bar", left, top, x.at(r["high"]) - 1 - left, BOTTOM - top, r["text"]))
    return make_svg(figure, PLOT_HEIGHT, [*parts, *_cutoff_lines(x, figure["marks"], top=TOP)])


def draw_bars(figure: Figure) -> Markup:
    """Draw one horizontal bar a row, its label above it.

    Rows hold `label`, `value` (at least 0) and `text`, the value as it is to be read.
    """
    longest = max((r["value"] for r in figure["rows"]), default=0.0) or 1.0
    x = Scale(0.0, longest, 1.0, 318.0)
    parts: list[Markup] = []
    for i, r in enumerate(figure["rows"]):
        top, end = i * 38.0, x.at(r["value"])
        parts.append(draw_text("label", 1, top + 14, clip(r["label"], 54)))
        parts.append(draw_rect("bar", 1, top + 19, max(end - 1, 0.5), 11, f"{r['label']}: {r['text']}"))
        parts.append(draw_text("value", end + 6, top + 29, r["text"]))
    return make_svg(figure, max(len(figure["rows"]) * 38.0, 20.0), parts)


def draw_dependence(figure: Figure, *, kind: str) -> Markup:
    """Draw the points that a feature gives by its value.

    Rows hold `x` (a text), `y` (mean points), `low` and `high` (points) and `text`, in order of x. With
    `kind` `number` they are bins, evenly spaced; with `category` one line each.
    """
    return _draw_bins(figure) if kind == "number" else _draw_levels(figure)


def _draw_bins(figure: Figure) -> Markup:
    rows = figure["rows"]
    ticks = compute_ticks(*_reach(rows))
    x, y = Scale(-0.5, max(len(rows), 1) - 0.5, LEFT, RIGHT), Scale(ticks[0], ticks[-1], BOTTOM, TOP)
    band = [(x.at(i), y.at(r["low"])) for i, r in enumerate(rows)]
    band += [(x.at(i), y.at(rows[i]["high"])) for i in reversed(range(len(rows)))]
    parts = draw_frame(Axis(x, [], write_plain, figure["desc"]), Axis(y, ticks, write_plain, "points"))
    parts += [draw_path("band", band), draw_line("axis", LEFT, y.at(0), RIGHT, y.at(0))]
    parts.append(draw_path("curve", [(x.at(i), y.at(r["y"])) for i, r in enumerate(rows)]))
    parts += [draw_dot("dot", x.at(i), y.at(r["y"]), r["text"]) for i, r in enumerate(rows)]
    every = max(1, -(-len(rows) // MOST_TICKS))
    parts += [
        draw_text("tick middle", x.at(i), BOTTOM + 17, clip(rows[i]["x"], 12))
        for i in range(0, len(rows), every)
    ]
    return make_svg(figure, PLOT_HEIGHT, parts)


def _draw_levels(figure: Figure) -> Markup:
    rows = figure["rows"]
    ticks, floor = compute_ticks(*_reach(rows)), len(rows) * LEVEL + 4
    x = Scale(ticks[0], ticks[-1], LEVELS_LEFT, RIGHT - 4)
    parts = [draw_line("grid", x.at(t), 0, x.at(t), floor) for t in ticks]
    parts += [draw_text("tick middle", x.at(t), floor + 15, write_plain(t)) for t in ticks]
    parts.append(draw_line("axis", x.at(0), 0, x.at(0), floor))
    for i, r in enumerate(rows):
        middle = i * LEVEL + LEVEL / 2
        parts.append(draw_text("label end", LEVELS_LEFT - 10, middle + 4, clip(r["x"], 18)))
        parts.append(draw_line("whisker", x.at(r["low"]), middle, x.at(r["high"]), middle))
        parts.append(draw_dot("dot", x.at(r["y"]), middle, r["text"]))
    parts.append(draw_text("tick middle", (LEVELS_LEFT + RIGHT) / 2, floor + 32, "points"))
    return make_svg(figure, floor + 38, parts)


def _reach(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Return the least and the largest of what is drawn, nought among it."""
    values = [0.0, *(float(r[key]) for r in rows for key in ("y", "low", "high"))]
    return min(values), max(values)


def _interval_point(x: float, y: Scale, row: dict[str, Any]) -> Markup:
    whisker = draw_line("whisker", x, y.at(row["low"]), x, y.at(row["high"]))
    return whisker + draw_dot("dot", x, y.at(row["observed"]), row["text"])


def _legend() -> list[Markup]:
    parts: list[Markup] = []
    labels = (("precision", "share won (precision)"), ("recall", "wins kept (recall)"), ("share", "leads"))
    for left, (series, label) in zip((8.0, 164.0, 304.0), labels, strict=True):
        parts += [
            draw_path(f"curve {series}", [(left, 6), (left + 18, 6)]),
            draw_text("tick", left + 22, 10, label),
        ]
    return parts


def _cutoff_lines(x: Scale, marks: list[dict[str, Any]], *, top: float) -> list[Markup]:
    """The lowest cut-off is named on its left and the others on their right, where there is room."""
    parts: list[Markup] = []
    for i, mark in enumerate(sorted(marks, key=lambda m: float(m["score"]))):
        at, height, room = x.at(mark["score"]), top + 12 + 15 * i, 7.5 * len(mark["text"])
        left = at - LEFT > room if i == 0 else RIGHT - at < room
        parts.append(draw_line("cutoff", at, height - 10, at, BOTTOM))
        parts.append(
            draw_text("note end" if left else "note", at + (-5 if left else 5), height, mark["text"])
        )
    return parts
