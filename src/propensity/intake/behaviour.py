"""Which column of the events is what, and which family of evidence each event type belongs to."""

from __future__ import annotations

from propensity.data.profiles import ColumnProfile, distinct_values, earliest_share, share_known
from propensity.errors import InputError
from propensity.intake import words
from propensity.intake.guesses import Ask, EventRoles, Guess
from propensity.intake.reading import Table
from propensity.intake.roles import point_to_leads
from propensity.intake.words import has, tokens

MANY_TYPES = 300  # event types; a column with more values names things, not kinds of action
MANY_ASSETS = 200

EVENT_AT = "the column of the events with the time at which each happened"
KNOWN_AT = "the column of the events with the time at which each was recorded ('none': at once)"
TYPE = "the column of the events with what happened"
ASSET = "the column of the events with the page, form or offer ('none': there is none)"
CAMPAIGN = "the column of the events with the campaign ('none': there is none)"
VALUE = "the column of the events with seconds or an amount ('none': there is none)"


def find_event_roles(events: Table, leads: Table, lead_id: str, ask: Ask, *, zone: str) -> EventRoles:
    """Return which column of the events is what.

    Raises
    ------
    InputError
        No column points to the leads, holds the time, or says what happened.
    """
    columns = events.file.columns
    pointer = ask(point_to_leads(events, leads, lead_id), columns)
    at = ask(find_event_at(events, zone=zone), columns)
    kind = ask(find_type(events, {pointer.column, at.column}), columns)
    for guess in (pointer, at, kind):
        if guess.column is None:
            listed = ", ".join(repr(c) for c in columns)
            raise InputError(
                f"{events.file.path}: {guess.role} was not found: {guess.evidence}. The columns: {listed}"
            )
    taken = {pointer.column, at.column, kind.column}
    known = find_known_at(events, str(at.column), zone=zone)
    asset = _asset(events, taken)
    campaign = _named(events, taken | {asset.column}, CAMPAIGN, words.CAMPAIGN)
    value = find_value(events, taken | {asset.column, campaign.column})
    types = distinct_values(events.con, events.rows, str(kind.column), limit=MANY_TYPES)
    types = [t for t in types if t not in events.file.missing]
    share = share_known(events.con, events.rows, str(pointer.column), leads.rows, lead_id)
    families = {name: family_of(name) for name in types}
    return EventRoles(pointer, at, known, kind, asset, campaign, value, families, share)


def family_of(event_type: str) -> str:
    """Return the family an event type belongs to by the words in it; web if none is known."""
    for family, known in words.EVENT_FAMILIES:
        if has(event_type, known):
            return family
    return "web"


def find_event_at(events: Table, *, zone: str) -> Guess:
    """Guess when events happened: complete, named so, and not after the other dates."""
    dates = [p for p in events.file.profiles.values() if p.is_moment and p.complete >= 0.8]
    if not dates:
        return Guess(EVENT_AT, None, "no column holds timestamps in nearly every row", sure=False)
    first = earliest_share(events.con, events.rows, [p.name for p in dates], zone=zone)
    scored = sorted(((_score_event_at(p, first[p.name]), p) for p in dates), key=lambda s: -s[0])
    _, best = scored[0]
    span = f"{best.first:%Y-%m-%d} to {best.last:%Y-%m-%d}" if best.first and best.last else ""
    near = tuple(p.name for s, p in scored[1:3] if s > scored[0][0] - 1)
    return Guess(EVENT_AT, best.name, f"{span}; in {best.complete:.1%} of rows", sure=not near, others=near)


def find_known_at(events: Table, at: str, *, zone: str) -> Guess:
    """Guess when events were recorded: named so, and hardly ever before they happened."""
    for p in events.file.profiles.values():
        if p.name != at and p.is_moment and has(p.name, words.KNOWN_AT):
            first = earliest_share(events.con, events.rows, [at, p.name], zone=zone)
            if first[at] >= 0.95:
                return Guess(KNOWN_AT, p.name, f"named so; not before {at!r} in {first[at]:.0%} of rows")
    return Guess(KNOWN_AT, None, "no column is named so")


def find_type(events: Table, taken: set[str | None]) -> Guess:
    """Guess what happened: text of few values, named so."""
    few = [
        p
        for p in events.file.profiles.values()
        if p.name not in taken and not p.is_moment and 1 <= p.distinct <= MANY_TYPES and p.complete >= 0.8
    ]
    if not few:
        return Guess(TYPE, None, f"no other column is complete and has up to {MANY_TYPES} values", sure=False)
    ranked = sorted(few, key=lambda p: (-_score_type(p), -p.distinct))
    best = ranked[0]
    near = tuple(p.name for p in ranked[1:3] if _score_type(p) > _score_type(best) - 1)
    shown = ", ".join(repr(v) for v in best.values[:3])
    return Guess(TYPE, best.name, f"{best.distinct} values such as {shown}", sure=not near, others=near)


def find_value(events: Table, taken: set[str | None]) -> Guess:
    """Guess an event's seconds or amount: numbers, none below zero, named so."""
    return _named(events, taken, VALUE, words.VALUE, numbers=True)


def _asset(events: Table, taken: set[str | None]) -> Guess:
    few = {p.name for p in events.file.profiles.values() if p.distinct > MANY_ASSETS}
    return _named(events, taken | few, ASSET, words.ASSET)


def _named(
    events: Table, taken: set[str | None], role: str, names: frozenset[str], *, numbers: bool = False
) -> Guess:
    for p in events.file.profiles.values():
        if p.name in taken or not p.given or p.is_moment or not has(p.name, names):
            continue
        if numbers and (not p.is_number or p.negative):
            continue
        shown = ", ".join(repr(v) for v in p.values[:3])
        return Guess(role, p.name, f"named so; {p.distinct:,} values such as {shown}")
    return Guess(role, None, "no column is named so")


def _score_event_at(p: ColumnProfile, earliest: float) -> float:
    parts = set(tokens(p.name))
    return (
        2.0 * bool(parts & words.EVENT_AT)
        + (earliest >= 0.95)
        + (p.complete >= 0.98)
        - 2.0 * has(p.name, words.KNOWN_AT)
    )


def _score_type(p: ColumnProfile) -> float:
    named = 2.0 * bool(set(tokens(p.name)) & words.EVENT_TYPE) - 2.0 * has(
        p.name, words.ASSET | words.CAMPAIGN
    )
    return named + (p.distinct >= 2) - 2.0 * p.is_number
