"""What a check of `propensity monitor` may say.

A check has a code, such as PRM201, and gives one signal or more. A signal has one of three statuses:

==========  ========================================================================================
alarm       what was seen is beyond what the reference's own noise explains
ok          the check looked, and found nothing of the kind
cannot say  the check could not look, for the reason it gives; this is never "ok"
==========  ========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from propensity.loop.watch import Watch

Status = Literal["alarm", "ok", "cannot say"]
STATUSES: tuple[Status, ...] = ("alarm", "cannot say", "ok")


@dataclass(frozen=True)
class Signal:
    """What a check says of one subject, or as a whole.

    Attributes
    ----------
    code, check : str
        The check's code and name.
    status : str
        One of `STATUSES`.
    severity : {'critical', 'warning', 'note'}
        ``critical``: scores may be wrong tonight; ``warning``: for a person to look at; ``note``: no alarm.
    subject : str or None
        The feed, column, feature, tier or figure it is about.
    message : str
        A sentence with the numbers, n, and the period.
    evidence : dict
        The same as plain numbers and texts.
    next_step : str
        What to do, with a command; empty where nothing is to be done.
    """

    code: str
    check: str
    status: Status
    severity: Literal["critical", "warning", "note"]
    subject: str | None
    message: str
    evidence: dict[str, Any] = field(default_factory=dict)
    next_step: str = ""


@dataclass(frozen=True)
class Check:
    """A question asked of the weeks since the reference.

    Attributes
    ----------
    code : str
        ``PRM`` and three digits; the first digit is the family's.
    name : str
        Its short name, in lower case with underscores.
    title : str
        What it looks at, in a few words.
    look : callable
        From the check itself and what there is to watch to its signals; at least one, always.
    by_chance : bool
        Whether noise can set it off, so that it takes a share of ``monitor.false_alarms_per_year``.
    severity : {'critical', 'warning'}
        Of its alarms.
    """

    code: str
    name: str
    title: str
    look: Callable[[Check, Watch], list[Signal]]
    by_chance: bool = True
    severity: Literal["critical", "warning"] = "warning"

    def alarm(self, message: str, *, next_step: str, subject: str | None = None, **evidence: Any) -> Signal:
        """Return an alarm."""
        return Signal(self.code, self.name, "alarm", self.severity, subject, message, evidence, next_step)

    def ok(self, message: str, subject: str | None = None, **evidence: Any) -> Signal:
        """Return that the check looked and found nothing."""
        return Signal(self.code, self.name, "ok", "note", subject, message, evidence)

    def cannot_say(self, why: str, *, subject: str | None = None, next_step: str = "") -> Signal:
        """Return that the check could not look, and why."""
        return Signal(self.code, self.name, "cannot say", "note", subject, why, {}, next_step)


def signal_to_json(signal: Signal) -> dict[str, Any]:
    """Return a signal as plain values."""
    return asdict(signal)
