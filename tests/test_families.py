"""Families by compiled loops: the same as by numpy, to the last bit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from propensity.explain import families as families_module
from propensity.explain.families import Families, group_families, weightiest_families
from propensity.explain.points import Points
from propensity.explain.reasons import Voice, top_reasons
from propensity.explain.words import load_words
from tiny_models import make_feature


def web(name: str, family: str, statistic: str, subject: str) -> Any:
    return make_feature(name, qualifier="web", family=family, statistic=statistic, subject=subject)


FEATURES = [
    web("visits_7d", "web_visit", "count", "visit"),
    web("visits_30d", "web_visit", "count", "visit"),
    web("since_visit", "web_visit", "days_since", "visit"),
    web("forms", "web_form", "count", "form"),
    web("since_form", "web_form", "days_since", "form"),
    web("active", "web_activity", "active_days", "web"),
    web("assets", "web_assets", "assets", "web"),
    web("since_down", "web_down", "days_since", "download"),
    make_feature("city"),
    make_feature("size", qualifier="firmographic"),
]
# Few different values, so that ties and zeros are frequent, beside any.
CELLS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.1, 1e-300]) | st.floats(-50, 50)
ROWS = st.integers(1, 8).flatmap(lambda n: arrays(np.float64, (n, len(FEATURES)), elements=CELLS))


def both_ways(points: Points) -> tuple[Families, Families]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(families_module, "COMPILED_FROM", 10**9)
        slow = group_families(points, FEATURES)
        patch.setattr(families_module, "COMPILED_FROM", 0)
        return slow, group_families(points, FEATURES)


@given(ROWS)
def test_compiled_families_are_those_of_numpy(values: Any) -> None:
    slow, fast = both_ways(Points(0.0, values, values.sum(axis=1)))
    assert fast.names == slow.names
    for name in ("spokesman", "told", "sums"):
        assert (getattr(fast, name) == getattr(slow, name)).all(), name


@given(ROWS, st.integers(1, 9))
def test_compiled_choice_of_the_weightiest_is_a_stable_sort(values: Any, most: int) -> None:
    found = Families([], np.empty(0), np.empty(0), values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(families_module, "COMPILED_FROM", 0)
        fast = weightiest_families(found, most)
    assert (fast == np.argsort(-np.abs(values), axis=1, kind="stable")[:, :most]).all()


@given(ROWS)
def test_order_in_memory_makes_no_difference(values: Any) -> None:
    points = Points(0.0, values, values.sum(axis=1))
    turned = dataclasses.replace(points, values=np.asfortranarray(values))
    for one, other in zip(both_ways(points), both_ways(turned), strict=True):
        assert (one.sums == other.sums).all()


def test_reasons_of_a_large_batch_are_those_of_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(50, len(FEATURES))).round(1)
    table = pd.DataFrame({f.name: rng.integers(0, 4, 50).astype(float) for f in FEATURES})
    table["as_of"] = pd.Timestamp("2025-06-15", tz="UTC")
    points, voice = Points(40.0, values, 40 + values.sum(axis=1)), Voice(load_words("en"))
    small = top_reasons(points, table, FEATURES, voice)
    monkeypatch.setattr(families_module, "COMPILED_FROM", 0)
    assert top_reasons(points, table, FEATURES, voice).equals(small)
