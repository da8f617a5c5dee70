"""Leads scored chunk by chunk: what is held in memory at a time is one chunk, whatever their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Earlier:
    """The scoring to compare with.

    Attributes
    ----------
    scores : ibis table
        ``lead_id, as_of_before, score_before, tier_before, model_before``, one row a lead.
    rows : int
    bundle : Bundle or None
        The bundle that gave them, where it is at hand.
    tables : mapping
        Canonical tables as that bundle reads them.
    name : str
        What to call it.
    """

    scores: Any
    rows: int
    bundle: Any
    tables: Mapping[str, Any]
    name: str


@dataclass(frozen=True)
class Job:
    """What a scoring reads.

    Attributes
    ----------
    con : ibis backend
    made : Bundle
    tables : mapping
        Canonical tables.
    spine : ibis table
        The snapshots to score, numbered from 0 by ``lead_id``.
    n : int
        Of them.
    chunk_rows : int
        Leads a chunk.
    held : ibis table or None
        ``lead_id, tier``: the tiers that ``cutoffs.hold`` lets leads keep.
    earlier : Earlier or None
    """

    con: Any
    made: Any
    tables: Mapping[str, Any]
    spine: Any
    n: int
    chunk_rows: int
    held: Any
    earlier: Earlier | None

    @property
    def chunks(self) -> int:
        """The number of chunks; at least one, so that a scoring of nobody has its columns."""
        return max(-(-self.n // self.chunk_rows), 1)


@dataclass(frozen=True)
class Chunk:
    """The scores of a chunk, the changes since the scoring before or None, and what was counted."""

    scores: pd.DataFrame
    changes: pd.DataFrame | None
    counts: dict[str, Any]


def keep_earlier(con: Any, scores: pd.DataFrame, *, name: str) -> Earlier:
    """Keep the scores of an earlier scoring, as `check_previous` returns them, out of memory."""
    from propensity.data.sources import stage

    table = con.create_table("earlier", scores, overwrite=True)
    kept = stage(con, table)
    con.drop_table("earlier")
    return Earlier(kept, len(scores), None, {}, name)


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
    from propensity.data.fetch import fetch
    from propensity.decisions.rules import rule_hits
    from propensity.predict import count_unknown, score_rows, trained_with

    con, made = job.con, job.made
    first = number * job.chunk_rows
    rows = job.spine.filter(job.spine.snapshot >= first, job.spine.snapshot < first + job.chunk_rows)
    spine = con.create_table("chunk", rows, overwrite=True)
    tables = _only_related(job, spine)
    features = fetch(con, _features(job.made, spine, tables).order_by("snapshot"))
    own = tables["leads"].semi_join(spine, "lead_id")
    hits = fetch(con, rule_hits(own, trained_with(made).disqualify))
    held = None if job.held is None else fetch(con, job.held.semi_join(spine, "lead_id"))
    tiers = None if held is None else dict(zip(held["lead_id"], held["tier"], strict=True))
    scores = score_rows(made, features, hits, previous=tiers).assign(scored_at=pd.Timestamp(scored_at))
    scores["scored_at"] = scores["scored_at"].astype("datetime64[us, UTC]")
    changes = _compute_changes(job, tables, spine, features, scores)
    return Chunk(scores, changes, _count(scores, changes, hits, count_unknown(made, features)))


def _features(made: Any, spine: Any, tables: Mapping[str, Any]) -> Any:
    from propensity.features.build import build_features

    read = {name: tables.get(name) for name in ("events", "outcomes", "history")}
    return build_features(spine, tables["leads"], made.plan, **read)


def _only_related(job: Job, spine: Any) -> dict[str, Any]:
    """Return the canonical tables with the rows that the features of a chunk depend on.

    A lead's features come from its own rows and, where the plan says so, from those of its account.
    """
    leads = job.tables["leads"]
    if not job.made.plan.has_account:
        return dict(job.tables)
    accounts = spine.filter(spine.account_id.notnull()).select("account_id").distinct()
    colleagues = leads.semi_join(accounts, "account_id").select("lead_id")
    related = colleagues.union(spine.select("lead_id"), distinct=True)
    names = [n for n in ("leads", "events", "outcomes", "history") if n in job.tables]
    return dict(job.tables) | {n: job.tables[n].semi_join(related, "lead_id") for n in names}


def _compute_changes(
    job: Job, tables: Mapping[str, Any], spine: Any, features: pd.DataFrame, scores: pd.DataFrame
) -> pd.DataFrame | None:
    """Return what changed since the earlier scoring; None without one."""
    from propensity.data.fetch import fetch
    from propensity.explain.changes import compute_changes, rescore
    from propensity.features.build import build_features
    from propensity.features.states import at_moment_before, build_states
    from propensity.predict import trained_with, voice_of

    if job.earlier is None:
        return None
    con, made, earlier = job.con, job.made, job.earlier
    known = con.create_table("known", earlier.scores.semi_join(spine, "lead_id"), overwrite=True)
    both = spine.inner_join(known.select("lead_id", "as_of_before"), "lead_id")
    optional = ("events", "outcomes", "history")
    states = before = None
    if made.plan.dated:
        read = {name: tables.get(name) for name in optional}
        states = fetch(con, build_states(both, tables["leads"], made.plan, **read))
    if earlier.bundle is not None:
        read = {name: earlier.tables.get(name) for name in optional}
        at = at_moment_before(both)
        built = build_features(at, earlier.tables["leads"], earlier.bundle.plan, **read)
        before = rescore(earlier.bundle, fetch(con, built))
    words = voice_of(made, trained_with(made)).words
    return compute_changes(made, scores, fetch(con, known), features, states, words=words, before=before)


def _count(
    scores: pd.DataFrame, changes: pd.DataFrame | None, hits: pd.DataFrame, unknown: Mapping[str, int]
) -> dict[str, Any]:
    by_rule = hits[hits["lead_id"].isin(scores["lead_id"])].groupby("rule")["lead_id"].nunique()
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
