"""Checks of where a field is filled: what is filled in because of the outcome tells the outcome."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from propensity.audit.findings import Check, Finding
from propensity.audit.records import Records

FEW = 30  # leads on a side, below which shares are too uncertain to compare
GIVES_AWAY = 0.5  # difference of shares filled between won and not won
WORTH_A_LOOK = 0.2
FILLED_LATER = 0.3  # difference of shares filled between leads that ended and open ones of the same age
STRATA = 10

Flags = npt.NDArray[np.bool_]

_LEAVE_OUT = (
    "Leave it out: take '{0}' out of features.demographic and features.firmographic, or name it under "
    "features.exclude. If its changes are recorded, map them under data.history and its value as of each "
    "snapshot is used"
)


def look_at_presence(check: Check, records: Records) -> list[Finding]:
    """Compare how often each field is filled for won leads and for the others."""
    kept, won = records.outcomes()
    n_won, n_not = int((kept & won).sum()), int((kept & ~won).sum())
    if not records.judged:
        return check.not_applicable("the leads have no attributes")
    if min(n_won, n_not) < FEW:
        return check.skipped(
            f"{n_won:,} leads are won and {n_not:,} are not; {FEW} of each are needed to compare"
        )
    findings = [f for c in records.judged if (f := _compare_presence(check, records, c, kept, won))]
    return findings or check.passed(
        f"none of {len(records.judged)} columns is filled much more or less often for won leads",
        columns=len(records.judged),
        won=n_won,
        not_won=n_not,
    )


def look_at_late_filling(check: Check, records: Records) -> list[Finding]:
    """Compare how often each field is filled for leads that ended and for open ones of the same age."""
    closed = records.closed
    if not records.judged:
        return check.not_applicable("the leads have no attributes")
    if not closed.any() or closed.all():
        return check.not_applicable("no lead is open" if closed.all() else "no lead has ended")
    if min(closed.sum(), (~closed).sum()) < FEW:
        return check.skipped(
            f"{int(closed.sum()):,} leads have ended and {int((~closed).sum()):,} are open; {FEW} of each "
            "are needed to compare"
        )
    strata = _age_strata(records)
    both = [k for k in range(STRATA) if min((strata == k)[closed].sum(), (strata == k)[~closed].sum()) >= 5]
    if not both:
        return check.skipped("no age has both leads that ended and open ones, so nothing can be compared")
    strata = np.where(np.isin(strata, both), strata, -1)
    findings = [f for c in records.judged if (f := _compare_filling(check, records, c, closed, strata))]
    return findings or check.passed(
        f"none of {len(records.judged)} columns is filled for leads that ended and empty for open ones",
        columns=len(records.judged),
        ended=int(closed.sum()),
        open=int((~closed).sum()),
    )


def _compare_presence(check: Check, records: Records, column: str, kept: Flags, won: Flags) -> Finding | None:
    filled = records.leads[column].notna().to_numpy()
    sides = filled[kept & won], filled[kept & ~won]
    shares = [float(side.mean()) for side in sides]
    gap, low = _gap(sides[0], sides[1])
    if low < WORTH_A_LOOK:
        return None
    figures = {
        "filled_won": shares[0],
        "filled_not_won": shares[1],
        "won": len(sides[0]),
        "not_won": len(sides[1]),
    }
    told = (
        f"'{column}' is filled for {shares[0]:.0%} of {len(sides[0]):,} won leads and {shares[1]:.0%} of "
        f"{len(sides[1]):,} others"
    )
    if low >= GIVES_AWAY:
        return check.issue(
            f"{told}: that it is filled gives the outcome away",
            remedy=_LEAVE_OUT.format(column),
            subject=column,
            severity=records.severity(column),
            **figures,
        )
    return check.tip(
        f"{told}: find out who fills it in, and when",
        remedy=f"If '{column}' is asked for after sales has made contact, leave it out",
        subject=column,
        **figures,
        difference=gap,
    )


def _compare_filling(
    check: Check, records: Records, column: str, closed: Flags, strata: npt.NDArray[np.int64]
) -> Finding | None:
    filled = records.leads[column].notna().to_numpy()
    sides = [
        (filled[(strata == k) & closed], filled[(strata == k) & ~closed])
        for k in np.unique(strata[strata >= 0])
    ]
    # Mantel and Haenszel's weights: a stratum counts as much as it can tell.
    weights = np.array([len(one) * len(other) / (len(one) + len(other)) for one, other in sides])
    weights /= weights.sum()
    gap = float(np.dot(weights, [_gap(*side)[0] for side in sides]))
    spread = float(np.sqrt(np.dot(weights**2, [_variance(*side) for side in sides])))
    if gap - 1.96 * spread < FILLED_LATER:
        return None
    shares = float(filled[closed].mean()), float(filled[~closed].mean())
    figures = {
        "filled_ended": shares[0],
        "filled_open": shares[1],
        "difference_at_same_age": gap,
        "interval": [gap - 1.96 * spread, gap + 1.96 * spread],
        "ended": int(closed.sum()),
        "open": int((~closed).sum()),
    }
    told = (
        f"'{column}' is filled for {shares[0]:.0%} of {int(closed.sum()):,} leads that ended and "
        f"{shares[1]:.0%} of {int((~closed).sum()):,} open ones"
    )
    if not records.dated:
        return check.tip(
            f"{told}; without dates nobody can tell whether the open ones are only younger",
            remedy=f"Find out whether '{column}' is filled in when a lead ends",
            subject=column,
            **figures,
        )
    return check.issue(
        f"{told}, a difference of {gap:.0%} at the same age: it is filled in when a lead ends",
        remedy=_LEAVE_OUT.format(column),
        subject=column,
        severity=records.severity(column),
        **figures,
    )


def _age_strata(records: Records) -> npt.NDArray[np.int64]:
    """Cut the leads into tenths by creation; -1 for a lead without a date, 0 for all without dates."""
    if not records.dated:
        return np.zeros(len(records.leads), dtype=np.int64)
    rank = records.leads["created_at"].rank(method="first", pct=True).to_numpy()
    return np.where(np.isnan(rank), -1, np.ceil(np.nan_to_num(rank) * STRATA) - 1).astype(np.int64)


def _gap(one: Flags, other: Flags) -> tuple[float, float]:
    """Return the difference of two shares, and how far from zero it is at least, with 97.5% confidence."""
    gap = float(one.mean() - other.mean())
    return gap, abs(gap) - 1.96 * float(np.sqrt(_variance(one, other)))


def _variance(one: Flags, other: Flags) -> float:
    # Agresti and Caffo's: one success and one failure more on each side, so that no share is certain.
    shares = [(side.sum() + 1) / (len(side) + 2) for side in (one, other)]
    return float(sum(p * (1 - p) / (len(s) + 2) for p, s in zip(shares, (one, other), strict=True)))


CHECKS = (
    Check("PRP201", "telling_presence", "A field whose presence tells the outcome", look_at_presence),
    Check("PRP202", "filled_at_the_end", "A field filled in when leads end", look_at_late_filling),
)
