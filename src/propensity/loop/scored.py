"""PRM4xx: whether the scores, and the queues they fill, are what they were."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
from scipy import stats

from propensity.evaluation.noise import FEWEST_BLOCKS, adjust, predict_count, volume_p_value
from propensity.loop.features import cannot_compare, compare, once_each
from propensity.loop.feeds import sum_blocks
from propensity.loop.rows import first_reached, weekly_counts
from propensity.loop.signals import Check, Signal
from propensity.loop.watch import WINDOWS, Watch

TIERS = ("mql", "sql")


def check_scores(check: Check, watch: Watch) -> list[Signal]:
    """Hold the distribution of the probabilities against the reference's."""
    if (cannot := cannot_compare(check, watch)) is not None:
        return [cannot]
    rows = [
        row
        for days in WINDOWS
        if (
            row := compare(
                watch.window(days), "probability", watch.reference["scores"], days, column="probability"
            )
        )
        is not None
    ]
    if not rows:
        return [check.cannot_say(f"fewer than {FEWEST_BLOCKS} reference weeks with enough snapshots")]
    signals = []
    for row, p in zip(rows, adjust([row["p"] for row in rows]), strict=True):
        mean = float(watch.window(row["days"])["probability"].mean())
        if p <= watch.alpha:
            signals.append(
                check.alarm(
                    f"the scores have moved: PSI {row['psi']:.3f} in {row['n']:,} snapshots of "
                    f"{row['leads']:,} leads from {watch.period(row['days'])}, mean probability {mean:.1%}; "
                    f"{row['usual']:.3f} is usual, {row['usual_high']:.3f} is passed in one of 20 reference "
                    f"periods{row['where']}",
                    subject="probability",
                    next_step="propensity score --previous latest   # what changed, lead by lead",
                    psi=row["psi"],
                    psi_usual=row["usual"],
                    psi_high=row["usual_high"],
                    mean=mean,
                    n=row["n"],
                    leads=row["leads"],
                    days=row["days"],
                    p_value=p,
                )
            )
    newest = rows[-1]
    return once_each(signals) or [
        check.ok(
            f"PSI {newest['psi']:.3f} in {newest['n']:,} snapshots from {watch.period(newest['days'])}; up "
            f"to {newest['usual_high']:.3f} is usual",
            psi=newest["psi"],
            n=newest["n"],
        )
    ]


def check_tiers(check: Check, watch: Watch) -> list[Signal]:
    """Hold the leads that reach each cut-off against the reference's weeks and the capacity."""
    if (cannot := cannot_compare(check, watch)) is not None:
        return [cannot]
    told = [row for tier in TIERS for row in _volumes(watch, tier)]
    if not told:
        return [check.cannot_say(f"fewer than {FEWEST_BLOCKS} reference weeks")]
    signals = []
    for row, p in zip(told, adjust([row["p"] for row in told]), strict=True):
        if p <= watch.alpha:
            signals.append(
                check.alarm(
                    f"{row['count']:,} leads reached the {row['tier'].upper()} cut-off from "
                    f"{watch.period(row['days'])}; {row['against']}",
                    subject=row["tier"],
                    next_step="propensity review   # the cut-offs and what others would give",
                    count=row["count"],
                    days=row["days"],
                    capacity=watch.capacity.get(row["tier"]),
                    interval=row["interval"],
                    p_value=p,
                )
            )
    said = ", ".join(f"{row['count']:,} {row['tier'].upper()}" for row in told if row["days"] == 28)
    asked = ", ".join(f"{tier.upper()} {n:g}" for tier, n in watch.capacity.items())
    limits = f"; capacity a week: {asked}" if asked else "; params name no capacity (promotion.capacity)"
    return once_each(signals) or [check.ok(f"{said or 'as before'} in 28 days, as before{limits}")]


def _volumes(watch: Watch, tier: str) -> list[dict[str, Any]]:
    reached = first_reached(watch.rows, watch.cutoffs[tier]["probability"])
    found = []
    since = (watch.as_of - datetime.fromisoformat(watch.reference["until"])).total_seconds() / 86400
    for days in WINDOWS:
        usual = sum_blocks(watch.reference["tiers"][tier], days // 7)
        count = weekly_counts(reached, watch.as_of, 1, days=days)[0]
        row = {"tier": tier, "days": days, "count": count}
        if len(usual) >= FEWEST_BLOCKS:
            against = (
                f"{np.mean(usual):,.0f} on average in {len(usual)} reference periods, between {min(usual):,} "
                f"and {max(usual):,}"
            )
            p = volume_p_value(count, usual, max(since / days, 0.0))
            found.append(row | {"p": p, "against": against, "interval": [min(usual), max(usual)]})
        capacity = watch.capacity.get(tier)
        if capacity is not None and days == max(WINDOWS):
            most = capacity * days / 7
            spread = predict_count(np.asarray(usual, dtype=np.float64), 1)[0] if len(usual) >= 3 else None
            p = _over(count, most, 1.0 if spread is None else spread[1] / spread[0])
            against = f"the capacity is {capacity:g} a week, {most:g} in the {days} days"
            found.append(row | {"p": p, "against": against, "interval": [0, most]})
    return found


def _over(count: int, mean: float, variance_ratio: float) -> float:
    """Return how surprising so many are if the capacity were what comes on average, one-sided."""
    ratio = max(variance_ratio, 1.0 + 1e-9)
    size, share = mean / (ratio - 1), 1 / ratio
    return float(stats.nbinom.sf(count - 1, size, share))


CHECKS = (
    Check("PRM401", "score_drift", "Scores whose distribution has moved", check_scores),
    Check("PRM402", "tier_volume", "Leads that reach a tier, and the capacity", check_tiers),
)
