"""What leads do in the days after a snapshot: which actions are realistic, and how often they are taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from propensity.features.catalogue import Plan, own_types

if TYPE_CHECKING:
    import ibis.expr.types as ir

DAYS_AFTER = 7.0  # in which nurture can bring an action about; the shares are of so many days
LEAST_SHARE = 0.01
FEWEST_LEADS = 20
MOST_TIMES = 10
KEY = ["qualifier", "type", "asset"]


@dataclass(frozen=True)
class Action:
    """A kind of event that leads take.

    Attributes
    ----------
    qualifier, type : str
    asset : str or None
        None: any that the model does not count by itself.
    value : float or None
        The median of such events.
    shares : tuple of float
        The share of leads that do it once or more in `DAYS_AFTER` days, twice or more, and so on.
    n : int
        How many leads that is a share of.
    """

    qualifier: str
    type: str
    asset: str | None
    value: float | None
    shares: tuple[float, ...]
    n: int


def gather_actions(
    con: Any,
    spine: ir.Table,
    events: ir.Table | None,
    known: pd.DataFrame,
    plan: Plan,
    cutoffs: Mapping[str, Any],
) -> dict[str, Any]:
    """Find out what leads under each cut-off do, for the bundle.

    Parameters
    ----------
    con : ibis backend
    spine : ibis table
        Mature snapshots that are not of the test part and are followed by `DAYS_AFTER` days of data:
        ``snapshot, lead_id, as_of, closed_at``.
    events : ibis table or None
        Canonical events.
    known : DataFrame
        The same snapshots: ``snapshot, lead_id, probability`` (calibrated), ``won``.
    plan : Plan
    cutoffs : mapping
        ``probability`` under ``mql`` and ``sql``.

    Returns
    -------
    dict
        As `describe_actions`.
    """
    from propensity.data.fetch import fetch
    from propensity.features.actions import count_followed, followed_events, typical_values

    if events is None or not own_types(plan):
        none = pd.DataFrame(columns=[*KEY, "snapshot", "times", "value"])
        return describe_actions(known, none, none, cutoffs)
    followed = followed_events(spine, events, plan, days_after=DAYS_AFTER)
    values = fetch(con, typical_values(followed))
    return describe_actions(known, fetch(con, count_followed(followed)), values, cutoffs)


def describe_actions(
    known: pd.DataFrame, counts: pd.DataFrame, values: pd.DataFrame, cutoffs: Mapping[str, Any]
) -> dict[str, Any]:
    """Choose the actions that are realistic for leads under each cut-off.

    Realistic is what at least 1% of the leads and at least 20 of them did, up to the 90th percentile of the
    times of those who did it and never over 10 times. What was followed by fewer wins than not doing it, such
    as unsubscribing, is left out.

    Parameters
    ----------
    known : DataFrame
        ``snapshot, lead_id, probability, won``.
    counts : DataFrame
        ``snapshot, qualifier, type, asset, times``: what was done after each snapshot.
    values : DataFrame
        ``qualifier, type, asset, value``.
    cutoffs : mapping

    Returns
    -------
    dict
        ``days``, and under ``mql`` and ``sql`` the number of ``leads`` seen under that cut-off and the
        ``actions``, the most frequent first: ``qualifier, type, asset, value, shares``. A lead counts once,
        whatever the number of its snapshots.
    """
    counts = counts.sort_values([*KEY, "snapshot"])  # sums of shares depend on their order
    found: dict[str, Any] = {"days": DAYS_AFTER}
    for name in ("mql", "sql"):
        under = known[known["probability"] < cutoffs[name]["probability"]]
        each = under.assign(weight=1 / under.groupby("lead_id")["lead_id"].transform("size"))
        done = counts.merge(each, on="snapshot", validate="m:1").merge(values, "left", KEY)
        described = [_describe(key, rows, each) for key, rows in done.groupby(KEY, dropna=False)]
        kept = [action for action in described if action["shares"]]
        kept.sort(key=lambda a: (-a["shares"][0], a["qualifier"], a["type"], a["asset"] or ""))
        found[name] = {"leads": int(each["lead_id"].nunique()), "actions": kept}
    return found


def _describe(key: Any, rows: pd.DataFrame, each: pd.DataFrame) -> dict[str, Any]:
    qualifier, kind, asset = (None if pd.isna(part) else str(part) for part in key)
    value = rows["value"].iloc[0]
    return {
        "qualifier": qualifier,
        "type": kind,
        "asset": asset,
        "value": None if pd.isna(value) else float(value),
        "shares": _shares(rows, each) if _goes_with_winning(rows, each) else [],
    }


def _shares(rows: pd.DataFrame, each: pd.DataFrame) -> list[float]:
    total = float(each["weight"].sum())
    most = min(int(np.quantile(rows["times"], 0.9, method="inverted_cdf")), MOST_TIMES)
    shares: list[float] = []
    for times in range(1, most + 1):
        did = rows[rows["times"] >= times]
        share = float(did["weight"].sum()) / total
        if share < LEAST_SHARE or did["lead_id"].nunique() < FEWEST_LEADS:
            break
        shares.append(share)
    return shares


def _goes_with_winning(rows: pd.DataFrame, each: pd.DataFrame) -> bool:
    did, everyone = rows["weight"].sum(), each["weight"].sum()
    won = (rows["weight"] * rows["won"]).sum()
    others_won = (each["weight"] * each["won"]).sum() - won
    return bool(won * (everyone - did) >= others_won * did)


def read_actions(document: Mapping[str, Any] | None, name: str) -> list[Action]:
    """Return what leads under the cut-off `name` do, from what `describe_actions` returned."""
    listed = (document or {}).get(name, {"actions": [], "leads": 0})
    return [
        Action(**{**action, "shares": tuple(action["shares"])}, n=listed["leads"])
        for action in listed["actions"]
    ]
