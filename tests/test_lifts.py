"""What would lift a nurtured lead: what it has not done, and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from propensity.explain.lifts import tell_lifts
from propensity.explain.points import Points
from propensity.explain.reasons import Voice
from propensity.explain.words import load_words
from tiny_models import make_feature

FEATURES = [
    make_feature("visits_7d", qualifier="web", family="visit", statistic="count", subject="visit",
                 window_days=7.0),
    make_feature("visits_30d", qualifier="web", family="visit", statistic="count", subject="visit",
                 window_days=30.0),
    make_feature("forms_30d", qualifier="web", family="form", statistic="count", subject="form",
                 window_days=30.0),
    make_feature("leave_30d", qualifier="email", family="leave", statistic="count", subject="unsubscribe",
                 window_days=30.0),
    make_feature("email_days_since", qualifier="email", family="email", statistic="days_since",
                 subject="email"),
    make_feature("calls_30d", qualifier="sales", family="call", statistic="count", subject="call",
                 window_days=30.0),
    make_feature("employees", qualifier="firmographic"),
]  # fmt: skip
VOICE = Voice(load_words("en"))
ALL_OTHER = "All other evidence together"
HELD = [0.0, 2.0, 0.0, 1.0, np.nan, 0.0, np.nan]


def told(points: list[float], held: list[float] = HELD, *, wanted: bool = True, **options: int) -> str:
    table = pd.DataFrame([held], columns=[f.name for f in FEATURES])
    made = Points(40.0, np.array([points]), np.array([40.0 + sum(points)]))
    return str(tell_lifts(made, table, FEATURES, VOICE, wanted=np.array([wanted]), **options)[0])


def test_what_was_not_done_is_named_with_its_points_the_weightiest_first() -> None:
    assert told([-1.5, -0.5, -3.0, 0, -0.4, 0, 0]) == (
        f"{ALL_OTHER}. Would lift it: no form in the last 30 days (-3.0), "
        "no visit in the last 7 days (-2.0), no e-mail activity so far (-0.4)"
    )


def test_no_more_are_named_than_asked_for() -> None:
    assert told([-1.5, -0.5, -3.0, 0, -0.4, 0, 0], most=1).endswith("no form in the last 30 days (-3.0)")


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([0, -2.0, 0, 0, 0, 0, 0], "the visits that weigh most were made"),
        ([0, 0, 0, -5.0, 0, 0, 0], "unsubscribing was done"),
        ([0, 0, 0, 0, 0, -5.0, 0], "calls are for sales to make"),
        ([0, 0, 0, 0, 0, 0, -5.0], "a size is not changed by nurture"),
        ([0, 0, 2.0, 0, 0.3, 0, 0], "nothing is taken off"),
        ([0, 0, -0.04, 0, 0, 0, 0], "it would read 0.0"),
    ],
)
def test_nothing_else_is(points, why) -> None:
    assert told(points) == ALL_OTHER, why


def test_a_lead_that_is_not_nurtured_is_told_nothing() -> None:
    assert told([-1.5, -0.5, -3.0, 0, -0.4, 0, 0], wanted=False) == ALL_OTHER


def test_no_rows_give_no_texts() -> None:
    none = Points(40.0, np.empty((0, len(FEATURES))), np.empty(0))
    table = pd.DataFrame(columns=[f.name for f in FEATURES])
    assert len(tell_lifts(none, table, FEATURES, VOICE, wanted=np.array([], dtype=bool))) == 0
