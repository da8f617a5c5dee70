"""Exact contributions beside others that explain trees.

All but XGBoost and CatBoost explain the same LightGBM model, of numbers alone, as woodelf and FastTreeSHAP
refuse splits by category; those fit as many trees of as many leaves on the same rows. LightGBM's own
contributions are also compared on a model with splits by category. Each peer runs in an environment of its
own with as many threads, and is given so many rows that a turn takes seconds; costs are compared a row.
``--environments FOLDER`` says where environments are kept; they are made there if missing, from
``bench/peers/requirements``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine import find_versions
from bench.models import CATEGORIES, FEATURES, Example, make_example, make_rows
from bench.reports import Fact, Report, compare_with
from bench.timing import Contender, alternate
from bench.workers import PEERS, Worker, make_environment

OURS, REFERENCE, OWN = "contributions", "Booster.predict", "LightGBM pred_contrib"
# The environment of each peer, and the share of the rows it is given.
OTHERS = {
    "shap": ("shap TreeExplainer", "explain", 0.005),
    "woodelf": ("woodelf", "explain", 0.2),
    "fasttreeshap_v1": ("FastTreeSHAP v1", "fasttreeshap", 0.01),
    "fasttreeshap_v2": ("FastTreeSHAP v2", "fasttreeshap", 0.01),
    "xgboost": ("XGBoost's own, equal size", "explain", 0.01),
    "catboost": ("CatBoost's own, equal size", "explain", 0.01),
}
TARGETS = {OWN: ">= 30", "shap TreeExplainer": ">= 30"}
EXACT_ROWS = 200


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--trees", type=int, default=200)
    parser.add_argument("--leaves", type=int, default=31)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", nargs="*", default=list(OTHERS), help=f"of {', '.join(OTHERS)}")
    parser.add_argument("--folder", type=Path, help="where models are kept; a temporary one if left out")
    parser.add_argument("--environments", type=Path, help="where peers' environments are; as --folder")


def measure(options: argparse.Namespace) -> Report:
    """Explain rows in turn with all peers that can be installed."""
    with tempfile.TemporaryDirectory(prefix="bench-explain-") as scratch, ExitStack() as stack:
        folder = options.folder or Path(scratch)
        example = make_example(
            folder, trees=options.trees, leaves=options.leaves, threads=options.threads, by_category=False
        )
        rows = make_rows(options.rows, 2)[0]
        given = write_inputs(folder / "explain", example, rows, options)
        workers, missing = start_workers(given, options, stack)
        timings = alternate(make_contenders(example, rows, workers, options), rounds=options.rounds)
        facts = compare_exactness(example, rows[:EXACT_ROWS], workers)
        by_category = make_example(
            folder, trees=options.trees, leaves=options.leaves, threads=options.threads
        )
        own = alternate(make_contenders(by_category, rows, {}, options), rounds=options.rounds)
        installed = [f"{kind} {version}" for kind, version in peer_versions(options).items()]
    return Report(
        "Exact contributions beside other explainers",
        f"{options.trees} trees of {options.leaves} leaves, {FEATURES} features, {options.threads} threads. "
        f"The codes of {CATEGORIES} categories are read as numbers: woodelf and FastTreeSHAP refuse them."
        f" A ratio is the cost of a row in that of the "
        f"product's contributions. Peers: {', '.join(installed) or 'none'}.",
        "python -m bench explain",
        [
            *compare_with("all contributions of a row", timings, OURS, targets=TARGETS),
            *compare_with("the same, with splits by category", own, OURS, targets=TARGETS),
        ],
        facts=facts,
        missing=missing,
        versions=find_versions("numba"),
    )


def write_inputs(folder: Path, example: Example, rows: np.ndarray, options: argparse.Namespace) -> Path:
    """Write what the peers read."""
    folder.mkdir(parents=True, exist_ok=True)
    example.booster.save_model(folder / "model.txt")
    X, y = make_rows(12_000, 1)
    np.savez(folder / "train.npz", X=np.ascontiguousarray(X), y=y)
    np.save(folder / "rows.npy", np.ascontiguousarray(rows))
    exact = example.booster.predict(rows[:EXACT_ROWS], pred_contrib=True, num_threads=1)
    np.save(folder / "exact.npy", np.asarray(exact)[:, :-1])
    size = {"trees": options.trees, "leaves": options.leaves}
    (folder / "size.json").write_text(json.dumps(size), encoding="utf-8")
    return folder


def start_workers(
    given: Path, options: argparse.Namespace, stack: ExitStack
) -> tuple[dict[str, Worker], list[str]]:
    """Start the peers that can be installed and explain a row; tell why the others cannot."""
    workers, missing = {}, []
    for peer in options.peers:
        name, environment, _ = OTHERS[peer]
        try:
            python = make_environment(environments_of(options), environment)
            command = [
                str(python),
                str(PEERS / "explain.py"),
                peer,
                str(given),
                "--threads",
                str(options.threads),
            ]
            worker = stack.enter_context(Worker(command, threads=options.threads))
            worker.ask(rows=EXACT_ROWS)
            workers[peer] = worker
        except (RuntimeError, subprocess.CalledProcessError) as error:
            missing.append(f"{name} ({str(error).splitlines()[-1][:160]})")
    return workers, missing


def environments_of(options: argparse.Namespace) -> Path:
    """Return where the peers' environments are."""
    found = options.environments or options.folder
    return Path(found) if found else Path(tempfile.gettempdir()) / "bench-environments"


def peer_versions(options: argparse.Namespace) -> dict[str, str]:
    """Return the versions that the peers' requirements pin."""
    found = {}
    for environment in dict.fromkeys(OTHERS[peer][1] for peer in options.peers):
        for line in (PEERS / "requirements" / f"{environment}.txt").read_text(encoding="utf-8").splitlines():
            name, _, version = line.partition("==")
            if name in ("shap", "woodelf-explainer", "xgboost", "catboost", "fasttreeshap"):
                found[name] = version
    return found


def make_contenders(
    example: Example, rows: np.ndarray, workers: dict[str, Worker], options: argparse.Namespace
) -> dict[str, Contender]:
    """Return what takes turns; slow ones have fewer rows."""
    by_row = np.ascontiguousarray(rows)
    few = max(int(0.005 * len(rows)), 100)

    def ours() -> None:
        for first in range(0, len(rows), 20_000):
            example.model.contributions(rows[first : first + 20_000])

    def predict() -> None:
        example.booster.predict(by_row, raw_score=True, num_threads=options.threads)

    def own() -> None:
        example.booster.predict(by_row[:few], pred_contrib=True, num_threads=options.threads)

    contenders = {
        OURS: Contender(ours, len(rows)),
        REFERENCE: Contender(predict, len(rows)),
        OWN: Contender(own, few),
    }
    for peer, worker in workers.items():
        name, _, share = OTHERS[peer]
        n = max(int(share * len(rows)), 100)
        contenders[name] = worker.contend(units=n, rows=n)
    return contenders


def compare_exactness(example: Example, rows: np.ndarray, workers: dict[str, Worker]) -> list[Fact]:
    """Return how far contributions and their sums are off, ours from tables and the peers'."""
    from propensity.model.attributions import explain, plan_attributions
    from propensity.model.trees import read_forest

    planned = plan_attributions(read_forest(example.booster.model_to_string()))
    found = explain(planned, rows, threads=1)
    own = np.asarray(example.booster.predict(rows, pred_contrib=True, num_threads=1))
    margin = np.asarray(example.booster.predict(rows, raw_score=True, num_threads=1))
    facts = [
        _fact("ours from pred_contrib", np.abs(found - own[:, :-1]).max()),
        _fact("sum of ours from the margin", np.abs(found.sum(axis=1) + planned.base - margin).max()),
        _fact("our base from pred_contrib's", abs(planned.base - own[0, -1])),
    ]
    for peer, worker in workers.items():
        answer = worker.ask(rows=EXACT_ROWS)
        if "difference" in answer:
            facts.append(
                Fact(f"largest difference, {OTHERS[peer][0]} from pred_contrib", answer["difference"])
            )
    return facts


def _fact(what: str, value: Any) -> Fact:
    return Fact(f"largest difference, {what}", float(value), target="<= 1e-10")
