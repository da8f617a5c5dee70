"""PRM506: whether a model of the newer outcomes would do better, by fitting one and comparing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from propensity.bundled import trained_with
from propensity.errors import InputError
from propensity.evaluation.paired import compare_models
from propensity.features.catalogue import catalogue
from propensity.loop.monitoring import data_end
from propensity.loop.rows import gather_rows
from propensity.loop.signals import Check, Signal
from propensity.model.bundle import Bundle
from propensity.model.calibration import choose_calibrator
from propensity.model.encoding import encode
from propensity.model.estimators import Vector, probability_of
from propensity.model.training import train_model

if TYPE_CHECKING:
    import ibis.expr.types as ir

COMPARED_DAYS = 56  # of snapshots with the newest final labels, which neither model has seen
SHARES = {"train": 0.7, "stop": 0.85, "calibrate": 1.0}  # up to which place in time each part reaches
FEWEST_WINS = 20
BEGINNING = datetime.fromisoformat("1900-01-01T00:00:00+00:00")
CHECK = Check(
    "PRM506",
    "retraining",
    "A model of newer outcomes beside the present one",
    lambda check, _: [check.cannot_say("nothing was fitted", next_step="propensity monitor --retrain")],
    by_chance=False,
)


def compare_retrained(
    con: Any, tables: Mapping[str, ir.Table], made: Bundle, *, until: datetime, seed: int
) -> Signal:
    """Fit a model on the labels that are final before the newest ones, and compare the two on the newest.

    Features, candidates, calibrators and ages are those of the present model; its plan is kept.

    Parameters
    ----------
    con : ibis backend
    tables : mapping
        Canonical tables.
    made : Bundle
        The present model, of data with dates.
    until : datetime
        The moment of the look.
    seed : int
    """
    horizon = timedelta(days=float(made.data["horizon_days"]))
    begin = until - horizon - timedelta(days=COMPARED_DAYS)
    if begin <= data_end(made):
        ready = data_end(made) + horizon + timedelta(days=COMPARED_DAYS)
        return CHECK.cannot_say(
            f"no label that the present model has not seen is final before the newest {COMPARED_DAYS} days "
            f"of them; from {ready:%Y-%m-%d} on a model can be fitted on newer outcomes and compared"
        )
    rows = gather_rows(con, tables, made, since=BEGINNING, until=until)
    rows = rows[rows["mature"]]
    compared = rows[rows["as_of"] > pd.Timestamp(begin)]
    known = rows[rows["label_end"] <= pd.Timestamp(begin)]
    won = compared["won"].to_numpy(dtype=bool)
    if int(won.sum()) < FEWEST_WINS or won.all():
        return CHECK.cannot_say(
            f"{int(won.sum())} wins among the newest final labels; {FEWEST_WINS} tell models apart"
        )
    try:
        challenger = fit_challenger(known, made, compared, seed=seed)
    except InputError as error:
        return CHECK.cannot_say(f"no model could be fitted on the newer outcomes: {error}")
    found = compare_models(
        won, compared["probability"].to_numpy(), challenger, compared["group"].to_numpy(), seed=seed
    )
    return _tell(found.loc["log_loss"].to_dict(), compared, known)


def fit_challenger(known: pd.DataFrame, made: Bundle, compared: pd.DataFrame, *, seed: int) -> Vector:
    """Return the probabilities that a model fitted on `known` gives to the rows of `compared`."""
    params = trained_with(made)
    ordered = known.sort_values(["as_of", "lead_id"], ignore_index=True)
    place = (np.arange(len(ordered)) + 0.5) / max(len(ordered), 1)
    part = np.select([place < share for share in SHARES.values()], list(SHARES))
    table = ordered.assign(split=part, weight=1.0)
    fitted = train_model(table, catalogue(made.plan), params.model, dict(params.features.monotone))
    rows = table[table["split"] == "calibrate"]
    choice = choose_calibrator(
        fitted.model.margin(encode(rows, fitted.encoding)),
        rows["won"].to_numpy(dtype=bool),
        rows["weight"].to_numpy(),
        rows["group"].to_numpy(),
        list(params.calibration.methods),
        seed=seed,
    )
    margin = fitted.model.margin(encode(compared, fitted.encoding))
    return probability_of(choice.calibrator.log_odds(margin))


def _tell(loss: Mapping[Any, Any], compared: pd.DataFrame, known: pd.DataFrame) -> Signal:
    said = (
        f"log-loss {loss['challenger']:.4f} with a model of {len(known):,} labels up to "
        f"{known['label_end'].max():%Y-%m-%d}, {loss['champion']:.4f} with the present one: "
        f"{loss['difference']:+.4f} [{loss['low']:+.4f}, {loss['high']:+.4f}] on {len(compared):,} snapshots "
        f"from {compared['as_of'].min():%Y-%m-%d} to {compared['as_of'].max():%Y-%m-%d}"
    )
    evidence: dict[str, Any] = {
        "difference": float(loss["difference"]),
        "interval": [float(loss["low"]), float(loss["high"])],
        "n": len(compared),
        "wins": int(compared["won"].sum()),
    }
    if loss["high"] < 0:
        step = "propensity run, then: propensity promote"
        return CHECK.alarm(f"retraining helps: {said}", subject="log_loss", next_step=step, **evidence)
    return CHECK.ok(f"retraining does not help beyond noise: {said}", **evidence)
