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
from propensity.decisions.amounts import Amount, AmountModel, SingleAmounts
from propensity.decisions.tiers import assign_tiers
from propensity.decisions.value import expected_value, value_interval
from propensity.explain.contributions import compute_contributions
from propensity.explain.families import sum_in_order
from propensity.explain.grades import GRADES, cuts_of, grade_row
from propensity.explain.points import FIT, compute_points
from propensity.explain.reasons import REASONS_TYPE, Voice, tell_rule
from propensity.explain.singles import Teller
from propensity.model.bundle import Bundle
from propensity.model.encoding import encode_rows
from propensity.model.estimators import probability_of
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
    """

    def __init__(self, bundle: Bundle, params: Params, voice: Voice, amounts: AmountModel) -> None:
        self._bundle, self._params, self._words, self._zone = bundle, params.cutoffs, voice.words, voice.zone
        self._oldest = max(params.snapshots.ages_days) if bundle.plan.dated else np.inf
        self._teller, self._amounts = Teller(bundle.features, voice), SingleAmounts(amounts)
        fit = [feature.qualifier in FIT for feature in bundle.features]
        self._sides = [[j for j, own in enumerate(fit) if own is side] for side in (True, False)]
        grades = bundle.documents.get("grades")
        self._cuts = None if grades is None else [cuts_of(grades, side).tolist() for side in GRADES]
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
        leads, moments = [row[layout.lead] for row in rows], [row[layout.as_of] for row in rows]
        values = [[row[i] for i in layout.features] for row in rows]
        matrix, unknown = encode_rows(values, self._bundle.encoding)
        contributions = compute_contributions(self._bundle.model, self._bundle.calibrator, matrix)
        points = compute_points(contributions, self._bundle.cutoffs["reference_odds"])
        middle = 1 / (1 + np.exp(-contributions.log_odds))
        low, high = map(probability_of, self._bundle.calibrator.interval(contributions.log_odds))
        met = group_hits(hits)
        tier = assign_tiers(
            middle,
            np.array([lead in met for lead in leads]),
            self._bundle.cutoffs,
            previous=np.array([previous.get(lead) for lead in leads], dtype=object),
            hold=self._params.hold,
        )
        tiers, parts = tier.tolist(), points.values.tolist()
        told = zip(leads, values, parts, moments, tiers, strict=True)
        fit, engagement = ([sum_in_order([part[j] for j in side]) for part in parts] for side in self._sides)
        numbers = [middle, points.score, np.full(len(rows), points.base), fit, engagement, low, high]
        amounts = [self._amounts.of([row[i] for i in layout.amounts]) for row in rows]
        scores = _make_scores(
            [leads, tiers, [self._bundle.model_version] * len(rows), *self._grade(fit, engagement)],
            [*numbers, *self._value(amounts, (middle, low, high), tier)],
            [amount.wins for amount in amounts],
            moments,
            [self._tell(met.get(lead, ()), *row) for lead, *row in told],
        )
        older = sum(row[layout.age] > self._oldest for row in rows) if layout.age is not None else 0
        return scores, unknown | ({"age_days": older} if older else {})

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
        clock = 0 if moment is None else local_clock(self._zone, moment)
        told = self._teller.tell(values, points, clock=clock, lifts=tier == "nurture")
        return [*(tell_rule(hit, self._words) for hit in met), *told]

    def _grade(self, fit: Sequence[float], engagement: Sequence[float]) -> list[list[str | None]]:
        if self._cuts is None:
            return [[None] * len(fit)] * 3
        letters = [grade_row(x, self._cuts[0], "fit") for x in fit]
        numbers = [grade_row(x, self._cuts[1], "engagement") for x in engagement]
        both = [letter + number for letter, number in zip(letters, numbers, strict=True)]
        return [[*both], [*letters], [*numbers]]

    def _value(self, amounts: Sequence[Amount], probability: Any, tier: Any) -> list[Any]:
        middle = np.array([amount.amount for amount in amounts])
        ends = np.array([amount.low for amount in amounts]), np.array([amount.high for amount in amounts])
        low, high = value_interval(probability, (middle, *ends), tier, self._params.value)
        return [expected_value(probability[0], middle, tier, self._params.value), middle, low, high]


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


def _make_scores(
    texts: Sequence[Sequence[str | None]],
    numbers: Sequence[Any],
    wins: Sequence[int],
    moments: Sequence[int | None],
    reasons: Sequence[list[dict[str, Any]]],
) -> pd.DataFrame:
    """Return the frame of scores, put together from its blocks: that costs a tenth of making it by column."""
    n = len(moments)
    now = microseconds(datetime.now(UTC))
    whole = np.array([*(_NO_MOMENT if m is None else m for m in moments), *[now] * n], dtype=np.int64)
    at = _zeros(2 * n).copy()
    at.asi8[:] = whole
    told = ArrowExtensionArray(pa.array(reasons, type=REASONS_TYPE))
    columns = [_Text(pa.array(text, type=pa.large_string()), dtype=_TEXT) for text in texts]
    blocks = [
        *zip(columns, _TEXT_PLACES, strict=True),
        (np.array(numbers, dtype=np.float64), _NUMBER_PLACES),
        (np.array([wins], dtype=np.int64), _WINS),
        (at.reshape(2, n), _MOMENT_PLACES),
        (told, _REASONS),
    ]
    made: pd.DataFrame = create_dataframe_from_blocks(blocks, index=pd.RangeIndex(n), columns=_COLUMNS)
    return made
