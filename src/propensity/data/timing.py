"""How long the parts of a job take, for who asks: at DEBUG on the logger ``propensity.timing``."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

_timing = logging.getLogger("propensity.timing")


@contextmanager
def timed(part: str) -> Iterator[None]:
    """Say how many seconds the block took, or each call of a function that this decorates.

    The record's ``args`` are the part and its seconds. A part may lie in another one, whose seconds then hold
    its own. Of a block that raises nothing is said.
    """
    start = time.perf_counter()
    yield
    _timing.debug("%s: %.6f s", part, time.perf_counter() - start)
