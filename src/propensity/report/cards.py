"""Which leads are worth looking at together, and what is known about them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from propensity.features.catalogue import Plan


def choose_cards(scores: pd.DataFrame, cutoffs: dict[str, Any], *, most: int = 30) -> pd.DataFrame:
    """Choose leads for the review: the top, either side of each cut-off, the disqualified.

    Parameters
    ----------
    scores : DataFrame
        As in ``scores.parquet``.
    cutoffs : dict
        The content of ``cutoffs.json``.
    most : int
        Cards at most.

    Returns
    -------
    DataFrame
        Rows of `scores` with ``why_shown``, highest score first within each group; a lead once.
    """
    pursued = scores[scores["tier"] != "disqualified"].sort_values(
        ["score", "lead_id"], ascending=[False, True]
    )
    out = scores[scores["tier"] == "disqualified"].sort_values(["score", "lead_id"], ascending=[False, True])
    each = max(most // 6, 1)
    groups = [("top of the queue", pursued.head(each))]
    for name in ("sql", "mql"):
        above = pursued["probability"] >= cutoffs[name]["probability"]
        groups.append((f"just above the {name.upper()} cut-off", pursued[above].tail(each)))
        groups.append((f"just under the {name.upper()} cut-off", pursued[~above].head(each)))
    groups.append(("disqualified", out.head(each)))
    cards = pd.concat([rows.assign(why_shown=why) for why, rows in groups])
    return cards.drop_duplicates("lead_id").head(most).reset_index(drop=True)


def add_facts(cards: pd.DataFrame, leads: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Add ``facts``, what is known of each lead: account, channel, creation and the model's attributes.

    Parameters
    ----------
    cards : DataFrame
    leads : DataFrame
        Canonical leads; only columns the model reads are shown.
    plan : Plan

    Returns
    -------
    DataFrame
        `cards` with a list of ``{label, value}`` a row.
    """
    shown = ["account_id", "channel", "created_at", *(c for c in plan.attributes if c in leads.columns)]
    known = leads.set_index("lead_id").reindex(cards["lead_id"])[list(dict.fromkeys(shown))]
    facts = [
        [{"label": _label(name), "value": _text(value)} for name, value in row.items() if pd.notna(value)]
        for row in known.to_dict(orient="records")
    ]
    return cards.assign(facts=pd.Series(facts, index=cards.index, dtype="object"))


def _label(name: Any) -> str:
    return str(name).removesuffix("_id").replace("_", " ")


def _text(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return f"{value:,g}" if isinstance(value, float) else str(value)
