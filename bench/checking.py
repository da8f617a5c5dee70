"""A benchmark's figures against stored ones."""

from __future__ import annotations

from bench.reports import Report, meets


def compare_reports(now: Report, stored: Report, tolerance: float) -> list[str]:
    """Return a sentence for each figure that is worse than the stored one beyond the tolerance.

    Ratios and slopes are the smaller the better unless their target says ``>=``. A comparison that the stored
    report has and this one lacks is told too; a peer that was not run is no reason to pass.

    Parameters
    ----------
    now, stored : Report
    tolerance : float
        How much worse a ratio may be, as a share of the stored one; a slope, by a tenth of it.
    """
    problems = []
    measured = {(row.what, row.contender): row for row in now.comparisons}
    for old in stored.comparisons:
        new = measured.get((old.what, old.contender))
        name = f"{old.what}, {old.contender}"
        if new is None:
            problems.append(f"{name}: was not measured, the stored ratio is {old.ratio:.3g}")
        elif worse(new.ratio, old.ratio, old.target, tolerance):
            problems.append(f"{name}: {new.ratio:.3g} times {old.reference}, stored {old.ratio:.3g}")
    slopes = {row.what: row for row in now.growths}
    for grown in stored.growths:
        found = slopes.get(grown.what)
        if found is None:
            problems.append(f"{grown.what}: no slope was measured, the stored one is {grown.exponent:.2f}")
        elif found.exponent > grown.exponent + tolerance / 10:
            problems.append(f"{grown.what}: slope {found.exponent:.2f}, stored {grown.exponent:.2f}")
    for fact in now.facts:
        if meets(fact.value, fact.target) is False:
            problems.append(f"{fact.what}: {fact.value:.3g}, wanted {fact.target}")
    return problems


def worse(new: float, old: float, target: str, tolerance: float) -> bool:
    """Return whether a ratio is worse than a stored one by more than a share."""
    if target.startswith(">="):
        return new < old / (1 + tolerance)
    return new > old * (1 + tolerance)
