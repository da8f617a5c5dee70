"""The mechanism behind the simulated leads, and the exact probability that follows from it.

Each lead belongs to a hidden class of interest. Its attributes and the date it was created set the
odds of the classes; the class sets how often the lead acts, on what, and whether and when it is won
or lost. Given the class, actions and outcome are independent, so what a lead has shown up to a
moment is weighed by Bayes' rule over the three classes, with no approximation.

Two kinds of fact carry no information and stand outside the rule: sales calls, made to every lead
at the same rate, and the stages before the close.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import log_softmax, ndtr

from propensity.errors import InputError, some

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAY = 86_400_000_000  # microseconds
SYNC_AT = 2 * DAY // 24  # e-mail events reach the CRM at the next 02:00 UTC
START = pd.Timestamp("2023-01-01", tz="UTC")
END = pd.Timestamp("2025-12-31", tz="UTC")
START_MICROS = int(START.timestamp()) * 1_000_000
END_MICROS = int(END.timestamp()) * 1_000_000

CLASSES = ("browsing", "fading", "buying")
CLASS_INTERCEPT = np.array([0.0, -0.35, -1.0])
CLASS_SLOPE = np.array([0.0, 0.3, 1.0])  # how much of a lead's log-odds each class takes
DRIFT_PER_YEAR = -0.08
SEASON_AMPLITUDE = 0.12  # highest in mid-January
EMPLOYEES_SLOPE = 0.5  # for each factor of ten above or below 100
LOG_ODDS: dict[str, dict[str, float]] = {
    "channel": {
        "referral": 1.2,
        "partner": 0.7,
        "webinar": 0.3,
        "organic_search": 0.1,
        "email_campaign": -0.1,
        "paid_search": -0.4,
        "paid_social": -1.0,
        "content_syndication": -1.6,
    },
    "first_offer": {"demo": 1.2, "trial": 0.6, "webinar": 0.0, "ebook": -0.6, "newsletter": -1.1},
    "seniority": {"executive": 0.7, "director": 0.5, "manager": 0.1, "specialist": -0.4, "junior": -0.9},
    "industry": {
        "software": 0.6,
        "finance": 0.4,
        "manufacturing": 0.1,
        "logistics": 0.0,
        "retail": -0.2,
        "healthcare": -0.1,
        "education": -0.7,
        "public_sector": -0.5,
    },
    "country": {"DE": 0.2, "US": 0.2, "GB": 0.1, "NL": 0.0, "FR": -0.1, "ES": -0.2, "IN": -0.4},
}

STUDENT_TITLES = (
    "Student",
    "student",
    "PhD student",
    "Student assistant",
    "Marketing Intern",
    "Intern",
    "HR intern",
    "Test",
    "test account",
)
STUDENT_WON_FACTOR = 0.03  # what a student would have won is lost instead

# Per class: the share that ends so, if watched for ever, and the lognormal days until then.
OUTCOME_SHARE = {"won": np.array([0.02, 0.03, 0.70]), "lost": np.array([0.74, 0.86, 0.22])}
MEDIAN_DAYS = {"won": np.array([40.0, 30.0, 32.0]), "lost": np.array([32.0, 20.0, 40.0])}
LOG_SD_DAYS = {"won": np.array([0.9, 0.9, 0.85]), "lost": np.array([1.2, 1.1, 1.0])}

# A class acts at a rate that decays exponentially; the counts are those of a lead that never closes.
DECAY_DAYS = np.array([10.0, 6.0, 40.0])
EVENTS_PER_LEAD: dict[str, tuple[float, float, float]] = {
    "visit": (8.5, 18.0, 36.0),
    "form": (0.5, 1.3, 3.6),
    "open": (5.0, 9.0, 14.0),
    "click": (1.0, 2.6, 6.0),
    "unsubscribe": (0.25, 0.5, 0.1),
    "follow": (0.3, 0.6, 1.0),
    "share": (0.15, 0.3, 0.7),
}
NIGHTLY_TYPES = ("open", "click", "unsubscribe")
# Each type's assets: the share it has among leads that do not buy, and its lift among those that do.
ASSETS: dict[str, dict[str, tuple[float, float]]] = {
    "visit": {
        "home": (0.30, 0.9),
        "blog": (0.25, 0.8),
        "features": (0.18, 1.1),
        "docs": (0.09, 1.1),
        "pricing": (0.10, 1.5),
        "demo": (0.04, 1.6),
        "careers": (0.04, 0.5),
    },
    "form": {
        "newsletter": (0.35, 0.8),
        "ebook": (0.30, 0.8),
        "webinar": (0.20, 1.1),
        "demo_request": (0.10, 1.6),
        "contact": (0.05, 1.4),
    },
    "open": {"welcome": (0.4, 1.0), "digest": (0.4, 0.9), "offer": (0.2, 1.2)},
    "click": {"welcome": (0.4, 0.9), "digest": (0.35, 0.9), "offer": (0.25, 1.3)},
    "unsubscribe": {"digest": (0.6, 1.0), "offer": (0.4, 1.0)},
    "follow": {"linkedin": (0.7, 1.0), "youtube": (0.3, 1.0)},
    "share": {"linkedin": (0.8, 1.0), "youtube": (0.2, 1.0)},
}
UNINFORMATIVE_TYPE = "call"

ITEMS: tuple[tuple[str, str], ...] = tuple((kind, asset) for kind, assets in ASSETS.items() for asset in assets)
IS_NIGHTLY = np.array([kind in NIGHTLY_TYPES for kind, _ in ITEMS])

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


def log_odds(leads: pd.DataFrame) -> Floats:
    """Return each lead's planted log-odds of interest; a missing or unlisted value adds zero."""
    employees = np.log10(leads["employees"].astype("float64").to_numpy() / 100.0)
    total: Floats = EMPLOYEES_SLOPE * np.nan_to_num(employees, nan=0.0)
    for column, effects in LOG_ODDS.items():
        total = total + leads[column].map(effects).astype("float64").fillna(0.0).to_numpy()
    years = (to_micros(leads["created_at"]) - START_MICROS) / (365.25 * DAY)
    season = np.cos(2 * np.pi * (years - 15 / 365.25))
    return total + DRIFT_PER_YEAR * years + SEASON_AMPLITUDE * season


def log_class_prior(leads: pd.DataFrame) -> Floats:
    """Return the log-probability of each class at creation, shape (leads, classes)."""
    prior: Floats = log_softmax(CLASS_INTERCEPT + np.outer(log_odds(leads), CLASS_SLOPE), axis=1)
    return prior


def is_student(leads: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which leads are students, interns or tests by their job title."""
    return leads["job_title"].isin(STUDENT_TITLES).to_numpy(dtype=bool)


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


def acted_share(age_days: Floats) -> Floats:
    """Return which share of a class's expected events falls before an age, shape (ages, classes)."""
    return -np.expm1(-age_days[:, None] / DECAY_DAYS)


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
    return moments.dt.as_unit("us").astype("int64").to_numpy()


def true_probability(
    leads: pd.DataFrame, events: pd.DataFrame, snapshots: pd.DataFrame, *, horizon_days: float
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
    evidence = log_class_prior(leads)[lead] + _log_evidence(leads, events, lead, as_of)
    weight = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    age = (as_of - created) / DAY
    share = outcome_shares(is_student(leads)[lead])
    closed = {status: closed_share(age, status) for status in share}
    still_open = 1.0 - share["won"] * closed["won"] - share["lost"] * closed["lost"]
    wins = share["won"] * (closed_share(age + horizon_days, "won") - closed["won"])
    probability: Floats = (weight * wins).sum(axis=1) / (weight * still_open).sum(axis=1)
    return probability


def _log_evidence(leads: pd.DataFrame, events: pd.DataFrame, lead: Ints, as_of: Ints) -> Floats:
    """Return the log-likelihood of the events known at each snapshot, shape (snapshots, classes)."""
    created = to_micros(leads["created_at"])
    expected = expected_items()
    by_kind = {nightly: expected[nightly == IS_NIGHTLY].sum(axis=0) for nightly in (False, True)}
    seen_live = (as_of - created[lead]) / DAY
    seen_nightly = np.maximum(last_sync(as_of) - created[lead], 0) / DAY
    silence = by_kind[False] * acted_share(seen_live) + by_kind[True] * acted_share(seen_nightly)

    item = item_of(events)
    kept = events.loc[item >= 0]
    owner = _positions(leads, kept, "events")
    age = (to_micros(kept["event_at"]) - created[owner]) / DAY
    log_rate = np.log(expected / DECAY_DAYS)[item[item >= 0]] - age[:, None] / DECAY_DAYS
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=len(leads))
    return _sum_known(log_rate[order], to_micros(kept["known_at"])[order], counts, lead, as_of) - silence


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
    kind_code = pd.Index(kinds).get_indexer(events["type"])
    asset_code = pd.Index(assets).get_indexer(events["asset"])
    item = np.where((kind_code >= 0) & (asset_code >= 0), table[kind_code, asset_code], -1)
    strange = np.flatnonzero((item < 0) & (events["type"] != UNINFORMATIVE_TYPE).to_numpy())
    if strange.size:
        rows = events.iloc[strange][["type", "asset"]].drop_duplicates().to_records(index=False).tolist()
        raise InputError(f"events: the mechanism knows no such type and asset: {some(rows)}")
    return item.astype("int64")


def _positions(leads: pd.DataFrame, rows: pd.DataFrame, table: str) -> Ints:
    position = pd.Index(leads["lead_id"]).get_indexer(rows["lead_id"]).astype("int64")
    unknown = rows["lead_id"].to_numpy()[position < 0]
    if unknown.size:
        raise InputError(f"{table}: every lead_id must stand in leads, missing: {some(unknown.tolist())}")
    return position


def describe_effects() -> dict[str, Any]:
    """Return the planted effects as plain numbers, for ``effects.json``."""
    lifts = {kind: {asset: lift for asset, (_, lift) in of.items()} for kind, of in ASSETS.items()}
    outcome = {
        status: {
            "share": dict(zip(CLASSES, OUTCOME_SHARE[status], strict=True)),
            "median_days": dict(zip(CLASSES, MEDIAN_DAYS[status], strict=True)),
            "log_sd": dict(zip(CLASSES, LOG_SD_DAYS[status], strict=True)),
        }
        for status in OUTCOME_SHARE
    }
    return {
        "classes": {
            "intercept": dict(zip(CLASSES, CLASS_INTERCEPT, strict=True)),
            "slope": dict(zip(CLASSES, CLASS_SLOPE, strict=True)),
        },
        "log_odds": LOG_ODDS,
        "employees_log_odds_per_tenfold": EMPLOYEES_SLOPE,
        "drift_per_year": DRIFT_PER_YEAR,
        "season_amplitude": SEASON_AMPLITUDE,
        "students": {"job_title": list(STUDENT_TITLES), "won_factor": STUDENT_WON_FACTOR},
        "events_per_lead": {kind: dict(zip(CLASSES, of, strict=True)) for kind, of in EVENTS_PER_LEAD.items()},
        "decay_days": dict(zip(CLASSES, DECAY_DAYS, strict=True)),
        "asset_lifts": lifts,
        "outcomes": outcome,
        "uninformative_event_types": [UNINFORMATIVE_TYPE],
    }
