"""Peers in processes of their own: loaded once, then timed turn by turn beside the product.

A worker is a script that reads a line of JSON from its standard input, does what it asks once, and answers
with a line of JSON that holds ``seconds`` and ``peak`` (bytes). Nothing of the product is on its path.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from bench.timing import Contender

PEERS = Path(__file__).parent / "peers"


class Worker:
    """A process that does one thing each time it is asked; use it as a context.

    Parameters
    ----------
    command : sequence of str
    threads : int
        Set as the number of threads of OpenMP and of numba.
    """

    def __init__(self, command: Sequence[str], *, threads: int) -> None:
        self.command = list(command)
        names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        self.environment = own | dict.fromkeys(names, str(threads))
        self.peak = 0.0
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[str] | None = None

    def __enter__(self) -> Worker:
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=self.environment,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._log is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._log.close()

    def ask(self, **what: Any) -> dict[str, Any]:
        """Send one request and return the answer.

        Raises
        ------
        RuntimeError
            The worker ended, with the last of what it wrote to its standard error.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._log is not None
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended: what it said is told below
        for line in self._process.stdout:
            if line.startswith("{"):  # some libraries print to stdout
                answer: dict[str, Any] = json.loads(line)
                self.peak = max(self.peak, float(answer.get("peak", 0.0)))
                return answer
        self._log.seek(0)
        raise RuntimeError(f"{Path(self.command[1]).name} ended: {self._log.read()[-600:]}")

    def contend(self, *, units: float, note: str = "", **what: Any) -> Contender:
        """Return a contender that asks the same each time."""
        return Contender(
            lambda: float(self.ask(**what)["seconds"]), units=units, note=note, peak=lambda: self.peak
        )


def make_environment(folder: Path, name: str) -> Path:
    """Make a virtual environment with what ``bench/peers/requirements/NAME.txt`` pins; return its Python.

    One that is there is taken as it is.
    """
    home = folder / name
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
        listed = PEERS / "requirements" / f"{name}.txt"
        command = [str(python), "-m", "pip", "install", "--quiet", "-r", str(listed)]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return python
