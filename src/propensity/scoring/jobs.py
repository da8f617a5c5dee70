"""What a scoring reads, gathered once: the snapshots, the rows behind their features, the scoring before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from propensity import __version__
from propensity.data.fetch import Repeated, digest
from propensity.gathering import read_part
from propensity.scoring.earlier import Earlier
from propensity.scoring.kept import Kept, Taken, can_keep, open_kept
from propensity.scoring.parts import make_key
from propensity.workspace import Workspace


@dataclass(frozen=True)
class Job:
    """What a scoring reads.

    Attributes
    ----------
    con : ibis backend
    made : Bundle
    tables : mapping
        Canonical tables, those that the features read.
    spine : ibis table
        The snapshots to score, numbered from 0 by ``lead_id``.
    n : int
        Of them.
    chunk_rows : int
        Leads a chunk.
    held : ibis table or None
        ``lead_id, tier``: the tiers that ``cutoffs.hold`` lets leads keep.
    earlier : Earlier or None
        The scoring to compare with.
    before : ibis table or None
        Its scores, as `check_previous` returns them.
    recorded : mapping
        Canonical tables as its bundle reads them; empty without that bundle.
    queries : Repeated
        What is asked of every chunk.
    kept : Kept or None
        What is kept for the next scoring, and taken from the last; None where neither is.
    spread : ibis table or None
        The scores of all leads, where executors have made them at once (`propensity.scoring.spread`).
    """

    con: Any
    made: Any
    tables: Mapping[str, Any]
    spine: Any
    n: int
    chunk_rows: int
    held: Any
    earlier: Earlier | None
    before: Any
    recorded: Mapping[str, Any]
    queries: Repeated
    kept: Kept | None = None
    spread: Any = None

    @property
    def taken(self) -> Taken | None:
        """What is taken from the last scoring."""
        return None if self.kept is None else self.kept.taken

    @property
    def chunks(self) -> int:
        """The number of chunks; at least one, so that a scoring of nobody has its columns."""
        return max(-(-self.n // self.chunk_rows), 1)


def make_spine(ws: Workspace, con: Any, canonical: Any, *, moment: datetime | None, everyone: bool) -> Path:
    """Keep the snapshots to score in a file that is there as long as the engine, and return its path.

    Parameters
    ----------
    ws : Workspace
    con : ibis backend
    canonical : Canonical
    moment : datetime or None
        None for an undated table.
    everyone : bool
        Whether leads count as open whatever their outcome.
    """
    from propensity.cohort.snapshots import scoring_snapshots
    from propensity.data.engines import read_table, staging_path, write_table

    tables = canonical.tables
    leads = tables["leads"] if everyone else tables["leads"].anti_join(tables["unsettled"], "lead_id")
    outcomes = None if everyone else tables["outcomes"]
    traces = {name: tables.get(name) for name in ("stages", "events")}
    path = staging_path(con)
    write_table(con, scoring_snapshots(leads, outcomes, as_of=moment, **traces).order_by("snapshot"), path)
    if moment is None and con.to_pyarrow(read_table(con, path).count()).as_py() == 0:
        # An undated table of closed leads: the test part stands in for the leads to come.
        test = read_part(ws, "test")["lead_id"].tolist()
        snapshots = scoring_snapshots(leads.filter(leads.lead_id.isin(test)), None, as_of=None)
        path = staging_path(con)
        write_table(con, snapshots.order_by("snapshot"), path)
    return path


def prepare_job(
    ws: Workspace,
    made: Any,
    con: Any,
    tables: Mapping[str, Any],
    spine: Path,
    earlier: Earlier | None,
    *,
    n: int,
    moment: datetime | None = None,
    keeping: Path | None = None,
) -> Job:
    """Keep what the features read in files in the order of leads: a chunk reads its own rows of them.

    Whatever the engine of the tables is, chunks are computed by DuckDB in this process, but for scores that
    executors can make where the rows are: all those that are not compared with earlier ones.

    Parameters
    ----------
    ws : Workspace
    made : Bundle
    con : ibis backend
    tables : mapping
        Canonical tables.
    spine : Path
        From `make_spine`.
    earlier : Earlier or None
    n : int
        Snapshots in the spine.
    moment : datetime, optional
        Theirs; None for an undated table.
    keeping : Path, optional
        Where behaviour is kept from one scoring to the next; None: nowhere.

    Raises
    ------
    InputError
        The leads cannot be compared with the earlier scores.
    """
    from propensity.data.engines import connect_here, read_table

    if con.name == "pyspark" and earlier is None:
        return _job_of_executors(ws, made, con, tables, spine, n=n)
    limit = ws.params.data.memory_limit
    here = con if con.name == "duckdb" else connect_here(folder=ws.folder, memory_limit=limit)
    before = None if earlier is None else read_table(here, earlier.path)
    recorded = {}
    if earlier is not None and earlier.bundle is not None:
        recorded = _keep_related(con, here, earlier.tables, earlier.bundle.plan, spine)
    kept = None
    if keeping is not None and moment is not None and can_keep(con, made.plan):
        kept = open_kept(con, keeping, read_table(con, spine), tables["events"], made.plan, moment)
        if before is not None and kept.taken is not None and not _all_at(con, before, kept.taken.before):
            kept = replace(kept, taken=None)  # changes take the behaviour of the earlier scores' moments
    job = Job(
        con=here,
        made=made,
        tables=_keep_related(con, here, tables, made.plan, spine, None if kept is None else kept.taken),
        spine=read_table(here, spine),
        n=n,
        chunk_rows=ws.params.scoring.chunk_rows,
        held=_tiers_before(here, ws, made, before),
        earlier=earlier,
        before=before,
        recorded=recorded,
        queries=Repeated(here),
        kept=kept,
    )
    _check_earlier(job)
    return job


def _job_of_executors(
    ws: Workspace, made: Any, con: Any, tables: Mapping[str, Any], spine: Path, *, n: int
) -> Job:
    from propensity.data.engines import read_table

    names = _names_read(made.plan)
    held = read_table(con, ws.scores) if ws.scores.exists() and _holds_tiers(made) else None
    return Job(
        con=con,
        made=made,
        tables={name: tables[name] for name in names if name in tables},
        spine=read_table(con, spine),
        n=n,
        chunk_rows=ws.params.scoring.chunk_rows,
        held=None if held is None else held.select("lead_id", "tier"),
        earlier=None,
        before=None,
        recorded={},
        queries=Repeated(con),
    )


def make_run_key(job: Job) -> str:
    """Return the key of a scoring: it changes with whatever could change a score or what is said of it."""
    bundle = None if job.earlier is None else job.earlier.bundle
    return make_key(
        {
            "version": __version__,
            "model": job.made.model_version,
            "chunk_rows": job.chunk_rows,
            "spine": digest(job.con, job.spine),
            "tables": {name: digest(job.con, table) for name, table in job.tables.items()},
            "held": None if job.held is None else digest(job.con, job.held),
            "before": None if job.before is None else digest(job.con, job.before),
            "recorded": {name: digest(job.con, table) for name, table in job.recorded.items()},
            "kept": job.kept is not None,
            "previous_model": None if bundle is None else bundle.model_version,
        }
    )


def _keep_related(
    con: Any, here: Any, tables: Mapping[str, Any], plan: Any, spine: Path, taken: Taken | None = None
) -> dict[str, Any]:
    """Return the rows of the leads in the spine; of all leads where the plan asks for the account.

    Events of leads whose behaviour is taken are left out.
    """
    from propensity.data.engines import read_table, stage
    from propensity.features.build import arrange_events

    snapshots, found = read_table(con, spine), {}
    for name in _names_read(plan):
        if name in tables and name != "events":
            rows = tables[name] if plan.has_account else tables[name].semi_join(snapshots, "lead_id")
            found[name] = stage(con, rows.order_by("lead_id"))
    if "events" in tables and (plan.event_types or plan.has_account):
        if taken is not None:
            snapshots = snapshots.anti_join(taken.unchanged, "lead_id")
        found["events"] = arrange_events(con, tables["events"], snapshots, tables["leads"], plan)
    return found if here is con else {name: _brought(con, here, table) for name, table in found.items()}


def _names_read(plan: Any) -> list[str]:
    names = ["leads"]
    names += ["events"] if plan.event_types or plan.has_account else []
    names += ["outcomes"] if plan.has_account else []
    return names + (["history"] if plan.rebuilt else [])


def _holds_tiers(made: Any) -> bool:
    """Return whether leads keep a higher tier for some points."""
    from propensity.bundled import trained_with

    return bool(trained_with(made).cutoffs.hold)


def _brought(con: Any, here: Any, table: Any) -> Any:
    """Return a table of one engine as one of DuckDB here."""
    from propensity.data.engines import read_table, staging_path, write_table

    path = staging_path(con)
    write_table(con, table, path)
    return read_table(here, path)


def _all_at(con: Any, before: Any, moment: datetime) -> bool:
    """Return whether earlier scores are all as of a moment."""
    others = before.filter(before.as_of_before != moment)
    return bool(con.to_pyarrow(others.count()).as_py() == 0)


def _tiers_before(here: Any, ws: Workspace, made: Any, before: Any) -> Any:
    """Return the tier each lead had in the earlier or else the latest scores, whichever model gave it.

    None where tiers are not held, or nothing was scored yet.
    """
    if not _holds_tiers(made):
        return None
    if before is not None:
        return before.select("lead_id", tier="tier_before")
    return here.read_parquet(ws.scores).select("lead_id", "tier") if ws.scores.exists() else None


def _check_earlier(job: Job) -> None:
    """Refuse earlier scores that the leads at hand cannot be compared with, before any is scored."""
    from propensity.data.fetch import fetch
    from propensity.explain.previous import check_comparable

    if job.earlier is None:
        return
    both = job.spine.select("lead_id", "as_of").inner_join(job.before, "lead_id")
    if job.made.plan.dated:
        odd = ~(both.as_of_before <= both.as_of).fill_null(False)
    else:
        odd = both.lead_id.isnull()
    if job.earlier.bundle is not None:
        known = [job.made.model_version, job.earlier.bundle.model_version]
        odd = odd | both.model_before.notin(known)
    rows = fetch(job.con, both.filter(odd))
    check_comparable(rows.drop(columns="as_of"), rows[["lead_id", "as_of"]], job.made, job.earlier.bundle)
