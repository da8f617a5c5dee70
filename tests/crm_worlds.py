"""Random lives of leads, and the export that a CRM gives of them at any moment: what the tests of
future-blindness compare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis.expr.types as ir
from hypothesis import strategies as st

START = datetime(2024, 2, 28, tzinfo=UTC)  # two days before the end of February in a leap year
DAY = timedelta(days=1)
LAST_DAY = 40  # of a life, in days after START

Row = dict[str, Any]


@dataclass(frozen=True)
class Life:
    """One lead: moments are days after `START`, fractions allowed.

    Attributes
    ----------
    fields
        By column: the first value, then pairs of a moment and the value from then on.
    turns
        When it was closed, reopened, closed and so on, in order, with the status it was closed with.
    """

    lead_id: str
    account_id: str | None
    created: float
    fields: dict[str, tuple[str | None, list[tuple[float, str | None]]]]
    turns: list[tuple[float, str]]
    stages: list[float]
    events: list[tuple[float, float, str]] = field(default_factory=list)


def at(days: float) -> datetime:
    return START + days * DAY


def export(lives: list[Life], moment: float, *, opened: bool) -> dict[str, list[Row]]:
    """Return the tables as a CRM gives them at a moment: later facts are not there, fields hold their value.

    A reopening is written down as a stage, and with `opened` also beside the outcome it leads to.
    """
    tables: dict[str, list[Row]] = {name: [] for name in ("leads", "outcomes", "stages", "events", "history")}
    for life in lives:
        if life.created > moment:
            continue
        held = {column: _export_field(life, column, moment, tables["history"]) for column in life.fields}
        employees = held.pop("employees", None)
        tables["leads"].append(
            {"lead_id": life.lead_id, "account_id": life.account_id, "created_at": at(life.created)}
            | held
            | {"employees": None if employees is None else float(employees)}
        )
        _export_turns(life, moment, tables, opened=opened)
        tables["events"] += [
            {"lead_id": life.lead_id, "event_at": at(t), "known_at": at(t + late), "type": kind}
            for t, late, kind in life.events
            if t + late <= moment
        ]
    return tables


def _export_field(life: Life, column: str, moment: float, history: list[Row]) -> str | None:
    value, changes = life.fields[column]
    for when, new in changes:
        if when > moment:
            break
        row = {"lead_id": life.lead_id, "field": column.title(), "changed_at": at(when)}
        history.append(row | {"old": value, "new": new})
        value = new
    return value


def _export_turns(life: Life, moment: float, tables: dict[str, list[Row]], *, opened: bool) -> None:
    begun, is_open = None, True
    stages = [t for t in life.stages if t <= moment]
    for when, turn in life.turns:
        if when > moment:
            break
        is_open = turn == "open"
        if is_open:
            begun = at(when)
            stages.append(when)
        else:
            row = {"lead_id": life.lead_id, "status": turn, "closed_at": at(when)}
            tables["outcomes"].append(row | ({"opened_at": begun} if opened else {}))
    if is_open and begun is not None:
        row = {"lead_id": life.lead_id, "status": "open", "closed_at": None}
        tables["outcomes"].append(row | ({"opened_at": begun} if opened else {}))
    tables["stages"] += [
        {"lead_id": life.lead_id, "stage": "working", "entered_at": at(t)} for t in sorted(stages)
    ]


def as_tables(
    rows: dict[str, list[Row]], make_table: Callable[..., ir.Table], *, opened: bool
) -> dict[str, ir.Table]:
    """Return an export as canonical tables."""
    extra = {
        "leads": {"owner": "string", "employees": "float64"},
        "outcomes": {"opened_at": "timestamp('UTC', 6)"} if opened else {},
    }
    return {name: make_table(name, found, **extra.get(name, {})) for name, found in rows.items()}


# Quarters of a day, so that moments coincide with each other and with those at which leads are looked at.
_MOMENTS = st.integers(0, 4 * LAST_DAY).map(lambda quarters: quarters / 4)


@st.composite
def lives_of_leads(draw: st.DrawFn, *, most: int = 4) -> list[Life]:
    """Draw a few lives: fields that change, closes and reopenings, stages and events while open."""
    return [_draw_life(draw, f"lead {i}") for i in range(draw(st.integers(1, most)))]


def _draw_life(draw: st.DrawFn, lead_id: str) -> Life:
    created = draw(_MOMENTS)
    later = st.integers(1, 4 * LAST_DAY).map(lambda quarters: created + quarters / 4)
    turns = sorted(draw(st.lists(later | st.just(created), max_size=4, unique=True)))
    statuses = [
        (when, "open" if i % 2 else draw(st.sampled_from(["won", "lost"]))) for i, when in enumerate(turns)
    ]
    worked = [t for t in draw(st.lists(later, max_size=3)) if _is_open(statuses, t)]
    fields = {
        "owner": _draw_field(draw, later, ["Ada", "Bo", None]),
        "employees": _draw_field(draw, later, ["10", "2e1", None]),
    }
    event = st.tuples(later, st.sampled_from([0.0, 0.0, 1.5]), st.sampled_from(["visit", "open"]))
    return Life(
        lead_id,
        draw(st.sampled_from(["acme", None])),
        created,
        fields,
        statuses,
        worked,
        draw(st.lists(event, max_size=5)),
    )


def _is_open(turns: list[tuple[float, str]], moment: float) -> bool:
    before = [turn for when, turn in turns if when <= moment]
    return not before or before[-1] == "open"


def _draw_field(
    draw: st.DrawFn, later: st.SearchStrategy[float], values: list[str | None]
) -> tuple[str | None, list[tuple[float, str | None]]]:
    value = st.sampled_from(values)
    moments = sorted(draw(st.lists(later, max_size=3, unique=True)))
    return draw(value), [(when, draw(value)) for when in moments]
