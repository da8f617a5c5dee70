"""What the page says of the monitor: what its latest look found, check by check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from propensity.report.numbers import Row, count, text
from propensity.report.tables import Table, make_cell, make_table

SENTENCES = 1200  # characters of a signal
MOST_OF_A_CHECK = 5


def monitoring_section(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section's sentences and tables.

    Parameters
    ----------
    content : mapping
        ``reports/monitor.json``.

    Returns
    -------
    dict
        ``summary``, a sentence; ``alarms`` and ``others``, tables, the first of them possibly without rows.
    """
    statuses, coverage = content["statuses"], content["coverage"]
    summary = (
        f"As of {text(content['as_of'][:10])}, of {count(sum(statuses.values()))} checks "
        f"{count(statuses['alarm'])} raised an alarm, {count(statuses['cannot say'])} could not look and "
        f"{count(statuses['ok'])} found nothing."
    )
    if coverage["realised"]:
        summary += (
            f" Of {count(coverage['realised'])} estimates of looks so far whose outcomes are final, "
            f"{count(coverage['inside'])} lay in their 95% interval."
        )
    signals = content["signals"]
    return {
        "summary": summary,
        "alarms": _table("Alarms of the monitor", [s for s in signals if s["status"] == "alarm"]),
        "others": _table("The monitor's other checks", [s for s in signals if s["status"] != "alarm"]),
    }


def _table(caption: str, signals: list[Row]) -> Table:
    shown: list[Row] = []
    for signal in signals:
        if sum(s["code"] == signal["code"] for s in shown) < MOST_OF_A_CHECK:
            shown.append(signal)
    rows = [
        [
            make_cell(text(s["code"]), text(s["check"]).replace("_", " ")),
            make_cell(text(s["status"]).capitalize()),
            make_cell("" if s["subject"] is None else text(s["subject"])),
            make_cell(
                text(s["message"], longest=SENTENCES),
                text(s["next_step"], longest=SENTENCES) if s["next_step"] else "",
            ),
        ]
        for s in shown
    ]
    return make_table(caption, ["Check", "Status", "About", "What it saw"], rows, numeric=4)
