"""The draft before the audit: what is refused is left out, what cannot be run is made smaller."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from propensity.audit.findings import Finding
from propensity.errors import PropensityError, QuarantineError
from propensity.intake import settings
from propensity.intake.guesses import Draft, Refusal

ROUNDS = 5
# Tips about columns that tell nothing or tell the period, not the lead: a model is better off without them.
TELLS_NOTHING = frozenset({"PRP701", "PRP704", "PRP705"})
SENTINEL, PLACEHOLDER = "PRP702", "PRP703"
RATE_MOVES = "PRP503"
_SHORTER = (90.0, 30.0, 14.0, 7.0, 2.0, 1.0)  # days, where the horizon cannot be found from the data


@dataclass(frozen=True)
class Judgement:
    """What the audit says of a draft.

    Attributes
    ----------
    findings : sequence of Finding
    horizon_days : float or None
        The horizon it was judged with; None: there is none.
    subjects : dict
        Feature to the event type or column it is made of.
    """

    findings: Sequence[Finding]
    horizon_days: float | None = None
    subjects: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settled:
    """The draft as it is written.

    Attributes
    ----------
    draft : Draft
    findings : sequence of Finding
        Of the last round.
    refusal : PropensityError or None
        Why it still does not run.
    """

    draft: Draft
    findings: Sequence[Finding]
    refusal: PropensityError | None = None

    @property
    def stopping_still(self) -> list[Finding]:
        """The findings that stop a run of the draft: about nothing that it leaves out."""
        out = {refusal.subject for refusal in self.draft.refused}
        return [finding for finding in self.findings if finding.stops and finding.subject not in out]


Judge = Callable[[Draft], Judgement]
Holders = Callable[[str], list[str]]  # the columns of leads that hold a value


def settle(draft: Draft, judge: Judge, holders: Holders) -> Settled:
    """Audit a draft and leave out what is refused, again and again, at most `ROUNDS` times.

    Parameters
    ----------
    draft : Draft
        With every plausible column as a feature, so that the audit judges them all.
    judge : callable
        Runs the pipeline up to the audit.
    holders : callable
        From a value to the columns of leads that hold it.
    """
    findings: Sequence[Finding] = ()
    for _ in range(ROUNDS):
        draft, judged = _judge(draft, judge)
        if isinstance(judged, PropensityError):
            return Settled(draft, findings, judged)
        findings = judged.findings
        revised = _fit_ages(revise(draft, judged, holders), judged.horizon_days)
        if revised == draft:
            break
        if _same_run(revised, draft):
            draft = revised
            break
        draft = revised
    return Settled(draft, findings)


def revise(draft: Draft, judged: Judgement, holders: Holders) -> Draft:
    """Return the draft without what the findings refuse."""
    for finding in judged.findings:
        if finding.result == "issue" or (finding.result == "tip" and finding.code in TELLS_NOTHING):
            draft = _refuse(draft, finding, judged.subjects)
        elif finding.result == "tip" and finding.code in (SENTINEL, PLACEHOLDER):
            draft = _as_missing(draft, finding, holders)
        if finding.result == "issue" and finding.code == RATE_MOVES and draft.split_by == "order":
            draft = _follow_rate(draft, finding)
    return draft


def fallbacks(draft: Draft, why: str) -> Iterator[Draft]:
    """Yield smaller and smaller demands on the data, each with the reason among its notes."""
    if draft.group == "account_id":
        draft = _smaller(
            draft, "leads of one account may stand on two sides of the split", why, group="lead_id"
        )
        yield draft
    if draft.split_by == "time" and draft.outcome.closed_at.column is not None:
        for days in _SHORTER:
            ages = settings.ages_within(draft.ages_days, days)
            draft = _smaller(draft, f"the horizon is {days:g} days", why, horizon_days=days, ages_days=ages)
            yield draft
        if len(draft.ages_days) > 1:
            draft = _smaller(draft, "leads are looked at once", why, ages_days=draft.ages_days[:1])
            yield draft
    if draft.split_by == "time" and draft.roles.order_by.column is not None:
        draft = _smaller(draft, "the split is by order", why, split_by="order")
        yield draft
    if draft.split_by != "random":
        yield _smaller(draft, "the parts are dealt at random", why, split_by="random")


def _judge(draft: Draft, judge: Judge) -> tuple[Draft, Judgement | PropensityError]:
    """Judge a draft, or the first of its fallbacks that can be run."""
    try:
        return draft, judge(draft)
    except QuarantineError as error:
        return draft, error
    except PropensityError as error:
        first = error
    for smaller in fallbacks(draft, str(first)):
        try:
            return smaller, judge(smaller)
        except PropensityError:
            continue
    return draft, first


def _smaller(draft: Draft, step: str, why: str, **changes: object) -> Draft:
    key = {"group": "group", "horizon_days": "horizon_days", "ages_days": "ages_days", "split_by": "split"}
    reasons = draft.reasons | {key[name]: f"{step}, because of a refusal: {why}" for name in changes}
    note = f"{step}, because the data did not bear more: {why}"
    kept = [n for n in draft.notes if not n.endswith(why)]
    return replace(draft, **changes, reasons=reasons, notes=(*kept, note))  # type: ignore[arg-type]


def _fit_ages(draft: Draft, horizon_days: float | None) -> Draft:
    """Return the draft with ages of at most half the horizon that was found."""
    if horizon_days is None or draft.split_by != "time":
        return draft
    ages = settings.ages_within(draft.ages_days, horizon_days)
    if ages == draft.ages_days:
        return draft
    lookback, why = settings.choose_lookback(ages)
    found = f"{draft.reasons.get('ages_days', '')}; at most half the horizon of {horizon_days:g} days"
    reasons = draft.reasons | {"ages_days": found, "lookback_days": why}
    return replace(draft, ages_days=ages, lookback_days=lookback, reasons=reasons)


def _same_run(one: Draft, other: Draft) -> bool:
    """Whether two drafts differ only in what is said about columns that neither uses."""
    return replace(one, refused=(), notes=()) == replace(other, refused=(), notes=()) and {
        (r.subject, r.kind) for r in one.refused
    } == {(r.subject, r.kind) for r in other.refused}


def _refuse(draft: Draft, finding: Finding, subjects: Mapping[str, str]) -> Draft:
    """Return the draft without a finding's column or event type; findings about neither change nothing."""
    families = draft.behaviour.families if draft.behaviour else {}
    subject = finding.subject
    if subject == "channel" and subject not in draft.leads.profiles:
        subject = draft.roles.channel.column
    if finding.stops and subject not in draft.leads.profiles and subject not in families:
        subject = subjects.get(str(subject), subject)
    if subject in families and subject not in draft.attributes:
        return _with_refusal(draft, Refusal(str(subject), finding.code, finding.message, "event type"))
    if subject is None or subject not in draft.leads.profiles:
        return draft
    attributes = {c: q for c, q in draft.attributes.items() if c != subject}
    return _with_refusal(
        replace(draft, attributes=attributes), Refusal(subject, finding.code, finding.message)
    )


def _with_refusal(draft: Draft, refusal: Refusal) -> Draft:
    """Add a refusal; a finding of the audit takes the place of what the intake itself said."""
    same = [r for r in draft.refused if (r.subject, r.kind) == (refusal.subject, refusal.kind)]
    if any(r.code for r in same):
        return draft
    kept = [r for r in draft.refused if r not in same]
    return replace(draft, refused=(*kept, refusal))


def _follow_rate(draft: Draft, finding: Finding) -> Draft:
    """Return the draft with short parts next to the tested one; in time the gaps take that room already."""
    leads = max(profile.rows for profile in draft.leads.profiles.values())
    shares = settings.shares_for_a_rate_that_moves(leads)
    why = f"{finding.code}: the share won moves; what chooses and calibrates is short, next to a long test"
    return replace(draft, shares=shares, reasons=draft.reasons | {"shares": why}) if shares else draft


def _as_missing(draft: Draft, finding: Finding, holders: Holders) -> Draft:
    """Let a sentinel or a placeholder mean missing, if no other column that is kept holds it as a value."""
    if finding.subject not in draft.attributes:
        return draft
    found = finding.evidence.get("sentinel", finding.evidence.get("text"))
    value = f"{found:.15g}" if isinstance(found, (int, float)) else str(found)
    if found is None or value in draft.leads.missing:
        return draft
    used = {*draft.attributes, draft.roles.channel.column, draft.roles.account_id.column}
    others = [c for c in holders(value) if c != finding.subject and c in used]
    if finding.code == SENTINEL and others:
        note = (
            f"{finding.code} {finding.subject}: {finding.message}; not among the missing values, because "
            f"{', '.join(others[:3])} may mean it"
        )
        return draft if note in draft.notes else draft.noting(note)
    leads = replace(draft.leads, missing=(*draft.leads.missing, value))
    reasons = draft.reasons | {
        "missing": _join(draft.reasons.get("missing", ""), f"{finding.code} {finding.message}")
    }
    return replace(draft, leads=leads, reasons=reasons)


def _join(before: str, more: str) -> str:
    return f"{before}; {more}" if before else more
