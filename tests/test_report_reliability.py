"""What the page says of calibration, from figures given here."""

from __future__ import annotations

from typing import Any

import pytest

from propensity.report.reliability import MOST_GROUPS, calibration_section


def measured(n: int = 2344, **changed: Any) -> dict[str, Any]:
    return {
        "n": n,
        "wins": 258,
        "expected_over_observed": 1.178,
        "expected_over_observed_interval": [0.981, 1.415],
        "slope": 0.882,
        "slope_interval": [0.706, 1.058],
        "brier": 0.0794,
        "miscalibration": 0.0036,
        "discrimination": 0.0222,
        "uncertainty": 0.098,
        "miscalibration_by_chance": 0.0042,
    } | changed


def section(test: dict[str, Any], channels: int = 1) -> dict[str, Any]:
    by_channel = [measured(n=10 + i, channel=f"c{i}") for i in range(channels)]
    return calibration_section(
        {"test": test, "by_age": [measured(n=600, age_days=7.0)], "by_channel": by_channel}
    )


@pytest.mark.parametrize(
    ("found", "told"),
    [(0.0036, "chance alone explains up to 0.0042"), (0.005, "more than the 0.0042 that chance explains")],
)
def test_the_sentence_tells_miscalibration_from_noise(found, told) -> None:
    sentence = section(measured(miscalibration=found))["sentence"]
    assert f"miscalibration {found:.4f} ({told})" in sentence
    assert "1.18 wins (0.98 to 1.42) were expected for each win seen" in sentence


def test_the_table_has_all_the_ages_and_the_channels_the_largest_first() -> None:
    table = section(measured(), channels=3)["table"]
    assert [row[0]["text"] for row in table["rows"]] == ["All", "Age 7 days", "c2", "c1", "c0"]
    assert table["rows"][0][3] == {"text": "0.88", "note": "0.71 to 1.06"}


def test_segments_stand_with_the_channels_by_size_and_a_channel_once() -> None:
    table = calibration_section(
        {
            "test": measured(),
            "by_age": [],
            "by_channel": [measured(n=20, channel="ads")],
            "by_segment": {
                "industry": [measured(n=30, level="retail"), measured(n=10, level="media")],
                "channel": [measured(n=20, level="ads")],
            },
        }
    )["table"]
    assert [row[0]["text"] for row in table["rows"]] == ["All", "industry: retail", "ads", "industry: media"]


def test_a_group_without_a_slope_says_so_and_channels_beyond_the_limit_are_counted() -> None:
    table = section(measured(slope=None, slope_interval=None), channels=40)["table"]
    assert table["rows"][0][3]["note"] == ""
    assert len(table["rows"]) == MOST_GROUPS
    assert "25 of 42" in table["caption"]


def test_nothing_is_said_where_nothing_was_measured() -> None:
    assert calibration_section(None) == {"sentence": "", "table": None}
    assert section(measured(n=0, brier=None)) == {"sentence": "", "table": None}
