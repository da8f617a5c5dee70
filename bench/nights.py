"""``propensity score`` in a process of its own: its seconds, the memory it held, what its parts took.

::

    python -m bench.nights PARTS ARGUMENTS OF PROPENSITY

runs the command and writes the seconds that the logger ``propensity.timing`` told of, summed by part, to the
file PARTS.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Night:
    """What one run took: leads scored, seconds, bytes held at most, seconds by part and of the processors."""

    leads: int
    seconds: float
    peak: float
    parts: dict[str, float] = field(default_factory=dict)
    processors: float = 0.0


class Sums(logging.Handler):
    """Sums the seconds of each part."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = defaultdict(float)

    def emit(self, record: logging.LogRecord) -> None:
        part, seconds = record.args  # type: ignore[misc]
        self.seconds[str(part)] += float(seconds)  # type: ignore[arg-type]


def run_night(folder: Path, *arguments: str) -> Night:
    """Score the workspace in `folder` in a process of its own, with more `arguments` to the command."""
    told = folder / "parts.json"
    command = [sys.executable, "-m", "bench.nights", str(told), "score", *arguments]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"propensity score ended with {process.returncode}")
    scored = pq.read_metadata(folder / "scores" / "scores.parquet").num_rows
    parts, processors = json.loads(told.read_text(encoding="ascii")), usage.ru_utime + usage.ru_stime
    return Night(scored, seconds, usage.ru_maxrss * 1024.0, parts, processors)


def main(arguments: list[str]) -> None:
    """Run a command and keep what its parts took."""
    from propensity.cli import main as run_command

    sums = Sums()
    logger = logging.getLogger("propensity.timing")
    logger.addHandler(sums)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        run_command(arguments[1:])
    finally:
        Path(arguments[0]).write_text(json.dumps(sums.seconds), encoding="ascii")


if __name__ == "__main__":
    main(sys.argv[1:])
