"""What a nightly job could save by keeping the behaviour of leads for which it is provably the same.

Counts, values, days with activity and last assets of a lead stay the same if none of its events was added,
corrected or deleted, none became known, and none passed the edge of a window. Days with activity are counted
in whole days back from the moment: they are only known to stay if the nights are whole days apart, to the
microsecond, or if no two events of one qualifier lie in the widest window.

Two ways take turns on the same tables, in the processor's seconds. One arranges all events and computes the
features of all leads, as the job does. The other takes a digest of each lead's events, compares it with the
one kept, arranges the events and computes the features of the leads that changed, reads the behaviour kept of
the others, computes the rest of their features, and keeps all for the next night. What that saves of a whole
night is told by the share of arranging and features in one. Run::

    python -m bench.unchanged --leads 100000
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.machine import find_versions
from bench.nights import run_night
from bench.open_leads import UNTIL, write_open_leads
from bench.reports import Comparison, Fact, Report, compare_with, tell_report
from bench.timing import Contender, alternate
from bench.workspaces import simulated_workspace

DAY = 86_400_000_000
STEPS = {"whole days apart": DAY, "25 hours apart": DAY + DAY // 24}
REFERENCE, CHUNK_ROWS = "all leads", 50_000
# The behaviour that does not move with the moment.
KEPT = frozenset({"count", "value", "assets", "active_days", "asset_count", "last_asset"})


@dataclass(frozen=True)
class Night:
    """Canonical leads and events, the leads to score, and the plan of their features."""

    con: Any
    folder: Path
    plan: Any
    leads: Any
    events: Any
    spine: Any


def measure(options: argparse.Namespace) -> Report:
    """Measure leads with many events, with few, and with few where most leads have none."""
    few = min(options.events_per_lead)
    cases = [(events, 0.0) for events in options.events_per_lead] + [(few, options.silent)]
    comparisons: list[Comparison] = []
    facts: list[Fact] = []
    with tempfile.TemporaryDirectory(prefix="bench-unchanged-") as scratch:
        made = Path(scratch) / "made"
        simulated_workspace(made, leads=options.trained_on)
        for events, silent in cases:
            what = f"{events:g} events a lead" + (f", {silent:.0%} of the leads silent" if silent else "")
            folder = Path(scratch) / "night"
            write_open_leads(made, folder, leads=options.leads, events_per_lead=events, silent=silent)
            found, told = _measure_case(what, folder, options.rounds)
            comparisons += found
            facts += told
            shutil.rmtree(folder)
    return Report(
        "Leads left alone from one night to the next",
        (__doc__ or "").split("\n\n", 1)[1].rsplit(" Run::", 1)[0].strip(),
        "python -m bench.unchanged",
        comparisons,
        facts=facts,
        versions=find_versions("duckdb", "ibis-framework"),
    )


def _measure_case(what: str, folder: Path, rounds: int) -> tuple[list[Comparison], list[Fact]]:
    run_night(folder)
    whole = run_night(folder)
    share = (whole.parts["arranging"] + whole.parts["features"]) / whole.seconds
    night = open_night(folder)
    contenders = {REFERENCE: Contender(lambda: _spend(lambda: build_all(night, night.spine)), whole.leads)}
    facts = [Fact(f"{what}: arranging and features, of a night", share)]
    for name, step_us in STEPS.items():
        state = folder / f"state-{step_us}.parquet"
        changed = keep_state(night, step_us, state)
        facts.append(Fact(f"{what}, {name}: leads unchanged, of all", 1 - changed / whole.leads))
        contenders[name] = Contender(
            lambda state=state: _spend(lambda: build_changed(night, state)),  # type: ignore[misc]
            whole.leads,
        )
    rows = compare_with(what, alternate(contenders, rounds=rounds), REFERENCE)
    saved = {row.contender: share * (1 - row.ratio) for row in rows if row.contender != REFERENCE}
    facts += [Fact(f"{what}, {name}: saved, of a night", value) for name, value in saved.items()]
    return rows, facts


def _spend(run: Callable[[], None]) -> float:
    """Return the processor's seconds: other work on the machine then matters less than to the clock."""
    start = time.process_time()
    run()
    return time.process_time() - start


def open_night(folder: Path) -> Night:
    """Return the tables of a workspace of `write_open_leads`, all of whose leads are scored at `UNTIL`."""
    from propensity.cohort.snapshots import scoring_snapshots
    from propensity.data.engines import connect_here, stage
    from propensity.model.bundle import read_bundle

    con = connect_here(folder=folder, memory_limit="4GB")
    leads, events = (con.read_parquet(folder / "data" / f"{name}.parquet") for name in ("leads", "events"))
    spine = scoring_snapshots(leads, None, as_of=datetime.fromisoformat(UNTIL)).order_by("snapshot")
    plan = read_bundle(folder / "models" / "bundle").plan
    return Night(con, folder, plan, leads, events, stage(con, spine))


def build_all(night: Night, spine: Any) -> None:
    """Arrange the events of the leads in `spine`, and compute their features chunk by chunk."""
    from propensity.data.fetch import Repeated
    from propensity.features.build import arrange_events, build_features

    con, repeated = night.con, Repeated(night.con)
    events = arrange_events(con, night.events, spine, night.leads, night.plan)
    n = con.to_pyarrow(spine.count()).as_py()
    for first in range(0, n, CHUNK_ROWS):
        rows = spine.filter(spine.snapshot >= first, spine.snapshot < first + CHUNK_ROWS)
        chunk = con.create_table("chunk", rows, overwrite=True)
        repeated.fetch("features", lambda c=chunk: build_features(c, night.leads, night.plan, events=events))  # type: ignore[misc]


def keep_state(night: Night, step_us: int, state: Path) -> int:
    """Write what a job would have kept of the night `step_us` before; return how many leads changed since.

    The file holds, by lead, the digest of its events, its behaviour, and the last moment at which that is
    known to be the same: in place of the true one, one before or after this night.
    """
    from propensity.features.build import build_features

    con = night.con.con
    built = build_features(night.spine, night.leads, night.plan, events=night.events)
    night.con.create_table("built", built, overwrite=True)
    con.execute(f"CREATE OR REPLACE TEMP TABLE changed AS {changed_leads(night, step_us)}").fetchall()
    con.execute(f"CREATE OR REPLACE TEMP TABLE digests AS {digests(night)}").fetchall()
    con.execute(
        f"""COPY (SELECT lead_id, n, h, TIMESTAMPTZ '{UNTIL}' + (lead_id NOT IN (FROM changed))::INT
            * INTERVAL 1 DAY AS valid_until, {", ".join(kept_columns(night.plan))}
        FROM built LEFT JOIN digests USING (lead_id)) TO '{state}' (COMPRESSION zstd)"""
    ).fetchall()
    ((found,),) = con.execute("SELECT count(*) FROM changed").fetchall()
    return int(found)


def build_changed(night: Night, state: Path) -> None:
    """Compute the features of leads that changed since `state`, take the others' from it, keep all anew."""
    from propensity.features.build import build_features

    con = night.con.con
    con.execute(f"CREATE OR REPLACE TEMP TABLE digests AS {digests(night)}").fetchall()
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE known AS SELECT lead_id, kept.lead_id IS NOT NULL
            AND d.n IS NOT DISTINCT FROM kept.n AND d.h IS NOT DISTINCT FROM kept.h AS same
        FROM '{night.folder / "data" / "leads.parquet"}' LEFT JOIN digests AS d USING (lead_id)
        LEFT JOIN (SELECT lead_id, n, h FROM '{state}' WHERE valid_until > TIMESTAMPTZ '{UNTIL}') AS kept
            USING (lead_id)"""
    ).fetchall()
    known = night.con.table("known", database=("temp", "main"))
    changed, same = (
        night.spine.semi_join(known.filter(which), "lead_id") for which in (~known.same, known.same)
    )
    number = _numbered(changed)
    build_all(night, night.con.create_table("changed_spine", number, overwrite=True))
    bare = replace(night.plan, event_types={}, assets={})
    night.con.to_pyarrow(build_features(same, night.leads, bare)).to_pandas()
    columns = ", ".join(kept_columns(night.plan))
    con.sql(f"SELECT lead_id, {columns} FROM '{state}' SEMI JOIN known ON same").to_arrow_table().to_pandas()
    con.execute(f"CREATE OR REPLACE TEMP TABLE valid AS {next_edges(night)}").fetchall()
    con.execute(f"COPY (FROM '{state}') TO '{state}.next' (COMPRESSION zstd)").fetchall()


def _numbered(spine: Any) -> Any:
    import ibis

    number = ibis.row_number().over(order_by=spine.lead_id).cast("int64")
    return spine.mutate(snapshot=number)


def changed_leads(night: Night, step_us: int) -> str:
    """Return SQL for the leads whose behaviour is not known to be that of `step_us` microseconds before."""
    edges = [round(w * DAY) for w in night.plan.lookback_days]
    crossed = " OR ".join(f"(age >= {e} AND age < {e + step_us})" for e in edges)
    together = "false" if step_us % DAY == 0 else f"count(*) FILTER (age < {edges[-1]}) > 1"
    return f"""SELECT DISTINCT lead_id FROM (
        SELECT lead_id, bool_or((known >= 0 AND known < {step_us}) OR {crossed}) OR {together} AS moved
        FROM ({_ages(night)}) GROUP BY lead_id, q) WHERE moved"""


def next_edges(night: Night) -> str:
    """Return SQL for the microseconds until an event of each changed lead passes an edge, or is known."""
    edges = [round(w * DAY) for w in night.plan.lookback_days]
    left = " ".join(f"WHEN age < {e} THEN {e} - age" for e in edges)
    return f"""SELECT lead_id, min(CASE WHEN known < 0 THEN -known {left} END) AS valid_us
        FROM ({_ages(night)}) SEMI JOIN changed_spine USING (lead_id) GROUP BY lead_id"""


def digests(night: Night) -> str:
    """Return SQL for the number and the digest of each lead's events: the same for the same events."""
    return f"""SELECT lead_id, count(*) AS n, sum(hash(event_at, known_at, type, asset, value)) AS h
        FROM '{_events(night)}' WHERE type IN ({_types(night.plan)}) GROUP BY lead_id"""


def kept_columns(plan: Any) -> list[str]:
    """Return the features that are kept from one night to the next, quoted."""
    from propensity.features.catalogue import catalogue

    return [f'"{feature.name}"' for feature in catalogue(plan) if feature.statistic in KEPT]


def _events(night: Night) -> Path:
    return night.folder / "data" / "events.parquet"


def _ages(night: Night) -> str:
    """Return SQL for the events' qualifiers, and the microseconds since they happened and were known."""
    families = night.plan.event_types.items()
    cases = " ".join(f"WHEN type IN ({_listed(types)}) THEN '{q}'" for q, types in families)
    now = f"epoch_us(TIMESTAMPTZ '{UNTIL}')"
    return f"""SELECT lead_id, CASE {cases} END AS q, {now} - epoch_us(event_at) AS age,
        {now} - epoch_us(known_at) AS known FROM '{_events(night)}' WHERE type IN ({_types(night.plan)})"""


def _types(plan: Any) -> str:
    return _listed([t for types in plan.event_types.values() for t in types])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--leads", type=int, default=100_000)
    parser.add_argument("--events-per-lead", type=float, nargs="+", default=[20.0, 5.0])
    parser.add_argument("--silent", type=float, default=0.8, help="share of leads without events, third case")
    parser.add_argument("--trained-on", type=int, default=3000, help="leads of the simulation")
    parser.add_argument("--rounds", type=int, default=3)
    print(tell_report(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
