"""How many leads were to be expected to end in a stretch of time, by how fast they end in the rest of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ending = Literal["outcome", "won", "lost"]


@dataclass(frozen=True)
class Spans:
    """The time in which each lead was seen alive, in days since 1970.

    Attributes
    ----------
    entry, exit : array of shape (n_leads,)
        When it was created; when it ended or, of open leads, the end of the data.
    status : array of shape (n_leads,)
        won, lost or open.
    end : float
        The end of the data.
    """

    entry: Floats
    exit: Floats
    status: npt.NDArray[np.object_]
    end: float

    def ended_as(self, ending: Ending) -> Flags:
        """Return which leads ended so; ``outcome`` is either way."""
        flags: Flags = self.status != "open" if ending == "outcome" else self.status == ending
        return flags

    def at_most(self, n: int) -> Spans:
        """Return every so manieth lead, `n` of them at most."""
        step = -(-len(self.entry) // n) or 1
        return Spans(self.entry[::step], self.exit[::step], self.status[::step], self.end)


def make_spans(created: Floats, closed: Floats, status: npt.NDArray[Any], *, end: float) -> Spans:
    """Return the spans of the leads whose times are known and in order.

    Parameters
    ----------
    created, closed : array of shape (n_leads,)
        Days since 1970, NaN where unknown.
    status : array of shape (n_leads,)
    end : float
    """
    exits = np.where(status == "open", end, closed)
    sound = (created <= exits) & (exits <= end)  # false where one is NaN
    return Spans(created[sound], exits[sound], np.asarray(status[sound], dtype=object), end)


def expected_endings(spans: Spans, ended: Flags, cut: float, *, before: bool) -> float:
    """Return how many leads were to be expected to end on one side of a moment.

    Each lead counts with the probability of ending in its time on that side, by the hazard at its age in
    the leads' time on the other side: the estimator of Nelson (1972) and Aalen (1978) with delayed entry,
    so that leads count from when they are under observation and other endings censor.

    Parameters
    ----------
    spans : Spans
    ended : array of bool, shape (n_leads,)
        Which ended in the way that is counted.
    cut : float
        The moment, in days since 1970.
    before : bool
        Whether the endings before it are asked for, rather than those after it.
    """
    older = _ages(spans, upto=cut)
    newer = _ages(spans, since=cut)
    (start, stop), (seen_start, seen_stop) = (older, newer) if before else (newer, older)
    on_other_side = ended & ((spans.exit >= cut) if before else (spans.exit <= cut))
    ages, hazard = _cumulative_hazard(seen_start, seen_stop, (spans.exit - spans.entry)[on_other_side])
    there = stop >= start
    before_start = hazard[np.searchsorted(ages, start[there], side="left")]
    until_stop = hazard[np.searchsorted(ages, stop[there], side="right")]
    return float(np.sum(1 - np.exp(before_start - until_stop)))


def _ages(spans: Spans, *, since: float = -np.inf, upto: float = np.inf) -> tuple[Floats, Floats]:
    """Return each lead's age where its time in the stretch begins and ends (first ends, if it has none)."""
    return np.maximum(spans.entry, since) - spans.entry, np.minimum(spans.exit, upto) - spans.entry


def _cumulative_hazard(start: Floats, stop: Floats, endings: Floats) -> tuple[Floats, Floats]:
    """Return the ages at which leads end, and the hazard summed before the first and up to each."""
    ages, count = np.unique(endings, return_counts=True)
    there = stop >= start
    begun = np.searchsorted(np.sort(start[there]), ages, side="right")
    gone = np.searchsorted(np.sort(stop[there]), ages, side="left")
    steps = count / np.maximum(begun - gone, 1)
    return ages, np.concatenate([[0.0], np.cumsum(steps)])
