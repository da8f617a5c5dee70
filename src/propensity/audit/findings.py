"""What a check is, and what it may say.

A check has a code, such as PRP101, and gives one finding or more. A finding has one of six results:

===============  ===================================================================================
issue            something is wrong; of the severity ``blocking`` it stops a run
tip              worth a look; nothing is refused
passed           the check looked, and found nothing
not applicable   the data has nothing of the kind the check looks at
skipped          the check could not look, for the reason it gives
overruled        an issue that a person has accepted under ``features.allow``, with a reason
===============  ===================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from propensity.audit.records import Records
from propensity.params import Overruling

Result = Literal["issue", "tip", "passed", "not applicable", "skipped", "overruled"]
Severity = Literal["blocking", "warning", "note"]
RESULTS: tuple[Result, ...] = ("issue", "tip", "overruled", "skipped", "passed", "not applicable")


@dataclass(frozen=True)
class Finding:
    """What a check says of one subject, or of the data as a whole.

    Attributes
    ----------
    code, check : str
        The check's code and name.
    result : str
        One of `RESULTS`.
    severity : {'blocking', 'warning', 'note'}
        What an issue means: ``blocking`` stops a run, ``warning`` is for a person to judge, ``note`` is about
        a column or event type that the model does not use. Of all that is no issue it is ``note``.
    subject : str or None
        The column, event type or part of the split; None: the data as a whole.
    message : str
        A sentence with the figures.
    evidence : dict
        The figures, as plain numbers and texts.
    remedy : str
        What to do about it; empty where nothing is to be done.
    reason : str or None
        Why a person overruled it.
    """

    code: str
    check: str
    result: Result
    severity: Severity
    subject: str | None
    message: str
    evidence: dict[str, Any] = field(default_factory=dict)
    remedy: str = ""
    reason: str | None = None

    @property
    def name(self) -> str:
        """The code and the subject, by which a person overrules it."""
        return f"{self.code} {self.subject}" if self.subject is not None else self.code

    @property
    def stops(self) -> bool:
        """Whether a run must not go on."""
        return self.result == "issue" and self.severity == "blocking"


@dataclass(frozen=True)
class Check:
    """A question asked of the data.

    Attributes
    ----------
    code : str
        ``PRP`` and three digits; the first digit is the family's.
    name : str
        Its short name, in lower case with underscores.
    title : str
        What it looks at, in a few words.
    look : callable
        From the check itself and the records to its findings; at least one, always.
    overrulable : bool
        Whether ``features.allow`` can overrule its issues.
    """

    code: str
    name: str
    title: str
    look: Callable[[Check, Records], list[Finding]]
    overrulable: bool = True

    def issue(
        self,
        message: str,
        *,
        remedy: str,
        subject: str | None = None,
        severity: Severity = "blocking",
        **evidence: Any,
    ) -> Finding:
        """Return an issue."""
        return Finding(self.code, self.name, "issue", severity, subject, message, evidence, remedy)

    def tip(self, message: str, *, remedy: str, subject: str | None = None, **evidence: Any) -> Finding:
        """Return a tip."""
        return Finding(self.code, self.name, "tip", "note", subject, message, evidence, remedy)

    def passed(self, message: str, **evidence: Any) -> list[Finding]:
        """Return that the check looked and found nothing."""
        return [Finding(self.code, self.name, "passed", "note", None, message, evidence)]

    def not_applicable(self, message: str) -> list[Finding]:
        """Return that there is nothing to look at."""
        return [Finding(self.code, self.name, "not applicable", "note", None, message)]

    def skipped(self, message: str, *, remedy: str = "") -> list[Finding]:
        """Return that the check could not look, and why."""
        return [Finding(self.code, self.name, "skipped", "note", None, message, remedy=remedy)]


def overrule(
    findings: Sequence[Finding], allow: Sequence[Overruling], *, fixed: Sequence[str] = ()
) -> list[Finding]:
    """Mark the issues that a person has accepted.

    Parameters
    ----------
    findings : sequence of Finding
    allow : sequence of Overruling
        Each names a check by its code or name, and the subject where the finding has one.
    fixed : sequence of str
        Codes of checks that cannot be overruled.
    """
    reasons = {(entry.check, entry.subject): entry.reason for entry in allow}

    def judged(finding: Finding) -> Finding:
        found = [reasons.get((name, finding.subject)) for name in (finding.code, finding.check)]
        reason = next((r for r in found if r is not None), None)
        if finding.result != "issue" or reason is None or finding.code in fixed:
            return finding
        return replace(finding, result="overruled", reason=reason)

    return [judged(finding) for finding in findings]


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as plain values."""
    return asdict(finding)
