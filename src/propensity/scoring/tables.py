"""From canonical tables to the files of scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from propensity.data.fetch import Repeated
from propensity.gathering import read_part
from propensity.params import Database
from propensity.scoring.chunks import Job, score_chunk
from propensity.scoring.counts import add_counts, check_refused, count_leads, list_refused, tell_counts
from propensity.scoring.earlier import Earlier
from propensity.scoring.history import append_run
from propensity.scoring.parts import (
    Parts,
    make_key,
    open_parts,
    read_mark,
    read_scores,
    remove_parts,
    write_part,
)
from propensity.scoring.progress import shown_progress
from propensity.scoring.results import CHANGES, replace_results
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
    alone : bool
        Whether the file is the only one; what lies beside it then belongs to other scores and stays.
    """

    scores: Path
    told: bool = False
    history: bool = False
    database: Database | None = None
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
    from propensity.data.files import milestone, remove_leftovers

    moment = (as_of or canonical.observed_until) if made.plan.dated else None
    spine = _make_spine(ws, con, canonical, moment=moment, everyone=everyone)
    counts = count_leads(con, canonical, spine, moment=moment, everyone=everyone)
    if outlet.told:
        check_refused(counts, ws.params.scoring.max_quarantined)
    job = Job(
        con=con,
        made=made,
        tables=_keep_related(con, canonical.tables, made.plan, spine),
        spine=spine,
        n=counts["scored"],
        chunk_rows=ws.params.scoring.chunk_rows,
        held=_tiers_before(con, ws, made, earlier),
        earlier=earlier,
        queries=Repeated(con),
    )
    _check_earlier(job)
    for folder in (outlet.scores.parent, ws.history):
        remove_leftovers(folder)
    parts = open_parts(outlet.scores.parent / ".parts", _make_key(job))
    with open_target(outlet.database, ws.folder, _name_run(ws, job, parts, moment)) as target:
        totals = _score_chunks(job, parts, target)
        milestone("score: all chunks done")
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
    if outlet.history:
        tables = read_scores(parts, job.chunks)
        append_run(ws, tables, moment, made.model_version, keep_days=ws.params.scoring.keep_days)
        milestone("score: history appended")
    remove_parts(parts)
    return _tell(job, moment, counts, totals, outlet)


def _arranged(job: Job) -> Job:
    """Return the job with its events laid out so that each chunk reads its own."""
    from propensity.features.build import arrange_events

    if job.chunks == 1 or not job.made.plan.event_types:
        return job
    tables = job.tables
    events = arrange_events(job.con, tables["events"], job.spine, tables["leads"], job.made.plan)
    return replace(job, tables=dict(tables) | {"events": events})


def _make_spine(ws: Workspace, con: Any, canonical: Any, *, moment: datetime | None, everyone: bool) -> Any:
    """Return the snapshots to score, kept as a file."""
    from propensity.cohort.snapshots import scoring_snapshots
    from propensity.data.sources import stage

    tables = canonical.tables
    leads = tables["leads"] if everyone else tables["leads"].anti_join(tables["unsettled"], "lead_id")
    outcomes = None if everyone else tables["outcomes"]
    traces = {name: tables.get(name) for name in ("stages", "events")}
    spine = stage(con, scoring_snapshots(leads, outcomes, as_of=moment, **traces))
    if moment is None and con.to_pyarrow(spine.count()).as_py() == 0:
        # An undated table of closed leads: the test part stands in for the leads to come.
        test = read_part(ws, "test")["lead_id"].tolist()
        spine = stage(con, scoring_snapshots(leads.filter(leads.lead_id.isin(test)), None, as_of=None))
    return spine


def _keep_related(con: Any, tables: Mapping[str, Any], plan: Any, spine: Any) -> dict[str, Any]:
    """Return what the features read, kept as files in the order of leads: a chunk reads its own rows of them.

    The rows of other leads are left out, but where the plan asks for the whole account.
    """
    from propensity.data.sources import stage

    names = ["leads"]
    names += ["events"] if plan.event_types or plan.has_account else []
    names += ["outcomes"] if plan.has_account else []
    names += ["history"] if plan.rebuilt else []
    kept = {}
    for name in names:
        if name in tables:
            rows = tables[name] if plan.has_account else tables[name].semi_join(spine, "lead_id")
            kept[name] = stage(con, rows.order_by("lead_id"))
    return kept


def _tiers_before(con: Any, ws: Workspace, made: Any, earlier: Earlier | None) -> Any:
    """Return the tier each lead had in the earlier or else the latest scores, whichever model gave it.

    None where tiers are not held, or nothing was scored yet.
    """
    from propensity.predict import trained_with

    if not trained_with(made).cutoffs.hold:
        return None
    if earlier is not None:
        return earlier.scores.select("lead_id", tier="tier_before")
    return con.read_parquet(ws.scores).select("lead_id", "tier") if ws.scores.exists() else None


def _check_earlier(job: Job) -> None:
    """Refuse earlier scores that the leads at hand cannot be compared with, before any is scored."""
    from propensity.data.fetch import fetch
    from propensity.explain.previous import check_comparable

    if job.earlier is None:
        return
    both = job.spine.select("lead_id", "as_of").inner_join(job.earlier.scores, "lead_id")
    if job.made.plan.dated:
        odd = ~(both.as_of_before <= both.as_of).fill_null(False)
    else:
        odd = both.lead_id.isnull()
    if job.earlier.bundle is not None:
        known = [job.made.model_version, job.earlier.bundle.model_version]
        odd = odd | both.model_before.notin(known)
    rows = fetch(job.con, both.filter(odd))
    check_comparable(rows.drop(columns="as_of"), rows[["lead_id", "as_of"]], job.made, job.earlier.bundle)


def _make_key(job: Job) -> str:
    """Return the key of a scoring: it changes with whatever could change a score or what is said of it."""
    from propensity import __version__
    from propensity.data.fetch import digest

    earlier = job.earlier
    return make_key(
        {
            "version": __version__,
            "model": job.made.model_version,
            "chunk_rows": job.chunk_rows,
            "spine": digest(job.con, job.spine),
            "tables": {name: digest(job.con, table) for name, table in job.tables.items()},
            "held": None if job.held is None else digest(job.con, job.held),
            "earlier": None if earlier is None else digest(job.con, earlier.scores),
            "earlier_model": None
            if earlier is None or earlier.bundle is None
            else earlier.bundle.model_version,
        }
    )


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
    with shown_progress(job.n) as advance:
        for number in range(job.chunks):
            mark = read_mark(parts, number)
            if mark is None:
                chunk = score_chunk(job, number, scored_at=parts.scored_at)
                write_part(parts, number, chunk.scores, chunk.changes, mark := chunk.counts)
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
    from propensity.decisions.rules import tell_hits
    from propensity.errors import hide_passwords
    from propensity.explain.changes import tell_changes
    from propensity.predict import log_unknown, trained_with

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
    if job.earlier is not None:
        changes, _, readable = (outlet.scores.with_name(name) for name in CHANGES)
        told = tell_changes(_count_changes(job.earlier, counts, totals))
        lines.append(f"{told}; {shown(changes)}, {shown(readable)}")
    return "\n".join(lines)
