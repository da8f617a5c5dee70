"""The bench of leads left alone: those it takes for unchanged have the behaviour of the night before."""

from __future__ import annotations

from dataclasses import replace

import ibis
import pandas as pd
import pytest
from bench.feature_tables import PLAN
from bench.open_leads import UNTIL, write_open_leads
from bench.unchanged import (
    STEPS,
    Night,
    build_changed,
    changed_leads,
    keep_state,
    kept_columns,
    open_night,
)

from propensity.features.build import build_features
from propensity.workspace import Workspace


@pytest.fixture(scope="module")
def night(nightly_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("night")
    write_open_leads(nightly_workspace.folder, folder, leads=300, events_per_lead=4)
    opened = open_night(folder)
    return replace(opened, plan=replace(PLAN, assets={"web": ["home"]}))


def behaviour(night: Night, before_us: int) -> pd.DataFrame:
    """Build the kept features of the night as of so many microseconds before it, by lead."""
    moved = night.spine.mutate(as_of=night.spine.as_of - ibis.interval(microseconds=before_us))
    built = build_features(moved, night.leads, night.plan, events=night.events)
    frame = night.con.to_pyarrow(built).to_pandas().set_index("lead_id").sort_index()
    return frame[[name.strip('"') for name in kept_columns(night.plan)]]


@pytest.mark.parametrize("step_us", STEPS.values(), ids=STEPS)
def test_leads_that_are_taken_for_unchanged_have_the_same_behaviour_to_the_bit(
    night: Night, step_us: int
) -> None:
    now, before = behaviour(night, 0), behaviour(night, step_us)
    changed = {lead for (lead,) in night.con.con.execute(changed_leads(night, step_us)).fetchall()}
    same = ~now.index.isin(changed)
    assert 0.1 < same.mean() < 0.9
    pd.testing.assert_frame_equal(now[same], before[same], check_exact=True)
    differs = ~((now == before) | (now.isna() & before.isna())).all(axis=1)
    assert differs.sum() > 0.3 * len(changed)


def test_an_event_that_is_corrected_or_comes_late_makes_its_lead_change(night: Night) -> None:
    state = night.folder / "state.parquet"
    changed = keep_state(night, STEPS["whole days apart"], state)
    kept = pd.read_parquet(state)
    same = kept.loc[kept["valid_until"] > pd.Timestamp(UNTIL), "lead_id"]
    whole = pd.read_parquet(night.folder / "data" / "events.parquet")
    read = whole["type"].isin([t for types in PLAN.event_types.values() for t in types])
    of_same = whole.index[read & whole["lead_id"].isin(same)]
    edited = whole.copy()
    edited.loc[of_same[0], "asset"] = "corrected"
    edited = edited.drop(
        index=next(i for i in of_same if whole.at[i, "lead_id"] != whole.at[of_same[0], "lead_id"])
    )
    edited.to_parquet(night.folder / "data" / "events.parquet")
    try:
        build_changed(night, state)
        ((found,),) = night.con.con.execute("SELECT count(*) FROM changed_spine").fetchall()
    finally:
        whole.to_parquet(night.folder / "data" / "events.parquet")
    assert found == changed + 2
