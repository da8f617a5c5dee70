"""The bench of training: what is trained on, and that all contenders fit the same rows."""

from __future__ import annotations

import argparse

import numpy as np
from bench.models import FEATURES
from bench.train import REFERENCE, TREES, WHOLE, make_table, measure


def test_the_table_trained_on_has_numbers_with_gaps_and_categories_as_text() -> None:
    table, features = make_table(500, 20, seed=3)
    assert len(features) == 20
    assert {f.kind for f in features} == {"number", "category"}
    for feature in features:
        assert (table[feature.name].dtype == np.float64) == (feature.kind == "number")
    assert table[[f.name for f in features]].isna().any(axis=None)
    assert table["split"].value_counts().to_dict() == {"train": 400, "stop": 100}
    assert 0.1 < table["won"].mean() < 0.9
    whole, all_features = make_table(500, FEATURES, seed=3)
    assert len(all_features) == FEATURES
    assert (whole[features[0].name].dropna() == table[features[0].name].dropna()).all()


def test_training_is_told_as_ratios_to_a_plain_fit_and_slopes_in_rows_and_features() -> None:
    given = argparse.Namespace(rows=[300, 600], features=[4, 8], rounds=1, threads=1)
    report = measure(given)
    assert {row.what for row in report.comparisons} == {
        "300 rows, 8 features", "600 rows, 8 features", "300 rows, 4 features",
    }  # fmt: skip
    assert {row.contender for row in report.comparisons} == {REFERENCE, TREES, WHOLE}
    assert all(row.reference == REFERENCE and row.ratio > 0 for row in report.comparisons)
    assert [growth.sizes for growth in report.growths] == [[300.0, 600.0]] * 3 + [[4.0, 8.0]] * 3
