"""Simulated leads and events in Parquet, and the table of their features in SQL written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from propensity.features.catalogue import Plan

AS_OF = "2025-01-01T00:00:00+00:00"
DAY = 86_400_000_000
PLAN = Plan(
    attributes={},
    qualifier_of={},
    event_types={"web": ["visit", "form"], "email": ["open", "click"], "social": ["follow"]},
    lookback_days=[7.0, 30.0, 90.0],
    has_asset=True,
    has_value=True,
)


def write_tables(con: Any, folder: Path, *, leads: int, events: int, seed: float = 0.5) -> None:
    """Write ``leads.parquet`` and ``events.parquet``, the events in no order; activity is skewed over leads.

    Parameters
    ----------
    con : duckdb connection
    folder : Path
    leads, events : int
    seed : float
        From -1 to 1.
    """
    con.execute("SELECT setseed(?)", [seed]).fetchall()
    con.execute(
        f"""COPY (SELECT printf('lead-%08d', i) AS lead_id, NULL::VARCHAR AS account_id,
        TIMESTAMPTZ '2024-01-01' + to_microseconds((random() * 365 * {DAY})::BIGINT) AS created_at
        FROM range({leads}) t(i)) TO '{folder / "leads.parquet"}' (COMPRESSION zstd)"""
    ).fetchall()
    con.execute(
        f"""COPY (SELECT lead_id, event_at, event_at + (kind < 0.05)::INT * INTERVAL 1 DAY AS known_at,
        CASE WHEN kind < 0.4 THEN 'visit' WHEN kind < 0.45 THEN 'form' WHEN kind < 0.75 THEN 'open'
        WHEN kind < 0.9 THEN 'click' WHEN kind < 0.95 THEN 'follow' ELSE 'call' END AS type,
        CASE WHEN page < 0.9 THEN '/page/' || (page * page * 200)::INT END AS asset,
        CASE WHEN kind < 0.4 THEN round(seconds * 600) END AS value
        FROM (SELECT printf('lead-%08d', (pow(random(), 1.5) * {leads})::BIGINT) AS lead_id,
        TIMESTAMPTZ '2024-07-01' + to_microseconds((random() * 200 * {DAY})::BIGINT) AS event_at,
        random() AS kind, random() AS page, random() AS seconds FROM range({events})))
        TO '{folder / "events.parquet"}' (COMPRESSION zstd)"""
    ).fetchall()


def sql_by_hand(events: Path) -> str:
    """Return the same table as `PLAN` gives, as a person who tunes SQL writes it, for the table ``spine``.

    Ages are whole numbers, each aggregate goes over the events once, distinct assets and days are grouped
    first and counted after.
    """
    windows = [round(w) for w in PLAN.lookback_days]
    types = [(q, t) for q, listed in PLAN.event_types.items() for t in listed]
    wanted = ", ".join(f"'{t}'" for _, t in types)
    family = " ".join(f"WHEN type = '{t}' THEN '{q}'" for q, t in types)
    totals = [
        *(
            f"count(*) FILTER (type = '{t}' AND age < {w * DAY}) AS {t}_{w}"
            for _, t in types
            for w in windows
        ),
        *(f"sum(v) FILTER (type = '{t}' AND age < {w * DAY}) AS {t}_v{w}" for _, t in types for w in windows),
        *(f"min(age) FILTER (type = '{t}') AS {t}_age" for _, t in types),
    ]
    per = [(q, w) for q in PLAN.event_types for w in windows]
    different = [f"count(*) FILTER (q = '{q}' AND age < {w * DAY}) AS {q}_NAME_{w}" for q, w in per]
    last = [f"first(asset ORDER BY age, asset) FILTER (q = '{q}') AS {q}_last" for q in PLAN.event_types]
    counts = [f"coalesce({t}_{w}, 0)::DOUBLE, coalesce({t}_v{w} / 1e6, 0)" for _, t in types for w in windows]
    ages = [f"{t}_age / {DAY}" for _, t in types]
    ages += [
        f"least({', '.join(f'{t}_age' for t in listed)}) / {DAY}"
        if len(listed) > 1
        else f"{listed[0]}_age / {DAY}"
        for listed in PLAN.event_types.values()
    ]
    rest = [f"coalesce({q}_{name}_{w}, 0)::DOUBLE" for q, w in per for name in ("days", "assets")]
    calendar = """date_diff('microsecond', created_at, as_of) / 86400000000,
        hour(timezone('UTC', created_at)),
        isodow(timezone('UTC', created_at)) - 1, month(timezone('UTC', as_of))"""
    return f"""
    WITH seen AS (SELECT snapshot, as_of_us - epoch_us(event_at) AS age, type, asset,
        round(value * 1000000)::BIGINT AS v, CASE {family} END AS q
        FROM '{events}' JOIN (SELECT snapshot, lead_id AS id, epoch_us(as_of) AS as_of_us FROM spine)
        ON lead_id = id
        WHERE type IN ({wanted}) AND epoch_us(known_at) <= as_of_us AND epoch_us(event_at) <= as_of_us),
    totals AS (SELECT snapshot, {", ".join(totals)} FROM seen GROUP BY snapshot),
    by_day AS (SELECT snapshot, q, min(age) AS age FROM seen GROUP BY snapshot, q, age // {DAY}),
    days AS (SELECT snapshot, {", ".join(different).replace("NAME", "days")} FROM by_day GROUP BY snapshot),
    by_asset AS (SELECT snapshot, q, asset, min(age) AS age FROM seen WHERE asset IS NOT NULL
        GROUP BY snapshot, q, asset),
    assets AS (SELECT snapshot, {", ".join(different + last).replace("NAME", "assets")}
        FROM by_asset GROUP BY snapshot)
    SELECT spine.snapshot, spine.lead_id, as_of, {calendar}, {", ".join(counts + ages + rest)},
        {", ".join(f"{q}_last" for q in PLAN.event_types)}
    FROM spine LEFT JOIN (totals LEFT JOIN days USING (snapshot) LEFT JOIN assets USING (snapshot))
        ON spine.snapshot = totals.snapshot"""
