"""The four parts of the history, in time, so that no part sees what another is tested on.

``train`` fits the candidates, ``stop`` chooses among them, ``calibrate`` fits the calibrator and
the cut-offs, ``test`` is looked at once.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.cohort.censoring import describe_weighting, weigh_parts
from propensity.errors import InputError
from propensity.params import SplitParams

PARTS = ("train", "stop", "calibrate", "test")
# What is promised, the probabilities and the cut-offs, rests on the other two: final labels only.
FITTED = ("train", "stop")
IN_GAP, UNDECIDED = "label reaches into the next part", "undecided when the next part begins"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Which part each snapshot belongs to.

    Attributes
    ----------
    part : Series of str
        One of `PARTS`, or null for a snapshot that belongs to none; same index as the snapshots.
    dropped : dict
        How many snapshots belong to none, by reason.
    weight : Series of float
        What each snapshot counts in fitting: mean 1 over each part, and 1 wherever nothing was weighted.
    weighting : dict
        What `describe_weighting` says of each part with weights.
    """

    part: pd.Series[str]
    dropped: dict[str, int]
    weight: pd.Series[float]
    weighting: dict[str, dict[str, Any]] = field(default_factory=dict)


def split_snapshots(
    snapshots: pd.DataFrame,
    leads: pd.DataFrame,
    params: SplitParams,
    *,
    seed: int,
    immature: Literal["leave_out", "weight"] = "leave_out",
) -> Split:
    """Split mature snapshots as the params say.

    Parameters
    ----------
    snapshots : DataFrame
        One row per mature snapshot: ``lead_id, account_id, created_at, label_end, won``, and for weights
        ``as_of, closed_at, age_days``.
    leads : DataFrame
        Canonical leads, read for ``order_key``.
    params : SplitParams
    seed : int
        For a random split.
    immature : {"leave_out", "weight"}
        What to do with a snapshot of train or stop whose window reaches over the part's end, in a split by
        time of dated closings: drop it, or keep it with a weight if it is decided by then.

    Raises
    ------
    InputError
        There are no mature snapshots, too little history, or a part has winners or losers only.
    """
    if snapshots.empty:
        raise InputError(
            "no snapshot is mature: no lead is old enough for its outcome to be final. Shorten "
            "snapshots.horizon_days, check data.outcomes (is 'lost' named?), or bring older leads"
        )
    shares = {part: float(getattr(params, part)) for part in PARTS}
    grouped = snapshots.assign(group=group_of(snapshots, params.group))
    if params.by == "time":
        # Without closing times a label is known of its lead, not of a window: no gap is needed.
        ended = grouped["label_end"].fillna(grouped["created_at"])
        weigh = immature == "weight" and bool(grouped["label_end"].notna().any())
        found = split_by_time(grouped.assign(label_end=ended), shares, weigh_immature=weigh)
    elif params.by == "order":
        order = leads.set_index("lead_id")["order_key"].reindex(grouped["lead_id"]).to_numpy()
        found = split_by_order(grouped.assign(order_key=order), shares)
    else:
        found = split_at_random(grouped, shares, seed=seed)
    if immature == "weight" and not found.weighting:
        logger.info(
            "snapshots.immature: weight has no effect: there is no label window that a part's end could cut "
            "(split.by is %s, closings are %s)",
            params.by,
            "dated" if grouped["label_end"].notna().any() else "not dated",
        )
    check_parts(found.part, grouped["won"])
    return found


def group_of(snapshots: pd.DataFrame, group: str) -> pd.Series[str]:
    """Return what must stay together: the account where there is one and it is asked for, else the lead."""
    return snapshots[group].fillna(snapshots["lead_id"])


def describe_rows(snapshots: pd.DataFrame, leads: pd.DataFrame, params: SplitParams) -> pd.DataFrame:
    """Return what evaluation needs to know about each snapshot beside its features.

    Returns
    -------
    DataFrame
        One row a snapshot: ``lead_id, as_of``, the ``group`` that stays together, the slices
        ``slice_age_days`` and ``slice_channel``, and its place in time: ``moment``, when it was taken,
        and ``known``, when its label was final, in one unit (microseconds, or the declared order).
    """
    about = snapshots[["lead_id", "as_of"]].assign(
        group=group_of(snapshots, params.group),
        slice_age_days=snapshots["age_days"],
        slice_channel=snapshots["channel"],
    )
    if params.by == "time":
        ended = snapshots["label_end"].fillna(snapshots["as_of"])
        return about.assign(moment=_microseconds(snapshots["as_of"]), known=_microseconds(ended))
    if params.by == "order":
        place = leads.set_index("lead_id")["order_key"].reindex(snapshots["lead_id"]).to_numpy()
        return about.assign(moment=place, known=place)
    return about.assign(moment=0, known=0)


def describe_parts(snapshots: pd.DataFrame, split: Split, params: SplitParams) -> dict[str, Any]:
    """Return each part's size, wins and period, and what was left out, for the report."""
    described = {}
    for part in PARTS:
        rows = snapshots[split.part == part]
        period = rows["as_of"].dropna()
        described[part] = {
            "snapshots": len(rows),
            "leads": rows["lead_id"].nunique(),
            "wins": int(rows["won"].sum()),
            "from": period.min() if len(period) else None,
            "to": period.max() if len(period) else None,
            **({"weights": split.weighting[part]} if part in split.weighting else {}),
        }
    return {"by": params.by, "group": params.group, "parts": described, "dropped": split.dropped}


def split_by_time(
    snapshots: pd.DataFrame, shares: dict[str, float], *, weigh_immature: bool = False
) -> Split:
    """Cut the history at moments that leave a gap as long as the labels reach.

    A snapshot belongs to the part its lead was created in, and only if its whole label window ends
    at or before the next part begins. Boundaries are placed so that what remains after these gaps
    has the asked shares. A group stays in the part it first appears in.

    Weights add rows to this split and take none away: the boundaries count final labels alone, so that
    calibrate and test are the same with and without, and figures on them can be compared.

    Parameters
    ----------
    snapshots : DataFrame
        One row per mature snapshot: ``created_at``, ``label_end``, ``group``; for weights also ``as_of``,
        ``closed_at``, ``age_days``.
    shares : dict
        Share of each of `PARTS`, summing to 1.
    weigh_immature : bool
        Add to train and stop the snapshots whose window reaches over the part's end but that are decided by
        then, and weigh all of the part for those that are not.

    Raises
    ------
    InputError
        The history is too short for four parts with these gaps.
    """
    created = _microseconds(snapshots["created_at"])
    label_end = _microseconds(snapshots["label_end"])
    boundaries = _boundaries(created, label_end, [shares[p] for p in PARTS])
    position = np.searchsorted(boundaries, created, side="right")
    ends = np.append(boundaries, np.iinfo(np.int64).max)[position]
    part = pd.Series(np.array(PARTS)[position], index=snapshots.index, dtype="str")
    in_gap = label_end > ends
    split = _keep_groups_together(part.mask(in_gap), snapshots["group"], gap=int(in_gap.sum()))
    return _add_decided(snapshots, split, position, ends) if weigh_immature else split


def split_by_order(snapshots: pd.DataFrame, shares: dict[str, float]) -> Split:
    """Cut the rows at shares of their declared order; a group stays in the part it first appears in.

    Parameters
    ----------
    snapshots : DataFrame
        One row per snapshot: ``order_key`` (rising with time), ``group``.
    shares : dict
        Share of each of `PARTS`, summing to 1.
    """
    order = snapshots["order_key"].rank(method="first").to_numpy(dtype=np.float64) - 1
    part = _cut(order / len(snapshots), shares, snapshots.index)
    return _keep_groups_together(part, snapshots["group"], gap=0)


def split_at_random(snapshots: pd.DataFrame, shares: dict[str, float], *, seed: int) -> Split:
    """Deal the groups to the parts at random: for data in which there is no time at all.

    The deal depends on the set of groups and the seed, not on the order of the rows.
    """
    groups = np.sort(snapshots["group"].unique())
    rank = np.random.default_rng(seed).permutation(len(groups)) / len(groups)
    place = snapshots["group"].map(pd.Series(rank, index=groups)).to_numpy(dtype=np.float64)
    return _unweighted(_cut(place, shares, snapshots.index), {})


def check_parts(part: pd.Series[str], won: pd.Series[bool]) -> None:
    """Refuse a split in which some part lacks won or not-won snapshots.

    Raises
    ------
    InputError
        Naming each part with its counts, and what to change.
    """
    counts = pd.crosstab(part, won).reindex(index=list(PARTS), columns=[False, True], fill_value=0)
    lacking = counts[(counts == 0).any(axis=1)]
    if lacking.empty:
        return
    shown = "; ".join(f"{p}: {r[True]} won and {r[False]} not won" for p, r in counts.iterrows())
    raise InputError(
        f"each part of the split needs won and not-won snapshots, but there are {shown}. Widen the part's "
        "share under split, shorten snapshots.horizon_days, check data.outcomes.won and lost, or bring "
        "more history"
    )


def _boundaries(
    created: npt.NDArray[np.int64], label_end: npt.NDArray[np.int64], shares: list[float]
) -> npt.NDArray[np.int64]:
    """Place the three boundaries for the largest history that fits, by bisection on its size."""
    order = np.argsort(label_end, kind="stable")
    created, label_end = created[order], label_end[order]
    last = label_end[-1] + 1

    def place(total: float) -> list[int] | None:
        found: list[int] = []
        start = np.iinfo(np.int64).min
        for share in shares:
            ends = label_end[created >= start]
            needed = max(1, round(share * total))
            if needed > len(ends):
                return None
            start = int(ends[needed - 1])
            found.append(start)
        return found[:-1] if found[-1] <= last else None

    low, high = 0, len(created)
    best = place(len(PARTS))
    if best is None:
        raise InputError(
            f"the history is too short for four parts: {len(created)} mature snapshots between which each "
            "label window must end before the next part begins. Shorten snapshots.horizon_days or ages_days, "
            "or bring more history"
        )
    while high - low > 1:
        middle = (low + high) // 2
        placed = place(middle)
        low, high, best = (middle, high, placed) if placed else (low, middle, best)
    return np.array(best, dtype=np.int64)


def _keep_groups_together(part: pd.Series[str], group: pd.Series[str], *, gap: int) -> Split:
    """Leave out the snapshots of a group that fall in a later part than the group's first snapshot."""
    position = part.map({p: i for i, p in enumerate(PARTS)})
    home = position.groupby(group.to_numpy()).transform("min")
    elsewhere = position.notna() & (position != home)
    dropped = {
        IN_GAP: gap,
        "group belongs to an earlier part": int(elsewhere.sum()),
    }
    return _unweighted(part.mask(elsewhere), {reason: n for reason, n in dropped.items() if n})


def _unweighted(part: pd.Series[str], dropped: dict[str, int]) -> Split:
    return Split(part, dropped, pd.Series(1.0, index=part.index))


def _add_decided(
    snapshots: pd.DataFrame, split: Split, position: npt.NDArray[np.intp], ends: npt.NDArray[np.int64]
) -> Split:
    """Add to the fitted parts what is decided before they end, with weights for what is not."""
    place = np.asarray(split.part.map({p: i for i, p in enumerate(PARTS)}), dtype=np.float64)
    found = weigh_parts(snapshots, place, position, ends, n_fitted=len(FITTED))
    names = {name: found[i] for i, name in enumerate(FITTED) if i in found}
    part, weight = split.part.copy(), split.weight.copy()
    for name, weighting in names.items():
        kept = weighting.weight.dropna()
        part[kept.index], weight[kept.index] = name, kept
    described = {n: describe_weighting(w, final=int((split.part == n).sum())) for n, w in names.items()}
    undecided = sum(int(w.undecided.sum()) for w in names.values())
    in_gap = split.dropped.get(IN_GAP, 0) - int((part.notna() & split.part.isna()).sum()) - undecided
    dropped = {**split.dropped, IN_GAP: in_gap, UNDECIDED: undecided}
    return Split(part, {reason: n for reason, n in dropped.items() if n}, weight, described)


def _cut(place: npt.NDArray[np.floating[Any]], shares: dict[str, float], index: pd.Index) -> pd.Series[str]:
    edges = np.cumsum([shares[p] for p in PARTS])[:-1]
    return pd.Series(np.array(PARTS)[np.searchsorted(edges, place, side="right")], index=index, dtype="str")


def _microseconds(times: pd.Series[pd.Timestamp]) -> npt.NDArray[np.int64]:
    return np.asarray(times.dt.as_unit("us").astype("int64"), dtype=np.int64)
