"""The wins that expected amounts are learned from, and what is known of them when leads are scored."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from propensity.features.catalogue import Plan


def amount_columns(plan: Plan, segments: Sequence[str]) -> list[str]:
    """Return the features that a score's amount depends on: channel, firmographic ones, then `segments`.

    One with the name of a column that `won_amounts` adds is left out.
    """
    channel = ["channel"] if plan.has_channel else []
    firmographic = [c for c, qualifier in plan.qualifier_of.items() if qualifier == "firmographic"]
    listed = dict.fromkeys([*channel, *firmographic, *segments])
    return [column for column in listed if column not in ("amount", "closed_at")]


def won_amounts(
    training: pd.DataFrame, snapshots: pd.DataFrame, outcomes: pd.DataFrame, columns: Sequence[str]
) -> pd.DataFrame:
    """Return the wins of the parts before the test part, with what was known of them and what they brought.

    A win counts once, as its lead was at the last snapshot labelled won. One that came later than the horizon
    after each of its lead's snapshots is not there.

    Parameters
    ----------
    training : DataFrame
        As the stage ``split`` writes it.
    snapshots : DataFrame
        As the stage ``cohort`` writes them.
    outcomes : DataFrame
        Canonical outcomes.
    columns : sequence of str
        Features, as `amount_columns`.

    Returns
    -------
    DataFrame
        One row a win, in the order of ``lead_id``: `columns` and ``amount``, null where it is not known.
    """
    lead, win = ["lead_id", "as_of"], ["lead_id", "closed_at"]
    won = training.loc[training["won"] & (training["split"] != "test"), [*lead, *columns]]
    ended = won.merge(snapshots[[*lead, "closed_at"]], "left", lead, validate="1:1")
    last = ended.sort_values([*win, "as_of"]).drop_duplicates(win, keep="last")
    rows = outcomes[outcomes["status"] == "won"]
    amounts = rows.groupby(win, dropna=False)["amount"].sum(min_count=1).reset_index()
    told = last.merge(amounts, "left", win, validate="1:1")
    return told[[*columns, "amount"]].reset_index(drop=True)
