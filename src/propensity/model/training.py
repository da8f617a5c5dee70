"""Fitting the candidates and choosing among them on the stop part."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.features.catalogue import Feature
from propensity.model.boosting import boosting_settings, check_monotone, fit_boosting, fit_rounds
from propensity.model.encoding import Encoding, encode, fit_encoding
from propensity.model.estimators import Blend, Boosted, Estimator, Logistic, Matrix, Vector, make_boosted
from propensity.model.logistic import PENALTIES, fit_logistic
from propensity.params import ModelParams

Part = tuple[Matrix, npt.NDArray[np.bool_], Vector]

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
        The penalty, rounds and blend weight found on the stop part.
    """

    encoding: Encoding
    model: Estimator
    chosen: str
    stop_margins: dict[str, Vector]
    stop: Part
    stop_leads: npt.NDArray[np.int64]
    settings: dict[str, float]


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
        `monotone` names a feature that is not used or is a category.
    """
    table = table.sort_values(["lead_id", "as_of"], kind="stable", ignore_index=True)
    rows = {part: table[table["split"] == part] for part in ("train", "stop")}
    encoding = fit_encoding(rows["train"], features)
    check_monotone(monotone, encoding)
    train, stop = (_part(rows[part], encoding) for part in ("train", "stop"))
    both: Part = tuple(np.concatenate(pair) for pair in zip(train, stop, strict=True))  # type: ignore[assignment]
    candidates: dict[str, Estimator] = {}
    settings: dict[str, float] = {}
    wanted: set[str] = set(params.candidates)
    if wanted & {"logistic", "blend"}:
        candidates["logistic"], settings["penalty"] = _best_logistic(train, stop, encoding, monotone)
    if wanted & {"lightgbm", "blend"}:
        candidates["lightgbm"], settings["rounds"] = _best_boosting(train, stop, encoding, params, monotone)
    if "blend" in wanted:
        candidates["blend"], settings["weight"] = _best_blend(candidates, stop)
    margins = {name: model.margin(stop[0]) for name, model in candidates.items() if name in wanted}
    losses = {name: log_loss(margin, stop[1], stop[2]) for name, margin in margins.items()}
    chosen = min(losses, key=lambda name: (losses[name], name))
    logger.info("log-loss on the stop part: %s; %s is chosen", losses, chosen)
    model = _refit(chosen, both, encoding, params, monotone, settings)
    leads = pd.factorize(rows["stop"]["lead_id"])[0]
    return Training(encoding, model, chosen, margins, stop, leads, settings)


def describe_candidates(training: Training) -> dict[str, Any]:
    """Return the choice with each candidate's log-loss on the stop part and its 95% interval.

    The interval is normal, over leads: several snapshots of one lead are not several leads.
    """
    _, won, weight = training.stop
    rows = {}
    for name, margin in training.stop_margins.items():
        losses = np.logaddexp(0.0, np.where(won, -margin, margin))
        mean = float(np.average(losses, weights=weight))
        by_lead = np.bincount(training.stop_leads, weight * (losses - mean))
        half = float(1.96 * np.sqrt(np.sum(by_lead**2)) / weight.sum())
        rows[name] = {"log_loss": mean, "log_loss_interval": [mean - half, mean + half]}
    return {
        "chosen": training.chosen,
        "candidates": rows,
        "settings": training.settings,
        "n_features": len(training.encoding.features),
    }


def log_loss(margin: Vector, won: npt.NDArray[np.bool_], weight: Vector) -> float:
    """Return the weighted mean log-loss of log-odds; zero is perfect, smaller is better."""
    return float(np.average(np.logaddexp(0.0, np.where(won, -margin, margin)), weights=weight))


def _part(rows: pd.DataFrame, encoding: Encoding) -> Part:
    return encode(rows, encoding), rows["won"].to_numpy(dtype=bool), rows["weight"].to_numpy(dtype=np.float64)


def _best_logistic(
    train: Part, stop: Part, encoding: Encoding, monotone: Mapping[str, int]
) -> tuple[Logistic, float]:
    fitted = [(fit_logistic(*train, encoding, penalty=p, monotone=monotone), p) for p in PENALTIES]
    return min(fitted, key=lambda found: log_loss(found[0].margin(stop[0]), *stop[1:]))


def _best_boosting(
    train: Part, stop: Part, encoding: Encoding, params: ModelParams, monotone: Mapping[str, int]
) -> tuple[Boosted, float]:
    settings = boosting_settings(
        len(train[1]), encoding, seed=params.seed, threads=params.threads, monotone=monotone
    )
    booster = fit_rounds(train, stop, encoding, settings)
    rounds = booster.best_iteration
    text = booster.model_to_string(num_iteration=rounds)
    return make_boosted(text, len(encoding.features), threads=params.threads), float(rounds)


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
    part: Part,
    encoding: Encoding,
    params: ModelParams,
    monotone: Mapping[str, int],
    settings: Mapping[str, float],
) -> Estimator:
    def logistic() -> Logistic:
        return fit_logistic(*part, encoding, penalty=settings["penalty"], monotone=monotone)

    def boosted() -> Boosted:
        found = boosting_settings(
            len(part[1]), encoding, seed=params.seed, threads=params.threads, monotone=monotone
        )
        booster = fit_boosting(part, encoding, found, rounds=int(settings["rounds"]))
        return make_boosted(booster.model_to_string(), len(encoding.features), threads=params.threads)

    if chosen == "logistic":
        return logistic()
    if chosen == "lightgbm":
        return boosted()
    return Blend(logistic(), boosted(), settings["weight"])
