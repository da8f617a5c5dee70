"""The year in one picture: wins beside the points rule's, what the monitor said, what the gate decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from markupsafe import Markup

from propensity.report.svg import (
    Scale,
    compute_ticks,
    draw_dot,
    draw_line,
    draw_path,
    draw_rect,
    draw_text,
    write_plain,
    write_unit,
)

WIDTH, LEFT, RIGHT, TOP = 900.0, 212.0, 800.0, 44.0
WINS_HEIGHT, ROW = 190.0, 17.0
NAMES = {"loop": "the loop", "once": "trained once", "rule": "points rule", "truth": "the truth"}
SHIFTS = {"DeadFeed": "visits stop", "FewerWins": "half as many wins", "ChannelChange": "referrals change"}
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #333 }
.end { text-anchor: end } .middle { text-anchor: middle }
line { stroke: #ddd } .axis { stroke: #777 } .shift { stroke: #b3261e; stroke-dasharray: 4 3 }
.planted { fill: #b3261e }
path { fill: none; stroke-width: 2.2 }
.loop { stroke: #1f6feb } .once { stroke: #d98324 } .rule { stroke: #888 } .truth { stroke: #2a9d5c }
.alarm { fill: #b3261e } .false { fill: #e8a33d } .promoted { fill: #2a9d5c } .refused { fill: #777 }
@media (prefers-color-scheme: dark) {
text { fill: #ddd } line { stroke: #444 } .axis { stroke: #999 } .shift { stroke: #ff8a80 }
.planted, .alarm { fill: #ff8a80 } }
"""


def draw_year(found: Mapping[str, Any], checks: Mapping[str, str]) -> str:
    """Draw a year.

    Parameters
    ----------
    found : mapping
        As `bench.year.results.gather_results` returns.
    checks : mapping
        Code to name of every check that looked, in the order of the rows.

    Returns
    -------
    str
        An SVG file that needs nothing beside it.
    """
    n_weeks = len(found["weeks"])
    across = Scale(0.5, n_weeks + 0.5, LEFT, RIGHT)
    raster_top = TOP + WINS_HEIGHT + 44
    bottom = raster_top + ROW * (len(checks) + 1)
    parts = _draw_wins(found["by_week"], across)
    parts += _draw_alarms(found["weeks"], checks, across, raster_top)
    parts += _draw_decisions(found["weeks"], across, bottom - ROW)
    parts += _draw_shifts(found, across, bottom)
    for week in range(1, n_weeks + 1):
        if week == 1 or week % 4 == 0:
            parts.append(draw_text("middle", across.at(week), bottom + 16, str(week)))
    parts.append(draw_text("middle", (LEFT + RIGHT) / 2, bottom + 34, "week of the year"))
    return _assemble(parts, bottom + 46)


def _draw_wins(by_week: Mapping[str, Mapping[str, Sequence[float]]], across: Scale) -> list[Markup]:
    """Draw the wins to be expected from all calls so far, less those of the points rule's calls."""
    rule = list(accumulate(by_week["rule"]["truth"]))
    curves = {
        way: [total - base for total, base in zip(accumulate(row["truth"]), rule, strict=True)]
        for way, row in by_week.items()
    }
    values = [value for curve in curves.values() for value in curve]
    ticks = compute_ticks(min(0.0, *values), max(values))
    up = Scale(ticks[0], ticks[-1], TOP + WINS_HEIGHT, TOP)
    parts = [
        draw_text("", 8, TOP + 6, "expected wins of all"),
        draw_text("", 8, TOP + 22, "calls so far, beyond"),
    ]
    parts.append(draw_text("", 8, TOP + 38, "the points rule's"))
    for tick in ticks:
        parts.append(draw_line("axis" if tick == 0 else "", LEFT, up.at(tick), RIGHT, up.at(tick)))
        parts.append(draw_text("end", LEFT - 7, up.at(tick) + 4, write_plain(tick)))
    for way, curve in curves.items():
        parts.append(draw_path(way, [(across.at(week), up.at(v)) for week, v in enumerate(curve, start=1)]))
    return [*parts, *_draw_names({way: up.at(curve[-1]) for way, curve in curves.items()})]


def _draw_names(ends: Mapping[str, float]) -> list[Markup]:
    """Name the curves at their ends, no two names on one another."""
    parts, last = [], 0.0
    for way, y in sorted(ends.items(), key=lambda end: end[1]):
        last = max(y, last + 13)
        parts.append(draw_text("", RIGHT + 6, last + 4, NAMES[way]))
    return parts


def _draw_alarms(
    weeks: Sequence[Mapping[str, Any]], checks: Mapping[str, str], across: Scale, top: float
) -> list[Markup]:
    parts = []
    for row, (code, name) in enumerate(checks.items()):
        y = top + row * ROW
        parts.append(draw_text("end", LEFT - 7, y + 12, f"{code} {name}"))
        parts.append(draw_line("", LEFT, y + ROW, RIGHT, y + ROW))
        for week in weeks:
            told = [alarm["message"] for alarm in week["alarms"] if alarm["code"] == code]
            if told:
                css = "alarm" if week["planted"] else "false"
                x = across.at(week["week"] - 0.4)
                tip = f"week {week['week']}: {' | '.join(told)}"
                parts.append(draw_rect(css, x, y + 3, across.at(0.8) - across.at(0), ROW - 5, tip))
    return parts


def _draw_decisions(weeks: Sequence[Mapping[str, Any]], across: Scale, top: float) -> list[Markup]:
    parts = [draw_text("end", LEFT - 7, top + 12, "the gate")]
    for week in weeks:
        if week["decision"] is not None:
            verdict = week["decision"]["verdict"]
            css = "promoted" if verdict in ("promoted", "forced") else "refused"
            parts.append(draw_dot(css, across.at(week["week"]), top + 8, f"week {week['week']}: {verdict}"))
    return parts


def _draw_shifts(found: Mapping[str, Any], across: Scale, bottom: float) -> list[Markup]:
    """Draw where each shift begins: between the last week that saw nothing of it and the next."""
    parts = []
    for n, shift in enumerate(found["shifts"], start=1):
        week = next((w["week"] for w in found["weeks"] if len(w["planted"]) >= n), None)
        if week is not None:
            x = across.at(week - 0.5)
            parts.append(draw_line("shift", x, TOP - 6, x, bottom))
            parts.append(draw_text("planted", x - 4, TOP - 12 - 13 * (n % 2), SHIFTS[shift["shift"]]))
    return parts


def _assemble(parts: Sequence[Markup], height: float) -> str:
    title = "Wins found, alarms and decisions of the gate, week by week"
    template = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img"><title>{}</title>'
        "<style>{}</style>{}</svg>\n"
    )
    body = Markup("\n").join(parts)
    return str(template.format(write_unit(WIDTH), write_unit(height), title, Markup(STYLE), body))
