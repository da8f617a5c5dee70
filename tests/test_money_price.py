"""Prices: who is counted against which spend, what is still to come, the verdict; and the ledger."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.errors import InputError
from propensity.money.ledger import Ledger, final_outcomes, highest_tiers
from propensity.money.maturity import fit_curve, fit_curves, win_chances
from propensity.money.price import price_leads
from propensity.params import ValueParams

UNTIL = pd.Timestamp("2024-12-31", tz="UTC")
VALUE = ValueParams(won=1000, margin=0.5, sales_touch=10, nurture=0)


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def ledger(n: int = 100, wins: int = 20, **columns: Any) -> Ledger:
    """A ledger of ended leads of one channel, all created in May."""
    won = np.arange(n) < wins
    leads = pd.DataFrame(
        {
            "lead_id": [f"L{i}" for i in range(n)],
            "group": [f"L{i}" for i in range(n)],
            "channel": pd.Series(["ads"] * n, dtype="str"),
            "campaign": pd.Series([pd.NA] * n, dtype="str"),
            "created_at": at("2024-05-10"),
            "status": np.where(won, "won", "lost"),
            "amount": np.nan,
            "tier": np.where(np.arange(n) < 30, "sql", "nurture"),
            "chance": won.astype(float),
            "settled": 1.0,
        }
    )
    return Ledger(leads.assign(**columns), [], UNTIL, 0)


def bills(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    made = pd.DataFrame(rows, columns=["channel", "period_start", "period_end", "spend"])
    for name in ("period_start", "period_end"):
        made[name] = pd.to_datetime(made[name], utc=True)
    return made


def price(of: Ledger, spend: pd.DataFrame | None, value: ValueParams = VALUE) -> Any:
    return price_leads(of, spend, value, seed=1)


def test_the_costs_and_the_value_of_a_lead_are_those_worked_out_by_hand():
    row = price(ledger(), bills(("ads", "2024-05-01", "2024-06-01", 3000))).table.iloc[0]
    assert (row["leads"], row["mqls"], row["sqls"], row["wins"]) == (100, 30, 30, 20)
    costs = [row[f"cost_per_{name}"] for name in ("lead", "mql", "sql", "win")]
    assert costs == pytest.approx([30, 100, 100, 150])
    # 0.2 won, 1000 each, half of it margin, and 0.3 of the leads cost a touch of 10.
    assert row["value"] == pytest.approx(0.2 * 1000 * 0.5 - 3)
    assert row["may_cost"] == row["value"]
    assert row["value_low"] < 97 < row["value_high"]


@pytest.mark.parametrize(("spend", "verdict"), [(3000, "within"), (9700, "too few to say"), (20000, "over")])
def test_the_verdict_is_given_where_the_interval_leaves_no_doubt(spend, verdict):
    told = price(ledger(), bills(("ads", "2024-05-01", "2024-06-01", spend))).table
    assert told["verdict"].tolist() == [verdict]


def test_a_few_leads_are_too_few_to_say():
    told = price(ledger(4, 1), bills(("ads", "2024-05-01", "2024-06-01", 400))).table
    assert told["verdict"].tolist() == ["too few to say"]


def test_a_lead_counts_against_the_period_in_which_it_was_created():
    created = [at("2024-05-10")] * 50 + [at("2024-06-01")] * 30 + [at("2024-07-15")] * 20
    spend = bills(("ads", "2024-05-01", "2024-06-01", 1000), ("ads", "2024-07-01", "2024-08-01", 400))
    row = price(ledger(created_at=created), spend).table.iloc[0]
    assert (row["leads"], row["periods"], row["spend"]) == (70, 2, 1400)


def test_periods_that_overlap_count_a_lead_once():
    spend = bills(("ads", "2024-05-01", "2024-06-01", 1000), ("ads", "2024-05-06", "2024-05-13", 400))
    assert price(ledger(), spend).table["leads"].tolist() == [100]


def test_a_period_that_is_not_over_is_left_out_and_said():
    spend = bills(("ads", "2024-05-01", "2024-06-01", 1000), ("ads", "2024-12-01", "2025-01-01", 9000))
    told = price(ledger(), spend)
    assert told.table["spend"].tolist() == [1000]
    assert any("1 periods of spend are not over" in note for note in told.notes)


def test_spend_of_a_channel_without_leads_is_shown_and_said():
    told = price(
        ledger(), bills(("ads", "2024-05-01", "2024-06-01", 1), ("Ads ", "2024-05-01", "2024-06-01", 7))
    )
    assert told.table.set_index("name")["leads"].to_dict() == {"ads": 100, "Ads ": 0}
    assert any("Ads " in note and "spelt" in note for note in told.notes)


def test_without_spend_the_worth_is_told_and_the_verdict_says_what_is_missing():
    told = price(ledger(), None)
    assert told.table["verdict"].tolist() == ["no spend known"]
    assert told.table["value"].tolist() == pytest.approx([97])
    assert any("data.spend" in note for note in told.notes)


def test_without_amounts_the_costs_are_told_and_the_verdict_says_what_is_missing():
    told = price(ledger(), bills(("ads", "2024-05-01", "2024-06-01", 3000)), ValueParams())
    assert told.table["verdict"].tolist() == ["no amount known"]
    assert told.table["cost_per_win"].tolist() == pytest.approx([150])
    assert told.table["value"].isna().all()


def test_a_lead_that_brings_less_than_it_takes_may_cost_nothing():
    told = price(ledger(100, 0), None, ValueParams(won=1000, margin=0.5, sales_touch=10, nurture=1))
    assert told.table["value"].iloc[0] < 0
    assert told.table["may_cost"].iloc[0] == 0


def test_an_open_lead_counts_by_its_chance_and_widens_the_interval():
    half = ledger(status=["won"] * 20 + ["lost"] * 30 + ["open"] * 50)
    half.leads["chance"] = [1.0] * 20 + [0.0] * 30 + [0.4] * 50
    half.leads["settled"] = [1.0] * 50 + [0.2] * 50
    row = price(half, None).table.iloc[0]
    whole = price(ledger(100, 40), None).table.iloc[0]
    assert (row["wins"], row["open"], row["wins_expected"]) == (20, 50, pytest.approx(40))
    assert row["win_rate_high"] - row["win_rate_low"] > whole["win_rate_high"] - whole["win_rate_low"]


def test_a_campaign_has_a_row_without_spend():
    told = price(ledger(campaign=pd.Series(["spring"] * 100, dtype="str")), None).table
    assert told[["by", "name"]].to_numpy().tolist() == [["channel", "ads"], ["campaign", "spring"]]


def test_prices_need_dates_and_a_channel_and_say_so():
    with pytest.raises(InputError, match=r"data\.leads\.created_at is null"):
        price(ledger(created_at=pd.Series([pd.NaT] * 100, dtype="datetime64[us, UTC]")), None)
    with pytest.raises(InputError, match=r"data\.leads\.channel"):
        price(ledger(channel=pd.Series([pd.NA] * 100, dtype="str")), None)


def test_the_interval_of_the_win_rate_holds_the_true_rate_at_its_level():
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        row = price(ledger(150, int(rng.binomial(150, 0.12))), None).table.iloc[0]
        held += row["win_rate_low"] <= 0.12 <= row["win_rate_high"]
    assert 0.91 <= held / 300 <= 0.99


# --- what is still to come -------------------------------------------------------------------------


def followed(n: int, seed: int, **columns: Any) -> pd.DataFrame:
    """Leads that win at rate 0.01 a day and lose at 0.03, watched for 0 to 200 days."""
    rng = np.random.default_rng(seed)
    wait, watched = rng.exponential(25, n), rng.uniform(0, 200, n)
    fate = np.where(wait > watched, 0, np.where(rng.random(n) < 0.25, 1, 2))
    return pd.DataFrame({"days": np.minimum(wait, watched), "fate": fate}).assign(**columns)


def test_the_curve_tells_how_many_of_the_open_leads_are_still_won():
    curve = fit_curve(followed(40_000, 1))
    # Without memory the share still to come is a quarter at every age, but for the end of the curve.
    assert curve.still_to_come(np.array([0.0, 10.0, 30.0])) == pytest.approx([0.25] * 3, abs=0.02)
    assert curve.won_by(np.array([25.0]))[0] == pytest.approx(0.25 * (1 - np.exp(-1)), abs=0.01)


def test_too_few_wins_give_no_curve():
    assert fit_curve(followed(30, 1)) is None
    assert fit_curves(followed(30, 1, channel="ads")) == {}


def chances(rows: list[dict[str, Any]], **options: Any) -> pd.DataFrame:
    usual = {"status": "open", "tier": "nurture", "channel": "ads", "age_days": 10.0, "probability": 0.2}
    frame = pd.DataFrame([usual | row for row in rows])
    given = {
        "curves": fit_curves(followed(20_000, 2, channel="ads")),
        "horizon_days": 30.0,
        "oldest_days": 30.0,
    }
    return win_chances(frame, **(given | options))


def test_an_ended_lead_counts_as_it_ended_and_a_disqualified_one_as_not_won():
    found = chances([{"status": "won"}, {"status": "lost"}, {"tier": "disqualified"}])
    assert found["chance"].tolist() == [1, 0, 0]
    assert found["settled"].tolist() == [1, 1, 1]


def test_a_probability_is_carried_on_from_the_horizon_to_the_end_of_the_curve():
    found = chances([{"age_days": 0.0}, {"age_days": 10.0}])
    # Without memory the wins within 30 days are 1 - exp(-30/25) of all that come.
    assert found["chance"].to_numpy() == pytest.approx([0.2 / (1 - np.exp(-1.2))] * 2, rel=0.05)


def test_a_lead_older_than_the_model_knows_takes_the_rate_of_its_age():
    found = chances([{"age_days": 60.0, "probability": 0.9}, {"age_days": 5.0, "probability": np.nan}])
    assert found["chance"].to_numpy() == pytest.approx([0.25, 0.25], abs=0.03)


def test_without_a_curve_a_probability_counts_as_it_is():
    found = chances([{}, {"status": "won"}], curves={})
    assert found["chance"].tolist() == [0.2, 1.0]
    assert found["settled"].tolist() == [0.0, 1.0]


# --- the ledger ------------------------------------------------------------------------------------


def test_a_lead_that_was_ever_won_is_won_and_its_amounts_add_up():
    rows = [
        ("a", "lost", "2024-01-05", np.nan),
        ("a", "won", "2024-03-05", 100.0),
        ("a", "won", "2024-06-05", 50.0),
        ("b", "lost", "2024-01-05", np.nan),
        ("b", "open", None, np.nan),
        ("c", "won", "2025-03-05", 70.0),
        ("d", "lost", "2024-02-05", np.nan),
        ("d", "lost", "2024-04-05", np.nan),
        ("e", "won", "2024-02-05", np.nan),
    ]
    made = pd.DataFrame(rows, columns=["lead_id", "status", "closed_at", "amount"])
    made["closed_at"] = pd.to_datetime(made["closed_at"], utc=True)
    found = final_outcomes(made, UNTIL.to_pydatetime()).set_index("lead_id")
    assert found["status"].to_dict() == {"a": "won", "b": "open", "c": "open", "d": "lost", "e": "won"}
    assert found["closed_at"].dt.month.to_dict() == pytest.approx(
        {"a": 3, "b": np.nan, "c": np.nan, "d": 4, "e": 2}, nan_ok=True
    )
    assert found["amount"].to_dict() == pytest.approx(
        {"a": 150, "b": np.nan, "c": np.nan, "d": np.nan, "e": np.nan}, nan_ok=True
    )


def test_the_highest_tier_is_kept_and_an_sql_was_an_mql_by_then():
    rows = [("a", "2024-01-01", "nurture"), ("a", "2024-01-08", "sql"), ("a", "2024-02-01", "mql")]
    rows += [("b", "2024-01-01", "mql"), ("b", "2024-01-08", "nurture"), ("c", "2024-01-01", "nurture")]
    made = pd.DataFrame(rows, columns=["lead_id", "as_of", "tier"])
    made["as_of"] = pd.to_datetime(made["as_of"], utc=True)
    found = highest_tiers(made).set_index("lead_id")
    assert found["tier"].to_dict() == {"a": "sql", "b": "mql", "c": "nurture"}
    assert found.loc["a", ["mql_at", "sql_at"]].tolist() == [at("2024-01-08")] * 2
    assert found.loc["b", "mql_at"] == at("2024-01-01") and pd.isna(found.loc["b", "sql_at"])
