"""The model card: what the model is for, how well it does for whom, what it cannot do, how to object.

The headings follow Mitchell et al. 2019, "Model cards for model reporting" (doi:10.1145/3287560.3287596).
Every figure comes from ``metrics.json``; words that no data tells stand under ``card`` in ``params.yaml``.
"""

from __future__ import annotations

from typing import Any

from propensity.features.catalogue import Feature
from propensity.params import CardParams
from propensity.report.counts import TIERS
from propensity.report.notices import measured_notices
from propensity.report.numbers import Row, capital, count, period, ratio, share, text, trim, words
from propensity.report.reliability import calibration_section
from propensity.report.tables import (
    Table,
    age_table,
    channel_table,
    cutoff_table,
    make_cell,
    make_metric,
    make_table,
    measure_table,
)

Section = dict[str, Any]

USE = (
    "Putting leads in the order in which marketing and sales work them, and routing them between nurture, "
    "marketing and sales. A person decides what is done with a lead."
)
NOT_FOR = (
    "Not for deciding on credit, employment, prices or access to a service, and not for judging the people "
    "who work the leads."
)
CONTEST = (
    "Every score comes with the values it rests on and the points each gave. Who disagrees says so in the "
    "review; 'propensity feedback' counts these verdicts by tier, reason and reviewer. A wrong value is "
    "corrected where it was read from, and the lead scored again."
)
CAUSE = "Points say what goes with winning among past leads, not what would happen if somebody changed it."


def make_card(
    metrics: Row, features: list[Feature], data: Row, card: CardParams, *, horizon_days: float | None
) -> dict[str, Any]:
    """Return the card as sections of paragraphs and tables, all figures formatted.

    Parameters
    ----------
    metrics : mapping
        The content of ``metrics.json``.
    features : list of Feature
        What the model reads.
    data : mapping
        The bundle's data window.
    card : CardParams
    horizon_days : float or None
        None for a table without dates.

    Returns
    -------
    dict
        ``model_version`` and ``sections``, each with ``title``, ``paragraphs`` and ``tables``.
    """
    sections = [
        _section("Intended use", _use(card)),
        _section("Data and target", _data(metrics, data, horizon_days)),
        _section("Model", _model(metrics, features)),
        _section("Performance on the test part", [_period(metrics)], _performance(metrics)),
        _calibration(metrics),
        _section("Cut-offs", _cutoff_notes(metrics["cutoffs"]), [cutoff_table(metrics["cutoffs"])]),
        _fairness(metrics.get("fairness") or {}),
        _section("Limits", _limits(metrics)),
        _section("How to contest a score", [card.contest or CONTEST]),
    ]
    return {"model_version": metrics["model_version"], "sections": sections}


def card_to_markdown(card: Row) -> str:
    """Return the card as Markdown; what Markdown would read as its own is escaped."""
    lines = [f"# Model card of model {_plain(card['model_version'])}", ""]
    for section in card["sections"]:
        lines += [f"## {_plain(section['title'])}", ""]
        for paragraph in section["paragraphs"]:
            lines += [_plain(paragraph), ""]
        for table in section["tables"]:
            lines += [*_markdown_table(table), ""]
    return "\n".join(lines)


def fairness_table(column: str, rows: list[Row]) -> Table:
    """Return one row for each level of a column, with the intervals beside the figures."""
    tiers = [tier for tier in ("mql", "sql") if rows and f"above_{tier}" in rows[0]]
    names = [name for tier in tiers for name in (f"above_{tier}", f"found_{tier}")]
    told = [
        [
            make_cell(text(row["level"])),
            make_cell(count(row["n"]), f"{count(row['leads'])} leads"),
            make_metric(row, "base_rate", share),
            make_metric(row, "expected_over_observed", ratio),
            *(make_metric(row, name, share) for name in names),
        ]
        for row in rows
    ]
    over = [head for t in tiers for head in (f"At or above {TIERS[t]}", f"Winners found by {TIERS[t]}")]
    columns = [capital(words(column)), "Snapshots", "Share won", "Expected per win seen", *over]
    return make_table(f"By {words(column)}, test part", columns, told)


def _section(title: str, paragraphs: list[str], tables: list[Table] | None = None) -> Section:
    return {"title": title, "paragraphs": paragraphs, "tables": tables or []}


def _use(card: CardParams) -> list[str]:
    answers = (
        f"Answerable for the model: {card.owner}." if card.owner else "Nobody is named as answerable for it."
    )
    return [card.intended_use or USE, NOT_FOR, answers]


def _data(metrics: Row, data: Row, horizon_days: float | None) -> list[str]:
    parts = data["parts"]
    dated = parts["train"]["from"] is not None and horizon_days is not None
    within = (
        f"within {trim(horizon_days)} days of the moment it is scored" if dated and horizon_days else "at all"
    )
    told = [f"A lead counts as won if it is won {within}. An open lead is not counted as lost."]
    for name, purpose in (("train", "Learned from"), ("calibrate", "Calibrated on"), ("test", "Tested on")):
        part = parts[name]
        when = period(part["from"], part["to"])
        told.append(
            f"{purpose} {count(part['snapshots'])} snapshots of {count(part['leads'])} leads, "
            f"{count(part['wins'])} won{', ' + when if when else ''}."
        )
    results = [finding["result"] for finding in metrics["audit"]]
    told.append(
        f"The audit for facts written down only afterwards found {count(results.count('issue'))} issues "
        f"that do not stop a run; a person overruled {count(results.count('overruled'))}."
    )
    return told


def _model(metrics: Row, features: list[Feature]) -> list[str]:
    families: dict[str, int] = {}
    for feature in features:
        families[feature.qualifier] = families.get(feature.qualifier, 0) + 1
    read = ", ".join(f"{count(n)} {name}" for name, n in families.items())
    model = metrics["model"]
    return [
        f"{capital(text(model['chosen']))}, calibrated by {text(model['calibrator'])}, with "
        f"{count(len(features))} features: {read}.",
        "Base points and the points of the features sum to each score exactly.",
    ]


def _period(metrics: Row) -> str:
    part = metrics["split"]["parts"]["test"]
    when = period(part["from"], part["to"])
    return f"{count(metrics['test']['n'])} snapshots{', ' + when if when else ''}; ranges are 95% intervals."


def _performance(metrics: Row) -> list[Table]:
    others = {words(name): values for name, values in metrics["baselines"].items()}
    tables = [measure_table("Model and baselines", metrics["test"], others)]
    tables += [age_table(metrics["by_age"])] if metrics["by_age"] else []
    return tables + ([channel_table(metrics["by_channel"])] if metrics["by_channel"] else [])


def _calibration(metrics: Row) -> Section:
    found = calibration_section(metrics.get("calibration"))
    table = found.get("table")
    return _section("Calibration", [found["sentence"]] if table else [], [table] if table else [])


def _cutoff_notes(cutoffs: Row) -> list[str]:
    return [f"{TIERS[t]}: {text(cutoffs[t]['note'])}" for t in ("mql", "sql") if cutoffs[t]["note"]]


def _fairness(columns: Row) -> Section:
    if not columns:
        told = "No column is named under card.fairness in params.yaml, so groups of leads were not compared."
        return _section("Groups of leads", [told])
    told = (
        "Where groups are won at different rates, equal calibration, equal shares above a cut-off and "
        "equal shares of winners found cannot all be had. Which matters is a decision of people. Groups of "
        "few leads are told together or not at all."
    )
    return _section("Groups of leads", [told], [fairness_table(name, rows) for name, rows in columns.items()])


def _limits(metrics: Row) -> list[str]:
    notices = [f"{notice['title']}. {notice['text']}" for notice in measured_notices(metrics)]
    return [CAUSE, *notices]


def _plain(content: Any) -> str:
    escaped = str(content).replace("\\", "\\\\")
    for sign in ("`", "*", "_", "[", "]", "<", ">", "#", "|"):
        escaped = escaped.replace(sign, f"\\{sign}")
    return " ".join(escaped.split())


def _markdown_table(table: Table) -> list[str]:
    def told(cell: Row) -> str:
        return _plain(f"{cell['text']} ({cell['note']})" if cell["note"] else cell["text"])

    rows = [[told(cell) for cell in row] for row in table["rows"]]
    head = [_plain(name) for name in table["columns"]]
    lines = [head, ["---"] * len(head), *rows]
    return [f"**{_plain(table['caption'])}**", "", *(f"| {' | '.join(line)} |" for line in lines)]
