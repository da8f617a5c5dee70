"""What the meeting looks at: the trade-off of the cut-offs, dependence, winners, reasons for a verdict."""

from __future__ import annotations

from typing import Any

import pandas as pd

from propensity.report.figures import FAMILIES
from propensity.report.money import winner_table
from propensity.report.numbers import (
    Row,
    capital,
    count,
    decimal,
    finite,
    interval,
    share,
    signed,
    text,
    trim,
)
from propensity.report.tables import Table, make_cell, make_table, tell_cut

# Why a person disagrees with a score, or agrees; the values stand in the feedback table.
REASONS = (
    ("already_customer", "Already a customer"),
    ("no_budget", "No budget"),
    ("wrong_person", "Wrong person to talk to"),
    ("competitor", "A competitor"),
    ("student", "Student or private person"),
    ("wrong_country", "We do not sell there"),
    ("bad_contact", "Cannot be reached"),
    ("timing", "Not now"),
    ("knows_more", "I know something that is not in the data"),
    ("model_misses_something", "Something in the data is not seen"),
    ("reason_is_wrong", "A reason given is wrong"),
    ("other", "Other"),
)


def list_reasons() -> list[dict[str, str]]:
    """Return the reasons for a verdict, in the order they are offered."""
    return [{"value": value, "label": label} for value, label in REASONS]


def tradeoff_section(tradeoff: Row | None, cutoffs: Row) -> dict[str, Any] | None:
    """Return what a cut-off at each score would give, as text; None where nothing was measured.

    Parameters
    ----------
    tradeoff : dict or None
        ``tradeoff`` of ``reports/metrics.json``, as `tradeoff.compute_tradeoff` makes it.
    cutoffs : dict
        The two cut-offs.

    Returns
    -------
    dict or None
        ``note, per_week, mql, sql`` (scores) and ``rows``. Beside the texts a row has the numbers that two
        cut-offs together need: ``gain_call`` and ``gain_nurture``, of all above, per 100 snapshots.
    """
    if tradeoff is None or not tradeoff["rows"]:
        return None
    return {
        "note": _tell_tradeoff(tradeoff),
        "per_week": finite(tradeoff["per_week"]),
        **{tier: finite(cutoffs[tier]["score"]) for tier in ("mql", "sql")},
        "rows": [_tradeoff_row(row) for row in tradeoff["rows"]],
    }


def _tradeoff_row(row: Row) -> dict[str, Any]:
    weekly = finite(row["per_week"])
    per_week = "" if weekly is None else f", about {decimal(weekly, 0 if weekly >= 10 else 1)} leads a week"
    low, high = row["precision_interval"]
    span = interval(low, high, share)
    gains = {k: None if finite(row[k]) is None else row[k] * 100 for k in ("gain_call", "gain_nurture")}
    return {
        "score": row["score"],
        "n": row["n"],
        "share": row["share"],
        "volume": f"{share(row['share'])} of snapshots{per_week}",
        "precision": f"{share(row['precision'])}{f' ({span})' if span else ''}",
        "recall": share(row["recall"]),
        "gain": "not known" if gains["gain_call"] is None else count(gains["gain_call"]),
        **gains,
    }


def _tell_tradeoff(tradeoff: Row) -> str:
    told = (
        f"Measured on {count(tradeoff['n'])} snapshots of the calibration part; the 95% interval of the "
        "share won allows for leads that come in groups. Gain: of calling everybody from that score up, over "
        "calling nobody, per 100 snapshots, in the currency of cutoffs.value."
    )
    weekly = finite(tradeoff["per_week"])
    if weekly is None:
        return f"{told} How many leads arrive a week is not known."
    return (
        f"{told} {decimal(weekly, 1)} leads arrive a week; a lead counts once, at the best score it reaches."
    )


def dependence_figures(dependence: list[Row]) -> list[dict[str, Any]]:
    """Return how many points the strongest features give by their value, each with its table.

    Parameters
    ----------
    dependence : list of dict
        ``dependence`` of ``reports/metrics.json``, as `dependence.compute_dependence` makes it. A value
        that is not known has no point, only a row of the table.
    """
    return [
        {
            "title": capital(text(feature["label"])),
            "x_label": _unit(feature),
            "kind": feature["kind"],
            "points": [_point(row) for row in feature["rows"] if row["x"] is not None],
            "table": _dependence_table(feature),
        }
        for feature in dependence
    ]


def _unit(feature: Row) -> str:
    unit = "" if feature["unit"] in ("text", "as given") else f", {feature['unit']}"
    return f"{capital(text(feature['label']))}{unit}"


def _point(row: Row) -> dict[str, Any]:
    x = text(row["x"]) if isinstance(row["x"], str) else float(row["x"])
    return {"x": x, "y": row["points"], "low": row["low"], "high": row["high"], "n": row["n"]}


def _dependence_table(feature: Row) -> Table:
    rows = [
        [
            make_cell(_tell_value(row)),
            make_cell(count(row["n"])),
            make_cell(signed(row["points"]), f"{signed(row['low'])} to {signed(row['high'])}"),
        ]
        for row in feature["rows"]
    ]
    caption = (
        f"Points by {text(feature['label'])}, {count(feature['n'])} test snapshots; beside the mean the "
    )
    caption += "range of eight snapshots in ten"
    if feature["kind"] == "category":
        shown = sum(row["x"] is not None for row in feature["rows"])
        caption = tell_cut(caption, shown, feature["levels"], "the most frequent")
    family = FAMILIES.get(feature["qualifier"], text(feature["qualifier"]))
    return make_table(caption, [family, "Snapshots", "Mean points"], rows)


def _tell_value(row: Row) -> str:
    if row["x"] is None:
        return "not known"
    if isinstance(row["x"], str):
        return text(row["x"])
    ends = [trim(float(f"{row[k]:.4g}")) for k in ("first", "last")]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def winners_section(winners: pd.DataFrame | None) -> Table | None:
    """Return the segments of winners as a table; None where none was found or looked for."""
    return None if winners is None or winners.empty else winner_table(winners)
