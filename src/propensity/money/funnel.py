"""The funnel: from lead to MQL to SQL to won, the days in each stage, people's tiers beside the model's."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.cohort.incidence import SECONDS_PER_DAY
from propensity.errors import InputError
from propensity.evaluation.intervals import wilson_interval
from propensity.money.ledger import Ledger

Vector = npt.NDArray[np.float64]

# Under this many leads a week on average, weeks would show noise; months then.
FEWEST_A_WEEK = 30
Z = 1.96
# A stage's name to the tier that people give with it: whole words, upper and lower case alike.
STAGE_NAMES = {
    "sql": r"\bsql\b|sales[\s_-]*(qualified|accepted)|\bsal\b|opportunity",
    "mql": r"\bmql\b|marketing[\s_-]*(qualified|accepted)",
}
STEPS = (
    *("by", "unit", "period_start", "channel", "leads", "mqls", "mql_rate", "sqls", "sql_rate"),
    *("wins", "win_rate", "open", "wins_expected"),
)
STAGES = ("stage", "entered", "left", "median_days", "median_low", "median_high")
AGREEMENT = ("human", "model", "leads", "wins", "win_rate", "win_rate_low", "win_rate_high")


@dataclass(frozen=True)
class Funnel:
    """The three tables of the funnel and what to know about them.

    Attributes
    ----------
    steps : DataFrame
        With `STEPS`: by ``period``, by ``channel``, and by ``period and channel``. A lead is an MQL or an
        SQL if the model put it there or higher at any of its snapshots. ``sql_rate`` is of MQLs, the other
        rates are of leads.
    stages : DataFrame
        With `STAGES`: for each stage how many entered and left it, and the median days in it with its 95%
        interval, null where half of them have not left.
    agreement : DataFrame
        With `AGREEMENT`: of the leads that have ended, how many are in each pair of tiers, and how many were
        won.
    notes : list of str
    """

    steps: pd.DataFrame
    stages: pd.DataFrame
    agreement: pd.DataFrame
    notes: list[str]


def make_funnel(ledger: Ledger, stages: pd.DataFrame | None) -> Funnel:
    """Count the funnel.

    Parameters
    ----------
    ledger : Ledger
    stages : DataFrame or None
        Canonical stages.

    Raises
    ------
    InputError
        The leads have no creation time.
    """
    leads = ledger.leads
    if leads["created_at"].isna().all():
        raise InputError(
            "the funnel is told by week, but data.leads.created_at is null; name the column with the "
            "creation time"
        )
    steps = count_steps(leads)
    notes = [
        "The latest leads have had less time to be won; 'expected' adds what the open ones are likely to "
        "bring."
    ]
    if stages is None or stages.empty:
        notes.append("No stages are known: name their table under data.stages for the time spent in each.")
        return Funnel(steps, _empty(STAGES), _empty(AGREEMENT), notes)
    known = stages[stages["lead_id"].isin(leads["lead_id"])]
    human = human_tiers(known)
    if human.empty:
        names = ", ".join(sorted(map(str, known["stage"].unique()))[:8])
        notes.append(
            f"No stage is named as an MQL or SQL, so people's tiers are not known; there are: {names}."
        )
    times = time_in_stage(known, leads, ledger.until)
    return Funnel(steps, times, compare_tiers(leads, human) if len(human) else _empty(AGREEMENT), notes)


def count_steps(leads: pd.DataFrame) -> pd.DataFrame:
    """Count how many leads of each period and channel came how far."""
    created = leads["created_at"]
    weeks = max((created.max() - created.min()).days / 7, 1.0)
    unit = "week" if len(leads) / weeks >= FEWEST_A_WEEK else "month"
    naive = created.dt.tz_localize(None)
    start = naive.dt.to_period("W-SUN" if unit == "week" else "M").dt.start_time.dt.tz_localize("UTC")
    rows = leads.assign(period_start=start.dt.as_unit("us"), channel=leads["channel"].fillna("not known"))
    parts = [
        _count(rows, keys, by, unit)
        for by, keys in (
            ("period", ["period_start"]),
            ("channel", ["channel"]),
            ("period and channel", ["period_start", "channel"]),
        )
    ]
    return pd.concat(parts, ignore_index=True)[list(STEPS)]


def _count(rows: pd.DataFrame, keys: list[str], by: str, unit: str) -> pd.DataFrame:
    told = rows.assign(
        is_mql=rows["tier"].isin(["mql", "sql"]),
        is_sql=rows["tier"] == "sql",
        is_won=rows["status"] == "won",
        is_open=rows["status"] == "open",
    )
    counts = told.groupby(keys, as_index=False).agg(
        leads=("lead_id", "size"),
        mqls=("is_mql", "sum"),
        sqls=("is_sql", "sum"),
        wins=("is_won", "sum"),
        open=("is_open", "sum"),
        wins_expected=("chance", "sum"),
    )
    counts = counts.assign(
        by=by,
        unit=unit,
        mql_rate=counts["mqls"] / counts["leads"],
        sql_rate=counts["sqls"] / counts["mqls"].where(counts["mqls"] > 0),
        win_rate=counts["wins"] / counts["leads"],
    )
    if "period_start" not in keys:
        counts["period_start"] = pd.Series(pd.NaT, index=counts.index, dtype="datetime64[us, UTC]")
    if "channel" not in keys:
        counts["channel"] = pd.Series(pd.NA, index=counts.index, dtype="str")
    return counts


def time_in_stage(stages: pd.DataFrame, leads: pd.DataFrame, observed_until: pd.Timestamp) -> pd.DataFrame:
    """Return the median days that leads spend in each stage.

    A lead leaves a stage when it enters another or ends. A stage entered when the lead ended, or after that,
    is where it ended, and nobody leaves it; one without a next stage is still going on at the end of the
    data, and counts as at least that long (Kaplan and Meier 1958).

    Parameters
    ----------
    stages : DataFrame
        ``lead_id, stage, entered_at``.
    leads : DataFrame
        ``lead_id, closed_at``.
    observed_until : Timestamp
    """
    rows = stages[stages["entered_at"] <= observed_until].sort_values(["lead_id", "entered_at", "stage"])
    rows = rows.assign(
        later=rows.groupby("lead_id")["entered_at"].shift(-1),
        closed_at=rows["lead_id"].map(leads.set_index("lead_id")["closed_at"]),
    )
    final = rows["later"].isna() & (rows["entered_at"] >= rows["closed_at"])
    rows = rows[~final]
    ended = rows["closed_at"].where(rows["later"].isna() & (rows["closed_at"] <= observed_until))
    left_at = rows["later"].fillna(ended)
    days = (left_at.fillna(observed_until) - rows["entered_at"]).dt.total_seconds() / SECONDS_PER_DAY
    told = rows.assign(days=days, left=left_at.notna())
    found = []
    for stage, of in told.groupby("stage"):
        median, low, high = median_days(of["days"].to_numpy(np.float64), of["left"].to_numpy(bool))
        counts = {"stage": str(stage), "entered": len(of), "left": int(of["left"].sum())}
        found.append(counts | {"median_days": median, "median_low": low, "median_high": high})
    table = pd.DataFrame(found, columns=list(STAGES))
    return table.sort_values(["entered", "stage"], ascending=[False, True], ignore_index=True)


def median_days(days: Vector, left: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return the Kaplan-Meier median with its 95% interval; NaN where the curve does not come down to a half.

    The interval holds the times at which the log-log interval of the curve covers a half (Brookmeyer and
    Crowley 1982, doi 10.2307/2530286).
    """
    times, place = np.unique(days, return_inverse=True)
    gone, events = np.bincount(place), np.bincount(place, left)
    at_risk = gone[::-1].cumsum()[::-1]
    stays = np.cumprod(1 - events / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.cumsum(events / (at_risk * (at_risk - events)))) / np.abs(np.log(stays))
        low, high = stays ** np.exp(Z * error), stays ** np.exp(-Z * error)
    low, high = np.where(stays == 1, 1.0, low), np.where(stays == 1, 1.0, high)
    low, high = np.where(stays == 0, 0.0, low), np.where(stays == 0, 0.0, high)
    return _first(times, stays), _first(times, low), _first(times, high)


def _first(times: Vector, curve: Vector) -> float:
    below = curve <= 0.5
    return float(times[np.argmax(below)]) if below.any() else float("nan")


def human_tiers(stages: pd.DataFrame) -> pd.Series[str]:
    """Return the highest tier that people gave each lead by its stages; leads without one are left out."""
    tiers = {str(name): _tier_of(str(name)) for name in stages["stage"].unique()}
    given = stages.assign(tier=stages["stage"].map(tiers)).dropna(subset="tier")
    # sql comes after mql in the alphabet, as in the funnel.
    return given.groupby("lead_id")["tier"].max()


def _tier_of(stage: str) -> str | None:
    return next((tier for tier, words in STAGE_NAMES.items() if re.search(words, stage.lower())), None)


def compare_tiers(leads: pd.DataFrame, human: pd.Series[str]) -> pd.DataFrame:
    """Set people's tiers beside the model's, for leads that have ended."""
    ended = leads[(leads["status"] != "open") & (leads["tier"] != "disqualified")]
    rows = ended.assign(
        human=ended["lead_id"].map(human).fillna("lead"),
        model=ended["tier"].replace({"nurture": "lead"}),
        won=ended["status"] == "won",
        code=pd.factorize(ended["group"])[0],
    )
    found = []
    for (one, other), of in rows.groupby(["human", "model"]):
        low, high = wilson_interval(of["won"].to_numpy(bool), of["code"].to_numpy(np.int64))
        found.append((one, other, len(of), int(of["won"].sum()), float(of["won"].mean()), low, high))
    return pd.DataFrame(found, columns=list(AGREEMENT))


def _empty(columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(columns=list(columns))
