"""What the page says loudly, above everything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from propensity.report.counts import TIERS
from propensity.report.numbers import (
    Row,
    count,
    decimal,
    finite,
    interval,
    loss,
    ranking,
    ratio,
    share,
    text,
    words,
)

LEVEL = (0.9, 1.1)
NARROWEST_SPREAD = 1.0

Notice = dict[str, str]


def gather_notices(metrics: Row, scores: pd.DataFrame) -> list[Notice]:
    """Return what a reader must know before any figure; each has a `title` and a `text`."""
    return [*measured_notices(metrics), *_alike(scores), *_found(metrics["audit"])]


def measured_notices(metrics: Row) -> list[Notice]:
    """Return what the figures alone give cause to say, whoever is scored."""
    cutoffs = metrics["cutoffs"]
    return [
        *_untimed(metrics["split"]["by"]),
        *_few(metrics["model"]),
        *_moved(metrics.get("recentred")),
        *(_unsupported(tier, cutoffs[tier]) for tier in ("mql", "sql") if not cutoffs[tier]["supported"]),
        *_beaten(metrics["test"], metrics["baselines"]),
        *_unranked(metrics["test"]),
    ]


def has_moved(recentred: Row) -> bool:
    """Say whether the wins expected as scored are off those seen by more than a tenth."""
    level = finite(recentred["as_scored"]["expected_over_observed"])
    return level is not None and not LEVEL[0] <= level <= LEVEL[1]


def tell_level(recentred: Row) -> str:
    """Return how many wins were expected for each that was seen, as a sentence's part."""
    return f"{ratio(recentred['as_scored']['expected_over_observed'])} wins were expected for each win seen"


def _moved(recentred: Row | None) -> list[Notice]:
    if recentred is None or not has_moved(recentred):
        return []
    too = "low" if recentred["as_scored"]["expected_over_observed"] < 1 else "high"
    told = (
        f"Among the newest {count(recentred['n'])} test snapshots, {tell_level(recentred)}: the "
        f"probabilities are too {too} for today. The order of the leads is not touched by this."
    )
    return [{"title": "The base rate has moved", "text": told}]


def _untimed(split_by: str) -> list[Notice]:
    if split_by != "random":
        return []
    told = (
        "There is no time in the data, so the test part was drawn at random. How well the model will do on "
        "leads that come later is unknown; it is usually worse than what is shown."
    )
    return [{"title": "Nothing here was tested on a later period", "text": told}]


def _few(model: Row) -> list[Notice]:
    if not model.get("few_wins"):
        return []
    told = (
        f"The model learned from {count(model['wins'])} won leads. It can put leads in a rough order; which "
        "candidate is best, and a promise of precision above a cut-off, such data can hardly support. The "
        "intervals say how little is known."
    )
    return [{"title": "There are few wins to learn from", "text": told}]


def _unsupported(tier: str, cutoff: Row) -> Notice:
    note = cutoff["note"] or "There are not enough data to set it as asked."
    return {"title": f"The {TIERS[tier]} cut-off is not supported by the data", "text": text(note)}


def _beaten(test: Row, baselines: Row) -> list[Notice]:
    mine = finite(test["log_loss"])
    notices = []
    for name, baseline in baselines.items():
        theirs = finite(baseline["log_loss"])
        if mine is not None and theirs is not None and mine >= theirs:
            title = f"The model's probabilities are no better than the {words(name)}"
            told = f"Log-loss on the test part: model {loss(mine)}, {words(name)} {loss(theirs)}."
            notices.append({"title": title, "text": told})
    return notices


def _unranked(test: Row) -> list[Notice]:
    if finite(test["auc"]) is None:
        size = f"The test part has {count(test['n'])} snapshots, share won {share(test['base_rate'])}"
        told = f"{size}; ranking is measured between won leads and others, so it takes both."
        return [{"title": "The ranking could not be measured", "text": told}]
    low, high = test.get("auc_interval") or (test["auc"], test["auc"])
    if low > 0.5:
        return []
    found = f"AUC {ranking(test['auc'])}, {interval(low, high, ranking)}"
    told = f"{found} on the test part; 0.5 is chance. Do not put leads in order by this score."
    return [{"title": "The ranking is not shown to be better than chance", "text": told}]


def _alike(scores: pd.DataFrame) -> list[Notice]:
    known = scores["score"].dropna().to_numpy(dtype=float)
    if len(known) < 2:
        return []
    low, high = np.quantile(known, [0.05, 0.95])
    if high - low >= NARROWEST_SPREAD:
        return []
    span = f"between {decimal(low, 1)} and {decimal(high, 1)}"
    told = f"Nine leads in ten score {span}: the model tells them hardly apart."
    return [{"title": "Nearly all leads have the same score", "text": told}]


def _found(audit: list[Any]) -> list[Notice]:
    """Say that issues about what the model uses are open, or overruled: both need a person who knows."""
    open_issues = [f for f in audit if f["result"] == "issue" and f["severity"] != "note"]
    overruled = [f for f in audit if f["result"] == "overruled"]
    if not open_issues and not overruled:
        return []
    told = []
    if open_issues:
        told.append(f"{count(len(open_issues))} open: {', '.join(_names(open_issues))}.")
    if overruled:
        told.append(f"{count(len(overruled))} overruled by a person: {', '.join(_names(overruled))}.")
    return [{"title": "The audit of the data found issues", "text": f"{' '.join(told)} See the audit below."}]


def _names(findings: list[Any]) -> list[str]:
    named = list(
        dict.fromkeys(text(f["subject"] if f["subject"] is not None else f["code"]) for f in findings)
    )
    return [*named[:6], f"{len(named) - 6} more"] if len(named) > 7 else named
