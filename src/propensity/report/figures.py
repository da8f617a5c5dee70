"""Figures as plain dicts: what `charts` draws, each with the table it can be had as."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from propensity.report.counts import TIERS
from propensity.report.numbers import (
    Row,
    capital,
    count,
    decimal,
    finite,
    interval,
    percent,
    points,
    share,
    text,
    times,
)
from propensity.report.svg import Figure
from propensity.report.tables import MOST_ROWS, Table, complete, make_cell, make_table, tell_cut, thin

CURVE_POINTS, MOST_BARS, MOST_DRIVERS, BAND, FEWEST_ABOVE = 200, 15, 100, 5, 20
NEARLY_ALL = 0.99
CONTACTED = (0.05, 0.1, 0.2, 0.3, 0.5)
FAMILIES = {
    "demographic": "The person (demographic)",
    "firmographic": "The company (firmographic)",
    "web": "Web behaviour",
    "email": "E-mail",
    "social": "Social media",
    "sales": "Work by sales",
    "account": "Colleagues at the same company",
    "timing": "Age of the lead and calendar",
}


def make_figure(
    name: str,
    title: str,
    desc: str,
    rows: list[dict[str, Any]],
    *,
    table: Table | None = None,
    marks: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    drawn: Figure = {"name": name, "title": title, "desc": desc, "rows": rows, "marks": marks or []}
    return {**drawn, "table": table}


def reliability_figure(bins: list[Row]) -> dict[str, Any]:
    """Return observed against predicted share won, a point for each group of test snapshots."""
    keys = ("mean_predicted", "observed", "low", "high")
    rows = [{**{k: r[k] for k in keys}, "text": _tell_bin(r)} for r in complete(bins, keys)]
    cells = [
        [
            make_cell(str(r["bin"])),
            make_cell(count(r["n"])),
            make_cell(share(r["mean_predicted"])),
            make_cell(share(r["observed"]), interval(r["low"], r["high"], share)),
        ]
        for r in bins
    ]
    table = make_table(
        "Predicted and observed, test part", ["Tenth", "Snapshots", "Predicted", "Share won"], cells
    )
    desc = f"Share won against predicted probability in {len(rows)} groups of test snapshots, with intervals."
    return make_figure("reliability", "Predicted against observed", desc, rows, table=table)


def _tell_bin(row: Row) -> str:
    won = f"{share(row['observed'])} won ({interval(row['low'], row['high'], share)})"
    return f"predicted {share(row['mean_predicted'])}, {won}, n {count(row['n'])}"


def gains_figure(gains: list[Row]) -> dict[str, Any]:
    """Return the share of wins reached against the share of leads contacted, best first."""
    known = complete(gains, ("share_contacted", "share_won"))
    rows = [{"x": r["share_contacted"], "y": r["share_won"]} for r in thin(known, CURVE_POINTS)]
    tenth = min(known, key=lambda r: abs(r["share_contacted"] - 0.1), default=None)
    marks, desc = [], "Share of wins reached against share of leads contacted, best first, on the test part."
    if tenth is not None:
        part = percent(round(tenth["share_contacted"], 3))
        told = f"{share(tenth['share_won'])} of wins in the best {part} of leads"
        marks = [{"x": tenth["share_contacted"], "y": tenth["share_won"], "text": told}]
        desc += f" {told}."
    contacted = [r for r in known if r["share_contacted"] > 0]
    shown = thin(contacted, MOST_ROWS)
    caption = tell_cut("Gains, test part", len(shown), len(contacted), "evenly spaced")
    title = "Wins reached by contacting the best leads first"
    return make_figure("gains", title, desc, rows, table=_gains_table(caption, shown), marks=marks)


def delay_figure(horizon: Row | None) -> dict[str, Any]:
    """Return the share of leads won and lost by each day after they came, with the horizon marked."""
    curve = complete(
        [] if horizon is None else horizon["curve"], ("days", "won", "won_low", "won_high", "lost")
    )
    rows = [
        {k: r[k] for k in ("days", "won", "won_low", "won_high", "lost")} for r in _rising(curve, horizon)
    ]
    marks = []
    if horizon is not None and horizon["days"] is not None and rows:
        marks = [{"days": horizon["days"], "text": f"horizon {horizon['days']:.3g} days"}]
    cells = [
        [
            make_cell(f"{r['days']:.3g}"),
            make_cell(share(r["won"]), interval(r["won_low"], r["won_high"], share)),
            make_cell(share(r["lost"])),
            make_cell(count(r["at_risk"])),
        ]
        for r in thin(curve, MOST_ROWS)
    ]
    table = make_table("Won and lost by day", ["Days", "Won", "Lost", "Still open"], cells)
    desc = "Cumulative share of leads won, with its interval, and lost, by days since the lead came."
    return make_figure("delay", "How long winning takes", desc, rows, table=table, marks=marks)


def _rising(curve: list[Row], horizon: Row | None) -> list[Row]:
    """Return the curve up to where nearly all wins have come, and half as far again as the horizon."""
    if not curve or horizon is None:
        return []
    late = next(r["days"] for r in curve if r["won"] >= NEARLY_ALL * curve[-1]["won"])
    end = max(late, 1.5 * (horizon["days"] or 0))
    return [r for r in curve if r["days"] <= end]


def contact_table(gains: list[Row]) -> Table:
    """Return the gains at the few shares of leads that people plan with."""
    known = complete(gains, ("share_contacted", "share_won"))
    chosen = [r for r in known if any(abs(r["share_contacted"] - c) < 1e-3 for c in CONTACTED)]
    return _gains_table("If only the best leads are contacted, test part", chosen)


def _gains_table(caption: str, rows: list[Row]) -> Table:
    cells = [
        [
            make_cell(percent(round(r["share_contacted"], 3))),
            make_cell(share(r["share_won"])),
            make_cell(times(r["lift"])),
        ]
        for r in rows
    ]
    return make_table(caption, ["Leads contacted", "Wins reached", "Lift"], cells)


def cutoff_figure(curve: list[Row], cutoffs: Row, *, n: int) -> dict[str, Any]:
    """Return precision, recall and share of leads by the score of the cut-off.

    Scores are held within 0 and 100, so several rows may have the same: the one with the most leads
    is what a cut-off there would give. Nothing is told of cut-offs with a handful of the `n` snapshots
    above them.
    """
    keys = ("precision", "recall", "share")
    told = [r for r in complete(curve, ("score", "share")) if r["share"] * n >= FEWEST_ABOVE]
    most = {float(r["score"]): r for r in sorted(told, key=lambda r: float(r["share"]))}
    known = [most[score] for score in sorted(most)]
    rows = [{"score": r["score"], **{k: finite(r[k]) for k in keys}} for r in thin(known, CURVE_POINTS)]
    shown = thin(known, MOST_ROWS)
    priced = bool(shown) and all(finite(r.get("gain")) is not None for r in shown)
    cells = [
        [
            make_cell(decimal(r["score"], 1)),
            make_cell(share(r["probability"])),
            *(make_cell(share(r[k])) for k in keys),
            *([make_cell(count(r["gain"] * 100))] if priced else []),
        ]
        for r in shown
    ]
    marks = _cutoff_marks(cutoffs)
    desc = "Precision, recall and share of leads by the score of the cut-off, on the calibration part."
    desc = " ".join([desc, *(f"{m['text']}." for m in marks)])
    caption = f"What each cut-off with {FEWEST_ABOVE} or more snapshots above it would give, calibration part"
    caption = tell_cut(caption, len(shown), len(known), "evenly spaced")
    columns = ["Score from", "Probability from", "Share won", "Wins kept", "Leads"]
    columns += ["Gain of calling them, per 100"] if priced else []
    table = make_table(caption, columns, cells)
    return make_figure("cutoff-curve", "What each cut-off would give", desc, rows, table=table, marks=marks)


def _cutoff_marks(cutoffs: Row) -> list[dict[str, Any]]:
    known = [(TIERS[t], finite(cutoffs[t]["score"])) for t in ("mql", "sql")]
    return [{"score": s, "text": f"{name} from {decimal(s, 1)}"} for name, s in known if s is not None]


def family_figure(qualifiers: list[Row]) -> dict[str, Any]:
    """Return the mean points of each family of evidence, the largest first."""
    named: list[Row] = [
        {**r, "label": FAMILIES.get(r["qualifier"]) or text(r["qualifier"])} for r in qualifiers
    ]
    return _bar_figure("qualifiers", "Points by family of evidence", named, family=False)


def driver_figure(drivers: list[Row]) -> dict[str, Any]:
    """Return the mean points of the strongest features, the largest first."""
    named: list[Row] = [{**r, "label": capital(text(r["label"]))} for r in drivers]
    return _bar_figure("drivers", "Points by feature", named, family=True)


def _bar_figure(name: str, title: str, named: list[Row], *, family: bool) -> dict[str, Any]:
    ordered = sorted(complete(named, ("mean_abs_points",)), key=lambda r: -float(r["mean_abs_points"]))
    rows = [
        {"label": r["label"], "value": r["mean_abs_points"], "text": points(r["mean_abs_points"])}
        for r in ordered[:MOST_BARS]
    ]
    kept = ordered[:MOST_DRIVERS]
    cells = [
        [
            make_cell(r["label"]),
            *([make_cell(text(r["qualifier"]))] if family else []),
            make_cell(points(r["mean_abs_points"])),
        ]
        for r in kept
    ]
    columns = ["Evidence", *(["Family"] if family else []), "Mean points"]
    caption = tell_cut(title, len(kept), len(ordered), "the largest")
    desc = "Mean size of the points given or taken per lead."
    if rows:
        desc += f" The largest: {rows[0]['label']}, {rows[0]['text']}."
    table = make_table(caption, columns, cells, numeric=len(columns) - 1)
    return make_figure(name, tell_cut(title, len(rows), len(ordered), "the largest"), desc, rows, table=table)


def score_figure(scores: pd.DataFrame, cutoffs: Row) -> dict[str, Any]:
    """Return how many scored leads lie in each band of five points; a score of 100 is in the last."""
    edges = np.arange(0, 101, BAND)
    known = scores["score"].dropna().to_numpy(dtype=float)
    counts, _ = np.histogram(known, bins=edges)
    rows = [
        {
            "low": int(low),
            "high": int(low) + BAND,
            "n": int(n),
            "text": f"{low} to {low + BAND}: {count(n)} leads",
        }
        for low, n in zip(edges[:-1], counts, strict=True)
    ]
    cells = [[make_cell(f"{r['low']} to {r['high']}"), make_cell(count(r["n"]))] for r in rows]
    desc = f"Number of leads in each band of five points, {count(len(known))} scored leads."
    table = make_table("Leads by score", ["Score", "Leads"], cells)
    marks = _cutoff_marks(cutoffs)
    return make_figure("histogram", "Leads by score", desc, rows, table=table, marks=marks)
