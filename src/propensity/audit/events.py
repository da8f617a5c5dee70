"""Checks of events: when each type happens, types that are the outcome, and the counts beside counters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from propensity.audit.counters import find_counters
from propensity.audit.findings import Check, Finding
from propensity.audit.records import Records
from propensity.audit.wilson import wilson_interval

if TYPE_CHECKING:
    import ibis.expr.types as ir

SECONDS_PER_DAY = 86_400
AT_THE_CLOSE = 60  # seconds: systems write what belongs to one act within a minute

FOLLOWS = 0.9  # more than this share at or after the close, of events and of leads: it follows the outcome
DOUBT_LEFT = 0.05  # a type that leaves less doubt than this, and
DOUBT_RATIO = 0.1  # less than this part of the doubt there is without it, decides
LATE = 0.9  # in the last tenth of a lead's life there is nothing left to predict
OPEN_RATIO = 0.25  # a type that open leads show a quarter as often as ended ones is no outcome
TELLS = 1e-4  # p-value under which leads with the type end otherwise than those without

MIN_LEADS = 20


def event_timing(events: ir.Table, leads: ir.Table) -> ir.Table:
    """Say of each event type when its events happen, and how the leads that show it end.

    Only leads that ended after they were created, at a known time, count as ended. An event is at the
    close if it is within a minute of it and nearer to it than to the lead's creation.

    Parameters
    ----------
    events : ibis table
        Canonical events up to the end of the data: ``lead_id, event_at, known_at, type``.
    leads : ibis table
        One row a lead: ``lead_id, created_at, status, closed_at``, as of the end of the data.

    Returns
    -------
    ibis table
        One row a type: ``type, events, leads``; of ended leads the events ``before``, ``at`` and ``after``
        the close, ``ended_leads`` and ``ended_won`` that show it, and ``late_leads`` that do not show it
        before the close; ``known_leads``, ``known_won`` and ``known_lost`` of which it was known strictly
        before the close, with the medians ``days_to_close`` (days from the first such event to the close)
        and ``life_passed`` (share of the lead's life, 0 to 1, at that event); ``open_events`` and
        ``open_leads``; and beside each the ``all_won``, ``all_lost`` and ``all_open`` leads there are.
    """
    timed = _timed(leads)
    joined = events.select("lead_id", "event_at", "known_at", "type").join(timed, "lead_id")
    # In whole seconds: a difference of moments with a zone takes an engine fifty times as long.
    to_close = joined.closed - joined.event_at.epoch_seconds()
    nearer = (to_close.abs() < joined.event_at.epoch_seconds() - joined.created).fill_null(True)
    at = ((to_close.abs() <= AT_THE_CLOSE) & nearer) | (joined.event_at == joined.closed_at)
    placed = joined.mutate(at=at, early=joined.event_at < joined.closed_at)
    of_lead = placed.group_by(["type", "lead_id", "ended", "won", "open", "created", "closed"]).agg(
        events=placed.count(),
        before=placed.count(where=placed.ended & ~placed["at"] & placed.early),
        at=placed.count(where=placed.ended & placed["at"]),
        after=placed.count(where=placed.ended & ~placed["at"] & ~placed.early),
        first_known=placed.event_at.min(where=placed.ended & (placed.known_at < placed.closed_at)),
    )
    return _of_types(of_lead).cross_join(
        timed.agg(
            all_won=timed.count(where=timed.ended & timed.won),
            all_lost=timed.count(where=timed.ended & ~timed.won),
            all_open=timed.count(where=timed.open),
        )
    )


def _timed(leads: ir.Table) -> ir.Table:
    lived = (leads.closed_at > leads.created_at).fill_null(True)
    return leads.select(
        "lead_id",
        "closed_at",
        created=leads.created_at.epoch_seconds(),
        closed=leads.closed_at.epoch_seconds(),
        won=leads.status == "won",
        open=leads.status == "open",
        ended=(leads.status != "open") & leads.closed_at.notnull() & lived,
    )


def _of_types(of_lead: ir.Table) -> ir.Table:
    left = of_lead.closed - of_lead.first_known.epoch_seconds()
    life = of_lead.closed - of_lead.created
    seen = of_lead.mutate(
        known=of_lead.first_known.notnull(),
        days_left=left / SECONDS_PER_DAY,
        passed=(1 - left / life.nullif(0)).clip(0, 1),
    )
    return seen.group_by("type").agg(
        events=seen.events.sum(),
        leads=seen.count(),
        before=seen.before.sum(),
        at=seen["at"].sum(),
        after=seen.after.sum(),
        ended_leads=seen.count(where=seen.ended),
        ended_won=seen.count(where=seen.ended & seen.won),
        late_leads=seen.count(where=seen.ended & (seen.before == 0)),
        known_leads=seen.count(where=seen.known),
        known_won=seen.count(where=seen.known & seen.won),
        known_lost=seen.count(where=seen.known & ~seen.won),
        days_to_close=seen.days_left.median(where=seen.known),
        life_passed=seen.passed.median(where=seen.known),
        open_events=seen.events.sum(where=seen.open).fill_null(0),
        open_leads=seen.count(where=seen.open),
    )


def event_counts(events: ir.Table, snapshots: ir.Table, leads: ir.Table | None = None) -> ir.Table:
    """Count each lead's events of each type, at the end of the data and as of its snapshots.

    Parameters
    ----------
    events : ibis table
        Canonical events up to the end of the data.
    snapshots : ibis table
        ``lead_id, as_of``; only leads with a dated snapshot are counted.
    leads : ibis table, optional
        ``lead_id`` of the leads to count for; None: all.

    Returns
    -------
    ibis table
        One row a lead and type, of leads with events: ``lead_id, type, at_end``, and ``at_first`` and
        ``at_last``, the events known at the lead's first and last snapshot.
    """
    taken = snapshots.filter(snapshots.as_of.notnull())
    if leads is not None:
        taken = taken.semi_join(leads, "lead_id")
    moments = taken.group_by("lead_id").agg(first_as_of=taken.as_of.min(), last_as_of=taken.as_of.max())
    joined = events.select("lead_id", "event_at", "known_at", "type").join(moments, "lead_id")
    return joined.group_by(["lead_id", "type"]).agg(
        at_end=joined.count(),
        at_first=joined.count(where=_known(joined, joined.first_as_of)),
        at_last=joined.count(where=_known(joined, joined.last_as_of)),
    )


def _known(joined: ir.Table, moment: ir.TimestampColumn) -> ir.BooleanValue:
    return (joined.known_at <= moment) & (joined.event_at <= moment)


def find_outcome_events(check: Check, records: Records) -> list[Finding]:
    """Find the event types that follow the outcome, or are it."""
    timing = records.event_timing
    if timing is None or timing.empty:
        return check.not_applicable("there are no events")
    if int(timing["all_won"].iloc[0]) + int(timing["all_lost"].iloc[0]) == 0:
        return check.skipped(
            "no lead has a closing time after its creation, so no event can be placed before it"
        )
    judged = [_judge_type(check, records, row) for row in _rows(timing.sort_values("type"))]
    found = [finding for finding in judged if finding is not None]
    counted = int((timing["ended_leads"] >= MIN_LEADS).sum())
    if found:
        return found
    if not counted:
        return check.skipped(f"no event type is shown by {MIN_LEADS} leads that ended")
    return check.passed(
        f"none of {counted} event types follows the outcome", types=len(timing), types_judged=counted
    )


def _judge_type(check: Check, records: Records, row: dict[str, Any]) -> Finding | None:
    if row["ended_leads"] < MIN_LEADS:
        return None
    if _follows(row):
        return _follows_finding(check, records, row)
    outcome = _decided(row)
    if outcome is None:
        return None
    return _decides_finding(check, records, row, outcome)


def _follows(row: dict[str, Any]) -> bool:
    late = row["at"] + row["after"]
    ended = row["all_won"] + row["all_lost"]
    shown_by_ended = row["ended_leads"] / ended
    shown_by_open = row["open_leads"] / row["all_open"] if row["all_open"] else 0.0
    return (
        late > FOLLOWS * (row["before"] + late)
        and wilson_interval(row["late_leads"], row["ended_leads"])[0] > FOLLOWS
        and shown_by_open < OPEN_RATIO * shown_by_ended
    )


def _decided(row: dict[str, Any]) -> str | None:
    """Return the outcome that is all but certain once the type is seen."""
    ended = row["all_won"] + row["all_lost"]
    for outcome in ("won", "lost"):
        if row["known_leads"] < MIN_LEADS:
            continue
        doubt = 1 - row[f"all_{outcome}"] / ended
        left = 1 - wilson_interval(row[f"known_{outcome}"], row["known_leads"])[0]
        if left < min(DOUBT_LEFT, DOUBT_RATIO * doubt):
            return outcome
    return None


def _follows_finding(check: Check, records: Records, row: dict[str, Any]) -> Finding:
    late, all_events = row["at"] + row["after"], row["before"] + row["at"] + row["after"]
    low, high = wilson_interval(row["late_leads"], row["ended_leads"])
    name = row["type"]
    return check.issue(
        f"of {all_events:,} events '{name}' of leads that ended, {late / all_events:.1%} are at or after the "
        f"close; {row['late_leads']:,} of the {row['ended_leads']:,} leads show it only then, and "
        f"{row['ended_won']:,} were won",
        remedy=_remedy(name),
        subject=name,
        severity=records.severity_of_type(name) if _tells(row) else "warning",
        **_figures(row),
        late_share=late / all_events,
        late_leads_share=row["late_leads"] / row["ended_leads"],
        low=low,
        high=high,
    )


def _decides_finding(check: Check, records: Records, row: dict[str, Any], outcome: str) -> Finding:
    alike, n = row[f"known_{outcome}"], row["known_leads"]
    base = row[f"all_{outcome}"] / (row["all_won"] + row["all_lost"])
    low, high = wilson_interval(alike, n)
    name = row["type"]
    message = (
        f"of {n:,} leads that show '{name}' before the close, {alike / n:.1%} [{low:.1%}, {high:.1%}] are "
        f"{outcome}, of all {base:.1%}; it comes {row['days_to_close']:.2g} days before the close, when "
        f"{row['life_passed']:.0%} of the lead's life has passed (medians)"
    )
    judged = {"outcome": outcome, "share": alike / n, "low": low, "high": high, "base": base}
    evidence = {**_figures(row), **judged}
    if row["life_passed"] >= LATE:
        severity = records.severity_of_type(name)
        return check.issue(message, remedy=_remedy(name), subject=name, severity=severity, **evidence)
    return check.tip(
        message,
        remedy="make sure that the event is entered when it happens, not once the outcome is known",
        subject=name,
        **evidence,
    )


def _remedy(event_type: str) -> str:
    return (
        f"take '{event_type}' from features.qualifiers, or name it under features.exclude; if it is known "
        "before the outcome, bring data.events.known_at"
    )


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    names = ("before", "at", "after", "ended_leads", "ended_won", "known_leads", "known_won", "known_lost")
    medians = {name: None if pd.isna(row[name]) else row[name] for name in ("days_to_close", "life_passed")}
    return {name: row[name] for name in (*names, "open_leads", "all_won", "all_lost", "all_open")} | medians


def _tells(row: dict[str, Any]) -> bool:
    """Whether leads that show the type end otherwise than those that do not (Fisher's exact test)."""
    won, lost = row["ended_won"], row["ended_leads"] - row["ended_won"]
    others = [row["all_won"] - won, row["all_lost"] - lost]
    return float(stats.fisher_exact([[won, lost], others]).pvalue) < TELLS


def _rows(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for values in table.astype(object).itertuples(index=False):
        yield {
            name: int(value) if isinstance(value, (int, np.integer)) else value
            for name, value in zip(table.columns, values, strict=True)
        }


CHECKS: tuple[Check, ...] = (
    Check("PRP401", "outcome_event", "an event type that only follows the outcome", find_outcome_events),
    Check("PRP402", "counter_from_the_export", "a counter that went on after the snapshot", find_counters),
)
