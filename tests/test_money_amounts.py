"""Amounts: partial pooling, the interval, and what stands in where no amount is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from propensity.money.amounts import (
    FEWEST_AMOUNTS,
    expected_amounts,
    expected_values,
    fit_amounts,
    mean_amount,
)
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


def test_the_expected_value_is_probability_times_amount_times_margin_less_the_cost_of_the_tier():
    tier = np.array(["sql", "mql", "nurture", "disqualified"])
    values = expected_values(np.full(4, 0.5), np.full(4, 1000.0), tier, VALUE)
    assert values.tolist() == [90.0, 148.0, 148.0, 0.0]
