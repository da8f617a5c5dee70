"""The simulated company: its whole history, what it exported at each moment, and the truth behind it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from bench.year.calendar import HORIZON, Year
from propensity.data.extracts import extract_at
from propensity.data.simulate import Simulation, simulate, true_probability, write_simulation

OF_LEADS = ("leads", "events", "outcomes", "stages", "history", "truth")


def make_world(year: Year) -> Simulation:
    """Simulate all that happens, before, in and after the year."""
    whole = simulate(year.leads, year.seed, shifts=year.shifts)
    kept = set(whole.leads.loc[whole.leads["created_at"] >= year.since, "lead_id"])
    tables = {
        name: table[table["lead_id"].isin(kept)].reset_index(drop=True)
        for name in OF_LEADS
        if (table := getattr(whole, name)) is not None
    }
    spend = whole.spend[whole.spend["period_start"] >= year.since].reset_index(drop=True)
    return replace(whole, **tables, spend=spend)


def export(world: Simulation, moment: pd.Timestamp, folder: Path) -> None:
    """Write the raw files that the company's systems would have exported at a moment, without the truth."""
    known = extract_at(world, moment)
    write_simulation(replace(known, truth=known.truth[:0]), folder)


def compute_truth(
    world: Simulation, year: Year, lead_id: pd.Series[str], moment: pd.Timestamp
) -> pd.Series[float]:
    """Return each open lead's true probability to be won within 90 days of a moment."""
    asked = pd.DataFrame({"lead_id": lead_id, "as_of": moment})
    leads = world.leads[world.leads["lead_id"].isin(set(lead_id))].reset_index(drop=True)
    events = world.events[world.events["lead_id"].isin(set(lead_id))]
    found = true_probability(
        leads, events, asked, horizon_days=HORIZON / pd.Timedelta(days=1), shifts=year.shifts
    )
    return pd.Series(found, index=lead_id.index)
