"""The reference that a bundle carries: what feeds, features, scores and wins were like, and how they vary.

It is made of the weeks that the model was not fitted on, from the calibrate part to the end of the data, and
holds aggregates alone, so that a machine that only scores can tell an unusual week from a usual one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.bundled import trained_with
from propensity.data.feeds import FEEDS, count_arrivals_by_week, weekly_series
from propensity.data.fetch import fetch
from propensity.evaluation.drift import (
    FEWEST_LEADS,
    assign_bins,
    category_bins,
    count_codes,
    describe_blocks,
    describe_share,
    n_bins,
    number_bins,
)
from propensity.evaluation.recentring import propose_shift
from propensity.evaluation.reliability import Z_95, recalibration_line
from propensity.loop.rows import days_before, first_reached, gather_rows, longest_age, weekly_counts
from propensity.loop.watch import WINDOWS
from propensity.model.bundle import Bundle

if TYPE_CHECKING:
    import ibis.expr.types as ir

MOST_WEEKS = 104
FEWEST_WEEKS = 8
WEEK = pd.Timedelta(days=7)
DELAY_POINTS = np.linspace(0, 1, 51)
FEWEST_WINS = 20
FEWEST_WINS_OF_A_CHANNEL = 10
Vector = npt.NDArray[np.float64]


def gather_reference(
    con: Any,
    tables: Mapping[str, ir.Table],
    made: Bundle,
    *,
    columns: Mapping[str, Mapping[str, str]],
    counts: pd.DataFrame,
    start: datetime,
    until: datetime,
    tested_from: datetime,
) -> dict[str, Any]:
    """Describe the weeks from the calibrate part to the end of the data.

    Parameters
    ----------
    con : ibis backend
    tables : mapping
        Canonical tables.
    made : Bundle
        The model, of data with dates.
    columns : mapping
        Raw table to its columns and their types.
    counts : DataFrame
        ``table, read, accepted, quarantined``.
    start, until : datetime
        The first snapshot of the calibrate part; the last moment that the data covers.
    tested_from : datetime
        The first snapshot of the test part, on which the level of the probabilities is measured.

    Returns
    -------
    dict
        Plain values. ``weeks`` whole weeks that end at `until`; with none of them the rest is empty but for
        ``tables`` and ``counts``.
    """
    weeks = min(int((pd.Timestamp(until) - pd.Timestamp(start)) // WEEK), MOST_WEEKS)
    found: dict[str, Any] = {
        "until": until.isoformat(),
        "weeks": weeks,
        "tables": {name: dict(sorted(kinds.items())) for name, kinds in columns.items()},
        "counts": {
            str(row["table"]): {"read": int(row["read"]), "quarantined": int(row["quarantined"])}
            for row in counts.to_dict("records")
        },
    }
    if weeks < 1:
        return found | {"feeds": [], "features": {}, "tiers": {}}
    first = (pd.Timestamp(until) - weeks * WEEK).to_pydatetime()
    rows = gather_rows(con, tables, made, since=first - longest_age(made), until=until)
    inside = rows[rows["as_of"] > pd.Timestamp(first)]
    tested = inside[inside["mature"] & (inside["as_of"] >= pd.Timestamp(tested_from))]
    blocks = {days: place_in_blocks(inside["as_of"], until, days, weeks * 7 // days) for days in WINDOWS}
    return found | {
        "from": first.isoformat(),
        "rows": len(inside),
        "leads": int(inside["lead_id"].nunique()),
        "feeds": describe_feeds(con, tables, until, weeks, excluded=trained_with(made).features.exclude),
        "features": describe_features(inside, made, blocks, weeks),
        "scores": describe_column(
            inside["probability"], blocks, number_bins(inside["probability"].to_numpy())
        ),
        "tiers": {
            tier: weekly_counts(first_reached(rows, made.cutoffs[tier]["probability"]), until, weeks)
            for tier in ("mql", "sql")
        },
        "wins": describe_wins(inside, until, weeks, made.data["horizon_days"]),
        "level": describe_level(tested),
        "estimated": _estimated_auc(inside, blocks[28], weeks // 4),
    }


def gather_feeds(
    con: Any, tables: Mapping[str, ir.Table], until: datetime, weeks: int
) -> dict[str, dict[str | None, pd.DataFrame]]:
    """Return the weeks of each table's feeds; see `propensity.data.feeds.weekly_series`."""
    found = {}
    for name in FEEDS:
        if name in tables:
            arrivals = fetch(con, count_arrivals_by_week(tables[name], name, until))
            found[name] = weekly_series(arrivals.sort_values(["feed", "week"]), until, weeks)
    return found


def describe_feeds(
    con: Any, tables: Mapping[str, ir.Table], until: datetime, weeks: int, *, excluded: Collection[str]
) -> list[dict[str, Any]]:
    """Return each feed's arrivals and longest silence, week by week; `excluded` event types are no feeds.

    Weeks of a silence that lasts to the end are counted in ``silent_weeks`` and are none of the weeks, so
    that a model trained while a feed is out does not take the outage for usual.
    """
    found = []
    for table, feeds in gather_feeds(con, tables, until, MOST_WEEKS).items():
        for feed, series in sorted(feeds.items(), key=lambda item: item[0] or ""):
            came = np.flatnonzero(series["n"].to_numpy())
            if len(came) and feed not in excluded:
                usual = series.iloc[: came[-1] + 1].tail(weeks)
                found.append(
                    {
                        "table": table,
                        "type": feed,
                        "weekly": [int(n) for n in usual["n"]],
                        "silence": [round(float(hours), 3) for hours in usual["silence"]],
                        "silent_weeks": int(len(series) - came[-1] - 1),
                    }
                )
    return found


def describe_features(
    rows: pd.DataFrame, made: Bundle, blocks: Mapping[int, Vector], weeks: int
) -> dict[str, Any]:
    """Return bins, shares and their noise for each feature that the model reads."""
    found = {}
    for feature in made.features:
        column = rows[feature.name]
        if feature.kind == "number":
            bins = number_bins(column.to_numpy(dtype=np.float64, na_value=np.nan))
        else:
            known = made.encoding.levels[feature.name]
            bins = category_bins(column, rows["lead_id"], known, block_rows=len(rows) / max(weeks, 1))
        found[feature.name] = describe_column(column, blocks, bins)
        if feature.kind == "category":
            unseen = column.notna() & ~column.isin(made.encoding.levels[feature.name])
            found[feature.name]["unseen"] = {
                str(days): _share_by_block(unseen, block) for days, block in blocks.items()
            }
    return found


def describe_column(
    column: pd.Series[Any], blocks: Mapping[int, Vector], bins: dict[str, Any]
) -> dict[str, Any]:
    """Return a column's bins with the shares of all rows, and how blocks differ from them.

    Parameters
    ----------
    column : Series
    blocks : mapping
        Days to the block of each row, as `place_in_blocks` gives.
    bins : dict
        As `number_bins` or `category_bins` gives.
    """
    codes = assign_bins(column, bins)
    counts = count_codes(codes, n_bins(bins))
    shares = counts / max(counts.sum(), 1)
    noise, missing = {}, {}
    for days, block in blocks.items():
        size = int(block.max(initial=-1)) + 1
        table = np.zeros((size, len(counts)))
        known = (codes >= 0) & (block >= 0)
        np.add.at(table, (block[known].astype(np.int64), codes[known]), 1)
        noise[str(days)] = describe_blocks(table, shares, ordered=bins["kind"] == "number")
        missing[str(days)] = _share_by_block(pd.Series(codes < 0), block)
    return {
        **bins,
        "n": int(counts.sum()),
        "shares": [float(s) for s in shares],
        "noise": noise,
        "missing": missing,
    }


def place_in_blocks(moments: pd.Series[Any], until: datetime, days: int, n_blocks: int) -> Vector:
    """Return the block of each moment, 0 for the newest, -1 for one before the first whole block."""
    place = np.floor(days_before(moments, until) / days)
    return np.where(place < n_blocks, place, -1.0)


def _share_by_block(hit: pd.Series[Any], block: Vector) -> dict[str, float]:
    inside = block >= 0
    places = block[inside].astype(np.int64)
    totals = np.bincount(places).astype(np.float64)
    hits = np.bincount(places, hit.to_numpy(dtype=np.float64)[inside])
    return describe_share(hits.astype(np.float64), totals)


def describe_wins(rows: pd.DataFrame, until: datetime, weeks: int, horizon_days: float) -> dict[str, Any]:
    """Return how soon winners are won, and the wins expected and seen in each week.

    Returns
    -------
    dict
        ``n`` wins; ``delays``, the days from the first look at a lead to its win, at the shares
        `DELAY_POINTS` of the wins within the horizon; ``expected`` and ``seen`` for each week, the newest
        last; ``by_channel``, both over all weeks, where the model reads the channel. Only ``n`` with fewer
        than `FEWEST_WINS`.
    """
    looked = rows[rows["first"]]
    decided = looked[looked["mature"] & looked["won"]]
    if len(decided) < FEWEST_WINS:
        return {"n": len(decided)}
    waited = days_before(decided["as_of"], until) - days_before(decided["won_at"], until)
    delays = np.quantile(waited, DELAY_POINTS)
    expected, seen = [], []
    for week in range(weeks - 1, -1, -1):
        end = pd.Timestamp(until) - week * WEEK
        e, s = wins_between(looked, delays, end - WEEK, end, horizon_days)
        expected.append(e)
        seen.append(s)
    return {
        "n": len(decided),
        "delays": [float(d) for d in delays],
        "expected": expected,
        "seen": seen,
        "by_channel": _wins_by_channel(looked, delays, until, weeks, horizon_days),
    }


def _wins_by_channel(
    looked: pd.DataFrame, delays: Vector, until: datetime, weeks: int, horizon_days: float
) -> dict[str, list[float]]:
    """Return the wins expected and seen in all weeks for each channel with enough leads and wins to tell."""
    if "channel" not in looked:
        return {}
    end, found = pd.Timestamp(until), {}
    for channel, rows in looked.groupby("channel"):
        expected, seen = wins_between(rows, delays, end - weeks * WEEK, end, horizon_days)
        if rows["lead_id"].nunique() >= FEWEST_LEADS and seen >= FEWEST_WINS_OF_A_CHANNEL:
            found[str(channel)] = [expected, float(seen)]
    return found


def wins_between(
    looked: pd.DataFrame, delays: Vector, start: pd.Timestamp, end: pd.Timestamp, horizon_days: float
) -> tuple[float, int]:
    """Return the wins expected and seen in a period among leads at their first look.

    Each lead's probability is spread over the horizon as the reference's wins were: what is expected of the
    period is its part of that, for a lead that was looked at before the period ends.
    """
    before = looked[looked["as_of"] < end]
    share = [
        np.interp(days_before(before["as_of"], moment), delays, DELAY_POINTS, left=0.0, right=1.0)
        for moment in (start, end)
    ]
    expected = float((before["probability"].to_numpy() * (share[1] - share[0])).sum())
    within = before["won_at"] <= before["as_of"] + pd.Timedelta(days=horizon_days)
    seen = within & (before["won_at"] > start) & (before["won_at"] <= end)
    return expected, int(seen.sum())


def describe_level(rows: pd.DataFrame) -> dict[str, Any]:
    """Return level and slope of the probabilities on rows with final outcomes, with their standard errors.

    Returns
    -------
    dict
        ``n, leads, wins, expected`` (wins); ``shift`` and ``slope`` with ``shift_error`` and ``slope_error``,
        None where there are too few wins or leads to tell.
    """
    won, groups = rows["won"].to_numpy(dtype=bool), rows["group"].to_numpy()
    found: dict[str, Any] = {"n": len(rows), "leads": int(rows["lead_id"].nunique()), "wins": int(won.sum())}
    found |= {"expected": float(rows["probability"].sum())}
    found |= dict.fromkeys(("shift", "shift_error", "slope", "slope_error"))
    # No win where many were expected tells as much as many.
    if max(found["wins"], found["expected"]) < FEWEST_WINS or len(np.unique(groups)) < 2:
        return found
    moved = propose_shift(rows["log_odds"].to_numpy(), won, groups)
    line = recalibration_line(won, rows["probability"].to_numpy(), groups)
    found |= {"shift": moved["shift"], "shift_error": _error(moved["shift_interval"])}
    if line["slope_interval"] is not None:
        found |= {"slope": line["slope"], "slope_error": _error(line["slope_interval"])}
    return found


def _error(interval: list[float]) -> float:
    return (interval[1] - interval[0]) / (2 * Z_95)


def _estimated_auc(rows: pd.DataFrame, block: Vector, n_blocks: int) -> list[float]:
    """Return the AUC that the probabilities alone let expect, for each block of four weeks."""
    probability = rows["probability"].to_numpy()
    found = [expected_auc(probability[block == place]) for place in range(n_blocks - 1, -1, -1)]
    return [value for value in found if value is not None]


def expected_auc(probability: Vector) -> float | None:
    """Return the AUC that calibrated probabilities let expect; None with fewer than two rows.

    Each row is a winner with its probability and a loser else, apart from every other row; no row is paired
    with itself.
    """
    both = probability * (1 - probability)
    pairs = float(probability.sum() * (1 - probability).sum() - both.sum())
    if len(probability) < 2 or pairs <= 0:
        return None
    _, code = np.unique(probability, return_inverse=True)
    wins = np.bincount(code, probability)
    losses = np.bincount(code, 1 - probability)
    above = float((wins * (np.cumsum(losses) - losses / 2)).sum())
    return (above - float(both.sum()) / 2) / pairs
