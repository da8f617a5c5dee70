"""Every error the product raises on purpose, each with the exit code a scheduler sees.

::

    PropensityError
    ├── ParamsError      3   params.yaml refused
    ├── InputError       3   a file, table, column or value refused
    ├── AuditError       3   the audit found what would make a model worthless
    ├── PromotionError   3   a challenger did not pass the gate
    ├── QuarantineError  4   too large a share of the rows is bad
    ├── BundleError      5   a bundle failed verification
    ├── AlarmError       6   the monitor raised an alarm; what it found was written and printed
    └── BusyError       75   locked or unreachable; try again later

Anything else that escapes is a bug and exits with 1; a mistake on the command line exits with 2.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence


class PropensityError(Exception):
    """Base of all deliberate errors; its message is written for the person who can mend the cause."""

    exit_code = 1


class ParamsError(PropensityError):
    """A value in params.yaml, or the file itself, was refused."""

    exit_code = 3


class InputError(PropensityError):
    """A file, table, column or value in the input was refused; nothing was written."""

    exit_code = 3


class AuditError(PropensityError):
    """The audit has findings of the gravest kind that nobody has overruled."""

    exit_code = 3


class PromotionError(PropensityError):
    """A challenger did not pass the gate; the champion stays, and the refusal is recorded."""

    exit_code = 3


class QuarantineError(PropensityError):
    """More rows were quarantined than ``data.max_quarantined`` allows."""

    exit_code = 4


class BundleError(PropensityError):
    """A bundle is incomplete, was changed after it was written, or scores differently here."""

    exit_code = 5


class AlarmError(PropensityError):
    """The monitor raised an alarm: something is beyond what the reference's noise explains."""

    exit_code = 6


class BusyError(PropensityError):
    """Something is locked or unreachable; the same command may succeed later."""

    exit_code = 75


def hide_passwords(text: str) -> str:
    """Return `text` with the passwords of the URLs in it as ``***``."""
    shown = re.sub(r"(\w+://[^\s:/@]*):[^\s@]+@", r"\1:***@", text)
    return re.sub(r"([?&](?:ssl)?password=)[^&\s'\"]*", r"\1***", shown)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``", did you mean 'x'?"`` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f", did you mean '{close[0]}'?" if close else ""


def some(values: Sequence[object], limit: int = 5) -> str:
    """Return the first few values and how many there are, for a message."""
    shown = ", ".join(repr(v) for v in values[:limit])
    rest = len(values) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown
