"""The files of a finished scoring: put together from its parts, and moved into place whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from propensity.data.files import atomic_paths, stream_parquet, write_json, write_parquet, write_text
from propensity.scoring.parts import Parts, read_changes, read_scores

CHANGES = ("changes.parquet", "crossings.parquet", "crossings.csv")
RUN, REFUSED = "run.json", "quarantine.parquet"


def replace_results(
    path: Path,
    parts: Parts,
    chunks: int,
    *,
    alone: bool,
    compared: bool,
    refused: pd.DataFrame | None,
    run: Mapping[str, Any] | None,
) -> None:
    """Put the scores of all chunks in the place of the last ones, with what belongs to them.

    Each file is complete before the first is moved, and ``run.json`` is moved last: what it tells of is
    there.

    Parameters
    ----------
    path : Path
        Of the scores; the other files lie beside it.
    parts : Parts
    chunks : int
    alone : bool
        Whether what lies beside it of another scoring stays; else it is removed.
    compared : bool
        Whether the parts hold changes.
    refused : DataFrame or None
        From `list_refused`.
    run : mapping or None
        What ``run.json`` holds.
    """
    beside = [path.with_name(name) for name in (*CHANGES, REFUSED, RUN)]
    with atomic_paths([path, *beside]) as (scores, changes, crossed, readable, quarantine, about):
        stream_parquet(read_scores(parts, chunks), scores)
        if compared:
            _write_changes(parts, chunks, changes, crossed, readable)
        if refused is not None:
            write_parquet(_typed(refused), quarantine)
        if run is not None:
            write_json(run, about)
        written = [changes.exists(), crossed.exists(), readable.exists(), quarantine.exists(), about.exists()]
    for other, was_written in zip(beside, written, strict=True):
        if not was_written and not alone:
            other.unlink(missing_ok=True)


def _write_changes(parts: Parts, chunks: int, changes: Path, crossed: Path, readable: Path) -> None:
    from propensity.explain.changes import crossings, crossings_csv

    stream_parquet(read_changes(parts, chunks), changes)
    found = [t.filter(pc.not_equal(t["crossed"], "")) for t in read_changes(parts, chunks)]
    ordered = crossings(pa.concat_tables(found).to_pandas())
    write_parquet(ordered, crossed)
    write_text(crossings_csv(ordered), readable)


def _typed(refused: pd.DataFrame) -> pa.Table:
    schema = pa.schema([(name, pa.string()) for name in refused.columns])
    return pa.Table.from_pandas(refused, schema=schema, preserve_index=False)
