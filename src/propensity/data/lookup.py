"""Columns of leads beside the scores of a file, row by row, without either in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from propensity.data.delimited import POSITION
from propensity.data.engines import staging_path
from propensity.data.locations import find_source
from propensity.data.sources import read_raw
from propensity.data.tables import table_specs
from propensity.data.values import text_of
from propensity.params import DataParams


def look_up(con: Backend, leads: ir.Table, scores: Path, *, key: str, stage: str | None) -> Path:
    """Write what leads hold beside each scored lead, in the order of the scores.

    Parameters
    ----------
    con : ibis backend
        From `connect`; the file is gone with it.
    leads : ibis table
        Canonical leads.
    scores : Path
        A Parquet file with ``lead_id, score``, one row a lead.
    key, stage : str
        Columns of `leads`; `stage` may be None.

    Returns
    -------
    Path
        A Parquet file: ``key``; ``stage``; ``found``, whether `leads` has the lead; ``repeated``, whether
        another lead with the same key, whatever its case, has a higher score, or the same and a lower id.
    """
    table = con.read_parquet(scores, file_row_number=True)
    scored = table.select("lead_id", "score", position=table["file_row_number"])
    held = leads.select(
        held_by="lead_id",
        key=leads[key],
        stage=ibis.null("string") if stage is None else leads[stage],
        found=ibis.literal(value=True),
    )
    joined = scored.left_join(held, scored.lead_id == held.held_by)
    by_key = ibis.window(group_by=joined.key.lower(), order_by=[ibis.desc("score"), "lead_id"])
    ranked = joined.mutate(
        found=joined.found.fill_null(False),
        repeated=joined.key.notnull() & (ibis.row_number().over(by_key) > 0),
    )
    path = staging_path(con)
    con.to_parquet(
        ranked.order_by("position").select("key", "stage", "found", "repeated"), path, compression="zstd"
    )
    return path


def count_raw_rows(con: Backend, data: DataParams, workspace: Path, table: str, ids: Sequence[str]) -> int:
    """Return how many rows of a raw table are of the leads in `ids`.

    Raises
    ------
    InputError, BusyError
        The raw table is not there, cannot be read, or is locked.
    """
    section = getattr(data, table)
    path = data.leads.path if section.path is None else section.path
    source = find_source(path, workspace, delimiter=section.delimiter, section=f"data.{table}")
    column = table_specs(data)[table].raw_of("lead_id")
    if column == POSITION:
        return 0
    raw = read_raw(con, source, [column]).table
    found = raw.filter(text_of(raw[column]).isin(list(ids)))
    return int(con.to_pyarrow(found.count()).as_py())
