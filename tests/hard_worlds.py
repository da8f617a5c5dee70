"""A small CRM that is hard to read: every canonical table, with what engines are known to differ on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from propensity.params import Params

LEADS = 60
START = pd.Timestamp("2024-01-05", tz="UTC")
END = "2024-12-31T00:00:00Z"

# Columns: lead_id, created_at, account_id, channel, title, employees, city, note. The zone is New York's: the
# third moment is skipped by its clocks, the fourth repeated.
_HARD_LEADS = [
    'Ünï-Δ,2024-03-01T10:00:00+05:30,acme,Search,Buyer,12,"İstanbul",',
    "名前,2024-03-01 10:00:00.123456789-0300,acme,search,student,1e3,ΟΔΟΣ,x",
    "gap,2024-03-10 02:30:00,,ads,Intern,,  spaced\tcity  ,y",
    "twice,2024-11-03 01:30:00,acme,Select,,12.25,,",
    "👍🏽,2024-05-01,beta,ads,clerk,.5,null,\x0bn",
    '"quo""te\'s \\ id",2024-05-01T24:00:00,beta,ads,clerk,-0,Q\\s,n',
    "hours,2024-05-02 10:00+02,beta,ads,clerk,+7,f,v",
    "far,2024-05-02T10:00:00+19:30,,,,12,v,f",
    "beyond,2024-05-02,,,,1e400,v,f",
    "infinite,2024-05-02 10:00 UTC,,,,inf,v,f",
    "nan,2024-05-02 10:00z,,,, nan ,v,f",
    "twin,2024-05-03,gamma,ads,clerk,5,a,b",
    "twin,2024-05-04,gamma,ads,clerk,6,a,b",
    ",2024-05-04,gamma,ads,clerk,6,a,b",
    "future,2031-05-04,gamma,ads,clerk,6,a,b",
    "early,1969-05-04,gamma,ads,clerk,6,a,b",
    "no date,yesterday,gamma,ads,clerk,6,a,b",
    "few,2024-05-04,gamma",
]


def write_world(folder: Path) -> Params:
    """Write the raw files of the world to ``raw`` in a folder and return the params that read them."""
    raw, rng = folder / "raw", np.random.default_rng(5)
    raw.mkdir(parents=True)
    created = START + pd.to_timedelta(rng.integers(0, 250 * 86_400_000_000, LEADS), unit="us")
    leads = _plain_leads(created, rng)
    header = "lead_id,created_at,account_id,channel,title,employees,city,note"
    (raw / "leads.csv").write_text("\n".join([header, *leads, *_HARD_LEADS, ""]), encoding="utf-8")
    _outcomes(created, rng).to_parquet(raw / "outcomes.parquet", index=False)
    first, second = _events(created, rng)
    first.to_parquet(raw / "events-1.parquet", index=False)
    second.to_parquet(raw / "events-2.parquet", index=False)
    _stages(created).to_csv(raw / "stages.csv", index=False)
    _history(created).to_csv(raw / "history.csv", index=False)
    return Params.model_validate(PARAMS)


def _plain_leads(created: pd.DatetimeIndex, rng: np.random.Generator) -> list[str]:
    zones = ["UTC", "Europe/Madrid", "Asia/Kolkata", "America/New_York"]
    rows = []
    for i, moment in enumerate(created):
        told = moment.tz_convert(zones[i % 4]).isoformat(sep=" T"[i % 2])
        account = ["", "acme", "beta", "gamma", "delta"][int(rng.integers(5))]
        employees = ["", "12", "3.5", "1,000", "250"][int(rng.integers(5))].replace(",", "")
        title = ["Buyer", "clerk", "", "Engineer"][int(rng.integers(4))]
        channel = ["ads", "search", "Select", "referral"][int(rng.integers(4))]
        rows.append(f"lead-{i:02d},{told},{account},{channel},{title},{employees},{'ABC'[i % 3]},{i % 7}")
    return rows


def _ids(rng: np.random.Generator, n: int) -> list[str]:
    hard = ["Ünï-Δ", "名前", "gap", "👍🏽", "quo\"te's \\ id", "hours"]
    return [hard[j] if j < len(hard) else f"lead-{j - len(hard):02d}" for j in rng.integers(0, LEADS + 6, n)]


def _outcomes(created: pd.DatetimeIndex, rng: np.random.Generator) -> pd.DataFrame:
    """Half of the leads close, one in ten twice; some rows are bad."""
    closed = created + pd.to_timedelta(rng.integers(1, 60 * 86_400_000_000, LEADS), unit="us")
    rows = [
        {
            "lead_id": f"lead-{i:02d}",
            "status": ["Won", "LOST", "lost", "open", " won "][i % 5],
            "closed_at": None if i % 5 == 3 else closed[i],
            "amount": [100.0, None, 2e13, float("nan"), 7.25][i % 5] if i % 5 in (0, 4) else None,
        }
        for i in range(0, LEADS, 2)
    ]
    again = [
        {"lead_id": f"lead-{i:02d}", "status": "lost", "closed_at": closed[i] + pd.Timedelta(days=40)}
        for i in range(0, LEADS, 10)
    ]
    reopened = [{"lead_id": f"lead-{i:02d}", "status": "open"} for i in range(2, LEADS, 20)]
    bad = [
        {"lead_id": "lead-01", "status": "won", "closed_at": pd.Timestamp("2020-01-01", tz="UTC")},
        {"lead_id": "lead-03", "status": "lost"},
        {"lead_id": "nobody", "status": "lost", "closed_at": closed[0]},
        {"lead_id": "lead-05", "status": "won", "closed_at": closed[5], "amount": -1.0},
        {
            "lead_id": "名前",
            "status": "won",
            "closed_at": pd.Timestamp("2024-04-10 12:00", tz="UTC"),
            "amount": 5e-7,
        },
        {
            "lead_id": "gap",
            "status": "lost",
            "closed_at": pd.Timestamp("2024-03-10 07:30:00.000001", tz="UTC"),
        },
    ]
    frame = pd.DataFrame([*rows, *again, *reopened, *bad])
    frame["closed_at"] = pd.to_datetime(frame["closed_at"], utc=True).astype("datetime64[us, UTC]")
    return frame


def _events(created: pd.DatetimeIndex, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Events known late, worth nothing or NaN, exact doubles, and some that nobody should take."""
    n = 900
    moment = START + pd.to_timedelta(rng.integers(0, 330 * 86_400_000_000, n), unit="us")
    late = pd.to_timedelta(rng.choice([0, 0, 0, 3_600, 86_400 * 9], n), unit="s")
    value = rng.choice(
        [0.0, 1.5, 2.5e-7, 2.5e-6, 3.3333333, 1e6, np.nan, -1.0, np.inf],
        n,
        p=[0.15] * 2 + [0.2] * 2 + [0.1] * 2 + [0.08, 0.01, 0.01],
    )
    frame = pd.DataFrame(
        {
            "lead_id": _ids(rng, n),
            "event_at": pd.Series(moment).astype("datetime64[us, UTC]"),
            "known_at": pd.Series(moment + late).astype("datetime64[us, UTC]"),
            "type": rng.choice(
                ["visit", "form", "open", "click", "call", None], n, p=[0.4, 0.2, 0.2, 0.1, 0.09, 0.01]
            ),
            "asset": rng.choice(["/", "/pricing", "/préçios", "", None], n),
            "value": value,
        }
    )
    frame.loc[frame.index % 3 == 0, "known_at"] = pd.NaT
    repeated = frame.iloc[[5, 5, 9]]
    return frame.iloc[:500], pd.concat([frame.iloc[500:], repeated])


def _stages(created: pd.DatetimeIndex) -> pd.DataFrame:
    """Local times without a zone, a few of them while a closed lead is reopened."""
    rows = [
        {
            "lead_id": f"lead-{i:02d}",
            "stage": ["new", "Demo "][i % 2],
            "entered_at": (created[i] + pd.Timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S"),
        }
        for i in range(0, LEADS, 5)
        for days in (0, 70)
    ]
    return pd.DataFrame([*rows, {"lead_id": "lead-01", "stage": None, "entered_at": "2024-10-27 01:30"}])


def _history(created: pd.DatetimeIndex) -> pd.DataFrame:
    """Chains of changes, two at one moment, and values that become missing."""
    rows = []
    for i in range(0, LEADS, 3):
        first, second = (created[i] + pd.Timedelta(days=d) for d in (2, 8))
        rows += [
            (f"lead-{i:02d}", "Title", first, "clerk", "Buyer"),
            (f"lead-{i:02d}", "title", second, "Buyer", ""),
            (f"lead-{i:02d}", "employees", second, "10", "12.5"),
            (f"lead-{i:02d}", "employees", second, "12.5", "abc" if i % 2 else "NaN"),
        ]
    return pd.DataFrame(rows, columns=["lead_id", "field", "changed_at", "old", "new"])


PARAMS: dict[str, Any] = {
    "data": {
        "timezone": "America/New_York",
        "observed_until": END,
        "max_quarantined": 0.6,
        "leads": {
            "path": "raw/leads.csv",
            "created_at": "created_at",
            "account_id": "account_id",
            "channel": "channel",
            "missing": ["Select", "null"],
        },
        "outcomes": {
            "path": "raw/outcomes.parquet",
            "status": "status",
            "won": ["won"],
            "lost": ["lost"],
            "closed_at": "closed_at",
            "amount": "amount",
        },
        "events": {
            "path": "raw/events-*.parquet",
            "known_at": "known_at",
            "asset": "asset",
            "value": "value",
        },
        "stages": {"path": "raw/stages.csv"},
        "history": {"path": "raw/history.csv"},
    },
    "features": {
        "demographic": ["title", "city"],
        "firmographic": ["employees"],
        "qualifiers": {"web": ["visit", "form"], "email": ["open", "click"], "sales": ["call"]},
        "use": ["demographic", "firmographic", "web", "email", "account"],
        "lookback_days": [0.5, 7, 30],
    },
    "snapshots": {"ages_days": [0, 0.5, 7, 30], "horizon_days": 60},
    "cutoffs": {"hold": 2},
    "scoring": {"chunk_rows": 20},
    "disqualify": [
        {"reason": "student", "column": "title", "matches": ["student", "intern"]},
        {"reason": "small", "column": "employees", "below": 1},
        {"reason": "city", "column": "city", "in": ["οδος", "istanbul"]},
    ],
}
