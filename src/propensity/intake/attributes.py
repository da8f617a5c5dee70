"""Which columns of the leads can be features, of which qualifier, and which cannot and why."""

from __future__ import annotations

from propensity.data.profiles import ColumnProfile
from propensity.features.catalogue import KEYS
from propensity.intake import words
from propensity.intake.guesses import LeadRoles, Outcome, Refusal
from propensity.intake.reading import Table
from propensity.intake.words import has

_OWN = 0.5  # share of different values from which on a text describes single leads, not kinds of them
_ENOUGH = 50  # values before that is said
_LONG = 200  # characters of a note, not of a category
_FILLED_IN_LATER = "PRP101"  # the audit's code for a field that exists only because of the outcome


def find_attributes(
    leads: Table, roles: LeadRoles, outcome: Outcome
) -> tuple[dict[str, str], tuple[Refusal, ...]]:
    """Return the columns that can be features with their qualifiers, and those that cannot.

    The columns with a role are in neither, but for those that tell the outcome: these are refused.

    Parameters
    ----------
    leads : Table
    roles : LeadRoles
    outcome : Outcome
    """
    inside = (
        [outcome.status, outcome.closed_at, outcome.amount, outcome.reason] if not outcome.own_file else []
    )
    given = [roles.lead_id, roles.created_at, roles.account_id, roles.channel, roles.order_by, *inside]
    taken = {guess.column for guess in given}
    kept: dict[str, str] = {}
    refused = [refusal for guess in inside[1:] if (refusal := _told_by_outcome(guess.column, guess.role))]
    for profile in leads.file.profiles.values():
        if profile.name in taken:
            continue
        reason = why_not(profile)
        if reason:
            refused.append(Refusal(profile.name, "", reason))
        else:
            kept[profile.name] = qualifier_of(profile.name)
    return kept, tuple(refused)


def qualifier_of(name: str) -> str:
    """Return whether a column describes the company or the person, by its name."""
    return "firmographic" if has(name, words.INDUSTRY) else "demographic"


def why_not(profile: ColumnProfile) -> str:
    """Return why a column cannot be a feature as it stands; empty if it can."""
    if not profile.given:
        return "holds nothing"
    if profile.is_moment:
        return f"dates from {profile.first:%Y-%m-%d} to {profile.last:%Y-%m-%d}; no feature is made of a date"
    if profile.other_dates:
        return f"dates such as {profile.values[0]!r}, which are not read; no feature is made of a date"
    if profile.name in KEYS:
        return "has a name that is used for other content; rename it to use it"
    if profile.is_number:
        return ""
    if profile.given >= _ENOUGH and profile.distinct >= _OWN * profile.given:
        return f"{profile.distinct:,} different texts in {profile.given:,} rows: they name leads, not kinds"
    if profile.longest > _LONG:
        return f"texts of up to {profile.longest:,} characters: notes, not a category"
    return ""


def _told_by_outcome(column: str | None, role: str) -> Refusal | None:
    if column is None:
        return None
    what = role.removeprefix("the column with ").split(" ('none'")[0]
    message = f"known only because of the outcome ({what}); read under data.outcomes, never a feature"
    return Refusal(column, _FILLED_IN_LATER, message)
