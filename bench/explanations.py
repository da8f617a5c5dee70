"""Explanations against the simulation's mechanism, whose own effects are known.

Run in a workspace of simulated data after ``propensity run``::

    python -m bench.explanations WORKSPACE [--retrainings 10] [--sample 3000]

The true effect of a source of evidence on a lead is how much the exact log-odds of winning change when nobody
knows it: an attribute is not given, or the events of a qualifier are not watched. Effects are centred over
leads, as contributions are. The lead's age is left out on both sides.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from propensity.batch import compute_table_points
from propensity.bundled import trained_with
from propensity.data.files import read_json
from propensity.data.planted import LOG_ODDS
from propensity.data.simulate import true_probability
from propensity.explain.contributions import compute_contributions
from propensity.explain.points import Points, compute_points
from propensity.explain.reasons import group_families
from propensity.features.catalogue import Feature
from propensity.model.bundle import Bundle, read_bundle
from propensity.model.calibration import fit_calibrator
from propensity.model.encoding import encode
from propensity.model.training import train_model

Vector = npt.NDArray[np.float64]
BEHAVIOUR = ("web", "email", "social")
KEPT = 0.8  # the share of groups that each retraining learns from


@dataclass(frozen=True)
class Told:
    """What one model says of each row: points by source, and its first reason by family and by single "
    "column."""

    by_source: pd.DataFrame
    family: npt.NDArray[np.object_]
    top_families: list[frozenset[str]]
    column: npt.NDArray[np.object_]
    top_columns: list[frozenset[str]]


def true_effects(workspace: Path, rows: pd.DataFrame, bundle: Bundle) -> pd.DataFrame:
    """Return the effect of each source on the true log-odds of each row, centred; a column a source."""
    leads = pd.read_parquet(workspace / "data/interim/leads.parquet")
    leads = leads[leads["lead_id"].isin(rows["lead_id"])].reset_index(drop=True)
    events = pd.read_parquet(workspace / "data/interim/events.parquet")
    events = events[events["lead_id"].isin(leads["lead_id"])].reset_index(drop=True)
    snapshots = rows[["lead_id", "as_of"]].reset_index(drop=True)
    horizon = float(bundle.data["horizon_days"])

    def log_odds(known: pd.DataFrame, unseen: list[str]) -> Vector:
        p = true_probability(known, events, snapshots, horizon_days=horizon, unseen=unseen)
        return np.asarray(np.log(p) - np.log1p(-p))

    full = log_odds(leads, [])
    effects = {}
    for column in [*LOG_ODDS, "employees"]:
        effects[column] = full - log_odds(
            leads.assign(**{column: None if column in LOG_ODDS else np.nan}), []
        )
    for qualifier in BEHAVIOUR:
        effects[qualifier] = full - log_odds(leads, bundle.plan.event_types.get(qualifier, []))
    found = pd.DataFrame(effects)
    return found - found.mean()


def source_of(feature: Feature) -> str:
    """Return where a feature's evidence comes from: the attribute, the behaviour, or the clock."""
    return feature.qualifier if feature.qualifier in BEHAVIOUR else feature.subject


def without_age(points: Points, features: list[Feature]) -> tuple[Points, list[Feature]]:
    """Leave the lead's age out, which has no planted effect of its own: it says what a silence means."""
    kept = [j for j, feature in enumerate(features) if feature.name != "age_days"]
    return replace(points, values=points.values[:, kept]), [features[j] for j in kept]


def tell(points: Points, features: list[Feature]) -> Told:
    """Return what a model says of each row."""
    sources = [source_of(feature) for feature in features]
    frame = pd.DataFrame(points.values).T.groupby(np.array(sources)).sum().T
    grouped = group_families(points, features)
    families, sums = grouped.names, grouped.sums
    names = np.array([feature.name for feature in features], dtype=object)
    return Told(
        frame - frame.mean(),
        *_first(np.array(families, dtype=object), sums),
        *_first(names, points.values),
    )


def _first(
    names: npt.NDArray[np.object_], values: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.object_], list[frozenset[str]]]:
    order = np.argsort(-np.abs(values), axis=1, kind="stable")
    return names[order[:, 0]], [frozenset(row) for row in names[order[:, :3]]]


def compare_sizes(told: Told, effects: pd.DataFrame) -> dict[str, Any]:
    """Return the rank correlation of mean absolute points and true effects over all sources either knows."""
    sources = sorted({*told.by_source.columns, *effects.columns})
    learned = told.by_source.reindex(columns=sources, fill_value=0.0).abs().mean()
    true = effects.reindex(columns=sources, fill_value=0.0).abs().mean()
    found = stats.spearmanr(learned, true)
    shared = [s for s in effects.columns if s in told.by_source]
    by_lead = [float(np.corrcoef(told.by_source[s], effects[s])[0, 1]) for s in shared]
    return {
        "sources": len(sources),
        "rank_correlation": float(found.statistic),
        "rank_correlation_planted_only": float(stats.spearmanr(learned[shared], true[shared]).statistic),
        "correlation_by_lead": dict(zip(shared, by_lead, strict=True)),
        "sizes": pd.DataFrame({"points": learned, "true_log_odds": true}).sort_values("true_log_odds"),
    }


def share_of_true_drivers(
    told: Told, points: Points, features: list[Feature], effects: pd.DataFrame
) -> dict[str, Any]:
    """Return how often the first reason is a true driver, told by family and by single columns.

    A first reason is a true driver where its source is planted, and the source's true effect on this very
    lead is among the lead's three largest and has the reason's sign.
    """
    family_source = {feature.family: source_of(feature) for feature in features}
    column_source = {feature.name: source_of(feature) for feature in features}
    grouped = group_families(points, features)
    families, sums = grouped.names, grouped.sums
    found = {}
    for name, first, of, labels, values in (
        ("family", told.family, family_source, families, sums),
        ("single_column", told.column, column_source, [f.name for f in features], points.values),
    ):
        sign = np.sign(values[np.arange(len(values)), [labels.index(x) for x in first]])
        source = [of[x] for x in first]
        found[name] = _driver_share(source, sign, effects)
    return found


def _driver_share(source: list[str], sign: Vector, effects: pd.DataFrame) -> dict[str, Any]:
    planted = np.array([s in effects.columns for s in source])
    size = effects.abs().to_numpy()
    rank = (-size).argsort(axis=1).argsort(axis=1)
    place = np.array([effects.columns.get_loc(s) if s in effects.columns else 0 for s in source])
    rows = np.arange(len(source))
    among = planted & (rank[rows, place] < 3)
    right = among & (np.sign(effects.to_numpy()[rows, place]) == sign)
    n, share = len(source), float(right.mean())
    half = 1.96 * np.sqrt(share * (1 - share) / n)
    return {
        "n": n,
        "planted": float(planted.mean()),
        "among_three_largest": float(among.mean()),
        "true_driver": share,
        "true_driver_interval": [round(float(share - half), 3), round(float(share + half), 3)],
    }


def retrain(workspace: Path, bundle: Bundle, rows: pd.DataFrame, n: int) -> list[Told]:
    """Fit the bundle's kind of model on `n` random parts of the groups, and return what each says of "
    "`rows`."""
    table = pd.read_parquet(workspace / "data/processed/training.parquet")
    snapshots = pd.read_parquet(workspace / "data/interim/leads.parquet").set_index("lead_id")
    group = table["lead_id"].map(snapshots["account_id"]).fillna(table["lead_id"])
    chosen = read_json(workspace / "models/candidate/training.json")["chosen"]
    params = trained_with(bundle)
    model = params.model.model_copy(update={"candidates": [chosen], "trials": 0})
    found = []
    for k in range(n):
        rng = np.random.default_rng(k)
        names = np.unique(group)
        kept = set(rng.choice(names, int(KEPT * len(names)), replace=False))
        mine = table[group.isin(kept)]
        training = train_model(
            mine, bundle.features, model.model_copy(update={"seed": k}), dict(params.features.monotone)
        )
        part = mine[mine["split"] == "calibrate"]
        margin = training.model.margin(encode(part, training.encoding))
        won, weight = part["won"].to_numpy(dtype=bool), part["weight"].to_numpy(dtype=np.float64)
        calibrator = fit_calibrator(bundle.calibrator.method, margin, won, weight)
        contributions = compute_contributions(training.model, calibrator, encode(rows, training.encoding))
        points = compute_points(contributions, bundle.cutoffs["reference_odds"])
        found.append(tell(*without_age(points, training.encoding.features)))
    return found


def measure_stability(models: list[Told]) -> dict[str, float]:
    """Return how alike the reasons of models are, over all pairs: the same first one, and shared of the "
    "first three."""

    def mean(of: Callable[[Told, Told], float]) -> float:
        return float(np.mean([of(a, b) for a, b in combinations(models, 2)]))

    def overlap(a: list[frozenset[str]], b: list[frozenset[str]]) -> float:
        return float(np.mean([len(x & y) / len(x | y) for x, y in zip(a, b, strict=True)]))

    return {
        "same_first_family": mean(lambda a, b: float((a.family == b.family).mean())),
        "same_first_single_column": mean(lambda a, b: float((a.column == b.column).mean())),
        "shared_of_three_families": mean(lambda a, b: overlap(a.top_families, b.top_families)),
        "shared_of_three_single_columns": mean(lambda a, b: overlap(a.top_columns, b.top_columns)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--retrainings", type=int, default=10)
    parser.add_argument("--sample", type=int, default=3000)
    given = parser.parse_args()
    bundle = read_bundle(given.workspace / "models/bundle", threads=1)
    table = pd.read_parquet(given.workspace / "data/processed/training.parquet").query("split == 'test'")
    rows = table.sample(min(given.sample, len(table)), random_state=7).reset_index(drop=True)
    effects = true_effects(given.workspace, rows, bundle)
    points, features = without_age(compute_table_points(bundle, rows), bundle.features)
    told = tell(points, features)
    first, last = rows["as_of"].min(), rows["as_of"].max()
    print(f"n {len(rows)} snapshots of the test part, {first:%Y-%m-%d} to {last:%Y-%m-%d}")
    for name, value in compare_sizes(told, effects).items():
        print(f"{name}: {value}" if name != "sizes" else f"mean absolute effect:\n{value.round(3)}")
    for name, value in share_of_true_drivers(told, points, features, effects).items():
        print(f"first reason by {name}: {value}")
    if given.retrainings > 1:
        for name, value in measure_stability(
            retrain(given.workspace, bundle, rows, given.retrainings)
        ).items():
            print(f"{name}, {given.retrainings} retrainings: {value:.3f}")


if __name__ == "__main__":
    main()
