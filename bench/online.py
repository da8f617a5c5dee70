"""One lead at a time: what `Predictor.score` costs beside LightGBM's own work on a ready array.

The lead comes as a mapping with its events as a frame, as a web service would pass them; what comes back is
its score with reasons. The reference is a plain prediction and ``pred_contrib`` of the same bundle's trees on
the lead's ready row, on one thread. ``score_features`` is the part from a feature table of one row to the
score and the sentences; ``pred_contrib`` alone is the part of the reference that a score cannot do without;
contributions from tables are what batches take instead, with the tables made before. Every round scores other
leads, so that nothing is found that was kept of the same lead.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.machine import find_versions
from bench.reports import Report, compare_with
from bench.timing import Contender, alternate
from bench.workspaces import simulated_workspace
from propensity.online import Hit

# The oldest that the simulation's model learns from, when most has happened.
AGE_DAYS = 30
WHOLE = "Predictor.score on a mapping"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--leads", type=int, default=4000, help="of the simulation the bundle is trained on")
    parser.add_argument("--calls", type=int, default=50, help="leads scored one by one in a round")
    parser.add_argument("--rounds", type=int, default=41)
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
        f"{options.calls} other leads are scored one by one in each round; a ratio is the cost of one.",
        "python -m bench online",
        compare_with("one lead", timings, "predict + pred_contrib", targets={WHOLE: "<= 3"}),
        versions=find_versions("duckdb", "ibis-framework"),
    )


def make_contenders(workspace: Path, calls: int) -> dict[str, Contender]:
    """Return what takes turns, each with `calls` leads a run."""
    from propensity.batch import score_features
    from propensity.model.attributions import explain, plan_attributions
    from propensity.model.encoding import encode
    from propensity.model.statistics import look_up, widen
    from propensity.model.trees import average, read_forest
    from propensity.predict import Predictor

    predictor = Predictor.load(workspace / "models" / "bundle", threads=1)
    bundle, boosted = predictor.bundle, predictor.bundle.model
    leads = pd.read_parquet(workspace / "data/interim/leads.parquet").sample(frac=1, random_state=0)
    as_of = leads["created_at"] + pd.Timedelta(days=AGE_DAYS)
    events = pd.read_parquet(workspace / "data/interim/events.parquet").merge(
        pd.DataFrame({"lead_id": leads["lead_id"], "as_of": as_of}), on="lead_id"
    )
    events = events[events["known_at"] <= events["as_of"]].drop(columns="as_of")
    own, nothing = dict(list(events.groupby("lead_id"))), events.head(0)
    passed: list[tuple[dict[str, Any], pd.DataFrame, pd.Timestamp]] = [
        (lead, own.get(lead["lead_id"], nothing), moment)
        for lead, moment in zip(leads.to_dict("records"), as_of, strict=True)
    ]
    table = predictor.features(leads, events, as_of)
    matrix = encode(table, bundle.encoding)
    wide = widen(matrix, look_up(matrix, boosted.statistics)) if boosted.statistics else matrix
    ready = [np.ascontiguousarray(row[None, :]) for row in wide]
    tables = [table.iloc[i : i + 1].reset_index(drop=True) for i in range(len(table))]
    none = pd.DataFrame({c: pd.Series(dtype="str") for c in Hit._fields})

    def contributions(i: int) -> None:
        for booster in boosted.boosters:
            booster.predict(ready[i], pred_contrib=True, num_threads=1)

    tabled = plan_attributions(average([read_forest(b.model_to_string()) for b in boosted.boosters]))

    def lightgbm(i: int) -> None:
        for booster in boosted.boosters:
            booster.predict(ready[i], raw_score=True, num_threads=1)
        contributions(i)

    return {
        "predict + pred_contrib": Contender(_each(lightgbm, len(ready), calls), calls),
        "pred_contrib alone": Contender(_each(contributions, len(ready), calls), calls),
        "contributions from tables": Contender(
            _each(lambda i: explain(tabled, ready[i], threads=1), len(ready), calls), calls
        ),
        "score_features on one row": Contender(
            _each(lambda i: score_features(bundle, tables[i], none), len(ready), calls), calls
        ),
        WHOLE: Contender(_each(lambda i: predictor.score(*passed[i]), len(ready), calls), calls),
    }


def _each(score: Callable[[int], object], n: int, calls: int) -> Callable[[], None]:
    """Return what scores the next `calls` of `n` leads at each call."""
    places = cycle(range(n))

    def run() -> None:
        for place in islice(places, calls):
            score(place)

    return run
