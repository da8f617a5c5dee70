"""Checks of the history as time goes by: outcomes that begin or stop, and a share won that jumps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from propensity.audit.findings import Check, Finding
from propensity.audit.gaps import date_of, days_of, find_missing_after, find_missing_before, place_of
from propensity.audit.records import Records
from propensity.audit.wilson import wilson_bounds

PERIODS = 10
MIN_ROWS = 50  # leads in a period
FALSE_ALARM = 0.001  # over all the comparisons together
JUMP = 1.5  # ratio of odds between neighbouring periods from which a model feels it
DRIFT = 2.0  # the same between the highest and the lowest period


def find_rate_jump(check: Check, records: Records) -> list[Finding]:
    """Find neighbouring periods whose shares won differ beyond noise, or a drift over all periods."""
    rows = _judged_rows(records)
    if rows is None:
        return check.not_applicable("leads have neither a creation time nor an order")
    periods = _make_periods(rows) if len(rows) else pd.DataFrame()
    if len(periods) < 2:
        return check.skipped(
            f"{len(rows):,} leads have a final outcome; {2 * MIN_ROWS} are needed to compare"
        )
    effect = design_effect(rows["won"].to_numpy(dtype=bool), rows["group"])
    finding = _jump_finding(check, periods, effect, dated=records.dated)
    finding = finding or _drift_finding(check, periods, effect, dated=records.dated)
    if finding is not None:
        return [finding]
    return check.passed(
        f"the share won stays between {periods['rate'].min():.1%} and {periods['rate'].max():.1%} in "
        f"{len(periods)} periods of {int(periods['n'].min()):,} leads or more",
        periods=len(periods),
        n=int(periods["n"].sum()),
        lowest=float(periods["rate"].min()),
        highest=float(periods["rate"].max()),
    )


def design_effect(won: npt.NDArray[np.bool_], group: pd.Series[str]) -> float:
    """Return by how much groups of alike leads widen what chance explains, 1 or more (Kish 1965)."""
    rate = won.mean()
    if rate in (0.0, 1.0):
        return 1.0
    codes = pd.factorize(group)[0]
    between = np.sum(np.bincount(codes, won - rate) ** 2)
    return float(max(1.0, between / (len(won) * rate * (1 - rate))))


def _judged_rows(records: Records) -> pd.DataFrame | None:
    """Return ``place, won, group`` of each lead whose outcome is final, by its first snapshot where dated."""
    if records.dated:
        mature = records.snapshots[records.snapshots["mature"].astype(bool)]
        first = mature.sort_values(["as_of", "lead_id"]).drop_duplicates("lead_id")
        place = days_of(first["created_at"])
        group = first["account_id"].fillna(first["lead_id"])
        return pd.DataFrame(
            {"place": place, "won": first["won"].to_numpy(dtype=bool), "group": group.to_numpy()}
        )
    order = place_of(records)
    if order is None:
        return None
    group = records.leads["account_id"].astype("str").fillna(records.leads["lead_id"])
    rows = pd.DataFrame({"place": order[0], "won": records.won, "group": group.to_numpy()})
    return rows[records.closed & ~np.isnan(order[0])]


def _make_periods(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ``start, n, wins, rate, low, high`` of up to ten periods with about as many leads each."""
    count = min(PERIODS, len(rows) // MIN_ROWS)
    place = rows["place"].to_numpy(dtype=np.float64)
    edges = np.unique(np.quantile(place, np.arange(1, max(count, 1)) / max(count, 1), method="higher"))
    period = np.searchsorted(edges, place, side="right")
    periods = rows.groupby(period).agg(start=("place", "min"), n=("won", "size"), wins=("won", "sum"))
    periods = periods[periods["n"] >= MIN_ROWS].reset_index(drop=True)
    wins, n = periods["wins"].to_numpy(dtype=np.float64), periods["n"].to_numpy(dtype=np.float64)
    low, high = wilson_bounds(wins, n)
    return periods.assign(rate=wins / np.maximum(n, 1), low=low, high=high)


def _jump_finding(check: Check, periods: pd.DataFrame, effect: float, *, dated: bool) -> Finding | None:
    """Judge each pair of neighbours by a test of two shares, with Bonferroni's correction."""
    jumps = []
    for i in range(1, len(periods)):
        before, after = periods.iloc[i - 1], periods.iloc[i]
        p = _unlikely(periods.iloc[i - 1 : i + 1], effect)
        if p < FALSE_ALARM / len(periods) and _odds_ratio(before, after) >= JUMP:
            jumps.append((p, i))
    if not jumps:
        return None
    p, i = min(jumps)
    return _finding(check, periods.iloc[i - 1], periods.iloc[i], p, periods, dated=dated, drift=False)


def _drift_finding(check: Check, periods: pd.DataFrame, effect: float, *, dated: bool) -> Finding | None:
    """Judge all periods at once, by a chi-squared test."""
    lowest, highest = periods.iloc[periods["rate"].argmin()], periods.iloc[periods["rate"].argmax()]
    p = _unlikely(periods, effect)
    if p >= FALSE_ALARM / len(periods) or _odds_ratio(lowest, highest) < DRIFT:
        return None
    first, second = sorted((lowest, highest), key=lambda period: float(period["start"]))
    return _finding(check, first, second, p, periods, dated=dated, drift=True)


def _unlikely(periods: pd.DataFrame, effect: float) -> float:
    """Return the probability of shares as unequal as these by chance."""
    wins, n = periods["wins"].to_numpy(dtype=np.float64), periods["n"].to_numpy(dtype=np.float64)
    rate = wins.sum() / n.sum()
    if rate in (0.0, 1.0):
        return 1.0
    chi_squared = np.sum((wins - n * rate) ** 2 / (n * rate * (1 - rate))) / effect
    return float(stats.chi2.sf(chi_squared, len(periods) - 1))


def _odds_ratio(a: pd.Series[float], b: pd.Series[float]) -> float:
    """Return the larger odds over the smaller, with half a lead more on each side against zeros."""
    odds = [(period["wins"] + 0.5) / (period["n"] - period["wins"] + 0.5) for period in (a, b)]
    return float(max(odds) / min(odds))


def _finding(
    check: Check,
    before: pd.Series[float],
    after: pd.Series[float],
    p: float,
    periods: pd.DataFrame,
    *,
    dated: bool,
    drift: bool,
) -> Finding:
    where = _where(after["start"], dated=dated)
    change = "drifts" if drift else f"jumps at {where}"
    return check.issue(
        f"the share won {change}: from {_shown(before)} in the period that begins at "
        f"{_where(before['start'], dated=dated)} to {_shown(after)} in the one that begins at {where} "
        f"({len(periods)} periods, {int(periods['n'].sum()):,} leads)",
        remedy="find out what changed then (offers, sources, what counts as won); train on what came after, "
        "or keep the calibrate part short and recent, and watch the calibration of new scores",
        severity="warning",
        drift=drift,
        date=where,
        rate_before=float(before["rate"]),
        n_before=int(before["n"]),
        low_before=float(before["low"]),
        high_before=float(before["high"]),
        rate_after=float(after["rate"]),
        n_after=int(after["n"]),
        low_after=float(after["low"]),
        high_after=float(after["high"]),
        odds_ratio=_odds_ratio(before, after),
        p_value=p,
        periods=len(periods),
    )


def _shown(period: pd.Series[float]) -> str:
    return f"{period['rate']:.1%} [{period['low']:.1%}, {period['high']:.1%}] (n {int(period['n']):,})"


def _where(place: float, *, dated: bool) -> str:
    return date_of(place) if dated else f"place {place:g} of the order"


CHECKS: tuple[Check, ...] = (
    Check("PRP501", "outcomes_missing_before", "outcomes that begin at some date", find_missing_before),
    Check("PRP502", "outcomes_missing_after", "outcomes that stop, and leads still open", find_missing_after),
    Check("PRP503", "outcome_rate_jump", "a share won that jumps or drifts", find_rate_jump),
)
