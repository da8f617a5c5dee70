"""Fitting the candidates and choosing among them on the stop part."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.features.catalogue import Feature
from propensity.model.boosting import (
    MANY_ROWS,
    Forge,
    Shape,
    check_monotone,
    fit_shape,
    likely_shapes,
    refit_shape,
)
from propensity.model.encoding import Encoding, encode, fit_encoding
from propensity.model.estimators import Blend, Boosted, Estimator, Logistic, Matrix, Vector
from propensity.model.logistic import PENALTIES, fit_logistic
from propensity.model.offsets import Trial, try_offsets
from propensity.model.segments import add_offsets, segment_places, tell_segments
from propensity.model.statistics import crowded_places
from propensity.params import ModelParams

Part = tuple[Matrix, npt.NDArray[np.bool_], Vector]

# Under so many won leads the choice among candidates is mostly chance, and a person should know.
FEW_WINS = 100
AVERAGED = 3  # seeds, where averaging them is tried
BLEND_WEIGHTS = np.round(np.arange(0.1, 1.0, 0.1), 1)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """What training gives.

    Attributes
    ----------
    encoding : Encoding
    model : Estimator
        The chosen candidate, fitted on train and stop together.
    chosen : str
        Its name in ``model.candidates``.
    stop_margins : dict
        Per candidate, its margins on the stop part when fitted on train alone: the evidence for the
        choice.
    stop : Part
        The stop part.
    stop_leads : array of int
        Whose snapshot each row of the stop part is.
    settings : dict
        What was found on the stop part: the penalty, the trees' rounds, leaves, categories read by their
        statistics and seeds, and the blend's weight.
    wins : int
        Won leads in train and stop.
    trials : list of Trial
        What was tried at the columns of ``model.segments``.
    """

    encoding: Encoding
    model: Estimator
    chosen: str
    stop_margins: dict[str, Vector]
    stop: Part
    stop_leads: npt.NDArray[np.int64]
    settings: dict[str, float]
    wins: int
    trials: list[Trial]


def train_model(
    table: pd.DataFrame, features: list[Feature], params: ModelParams, monotone: Mapping[str, int]
) -> Training:
    """Fit the candidates on train, choose by log-loss on stop, and refit the choice on both.

    Parameters
    ----------
    table : DataFrame
        The training table, one row per snapshot: ``split``, ``won``, ``weight`` and the features.
        Rows are put into the order of their keys first, since LightGBM repeats itself for one order
        only.
    features : list of Feature
    params : ModelParams
    monotone : dict
        Feature to +1 or -1.

    Raises
    ------
    InputError
        No feature varies.
    ParamsError
        `monotone` names a feature that is not used or is a category, ``model.segments`` a column that is no
        category in use.
    """
    table = table.sort_values(["lead_id", "as_of"], kind="stable", ignore_index=True)
    rows = {part: table[table["split"] == part] for part in ("train", "stop")}
    encoding = fit_encoding(rows["train"], features)
    check_monotone(monotone, encoding)
    places = segment_places(params.segments, features, encoding)
    data = _make_data(rows["train"], rows["stop"], encoding)
    forge = Forge(encoding, monotone, params.seed, params.threads)
    candidates: dict[str, Estimator] = {}
    settings: dict[str, float] = {}
    shape, seeds = Shape(), [params.seed]
    wanted: set[str] = set(params.candidates)
    if wanted & {"logistic", "blend"}:
        candidates["logistic"], settings["penalty"] = _best_logistic(data, forge)
    if wanted & {"lightgbm", "blend"}:
        boosted, shape, seeds, rounds = _best_boosting(data, forge, params.trials)
        candidates["lightgbm"] = boosted
        settings |= {"rounds": rounds, "leaves": shape.leaves, "statistics": len(boosted.statistics)}
        settings |= {"seeds": len(seeds), **shape.found}
    if "blend" in wanted:
        candidates["blend"], settings["weight"] = _best_blend(candidates, data.stop)
    margins = {name: model.margin(data.stop[0]) for name, model in candidates.items() if name in wanted}
    losses = {name: log_loss(margin, *data.stop[1:]) for name, margin in margins.items()}
    chosen = min(losses, key=lambda name: (losses[name], name))
    logger.info("log-loss on the stop part: %s; %s is chosen", losses, chosen)
    seen = margins[chosen], data.stop, data.stop_leads
    trials = try_offsets(*seen, encoding, places, seed=params.seed)
    model = add_offsets(_refit(chosen, data, forge, shape, seeds, settings), trials, data.stop, data.both[0])
    wins = count_wins(data.both, data.leads)
    return Training(encoding, model, chosen, margins, data.stop, data.stop_leads, settings, wins, trials)


def describe_candidates(training: Training) -> dict[str, Any]:
    """Return the choice with each candidate's log-loss on the stop part, its 95% interval, and the segments.

    The interval is normal, over leads: several snapshots of one lead are not several leads.
    """
    _, won, weight = training.stop
    rows = {}
    for name, margin in training.stop_margins.items():
        losses = _losses(margin, won)
        mean = float(np.average(losses, weights=weight))
        by_lead = np.bincount(training.stop_leads, weight * (losses - mean))
        half = float(1.96 * np.sqrt(np.sum(by_lead**2)) / weight.sum())
        rows[name] = {"log_loss": mean, "log_loss_interval": [mean - half, mean + half]}
    return {
        "chosen": training.chosen,
        "candidates": rows,
        "settings": training.settings,
        "segments": tell_segments(training.trials, training.model, training.encoding),
        "n_features": len(training.encoding.features),
        "wins": training.wins,
        "few_wins": training.wins < FEW_WINS,
    }


def count_wins(part: Part, leads: npt.NDArray[np.int64]) -> int:
    """Return how many leads are won; several snapshots of one are one."""
    return len(np.unique(leads[part[1]]))


def log_loss(margin: Vector, won: npt.NDArray[np.bool_], weight: Vector) -> float:
    """Return the weighted mean log-loss of log-odds; zero is perfect, smaller is better."""
    return float(np.average(_losses(margin, won), weights=weight))


@dataclass(frozen=True)
class _Data:
    """The parts that training reads; leads count from 0, across both parts in `leads`."""

    train: Part
    stop: Part
    both: Part
    train_leads: npt.NDArray[np.int64]
    stop_leads: npt.NDArray[np.int64]
    leads: npt.NDArray[np.int64]
    moments: pd.Series[Any]


def _make_data(train: pd.DataFrame, stop: pd.DataFrame, encoding: Encoding) -> _Data:
    parts = [_part(rows, encoding) for rows in (train, stop)]
    both: Part = tuple(np.concatenate(pair) for pair in zip(*parts, strict=True))  # type: ignore[assignment]
    rows = pd.concat([train[["lead_id", "as_of"]], stop[["lead_id", "as_of"]]], ignore_index=True)
    leads = [pd.factorize(names)[0] for names in (train["lead_id"], stop["lead_id"], rows["lead_id"])]
    return _Data(parts[0], parts[1], both, leads[0], leads[1], leads[2], rows["as_of"])


def _part(rows: pd.DataFrame, encoding: Encoding) -> Part:
    return encode(rows, encoding), rows["won"].to_numpy(dtype=bool), rows["weight"].to_numpy(dtype=np.float64)


def _best_logistic(data: _Data, forge: Forge) -> tuple[Logistic, float]:
    """Return the best fit on train and its penalty; the search ends where its loss rose twice in a row."""
    fitted, losses = [], []
    for penalty in PENALTIES:
        fitted.append((_fit_logistic(data.train, data.train_leads, forge, penalty), penalty))
        losses.append(log_loss(fitted[-1][0].margin(data.stop[0]), *data.stop[1:]))
        if len(losses) > 2 and losses[-3] < losses[-2] < losses[-1]:
            break
    return fitted[int(np.argmin(losses))]


def _fit_logistic(part: Part, leads: npt.NDArray[np.int64], forge: Forge, penalty: float) -> Logistic:
    found = forge.statistics(part, leads, crowded_places(forge.encoding))
    return fit_logistic(*part, forge.encoding, penalty=penalty, monotone=forge.monotone, statistics=found)


def _best_boosting(data: _Data, forge: Forge, trials: int) -> tuple[Boosted, Shape, list[int], int]:
    """Return the best shape's trees fitted on train, the shape, its seeds and rounds."""
    shapes = likely_shapes(len(data.train[1]), forge.encoding)
    if trials:
        from propensity.model.search import search_shape  # Optuna, only where it is asked for

        shapes.append(search_shape(data.both, data.leads, data.moments, forge, trials=trials))
    fitted = [_fit_on_train(data, forge, shape, forge.seed) for shape in shapes]
    losses = [log_loss(boosted.margin(data.stop[0]), *data.stop[1:]) for boosted, _ in fitted]
    best = int(np.argmin(losses))
    (boosted, rounds), shape = fitted[best], shapes[best]
    if len(data.train[1]) >= MANY_ROWS:
        return boosted, shape, [forge.seed], rounds
    seeds = [forge.seed + k for k in range(AVERAGED)]
    more = [_fit_on_train(data, forge, shape, seed) for seed in seeds[1:]]
    averaged = _average([boosted, *(found for found, _ in more)])
    if not _gains(boosted.margin(data.stop[0]), averaged.margin(data.stop[0]), data):
        return boosted, shape, seeds[:1], rounds
    return averaged, shape, seeds, round(float(np.mean([rounds, *(r for _, r in more)])))


def _fit_on_train(data: _Data, forge: Forge, shape: Shape, seed: int) -> tuple[Boosted, int]:
    return fit_shape(forge, shape, data.train, data.train_leads, data.stop, seed=seed)


def _average(models: list[Boosted]) -> Boosted:
    """Return the trees of models that differ in their seed as one."""
    boosters = tuple(booster for model in models for booster in model.boosters)
    return replace(models[0], boosters=boosters, base=float(np.mean([model.base for model in models])))


def _gains(before: Vector, after: Vector, data: _Data) -> bool:
    """Tell whether log-loss on the stop part falls by more than its standard error, over leads."""
    _, won, weight = data.stop
    fall = weight * (_losses(before, won) - _losses(after, won))
    mean = fall.sum() / weight.sum()
    by_lead = np.bincount(data.stop_leads, fall - weight * mean)
    return bool(mean > np.sqrt(np.sum(by_lead**2)) / weight.sum())


def _losses(margin: Vector, won: npt.NDArray[np.bool_]) -> Vector:
    return np.asarray(np.logaddexp(0.0, np.where(won, -margin, margin)))


def _best_blend(candidates: dict[str, Estimator], stop: Part) -> tuple[Blend, float]:
    logistic, boosted = candidates["logistic"], candidates["lightgbm"]
    assert isinstance(logistic, Logistic)
    assert isinstance(boosted, Boosted)
    one, other = boosted.margin(stop[0]), logistic.margin(stop[0])
    losses = [log_loss(w * one + (1 - w) * other, *stop[1:]) for w in BLEND_WEIGHTS]
    weight = float(BLEND_WEIGHTS[int(np.argmin(losses))])
    return Blend(logistic, boosted, weight), weight


def _refit(
    chosen: str,
    data: _Data,
    forge: Forge,
    shape: Shape,
    seeds: list[int],
    settings: Mapping[str, float],
) -> Estimator:
    def logistic() -> Logistic:
        return _fit_logistic(data.both, data.leads, forge, settings["penalty"])

    def boosted() -> Boosted:
        rounds = int(settings["rounds"])
        return refit_shape(forge, shape, data.both, data.leads, rounds=rounds, seeds=seeds)

    if chosen == "logistic":
        return logistic()
    if chosen == "lightgbm":
        return boosted()
    return Blend(logistic(), boosted(), settings["weight"])
