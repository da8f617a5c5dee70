"""Training beside a plain LightGBM fit, against rows and features.

The reference is what a person writes by hand on the same matrix, with the same settings and threads:
``lightgbm.train`` on the train part until the stop part gains no more, and once more on both for as many
rounds. The product starts from the training table: it finds the levels and encodes, tries the shapes of trees
that are likely on so many rows, fits the logistic curves and the blend, chooses, and fits the choice again.
The ratio is what the choice costs.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from bench.machine import find_versions
from bench.models import CATEGORIES, FEATURES, make_rows, name_features
from bench.reports import Comparison, Growth, Report, compare_with, grow
from bench.timing import Contender, Timing, alternate
from propensity.features.catalogue import Feature

STOP = 5  # each fifth row is of the stop part
WHOLE, TREES, REFERENCE = "all candidates", "trees alone", "lightgbm.train"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--rows", type=int, nargs="+", default=[25_000, 80_000, 250_000])
    parser.add_argument("--features", type=int, nargs="+", default=[6, 20, 60], help=f"at most {FEATURES}")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)


def measure(options: argparse.Namespace) -> Report:
    """Train every size of rows with the most features, and the fewest rows with every number of features."""
    rows, features = sorted(options.rows), sorted(options.features)
    by_rows = {n: _measure_size(n, features[-1], options) for n in rows}
    by_features = {m: _measure_size(rows[0], m, options) for m in features[:-1]} | {
        features[-1]: by_rows[rows[0]]
    }
    comparisons: list[Comparison] = []
    for n, timings in by_rows.items():
        comparisons += compare_with(f"{n:,} rows, {features[-1]} features", timings, REFERENCE)
    for m in features[:-1]:
        comparisons += compare_with(f"{rows[0]:,} rows, {m} features", by_features[m], REFERENCE)
    return Report(
        "Training",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "python -m bench train",
        comparisons,
        [
            *_grow(f"rows, {features[-1]} features", by_rows),
            *_grow(f"features, {rows[0]:,} rows", by_features),
        ],
        versions=find_versions(),
    )


def make_table(rows: int, features: int, *, seed: int) -> tuple[pd.DataFrame, list[Feature]]:
    """Return a training table, a lead a row, and what its features mean; categories are text.

    Winning goes with the first three numbers and little else, as few leads are won for reasons that a table
    tells: with the outcomes of `make_rows`, which all columns move, the trees would grow to their limit.
    """
    X, _ = make_rows(rows, seed)
    margin = 0.5 * np.nan_to_num(X[:, :3]).sum(axis=1) - 1.5
    won = np.random.default_rng(seed).random(rows) < 1 / (1 + np.exp(-margin))
    chosen = np.unique(np.linspace(0, FEATURES - 1, features).round().astype(int))
    named, columns = name_features(), {}
    kept = []
    for j in chosen:
        category = j >= FEATURES - CATEGORIES
        kept.append(replace(named[j], kind="category") if category else named[j])
        columns[named[j].name] = pd.Series(X[:, j]).map("level {:.0f}".format) if category else X[:, j]
    keys = {
        "lead_id": [f"lead-{i:08d}" for i in range(rows)],
        "as_of": pd.Timestamp("2025-01-01", tz="UTC"),
        "split": np.where(np.arange(rows) % STOP == 0, "stop", "train"),
        "won": won,
        "weight": 1.0,
    }
    return pd.DataFrame(keys | columns), kept


def _measure_size(rows: int, features: int, options: argparse.Namespace) -> dict[str, Timing]:
    return alternate(make_contenders(rows, features, options.threads), rounds=options.rounds, warm=0)


def make_contenders(rows: int, features: int, threads: int) -> dict[str, Contender]:
    """Return what takes turns; each keeps nothing."""
    from propensity.model.boosting import Forge, Shape, likely_shapes
    from propensity.model.encoding import encode, fit_encoding
    from propensity.model.training import train_model
    from propensity.params import ModelParams

    table, meanings = make_table(rows, features, seed=7)
    params = ModelParams(threads=threads)
    alone = params.model_copy(update={"candidates": ["lightgbm"]})
    train, stop = (table[table["split"] == part] for part in ("train", "stop"))
    encoding = fit_encoding(train, meanings)
    parts = [(encode(p, encoding), p["won"].to_numpy(dtype=float)) for p in (train, stop)]
    shape: Shape = likely_shapes(len(train), encoding)[0]
    settings = Forge(encoding, {}, params.seed, threads).settings(
        len(train), replace(shape, statistics=False), seed=7
    )
    return {
        REFERENCE: Contender(lambda: _fit_by_hand(*parts, encoding.categories, settings), rows),
        TREES: Contender(lambda: train_model(table, meanings, alone, {}), rows),
        WHOLE: Contender(lambda: train_model(table, meanings, params, {}), rows),
    }


def _fit_by_hand(
    train: tuple[Any, Any], stop: tuple[Any, Any], categories: list[int], settings: dict[str, Any]
) -> None:
    from propensity.model.boosting import MOST_ROUNDS, PATIENCE

    data = lgb.Dataset(*train, categorical_feature=categories)
    patience = round(PATIENCE / settings["learning_rate"])
    found = lgb.train(
        settings,
        data,
        MOST_ROUNDS,
        valid_sets=[lgb.Dataset(*stop, categorical_feature=categories, reference=data)],
        callbacks=[lgb.early_stopping(patience, verbose=False)],
    )
    both = [np.concatenate(pair) for pair in zip(train, stop, strict=True)]
    lgb.train(settings, lgb.Dataset(*both, categorical_feature=categories), found.best_iteration)


def _grow(what: str, sizes: dict[int, dict[str, Timing]]) -> list[Growth]:
    if len(sizes) < 2:
        return []
    grown = []
    for name in (WHOLE, TREES, REFERENCE):
        pairs = [(float(size), s) for size, timings in sizes.items() for s in timings[name].seconds]
        grown.append(grow(f"{name}, {what}", [size for size, _ in pairs], [s for _, s in pairs]))
    return grown
