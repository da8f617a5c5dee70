"""What the page says of the audit: how many findings of which kind, and each of those that matter."""

from __future__ import annotations

from typing import Any

from propensity.report.numbers import Row, count, text
from propensity.report.tables import Table, make_cell, make_table

KINDS = {
    "issue": ("Issues", "something is wrong with a field, an event type, a period or the split"),
    "overruled": ("Overruled", "issues that a person accepted, with the reason"),
    "tip": ("Tips", "worth a look; nothing was refused"),
    "skipped": ("Skipped", "the check could not look"),
    "passed": ("Passed", "looked, and found nothing"),
    "not applicable": ("Not applicable", "the data has nothing of the kind"),
}
GRAVITY = {"blocking": "stops a run", "warning": "for a person to judge", "note": "not used by the model"}
SENTENCES = 800  # characters of a finding
SHOWN = ("issue", "overruled", "tip")


def audit_section(findings: list[Row]) -> dict[str, Any]:
    """Return the audit's counts, the findings that a person should read, and the rest.

    Parameters
    ----------
    findings : list of dict
        ``audit`` of ``reports/metrics.json``.
    """
    order = {result: place for place, result in enumerate(KINDS)}
    ranked = sorted(findings, key=lambda f: (order[f["result"]], f["code"], f["subject"] or ""))
    return {
        "counts": count_table(findings),
        "found": finding_table("What the audit found", [f for f in ranked if f["result"] in SHOWN]),
        "others": finding_table("The other checks", [f for f in ranked if f["result"] not in SHOWN]),
    }


def count_table(findings: list[Row]) -> Table:
    """Return how many findings have each result."""
    rows = [
        [make_cell(name, note), make_cell(count(sum(f["result"] == result for f in findings)))]
        for result, (name, note) in KINDS.items()
    ]
    return make_table("Findings of the audit", ["Result", "Number"], rows)


def finding_table(caption: str, findings: list[Row]) -> Table:
    """Return the findings one by one, with what to do under each."""
    rows = [
        [
            make_cell(text(f["code"]), text(f["check"]).replace("_", " ")),
            make_cell(text(f["result"]).capitalize(), _gravity(f)),
            make_cell("" if f["subject"] is None else text(f["subject"])),
            make_cell(text(f["message"], longest=SENTENCES), _advice(f)),
        ]
        for f in findings
    ]
    return make_table(caption, ["Check", "Result", "About", "Finding"], rows, numeric=4)


def _gravity(finding: Row) -> str:
    if finding["result"] != "issue":
        return ""
    return GRAVITY[text(finding["severity"])]


def _advice(finding: Row) -> str:
    if finding["result"] == "overruled":
        return f"Overruled: {text(finding['reason'])}"
    return text(finding["remedy"], longest=SENTENCES) if finding["remedy"] else ""
