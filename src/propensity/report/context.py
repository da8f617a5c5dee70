"""What the review says: metrics, scores and cards turned into one plain dict with every number formatted.

The dict holds only texts, numbers, lists and dicts, so that it can be read, tested and rendered alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from propensity.errors import InputError, some
from propensity.report.cards import describe_cards
from propensity.report.counts import (
    TIERS,
    cohort_table,
    ingest_table,
    quarantine_table,
    split_table,
    tier_table,
)
from propensity.report.feedback import feedback_section
from propensity.report.figures import (
    contact_table,
    cutoff_figure,
    delay_figure,
    driver_figure,
    family_figure,
    gains_figure,
    reliability_figure,
    score_figure,
)
from propensity.report.findings import audit_section
from propensity.report.headline import tell_heading, tell_headline, tell_reading
from propensity.report.knowledge import Background, tell_knowledge
from propensity.report.meeting import dependence_figures, list_reasons, tradeoff_section, winners_section
from propensity.report.money import money_section
from propensity.report.monitoring import monitoring_section
from propensity.report.notices import gather_notices, has_moved, tell_level
from propensity.report.numbers import (
    Row,
    count,
    interval,
    percent,
    share,
    text,
)
from propensity.report.reliability import calibration_section
from propensity.report.tables import (
    Table,
    age_table,
    channel_table,
    choice_table,
    cutoff_table,
    moves_table,
    recentring_table,
)

SECTIONS = (
    "split", "horizon_days", "model", "test", "calibrate", "baselines", "by_age", "by_channel", "reliability",
    "gains", "cutoff_curve", "cutoffs", "drivers", "qualifiers", "counts", "audit",
)  # fmt: skip
SCORE_COLUMNS = ("lead_id", "as_of", "probability", "score", "tier", "model_version")
CARD_COLUMNS = (*SCORE_COLUMNS, "base_points", "expected_value", "reasons", "why_shown", "facts")


def build_context(
    metrics: dict[str, Any],
    scores: pd.DataFrame,
    cards: pd.DataFrame,
    manifest: dict[str, Any],
    money: Mapping[str, pd.DataFrame] | None = None,
    *,
    winners: pd.DataFrame | None = None,
    background: Background | None = None,
    model_card: Row | None = None,
    feedback: Row | None = None,
    monitoring: Row | None = None,
) -> dict[str, Any]:
    """Gather all that the review shows.

    Parameters
    ----------
    metrics
        The content of ``reports/metrics.json``.
    scores
        One row per scored lead, as ``scores/scores.parquet``.
    cards
        The leads to show one by one: the columns of `scores` with `why_shown`, a text, and `facts`, a
        list of ``{label, value}``. May have the texts `channel`, `owner`, `outcome` and `grade`, and
        `change`, `timeline` and `lifts` as `levers` and `timeline` make them.
    manifest
        The bundle's ``manifest.json``: `model_version`, `data.observed_until` and `versions` are read.
    money
        The tables of ``propensity price``, ``trends`` and ``funnel`` that there are, by the file's name.
    winners
        The segments of winners.
    background
        What the model can know; without it nothing is said of that.
    model_card
        The bundle's own.
    feedback
        The content of ``reports/feedback.json``.
    monitoring
        The content of ``reports/monitor.json``, of this model.

    Raises
    ------
    InputError
        A section of `metrics` or a column is missing, counts that should add up do not, a card's
        points do not add up to its score, or metrics, scores and bundle are not of one model.
    """
    _check_present("reports/metrics.json", SECTIONS, metrics)
    _check_present("the scores", SCORE_COLUMNS, scores.columns)
    _check_present("the lead cards", CARD_COLUMNS, cards.columns)
    _check_one_model(metrics, scores, manifest)
    notices = gather_notices(metrics, scores)
    return {
        "heading": tell_heading(metrics, scores, manifest),
        "notices": notices,
        "reading": tell_reading(metrics["cutoffs"].get("reference_odds")),
        "headline": tell_headline(metrics),
        "recentring": _recentring(metrics),
        "calibration": calibration_section(metrics.get("calibration")),
        "figures": {
            "reliability": reliability_figure(metrics["reliability"]),
            "gains": gains_figure(metrics["gains"]),
            "cutoff_curve": cutoff_figure(
                metrics["cutoff_curve"], metrics["cutoffs"], n=metrics["calibrate"]["n"]
            ),
            "qualifiers": family_figure(metrics["qualifiers"]),
            "drivers": driver_figure(metrics["drivers"]),
            "histogram": score_figure(scores, metrics["cutoffs"]),
            "delay": delay_figure(metrics["counts"]["cohort"].get("horizon")),
        },
        "tables": _tables(metrics),
        "cutoff_notes": [
            f"{TIERS[tier]}: {text(metrics['cutoffs'][tier]['note'])}"
            for tier in ("mql", "sql")
            if metrics["cutoffs"][tier]["note"]
        ],
        "audit": audit_section(metrics["audit"]),
        "delay": _delay(metrics["counts"]["cohort"].get("horizon")),
        "money": money_section(money or {}),
        "tradeoff": tradeoff_section(metrics.get("tradeoff"), metrics["cutoffs"]),
        "dependence": dependence_figures(metrics.get("dependence", [])),
        "winners": winners_section(winners),
        "knows": tell_knowledge(background, metrics, notices) if background else {"does": [], "does_not": []},
        "reasons_list": list_reasons(),
        "model_card": model_card,
        "feedback": feedback_section(feedback) if feedback else None,
        "monitoring": monitoring_section(monitoring) if monitoring else None,
        "cards": describe_cards(cards, metrics["cutoffs"]),
    }


def _check_present(where: str, expected: Iterable[str], found: Iterable[Any]) -> None:
    present = list(found)
    missing = [name for name in expected if name not in present]
    if missing:
        raise InputError(
            f"the review needs {some(missing)} in {where}, which has {some(present, 30)}; run the stages "
            "evaluate and score again"
        )


def _check_one_model(metrics: Row, scores: pd.DataFrame, manifest: Row) -> None:
    model = manifest["model_version"]
    measured = metrics.get("model_version", model)
    others = sorted({*scores["model_version"].dropna().unique(), measured} - {model})
    if others:
        raise InputError(
            f"the bundle holds model {model}, but the metrics or the scores come from {some(others)}; run "
            "the stages evaluate and score again"
        )


def _recentring(metrics: Row) -> dict[str, Any]:
    """Return what the page says about the level of the probabilities; empty if nothing is known of it."""
    recentred = metrics.get("recentred")
    if recentred is None:
        untried = "recentred" in metrics and metrics["split"]["by"] != "random"
        return {"verdict": "", "untried": untried, "table": None}
    moved = has_moved(recentred)
    verdict = f"{'The base rate has moved' if moved else 'The base rate has hardly moved'}: "
    verdict += f"as scored, {tell_level(recentred)}."
    return {"verdict": verdict, "untried": False, "table": recentring_table(recentred)}


def _delay(horizon: Row | None) -> dict[str, Any]:
    """Return what the page says of the time to win; empty where the data has no dates of closing."""
    if horizon is None or horizon["estimate"] is None:
        return {"verdict": "", "how": ""}
    span = interval(horizon["low"], horizon["high"], _days)
    verdict = (
        f"{percent(horizon['share'])} of the wins that the data can show come within "
        f"{_days(horizon['estimate'])} days ({span}) of {count(horizon['n_leads'])} leads, "
        f"{count(horizon['n_wins'])} of them won. The horizon of {_days(horizon['days'])} days covers "
        f"{share(horizon['covered'])} of these wins"
    )
    how = "was given in params.yaml"
    if horizon["source"] == "data":
        how = "was found from this curve"
        how += ", cut to a tenth of the history" if horizon["capped"] else ""
    return {"verdict": f"{verdict}; it {how}.", "how": text(horizon["estimator"])}


def _days(value: float) -> str:
    return f"{value:.3g}"


def _tables(metrics: Row) -> dict[str, Table]:
    counts, split, model = metrics["counts"], metrics["split"], metrics["model"]
    return {
        "contact": contact_table(metrics["gains"]),
        "cutoffs": cutoff_table(metrics["cutoffs"]),
        "moves": moves_table(metrics["cutoffs"]),
        "by_age": age_table(metrics["by_age"]),
        "by_channel": channel_table(metrics["by_channel"]),
        "ingest": ingest_table(counts["ingest"]),
        "quarantine": quarantine_table(counts["quarantine"]),
        "cohort": cohort_table(counts["cohort"], split),
        "tiers": tier_table(counts["tiers"]),
        "split": split_table(split),
        "candidates": choice_table("Models, stop part", model["candidates"], model["chosen"]),
        "calibrators": choice_table(
            "Calibrators, calibration part", model["calibrators"], model["calibrator"]
        ),
    }
