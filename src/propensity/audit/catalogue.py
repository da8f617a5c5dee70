"""All checks, in the order of their codes, and how an audit runs them."""

from __future__ import annotations

from collections.abc import Sequence

from propensity.audit import events, hygiene, names, parts, periods, presence, refits, strength
from propensity.audit.findings import RESULTS, Check, Finding, overrule
from propensity.audit.records import Records
from propensity.errors import ParamsError, nearest
from propensity.params import Overruling

FIRST: tuple[Check, ...] = (
    *names.CHECKS,
    *presence.CHECKS,
    *strength.CHECKS,
    *events.CHECKS,
    *periods.CHECKS,
    *parts.CHECKS,
    *hygiene.CHECKS,
)
CHECKS: tuple[Check, ...] = tuple(sorted((*FIRST, *refits.CHECKS), key=lambda check: check.code))


def run_audit(records: Records, allow: Sequence[Overruling]) -> list[Finding]:
    """Ask every check, and mark what a person has overruled.

    Parameters
    ----------
    records : Records
    allow : sequence of Overruling
        ``features.allow``.

    Returns
    -------
    list of Finding
        By code, then by result (see `propensity.audit.findings.RESULTS`), then by subject; one or more of
        each check.

    Raises
    ------
    ParamsError
        An entry of `allow` names no check, or one that cannot be overruled.
    """
    _check_allow(allow)
    findings = [finding for check in FIRST for finding in check.look(check, records)]
    for check in refits.CHECKS:
        refused = {f.subject for f in findings if f.result == "issue" and f.subject in records.attributes}
        findings += check.look(check, refits.without(records, {str(column) for column in refused}))
    fixed = [check.code for check in CHECKS if not check.overrulable]
    judged = overrule(findings, allow, fixed=fixed)
    return sorted(judged, key=lambda f: (f.code, RESULTS.index(f.result), f.subject or ""))


def unmatched(allow: Sequence[Overruling], findings: Sequence[Finding]) -> list[Overruling]:
    """Return the entries of ``features.allow`` that overruled nothing."""
    used = {(name, f.subject) for f in findings if f.result == "overruled" for name in (f.code, f.check)}
    return [entry for entry in allow if (entry.check, entry.subject) not in used]


def _check_allow(allow: Sequence[Overruling]) -> None:
    known = {name: check for check in CHECKS for name in (check.code, check.name)}
    for entry in allow:
        if entry.check not in known:
            raise ParamsError(
                f"features.allow: no check is called '{entry.check}'{nearest(entry.check, known)}; the "
                f"checks are {', '.join(f'{c.code} {c.name}' for c in CHECKS)}"
            )
        if not known[entry.check].overrulable:
            raise ParamsError(
                f"features.allow: {known[entry.check].code} ({known[entry.check].title.lower()}) cannot be "
                "overruled. Rename the column if it is something else"
            )
