"""Checks of the columns' names: fields filled in because of the outcome, stages, overwritten fields."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from propensity.audit.findings import Check, Finding
from propensity.audit.records import Records
from propensity.audit.vendor_fields import Kind
from propensity.audit.vendors import SEVERAL, KnownField, known_field

_WHY: dict[Kind, str] = {
    "outcome": "It exists, or has its telling value, only because of how the lead ended.",
    "stage": "Of a lead that ended it tells the end.",
    "changing": "It is overwritten as time passes, so that the export holds its last value and not the value"
    " at the moment a lead is scored.",
}
_DROP = (
    "Leave {column!r} out: take it from features.demographic or features.firmographic, or name it under "
    "features.exclude."
)
_KEEP = (
    " To use it, bring its history as a table under data.history, or, if its value was known before the lead "
    "is scored and never touched after, overrule this under features.allow with "
    "{{check: {code}, subject: {column!r}, reason: ...}}."
)
_STAGE = (
    " Stages with their dates are read through data.stages. If the column is no stage of the sales process, "
    "give it another name."
)


@dataclass(frozen=True)
class Filled:
    """How many leads hold a value in a column, of those won and of all others.

    Attributes
    ----------
    filled_won, won : int
        Won leads with a value, and all won leads.
    filled_not_won, not_won : int
        The same of leads lost or open.
    share_won, share_not_won : float or None
        In 0..1; None where there is no such lead.
    """

    filled_won: int
    won: int
    filled_not_won: int
    not_won: int
    share_won: float | None
    share_not_won: float | None


def check_outcome_fields(check: Check, records: Records) -> list[Finding]:
    """Find columns that a CRM fills in because of the outcome."""
    return _look(check, records, "outcome", remedy=_DROP + _KEEP)


def check_stage_fields(check: Check, records: Records) -> list[Finding]:
    """Find columns that say how far the sales process has come."""
    return _look(check, records, "stage", remedy=_DROP + _STAGE)


def check_changing_fields(check: Check, records: Records) -> list[Finding]:
    """Find columns that are overwritten as time passes, but for those rebuilt from the history table."""
    return _look(check, records, "changing", remedy=_DROP + _KEEP, tracked=records.tracked)


def count_filled(records: Records, column: str) -> Filled:
    """Count the leads that hold a value in a column."""
    given, is_won = records.leads[column].notna().to_numpy(dtype=bool), records.won
    won, others = int(is_won.sum()), int((~is_won).sum())
    filled_won, filled_others = int((given & is_won).sum()), int((given & ~is_won).sum())
    return Filled(
        filled_won, won, filled_others, others, _share(filled_won, won), _share(filled_others, others)
    )


def _look(
    check: Check, records: Records, kind: Kind, *, remedy: str, tracked: frozenset[str] = frozenset()
) -> list[Finding]:
    if not records.attributes:
        return check.not_applicable("the leads have no attributes")
    fields = {column: known_field(column) for column in records.attributes}
    alike = {column: field for column, field in fields.items() if field is not None and field.kind == kind}
    issues = [
        _issue(check, records, column, field, remedy)
        for column, field in alike.items()
        if column not in tracked
    ]
    rebuilt = sorted(set(alike) & tracked)
    return issues or check.passed(_nothing(len(fields), rebuilt), columns=len(fields), rebuilt=rebuilt)


def _issue(check: Check, records: Records, column: str, field: KnownField, remedy: str) -> Finding:
    filled = count_filled(records, column)
    return check.issue(
        f"{_told(column, field)}. {_WHY[field.kind]} {_counted(filled)}",
        remedy=remedy.format(column=column, code=check.code),
        subject=column,
        severity="blocking" if field.kind == "stage" and column in records.used else records.severity(column),
        field=field.label,
        vendor=field.vendor,
        meaning=field.meaning,
        **asdict(filled),
    )


def _told(column: str, field: KnownField) -> str:
    if field.vendor == SEVERAL:
        return f"'{column}' reads like a field that CRMs fill in ({field.label}): {field.meaning}"
    return f"'{column}' is the field '{field.label}' of {field.vendor}: {field.meaning}"


def _counted(filled: Filled) -> str:
    won, others = _percent(filled.share_won), _percent(filled.share_not_won)
    return (
        f"It holds a value in {filled.filled_won:,} of {filled.won:,} won leads{won} and in "
        f"{filled.filled_not_won:,} of {filled.not_won:,} others{others}"
    )


def _nothing(columns: int, rebuilt: list[str]) -> str:
    if rebuilt:
        return f"looked at the names of {columns:,} columns; rebuilt from history: {', '.join(rebuilt)}"
    return f"looked at the names of {columns:,} columns and found none"


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _percent(share: float | None) -> str:
    return "" if share is None else f" ({share:.1%})"


CHECKS: tuple[Check, ...] = (
    Check(
        "PRP101",
        "known_outcome_field",
        "A field filled in because of the outcome",
        check_outcome_fields,
    ),
    Check(
        "PRP102",
        "stage_field",
        "A stage of the sales process",
        check_stage_fields,
        overrulable=False,
    ),
    Check(
        "PRP103",
        "changing_field",
        "A field overwritten as time passes",
        check_changing_fields,
    ),
)
