"""Leads scored chunk by chunk: what is held in memory at a time is one chunk, whatever their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import pandas as pd

from propensity.data.timing import timed
from propensity.scoring.jobs import Job
from propensity.scoring.kept import split_kept
from propensity.scoring.spread import take_chunk

_READ = ("events", "outcomes", "history")


@dataclass(frozen=True)
class Chunk:
    """The scores of a chunk, what was counted, the changes since the scoring before, what the next one keeps.

    Changes are None without a scoring before, and so is what is kept where nothing is.
    """

    scores: pd.DataFrame
    counts: dict[str, Any]
    changes: pd.DataFrame | None = None
    kept: pd.DataFrame | None = None


def score_chunk(job: Job, number: int, *, scored_at: datetime) -> Chunk:
    """Score the leads of one chunk.

    Parameters
    ----------
    job : Job
    number : int
        The chunk, from 0.
    scored_at : datetime
        What the scores bear.

    Returns
    -------
    Chunk
        Its counts: ``leads``, ``tiers``, ``rules`` (leads by the rule's place, from 1), ``unknown`` (as
        `count_unknown`) and ``changes`` (``compared, up, down``).
    """
    from propensity.batch import count_unknown, score_rows
    from propensity.bundled import trained_with
    from propensity.decisions.rules import rule_hits

    if job.spread is not None:
        return take_chunk(job, number, scored_at=scored_at)
    con, made, query = job.con, job.made, job.queries
    first = number * job.chunk_rows
    rows = job.spine.filter(job.spine.snapshot >= first, job.spine.snapshot < first + job.chunk_rows)
    with timed("features"):
        spine = con.create_table("chunk", rows, overwrite=True)
        tables = _only_related(job.tables, made.plan, spine)
        build = partial(_with_state, job, spine, tables)
        features, kept = split_kept(query.fetch("features", build), made.plan, job.kept)
    own = job.tables["leads"].semi_join(spine, "lead_id")
    hits = query.fetch("rules", lambda: rule_hits(own, trained_with(made).disqualify))
    tiers = None
    if job.held is not None:
        held = query.fetch("held", lambda: job.held.semi_join(spine, "lead_id"))
        tiers = dict(zip(held["lead_id"], held["tier"], strict=True))
    with timed("scores"):
        scores = score_rows(made, features, hits, previous=tiers)
    scores["scored_at"] = pd.Series(pd.Timestamp(scored_at), scores.index, dtype="datetime64[us, UTC]")
    changes = _compute_changes(job, tables, spine, features, scores)
    counts = _count_chunk(scores, changes, hits, count_unknown(made, features))
    return Chunk(scores, counts, changes, kept)


def _with_state(job: Job, spine: Any, tables: Mapping[str, Any]) -> Any:
    """Return the features of a chunk with taken behaviour among them, and the state of each lead beside."""
    from propensity.features.kept import add_state, put_back

    features, plan = _features(job.made, spine, tables), job.made.plan
    if job.kept is not None:
        features = add_state(features, spine, tables["events"], plan)
    if job.taken is not None:
        features = put_back(features, job.taken.choose(spine), plan, job.taken.moved_us)
    return features.order_by("snapshot")


def _features(made: Any, spine: Any, tables: Mapping[str, Any]) -> Any:
    from propensity.features.build import build_features

    read = {name: tables.get(name) for name in _READ}
    return build_features(spine, tables["leads"], made.plan, **read)


def _only_related(tables: Mapping[str, Any], plan: Any, spine: Any) -> dict[str, Any]:
    """Return the canonical tables with the rows that the features of a chunk depend on.

    A lead's features come from its own rows and, where the plan says so, from those of its account.
    """
    if not plan.has_account:
        return dict(tables)
    accounts = spine.filter(spine.account_id.notnull()).select("account_id").distinct()
    colleagues = tables["leads"].semi_join(accounts, "account_id").select("lead_id")
    related = colleagues.union(spine.select("lead_id"), distinct=True)
    names = [name for name in ("leads", "events", "outcomes", "history") if name in tables]
    return dict(tables) | {name: tables[name].semi_join(related, "lead_id") for name in names}


def _compute_changes(
    job: Job, tables: Mapping[str, Any], spine: Any, features: pd.DataFrame, scores: pd.DataFrame
) -> pd.DataFrame | None:
    """Return what changed since the earlier scoring; None without one."""
    from propensity.bundled import trained_with, voice_of
    from propensity.explain.changes import compute_changes, rescore
    from propensity.features.states import at_moment_before, build_states

    if job.earlier is None:
        return None
    made, earlier, query = job.made, job.earlier, job.queries
    known = job.con.create_table("known", job.before.semi_join(spine, "lead_id"), overwrite=True)
    both = spine.inner_join(known.select("lead_id", "as_of_before"), "lead_id")
    states = before = None
    if made.plan.dated:
        read = {name: tables.get(name) for name in _READ}
        build = partial(build_states, both, tables["leads"], made.plan, **read)
        states = query.fetch("states", lambda: _put_back_states(job, spine, build()))
    if earlier.bundle is not None:
        recorded = _only_related(job.recorded, earlier.bundle.plan, spine)
        build = partial(_features, earlier.bundle, at_moment_before(both), recorded)
        before = rescore(earlier.bundle, query.fetch("before", build))
    words = voice_of(made, trained_with(made)).words
    ours = query.fetch("known", lambda: known)
    return compute_changes(made, scores, ours, features, states, words=words, before=before)


def _put_back_states(job: Job, spine: Any, states: Any) -> Any:
    """Put taken behaviour in both states, which then differ by the time that passed alone."""
    from propensity.features.catalogue import AGED
    from propensity.features.kept import put_back

    if job.taken is None:
        return states
    moved = (states.state == AGED).ifelse(job.taken.moved_us, 0)
    return put_back(states, job.taken.choose(spine), job.made.plan, moved)


def _count_chunk(
    scores: pd.DataFrame, changes: pd.DataFrame | None, hits: pd.DataFrame, unknown: Mapping[str, int]
) -> dict[str, Any]:
    by_rule = hits.groupby("rule")["lead_id"].nunique()
    counts: dict[str, Any] = {
        "leads": len(scores),
        "tiers": {str(tier): int(n) for tier, n in scores["tier"].value_counts().items()},
        "rules": {str(rule): int(n) for rule, n in by_rule.items()},
        "unknown": dict(unknown),
    }
    if changes is not None:
        crossed = changes["crossed"]
        counts["changes"] = {
            "compared": int(changes["change"].notna().sum()),
            "up": int((crossed == "up").sum()),
            "down": int((crossed == "down").sum()),
        }
    return counts
