"""Outcomes that are missing before or after some date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from propensity.audit.findings import Check, Finding
from propensity.audit.hazard import Ending, Spans, expected_endings, make_spans
from propensity.audit.records import Records
from propensity.audit.wilson import wilson_interval

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MICROSECONDS_PER_DAY = 86_400_000_000
CUTS = 20  # quantiles of creations, and of closings, that are tried as the date
MAX_LEADS = 20_000  # leads among which the date is looked for
MIN_ENDED = 50
MIN_EXPECTED = 20.0
MISSING = 0.1  # so small a part of the expected endings came that they are missing, not few
ONE_KIND = 0.05  # so small a part of the later share: a drifting rate falls to a tenth at times
CHANCE = 1e-6  # probability that as few come by chance
PHRASES = {"outcome": "no outcomes", "won": "no wins", "lost": "no losses"}


@dataclass(frozen=True)
class _Gap:
    """A stretch before or after a moment in which endings of one kind are missing."""

    ending: Ending
    moment: float
    came: int
    expected: float

    @property
    def phrase(self) -> str:
        nothing = PHRASES[self.ending]
        return nothing if self.came == 0 else f"only {self.came:,} {nothing.removeprefix('no ')}"

    @property
    def figures(self) -> dict[str, Any]:
        return {
            "kind": self.ending,
            "date": date_of(self.moment),
            "came": self.came,
            "expected": round(self.expected, 1),
        }


@dataclass(frozen=True)
class _Start:
    """The earliest leads, among whom hardly any are what a share of the later ones is."""

    lacking: str
    place: float
    part: int
    n: int
    later_part: int
    later_n: int


def days_of(moments: pd.Series[pd.Timestamp]) -> Floats:
    """Return days since 1970, NaN where null."""
    missing = moments.isna().to_numpy()
    if missing.all():
        return np.full(len(moments), np.nan)
    micros = moments.dt.as_unit("us").astype("int64").to_numpy(dtype=np.float64)
    return np.where(missing, np.nan, micros / MICROSECONDS_PER_DAY)


def date_of(day: float) -> str:
    """Return the date of a moment in days since 1970."""
    return str(pd.Timestamp(day, unit="D").date())


def place_of(records: Records) -> tuple[Floats, bool] | None:
    """Return where each lead stands in time, and whether in days since 1970; None where nothing says it."""
    if records.dated:
        return days_of(records.leads["created_at"]), True
    order = records.leads["order_key"].to_numpy(dtype=np.float64)
    return None if np.isnan(order).all() else (order, False)


def find_missing_before(check: Check, records: Records) -> list[Finding]:
    """Find a date before which outcomes, or outcomes of one kind, are missing."""
    place = place_of(records)
    if place is None:
        return check.not_applicable("leads have neither a creation time nor an order")
    ended = int(records.closed.sum())
    if ended < MIN_ENDED:
        return check.skipped(
            f"{ended} leads ended; {MIN_ENDED} are needed to compare earlier with later ones"
        )
    spans = _spans(records)
    gap = None if spans is None else _find_gap(spans, before=True)
    if gap is not None and spans is not None:
        return [_before_finding(check, spans, gap)]
    start = _find_start(records, place[0])
    if start is not None:
        return [_start_finding(check, start, dated=place[1])]
    return check.passed(
        f"wins and losses come from the earliest leads on ({ended:,} of {len(records.leads):,} leads ended)",
        leads=len(records.leads),
        ended=ended,
    )


def find_missing_after(check: Check, records: Records) -> list[Finding]:
    """Say how many leads are open for want of time, and find a date after which no outcome came."""
    if not records.dated:
        return check.not_applicable("leads have no creation time")
    spans = _spans(records)
    gap = None if spans is None else _find_gap(spans, before=False)
    if gap is not None and spans is not None:
        return [_after_finding(check, records, spans, gap)]
    figures = _open_figures(records)
    said = (
        f"{figures['open']:,} of {figures['leads']:,} leads are open, and {figures['immature']:,} of "
        f"{figures['snapshots']:,} snapshots are too young for a final label"
    )
    if figures["open"] > figures["leads"] / 2:
        remedy = (
            "check that data.outcomes.won and lost name every final status; then wait, shorten "
            "snapshots.horizon_days, or let young snapshots count (snapshots.immature: weight)"
        )
        return [check.tip(f"{said}: more than half of the leads are open", remedy=remedy, **figures)]
    if spans is None:
        return check.skipped(
            f"{said}; without closing times it cannot be seen whether outcomes stopped",
            remedy="map data.outcomes.closed_at",
        )
    if int(spans.ended_as("outcome").sum()) < MIN_ENDED:
        return check.skipped(f"{said}; fewer than {MIN_ENDED} leads ended at a known time")
    return check.passed(f"{said}; outcomes come until the end of the data", **figures)


def _spans(records: Records) -> Spans | None:
    """Return each lead's time under observation; None without closing times."""
    leads = records.leads
    if not records.dated or records.observed_until is None or not leads["closed_at"].notna().any():
        return None
    end = pd.Timestamp(records.observed_until).timestamp() / 86_400
    status = leads["status"].to_numpy(dtype=object)
    return make_spans(days_of(leads["created_at"]), days_of(leads["closed_at"]), status, end=end)


def _find_gap(spans: Spans, *, before: bool) -> _Gap | None:
    """Return the stretch in which the most endings are missing, measured over all leads."""
    few = spans.at_most(MAX_LEADS)
    endings: tuple[Ending, ...] = ("outcome", "won", "lost")
    for ending in endings:
        if few.ended_as(ending).sum() < MIN_ENDED:
            continue
        gaps = [_measure(few, ending, cut, before=before) for cut in _cuts(few, ending, before=before)]
        missing = [gap for gap in gaps if _is_missing(gap)]
        if missing:
            widest = max(missing, key=lambda gap: gap.expected - gap.came / MISSING)
            return _measure(spans, ending, widest.moment, before=before)
    return None


def _measure(spans: Spans, ending: Ending, cut: float, *, before: bool) -> _Gap:
    ended = spans.ended_as(ending)
    inside = spans.exit < cut if before else spans.exit > cut
    return _Gap(ending, cut, int((ended & inside).sum()), expected_endings(spans, ended, cut, before=before))


def _is_missing(gap: _Gap) -> bool:
    if gap.expected < MIN_EXPECTED or gap.came > MISSING * gap.expected:
        return False
    return bool(stats.poisson.cdf(gap.came, gap.expected) < CHANCE)


def _cuts(spans: Spans, ending: Ending, *, before: bool) -> Floats:
    """Return the moments tried, on that side of the middle: quantiles of closings and of creations."""
    shares = np.linspace(0.0, 0.5, CUTS) if before else np.linspace(0.5, 1.0, CUTS)
    closings = np.quantile(spans.exit[spans.ended_as(ending)], shares)
    return np.unique(np.concatenate([closings, np.quantile(spans.entry, shares)]))


def _before_finding(check: Check, spans: Spans, gap: _Gap) -> Finding:
    earlier = spans.entry < gap.moment
    figures = _compare(spans, earlier)
    date = date_of(gap.moment)
    return check.issue(
        f"{gap.phrase} are recorded before {date}, where about {gap.expected:,.0f} were to be expected. Of "
        f"{int(earlier.sum()):,} leads created earlier {_shown(figures, 'ended', 'before')} ended, and of "
        f"these {_shown(figures, 'lost', 'before')} were lost; of {int((~earlier).sum()):,} later ones "
        f"{_shown(figures, 'ended', 'after')} and {_shown(figures, 'lost', 'after')}",
        remedy=f"leave out the leads created before {date}, or bring the outcomes of that time",
        severity="warning",
        **gap.figures,
        **figures,
    )


def _after_finding(check: Check, records: Records, spans: Spans, gap: _Gap) -> Finding:
    later = int((spans.entry > gap.moment).sum())
    return check.issue(
        f"{gap.phrase} came after {date_of(gap.moment)}, where about {gap.expected:,.0f} were to be expected "
        f"until {date_of(spans.end)}; {later:,} leads were created in that time",
        remedy="find out whether outcomes still reach this table; until they do, set data.observed_until to "
        f"{date_of(gap.moment)}",
        severity="warning",
        **gap.figures,
        leads_after=later,
        **_open_figures(records),
    )


def _compare(spans: Spans, earlier: Flags) -> dict[str, Any]:
    """Return the shares that ended, and that were lost of those, before and after, with intervals."""
    figures: dict[str, Any] = {}
    for side, rows in (("before", earlier), ("after", ~earlier)):
        n = int(rows.sum())
        ended, lost = (int((rows & spans.ended_as(kind)).sum()) for kind in _COMPARED)
        for share, part, whole in (("ended", ended, n), ("lost", lost, ended)):
            low, high = wilson_interval(part, whole)
            figures |= {f"{share}_{side}": part / whole if whole else 0.0, f"{share}_n_{side}": whole}
            figures |= {f"{share}_low_{side}": low, f"{share}_high_{side}": high}
    return figures


_COMPARED: tuple[Ending, Ending] = ("outcome", "lost")


def _shown(figures: dict[str, Any], share: str, side: str) -> str:
    value, low, high = (figures[f"{share}{part}_{side}"] for part in ("", "_low", "_high"))
    return f"{value:.1%} [{low:.1%}, {high:.1%}]" if figures[f"{share}_n_{side}"] else "none"


def _open_figures(records: Records) -> dict[str, Any]:
    return {
        "leads": len(records.leads),
        "open": int((~records.closed).sum()),
        "snapshots": len(records.snapshots),
        "immature": int((~records.snapshots["mature"].astype(bool)).sum()),
    }


def _find_start(records: Records, place: Floats) -> _Start | None:
    """Return the longest start of the history without wins, without losses, or without endings."""
    everyone = np.ones(len(place), dtype=bool)
    for lacking, has, among in (
        ("won", records.won, records.closed),
        ("lost", records.closed & ~records.won, records.closed),
        ("ended", records.closed, everyone),
    ):
        taken = among & ~np.isnan(place)
        start = _empty_start(lacking, place[taken], has[taken])
        if start is not None:
            return start
    return None


def _empty_start(lacking: str, place: Floats, has: Flags) -> _Start | None:
    found = None
    for cut in np.unique(np.quantile(place, np.linspace(0.025, 0.5, CUTS))):
        early = place < cut
        part, n, later = int(has[early].sum()), int(early.sum()), int(has[~early].sum())
        share = later / (len(place) - n)
        if n and part / n <= ONE_KIND * share and stats.binom.cdf(part, n, share) < CHANCE:
            found = _Start(lacking, float(cut), part, n, later, len(place) - n)
    return found


def _start_finding(check: Check, start: _Start, *, dated: bool) -> Finding:
    where = date_of(start.place) if dated else f"place {start.place:g} of the order"
    earlier, later = start.part / start.n, start.later_part / start.later_n
    low, high = wilson_interval(start.part, start.n)
    later_low, later_high = wilson_interval(start.later_part, start.later_n)
    whose = "leads" if start.lacking == "ended" else "leads that ended"
    return check.issue(
        f"of {start.n:,} {whose} before {where}, {earlier:.1%} [{low:.1%}, {high:.1%}] "
        f"{_verb(start.lacking)}; of {start.later_n:,} later ones "
        f"{later:.1%} [{later_low:.1%}, {later_high:.1%}]",
        remedy=f"leave out the leads before {where}, or bring the outcomes that are missing there",
        severity="warning",
        kind=start.lacking,
        date=where,
        n_before=start.n,
        share_before=earlier,
        low_before=low,
        high_before=high,
        n_after=start.later_n,
        share_after=later,
        low_after=later_low,
        high_after=later_high,
    )


def _verb(lacking: str) -> str:
    return "ended" if lacking == "ended" else f"were {lacking}"
