"""Pages, offers, mails, campaigns and attributes by how the leads that met them end.

A lead that lives long meets much: whoever asks at the end of the data what winners had met, and counts from
there, credits every page with the time it took to win (immortal-time bias). Here a lead is looked at when it
reaches an age. What it had met by then stands on one side, whether it is won within the horizon after that
moment on the other, and it is compared with leads of the same age, created in the same quarter, that had not
met it. A lead that had ended by that age is on neither side.

The difference is the mean over ages and quarters of the difference in the share won, each weighing
``n_met n_others / n`` (a regression on having met it, with an effect for each age and quarter). Leads are
looked at several times and accounts hold several leads, so its variance sums over accounts first (Liang and
Zeger 1986, doi 10.1093/biomet/73.1.13). It is a difference between leads, not what showing them a page
would bring.

Active leads meet more of everything. An asset is therefore compared a second time, with leads that did about
as much of the same type by then: ``difference_as_active`` says which page, not how many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

Vector = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Where nothing holds, one list in a hundred names anything.
LEVEL = 0.01
FEWEST_LEADS = 30  # on either side
FEWEST_WINS = 5  # expected among those who met it; fewer, and the normal approximation fails
Z = 1.96
# How much a lead has done of a type, in steps of about a half more; the last is everything above.
ACTIVITY = (0, 1, 2, 3, 4, 6, 9, 13, 19, 28, 42)
COLUMNS = (
    *("kind", "subject", "value", "leads_met", "leads_others", "wins_met", "rate_met", "rate_others"),
    *("difference", "low", "high", "shrunk", "p", "q", "named"),
    *("difference_as_active", "low_as_active", "high_as_active", "p_as_active", "q_as_active"),
    "named_as_active",
)


@dataclass(frozen=True)
class Factor:
    """Something that a lead has met or is.

    Attributes
    ----------
    kind : str
        ``event``, ``asset``, ``campaign`` or ``attribute``.
    subject : str
        The event type or the column.
    value : str
        The asset, campaign or level; the type itself for an event.
    """

    kind: str
    subject: str
    value: str


@dataclass(frozen=True)
class Contrast:
    """A difference in the share won between those who met a thing and those who did not."""

    rate_met: float
    rate_others: float
    difference: float
    error: float
    p: float


def find_trends(
    snapshots: pd.DataFrame,
    met: pd.DataFrame | None,
    attributes: pd.DataFrame,
    campaigns: pd.DataFrame | None,
) -> pd.DataFrame:
    """Compare how leads end with and without each thing they met or are.

    Parameters
    ----------
    snapshots : DataFrame
        Mature ones: ``snapshot, lead_id, group, won, age_days, created_at``.
    met : DataFrame or None
        ``snapshot, type, asset, n`` of what each had met, as `ledger.met_before`.
    attributes : DataFrame
        Levels as text, one column an attribute, in the order of `snapshots`.
    campaigns : DataFrame or None
        As `met`, with the campaign for ``asset``.

    Returns
    -------
    DataFrame
        One row a thing met by enough leads, with `COLUMNS`: shares won and their difference with the 95%
        interval; ``shrunk``, the difference drawn towards 0 as far as those of its kind differ no more than
        by chance (Efron and Morris 1973); ``q``, Benjamini and Hochberg's (1995); ``named``, q under
        `LEVEL`. The strongest first.
    """
    rows = snapshots.reset_index(drop=True)
    strata = _strata(rows)
    won, group = rows["won"].to_numpy(dtype=np.float64), pd.factorize(rows["group"])[0].astype(np.int64)
    found = []
    for factor, has, active in _factors(rows, met, attributes, campaigns):
        counts = _count(rows, has, won)
        if not _enough(counts, won):
            continue
        first = contrast(has, won, strata, group)
        if first is None:
            continue
        second = None if active is None else contrast(has, won, _crossed(strata, active), group)
        found.append(_row(factor, counts, first, second))
    return _judge(pd.DataFrame(found, columns=list(COLUMNS)))


def contrast(has: npt.NDArray[np.bool_], won: Vector, strata: Ints, group: Ints) -> Contrast | None:
    """Compare the share won of those who have a thing with that of the others in their stratum.

    The p-value is that of the score test, whose variance is taken where there is no difference; with few
    groups on the smaller side its reference is a t distribution. None where no stratum has both sides.

    Parameters
    ----------
    has, won, strata, group : arrays of shape (n_snapshots,)
    """
    n = np.bincount(strata)
    n_met = np.bincount(strata, has)
    weight = np.divide(n_met * (n - n_met), n, out=np.zeros(len(n)), where=n > 0)
    total = weight.sum()
    if total < 1e-9:
        return None
    both = weight > 0
    wins, wins_met = np.bincount(strata, won), np.bincount(strata, won * has)
    rate_met = float((weight[both] * wins_met[both] / n_met[both]).sum() / total)
    others = (wins - wins_met)[both] / (n - n_met)[both]
    rate_others = float((weight[both] * others).sum() / total)
    difference = rate_met - rate_others
    divisor = np.maximum(n, 1)
    centred = has - (n_met / divisor)[strata]
    rest = won - (wins / divisor)[strata]
    error = _clustered(centred * (rest - difference * centred), group) / total
    at_null = _clustered(centred * rest, group) / total
    n_groups = min(len(np.unique(group[has & both[strata]])), len(np.unique(group[~has & both[strata]])))
    # Without any variation in the outcome there is nothing to tell.
    p = 1.0 if at_null <= 0 else float(2 * stats.t.sf(abs(difference) / at_null, max(n_groups - 1, 1)))
    return Contrast(rate_met, rate_others, difference, error, p)


def _clustered(scores: Vector, group: Ints) -> float:
    return float(np.sqrt(np.sum(np.bincount(group, scores) ** 2)))


def _factors(
    rows: pd.DataFrame, met: pd.DataFrame | None, attributes: pd.DataFrame, campaigns: pd.DataFrame | None
) -> list[tuple[Factor, npt.NDArray[np.bool_], Ints | None]]:
    """List each thing with the snapshots that have it and, for assets, how active each was in its type."""
    found: list[tuple[Factor, npt.NDArray[np.bool_], Ints | None]] = []
    place = pd.Series(np.arange(len(rows)), index=rows["snapshot"].to_numpy())
    if met is not None:
        for kind, events in met[met["snapshot"].isin(place.index)].groupby("type"):
            at = place.loc[events["snapshot"]].to_numpy()
            count = np.bincount(at, events["n"], minlength=len(rows))
            found.append((Factor("event", str(kind), str(kind)), count > 0, None))
            active = np.searchsorted(ACTIVITY, count, side="left").astype(np.int64)
            for asset, of in events.groupby("asset"):
                found.append((Factor("asset", str(kind), str(asset)), _mask(of, place), active))
    if campaigns is not None:
        known = campaigns[campaigns["snapshot"].isin(place.index)]
        for name, of in known.groupby("asset"):
            found.append((Factor("campaign", "campaign", str(name)), _mask(of, place), None))
    for column in attributes:
        values = attributes[column].to_numpy()
        for level in sorted(set(values)):
            found.append((Factor("attribute", str(column), str(level)), values == level, None))
    return found


def _mask(events: pd.DataFrame, place: pd.Series[int]) -> npt.NDArray[np.bool_]:
    mask = np.zeros(len(place), dtype=bool)
    mask[place.loc[events["snapshot"].unique()].to_numpy()] = True
    return mask


def _strata(rows: pd.DataFrame) -> Ints:
    """Number the ages and, where there are dates, the quarters in which the leads were created."""
    quarter = rows["created_at"].dt.year * 4 + rows["created_at"].dt.quarter
    keys = pd.DataFrame({"age": rows["age_days"].fillna(-1.0), "quarter": quarter.fillna(-1)})
    return np.asarray(keys.groupby(["age", "quarter"]).ngroup(), dtype=np.int64)


def _crossed(strata: Ints, active: Ints) -> Ints:
    codes = strata * (len(ACTIVITY) + 1) + active
    return np.asarray(np.unique(codes, return_inverse=True)[1], dtype=np.int64)


def _count(rows: pd.DataFrame, has: npt.NDArray[np.bool_], won: Vector) -> dict[str, int]:
    """Count leads, not snapshots; one that met it at a later age has met it."""
    with_it = rows.loc[has, "lead_id"]
    return {
        "leads_met": with_it.nunique(),
        "leads_others": rows["lead_id"].nunique() - with_it.nunique(),
        "wins_met": rows.loc[has & (won > 0), "lead_id"].nunique(),
    }


def _enough(counts: dict[str, int], won: Vector) -> bool:
    fewest = min(counts["leads_met"], counts["leads_others"])
    return fewest >= FEWEST_LEADS and fewest * float(won.mean()) >= FEWEST_WINS


def _row(
    factor: Factor, counts: dict[str, int], first: Contrast, second: Contrast | None
) -> dict[str, object]:
    row: dict[str, object] = {**vars(factor), **counts, "rate_met": first.rate_met}
    row |= {"rate_others": first.rate_others, "p": first.p, **_told("", first)}
    if second is not None:
        row |= {"p_as_active": second.p, **_told("_as_active", second)}
    return row


def _told(suffix: str, told: Contrast) -> dict[str, float]:
    half = Z * told.error
    return {
        f"difference{suffix}": told.difference,
        f"low{suffix}": told.difference - half,
        f"high{suffix}": told.difference + half,
    }


def _judge(table: pd.DataFrame) -> pd.DataFrame:
    """Add what needs all rows, the false-discovery rates and the shrinkage; the strongest first."""
    if table.empty:
        return table[list(COLUMNS)]
    p = np.concatenate([table["p"].to_numpy(np.float64), table["p_as_active"].to_numpy(np.float64)])
    q = np.full(len(p), np.nan)
    q[~np.isnan(p)] = stats.false_discovery_control(p[~np.isnan(p)])
    judged = table.assign(q=q[: len(table)], q_as_active=q[len(table) :])
    judged["named"] = judged["q"] < LEVEL
    judged["named_as_active"] = judged["q_as_active"] < LEVEL
    judged["shrunk"] = _shrink(judged)
    strength = -judged["shrunk"].abs()
    keys = judged.assign(strength=strength).sort_values(["strength", "kind", "subject", "value"])
    return keys[list(COLUMNS)].reset_index(drop=True)


def _shrink(table: pd.DataFrame) -> pd.Series[float]:
    """Draw each difference towards 0, by how much those of its kind vary beyond chance.

    The variance of the true differences is estimated by moments around 0: the sum of ``(d / se)**2`` is on
    average their number plus that variance times the sum of ``1 / se**2``.
    """
    variance = (((table["high"] - table["low"]) / (2 * Z)) ** 2).clip(lower=1e-12)
    shrunk = pd.Series(0.0, index=table.index)
    for _, rows in table.groupby("kind"):
        own = variance[rows.index]
        beyond = float((rows["difference"] ** 2 / own).sum()) - len(rows)
        true = max(beyond, 0.0) / float((1 / own).sum())
        shrunk[rows.index] = rows["difference"] * true / (true + own)
    return shrunk
