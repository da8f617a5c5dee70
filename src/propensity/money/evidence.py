"""What trends and the profile of winners look at, gathered from the tables of a workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from propensity.decisions.levels import fit_levels, to_levels
from propensity.features.catalogue import Plan, catalogue
from propensity.money.ledger import met_before
from propensity.money.trends import find_trends
from propensity.money.winners import profile_winners

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir

MOST_LEVELS = 60
PROFILE_LEVELS = 20  # rarer values make no segment of 1% of the leads anyway


@dataclass(frozen=True)
class TrendInputs:
    """The arguments of `trends.find_trends`, by its names."""

    snapshots: pd.DataFrame
    met: pd.DataFrame | None
    attributes: pd.DataFrame
    campaigns: pd.DataFrame | None

    def find(self) -> pd.DataFrame:
        """Return the trends."""
        return find_trends(self.snapshots, self.met, self.attributes, self.campaigns)


def gather_trends(
    con: Any, tables: Mapping[str, ir.Table], snapshots: pd.DataFrame, features: pd.DataFrame, plan: Plan
) -> TrendInputs:
    """Gather what the trends compare: the mature snapshots, what they had met and what they are.

    Parameters
    ----------
    con : ibis backend
    tables : mapping
        Canonical tables by name.
    snapshots : DataFrame
        As the stage ``cohort`` writes them.
    features : DataFrame
        As the stage ``features`` writes them: attributes have the value they had at the snapshot.
    plan : Plan
        Only the event types and attributes in use are looked at: the audit has judged them.
    """
    mature = snapshots[snapshots["mature"]].sort_values("snapshot", ignore_index=True)
    mature = mature.assign(group=mature["account_id"].fillna(mature["lead_id"]))
    columns = attribute_columns(plan)
    held = mature[["snapshot"]].merge(features[["snapshot", *columns]], "left", "snapshot")
    attributes = to_levels(held, fit_levels(held, columns, most=MOST_LEVELS))
    types = [t for listed in plan.event_types.values() for t in listed]
    events = tables.get("events")
    if events is None or not types:
        return TrendInputs(mature, None, attributes, None)
    campaigns = None
    if "campaign" in events.columns:
        named = events.filter(events.campaign.notnull()).mutate(asset=events.campaign)
        campaigns = met_before(con, mature, named, types)
    return TrendInputs(mature, met_before(con, mature, events, types), attributes, campaigns)


def gather_winners(training: pd.DataFrame, snapshots: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Profile the winners; `winners.profile_winners` says what comes back.

    Each lead counts once, by its first snapshot; it was won if any of its snapshots was.

    Parameters
    ----------
    training : DataFrame
        As the stage ``split`` writes it.
    snapshots : DataFrame
        As the stage ``cohort`` writes them.
    plan : Plan
    """
    groups = (
        snapshots[["lead_id", "account_id"]].drop_duplicates("lead_id").set_index("lead_id")["account_id"]
    )
    ordered = training.sort_values(["lead_id", "as_of"], ignore_index=True)
    first = ordered.drop_duplicates("lead_id").reset_index(drop=True)
    won = first["lead_id"].map(ordered.groupby("lead_id")["won"].any()).to_numpy(dtype=bool)
    train = first["split"].isin(["train", "stop"]).to_numpy()
    later = first["split"].isin(["calibrate", "test"]).to_numpy()
    columns = attribute_columns(plan)
    levels = fit_levels(first[train], columns, most=PROFILE_LEVELS)
    group = pd.factorize(first["lead_id"].map(groups).fillna(first["lead_id"]))[0].astype(np.int64)
    return profile_winners(to_levels(first, levels), won, group, train, later)


def attribute_columns(plan: Plan) -> list[str]:
    """Return the features that are attributes of leads, the channel among them."""
    return [f.name for f in catalogue(plan) if f.statistic == "attribute"]
