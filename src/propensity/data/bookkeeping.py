"""What the simulated company's staff write down: stages, amounts, reasons, spend, and fields that leak."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.data.mechanism import Floats, Ints, to_micros, to_moments
from propensity.data.planted import DAY, END, END_MICROS, START

MEDIAN_AMOUNT = 4000.0
AMOUNT_PER_EMPLOYEES = 0.35  # exponent: ten times the employees, 2.2 times the amount
LOST_REASONS = ("price", "competitor", "no_budget", "no_response", "bad_timing")
# Stage and mean days until it is entered; the same for every lead, so that it tells nothing.
STAGE_DAYS = {"contacted": 2.0, "working": 12.0}
CLOSED_STAGE = {"won": "customer", "lost": "closed_lost"}
COST_PER_LEAD = {
    "referral": 15.0,
    "partner": 60.0,
    "webinar": 75.0,
    "organic_search": 20.0,
    "email_campaign": 12.0,
    "paid_search": 95.0,
    "paid_social": 55.0,
    "content_syndication": 40.0,
}
# Filled in by sales as of the export: per status, the share of leads filled and the odds of the values.
LEAKY_FIELDS: dict[str, dict[str, tuple[float, dict[str, float]]]] = {
    "lead_rating": {
        "won": (0.9, {"hot": 0.7, "warm": 0.25, "cold": 0.05}),
        "lost": (0.85, {"hot": 0.05, "warm": 0.3, "cold": 0.65}),
        "open": (0.3, {"hot": 0.2, "warm": 0.4, "cold": 0.4}),
    },
    "next_step": {
        "won": (0.95, {"send contract": 0.6, "kick-off call": 0.4}),
        "lost": (0.7, {"close file": 0.7, "recycle in six months": 0.3}),
        "open": (0.15, {"call again": 0.6, "send offer": 0.4}),
    },
    "lost_reason_code": {
        "won": (0.0, {"R1": 1.0}),
        "lost": (0.9, {"R1": 0.3, "R2": 0.2, "R3": 0.25, "R4": 0.25}),
        "open": (0.0, {"R1": 1.0}),
    },
    "last_activity": {
        "won": (0.98, {"Contract signed": 0.6, "Call held": 0.3, "Email opened": 0.1}),
        "lost": (0.95, {"Unreachable": 0.4, "Call held": 0.2, "Email bounced": 0.2, "Email opened": 0.2}),
        "open": (0.9, {"Email opened": 0.5, "Page visited": 0.3, "Call held": 0.2}),
    },
    "lifecycle_stage": {
        "won": (1.0, {"customer": 0.97, "opportunity": 0.03}),
        "lost": (1.0, {"closed": 0.8, "marketing qualified": 0.1, "lead": 0.1}),
        "open": (1.0, {"lead": 0.7, "marketing qualified": 0.2, "opportunity": 0.1}),
    },
}
QUOTED_SHARE = {"won": 0.95, "lost": 0.1, "open": 0.05}
LEAK_COLUMNS = (*LEAKY_FIELDS, "deal_amount", "visits_total")


def build_outcomes(
    leads: pd.DataFrame, status: npt.NDArray[np.str_], closed: Ints, rng: np.random.Generator
) -> pd.DataFrame:
    """Return one row for each lead: ``status``, ``closed_at``, ``amount`` if won, ``reason`` if lost."""
    won, lost = status == "won", status == "lost"
    amount = pd.Series(_sample_amounts(leads, rng))
    reason = pd.Series(np.array(LOST_REASONS)[rng.integers(len(LOST_REASONS), size=len(leads))])
    return pd.DataFrame(
        {
            "lead_id": leads["lead_id"],
            "status": status,
            "closed_at": to_moments(closed).where(won | lost),
            "amount": amount.where(won),
            "reason": reason.where(lost),
        }
    )


def add_leaks(
    leads: pd.DataFrame, outcomes: pd.DataFrame, events: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """Return `leads` with the columns that were filled in by the time of the export."""
    status = outcomes["status"]
    leaks: dict[str, Any] = {column: _fill(by, status, rng) for column, by in LEAKY_FIELDS.items()}
    quoted = rng.random(len(leads)) < status.map(QUOTED_SHARE).to_numpy()
    amount = outcomes["amount"].fillna(pd.Series(_sample_amounts(leads, rng)))
    visits = events.loc[events["type"] == "visit", "lead_id"].value_counts()
    leaks["deal_amount"] = amount.where(quoted)
    leaks["visits_total"] = leads["lead_id"].map(visits).fillna(0).astype("int64")
    return leads.assign(**leaks)


def build_stages(leads: pd.DataFrame, outcomes: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return one row for each stage entered, in order of time; the close is the last stage."""
    created = to_micros(leads["created_at"])
    closed = to_micros(outcomes["closed_at"].fillna(END))
    parts = [pd.DataFrame({"lead_id": leads["lead_id"], "stage": "new", "entered_at": leads["created_at"]})]
    for stage, days in STAGE_DAYS.items():
        entered = created + 1 + (rng.exponential(days, size=len(leads)) * DAY).astype("int64")
        rows = pd.DataFrame({"lead_id": leads["lead_id"], "stage": stage, "entered_at": to_moments(entered)})
        parts.append(rows[entered < np.minimum(closed, END_MICROS)])
    ended = outcomes[outcomes["status"] != "open"]
    parts.append(
        pd.DataFrame(
            {
                "lead_id": ended["lead_id"],
                "stage": ended["status"].map(CLOSED_STAGE),
                "entered_at": ended["closed_at"],
            }
        )
    )
    return pd.concat(parts).sort_values(["entered_at", "lead_id"], kind="stable", ignore_index=True)


def build_spend(leads: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return what each channel cost in each month, ``[period_start, period_end)``.

    The month that `END` falls in is not billed yet and has no row.
    """
    starts = pd.date_range(START, END, freq="MS")
    month = np.searchsorted(starts.to_numpy(), leads["created_at"].to_numpy(), side="right") - 1
    parts = []
    for channel, cost in COST_PER_LEAD.items():
        arrived = np.bincount(month[(leads["channel"] == channel).to_numpy()], minlength=len(starts))
        spend = np.round(cost * arrived * np.exp(rng.normal(0.0, 0.1, size=len(starts))), 2)
        months = pd.DataFrame({"period_start": starts[:-1], "period_end": starts[1:], "spend": spend[:-1]})
        parts.append(months.assign(channel=channel))
    columns = ["channel", "period_start", "period_end", "spend"]
    return pd.concat(parts)[columns].sort_values(["period_start", "channel"], ignore_index=True)


def _sample_amounts(leads: pd.DataFrame, rng: np.random.Generator) -> Floats:
    relative = leads["employees"].astype("float64").fillna(100.0).to_numpy() / 100.0
    noise = np.exp(rng.normal(0.0, 0.5, size=len(leads)))
    amounts: Floats = np.round(MEDIAN_AMOUNT * relative**AMOUNT_PER_EMPLOYEES * noise, 2)
    return amounts


def _fill(
    by_status: dict[str, tuple[float, dict[str, float]]], status: pd.Series[str], rng: np.random.Generator
) -> pd.Series[str]:
    filled = pd.Series(pd.NA, index=status.index, dtype="str")
    uniform = rng.random(len(status))
    for name, (share, odds) in by_status.items():
        rows = (status == name).to_numpy()
        values = rng.choice(np.array(list(odds)), size=int(rows.sum()), p=list(odds.values()))
        filled[rows] = pd.Series(values, index=status.index[rows], dtype="str").where(uniform[rows] < share)
    return filled
