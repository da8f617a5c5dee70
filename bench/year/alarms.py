"""What the monitor's alarms were worth: raised in quiet weeks, and how soon after each shift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.year.calendar import Year
from propensity.data.shifts import ChannelChange, DeadFeed, FewerWins, Shift
from propensity.evaluation.intervals import wilson_interval

Record = Mapping[str, Any]


def names_shift(alarm: Mapping[str, Any], shift: Shift) -> bool:
    """Tell whether an alarm is about what was planted, so that a reader would look in the right place.

    A stopped feed has to be named; fewer wins have to be seen in outcomes, and in their direction; a changed
    channel has to be named.
    """
    subject = str(alarm["subject"])
    match shift:
        case DeadFeed(types=types):
            return subject in {f"events/{kind}" for kind in types}
        case FewerWins():
            return _says_fewer_wins(alarm)
        case ChannelChange(channel=channel):
            return channel in f"{subject} {alarm['message']}"


def _says_fewer_wins(alarm: Mapping[str, Any]) -> bool:
    """Tell whether an alarm says that fewer leads are won than the probabilities or a cut-off promised."""
    evidence = alarm["evidence"]
    match alarm["check"], alarm["subject"]:
        case "early_wins", "wins":
            return bool(evidence["wins"] < evidence["expected"])
        case "calibration", "shift":
            return bool(evidence["value"] < evidence["before"])
        case "cutoffs", "sql":
            return True
    return False


def find_detections(year: Year, records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return when each shift was first named.

    Returns
    -------
    list of dict
        For each shift ``shift``, ``at``, ``weeks_watched`` (how many weeks had seen some of it), and
        ``named``: None or ``week``, ``weeks`` (since the shift; 1 is the first that could see it), ``code``,
        ``check``, ``subject``, ``message``.
    """
    found = []
    for shift in year.shifts:
        seen = [r for r in records if year.weeks_since(shift, r["week"]) >= 1]
        named = (_hit(year, shift, r, a) for r in seen for a in r["alarms"] if names_shift(a, shift))
        about = {"shift": type(shift).__name__, "at": shift.at, "weeks_watched": len(seen)}
        found.append({**about, "named": next(named, None)})
    return found


def _hit(year: Year, shift: Shift, record: Record, alarm: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: alarm[name] for name in ("code", "check", "subject", "message")}
    return {"week": record["week"], "weeks": year.weeks_since(shift, record["week"]), **told}


def count_false_alarms(records: Sequence[Record]) -> dict[str, Any]:
    """Count the quiet weeks, those among them with an alarm, and which checks raised it.

    A week is quiet if nothing was planted before its scores were made.
    """
    quiet = [record for record in records if not record["planted"]]
    loud = np.array([bool(record["alarms"]) for record in quiet], dtype=bool)
    codes = [f"{a['code']} {a['check']}" for record in quiet for a in record["alarms"]]
    return {
        "weeks": len(quiet),
        "with_alarm": int(loud.sum()),
        "interval": wilson_interval(loud, np.arange(len(loud))),
        "by_check": {code: codes.count(code) for code in sorted(set(codes))},
        "which": [record["week"] for record, heard in zip(quiet, loud, strict=True) if heard],
    }
