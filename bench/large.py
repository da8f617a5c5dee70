"""Features of more events than memory holds: the peak memory of a process against the events.

Events are laid out once in the order of leads, under ``data.memory_limit``, and features are computed for a
range of leads at a time, as the nightly job does; what is made goes to Parquet files. Each size runs in a
process of its own, whose peak memory the system tells: the engine's, and that of Python with its libraries.
The full size takes some half an hour and 30 GB of disk; it is ``--events 20000000 200000000``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.feature_tables import AS_OF, PLAN, write_tables
from bench.machine import find_versions
from bench.nights import ROOT
from bench.reports import Fact, Report
from bench.timing import MB

EVENTS_PER_LEAD = 20


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--events", type=int, nargs="+", default=[2_000_000, 6_000_000, 20_000_000])
    parser.add_argument("--memory", default="2GB", help="what the engine may hold before it spills")
    parser.add_argument(
        "--chunk-leads", type=int, default=500_000, help="leads whose features are computed at a time"
    )
    parser.add_argument("--folder", type=Path, help="where tables are made; a temporary one if left out")


def measure(options: argparse.Namespace) -> Report:
    """Compute the features of every size."""
    peaks = []
    with tempfile.TemporaryDirectory(prefix="bench-large-", dir=options.folder) as scratch:
        for events in options.events:
            folder = Path(scratch) / str(events)
            folder.mkdir()
            found = run_size(folder, events, options.memory, options.chunk_leads)
            print(f"{events:,} events: {found[0]:.0f} s, {found[1] / MB:,.0f} MB", file=sys.stderr)
            peaks.append(found[1])
    facts = [
        Fact(f"peak memory, {events:,} events", peak / MB, "MB", "<= 4096")
        for events, peak in zip(options.events, peaks, strict=True)
    ]
    return Report(
        "Features of many events under a bound of memory",
        f"{EVENTS_PER_LEAD} events a lead, `data.memory_limit` {options.memory}, {options.chunk_leads:,} "
        "leads at a time: laying the events out by lead, all behaviour features, Parquet files.",
        "python -m bench large",
        facts=facts,
        versions=find_versions("duckdb", "ibis-framework"),
    )


def run_size(folder: Path, events: int, memory: str, chunk_leads: int) -> tuple[float, float]:
    """Make the tables, and return the seconds and the peak memory in bytes of a process that reads them."""
    from propensity.data.engines import connect_here

    con = connect_here(folder=folder, memory_limit=memory)
    write_tables(con.con, folder, leads=events // EVENTS_PER_LEAD, events=events)
    del con
    command = [sys.executable, "-m", "bench.large", str(folder), memory, str(chunk_leads)]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    start = time.perf_counter()
    with subprocess.Popen(command, env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"computing the features of {events:,} events ended with {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss * 1024.0


def compute_features(folder: Path, memory: str, chunk_leads: int) -> None:
    """Write the features of all leads in `folder`, a file for each chunk of them."""
    import ibis

    from propensity.data.engines import connect_here, stage
    from propensity.features.build import arrange_events, build_features

    con = connect_here(folder=folder, memory_limit=memory)
    leads = con.read_parquet(folder / "leads.parquet")
    number = ibis.row_number().over(order_by=leads.lead_id)
    as_of = ibis.literal(AS_OF, "timestamp('UTC', 6)")
    spine = stage(con, leads.mutate(snapshot=number, as_of=as_of).order_by("snapshot"))
    events = arrange_events(con, con.read_parquet(folder / "events.parquet"), spine, leads, PLAN)
    for first in range(0, int(con.to_pyarrow(leads.count()).as_py()), chunk_leads):
        chunk = spine.filter(spine.snapshot >= first, spine.snapshot < first + chunk_leads)
        chunk = con.create_table("chunk", chunk, overwrite=True)
        con.to_parquet(
            build_features(chunk, leads, PLAN, events=events), folder / f"features-{first}.parquet"
        )


if __name__ == "__main__":
    compute_features(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
