"""The simulated companies and people: who they are, before they do anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.data.mechanism import Ints, to_moments
from propensity.data.planted import DAY, END_MICROS, START_MICROS, STUDENT_TITLES

LEADS_PER_ACCOUNT = 2.5
ARRIVAL_DAYS = 21.0  # mean distance of an account's leads from its first contact
STUDENT_SHARE = 0.03
MEDIAN_EMPLOYEES = 120.0

MISSING_SHARE = {
    "first_offer": 0.05,
    "job_title": 0.04,
    "seniority": 0.12,
    "industry": 0.06,
    "employees": 0.10,
    "country": 0.03,
    "city": 0.15,
    "email_domain": 0.05,
}
SHARES: dict[str, dict[str, float]] = {
    "channel": {
        "referral": 0.08,
        "partner": 0.07,
        "webinar": 0.12,
        "organic_search": 0.22,
        "email_campaign": 0.13,
        "paid_search": 0.18,
        "paid_social": 0.12,
        "content_syndication": 0.08,
    },
    "first_offer": {"demo": 0.15, "trial": 0.2, "webinar": 0.2, "ebook": 0.25, "newsletter": 0.2},
    "seniority": {"executive": 0.1, "director": 0.17, "manager": 0.3, "specialist": 0.28, "junior": 0.15},
    "industry": {
        "software": 0.22,
        "finance": 0.13,
        "manufacturing": 0.17,
        "logistics": 0.08,
        "retail": 0.13,
        "healthcare": 0.11,
        "education": 0.08,
        "public_sector": 0.08,
    },
    "country": {"DE": 0.22, "US": 0.24, "GB": 0.14, "NL": 0.08, "FR": 0.12, "ES": 0.1, "IN": 0.1},
    "email_domain": {"company": 0.72, "free_mail": 0.23, "other": 0.05},
}
# Titles that hold "intern" without being one stand here on purpose.
TITLES: dict[str, tuple[str, ...]] = {
    "executive": ("Chief Executive Officer", "Chief Marketing Officer", "Founder", "Managing Director"),
    "director": ("Head of Sales", "Director of Marketing", "VP Operations", "Director, International Sales"),
    "manager": ("Marketing Manager", "IT Manager", "Internal Audit Manager", "Sales Manager"),
    "specialist": ("Marketing Specialist", "Data Analyst", "Software Engineer", "Buyer"),
    "junior": ("Junior Buyer", "Marketing Assistant", "Office Assistant", "Trainee"),
}
CITIES: dict[str, tuple[str, ...]] = {
    "DE": ("Berlin", "Hamburg", "Köln"),
    "US": ("Austin", "Boston", "Chicago"),
    "GB": ("Leeds", "London"),
    "NL": ("Amsterdam", "Utrecht"),
    "FR": ("Lyon", "Paris"),
    "ES": ("Bilbao", "Madrid"),
    "IN": ("Mumbai", "Pune"),
}
NO_EFFECT = ("city", "email_domain")


def sample_leads(n_leads: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return one row for each lead in order of creation, with its attributes as of creation.

    What is missing is missing at random and decided here, before any effect is applied, so that a
    missing value tells nothing.
    """
    account = _sample_accounts(n_leads, rng)
    created = _sample_creation(account, rng)
    order = np.argsort(created, kind="stable")
    account, created = account[order], created[order]
    firm = _sample_firms(int(account.max()) + 1, rng).iloc[account].reset_index(drop=True)
    width = max(6, len(str(n_leads)))
    leads = pd.DataFrame(
        {
            "lead_id": [f"L{number:0{width}d}" for number in range(1, n_leads + 1)],
            "created_at": to_moments(created),
            "account_id": [f"A{number:0{width}d}" for number in account + 1],
            "channel": _choose(SHARES["channel"], n_leads, rng),
            "first_offer": _choose(SHARES["first_offer"], n_leads, rng),
        }
    )
    leads = pd.concat([leads, _sample_people(n_leads, rng), firm], axis=1)
    leads["city"] = _pick_from(CITIES, leads["country"], rng)
    leads["email_domain"] = _choose(SHARES["email_domain"], n_leads, rng)
    return _hide_some(leads, rng)


def _sample_accounts(n_leads: int, rng: np.random.Generator) -> Ints:
    sizes = rng.geometric(1 / LEADS_PER_ACCOUNT, size=n_leads)
    return np.repeat(np.arange(n_leads), sizes)[:n_leads]


def _sample_creation(account: Ints, rng: np.random.Generator) -> Ints:
    first = rng.integers(START_MICROS, END_MICROS, size=int(account.max()) + 1)[account]
    distance = np.minimum(rng.exponential(ARRIVAL_DAYS, size=len(account)), 4 * ARRIVAL_DAYS)
    offset = (distance * DAY).astype("int64")
    created = np.where(first + offset < END_MICROS, first + offset, first - offset)
    inside: Ints = np.maximum(created, START_MICROS)
    return inside


def _sample_firms(n_accounts: int, rng: np.random.Generator) -> pd.DataFrame:
    employees = MEDIAN_EMPLOYEES * np.exp(rng.normal(0.0, 1.6, size=n_accounts))
    return pd.DataFrame(
        {
            "industry": _choose(SHARES["industry"], n_accounts, rng),
            "employees": np.clip(np.rint(employees), 1, 200_000).astype("int64"),
            "country": _choose(SHARES["country"], n_accounts, rng),
        }
    )


def _sample_people(n_leads: int, rng: np.random.Generator) -> pd.DataFrame:
    seniority = pd.Series(_choose(SHARES["seniority"], n_leads, rng))
    title = _pick_from(TITLES, seniority, rng)
    student = rng.random(n_leads) < STUDENT_SHARE
    student_title = np.array(STUDENT_TITLES)[rng.integers(len(STUDENT_TITLES), size=n_leads)]
    return pd.DataFrame(
        {
            "job_title": title.mask(student, pd.Series(student_title)),
            "seniority": seniority.mask(student, "junior"),
        }
    )


def _hide_some(leads: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    shown = {
        column: leads[column].astype("Int64" if column == "employees" else "str").mask(hidden)
        for column, share in MISSING_SHARE.items()
        for hidden in [rng.random(len(leads)) < share]
    }
    return leads.assign(**shown)


def _choose(shares: Mapping[str, float], size: int, rng: np.random.Generator) -> npt.NDArray[np.str_]:
    weights = np.array(list(shares.values()))
    chosen: npt.NDArray[np.str_] = rng.choice(np.array(list(shares)), size=size, p=weights / weights.sum())
    return chosen


def _pick_from(options: Mapping[str, Sequence[str]], key: pd.Series, rng: np.random.Generator) -> pd.Series:
    """Pick one of the options of each key, all equally likely."""
    uniform = rng.random(len(key))
    picked = pd.Series("", index=key.index, dtype="str")
    for name, values in options.items():
        rows = (key == name).to_numpy()
        chosen = (uniform[rows] * len(values)).astype("int64")
        picked[rows] = np.array(values)[chosen]
    return picked
