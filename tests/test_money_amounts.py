"""Amounts: partial pooling, the interval, and what stands in where no amount is known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.data.bookkeeping import AMOUNT_PER_EMPLOYEES, MEDIAN_AMOUNT
from propensity.data.files import to_json
from propensity.decisions.amounts import (
    FEWEST_AMOUNTS,
    amounts_from_json,
    amounts_to_json,
    expected_amounts,
    fit_amounts,
    mean_amount,
)
from propensity.decisions.levels import to_levels
from propensity.decisions.value import expected_value, value_interval
from propensity.decisions.wins import amount_columns, won_amounts
from propensity.errors import BundleError
from propensity.features.catalogue import Plan
from propensity.params import ValueParams

VALUE = ValueParams(won=5000, margin=0.3, sales_touch=60, nurture=2)


def wins(counts: dict[str, int], means: dict[str, float], *, seed: int, sd: float = 0.5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    channel = [name for name, n in counts.items() for _ in range(n)]
    logs = np.array([np.log(means[name]) for name in channel]) + rng.normal(0, sd, len(channel))
    return pd.DataFrame({"channel": pd.Series(channel, dtype="str"), "amount": np.exp(logs)})


def test_a_channel_with_few_wins_stays_nearer_the_overall_mean_than_one_with_many():
    table = wins(
        {"a": 300, "b": 300, "c": 300, "few": 3}, {"a": 1000, "b": 4000, "c": 9000, "few": 9000}, seed=3
    )
    found = expected_amounts(fit_amounts(table, ["channel"], VALUE), table.drop_duplicates("channel"))
    amount = dict(zip(["a", "b", "c", "few"], found["amount"], strict=True))
    own = table.groupby("channel")["amount"].mean()
    assert amount["a"] == pytest.approx(own["a"], rel=0.05)
    assert amount["c"] == pytest.approx(own["c"], rel=0.05)
    assert found["amount_wins"].tolist() == [300, 300, 300, 3]
    width = np.log(found["amount_high"] / found["amount_low"]).to_numpy()
    assert width[3] > 3 * width[0]


def test_channels_whose_amounts_differ_by_chance_alone_are_pooled():
    names = {f"c{i}": 30 for i in range(12)}
    table = wins(names, dict.fromkeys(names, 4000.0), seed=1)
    found = expected_amounts(fit_amounts(table, ["channel"], VALUE), table)
    own = table.groupby("channel")["amount"].mean()
    assert np.ptp(found["amount"]) < 0.4 * np.ptp(own)


def test_the_interval_of_the_mean_amount_holds_the_true_mean_at_its_level():
    counts, means = {"a": 60, "b": 25}, {"a": 2000.0, "b": 5000.0}
    held = 0
    for seed in range(200):
        table = wins(counts, means, seed=seed)
        rows = table[table["channel"] == "a"].reset_index(drop=True)
        found = mean_amount(fit_amounts(table, ["channel"], VALUE), rows, np.ones(len(rows)))
        held += found.low <= 2000 * np.exp(0.125) <= found.high
    assert 0.89 <= held / 200 <= 0.99


def test_with_too_few_amounts_each_win_counts_as_the_params_say_and_without_one_nothing_is_known():
    table = wins({"a": FEWEST_AMOUNTS - 1}, {"a": 100.0}, seed=0)
    model = fit_amounts(table, ["channel"], VALUE)
    found = expected_amounts(model, table)
    assert model.source == "params"
    assert (found["amount"] == 5000).all() and (found["amount_wins"] == 0).all()
    assert fit_amounts(table, ["channel"], ValueParams()).source == "none"


def test_wins_of_nothing_lower_the_expected_amount_by_their_share():
    table = wins({"a": 200}, {"a": 1000.0}, seed=5)
    half = pd.concat([table, table.assign(amount=0.0)], ignore_index=True)
    with_none = expected_amounts(fit_amounts(half, ["channel"], VALUE), table)["amount"].iloc[0]
    alone = expected_amounts(fit_amounts(table, ["channel"], VALUE), table)["amount"].iloc[0]
    assert with_none == pytest.approx(alone / 2, rel=0.01)


def test_a_level_that_no_win_had_has_the_wider_interval():
    table = wins({"a": 100, "b": 100, "c": 100}, {"a": 1000, "b": 3000, "c": 9000}, seed=2)
    model = fit_amounts(table, ["channel"], VALUE)
    asked = pd.DataFrame({"channel": pd.Series(["a", "unheard of", None], dtype="str")})
    found = expected_amounts(model, asked)
    width = np.log(found["amount_high"] / found["amount_low"])
    assert width.iloc[1] > 3 * width.iloc[0] and width.iloc[2] > 3 * width.iloc[0]
    assert found["amount_wins"].tolist() == [100, 0, 0]


@pytest.mark.parametrize("n_channels", [25, 45])
def test_the_interval_of_a_level_never_seen_holds_what_such_levels_bring(n_channels: int):
    """Channels' effects are drawn with a spread of 0.8; 200 new ones, three binomial errors allowed.

    The spread itself is estimated within a seventh or a tenth, for which two points more are. Of 45 channels
    the rarest go as one.
    """
    rng = np.random.default_rng(6)
    channels = {f"c{i}": 20 for i in range(n_channels)}
    table = wins(channels, {name: float(np.exp(rng.normal(7, 0.8))) for name in channels}, seed=6)
    model = fit_amounts(table, ["channel"], VALUE)
    asked = pd.DataFrame({"channel": [f"new {i}" for i in range(200)]})
    found = expected_amounts(model, asked)
    truth = pd.Series(np.exp(rng.normal(7, 0.8, 200) + 0.125))
    held = truth.between(found["amount_low"], found["amount_high"]).mean()
    assert abs(held - 0.95) <= 3 * np.sqrt(0.95 * 0.05 / 200) + 0.02


def test_three_channels_without_any_spread_of_their_own_keep_their_amounts():
    """Within a channel all amounts are alike, so chance explains nothing of what lies between them."""
    table = pd.DataFrame({"channel": ["a"] * 10 + ["b"] * 10 + ["c"] * 10})
    table["amount"] = np.exp(np.repeat([-1.0, 0.0, 1.0], 10))
    found = expected_amounts(fit_amounts(table, ["channel"], VALUE), table.drop_duplicates("channel"))
    assert found["amount"].tolist() == pytest.approx([np.exp(-1), 1.0, np.exp(1)], rel=1e-3)
    assert found["amount_wins"].tolist() == [10, 10, 10]


def test_an_effect_is_shrunk_by_the_share_of_its_variance_that_chance_explains():
    """A balanced table, where REML has a closed form: the spread within over that of the channels' means."""
    rng = np.random.default_rng(8)
    logs = rng.normal(size=(6, 40)) + 0.3 * np.arange(6)[:, None]
    table = pd.DataFrame({"channel": np.repeat(list("abcdef"), 40), "amount": np.exp(logs.ravel())})
    model = fit_amounts(table, ["channel"], VALUE)
    means = logs.mean(axis=1)
    kept = 1 - logs.var(axis=1, ddof=1).mean() / 40 / means.var(ddof=1)
    assert model.coefficients[1:] == pytest.approx(kept * (means - means.mean()), rel=0.02)


def test_intervals_hold_the_amounts_that_the_simulation_plants():
    """The mean amount planted in each tenth of company sizes, 300 intervals, three binomial errors off."""
    rng = np.random.default_rng(4)
    employees = np.exp(rng.normal(4, 1.6, 4000)).round().clip(1)
    leads = pd.DataFrame({"channel": rng.choice(list("abcd"), 4000), "employees": employees})
    leads["middle"] = MEDIAN_AMOUNT * (employees / 100) ** AMOUNT_PER_EMPLOYEES
    truth = leads["middle"] * np.exp(0.125)  # the mean of a lognormal factor with a spread of 0.5
    held: list[bool] = []
    for _ in range(30):
        won = leads.sample(400, random_state=rng)
        won["amount"] = won["middle"] * np.exp(rng.normal(0, 0.5, len(won)))
        model = fit_amounts(won, ["channel", "employees"], VALUE)
        found = expected_amounts(model, leads).assign(truth=truth)
        of_size = found.groupby(to_levels(leads, model.levels)["employees"]).mean()
        assert len(of_size) == 10
        held += of_size["truth"].between(of_size["amount_low"], of_size["amount_high"]).tolist()
    assert np.mean(held) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / len(held))


def test_a_model_is_the_same_when_it_is_read_from_the_text_it_was_written_as():
    table = wins({"a": 30, "b": 12}, {"a": 1000, "b": 3000}, seed=2)
    table["employees"] = np.arange(len(table), dtype=float)
    model = fit_amounts(table, ["channel", "employees"], VALUE)
    read = amounts_from_json(told(model), VALUE)
    asked = pd.DataFrame({"channel": ["a", "b", "new", None], "employees": [3.0, np.nan, 1e9, 20.0]})
    pd.testing.assert_frame_equal(
        expected_amounts(read, asked), expected_amounts(model, asked), check_exact=True
    )
    assert told(read) == told(model)


def test_a_lead_is_worth_the_same_alone_and_in_a_batch():
    table = wins({"a": 30, "b": 12}, {"a": 1000, "b": 3000}, seed=2)
    model = fit_amounts(table, ["channel"], VALUE)
    together = expected_amounts(model, table)
    alone = pd.concat([expected_amounts(model, table.iloc[[i]]) for i in range(len(table))])
    pd.testing.assert_frame_equal(together, alone, check_exact=True)


@pytest.mark.parametrize(
    "broken",
    [
        {"covariance": [1.0]},
        {"coefficients": [1.0]},
        {"names": [["channel", "a"]]},
        {"wins": [1]},
        {"spread": {}},
        {"scale": None},
        {"scale": -1.0},
        {"levels": {"columns": ["channel"], "edges": {}, "kept": {}}},
        {"levels": {"columns": ["channel"], "edges": {"channel": [2.0, 1.0]}, "kept": {}}},
        {"source": "guess"},
    ],
)
def test_a_document_of_another_shape_is_refused(broken: dict[str, Any]):
    model = fit_amounts(wins({"a": 30, "b": 12}, {"a": 1000, "b": 3000}, seed=2), ["channel"], VALUE)
    with pytest.raises(BundleError, match=r"amounts\.json"):
        amounts_from_json(told(model) | broken, VALUE)


def test_without_amounts_the_bundle_says_so_and_each_win_counts_as_the_params_say():
    few = fit_amounts(wins({"a": 3}, {"a": 1.0}, seed=0), ["channel"], VALUE)
    for content in (told(few), None):
        found = expected_amounts(amounts_from_json(content, VALUE), pd.DataFrame(index=[0, 1]))
        assert found.to_numpy().tolist() == [[5000, 5000, 5000, 0]] * 2


def told(model: Any) -> Any:
    return json.loads(to_json(amounts_to_json(model)))


# --- the wins that are learned from ----------------------------------------------------------------

DAYS = [pd.Timestamp(2024, 1, day, tz="UTC") for day in range(1, 10)]


def test_a_win_counts_once_as_the_lead_was_last_and_not_if_it_is_of_the_test_part():
    """Lead 1 is won on day 5, 2 on days 4 and 8 (two episodes), 3 lost, 4 in the test part, 5 unpriced."""
    rows = [
        ("1", 0, "train", True, "ads", 4),
        ("1", 2, "train", True, "mail", 4),
        ("2", 1, "stop", True, "ads", 3),
        ("2", 5, "calibrate", True, "fair", 7),
        ("3", 1, "train", False, "ads", 6),
        ("4", 1, "test", True, "ads", 6),
        ("5", 1, "train", True, "ads", 6),
    ]
    training = pd.DataFrame(
        [(lead, DAYS[day], part, won, 1.0, channel) for lead, day, part, won, channel, _ in rows],
        columns=["lead_id", "as_of", "split", "won", "weight", "channel"],
    )
    snapshots = training[["lead_id", "as_of"]].assign(closed_at=[DAYS[row[-1]] for row in rows])
    outcomes = pd.DataFrame(
        [
            *(("1", "won", 4, 10.0), ("2", "won", 3, 20.0), ("2", "won", 7, 30.0)),
            *(("1", "lost", 4, 99.0), ("3", "lost", 6, 99.0), ("4", "won", 6, 40.0), ("5", "won", 6, None)),
        ],
        columns=["lead_id", "status", "closed_at", "amount"],
    )
    outcomes["closed_at"] = [DAYS[day] for day in outcomes["closed_at"]]
    found = won_amounts(training, snapshots, outcomes, ["channel"])
    assert found["channel"].tolist() == ["mail", "ads", "fair", "ads"]
    assert found["amount"].tolist()[:3] == [10.0, 20.0, 30.0]
    assert np.isnan(found["amount"].iloc[3])


def test_wins_without_dates_go_by_the_lead():
    none = pd.Series([pd.NaT] * 2, dtype="datetime64[us, UTC]")
    training = pd.DataFrame({"lead_id": ["1", "2"], "as_of": none, "split": "train", "won": [True, False]})
    snapshots = pd.DataFrame({"lead_id": ["1", "2"], "as_of": none, "closed_at": none})
    outcomes = pd.DataFrame(
        {"lead_id": ["1", "2"], "status": ["won", "lost"], "closed_at": none, "amount": [7.0, None]}
    )
    assert won_amounts(training, snapshots, outcomes, [])["amount"].tolist() == [7.0]


def test_amounts_depend_on_the_channel_first_then_on_the_company_and_the_segments():
    kinds = {"industry": "firmographic", "title": "demographic", "amount": "firmographic"}
    plan = Plan(dict.fromkeys(kinds, "text"), kinds, has_channel=True)
    assert amount_columns(plan, ["title", "industry"]) == ["channel", "industry", "title"]
    assert amount_columns(Plan({}, {}), []) == []


# --- what a lead is worth --------------------------------------------------------------------------


def test_the_expected_value_is_probability_times_amount_times_margin_less_the_cost_of_the_tier():
    tier = np.array(["sql", "mql", "nurture", "disqualified"])
    values = expected_value(np.full(4, 0.5), np.full(4, 1000.0), tier, VALUE)
    assert values.tolist() == [90.0, 148.0, 148.0, 0.0]


def test_the_two_intervals_are_put_together_on_the_log_scale_as_worked_out_by_hand():
    """Down by factors of e**3 and e**4 is down by e**5; up by e**0.6 and e**0.8, up by e."""
    free = ValueParams(won=1)
    probability = tuple(0.01 * np.exp([x]) for x in (0.0, -3.0, 0.6))
    amount = tuple(1000 * np.exp([x]) for x in (0.0, -4.0, 0.8))
    low, high = value_interval(probability, amount, np.array(["mql"]), free)
    assert [low[0], high[0]] == pytest.approx([10 * np.exp(-5), 10 * np.exp(1)])
    paid, _ = value_interval(probability, amount, np.array(["sql"]), VALUE)
    assert paid[0] == pytest.approx(0.3 * 10 * np.exp(-5) - 60)


def test_the_interval_is_that_of_the_probability_alone_where_the_amount_is_given():
    given = (np.array([5000.0]),) * 3
    probability = (np.array([0.2]), np.array([0.1]), np.array([0.3]))
    low, high = value_interval(probability, given, np.array(["mql"]), VALUE)
    assert [low[0], high[0]] == pytest.approx([0.1 * 1500 - 2, 0.3 * 1500 - 2])


def test_a_disqualified_lead_is_worth_nothing_for_sure_and_without_a_band_there_is_no_interval():
    none, some = np.full(2, np.nan), np.full(2, 0.5)
    tier = np.array(["disqualified", "sql"])
    low, high = value_interval((some, none, none), (some, some, some), tier, VALUE)
    assert (low[0], high[0]) == (0.0, 0.0) and np.isnan([low[1], high[1]]).all()


def test_the_interval_of_a_product_holds_it_at_its_level():
    """Two lognormal estimates with errors of their own, 2,000 times; three binomial errors allowed."""
    rng = np.random.default_rng(0)
    middle = [0.1 * np.exp(0.3 * rng.normal(size=2000)), 900 * np.exp(0.2 * rng.normal(size=2000))]
    first, second = (
        (x, x * np.exp(-1.96 * sd), x * np.exp(1.96 * sd)) for x, sd in zip(middle, (0.3, 0.2), strict=True)
    )
    low, high = value_interval(first, second, np.full(2000, "mql"), ValueParams())
    held = ((low <= 90) & (high >= 90)).mean()
    assert abs(held - 0.95) <= 3 * np.sqrt(0.95 * 0.05 / 2000)
