"""Scoring a few leads, as a service does one by one: row by row, without frames until the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pandas.api.internals import create_dataframe_from_blocks  # type: ignore[import-not-found]
from pandas.arrays import ArrowExtensionArray, ArrowStringArray

from propensity.data.scalars import local_clock, microseconds
from propensity.decisions.amounts import AmountModel, SingleAmounts
from propensity.decisions.tiers import tier_bounds
from propensity.decisions.value import value_single
from propensity.explain.families import sum_in_order
from propensity.explain.few import RowExplainer, RowPoints
from propensity.explain.grades import GRADES, cuts_of, grade_row
from propensity.explain.points import FIT
from propensity.explain.reasons import REASONS_TYPE, Voice, tell_rule
from propensity.explain.singles import Teller
from propensity.model.bundle import Bundle
from propensity.model.encoding import encode_rows
from propensity.params import Params

# More rows are told quicker column by column.
FEW_LEADS = 30

Row = Sequence[Any]


class Hit(NamedTuple):
    """A rule that a lead meets, as `propensity.decisions.rules.rule_hits`."""

    lead_id: str
    rule: int
    reason: str
    column: str
    value: str | None


class FewScorer:
    """Scores feature rows as `propensity.batch.score_rows` does, for a bundle.

    Parameters
    ----------
    bundle : Bundle
    params : Params
        Those the bundle was trained with.
    voice : Voice
    amounts : AmountModel

    Attributes
    ----------
    columns : list of str
        Those of a feature table that are read.
    """

    def __init__(self, bundle: Bundle, params: Params, voice: Voice, amounts: AmountModel) -> None:
        self._bundle, self._value, self._voice = bundle, params.cutoffs.value, voice
        self._oldest = max(params.snapshots.ages_days) if bundle.plan.dated else np.inf
        self._teller, self._amounts = Teller(bundle.features, voice), SingleAmounts(amounts)
        self._explainer = RowExplainer(bundle.model, bundle.calibrator, bundle.cutoffs["reference_odds"])
        self._bounds = tier_bounds(bundle.cutoffs, params.cutoffs.hold)
        fit = [feature.qualifier in FIT for feature in bundle.features]
        self._sides = [[j for j, own in enumerate(fit) if own is side] for side in (True, False)]
        grades = bundle.documents.get("grades")
        self._cuts = None if grades is None else [cuts_of(grades, side).tolist() for side in GRADES]
        read = [*bundle.encoding.names, *self._amounts.columns, *(["age_days"] if bundle.plan.dated else [])]
        self.columns = list(dict.fromkeys(["lead_id", "as_of", *read]))
        self._find_layout = lru_cache(maxsize=64)(self._make_layout)

    def score(
        self,
        names: tuple[str, ...],
        rows: Sequence[Row],
        hits: Sequence[Hit],
        previous: Mapping[str, str],
    ) -> tuple[pd.DataFrame, dict[str, int]]:
        """Return the scores of feature rows, and what `propensity.batch.count_unknown` counts in them.

        Parameters
        ----------
        names : tuple of str
            The rows' columns: ``lead_id``, ``as_of`` (microseconds since 1970) and the features.
        rows : sequence
            None where a value is missing.
        hits : sequence of Hit
        previous : mapping
            Lead to the tier it had.
        """
        layout = self._find_layout(names)
        values = [[row[i] for i in layout.features] for row in rows]
        matrix, unknown = encode_rows(values, self._bundle.encoding)
        met = group_hits(hits)
        scored = [
            self._score_one(layout, row, own, points, met.get(row[layout.lead], ()), previous)
            for row, own, points in zip(rows, values, self._explainer.explain(matrix), strict=True)
        ]
        older = sum(row[layout.age] > self._oldest for row in rows) if layout.age is not None else 0
        return _make_scores(scored), unknown | ({"age_days": older} if older else {})

    def _score_one(
        self,
        layout: _Layout,
        row: Row,
        values: Row,
        found: RowPoints,
        met: Sequence[Hit],
        previous: Mapping[str, str],
    ) -> _Scored:
        lead, moment, points = row[layout.lead], row[layout.as_of], found.points
        tier = "disqualified" if met else self._bounds.assign(found.probability[0], previous.get(lead))
        fit, engagement = (sum_in_order([points[j] for j in side]) for side in self._sides)
        amount = self._amounts.of([row[i] for i in layout.amounts])
        worth = value_single(found.probability, (amount.amount, amount.low, amount.high), tier, self._value)
        probability, *interval = found.probability
        points_of = found.score, self._explainer.base, fit, engagement
        return _Scored(
            (lead, tier, self._bundle.model_version, *self._grade(fit, engagement)),
            (probability, *points_of, *interval, worth[0], amount.amount, *worth[1:]),
            amount.wins,
            moment,
            self._tell(met, values, points, moment, tier),
        )

    def _make_layout(self, names: tuple[str, ...]) -> _Layout:
        place = {name: i for i, name in enumerate(names)}
        return _Layout(
            lead=place["lead_id"],
            as_of=place["as_of"],
            features=[place[name] for name in self._bundle.encoding.names],
            amounts=[place[name] for name in self._amounts.columns],
            age=place["age_days"] if self._bundle.plan.dated else None,
        )

    def _tell(
        self, met: Sequence[Hit], values: Row, points: Row, moment: int | None, tier: str
    ) -> list[dict[str, Any]]:
        clock = 0 if moment is None else local_clock(self._voice.zone, moment)
        told = self._teller.tell(values, points, clock=clock, lifts=tier == "nurture")
        return [*(tell_rule(hit, self._voice.words) for hit in met), *told]

    def _grade(self, fit: float, engagement: float) -> tuple[str | None, str | None, str | None]:
        if self._cuts is None:
            return None, None, None
        letter = grade_row(fit, self._cuts[0], "fit")
        number = grade_row(engagement, self._cuts[1], "engagement")
        return letter + number, letter, number


class _Scored(NamedTuple):
    """What a row of the scores holds, the texts and numbers in the order of `_TEXTS` and `_NUMBERS`."""

    texts: tuple[str | None, ...]
    numbers: tuple[float, ...]
    wins: int
    moment: int | None
    reasons: list[dict[str, Any]]


@dataclass(frozen=True)
class _Layout:
    """The places of what is read of a feature row."""

    lead: int
    as_of: int
    features: list[int]
    amounts: list[int]
    age: int | None


def group_hits(hits: Sequence[Hit]) -> dict[str, list[Hit]]:
    """Return the rules that each lead meets, in the order of the rules."""
    found: dict[str, list[Hit]] = {}
    for hit in sorted(hits, key=lambda hit: hit.rule):
        found.setdefault(hit.lead_id, []).append(hit)
    return found


_COLUMNS = pd.Index(
    [
        *("lead_id", "as_of", "probability", "score", "tier", "base_points", "fit_points"),
        *("engagement_points", "expected_value", "reasons", "model_version", "scored_at"),
        *("probability_low", "probability_high", "grade", "fit_grade", "engagement_grade"),
        *("expected_amount", "expected_value_low", "expected_value_high", "amount_wins"),
    ],
    dtype="str",
)
_TEXTS = ("lead_id", "tier", "model_version", "grade", "fit_grade", "engagement_grade")
_NUMBERS = (
    *("probability", "score", "base_points", "fit_points", "engagement_points"),
    *("probability_low", "probability_high"),
    *("expected_value", "expected_amount", "expected_value_low", "expected_value_high"),
)
_TEXT, _MOMENT = pd.StringDtype("pyarrow", na_value=np.nan), pd.DatetimeTZDtype("us", "UTC")
_Text: Any = ArrowStringArray  # whose type stubs do not know the argument dtype
_REASON_FIELDS = [field.name for field in REASONS_TYPE.value_type]
_NO_MOMENT = np.iinfo(np.int64).min


def _places(*names: str) -> npt.NDArray[np.intp]:
    return _COLUMNS.get_indexer(pd.Index(names))


_TEXT_PLACES = [_places(name) for name in _TEXTS]
_NUMBER_PLACES, _WINS, _REASONS = _places(*_NUMBERS), _places("amount_wins"), _places("reasons")
_MOMENT_PLACES = _places("as_of", "scored_at")


@lru_cache(maxsize=FEW_LEADS)
def _zeros(n: int) -> Any:
    """Return an array of moments to copy and write to, which costs a tenth of making one of numbers."""
    return pd.array(np.zeros(n, dtype="M8[us]"), dtype=_MOMENT)


@lru_cache(maxsize=FEW_LEADS)
def _index(n: int) -> pd.RangeIndex:
    return pd.RangeIndex(n)


def _make_texts(texts: tuple[str | None, ...]) -> Any:
    return _Text(pa.array(texts, type=pa.large_string()), dtype=_TEXT)


@lru_cache(maxsize=1000)
def _find_texts(texts: tuple[str | None, ...]) -> Any:
    """Return an array to copy, for a column of which there are few different ones."""
    return _make_texts(texts)


def _as_tuples(reasons: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return reasons as what Arrow reads in half the time of dicts."""
    return [tuple([reason[name] for name in _REASON_FIELDS]) for reason in reasons]


def _make_scores(rows: Sequence[_Scored]) -> pd.DataFrame:
    """Return the frame of scores, put together from its blocks: that costs a tenth of making it by column."""
    n, now = len(rows), microseconds(datetime.now(UTC))
    texts, numbers, wins, moments, reasons = zip(*rows, strict=True)
    at = _zeros(2 * n).copy()
    at.asi8[:] = [*(_NO_MOMENT if moment is None else moment for moment in moments), *[now] * n]
    told = ArrowExtensionArray(pa.array([*map(_as_tuples, reasons)], type=REASONS_TYPE))
    leads, *others = zip(*texts, strict=True)
    columns = [_make_texts(leads), *(_find_texts(column).copy() for column in others)]
    blocks = [
        *zip(columns, _TEXT_PLACES, strict=True),
        (np.array(numbers, dtype=np.float64).T, _NUMBER_PLACES),
        (np.array([wins], dtype=np.int64), _WINS),
        (at.reshape(2, n), _MOMENT_PLACES),
        (told, _REASONS),
    ]
    made: pd.DataFrame = create_dataframe_from_blocks(blocks, index=_index(n), columns=_COLUMNS)
    return made
