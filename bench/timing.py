"""Timing side by side: contenders take turns, and what is told is the ratio of each turn.

A machine that other work shares speeds up and slows down within minutes. A ratio of two runs that follow each
other keeps most of that out; so contenders alternate, each turn gives one ratio, and the median of the turns
is told with the lowest and the highest. Every round begins with another contender: none is always first.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

MB = 1024 * 1024


@dataclass(frozen=True)
class Contender:
    """What is timed.

    Attributes
    ----------
    run : callable
        Does the work once. A float that it returns is taken for the seconds spent, which a contender in a
        process of its own measures itself.
    units : float
        How much work one run is (rows, leads); costs are compared per unit, so that a slow peer can be given
        fewer rows.
    note : str
        What a reader must know, such as on how many rows it was timed.
    peak : callable, optional
        The bytes the contender's own process held at most, for one that runs in another process.
    """

    run: Callable[[], float | object | None]
    units: float = 1.0
    note: str = ""
    peak: Callable[[], float] | None = None


@dataclass
class Timing:
    """What a contender took.

    Attributes
    ----------
    seconds : list of float
        Of each round, for all units together.
    units : float
    peak : float
        Bytes held beyond what was held when a run began, at most over the rounds.
    note : str
    """

    seconds: list[float] = field(default_factory=list)
    units: float = 1.0
    peak: float = 0.0
    note: str = ""

    @property
    def per_unit(self) -> list[float]:
        """Seconds a unit of each round."""
        return [s / self.units for s in self.seconds]


@dataclass(frozen=True)
class Ratio:
    """A cost in units of another contender's: median over the rounds, lowest, highest."""

    middle: float
    low: float
    high: float


def alternate(contenders: Mapping[str, Contender], *, rounds: int = 5, warm: int = 1) -> dict[str, Timing]:
    """Run contenders in turn.

    Parameters
    ----------
    contenders : dict
        Name to contender.
    rounds : int
        Timed turns of each.
    warm : int
        Turns before, which are not counted: they load, compile and fill caches.
    """
    names = list(contenders)
    timings = {name: Timing(units=c.units, note=c.note) for name, c in contenders.items()}
    for turn in range(warm + rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            seconds, held = time_once(contenders[name])
            if turn >= warm:
                timings[name].seconds.append(seconds)
                timings[name].peak = max(timings[name].peak, held)
    return timings


def time_once(contender: Contender) -> tuple[float, float]:
    """Run once; return the seconds and the most bytes held beyond those held before."""
    gc.collect()
    before = reset_peak()
    start = time.perf_counter()
    told = contender.run()
    seconds = time.perf_counter() - start
    if contender.peak is not None:
        return told if isinstance(told, float) else seconds, contender.peak()
    return told if isinstance(told, float) else seconds, max(peak_bytes() - before, 0.0)


def ratio_of(timing: Timing, reference: Timing) -> Ratio:
    """Return the cost of one contender in units of another's, from the rounds of both."""
    pairs = zip(timing.per_unit, reference.per_unit, strict=True)
    ratios = [mine / other for mine, other in pairs]
    return Ratio(median(ratios), min(ratios), max(ratios))


def reset_peak() -> float:
    """Forget the most memory this process has held; return what it holds in bytes.

    Linux forgets when 5 is written to ``clear_refs``. Where that cannot be done the peak of the whole process
    counts, which is never too low.
    """
    path = Path("/proc/self/clear_refs")
    if not path.exists():
        return 0.0
    try:
        path.write_text("5", encoding="ascii")
    except OSError:
        return 0.0
    return _status("VmRSS")


def peak_bytes() -> float:
    """Return the most bytes of memory that this process has held since `reset_peak`."""
    if Path("/proc/self/status").exists():
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
