"""PRM501 and PRM502: performance estimated before labels are final, and what came of each estimate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from propensity.evaluation.estimated import (
    ASSUMPTIONS,
    ESTIMATED,
    compute_realised,
    estimate_performance,
)
from propensity.evaluation.noise import FEWEST_BLOCKS, adjust, next_p_value
from propensity.loop.features import cannot_compare
from propensity.loop.reference import expected_auc
from propensity.loop.signals import Check, Signal
from propensity.loop.watch import ANEW, NO_REFERENCE, UNREADABLE, Watch

DAYS = 28
RETRAIN = "propensity monitor --retrain   # whether a model of the newer outcomes does better"
_CALLED = {"auc": "AUC", "log_loss": "log-loss", "brier": "Brier score", "wins": "wins"}


def check_estimate(check: Check, watch: Watch) -> list[Signal]:
    """Estimate how the newest four weeks will do, and hold that against the reference's periods."""
    if (cannot := cannot_compare(check, watch)) is not None:
        return [cannot]
    rows = watch.window(DAYS)
    found = estimate(watch, rows)
    said = f"{tell_estimate(found)} expected of {len(rows):,} snapshots from {watch.period(DAYS)}"
    usual = watch.reference["estimated"]
    now = expected_auc(rows["probability"].to_numpy())
    if len(usual) < FEWEST_BLOCKS or now is None:
        return [check.ok(f"{said}. {ASSUMPTIONS}", estimates=found, n=len(rows), days=DAYS)]
    p = next_p_value(now, usual)
    if p <= watch.alpha and now < float(np.mean(usual)):
        return [
            check.alarm(
                f"the AUC to be expected has fallen to {now:.3f}; {np.mean(usual):.3f} on average in "
                f"{len(usual)} reference periods, between {min(usual):.3f} and {max(usual):.3f}. {said}. "
                f"{ASSUMPTIONS}",
                subject="auc",
                next_step=RETRAIN,
                value=now,
                interval=[min(usual), max(usual)],
                estimates=found,
                n=len(rows),
                days=DAYS,
                p_value=p,
            )
        ]
    return [check.ok(f"{said}. {ASSUMPTIONS}", estimates=found, n=len(rows), days=DAYS)]


def check_realised(check: Check, watch: Watch) -> list[Signal]:
    """Hold the estimates of earlier four weeks against what happened, once all their labels are final."""
    if not watch.reference:
        return [check.cannot_say(NO_REFERENCE, next_step=ANEW)]
    if watch.refused is not None:
        return [check.cannot_say(UNREADABLE)]
    scored = score_estimates(watch)
    if scored.empty:
        wait = pd.Timestamp(watch.since) + pd.Timedelta(days=DAYS + watch.horizon_days)
        return [
            check.cannot_say(
                f"the first four weeks after the model's data have final labels on {wait:%Y-%m-%d}"
            )
        ]
    newest = scored[scored["period_end"] == scored["period_end"].max()]
    fresh = bool(newest["fresh"].iloc[0])
    known = newest[newest["p_value"].notna()]
    adjusted = adjust(known["p_value"].tolist())
    coverage = f"{int(scored['inside'].sum())} of {len(scored)} estimates so far held in their 95% interval"
    period = f"{newest['period_start'].iloc[0]:%Y-%m-%d} to {newest['period_end'].iloc[0]:%Y-%m-%d}"
    signals = []
    for row, p in zip(known.to_dict("records"), adjusted, strict=True):
        if fresh and p <= watch.alpha:
            signals.append(
                check.alarm(
                    f"{_CALLED[row['metric']]} was {row['realised']:.4g} in {row['n']:,} snapshots from "
                    f"{period}, {row['estimate']:.4g} [{row['low']:.4g}, {row['high']:.4g}] had been "
                    f"expected; {coverage}",
                    subject=row["metric"],
                    next_step=RETRAIN,
                    realised=row["realised"],
                    estimate=row["estimate"],
                    interval=[row["low"], row["high"]],
                    n=row["n"],
                    p_value=p,
                )
            )
    told = ", ".join(
        f"{_CALLED[row['metric']]} {row['realised']:.4g} ({row['estimate']:.4g} [{row['low']:.4g}, "
        f"{row['high']:.4g}] expected)"
        for row in newest.to_dict("records")
    )
    return signals or [
        check.ok(
            f"{told} in {int(newest['n'].iloc[0]):,} snapshots from {period}; {coverage}",
            inside=int(scored["inside"].sum()),
            estimates=len(scored),
        )
    ]


def estimate(watch: Watch, rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the estimates of rows; their intervals hold how well the level of the probabilities is known."""
    error = (watch.reference.get("level") or {}).get("shift_error") or 0.0
    return estimate_performance(
        rows["log_odds"].to_numpy(), rows["lead_id"].to_numpy(), seed=watch.seed, level_error=error
    )


def tell_estimate(found: dict[str, dict[str, float]]) -> str:
    """Return estimates with their intervals in words."""
    return ", ".join(
        f"{_CALLED[name]} {found[name]['value']:.4g} [{found[name]['low']:.4g}, {found[name]['high']:.4g}]"
        for name in ESTIMATED
    )


def score_estimates(watch: Watch) -> pd.DataFrame:
    """Hold the estimate of each four weeks since the model's data end against what happened.

    An estimate needs the probabilities alone, so that it can be made again as it would have been made then.

    Returns
    -------
    DataFrame
        One row a period and figure: ``period_start, period_end, metric, n, estimate, low, high, realised,
        inside, p_value``, and ``fresh``: whether its labels became final in the newest week. Periods whose
        labels are not final are not there.
    """
    columns = ["period_start", "period_end", "metric", "n", "estimate", "low", "high", "realised", "inside"]
    found: list[dict[str, Any]] = []
    start, length = pd.Timestamp(watch.since), pd.Timedelta(days=DAYS)
    horizon = pd.Timedelta(days=watch.horizon_days)
    while start + length + horizon <= pd.Timestamp(watch.as_of):
        end = start + length
        rows = watch.rows[(watch.rows["as_of"] > start) & (watch.rows["as_of"] <= end)]
        if len(rows):
            fresh = end + horizon > pd.Timestamp(watch.as_of) - pd.Timedelta(days=7)
            found += [
                row | {"period_start": start, "period_end": end, "fresh": fresh}
                for row in _score(watch, rows)
            ]
        start = end
    return pd.DataFrame(found, columns=[*columns, "p_value", "fresh"])


def _score(watch: Watch, rows: pd.DataFrame) -> list[dict[str, Any]]:
    made = estimate(watch, rows)
    came = compute_realised(rows["won"].to_numpy(dtype=bool), rows["probability"].to_numpy())
    scored = []
    for name in ESTIMATED:
        known, value = made[name], came[name]
        z = (value - known["value"]) / known["sd"] if known["sd"] else float("nan")
        scored.append(
            {
                "metric": name,
                "n": len(rows),
                "estimate": known["value"],
                "low": known["low"],
                "high": known["high"],
                "realised": value,
                "inside": bool(known["low"] <= value <= known["high"]),
                "p_value": float(2 * stats.norm.sf(abs(z))) if np.isfinite(z) else float("nan"),
            }
        )
    return [row for row in scored if np.isfinite(came[str(row["metric"])])]


CHECKS = (
    Check("PRM501", "estimated_performance", "Performance before labels are final", check_estimate),
    Check("PRM502", "realised_performance", "Earlier estimates against what happened", check_realised),
)
