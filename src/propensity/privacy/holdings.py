"""Where a workspace holds what is known of a lead, and how it is taken out of a file."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propensity.workspace import Workspace

COLUMN = "lead_id"
_BATCH_ROWS = 50_000


def parquet_files(ws: Workspace) -> list[Path]:
    """Return the Parquet files that have a row a lead, those of a scoring at work among them.

    Bundles are left out: their rows are of no named lead, and a changed file would be refused. So is what one
    scoring keeps for the next, which is made again.
    """
    folders = [ws.interim, ws.processed, ws.feedback.parent, ws.scores.parent, ws.reports]
    files = [path for folder in folders for path in folder.rglob("*.parquet")]
    own = (path for path in files if ws.kept not in path.parents)
    return sorted(path for path in own if COLUMN in pq.read_schema(path).names)


def count_rows(path: Path, ids: pa.Array) -> dict[str, int]:
    """Return the rows of a Parquet file by lead, of the leads in `ids`."""
    counts: dict[str, int] = {}
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[COLUMN]):
            column = batch.column(0).cast(pa.string())
            for found in pc.value_counts(column.filter(pc.is_in(column, ids))).to_pylist():
                counts[found["values"]] = counts.get(found["values"], 0) + found["counts"]
    return counts


def write_without(path: Path, ids: pa.Array, target: Path) -> None:
    """Write a Parquet file anew without the rows of the leads in `ids`, in its order, batch by batch."""
    with pq.ParquetFile(path) as file, pq.ParquetWriter(target, file.schema_arrow, compression="zstd") as out:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            column = batch.column(batch.schema.get_field_index(COLUMN)).cast(pa.string())
            out.write_batch(batch.filter(pc.invert(pc.is_in(column, ids))))


def lines_without(path: Path, ids: frozenset[str]) -> tuple[list[str], int]:
    """Return the lines of a JSON lines file that are about none of `ids`, and how many are."""
    lines = path.read_text(encoding="utf-8").split("\n")
    kept = [line for line in lines if not line.strip() or json.loads(line).get(COLUMN) not in ids]
    return kept, len(lines) - len(kept)


def made_again(ws: Workspace) -> dict[str, list[Path]]:
    """Return the files that tell of leads and are made again from the tables, by the command that does so."""
    found = {
        "propensity review": [ws.reports / "review.html"],
        "propensity score": sorted(ws.kept.glob("*")),
        "propensity score --previous": [ws.scores.with_name("crossings.csv")],
        "propensity score --export": sorted(p for p in ws.exports.rglob("*") if p.is_file()),
    }
    there = {command: [path for path in paths if path.exists()] for command, paths in found.items()}
    return {command: paths for command, paths in there.items() if paths}


def mentions(ids: Iterable[str]) -> Callable[[Path], bool]:
    """Return whether a text file has one of the ids as a word, as it is or as HTML or JSON write it."""
    forms = {form for lead in ids for form in (lead, html.escape(lead), json.dumps(lead)[1:-1])}
    words = re.compile("|".join(rf"(?<!\w){re.escape(form)}(?!\w)" for form in sorted(forms)))
    return lambda path: bool(words.search(path.read_text(encoding="utf-8", errors="replace")))


def logged_reviews(ws: Workspace) -> list[Path]:
    """Return the reviews that runs logged with MLflow into the workspace."""
    return sorted((ws.folder / "mlartifacts").rglob("review.html"))


def left_behind(ws: Workspace) -> list[Path]:
    """Return what killed commands left half done, which may hold anybody; under the lock none is at work."""
    found = set(ws.folder.glob(".propensity-*")) | set(ws.folder.glob(".*.tmp"))
    for folder in (ws.interim, ws.processed, ws.feedback.parent, ws.models, ws.reports, ws.scores.parent):
        hidden = [path for path in folder.rglob(".*") if path.is_dir() or path.suffix == ".tmp"]
        found |= set(hidden)
    return sorted(path for path in found if not found & set(path.parents))
