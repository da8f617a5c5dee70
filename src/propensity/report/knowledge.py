"""What the model knows and what it does not, as sentences made from its plan, its figures and the audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from propensity.features.catalogue import Feature
from propensity.params import Params
from propensity.report.figures import FAMILIES
from propensity.report.numbers import Row, count, period, text, trim

MOST_NAMED = 12
NOT_READ = {
    "demographic": "Attributes of the person",
    "firmographic": "Attributes of the company",
    "web": "Web behaviour",
    "email": "What leads do with e-mails",
    "social": "Social media",
    "sales": "Work by sales, such as calls (it mirrors the judgement of sales)",
    "account": "What colleagues at the same company do",
}


@dataclass(frozen=True)
class Background:
    """What a model could know.

    Attributes
    ----------
    params : Params
        Those it was trained with.
    features : list of Feature
        What it reads.
    columns : list of str
        The attributes of leads that there are, read or not.
    """

    params: Params
    features: list[Feature]
    columns: list[str]


def tell_knowledge(background: Background, metrics: Row, notices: Sequence[Row]) -> dict[str, list[str]]:
    """Say what the model knows and what it does not.

    Parameters
    ----------
    background : Background
    metrics : dict
        The content of ``reports/metrics.json``.
    notices : sequence of dict
        What the page says above all else; each with a ``title``.

    Returns
    -------
    dict
        ``does`` and ``does_not``, sentences.
    """
    params, features = background.params, background.features
    return {
        "does": [*_families(features), _periods(metrics), *_moments(params, metrics)],
        "does_not": [
            *_families_off(params, features),
            *_columns_off(background, metrics["audit"]),
            *_times_off(params, metrics),
            *_people_off(params),
            *(f"{text(notice['title'])}." for notice in notices),
        ],
    }


def _families(features: Sequence[Feature]) -> list[str]:
    counted = Counter(f.qualifier for f in features)
    told = [f"{FAMILIES.get(q) or text(q)}: {_plural(n, 'feature')}" for q, n in counted.most_common()]
    total = f"It reads {_plural(len(features), 'feature')}, each as it was known when the lead was scored"
    return [f"{total}. {'; '.join(told)}."] if features else []


def _periods(metrics: Row) -> str:
    parts = metrics["split"]["parts"]
    train, calibrate, test = (parts[name] for name in ("train", "calibrate", "test"))
    return (
        f"It learned from {_size(train)}, its probabilities and cut-offs were set on {_size(calibrate)}, "
        f"and it was tested on {_size(test)}."
    )


def _size(part: Row) -> str:
    dated = f", {period(part['from'], part['to'])}" if part["from"] is not None else ""
    won = f"{count(part['wins'])} won{dated}"
    return f"{count(part['snapshots'])} snapshots of {count(part['leads'])} leads ({won})"


def _moments(params: Params, metrics: Row) -> list[str]:
    if params.data.leads.created_at is None:
        return ["A lead is looked at once, as it stands in the table: the data has no dates."]
    ages = ", ".join(trim(age) for age in sorted(params.snapshots.ages_days))
    told = [f"In its history each lead was looked at {ages} days after it came, as long as it was open."]
    if metrics["horizon_days"] is not None:
        told.append(f"Won means within {trim(metrics['horizon_days'])} days of being scored.")
    return told


def _families_off(params: Params, features: Sequence[Feature]) -> list[str]:
    used = {f.qualifier for f in features} | set(params.features.use)
    told = [f"{words}: not read." for q, words in NOT_READ.items() if q not in used]
    silent = [q for q in params.features.use if q in NOT_READ and not _reads(q, features)]
    return [*told, *(f"{NOT_READ[q]}: nothing of it is in the data." for q in silent)]


def _reads(qualifier: str, features: Sequence[Feature]) -> bool:
    if qualifier == "account":
        return any(f.statistic == "account" for f in features)
    return any(f.qualifier == qualifier for f in features)


def _columns_off(background: Background, audit: Sequence[Row]) -> list[str]:
    columns, excluded = background.columns, background.params.features.exclude
    read = {f.subject for f in background.features}
    issues = [f["subject"] for f in audit if f["result"] == "issue" and f["subject"] is not None]
    doubted = [c for c in dict.fromkeys(issues) if c in columns and c not in read]
    others = [c for c in columns if c not in read and c not in doubted]
    told = []
    if doubted:
        told.append(f"Columns that the audit found fault with, and that it does not read: {_names(doubted)}.")
    if others:
        told.append(f"Other columns of leads that it does not read: {_names(others)}.")
    if excluded:
        told.append(f"Left out by a person: {_names(excluded)}.")
    return told


def _times_off(params: Params, metrics: Row) -> list[str]:
    if params.data.leads.created_at is None:
        return ["Whether it holds for leads that come later: nothing in the data says when a lead came."]
    oldest = max(params.snapshots.ages_days)
    told = [f"Leads older than {trim(oldest)} days: they are scored as if they were that old."]
    if metrics["horizon_days"] is not None:
        told.insert(
            0, f"Wins that take longer than {trim(metrics['horizon_days'])} days: they count as not won."
        )
    return told


def _people_off(params: Params) -> list[str]:
    told = ["What would happen if somebody acted: points compare leads, they are not effects."]
    if params.disqualify:
        told.append("Leads that a rule disqualifies: it never learned from them.")
    return told


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(text(name) for name in names[:MOST_NAMED])
    return f"{shown} and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else shown


def _plural(n: int, noun: str) -> str:
    return f"{count(n)} {noun}{'' if n == 1 else 's'}"
