"""Groups of leads are compared by figures that can be worked out by hand, and small ones are not told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from propensity.evaluation.fairness import NOT_GIVEN, TOO_FEW, compare_groups

CUTOFFS = {"mql": 0.2, "sql": 0.5}


def compare(levels, won, probability, lead_id=None):
    n = len(levels)
    leads = pd.Series(range(n) if lead_id is None else lead_id)
    return compare_groups(
        pd.Series(levels),
        leads,
        np.array(won, dtype=bool),
        np.array(probability, dtype=np.float64),
        leads.to_numpy(),
        cutoffs=CUTOFFS,
        seed=7,
    )


def test_rates_calibration_and_cutoffs_by_hand() -> None:
    # 40 from NL: 10 won, half of them (5) and 5 of the 30 lost at 0.6, the rest at 0.1.
    won = [True] * 10 + [False] * 30
    probability = [0.6] * 5 + [0.1] * 5 + [0.6] * 5 + [0.1] * 25
    # 20 from DE: none won, all at 0.3.
    rows = compare(["NL"] * 40 + ["DE"] * 20, won + [False] * 20, probability + [0.3] * 20)
    assert [(r["level"], r["n"], r["leads"], r["won"]) for r in rows] == [
        ("NL", 40, 40, 10),
        ("DE", 20, 20, 0),
    ]
    nl, de = rows
    assert nl["base_rate"] == 0.25
    assert nl["mean_probability"] == pytest.approx((10 * 0.6 + 30 * 0.1) / 40)
    assert nl["expected_over_observed"] == pytest.approx((10 * 0.6 + 30 * 0.1) / 10)
    low, high = nl["expected_over_observed_interval"]
    assert low < nl["expected_over_observed"] < high
    assert (nl["above_mql"], nl["above_sql"], nl["found_sql"]) == (0.25, 0.25, 0.5)
    assert (de["above_mql"], de["above_sql"]) == (1.0, 0.0)
    assert (de["found_mql"], de["found_sql"], de["expected_over_observed"]) == (None, None, None)
    assert de["base_rate_interval"][0] == 0.0


def test_a_lead_at_or_above_a_cutoff_counts() -> None:
    (row,) = compare(["x"] * 20, [True] * 20, [0.5] * 20)
    assert (row["above_sql"], row["found_sql"]) == (1.0, 1.0)


def test_levels_of_few_leads_are_told_together() -> None:
    levels = ["NL"] * 30 + ["BE"] * 12 + ["LU"] * 11
    rows = compare(levels, [False] * 53, [0.1] * 53)
    assert [(r["level"], r["n"]) for r in rows] == [("NL", 30), (TOO_FEW, 23)]


def test_a_single_small_group_is_not_told_at_all() -> None:
    rows = compare(["NL"] * 30 + ["LU"] * 3, [False] * 33, [0.1] * 33)
    assert [r["level"] for r in rows] == ["NL"]


def test_snapshots_of_one_lead_are_one_lead() -> None:
    rows = compare(["NL"] * 30 + ["BE"] * 30, [False] * 60, [0.1] * 60, [*range(30), *[99] * 30])
    assert [(r["level"], r["leads"]) for r in rows] == [("NL", 30)]


def test_what_is_not_given_is_a_group() -> None:
    rows = compare(["NL"] * 30 + [None] * 25, [False] * 55, [0.1] * 55)
    assert {r["level"]: r["n"] for r in rows} == {"NL": 30, NOT_GIVEN: 25}


def test_a_number_of_many_values_is_cut_into_quarters() -> None:
    rows = compare(list(range(200)), [False] * 200, [0.1] * 200)
    assert [r["n"] for r in rows] == [50, 50, 50, 50]
