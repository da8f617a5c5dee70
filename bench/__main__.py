"""Run a benchmark beside its peers, write its figures, or hold them against the stored ones.

::

    python -m bench NAME [OPTIONS OF THE BENCH]
    python -m bench --check NAME
    python -m bench --tables

A run writes ``bench/results/NAME.json`` and the section of NAME in ``docs/performance.md``. With ``--check``
nothing is written: the ratios are measured again, and the exit code is 1 if one is worse than the stored one
by more than the tolerance. ``--tables`` writes all sections anew from the stored results.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import shlex
import sys
from pathlib import Path
from types import ModuleType

from bench.checking import compare_reports
from bench.registry import BENCHES
from bench.reports import Report, read_report, tell_report, write_report, write_section

FOLDERS = {"--folder", "--environments", "--out"}
ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "bench" / "results", ROOT / "docs" / "performance.md"


def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks for; return the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", choices=list(BENCHES))
    parser.add_argument("--check", action="store_true", help="compare with the stored ratios, write nothing")
    parser.add_argument(
        "--tolerance", type=float, default=0.3, help="how much worse a ratio may be, as a share"
    )
    parser.add_argument("--tables", action="store_true", help="write the page anew from the stored results")
    given, rest = parser.parse_known_args(arguments)
    if given.tables:
        for name in BENCHES:
            if (RESULTS / f"{name}.json").exists():
                write_section(read_report(RESULTS / f"{name}.json"), name, PAGE)
        return 0
    stored = RESULTS / f"{given.name}.json"
    if given.check and not stored.exists():
        parser.error(f"there are no stored figures of {given.name}; run it without --check first")
    if given.name is None:
        parser.error(f"name one of {', '.join(BENCHES)}, or --tables")
    report = measure(importlib.import_module(BENCHES[given.name]), given.name, rest)
    print(tell_report(report))
    if given.check:
        problems = compare_reports(report, read_report(stored), given.tolerance)
        print(
            "\n".join(problems)
            or f"no figure is worse than the stored one by more than {given.tolerance:.0%}"
        )
        return 1 if problems else 0
    write_report(report, stored)
    write_section(report, given.name, PAGE)
    return 0


def measure(module: ModuleType, name: str, arguments: list[str]) -> Report:
    """Read a bench's own options and run it."""
    parser = argparse.ArgumentParser(
        prog=f"python -m bench {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_options(parser)
    report: Report = module.measure(parser.parse_args(arguments))
    return dataclasses.replace(report, command=shlex.join(["python", "-m", "bench", name, *told(arguments)]))


def told(arguments: list[str]) -> list[str]:
    """Return the arguments without folders, which are of this machine."""
    pairs = zip(["", *arguments], arguments, strict=False)
    return [this for before, this in pairs if not {before, this} & FOLDERS]


if __name__ == "__main__":
    sys.exit(main())
