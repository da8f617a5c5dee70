"""What may change in the simulated company's world from a moment on, planted for monitoring to find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from propensity.data.planted import EVENTS_PER_LEAD, LOG_ODDS
from propensity.errors import InputError, some


@dataclass(frozen=True)
class DeadFeed:
    """Events of some types reach the CRM no more, though leads act as before.

    Attributes
    ----------
    at : Timestamp
        Nothing that would have been known at this moment or later is recorded.
    types : tuple of str
        Event types.
    """

    at: pd.Timestamp
    types: tuple[str, ...]


@dataclass(frozen=True)
class FewerWins:
    """A share of the leads that would have been won is lost instead, at the moment they would have been won.

    Attributes
    ----------
    at : Timestamp
        Closings at this moment or later are meant, whenever the lead was created.
    factor : float
        The share that is still won, 0 to 1.
    """

    at: pd.Timestamp
    factor: float


@dataclass(frozen=True)
class ChannelChange:
    """A channel brings other people under the same name.

    Attributes
    ----------
    at : Timestamp
        Leads created at this moment or later are meant.
    channel : str
    log_odds : float
        What the channel adds to a lead's log-odds of interest, in place of its planted effect.
    """

    at: pd.Timestamp
    channel: str
    log_odds: float


Shift = DeadFeed | FewerWins | ChannelChange


def check_shifts(shifts: Iterable[Shift]) -> None:
    """Refuse shifts of what the simulation does not know.

    Raises
    ------
    InputError
        A shift names an unknown event type or channel, or its factor is not in 0 to 1.
    """
    for shift in shifts:
        match shift:
            case DeadFeed(types=types):
                _check_known(types, EVENTS_PER_LEAD, "event types")
            case ChannelChange(channel=channel):
                _check_known([channel], LOG_ODDS["channel"], "channels")
            case FewerWins(factor=factor):
                if not 0 <= factor <= 1:
                    raise InputError(f"shifts: the factor on wins must lie in 0 to 1, got {factor}")


def death_of(kind: str, shifts: Iterable[Shift]) -> pd.Timestamp | None:
    """Return when the feed of an event type died; None for one that lives."""
    return min((s.at for s in shifts if isinstance(s, DeadFeed) and kind in s.types), default=None)


def drop_unrecorded(events: pd.DataFrame, shifts: Sequence[Shift]) -> pd.DataFrame:
    """Return `events` without those that would have come through a dead feed."""
    for shift in shifts:
        if isinstance(shift, DeadFeed):
            lost = events["type"].isin(shift.types) & (events["known_at"] >= shift.at)
            events = events[~lost].reset_index(drop=True)
    return events


def describe_shifts(shifts: Iterable[Shift]) -> list[dict[str, Any]]:
    """Return the shifts as plain values, for ``effects.json``."""
    return [{"shift": type(shift).__name__} | asdict(shift) for shift in shifts]


def _check_known(names: Sequence[str], known: Iterable[str], what: str) -> None:
    unknown = [name for name in names if name not in set(known)]
    if unknown:
        raise InputError(f"shifts: {what} must be among {', '.join(known)}; got {some(unknown)}")
