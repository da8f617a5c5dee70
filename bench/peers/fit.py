"""Fit one peer on a prepared data set and write its probabilities on the test part.

It runs in an environment of the peer's own and imports nothing of the product::

    python fit.py lightgbm FOLDER OUT.npy --limit 60

`FOLDER` holds ``table.parquet`` and ``features.json`` (see ``bench/quality.py``). A peer fits on train
and stop; those that search or stop early validate on calibrate. What is written has two rows: the
peer's probabilities as they come, and after Platt's sigmoid fitted on calibrate.
"""

from __future__ import annotations

import argparse
import json
import pickle
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FOLDS = 5
SEED = 7


@dataclass(frozen=True)
class Data:
    """The rows to fit on, those to validate on, and those to predict.

    Attributes
    ----------
    fit, valid, test : DataFrame
        Features only; a category is text.
    won, weight, group : array
        Of the rows of `fit`.
    won_valid : array
    categories, numbers : list of str
    scratch : Path
        A folder that is removed in the end.
    """

    fit: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame
    won: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    won_valid: np.ndarray
    categories: list[str]
    numbers: list[str]
    scratch: Path


Fitted = tuple[Callable[[pd.DataFrame], np.ndarray], int, str]


def read(folder: Path, scratch: Path) -> Data:
    """Read a data set as `bench.quality` prepared it."""
    table = pd.read_parquet(folder / "table.parquet")
    listed = json.loads((folder / "features.json").read_text())
    categories = [f["name"] for f in listed if f["kind"] == "category"]
    numbers = [f["name"] for f in listed if f["kind"] == "number"]
    for name in categories:
        table[name] = table[name].astype("object").where(table[name].notna(), "(missing)").astype("object")
    for name in numbers:
        table[name] = table[name].astype("float64")
    fit = table[table["split"].isin(["train", "stop"])]
    valid, test = (table[table["split"] == part] for part in ("calibrate", "test"))
    names = [f["name"] for f in listed]
    return Data(
        fit[names].reset_index(drop=True),
        valid[names].reset_index(drop=True),
        test[names].reset_index(drop=True),
        fit["won"].to_numpy(dtype=int),
        fit["weight"].to_numpy(dtype=float),
        pd.factorize(fit["group"])[0],
        valid["won"].to_numpy(dtype=int),
        categories,
        numbers,
        scratch,
    )


def pickled(model: Any) -> int:
    """Return how many bytes a model takes in the one format that all peers have; nothing is read back."""
    return len(pickle.dumps(model))


def fit_logistic(data: Data, _: int) -> Fitted:
    """One-hot categories, scaled numbers with the median for a missing one."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), data.numbers),
            ("categories", OneHotEncoder(handle_unknown="ignore"), data.categories),
        ]
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=2000))
    model.fit(data.fit, data.won, logisticregression__sample_weight=data.weight)
    return lambda X: model.predict_proba(X)[:, 1], pickled(model), ""


def fit_naive_bayes(data: Data, _: int) -> Fitted:
    """Odoo's predictive lead scoring: frequencies of each value among won and lost, 0.1 added, multiplied."""
    won = data.won == 1
    share = won.mean()
    edges = {name: np.unique(np.nanquantile(data.fit[name], np.arange(1, 5) / 5)) for name in data.numbers}

    def binned(X: pd.DataFrame) -> pd.DataFrame:
        parts = {name: X[name].astype(str) for name in data.categories}
        for name, cut in edges.items():
            parts[name] = pd.Series(np.searchsorted(cut, X[name]).astype(str), index=X.index).where(
                X[name].notna(), "(missing)"
            )
        return pd.DataFrame(parts)

    cells = binned(data.fit)
    tables = {}
    for name in cells:
        counts = pd.crosstab(cells[name], won).reindex(columns=[False, True], fill_value=0) + 0.1
        ratio = np.log(counts[True] / counts[True].sum()) - np.log(counts[False] / counts[False].sum())
        tables[name] = ratio

    def predict(X: pd.DataFrame) -> np.ndarray:
        total = np.full(len(X), np.log(share / (1 - share)))
        for name, column in binned(X).items():
            total += column.map(tables[name]).fillna(0.0).to_numpy(dtype=float)
        return 1 / (1 + np.exp(-total))

    return predict, pickled(tables), ""


def typed(X: pd.DataFrame, data: Data) -> pd.DataFrame:
    """Return the rows with categories as pandas categories, of the levels that were fitted on."""
    levels = {name: pd.CategoricalDtype(sorted(data.fit[name].unique())) for name in data.categories}
    return X.astype(levels)


def fit_histogram(data: Data, _: int) -> Fitted:
    """scikit-learn's histogram boosting; categories beyond its 255 levels are one level."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    kept = {name: data.fit[name].value_counts().index[:250] for name in data.categories}

    def clean(X: pd.DataFrame) -> pd.DataFrame:
        made = {name: X[name].where(X[name].isin(levels), "(other)") for name, levels in kept.items()}
        types = {name: pd.CategoricalDtype([*levels, "(other)"]) for name, levels in kept.items()}
        return X.assign(**made).astype(types)

    model = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=SEED)
    model.fit(clean(data.fit), data.won, sample_weight=data.weight)
    return lambda X: model.predict_proba(clean(X))[:, 1], pickled(model), ""


def fit_lightgbm(data: Data, _: int) -> Fitted:
    """LightGBM's defaults, its own way with categories."""
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(random_state=SEED, verbose=-1)
    model.fit(typed(data.fit, data), data.won, sample_weight=data.weight)
    return lambda X: model.predict_proba(typed(X, data))[:, 1], pickled(model), ""


def fit_catboost(data: Data, _: int) -> Fitted:
    """CatBoost's defaults, its ordered target statistics, the best round on calibrate."""
    from catboost import CatBoostClassifier, Pool

    places = [data.fit.columns.get_loc(name) for name in data.categories]
    pool = Pool(data.fit, data.won, weight=data.weight, cat_features=places)
    valid = Pool(data.valid, data.won_valid, cat_features=places)
    model = CatBoostClassifier(random_seed=SEED, verbose=False, allow_writing_files=False, thread_count=1)
    model.fit(pool, eval_set=valid, early_stopping_rounds=100, use_best_model=True)
    return lambda X: model.predict_proba(X)[:, 1], pickled(model), f"{model.tree_count_} trees"


def fit_flaml(data: Data, limit: int) -> Fitted:
    """FLAML's search for `limit` seconds, by log-loss on calibrate."""
    from flaml import AutoML

    model = AutoML()
    model.fit(
        X_train=typed(data.fit, data),
        y_train=data.won,
        X_val=typed(data.valid, data),
        y_val=data.won_valid,
        task="classification",
        metric="log_loss",
        time_budget=limit,
        sample_weight=data.weight,
        sample_weight_val=np.ones(len(data.valid)),
        seed=SEED,
        n_jobs=1,
        verbose=0,
    )
    return (
        lambda X: model.predict_proba(typed(X, data))[:, 1],
        pickled(model.model),
        str(model.best_estimator),
    )


def fit_autogluon(data: Data, limit: int, presets: str) -> Fitted:
    """AutoGluon by log-loss for `limit` seconds; calibrate is its validation, a group in one fold."""
    from autogluon.tabular import TabularPredictor

    folder = data.scratch / "autogluon"
    best = presets == "best_quality"
    fold = np.random.default_rng(SEED).permutation(data.group.max() + 1)[data.group] % FOLDS
    rows = data.fit.assign(won=data.won, **({"fold": fold} if best else {}))
    valid = data.valid.assign(won=data.won_valid)
    predictor = TabularPredictor(
        "won", eval_metric="log_loss", path=str(folder), verbosity=1, groups="fold" if best else None
    )
    more: dict[str, Any] = {"use_bag_holdout": True, "dynamic_stacking": False} if best else {}
    predictor.fit(
        rows,
        tuning_data=valid,
        presets=presets,
        time_limit=limit,
        num_cpus=1,
        num_gpus=0,
        calibrate=True,
        **more,
    )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    note = f"{predictor.model_best}, {len(predictor.model_names())} models"

    return lambda X: predictor.predict_proba(X)[1].to_numpy(), size, note


PEERS: dict[str, Callable[[Data, int], Fitted]] = {
    "logistic": fit_logistic,
    "naive_bayes": fit_naive_bayes,
    "histogram": fit_histogram,
    "lightgbm": fit_lightgbm,
    "catboost": fit_catboost,
    "flaml": fit_flaml,
    "autogluon_medium": lambda data, limit: fit_autogluon(data, limit, "medium_quality"),
    "autogluon_best": lambda data, limit: fit_autogluon(data, limit, "best_quality"),
}


def platt(valid: np.ndarray, won: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return the test part's probabilities after a sigmoid fitted on the validation rows."""
    from sklearn.linear_model import LogisticRegression

    def logit(p: np.ndarray) -> np.ndarray:
        held = np.clip(p, 1e-6, 1 - 1e-6)
        return np.log(held / (1 - held))[:, None]

    return LogisticRegression(C=1e6).fit(logit(valid), won).predict_proba(logit(test))[:, 1]


def main() -> None:
    """Fit, predict, write, and print what it took as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=list(PEERS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--limit", type=int, default=60)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="peer-") as scratch:
        data = read(given.folder, Path(scratch))
        start = time.perf_counter()
        predict, size, note = PEERS[given.peer](data, given.limit)
        test = predict(data.test)
        seconds = time.perf_counter() - start
        calibrated = platt(predict(data.valid), data.won_valid, test)
    np.save(given.out, np.vstack([test, calibrated]))
    print(json.dumps({"seconds": seconds, "bytes": size, "note": note}))


if __name__ == "__main__":
    main()
