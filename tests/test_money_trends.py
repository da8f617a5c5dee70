"""Trends: the comparison worked out by hand, no credit for having lived long, nothing named by chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from propensity.money.trends import contrast, find_trends
from propensity.money.winners import find_segments, profile_winners


def leads(n: int, *, seed: int, ages: tuple[float, ...] = (0.0,)) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    created = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 600, n), unit="D")
    one = pd.DataFrame({"lead_id": [f"L{i}" for i in range(n)], "created_at": created})
    rows = pd.concat([one.assign(age_days=age) for age in ages], ignore_index=True)
    return rows.assign(group=rows["lead_id"], snapshot=range(len(rows)))


def nothing(n: int) -> pd.DataFrame:
    return pd.DataFrame(index=range(n))


def test_the_difference_weighs_each_stratum_by_both_of_its_sides():
    # Stratum 0: 1 of 2 against 0 of 2 (weight 1); stratum 1: 1 of 1 against 1 of 3 (weight 3/4).
    has = np.array([1, 1, 0, 0, 1, 0, 0, 0], dtype=bool)
    won = np.array([1, 0, 0, 0, 1, 1, 0, 0], dtype=float)
    strata = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    found = contrast(has, won, strata, np.arange(8))
    assert found.rate_met == pytest.approx((1 * 0.5 + 0.75 * 1) / 1.75)
    assert found.rate_others == pytest.approx((0.75 / 3) / 1.75)
    assert found.difference == pytest.approx(found.rate_met - found.rate_others)


def test_the_difference_and_its_error_are_those_of_a_regression_with_clustered_errors():
    rng = np.random.default_rng(4)
    n = 400
    strata, group = rng.integers(0, 4, n), rng.integers(0, 90, n)
    has = rng.random(n) < 0.3 + 0.1 * strata
    won = (rng.random(n) < 0.2 + 0.1 * has).astype(float)
    dummies = (strata[:, None] == np.arange(4)).astype(float)
    design = np.column_stack([has, dummies])
    inverse = np.linalg.inv(design.T @ design)
    coefficient = inverse @ design.T @ won
    scores = design * (won - design @ coefficient)[:, None]
    summed = np.zeros((90, 5))
    np.add.at(summed, group, scores)
    covariance = inverse @ summed.T @ summed @ inverse
    found = contrast(has, won, strata, group)
    assert found.difference == pytest.approx(coefficient[0])
    assert found.error == pytest.approx(np.sqrt(covariance[0, 0]))


def test_without_any_stratum_that_has_both_sides_there_is_no_comparison():
    assert contrast(np.array([True, False]), np.ones(2), np.array([0, 1]), np.arange(2)) is None


def test_a_page_that_long_lived_leads_meet_gets_no_credit_for_it():
    """Half of the leads meet the page by 30 days, if they are still there; it changes nothing."""
    rows = leads(4000, seed=9, ages=(0.0, 30.0))
    rng = np.random.default_rng(1)
    # Half are quick: of those still there at 30 days, and so of those that met it, fewer are won.
    days = pd.Series(rng.exponential(np.repeat([15, 200], 2000)), index=[f"L{i}" for i in range(4000)])
    wait = rows["lead_id"].map(days)
    is_open = wait > rows["age_days"]
    rows = rows.assign(won=wait <= rows["age_days"] + 60)[is_open].reset_index(drop=True)
    meets = rng.random(4000) < 0.5
    met_it = rows["lead_id"].str[1:].astype(int).map(lambda i: meets[i]) & (rows["age_days"] == 30)
    met = pd.DataFrame({"snapshot": rows.loc[met_it, "snapshot"], "type": "visit", "asset": "page", "n": 1})
    found = find_trends(rows, met, nothing(len(rows)), None).set_index("kind").loc["event"]
    assert not found["named"]
    assert found["low"] < 0 < found["high"]


def test_an_asset_is_told_from_being_active():
    rng = np.random.default_rng(2)
    rows = leads(6000, seed=2)
    active = rng.random(6000) < 0.3
    rows = rows.assign(won=rng.random(6000) < np.where(active, 0.4, 0.1))
    visits = rng.poisson(np.where(active, 6, 1.5))
    pages = [
        (s, rng.choice(["home", "blog"]))
        for s, k in zip(rows["snapshot"], visits, strict=True)
        for _ in range(k)
    ]
    met = pd.DataFrame(pages, columns=["snapshot", "asset"]).assign(type="visit")
    met = met.groupby(["snapshot", "type", "asset"], as_index=False).size().rename(columns={"size": "n"})
    found = find_trends(rows, met, nothing(len(rows)), None)
    pages_only = found[found["kind"] == "asset"]
    assert pages_only["named"].all() and not pages_only["named_as_active"].any()


def test_an_attribute_with_an_effect_is_named_and_the_noise_beside_it_is_not():
    rng = np.random.default_rng(6)
    rows = leads(5000, seed=6)
    held = pd.DataFrame({f"noise{i}": rng.choice(["a", "b", "c"], 5000) for i in range(8)})
    held["offer"] = rng.choice(["demo", "ebook"], 5000)
    rows = rows.assign(won=rng.random(5000) < np.where(held["offer"] == "demo", 0.25, 0.15))
    found = find_trends(rows, None, held, None)
    assert set(found.loc[found["named"], "subject"]) == {"offer"}
    demo = found[found["value"] == "demo"].iloc[0]
    assert demo["low"] < 0.1 < demo["high"] and 0 < demo["shrunk"] < demo["difference"]


def test_with_dealt_outcomes_nothing_is_named_and_all_is_shrunk():
    rng = np.random.default_rng(8)
    rows = leads(3000, seed=8)
    held = pd.DataFrame({f"noise{i}": rng.choice(list("abcdef"), 3000) for i in range(10)})
    named = []
    for _ in range(20):
        found = find_trends(rows.assign(won=rng.random(3000) < 0.15), None, held, None)
        named.append(int(found["named"].sum()))
        assert found["shrunk"].abs().mean() < 0.5 * found["difference"].abs().mean()
    assert sum(n > 0 for n in named) <= 1


def test_what_few_leads_met_is_not_told():
    rows = leads(1000, seed=1).assign(won=np.arange(1000) % 4 == 0)
    met = pd.DataFrame({"snapshot": range(29), "type": "visit", "asset": "rare", "n": 1})
    assert find_trends(rows, met, nothing(1000), None).empty


def test_segments_are_found_where_they_were_planted_and_rated_on_later_leads():
    rng = np.random.default_rng(3)
    n = 8000
    held = pd.DataFrame({c: rng.choice(["x", "y", "z"], n) for c in ("size", "offer", "place")})
    planted = (held["size"] == "x") & (held["offer"] == "y")
    won = rng.random(n) < np.where(planted, 0.5, 0.1)
    train = np.arange(n) < 5000
    found = profile_winners(held, won, np.arange(n), train, ~train)
    first = found.iloc[0]
    assert sorted(first["conditions"]) == ["offer=y", "size=x"]
    assert first["holds"] and first["later_low"] < 0.5 < first["later_high"]
    assert first["later_leads"] == int((planted & ~train).sum())


def test_no_segment_is_found_twice_and_each_is_of_three_values_at_most():
    rng = np.random.default_rng(5)
    held = pd.DataFrame({c: rng.choice(list("pqr"), 3000) for c in "abcde"})
    won = rng.random(3000) < 0.15 + 0.1 * (held["a"] == "p") + 0.1 * (held["b"] == "q")
    found = find_segments(held, won)
    assert len({s.conditions for s in found}) == len(found) <= 5
    assert all(1 <= len(s.conditions) <= 3 for s in found)
