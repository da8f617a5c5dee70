"""Reasons: the points that moved a score most, as sentences.

All that tells of one behaviour speaks as one reason: how much in the window that weighs most, and when it
last was. What a qualifier's event types and its activity as a whole say alike is told once, by the weightier
of the two. The last reason, ``other``, holds what the named ones leave, so that base and reasons sum to the
score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from propensity.data.timing import timed
from propensity.explain.evidence import Evidence, tell_evidence
from propensity.explain.families import RECENCY, Families, Places, group_families, weightiest_families
from propensity.explain.phrases import (
    local_clock,
    phrase_column,
    value_texts,
)
from propensity.explain.points import Points
from propensity.explain.texts import Codes, Told, fill, tell_cells, write_each
from propensity.explain.words import Words, capital, mask_addresses, say, write_decimal, write_points
from propensity.features.catalogue import Feature
from propensity.model.estimators import add_columns

OTHER = "other"
REASONS_TYPE = pa.list_(
    pa.struct(
        [
            ("feature", pa.string()),
            ("qualifier", pa.string()),
            ("value", pa.string()),
            ("points", pa.float64()),
            ("text", pa.string()),
        ]
    )
)


@dataclass(frozen=True)
class Voice:
    """What reasons are told with.

    Attributes
    ----------
    words : Words
    evidence : Evidence or None
        How earlier leads ended; None to leave it out.
    zone : str
        The zone whose calendar says what was yesterday.
    """

    words: Words
    evidence: Evidence | None = None
    zone: str = "UTC"


@timed("sentences")
def top_reasons(
    points: Points,
    table: pd.DataFrame,
    features: list[Feature],
    voice: Voice,
    *,
    most: int = 5,
    rest: pa.Array | None = None,
    families: Families | None = None,
) -> pa.ListArray:
    """Choose and phrase each row's reasons.

    Parameters
    ----------
    points : Points
        Of the rows, columns as `features`.
    table : DataFrame
        The rows' feature values and ``as_of``, in the same order.
    features : list of Feature
    voice : Voice
    most : int
        Named reasons a row; those without any points are not named.
    rest : pyarrow array of str of length n_rows, optional
        The text of each row's ``other``.
    families : Families, optional
        Of these points, where they are at hand.

    Returns
    -------
    pyarrow list array of length n_rows
        Each a list of ``{feature, qualifier, value, points, text}``, the weightiest first, at most
        `most` and one ``other``; a row's points and the base sum to its score.
    """
    grouped = group_families(points, features) if families is None else families
    order = weightiest_families(grouped, most)
    rows = np.arange(len(order))[:, None]
    chosen, amounts = grouped.spokesman[rows, order], grouped.sums[rows, order]
    named = amounts != 0
    told = phrase_cells(grouped.told[rows, order], table, features, voice, wanted=named)
    values, evidence = _describe_cells(chosen, table, features, voice, wanted=named)
    sentences = _write_sentences(told, amounts, evidence, voice.words, named)
    left = add_columns(grouped.sums, 0.0) - add_columns(amounts, 0.0)
    others = pa.array([say(voice.words, "other")] * len(left), pa.string()) if rest is None else rest
    with_other = np.hstack([named, np.ones((len(left), 1), dtype=bool)])
    place = _places(named, with_other)
    last = len(features)
    chosen = np.hstack([chosen, np.full((len(left), 1), last, dtype=np.int64)])
    none = np.zeros((len(left), 1), dtype=np.int64)  # the first text of cells is none
    arrays = [
        Told(chosen, [*(f.name for f in features), OTHER]).pick(with_other),
        Told(chosen, [*(f.qualifier for f in features), OTHER]).pick(with_other),
        Told(np.hstack([values.codes, none]), values.texts).pick(with_other),
        pa.array(np.hstack([amounts, left[:, None]])[with_other]),
        pa.concat_arrays([sentences, others]).take(pa.array(place)),
    ]
    flat = pa.StructArray.from_arrays(arrays, fields=list(REASONS_TYPE.value_type))
    offsets = np.concatenate([[0], with_other.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def _places(named: npt.NDArray[np.bool_], with_other: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return, row by row, the place of each reason's text where all named ones come before all others."""
    place = np.empty(with_other.shape, dtype=np.int64)
    place[:, :-1][named] = np.arange(named.sum())
    place[:, -1] = named.sum() + np.arange(len(named))
    return place[with_other]


def tell(scored: Mapping[str, Any], words: Words) -> str:
    """Return one row of the scores as lines of text: score and grade, then each reason with its points."""
    sides = {
        side: write_decimal(words, scored[f"{side}_points"], signed=True) for side in ("fit", "engagement")
    }
    given = ("grade", "fit_grade", "engagement_grade")
    grades = {name: str(scored[name]) for name in given if not pd.isna(scored.get(name))}
    lines = [
        say(
            words,
            "head",
            lead=str(scored["lead_id"]),
            score=write_decimal(words, scored["score"]),
            tier=str(words.texts["tiers"].get(scored["tier"], scored["tier"])),
            probability=say(words, "percent", number=write_decimal(words, 100 * scored["probability"])),
            model=str(scored["model_version"]),
        ),
        say(words, "graded" if grades else "ungraded", **sides, **grades),
        _line(write_decimal(words, scored["base_points"], signed=True), say(words, "base")),
    ]
    lines += [_line(write_decimal(words, r["points"], signed=True), r["text"]) for r in scored["reasons"]]
    return "\n".join([*lines, _line(write_decimal(words, scored["score"]), say(words, "score"))])


def _line(points: str, text: str) -> str:
    return f"{points:>7}  {text}"


def tell_rule(hit: Any, words: Words) -> dict[str, Any]:
    """Return a rule that disqualified a lead as a reason of no points.

    Parameters
    ----------
    hit : named tuple
        ``reason, column, value``, as `propensity.decisions.rules.rule_hits`.
    words : Words
    """
    value = None if pd.isna(hit.value) else mask_addresses(str(hit.value))
    given = {"reason": str(hit.reason), "column": str(hit.column)}
    text = say(words, "rule_missing", **given) if value is None else say(words, "rule", value=value, **given)
    return {"feature": hit.column, "qualifier": "rule", "value": value, "points": 0.0, "text": text}


def phrase_cells(
    chosen: Places,
    table: pd.DataFrame,
    features: list[Feature],
    voice: Voice,
    *,
    wanted: npt.NDArray[np.bool_] | None = None,
) -> Told:
    """Return what the chosen cells say, without points, one feature after another.

    Parameters
    ----------
    chosen : array of int, shape (n_rows, n_cells)
        The place of each cell's feature in `features`.
    table : DataFrame
    features : list of Feature
    voice : Voice
    wanted : array of bool, shape (n_rows, n_cells), optional
        The cells that are told; all if left out.
    """
    clock = local_clock(table, voice.zone)
    recency = {f.family: f for f in features if f.statistic == RECENCY}

    def phrase(j: int, rows: Codes) -> Told:
        last = recency.get(features[j].family)
        return phrase_column(
            features[j],
            table[features[j].name].iloc[rows],
            voice.words,
            clock=clock[rows],
            last=None if last is None else table[last.name].iloc[rows],
        )

    return tell_cells(chosen, phrase, wanted=wanted)


def _describe_cells(
    chosen: Places,
    table: pd.DataFrame,
    features: list[Feature],
    voice: Voice,
    *,
    wanted: npt.NDArray[np.bool_],
) -> tuple[Told, Told]:
    """Return each cell's value as short text, and the evidence about such values."""

    def value(j: int, rows: Codes) -> Told:
        return value_texts(features[j], table[features[j].name].iloc[rows], voice.words)

    def evidence(j: int, rows: Codes) -> Told:
        return tell_evidence(voice.evidence, features[j], table[features[j].name].iloc[rows], voice.words)

    return tell_cells(chosen, value, wanted=wanted), tell_cells(chosen, evidence, wanted=wanted)


def _write_sentences(
    told: Told,
    amounts: npt.NDArray[np.float64],
    evidence: Told,
    words: Words,
    named: npt.NDArray[np.bool_],
) -> pa.Array:
    """Return the sentence of each named cell, row by row."""
    tenths = np.where(np.abs(amounts) >= 0.95, 10 * np.round(amounts), np.round(10 * amounts))
    points = write_each(tenths, lambda x: write_points(words, x / 10))
    said = fill(
        str(words.texts["sentence"]), what=told.changed(capital).pick(named), points=points.pick(named)
    )
    ended = evidence.changed(lambda text: f" {text}" if text else "").pick(named)
    return pc.utf8_rtrim_whitespace(pc.binary_join_element_wise(said, ended, ""))
