"""The four parts: what they hold, and what must never stand on two sides."""

from __future__ import annotations

import logging
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


# --- Immature snapshots with weights -----------------------------------------------------------------

WAIT = st.one_of(st.none(), st.integers(1, 40))
a_snapshot = st.tuples(st.integers(0, 300), st.integers(0, 80), st.sampled_from([0.0, 3.0]), WAIT)


def snapshots_of(rows, horizon=10):
    """Snapshots from (day of creation, group, age, days from the snapshot to its lead's closing)."""
    day, group, age, wait = zip(*rows, strict=True)
    start = pd.Timestamp("2024-01-01", tz="UTC").as_unit("us")
    frame = pd.DataFrame({"created_at": start + pd.to_timedelta(pd.Series(day), unit="D"), "age_days": age})
    frame["group"] = [f"g{g}" for g in group]
    frame["as_of"] = frame["created_at"] + pd.to_timedelta(frame["age_days"], unit="D")
    frame["closed_at"] = frame["as_of"] + pd.to_timedelta(pd.Series(wait, dtype="float64"), unit="D")
    return frame.assign(label_end=frame["as_of"] + pd.Timedelta(days=horizon))


def split_both_ways(snapshots):
    try:
        return tuple(split_by_time(snapshots, SHARES, weigh_immature=weigh) for weigh in (False, True))
    except InputError:
        return None


def test_what_is_decided_before_the_part_ends_stays_and_stands_for_what_is_not():
    # One lead a day; every second one is closed after two days. Train ends when stop begins, and of the nine
    # snapshots before that whose window of ten days reaches over it, the closed ones stay but for the last.
    rows = [(day, day, 0.0, 2 if day % 2 else None) for day in range(120)]
    left_out, weighed = split_both_ways(snapshots_of(rows))
    end = (weighed.part == "stop").idxmax()
    added = weighed.part.notna() & left_out.part.isna()
    train = added & (weighed.part == "train")
    assert train.index[train].tolist() == [d for d in range(end - 9, end - 1) if d % 2]
    undecided = sum(weighed.weighting[p]["undecided"] for p in ("train", "stop"))
    assert weighed.dropped["undecided when the next part begins"] == undecided > 0
    assert weighed.weighting["train"]["immature"] == train.sum()
    # A closed lead was sure to be seen if it was taken in two days before the end; an open one needed ten.
    heavy = weighed.weight[(weighed.part == "train") & (weighed.part.index % 2 == 0)].unique()
    light = weighed.weight[(weighed.part == "train") & (weighed.part.index % 2 == 1)].unique()
    assert len(heavy) == len(light) == 1
    assert heavy[0] > light[0]


@given(st.lists(a_snapshot, min_size=60, max_size=200))
def test_weights_touch_the_fitted_parts_only(rows):
    snapshots = snapshots_of(rows)
    both = split_both_ways(snapshots)
    if both is None:
        return
    left_out, weighed = both
    for part in ("calibrate", "test"):
        pd.testing.assert_series_equal(left_out.part == part, weighed.part == part)
        assert (weighed.weight[weighed.part == part] == 1).all()
    stayed = left_out.part.notna()
    pd.testing.assert_series_equal(left_out.part[stayed], weighed.part[stayed])
    assert (left_out.weight == 1).all()
    for part in weighed.weighting:
        assert weighed.weight[weighed.part == part].mean() == pytest.approx(1)
    assert weighed.part.notna().sum() + sum(weighed.dropped.values()) == len(snapshots)


@given(st.lists(a_snapshot, min_size=60, max_size=200))
def test_with_weights_too_no_part_knows_what_comes_later_and_no_group_stands_in_two(rows):
    snapshots = snapshots_of(rows)
    both = split_both_ways(snapshots)
    if both is None:
        return
    kept = snapshots.assign(part=both[1].part).dropna(subset="part")
    assert kept.groupby("group")["part"].nunique().max() == 1
    decided = kept[["label_end", "closed_at"]].min(axis=1)
    for i, part in enumerate(PARTS[:-1]):
        later = kept[kept["part"].isin(PARTS[i + 1 :])]
        if len(later):
            assert (decided[kept["part"] == part] <= later["created_at"].min()).all()


def test_a_group_with_final_labels_in_a_later_part_is_not_drawn_into_an_earlier_one():
    rows = [(day, day, 0.0, 2) for day in range(120)]
    _, before = split_both_ways(snapshots_of(rows))
    last = (before.part == "stop").idxmax() - 3
    rows.append((110, last, 0.0, 2))
    left_out, weighed = split_both_ways(snapshots_of(rows))
    assert before.part[last] == "train"
    assert pd.isna(weighed.part[last])
    assert left_out.part[120] == weighed.part[120] == "test"


def test_weights_without_a_window_have_no_effect_and_say_so(caplog):
    snapshots = daily(29).assign(lead_id=[f"l{i}" for i in range(29)], account_id=None, won=True)
    snapshots.loc[::2, "won"] = False
    snapshots["label_end"] = pd.Series(pd.NaT, index=snapshots.index, dtype="datetime64[us, UTC]")
    with caplog.at_level(logging.INFO):
        split = split_snapshots(
            snapshots, pd.DataFrame(), SplitParams(group="lead_id"), seed=1, immature="weight"
        )
    assert (split.weight == 1).all()
    assert split.weighting == {}
    assert "has no effect" in caplog.text
    assert "not dated" in caplog.text


def test_the_description_shows_the_weights():
    rows = [(day, day, 0.0, 2 if day % 2 else None) for day in range(120)]
    snapshots = snapshots_of(rows).assign(lead_id=[f"l{d}" for d in range(120)], account_id=None)
    snapshots["won"] = snapshots["closed_at"].notna()
    params = SplitParams(group="lead_id")
    split = split_snapshots(snapshots, pd.DataFrame(), params, seed=1, immature="weight")
    parts = describe_parts(snapshots, split, params)["parts"]
    assert parts["train"]["weights"]["immature"] == 4
    assert parts["train"]["weights"]["effective"] < parts["train"]["snapshots"]
    assert "weights" not in parts["test"]
