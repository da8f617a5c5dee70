"""Episodes: the times a lead was pursued, one after another, each from its opening to its close."""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir

_MOMENT = "timestamp('UTC', 6)"


def lead_episodes(
    leads: ir.Table,
    outcomes: ir.Table | None,
    *,
    stages: ir.Table | None = None,
    events: ir.Table | None = None,
) -> ir.Table:
    """Return the episodes of each lead, whatever the moment at which one looks.

    Each closed row of the outcomes ends an episode; an open row beside closed ones says that the lead
    was reopened after the last of them and is open. A lead with closed rows alone stays closed,
    whatever it does later: mails go on being opened and pages visited, and taking that for a reopening
    would make an open lead of every closed one.

    The first episode begins when the lead was created. A later one begins at the first stage entered
    after the close before it and before its own, without one at the first event of which that holds,
    and else at that close. Where the outcomes hold ``opened_at``, that is the beginning of any episode;
    it never lies before the creation or the close before, so that episodes do not overlap.

    Parameters
    ----------
    leads, outcomes, stages, events : ibis tables
        Canonical tables. Without outcomes every lead is open; without dates each has one row in them.

    Returns
    -------
    ibis table
        One row per ``(lead_id, episode)``, episodes counted from 1 in the order of time: ``opened_at``
        (null in an undated table), ``status`` (won, lost, open) and ``closed_at`` (null while open). Each
        lead has one at least.
    """
    if outcomes is None:
        return leads.select(
            "lead_id",
            episode=ibis.literal(1, "int64"),
            opened_at=leads.created_at,
            status=ibis.literal("open"),
            closed_at=ibis.null(_MOMENT),
        )
    placed = _in_order(leads, outcomes)
    later = placed.filter(placed.episode > 1)
    began = [placed.select("lead_id", "episode", moment=placed.stated)]
    began += [_first_within(later, moments) for moments in _traces(stages, events)]
    return _opened(placed, began)


def known_episodes(episodes: ir.Table, *, observed_until: datetime | None) -> ir.Table:
    """Return the episodes as they were known at `observed_until`; None: as they are.

    One that opens later does not exist yet, one that closes later is open. The first episode of a lead
    stays in any case, since the lead is in the table.
    """
    if observed_until is None:
        return episodes
    begun = (episodes.episode == 1) | (episodes.opened_at <= observed_until)
    unknown_yet = (episodes.closed_at > observed_until).fill_null(False)
    return episodes.filter(begun).mutate(
        status=unknown_yet.ifelse("open", episodes.status),
        closed_at=unknown_yet.ifelse(ibis.null(_MOMENT), episodes.closed_at),
    )


def _in_order(leads: ir.Table, outcomes: ir.Table) -> ir.Table:
    """Number each lead's rows by their close, the open one last, and say when each begins at the earliest."""
    stated = outcomes.opened_at if "opened_at" in outcomes.columns else ibis.null(_MOMENT)
    ended = outcomes.select(
        "status",
        of_lead=outcomes.lead_id,
        stated=stated,
        closed_at=(outcomes.status == "open").ifelse(ibis.null(_MOMENT), outcomes.closed_at),
    )
    joined = leads.select("lead_id", "created_at").left_join(ended, [("lead_id", "of_lead")])
    order = ibis.window(group_by=joined.lead_id, order_by=ibis.asc(joined.closed_at, nulls_first=False))
    return joined.select(
        "lead_id",
        "stated",
        "closed_at",
        status=joined.status.fill_null("open"),
        episode=ibis.row_number().over(order) + 1,
        earliest=joined.closed_at.lag().over(order).coalesce(joined.created_at),
    )


def _traces(stages: ir.Table | None, events: ir.Table | None) -> list[ir.Table]:
    """Return what may open an episode, the surer first: when it happened, and when it was known."""
    found = []
    if stages is not None:
        found.append(stages.select(of="lead_id", happened=stages.entered_at, known=stages.entered_at))
    if events is not None:
        found.append(events.select(of="lead_id", happened=events.event_at, known=events.known_at))
    return found


def _first_within(later: ir.Table, moments: ir.Table) -> ir.Table:
    """Return the first moment between each episode's earliest beginning and its close, neither included."""
    joined = later.inner_join(moments, [("lead_id", "of")])
    after = joined.happened > joined.earliest
    before = joined.closed_at.isnull() | (joined.known < joined.closed_at)
    inside = joined.filter(after, before)
    return inside.group_by("lead_id", "episode").agg(moment=inside.known.min())


def _opened(placed: ir.Table, began: list[ir.Table]) -> ir.Table:
    """Let each episode begin at the first of the moments that is known for it, and not too early."""
    ranked = ibis.union(
        *(table.mutate(rank=ibis.literal(i, "int64")) for i, table in enumerate(began)), distinct=False
    )
    stated = ranked.filter(ranked.moment.notnull())
    found = stated.group_by(of_lead=stated.lead_id, of_episode=stated.episode).agg(
        moment=stated.moment.argmin(stated["rank"])
    )
    # A view, because Ibis refuses to join a table with what was made from it on two keys.
    joined = placed.view().left_join(found, [("lead_id", "of_lead"), ("episode", "of_episode")])
    opened = ibis.greatest(joined.moment.coalesce(joined.earliest), joined.earliest)
    return joined.select("lead_id", "episode", "status", "closed_at", opened_at=opened).relocate(
        "opened_at", after="episode"
    )
