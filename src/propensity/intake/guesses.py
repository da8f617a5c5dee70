"""What is guessed, how sure, and from what: the words between the modules of the intake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from propensity.data.profiles import ColumnProfile

NONE = "none"  # the answer that no column plays a role


@dataclass(frozen=True)
class Guess:
    """Which column plays a role.

    Attributes
    ----------
    role : str
        In words, as a person is asked: ``the column with the lead's id``.
    column : str or None
        None: no column does.
    evidence : str
        Why; one line.
    sure : bool
        Whether a person need not be asked.
    others : tuple of str
        The columns that came near.
    """

    role: str
    column: str | None
    evidence: str
    sure: bool = True
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """A column or an event type that is not used, and why.

    Attributes
    ----------
    subject : str
    code : str
        The finding's code, such as PRP101; empty where the intake itself leaves it out.
    message : str
    kind : {'column', 'event type'}
    """

    subject: str
    code: str
    message: str
    kind: Literal["column", "event type"] = "column"


@dataclass(frozen=True)
class Outcome:
    """Where the outcome stands, and how it reads.

    Attributes
    ----------
    own_file : bool
        Whether it stands in a file of its own.
    status : Guess
    won, lost, open : tuple of str
        The values of the status; `open` for information.
    lead_id, closed_at, amount, reason : Guess
    """

    own_file: bool
    status: Guess
    won: tuple[str, ...]
    lost: tuple[str, ...]
    open: tuple[str, ...]
    lead_id: Guess
    closed_at: Guess
    amount: Guess
    reason: Guess


@dataclass(frozen=True)
class EventRoles:
    """Which column of the events is what, and the family of each type."""

    lead_id: Guess
    event_at: Guess
    known_at: Guess
    type: Guess
    asset: Guess
    campaign: Guess
    value: Guess
    families: dict[str, str]
    known_share: float  # of its rows with a lead that the leads file holds


@dataclass(frozen=True)
class LeadRoles:
    """Which column of the leads is what."""

    lead_id: Guess
    created_at: Guess
    account_id: Guess
    channel: Guess
    order_by: Guess


@dataclass(frozen=True)
class File:
    """A file that was handed in.

    Attributes
    ----------
    table : {'leads', 'events', 'outcomes'}
    path : str
        As it is written in the params.
    delimiter : str or None
        None for Parquet.
    profiles : dict
        Each column's profile, in the file's order.
    missing : tuple of str
        Texts that stand for nothing in it, as they are spelt.
    """

    table: Literal["leads", "events", "outcomes"]
    path: str
    delimiter: str | None
    profiles: dict[str, ColumnProfile]
    missing: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.profiles)


@dataclass(frozen=True)
class Draft:
    """All that goes into the params file, with what it was found by.

    Attributes
    ----------
    leads, events, outcomes : File
        Events and outcomes may be None.
    vendor : str
        What the export was recognised as; empty if as nothing.
    roles : LeadRoles
    outcome : Outcome
    behaviour : EventRoles or None
    attributes : dict
        Column to ``demographic`` or ``firmographic``; those used as features.
    refused : tuple of Refusal
    ages_days, lookback_days : tuple of float
    horizon_days : float or 'auto'
    split_by : {'time', 'order', 'random'}
    shares : dict
        Part of the split to its share; empty: the usual ones.
    group : {'account_id', 'lead_id'}
    sql_target : float
        Share won above the cut-off of sales qualified leads.
    max_quarantined : float
    timezone : str
    reasons : dict
        Setting to why it is so.
    notes : tuple of str
        What a person should know: what is not read, what was tried.
    """

    leads: File
    roles: LeadRoles
    outcome: Outcome
    attributes: dict[str, str]
    refused: tuple[Refusal, ...] = ()
    events: File | None = None
    outcomes: File | None = None
    behaviour: EventRoles | None = None
    vendor: str = ""
    ages_days: tuple[float, ...] = (0.0,)
    lookback_days: tuple[float, ...] = (7.0, 30.0, 90.0)
    horizon_days: float | Literal["auto"] = "auto"
    split_by: Literal["time", "order", "random"] = "random"
    shares: dict[str, float] = field(default_factory=dict)
    group: Literal["account_id", "lead_id"] = "lead_id"
    sql_target: float = 0.4
    max_quarantined: float = 0.2
    timezone: str = "UTC"
    reasons: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def noting(self, *notes: str) -> Draft:
        """Return the draft with more notes."""
        return replace(self, notes=(*self.notes, *notes))


# Asked about a guess that is not sure, with the columns to choose from; returns what is taken.
Ask = Callable[[Guess, "list[str]"], Guess]


def as_guessed(guess: Guess, _columns: list[str]) -> Guess:
    """Take every guess as it is: where there is nobody to ask."""
    return guess
