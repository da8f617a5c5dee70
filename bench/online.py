"""One lead at a time: what `Predictor.score` costs beside LightGBM's own work on a ready array.

The lead comes as a mapping with its events as a frame, as a web service would pass them; what comes back is
its score with reasons. The reference is a plain prediction and ``pred_contrib`` of the same bundle's trees on
the lead's ready row, on one thread. ``score_features`` is the part from a feature table of one row to the
score and the sentences; contributions from tables are the part of that which the reference does, with the
tables made before. Every round scores other leads, so that nothing is found that was kept of the same lead.

What LightGBM takes grows with its trees, and what the rest takes does not. So the leads are scored with the
models that the pipeline fits to simulations of several sizes, and with two of the size that the other
benchmarks have, fitted to the features of the first. With ``--candidate blend`` the pipeline's models have
an additive model beside the trees, which the reference knows nothing of.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.machine import find_versions
from bench.reports import Report, compare_with
from bench.timing import Contender, alternate
from bench.workspaces import simulated_workspace
from propensity.batch import score_features
from propensity.model.bundle import Bundle
from propensity.model.encoding import encode
from propensity.model.estimators import Blend, Boosted, Matrix, Vector, make_boosted
from propensity.model.statistics import look_up, widen
from propensity.online import Hit
from propensity.predict import Predictor

# The oldest that the simulation's model learns from, when most has happened.
AGE_DAYS = 30
REFERENCE, WHOLE = "predict + pred_contrib", "Predictor.score on a mapping"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    leads = [4000, 20_000]
    parser.add_argument("--leads", type=int, nargs="+", default=leads, help="of the simulations learned from")
    parser.add_argument("--candidate", choices=["lightgbm", "blend"], default="lightgbm")
    parser.add_argument("--calls", type=int, default=50, help="leads scored one by one in a round")
    parser.add_argument("--trees", type=int, nargs="*", default=[200, 600], help="of the models beside it")
    parser.add_argument("--leaves", type=int, default=31)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--folder", type=Path, help="where workspaces are kept; a temporary one if left out")


def measure(options: argparse.Namespace) -> Report:
    """Score leads one by one with each model, in turn with LightGBM on ready arrays."""
    comparisons = []
    with tempfile.TemporaryDirectory(prefix="bench-online-") as scratch:
        for leads in options.leads:
            folder = (options.folder or Path(scratch)) / str(leads)
            ws = simulated_workspace(folder, leads=leads, candidate=options.candidate)
            predictor = Predictor.load(ws.models / "bundle", threads=1)
            given = read_leads(ws.folder, predictor)
            fitted = f" (the pipeline's, of {leads:,} leads)"
            models: list[tuple[str, Boosted | Blend]] = [(fitted, predictor.bundle.model)]
            if leads == options.leads[0]:
                models += [("", fit_trees(given, n, options.leaves)) for n in options.trees]
            for whose, model in models:
                contenders = make_contenders(replace(predictor.bundle, model=model), given, options.calls)
                timings = alternate(contenders, rounds=options.rounds)
                what = describe_trees(model) + whose
                comparisons += compare_with(what, timings, REFERENCE, targets={WHOLE: "<= 3"})
    return Report(
        "One lead online, with reasons",
        f"{options.calls} other leads are scored one by one in each round; a ratio is the cost of one.",
        "python -m bench online",
        comparisons,
        versions=find_versions("duckdb", "ibis-framework", "numba"),
    )


@dataclass(frozen=True)
class Given:
    """What leads are scored from: passed as a service would, as feature tables of one row, as ready arrays.

    Attributes
    ----------
    passed : list of tuple
        A lead, its events, and the moment.
    tables : list of DataFrame
    matrix : array of shape (n_leads, n_features)
    statistics : dict
        Those that the trees read beside the features.
    won : array of shape (n_leads,)
    """

    passed: list[tuple[dict[str, Any], pd.DataFrame, pd.Timestamp]]
    tables: list[pd.DataFrame]
    matrix: Matrix
    statistics: Mapping[int, Vector]
    won: npt.NDArray[np.bool_]

    @property
    def wide(self) -> Matrix:
        """The ready rows, statistics included."""
        return widen(self.matrix, look_up(self.matrix, self.statistics)) if self.statistics else self.matrix


def read_leads(workspace: Path, predictor: Predictor) -> Given:
    """Return a workspace's leads in no order, each with what is known of it when it is `AGE_DAYS` old."""
    interim = workspace / "data" / "interim"
    leads = pd.read_parquet(interim / "leads.parquet").sample(frac=1, random_state=0)
    as_of = leads["created_at"] + pd.Timedelta(days=AGE_DAYS)
    events = pd.read_parquet(interim / "events.parquet").merge(
        pd.DataFrame({"lead_id": leads["lead_id"], "as_of": as_of}), on="lead_id"
    )
    events = events[events["known_at"] <= events["as_of"]].drop(columns="as_of")
    own, nothing = dict(list(events.groupby("lead_id"))), events.head(0)
    outcomes = pd.read_parquet(interim / "outcomes.parquet")
    table = predictor.features(leads, events, as_of)
    return Given(
        [
            (lead, own.get(lead["lead_id"], nothing), moment)
            for lead, moment in zip(leads.to_dict("records"), as_of, strict=True)
        ],
        [table.iloc[i : i + 1].reset_index(drop=True) for i in range(len(table))],
        encode(table, predictor.bundle.encoding),
        trees_of(predictor.bundle.model).statistics,
        leads["lead_id"].isin(outcomes["lead_id"][outcomes["status"] == "won"]).to_numpy(),
    )


def fit_trees(given: Given, trees: int, leaves: int) -> Boosted:
    """Fit so many trees to the leads' outcomes, which is a size of model and not a good one."""
    settings = {"objective": "binary", "num_leaves": leaves, "num_threads": 1, "verbosity": -1, "seed": 1}
    booster = lgb.train(settings, lgb.Dataset(given.wide, given.won), trees)
    text = booster.model_to_string()
    return make_boosted(text, given.matrix.shape[1], threads=1, statistics=given.statistics)


def trees_of(model: Boosted | Blend) -> Boosted:
    """Return the trees of a model."""
    return model.boosted if isinstance(model, Blend) else model


def describe_trees(model: Boosted | Blend) -> str:
    """Return how many trees a model has, how many leaves each, and what is beside them."""
    own = trees_of(model)
    trees = sum(booster.num_trees() for booster in own.boosters)
    beside = " beside an additive model" if isinstance(model, Blend) else ""
    return f"{trees} trees of {round(own.leaves / trees)} leaves{beside}"


def make_contenders(bundle: Bundle, given: Given, calls: int) -> dict[str, Contender]:
    """Return what takes turns, each with `calls` leads a run."""
    predictor, model = Predictor(bundle), bundle.model
    trees = trees_of(model)
    ready = [np.ascontiguousarray(row[None, :]) for row in given.wide]
    none = pd.DataFrame({c: pd.Series(dtype="str") for c in Hit._fields})

    def lightgbm(i: int) -> None:
        for booster in trees.boosters:
            booster.predict(ready[i], raw_score=True, num_threads=1)
            booster.predict(ready[i], pred_contrib=True, num_threads=1)

    def contributions(i: int) -> None:
        model.contributions(given.matrix[i : i + 1])

    works = {
        REFERENCE: lightgbm,
        "contributions from tables": contributions,
        "score_features on one row": lambda i: score_features(bundle, given.tables[i], none),
        WHOLE: lambda i: predictor.score(*given.passed[i]),
    }
    return {name: Contender(_each(work, len(ready), calls), calls) for name, work in works.items()}


def _each(score: Callable[[int], object], n: int, calls: int) -> Callable[[], None]:
    """Return what scores the next `calls` of `n` leads at each call."""
    places = cycle(range(n))

    def run() -> None:
        for place in islice(places, calls):
            score(place)

    return run
