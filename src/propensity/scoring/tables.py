"""From canonical tables to the files of scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from propensity.data.timing import timed
from propensity.params import Database
from propensity.scoring.chunks import score_chunk
from propensity.scoring.counts import add_counts, check_refused, count_leads, list_refused, tell_counts
from propensity.scoring.earlier import Earlier
from propensity.scoring.history import append_run
from propensity.scoring.jobs import Job, make_run_key, make_spine, prepare_job
from propensity.scoring.kept import describe_taken, tell_taken, write_kept
from propensity.scoring.parts import (
    Parts,
    open_parts,
    read_mark,
    read_scores,
    remove_parts,
    write_part,
)
from propensity.scoring.progress import shown_progress
from propensity.scoring.results import CHANGES, replace_results
from propensity.scoring.spread import spread
from propensity.scoring.target import Run, Target, load_chunk, open_target, show_run
from propensity.workspace import Workspace, shown


@dataclass(frozen=True)
class Outlet:
    """Where scores go.

    Attributes
    ----------
    scores : Path
        The file of scores; changes since an earlier scoring lie beside it.
    told : bool
        Whether what became of every lead is written beside it too, and too many refused leads stop all.
    history : bool
        Whether the scores are kept in the history.
    database : Database, optional
        A table that they are also written to.
    keeping : Path, optional
        Where the behaviour of leads is kept for the next scoring.
    alone : bool
        Whether the file is the only one; what lies beside it then belongs to other scores and stays.
    """

    scores: Path
    told: bool = False
    history: bool = False
    database: Database | None = None
    keeping: Path | None = None
    alone: bool = False


def score_tables(
    ws: Workspace,
    made: Any,
    con: Any,
    canonical: Any,
    outlet: Outlet,
    *,
    as_of: datetime | None = None,
    everyone: bool = False,
    earlier: Earlier | None = None,
) -> str:
    """Score canonical tables: the leads open at `as_of`, or everyone in them.

    They are scored in chunks, each kept as it is done. A scoring that was killed and is started again on the
    same tables goes on where it was; until all is done the last results stay as they are.

    Parameters
    ----------
    ws : Workspace
    made : Bundle
    con : ibis backend
    canonical : Canonical
    outlet : Outlet
    as_of : datetime, optional
        The last moment the data covers if left out.
    everyone : bool
        Take every lead to be open, as in a file of leads that is handed in to be scored.
    earlier : Earlier, optional
        The scoring to compare with. The changes since are then written beside the scores; without it, those
        of another scoring are removed.

    Raises
    ------
    QuarantineError
        More leads than ``scoring.max_quarantined`` could not be scored; nothing is replaced.
    """
    from propensity.data.engines import read_table
    from propensity.data.files import milestone, remove_leftovers

    moment = (as_of or canonical.observed_until) if made.plan.dated else None
    with timed("choice"):
        spine = make_spine(ws, con, canonical, moment=moment, everyone=everyone)
        counts = count_leads(con, canonical, read_table(con, spine), moment=moment, everyone=everyone)
    if outlet.told:
        check_refused(counts, ws.params.scoring.max_quarantined)
    with timed("arranging"):
        job = prepare_job(
            ws,
            made,
            con,
            canonical.tables,
            spine,
            earlier,
            n=counts["scored"],
            moment=moment,
            keeping=outlet.keeping,
        )
    for folder in (outlet.scores.parent, ws.history):
        remove_leftovers(folder)
    with timed("digests"):
        key = make_run_key(job)
    parts = open_parts(outlet.scores.parent / ".parts", key)
    with open_target(outlet.database, ws.folder, _name_run(ws, job, parts, moment)) as target:
        totals = _score_chunks(job, parts, target)
        milestone("score: all chunks done")
        with timed("writing"):
            show_run(target, counts["scored"])
            told = outlet.told
            replace_results(
                outlet.scores,
                parts,
                job.chunks,
                alone=outlet.alone,
                compared=earlier is not None,
                refused=list_refused(canonical) if told else None,
                run=_describe_run(job, parts, moment, counts, totals) if told else None,
            )
    milestone("score: results replaced")
    _keep_for_later(ws, job, parts, moment, outlet)
    remove_parts(parts)
    return _tell(job, moment, counts, totals, outlet)


@timed("writing")
def _keep_for_later(ws: Workspace, job: Job, parts: Parts, moment: datetime | None, outlet: Outlet) -> None:
    """Keep what later scorings, and the monitor, read of this one: the history, and the leads' behaviour."""
    from propensity.data.files import milestone

    if outlet.history:
        tables, keep_days = read_scores(parts, job.chunks), ws.params.scoring.keep_days
        append_run(ws, tables, moment, job.made.model_version, keep_days=keep_days)
        milestone("score: history appended")
    if job.kept is not None and outlet.keeping is not None:
        write_kept(job.kept, parts, job.chunks, outlet.keeping)
        milestone("score: behaviour kept")


def _name_run(ws: Workspace, job: Job, parts: Parts, moment: datetime | None) -> Run:
    scoring = ws.params.scoring
    return Run(
        name=f"{parts.folder.name}-{parts.scored_at:%Y%m%dT%H%M%S%f}",
        as_of=moment,
        model_version=job.made.model_version,
        scored_at=parts.scored_at,
        keep_days=scoring.keep_days if scoring.history else 0,
    )


def _score_chunks(job: Job, parts: Parts, target: Target) -> dict[str, Any]:
    """Score the chunks that are not done yet, and write them to the target; return the counts of all."""
    marks = []
    if any(read_mark(parts, number) is None for number in range(job.chunks)):
        job = spread(job)
    with shown_progress(job.n) as advance:
        for number in range(job.chunks):
            mark = read_mark(parts, number)
            if mark is None:
                chunk = score_chunk(job, number, scored_at=parts.scored_at)
                with timed("writing"):
                    write_part(parts, number, chunk.scores, chunk.changes, chunk.kept, mark := chunk.counts)
            with timed("writing"):
                load_chunk(target, number, parts.scores(number))
            marks.append(mark)
            advance(mark["leads"])
    return add_counts(marks)


def _describe_run(
    job: Job, parts: Parts, moment: datetime | None, counts: Mapping[str, int], totals: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what ``run.json`` tells of a scoring."""
    return {
        "as_of": None if moment is None else moment.isoformat(),
        "model_version": job.made.model_version,
        "scored_at": parts.scored_at.isoformat(),
        "leads": dict(counts),
        "tiers": totals["tiers"],
        "kept": describe_taken(job.taken),
        "changes": None if job.earlier is None else _count_changes(job.earlier, counts, totals),
    }


def _count_changes(earlier: Earlier, counts: Mapping[str, int], totals: Mapping[str, Any]) -> dict[str, Any]:
    counted = {name: totals["changes"].get(name, 0) for name in ("compared", "up", "down")}
    new, gone = counts["scored"] - counted["compared"], earlier.rows - counted["compared"]
    return {"since": earlier.name, **counted, "new": new, "gone": gone}


def _tell(
    job: Job,
    moment: datetime | None,
    counts: Mapping[str, int],
    totals: Mapping[str, Any],
    outlet: Outlet,
) -> str:
    """Say what was scored, and log where leads lie outside of what the model learned from."""
    from propensity.batch import log_unknown
    from propensity.bundled import trained_with
    from propensity.decisions.rules import tell_hits
    from propensity.errors import hide_passwords
    from propensity.explain.changes import tell_changes

    log_unknown(job.made, totals["unknown"], counts["scored"])
    tiers = sorted(totals["tiers"].items(), key=lambda item: -item[1])
    at = f" as of {moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""
    said = [
        f"{counts['scored']:,} leads scored{at}: "
        f"{', '.join(f'{n:,} {tier}' for tier, n in tiers) or 'none is open'}"
    ]
    if counts["created_later"]:
        said.append(f"{counts['created_later']:,} created later are left out")
    stale = [] if "history" in job.tables else job.made.plan.rebuilt
    if stale:
        said.append(f"{', '.join(stale)} as they stand in leads, for data.history is not named")
    rules = enumerate(trained_with(job.made).disqualify, start=1)
    hit = [{"reason": rule.reason, "leads": totals["rules"].get(str(n), 0)} for n, rule in rules]
    lines = [tell_counts(counts)] if outlet.told else []
    places = [shown(outlet.scores)]
    if outlet.database is not None:
        places.append(f"table {outlet.database.table} of {hide_passwords(outlet.database.url)}")
    lines.append("; ".join([*said, *filter(None, [tell_hits(hit)]), " and ".join(places)]))
    if job.taken is not None:
        lines.append(tell_taken(job.taken, counts["scored"]))
    if job.earlier is not None:
        changes, _, readable = (outlet.scores.with_name(name) for name in CHANGES)
        told = tell_changes(_count_changes(job.earlier, counts, totals))
        lines.append(f"{told}; {shown(changes)}, {shown(readable)}")
    return "\n".join(lines)
