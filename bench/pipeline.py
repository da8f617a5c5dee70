"""The nightly job on open leads: seconds, memory and the share of each part, against the number of leads.

A small simulated company is trained; workspaces of many leads, all of them open, are made from it. For each
size ``propensity score`` runs in a process of its own: Parquet in, features, scores, reasons, files out. The
command itself says what its parts take, on the logger ``propensity.timing``; the rest is starting Python and
loading modules. ``--sizes 10000 100000 1000000`` takes some half an hour.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.machine import find_versions
from bench.nights import Night, run_night
from bench.open_leads import write_open_leads
from bench.reports import Fact, Growth, Report, grow
from bench.timing import MB
from bench.workspaces import simulated_workspace

# Under it the night is mostly start, which no number of leads makes longer.
WORK_FROM = 50_000
PARTS = {
    "ingest": "ingest: reading and judging the tables",
    "choice": "choosing the open leads and counting all",
    "arranging": "arranging events by lead",
    "digests": "digests, by which a killed night is known again",
    "features": "features",
    "contributions": "model and exact contributions",
    "sentences": "reasons' sentences",
    "scores": "tiers, families, money, rules",
    "writing": "writing files",
    "model": "loading the model",
}
INNER = {"scores": ("contributions", "sentences")}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[10_000, 50_000, 150_000], help="leads scored"
    )
    parser.add_argument("--events-per-lead", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=2, help="runs of each size but the largest")
    parser.add_argument("--leads", type=int, default=3000, help="of the simulation the bundle is trained on")
    parser.add_argument("--memory-limit", default="4GB", help="data.memory_limit of the workspaces")
    parser.add_argument("--folder", type=Path, help="where workspaces are kept; a temporary one if left out")


def measure(options: argparse.Namespace) -> Report:
    """Score every size in processes of their own."""
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as scratch:
        folder = options.folder or Path(scratch)
        simulated_workspace(folder / "made", leads=options.leads)
        _score_size(folder, 1000, options)  # compiles what is then kept on disk
        nights = [night for size in sorted(options.sizes) for night in _score_size(folder, size, options)]
    return Report(
        "The nightly job, part by part",
        f"`propensity score` on Parquet files with {options.events_per_lead:g} events a lead on average, "
        f"every lead open, `data.memory_limit` {options.memory_limit}, each run in a process of its own; "
        "ingest, features, scores, reasons and files together. Starting Python and loading modules take the "
        "same seconds whatever the size, so that small sizes look cheap: the slope wanted is that from "
        f"{WORK_FROM:,} leads on. Shares are of all seconds, and told by the command itself.",
        "python -m bench pipeline",
        growths=grow_nights(nights),
        facts=[*tell_memory(nights), *tell_shares(nights[-1])],
        versions=find_versions("duckdb", "ibis-framework", "numba"),
    )


def _score_size(folder: Path, size: int, options: argparse.Namespace) -> list[Night]:
    night = folder / f"{size}-{options.events_per_lead:g}"
    if not (night / "params.yaml").exists():
        write_open_leads(
            folder / "made",
            night,
            leads=size,
            events_per_lead=options.events_per_lead,
            memory_limit=options.memory_limit,
        )
    nights = []
    for _ in range(1 if size == max(options.sizes) else options.rounds):
        nights.append(run_night(night))
        print(nights[-1], file=sys.stderr)
        shutil.rmtree(night / "scores")
    if options.folder is None:
        shutil.rmtree(night)
    return nights


def grow_nights(nights: Sequence[Night]) -> list[Growth]:
    """Fit seconds against leads: over all sizes, and over those where the work is most of it."""
    sizes, seconds = [n.leads for n in nights], [n.seconds for n in nights]
    growths = []
    large = [n for n in nights if n.leads >= WORK_FROM]
    if len({n.leads for n in large}) > 1:
        what = f"seconds in leads scored, from {WORK_FROM:,} on"
        growths.append(grow(what, [n.leads for n in large], [n.seconds for n in large], target="<= 1.05"))
    if len(set(sizes)) > 1:
        growths.append(grow("seconds in leads scored, start included", sizes, seconds))
    return growths


def tell_memory(nights: Sequence[Night]) -> list[Fact]:
    """Return the seconds and the peak memory of each size, medians of its runs."""
    facts = []
    for leads in dict.fromkeys(n.leads for n in nights):
        runs = [n for n in nights if n.leads == leads]
        facts.append(Fact(f"seconds, {leads:,} leads", median(n.seconds for n in runs), "s"))
        facts.append(Fact(f"peak memory, {leads:,} leads", median(n.peak for n in runs) / MB, "MB"))
    return facts


def tell_shares(night: Night) -> list[Fact]:
    """Return the share of each part of a night; they sum to 1."""
    inner = {name for names in INNER.values() for name in names}
    seconds = dict(night.parts)
    outside = night.seconds - sum(s for name, s in seconds.items() if name not in inner)
    for name, names in INNER.items():
        seconds[name] = seconds.get(name, 0.0) - sum(seconds.get(other, 0.0) for other in names)
    told = [(PARTS[name], s) for name, s in seconds.items()]
    told = [*sorted(told, key=lambda part: -part[1]), ("start and what is between the parts", outside)]
    return [Fact(f"share, {night.leads:,} leads: {part}", s / night.seconds) for part, s in told]
