"""The four parts: what they hold, and what must never stand on two sides."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.cohort.splits import (
    PARTS,
    check_parts,
    describe_parts,
    split_at_random,
    split_by_order,
    split_by_time,
    split_snapshots,
)
from propensity.errors import InputError
from propensity.params import SplitParams

SHARES = {"train": 0.55, "stop": 0.15, "calibrate": 0.15, "test": 0.15}


def daily(n: int, horizon: int = 3, group: list[str] | None = None) -> pd.DataFrame:
    created = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(n), unit="D")
    frame = pd.DataFrame({"created_at": created.as_unit("us"), "group": group or [f"g{i}" for i in range(n)]})
    return frame.assign(label_end=frame["created_at"] + pd.Timedelta(days=horizon))


def test_parts_are_in_time_with_gaps_as_long_as_the_labels():
    # 26 days, three gaps of 2 days (a label ending when a part begins is no overlap): 20 remain.
    snapshots = daily(26)
    split = split_by_time(snapshots, {"train": 0.4, "stop": 0.2, "calibrate": 0.2, "test": 0.2})
    days = {p: snapshots.index[split.part == p].tolist() for p in PARTS}
    assert [len(days[p]) for p in PARTS] == [8, 4, 4, 4]
    assert days["train"] == list(range(8))
    for earlier, later in pairwise(PARTS):
        assert days[later][0] - days[earlier][-1] == 3
    assert split.dropped == {"label reaches into the next part": 6}


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 15)), min_size=40, max_size=120),
    st.integers(0, 20),
)
def test_no_label_looks_into_a_later_part_and_no_group_stands_on_two_sides(rows, horizon):
    day, group = zip(*rows, strict=True)
    created = (pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(day, unit="D")).as_unit("us")
    snapshots = pd.DataFrame({"created_at": created, "group": [f"g{g}" for g in group]})
    snapshots["label_end"] = snapshots["created_at"] + pd.Timedelta(days=horizon)
    try:
        split = split_by_time(snapshots, SHARES)
    except InputError:
        return
    kept = snapshots.assign(part=split.part).dropna(subset="part")
    assert kept.groupby("group")["part"].nunique().max() == 1
    for i, earlier in enumerate(PARTS):
        later = kept[kept["part"].isin(PARTS[i + 1 :])]
        own = kept[kept["part"] == earlier]
        if len(own) and len(later):
            assert own["label_end"].max() <= later["created_at"].min()
    assert len(kept) + sum(split.dropped.values()) == len(snapshots)


def test_a_group_stays_in_the_part_it_first_appears_in():
    group = ["same" if i in (0, 28) else f"g{i}" for i in range(29)]
    split = split_by_time(daily(29, group=group), SHARES)
    assert split.part[0] == "train"
    assert pd.isna(split.part[28])
    assert split.dropped["group belongs to an earlier part"] == 1


def test_a_history_shorter_than_the_gaps_is_refused_with_the_remedy():
    with pytest.raises(InputError, match=r"too short.*horizon_days") as caught:
        split_by_time(daily(10, horizon=90), SHARES)
    assert caught.value.exit_code == 3


def test_order_follows_the_declared_column_not_the_rows():
    snapshots = pd.DataFrame({"order_key": [3.0, 0.0, 2.0, 1.0], "group": list("abcd")})
    split = split_by_order(snapshots, dict.fromkeys(PARTS, 0.25))
    assert split.part.tolist() == ["test", "train", "calibrate", "stop"]


def test_a_random_split_deals_whole_groups_and_does_not_depend_on_row_order():
    snapshots = pd.DataFrame({"group": [f"g{i % 50}" for i in range(200)]})
    split = split_at_random(snapshots, SHARES, seed=3)
    shuffled = snapshots.sample(frac=1, random_state=1)
    again = split_at_random(shuffled, SHARES, seed=3)
    pd.testing.assert_series_equal(split.part, again.part.sort_index())
    assert split.part.groupby(snapshots["group"]).nunique().max() == 1
    assert (split_at_random(snapshots, SHARES, seed=4).part != split.part).any()


def test_a_part_without_winners_is_refused_with_every_count():
    part = pd.Series([p for p in PARTS for _ in range(2)])
    won = pd.Series([True, False, True, False, True, False, False, False])
    with pytest.raises(InputError, match="test: 0 won and 2 not won"):
        check_parts(part, won)


def test_no_mature_snapshot_is_refused_with_the_remedy():
    empty = daily(0).assign(lead_id="a", account_id="a", won=True)
    with pytest.raises(InputError, match=r"no snapshot is mature.*horizon_days"):
        split_snapshots(empty, pd.DataFrame(), SplitParams(), seed=1)


def test_the_description_counts_what_each_part_holds():
    snapshots = daily(29).assign(lead_id=[f"l{i}" for i in range(29)], account_id=None, won=True)
    snapshots["as_of"] = snapshots["created_at"]
    snapshots.loc[::2, "won"] = False
    params = SplitParams(group="lead_id")
    split = split_snapshots(snapshots, pd.DataFrame(), params, seed=1)
    described = describe_parts(snapshots, split, params)
    train = described["parts"]["train"]
    assert train["snapshots"] == train["leads"] == (split.part == "train").sum()
    assert train["wins"] == snapshots.loc[split.part == "train", "won"].sum()
    assert train["from"] == pd.Timestamp("2024-01-01", tz="UTC")
    assert described["by"] == "time"
