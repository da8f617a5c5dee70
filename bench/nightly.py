"""The nightly job's memory and time against the number of leads.

A small simulated company is multiplied: its leads, events and outcomes are written again and again under new
ids. For each size ``propensity score`` runs in a process of its own, whose peak memory the system tells.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.machine import find_versions
from bench.nights import run_night
from bench.open_leads import write_params
from bench.reports import Fact, Report, grow
from bench.timing import MB
from bench.workspaces import simulated_workspace

MEMORY_LIMIT = "300MB"  # of the engine, which without one takes what the machine has
TABLES = ("leads", "events", "outcomes")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--leads", type=int, default=2000, help="of the simulation that is multiplied")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 60_000, 200_000], help="leads read")
    parser.add_argument("--chunk-rows", type=int, default=2_000)


def measure(options: argparse.Namespace) -> Report:
    """Score every size in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-nightly-") as scratch:
        made = Path(scratch) / "made"
        simulated_workspace(made, leads=options.leads)
        nights = []
        for size in options.sizes:
            folder = Path(scratch) / str(size)
            multiply(made, folder, size // options.leads, options.chunk_rows)
            nights.append(run_night(folder))
            print(nights[-1], file=sys.stderr)
            shutil.rmtree(folder)
    first, last = nights[0], nights[-1]
    facts = [Fact(f"peak memory, {n.leads:,} leads scored", n.peak / MB, "MB") for n in nights]
    times = last.leads / first.leads
    facts.append(
        Fact(f"peak memory of {times:,.0f} times the leads", last.peak / first.peak, "times", "<= 1.5")
    )
    return Report(
        "The nightly job",
        f"`propensity score` on Parquet files, in chunks of {options.chunk_rows:,} leads and with "
        f"`data.memory_limit` of {MEMORY_LIMIT}; about a fifth of the leads read are open; ingest, features, "
        "scores, reasons and files together.",
        "python -m bench nightly",
        growths=[
            grow(
                "seconds in leads scored",
                [n.leads for n in nights],
                [n.seconds for n in nights],
                target="<= 1.1",
            )
        ],
        facts=facts,
        versions=find_versions("duckdb", "ibis-framework"),
    )


def multiply(made: Path, folder: Path, times: int, chunk_rows: int) -> None:
    """Write a workspace with the bundle of `made` and its tables so many times over, as Parquet files."""
    shutil.copytree(made / "models" / "bundle", folder / "models" / "bundle")
    (folder / "data").mkdir()
    for name in TABLES:
        table = pq.read_table(made / "data" / "interim" / f"{name}.parquet")
        with pq.ParquetWriter(folder / "data" / f"{name}.parquet", table.schema) as writer:
            for copy in range(times):
                writer.write_table(_renamed(table, f"-{copy:05d}"))
    write_params(folder, {"chunk_rows": chunk_rows}, {"memory_limit": MEMORY_LIMIT})


def _renamed(table: pa.Table, suffix: str) -> pa.Table:
    for name in ("lead_id", "account_id"):
        if name in table.column_names:
            place = table.column_names.index(name)
            table = table.set_column(
                place, table.field(name), pc.binary_join_element_wise(table[name], suffix, "")
            )
    return table
