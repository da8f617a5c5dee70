"""Workspaces of open leads, as many as wanted, made from a small simulated company."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
UNTIL = "2026-01-01T00:00:00+00:00"
DAY = 86_400_000_000
OLDEST = 180  # days before UNTIL in which leads are created


def write_open_leads(
    made: Path,
    folder: Path,
    *,
    leads: int,
    events_per_lead: float,
    scoring: dict[str, Any] | None = None,
    memory_limit: str | None = None,
    active_days: float = OLDEST,
) -> None:
    """Write a workspace with the bundle of `made` and leads that are all open, as Parquet files.

    A lead has the attributes of a simulated one under an id of its own, and was created within `OLDEST`
    days before `UNTIL`. Its events have the types, assets and values of simulated ones and lie between its
    creation and `UNTIL`, in no order; some leads have many, most have few.

    Parameters
    ----------
    made : Path
        A workspace that was run up to its bundle.
    folder : Path
        The new one.
    leads : int
    events_per_lead : float
        On average.
    scoring : dict, optional
        Keys of the params' ``scoring`` beside the template's.
    memory_limit : str, optional
        ``data.memory_limit``.
    active_days : float
        Days after its creation within which a lead's events lie.
    """
    from propensity.data.engines import connect_here

    shutil.copytree(made / "models" / "bundle", folder / "models" / "bundle")
    (folder / "data").mkdir()
    con = connect_here(folder=folder).con
    interim = made / "data" / "interim"
    con.execute("SELECT setseed(0.5)").fetchall()
    con.execute(
        f"""CREATE TABLE open AS SELECT * REPLACE (printf('lead-%08d', i) AS lead_id,
        CASE WHEN account_id IS NOT NULL THEN account_id || '-' || (i // n) END AS account_id,
        TIMESTAMPTZ '{UNTIL}' - to_microseconds((random() * {OLDEST * DAY})::BIGINT) AS created_at)
        FROM (SELECT i, n, i % n AS place FROM range({leads}) t(i),
            (SELECT count(*) AS n FROM '{interim / "leads.parquet"}')) JOIN
        (SELECT *, row_number() OVER () - 1 AS place FROM '{interim / "leads.parquet"}') USING (place)"""
    ).fetchall()
    con.execute(
        f"""CREATE TABLE kinds AS SELECT row_number() OVER () - 1 AS kind, type, asset, campaign, value,
        epoch_us(known_at) - epoch_us(event_at) AS later FROM '{interim / "events.parquet"}'"""
    ).fetchall()
    _copy(con, "SELECT * EXCLUDE (i, n, place) FROM open", folder / "data" / "leads.parquet")
    events = round(leads * events_per_lead)
    _copy(
        con,
        f"""SELECT lead_id, event_at,
        least(event_at + to_microseconds(later), TIMESTAMPTZ '{UNTIL}') AS known_at,
        type, asset, campaign, value
        FROM (SELECT lead_id, type, asset, campaign, value, later, created_at + to_microseconds((way *
                least(epoch_us(TIMESTAMPTZ '{UNTIL}') - epoch_us(created_at), {active_days * DAY}))::BIGINT
                ) AS event_at
            FROM (SELECT floor(pow(random(), 1.5) * {leads})::BIGINT AS i, random() AS way,
                floor(random() * (SELECT count(*) FROM kinds))::BIGINT AS kind FROM range({events}))
            JOIN (SELECT i, lead_id, created_at FROM open) USING (i) JOIN kinds USING (kind))""",
        folder / "data" / "events.parquet",
    )
    _copy(
        con,
        """SELECT lead_id, 'open' AS status, NULL::TIMESTAMPTZ AS closed_at, NULL::DOUBLE AS amount,
        NULL::VARCHAR AS reason FROM open""",
        folder / "data" / "outcomes.parquet",
    )
    write_params(folder, scoring or {}, {"memory_limit": memory_limit, "observed_until": UNTIL})


def _copy(con: Any, query: str, path: Path) -> None:
    con.execute(f"COPY ({query}) TO '{path}' (COMPRESSION zstd)").fetchall()


def write_params(folder: Path, scoring: dict[str, Any], data: dict[str, Any]) -> None:
    """Write the params of a workspace whose leads, events and outcomes lie in ``data`` as Parquet files.

    `scoring` and `data` hold keys beside those of the repository's own params.
    """
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name in ("leads", "events", "outcomes"):
        content["data"][name]["path"] = f"data/{name}.parquet"
    content["data"] |= {"history": None, "stages": None, "spend": None} | data
    content["scoring"] |= scoring
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
