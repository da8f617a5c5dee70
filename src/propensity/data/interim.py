"""The canonical tables as files in ``data/interim``: written all at once, in one order, and read back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from propensity.data.engines import Engine, read_table, write_table
from propensity.data.files import atomic_paths, to_json
from propensity.data.quarantine import QUARANTINE_COLUMNS, join_quarantines
from propensity.data.tables import AttributeType
from propensity.errors import InputError

_SUMMARY, _QUARANTINE = "ingest.json", "quarantine.parquet"
_COUNTS = ["table", "read", "accepted", "quarantined"]
REFUSED_COLUMNS = ["table", "file", "row", "lead_id", "unsettled"]
_RULES = ["table", "rule", "column", "rows"]


@dataclass(frozen=True)
class Canonical:
    """The canonical tables and what was left out of them.

    Parameters
    ----------
    tables
        By name. ``unsettled`` has the ``lead_id`` of leads whose every outcome row was refused: their
        outcome is unknown, so they are neither open nor lost.
    quarantine
        One row for each refused row and (rule, column) it broke: ``table, file, row, rule, column, value``.
    counts
        ``table, read, accepted, quarantined``, where read = accepted + quarantined.
    attribute_types
        ``number`` or ``text`` for each attribute of leads.
    observed_until
        The last moment the data covers, in UTC; None for a flat table without dates.
    rule_counts
        ``table, rule, column, rows``; a row counts under each rule it broke.
    raw_hashes
        SHA-256 of each raw file by its path relative to the workspace, and of what was read from each table
        of a server by server, database and table.
    refused
        ``table, file, row, lead_id, unsettled``: whose the refused rows of leads and outcomes are, and
        whether that lead is without an outcome for it. Not kept in files; empty after `read_canonical`.
    """

    tables: dict[str, ir.Table]
    quarantine: pd.DataFrame
    counts: pd.DataFrame
    attribute_types: dict[str, AttributeType]
    observed_until: datetime | None
    rule_counts: pd.DataFrame
    raw_hashes: dict[str, str]
    refused: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=REFUSED_COLUMNS))


def write_canonical(canonical: Canonical, folder: Path) -> None:
    """Write each table to ``NAME.parquet``, ``quarantine.parquet`` and ``ingest.json``, all or none.

    Rows are sorted, and nothing in the files depends on when or where they were written: the same input
    gives the same bytes.
    """
    names = sorted(canonical.tables)
    paths = [folder / f"{name}.parquet" for name in names] + [folder / _QUARANTINE, folder / _SUMMARY]
    with atomic_paths(paths) as temporaries:
        for name, path in zip(names, temporaries, strict=False):
            table = canonical.tables[name]
            order = ["lead_id"] if name == "leads" else list(table.columns)
            write_table(table.get_backend(), table.order_by(order), path)
        pq.write_table(_quarantine_table(canonical.quarantine), temporaries[-2], compression="zstd")
        temporaries[-1].write_text(to_json(_summary(canonical)), encoding="utf-8")


def read_canonical(con: Engine, folder: Path) -> Canonical:
    """Return what `write_canonical` wrote; the tables are read when they are used.

    Raises
    ------
    InputError
        The folder does not hold a complete set.
    """
    summary = _read_summary(folder / _SUMMARY)
    absent = [name for name in summary["tables"] if not (folder / f"{name}.parquet").exists()]
    if absent:
        raise InputError(
            f"{folder} lacks {', '.join(f'{name}.parquet' for name in absent)}; run the ingest stage"
        )
    observed = summary["observed_until"]
    return Canonical(
        tables={name: read_table(con, folder / f"{name}.parquet") for name in summary["tables"]},
        quarantine=join_quarantines([pq.read_table(folder / _QUARANTINE).to_pandas()]),
        counts=pd.DataFrame(summary["ingest"], columns=_COUNTS),
        attribute_types=summary["attribute_types"],
        observed_until=None if observed is None else datetime.fromisoformat(observed),
        rule_counts=pd.DataFrame(summary["quarantine"], columns=_RULES),
        raw_hashes=summary["files"],
    )


def _summary(canonical: Canonical) -> dict[str, Any]:
    observed = canonical.observed_until
    return {
        "tables": sorted(canonical.tables),
        "ingest": canonical.counts,
        "quarantine": canonical.rule_counts,
        "attribute_types": canonical.attribute_types,
        "observed_until": None if observed is None else observed.isoformat(),
        "files": canonical.raw_hashes,
    }


def _read_summary(path: Path) -> dict[str, Any]:
    try:
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run the ingest stage first") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} could not be read: {error}; run the ingest stage again") from None
    return summary


def _quarantine_table(quarantine: pd.DataFrame) -> pa.Table:
    types = {name: pa.int64() if name == "row" else pa.string() for name in QUARANTINE_COLUMNS}
    return pa.Table.from_pandas(
        quarantine, schema=pa.schema(types), preserve_index=False
    ).replace_schema_metadata()
