"""What the checks look at: leads and how they ended, their events in brief, the split, the features."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.data.tables import AttributeType


@dataclass(frozen=True)
class Records:
    """The tables of one audit.

    Attributes
    ----------
    leads : DataFrame
        One row a lead, a sample where there are very many: ``lead_id, account_id, channel, created_at,
        order_key, status`` (won, lost, open, as known at `observed_until`), ``closed_at``, then the
        attributes, as they are in the export: numbers as float64, texts as str, null where missing.
        ``created_at``, ``closed_at`` and ``order_key`` are null throughout where the data has none.
    attributes : dict
        Column of leads to ``number`` or ``text``.
    used : frozenset of str
        The columns of leads that become features.
    tracked : frozenset of str
        The columns whose value as of a moment is rebuilt from the history table.
    used_types : frozenset of str
        The event types that become features.
    event_timing : DataFrame or None
        One row an event type, when its events happen and how their leads end: see
        `propensity.audit.events.event_timing`. None: there are no events.
    event_counts : DataFrame or None
        Per lead and event type the number of events, at the end of the data and as of the lead's first
        snapshot: see `propensity.audit.events.event_counts`. None: there are no events.
    snapshots : DataFrame
        One row a snapshot: ``lead_id, account_id, created_at, as_of, label_end, age_days, won, mature,
        part`` (train, stop, calibrate, test, or null).
    table : DataFrame
        The training table: ``lead_id, as_of, split, won, weight``, then the features.
    observed_until : datetime or None
        The last moment the data covers.
    split_by : {'time', 'order', 'random'}
    group : {'account_id', 'lead_id'}
        What must not stand in two parts.
    seed : int
    """

    leads: pd.DataFrame
    attributes: dict[str, AttributeType]
    snapshots: pd.DataFrame
    table: pd.DataFrame
    used: frozenset[str] = frozenset()
    tracked: frozenset[str] = frozenset()
    used_types: frozenset[str] = frozenset()
    event_timing: pd.DataFrame | None = None
    event_counts: pd.DataFrame | None = None
    observed_until: datetime | None = None
    split_by: Literal["time", "order", "random"] = "time"
    group: Literal["account_id", "lead_id"] = "account_id"
    seed: int = 7

    @property
    def dated(self) -> bool:
        """Whether leads have a creation time."""
        return bool(self.leads["created_at"].notna().any())

    @property
    def closed(self) -> npt.NDArray[np.bool_]:
        """Which leads have ended."""
        return (self.leads["status"] != "open").to_numpy(dtype=bool)

    @property
    def won(self) -> npt.NDArray[np.bool_]:
        """Which leads were won."""
        return (self.leads["status"] == "won").to_numpy(dtype=bool)

    @property
    def judged(self) -> list[str]:
        """The attributes whose value in the export is what a model would read; tracked ones are rebuilt."""
        return [column for column in self.attributes if column not in self.tracked]

    def outcomes(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return which leads have an outcome to compare by, and which of all are won.

        Where no value of the status means lost, leads that are not won count as such.
        """
        closed = self.closed
        none_lost = not (closed & ~self.won).any()
        return (np.ones(len(self.leads), dtype=bool) if none_lost else closed), self.won

    def severity(self, column: str) -> Literal["blocking", "note"]:
        """Return how grave an issue about a column is: it stops a run if the model uses the column."""
        return "blocking" if column in self.used and column not in self.tracked else "note"

    def severity_of_type(self, event_type: str) -> Literal["blocking", "note"]:
        """Return how grave an issue about an event type is."""
        return "blocking" if event_type in self.used_types else "note"
