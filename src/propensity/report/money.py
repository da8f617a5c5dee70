"""What the page says of money: prices, trends, who wins and the funnel, where they are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from propensity.report.numbers import Row, count, day, decimal, finite, interval, ratio, share, text, words
from propensity.report.tables import MOST_ROWS, Table, make_cell, make_table, tell_cut

# The files in reports/ that the page reads, by the command that writes them.
FILES = {
    "price": ("price",),
    "trends": ("trends",),
    "funnel": ("funnel", "funnel_stages", "funnel_tiers"),
}
PERIODS = 12


def money_section(tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Return the tables of the section, in the order of the page.

    Parameters
    ----------
    tables : mapping
        The content of the files of `FILES` that exist, by name.

    Returns
    -------
    dict
        ``tables``, and ``absent``: the commands that have told nothing.
    """
    made: list[Table] = []
    if "price" in tables:
        made += [price_table(str(by), rows) for by, rows in tables["price"].groupby("by", sort=False)]
    if "trends" in tables:
        made.append(trend_table(tables["trends"]))
    if "funnel" in tables:
        made += funnel_tables(tables["funnel"])
    if len(tables.get("funnel_stages", ())):
        made.append(stage_table(tables["funnel_stages"]))
    if len(tables.get("funnel_tiers", ())):
        made.append(tier_pairs_table(tables["funnel_tiers"]))
    absent = [command for command in FILES if command not in tables]
    return {"tables": made, "absent": absent}


def price_table(by: str, rows: pd.DataFrame) -> Table:
    """Return what leads cost and what they may cost."""
    cells = [
        [
            make_cell(text(r["name"])),
            make_cell(count(r["leads"]), f"{count(r['mqls'])} MQL, {count(r['sqls'])} SQL"),
            make_cell(count(r["wins"]), f"{decimal(r['wins_expected'], 1)} expected"),
            make_cell(_money(r["spend"])),
            make_cell(_money(r["cost_per_lead"], ratio), _each(r)),
            make_cell(_money(r["value"], ratio), interval(r["value_low"], r["value_high"], ratio)),
            make_cell(_money(r["may_cost"], ratio), f"{count(r['amount_wins'])} amounts"),
            make_cell(text(r["verdict"])),
        ]
        for r in rows.head(MOST_ROWS).to_dict("records")
    ]
    caption = tell_cut(f"What leads cost and bring, by {by}", len(cells), len(rows), "the largest")
    columns = ["Name", "Leads", "Won", "Spend", "Cost of a lead", "Value of a lead", "May cost", "Verdict"]
    return make_table(caption, columns, cells)


def trend_table(trends: pd.DataFrame) -> Table:
    """Return what stands out among all that leads met or are."""
    named = trends[trends["named"] | trends["named_as_active"]]
    cells = [
        [
            make_cell(_thing(r), text(r["kind"])),
            make_cell(count(r["leads_met"]), f"{count(r['wins_met'])} won"),
            make_cell(share(r["rate_met"])),
            make_cell(share(r["rate_others"])),
            make_cell(_points(r["shrunk"]), interval(r["low"], r["high"], _points)),
            make_cell(
                _points(r["difference_as_active"]),
                interval(r["low_as_active"], r["high_as_active"], _points),
            ),
        ]
        for r in named.head(MOST_ROWS).to_dict("records")
    ]
    caption = f"{count(len(named))} of {count(len(trends))} things that leads met or are stand out"
    caption = tell_cut(caption, len(cells), len(named), "the strongest")
    columns = ["What", "Leads", "Won with it", "Won without", "Points", "Points, as active"]
    return make_table(caption, columns, cells)


def winner_table(winners: pd.DataFrame) -> Table:
    """Return the segments of winners, with their rate on later leads."""
    cells = [
        [
            make_cell(text(r["persona"])),
            make_cell(share(r["rate"]), f"{count(r['leads'])} leads"),
            make_cell(share(r["later_rate"]), interval(r["later_low"], r["later_high"], share)),
            make_cell(count(r["later_leads"])),
            make_cell(share(r["later_base"])),
            make_cell("yes" if r["holds"] else "no"),
        ]
        for r in winners.to_dict("records")
    ]
    columns = ["Segment", "Won, when found", "Won, later", "Later leads", "Of all later leads", "Holds"]
    return make_table("Who wins", columns, cells)


def funnel_tables(steps: pd.DataFrame) -> list[Table]:
    """Return the latest periods and the channels."""
    periods, channels = steps[steps["by"] == "period"], steps[steps["by"] == "channel"]
    unit = "period" if steps.empty else str(steps["unit"].iloc[0])
    latest = tell_cut(f"By {unit} of creation", min(PERIODS, len(periods)), len(periods), "the latest")
    return [
        _funnel_table(
            latest, unit.capitalize(), [(day(r["period_start"]), r) for r in _rows(periods.tail(PERIODS))]
        ),
        _funnel_table(
            "By channel", "Channel", [(text(r["channel"]), r) for r in _rows(channels)][:MOST_ROWS]
        ),
    ]


def _funnel_table(caption: str, first: str, rows: list[tuple[str, Row]]) -> Table:
    cells = [
        [
            make_cell(name),
            make_cell(count(r["leads"])),
            make_cell(count(r["mqls"]), f"{share(r['mql_rate'])} of leads"),
            make_cell(
                count(r["sqls"]), "" if finite(r["sql_rate"]) is None else f"{share(r['sql_rate'])} of MQLs"
            ),
            make_cell(count(r["wins"]), f"{share(r['win_rate'])} of leads"),
            make_cell(decimal(r["wins_expected"], 1)),
        ]
        for name, r in rows
    ]
    return make_table(
        f"Funnel, {caption[:1].lower()}{caption[1:]}",
        [first, "Leads", "MQL", "SQL", "Won", "Expected"],
        cells,
    )


def stage_table(stages: pd.DataFrame) -> Table:
    """Return the days spent in each stage."""
    cells = [
        [
            make_cell(text(r["stage"])),
            make_cell(count(r["entered"])),
            make_cell(count(r["left"])),
            make_cell(_days(r["median_days"]), interval(r["median_low"], r["median_high"], _days)),
        ]
        for r in _rows(stages.head(MOST_ROWS))
    ]
    return make_table("Days in stage (Kaplan-Meier median)", ["Stage", "Entered", "Left", "Median"], cells)


def tier_pairs_table(pairs: pd.DataFrame) -> Table:
    """Return people's tiers beside the model's."""
    cells = [
        [
            make_cell(text(r["human"]), f"by the model: {text(r['model'])}"),
            make_cell(count(r["leads"])),
            make_cell(share(r["win_rate"]), interval(r["win_rate_low"], r["win_rate_high"], share)),
        ]
        for r in _rows(pairs)
    ]
    return make_table("Tiers by people and by the model, ended leads", ["By people", "Leads", "Won"], cells)


def _rows(table: pd.DataFrame) -> list[Row]:
    return [dict(r) for r in table.to_dict("records")]


def _thing(row: Row) -> str:
    subject, value = text(row["subject"]), text(row["value"])
    return words(subject) if subject == value else f"{words(subject)}: {value}"


def _each(row: Row) -> str:
    """Tell the cost of an MQL, an SQL and a win, as far as they are known."""
    costs = (("MQL", row["cost_per_mql"]), ("SQL", row["cost_per_sql"]), ("win", row["cost_per_win"]))
    return ", ".join(f"{name} {count(cost)}" for name, cost in costs if finite(cost) is not None)


def _money(value: Any, show: Any = count) -> str:
    return "not known" if finite(value) is None else str(show(value))


def _points(value: Any) -> str:
    number = finite(value)
    return "" if number is None else f"{number * 100:+.1f}".replace("-", "−")


def _days(value: Any) -> str:
    return "not reached" if finite(value) is None else decimal(value, 1)
