"""The simulated reps that leads belong to: reassigned now and then, whatever becomes of the lead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from propensity.data.mechanism import Ints, to_micros, to_moments
from propensity.data.planted import DAY

OWNER = "owner"  # the column of leads, and the field of the history
REPS = ("Ada", "Bo", "Cem", "Dina", "Emre", "Femke", "Gus", "Hana", "Ines", "Jo")
DAYS_BETWEEN_CHANGES = 365.0


@dataclass(frozen=True)
class Owners:
    """Who each lead belongs to at the export, and how that came about.

    Attributes
    ----------
    current : Series of str
        In the order of the leads.
    history : DataFrame
        One row a change, in order of time: ``lead_id, field, changed_at, old, new``. The first owner has
        no row, as in the field history of a CRM.
    """

    current: pd.Series[str]
    history: pd.DataFrame


def sample_owners(leads: pd.DataFrame, until: pd.Timestamp, rng: np.random.Generator) -> Owners:
    """Assign each lead to a rep when it is created, and to another at random moments up to `until`.

    Neither who nor when depends on anything about the lead, so that the owner tells nothing.
    """
    created = to_micros(leads["created_at"])
    span = int(to_micros(pd.Series([until]))[0]) - created
    lead = np.repeat(np.arange(len(leads)), rng.poisson(span / (DAYS_BETWEEN_CHANGES * DAY)))
    changed = created[lead] + np.ceil(rng.random(len(lead)) * span[lead]).astype("int64")
    order = np.lexsort((changed, lead))
    lead, changed = lead[order], changed[order]
    first = rng.integers(len(REPS), size=len(leads))
    held = _walk(first, lead, rng.integers(1, len(REPS), size=len(lead)))
    names = np.array(REPS)
    before = np.where(np.diff(lead, prepend=-1) != 0, first[lead], np.roll(held, 1))
    current = first.copy()
    current[lead] = held  # the last of a lead's rows has the last word
    history = pd.DataFrame(
        {
            "lead_id": leads["lead_id"].take(lead).reset_index(drop=True),
            "field": OWNER,
            "changed_at": to_moments(changed),
            "old": names[before],
            "new": names[held],
        }
    )
    by_time = history.sort_values(["changed_at", "lead_id"], kind="stable", ignore_index=True)
    return Owners(pd.Series(names[current], index=leads.index, dtype="str"), by_time)


def _walk(first: Ints, lead: Ints, steps: Ints) -> Ints:
    """Return who a lead belongs to after each change: so many steps on from the last, never the same."""
    total = np.cumsum(steps)
    starts = np.diff(lead, prepend=-1) != 0
    offset = np.maximum.accumulate(np.where(starts, total - steps, 0))
    held: Ints = (first[lead] + total - offset) % len(REPS)
    return held
