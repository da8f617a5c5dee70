"""What the loop is held against: the first model, never retrained, and the points rule of its time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from bench.year.calendar import Year
from bench.year.world import compute_truth, export
from propensity.bundled import needed_types
from propensity.cohort.snapshots import scoring_snapshots
from propensity.data.fetch import fetch
from propensity.data.files import read_json
from propensity.data.ingest import ingest
from propensity.data.simulate import Simulation
from propensity.data.sources import connect
from propensity.evaluation.comparison import PointsRule, fit_points_rule
from propensity.features.build import build_features
from propensity.gathering import read_part
from propensity.model.bundle import Bundle, log_odds, read_bundle
from propensity.model.encoding import encode
from propensity.workspace import Workspace, open_workspace

TABLES = {"events", "outcomes"}


def write_rule(ws: Workspace, bundle: Path) -> PointsRule:
    """Write the points rule that `propensity run` holds its model against, from the same labels."""
    encoding = read_bundle(bundle, threads=1).encoding
    train, stop = (read_part(ws, name) for name in ("train", "stop"))
    train = train[train["known"] <= stop["moment"].min()]
    return fit_points_rule(encode(train, encoding), train["won"].to_numpy(dtype=bool), encoding)


def read_rule(path: Path) -> PointsRule:
    """Read the rule that was kept when the year began."""
    return PointsRule([tuple(row) for row in read_json(path)["conditions"]])


def rank_weeks(year: Year, world: Simulation, folder: Path) -> dict[int, pd.DataFrame]:
    """Rank each week's open leads by what was known then, in every way but the loop's.

    The tables are those of the year's last export, read once: no feature sees what was known after its
    moment.

    Returns
    -------
    dict
        Week to ``lead_id``, ``once`` (the first model's log-odds), ``rule`` (points) and ``truth`` (the true
        probability to be won within 90 days); the larger the sooner to call.
    """
    after = folder / "after"
    export(world, year.moments[-1], after / "data" / "raw")
    params = (folder / "workspace" / "params.yaml").read_bytes()
    (after / "params.yaml").write_bytes(params)
    ws, made = open_workspace(after / "params.yaml"), read_bundle(folder / "first" / "bundle", threads=1)
    con = connect(ws.params.data, folder=ws.folder)
    canonical = ingest(
        ws.params.data, ws.folder, now=datetime.now(UTC), con=con, types=needed_types(made), tables=TABLES
    )
    rule = read_rule(folder / "first" / "rule.json")
    ranked = {}
    for week, moment in enumerate(year.moments, start=1):
        table = features_at(con, canonical.tables, made, moment)
        truth = compute_truth(world, year, table["lead_id"], moment)
        points = rule.points(encode(table, made.encoding))
        ranked[week] = pd.DataFrame(
            {"lead_id": table["lead_id"], "once": log_odds(made, table), "rule": points, "truth": truth}
        )
    return ranked


def features_at(con: Any, tables: Any, made: Bundle, moment: pd.Timestamp) -> pd.DataFrame:
    """Return the first model's features of the leads open at a moment."""
    leads = tables["leads"].anti_join(tables["unsettled"], "lead_id")
    spine = scoring_snapshots(
        leads,
        tables["outcomes"],
        as_of=moment.to_pydatetime(),
        stages=tables.get("stages"),
        events=tables.get("events"),
    )
    built = build_features(
        con.create_table("spine", spine, overwrite=True),
        tables["leads"],
        made.plan,
        events=tables.get("events"),
        outcomes=tables.get("outcomes"),
        history=tables.get("history"),
    )
    return fetch(con, built.order_by("snapshot"))
