"""The gate: what a challenger has to show, check by check, before it takes the champion's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from propensity.errors import some
from propensity.evaluation.metrics import Vector, Won
from propensity.evaluation.paired import compare_models
from propensity.evaluation.reliability import sum_by_group
from propensity.model.bundle import Bundle
from propensity.params import PromotionParams

LEVEL = 0.95
SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Check:
    """One thing that was asked of the challenger.

    Attributes
    ----------
    name : str
    passed : bool or None
        None where it could not be asked or nothing bounds it.
    said : str
        The answer as a sentence, with its figures.
    figures : dict
    """

    name: str
    passed: bool | None
    said: str
    figures: Mapping[str, Any] = field(default_factory=dict)


def check_to_json(check: Check) -> dict[str, Any]:
    """Return a check as plain values."""
    return asdict(check)


def check_enough(rows: pd.DataFrame, why: str, params: PromotionParams, *, first: bool = False) -> Check:
    """Ask whether there are outcomes enough that neither model has seen.

    A first model, which has no champion to be told apart from, is told how many there are and asked nothing.

    Parameters
    ----------
    rows : DataFrame
        ``lead_id, as_of, won``, one row a snapshot.
    why : str
        What the rows are, or why there are none.
    params : PromotionParams
    """
    leads, wins = int(rows["lead_id"].nunique()), int(rows.loc[rows["won"].astype(bool), "lead_id"].nunique())
    figures: dict[str, Any] = {"leads": leads, "wins": wins, "snapshots": len(rows)}
    dated = bool(rows["as_of"].notna().any())
    if dated:
        figures |= {"from": rows["as_of"].min(), "to": rows["as_of"].max()}
    enough = leads >= params.min_leads and wins >= params.min_wins
    period = f", scored from {figures['from']:%Y-%m-%d} to {figures['to']:%Y-%m-%d}" if dated else ""
    found = f"{leads:,} leads with {wins:,} wins{period}: {why}" if leads else why
    if first:
        return Check("enough", None, found, figures)
    asked = f"promotion.min_leads asks for {params.min_leads:,}, promotion.min_wins for {params.min_wins:,}"
    return Check("enough", enough, found if enough else f"too few to tell: {found}; {asked}", figures)


def check_recentred(champion: Bundle | None, challenger: Bundle) -> Check | None:
    """Say that the challenger is the champion with a shift that outcomes since asked for; None if it is not.

    Those outcomes are what `propensity.evaluation.recentring.propose_shift` held against the champion, and it
    proposes a shift only where noise does not explain it. The order of leads stays, so no slice can fall.
    """
    records = challenger.data.get("recentred", [])
    if champion is None or not records or records[-1]["model_version"] != champion.model_version:
        return None
    last = records[-1]
    low, high = last["shift_interval"]
    said = (
        f"the champion with {last['shift']:+.3f} [{low:+.3f}, {high:+.3f}] added to its log-odds, as "
        f"{last['n']:,} snapshots that became final until {last['observed_until'][:10]} ask for"
    )
    return Check("enough", True, said, {key: last[key] for key in ("n", "wins", "shift", "shift_interval")})


def check_log_loss(comparison: pd.DataFrame, params: PromotionParams) -> Check:
    """Ask whether the challenger's log-loss is shown to be worse than the champion's.

    Parameters
    ----------
    comparison : DataFrame
        As `compare_models`.
    params : PromotionParams
    """
    return _check_metric(comparison, "log_loss", "log-loss", params.log_loss, "promotion.log_loss")


def check_calibration(comparison: pd.DataFrame, params: PromotionParams) -> Check:
    """Ask whether the challenger's calibration error (ECE) is shown to be worse than the champion's."""
    return _check_metric(comparison, "ece", "calibration error", params.calibration, "promotion.calibration")


def check_slices(
    won: Won,
    champion: Vector,
    challenger: Vector,
    groups: npt.NDArray[Any],
    slices: Mapping[str, pd.Series],
    params: PromotionParams,
) -> Check:
    """Ask whether the challenger's log-loss is shown to be worse in some slice by more than its bound.

    The error of a slice's difference is taken over groups. With many slices some would fall by chance, so
    their intervals share the 5% that one may leave out (Bonferroni).

    Parameters
    ----------
    won, champion, challenger, groups : arrays of shape (n_rows,)
    slices : mapping
        By name, the column whose values cut the rows.
    params : PromotionParams
    """
    worse = row_losses(won, challenger) - row_losses(won, champion)
    inside = {
        f"{name} {value}": (column == value).to_numpy(dtype=bool)
        for name, column in slices.items()
        for value in sorted(column.dropna().unique())
    }
    kept = {name: rows for name, rows in inside.items() if rows.sum() >= params.min_slice}
    z = float(stats.norm.ppf(1 - (1 - LEVEL) / 2 / max(len(kept), 1)))
    found = {name: _slice_difference(worse[rows], groups[rows], z) for name, rows in kept.items()}
    fallen = {name: row for name, row in found.items() if row["low"] > params.slices}
    figures = {"slices": found, "bound": params.slices}
    if not found:
        none = f"no slice has promotion.min_slice, {params.min_slice} snapshots"
        return Check("slices", None, none, figures)
    name, row = max(found.items(), key=lambda item: item[1]["low"])
    worst = f"{name} by {row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}], n {row['n']:,}"
    if fallen:
        most = f"{params.slices:g} in log-loss, most {worst}"
        said = f"{len(fallen)} of {len(found)} slices fell by more than {most}"
        return Check("slices", False, f"{said} (promotion.slices)", figures)
    return Check("slices", True, f"none of {len(found)} slices fell; nearest to it is {worst}", figures)


def check_volumes(
    leads: npt.NDArray[Any],
    probability: Vector,
    weekly: Vector,
    cutoffs: Mapping[str, Any],
    params: PromotionParams,
) -> Check:
    """Ask whether the tiers of the challenger fit into the weeks of those who work on them.

    Parameters
    ----------
    leads : array of shape (n_rows,)
        Whose snapshot each row is; a lead counts by its highest probability.
    probability : array of shape (n_rows,)
    weekly : array of shape (n_weeks,)
        Leads that came in each week.
    cutoffs : mapping
        ``probability`` under ``mql`` and ``sql``.
    params : PromotionParams
    """
    asked = {name: getattr(params.capacity, name) for name in ("mql", "sql")}
    if all(room is None for room in asked.values()):
        return Check("volumes", None, "not asked: promotion.capacity names no leads a week")
    if len(weekly) == 0 or len(leads) == 0:
        return Check("volumes", None, "no whole week of arrivals to count")
    highest = pd.Series(probability).groupby(leads).max().to_numpy()
    sql = highest >= cutoffs["sql"]["probability"]
    reached = {"sql": sql, "mql": ~sql & (highest >= cutoffs["mql"]["probability"])}
    volumes = {name: float(inside.mean() * weekly.mean()) for name, inside in reached.items()}
    over = [name for name, room in asked.items() if room is not None and volumes[name] > room]
    told = ", ".join(
        f"{name} {volumes[name]:.1f} leads a week" + (f", room for {room:g}" if room is not None else "")
        for name, room in asked.items()
    )
    figures = {"volumes": volumes, "capacity": asked, "weeks": len(weekly), "arrivals": float(weekly.mean())}
    said = f"{told}; {weekly.mean():.1f} arrivals a week over {len(weekly)} weeks"
    return Check("volumes", not over, said + (" (promotion.capacity)" if over else ""), figures)


def check_audit(audit: str | None) -> Check:
    """Ask whether the audit of the challenger's data was clean.

    Parameters
    ----------
    audit : str or None
        ``clean``, or what stops a run, as the version's tag says.
    """
    if audit is None:
        return Check("audit", False, "nothing says how the audit of the challenger's data went")
    return Check("audit", audit == "clean", f"the audit of its data: {audit}", {"audit": audit})


def check_comparable(horizons: Mapping[str, float], types: Mapping[str, Mapping[str, str]]) -> Check:
    """Ask whether the models speak of the same thing: one horizon, and columns of one type.

    Parameters
    ----------
    horizons : mapping
        By model, the days its probabilities are about.
    types : mapping
        By model, the columns of leads that it reads, with their types.
    """
    figures = {"horizon_days": dict(horizons)}
    if len(set(horizons.values())) > 1:
        told = ", ".join(f"the {name}'s are about {days:g} days" for name, days in horizons.items())
        return Check("comparable", False, f"the probabilities cannot be compared: {told}", figures)
    found: dict[str, set[str]] = {}
    for columns in types.values():
        for column, kind in columns.items():
            found.setdefault(column, set()).add(kind)
    mixed = sorted(column for column, kinds in found.items() if len(kinds) > 1)
    if mixed:
        said = f"one model reads {some(mixed)} as text, the other as a number: one table cannot serve both"
        return Check("comparable", False, said, figures | {"columns": mixed})
    days = next(iter(horizons.values()))
    return Check("comparable", True, f"probabilities of a win within {days:g} days", figures)


def check_tiers(tiers: pd.DataFrame, params: PromotionParams) -> Check:
    """Say how many open leads would change their tier, and hold it against the bound if there is one.

    Parameters
    ----------
    tiers : DataFrame
        ``champion`` and ``challenger``, one row an open lead.
    params : PromotionParams
    """
    n, bound = len(tiers), params.changing_tier
    if n == 0:
        return Check("tiers", None, "no lead is open")
    changed = tiers["champion"] != tiers["challenger"]
    share = float(changed.mean())
    moves = tiers[changed].value_counts(["champion", "challenger"]).reset_index()
    listed = [
        {"from": row["champion"], "to": row["challenger"], "leads": int(row["count"])}
        for row in moves.to_dict("records")
    ]
    told = ", ".join(f"{row['leads']:,} from {row['from']} to {row['to']}" for row in listed)
    said = f"{share:.1%} of {n:,} open leads change tier{': ' + told if told else ''}"
    figures = {"share": share, "n": n, "moves": listed, "bound": bound}
    if bound is None:
        return Check("tiers", None, said, figures)
    over = share > bound
    return Check(
        "tiers", not over, said + (f"; promotion.changing_tier is {bound:.1%}" if over else ""), figures
    )


def check_better_than_rate(won: Won, challenger: Vector, base_rate: float, groups: npt.NDArray[Any]) -> Check:
    """Ask of a first model whether it tells more than the win rate alone does.

    Parameters
    ----------
    won, challenger, groups : arrays of shape (n_rows,)
    base_rate : float
        The share won that was known when the model was calibrated.
    """
    rate = np.full(len(won), base_rate)
    row = _slice_difference(row_losses(won, challenger) - row_losses(won, rate), groups, 1.959964)
    said = (
        f"log-loss less that of the win rate {base_rate:.1%}: {row['difference']:+.4f} "
        f"[{row['low']:+.4f}, {row['high']:+.4f}]"
    )
    passed = row["high"] < 0
    return Check("log_loss", passed, said if passed else f"{said}: not shown to tell more than it", row)


def compare(
    won: Won, champion: Vector, challenger: Vector, groups: npt.NDArray[Any], *, seed: int
) -> pd.DataFrame:
    """Return both models' figures on the same rows and their differences, as `compare_models`."""
    codes = np.asarray(pd.factorize(pd.Series(groups))[0], dtype=np.int64)
    return compare_models(won, champion, challenger, codes, seed=seed)


def row_losses(won: Won, probability: Vector) -> Vector:
    """Return each row's log-loss."""
    p = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return np.asarray(-np.where(won, np.log(p), np.log1p(-p)), dtype=np.float64)


def failed(checks: Sequence[Check]) -> list[Check]:
    """Return the checks that the challenger did not pass."""
    return [check for check in checks if check.passed is False]


def _check_metric(comparison: pd.DataFrame, metric: str, name: str, bound: float, key: str) -> Check:
    row = {str(name): float(value) for name, value in comparison.loc[metric].to_dict().items()}
    said = (
        f"{name} {row['challenger']:.4f} against {row['champion']:.4f}, difference {row['difference']:+.4f} "
        f"[{row['low']:+.4f}, {row['high']:+.4f}]"
    )
    passed = not row["low"] > bound
    return Check(metric, passed, said if passed else f"{said}: worse by more than {bound:g} ({key})", row)


def _slice_difference(worse: Vector, groups: npt.NDArray[Any], z: float) -> dict[str, float | int]:
    """Return the mean of row differences with an interval whose error is taken over groups."""
    mean = float(worse.mean())
    n_groups, totals = sum_by_group(worse - mean, groups)
    error = float(np.sqrt((totals**2).sum() * n_groups / max(n_groups - 1, 1)) / len(worse))
    if n_groups < 2:
        return {"n": len(worse), "difference": mean, "low": -np.inf, "high": np.inf}
    return {"n": len(worse), "difference": mean, "low": mean - z * error, "high": mean + z * error}
