"""The mechanism behind the simulated leads, and the exact probability that follows from it.

Each lead belongs to a hidden class of interest. Its attributes and the date it was created set the
odds of the classes; the class sets how often the lead acts, on what, and whether and when it is won
or lost. Given the class, actions and outcome are independent, so what a lead has shown up to a
moment is weighed by Bayes' rule over the three classes, with no approximation.

Two kinds of fact carry no information and stand outside the rule: sales calls, made to every lead
at the same rate, and the stages before the close.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import log_softmax, ndtr

from propensity.data.planted import (
    ASSETS,
    CLASS_INTERCEPT,
    CLASS_SLOPE,
    CLASSES,
    DAY,
    DECAY_DAYS,
    DRIFT_PER_YEAR,
    EMPLOYEES_SLOPE,
    EVENTS_PER_LEAD,
    IS_NIGHTLY,
    ITEMS,
    LOG_ODDS,
    LOG_SD_DAYS,
    MEDIAN_DAYS,
    OUTCOME_SHARE,
    SEASON_AMPLITUDE,
    START_MICROS,
    STUDENT_TITLES,
    STUDENT_WON_FACTOR,
    SYNC_AT,
    UNINFORMATIVE_TYPE,
)
from propensity.data.shifts import ChannelChange, FewerWins, Shift, death_of, drop_unrecorded
from propensity.errors import InputError, some

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_PAIRS_AT_ONCE = 4_000_000


def expected_items() -> Floats:
    """Return how often each of `ITEMS` happens to a lead that never closes, shape (items, classes)."""
    shares = np.array([ASSETS[kind][asset] for kind, asset in ITEMS])
    totals = np.array([EVENTS_PER_LEAD[kind] for kind, _ in ITEMS])
    lifted = np.column_stack([shares[:, 0], shares[:, 0], shares[:, 0] * shares[:, 1]])
    kinds = np.array([kind for kind, _ in ITEMS])
    sums = np.array([lifted[kinds == kind].sum(axis=0) for kind in kinds])
    expected: Floats = totals * lifted / sums
    return expected


def log_odds(leads: pd.DataFrame, shifts: Sequence[Shift] = ()) -> Floats:
    """Return each lead's planted log-odds of interest; a missing or unlisted value adds zero."""
    employees = np.log10(leads["employees"].astype("float64").to_numpy() / 100.0)
    total: Floats = EMPLOYEES_SLOPE * np.nan_to_num(employees, nan=0.0)
    for column, effects in LOG_ODDS.items():
        total = total + leads[column].map(effects).astype("float64").fillna(0.0).to_numpy()
    for shift in shifts:
        if isinstance(shift, ChannelChange):
            meant = (leads["channel"] == shift.channel) & (leads["created_at"] >= shift.at)
            change = shift.log_odds - LOG_ODDS["channel"][shift.channel]
            total = total + change * meant.to_numpy(dtype="float64")
    years = (to_micros(leads["created_at"]) - START_MICROS) / (365.25 * DAY)
    season = np.cos(2 * np.pi * (years - 15 / 365.25))
    trend: Floats = DRIFT_PER_YEAR * years + SEASON_AMPLITUDE * season
    return total + trend


def log_class_prior(leads: pd.DataFrame, shifts: Sequence[Shift] = ()) -> Floats:
    """Return the log-probability of each class at creation, shape (leads, classes)."""
    prior: Floats = log_softmax(CLASS_INTERCEPT + np.outer(log_odds(leads, shifts), CLASS_SLOPE), axis=1)
    return prior


def is_student(leads: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which leads are students, interns or tests by their job title."""
    student: npt.NDArray[np.bool_] = leads["job_title"].isin(STUDENT_TITLES).to_numpy(dtype=bool)
    return student


def outcome_shares(student: npt.NDArray[np.bool_]) -> dict[str, Floats]:
    """Return the share of leads that is won and lost in the end, each of shape (leads, classes)."""
    factor = np.where(student, STUDENT_WON_FACTOR, 1.0)[:, None]
    won = OUTCOME_SHARE["won"] * factor
    return {"won": won, "lost": OUTCOME_SHARE["lost"] + OUTCOME_SHARE["won"] * (1.0 - factor)}


def closed_share(age_days: Floats, status: str) -> Floats:
    """Return which share of the leads that end as `status` has done so by an age, (ages, classes)."""
    with np.errstate(divide="ignore"):
        logs = np.log(age_days)[:, None]
    share: Floats = ndtr((logs - np.log(MEDIAN_DAYS[status])) / LOG_SD_DAYS[status])
    return share


def won_share(created: Ints, age_days: Floats, until_days: Floats, shifts: Sequence[Shift]) -> Floats:
    """Return which share of those that would end as won is won between two ages, (leads, classes).

    A `FewerWins` takes its factor of what is won from its moment on.
    """
    share = closed_share(until_days, "won") - closed_share(age_days, "won")
    kept = 1.0
    for shift in sorted((s for s in shifts if isinstance(s, FewerWins)), key=lambda s: s.at):
        since = np.maximum((_micros(shift.at) - created) / DAY, 0.0)
        later = closed_share(np.maximum(until_days, since), "won")
        later = later - closed_share(np.maximum(age_days, since), "won")
        share = share - kept * (1.0 - shift.factor) * later
        kept *= shift.factor
    return share


def acted_share(age_days: Floats) -> Floats:
    """Return which share of a class's expected events falls before an age, shape (ages, classes)."""
    share: Floats = -np.expm1(-age_days[:, None] / DECAY_DAYS)
    return share


def next_sync(micros: Ints) -> Ints:
    """Return the first nightly sync at or after each moment, in microseconds since 1970."""
    return -((SYNC_AT - micros) // DAY) * DAY + SYNC_AT


def last_sync(micros: Ints) -> Ints:
    """Return the last nightly sync at or before each moment, in microseconds since 1970."""
    return (micros - SYNC_AT) // DAY * DAY + SYNC_AT


def to_moments(micros: Ints) -> pd.Series[Any]:
    """Return microseconds since 1970 as UTC timestamps."""
    return pd.Series(micros.astype("datetime64[us]")).dt.tz_localize("UTC")


def to_micros(moments: pd.Series[Any]) -> Ints:
    """Return UTC timestamps as whole microseconds since 1970."""
    micros: Ints = moments.dt.as_unit("us").astype("int64").to_numpy()
    return micros


def true_probability(
    leads: pd.DataFrame,
    events: pd.DataFrame,
    snapshots: pd.DataFrame,
    *,
    horizon_days: float,
    unseen: Collection[str] = (),
    shifts: Sequence[Shift] = (),
) -> Floats:
    """Compute the exact probability that an open lead is won within the horizon.

    Parameters
    ----------
    leads, events
        As in ``Simulation``: attributes by ``lead_id``, and events with ``known_at``. Events that
        became known after a snapshot's ``as_of`` have no influence on it.
    snapshots
        Columns ``lead_id`` and ``as_of``; each lead is taken to be open at ``as_of``.
    horizon_days
        Length of the window ``(as_of, as_of + horizon_days]``.
    unseen
        Event types that nobody watches: neither their events nor their silence tells anything.
    shifts : sequence of Shift
        What was planted. The probability is that of the world as it goes on to be: a shift later than a
        snapshot, but within its horizon, counts.

    Returns
    -------
    ndarray
        One probability in [0, 1] for each row of `snapshots`, in their order.

    Raises
    ------
    InputError
        A snapshot or event names an unknown lead, a snapshot lies before its lead was created, or
        an event has a type or asset that the mechanism does not know.
    """
    lead = _positions(leads, snapshots, "snapshots")
    created = to_micros(leads["created_at"])[lead]
    as_of = to_micros(snapshots["as_of"])
    early = np.flatnonzero(as_of < created)
    if early.size:
        who = some(snapshots["lead_id"].iloc[early].tolist())
        raise InputError(f"snapshots: as_of must not lie before the lead's created_at, it does for {who}")
    prior = log_class_prior(leads, shifts)[lead]
    evidence = prior + _log_evidence(leads, events, lead, as_of, unseen, shifts)
    weight = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    age = (as_of - created) / DAY
    share = outcome_shares(is_student(leads)[lead])
    closed = {status: closed_share(age, status) for status in share}
    still_open = 1.0 - share["won"] * closed["won"] - share["lost"] * closed["lost"]
    wins = share["won"] * won_share(created, age, age + horizon_days, shifts)
    probability: Floats = (weight * wins).sum(axis=1) / (weight * still_open).sum(axis=1)
    return probability


def _log_evidence(
    leads: pd.DataFrame,
    events: pd.DataFrame,
    lead: Ints,
    as_of: Ints,
    unseen: Collection[str],
    shifts: Sequence[Shift],
) -> Floats:
    """Return the log-likelihood of the events known at each snapshot, shape (snapshots, classes)."""
    created = to_micros(leads["created_at"])
    expected = expected_items()
    feeds = [(bool(n), death_of(kind, shifts)) for (kind, _), n in zip(ITEMS, IS_NIGHTLY, strict=True)]
    silence: Floats = np.zeros((len(lead), len(CLASSES)))
    for feed in sorted(set(feeds), key=str):
        of_feed = [f == feed and kind not in unseen for f, (kind, _) in zip(feeds, ITEMS, strict=True)]
        watched = _watched_days(as_of, created[lead], nightly=feed[0], death=feed[1])
        silence = silence + expected[np.array(of_feed)].sum(axis=0) * acted_share(watched)
    events = drop_unrecorded(events[~events["type"].isin(list(unseen))], shifts)

    item = item_of(events)
    kept = events.loc[item >= 0]
    owner = _positions(leads, kept, "events")
    age = (to_micros(kept["event_at"]) - created[owner]) / DAY
    log_rate = np.log(expected / DECAY_DAYS)[item[item >= 0]] - age[:, None] / DECAY_DAYS
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=len(leads))
    shown = _sum_known(log_rate[order], to_micros(kept["known_at"])[order], counts, lead, as_of)
    evidence: Floats = shown - silence
    return evidence


def _watched_days(as_of: Ints, created: Ints, *, nightly: bool, death: pd.Timestamp | None) -> Floats:
    """Return up to which age each lead's actions of a feed are known, in days."""
    until = as_of if death is None else np.minimum(as_of, _micros(death) - 1)
    days: Floats = np.maximum((last_sync(until) if nightly else until) - created, 0) / DAY
    return days


def _micros(at: pd.Timestamp) -> int:
    return int(to_micros(pd.Series([at]))[0])


def _sum_known(log_rate: Floats, known_at: Ints, counts: Ints, lead: Ints, as_of: Ints) -> Floats:
    """Sum each snapshot's known events; events are grouped by lead, `counts` of them each."""
    first = np.cumsum(counts) - counts
    total = np.zeros((len(lead), len(CLASSES)))
    step = max(1, _PAIRS_AT_ONCE // max(1, int(counts.max(initial=1))))
    for start in range(0, len(lead), step):
        part = slice(start, start + step)
        size = counts[lead[part]]
        row = np.repeat(np.arange(len(size)), size)
        within = np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size)
        event = np.repeat(first[lead[part]], size) + within
        known = known_at[event] <= as_of[part][row]
        for column in range(len(CLASSES)):
            weights = log_rate[event[known], column]
            total[part, column] = np.bincount(row[known], weights=weights, minlength=len(size))
    return total


def item_of(events: pd.DataFrame) -> Ints:
    """Return each event's position in `ITEMS`, or -1 for a type that carries no information."""
    kinds, assets = sorted(ASSETS), sorted({asset for _, asset in ITEMS})
    table = np.full((len(kinds), len(assets)), -1)
    for position, (kind, asset) in enumerate(ITEMS):
        table[kinds.index(kind), assets.index(asset)] = position
    kind_code = pd.Index(kinds).get_indexer(pd.Index(events["type"]))
    asset_code = pd.Index(assets).get_indexer(pd.Index(events["asset"]))
    item: Ints = np.where((kind_code >= 0) & (asset_code >= 0), table[kind_code, asset_code], -1)
    strange = np.flatnonzero((item < 0) & (events["type"] != UNINFORMATIVE_TYPE).to_numpy())
    if strange.size:
        rows = events.iloc[strange][["type", "asset"]].drop_duplicates().to_records(index=False).tolist()
        raise InputError(f"events: the mechanism knows no such type and asset: {some(rows)}")
    return item


def _positions(leads: pd.DataFrame, rows: pd.DataFrame, table: str) -> Ints:
    position: Ints = pd.Index(leads["lead_id"]).get_indexer(pd.Index(rows["lead_id"]))
    unknown = rows["lead_id"].to_numpy()[position < 0]
    if unknown.size:
        raise InputError(f"{table}: every lead_id must stand in leads, missing: {some(unknown.tolist())}")
    return position
