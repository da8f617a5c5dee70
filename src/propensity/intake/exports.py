"""Recognising what a CRM exported by its columns, and which of them plays which role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from propensity.errors import some
from propensity.intake.layouts import LAYOUTS, Layout, Role, Status

FEWEST = 3  # telling columns: an id and a status stand in any file


@dataclass(frozen=True)
class Export:
    """An export that was recognised.

    Attributes
    ----------
    vendor : str
    table : str
        What a row is: contacts, deals, leads, opportunities.
    roles : dict
        Role to column, for the roles that a column was found for. Without ``status`` the export holds no
        outcome.
    status_won, status_lost : list of str
        Values of the status column, whatever their capitals. Empty ``status_lost``: nothing in the export
        says that a lead was lost, or not when; a lost lead is then read as open.
    evidence : str
        By which columns it was recognised, and what is left open.
    """

    vendor: str
    table: str
    roles: dict[Role, str]
    status_won: list[str]
    status_lost: list[str]
    evidence: str


def recognise(columns: Sequence[str]) -> Export | None:
    """Return which vendor's export has these columns, or None.

    A name counts if it is a label or an API name to the letter, capitals and spaces at its ends apart: a flat
    file of one's own may well have a ``deal_stage`` and a ``close_date``.

    Parameters
    ----------
    columns : sequence of str
        A file's header.

    Returns
    -------
    Export or None
        The layout with the most telling columns, at least `FEWEST`; of equals the one listed first.
    """
    given = {_plain(column): column for column in reversed(columns)}
    told = [(_found(layout.telling, given), layout) for layout in LAYOUTS]
    telling, layout = max(told, key=lambda pair: len(pair[0]))
    return _read(layout, telling, given) if len(telling) >= FEWEST else None


def _read(layout: Layout, telling: list[str], given: dict[str, str]) -> Export:
    roles = {role: found[0] for role, names in layout.roles.items() if (found := _found(names, given))}
    said = [
        f"{len(telling)} columns are those of {layout.vendor} {layout.table}: {some(telling)}",
        layout.note,
    ]
    status = next((s for s in layout.statuses if _found(s.columns, given)), None)
    if status is None:
        said += ["no column says how a lead ended"] if layout.statuses else []
        return Export(layout.vendor, layout.table, roles, [], [], _sentence(said))
    roles["status"] = _found(status.columns, given)[0]
    every, wins = _found(status.dates, given), _found(status.win_dates, given)
    if every or wins:
        roles["closed_at"] = (every or wins)[0]
    only_wins = bool(wins and not every)
    said += [status.note, _undated(only_wins, bool(every or wins), status)]
    lost = [] if only_wins else list(status.lost)
    return Export(layout.vendor, layout.table, roles, list(status.won), lost, _sentence(said))


def _undated(only_wins: bool, dated: bool, status: Status) -> str:
    """Say what a missing date leaves open: an outcome without its date would be refused."""
    if only_wins and status.lost:
        return "the export holds no date of loss, so that a lost lead is read as open"
    if not dated and (status.dates or status.win_dates):
        return "the export holds no date of the outcome"
    return ""


def _found(names: str, given: dict[str, str]) -> list[str]:
    """Return the columns among the comma-separated names, in the order of the names."""
    wanted = dict.fromkeys(_plain(name) for name in names.split(","))
    return [given[name] for name in wanted if name in given and name]


def _plain(name: str) -> str:
    return " ".join(name.strip("\ufeff ").casefold().split())


def _sentence(parts: Sequence[str]) -> str:
    return "; ".join(part for part in parts if part)
