"""Commands in processes of their own that can be killed: at a named point, at a moment, with little disk."""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

# Processes are forked from one that has imported what commands use and done nothing with it.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "propensity.cli",
        "propensity.stages",
        "propensity.loop.promotion",
        "propensity.loop.tracking",
        "mlflow.store.tracking.sqlalchemy_store",
        "mlflow.store.model_registry.sqlalchemy_store",
    ]
)


@dataclass(frozen=True)
class Kill:
    """Kills the process at a point, as the kernel would."""

    name: str

    def __call__(self, name: str) -> None:
        if name == self.name:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Pause:
    """Says that a point is reached, and waits there until it may go on."""

    name: str
    reached: Any
    go_on: Any

    def __call__(self, name: str) -> None:
        if name == self.name:
            self.reached.set()
            assert self.go_on.wait(600)


@dataclass(frozen=True)
class Record:
    """Writes each point's name to a file."""

    path: Path

    def __call__(self, name: str) -> None:
        with self.path.open("a") as stream:
            stream.write(name + "\n")


class _Points(logging.Handler):
    def __init__(self, at: Callable[[str], None]) -> None:
        super().__init__()
        self.at = at

    def emit(self, record: logging.LogRecord) -> None:
        self.at(record.getMessage())


def start(
    folder: Path,
    *command: str,
    at: Callable[[str], None] | None = None,
    barrier: Any = None,
    largest_file: int | None = None,
) -> BaseProcess:
    """Start a command of the product in a workspace; what it prints is in ``out.txt``."""
    process = CONTEXT.Process(target=_run, args=(folder, command, at, barrier, largest_file))
    process.start()
    return process


def finish(process: BaseProcess) -> int:
    """Wait for a process and return its exit code; minus nine if it was killed."""
    process.join(600)
    assert process.exitcode is not None
    return process.exitcode


def run(folder: Path, *command: str, **options: Any) -> int:
    """Run a command and return its exit code."""
    return finish(start(folder, *command, **options))


def said(folder: Path) -> str:
    """Return what the commands in a workspace printed."""
    return (folder / "out.txt").read_text()


def _run(
    folder: Path,
    command: tuple[str, ...],
    at: Callable[[str], None] | None,
    barrier: Any,
    largest_file: int | None,
) -> None:
    from propensity.cli import main

    os.chdir(folder)
    out = os.open("out.txt", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(out, sys.stdout.fileno())
    os.dup2(out, sys.stderr.fileno())
    if at is not None:
        logging.getLogger("propensity.milestones").addHandler(_Points(at))
        logging.getLogger("propensity.milestones").setLevel(logging.DEBUG)
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing then fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    if barrier is not None:
        barrier.wait(600)
    main(["--params", str(folder / "params.yaml"), *command])
