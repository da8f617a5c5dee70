"""The parts of a scoring under way: each chunk a file and its mark, kept until the whole is in place.

A run is known by its key, a hash of all that its scores depend on. Killed and started again it has the same
key and goes on after the last chunk that was marked; another key throws away what the killed one left.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from propensity.data.files import (
    atomic_paths,
    milestone,
    read_json,
    remove_leftovers,
    write_json,
    write_parquet,
)


@dataclass(frozen=True)
class Parts:
    """The chunks of one run.

    Attributes
    ----------
    folder : Path
        Of this run's key.
    scored_at : datetime
        When the run began, also if it was killed and started again since; all its scores bear it.
    """

    folder: Path
    scored_at: datetime

    def scores(self, number: int) -> Path:
        return self.folder / f"{number:06d}.parquet"

    def changes(self, number: int) -> Path:
        return self.folder / f"{number:06d}.changes.parquet"

    def kept(self, number: int) -> Path:
        return self.folder / f"{number:06d}.kept.parquet"

    def mark(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"


def make_key(content: Mapping[str, Any]) -> str:
    """Return the key of a run that depends on `content`: 32 hex digits."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def open_parts(folder: Path, key: str) -> Parts:
    """Return the parts of the run `key` in `folder`; those of other runs are removed."""
    remove_leftovers(folder / key)
    if folder.is_dir():
        for other in folder.iterdir():
            if other.name != key:
                shutil.rmtree(other)
    begun = folder / key / "begun.json"
    if begun.exists():
        return Parts(folder / key, datetime.fromisoformat(read_json(begun)["scored_at"]))
    return Parts(folder / key, datetime.now(UTC))


def write_part(
    parts: Parts,
    number: int,
    scores: pd.DataFrame,
    changes: pd.DataFrame | None,
    kept: pd.DataFrame | None,
    mark: Mapping[str, Any],
) -> None:
    """Keep a chunk; its mark is moved into place last, and without it the chunk does not count."""
    begun = parts.folder / "begun.json"
    if not begun.exists():
        write_json({"scored_at": parts.scored_at.isoformat()}, begun)
    paths = [parts.scores(number), parts.changes(number), parts.kept(number), parts.mark(number)]
    with atomic_paths(paths) as (own, all_changes, behaviour, marked):
        write_parquet(scores, own)
        if changes is not None:
            write_parquet(changes, all_changes)
        if kept is not None:
            write_parquet(kept, behaviour)
        write_json(mark, marked)
    milestone("score: part written")


def read_mark(parts: Parts, number: int) -> dict[str, Any] | None:
    """Return the mark of a chunk; None while it has none."""
    path = parts.mark(number)
    return read_json(path) if path.exists() else None


def read_scores(parts: Parts, chunks: int) -> Iterator[pa.Table]:
    """Yield the scores of all chunks in their order."""
    for number in range(chunks):
        yield pq.read_table(parts.scores(number))


def read_changes(parts: Parts, chunks: int) -> Iterator[pa.Table]:
    """Yield the changes of all chunks in their order."""
    for number in range(chunks):
        yield pq.read_table(parts.changes(number))


def remove_parts(parts: Parts) -> None:
    """Throw the parts of a finished run away, and the folder of all runs if it is empty then."""
    shutil.rmtree(parts.folder, ignore_errors=True)
    folder = parts.folder.parent
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
