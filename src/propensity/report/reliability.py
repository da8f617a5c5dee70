"""What the page says of calibration: level and slope, in all and by group, and the Brier score's parts."""

from __future__ import annotations

from typing import Any

from propensity.report.numbers import Row, age, count, interval, loss, ratio, text
from propensity.report.tables import Table, make_cell, make_metric, make_table, tell_cut

MOST_GROUPS = 25


def calibration_section(calibration: Row | None) -> dict[str, Any]:
    """Return a sentence and a table; a sentence without text and no table where nothing was measured.

    Parameters
    ----------
    calibration : dict or None
        ``calibration`` of ``reports/metrics.json``.
    """
    if calibration is None or calibration["test"]["brier"] is None:
        return {"sentence": "", "table": None}
    return {"sentence": _tell_parts(calibration["test"]), "table": calibration_table(calibration)}


def calibration_table(calibration: Row) -> Table:
    """Return expected over observed wins and the slope of the test part, by age, channel and segment."""
    slices = [(text(row["channel"]), row) for row in calibration["by_channel"]]
    for column, levels in calibration.get("by_segment", {}).items():
        slices += [(f"{column}: {text(row['level'])}", row) for row in levels if column != "channel"]
    groups = [
        ("All", calibration["test"]),
        *((f"Age {age(row['age_days'])}", row) for row in calibration["by_age"]),
        *sorted(slices, key=lambda named: -named[1]["n"]),
    ]
    kept = groups[:MOST_GROUPS]
    rows = [
        [
            make_cell(label),
            make_cell(count(row["n"]), f"{count(row['wins'])} won"),
            make_metric(row, "expected_over_observed", ratio),
            make_metric(row, "slope", ratio),
        ]
        for label, row in kept
    ]
    caption = tell_cut("Level and slope, test part", len(kept), len(groups), "the largest groups")
    columns = ["Group", "Snapshots", "Wins expected per win seen", "Slope"]
    return make_table(caption, columns, rows)


def _tell_parts(test: Row) -> str:
    """Say what the Brier score is made of, and whether its miscalibration is more than noise."""
    parts = {name: loss(test[name]) for name in ("brier", "miscalibration", "discrimination", "uncertainty")}
    chance = loss(test["miscalibration_by_chance"])
    more = test["miscalibration"] > test["miscalibration_by_chance"]
    noise = (
        f"more than the {chance} that chance explains" if more else f"chance alone explains up to {chance}"
    )
    told = (
        f"Brier score {parts['brier']} = miscalibration {parts['miscalibration']} ({noise}) less "
        f"discrimination {parts['discrimination']} plus uncertainty {parts['uncertainty']}."
    )
    if test["expected_over_observed"] is None:
        return told
    low, high = test["expected_over_observed_interval"] or (None, None)
    span = interval(low, high, ratio)
    level = f"{ratio(test['expected_over_observed'])} wins{f' ({span})' if span else ''}"
    return f"{told} {level} were expected for each win seen."
