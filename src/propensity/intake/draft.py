"""From files to a draft of the params: every role guessed, every setting chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from propensity.data.delimited import POSITION
from propensity.data.profiles import Delays, delays, share_known
from propensity.data.tables import ROW_NUMBER
from propensity.errors import InputError
from propensity.intake import settings
from propensity.intake.attributes import find_attributes
from propensity.intake.behaviour import find_event_roles
from propensity.intake.exports import Export, recognise
from propensity.intake.guesses import Ask, Draft, EventRoles, LeadRoles, Outcome
from propensity.intake.outcome import find_outcome
from propensity.intake.reading import Table
from propensity.intake.roles import ORDER, find_lead_roles, find_order
from propensity.params import BEHAVIOUR, Params

ZONE = "UTC"
QUALIFIERS = ("demographic", "firmographic")


def make_draft(leads: Table, events: Table | None, outcomes: Table | None, ask: Ask) -> Draft:
    """Guess every role and choose every setting.

    Parameters
    ----------
    leads, events, outcomes : Table
        Events and outcomes may be None.
    ask : callable
        Asked about each guess that is not sure.

    Raises
    ------
    InputError
        Nothing says how leads ended.
    """
    export = recognise(leads.file.columns)
    named = _named(export)
    others = [table for table in (events, outcomes) if table is not None]
    roles = find_lead_roles(leads, others, named, ask, zone=ZONE)
    outcome = _outcome(leads, outcomes, roles, export, ask)
    dated = roles.created_at.column is not None
    roles = roles if dated else _with_order(leads, roles, outcome, ask)
    behaviour, notes = _behaviour(events, leads, roles, ask)
    if not dated and any(p.other_dates for p in leads.file.profiles.values()):
        notes = (*notes, roles.created_at.evidence)
    attributes, refused = find_attributes(leads, roles, outcome)
    draft = Draft(
        leads=leads.file,
        roles=roles,
        outcome=outcome,
        attributes=attributes,
        refused=refused,
        events=events.file if events and behaviour else None,
        outcomes=outcomes.file if outcomes else None,
        behaviour=behaviour,
        vendor=f"{export.vendor} {export.table}: {export.evidence}" if export else "",
        notes=notes,
    )
    return _with_settings(draft, leads, outcomes or leads)


def params_of(draft: Draft, *, paths: dict[str, str] | None = None) -> Params:
    """Return the draft as checked params.

    Parameters
    ----------
    draft : Draft
    paths : dict, optional
        Table to the Parquet file to read it from, instead of the file that was handed in.

    Raises
    ------
    ParamsError, pydantic.ValidationError
        The draft does not fit together.
    """
    return Params.model_validate(content_of(draft, paths=paths))


def content_of(draft: Draft, *, paths: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the draft as the params file's content."""
    data: dict[str, Any] = {
        "timezone": draft.timezone,
        "max_quarantined": draft.max_quarantined,
        "leads": _source(draft.leads, paths) | _lead_columns(draft),
        "outcomes": _outcome_columns(draft, paths),
    }
    if draft.behaviour is not None and draft.events is not None:
        data["events"] = _source(draft.events, paths) | _event_columns(draft.behaviour)
    features: dict[str, Any] = {q: columns_of(draft, q) for q in QUALIFIERS}
    if draft.behaviour is not None:
        features["qualifiers"] = types_of(draft)
    features |= {
        "lookback_days": list(draft.lookback_days),
        "exclude": list(dict.fromkeys(r.subject for r in draft.refused)),
    }
    return {
        "data": data,
        "features": features,
        "snapshots": _snapshots(draft),
        "split": {"by": draft.split_by, "group": draft.group} | draft.shares,
        "cutoffs": {"sql": {"policy": "precision", "target": draft.sql_target, "confidence": 0.9}},
    }


def columns_of(draft: Draft, qualifier: str) -> list[str]:
    """Return the columns of leads of a qualifier that are used."""
    return [column for column, q in draft.attributes.items() if q == qualifier]


def types_of(draft: Draft) -> dict[str, list[str]]:
    """Return the event types that are used, by family."""
    refused = {r.subject for r in draft.refused if r.kind == "event type"}
    families = draft.behaviour.families if draft.behaviour else {}
    kept = {t: family for t, family in families.items() if t not in refused}
    return {q: types for q in BEHAVIOUR if (types := [t for t, family in kept.items() if family == q])}


def is_timed(draft: Draft) -> bool:
    """Return whether it is known when leads came in and when they ended."""
    return draft.roles.created_at.column is not None and draft.outcome.closed_at.column is not None


def _snapshots(draft: Draft) -> dict[str, Any]:
    ages: dict[str, Any] = {"ages_days": list(draft.ages_days)}
    return ages | ({"horizon_days": draft.horizon_days} if is_timed(draft) else {})


def _outcome(
    leads: Table, outcomes: Table | None, roles: LeadRoles, export: Export | None, ask: Ask
) -> Outcome:
    table = outcomes or leads
    told = export if outcomes is None else recognise(table.file.columns)
    taken = [roles.lead_id.column, roles.created_at.column, roles.account_id.column, roles.channel.column]
    return find_outcome(
        table,
        leads,
        str(roles.lead_id.column),
        taken,
        _named(told),
        ask,
        won=told.status_won if told else (),
        lost=told.status_lost if told else (),
        dated=roles.created_at.column is not None,
    )


def _named(export: Export | None) -> dict[str, str]:
    return {str(role): column for role, column in export.roles.items()} if export else {}


def _with_order(leads: Table, roles: LeadRoles, outcome: Outcome, ask: Ask) -> LeadRoles:
    guess = find_order(leads, roles.lead_id.column, str(outcome.status.column), not outcome.own_file)
    forced = next((c for c in leads.file.columns if c.lower() == "order_key"), None)
    if forced is not None and guess.column is None:
        guess = replace(guess, role=ORDER, column=forced, evidence="named so")
    return replace(roles, order_by=ask(guess, [ROW_NUMBER, *leads.file.columns]))


def _behaviour(
    events: Table | None, leads: Table, roles: LeadRoles, ask: Ask
) -> tuple[EventRoles | None, tuple[str, ...]]:
    if events is None:
        return None, ()
    if roles.created_at.column is None:
        return None, (
            f"the events in {events.file.path} are not used: leads have no creation time, so no moment is "
            "known "
            "as of which to look at them",
        )
    try:
        return find_event_roles(events, leads, str(roles.lead_id.column), ask, zone=ZONE), ()
    except InputError as error:
        return None, (f"the events are not used: {error}",)


def _with_settings(draft: Draft, leads: Table, outcomes: Table) -> Draft:
    found = _delays(draft, leads, outcomes)
    draft = _with_closings(draft, found)
    ages, why_ages = settings.choose_ages(found if is_timed(draft) else None)
    lookback, why_lookback = settings.choose_lookback(ages)
    by: Literal["time", "order", "random"] = (
        "time" if draft.roles.created_at.column else "order" if draft.roles.order_by.column else "random"
    )
    account = draft.roles.account_id.column
    group, why_group = settings.choose_group(draft.leads.profiles[account] if account else None)
    target, why_target = settings.choose_precision(*_counts(draft, outcomes))
    limit, why_limit = settings.choose_limit(_kept_share(draft, leads, outcomes))
    offsets = settings.describe_offsets([*leads.file.profiles.values(), *outcomes.file.profiles.values()])
    return replace(
        draft,
        ages_days=ages,
        lookback_days=lookback,
        split_by=by,
        group="account_id" if group == "account_id" else "lead_id",
        sql_target=target,
        max_quarantined=limit,
        reasons={
            "ages_days": why_ages,
            "lookback_days": why_lookback,
            "group": why_group,
            "sql": why_target,
            "max_quarantined": why_limit,
            "timezone": offsets,
            "horizon_days": "auto: found from how long leads take to be won",
            "split": _why_split(by, draft.roles),
        },
    )


def _with_closings(draft: Draft, found: Delays | None) -> Draft:
    """Return the draft without a closing time that comes before the creation time too often."""
    if found is None or found.before <= 0.15 or not found.closed:
        return draft
    column = draft.outcome.closed_at.column
    why = f"{column!r} lies before the creation time for {found.before:.0%} of the leads"
    closed_at = replace(draft.outcome.closed_at, column=None, evidence=why, sure=False)
    return replace(draft, outcome=replace(draft.outcome, closed_at=closed_at))


def _delays(draft: Draft, leads: Table, outcomes: Table) -> Delays | None:
    created, closed = draft.roles.created_at.column, draft.outcome.closed_at.column
    if created is None or closed is None:
        return None
    lead_id, pointer = str(draft.roles.lead_id.column), str(draft.outcome.lead_id.column)
    return delays(
        leads.con,
        leads.rows,
        (POSITION if lead_id == ROW_NUMBER else lead_id, created),
        outcomes.rows,
        (POSITION if pointer == ROW_NUMBER else pointer, closed),
        status=str(draft.outcome.status.column),
        ended=[v.lower() for v in (*draft.outcome.won, *draft.outcome.lost)],
        zone=ZONE,
    )


def _kept_share(draft: Draft, leads: Table, outcomes: Table) -> float:
    """Return the least share of a table's rows that are kept: with a lead that has a date."""
    created, lead_id = draft.roles.created_at.column, draft.roles.lead_id.column
    known = [draft.behaviour.known_share] if draft.behaviour else [1.0]
    if outcomes is not leads:
        pointer = str(draft.outcome.lead_id.column)
        known.append(share_known(leads.con, outcomes.rows, pointer, leads.rows, str(lead_id)))
    return min(known) * (draft.leads.profiles[created].complete if created else 1.0)


def _counts(draft: Draft, outcomes: Table) -> tuple[int, int]:
    """Return how many leads were won, and how many ended; every lead that is not won where none is lost."""
    profile = outcomes.file.profiles[str(draft.outcome.status.column)]
    counts = dict(profile.top)
    won = sum(counts.get(v, 0) for v in draft.outcome.won)
    ended = won + sum(counts.get(v, 0) for v in draft.outcome.lost)
    return won, ended if draft.outcome.lost else profile.rows


def _why_split(by: str, roles: LeadRoles) -> str:
    if by == "time":
        return f"by {roles.created_at.column!r}: the test part is the latest"
    if by == "order":
        return roles.order_by.evidence
    return f"nothing says which lead came first ({roles.order_by.evidence}), so the parts are dealt at random"


def _source(file: Any, paths: dict[str, str] | None) -> dict[str, Any]:
    if paths is not None:
        return {"path": paths[file.table], "missing": ["", *file.missing]}
    found: dict[str, Any] = {"path": file.path, "missing": ["", *file.missing]}
    return found | ({"delimiter": file.delimiter} if file.delimiter else {})


def _lead_columns(draft: Draft) -> dict[str, Any]:
    roles = draft.roles
    return {
        "lead_id": roles.lead_id.column,
        "created_at": roles.created_at.column,
        "order_by": roles.order_by.column,
        "account_id": roles.account_id.column,
        "channel": roles.channel.column,
    }


def _outcome_columns(draft: Draft, paths: dict[str, str] | None) -> dict[str, Any]:
    outcome = draft.outcome
    columns = {
        "status": outcome.status.column,
        "won": list(outcome.won),
        "lost": list(outcome.lost),
        "closed_at": outcome.closed_at.column,
        "amount": outcome.amount.column,
        "reason": outcome.reason.column,
    }
    if draft.outcomes is None:
        return columns
    return _source(draft.outcomes, paths) | {"lead_id": outcome.lead_id.column} | columns


def _event_columns(roles: EventRoles) -> dict[str, Any]:
    return {
        "lead_id": roles.lead_id.column,
        "event_at": roles.event_at.column,
        "known_at": roles.known_at.column,
        "type": roles.type.column,
        "asset": roles.asset.column,
        "campaign": roles.campaign.column,
        "value": roles.value.column,
    }
