"""The behaviour that one scoring keeps for the next, in a folder beside the scores, and whose still holds."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from propensity import __version__
from propensity.data.files import milestone, read_json, replaced_folder, sha256, write_json
from propensity.data.scalars import microseconds
from propensity.scoring.parts import Parts, make_key

# What the behaviour is of: key, moment, digests of events, hashes of the files beside it.
HEADER = "kept.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Taken:
    """What is taken from an earlier scoring.

    Attributes
    ----------
    before : datetime
        Its moment.
    moved_us : int
        The microseconds from then to this scoring.
    rows : ibis table
        What was kept then: ``lead_id``, the state and the behaviour.
    unchanged : ibis table
        ``lead_id`` of those whose behaviour it still is.
    leads, events : int
        The number of these, and of what they did.
    """

    before: datetime
    moved_us: int
    rows: Any
    unchanged: Any
    leads: int
    events: int

    def choose(self, spine: Any) -> Any:
        """Return what was kept of the unchanged leads among some snapshots, by ``snapshot``."""
        same = spine.select("snapshot", "lead_id").semi_join(self.unchanged, "lead_id")
        return self.rows.inner_join(same, "lead_id").drop("lead_id")


@dataclass(frozen=True)
class Kept:
    """What is kept for the next scoring, and what was taken from the last.

    Attributes
    ----------
    moment : datetime
        Of this scoring.
    key : str
        Of the plan and the versions: what is kept serves the same ones.
    buckets : mapping
        Bucket of leads to the digest of their events known at `moment`.
    taken : Taken or None
    """

    moment: datetime
    key: str
    buckets: Mapping[str, Any]
    taken: Taken | None = None


def can_keep(con: Any, plan: Any) -> bool:
    """Return whether behaviour is kept: by DuckDB, and where it is the lead's own alone."""
    return con.name == "duckdb" and bool(plan.event_types) and not plan.has_account


def open_kept(con: Any, path: Path, spine: Any, events: Any, plan: Any, moment: datetime) -> Kept:
    """Find out whose behaviour still is what the last scoring kept in `path`.

    Parameters
    ----------
    con : ibis backend
    path : Path
    spine : ibis table
        The snapshots to score.
    events : ibis table
        Canonical events.
    plan : Plan
    moment : datetime
        Of this scoring.
    """
    from propensity.data.engines import read_table, stage
    from propensity.features.catalogue import plan_to_json
    from propensity.features.kept import EVENTS, differing, digest_events, find_unchanged

    key = make_key({"version": __version__, "engine": con.version, "plan": plan_to_json(plan)})
    header = _read_header(path, key, moment)
    before = None if header is None else datetime.fromisoformat(header["as_of"])
    moments = [moment] if before is None else [moment, before]
    digests = con.to_pyarrow(digest_events(events, plan, moments)).to_pylist()
    buckets, *known = [_digests_at(i, digests) for i in range(len(moments))]
    if header is None or before is None:
        return Kept(moment, key, buckets)
    corrected = differing(header["buckets"], known[0])
    rows = read_table(con, path)
    found = find_unchanged(spine, rows, events, plan, before=before, moment=moment, corrected=corrected)
    unchanged = stage(con, found.order_by("lead_id"))
    counted = unchanged.aggregate(leads=unchanged.count(), events=unchanged[EVENTS].sum().fill_null(0))
    (told,) = con.to_pyarrow(counted).to_pylist()
    moved_us = microseconds(moment) - microseconds(before)
    taken = Taken(before, moved_us, rows, unchanged, told["leads"], told["events"])
    return Kept(moment, key, buckets, taken)


def write_kept(kept: Kept, parts: Parts, chunks: int, path: Path) -> None:
    """Keep the behaviour of all chunks for the next scoring, in the place of what the last one kept."""
    with replaced_folder(path) as folder:
        files = {f"{number:06d}.parquet": parts.kept(number) for number in range(chunks)}
        for name, part in files.items():
            shutil.copyfile(part, folder / name)
        header = {
            "key": kept.key,
            "as_of": kept.moment.isoformat(),
            "buckets": dict(kept.buckets),
            "files": {name: sha256(folder / name) for name in files},
        }
        write_json(header, folder / HEADER)
        milestone("score: behaviour copied")


def split_kept(frame: pd.DataFrame, plan: Any, kept: Kept | None) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return the feature table of a frame that may hold the state too, and what is kept of it."""
    from propensity.features.kept import STATE, kept_names

    if kept is None:
        return frame, None
    return frame.drop(columns=list(STATE)), frame[["lead_id", *STATE, *kept_names(plan)]]


def describe_taken(taken: Taken | None) -> dict[str, Any] | None:
    """Return what ``run.json`` tells of the behaviour that was taken from the scoring before."""
    if taken is None:
        return None
    return {"since": taken.before.isoformat(), "leads": taken.leads, "events": taken.events}


def tell_taken(taken: Taken, scored: int) -> str:
    """Say whose behaviour was taken from the scoring before."""
    return (
        f"{taken.leads:,} of {scored:,} leads did nothing new and nothing left a window since "
        f"{taken.before:%Y-%m-%d %H:%M:%S} UTC: their {taken.events:,} events were not counted again"
    )


def _digests_at(i: int, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """Return the digests of the buckets that had events at a moment, by its number."""
    columns = [f"{name}_{i}" for name in ("n", "low", "high")]
    return {str(row["bucket"]): [row[column] for column in columns] for row in rows if row[columns[0]]}


def _read_header(path: Path, key: str, moment: datetime) -> dict[str, Any] | None:
    """Return what the behaviour in a folder is of; None if it does not serve, or the files are not whole."""
    if not (path / HEADER).exists():
        return None
    try:
        header: dict[str, Any] = read_json(path / HEADER)
        whole = all(sha256(path / name) == digest for name, digest in header["files"].items())
        serves = header["key"] == key and datetime.fromisoformat(header["as_of"]) <= moment
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        whole = False
    if not whole:
        logger.warning("%s is damaged: all behaviour is computed anew", path.name)
        return None
    return header if serves else None
