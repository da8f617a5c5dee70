"""What a night saves by keeping behaviour from the night before, where it is provably the same.

Leads are scored a day after they were scored before: everything anew, or with what was kept, each in a
process of its own. Seconds are those of the processors, for the whole of ``propensity score``: reading and
judging the tables, reasons and files are done for every lead either way. How much may be kept depends on how
the events lie, so there are three cases: events spread evenly over up to half a year, of which some pass the
edge of a window every day; the same number within ten days of a lead's creation; and many more of them.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from bench.machine import find_versions
from bench.nights import Night, run_night
from bench.open_leads import OLDEST, UNTIL, write_open_leads, write_params
from bench.reports import Comparison, Fact, Report, compare_with
from bench.timing import Contender, alternate
from bench.workspaces import simulated_workspace
from propensity.data.files import read_json

REFERENCE, KEPT = "everything anew", "with what was kept"
MEMORY_LIMIT = "4GB"


@dataclass(frozen=True)
class Case:
    """How the events of leads lie."""

    events_per_lead: float
    active_days: float

    @property
    def name(self) -> str:
        """The case in words."""
        over = f"{self.active_days:g} days" if self.active_days < OLDEST else "half a year"
        return f"{self.events_per_lead:g} events a lead within {over}"


CASES = (Case(20, OLDEST), Case(20, 10), Case(100, 10))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--leads", type=int, default=100_000, help="scored")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trained-on", type=int, default=3000, help="leads of the simulation")


def measure(options: argparse.Namespace) -> Report:
    """Score a night after another in each case."""
    comparisons: list[Comparison] = []
    facts: list[Fact] = []
    with tempfile.TemporaryDirectory(prefix="bench-rescore-") as scratch:
        made, folder = Path(scratch) / "made", Path(scratch) / "night"
        simulated_workspace(made, leads=options.trained_on)
        for case in CASES:
            write_open_leads(
                made,
                folder,
                leads=options.leads,
                events_per_lead=case.events_per_lead,
                active_days=case.active_days,
            )
            found, told = _measure_case(case, folder, options.rounds)
            comparisons += found
            facts += told
            shutil.rmtree(folder)
    return Report(
        "The night after another",
        f"`propensity score` of {options.leads:,} open leads a day after the scoring before; the seconds of "
        "the processors, of all of it. What is kept gives the scores that are computed anew, bit by bit.",
        "python -m bench rescore",
        comparisons,
        facts=facts,
        versions=find_versions("duckdb", "ibis-framework"),
    )


def _measure_case(case: Case, folder: Path, rounds: int) -> tuple[list[Comparison], list[Fact]]:
    before = datetime.fromisoformat(UNTIL) - timedelta(days=1)
    first = _run(folder, incremental=True, as_of=before)
    kept = folder / "kept"
    shutil.copytree(folder / "scores" / "kept", kept)

    nights: dict[bool, Night] = {}

    def score(incremental: bool) -> float:
        shutil.rmtree(folder / "scores")
        shutil.copytree(kept, folder / "scores" / "kept")
        as_of = datetime.fromisoformat(UNTIL)
        nights[incremental] = _run(folder, incremental=incremental, as_of=as_of)
        return nights[incremental].processors

    contenders = {
        name: Contender(partial(score, way), first.leads, peak=partial(_peak, nights, way))
        for name, way in ((REFERENCE, False), (KEPT, True))
    }
    rows = compare_with(case.name, alternate(contenders, rounds=rounds, warm=0), REFERENCE)
    score(True)
    told = read_json(folder / "scores" / "run.json")
    share = told["kept"]["leads"] / told["leads"]["scored"]
    return rows, [Fact(f"{case.name}: leads whose behaviour is kept, of all", share)]


def _peak(nights: dict[bool, Night], incremental: bool) -> float:
    return nights[incremental].peak


def _run(folder: Path, *, incremental: bool, as_of: datetime) -> Night:
    data = {"memory_limit": MEMORY_LIMIT, "observed_until": UNTIL}
    write_params(folder, {"incremental": incremental}, data)
    return run_night(folder, "--as-of", as_of.isoformat())
