"""What the audit finds: in exports started by ``propensity init``, in simulated leads, in permuted outcomes.

The real data is not part of the project: see each example's README for where to get it. From the top folder::

    python -m bench.audit real
    python -m bench.audit simulated --leads 2000 20000 200000
    python -m bench.audit permuted --leads 20000
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from propensity.data.bookkeeping import LEAK_COLUMNS
from propensity.data.simulate import simulate, write_simulation
from propensity.stages import STAGES, audit_findings
from propensity.workspace import open_workspace

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
TEMPLATE = ROOT / "params.yaml"


@dataclass(frozen=True)
class Export:
    """Raw files, the example written by hand for them, and the columns and event types known to be traps."""

    example: str
    files: tuple[str, ...]
    traps: tuple[str, ...]


EXPORTS = (
    Export(
        "x_education",
        ("x_education/Leads.csv",),
        (
            *("Tags", "Lead Quality", "Lead Profile", "Last Activity", "Last Notable Activity"),
            *(f"Asymmetrique {of} {kind}" for of in ("Activity", "Profile") for kind in ("Index", "Score")),
        ),
    ),
    Export("bank_marketing", ("uci_bank_marketing/bank-additional-full.csv",), ("duration", "pdays")),
    Export("online_shoppers", ("uci_online_shoppers/online_shoppers_intention.csv",), ("PageValues",)),
    Export("maven_crm_sales", ("maven_crm_sales/sales_pipeline.csv",), ("close_value", "close_date")),
    Export(
        "bpic2012",
        (
            "bpic2012/leads.csv",
            *("--events", "bpic2012/events.csv.gz"),
            *("--outcomes", "bpic2012/outcomes.csv"),
        ),
        (
            *("A_APPROVED", "A_REGISTERED", "A_ACTIVATED", "A_DECLINED", "A_CANCELLED"),
            *("O_ACCEPTED", "O_DECLINED"),
        ),
    ),
)


def compare_real() -> None:
    """Start each raw export with ``init``, run it unedited, and set it beside the example."""
    print("| data | traps named (issues) | issues on other columns | AUC from init alone | the example's |")
    print("|---|---|---|---|---|")
    for export in EXPORTS:
        with tempfile.TemporaryDirectory() as folder:
            told = call(
                Path(folder), "init", *(f if f.startswith("--") else str(SHARED / f) for f in export.files)
            )
            call(Path(folder), "run")
            started = read_metrics(Path(folder))
        named = set(re.findall(r"^ +PRP\d+ ([^:]+):", told, flags=re.MULTILINE))
        named |= {t for t in export.traps if re.search(rf"^ .*'{re.escape(t)}'", told, flags=re.MULTILINE)}
        issues = {f["subject"] for f in started["audit"] if f["result"] == "issue" and f["subject"]}
        issues |= {
            t for t in export.traps if re.search(rf"^ +PRP\d+ {re.escape(t)}:", told, flags=re.MULTILINE)
        }
        traps = set(export.traps)
        others = sorted(issues - traps - {"account_id"})
        found = f"{len(traps & named)} of {len(traps)} ({len(traps & issues)})"
        aucs = f"{auc_of(started)} | {auc_of(example_metrics(export.example))}"
        print(f"| {export.example} | {found} | {', '.join(others) or 'none'} | {aucs} |", flush=True)


def count_simulated(sizes: list[int], seed: int) -> None:
    """Look for the planted leaks in simulated leads of several numbers."""
    print("| leads | planted leaks found | issues on honest columns or event types | audit, seconds |")
    print("|---|---|---|---|")
    for n_leads in sizes:
        with tempfile.TemporaryDirectory() as folder:
            made = simulate(n_leads, seed)
            findings, seconds = audit_simulated(Path(folder), made)
        issues = {f.subject for f in findings if f.result == "issue"}
        others = sorted(str(s) for s in issues - set(LEAK_COLUMNS))
        found = f"{len(issues & set(LEAK_COLUMNS))} of {len(LEAK_COLUMNS)}"
        print(f"| {n_leads:,} | {found} | {', '.join(others) or 'none'} | {seconds:.0f} |", flush=True)


def run_permuted(n_leads: int, seed: int) -> None:
    """Deal the outcomes anew among the leads and run the whole pipeline."""
    made = simulate(n_leads, seed)
    with tempfile.TemporaryDirectory() as folder:
        place(Path(folder), made)
        permuted = permute_outcomes(made.outcomes, made.leads, made.observed_until, seed)
        permuted.to_csv(Path(folder) / "data" / "raw" / "outcomes.csv", index=False)
        call(Path(folder), "run")
        metrics = read_metrics(Path(folder))
    stopping = sum(f["result"] == "issue" and f["severity"] == "blocking" for f in metrics["audit"])
    print(f"{n_leads:,} leads, outcomes permuted: {stopping} blocking findings, AUC {auc_of(metrics)}")


def permute_outcomes(
    outcomes: pd.DataFrame, leads: pd.DataFrame, observed_until: pd.Timestamp, seed: int
) -> pd.DataFrame:
    """Give each lead the status and the days to the close of another; a close after the data's end is open.

    `outcomes` and `leads` are in the same order.
    """
    order = np.random.default_rng(seed).permutation(len(outcomes))
    waited = (outcomes["closed_at"] - leads["created_at"]).iloc[order].to_numpy()
    closed_at = leads["created_at"] + waited
    dealt = outcomes.iloc[order].reset_index(drop=True)
    dealt = dealt.assign(lead_id=outcomes["lead_id"], closed_at=closed_at)
    late = (closed_at > observed_until).to_numpy()
    dealt.loc[late, "status"] = "open"
    dealt.loc[late, ["closed_at", "amount", "reason"]] = None
    return dealt


def audit_simulated(folder: Path, made: Any) -> tuple[list[Any], float]:
    """Run the stages up to the audit; return its findings and its seconds."""
    place(folder, made)
    workspace = open_workspace(folder / "params.yaml")
    for name in list(STAGES)[: list(STAGES).index("audit")]:
        STAGES[name](workspace)
    began = time.perf_counter()
    return audit_findings(workspace), time.perf_counter() - began


def place(folder: Path, made: Any) -> None:
    """Write a simulation and the template's params."""
    write_simulation(made, folder / "data" / "raw")
    (folder / "params.yaml").write_bytes(TEMPLATE.read_bytes())


def call(folder: Path, *arguments: str) -> str:
    """Run the command line in a folder and return what it prints."""
    command = [sys.executable, "-c", "from propensity.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return a workspace's metrics."""
    metrics: dict[str, Any] = json.loads((folder / "reports" / "metrics.json").read_text())
    return metrics


def example_metrics(name: str) -> dict[str, Any]:
    """Return an example's metrics, running it if it has none."""
    folder = ROOT / "examples" / name
    if not (folder / "reports" / "metrics.json").exists():
        call(folder, "run")
    return read_metrics(folder)


def auc_of(metrics: dict[str, Any]) -> str:
    """Return the AUC of the test part with its interval and n."""
    low, high = metrics["test"]["auc_interval"]
    return f"{metrics['test']['auc']:.3f} [{low:.3f}, {high:.3f}], n {metrics['test']['n']:,}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["real", "simulated", "permuted"])
    parser.add_argument("--leads", type=int, nargs="+", default=[2000, 20_000])
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    if asked.what == "real":
        compare_real()
    elif asked.what == "simulated":
        count_simulated(asked.leads, asked.seed)
    else:
        run_permuted(asked.leads[0], asked.seed)
