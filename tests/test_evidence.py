"""Evidence: leads and wins counted by hand, few leads never told, and conditions in words."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.errors import BundleError
from propensity.explain.evidence import (
    FEWEST,
    Evidence,
    evidence_from_json,
    evidence_to_json,
    gather_evidence,
    tell_evidence,
)
from propensity.explain.words import load_words
from propensity.features.catalogue import Feature
from tiny_models import make_feature

EN = load_words("en")
VISITS = make_feature("visits", qualifier="web", statistic="count", subject="visit", window_days=7.0)
SINCE = make_feature("since", qualifier="web", statistic="days_since", subject="visit")
CITY = make_feature("home_city", "category")
SIZE = make_feature("employees")
WEEKDAY = make_feature("created_weekday", qualifier="timing", statistic="timing")


def make_table(**columns: Any) -> pd.DataFrame:
    """One snapshot a lead, of the train part, the first quarter won, unless the columns say otherwise."""
    n = len(next(iter(columns.values())))
    given: dict[str, Any] = {
        "lead_id": [f"lead-{i}" for i in range(n)],
        "split": ["train"] * n,
        "won": [i < n / 4 for i in range(n)],
    }
    return pd.DataFrame(given | columns)


def cells(evidence: Evidence, name: str) -> list[tuple[int, int] | None]:
    return [None if c is None else (c["n"], c["won"]) for c in evidence.features[name]["cells"]]


def tell(evidence: Evidence, feature: Feature, value: Any) -> str:
    kind = "float64" if feature.kind == "number" else "str"
    told = tell_evidence(evidence, feature, pd.Series([value], dtype=kind), EN)
    return str(told.texts[told.codes[0]])


def test_counts_fall_into_none_one_to_two_and_more() -> None:
    evidence = gather_evidence(
        make_table(visits=[0.0] * 100 + [1.0] * 60 + [2.0] * 40 + [9.0] * 80), [VISITS]
    )
    assert evidence.features["visits"]["edges"] == [1.0, 3.0]
    assert cells(evidence, "visits") == [(100, 70), (100, 0), (80, 0), None]
    assert (evidence.n, evidence.won) == (280, 70)
    assert tell(evidence, VISITS, 0.0) == "Leads with none: 70% won (70 of 100), 25% overall."
    assert tell(evidence, VISITS, 2.0) == "Leads with 1 to 2: 0% won (0 of 100), 25% overall."
    assert tell(evidence, VISITS, 40.0) == "Leads with 3 or more: 0% won (0 of 80), 25% overall."


def test_a_lead_counts_once_a_bin_and_as_won_if_a_snapshot_there_is() -> None:
    """Each of 60 leads has three snapshots: none, none and 5 visits; a third wins after the middle one."""
    lead = np.repeat(np.arange(60), 3)
    table = make_table(
        visits=np.tile([0.0, 0.0, 5.0], 60),
        lead_id=[f"lead-{i}" for i in lead],
        won=(np.tile([False, True, False], 60) & (lead % 3 == 0)),
    )
    other = make_table(visits=[0.0] * 60).assign(lead_id=[f"other-{i}" for i in range(60)], won=False)
    evidence = gather_evidence(pd.concat([table, other]), [VISITS])
    assert cells(evidence, "visits") == [None, (60, 0), None]  # every lead was once without a visit
    assert (evidence.n, evidence.won) == (120, 20)


def test_the_test_part_is_not_looked_at() -> None:
    table = make_table(visits=[0.0] * 100 + [5.0] * 100)
    table.loc[50:149, "split"] = "test"
    assert gather_evidence(table, [VISITS]).n == 100


def test_bins_are_chosen_on_the_train_part_and_counted_on_the_others_too() -> None:
    table = make_table(employees=[float(i) for i in range(400)])
    table.loc[200:, "split"] = ["stop", "calibrate"] * 100
    evidence = gather_evidence(table, [SIZE])
    assert evidence.features["employees"]["edges"] == [50.0, 100.0, 150.0]
    assert cells(evidence, "employees") == [(50, 50), (50, 50), (50, 0), (250, 0), None]


def test_a_small_bin_joins_its_smaller_neighbour() -> None:
    evidence = gather_evidence(make_table(visits=[0.0] * 100 + [1.0] * 70 + [9.0] * 30), [VISITS])
    assert evidence.features["visits"]["edges"] == [1.0]
    assert tell(evidence, VISITS, 1.0).startswith("Leads with 1 or more: ")


@pytest.mark.parametrize(("n", "told"), [(FEWEST - 1, False), (FEWEST, True)])
def test_a_level_of_few_leads_is_never_told(n: int, told: bool) -> None:
    names = ["Ulm"] * 100 + ["Bonn"] * 60 + ["Rust"] * n
    evidence = gather_evidence(make_table(home_city=pd.array(names, dtype="str")), [CITY])
    assert ("Rust" in evidence.features["home_city"]["levels"]) == told
    assert bool(tell(evidence, CITY, "Rust")) == told
    assert tell(evidence, CITY, "Ulm").startswith("Leads with home city Ulm: ")


def test_rare_levels_are_told_together_and_a_level_may_have_any_name() -> None:
    names = ["rare"] * 60 + ["unknown"] * 60 + [f"village {i}" for i in range(30)] + [None] * 40
    evidence = gather_evidence(make_table(home_city=pd.array(names, dtype="str")), [CITY])
    assert cells(evidence, "home_city") == [(60, 48), (60, 0), (30, 0), (40, 0)]
    assert tell(evidence, CITY, "village 3").startswith("Leads with a rarer home city: 0% won (0 of 30)")
    assert tell(evidence, CITY, "never seen") == tell(evidence, CITY, "village 3")
    assert tell(evidence, CITY, None).startswith("Leads without it: 0% won (0 of 40)")


def test_what_nearly_every_lead_was_like_is_left_out() -> None:
    evidence = gather_evidence(make_table(visits=[0.0] * 940 + [1.0] * 60), [VISITS])
    assert cells(evidence, "visits") == [None, (60, 0), None]


def test_days_ages_and_weekdays_have_words_of_their_own() -> None:
    rng = np.random.default_rng(0)
    days = rng.uniform(0, 40, 400)
    days[:60] = np.nan
    table = make_table(since=days, created_weekday=np.tile(np.arange(4.0), 100))
    evidence = gather_evidence(table, [SINCE, WEEKDAY])
    low, middle, high = evidence.features["since"]["edges"]
    assert all(edge == int(edge) for edge in (low, middle, high))
    assert tell(evidence, SINCE, 0.5).startswith(f"Leads whose last was less than {low:g} days ago: ")
    assert tell(evidence, SINCE, low).startswith(f"Leads whose last was {low:g} to {middle:g} days ago: ")
    assert tell(evidence, SINCE, 500.0).startswith(f"Leads whose last was {high:g} days or more ago: ")
    assert tell(evidence, SINCE, None).startswith("Leads with none so far: ")
    assert tell(evidence, WEEKDAY, 2.0).startswith("Leads created on that weekday: 25% won (25 of 100), ")


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(-5, 5) | st.none(), st.booleans()), min_size=1))
@settings(max_examples=50)
def test_no_cell_is_about_fewer_leads_than_allowed(rows: Any) -> None:
    lead, value, won = zip(*rows * 5, strict=True)
    table = make_table(
        employees=np.array([np.nan if v is None else v for v in value]),
        lead_id=[str(i % 90) for i in range(len(lead))],
        won=list(won),
    )
    for row in gather_evidence(table, [SIZE]).features.values():
        assert all(c is None or FEWEST <= c["n"] <= 90 for c in row["cells"])
        assert all(c is None or 0 <= c["won"] <= c["n"] for c in row["cells"])


def test_it_survives_the_bundle() -> None:
    evidence = gather_evidence(make_table(visits=[0.0] * 100 + [9.0] * 80), [VISITS])
    assert evidence_from_json(json.loads(json.dumps(evidence_to_json(evidence)))) == evidence


@pytest.mark.parametrize(
    "content",
    [
        {"n": 9},
        {"n": 9, "won": 1, "features": {"visits": {"edges": [1.0], "cells": [None, None]}}},
        {"n": 90, "won": 1, "features": {"visits": {"edges": [], "cells": [None, {"n": 3, "won": 1}]}}},
        {"n": 90, "won": 1, "features": {"visits": {"cells": []}}},
    ],
)
def test_another_shape_is_refused(content: Any) -> None:
    with pytest.raises(BundleError, match="counts of leads by feature"):
        evidence_from_json(content)


def test_without_evidence_nothing_is_told() -> None:
    told = tell_evidence(None, VISITS, pd.Series([1.0, 2.0]), EN)
    assert [told.texts[code] for code in told.codes] == ["", ""]
