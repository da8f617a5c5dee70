"""The funnel: counts by period and channel, days in stage with those still in it, people's tiers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sksurv.nonparametric import kaplan_meier_estimator

from propensity.money.funnel import count_steps, human_tiers, make_funnel, median_days, time_in_stage
from propensity.money.ledger import Ledger

UNTIL = pd.Timestamp("2024-12-31", tz="UTC")


def moments(*texts: str | None) -> pd.Series:
    return pd.to_datetime(pd.Series(list(texts)), utc=True, format="ISO8601").astype("datetime64[us, UTC]")


def leads() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "lead_id": list("abcd"),
            "group": list("abcd"),
            "channel": pd.Series(["ads", "ads", "fair", pd.NA], dtype="str"),
            "created_at": moments("2024-01-03", "2024-01-30", "2024-01-31T23:59:00Z", "2024-02-01"),
            "closed_at": moments("2024-03-01", "2024-04-01", None, None),
            "status": ["won", "lost", "open", "open"],
            "tier": ["sql", "mql", "nurture", "disqualified"],
            "chance": [1.0, 0.0, 0.25, 0.0],
        }
    )


def stages(*rows: tuple[str, str, str]) -> pd.DataFrame:
    made = pd.DataFrame(rows, columns=["lead_id", "stage", "entered_at"])
    return made.assign(entered_at=pd.to_datetime(made["entered_at"], utc=True))


def test_the_steps_are_counted_by_month_where_leads_are_few():
    steps = count_steps(leads())
    january = steps[steps["by"] == "period"].iloc[0]
    assert (january["unit"], january["period_start"]) == ("month", pd.Timestamp("2024-01-01", tz="UTC"))
    assert january[["leads", "mqls", "sqls", "wins", "open"]].tolist() == [3, 2, 1, 1, 1]
    assert january["sql_rate"] == 0.5 and january["wins_expected"] == 1.25
    channels = steps[steps["by"] == "channel"].set_index("channel")["leads"].to_dict()
    assert channels == {"ads": 2, "fair": 1, "not known": 1}
    assert steps[steps["by"] == "period and channel"]["leads"].sum() == 4


def test_the_steps_are_counted_by_week_from_monday_where_leads_are_many():
    many = pd.concat([leads()] * 60, ignore_index=True)
    steps = count_steps(many)
    first = steps[steps["by"] == "period"]["period_start"]
    assert set(steps["unit"]) == {"week"}
    assert first.tolist() == [pd.Timestamp(d, tz="UTC") for d in ("2024-01-01", "2024-01-29")]


def test_the_median_counts_those_still_in_the_stage_and_agrees_with_scikit_survival():
    rng = np.random.default_rng(0)
    true, watched = rng.exponential(10, 500), rng.uniform(0, 30, 500)
    days, left = np.minimum(true, watched), true <= watched
    times, curve, bounds = kaplan_meier_estimator(left, days, conf_type="log-log")
    expected = [times[np.argmax(c <= 0.5)] for c in (curve, bounds[0], bounds[1])]
    assert list(median_days(days, left)) == pytest.approx(expected)
    assert np.median(days) < 0.8 * median_days(days, left)[0]


def test_a_median_that_is_not_reached_is_not_known():
    found = median_days(np.array([1.0, 2.0, 5.0, 5.0, 5.0]), np.array([True, False, False, False, False]))
    assert np.isnan(found[0])


def test_days_in_stage_end_with_the_next_stage_the_close_or_the_data():
    given = stages(
        ("a", "new", "2024-01-03"),
        ("a", "talks", "2024-01-13"),
        ("a", "customer", "2024-03-01"),
        ("b", "new", "2024-01-30"),
        ("c", "new", "2024-12-01"),
    )
    found = time_in_stage(given, leads(), UNTIL).set_index("stage")
    assert found["entered"].to_dict() == {"new": 3, "talks": 1}  # where a lead ended is no stage to leave
    assert found["left"].to_dict() == {"new": 2, "talks": 1}
    assert found.loc["talks", "median_days"] == 48
    # 10 days, then 31 for the open one, 62 to the close of b.
    assert found.loc["new", "median_days"] == 62


@pytest.mark.parametrize(
    ("stage", "tier"),
    [
        ("MQL", "mql"),
        ("Marketing Qualified Lead", "mql"),
        ("marketing_accepted", "mql"),
        ("SQL", "sql"),
        ("2 - Sales qualified", "sql"),
        ("Opportunity", "sql"),
        ("mysql training", None),
        ("working", None),
    ],
)
def test_a_stage_gives_the_tier_it_is_named_after(stage, tier):
    found = human_tiers(stages(("a", stage, "2024-01-03")))
    assert found.to_dict() == ({} if tier is None else {"a": tier})


def test_the_tiers_of_people_stand_beside_those_of_the_model_for_ended_leads():
    given = stages(("a", "MQL", "2024-01-05"), ("a", "SQL", "2024-01-09"), ("c", "MQL", "2024-02-09"))
    found = make_funnel(Ledger(leads(), [], UNTIL.to_pydatetime(), 0), given).agreement
    told = {(r["human"], r["model"]): (r["leads"], r["wins"]) for r in found.to_dict("records")}
    assert told == {("sql", "sql"): (1, 1), ("lead", "mql"): (1, 0)}


def test_what_is_not_there_is_said():
    book = Ledger(leads(), [], UNTIL.to_pydatetime(), 0)
    assert any("data.stages" in note for note in make_funnel(book, None).notes)
    plain = make_funnel(book, stages(("a", "new", "2024-01-03"), ("a", "won it", "2024-02-03")))
    assert any("No stage is named" in note and "won it" in note for note in plain.notes)
