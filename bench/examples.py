"""Run every example and write what it showed into its README and the top README's table.

The raw data is not part of the project: see each example's README for where to get it. From the top folder::

    python -m bench.examples
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXAMPLES = ("bpic2012", "x_education", "bank_marketing", "online_shoppers", "maven_crm_sales")
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def run_example(name: str) -> dict[str, Any]:
    """Run an example's pipeline and return its metrics."""
    code = "from propensity.cli import main; main()"
    params = ROOT / "examples" / name / "params.yaml"
    subprocess.run([sys.executable, "-c", code, "--params", str(params), "run"], check=True)
    metrics: dict[str, Any] = json.loads((params.parent / "reports" / "metrics.json").read_text())
    return metrics


def with_interval(report: dict[str, Any], name: str) -> str:
    """Return a figure with its interval."""
    value, interval = report[name], report[f"{name}_interval"]
    return f"{value:.3f}" if interval is None else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def row_of(name: str, report: dict[str, Any]) -> str:
    """Return a row of the table of figures."""
    figures = (with_interval(report, m) for m in ("auc", "log_loss", "ece", "lift_at_10"))
    return f"| {name} | {' | '.join(figures)} |"


def describe(metrics: dict[str, Any]) -> str:
    """Return one example's results as Markdown."""
    test, rule = metrics["test"], metrics["baselines"]["points_rule"]
    part = metrics["split"]["parts"]["test"]
    period = f"{part['from'][:10]} to {part['to'][:10]}" if part["from"] else f"by {metrics['split']['by']}"
    lines = [
        f"Test part: {test['n']:,} snapshots, {part['wins']:,} won, {period}. "
        f"Model: {metrics['model']['chosen']}, {metrics['model']['calibrator']} calibrator. 95% intervals.",
        "",
        "| | AUC | log-loss | ECE | lift in the top tenth |",
        "|---|---|---|---|---|",
        row_of("model", test),
        row_of("points rule", rule),
    ]
    lines += [
        row_of(f"model, {row['age_days']:.3g} days old, n {row['n']:,}", row) for row in metrics["by_age"]
    ]
    if metrics["recentred"] and not 0.9 <= metrics["recentred"]["as_scored"]["expected_over_observed"] <= 1.1:
        lines += ["", describe_recentring(metrics)]
    return "\n".join(lines)


def describe_recentring(metrics: dict[str, Any]) -> str:
    """Return what following the newest outcomes would make of a base rate that moves."""
    before, after = metrics["recentred"]["as_scored"], metrics["recentred"]["recentred"]
    calibrated, tested = metrics["calibrate"]["base_rate"], metrics["test"]["base_rate"]
    return (
        f"The base rate moves: {calibrated:.1%} won in the calibrate part and {tested:.1%} in the test part, "
        f"where {before['expected_over_observed']:.2f} wins are expected for each one seen. Re-centring the "
        f"intercept on the newest matured outcomes, walking through the test part "
        f"(n {metrics['recentred']['n']:,}), makes that {after['expected_over_observed']:.2f}; ECE "
        f"{with_interval(before, 'ece')} becomes {with_interval(after, 'ece')} and log-loss "
        f"{with_interval(before, 'log_loss')} becomes {with_interval(after, 'log_loss')}."
    )


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the table of all examples for the top README."""
    lines = [
        "| data | split | test n | won | AUC | points rule's AUC | ECE |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, metrics in results.items():
        test, rule = metrics["test"], metrics["baselines"]["points_rule"]
        lines.append(
            f"| [{name}](examples/{name}) | {metrics['split']['by']} | {test['n']:,} "
            f"| {test['base_rate']:.1%} | {with_interval(test, 'auc')} | {with_interval(rule, 'auc')} "
            f"| {with_interval(test, 'ece')} |"
        )
    return "\n".join(lines)


def fill(path: Path, content: str) -> None:
    """Put `content` between the markers of a Markdown file."""
    text = path.read_text(encoding="utf-8")
    filled = re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{content}\n{END}", text, flags=re.DOTALL)
    path.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    results = {name: run_example(name) for name in EXAMPLES}
    for name, metrics in results.items():
        fill(ROOT / "examples" / name / "README.md", describe(metrics))
    fill(ROOT / "README.md", table(results))
