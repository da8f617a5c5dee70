"""The review as one HTML file that needs nothing else: no script, no network, its own style sheet."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from propensity.data.files import write_text
from propensity.report import charts

DRAWN: dict[str, Callable[[charts.Figure], Markup]] = {
    "reliability": charts.draw_reliability,
    "gains": charts.draw_gains,
    "cutoff_curve": charts.draw_cutoff_curve,
    "qualifiers": charts.draw_bars,
    "drivers": charts.draw_bars,
    "histogram": charts.draw_histogram,
    "delay": charts.draw_delay,
}


def render_review(context: dict[str, Any]) -> str:
    """Return the review page for what `context.build_context` gathered.

    Every value is escaped. The content security policy forbids scripts, requests and any style but the
    page's own sheet, so that text from the data stays text even where a reader's tool is careless.
    """
    css = files("propensity.report").joinpath("templates/review.css").read_text(encoding="utf-8")
    drawings = {name: draw(context["figures"][name]) for name, draw in DRAWN.items()}
    return (
        _environment()
        .get_template("review.html.j2")
        .render(
            **context,
            drawings=drawings,
            waterfalls=[charts.draw_waterfall(card["figure"]) for card in context["cards"]],
            css=Markup(css),  # noqa: S704  our own file
            style_hash=_csp_hash(css),
        )
    )


def write_review(html: str, path: Path) -> None:
    """Write the page to `path`, whole or not at all."""
    write_text(html, path)


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
