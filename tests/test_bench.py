"""The benchmarks' framework: ratios, slopes, the page's sections, and what a check lets pass."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from bench.__main__ import PAGE, RESULTS
from bench.checking import compare_reports
from bench.registry import BENCHES
from bench.reports import Fact, Report, compare_with, grow, meets, read_report, write_report, write_section
from bench.slopes import fit_slope
from bench.timing import Contender, Timing, alternate, ratio_of
from bench.workers import Worker

ECHO = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    print("loading")
    print(json.dumps({"seconds": asked["rows"] / 10, "peak": 7.0}), flush=True)
"""


def make_report(ratio: float = 2.0, *, target: str = "", gap: float = 0.0) -> Report:
    timings = {"ours": Timing([ratio], 1.0), "theirs": Timing([1.0], 1.0)}
    return Report(
        "Title",
        "What was measured.",
        "python -m bench x",
        compare_with("rows", timings, "theirs", targets={"ours": target}),
        [grow("rows", [1, 10, 100], [1, 10, 100])],
        [Fact("largest gap", gap, "", "<= 1e-10")],
        versions={"numpy": "0"},
    )


def test_a_ratio_is_the_median_of_the_rounds_per_unit_of_work() -> None:
    """By hand: 2, 4 and 12 seconds for 2 units beside 1, 1 and 2 seconds for 1: ratios 1, 2 and 3."""
    found = ratio_of(Timing([2.0, 4.0, 12.0], 2.0), Timing([1.0, 1.0, 2.0], 1.0))
    assert (found.middle, found.low, found.high) == (2.0, 1.0, 3.0)


def test_contenders_take_turns_and_each_goes_first_once() -> None:
    order: list[str] = []
    names = ["a", "b", "c"]
    timings = alternate({n: Contender(lambda n=n: order.append(n)) for n in names}, rounds=2, warm=1)
    assert order == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert [len(t.seconds) for t in timings.values()] == [2, 2, 2]


def test_memory_beyond_what_was_held_is_told() -> None:
    kept = np.ones(4_000_000)
    held = alternate({"a": Contender(lambda: (kept * 2).sum())}, rounds=1, warm=0)["a"].peak
    assert held > 0.9 * kept.nbytes
    if Path("/proc/self/clear_refs").exists():
        assert held < 3 * kept.nbytes


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_a_slope_is_the_exponent(exponent: float) -> None:
    sizes = [10.0, 100.0, 1000.0, 10000.0]
    found = fit_slope(sizes, [3 * s**exponent for s in sizes])
    assert found.exponent == pytest.approx(exponent)
    assert found.low == pytest.approx(exponent) == pytest.approx(found.high)


def test_a_slope_takes_two_sizes() -> None:
    with pytest.raises(ValueError, match="two sizes or more"):
        fit_slope([10, 10], [1, 2])


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_report(make_report(), tmp_path / "x.json")
    assert read_report(tmp_path / "x.json") == make_report()


def test_a_section_takes_the_place_of_the_earlier_one_and_leaves_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\nText.\n", encoding="utf-8")
    write_section(make_report(2.0), "x", page)
    write_section(make_report(5.0), "other", page)
    write_section(make_report(3.0, target="<= 1.5"), "x", page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Page\n\nText.\n")
    assert text.count("## Title") == 2
    assert "| ours | 3 | 3 to 3 | <= 1.5: not met |" in text
    assert "| ours | 2 |" not in text
    assert "| ours | 5 |" in text


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [("<= 1.5", 1.5, True), ("<= 1.5", 1.6, False), (">= 30", 31, True), ("", 1, None)],
)
def test_a_target_is_met_or_not(target: str, value: float, met: bool | None) -> None:
    assert meets(value, target) is met


def test_a_check_lets_noise_pass_and_stops_what_is_worse() -> None:
    stored = make_report(2.0)
    assert compare_reports(make_report(2.5), stored, 0.3) == []
    assert compare_reports(make_report(2.7), stored, 0.3) == ["rows, ours: 2.7 times theirs, stored 2"]
    peer = make_report(40.0, target=">= 30")
    assert compare_reports(make_report(60.0, target=">= 30"), peer, 0.3) == []
    assert len(compare_reports(make_report(20.0, target=">= 30"), peer, 0.3)) == 1


def test_a_check_stops_at_what_was_not_measured_and_at_a_gap() -> None:
    stored, none = make_report(), dataclasses.replace(make_report(), comparisons=[], growths=[])
    told = compare_reports(none, stored, 0.3)
    assert [t.split(":")[0] for t in told] == ["rows, ours", "rows, theirs", "rows"]
    assert compare_reports(make_report(gap=1e-9), stored, 0.3) == ["largest gap: 1e-09, wanted <= 1e-10"]


def test_a_peers_process_is_asked_turn_by_turn() -> None:
    with Worker([sys.executable, "-c", ECHO], threads=1) as worker:
        timings = alternate({"peer": worker.contend(units=20, rows=20)}, rounds=2)
    assert timings["peer"].per_unit == [0.1, 0.1]
    assert timings["peer"].peak == 7.0


def test_a_peers_process_that_ends_is_told_with_what_it_said() -> None:
    with (
        Worker([sys.executable, "-c", "raise SystemExit('no such model')"], threads=1) as worker,
        pytest.raises(RuntimeError, match="no such model"),
    ):
        worker.ask(rows=1)


@pytest.mark.parametrize("name", list(BENCHES))
def test_a_registered_bench_can_be_asked(name: str) -> None:
    module = importlib.import_module(BENCHES[name])
    assert module.__doc__
    assert callable(module.measure)
    assert callable(module.add_options)


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda p: p.stem)
def test_stored_figures_are_those_on_the_page(path: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    write_section(read_report(path), path.stem, page)
    assert page.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8"))["machine"]["cores"] >= 1
