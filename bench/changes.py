"""The parts of a change of score against the change itself, for every candidate and calibrator.

Run on workspaces whose leads have dates, after ``propensity run`` up to the bundle::

    python -m bench.changes WORKSPACE [WORKSPACE ...]

In each, the leads open at four moments of the last quarter of the data are scored by the workspace's
bundle, and again at the next moment by a model of each kind with a calibrator of each method. The table
holds the largest difference, in points, between the sum of the parts and the change; the largest ``data``
where the same model scored both times, which is how far its score on today's record of the moment before is
from the one it gave then; and the mean size of each other part.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pandas as pd

from propensity.cohort.snapshots import scoring_snapshots
from propensity.data.fetch import fetch
from propensity.data.ingest import read_canonical
from propensity.data.sources import connect
from propensity.explain.changes import PARTS, compute_changes, rescore
from propensity.explain.previous import check_previous
from propensity.explain.words import load_words
from propensity.features.build import build_features
from propensity.features.catalogue import catalogue
from propensity.features.states import build_states
from propensity.model.bundle import Bundle, read_bundle
from propensity.model.calibration import fit_calibrator
from propensity.model.encoding import encode
from propensity.model.training import train_model
from propensity.params import ModelParams
from propensity.workspace import Workspace, open_workspace

KINDS = ("logistic", "lightgbm", "blend")
METHODS = ("sigmoid", "beta", "isotonic")
MOMENTS = 4
OPTIONAL = ("events", "outcomes", "history")


def make_models(ws: Workspace, made: Bundle) -> dict[tuple[str, str], Bundle]:
    """Return a bundle for each candidate kind and calibrator, fitted on the workspace's parts."""
    table = pd.read_parquet(ws.processed / "training.parquet")
    rows = table[table["split"] == "calibrate"]
    won, weight = rows["won"].to_numpy(dtype=bool), rows["weight"].to_numpy(dtype=float)
    bundles = {}
    for kind in KINDS:
        params = ModelParams.model_validate({"candidates": [kind], "threads": 1})
        found = train_model(table, catalogue(made.plan), params, {})
        margin = found.model.margin(encode(rows, found.encoding))
        for method in METHODS:
            bundles[kind, method] = replace(
                made,
                encoding=found.encoding,
                model=found.model,
                calibrator=fit_calibrator(method, margin, won, weight),
                model_version=f"{kind} {method}",
            )
    return bundles


def score_table(made: Bundle, table: pd.DataFrame) -> pd.DataFrame:
    """Return what a change is computed from; tiers and reasons are of no account here."""
    return table[["lead_id", "as_of"]].assign(
        score=rescore(made, table).to_numpy(),
        tier="nurture",
        reasons=[[]] * len(table),
        model_version=made.model_version,
    )


def compare(workspace: Path) -> list[dict[str, Any]]:
    """Return a row for each kind and method: leads compared, largest difference, mean size of the parts."""
    ws = open_workspace(workspace / "params.yaml")
    con, made = connect(ws.params.data), read_bundle(ws.models / "bundle", threads=1)
    canonical = read_canonical(con, ws.interim)
    tables = canonical.tables
    optional = {name: tables.get(name) for name in OPTIONAL}
    first = pd.Timestamp(
        fetch(con, tables["leads"].agg(first=tables["leads"].created_at.min()))["first"].item()
    )
    until = pd.Timestamp(canonical.observed_until)
    moments = [until - (until - first.tz_convert("UTC")) * 0.25 * k / MOMENTS for k in range(MOMENTS, -1, -1)]
    models, rows = make_models(ws, made), {}
    before, own = None, dict[tuple[str, str], pd.DataFrame]()
    for old, new in pairwise([None, *moments]):
        leads = tables["leads"].anti_join(tables["unsettled"], "lead_id")
        spine = scoring_snapshots(
            leads,
            tables["outcomes"],
            as_of=new.to_pydatetime(),
            stages=tables.get("stages"),
            events=tables.get("events"),
        )
        spine = con.create_table("spine", spine, overwrite=True)
        now = fetch(con, build_features(spine, tables["leads"], made.plan, **optional).order_by("snapshot"))
        if old is not None and before is not None:
            known = check_previous(before)
            moved = con.create_table("before", known[["lead_id", "as_of_before"]], overwrite=True)
            both = spine.inner_join(moved, "lead_id")
            states = fetch(con, build_states(both, tables["leads"], made.plan, **optional))
            for key, model in models.items():
                scores = score_table(model, now)
                found = compute_changes(model, scores, known, now, states, words=load_words("en"))
                same = compute_changes(
                    model, scores, check_previous(own[key]), now, states, words=load_words("en")
                )
                found["data"] = same["data"].abs().max()
                rows.setdefault(key, []).append(found.dropna(subset=["change"]))
        before = score_table(made, now)
        own = {key: score_table(model, now) for key, model in models.items()}
    return [
        {"workspace": workspace.name, "kind": kind, "calibrator": method}
        | summarise(pd.concat(rows[kind, method]))
        for kind, method in product(KINDS, METHODS)
    ]


def summarise(changes: pd.DataFrame) -> dict[str, Any]:
    """Return how far the parts are from the change, and how large they are."""
    told = [part for part in PARTS if part != "data"]
    apart = (changes[told].sum(axis=1) - (changes["score"] - changes["score_before"])).abs()
    return {
        "leads": len(changes),
        "largest difference": f"{apart.to_numpy().max(initial=0.0):.1e}",
        "largest data": f"{changes['data'].max():.1e}",
    } | {part: f"{changes[part].abs().mean():.2f}" for part in told}


if __name__ == "__main__":
    found = pd.DataFrame([row for folder in sys.argv[1:] for row in compare(Path(folder))])
    print("| " + " | ".join(found.columns) + " |")
    print("|" + "---|" * len(found.columns))
    for row in found.itertuples(index=False):
        print("| " + " | ".join(str(cell) for cell in row) + " |")
