"""Snapshots: the moments at which a lead is looked at, one row per ``(lead_id, as_of)``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from propensity.cohort.episodes import known_episodes, lead_episodes
from propensity.data.scalars import stamp_microseconds
from propensity.errors import InputError, some

MICROSECONDS_PER_DAY = 86_400_000_000


def days(n: float) -> ir.IntervalScalar:
    """Return an interval of `n` days, which may be a fraction, exact to the microsecond."""
    return ibis.interval(microseconds=round(n * MICROSECONDS_PER_DAY))


def with_outcomes(
    leads: ir.Table,
    outcomes: ir.Table | None,
    *,
    observed_until: datetime | None,
    stages: ir.Table | None = None,
    events: ir.Table | None = None,
) -> ir.Table:
    """Join each lead with its episodes and how they ended, as far as that was known at `observed_until`.

    Parameters
    ----------
    leads, outcomes, stages, events : ibis tables
        Canonical tables; stages and events tell when a lead was reopened. Without outcomes every lead is
        taken to be open.
    observed_until : datetime or None
        The last moment the data covers. A closing after it counts as open, and an episode that opens
        after it is not there. None: a table without dates, in which every status stands.

    Returns
    -------
    ibis table
        One row per episode: ``lead_id, account_id, channel, created_at, episode, opened_at, status,
        closed_at``. A lead without an outcome is open.
    """
    episodes = lead_episodes(leads, outcomes, stages=stages, events=events)
    known = known_episodes(episodes, observed_until=observed_until)
    about = leads.select("lead_id", "account_id", "channel", "created_at")
    return about.inner_join(known, "lead_id").select(
        *about.columns, "episode", "opened_at", "status", "closed_at"
    )


def snapshots_at_ages(episodes: ir.Table, ages_days: list[float]) -> ir.Table:
    """Give each episode one row per age, at ``as_of = opened_at + age``, whether or not it is eligible.

    Returns
    -------
    ibis table
        The columns of `episodes` with ``as_of`` (UTC) and ``age_days``.
    """
    return ibis.union(
        *(episodes.mutate(as_of=episodes.opened_at + days(age), age_days=_float(age)) for age in ages_days),
        distinct=False,
    )


def snapshots_without_time(episodes: ir.Table) -> ir.Table:
    """Give each lead of an undated table its only row, with ``as_of`` and ``age_days`` null."""
    return episodes.mutate(as_of=ibis.null("timestamp('UTC', 6)"), age_days=ibis.null("float64"))


def snapshots_at(episodes: ir.Table, as_of: datetime) -> ir.Table:
    """Give each episode one row at the same moment `as_of`, with its age then."""
    at = ibis.literal(as_of, "timestamp('UTC', 6)")
    age = at.delta(episodes.opened_at, unit="microsecond") / MICROSECONDS_PER_DAY
    return episodes.mutate(as_of=at, age_days=age)


def open_at(snapshots: ir.Table) -> ir.BooleanValue:
    """Say which snapshots show an episode that has begun and is still open at its ``as_of``.

    An episode closed at the very moment of the snapshot is closed. Where there is no closing time, a
    snapshot at the beginning counts as open, and an undated one always does.
    """
    begun = (snapshots.opened_at <= snapshots.as_of).fill_null(True)
    return begun & (snapshots.closed_at > snapshots.as_of).fill_null(True)


def training_snapshots(
    leads: ir.Table,
    outcomes: ir.Table,
    disqualified: ir.Table,
    unsettled: ir.Table,
    *,
    ages_days: list[float] | None,
    observed_until: datetime | None,
    stages: ir.Table | None = None,
    events: ir.Table | None = None,
) -> tuple[ir.Table, ir.Table]:
    """Make the snapshots to learn from: of leads that exist, are open and are not disqualified.

    A snapshot belongs to the episode that is open at its moment, and its status and close are those of
    that episode. A lead whose outcome was refused at ingest is left out: it may have ended, nobody knows
    when or how.

    Parameters
    ----------
    leads, outcomes : ibis tables
        Canonical tables.
    disqualified : ibis table
        ``lead_id`` of the leads that meet a rule.
    unsettled : ibis table
        ``lead_id`` of the leads whose outcome was refused.
    ages_days : list of float or None
        Days after an episode's beginning, which for the first is the creation; None for an undated
        table, whose leads have one snapshot each.
    observed_until : datetime or None
    stages, events : ibis tables, optional
        Canonical tables, which tell when a lead was reopened.

    Returns
    -------
    snapshots : ibis table
        Numbered from 0 in the order of ``(lead_id, as_of)``: ``snapshot, lead_id, account_id,
        channel, created_at, status, closed_at, as_of, age_days``.
    counts : ibis table
        One row: ``leads`` in all, ``disqualified`` and ``unsettled`` leads, of the others the number of
        ``reopened`` leads and of ``episodes``, and of their possible snapshots those ``after_the_data``
        ends and those of ``closed`` leads.
    """
    known = with_outcomes(leads, outcomes, observed_until=observed_until, stages=stages, events=events)
    pursued = known.anti_join(disqualified, "lead_id").anti_join(unsettled, "lead_id")
    possible = snapshots_without_time(pursued) if ages_days is None else snapshots_at_ages(pursued, ages_days)
    covered = ibis.literal(True) if observed_until is None else possible.as_of <= observed_until
    flagged = possible.mutate(covered=covered.fill_null(True), open=open_at(possible))
    totals = flagged.agg(
        after_the_data=flagged.count(where=~flagged.covered),
        closed=flagged.count(where=flagged.covered & ~flagged.open),
        snapshots=flagged.count(where=flagged.covered & flagged.open),
    )
    counts = (
        totals.cross_join(leads.agg(leads=leads.count()))
        .cross_join(disqualified.agg(disqualified=disqualified.count()))
        .cross_join(unsettled.agg(unsettled=unsettled.count()))
        .cross_join(pursued.agg(reopened=pursued.count(where=pursued.episode == 2), episodes=pursued.count()))
    )
    return _numbered(flagged.filter("covered", "open")), counts


def scoring_snapshots(
    leads: ir.Table,
    outcomes: ir.Table | None,
    *,
    as_of: datetime | None,
    stages: ir.Table | None = None,
    events: ir.Table | None = None,
) -> ir.Table:
    """Make one snapshot, at `as_of`, for each lead that exists and is open then.

    Parameters
    ----------
    leads, outcomes, stages, events : ibis tables
        Canonical tables; without outcomes every lead is taken to be open, and stages and events tell
        when one was reopened.
    as_of : datetime or None
        None for an undated table.

    Returns
    -------
    ibis table
        As the snapshots of `training_snapshots`.
    """
    known = with_outcomes(leads, outcomes, observed_until=as_of, stages=stages, events=events)
    taken = snapshots_without_time(known) if as_of is None else snapshots_at(known, as_of)
    still_open = (taken.status == "open") if as_of is None else open_at(taken) & _undated_open(taken)
    return _numbered(taken.filter(still_open))


def make_spine(leads: pd.DataFrame, as_of: pd.Series[pd.Timestamp]) -> pa.Table:
    """Make one snapshot a lead at a given moment each, for leads that are handed in to be scored.

    Parameters
    ----------
    leads : DataFrame
        Canonical leads.
    as_of : Series
        The moments, one for each row of `leads`.

    Returns
    -------
    pyarrow table
        ``snapshot`` (the row's place), ``lead_id, account_id, created_at, as_of``.

    Raises
    ------
    InputError
        A lead was created after its moment.
    """
    early = (leads["created_at"] > as_of).to_numpy()
    if early.any():
        raise InputError(
            f"{int(early.sum())} of {len(leads)} leads were created after as_of: "
            f"{some(leads.loc[early, 'lead_id'].tolist())}; score them at a later moment"
        )
    spine = leads[["lead_id", "account_id", "created_at"]].assign(snapshot=range(len(leads)), as_of=as_of)
    return pa.Table.from_pandas(spine[list(SPINE)], schema=pa.schema(SPINE), preserve_index=False)


def spine_rows(
    leads: Sequence[tuple[Any, ...]], names: Sequence[str], as_of: Sequence[pd.Timestamp]
) -> list[tuple[Any, ...]] | None:
    """Return `make_spine` of a few leads as rows, moments in microseconds since 1970.

    None where a lead was created after its moment.

    Parameters
    ----------
    leads : sequence of tuple
        Canonical leads, moments in microseconds since 1970.
    names : sequence of str
        Their columns.
    as_of : sequence of Timestamp
    """
    keys = itemgetter(*(names.index(name) for name in ("lead_id", "account_id", "created_at")))
    moments = [None if pd.isna(moment) else stamp_microseconds(moment) for moment in as_of]
    rows = [(i, *keys(lead), moment) for i, (lead, moment) in enumerate(zip(leads, moments, strict=True))]
    dated = [row for row in rows if row[3] is not None and row[4] is not None]
    return None if any(row[3] > row[4] for row in dated) else rows


SPINE = {
    "snapshot": pa.int64(),
    "lead_id": pa.string(),
    "account_id": pa.string(),
    "created_at": pa.timestamp("us", tz="UTC"),
    "as_of": pa.timestamp("us", tz="UTC"),
}


def _float(number: float) -> ir.FloatingScalar:
    """Return a float that is one in every engine: SQL takes ``0.5`` for a decimal."""
    return ibis.literal(repr(float(number))).cast("float64")


def _undated_open(snapshots: ir.Table) -> ir.BooleanValue:
    """A lead that ended without a closing time is closed at every moment at which it is scored."""
    return (snapshots.status == "open") | snapshots.closed_at.notnull()


def _numbered(snapshots: ir.Table) -> ir.Table:
    number = ibis.row_number().over(order_by=[snapshots.lead_id, snapshots.as_of])
    return snapshots.select(number.name("snapshot"), *_SNAPSHOT)


_SNAPSHOT = (
    "lead_id",
    "account_id",
    "channel",
    "created_at",
    "status",
    "closed_at",
    "as_of",
    "age_days",
)
