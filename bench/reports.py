"""What a benchmark found, as JSON and as a section of a page."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.machine import describe_machine
from bench.slopes import fit_slope
from bench.timing import MB, Timing, ratio_of
from propensity.data.files import read_json, write_json


@dataclass(frozen=True)
class Comparison:
    """One contender beside the reference.

    Attributes
    ----------
    what : str
        The work, such as ``200 trees``; comparisons of one `what` share a reference.
    contender, reference : str
    ratio, low, high : float
        Cost in units of the reference's: median of the rounds, lowest, highest.
    rounds : int
    seconds : float
        Median of a run; only ratios are worth comparing.
    units : float
        Rows or leads in a run.
    peak_mb : float
        Memory held at most beyond what was held before, in megabytes.
    target : str
        ``<= 1.5`` or ``>= 30``, what the ratio is wanted to be; empty for none.
    note : str
    """

    what: str
    contender: str
    reference: str
    ratio: float
    low: float
    high: float
    rounds: int
    seconds: float
    units: float
    peak_mb: float
    target: str = ""
    note: str = ""


@dataclass(frozen=True)
class Growth:
    """How a cost grows with a size: its exponent with the ends of the 95% interval.

    Attributes
    ----------
    what : str
    sizes, seconds : list of float
    exponent, low, high : float
    target : str
    """

    what: str
    sizes: list[float]
    seconds: list[float]
    exponent: float
    low: float | None
    high: float | None
    target: str = ""


@dataclass(frozen=True)
class Fact:
    """A figure that is no time, such as a largest difference or a share; `target` as `Comparison`."""

    what: str
    value: float
    unit: str = ""
    target: str = ""


@dataclass(frozen=True)
class Report:
    """What a benchmark found.

    Attributes
    ----------
    title, introduction : str
        Of the section: what was measured, on what, and how to read the ratios.
    command : str
        What gives the figures again.
    comparisons : list of Comparison
    growths : list of Growth
    facts : list of Fact
    missing : list of str
        Peers that could not take part, with the reason.
    machine, versions : dict
    """

    title: str
    introduction: str
    command: str
    comparisons: list[Comparison] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=describe_machine)
    versions: dict[str, str] = field(default_factory=dict)


def compare_with(
    what: str, timings: Mapping[str, Timing], reference: str, *, targets: Mapping[str, str] | None = None
) -> list[Comparison]:
    """Return each contender's cost in units of the reference's, the reference's own included.

    Parameters
    ----------
    what : str
    timings : dict
        As `bench.timing.alternate` returned.
    reference : str
        Name of one of them.
    targets : dict, optional
        Contender to what its ratio is wanted to be, such as ``<= 1.5``.
    """
    rows = []
    for name, timing in timings.items():
        ratio = ratio_of(timing, timings[reference])
        rows.append(
            Comparison(
                what,
                name,
                reference,
                ratio.middle,
                ratio.low,
                ratio.high,
                len(timing.seconds),
                median(timing.seconds),
                timing.units,
                timing.peak / MB,
                (targets or {}).get(name, ""),
                timing.note,
            )
        )
    return rows


def grow(what: str, sizes: Sequence[float], seconds: Sequence[float], *, target: str = "") -> Growth:
    """Fit the slope of a cost in a size."""
    slope = fit_slope(sizes, seconds)
    return Growth(what, list(sizes), list(seconds), slope.exponent, slope.low, slope.high, target)


def meets(value: float, target: str) -> bool | None:
    """Return whether a figure is what is wanted, such as ``<= 1.5``; None where nothing is."""
    if not target:
        return None
    sign, bound = target.split()
    return value <= float(bound) if sign == "<=" else value >= float(bound)


def read_report(path: Path) -> Report:
    """Read what `write_report` wrote."""
    content = read_json(path)
    parts = {"comparisons": Comparison, "growths": Growth, "facts": Fact}
    lists = {name: [kind(**row) for row in content[name]] for name, kind in parts.items()}
    return Report(**(content | lists))


def write_report(report: Report, path: Path) -> None:
    """Write a report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(dataclasses.asdict(report), path)


def write_section(report: Report, name: str, page: Path) -> None:
    """Put a report between the markers of `name` on a page; a page without them gets them at its end."""
    start, end = f"<!-- bench:{name} -->", f"<!-- end bench:{name} -->"
    section = f"{start}\n{tell_report(report)}\n{end}"
    text = page.read_text(encoding="utf-8")
    found = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    made = found.sub(lambda _: section, text) if found.search(text) else f"{text.rstrip()}\n\n{section}\n"
    page.write_text(made, encoding="utf-8")


def tell_report(report: Report) -> str:
    """Return a report as a section in Markdown."""
    lines = [f"## {report.title}", "", report.introduction, "", f"`{report.command}`", ""]
    for what in dict.fromkeys(row.what for row in report.comparisons):
        lines += [*_comparisons([row for row in report.comparisons if row.what == what]), ""]
    if report.growths:
        lines += [*_growths(report.growths), ""]
    if report.facts:
        lines += [*_facts(report.facts), ""]
    lines += [f"Not measured: {reason}." for reason in report.missing] + ([""] if report.missing else [])
    return "\n".join([*lines, _tell_machine(report)])


def _comparisons(rows: list[Comparison]) -> list[str]:
    lines = [
        f"| {rows[0].what} | times {rows[0].reference} | lowest to highest "
        "| wanted | peak MB | measured on |",
        "|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda r: r.ratio):
        measured = f"{row.units:,.0f}, {row.rounds} rounds" + (f"; {row.note}" if row.note else "")
        peak = f"{row.peak_mb:,.0f}" if row.peak_mb >= 1 else "under 1"
        lines.append(
            f"| {row.contender} | {_figure(row.ratio)} | {_figure(row.low)} to {_figure(row.high)} "
            f"| {_wanted(row.ratio, row.target)} | {peak} | {measured} |"
        )
    return lines


def _growths(rows: list[Growth]) -> list[str]:
    lines = ["| cost against size | slope | 95% interval | wanted | sizes |", "|---|---|---|---|---|"]
    for row in rows:
        interval = "" if row.low is None else f"{row.low:.2f} to {row.high:.2f}"
        sizes = sorted(set(row.sizes))
        lines.append(
            f"| {row.what} | {row.exponent:.2f} | {interval} | {_wanted(row.exponent, row.target)} "
            f"| {sizes[0]:,.0f} to {sizes[-1]:,.0f}, {len(sizes)} sizes |"
        )
    return lines


def _facts(rows: list[Fact]) -> list[str]:
    lines = ["| figure | value | wanted |", "|---|---|---|"]
    return lines + [
        f"| {row.what} | {_figure(row.value)}{' ' + row.unit if row.unit else ''} "
        f"| {_wanted(row.value, row.target)} |"
        for row in rows
    ]


def _figure(value: float) -> str:
    if value != 0 and abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _wanted(value: float, target: str) -> str:
    met = meets(value, target)
    return "" if met is None else f"{target}: {'met' if met else 'not met'}"


def _tell_machine(report: Report) -> str:
    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return (
        f"On {machine['cores']} cores of {machine['processor']}, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}; {versions}."
    )
