"""All that the page says, gathered from the records of a year."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bench.year.alarms import count_false_alarms, find_detections
from bench.year.calendar import Year
from bench.year.calls import WAYS, add_wins, call_leads, compare_ways
from bench.year.drive import record_of
from bench.year.rivals import rank_weeks
from bench.year.world import make_world
from propensity.data.files import read_json
from propensity.data.shifts import describe_shifts
from propensity.data.simulate import Simulation

KEPT_OF_ALARM = ("code", "check", "severity", "subject", "message")


def gather_results(year: Year, folder: Path) -> dict[str, Any]:
    """Return what came of a year that was lived through, as plain values."""
    weeks = range(1, year.weeks + 1)
    records = [read_json(record_of(folder, week)) for week in weeks]
    world = make_world(year)
    calls = gather_calls(year, world, folder)
    account = world.leads.set_index("lead_id")["account_id"]
    return {
        "leads": year.leads,
        "seed": year.seed,
        "calls": year.calls,
        "begins": year.begins,
        "moments": year.moments,
        "shifts": describe_shifts(year.shifts),
        "first": read_json(folder / "first" / "rule.json")["decision"],
        "weeks": [trim(record) for record in records],
        "false_alarms": count_false_alarms(records),
        "detections": find_detections(year, records),
        "periods": [
            {
                "period": name,
                "weeks": [min(part), max(part)],
                "ways": compare_ways(calls, account, part, seed=year.seed),
            }
            for name, part in name_periods(year)
        ],
        "by_week": {
            way: made.groupby("week")[["won", "truth"]].sum().reindex(weeks, fill_value=0).to_dict("list")
            for way, made in calls.items()
        },
    }


def gather_calls(year: Year, world: Simulation, folder: Path) -> dict[str, pd.DataFrame]:
    """Return each way's calls, with what became of them."""
    ranked = rank_weeks(year, world, folder)
    weeks = {week: add_scores(table, record_of(folder, week)) for week, table in ranked.items()}
    moments = dict(enumerate(year.moments, start=1))
    return {way: add_wins(call_leads(weeks, way, calls=year.calls), world.outcomes, moments) for way in WAYS}


def add_scores(ranked: pd.DataFrame, record: Path) -> pd.DataFrame:
    """Set the scores that the loop gave in a week beside the other ways' ranks of the same leads."""
    scores = pd.read_parquet(record.with_suffix(".parquet")).rename(columns={"probability": "loop"})
    both = scores.merge(ranked, on="lead_id", validate="1:1")
    if len(both) != len(scores):
        raise RuntimeError(f"{record}: {len(scores):,} leads were scored, {len(both):,} of them are ranked")
    return both


def name_periods(year: Year) -> list[tuple[str, list[int]]]:
    """Return the weeks before the first shift, from each shift up to the next, and the whole year."""
    weeks = range(1, year.weeks + 1)
    names = ["before any shift", *(f"since {type(shift).__name__}" for shift in year.shifts)]
    parts = [[week for week in weeks if len(year.planted(week)) == n] for n in range(len(names))]
    named = [(name, part) for name, part in zip(names, parts, strict=True) if part]
    return [*named, ("the year", list(weeks))]


def trim(record: dict[str, Any]) -> dict[str, Any]:
    """Return a week's record without what only finding detections needs."""
    alarms = [{name: alarm[name] for name in KEPT_OF_ALARM} for alarm in record["alarms"]]
    return {**record, "alarms": alarms}
