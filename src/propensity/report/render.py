"""The review as one HTML file that needs nothing else: its own style sheet and script, and no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from propensity.data.files import write_text
from propensity.report import charts
from propensity.report.card_charts import draw_timeline, draw_waterfall
from propensity.report.counts import TIERS
from propensity.report.numbers import count, signed, trim
from propensity.report.svg import Figure

DRAWN: dict[str, Callable[[Figure], Markup]] = {
    "reliability": charts.draw_reliability,
    "gains": charts.draw_gains,
    "cutoff_curve": charts.draw_cutoff_curve,
    "qualifiers": charts.draw_bars,
    "drivers": charts.draw_bars,
    "histogram": charts.draw_histogram,
    "delay": charts.draw_delay,
}
STYLES = ("review.css", "leads.css")
SCRIPTS = ("leads.js", "verdicts.js", "tradeoff.js")
ABOUT_CARD = ("index", "lead_id", "model_version", "tier", "channel", "owner", "qualifiers")
FILTERS = (("tier", "Tier"), ("channel", "Channel"), ("owner", "Owner"), ("qualifiers", "Reasons from"))
MOVES = (-10, -5, 0, 5, 10)

Row = dict[str, Any]


def render_review(context: Row) -> str:
    """Return the review page for what `context.build_context` gathered.

    Every value is escaped. The content security policy allows the page's own sheet and script and
    nothing else: no request, no other script, no text that becomes markup. So text from the data stays
    text even where a reader's tool is careless.
    """
    css = "\n".join(map(_read, STYLES))
    script = "\n".join(["(() => {", '"use strict";', *map(_read, SCRIPTS), "})();"])
    figures, cards, tradeoff = context["figures"], context["cards"], context["tradeoff"]
    return (
        _environment()
        .get_template("review.html.j2")
        .render(
            **context,
            drawings={name: figures[name]["rows"] and draw(figures[name]) for name, draw in DRAWN.items()},
            plots=[_draw_plot(i, plot) for i, plot in enumerate(context["dependence"])],
            waterfalls=[draw_waterfall(card["figure"]["rows"]) for card in cards],
            timelines=[card["timeline"] and draw_timeline(card["timeline"]) for card in cards],
            filters=_gather_filters(cards),
            sliders=_place_sliders(tradeoff),
            few_rows=_choose_rows(tradeoff),
            page=_describe_page(context),
            css=Markup(css),  # noqa: S704  our own files
            script=Markup(script),  # noqa: S704  our own files
            style_hash=_csp_hash(css),
            script_hash=_csp_hash(script),
        )
    )


def write_review(html: str, path: Path) -> None:
    """Write the page to `path`, whole or not at all."""
    write_text(html, path)


def _describe_page(context: Row) -> Row:
    """Return what the script has to know exactly, as HTML does not keep every character of a text.

    Verdicts are kept under the name of the model and the newest moment of the cards.
    """
    cards, model = context["cards"], context["heading"]["model_version"]
    newest = max((card["as_of_iso"] for card in cards), default="")
    return {
        "storage": f"propensity review {model} {newest}".strip(),
        "cards": [{**{k: card[k] for k in ABOUT_CARD}, "as_of": card["as_of_iso"]} for card in cards],
        "tradeoff": context["tradeoff"] and context["tradeoff"]["rows"],
    }


def _gather_filters(cards: list[Row]) -> list[Row]:
    """Return what leads can be chosen by: each property that takes more than one value among them."""
    found = []
    for name, label in FILTERS:
        values = {v for card in cards for v in _as_list(card[name])}
        names = {card["tier"]: card["tier_name"] for card in cards} if name == "tier" else {}
        options = [{"value": v, "label": names.get(v, v)} for v in sorted(values)]
        found += [{"name": name, "label": label, "options": options}] if len(options) > 1 else []
    return found


def _as_list(value: Any) -> Iterable[str]:
    return value if isinstance(value, list) else [value] if value else []


def _place_sliders(tradeoff: Row | None) -> list[Row]:
    """Return where each slider stands: at the row whose score is nearest to the cut-off in use."""
    if tradeoff is None:
        return []
    return [
        {"tier": tier, "name": TIERS[tier], "place": _nearest(tradeoff["rows"], tradeoff[tier])}
        for tier in ("mql", "sql")
    ]


def _nearest(rows: list[Row], score: float | None) -> int:
    """A cut-off that is nowhere stands at the last row, above nearly everything."""
    if score is None:
        return len(rows) - 1
    return min(range(len(rows)), key=lambda i: abs(rows[i]["score"] - score))


def _choose_rows(tradeoff: Row | None) -> list[Row]:
    """Return the rows that stand without the script: each cut-off in use and some points beside it."""
    chosen = []
    for slider in _place_sliders(tradeoff):
        rows = (tradeoff or {})["rows"]
        at = rows[slider["place"]]["score"]
        for move in MOVES:
            row = rows[_nearest(rows, at + move)]
            told = "in use" if move == 0 else f"{signed(move).removesuffix('.0')} points"
            chosen.append({**row, "score": trim(row["score"]), "name": f"{slider['name']}, {told}"})
    return chosen


def _draw_plot(index: int, plot: Row) -> Markup | None:
    rows = [{**p, "x": _tell_value(p["x"]), "text": _tell_point(p)} for p in plot["points"]]
    figure: Figure = {
        "name": f"dependence-{index}",
        "title": plot["title"],
        "desc": plot["x_label"],
        "rows": rows,
        "marks": [],
    }
    return charts.draw_dependence(figure, kind=plot["kind"]) if rows else None


def _tell_value(value: Any) -> str:
    return value if isinstance(value, str) else trim(float(f"{value:.4g}"))


def _tell_point(point: Row) -> str:
    spread = f"{signed(point['low'])} to {signed(point['high'])}"
    return f"{_tell_value(point['x'])}: {signed(point['y'])} points, {spread}, n {count(point['n'])}"


def _read(name: str) -> str:
    return files("propensity.report").joinpath("templates", name).read_text(encoding="utf-8")


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("propensity.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _csp_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
