"""The reasons of single leads: what `reasons` and `lifts` tell of many rows at a time, told of one row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from propensity.explain.evidence import place_value, tell_place
from propensity.explain.families import RECENCY, find_grouping, find_weightiest, group_row, sum_in_order
from propensity.explain.lifts import LEAST, is_not_done
from propensity.explain.phrases import AMOUNT, DAYS, midnights_back, phrase_cell, phrase_kind, value_text
from propensity.explain.reasons import OTHER, Voice
from propensity.explain.words import capital, say, write_decimal, write_points
from propensity.features.catalogue import Feature

# Phrases kept: most are said again and again.
REMEMBERED = 5000


class Teller:
    """Tells the reasons of one row after another.

    Parameters
    ----------
    features : list of Feature
    voice : Voice
    """

    def __init__(self, features: list[Feature], voice: Voice) -> None:
        self._features, self._voice = features, voice
        self._grouping = find_grouping(features)
        recency = {feature.family: j for j, feature in enumerate(features) if feature.statistic == RECENCY}
        self._last = [recency.get(feature.family) for feature in features]
        self._other = say(voice.words, "other")
        self._kinds = [
            phrase_kind(feature, dated=last is not None)
            for feature, last in zip(features, self._last, strict=True)
        ]
        self._tell_place = lru_cache(maxsize=REMEMBERED)(self._write_place)
        self._say = lru_cache(maxsize=REMEMBERED)(self._write_phrase)

    def tell(
        self,
        values: Sequence[Any],
        points: Sequence[float],
        *,
        clock: int,
        lifts: bool,
        most: int = 5,
    ) -> list[dict[str, Any]]:
        """Return a row's reasons, as `propensity.explain.reasons.top_reasons`.

        Parameters
        ----------
        values : sequence
            Of the features; None where one is missing.
        points : sequence of float
            Of the features.
        clock : int
            ``as_of`` on the clock of the voice's zone, in microseconds.
        lifts : bool
            Whether the last reason says what would lift the lead, as `propensity.explain.lifts.tell_lifts`.
        most : int
            Named reasons.
        """
        sums = group_row(points, self._grouping)
        order = sorted(range(len(sums)), key=[-abs(x) for x in sums].__getitem__)[:most]
        reasons = [
            self._tell_one(
                self._spokesman(k, points), self._say_what(k, points, values, clock), sums[k], values
            )
            for k in order
            if sums[k] != 0
        ]
        left = sum_in_order(sums) - sum_in_order([sums[k] for k in order])
        text = self._tell_lifts(points, sums, values, clock) if lifts else self._other
        rest = {"feature": OTHER, "qualifier": OTHER, "value": None, "points": left, "text": text}
        return [*reasons, rest]

    def _spokesman(self, k: int, points: Sequence[float]) -> int:
        return find_weightiest(points, self._grouping.columns[k])

    def _say_what(self, k: int, points: Sequence[float], values: Sequence[Any], clock: int) -> str:
        return self._phrase(find_weightiest(points, self._grouping.amounts[k]), values, clock)

    def _tell_one(self, j: int, what: str, amount: float, values: Sequence[Any]) -> dict[str, Any]:
        words, feature = self._voice.words, self._features[j]
        tenths = 10 * round(amount) if abs(amount) >= 0.95 else round(10 * amount)
        said = say(words, "sentence", what=capital(what), points=write_points(words, tenths / 10))
        ended = self._tell_evidence(j, values[j])
        return {
            "feature": feature.name,
            "qualifier": feature.qualifier,
            "value": value_text(feature, values[j], words),
            "points": amount,
            "text": (f"{said} {ended}" if ended else said).rstrip(),
        }

    def _tell_evidence(self, j: int, value: Any) -> str:
        evidence = self._voice.evidence
        row = None if evidence is None else evidence.features.get(self._features[j].name)
        return "" if row is None else self._tell_place(j, place_value(row, value))

    def _write_place(self, j: int, place: int) -> str:
        evidence, feature = self._voice.evidence, self._features[j]
        assert evidence is not None
        return tell_place(evidence, feature, evidence.features[feature.name], place, self._voice.words)

    def _phrase(self, j: int, values: Sequence[Any], clock: int) -> str:
        kind, last, value, ago = self._kinds[j], self._last[j], values[j], None
        if kind == DAYS:
            value = midnights_back(value, clock)
        elif kind == AMOUNT and last is not None:
            ago = midnights_back(values[last], clock)
        return self._say(j, value, ago)

    def _write_phrase(self, j: int, value: Any, ago: int | None) -> str:
        return phrase_cell(self._kinds[j], self._features[j], value, ago, self._voice.words)

    def _tell_lifts(
        self,
        points: Sequence[float],
        sums: Sequence[float],
        values: Sequence[Any],
        clock: int,
        most: int = 3,
    ) -> str:
        words = self._voice.words
        costly = [(k, self._spokesman(k, points)) for k, total in enumerate(sums) if total <= -LEAST]
        lost = [(k, j) for k, j in costly if is_not_done(self._features[j], values[j])]
        if not lost:
            return self._other
        parts = [
            say(
                words,
                "lift",
                what=self._phrase(j, values, clock),
                points=write_decimal(words, sums[k], signed=True),
            )
            for k, j in sorted(lost, key=lambda place: sums[place[0]])[:most]
        ]
        return say(words, "lifts", other=self._other, list=", ".join(parts))
