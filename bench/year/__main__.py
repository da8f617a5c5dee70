"""Live through a simulated year with the product's own commands, and write docs/year.md.

From the top folder::

    python -m bench.year --out FOLDER                 # the year of the page, then what came of it
    python -m bench.year --out FOLDER --acting        # with somebody who acts on a feed's alarm
    python -m bench.year --out FOLDER --quiet         # a year in which nothing is planted
    python -m bench.year --out FOLDER --quick         # six weeks of few leads: does everything work
    python -m bench.year --page                       # docs/year.md and the picture, from bench/year/results

A year that was stopped goes on where it was. The folder must be the year's own; it takes about 200 MB.
Unless it is quick, a year that is finished leaves its figures in ``bench/year/results``.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.year.calendar import full_year, quick_year
from bench.year.drawing import draw_year
from bench.year.drive import live
from bench.year.page import tell_results, write_page
from bench.year.results import gather_results
from propensity.data.files import read_json, write_json, write_text

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
ORDER = ("year", "acting", "quiet")


def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.year", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="the year's folder")
    parser.add_argument("--seed", type=int, default=7, help="of the simulation")
    parser.add_argument("--weeks", type=int, help="live through so many weeks only")
    parser.add_argument("--page", action="store_true", help="write the page anew")
    kind = parser.add_mutually_exclusive_group()
    for name in ("quick", "quiet", "acting"):
        kind.add_argument(f"--{name}", action="store_true")
    given = parser.parse_args(sys.argv[1:] if argv is None else argv)
    if given.out is None and not given.page:
        parser.error("name the year's folder, --out, or write the page anew, --page")
    if given.out is not None:
        found = run(given)
        if not given.quick:
            name = "acting" if given.acting else "quiet" if given.quiet else "year"
            write_json(found, RESULTS / f"{name}.json")
    if given.page:
        write_documents()
    return 0


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Live through the year that was asked for; print what came of it."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    year = quick_year(given.seed) if given.quick else full_year(given.seed, quiet=given.quiet)
    if given.weeks is not None:
        year = replace(year, weeks=given.weeks)
    folder = given.out.resolve()
    live(year, folder, acting=given.acting)
    write_json(gather_results(year, folder), folder / "results.json")
    found: dict[str, Any] = read_json(folder / "results.json")
    print(tell_results({"year": found}))
    write_text(draw_year(found, name_checks(found)), folder / "year.svg")
    return found


def write_documents() -> None:
    """Write the generated part of docs/year.md and docs/year.svg from the stored figures."""
    years = read_years()
    write_page(tell_results(years), ROOT / "docs" / "year.md")
    write_text(draw_year(years["year"], name_checks(years["year"])), ROOT / "docs" / "year.svg")


def read_years() -> dict[str, Any]:
    """Return the stored figures of the years that were lived through."""
    paths = {name: RESULTS / f"{name}.json" for name in ORDER}
    return {name: read_json(path) for name, path in paths.items() if path.exists()}


def name_checks(found: dict[str, Any]) -> dict[str, str]:
    """Return the code and the name of every check that looked in some week, by code."""
    looked = {code: name for week in found["weeks"] for code, name in week["looked"].items()}
    return dict(sorted(looked.items()))


if __name__ == "__main__":
    sys.exit(main())
