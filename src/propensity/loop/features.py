"""PRM3xx: whether the leads that come are like those that the model knows, feature by feature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from propensity.evaluation.drift import (
    assign_bins,
    count_codes,
    drift_p_value,
    n_bins,
    share_moved_p_value,
    stability_index,
)
from propensity.evaluation.noise import FEWEST_BLOCKS, adjust
from propensity.loop.signals import Check, Signal
from propensity.loop.watch import ANEW, NO_REFERENCE, UNREADABLE, WINDOWS, Watch


def check_drift(check: Check, watch: Watch) -> list[Signal]:
    """Hold each feature's distribution against the reference's."""
    if (cannot := cannot_compare(check, watch)) is not None:
        return [cannot]
    rows = [
        row
        for days in WINDOWS
        for name, known in watch.reference["features"].items()
        if (row := compare(watch.window(days), name, known, days)) is not None
    ]
    if not rows:
        return [check.cannot_say(f"fewer than {FEWEST_BLOCKS} reference weeks with enough snapshots")]
    signals = []
    for row, p in zip(rows, adjust([row["p"] for row in rows]), strict=True):
        if p <= watch.alpha:
            signals.append(
                check.alarm(
                    f"{row['name']} has moved: PSI {row['psi']:.3f} in {row['n']:,} snapshots of "
                    f"{row['leads']:,} leads from {watch.period(row['days'])}; {row['usual']:.3f} is usual, "
                    f"{row['usual_high']:.3f} is passed in one of 20 reference periods{row['where']}",
                    subject=row["name"],
                    next_step="ask who changed the source of it; if it lasts: propensity monitor --retrain",
                    psi=row["psi"],
                    psi_usual=row["usual"],
                    psi_high=row["usual_high"],
                    n=row["n"],
                    leads=row["leads"],
                    days=row["days"],
                    family=watch.families.get(row["name"], row["name"]),
                    p_value=p,
                )
            )
    n = len({row["name"] for row in rows})
    return once_each(signals) or [
        check.ok(f"none of {n} features has moved beyond what reference weeks do, in 7 and in 28 days")
    ]


def check_missing(check: Check, watch: Watch) -> list[Signal]:
    """Hold the share of each feature's missing values against the reference's."""
    if (cannot := cannot_compare(check, watch)) is not None:
        return [cannot]
    rows = [
        _share(watch, name, known["missing"][str(days)], days, missing_in(watch.window(days), name))
        for days in WINDOWS
        for name, known in watch.reference["features"].items()
    ]
    return _tell_shares(check, watch, rows, "is missing", both_ways=True)


def check_unseen(check: Check, watch: Watch) -> list[Signal]:
    """Hold the share of categories' values that the model does not know against the reference's."""
    if (cannot := cannot_compare(check, watch)) is not None:
        return [cannot]
    rows = []
    for days in WINDOWS:
        table = watch.window(days)
        for name, known in watch.reference["features"].items():
            if name in watch.levels:
                unseen = table[name].notna() & ~table[name].isin(watch.levels[name])
                rows.append(_share(watch, name, known["unseen"][str(days)], days, unseen))
    if not rows:
        return [check.ok("the model reads no category")]
    return _tell_shares(check, watch, rows, "has a value the model does not know", both_ways=False)


def compare(
    rows: pd.DataFrame, name: str, known: Mapping[str, Any], days: int, *, column: str | None = None
) -> dict[str, Any] | None:
    """Hold one column of rows against the reference; None where the reference cannot tell its noise."""
    noise, shares = known["noise"][str(days)], np.asarray(known["shares"], dtype=np.float64)
    if "mean" not in noise:
        return None
    codes = assign_bins(rows[column or name], known)
    counts = count_codes(codes, n_bins(known))
    return {
        "name": name,
        "days": days,
        "n": int(counts.sum()),
        "leads": int(rows["lead_id"].nunique()),
        "psi": stability_index(counts, shares),
        "usual": noise["psi"],
        "usual_high": noise["psi_high"],
        "where": _where(counts, shares, known),
        "p": drift_p_value(counts, shares, noise, reference_n=known["n"]),
    }


def _where(counts: Any, shares: Any, known: Mapping[str, Any]) -> str:
    """Return the bin that moved most, in words."""
    if not counts.sum():
        return ""
    now = counts / counts.sum()
    at = int(np.argmax(np.abs(now - shares)))
    if known["kind"] == "category":
        label = f"'{known['levels'][at]}'" if at < len(known["levels"]) else "any other level"
    else:
        edges = known["edges"]
        low = f"over {edges[at - 1]:.4g}" if at else ""
        high = f"up to {edges[at]:.4g}" if at < len(edges) else ""
        label = " and ".join(filter(None, (low, high)))
    return f"; most at {label}: {now[at]:.0%}, {shares[at]:.0%} before"


def missing_in(rows: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return which rows have no value."""
    return rows[name].isna()


def _share(
    watch: Watch, name: str, described: Mapping[str, float], days: int, hit: pd.Series[Any]
) -> dict[str, Any]:
    rows = watch.window(days)
    hits, n = int(hit.sum()), len(hit)
    leads = int(rows["lead_id"].nunique())
    p = share_moved_p_value(hits, n, described, clusters=leads)
    return {
        "name": name,
        "days": days,
        "hits": hits,
        "n": n,
        "leads": leads,
        "before": described["share"],
        "p": p,
    }


def _tell_shares(
    check: Check, watch: Watch, rows: list[dict[str, Any]], what: str, *, both_ways: bool
) -> list[Signal]:
    signals = []
    for row, p in zip(rows, adjust([row["p"] for row in rows]), strict=True):
        share = row["hits"] / row["n"] if row["n"] else 0.0
        if p <= watch.alpha and (both_ways or share > row["before"]):
            signals.append(
                check.alarm(
                    f"{row['name']} {what} in {share:.1%} of {row['n']:,} snapshots of {row['leads']:,} "
                    f"leads from {watch.period(row['days'])}; {row['before']:.1%} in the reference",
                    subject=row["name"],
                    next_step="ask who fills the field; if it stays so: propensity monitor --retrain",
                    share=share,
                    before=row["before"],
                    n=row["n"],
                    leads=row["leads"],
                    days=row["days"],
                    family=watch.families.get(row["name"], row["name"]),
                    p_value=p,
                )
            )
    n = len({row["name"] for row in rows})
    return once_each(signals) or [check.ok(f"none of {n} features {what} more or less often than before")]


def cannot_compare(check: Check, watch: Watch) -> Signal | None:
    """Return why the newest snapshots cannot be held against the reference, if they cannot."""
    if not watch.reference:
        return check.cannot_say(NO_REFERENCE, next_step=ANEW)
    if watch.refused is not None:
        return check.cannot_say(UNREADABLE)
    if watch.reference["weeks"] < FEWEST_BLOCKS:
        return check.cannot_say(
            f"the reference has {watch.reference['weeks']} weeks; how weeks differ is told from "
            f"{FEWEST_BLOCKS} on"
        )
    if watch.window(max(WINDOWS)).empty:
        return check.cannot_say(f"no lead was looked at from {watch.period(max(WINDOWS))} (see PRM202)")
    return None


def once_each(signals: list[Signal]) -> list[Signal]:
    """Return one signal a subject, that of the smallest p-value, the most surprising first."""
    kept: dict[str | None, Signal] = {}
    for signal in sorted(signals, key=lambda s: (s.evidence["p_value"], s.subject or "")):
        kept.setdefault(signal.subject, signal)
    return list(kept.values())


CHECKS = (
    Check("PRM301", "feature_drift", "Features whose distribution has moved", check_drift),
    Check("PRM302", "missing_values", "Features missing more or less often", check_missing),
    Check("PRM303", "unseen_values", "Values of categories that the model does not know", check_unseen),
)
