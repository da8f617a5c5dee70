"""Verdicts of sales: taken in, kept, and set beside scores and outcomes. They are never labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from propensity.bundled import needed_types, trained_with
from propensity.cohort.judged import judged_labels
from propensity.data.fetch import fetch
from propensity.data.files import atomic_paths, to_json
from propensity.data.ingest import ingest
from propensity.data.sources import connect
from propensity.data.verdicts import Verdicts, read_verdicts
from propensity.errors import InputError
from propensity.explain.words import mask_addresses
from propensity.loop.agreement import (
    UNNAMED,
    code_reviewers,
    compare_reviewers,
    count_agreement,
)
from propensity.loop.disagreement import (
    count_outcomes,
    count_right,
    decided,
    find_disagreement,
    propose,
)
from propensity.loop.telling import tell_feedback, tell_merge
from propensity.loop.verdicts import Merge, add_shown, merge_verdicts, read_stored, to_stored
from propensity.model.bundle import Bundle, read_bundle
from propensity.workspace import Workspace, shown

if TYPE_CHECKING:
    from propensity.data.interim import Canonical

TABLES = ("agreement", "reviewers", "disagreement", "outcomes", "right", "candidates")
_LABELS = {"won": "boolean", "mature": "boolean", "known": "datetime64[us, UTC]"}


def take_feedback(ws: Workspace, files: Sequence[Path], *, names: bool = False) -> str:
    """Merge files of verdicts into the workspace's, write what they say beside scores and outcomes, tell it.

    Parameters
    ----------
    ws : Workspace
        With a bundle. Its raw tables are read for the leads and their outcomes up to now.
    files : sequence of Path
        Files of verdicts, as `read_verdicts`; with none, those kept are told again.
    names : bool
        Whether the returned text names reviewers; the files written never do.

    Raises
    ------
    InputError
        A file is no table of verdicts, or there are no verdicts at all.
    QuarantineError
        More than ``data.max_quarantined`` of a file's rows are refused. Nothing is written.
    """
    stored = read_stored(ws.feedback)
    if not files and ws.params.data.feedback is None and stored.empty:
        raise InputError(
            f"{shown(ws.feedback)} does not exist and no file was named; save the verdicts of the review and "
            "run 'propensity feedback FILE...'"
        )
    now, made = datetime.now(UTC), read_bundle(ws.models / "bundle", threads=ws.params.model.threads)
    con = connect(ws.params.data, folder=ws.folder)
    tables = {"events", "outcomes", "stages"}
    types = needed_types(made)
    canonical = ingest(ws.params.data, ws.folder, now=now, con=con, types=types, tables=tables)
    read = _read(ws, files, canonical, con, now)
    merge = merge_verdicts(stored, stored.iloc[:0] if read is None else read.table)
    scores = pd.read_parquet(ws.scores) if ws.scores.exists() else None
    verdicts = add_shown(merge.table, stored, scores)
    codes = code_reviewers(verdicts)
    judged = _with_labels(con, verdicts, canonical, made)
    judged["reason"] = judged["reason"].map(mask_addresses, na_action="ignore")
    judged["reviewer"] = judged["given_by"].map(codes).fillna(UNNAMED)
    levels = _levels(con, judged, canonical, made)
    found = examine(judged, levels)
    content = _content(found, judged, canonical)
    _write(ws, to_stored(verdicts), read, found, content)
    named = {code: name for name, code in codes.items()} if names else {}
    told = tell_feedback(found, content["counts"], named)
    return "\n\n".join([_tell_taken(ws, read, merge), told, f"All in {shown(ws.reports / 'feedback.json')}."])


def examine(judged: pd.DataFrame, levels: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables of `TABLES` for verdicts with what was shown, their labels and the leads' levels."""
    contrasts = find_disagreement(judged, levels)
    return {
        "agreement": count_agreement(judged),
        "reviewers": compare_reviewers(judged),
        "disagreement": contrasts,
        "outcomes": count_outcomes(judged),
        "right": count_right(judged),
        "candidates": propose(judged, levels, contrasts),
    }


def _read(
    ws: Workspace, files: Sequence[Path], canonical: Canonical, con: Any, now: datetime
) -> Verdicts | None:
    if not files and ws.params.data.feedback is None:
        return None
    leads = canonical.tables["leads"]
    return read_verdicts(files, ws.params.data, ws.folder, leads, con, now=now)


def _with_labels(con: Any, verdicts: pd.DataFrame, canonical: Canonical, made: Bundle) -> pd.DataFrame:
    """Add ``won, mature, known`` to each verdict, null where its lead was not open at that moment."""
    params, tables = trained_with(made), canonical.tables
    moments = verdicts[["lead_id", "as_of"]].drop_duplicates()
    schema = pa.schema([("lead_id", pa.string()), ("as_of", pa.timestamp("us", tz="UTC"))])
    given = pa.Table.from_pandas(moments, schema=schema, preserve_index=False)
    labels = judged_labels(
        con.create_table("judged", given, overwrite=True),
        tables["leads"],
        tables["outcomes"],
        tables["unsettled"],
        observed_until=canonical.observed_until,
        horizon_days=made.data["horizon_days"],
        dated_closings=made.plan.dated and params.data.outcomes.closed_at is not None,
        stages=tables.get("stages"),
        events=tables.get("events"),
    )
    found = fetch(con, labels).astype(_LABELS)
    return verdicts.merge(found, on=["lead_id", "as_of"], how="left", validate="m:1")


def _levels(con: Any, judged: pd.DataFrame, canonical: Canonical, made: Bundle) -> pd.DataFrame:
    """Return the text columns that the model reads of the judged leads, by ``lead_id``."""
    columns = [name for name, kind in made.plan.attributes.items() if kind != "number"]
    columns += ["channel"] if made.plan.has_channel and "channel" not in columns else []
    leads = canonical.tables["leads"]
    wanted = leads.filter(leads.lead_id.isin(sorted(set(judged["lead_id"])))).select("lead_id", *columns)
    return fetch(con, wanted).set_index("lead_id")


def _content(found: Mapping[str, pd.DataFrame], judged: pd.DataFrame, canonical: Canonical) -> dict[str, Any]:
    until = canonical.observed_until
    given = judged["given_at"]
    final = judged["mature"].fillna(False).astype(bool)
    counts = {
        "verdicts": len(judged),
        "leads": judged["lead_id"].nunique(),
        "reviewers": judged["reviewer"].nunique(),
        "from": None if judged.empty else given.min().isoformat(),
        "to": None if judged.empty else given.max().isoformat(),
        "without_score": int(judged["tier"].isna().sum()),
        "final": int(final.sum()),
        "known_before": int((final & (given >= judged["known"])).sum()),
        "decided": len(decided(judged)),
        "observed_until": None if until is None else until.isoformat(),
    }
    return {"counts": counts, **found}


def _write(
    ws: Workspace,
    verdicts: pa.Table,
    read: Verdicts | None,
    found: Mapping[str, pd.DataFrame],
    content: Mapping[str, Any],
) -> None:
    """Write verdicts, refused rows and the report, all or none; a table that is the same stays as it is."""
    tables = {ws.feedback: verdicts}
    if read is not None:
        refused = pa.Table.from_pandas(read.quarantine, preserve_index=False)
        tables[ws.feedback.with_name("quarantine.parquet")] = refused.replace_schema_metadata(None)
    for name in TABLES:
        table = pa.Table.from_pandas(found[name], preserve_index=False).replace_schema_metadata(None)
        tables[ws.reports / f"feedback_{name}.parquet"] = table
    changed = {path: table for path, table in tables.items() if not _holds(path, table)}
    with atomic_paths([*changed, ws.reports / "feedback.json"]) as temporaries:
        for table, path in zip(changed.values(), temporaries, strict=False):
            pq.write_table(table, path, compression="zstd")
        temporaries[-1].write_text(to_json(content), encoding="utf-8")


def _holds(path: Path, table: pa.Table) -> bool:
    return path.exists() and bool(pq.read_table(path).equals(table))


def _tell_taken(ws: Workspace, read: Verdicts | None, merge: Merge) -> str:
    if read is None:
        return f"{len(merge.table):,} verdicts in {shown(ws.feedback)}"
    return tell_merge(
        read, merge, where=shown(ws.feedback), refused=ws.feedback.with_name("quarantine.parquet")
    )
