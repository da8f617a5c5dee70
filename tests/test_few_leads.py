"""A few leads are scored row by row, many column by column: every value is the same either way."""

from __future__ import annotations

import logging
import re
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nightly_cases import copy_workspace, edit_params
from propensity.batch import score_features
from propensity.errors import InputError
from propensity.model import estimators
from propensity.model.attributions import plan_attributions
from propensity.model.bundle import read_bundle
from propensity.online import FEW_LEADS
from propensity.predict import Predictor
from propensity.stages import STAGES

AS_OF = "2025-06-01"
N = FEW_LEADS + 15


@pytest.fixture(autouse=True)
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The leads here are few; many have the same points to the bit where they take tables too."""
    monkeypatch.setattr(estimators, "TABLES_FROM", 0)


@pytest.fixture(scope="module")
def predictor(nightly_workspace, tmp_path_factory) -> Predictor:
    """Of a bundle with rules that some leads meet, trees and categories of many levels."""
    ws = copy_workspace(nightly_workspace, tmp_path_factory.mktemp("few"), all_of_it=True)
    ws = edit_params(
        ws,
        features={
            "demographic": ["seniority", "country", "email_domain"],
            "firmographic": ["employees", "industry"],
            "use": ["demographic", "firmographic", "web", "email"],
            "lookback_days": [7, 30],
        },
        model={"candidates": ["lightgbm"], "segments": ["country"]},
        cutoffs={"hold": 3.0},
    )
    for name in list(STAGES)[list(STAGES).index("cohort") : list(STAGES).index("bundle") + 1]:
        STAGES[name](ws)
    return Predictor.load(ws.models / "bundle", threads=1)


@pytest.fixture(scope="module")
def given(nightly_workspace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """More leads than are scored row by row, some of them odd, and their events."""
    leads = pd.read_parquet(nightly_workspace.interim / "leads.parquet")
    leads = leads[leads["created_at"] < pd.Timestamp("2025-05-20", tz="UTC")].tail(N).reset_index(drop=True)
    leads.loc[[0, 3], ["channel", "employees", "country"]] = None
    leads.loc[[1, 3], "industry"] = "never seen before"
    leads.loc[2, "job_title"] = "test student"
    leads.loc[4, "created_at"] = pd.Timestamp("2024-01-01T05:00:00Z")
    events = pd.read_parquet(nightly_workspace.interim / "events.parquet")
    return leads, events[events["lead_id"].isin(leads["lead_id"][5:])]


def check_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    found, expected = (table.reset_index(drop=True).drop(columns="scored_at") for table in (found, expected))
    assert found.dtypes.equals(expected.dtypes)
    assert found["reasons"].tolist() == expected["reasons"].tolist()
    pd.testing.assert_frame_equal(found, expected, rtol=0, atol=1e-12)


def test_one_by_one_as_mappings_and_together(predictor, given):
    leads, events = given
    previous = dict.fromkeys(leads["lead_id"][::3], "sql")
    together = predictor.score(leads, events, AS_OF, previous=previous)
    assert set(together["tier"]) >= {"nurture", "mql", "disqualified"}
    alone = [
        predictor.score(lead, events[events["lead_id"] == lead["lead_id"]], AS_OF, previous=previous)
        for lead in leads.to_dict("records")
    ]
    check_same(pd.concat(alone, ignore_index=True), together)


def test_a_small_frame_and_a_large_one(predictor, given):
    leads, events = given
    together = predictor.score(leads, events, AS_OF)
    check_same(predictor.score(leads.tail(FEW_LEADS), events, AS_OF), together.tail(FEW_LEADS))
    moments = pd.date_range(AS_OF, periods=N, freq="7h", tz="UTC")
    each = predictor.score(leads, events, moments)
    check_same(predictor.score(leads.head(7), events, moments[:7]), each.head(7))


def test_feature_tables_of_any_size(predictor, given):
    leads, events = given
    table = predictor.features(leads, events, AS_OF)
    hits = pd.DataFrame(
        {
            "lead_id": table["lead_id"].iloc[[2, 2, 4]].array,
            "rule": [2, 1, 1],
            "reason": ["student", "test", "test"],
            "column": ["job_title", "mail", "mail"],
            "value": ["student", "a.b@example.com", None],
        }
    )
    together = score_features(predictor.bundle, table, hits)
    assert (together["tier"] == "disqualified").sum() == 2
    check_same(score_features(predictor.bundle, table.head(6), hits), together.head(6))
    together = score_features(predictor.bundle, table)
    check_same(score_features(predictor.bundle, table.head(6)), together.head(6))


def test_what_the_first_lead_waits_for_is_made_before_it(predictor, given, monkeypatch):
    made: list[Any] = []

    def plan(forest: Any) -> Any:
        made.append(forest)
        return plan_attributions(forest)

    monkeypatch.setattr(estimators, "plan_attributions", plan)
    fresh = Predictor(read_bundle(predictor.bundle.folder, threads=1))
    fresh.warm()
    assert len(made) == 1
    leads, events = given
    check_same(fresh.score(leads.head(7), events, AS_OF), predictor.score(leads.head(7), events, AS_OF))
    assert len(made) == 1


@pytest.mark.parametrize("moment", ["2400-02-29T12:00:00Z", "2025-06-01T00:00:00.123456789+02:00"])
def test_moments_that_nanoseconds_do_not_hold_or_are_finer_than_microseconds(predictor, given, moment):
    leads, events = given
    at = pd.Timestamp(moment)
    check_same(predictor.score(leads.head(7), events, at), predictor.score(leads, events, at).head(7))


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
        lambda frame: frame.astype(object),
        lambda frame: frame.astype(dict.fromkeys(frame.select_dtypes("str"), "category")),
        lambda frame: frame[frame.columns[::-1]],
        lambda frame: frame.set_index(frame.columns[0], drop=False),
    ],
)
def test_small_frames_of_any_kind_read_as_large_ones(predictor, given, change):
    leads, events = given
    expected = predictor.score(leads, events, AS_OF).head(8)
    mine = events[events["lead_id"].isin(leads["lead_id"].head(8))]
    check_same(predictor.score(change(leads.head(8)), change(mine), AS_OF), expected)


@pytest.mark.parametrize(
    ("column", "make"),
    [
        ("created_at", lambda at: at.isoformat()),
        ("created_at", lambda at: at.tz_convert("Europe/Madrid")),
        ("created_at", lambda at: at.tz_localize(None)),
        ("created_at", lambda at: at.as_unit("ns")),
        ("created_at", lambda at: at.to_pydatetime()),
        ("employees", lambda n: str(n)),
        ("employees", lambda n: np.float32(n)),
        ("employees", lambda n: int(n)),
        ("employees", lambda n: "1e2"),
        ("employees", lambda n: float("nan")),
        ("industry", lambda text: f" {text}\n"),
        ("industry", lambda text: True),
        ("industry", lambda text: 17),
        ("industry", lambda text: "ẞ"),
    ],
)
def test_values_of_any_kind_read_as_in_a_large_frame(predictor, given, column, make):
    leads, events = given
    lead = leads.iloc[9].to_dict()
    lead[column] = make(lead[column])
    together = pd.concat([leads.drop(9).astype({column: object}), pd.DataFrame([lead])])
    assert len(together) > FEW_LEADS
    expected = predictor.score(together, events, AS_OF).tail(1)
    check_same(predictor.score(lead, events[events["lead_id"] == lead["lead_id"]], AS_OF), expected)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"created_at": "yesterday"}, "type in column 'created_at'"),
        ({"created_at": "2999-01-01"}, "future in column 'created_at'"),
        ({"created_at": "2025-06-02T00:00:00Z"}, "1 of 1 leads were created after as_of"),
        ({"lead_id": None}, "missing_key in column 'lead_id'"),
        ({"employees": float("inf")}, "not_finite in column 'employees'"),
    ],
)
def test_what_is_wrong_with_one_lead_is_said_as_of_many(predictor, given, changed, said):
    leads, events = given
    with pytest.raises(InputError, match=said):
        predictor.score(leads.iloc[9].to_dict() | changed, events, AS_OF)


def test_a_missing_column_bad_events_and_no_events_are_said(predictor, given):
    leads, events = given
    lead = leads.iloc[9].to_dict()
    with pytest.raises(InputError, match=r"column 'channel' .* is not there"):
        predictor.score({name: value for name, value in lead.items() if name != "channel"}, events, AS_OF)
    mine = events[events["lead_id"] == lead["lead_id"]]
    with pytest.raises(InputError, match=r"the frame of events has 1 bad rows.* duplicate_row"):
        predictor.score(lead, pd.concat([mine, mine.head(1)]), AS_OF)
    with pytest.raises(InputError, match="reads events"):
        predictor.score(lead, None, AS_OF)
    assert len(predictor.score(lead, mine.head(0), AS_OF)) == 1


def test_unknown_values_are_logged_alike(predictor, given, caplog):
    leads, events = given

    def logged(some: pd.DataFrame) -> Counter[str]:
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="propensity.batch"):
            predictor.score(some, events, AS_OF)
        told = [record.getMessage() for record in caplog.records]
        counts = [re.search(rf"(\d+) of {len(some)} (leads|rows)", text) for text in told]
        return Counter({t.replace(c[0], c[2]): int(c[1]) for t, c in zip(told, counts, strict=True) if c})

    many = logged(leads)
    assert len(many) > 2 and any("older than any" in message for message in many)
    assert logged(leads.head(FEW_LEADS)) + logged(leads.tail(N - FEW_LEADS)) == many


def test_scores_hold_whatever_is_done_with_them_later(predictor, given):
    leads, events = given
    scores: Any = predictor.score(leads.head(2), events, AS_OF)
    scores["probability"] *= 2
    scores.loc[1, "tier"] = "sql"
    again = pd.concat([scores, scores]).sort_values("score").reset_index(drop=True)
    assert again["tier"].tolist().count("sql") >= 2
    assert scores.copy().merge(leads[["lead_id"]]).equals(scores)
