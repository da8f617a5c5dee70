"""The records of an audit, made from the canonical tables, the snapshots and the training table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from propensity.audit.events import event_counts, event_timing
from propensity.audit.records import Records
from propensity.cohort.snapshots import with_outcomes
from propensity.data.fetch import fetch
from propensity.data.tables import LEADS_COLUMNS, AttributeType
from propensity.features.catalogue import Plan
from propensity.params import SplitParams

if TYPE_CHECKING:
    import ibis.expr.types as ir

MOST_LEADS = 200_000  # looked at column by column; beyond, a part of them that depends on their ids alone


def make_records(
    con: Any,
    tables: Mapping[str, ir.Table],
    types: Mapping[str, AttributeType],
    snapshots: pd.DataFrame,
    table: pd.DataFrame,
    plan: Plan,
    *,
    channel: str | None,
    split: SplitParams,
    seed: int,
    observed_until: datetime | None,
) -> Records:
    """Gather what the checks look at.

    Parameters
    ----------
    con : ibis backend
    tables : dict of ibis tables
        Canonical tables.
    types : dict
        Every attribute column of leads with its type.
    snapshots, table : DataFrame
        The snapshots with their labels, and the training table.
    plan : Plan
        What the features are built from.
    channel : str or None
        The raw column of leads behind ``channel``.
    split : SplitParams
    seed : int
    observed_until : datetime or None
    """
    ended = last_episodes(tables, observed_until)
    sample = _sample(con, tables["leads"])
    judged = dict(types)
    if channel is not None and channel not in types:
        judged["channel"] = "text"
    columns = [*(c for c in LEADS_COLUMNS if c in sample.columns and c != "row"), *types]
    leads = fetch(
        con, sample.select(*dict.fromkeys(columns)).left_join(ended, "lead_id").drop("lead_id_right")
    )
    called = channel if channel in types else "channel"
    used = {*plan.attributes, *([str(called)] if plan.has_channel else [])}
    events = tables.get("events")
    known = None if events is None else _up_to(events, observed_until)
    return Records(
        leads=_complete(leads).sort_values("lead_id", ignore_index=True),
        attributes=judged,
        snapshots=_with_parts(snapshots, table),
        table=table,
        used=frozenset(used),
        tracked=frozenset(str(called) if c == "channel" else c for c in plan.tracked),
        used_types=frozenset(t for listed in plan.event_types.values() for t in listed),
        event_timing=None if known is None else _timing(con, known, tables["leads"], ended),
        event_counts=None if known is None else _counts(con, known, snapshots, sample),
        observed_until=observed_until,
        split_by=split.by,
        group=split.group,
        seed=seed,
    )


def last_episodes(tables: Mapping[str, ir.Table], observed_until: datetime | None) -> ir.Table:
    """Return how each lead's last episode stands at `observed_until`: ``lead_id, status, closed_at``."""
    known = with_outcomes(
        tables["leads"],
        tables["outcomes"],
        observed_until=observed_until,
        stages=tables.get("stages"),
        events=tables.get("events"),
    )
    last = known.group_by("lead_id").agg(last=known.episode.max())
    latest = known.join(last, ["lead_id", known.episode == last.last])
    return latest.select("lead_id", "status", "closed_at")


def _sample(con: Any, leads: ir.Table) -> ir.Table:
    n = int(fetch(con, leads.agg(n=leads.count()))["n"].item())
    if n <= MOST_LEADS:
        return leads
    kept = int(1_000_000 * MOST_LEADS / n)
    return leads.filter(leads.lead_id.hash().abs() % 1_000_000 < kept)


def _up_to(events: ir.Table, observed_until: datetime | None) -> ir.Table:
    return events if observed_until is None else events.filter(events.known_at <= observed_until)


def _timing(con: Any, events: ir.Table, leads: ir.Table, ended: ir.Table) -> pd.DataFrame:
    timed = leads.select("lead_id", "created_at").join(ended, "lead_id")
    return fetch(con, event_timing(events, timed)).sort_values("type", ignore_index=True)


def _counts(con: Any, events: ir.Table, snapshots: pd.DataFrame, sample: ir.Table) -> pd.DataFrame:
    moments = con.create_table("audited_snapshots", snapshots[["lead_id", "as_of"]], overwrite=True)
    counted = fetch(con, event_counts(events, moments, sample.select("lead_id")))
    return counted.sort_values(["lead_id", "type"], ignore_index=True)


def _complete(leads: pd.DataFrame) -> pd.DataFrame:
    missing = {c: np.nan for c in ("order_key",) if c not in leads.columns}
    return leads.assign(**missing)


def _with_parts(snapshots: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    parts = table[["lead_id", "as_of", "split"]].rename(columns={"split": "part"})
    return snapshots.merge(parts, on=["lead_id", "as_of"], how="left", validate="1:1")
