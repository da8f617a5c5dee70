"""PRM5xx: whether leads are won as the probabilities said, and the cut-offs keep what they promised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from propensity.data.feeds import WEEK
from propensity.evaluation.intervals import effective_size, wilson_interval
from propensity.evaluation.noise import adjust, count_p_value, dispersion
from propensity.evaluation.reliability import Z_95
from propensity.loop.features import cannot_compare, once_each
from propensity.loop.reference import FEWEST_WINS, describe_level, wins_between
from propensity.loop.signals import Check, Signal
from propensity.loop.watch import ANEW, NO_REFERENCE, UNREADABLE, Watch

EARLY_WINDOWS = (28, 84)  # days; in a single week wins are few
NEWEST_DAYS = 182  # of labels that became final: what was true a year ago is no evidence of today
RECENTRE = "propensity promote --recentre   # where the shift in reports/monitor.json is proposed"
RETRAIN = "propensity monitor --retrain   # whether a model of the newer outcomes does better"


def check_early_wins(check: Check, watch: Watch) -> list[Signal]:
    """Compare the wins of the newest weeks with those that the probabilities let expect of them."""
    if (cannot := cannot_compare(check, watch)) is not None:
        return [cannot]
    known = watch.reference["wins"]
    if "delays" not in known:
        return [
            check.cannot_say(f"{known['n']} wins in the reference; {FEWEST_WINS} tell how soon they come")
        ]
    expected, seen = np.asarray(known["expected"]), np.asarray(known["seen"], dtype=np.float64)
    ratio = float(seen.sum() / expected.sum())
    effect = dispersion((seen - ratio * expected) ** 2 / np.maximum(ratio * expected, 0.5), len(seen) - 1)
    looked = _looked_at(watch)
    rows = [_early(watch, looked, days, known, (ratio, effect, float(seen.sum()))) for days in EARLY_WINDOWS]
    for channel, (was_expected, was_seen) in known.get("by_channel", {}).items():
        own = looked[looked["channel"] == channel]
        level = (was_seen / was_expected, effect, was_seen)
        rows += [_early(watch, own, days, known, level) | {"channel": channel} for days in EARLY_WINDOWS]
    signals = []
    for row, p in zip(rows, adjust([row["p"] for row in rows]), strict=True):
        if p <= watch.alpha:
            signals.append(
                check.alarm(
                    f"{_tell(row)} from {watch.period(row['days'])}",
                    subject=f"wins of {row['channel']}" if row["channel"] else "wins",
                    next_step=RETRAIN if row["channel"] else RECENTRE,
                    wins=row["seen"],
                    expected=row["mean"],
                    interval=row["interval"],
                    leads=row["leads"],
                    days=row["days"],
                    p_value=p,
                )
            )
    told = "; ".join(f"{_tell(row)} in {row['days']} days" for row in rows if not row["channel"])
    return once_each(signals) or [check.ok(told, channels=len(known.get("by_channel", {})))]


def _looked_at(watch: Watch) -> pd.DataFrame:
    """Return each lead's first snapshot, of leads that the model was not fitted on."""
    fitted_until = pd.Timestamp(watch.reference["from"])
    return watch.rows[watch.rows["first"] & (watch.rows["as_of"] > fitted_until)]


def _early(
    watch: Watch,
    looked: pd.DataFrame,
    days: int,
    known: dict[str, Any],
    level: tuple[float, float, float],
) -> dict[str, Any]:
    """Return wins seen and expected in a window.

    Parameters
    ----------
    level : tuple
        Of the reference: wins seen for each expected, how much weeks vary beyond chance, and wins.
    """
    ratio, effect, wins = level
    end = pd.Timestamp(watch.as_of)
    expected, seen = wins_between(
        looked, np.asarray(known["delays"]), end - days / 7 * WEEK, end, watch.horizon_days
    )
    mean = max(ratio * expected, 0.5)
    variance = effect * mean + mean**2 / max(wins, 1.0)  # how well the reference's level is known
    return {
        "channel": "",
        "days": days,
        "seen": seen,
        "mean": mean,
        "interval": [max(mean - Z_95 * variance**0.5, 0.0), mean + Z_95 * variance**0.5],
        "leads": int(looked["lead_id"].nunique()),
        "p": count_p_value(seen, mean, variance),
    }


def _tell(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return (
        f"{row['seen']:,} wins, {row['mean']:,.0f} [{low:,.0f}, {high:,.0f}] expected of the leads then open"
    )


def check_calibration(check: Check, watch: Watch) -> list[Signal]:
    """Compare level and slope of the probabilities on newly final outcomes with those on the test part."""
    if not watch.reference:
        return [check.cannot_say(NO_REFERENCE, next_step=ANEW)]
    if watch.refused is not None:
        return [check.cannot_say(UNREADABLE)]
    known = watch.reference.get("level")
    if known is None or known["shift"] is None:
        return [check.cannot_say("the test part has too few wins to tell the level of the probabilities")]
    told = []
    for days in (28, NEWEST_DAYS):
        now = describe_level(watch.matured(days))
        for name, right in (("shift", 0.0), ("slope", 1.0)):
            if now[name] is not None and known[name] is not None:
                told.append(_moved(name, right, days, now, known))
    if not told:
        now = describe_level(watch.matured(NEWEST_DAYS))
        return [
            check.cannot_say(
                f"{now['wins']} wins of {now['leads']:,} leads became final since the model's data end at "
                f"{watch.since:%Y-%m-%d}; {FEWEST_WINS} tell the level"
            )
        ]
    signals = []
    for row, p in zip(told, adjust([row["p"] for row in told]), strict=True):
        if p <= watch.alpha:
            signals.append(
                check.alarm(
                    f"the {row['called']} of the probabilities has moved: {row['said']} (labels final from "
                    f"{watch.period(row['days'])})",
                    subject=row["name"],
                    next_step=RECENTRE if row["name"] == "shift" else RETRAIN,
                    value=row["value"],
                    interval=row["interval"],
                    before=row["before"],
                    n=row["n"],
                    wins=row["wins"],
                    days=row["days"],
                    p_value=p,
                )
            )
    return once_each(signals) or [
        check.ok(
            "; ".join(f"{row['called']} {row['said']}" for row in told if row["days"] == told[-1]["days"])
        )
    ]


def _moved(name: str, right: float, days: int, now: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    value, error = now[name], now[f"{name}_error"]
    z = (value - known[name]) / np.hypot(error, known[f"{name}_error"])
    called = "level" if name == "shift" else "slope"
    said = f"{value:+.2f}" if name == "shift" else f"{value:.2f}"
    said += f" [{value - Z_95 * error:.2f}, {value + Z_95 * error:.2f}] on {now['n']:,} snapshots with "
    said += f"{now['wins']:,} wins"
    said += f", {known[name]:.2f} on the test part ({right:g} is right)"
    return {
        "name": name,
        "called": called,
        "days": days,
        "value": value,
        "interval": [value - Z_95 * error, value + Z_95 * error],
        "before": known[name],
        "n": now["n"],
        "wins": now["wins"],
        "said": said,
        "p": float(2 * stats.t.sf(abs(z), max(min(_told_by(now), _told_by(known)) - 1, 1))),
    }


def _told_by(level: dict[str, Any]) -> float:
    return max(float(level["wins"]), float(level["expected"]))


def check_cutoffs(check: Check, watch: Watch) -> list[Signal]:
    """Compare what the cut-offs gave on newly final outcomes with what they promise."""
    if watch.refused is not None:
        return [check.cannot_say(UNREADABLE)]
    rows = watch.matured(NEWEST_DAYS)
    wins = int(rows["won"].sum()) if len(rows) else 0
    if max(wins, float(rows["probability"].sum())) < FEWEST_WINS:
        return [
            check.cannot_say(
                f"{wins} wins became final in the newest {NEWEST_DAYS} days; {FEWEST_WINS} tell how the "
                "cut-offs do"
            )
        ]
    told = [_kept(watch, rows, tier) for tier in ("mql", "sql")]
    signals = []
    for row, p in zip(told, adjust([row["p"] for row in told]), strict=True):
        if p <= watch.alpha:
            signals.append(
                check.alarm(
                    f"the {row['tier'].upper()} cut-off does not keep its promise: {row['said']} (labels "
                    f"final from {watch.period(NEWEST_DAYS)})",
                    subject=row["tier"],
                    next_step="propensity run   # a model and cut-offs of the newer outcomes",
                    p_value=p,
                    **{key: row[key] for key in ("precision", "recall", "n", "wins", "promised")},
                )
            )
    return signals or [check.ok("; ".join(f"{row['tier'].upper()}: {row['said']}" for row in told))]


def _kept(watch: Watch, rows: pd.DataFrame, tier: str) -> dict[str, Any]:
    """Return what a cut-off gave, and how surprising that is under its promise, one-sided."""
    cutoff = watch.cutoffs[tier]
    won, groups = rows["won"].to_numpy(dtype=bool), rows["group"].to_numpy()
    above = (rows["probability"] >= cutoff["probability"]).to_numpy()
    precision, recall = _rate(won[above], groups[above]), _rate(above[won], groups[won])
    row = {
        "tier": tier,
        "precision": precision,
        "recall": recall,
        "n": int(above.sum()),
        "wins": int(won.sum()),
    }
    said = f"{_percent(precision)} of {above.sum():,} snapshots above it won, {_percent(recall)} of "
    said += f"{won.sum():,} wins lie above it"
    if cutoff.get("policy") == "precision" and cutoff["supported"]:
        p = _at_least(won[above], groups[above], cutoff["target"])
        said += f"; promised: {cutoff['target']:.0%} won"
        return row | {"promised": cutoff["target"], "p": p, "said": said}
    name = "recall" if cutoff.get("policy") == "recall" else "precision"
    span = cutoff.get(f"{name}_interval")
    if span is None:
        return row | {"promised": None, "p": 1.0, "said": said}
    hit, of = (above[won], groups[won]) if name == "recall" else (won[above], groups[above])
    promised = float(cutoff["target"]) if name == "recall" else float(cutoff["precision"])
    size = effective_size(hit, of)
    error = np.hypot((span[1] - span[0]) / (2 * Z_95), np.sqrt(promised * (1 - promised) / max(size, 1.0)))
    z = (float(hit.mean()) - promised) / error if len(hit) and error > 0 else 0.0
    said += f"; {'promised' if name == 'recall' else 'when it was chosen'}: {promised:.0%} {name}"
    return row | {"promised": promised, "p": float(stats.t.cdf(z, max(size - 1, 1))), "said": said}


def _at_least(won: Any, groups: Any, target: float) -> float:
    """Return how surprising so few wins are if the share won were the target; rows count by groups."""
    n = effective_size(won, groups)
    if n == 0:
        return 1.0
    k = float(won.mean()) * n
    return float(stats.beta.sf(target, k + 1, n - k)) if k < n else 1.0


def _rate(hit: Any, groups: Any) -> dict[str, Any]:
    low, high = wilson_interval(hit, groups)
    return {"value": float(hit.mean()) if len(hit) else None, "interval": [low, high]}


def _percent(rate: dict[str, Any]) -> str:
    if rate["value"] is None:
        return "none"
    low, high = rate["interval"]
    return f"{rate['value']:.0%} [{low:.0%}, {high:.0%}]"


CHECKS = (
    Check("PRM503", "early_wins", "Wins as they come, against the probabilities", check_early_wins),
    Check("PRM504", "calibration", "Level and slope of the probabilities", check_calibration),
    Check("PRM505", "cutoffs", "Realised precision and recall of the cut-offs", check_cutoffs),
)
