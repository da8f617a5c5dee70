"""A small training table with known effects, and the models that the tests fit on it once."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from propensity.features.catalogue import Feature, Plan
from propensity.model.bundle import Bundle
from propensity.model.calibration import Calibrator, fit_calibrator
from propensity.model.encoding import Encoding, Matrix, encode
from propensity.model.estimators import Vector
from propensity.model.training import Training, train_model
from propensity.params import ModelParams

KINDS = ("logistic", "lightgbm", "blend")
METHODS = ("sigmoid", "beta", "isotonic")


def make_feature(name: str, kind: str = "number", **changed: Any) -> Feature:
    fields: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "qualifier": "demographic",
        "family": name,
        "statistic": "attribute",
        "unit": "as given" if kind == "number" else "text",
        "label": name.replace("_", " "),
        "subject": name,
    }
    return Feature(**(fields | changed))


FEATURES = [
    make_feature(
        "visits_7d",
        qualifier="web",
        family="web_visit",
        statistic="count",
        subject="visit",
        window_days=7.0,
    ),
    make_feature(
        "visits_30d",
        qualifier="web",
        family="web_visit",
        statistic="count",
        subject="visit",
        window_days=30.0,
    ),
    make_feature("employees", qualifier="firmographic"),
    make_feature("channel", "category"),
    make_feature("job_title", "category"),
]
NAMES = [feature.name for feature in FEATURES]
NUMBERS = Encoding([make_feature(name) for name in ("x", "y", "z")], {})
CHANNEL_EFFECT = {"referral": 1.5, "search": 0.3, "ads": -0.8}


def make_table(n: int = 1600, seed: int = 3) -> pd.DataFrame:
    """Return a training table; log-odds rise with visits and by channel, employees are missing in a tenth."""
    rng = np.random.default_rng(seed)
    recent = rng.poisson(1.0, n).astype(float)
    earlier = rng.poisson(2.0, n).astype(float)
    employees = np.where(rng.random(n) < 0.1, np.nan, np.exp(rng.normal(4, 1, n)).round())
    channel = rng.choice([*CHANNEL_EFFECT, None], n, p=[0.2, 0.4, 0.3, 0.1])
    title = rng.choice(["clerk", "engineer", "buyer", "rare one"], n, p=[0.4, 0.3, 0.295, 0.005])
    effect = np.array([CHANNEL_EFFECT.get(c, 0.0) for c in channel])
    margin = -2.2 + 0.6 * recent + 0.1 * earlier + effect + 0.8 * (title == "buyer")
    part = np.select([np.arange(n) < 0.5 * n, np.arange(n) < 0.7 * n], ["train", "stop"], "calibrate")
    return pd.DataFrame(
        {
            "lead_id": [f"lead-{i:05d}" for i in range(n)],
            "as_of": pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(n), unit="h"),
            "split": part,
            "won": rng.random(n) < expit(margin),
            "weight": 1.0,
            "visits_7d": recent,
            "visits_30d": recent + earlier,
            "employees": employees,
            "channel": pd.array(channel, dtype="str"),
            "job_title": pd.array(title, dtype="str"),
        }
    )


def make_numbers(n: int = 600, seed: int = 0) -> tuple[Matrix, Any, Vector]:
    """Return a matrix of NUMBERS, outcomes and weights; log-odds rise with x and z and fall with y."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(size=n), rng.poisson(1.0, n), rng.exponential(size=n)]).astype(float)
    X[rng.random(n) < 0.15, 2] = np.nan
    won = rng.random(n) < expit(-1 + X[:, 0] - 0.5 * X[:, 1] + 0.3 * np.nan_to_num(X[:, 2], nan=2.0))
    return X, won, np.ones(n)


@cache
def table() -> pd.DataFrame:
    return make_table()


@cache
def training(kind: str) -> Training:
    return train_model(table(), FEATURES, model_params(kind), {})


def model_params(kind: str) -> ModelParams:
    return ModelParams.model_validate({"candidates": [kind], "threads": 1})


@cache
def matrix(kind: str, part: str) -> Matrix:
    rows = table()[table()["split"] == part]
    return encode(rows, training(kind).encoding)


@cache
def calibrator(kind: str, method: str) -> Calibrator:
    rows = table()[table()["split"] == "calibrate"]
    margin = training(kind).model.margin(matrix(kind, "calibrate"))
    return fit_calibrator(method, margin, rows["won"].to_numpy(dtype=bool), np.ones(len(rows)))


@cache
def bundle(kind: str, method: str = "sigmoid") -> Bundle:
    found = training(kind)
    return Bundle(
        plan=Plan(
            attributes={"employees": "number", "job_title": "text"},
            qualifier_of={"employees": "firmographic", "job_title": "demographic"},
            event_types={"web": ["visit"]},
            lookback_days=[7.0, 30.0],
            has_channel=True,
        ),
        encoding=found.encoding,
        model=found.model,
        calibrator=calibrator(kind, method),
        cutoffs={"reference_odds": 0.25, "mql": {"probability": 0.2}, "sql": {"probability": 0.4}},
        params={"snapshots": {"horizon_days": 90.0}},
        data={"observed_until": "2025-06-30T00:00:00+00:00", "files": {"leads.csv": "0" * 64}},
    )
