"""Files of verdicts, read and judged by the rules of the feedback table; a repeated row is no fault here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import ibis.expr.types as ir
import pandas as pd

from propensity.data.canonical import finish, read_columns
from propensity.data.engines import Engine, stage
from propensity.data.fetch import fetch
from propensity.data.locations import RawSource, find_source
from propensity.data.quarantine import (
    Tally,
    check_counts,
    count_rows,
    join_quarantines,
    malformed_rows,
    quarantined_rows,
)
from propensity.data.rules import BAD, judge, row_rules, with_leads
from propensity.data.schemas import check_schema
from propensity.data.sources import Raw, read_raw
from propensity.data.tables import Field, TableSpec, check_columns, table_specs
from propensity.data.values import moment
from propensity.errors import InputError
from propensity.params import DataParams, FeedbackParams

VERDICT_COLUMNS = (
    *("lead_id", "as_of", "verdict", "reason", "given_by", "given_at"),
    *("note", "model_version"),
)
_WRITTEN_BESIDE = ("note", "model_version")  # what the review adds; a table of a CRM may lack them

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of some files.

    Attributes
    ----------
    table : DataFrame
        `VERDICT_COLUMNS` of the accepted rows, in the order of files and rows.
    read : int
        Rows of all files, the refused ones included.
    quarantine : DataFrame
        One row for each refused row and (rule, column) it broke, as that of ingest.
    """

    table: pd.DataFrame
    read: int
    quarantine: pd.DataFrame


def read_verdicts(
    files: Sequence[Path], data: DataParams, workspace: Path, leads: ir.Table, con: Engine, *, now: datetime
) -> Verdicts:
    """Read files of verdicts, and the table that ``data.feedback`` names if it names one.

    Parameters
    ----------
    files
        Delimited by commas, or Parquet, with columns as ``data.feedback`` names them or by their canonical
        names; ``note`` and ``model_version`` may be left out.
    workspace
        The folder that ``data.feedback.path`` is relative to.
    leads
        The canonical leads: a verdict on any other lead is refused.
    now
        The moment of the run: what is dated later is refused.

    Raises
    ------
    InputError
        A file is not there, cannot be read, or lacks a column.
    QuarantineError
        More than ``data.max_quarantined`` of a file's rows are refused.
    """
    sources = [_find(path) for path in files]
    if data.feedback is not None:
        named = data.feedback
        sources.append(find_source(named.path, workspace, delimiter=named.delimiter, section="data.feedback"))
    parts = [_accept(con, source, data, leads, now) for source in sources]
    return Verdicts(
        table=pd.concat([part.table for part in parts], ignore_index=True),
        read=sum(part.read for part in parts),
        quarantine=join_quarantines([part.quarantine for part in parts]),
    )


def _find(path: Path) -> RawSource:
    """Return a file of verdicts; the review writes commas, so that is what a file is read with."""
    if not path.is_file():
        raise InputError(
            f"{path}: expected a file of verdicts, there is none; name the files that were saved"
        )
    return find_source(str(path.resolve()), path.parent, delimiter=",", section="feedback")


def _accept(con: Engine, source: RawSource, data: DataParams, leads: ir.Table, now: datetime) -> Verdicts:
    spec = _spec(data, source.columns)
    check_columns(spec, source.columns, where=source.where, delimiter=source.delimiter)
    raw = read_raw(con, source, spec.raw_columns)
    rules = row_rules(spec)
    read = read_columns(raw.table, spec, now=moment(now))
    judged = stage(con, judge(with_leads(read, spec, leads), rules))
    tally = count_rows(con, judged, spec, rules, malformed=len(raw.malformed))
    logger.info("verdicts: %d rows read, %d quarantined", tally.read, tally.quarantined)
    check_counts(con, tally, spec, judged, raw, limit=data.max_quarantined)
    good = finish(judged.filter(~judged[BAD]), spec, keep=("__position",))
    table = fetch(con, good.order_by("__position")).drop(columns="__position")
    check_schema(good.drop("__position"), spec)
    return Verdicts(table, tally.read, _refused(con, judged, raw, spec, tally))


def _refused(con: Engine, judged: ir.Table, raw: Raw, spec: TableSpec, tally: Tally) -> pd.DataFrame:
    parts = [malformed_rows(raw.malformed, spec.name)]
    if tally.quarantined > len(raw.malformed):
        parts.append(quarantined_rows(con, judged, raw.table, spec, row_rules(spec)))
    return join_quarantines(parts)


def _spec(data: DataParams, columns: Sequence[str]) -> TableSpec:
    """Return the table's specification with the names that a file has; params' names come first."""
    named = data.model_copy(update={"feedback": data.feedback or FeedbackParams(path="")})
    spec = table_specs(named)["feedback"]
    resolved = [
        replace(field, raw=field.name)
        if field.raw is not None and field.raw not in columns and field.name in columns
        else field
        for field in spec.fields
    ]
    beside = [Field(name, name if name in columns else None, "text") for name in _WRITTEN_BESIDE]
    return replace(spec, fields=(*resolved, *beside))
