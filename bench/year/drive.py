"""One year in one workspace: every command a company would give, and what came of it, week by week."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd

from bench.year.calendar import Year
from bench.year.commands import ALARM, DONE, REFUSED, propensity, write_params
from bench.year.rivals import write_rule
from bench.year.world import export, make_world
from propensity.data.files import read_json, replaced_folder, write_json, write_parquet
from propensity.data.simulate import Simulation
from propensity.stages import STAGES
from propensity.workspace import open_workspace

FEED = "events/"  # the monitor's subject for a feed of one event type


def live(year: Year, folder: Path, *, acting: bool) -> None:
    """Live through the weeks that have no record yet; a year that was stopped goes on where it was.

    Parameters
    ----------
    year : Year
    folder : Path
        ``workspace/`` is the company's; ``first/`` keeps the first model; ``weeks/`` holds the records.
    acting : bool
        Whether somebody acts on the alarm of a feed that has stopped: the next challengers leave its events
        out, and the first of them is promoted for that reason, whatever the gate says.
    """
    world = make_world(year)
    begin(year, world, folder)
    for week in range(1, year.weeks + 1):
        if not record_of(folder, week).exists():
            started = time.perf_counter()
            record = live_week(year, world, folder, week, acting=acting)
            write_json({**record, "seconds": time.perf_counter() - started}, record_of(folder, week))
            print(tell_week(record), flush=True)


def record_of(folder: Path, week: int) -> Path:
    """Return where the record of a week lies."""
    return folder / "weeks" / f"{week:02d}.json"


def begin(year: Year, world: Simulation, folder: Path) -> None:
    """Train and promote the first model, keep it apart, and write the points rule."""
    kept, ws_folder = folder / "first", folder / "workspace"
    if (kept / "rule.json").exists():
        return
    shutil.rmtree(ws_folder, ignore_errors=True)
    write_params(ws_folder, exclude=[])
    export(world, year.begins, ws_folder / "data" / "raw")
    decision = retrain(ws_folder, force="there is no other model yet")
    ws = open_workspace(ws_folder / "params.yaml")
    with replaced_folder(kept / "bundle") as fresh:
        shutil.copytree(ws.serving, fresh, dirs_exist_ok=True)
    rule = write_rule(ws, kept / "bundle")
    write_json({"decision": decision, "conditions": rule.conditions}, kept / "rule.json")


def live_week(year: Year, world: Simulation, folder: Path, week: int, *, acting: bool) -> dict[str, Any]:
    """Score and monitor on a Monday; in the first week of a month train a challenger and ask the gate."""
    ws_folder, moment = folder / "workspace", year.moments[week - 1]
    export(world, moment, ws_folder / "data" / "raw")
    ws = open_workspace(ws_folder / "params.yaml")
    propensity(ws_folder, "score", "--as-of", moment.isoformat())
    scores = pd.read_parquet(ws.scores, columns=["lead_id", "probability", "tier", "model_version"])
    write_parquet(scores.drop(columns="model_version"), record_of(folder, week).with_suffix(".parquet"))
    watched = propensity(ws_folder, "monitor", "--as-of", moment.isoformat(), may=(DONE, ALARM))
    signals = read_json(ws.reports / "monitor.json")["signals"]
    record = {
        "week": week,
        "moment": moment,
        "month": year.month(week),
        "planted": [type(shift).__name__ for shift in year.planted(week)],
        "model_version": scores["model_version"].iloc[0],
        "open": len(scores),
        "exit_code": watched.code,
        "alarms": [s for s in signals if s["status"] == "alarm"],
        "cannot_say": sorted({s["code"] for s in signals if s["status"] == "cannot say"}),
        "looked": {s["code"]: s["check"] for s in signals},
        "excluded": [],
        "decision": None,
    }
    if year.retrains(week):
        record["decision"] = retrain(ws_folder, force=act(folder, week, record) if acting else None)
    return record


def act(folder: Path, week: int, record: dict[str, Any]) -> str | None:
    """Leave the events of stopped feeds out of the params; return the reason to force the first time."""
    past = [read_json(record_of(folder, earlier)) for earlier in range(1, week)]
    dead = {
        str(alarm["subject"]).removeprefix(FEED)
        for seen in (*past, record)
        for alarm in seen["alarms"]
        if alarm["check"] == "silent_feed" and str(alarm["subject"]).startswith(FEED)
    }
    record["excluded"] = sorted(dead)
    before = {name for seen in past for name in seen["excluded"]}
    if dead == before:
        return None
    write_params(folder / "workspace", exclude=sorted(dead))
    return f"the feed of {', '.join(sorted(dead - before))} has stopped; the challenger does without it"


def retrain(folder: Path, *, force: str | None) -> dict[str, Any]:
    """Run the pipeline, but for the review that nobody would read, and let the gate decide on the model."""
    propensity(folder, "run", *(stage for stage in STAGES if stage != "report"))
    forced = [] if force is None else ["--force", force]
    propensity(folder, "promote", "--by", "year", *forced, may=(DONE, REFUSED))
    latest = max((folder / "models" / "promotions").glob("[0-9]*.json"))
    return read_json(latest)


def tell_week(record: dict[str, Any]) -> str:
    """Return a week in a line, for whoever waits."""
    alarms = ", ".join(f"{a['code']} {a['subject'] or ''}".strip() for a in record["alarms"]) or "quiet"
    decided = record["decision"]
    gate = "" if decided is None else f"; {decided['verdict']}"
    return f"week {record['week']:02d} {str(record['moment'])[:10]}: {record['open']:,} open; {alarms}{gate}"
