"""What the commands print: a table that fits a terminal, and the notes under it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

WIDTH = 110
UNKNOWN = "-"


def tell_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> str:
    """Return a table as aligned text; the first `texts` columns to the left, the others to the right."""
    widths = [max(len(r[i]) for r in [headers, *rows]) for i in range(len(headers))]
    lines = [
        "  ".join(
            c.ljust(w) if i < texts else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in [headers, *rows]
    ]
    body = [line.rstrip() for line in lines] if rows else ["nothing to tell"]
    return "\n".join([title, *body])


def tell_notes(notes: Sequence[str]) -> str:
    """Return sentences as wrapped lines."""
    return "\n".join(textwrap.fill(note, WIDTH) for note in notes)


def number(value: Any, places: int = 0) -> str:
    """Return a number with thousands separators, or a dash where it is not known."""
    if value is None or pd.isna(value):
        return UNKNOWN
    return f"{float(value):,.{places}f}"


def share(value: Any, places: int = 1) -> str:
    """Return a share as a percentage."""
    return UNKNOWN if value is None or pd.isna(value) else f"{float(value):.{places}%}"


def points(value: Any) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    return UNKNOWN if value is None or pd.isna(value) else f"{float(value) * 100:+.1f}"


def between(low: Any, high: Any, places: int = 0) -> str:
    """Return an interval, or a dash."""
    unknown = low is None or pd.isna(low) or high is None or pd.isna(high)
    return UNKNOWN if unknown else f"{number(low, places)} to {number(high, places)}"


def day(value: Any) -> str:
    """Return the UTC date of a moment."""
    return UNKNOWN if value is None or pd.isna(value) else f"{pd.Timestamp(value):%Y-%m-%d}"


def tell_price(table: pd.DataFrame) -> str:
    """Return the price table as text."""
    blocks = []
    for by, rows in table.groupby("by", sort=False):
        cells = [
            [
                str(r["name"]),
                *(number(r[c]) for c in ("spend", "leads", "mqls", "sqls", "wins", "wins_expected")),
                *(number(r[c], 2) for c in ("cost_per_lead", "may_cost")),
                between(r["value_low"], r["value_high"]),
                number(r["cost_per_mql"]),
                number(r["cost_per_sql"]),
                number(r["cost_per_win"]),
                str(r["verdict"]),
            ]
            for r in rows.to_dict("records")
        ]
        headers = [
            *(str(by), "spend", "leads", "MQLs", "SQLs", "won", "expected", "cost/lead", "may cost"),
            *("value of a lead", "cost/MQL", "cost/SQL", "cost/win", "verdict"),
        ]
        blocks.append(tell_table(f"What a lead costs and what it may cost, by {by}", headers, cells))
    return "\n\n".join(blocks)


def tell_trends(table: pd.DataFrame, winners: pd.DataFrame, *, most: int = 20) -> str:
    """Return what stands out in the trends, the strongest first, and the profile of winners."""
    named = table[table["named"] | table["named_as_active"]]
    order = np.argsort(-named["shrunk"].abs().to_numpy(), kind="stable")
    cells = [
        [
            f"{r['subject']}: {r['value']}" if r["value"] != r["subject"] else str(r["subject"]),
            str(r["kind"]),
            number(r["leads_met"]),
            share(r["rate_met"]),
            share(r["rate_others"]),
            points(r["shrunk"]) if r["named"] else UNKNOWN,
            f"{points(r['low'])} to {points(r['high'])}",
            points(r["difference_as_active"]) if r["named_as_active"] else UNKNOWN,
        ]
        for r in named.iloc[order[:most]].to_dict("records")
    ]
    headers = ["what", "kind", "leads", "won", "others", "points", "95%", "as active"]
    title = f"What won leads met or are: {len(named):,} of {len(table):,} stand out"
    title += f"; the {most} strongest" if len(named) > most else ""
    found = tell_table(title, headers, cells, texts=2)
    rows = [
        [
            str(w["persona"]),
            number(w["leads"]),
            share(w["rate"]),
            number(w["later_leads"]),
            share(w["later_rate"]),
            f"{share(w['later_low'])} to {share(w['later_high'])}",
            share(w["later_base"]),
            "yes" if w["holds"] else "no",
        ]
        for w in winners.to_dict("records")
    ]
    headers = ["segment", "leads", "won", "later leads", "later won", "95%", "of all", "holds"]
    profile = tell_table("Who wins: segments found on the train part, rated on later leads", headers, rows)
    return f"{found}\n\n{profile}"


def tell_funnel(steps: pd.DataFrame, stages: pd.DataFrame, agreement: pd.DataFrame, *, most: int = 12) -> str:
    """Return the latest periods, the channels, the times in stage and the two sorts of tiers as text."""
    headers = ["", "leads", "MQLs", "of leads", "SQLs", "of MQLs", "won", "of leads", "expected"]
    blocks = []
    periods = steps[steps["by"] == "period"].tail(most)
    channels = steps[steps["by"] == "channel"]
    for title, rows, name in (
        (f"Leads by the {steps['unit'].iloc[0]} they were created in, the latest", periods, "period_start"),
        ("Leads by channel", channels, "channel"),
    ):
        if rows.empty:
            continue
        cells = [
            [
                day(r[name]) if name == "period_start" else str(r[name]),
                *(number(r["leads"]), number(r["mqls"]), share(r["mql_rate"])),
                *(number(r["sqls"]), share(r["sql_rate"]), number(r["wins"]), share(r["win_rate"])),
                number(r["wins_expected"], 1),
            ]
            for r in rows.to_dict("records")
        ]
        blocks.append(tell_table(title, headers, cells))
    if len(stages):
        cells = [
            [
                str(r["stage"]),
                *(number(r["entered"]), number(r["left"]), number(r["median_days"], 1)),
                between(r["median_low"], r["median_high"], 1),
            ]
            for r in stages.to_dict("records")
        ]
        title = "Days in stage, those still in it counted as such (Kaplan-Meier)"
        blocks.append(tell_table(title, ["stage", "entered", "left", "median", "95%"], cells))
    if len(agreement):
        cells = [
            [
                str(r["human"]),
                str(r["model"]),
                number(r["leads"]),
                number(r["wins"]),
                share(r["win_rate"]),
                f"{share(r['win_rate_low'])} to {share(r['win_rate_high'])}",
            ]
            for r in agreement.to_dict("records")
        ]
        title = "Tiers given by people and by the model, leads that have ended"
        blocks.append(tell_table(title, ["people", "model", "leads", "won", "rate", "95%"], cells, texts=2))
    return "\n\n".join(blocks)
