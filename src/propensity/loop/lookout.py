"""All checks of `propensity monitor`, in the order of their codes, and how they are asked."""

from __future__ import annotations

from collections.abc import Sequence

from propensity.loop import estimates, features, feeds, outcomes, schema, scored
from propensity.loop.signals import STATUSES, Check, Signal
from propensity.loop.watch import Watch

CHECKS: tuple[Check, ...] = tuple(
    sorted(
        (
            *schema.CHECKS,
            *feeds.CHECKS,
            *features.CHECKS,
            *scored.CHECKS,
            *estimates.CHECKS,
            *outcomes.CHECKS,
        ),
        key=lambda check: check.code,
    )
)
DAYS_PER_YEAR = 365.25


def share_alpha(false_alarms_per_year: float, every_days: float) -> float:
    """Return the chance of a false alarm that each check may have in one look.

    The looks of a year share what is wanted of the year, and the checks share what a look may have, so that
    neither many looks nor many checks add false alarms.
    """
    noisy = sum(check.by_chance for check in CHECKS)
    return min(false_alarms_per_year * every_days / DAYS_PER_YEAR / noisy, 0.5)


def ask_checks(watch: Watch) -> list[Signal]:
    """Ask every check.

    Returns
    -------
    list of Signal
        By status (see `propensity.loop.signals.STATUSES`), then by code; one or more of each check.
    """
    return sort_signals([signal for check in CHECKS for signal in check.look(check, watch)])


def sort_signals(signals: Sequence[Signal]) -> list[Signal]:
    """Return signals by status, then by code, else in their order."""
    return sorted(signals, key=lambda signal: (STATUSES.index(signal.status), signal.code))


def count_statuses(signals: Sequence[Signal]) -> dict[str, int]:
    """Return how many checks have each status; a check with an alarm counts as one alarm."""
    status = dict.fromkeys(sorted({signal.code for signal in signals}), "ok")
    for signal in sorted(signals, key=lambda s: -STATUSES.index(s.status)):
        status[signal.code] = signal.status
    return {name: sum(s == name for s in status.values()) for name in STATUSES}
