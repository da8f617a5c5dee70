"""Scoring a few leads, as a service does one by one: row by row, without frames until the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from propensity.data.scalars import local_clock
from propensity.decisions.amounts import AmountModel, SingleAmounts
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
    """Scores feature rows as `propensity.predict.score_rows` does, for a bundle.

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
        self._teller = Teller(bundle.features, voice)
        self._amounts = SingleAmounts(amounts)
        sides = [feature.qualifier in FIT for feature in bundle.features]
        self._sides = [[j for j, fit in enumerate(sides) if fit is side] for side in (True, False)]
        grades = bundle.documents.get("grades")
        self._cuts = None if grades is None else [cuts_of(grades, side).tolist() for side in GRADES]

    def score(
        self,
        names: Sequence[str],
        rows: Sequence[Row],
        hits: Sequence[Hit],
        previous: Mapping[str, str],
    ) -> tuple[pd.DataFrame, dict[str, int]]:
        """Return the scores of feature rows, and what `propensity.predict.count_unknown` counts in them.

        Parameters
        ----------
        names : sequence of str
            The rows' columns: ``lead_id``, ``as_of`` (microseconds since 1970) and the features.
        rows : sequence
            None where a value is missing.
        hits : sequence of Hit
        previous : mapping
            Lead to the tier it had.
        """
        met: dict[str, list[Hit]] = {}
        for hit in sorted(hits, key=lambda hit: hit.rule):
            met.setdefault(hit.lead_id, []).append(hit)
        place = {name: i for i, name in enumerate(names)}
        bundle, leads = self._bundle, [row[place["lead_id"]] for row in rows]
        moments = [row[place["as_of"]] for row in rows]
        take = [place[name] for name in bundle.encoding.names]
        values = [[row[i] for i in take] for row in rows]
        matrix, unseen = encode_rows(values, bundle.encoding)
        contributions = compute_contributions(bundle.model, bundle.calibrator, matrix)
        points = compute_points(contributions, bundle.cutoffs["reference_odds"])
        probability = 1 / (1 + np.exp(-contributions.log_odds))
        low, high = (probability_of(end) for end in bundle.calibrator.interval(contributions.log_odds))
        tier = assign_tiers(
            probability,
            np.array([lead in met for lead in leads]),
            bundle.cutoffs,
            previous=np.array([previous.get(lead) for lead in leads], dtype=object),
            hold=self._params.hold,
        )
        parts = points.values.tolist()
        reasons = [
            self._tell(met.get(lead, ()), value, part, moment, its == "nurture")
            for lead, value, part, moment, its in zip(leads, values, parts, moments, tier, strict=True)
        ]
        fit, engagement = ([sum_in_order([part[j] for j in side]) for part in parts] for side in self._sides)
        worth = self._value(
            [[row[place[c]] for c in self._amounts.columns] for row in rows], (probability, low, high), tier
        )
        now = pd.Timestamp.now(tz="UTC").as_unit("us")
        scored = {
            "lead_id": pd.array(leads, dtype="str"),
            "as_of": _moments(moments),
            "probability": probability,
            "score": points.score,
            "tier": pd.array(tier.tolist(), dtype="str"),
            "base_points": np.full(len(rows), points.base),
            "fit_points": np.array(fit),
            "engagement_points": np.array(engagement),
            "expected_value": worth.pop("expected_value"),
            "reasons": pd.array(pa.array(reasons, type=REASONS_TYPE), dtype=pd.ArrowDtype(REASONS_TYPE)),
            "model_version": pd.array([bundle.model_version] * len(rows), dtype="str"),
            "scored_at": now,
            "probability_low": low,
            "probability_high": high,
            **self._grade(fit, engagement),
            **worth,
        }
        older = sum(row[place["age_days"]] > self._oldest for row in rows) if self._bundle.plan.dated else 0
        return pd.DataFrame(scored), unseen | ({"age_days": older} if older else {})

    def _tell(self, met: Sequence[Any], values: Row, points: Row, moment: int | None, lifts: bool) -> Any:
        clock = 0 if moment is None else local_clock(self._zone, moment)
        told = self._teller.tell(values, points, clock=clock, lifts=lifts)
        return [*(tell_rule(hit, self._words) for hit in met), *told]

    def _grade(self, fit: Sequence[float], engagement: Sequence[float]) -> dict[str, Any]:
        none: list[str | None] = [None] * len(fit)
        if self._cuts is None:
            columns = {"grade": none, "fit_grade": none, "engagement_grade": none}
        else:
            letters = [grade_row(x, self._cuts[0], "fit") for x in fit]
            numbers = [grade_row(x, self._cuts[1], "engagement") for x in engagement]
            both = [letter + number for letter, number in zip(letters, numbers, strict=True)]
            columns = {"grade": [*both], "fit_grade": [*letters], "engagement_grade": [*numbers]}
        return {name: pd.array(column, dtype="str") for name, column in columns.items()}

    def _value(self, values: Sequence[Row], probability: Any, tier: Any) -> dict[str, Any]:
        amounts = [self._amounts.of(row) for row in values]
        amount, low, high = (
            np.array([getattr(a, name) for a in amounts]) for name in ("amount", "low", "high")
        )
        ends = value_interval(probability, (amount, low, high), tier, self._params.value)
        return {
            "expected_value": expected_value(probability[0], amount, tier, self._params.value),
            "expected_amount": amount,
            "expected_value_low": ends[0],
            "expected_value_high": ends[1],
            "amount_wins": np.array([a.wins for a in amounts], dtype=np.int64),
        }


def _moments(moments: Sequence[int | None]) -> Any:
    whole = np.array([np.iinfo(np.int64).min if m is None else m for m in moments], dtype=np.int64)
    return pd.array(whole.view("M8[us]"), dtype=pd.DatetimeTZDtype("us", "UTC"))
