"""What the checks of `propensity monitor` said, as text."""

from __future__ import annotations

from collections.abc import Sequence

from propensity.loop.lookout import count_statuses
from propensity.loop.signals import Signal

MOST = 5  # alarms of one check that are told one by one


def tell_signals(signals: Sequence[Signal]) -> str:
    """Return the alarms with what to do, then what could not be said, then what was looked at."""
    counts = count_statuses(signals)
    said = ", ".join(f"{n} {name}" for name, n in counts.items())
    lines = [f"{sum(counts.values())} checks: {said}"]
    for code in dict.fromkeys(signal.code for signal in signals):
        lines += _tell_check([signal for signal in signals if signal.code == code])
    return "\n".join(lines)


def tell_alarms(signals: Sequence[Signal]) -> str:
    """Return the alarms in one line, for a log."""
    alarms = [signal for signal in signals if signal.status == "alarm"]
    codes = dict.fromkeys(signal.code for signal in alarms)
    told = []
    for code in codes:
        subjects = [s.subject for s in alarms if s.code == code and s.subject is not None]
        more = f" and {len(subjects) - MOST} more" if len(subjects) > MOST else ""
        about = f" ({', '.join(subjects[:MOST])}{more})" if subjects else ""
        told.append(f"{code} {next(s.check for s in alarms if s.code == code)}{about}")
    return f"{len(codes)} {'check raises' if len(codes) == 1 else 'checks raise'} an alarm: {'; '.join(told)}"


def _tell_check(signals: Sequence[Signal]) -> list[str]:
    lines = []
    for signal in signals[:MOST]:
        lines.append(f"{signal.status.upper():<10} {signal.code} {signal.check}: {signal.message}")
        if signal.next_step:
            lines.append(f"{'':<11}do: {signal.next_step}")
    if len(signals) > MOST:
        more = [str(signal.subject) for signal in signals[MOST:]]
        lines.append(f"{'':<11}{signals[0].code} also for {', '.join(more)}")
    return lines
