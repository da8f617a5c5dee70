"""The effects planted in the simulated leads: who buys, who acts how often and on what, and when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

DAY = 86_400_000_000  # microseconds
SYNC_AT = 2 * DAY // 24  # e-mail events reach the CRM at the next 02:00 UTC
START = pd.Timestamp("2022-01-01", tz="UTC")
END = pd.Timestamp("2025-12-31", tz="UTC")
START_MICROS = int(START.timestamp()) * 1_000_000
END_MICROS = int(END.timestamp()) * 1_000_000

CLASSES = ("browsing", "fading", "buying")
CLASS_INTERCEPT = np.array([0.0, -0.35, -1.2])
CLASS_SLOPE = np.array([0.0, 0.3, 1.0])  # how much of a lead's log-odds each class takes
DRIFT_PER_YEAR = -0.08
SEASON_AMPLITUDE = 0.12  # highest in mid-January
EMPLOYEES_SLOPE = 0.5  # for each factor of ten above or below 100
LOG_ODDS: dict[str, dict[str, float]] = {
    "channel": {
        "referral": 1.1,
        "partner": 0.7,
        "webinar": 0.3,
        "organic_search": 0.1,
        "email_campaign": -0.1,
        "paid_search": -0.4,
        "paid_social": -1.0,
        "content_syndication": -1.5,
    },
    "first_offer": {"demo": 1.1, "trial": 0.6, "webinar": 0.0, "ebook": -0.6, "newsletter": -1.1},
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
OUTCOME_SHARE = {"won": np.array([0.01, 0.015, 0.88]), "lost": np.array([0.75, 0.87, 0.08])}
MEDIAN_DAYS = {"won": np.array([40.0, 30.0, 32.0]), "lost": np.array([32.0, 20.0, 40.0])}
LOG_SD_DAYS = {"won": np.array([0.9, 0.9, 0.85]), "lost": np.array([1.2, 1.1, 1.0])}

# A class acts at a rate that decays exponentially; the counts are those of a lead that never closes.
DECAY_DAYS = np.array([14.0, 11.0, 15.0])
EVENTS_PER_LEAD: dict[str, tuple[float, float, float]] = {
    "visit": (11.0, 13.5, 21.0),
    "form": (0.5, 0.8, 2.2),
    "open": (11.0, 11.5, 13.0),
    "click": (1.6, 2.0, 4.0),
    "unsubscribe": (0.3, 0.4, 0.12),
    "follow": (0.4, 0.5, 0.8),
    "share": (0.2, 0.3, 0.5),
}
NIGHTLY_TYPES = ("open", "click", "unsubscribe")
# Each type's assets: the share it has among leads that do not buy, and its lift among those that do.
ASSETS: dict[str, dict[str, tuple[float, float]]] = {
    "visit": {
        "home": (0.30, 0.95),
        "blog": (0.25, 0.95),
        "features": (0.18, 1.0),
        "docs": (0.10, 1.05),
        "pricing": (0.10, 1.3),
        "demo": (0.03, 1.5),
        "careers": (0.04, 0.7),
    },
    "form": {
        "newsletter": (0.35, 0.9),
        "ebook": (0.30, 0.9),
        "webinar": (0.20, 1.1),
        "demo_request": (0.10, 1.4),
        "contact": (0.05, 1.2),
    },
    "open": {"welcome": (0.4, 1.0), "digest": (0.4, 1.0), "offer": (0.2, 1.05)},
    "click": {"welcome": (0.4, 1.0), "digest": (0.35, 0.95), "offer": (0.25, 1.1)},
    "unsubscribe": {"digest": (0.6, 1.0), "offer": (0.4, 1.0)},
    "follow": {"linkedin": (0.7, 1.0), "youtube": (0.3, 1.0)},
    "share": {"linkedin": (0.8, 1.0), "youtube": (0.2, 1.0)},
}
UNINFORMATIVE_TYPE = "call"

ITEMS: tuple[tuple[str, str], ...] = tuple(
    (kind, asset) for kind, assets in ASSETS.items() for asset in assets
)
IS_NIGHTLY = np.array([kind in NIGHTLY_TYPES for kind, _ in ITEMS])


def describe_effects() -> dict[str, Any]:
    """Return the planted effects as plain numbers, for ``effects.json``."""
    lifts = {kind: {asset: lift for asset, (_, lift) in of.items()} for kind, of in ASSETS.items()}
    return {
        "classes": {"intercept": _by_class(CLASS_INTERCEPT), "slope": _by_class(CLASS_SLOPE)},
        "log_odds": LOG_ODDS,
        "employees_log_odds_per_tenfold": EMPLOYEES_SLOPE,
        "drift_per_year": DRIFT_PER_YEAR,
        "season_amplitude": SEASON_AMPLITUDE,
        "students": {"job_title": STUDENT_TITLES, "won_factor": STUDENT_WON_FACTOR},
        "outcomes": {
            status: {
                "share": _by_class(OUTCOME_SHARE[status]),
                "median_days": _by_class(MEDIAN_DAYS[status]),
                "log_sd": _by_class(LOG_SD_DAYS[status]),
            }
            for status in OUTCOME_SHARE
        },
        "events_per_lead": {kind: _by_class(of) for kind, of in EVENTS_PER_LEAD.items()},
        "decay_days": _by_class(DECAY_DAYS),
        "asset_lifts": lifts,
        "nightly_event_types": NIGHTLY_TYPES,
        "uninformative_event_types": [UNINFORMATIVE_TYPE],
    }


def _by_class(values: Iterable[float]) -> dict[str, float]:
    return dict(zip(CLASSES, map(float, values), strict=True))
