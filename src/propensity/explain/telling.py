"""A change of score in one sentence: by how much, from what, and into which tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from propensity.explain.words import Words, capital, name_qualifier, name_subject, say, write_decimal
from propensity.features.catalogue import Feature
from propensity.model.estimators import Matrix, Vector

# In points: under a twentieth a figure would read 0.0.
LEAST = 0.05
NAMED = 2
TIMING = {
    "age_days": "change_age",
    "created_hour": "change_created",
    "created_weekday": "change_created",
    "as_of_month": "change_month",
}
ORDER = ("behaviour", "time", "attributes", "data", "model")


@dataclass(frozen=True)
class Told:
    """What a sentence is made of, a row a lead.

    Attributes
    ----------
    names : list of str
        What the model's features are about.
    moved : dict
        Part to the points by name that make it up, shape (n_leads, n_names).
    parts : dict
        ``change`` and each part in points, shape (n_leads,).
    """

    names: list[str]
    moved: Mapping[str, Matrix]
    parts: Mapping[str, Vector]


def name_briefly(feature: Feature, words: Words) -> str:
    """Return what a feature is about in a word or two, whatever it counts of it."""
    if feature.statistic == "timing":
        return say(words, TIMING[feature.name])
    if feature.statistic == "account":
        return say(words, "change_colleagues")
    if feature.subject == feature.qualifier:
        return name_qualifier(words, feature.subject)
    return name_subject(words, feature.subject)


def tell_change(changes: pd.DataFrame, told: Told, words: Words) -> list[str]:
    """Say why each lead's score and tier changed.

    Parameters
    ----------
    changes : DataFrame
        ``tier_before, tier, crossed, reasons, model_before, model_version``; rows as in `told`.
    told : Told
    words : Words

    Returns
    -------
    list of str
        Such as ``MQL to SQL: +9.4 points: behaviour +12.0 (visit +8.1, form +3.9), time -2.6``. Parts of less
        than a twentieth of a point are not named; of a part, the two things that moved it most are.
    """
    named = {part: _name_largest(told.names, moved, words) for part, moved in told.moved.items()}
    sentences = []
    for i, row in enumerate(changes.itertuples(index=False)):
        said = _tell_points(told.parts, named, i, words)
        if row.crossed:
            said = _tell_crossing(row, said, float(told.parts["change"][i]), words)
        sentences.append(capital(said))
    return sentences


def _tell_points(parts: Mapping[str, Vector], named: Mapping[str, list[str]], i: int, words: Words) -> str:
    """Tell the change and its parts, the largest first."""
    amounts = {part: float(parts[part][i]) for part in ORDER}
    shown = sorted((part for part in ORDER if abs(amounts[part]) >= LEAST), key=lambda p: -abs(amounts[p]))
    if not shown:
        return say(words, "change_same")
    named_here = {part: texts[i] for part, texts in named.items()}
    told = [
        f"{say(words, f'change_{part}')} {_signed(amounts[part], words)}{named_here.get(part, '')}"
        for part in shown
    ]
    change = _signed(float(parts["change"][i]), words)
    return say(words, "change_points", points=change, parts=", ".join(told))


def _tell_crossing(row: Any, said: str, change: float, words: Words) -> str:
    tiers = words.texts["tiers"]
    told = say(words, "change_crossed", before=tiers[row.tier_before], now=tiers[row.tier], told=said)
    if row.tier == "disqualified":
        rule = next((r["text"] for r in row.reasons if r["qualifier"] == "rule"), "")
        return f"{told}. {rule}" if rule else told
    if row.tier_before == "disqualified":
        return f"{told}; {say(words, 'change_allowed')}"
    against = change < LEAST if row.crossed == "up" else change > -LEAST
    if against and row.model_before != row.model_version:
        return f"{told}; {say(words, 'change_moved')}"
    return told


def _name_largest(names: list[str], moved: Matrix, words: Words) -> list[str]:
    """Return, per row, what moved a part most, in brackets; empty where nothing moved it."""
    order = np.argsort(-np.abs(moved), axis=1, kind="stable")[:, :NAMED]
    amounts = np.take_along_axis(moved, order, axis=1)
    texts = []
    for places, row in zip(order, amounts, strict=True):
        named = zip(places, row, strict=True)
        told = [f"{names[k]} {_signed(x, words)}" for k, x in named if abs(x) >= LEAST]
        texts.append(f" ({', '.join(told)})" if told else "")
    return texts


def _signed(points: float, words: Words) -> str:
    rounded = round(float(points), 1)
    return write_decimal(words, rounded, signed=True) if rounded else write_decimal(words, 0.0)
