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
    asset_types=["form", "visit"],
    value_types=["visit"],
)


def write_tables(con: Any, folder: Path, *, leads: int, events: int, seed: float = 0.5) -> None:
    """Write ``leads.parquet`` and ``events.parquet``, the events in no order; activity is skewed over leads.

    Visits have durations, and visits and forms mostly pages.

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
        CASE WHEN kind < 0.45 AND page < 0.9 THEN '/page/' || (page * page * 200)::INT END AS asset,
        CASE WHEN kind < 0.4 THEN round(seconds * 600) END AS value
        FROM (SELECT printf('lead-%08d', (pow(random(), 1.5) * {leads})::BIGINT) AS lead_id,
        TIMESTAMPTZ '2024-07-01' + to_microseconds((random() * 200 * {DAY})::BIGINT) AS event_at,
        random() AS kind, random() AS page, random() AS seconds FROM range({events})))
        TO '{folder / "events.parquet"}' (COMPRESSION zstd)"""
    ).fetchall()


def sql_by_hand(events: Path) -> str:
    """Return the same table as `PLAN` gives, as a person who tunes SQL writes it, for the table ``spine``.

    Ages are whole numbers; events are reduced to a row for each type, and for each asset, before either
    becomes columns; days with activity are the bits of two numbers, of which a window counts those in it.
    """
    windows = [round(w) for w in PLAN.lookback_days]
    types = [(q, t) for q, listed in PLAN.event_types.items() for t in listed]
    wanted = ", ".join(f"'{t}'" for _, t in types)
    family = " ".join(f"WHEN type = '{t}' THEN '{q}'" for q, t in types)
    inside = {w: f"FILTER (age < {w * DAY})" for w in windows}
    measures = [f"count(*) {inside[w]} AS n{w}, sum(v) {inside[w]} / 1e6 AS v{w}" for w in windows]
    measures += [
        f"bit_or(bit) FILTER (age < {60 * DAY}) AS days_60",
        f"bit_or(bit) FILTER (age >= {60 * DAY} AND age < {90 * DAY}) AS days_61_90",
    ]
    totals = [f"max(n{w}) FILTER (type = '{t}') AS {t}_n{w}" for _, t in types for w in windows]
    totals += [f"max(v{w}) FILTER (type = '{t}') AS {t}_v{w}" for t in PLAN.value_types for w in windows]
    totals += [f"min(age) FILTER (type = '{t}') AS {t}_age" for _, t in types]
    for q, listed in PLAN.event_types.items():
        mine = f"FILTER (type IN ({', '.join(repr(t) for t in listed)}))"
        totals.append(f"min(age) {mine} AS {q}_age")
        recent = f"coalesce(bit_or(days_60) {mine}, 0)"
        totals += [f"bit_count({recent} & {(1 << w) - 1}) AS {q}_days_{w}" for w in (7, 30)]
        older = f"bit_count(coalesce(bit_or(days_61_90) {mine}, 0))"
        totals.append(f"bit_count({recent}) + {older} AS {q}_days_90")
    per = [(q, w) for q in PLAN.asset_qualifiers for w in windows]
    different = [f"count(*) FILTER (q = '{q}' AND age < {w * DAY}) AS {q}_assets_{w}" for q, w in per]
    last = [f"first(asset ORDER BY age, asset) FILTER (q = '{q}') AS {q}_last" for q in PLAN.asset_qualifiers]
    counts = [f"coalesce({t}_n{w}, 0)::DOUBLE" for _, t in types for w in windows]
    counts += [f"coalesce({t}_v{w}, 0)" for t in PLAN.value_types for w in windows]
    ages = [f"{name}_age / {DAY}" for name in [*(t for _, t in types), *PLAN.event_types]]
    days = [f"coalesce({q}_days_{w}, 0)::DOUBLE" for q in PLAN.event_types for w in windows]
    assets = [f"coalesce({q}_assets_{w}, 0)::DOUBLE, " for q, w in per]
    paged = ", ".join(f"'{q}'" for q in PLAN.asset_qualifiers)
    calendar = """date_diff('microsecond', created_at, as_of) / 86400000000,
        hour(timezone('UTC', created_at)),
        isodow(timezone('UTC', created_at)) - 1, month(timezone('UTC', as_of))"""
    return f"""
    WITH seen AS (SELECT snapshot, as_of_us - epoch_us(event_at) AS age, type, asset,
        1::BIGINT << (age // {DAY} % 60) AS bit,
        round(value * 1000000)::BIGINT AS v, CASE {family} END AS q
        FROM '{events}' JOIN (SELECT snapshot, lead_id AS id, epoch_us(as_of) AS as_of_us FROM spine)
        ON lead_id = id
        WHERE type IN ({wanted}) AND epoch_us(known_at) <= as_of_us AND epoch_us(event_at) <= as_of_us),
    by_type AS (SELECT snapshot, type, min(age) AS age, {", ".join(measures)} FROM seen GROUP BY ALL),
    totals AS (SELECT snapshot, {", ".join(totals)} FROM by_type GROUP BY snapshot),
    by_asset AS (SELECT snapshot, q, asset, min(age) AS age FROM seen
        WHERE asset IS NOT NULL AND q IN ({paged})
        GROUP BY snapshot, q, asset),
    assets AS (SELECT snapshot, {", ".join(different + last)} FROM by_asset GROUP BY snapshot)
    SELECT spine.snapshot, spine.lead_id, as_of, {calendar}, {", ".join(counts + ages + days)},
        {"".join(assets)} {", ".join(f"{q}_last" for q in PLAN.asset_qualifiers)}
    FROM spine LEFT JOIN (totals LEFT JOIN assets USING (snapshot)) ON spine.snapshot = totals.snapshot"""
