"""Features of leads from their events: the one definition beside SQL written by hand and a bare scan.

Counts of five event types and durations of visits over three windows, recency, different pages, and beyond
these days with activity, the last page, age and calendar, of every lead at one moment. All contenders read
the same Parquet file and leave their table in the engine; pandas gets fewer leads and is compared a lead.
``counts, durations, recency, pages`` are those columns alone of the product's table.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from bench.feature_tables import AS_OF, PLAN, sql_by_hand, write_tables
from bench.machine import find_versions
from bench.reports import Report, compare_with, grow
from bench.timing import Contender, Timing, alternate

NARROW = "counts, durations, recency, pages"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--leads", type=int, default=1_000_000)
    parser.add_argument("--events-per-lead", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", default="4GB", help="what the engine may hold before it spills")


def measure(options: argparse.Namespace) -> Report:
    """Compare the contenders, and the product with itself on a tenth of the leads."""
    comparisons, sizes, seconds = [], [], []
    for leads in (options.leads // 10, options.leads):
        timings = _measure_size(leads, options)
        sizes += [float(leads)] * options.rounds
        seconds += timings["propensity"].seconds
        events = leads * options.events_per_lead
        wanted = {"propensity": "<= 1.2"}
        comparisons += compare_with(
            f"{leads:,} leads, {events:,} events", timings, "SQL by hand", targets=wanted
        )
    scan = {NARROW: "<= 10"}
    comparisons += compare_with("the same, to a bare scan", timings, "bare scan", targets=scan)
    return Report(
        "Features",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "python -m bench features",
        comparisons,
        [grow("features, leads and events together", sizes, seconds, target="<= 1.05")],
        versions=find_versions("duckdb", "ibis-framework", "pandas"),
    )


def _measure_size(leads: int, options: argparse.Namespace) -> dict[str, Timing]:
    from propensity.data.engines import connect_here

    with tempfile.TemporaryDirectory(prefix="bench-features-") as scratch:
        folder = Path(scratch)
        con = connect_here(folder=folder, memory_limit=options.memory)
        con.con.execute("SET preserve_insertion_order = false").fetchall()
        write_tables(con.con, folder, leads=leads, events=leads * options.events_per_lead)
        return alternate(make_contenders(con, folder, leads), rounds=options.rounds)


def make_contenders(con: Any, folder: Path, leads: int) -> dict[str, Contender]:
    """Return what takes turns; each leaves its table in the engine."""
    import ibis

    from propensity.features.build import build_features
    from propensity.features.catalogue import catalogue

    events, table = folder / "events.parquet", con.read_parquet(folder / "leads.parquet")
    as_of = ibis.literal(AS_OF, "timestamp('UTC', 6)")
    number = ibis.row_number().over(order_by=table.lead_id).cast("int64")
    spine = con.create_table("spine", table.mutate(snapshot=number, as_of=as_of))
    built = build_features(spine, table, PLAN, events=con.read_parquet(events))
    told = [f.name for f in catalogue(PLAN) if f.statistic in ("count", "value", "days_since", "assets")]
    narrow = built.select("snapshot", "lead_id", "as_of", *told)

    def keep(sql: str) -> None:
        con.con.execute(f"CREATE OR REPLACE TEMP TABLE made AS {sql}").fetchall()

    columns = "max(lead_id), max(event_at), max(known_at), max(type), max(asset), sum(value)"
    return {
        "propensity": Contender(lambda: keep(str(ibis.to_sql(built, dialect="duckdb"))), leads),
        NARROW: Contender(lambda: keep(str(ibis.to_sql(narrow, dialect="duckdb"))), leads),
        "SQL by hand": Contender(lambda: keep(sql_by_hand(events)), leads),
        "bare scan": Contender(lambda: keep(f"SELECT {columns} FROM '{events}'"), leads),
        "pandas": Contender(
            lambda: _with_pandas(folder, leads // 20), leads // 20, "of a twentieth of the leads"
        ),
    }


def _with_pandas(folder: Path, leads: int) -> None:
    """Counts, values, recency and different pages alone, which pandas is quickest at."""
    import pandas as pd

    below = [("lead_id", "<", f"lead-{leads:08d}")]
    events = pd.read_parquet(folder / "events.parquet", filters=below)
    now = pd.Timestamp(AS_OF)
    seen = events[(events["known_at"] <= now) & (events["event_at"] <= now)].copy()
    seen["age"] = now - seen["event_at"]
    parts = [seen.groupby(["lead_id", "type"])["age"].min().unstack()]
    for days in PLAN.lookback_days:
        inside = seen[seen["age"] < pd.Timedelta(days=days)].groupby(["lead_id", "type"])
        told = inside.agg(n=("age", "size"), total=("value", "sum"), pages=("asset", "nunique"))
        parts.append(told.unstack(fill_value=0))
    pd.concat(
        [part.set_axis([f"{i}_{c}" for c in part.columns], axis=1) for i, part in enumerate(parts)], axis=1
    )
