"""One lead at a time: what `Predictor.score` costs beside LightGBM's own work on a ready array.

The lead comes as a mapping with its events as a frame, as a web service would pass them; what comes back is
its score with reasons. The reference is a plain prediction and ``pred_contrib`` of the same bundle's trees on
the lead's ready row, on one thread. ``score_features`` is the part from the feature row to the score and the
sentences.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from bench.machine import find_versions
from bench.reports import Report, compare_with
from bench.timing import Contender, alternate
from bench.workspaces import simulated_workspace


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--leads", type=int, default=4000, help="of the simulation the bundle is trained on")
    parser.add_argument("--calls", type=int, default=50, help="leads scored one by one in a round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--folder", type=Path, help="where the workspace is kept; a temporary one if left out"
    )


def measure(options: argparse.Namespace) -> Report:
    """Score leads one by one, in turn with LightGBM on ready arrays."""
    with tempfile.TemporaryDirectory(prefix="bench-online-") as scratch:
        ws = simulated_workspace(options.folder or Path(scratch), leads=options.leads)
        timings = alternate(make_contenders(ws.folder, options.calls), rounds=options.rounds)
    return Report(
        "One lead online, with reasons",
        f"{options.calls} leads are scored one by one in each round; a ratio is the cost of one.",
        "python -m bench online",
        compare_with(
            "one lead", timings, "predict + pred_contrib", targets={"Predictor.score on a mapping": "<= 3"}
        ),
        versions=find_versions("duckdb", "ibis-framework"),
    )


def make_contenders(workspace: Path, calls: int) -> dict[str, Contender]:
    """Return what takes turns, each with `calls` leads a run."""
    from propensity.model.encoding import encode
    from propensity.predict import Predictor, score_features

    predictor = Predictor.load(workspace / "models" / "bundle", threads=1)
    leads = pd.read_parquet(workspace / "data/interim/leads.parquet").tail(calls)
    events = pd.read_parquet(workspace / "data/interim/events.parquet")
    as_of = leads["created_at"].max() + pd.Timedelta(days=7)
    passed: list[tuple[dict[str, Any], pd.DataFrame]] = [
        (lead, events[events["lead_id"] == lead["lead_id"]]) for lead in leads.to_dict("records")
    ]
    tables = [predictor.features(lead, own, as_of) for lead, own in passed]
    none = pd.DataFrame({c: pd.Series(dtype="str") for c in ("lead_id", "rule", "reason", "column", "value")})
    bundle = predictor.bundle
    boosted = bundle.model
    rows = [encode(table, bundle.encoding) for table in tables]

    def lightgbm() -> None:
        for row in rows:
            for booster in boosted.boosters:
                booster.predict(row, raw_score=True, num_threads=1)
                booster.predict(row, pred_contrib=True, num_threads=1)

    def features_to_scores() -> None:
        for table in tables:
            score_features(bundle, table, none)

    def whole() -> None:
        for lead, own in passed:
            predictor.score(lead, own, as_of)

    return {
        "predict + pred_contrib": Contender(lightgbm, calls),
        "score_features on one row": Contender(features_to_scores, calls),
        "Predictor.score on a mapping": Contender(whole, calls),
    }
