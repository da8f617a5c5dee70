"""The top of the page: what it is about, how to read a score, and how good the model is."""

from __future__ import annotations

from typing import Any

import pandas as pd

from propensity.report.numbers import (
    Format,
    Row,
    capital,
    count,
    day,
    finite,
    period,
    share,
    text,
    trim,
    words,
)
from propensity.report.tables import METRICS, make_cell, make_metric, make_table, measure_table

TILES = ("auc", "lift_at_10", "log_loss", "ece")
KINDS = {"time": "later test period", "order": "later test part", "random": "test part drawn at random"}


def tell_heading(metrics: Row, scores: pd.DataFrame, manifest: Row) -> dict[str, Any]:
    """Return what the page is about: model, data, leads, and what won means.

    The horizon is a matter of dates: without them a lead counts as won if it ever was.
    """
    moments, until = scores["as_of"].dropna(), manifest["data"].get("observed_until")
    test = metrics["split"]["parts"]["test"]
    dated = test["from"] is not None and metrics["horizon_days"] is not None
    within = f" within {trim(metrics['horizon_days'])} days" if dated else ""
    facts = [("Model", text(manifest["model_version"]))]
    facts += [("Data until", day(until))] if until is not None else []
    facts += [("Leads scored", count(len(scores)))]
    facts += [("Scored as of", period(moments.min(), moments.max()))] if len(moments) else []
    facts += [("Won means", within.strip() if dated else "at any time")]
    return {
        "facts": [{"label": label, "value": value} for label, value in facts],
        "model_version": text(manifest["model_version"]),
        "scored": count(len(scores)),
        "as_of": f" as of {period(moments.min(), moments.max())}" if len(moments) else "",
        "within": within,
        "stand_in": test["from"] is None and len(scores) == test["leads"],
        "versions": [{"label": text(k), "value": text(v)} for k, v in manifest.get("versions", {}).items()],
    }


def tell_reading(reference_odds: Any) -> dict[str, Any]:
    """Return what a few scores mean as probabilities."""
    odds = finite(reference_odds)
    names = {
        30: "a quarter of the reference",
        40: "half the reference",
        50: "the reference",
        60: "twice the reference",
        70: "four times the reference",
    }
    rows = []
    for score, told in names.items():
        lead = None if odds is None else odds * 2 ** ((score - 50) / 10)
        probability = None if lead is None else lead / (1 + lead)
        rows.append([make_cell(str(score)), make_cell(told), make_cell(share(probability))])
    table = make_table("What a score means", ["Score", "Odds of being won", "Probability"], rows, numeric=2)
    return {"reference": share(None if odds is None else odds / (1 + odds)), "table": table}


def tell_headline(metrics: Row) -> dict[str, Any]:
    """Return the few figures that say how good the model is, and all of them beside the baselines."""
    test, part = metrics["test"], metrics["split"]["parts"]["test"]
    others = {words(name): values for name, values in metrics["baselines"].items()}
    kind = KINDS[metrics["split"]["by"]]
    size = f"{count(part['snapshots'])} snapshots of {count(part['leads'])} leads, {count(part['wins'])} won"
    return {
        "kind": kind,
        "period": f"{size}, {period(part['from'], part['to'])}",
        "tiles": [_tile(metric, test, others) for metric in METRICS if metric[0] in TILES],
        "table": measure_table(f"Model and baselines on the {kind}", test, others),
    }


def _tile(metric: tuple[str, str, str, Format], test: Row, others: dict[str, Row]) -> dict[str, Any]:
    key, name, note, show = metric
    cell = make_metric(test, key, show)
    baselines = [f"{other} {show(values[key])}" for other, values in others.items()]
    return {
        "title": name,
        "text": cell["text"],
        "interval": cell["note"],
        "note": capital(note),
        "others": ", ".join(baselines),
    }
