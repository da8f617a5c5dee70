"""The year: its weeks, what is planted in it, how many leads there are and how many can be called."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from propensity.data.shifts import ChannelChange, DeadFeed, FewerWins, Shift

WEEK = pd.Timedelta(days=7)
HORIZON = pd.Timedelta(days=90)


@dataclass(frozen=True)
class Year:
    """What is simulated and lived through.

    Attributes
    ----------
    leads, seed : int
        Of the simulation, which covers 2022 to 2025.
    since : Timestamp
        The company began to use its CRM then: leads created before are in no export.
    begins : Timestamp
        The first model is trained on the export of this moment; the first week's scores come 7 days later.
    weeks : int
    calls : int
        Leads that sales can call a week.
    shifts : tuple of Shift
    """

    leads: int
    seed: int
    since: pd.Timestamp
    begins: pd.Timestamp
    weeks: int
    calls: int
    shifts: tuple[Shift, ...] = field(default=())

    @property
    def moments(self) -> list[pd.Timestamp]:
        """Return when each week's scores are made."""
        return [self.begins + week * WEEK for week in range(1, self.weeks + 1)]

    def month(self, week: int) -> int:
        """Return the month of the year, from 1, that a week's scores are made in."""
        at, first = self.moments[week - 1], self.moments[0]
        return (at.year - first.year) * 12 + at.month - first.month + 1

    def retrains(self, week: int) -> bool:
        """Tell whether a challenger is trained after a week's scores: in the first of each month but one."""
        return week > 1 and self.month(week) != self.month(week - 1)

    def planted(self, week: int) -> list[Shift]:
        """Return the shifts that had begun when a week's scores were made."""
        return [shift for shift in self.shifts if shift.at < self.moments[week - 1]]

    def weeks_since(self, shift: Shift, week: int) -> int:
        """Return how many weeks of a shift a week's scores have seen; 1 for the first that could."""
        return -int((shift.at - self.moments[week - 1]) // WEEK)


def _at(day: str) -> pd.Timestamp:
    return pd.Timestamp(f"{day}T06:00", tz="UTC")  # Mondays, when the night's e-mail events have come


def full_year(seed: int, *, quiet: bool = False) -> Year:
    """Return 52 weeks: visits stop in month 7, half the wins are lost from 8 on, referrals change in 10."""
    shifts = (
        DeadFeed(_at("2025-03-31"), ("visit",)),
        FewerWins(_at("2025-04-28"), 0.5),
        ChannelChange(_at("2025-06-30"), "referral", -1.5),
    )
    return Year(
        leads=16_000,
        seed=seed,
        since=_at("2023-04-03"),
        begins=_at("2024-09-30"),
        weeks=52,
        calls=16,
        shifts=() if quiet else shifts,
    )


def quick_year(seed: int) -> Year:
    """Return six weeks of a few leads, with all that the year has in it: to see whether everything works."""
    return Year(
        leads=4_000,
        seed=seed,
        since=_at("2023-04-03"),
        begins=_at("2024-09-16"),
        weeks=6,
        calls=4,
        shifts=(
            DeadFeed(_at("2024-09-30"), ("visit",)),
            FewerWins(_at("2024-10-07"), 0.5),
            ChannelChange(_at("2024-10-14"), "referral", -1.5),
        ),
    )
