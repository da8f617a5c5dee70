"""Findings in words: the table that ``propensity audit`` prints, and what a run says when it stops."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

import yaml

from propensity.audit.findings import RESULTS, Finding
from propensity.params import Overruling

WIDTH = 110
_HEADINGS = {
    "issue": "Issues",
    "tip": "Tips",
    "overruled": "Overruled",
    "skipped": "Skipped: these checks could not look",
    "passed": "Passed",
    "not applicable": "Not applicable",
}


def count_results(findings: Sequence[Finding]) -> str:
    """Return how many findings have each result, such as ``3 issues (1 stops a run), 2 tips, 20 passed``."""
    counts = Counter(finding.result for finding in findings)
    stopping = sum(finding.stops for finding in findings)
    told = []
    for result in RESULTS:
        if not counts[result]:
            continue
        plural = "s" if result in ("issue", "tip") and counts[result] != 1 else ""
        stops = f" ({stopping} of the gravest kind)" if result == "issue" and stopping else ""
        told.append(f"{counts[result]:,} {result}{plural}{stops}")
    return ", ".join(told)


def tell_findings(findings: Sequence[Finding]) -> str:
    """Return all findings as text, the gravest first."""
    blocks = [count_results(findings)]
    for result in RESULTS:
        found = [f for f in findings if f.result == result]
        if found:
            blocks.append("\n".join([f"{_HEADINGS[result]}:", *(_tell(f) for f in found)]))
    return "\n\n".join(blocks)


def tell_stop(findings: Sequence[Finding]) -> str:
    """Return why a run stops, and the two ways on: leave it out, or overrule it."""
    stopping = [finding for finding in findings if finding.stops]
    several = "findings stop" if len(stopping) > 1 else "finding stops"
    told = "\n".join(_tell(finding) for finding in stopping)
    columns = list(dict.fromkeys(f.subject for f in stopping if f.subject is not None))
    fixed = sorted({f.code for f in stopping if f.code == "PRP102"})
    entries = [
        {"check": f.code, "subject": f.subject, "reason": "why it was known in time"}
        if f.subject is not None
        else {"check": f.code, "reason": "why it does no harm"}
        for f in stopping
        if f.code not in fixed
    ]
    ways = []
    if columns:
        ways.append(f"To leave them out, in params.yaml:\n\n{_yaml('exclude', columns)}")
    if entries:
        ways.append(f"To overrule them, each with a reason of your own:\n\n{_yaml('allow', entries)}")
    if fixed:
        ways.append(f"{', '.join(fixed)} cannot be overruled.")
    return f"{len(stopping)} {several} the run:\n{told}\n\n" + "\n\n".join(ways)


def tell_unmatched(entries: Sequence[Overruling]) -> str:
    """Return which entries of ``features.allow`` overrule nothing, with a semicolon after; empty if none."""
    named = ", ".join(" ".join(filter(None, (entry.check, entry.subject))) for entry in entries)
    return f"features.allow overrules nothing with {named}: take it out; " if named else ""


def _tell(finding: Finding) -> str:
    name = finding.name if finding.severity != "blocking" else f"{finding.name} (stops a run)"
    if finding.result != "issue":
        name = finding.name
    lines = [f"{name}: {finding.message}"]
    if finding.result == "overruled":
        lines.append(f"overruled: {finding.reason}")
    elif finding.remedy:
        lines.append(f"what to do: {finding.remedy}")
    return "\n".join(
        textwrap.fill(line, WIDTH, initial_indent="  " if i == 0 else "    ", subsequent_indent="    ")
        for i, line in enumerate(lines)
    )


def _yaml(key: str, entries: Sequence[str | dict[str, str]]) -> str:
    dumped = yaml.safe_dump(
        {"features": {key: list(entries)}}, sort_keys=False, allow_unicode=True, width=WIDTH
    )
    return textwrap.indent(dumped.rstrip(), "  ")
