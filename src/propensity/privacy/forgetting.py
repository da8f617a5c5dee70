"""Forgetting a lead: out of every file of the workspace, and never in again."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from propensity.data.files import atomic_paths
from propensity.data.forgotten import FORGOTTEN, add_forgotten
from propensity.errors import BusyError, InputError, ParamsError
from propensity.privacy.holdings import (
    count_rows,
    left_behind,
    lines_without,
    logged_reviews,
    made_again,
    mentions,
    parquet_files,
    write_without,
)
from propensity.privacy.telling import tell
from propensity.workspace import Workspace


@dataclass
class Done:
    """What was found and done.

    Attributes
    ----------
    ids, unknown : list of str
        The leads; those that no file of the workspace has.
    rows : dict
        File to the rows taken out.
    removed : dict
        Command that makes them again to the files removed.
    reviews : list of Path
        Reviews removed from MLflow's artefacts.
    half_done : int
        Files and folders that killed commands had left.
    raw : dict
        Raw table to its rows of the leads, or to why it could not be searched.
    listed : int
        The leads on the list.
    """

    ids: list[str]
    unknown: list[str] = field(default_factory=list)
    rows: dict[Path, int] = field(default_factory=dict)
    removed: dict[str, list[Path]] = field(default_factory=dict)
    reviews: list[Path] = field(default_factory=list)
    half_done: int = 0
    raw: dict[str, int | str] = field(default_factory=dict)
    listed: int = 0


def forget(ws: Workspace, lead_ids: Sequence[str]) -> str:
    """Take leads out of a workspace, put them on the list of the forgotten, and tell what else holds them.

    Killed at any moment and called again, it finishes: the list is written first, and what can be made again
    is removed before the tables are written anew.

    Parameters
    ----------
    ws : Workspace
        The caller holds its lock.
    lead_ids : sequence of str

    Raises
    ------
    InputError
        No id is given, or a file cannot be read.
    ParamsError
        The ids are row numbers.
    """
    ids = list(dict.fromkeys(stripped for lead in lead_ids if (stripped := lead.strip())))
    if not ids:
        raise InputError("name at least one lead to forget")
    if ws.params.data.leads.lead_id == "row":
        raise ParamsError(
            "data.leads.lead_id is 'row': a number names another lead as soon as a row before it is taken "
            "out. Remove the row from the raw file and run 'propensity run' anew"
        )
    done = Done(ids)
    wanted = pa.array(ids, pa.string())
    counts = {path: found for path in parquet_files(ws) if (found := count_rows(path, wanted))}
    done.listed = len(add_forgotten(ws.folder, ids).digests)
    known = {lead for found in counts.values() for lead in found}
    done.unknown = [lead for lead in ids if lead not in known]
    _remove_what_is_made_again(ws, done)
    _write_tables_anew(ws, done, counts, wanted)
    done.raw = _search_raw(ws, ids)
    return tell(ws, done, FORGOTTEN)


def _remove_what_is_made_again(ws: Workspace, done: Done) -> None:
    half_done = left_behind(ws)
    for path in half_done:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done.half_done = len(half_done)
    if len(done.unknown) == len(done.ids):
        return
    done.removed = made_again(ws)
    is_about = mentions(done.ids)
    done.reviews = [path for path in logged_reviews(ws) if is_about(path)]
    for path in [*(p for paths in done.removed.values() for p in paths), *done.reviews]:
        path.unlink()


def _write_tables_anew(
    ws: Workspace, done: Done, counts: dict[Path, dict[str, int]], wanted: pa.Array
) -> None:
    """Write each file that has rows of the leads without them; all are complete before the first is moved."""
    done.rows = {path: sum(found.values()) for path, found in counts.items()}
    lines, dropped = lines_without(ws.crossings, frozenset(done.ids)) if ws.crossings.exists() else ([], 0)
    feed = [ws.crossings] if dropped else []
    with atomic_paths([*counts, *feed]) as temporaries:
        for path, temporary in zip(counts, temporaries, strict=False):
            write_without(path, wanted, temporary)
        if feed:
            temporaries[-1].write_text("\n".join(lines), encoding="utf-8")
            done.rows[ws.crossings] = dropped


def _search_raw(ws: Workspace, ids: list[str]) -> dict[str, int | str]:
    """Return the rows that each raw table still has of the leads; they are the company's, and stay."""
    from propensity.data.engines import connect_here
    from propensity.data.lookup import count_raw_rows

    con = connect_here(folder=ws.folder)
    data = ws.params.data
    named = ("leads", "outcomes", "events", "stages", "history", "feedback")
    found: dict[str, int | str] = {}
    for table in named:
        section = getattr(data, table)
        if section is None or (table != "leads" and section.path in (None, data.leads.path)):
            continue
        try:
            rows = count_raw_rows(con, data, ws.folder, table, ids)
        except (InputError, BusyError) as error:
            found[f"data.{table}"] = str(error)
        else:
            found |= {f"data.{table} ({section.path})": rows} if rows else {}
    return found
