"""From canonical tables to the files of scores."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from propensity.gathering import read_part
from propensity.workspace import Workspace, shown


def score_tables(
    ws: Workspace,
    made: Any,
    con: Any,
    canonical: Any,
    *,
    as_of: datetime | None = None,
    everyone: bool = False,
    previous: Any | None = None,
) -> str:
    """Score canonical tables: the leads open at `as_of`, or everyone in them.

    Parameters
    ----------
    ws : Workspace
    made : Bundle
    con : ibis backend
    canonical : Canonical
    as_of : datetime, optional
        The last moment the data covers if left out.
    everyone : bool
        Take every lead to be open, as in a file of leads that is handed in to be scored.
    previous : Previous, optional
        The scoring to compare with. The changes since are then written beside the scores; without it, those
        of another scoring are removed.
    """
    from propensity.cohort.snapshots import scoring_snapshots
    from propensity.data.fetch import fetch
    from propensity.decisions.rules import count_hits, rule_hits, tell_hits
    from propensity.features.build import build_features
    from propensity.predict import score_features, trained_with

    tables = canonical.tables
    moment = (as_of or canonical.observed_until) if made.plan.dated else None
    outcomes = None if everyone else tables["outcomes"]
    leads = tables["leads"] if everyone else tables["leads"].anti_join(tables["unsettled"], "lead_id")
    spine = scoring_snapshots(
        leads, outcomes, as_of=moment, stages=tables.get("stages"), events=tables.get("events")
    )
    if moment is None and fetch(con, spine).empty:
        # An undated table of closed leads: the test part stands in for the leads to come.
        test = read_part(ws, "test")["lead_id"].tolist()
        spine = scoring_snapshots(leads.filter(leads.lead_id.isin(test)), None, as_of=None)
    spine = con.create_table("spine", spine, overwrite=True)
    table = build_features(
        spine,
        tables["leads"],
        made.plan,
        events=tables.get("events"),
        outcomes=tables.get("outcomes"),
        history=tables.get("history"),
    )
    rules = trained_with(made).disqualify
    hits = fetch(con, rule_hits(tables["leads"], rules))
    held = _tiers_before(ws, previous) if trained_with(made).cutoffs.hold else None
    features = fetch(con, table.order_by("snapshot"))
    scores = score_features(made, features, hits, previous=held)
    changes = _compute_changes(con, made, tables, spine, features, scores, previous)
    hit = tell_hits(count_hits(hits[hits["lead_id"].isin(scores["lead_id"])], rules))
    told = _write_scores(ws, scores, changes, previous)
    tiers = ", ".join(f"{n:,} {tier}" for tier, n in scores["tier"].value_counts().items())
    scored = f"{len(scores):,} leads scored{f' as of {moment:%Y-%m-%d %H:%M:%S} UTC' if moment else ''}"
    left_out = fetch(con, leads.agg(n=leads.count()))["n"].item() - len(scores) if everyone else 0
    later = f"; {left_out:,} created later are left out" if left_out else ""
    stale = "" if "history" in tables else ", ".join(made.plan.rebuilt)
    taken = f"; {stale} as they stand in leads, for data.history is not named" if stale else ""
    ruled = f"; {hit}" if hit else ""
    return f"{scored}: {tiers or 'none is open'}{later}{taken}{ruled}; {shown(ws.scores)}{told}"


def _compute_changes(
    con: Any, made: Any, tables: Any, spine: Any, features: Any, scores: Any, previous: Any
) -> Any:
    """Return what changed since the previous scoring; None without one."""
    from propensity.data.fetch import fetch
    from propensity.explain.changes import compute_changes, rescore
    from propensity.explain.previous import check_comparable
    from propensity.features.build import build_features
    from propensity.features.states import at_moment_before, build_states
    from propensity.predict import trained_with, voice_of

    if previous is None:
        return None
    check_comparable(previous.scores, features, made, previous.bundle)
    moments = con.create_table("scored_before", previous.scores[["lead_id", "as_of_before"]], overwrite=True)
    both, optional = spine.inner_join(moments, "lead_id"), ("events", "outcomes", "history")
    states = before = None
    if made.plan.dated:
        read = {name: tables.get(name) for name in optional}
        states = fetch(con, build_states(both, tables["leads"], made.plan, **read))
    if previous.bundle is not None:
        read = {name: previous.tables.get(name) for name in optional}
        at = at_moment_before(both)
        built = build_features(at, previous.tables["leads"], previous.bundle.plan, **read)
        before = rescore(previous.bundle, fetch(con, built))
    words = voice_of(made, trained_with(made)).words
    return compute_changes(made, scores, previous.scores, features, states, words=words, before=before)


def _write_scores(ws: Workspace, scores: Any, changes: Any, previous: Any) -> str:
    """Write the scores, and the changes that lead to them or none; return what is said of the changes."""
    from propensity.data.files import atomic_paths, write_parquet, write_text
    from propensity.explain.changes import crossings, crossings_csv, summarise_changes

    beside = [ws.scores.with_name(f) for f in ("changes.parquet", "crossings.parquet", "crossings.csv")]
    if changes is None:
        for path in beside:
            path.unlink(missing_ok=True)
        write_parquet(scores, ws.scores)
        return ""
    crossed = crossings(changes)
    with atomic_paths([ws.scores, *beside]) as (own, all_changes, table, readable):
        write_parquet(scores, own)
        write_parquet(changes, all_changes)
        write_parquet(crossed, table)
        write_text(crossings_csv(crossed), readable)
    return f"\n{summarise_changes(changes, previous.scores)}; {shown(beside[0])}, {shown(beside[2])}"


def _tiers_before(ws: Workspace, previous: Any | None) -> dict[str, str] | None:
    """Return the tier each lead had in the previous or else the latest scores, whichever model gave it."""
    import pandas as pd

    if previous is not None:
        return dict(zip(previous.scores["lead_id"], previous.scores["tier_before"], strict=True))
    if not ws.scores.exists():
        return None
    latest = pd.read_parquet(ws.scores, columns=["lead_id", "tier"])
    return dict(zip(latest["lead_id"], latest["tier"], strict=True))
