"""PRM2xx: whether each feed still comes, and as much of it as before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from propensity.evaluation.noise import (
    FEWEST_BLOCKS,
    adjust,
    silence_p_value,
    volume_p_value,
)
from propensity.loop.signals import Check, Signal
from propensity.loop.watch import ANEW, NO_REFERENCE, UNREADABLE, WINDOWS, Watch

LOOK = "look at the source of the feed, then: propensity score"
GONE = f"{LOOK}; if it is gone for good, name it in features.exclude and train again: propensity run"


def name_feed(table: str, kind: str | None) -> str:
    """Return how a feed is called, such as ``events/visit`` or ``leads``."""
    return table if kind is None else f"{table}/{kind}"


def check_silence(check: Check, watch: Watch) -> list[Signal]:
    """Compare the time since each feed's last arrival with the longest silences it has had."""
    if (cannot := _cannot(check, watch)) is not None:
        return [cannot]
    told = []
    for feed in watch.reference["feeds"]:
        hours = _silence_now(watch, feed)
        if len(feed["silence"]) >= FEWEST_BLOCKS and hours is not None:
            told.append((feed, hours, silence_p_value(hours, [max(h, 1e-3) for h in feed["silence"]])))
    if not told:
        return [check.cannot_say(f"no feed has {FEWEST_BLOCKS} weeks in the reference")]
    signals = []
    for (feed, hours, _), p in zip(told, adjust([p for _, _, p in told]), strict=True):
        longest = max(feed["silence"])
        if p <= watch.alpha and hours > longest:
            signals.append(
                check.alarm(
                    f"nothing of {name_feed(feed['table'], feed['type'])} for {_hours(hours)} up to "
                    f"{watch.as_of:%Y-%m-%d %H:%M}; the longest silence of a week was "
                    f"{_hours(float(np.median(feed['silence'])))} in half of {len(feed['silence'])} "
                    f"reference weeks, and never over {_hours(longest)}",
                    subject=name_feed(feed["table"], feed["type"]),
                    next_step=LOOK if feed["type"] is None else GONE,
                    hours=hours,
                    longest=longest,
                    weeks=len(feed["silence"]),
                    p_value=p,
                )
            )
    return signals or [check.ok(f"none of {len(told)} feeds is silent for longer than it has been")]


def check_volume(check: Check, watch: Watch) -> list[Signal]:
    """Compare how much came in the newest week and four weeks with the reference's weeks."""
    if (cannot := _cannot(check, watch)) is not None:
        return [cannot]
    told = [row for feed in watch.reference["feeds"] for row in _volumes(watch, feed)]
    if not told:
        return [check.cannot_say(f"no feed has {FEWEST_BLOCKS} weeks in the reference")]
    signals = []
    for row, p in zip(told, adjust([row["p"] for row in told]), strict=True):
        if p <= watch.alpha:
            usual = row["usual"]
            signals.append(
                check.alarm(
                    f"{row['count']:,} of {row['feed']} from {watch.period(row['days'])}; "
                    f"{row['mean']:,.0f} on average in {len(usual)} reference periods of {row['days']} days, "
                    f"between {min(usual):,} and {max(usual):,}",
                    subject=row["feed"],
                    next_step=LOOK,
                    count=row["count"],
                    days=row["days"],
                    mean=row["mean"],
                    interval=[min(usual), max(usual)],
                    periods=len(usual),
                    p_value=p,
                )
            )
    fresh = sorted(_unknown(watch))
    new = f"; not known at training: {', '.join(fresh)}" if fresh else ""
    n = len({row["feed"] for row in told})
    return signals or [check.ok(f"as much of {n} feeds as before, in 7 and in 28 days{new}", new=fresh)]


def _cannot(check: Check, watch: Watch) -> Signal | None:
    if not watch.reference:
        return check.cannot_say(NO_REFERENCE, next_step=ANEW)
    if watch.refused is not None:
        return check.cannot_say(UNREADABLE)
    return None


def _series(watch: Watch, feed: dict[str, Any]) -> pd.DataFrame | None:
    """Return a feed's weeks; None where its table was not read."""
    feeds = watch.feeds.get(feed["table"])
    return None if feeds is None else feeds.get(feed["type"], pd.DataFrame({"n": [], "silence": []}))


def _silence_now(watch: Watch, feed: dict[str, Any]) -> float | None:
    series = _series(watch, feed)
    if series is None:
        return None
    if not len(series):
        since = pd.Timestamp(watch.as_of) - pd.Timestamp(watch.reference["until"])
        return float(since / pd.Timedelta(hours=1))
    return float(series["open"].iloc[-1])


def _volumes(watch: Watch, feed: dict[str, Any]) -> Iterator[dict[str, Any]]:
    series = _series(watch, feed)
    if series is None:
        return
    weeks_since = (pd.Timestamp(watch.as_of) - pd.Timestamp(watch.reference["until"])) / pd.Timedelta(days=7)
    for days in WINDOWS:
        size = days // 7
        usual = sum_blocks(feed["weekly"], size)
        if len(usual) < FEWEST_BLOCKS:
            continue
        now = int(series["n"].tail(size).sum())
        ahead = max((weeks_since + feed["silent_weeks"]) / size, 0.0)
        yield {
            "feed": name_feed(feed["table"], feed["type"]),
            "days": days,
            "count": now,
            "usual": usual,
            "mean": float(np.mean(usual)),
            "p": volume_p_value(now, usual, ahead),
        }


def _unknown(watch: Watch) -> set[str]:
    known = {(feed["table"], feed["type"]) for feed in watch.reference["feeds"]}
    return {
        name_feed(table, kind)
        for table, feeds in watch.feeds.items()
        for kind in feeds
        if (table, kind) not in known
    }


def sum_blocks(weekly: list[int], size: int) -> list[int]:
    """Return the sums of whole blocks of weeks, counted from the newest, the newest last."""
    n = len(weekly) // size
    kept = np.asarray(weekly[len(weekly) - n * size :], dtype=np.int64)
    return [int(total) for total in kept.reshape(n, size).sum(axis=1)]


def _hours(hours: float) -> str:
    return f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.1f} days"


CHECKS = (
    Check("PRM201", "silent_feed", "Feeds that have stopped", check_silence, severity="critical"),
    Check("PRM202", "volume", "Leads, events and outcomes a week", check_volume),
)
