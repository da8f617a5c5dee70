"""What is known of the leads shown: attributes, channel, owner, and how they ended since."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd

from propensity.features.catalogue import Plan
from propensity.report.numbers import text, title, trim

# What CRMs call the column with the person who works a lead, in lower case without blanks and underscores.
OWNERS = (
    *("owner", "leadowner", "contactowner", "dealowner", "accountowner", "owneralias", "assignedto"),
    *("salesrep", "salesperson", "rep", "ownername", "ownerid", "hubspotownerid", "accountmanager"),
)
DAY = pd.Timedelta(days=1)


def add_facts(cards: pd.DataFrame, leads: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Add what is known of each lead: account, channel, creation, owner and the model's attributes.

    Parameters
    ----------
    cards : DataFrame
    leads : DataFrame
        Canonical leads; of their attributes only those the model reads and the owner are shown.
    plan : Plan

    Returns
    -------
    DataFrame
        `cards` with ``facts``, a list of ``{label, value}`` a row, and the texts ``channel`` and ``owner``,
        empty where there is none.
    """
    owner = find_owner(list(leads.columns))
    columns = ["account_id", "channel", "created_at", *([owner] if owner else [])]
    columns += [c for c in plan.attributes if c in leads.columns]
    known = leads.set_index("lead_id").reindex(cards["lead_id"])[list(dict.fromkeys(columns))]
    rows = known.to_dict(orient="records")
    facts = [
        [{"label": _label(name), "value": _tell(value)} for name, value in row.items() if pd.notna(value)]
        for row in rows
    ]
    return cards.assign(
        facts=pd.Series(facts, index=cards.index, dtype="object"),
        channel=[_given(row["channel"]) for row in rows],
        owner=[_given(row[owner]) if owner else "" for row in rows],
    )


def find_owner(columns: list[str]) -> str | None:
    """Return the column that names who works a lead, or None; the plainest name where there are several."""
    plain = {column.lower().replace("_", "").replace(" ", ""): column for column in reversed(columns)}
    return next((plain[name] for name in OWNERS if name in plain), None)


def _label(name: Any) -> str:
    return title(text(name).removesuffix("_id"))


def _given(value: Any) -> str:
    return "" if pd.isna(value) else text(value)


def _tell(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return trim(value) if isinstance(value, float) else str(value)


def add_outcomes(cards: pd.DataFrame, outcomes: pd.DataFrame, *, until: datetime | None) -> pd.DataFrame:
    """Add ``outcome``, how each lead ended after its snapshot, as text; empty where it is open.

    Parameters
    ----------
    cards : DataFrame
        ``lead_id, as_of``.
    outcomes : DataFrame
        Canonical outcomes: ``lead_id, status, closed_at``.
    until : datetime or None
        The last moment the data covers; what closed later is not told.
    """
    ended = outcomes.loc[outcomes["status"].isin(["won", "lost"]), ["lead_id", "status", "closed_at"]]
    if until is not None:
        ended = ended[~(ended["closed_at"] > until)]
    paired = cards[["lead_id", "as_of"]].merge(ended, on="lead_id")
    later = paired[~(paired["closed_at"] <= paired["as_of"])].sort_values("closed_at", kind="stable")
    first = later.drop_duplicates("lead_id").set_index("lead_id")
    told = {
        lead: _tell_outcome(str(row["status"]), row["closed_at"] - row["as_of"])
        for lead, row in first.iterrows()
    }
    return cards.assign(outcome=[told.get(lead, "") for lead in cards["lead_id"]])


def _tell_outcome(status: str, after: Any) -> str:
    if pd.isna(after):
        return status.capitalize()
    days = round(after / DAY)
    later = "within a day" if days < 1 else f"{days:,} day{'' if days == 1 else 's'} later"
    return f"{status.capitalize()} {later}"
