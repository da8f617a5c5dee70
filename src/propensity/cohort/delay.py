"""How long winning takes: the curve of wins over time, and the horizon that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from propensity.cohort.incidence import (
    FEWEST_AT_RISK,
    FEWEST_WINS,
    RESAMPLES,
    SECONDS_PER_DAY,
    SHARE,
    WON,
    follow_episodes,
    measure_wins,
)
from propensity.cohort.snapshots import with_outcomes
from propensity.errors import InputError

if TYPE_CHECKING:
    import ibis.expr.types as ir

# A split in time has a gap of one horizon after each of its four parts. Gaps of 40% in all leave the
# parts the larger half of the history, so one horizon may take a tenth of it.
LARGEST_SHARE_OF_HISTORY = 0.1
# The few leads that bear a date long before all others are no history to split.
STRAY_LEADS = 0.01
ESTIMATOR = (
    "Aalen-Johansen cumulative incidence of winning; losing is the competing event, open leads are censored; "
    f"95% percentile interval of {RESAMPLES} bootstrap resamples of accounts, or of leads without one"
)
ROUND_DAYS = (
    *(hours / 24 for hours in (1, 2, 3, 4, 6, 8, 12)),
    *(1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365),
)


@dataclass(frozen=True)
class Horizon:
    """The days in which a win counts, and what the data say about them.

    Attributes
    ----------
    days : float or None
        The horizon to use; None where closings have no date and params give no number.
    source : str
        ``data`` if it was found, ``params`` if it was given.
    estimate, low, high : float or None
        Days in which `share` of the wins to be seen come, with the 95% interval, before `longest` and
        rounding; None where there are too few wins or leads, or no dates.
    share : float
        The share of wins asked for.
    covered : float or None
        The share of the wins to be seen that come within `days`.
    watched : float or None
        Days after the opening up to which the curve is read: the last at which enough leads are at risk.
    longest : float or None
        Days that the history leaves to a horizon.
    capped : bool
        Whether `longest` cut the estimate.
    n_leads, n_wins : int
        The leads behind the curve, a reopened one once for each episode, and how many are won while it is
        read.
    estimator : str
        How it was found, in words.
    curve : DataFrame
        At most about 100 rows: ``days``; the shares of leads ``won`` and ``lost`` by then, 0 to 1, with the
        interval ``won_low, won_high``; ``at_risk``, the leads still open and covered then. Empty if
        nothing is known.
    """

    days: float | None
    source: Literal["data", "params"]
    estimate: float | None
    low: float | None
    high: float | None
    share: float
    covered: float | None
    watched: float | None
    longest: float | None
    capped: bool
    n_leads: int
    n_wins: int
    estimator: str
    curve: pd.DataFrame


def episode_times(
    leads: ir.Table,
    outcomes: ir.Table,
    disqualified: ir.Table,
    unsettled: ir.Table,
    *,
    observed_until: datetime | None,
    stages: ir.Table | None = None,
    events: ir.Table | None = None,
) -> ir.Table:
    """Return when each pursued lead came, or came back, and how that ended, as known at `observed_until`.

    Parameters
    ----------
    leads, outcomes : ibis tables
        Canonical tables.
    disqualified, unsettled : ibis tables
        ``lead_id`` of the leads that are not learned from.
    observed_until : datetime or None
    stages, events : ibis tables, optional
        Canonical tables, which tell when a lead was reopened.

    Returns
    -------
    ibis table
        One row an episode: ``lead_id, account_id, opened_at, status, closed_at``.
    """
    known = with_outcomes(leads, outcomes, observed_until=observed_until, stages=stages, events=events)
    pursued = known.anti_join(disqualified, "lead_id").anti_join(unsettled, "lead_id")
    return pursued.select("lead_id", "account_id", "opened_at", "status", "closed_at")


def resolve_horizon(
    episodes: pd.DataFrame | None,
    asked: float | Literal["auto"],
    *,
    observed_until: datetime | None,
    seed: int,
) -> Horizon:
    """Take the horizon from params or find it, and measure how long winning takes.

    The horizon is the shortest time ``t`` with ``F(t) >= 0.9 F(tau)``, where ``F`` is the cumulative
    incidence of winning after the opening (Aalen and Johansen 1978) and ``tau`` the last time at which 50
    leads are at risk; cut to a tenth of the history, and rounded down to a round number. ``1 -
    Kaplan-Meier`` would answer another question: when wins would come if no lead were ever lost.

    The outcomes of all leads are used, those of the later parts of a split among them. That chooses the
    question, "won within how many days", once for all parts, and tells the model nothing about any lead. It
    costs this: the tested question was chosen with the speed of the tested period's wins in view, so the
    test part does not show what a horizon found on older leads alone would have missed of later wins.
    Finding it on the training part instead would need the split, which needs the horizon, and would cut the
    slowest wins of the newest leads off.

    Parameters
    ----------
    episodes : DataFrame or None
        What `episode_times` gives; None where closings have no date.
    asked : float or "auto"
        ``snapshots.horizon_days``.
    observed_until : datetime or None
        The last moment the data covers; leads created later do not count.
    seed : int
        For the bootstrap.

    Raises
    ------
    InputError
        `asked` is ``auto`` and there are too few wins or leads, or the history is shorter than ten hours.

    References
    ----------
    Aalen and Johansen (1978), Scandinavian Journal of Statistics 5(3), 141-150.
    """
    if episodes is None or observed_until is None:
        return _unknown(asked, pd.DataFrame(), "closings have no date: a status counts whenever it came")
    followed = follow_episodes(episodes, observed_until)
    measured = measure_wins(followed, seed=seed)
    if measured is None:
        if asked == "auto":
            raise InputError(_too_few(followed))
        return _unknown(asked, followed, "too few leads or wins to say how long winning takes")
    longest = LARGEST_SHARE_OF_HISTORY * _span_days(followed["opened_at"], observed_until)
    days = _fit(measured.estimate, longest) if asked == "auto" else float(asked)
    within = measured.times <= days
    return Horizon(
        days=days,
        source="data" if asked == "auto" else "params",
        estimate=measured.estimate,
        low=measured.low,
        high=measured.high,
        share=SHARE,
        covered=float(measured.won[within][-1] / measured.won[-1]) if within.any() else 0.0,
        watched=float(measured.times[-1]),
        longest=longest,
        capped=asked == "auto" and measured.estimate > longest,
        n_leads=len(followed),
        n_wins=measured.n_wins,
        estimator=ESTIMATOR,
        curve=measured.curve,
    )


def horizon_to_json(horizon: Horizon) -> dict[str, Any]:
    """Return the horizon's fields for ``cohort.json``, the curve row by row."""
    return vars(horizon).copy()


def describe_horizon(horizon: Horizon) -> str:
    """Say in a sentence what the horizon is and where it comes from."""
    if horizon.days is None:
        return "no horizon: closings have no date"
    given = f"horizon {horizon.days:.4g} days"
    if horizon.estimate is None or horizon.covered is None:
        return f"{given}, from params"
    seen = (
        f"{horizon.share:.0%} of the wins to be seen come within {horizon.estimate:.3g} days "
        f"[{horizon.low:.3g}, {horizon.high:.3g}], n {horizon.n_leads:,}"
    )
    if horizon.source == "params":
        return f"{given}, from params, covers {horizon.covered:.0%} of them ({seen})"
    cut = f", cut to a tenth of the history, {horizon.longest:.3g} days" if horizon.capped else ""
    return f"{given}, found: {seen}{cut}; it covers {horizon.covered:.0%}"


def _span_days(opened_at: pd.Series[pd.Timestamp], observed_until: datetime) -> float:
    """Return the days from the first leads, but for a few strays, to the end of the data."""
    ago = (pd.Timestamp(observed_until) - opened_at).dt.total_seconds() / SECONDS_PER_DAY
    return float(np.quantile(ago, 1 - STRAY_LEADS))


def _fit(estimate: float, longest: float) -> float:
    """Cut the estimate to what the history leaves, and round it down; an hour at least."""
    if longest < ROUND_DAYS[0]:
        raise InputError(
            f"snapshots.horizon_days: auto needs a history of ten hours or more, the leads cover "
            f"{10 * 24 * longest:.3g} hours up to the end of the data; set snapshots.horizon_days by hand"
        )
    return max((d for d in ROUND_DAYS if d <= min(estimate, longest)), default=ROUND_DAYS[0])


def _too_few(followed: pd.DataFrame) -> str:
    wins = int((followed["fate"] == WON).sum())
    return (
        f"snapshots.horizon_days: auto needs {FEWEST_WINS} wins with a closing date while {FEWEST_AT_RISK} "
        f"or more leads are still followed, but of {len(followed):,} leads {wins:,} are won by the end of "
        "the data; set snapshots.horizon_days by hand, or check data.outcomes.won and closed_at"
    )


def _unknown(asked: float | Literal["auto"], followed: pd.DataFrame, why: str) -> Horizon:
    """Return a horizon of which the data say nothing: the given number, or none."""
    return Horizon(
        days=None if asked == "auto" else float(asked),
        source="params",
        estimate=None,
        low=None,
        high=None,
        share=SHARE,
        covered=None,
        watched=None,
        longest=None,
        capped=False,
        n_leads=len(followed),
        n_wins=int((followed["fate"] == WON).sum()) if len(followed) else 0,
        estimator=why,
        curve=pd.DataFrame(columns=["days", "won", "won_low", "won_high", "lost", "at_risk"]),
    )
