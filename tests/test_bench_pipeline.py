"""The bench of the nightly job: what it scores, and what it says of the parts."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pandas as pd
import pytest
from bench.nights import Night, Sums, run_night
from bench.open_leads import UNTIL, write_open_leads
from bench.pipeline import INNER, PARTS, grow_nights, tell_memory, tell_shares

from propensity.data.timing import timed
from propensity.workspace import Workspace


@pytest.fixture(scope="module")
def open_leads(nightly_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of 400 open leads, made from the interim tables of the small nightly one."""
    folder = tmp_path_factory.mktemp("open")
    write_open_leads(nightly_workspace.folder, folder, leads=400, events_per_lead=5, active_days=10)
    return folder


def test_every_lead_that_is_made_is_open_and_has_its_events_between_creation_and_the_end(
    open_leads: Path,
) -> None:
    leads, events, outcomes = (
        pd.read_parquet(open_leads / "data" / f"{name}.parquet") for name in ("leads", "events", "outcomes")
    )
    assert leads["lead_id"].nunique() == len(leads) == 400
    assert set(outcomes["status"]) == {"open"}
    assert set(outcomes["lead_id"]) == set(leads["lead_id"])
    assert len(events) == 2000
    joined = events.merge(leads[["lead_id", "created_at"]], on="lead_id", validate="many_to_one")
    assert len(joined) == 2000
    assert (joined["created_at"] <= joined["event_at"]).all()
    assert (joined["event_at"] <= joined["known_at"]).all()
    assert (joined["known_at"] <= pd.Timestamp(UNTIL)).all()
    assert ((joined["event_at"] - joined["created_at"]) <= pd.Timedelta(days=10)).all()


def test_a_night_scores_all_of_them_and_says_what_every_part_took(open_leads: Path) -> None:
    night = run_night(open_leads)
    assert night.leads == 400
    assert set(night.parts) == set(PARTS)
    assert all(seconds > 0 for seconds in night.parts.values())
    assert night.peak > 50e6
    assert json.loads((open_leads / "scores" / "run.json").read_text())["leads"]["scored"] == 400
    shares = tell_shares(night)
    assert sum(share.value for share in shares) == pytest.approx(1)
    assert all(share.value > 0 for share in shares)


def test_the_share_of_a_part_leaves_out_the_parts_within_it() -> None:
    """By hand: of 10 seconds 5 are scores, and of these 2 and 1 are told apart; 2 lie in no part."""
    assert INNER == {"scores": ("contributions", "sentences")}
    parts = {"ingest": 3.0, "scores": 5.0, "contributions": 2.0, "sentences": 1.0}
    told = {fact.what.split(": ", 1)[1]: fact.value for fact in tell_shares(Night(50, 10.0, 0.0, parts))}
    assert list(told.items()) == [
        (PARTS["ingest"], 0.3),
        (PARTS["scores"], 0.2),
        (PARTS["contributions"], 0.2),
        (PARTS["sentences"], 0.1),
        ("start and what is between the parts", 0.2),
    ]


def test_the_slope_that_is_held_to_a_bound_is_of_sizes_at_which_the_work_is_most() -> None:
    """Five seconds of start hide that the work grows with the square of the leads."""
    nights = [Night(n, 5 + (n / 1e5) ** 2, 0.0) for n in (10_000, 20_000, 1_000_000, 10_000_000)]
    large, whole = grow_nights(nights)
    assert large.target == "<= 1.05"
    assert large.sizes == [1_000_000, 10_000_000]
    assert large.exponent == pytest.approx(2, abs=0.05)
    assert whole.target == ""
    assert whole.exponent < 1.7
    assert [growth.target for growth in grow_nights(nights[:2])] == [""]


def test_seconds_and_memory_are_medians_of_a_sizes_runs() -> None:
    facts = tell_memory([Night(10, s, s * 1024 * 1024) for s in (1.0, 9.0, 2.0)])
    assert [(fact.value, fact.unit) for fact in facts] == [(2.0, "s"), (2.0, "MB")]


def test_what_a_part_takes_is_said_to_who_asks() -> None:
    sums, logger = Sums(), logging.getLogger("propensity.timing")

    @timed("called")
    def call() -> int:
        return 3

    assert call() == 3
    logger.addHandler(sums)
    logger.setLevel(logging.DEBUG)
    try:
        for _ in range(2):
            with timed("block"):
                assert call() == 3
    finally:
        logger.removeHandler(sums)
        logger.setLevel(logging.NOTSET)
    assert set(sums.seconds) == {"block", "called"}
    assert sums.seconds["block"] > sums.seconds["called"] > 0
