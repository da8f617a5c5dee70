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

from propensity.explain.evidence import Evidence, tell_evidence
from propensity.explain.families import RECENCY, Places, group_families, weightiest_families
from propensity.explain.phrases import (
    local_clock,
    phrase_column,
    value_text,
)
from propensity.explain.points import Points
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

Texts = npt.NDArray[np.object_]


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


def top_reasons(
    points: Points,
    table: pd.DataFrame,
    features: list[Feature],
    voice: Voice,
    *,
    most: int = 5,
    rest: Texts | None = None,
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
    rest : array of str, shape (n_rows,), optional
        The text of each row's ``other``.

    Returns
    -------
    pyarrow list array of length n_rows
        Each a list of ``{feature, qualifier, value, points, text}``, the weightiest first, at most
        `most` and one ``other``; a row's points and the base sum to its score.
    """
    families = group_families(points, features)
    sums = families.sums
    order = weightiest_families(families, most)
    rows = np.arange(len(sums))[:, None]
    chosen, amounts = families.spokesman[rows, order], sums[rows, order]
    what = phrase_cells(families.told[rows, order], table, features, voice)
    values, evidence = _describe_cells(chosen, table, features, voice)
    left = add_columns(sums, 0.0) - add_columns(amounts, 0.0)
    names = np.array([f.name for f in features], dtype=object)
    qualifiers = np.array([f.qualifier for f in features], dtype=object)
    other = np.full((len(sums), 1), OTHER, dtype=object)
    other_text = np.full(len(sums), say(voice.words, "other"), dtype=object) if rest is None else rest
    kept = np.hstack([amounts != 0, np.ones((len(sums), 1), dtype=bool)])
    columns = [
        np.hstack([names[chosen], other]),
        np.hstack([qualifiers[chosen], other]),
        np.hstack([values, np.full_like(other, None)]),
        np.hstack([amounts, left[:, None]]),
        np.hstack([_join_sentences(what, amounts, evidence, voice.words), other_text[:, None]]),
    ]
    arrays = [
        pa.array(column[kept], type=field.type, from_pandas=field.type != pa.float64())
        for column, field in zip(columns, REASONS_TYPE.value_type, strict=True)
    ]
    flat = pa.StructArray.from_arrays(arrays, fields=list(REASONS_TYPE.value_type))
    offsets = np.concatenate([[0], kept.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


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


def phrase_cells(chosen: Places, table: pd.DataFrame, features: list[Feature], voice: Voice) -> Texts:
    """Return what the chosen cells say, without points, one feature after another.

    Parameters
    ----------
    chosen : array of int, shape (n_rows, n_cells)
        The place of each cell's feature in `features`.
    table : DataFrame
    features : list of Feature
    voice : Voice
    """
    text = np.empty(chosen.shape, dtype=object)
    clock = local_clock(table, voice.zone)
    recency = {f.family: f for f in features if f.statistic == RECENCY}
    for j in np.unique(chosen):
        row, place = np.nonzero(chosen == j)
        last = recency.get(features[j].family)
        text[row, place] = phrase_column(
            features[j],
            table[features[j].name].iloc[row],
            voice.words,
            clock=clock[row],
            last=None if last is None else table[last.name].iloc[row],
        )
    return text


def _describe_cells(
    chosen: Places, table: pd.DataFrame, features: list[Feature], voice: Voice
) -> tuple[Texts, Texts]:
    """Return each cell's value as short text, and the evidence about such values."""
    value, evidence = np.empty(chosen.shape, dtype=object), np.empty(chosen.shape, dtype=object)
    for j in np.unique(chosen):
        row, place = np.nonzero(chosen == j)
        column = table[features[j].name].iloc[row]
        codes, distinct = pd.factorize(column, use_na_sentinel=False)
        value[row, place] = np.array([value_text(features[j], v, voice.words) for v in distinct], object)[
            codes
        ]
        evidence[row, place] = tell_evidence(voice.evidence, features[j], column, voice.words)
    return value, evidence


def _join_sentences(what: Texts, amounts: npt.NDArray[np.float64], evidence: Texts, words: Words) -> Texts:
    tenths = np.where(np.abs(amounts) >= 0.95, 10 * np.round(amounts), np.round(10 * amounts))
    distinct, codes = np.unique(tenths, return_inverse=True)
    written = [write_points(words, x / 10) for x in distinct]
    cells = zip(what.ravel(), codes.ravel(), evidence.ravel(), strict=True)
    fill = str(words.texts["sentence"]).format
    texts = [f"{fill(what=capital(w), points=written[c])} {e}".rstrip() for w, c, e in cells]
    return np.array(texts, dtype=object).reshape(what.shape)
