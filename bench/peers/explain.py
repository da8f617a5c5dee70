"""Explain rows with one peer, each time it is asked; runs in an environment of the peer's own.

::

    python explain.py shap FOLDER

`FOLDER` holds what `bench.explain` writes: ``model.txt`` (LightGBM's), ``size.json``, ``train.npz``,
``rows.npy`` and ``exact.npy``, the contributions of the first rows. XGBoost and CatBoost fit as many trees of
as many leaves on the same rows. A line of JSON with the number of rows comes in; one with seconds, the most
bytes held and, of a peer on LightGBM's trees, the largest difference of its contributions goes out.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Explain = Callable[[np.ndarray], tuple[np.ndarray, Any]]


def shap_explainer(folder: Path, _: int) -> Explain:
    """shap's TreeExplainer on LightGBM's trees; LightGBM itself does its path-dependent values."""
    import lightgbm as lgb
    import shap

    explainer = shap.TreeExplainer(lgb.Booster(model_file=str(folder / "model.txt")))
    return lambda X: (explainer.shap_values(X), explainer.expected_value)


def woodelf_explainer(folder: Path, _: int) -> Explain:
    """WOODELF, path-dependent."""
    import lightgbm as lgb
    import pandas as pd
    from woodelf import WoodelfExplainer

    booster = lgb.Booster(model_file=str(folder / "model.txt"))
    explainer = WoodelfExplainer(booster, feature_perturbation="tree_path_dependent")

    def explain(X: np.ndarray) -> tuple[np.ndarray, Any]:
        frame = pd.DataFrame(X, columns=booster.feature_name())
        return np.asarray(explainer.shap_values(frame)), None

    return explain


def fasttreeshap_explainer(folder: Path, _: int, algorithm: str) -> Explain:
    """FastTreeSHAP with one of its algorithms."""
    import fasttreeshap
    import lightgbm as lgb

    booster = lgb.Booster(model_file=str(folder / "model.txt"))
    explainer = fasttreeshap.TreeExplainer(booster, algorithm=algorithm, n_jobs=-1)

    def explain(X: np.ndarray) -> tuple[np.ndarray, Any]:
        found = explainer.shap_values(X, check_additivity=False)
        base = explainer.expected_value
        return (found[-1], base[-1]) if isinstance(found, list) else (found, base)

    return explain


def xgboost_explainer(folder: Path, threads: int) -> Explain:
    """XGBoost's own contributions, of as many trees of as many leaves."""
    import xgboost as xgb

    train = np.load(folder / "train.npz")
    size = json.loads((folder / "size.json").read_text())

    def matrix(X: np.ndarray, y: np.ndarray | None = None) -> Any:
        return xgb.DMatrix(X, y, nthread=threads)

    settings = {
        "objective": "binary:logistic", "tree_method": "hist", "grow_policy": "lossguide", "max_depth": 0,
        "max_leaves": size["leaves"], "learning_rate": 0.05, "nthread": threads,
    }  # fmt: skip
    booster = xgb.train(settings, matrix(train["X"], train["y"]), size["trees"])

    def explain(X: np.ndarray) -> tuple[np.ndarray, Any]:
        found = booster.predict(matrix(X), pred_contribs=True)
        return found[:, :-1], found[:, -1]

    return explain


def catboost_explainer(folder: Path, threads: int) -> Explain:
    """CatBoost's own contributions, of as many symmetric trees of as many leaves; all columns are numbers."""
    import catboost

    train = np.load(folder / "train.npz")
    size = json.loads((folder / "size.json").read_text())
    depth = int(np.log2(size["leaves"] + 1))
    model = catboost.CatBoostClassifier(
        iterations=size["trees"], depth=depth, learning_rate=0.05, thread_count=threads, verbose=False,
        allow_writing_files=False,
    )  # fmt: skip
    model.fit(train["X"], train["y"])

    def explain(X: np.ndarray) -> tuple[np.ndarray, Any]:
        pool = catboost.Pool(X, thread_count=threads)
        found = model.get_feature_importance(pool, type="ShapValues", thread_count=threads)
        return found[:, :-1], found[:, -1]

    return explain


PEERS: dict[str, Callable[[Path, int], Explain]] = {
    "shap": shap_explainer,
    "woodelf": woodelf_explainer,
    "fasttreeshap_v1": lambda folder, threads: fasttreeshap_explainer(folder, threads, "v1"),
    "fasttreeshap_v2": lambda folder, threads: fasttreeshap_explainer(folder, threads, "v2"),
    "xgboost": xgboost_explainer,
    "catboost": catboost_explainer,
}
# Those that explain LightGBM's own trees, whose contributions can be compared.
ON_LIGHTGBM = ("shap", "woodelf", "fasttreeshap_v1", "fasttreeshap_v2")


def main() -> None:
    """Load, then explain as many rows as each line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=list(PEERS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = np.load(given.folder / "rows.npy", mmap_mode="r")
    explain = PEERS[given.peer](given.folder, given.threads)
    for line in sys.stdin:
        X = np.array(rows[: json.loads(line)["rows"]])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        found, _ = explain(X)
        seconds = time.perf_counter() - start
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        answer = {"seconds": seconds, "peak": held * 1024}
        if given.peer in ON_LIGHTGBM:
            n = min(len(X), 200)
            exact = np.load(given.folder / "exact.npy")[:n]
            answer["difference"] = float(np.abs(np.asarray(found)[:n] - exact).max())
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
