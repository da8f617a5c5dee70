"""Review pages with every part filled, for tests that read them or open them in a browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from propensity.report.context import build_context
from propensity.report.render import render_review
from report_cases import MANIFEST, make_card, make_metrics, make_scores

TIERS = ("sql", "mql", "nurture", "disqualified")
CHANNELS = ("organic", "partner", "paid")
OWNERS = ("Ana", "Ben")
# What the page uses as a name of its own: no text that is shown.
STRUCTURE = {"name", "kind", "tier", "value", "as_of_iso"}


def make_timeline(marks: int = 6) -> dict[str, Any]:
    """Marks lie two days apart, the last one two days after the moment."""
    days = [2.0 * (i + 2 - marks) for i in range(marks)]
    placed = [{"x": x, "text": f"visit /pricing, day {x:g}", "after": x > 0} for x in days]
    return {
        "start": days[0],
        "end": days[-1],
        "moment": 0.0,
        "lanes": [{"name": "Web", "marks": placed[::2]}, {"name": "E-mail", "marks": placed[1::2]}],
        "more": 3,
        "caption": f"{marks} actions known at the snapshot of 2025-01-31",
    }


def fill_card(card: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Return a card with every part that the page can show of a lead."""
    i = card["index"] - 1
    filled = {
        "tier": TIERS[i % 4],
        "tier_name": TIERS[i % 4].upper(),
        "grade": "B2",
        "channel": CHANNELS[i % 3],
        "owner": OWNERS[i % 2],
        "qualifiers": ["web", "email"] if i % 2 else ["firmographic"],
        "outcome": "Won 12 days later",
        "change": {"text": "+4.0 points since 2025-01-24", "parts": [{"label": "Behaviour", "text": "+4.0"}]},
        "rests_on": ["Visited 12 times in the last 30 days (+14.5)"],
        "timeline": make_timeline(),
        "lifts": {
            "sentence": "Two actions would make it an SQL.",
            "reached": True,
            "options": [{"text": "Asks for a demo", "points": "+8.2", "often": "done by 12% of 930 leads"}],
        },
    }
    return {**card, **filled, **changed}


def make_tradeoff() -> dict[str, Any]:
    """Scores 30 to 80; calling gains 10 a point, nurture 1 a point."""
    rows = [
        {
            "score": score,
            "n": 100 - score,
            "share": (100 - score) / 100,
            "volume": f"{100 - score}% of snapshots",
            "precision": f"{score / 2:g}%",
            "recall": f"{110 - score}%",
            "gain": f"{10 * score}",
            "gain_call": 10.0 * score,
            "gain_nurture": 1.0 * score,
        }
        for score in range(30, 81)
    ]
    return {"note": "Measured on 2,431 snapshots.", "per_week": 12.0, "mql": 47.3, "sql": 68.2, "rows": rows}


def make_dependence() -> list[dict[str, Any]]:
    empty = {"columns": ["Value", "Points"], "numeric": 1, "rows": []}
    numbers = [
        {"x": float(i), "y": i - 3.0, "low": i - 4.5, "high": i - 2.0, "n": 120 + i} for i in range(12)
    ]
    levels = [
        {"x": x, "y": y, "low": y - 1, "high": y + 1, "n": 80}
        for x, y in (("software", 4.0), ("retail", -2.0))
    ]
    return [
        {
            "title": "Visits",
            "x_label": "Visits, 30 days",
            "kind": "number",
            "points": numbers,
            "table": {**empty, "caption": "By visits"},
        },
        {
            "title": "Industry",
            "x_label": "Industry",
            "kind": "category",
            "points": levels,
            "table": {**empty, "caption": "By industry"},
        },
    ]


def make_context(cards: int = 4, *, leads: list[str] | None = None, **changed: Any) -> dict[str, Any]:
    """Return a context with `cards` leads, or with those named."""
    names = leads or [f"L-{i:05d}" for i in range(cards)]
    frame = pd.DataFrame([make_card(0, lead_id=name) for name in names])
    context = build_context(make_metrics(), make_scores([12.0, 68.2]), frame, MANIFEST)
    table = {
        "caption": "Winners",
        "columns": ["Segment"],
        "numeric": 1,
        "rows": [[{"text": "a", "note": ""}]],
    }
    filled = {
        "cards": [fill_card(card) for card in context["cards"]],
        "tradeoff": make_tradeoff(),
        "dependence": make_dependence(),
        "winners": table,
        "knows": {"does": ["What it did on the web"], "does_not": ["Calls by sales"]},
        "model_card": {
            "sections": [
                {"title": "Use", "paragraphs": ["To sort leads"], "tables": [{**table, "caption": "Card"}]}
            ]
        },
        "notices": [{"title": "A notice", "text": "Its text"}],
    }
    return {**context, **filled, **changed}


def make_page(cards: int = 4, **changed: Any) -> str:
    return render_review(make_context(cards, **changed))


def map_texts(value: Any, change: Callable[[str], str], *, key: str = "") -> Any:
    """Return `value` with every text that the page shows changed, however deep it lies."""
    if isinstance(value, dict):
        return {k: map_texts(v, change, key=k) for k, v in value.items()}
    if isinstance(value, list):
        return [map_texts(v, change, key=key) for v in value]
    return change(value) if isinstance(value, str) and value and key not in STRUCTURE else value
