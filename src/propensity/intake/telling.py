"""What the intake took each column for, in a few lines."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from propensity.audit.findings import Finding
from propensity.intake.draft import QUALIFIERS, columns_of, types_of
from propensity.intake.guesses import Draft, Guess
from propensity.intake.rounds import Settled

WIDTH = 110


def tell_draft(settled: Settled) -> str:
    """Return the summary that ``propensity init`` prints: what was taken for what, unsure, refused."""
    draft = settled.draft
    blocks = [_block("Taken for", _taken(draft))]
    unsure = [f"{g.role}: {g.column or 'none'} ({g.evidence})" for g in guesses_of(draft) if not g.sure]
    if unsure:
        blocks.append(_block("Not sure, decided", unsure))
    if draft.refused:
        blocks.append(_block("Refused", _refused(draft)))
    told = (*_elsewhere(settled), *_tips(settled))
    about = [f"{f.code} {f.subject or ''}: {f.message}".replace(" :", ":") for f in told]
    if notes := [*draft.notes, *about]:
        blocks.append(_block("To know", notes))
    return "\n".join(blocks)


def guesses_of(draft: Draft) -> Iterator[Guess]:
    """Yield every guess of the draft."""
    roles, outcome, events = draft.roles, draft.outcome, draft.behaviour
    yield from (roles.lead_id, roles.created_at, roles.order_by, roles.account_id, roles.channel)
    yield from (outcome.status, outcome.closed_at, outcome.amount, outcome.reason)
    if events is not None:
        yield from (events.lead_id, events.event_at, events.known_at, events.type)
        yield from (events.asset, events.campaign, events.value)


def _taken(draft: Draft) -> list[str]:
    lines = [f"export: {draft.vendor}"] if draft.vendor else []
    lines += [f"{_short(g)}: {g.column} ({g.evidence})" for g in guesses_of(draft) if g.column is not None]
    for qualifier in QUALIFIERS:
        columns = columns_of(draft, qualifier)
        lines += [f"{qualifier}: {', '.join(columns)}"] if columns else []
    lines += [f"{family} events: {', '.join(types)}" for family, types in types_of(draft).items()]
    split = f"split by {draft.split_by} ({draft.reasons['split']})"
    ages = ", ".join(f"{age:.3g}" for age in draft.ages_days)
    missing = ", ".join(repr(text) for text in draft.leads.missing if text)
    lines += [f"missing values: {missing} ({draft.reasons.get('missing', 'named so')})"] if missing else []
    lines += [split, f"ages of {ages} days ({draft.reasons['ages_days']})"]
    if draft.shares:
        shares = ", ".join(f"{part} {share:g}" for part, share in draft.shares.items())
        lines.append(f"shares of the split: {shares} ({draft.reasons['shares']})")
    return lines


def _short(guess: Guess) -> str:
    return guess.role.split(" (")[0].removeprefix("the column with ").removeprefix("the column of ")


def _refused(draft: Draft) -> list[str]:
    ordered = sorted(draft.refused, key=lambda r: (not r.code, r.code, r.subject))
    return [f"{(r.code + ' ') if r.code else ''}{r.subject}: {r.message}" for r in ordered]


def _elsewhere(settled: Settled) -> list[Finding]:
    """Return the issues about neither a column nor an event type."""
    subjects = {r.subject for r in settled.draft.refused}
    return [f for f in settled.findings if f.result == "issue" and f.subject not in subjects]


def _tips(settled: Settled) -> list[Finding]:
    """Return the tips about columns that are kept."""
    return [f for f in settled.findings if f.result == "tip" and f.subject in settled.draft.attributes]


def _block(title: str, lines: list[str]) -> str:
    wrapped = (
        textwrap.fill(" ".join(line.split()), WIDTH, initial_indent="  ", subsequent_indent="    ")
        for line in lines
    )
    return "\n".join([f"{title}:", *wrapped])
