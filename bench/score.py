"""Scores with exact reasons for everyone, beside a plain prediction.

The reference is ``Booster.predict`` on the same rows with as many threads. What is timed beside it is the
product's way of a batch: contributions, the calibrator, points, families, and the five weightiest of them
with their points, in chunks, so that no matrix of all contributions is held. The second part times all of
`propensity.batch.score_rows` on a bundle of simulated leads, from the feature table to sentences, and tells
the share of each part.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from bench.machine import find_versions
from bench.models import CATEGORIES, FEATURES, SIGMOID, Example, make_example, make_rows
from bench.reports import Comparison, Fact, Growth, Report, compare_with, grow
from bench.timing import Contender, alternate
from bench.workspaces import simulated_workspace

RULES = ("lead_id", "rule", "reason", "column", "value")
TARGETS = {200: "<= 1.5", 600: "<= 2"}
OURS, REFERENCE, SENTENCES = "score and top five", "Booster.predict", "scores with sentences"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--trees", type=int, nargs="*", default=[200, 600])
    parser.add_argument(
        "--growing", type=int, nargs="*", default=[60, 200, 600], help="trees that the slope is fitted to"
    )
    parser.add_argument("--leaves", type=int, default=31)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--leads", type=int, default=3000, help="of the simulation the bundle is trained on")
    parser.add_argument("--told", type=int, default=100_000, help="rows that are told in sentences")
    parser.add_argument("--folder", type=Path, help="where models are kept; a temporary one if left out")


def measure(options: argparse.Namespace) -> Report:
    """Time all sizes of models, growth with rows and trees, and the whole way to sentences."""
    with tempfile.TemporaryDirectory(prefix="bench-score-") as scratch:
        folder = options.folder or Path(scratch)
        comparisons: list[Comparison] = []
        for trees in options.trees:
            comparisons += compare_sizes(folder, trees, options)
        growths = [*grow_rows(folder, options), *grow_trees(folder, options)]
        told, shares = compare_sentences(folder, options)
    return Report(
        "Scores with exact reasons, beside a plain prediction",
        f"{FEATURES} features, {CATEGORIES} of them categories, a sixth of some numbers missing; trees of "
        f"{options.leaves} leaves, {options.threads} threads. Contributions are exact tree SHAP, carried "
        "through the calibrator; reasons are the five weightiest families with their points.",
        "python -m bench score",
        [*comparisons, *told],
        growths,
        shares,
        versions=find_versions("numba"),
    )


def score_and_choose(example: Example, X: np.ndarray, *, chunk_rows: int) -> dict[str, np.ndarray]:
    """Score rows and choose their five weightiest families, chunk by chunk, as the product does."""
    from propensity.explain.contributions import compute_contributions
    from propensity.explain.families import group_families, weightiest_families
    from propensity.explain.points import compute_points

    features = example.encoding.features
    made: dict[str, list[np.ndarray]] = {"score": [], "feature": [], "points": []}
    for first in range(0, len(X), chunk_rows):
        contributions = compute_contributions(example.model, SIGMOID, X[first : first + chunk_rows])
        points = compute_points(contributions, 0.2)
        families = group_families(points, features)
        order = weightiest_families(families, 5)
        rows = np.arange(len(order))[:, None]
        made["score"].append(points.score)
        made["feature"].append(families.spokesman[rows, order].astype(np.int32))
        made["points"].append(families.sums[rows, order])
    return {name: np.concatenate(parts) for name, parts in made.items()}


def compare_sizes(folder: Path, trees: int, options: argparse.Namespace) -> list[Comparison]:
    """Time scores with reasons in turn with plain predictions."""
    from propensity.batch import CHUNK_ROWS

    example = make_example(folder, trees=trees, leaves=options.leaves, threads=options.threads)
    by_column = make_rows(options.rows, 2)[0]
    by_row = np.ascontiguousarray(by_column)  # what LightGBM reads quickest
    score_and_choose(example, by_column[:CHUNK_ROWS], chunk_rows=CHUNK_ROWS)
    timings = alternate(
        {
            REFERENCE: Contender(
                lambda: example.booster.predict(by_row, raw_score=True, num_threads=options.threads),
                options.rows,
            ),
            OURS: Contender(
                lambda: score_and_choose(example, by_column, chunk_rows=CHUNK_ROWS), options.rows
            ),
        },
        rounds=options.rounds,
        warm=0,
    )
    return compare_with(f"{trees} trees", timings, REFERENCE, targets={OURS: TARGETS.get(trees, "")})


def grow_rows(folder: Path, options: argparse.Namespace) -> list[Growth]:
    """Fit the cost of scores with reasons against the number of rows."""
    from propensity.batch import CHUNK_ROWS

    example = make_example(folder, trees=options.trees[0], leaves=options.leaves, threads=options.threads)
    X = make_rows(options.rows // 5, 3)[0]
    sizes = [len(X) // k for k in (10, 5, 2, 1) for _ in range(3)]
    seconds = [_time(lambda n=n: score_and_choose(example, X[:n], chunk_rows=CHUNK_ROWS)) for n in sizes]
    return [grow(f"rows, {options.trees[0]} trees", sizes, seconds, target="<= 1.05")]


def grow_trees(folder: Path, options: argparse.Namespace) -> list[Growth]:
    """Fit the cost of scores with reasons against the number of trees."""
    if len(options.growing) < 2:
        return []
    X, sizes, seconds = make_rows(max(options.rows // 50, 1000), 4)[0], [], []
    examples = {
        trees: make_example(folder, trees=trees, leaves=options.leaves, threads=options.threads)
        for trees in options.growing
    }
    for example in examples.values():
        score_and_choose(example, X, chunk_rows=len(X))
    for _ in range(5):
        for trees, example in examples.items():
            sizes.append(trees)
            seconds.append(_time(lambda e=example: score_and_choose(e, X, chunk_rows=len(X))))
    return [grow(f"trees, {len(X):,} rows", sizes, seconds)]


def compare_sentences(folder: Path, options: argparse.Namespace) -> tuple[list[Comparison], list[Fact]]:
    """Time the whole way from a feature table to sentences, and its parts."""
    from propensity.batch import score_rows
    from propensity.model.encoding import encode
    from propensity.predict import Predictor

    ws = simulated_workspace(folder / "workspace", leads=options.leads)
    bundle = Predictor.load(ws.models / "bundle", threads=options.threads).bundle
    known = pd.read_parquet(ws.processed / "training.parquet")
    drawn = np.random.default_rng(5).integers(0, len(known), options.told)
    table = known.iloc[drawn].reset_index(drop=True)
    table["lead_id"] = [f"lead-{i}" for i in range(len(table))]
    nobody = pd.DataFrame({c: pd.Series(dtype="str") for c in RULES})
    matrix = np.ascontiguousarray(encode(table, bundle.encoding))
    boosters = bundle.model.boosters
    timings = alternate(
        {
            REFERENCE: Contender(
                lambda: [b.predict(matrix, raw_score=True, num_threads=options.threads) for b in boosters],
                options.told,
            ),
            SENTENCES: Contender(lambda: score_rows(bundle, table, nobody), options.told),
        },
        rounds=options.rounds,
    )
    what = f"feature table to sentences, {bundle.model.leaves:,} leaves"
    return compare_with(what, timings, REFERENCE), tell_shares(bundle, table)


def tell_shares(bundle: Any, table: pd.DataFrame) -> list[Fact]:
    """Return the share of each part of the way from a feature table to sentences, one after another."""
    from propensity.batch import CHUNK_ROWS, score_rows
    from propensity.bundled import trained_with, voice_of
    from propensity.explain.contributions import compute_contributions
    from propensity.explain.families import group_families
    from propensity.explain.lifts import tell_lifts
    from propensity.explain.points import compute_points
    from propensity.explain.reasons import top_reasons
    from propensity.model.encoding import encode

    chunk = table.head(CHUNK_ROWS)
    voice, features = voice_of(bundle, trained_with(bundle)), bundle.features
    matrix = encode(chunk, bundle.encoding)
    contributions = compute_contributions(bundle.model, bundle.calibrator, matrix)
    points = compute_points(contributions, bundle.cutoffs["reference_odds"])
    families = group_families(points, features)
    nobody = pd.DataFrame({c: pd.Series(dtype="str") for c in RULES})
    half = points.score < np.median(points.score)
    parts: dict[str, Callable[[], object]] = {
        "encode": lambda: encode(chunk, bundle.encoding),
        "contributions": lambda: compute_contributions(bundle.model, bundle.calibrator, matrix),
        "points": lambda: compute_points(contributions, bundle.cutoffs["reference_odds"]),
        "families": lambda: group_families(points, features),
        "reasons' sentences": lambda: top_reasons(points, chunk, features, voice, families=families),
        "lifts' sentences, half of the leads": lambda: tell_lifts(
            points, chunk, features, voice, wanted=half, families=families
        ),
    }
    whole = median(_time(lambda: score_rows(bundle, chunk, nobody)) for _ in range(5))
    found = {name: median(_time(part) for _ in range(5)) / whole for name, part in parts.items()}
    return [Fact(f"share of {name}", share) for name, share in found.items()]


def _time(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
