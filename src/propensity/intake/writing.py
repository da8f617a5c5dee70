"""The draft as a params file: every guess with its evidence, every refusal with its code."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import Any

import yaml

from propensity.intake.draft import QUALIFIERS, columns_of, is_timed, types_of
from propensity.intake.guesses import Draft, File, Guess, Refusal

WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")
# What YAML reads as something other than text, in this loader or in another.
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf", "none"})


def write_draft(draft: Draft, refusal: str = "") -> str:
    """Return the text of the params file.

    Parameters
    ----------
    draft : Draft
    refusal : str
        Why the draft does not run; it stands at the top.
    """
    lines = [*_header(draft, refusal), "", *_data(draft), "", *_features(draft), "", *_snapshots(draft), ""]
    lines += [*_split(draft), "", *_cutoffs(draft)]
    return "\n".join(lines) + "\n"


def scalar(value: Any) -> str:
    """Return a value as YAML that reads back as itself, on one line."""
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, (bool, int)):
        return str(value).lower()
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return str(value)
    quoted = yaml.dump(value, default_style='"', allow_unicode=True, width=float("inf"))
    return quoted.strip("\n")


def flow(values: Iterable[Any]) -> str:
    """Return values as a list on one line."""
    return f"[{', '.join(scalar(value) for value in values)}]"


def comment(text: str, indent: int = 0) -> list[str]:
    """Return a text as comment lines; what would break a line is escaped."""
    safe = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split())
    )
    prefix = " " * indent + "# "
    return textwrap.wrap(
        safe,
        WIDTH,
        initial_indent=prefix,
        subsequent_indent=prefix,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _header(draft: Draft, refusal: str) -> list[str]:
    files = [f.path for f in (draft.leads, draft.events, draft.outcomes) if f is not None]
    lines = [*comment(f"REFUSED: this does not run as it stands. {refusal}"), "#"] if refusal else []
    lines += comment(
        f"Written by 'propensity init' from {', '.join(files)}. What is marked 'guess' was read off the "
        "data: "
        "correct it where it is wrong. What is refused stands under features.exclude with its reason. "
        "Every path "
        "is relative to the folder of this file."
    )
    if draft.vendor:
        lines += comment(f"Recognised as an export of {draft.vendor}.")
    for note in draft.notes:
        lines += comment(f"Note: {note}")
    return lines


def _data(draft: Draft) -> list[str]:
    lines = ["data:"]
    lines += comment(draft.reasons.get("timezone", ""), 2)
    lines += [f"  timezone: {scalar(draft.timezone)}  # timestamps without a zone are in this one"]
    if draft.reasons.get("max_quarantined"):
        lines += comment(f"guess: {draft.reasons['max_quarantined']}", 2)
    lines += [
        f"  max_quarantined: {scalar(draft.max_quarantined)}  # share of a table's rows that may be bad"
    ]
    lines += ["  leads:", *_source(draft.leads, draft.reasons.get("missing", ""))]
    roles = draft.roles
    lines += _guess("lead_id", roles.lead_id)
    lines += _guess("created_at", roles.created_at)
    lines += _guess("order_by", roles.order_by)
    lines += _guess("account_id", roles.account_id)
    lines += _guess("channel", roles.channel)
    return lines + _outcomes(draft) + _events(draft)


def _outcomes(draft: Draft) -> list[str]:
    outcome = draft.outcome
    lines = ["  outcomes:"]
    if draft.outcomes is not None:
        lines += [*_source(draft.outcomes, ""), *_guess("lead_id", outcome.lead_id)]
    else:
        lines += ["    # the columns below are in leads"]
    lines += _guess("status", outcome.status)
    lines += [
        f"    won: {flow(outcome.won)}",
        f"    lost: {flow(outcome.lost)}  # any other value is open: an open lead is never counted as lost",
    ]
    if outcome.open:
        lines += comment(f"open: {', '.join(repr(v) for v in outcome.open)}", 4)
    lines += _guess("closed_at", outcome.closed_at)
    lines += _guess("amount", outcome.amount)
    return lines + _guess("reason", outcome.reason)


def _events(draft: Draft) -> list[str]:
    roles = draft.behaviour
    if roles is None or draft.events is None:
        return []
    lines = ["  events:", *_source(draft.events, ""), *_guess("lead_id", roles.lead_id)]
    lines += [
        *_guess("event_at", roles.event_at),
        *_guess("known_at", roles.known_at),
        *_guess("type", roles.type),
    ]
    return [
        *lines,
        *_guess("asset", roles.asset),
        *_guess("campaign", roles.campaign),
        *_guess("value", roles.value),
    ]


def _source(file: File, why_missing: str) -> list[str]:
    lines = [f"    path: {scalar(file.path)}"]
    if file.delimiter is not None:
        lines += [f"    delimiter: {scalar(file.delimiter)}"]
    if file.missing:
        lines += comment(
            "guess: these texts stand for nothing" + (f"; {why_missing}" if why_missing else ""), 4
        )
    return [*lines, f"    missing: {flow(['', *file.missing])}"]


def _guess(key: str, guess: Guess) -> list[str]:
    unsure = "" if guess.sure else "not sure; "
    near = f"; also possible: {', '.join(map(repr, guess.others))}" if guess.others and not guess.sure else ""
    evidence = comment(f"guess: {unsure}{guess.evidence}{near}", 4) if guess.evidence else []
    return [*evidence, f"    {key}: {scalar(guess.column)}"]


def _features(draft: Draft) -> list[str]:
    lines = [
        "features:",
        "  # Columns of leads, as known when one is scored. guess: about the company by name, else a person",
    ]
    for qualifier in QUALIFIERS:
        lines += _block(qualifier, columns_of(draft, qualifier))
    if draft.behaviour is not None:
        lines += [
            "  # guess: the families of event types, by the words in their names; web where no word is known"
        ]
        lines += ["  qualifiers:"]
        for family, types in types_of(draft).items():
            lines += [f"    {family}:", *(f"      - {scalar(t)}" for t in types)]
        lines = lines if types_of(draft) else [*lines[:-1], "  qualifiers: {}"]
        lines += comment(f"guess: {draft.reasons['lookback_days']}", 2)
        lines += [f"  lookback_days: {flow(draft.lookback_days)}"]
    return lines + _refused(draft.refused)


def _refused(refused: tuple[Refusal, ...]) -> list[str]:
    if not refused:
        return ["  exclude: []"]
    lines = [
        "  # Never used, each with the finding that refuses it ('propensity audit' tells more of it)",
        "  exclude:",
    ]
    for refusal in sorted(refused, key=lambda r: (not r.code, r.code, r.subject)):
        what = "event type: " if refusal.kind == "event type" else ""
        lines += comment(f"{what}{refusal.code + ': ' if refusal.code else ''}{refusal.message}", 4)
        lines += [f"    - {scalar(refusal.subject)}"]
    return lines


def _block(key: str, values: list[str]) -> list[str]:
    return [f"  {key}:", *(f"    - {scalar(value)}" for value in values)] if values else [f"  {key}: []"]


def _snapshots(draft: Draft) -> list[str]:
    return [
        "snapshots:",
        *comment(f"guess: {draft.reasons['ages_days']}", 2),
        f"  ages_days: {flow(draft.ages_days)}  # days after creation at which an open lead is looked at",
        *_horizon(draft),
    ]


def _horizon(draft: Draft) -> list[str]:
    if not is_timed(draft):
        return ["  # no horizon: without the time of closing the final status is the label"]
    return [
        *comment(f"guess: {draft.reasons['horizon_days']}", 2),
        f"  horizon_days: {scalar(draft.horizon_days)}  # a win counts if it comes within so many days",
    ]


def _split(draft: Draft) -> list[str]:
    return [
        "split:",
        *comment(f"guess: {draft.reasons['split']}", 2),
        f"  by: {draft.split_by}",
        *comment(f"guess: {draft.reasons['group']}", 2),
        f"  group: {draft.group}",
        *_shares(draft),
    ]


def _shares(draft: Draft) -> list[str]:
    if not draft.shares:
        return []
    lines = [f"  {part}: {scalar(share)}" for part, share in draft.shares.items()]
    return [*comment(f"guess: {draft.reasons['shares']}", 2), *lines]


def _cutoffs(draft: Draft) -> list[str]:
    return [
        "cutoffs:",
        "  mql: {policy: recall, target: 0.8}  # keep this share of winners at or above the cut-off",
        *comment(f"guess: {draft.reasons['sql']}", 2),
        f"  sql: {{policy: precision, target: {scalar(draft.sql_target)}, confidence: 0.9}}",
    ]
