"""The simulated CRM as it would have been exported at an earlier moment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from propensity.data import bookkeeping
from propensity.data.mechanism import to_micros
from propensity.data.owners import OWNER
from propensity.data.simulate import Simulation


def extract_at(simulation: Simulation, moment: pd.Timestamp) -> Simulation:
    """Return the tables that an export at `moment` would have held.

    A lead is there once it was created, an event once it was known, a stage or a change once it was
    entered; a lead that closed later is open. Fields that sales fill in are as of the export: drawn anew
    for each.

    Parameters
    ----------
    simulation : Simulation
    moment : Timestamp

    Returns
    -------
    Simulation
        ``truth`` holds the snapshots up to the moment; ``observed_until`` is the moment.
    """
    kept = simulation.leads["created_at"] <= moment
    leads = simulation.leads[kept].reset_index(drop=True)
    events = simulation.events[simulation.events["known_at"] <= moment].reset_index(drop=True)
    history = simulation.history[simulation.history["changed_at"] <= moment].reset_index(drop=True)
    outcomes = _outcomes_at(simulation.outcomes[kept].reset_index(drop=True), moment)
    rng = np.random.default_rng([simulation.seed, 2, int(to_micros(pd.Series([moment]))[0])])
    bare = leads.drop(columns=[*bookkeeping.LEAK_COLUMNS, OWNER])
    filled = bookkeeping.add_leaks(bare, outcomes, events, rng)
    return replace(
        simulation,
        leads=filled.assign(**{OWNER: _owners_at(leads, simulation.history, moment)}),
        events=events,
        outcomes=outcomes,
        stages=simulation.stages[simulation.stages["entered_at"] <= moment].reset_index(drop=True),
        history=history,
        spend=simulation.spend[simulation.spend["period_end"] <= moment].reset_index(drop=True),
        truth=simulation.truth[simulation.truth["as_of"] <= moment].reset_index(drop=True),
        observed_until=moment,
    )


def _outcomes_at(outcomes: pd.DataFrame, moment: pd.Timestamp) -> pd.DataFrame:
    ended = outcomes["closed_at"] <= moment
    facts = {name: outcomes[name].where(ended) for name in ("closed_at", "amount", "reason")}
    return outcomes.assign(status=outcomes["status"].where(ended, "open"), **facts)


def _owners_at(leads: pd.DataFrame, history: pd.DataFrame, moment: pd.Timestamp) -> pd.Series[str]:
    """Return who each lead belonged to: whom the last change names, or whom the first later one found."""
    by_time = history.sort_values("changed_at", kind="stable")
    last = by_time[by_time["changed_at"] <= moment].groupby("lead_id")["new"].last()
    found = by_time[by_time["changed_at"] > moment].groupby("lead_id")["old"].first()
    owner = leads.set_index("lead_id")[OWNER].copy()
    owner.update(found)
    owner.update(last)
    return owner.reset_index(drop=True)
