"""Scoring in a process of its own that ends where a test wants it to.

The processes are forked from a server that has imported the product and done nothing else, which spares each
of them the imports.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
_PRELOADED = (
    "scoring_children",
    "propensity.commands",
    "propensity.data.ingest",
    "propensity.data.schemas",
    "propensity.explain.changes",
    "propensity.predict",
    "propensity.scoring.stores",
    "psycopg",
)
CONTEXT.set_forkserver_preload(list(_PRELOADED))


@dataclass(frozen=True)
class End:
    """What befalls the process.

    Attributes
    ----------
    at : str
        A milestone, passed the `nth` time.
    touches : int
        Kill it the so-many-th time it opens, moves or removes a file of the workspace; -1: count them.
    count : str
        Where that number is written at the end.
    largest : int
        Bytes that no file may grow beyond, from the milestone on or, without one, from the beginning.
    meeting : pair of events, optional
        At the milestone the first is set and the second waited for; without it the process kills itself.
    """

    at: str = ""
    nth: int = 1
    touches: int = 0
    count: str = ""
    largest: int = 0
    meeting: Any = None


def start_score(folder: Path, *arguments: str, end: End | None = None) -> Any:
    """Start ``propensity score`` in a workspace; what it says goes to its ``score.log``."""
    process = CONTEXT.Process(target=_score, args=(str(folder), arguments, end or End()))
    process.start()
    return process


def run_score(folder: Path, *arguments: str, end: End | None = None) -> int:
    """Run ``propensity score`` in a workspace; return the exit code, -9 where it was killed."""
    process = start_score(folder, *arguments, end=end)
    process.join()
    return int(process.exitcode)


def _score(folder: str, arguments: tuple[str, ...], end: End) -> None:
    from propensity.cli import main

    os.chdir(folder)
    log = Path("score.log").open("a", encoding="utf-8")  # noqa: SIM115 (it outlives the block)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    logger = logging.getLogger("propensity.milestones")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(_AtMilestone(end))
    touched = [0]
    if end.touches:
        sys.addaudithook(lambda event, given: _touch(touched, event, given, folder, end.touches))
    if end.largest and not end.at:
        _limit_files(end.largest)
    try:
        main(["score", *arguments])
    finally:
        if end.count:
            Path(end.count).write_text(str(touched[0]), encoding="utf-8")


class _AtMilestone(logging.Handler):
    def __init__(self, end: End) -> None:
        super().__init__()
        self._end, self._left = end, end.nth

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg != self._end.at:
            return
        self._left -= 1
        if self._left:
            return
        if self._end.largest:
            _limit_files(self._end.largest)
        elif self._end.meeting is None:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            reached, go_on = self._end.meeting
            reached.set()
            go_on.wait()


def _limit_files(largest: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))


def _touch(touched: list[int], event: str, given: Any, folder: str, last: int) -> None:
    if event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"):
        return
    path = given[0] if given else None
    if not isinstance(path, (str, os.PathLike)) or not Path(path).absolute().is_relative_to(folder):
        return
    touched[0] += 1
    if touched[0] == last:
        os.kill(os.getpid(), signal.SIGKILL)
