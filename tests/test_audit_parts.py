"""Parts of the split that share a lead, an account, equal rows, or a stretch of time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit_records import ask, check_of, make_records
from ingest_cases import REAL
from propensity.audit.parts import CHECKS
from propensity.audit.records import Records
from propensity.cohort.splits import PARTS

SHARED, TWINS, OVERLAP = (check_of(CHECKS, code) for code in ("PRP601", "PRP602", "PRP603"))
START = pd.Timestamp("2024-01-01", tz="UTC")


def days(values: Any) -> pd.Series[pd.Timestamp]:
    return pd.Series(START + pd.to_timedelta(np.asarray(values, dtype=float), unit="D")).dt.as_unit("us")


def parted(**changed: Any) -> Records:
    """Forty leads, one a day, ten in each part; labels reach half a day."""
    created = days(np.arange(40))
    records = make_records(
        {}, ["won", "lost"] * 20, created_at=created, split_by=changed.pop("split_by", "time")
    )
    snapshots = pd.DataFrame(
        {
            "lead_id": records.leads["lead_id"],
            "account_id": pd.Series([None] * 40, dtype="str"),
            "created_at": created,
            "as_of": created,
            "label_end": days(np.arange(40) + 0.5),
            "part": np.repeat(PARTS, 10),
        }
    )
    return replace(records, snapshots=snapshots.assign(**changed))


def test_a_lead_in_two_parts_stops_a_run():
    records = parted()
    leads = records.snapshots["lead_id"].mask(records.snapshots.index == 39, "L000000")
    (found,) = ask(SHARED, parted(lead_id=leads))
    assert (found.severity, found.subject, found.stops) == ("blocking", "lead_id", True)
    assert found.evidence == {
        "shared": 1, "groups": 39, "share": 1 / 39, "snapshots": 2, "examples": "'L000000'",
    }  # fmt: skip


@pytest.mark.parametrize(("group", "severity"), [("account_id", "blocking"), ("lead_id", "warning")])
def test_an_account_in_two_parts_is_as_grave_as_the_split_says(group: Any, severity: str):
    accounts = pd.Series([f"A{i // 4}" for i in range(40)])  # A2 and A7 stand in two parts
    (found,) = ask(SHARED, replace(parted(account_id=accounts), group=group))
    assert (found.result, found.severity, found.subject) == ("issue", severity, "account_id")
    assert (found.evidence["shared"], found.evidence["groups"], found.evidence["snapshots"]) == (2, 10, 8)
    assert found.evidence["examples"] == "'A2', 'A7'"


def test_parts_that_share_nothing_pass_with_the_number_of_leads():
    (found,) = ask(SHARED, parted(account_id=pd.Series([f"A{i // 5}" for i in range(40)])))
    assert (found.result, found.evidence) == ("passed", {"leads": 40, "accounts": 8})


def test_snapshots_that_belong_to_no_part_share_nothing():
    leads = parted().snapshots["lead_id"].mask(parted().snapshots.index == 39, "L000000")
    parts = pd.Series(np.repeat(PARTS, 10)).mask(pd.Series(range(40)) == 39)
    (found,) = ask(SHARED, parted(lead_id=leads, part=parts))
    assert found.result == "passed"


@pytest.mark.parametrize("check", CHECKS)
def test_without_parts_nothing_applies(check):
    (found,) = ask(check, parted(part=pd.Series([None] * 40, dtype="str")))
    assert found.result == "not applicable"


def tabled(columns: dict[str, Any], parts: Any, **more: Any) -> Records:
    """Records whose training table holds the columns as features, every lead won."""
    records = make_records(columns, ["won"] * len(parts), **more)
    table = pd.DataFrame(
        {"lead_id": records.leads["lead_id"], "as_of": pd.NaT, "split": parts, "won": True, "weight": 1.0}
    )
    return replace(records, table=table.assign(**columns))


def test_a_copy_in_another_part_is_named_with_its_share():
    value = np.arange(100) + 0.5
    value[99] = value[0]
    (found,) = ask(TWINS, tabled({"size": value}, np.repeat(["train", "test"], 50)))
    assert (found.result, found.severity) == ("issue", "warning")
    assert found.evidence == {
        "rows": 100, "twins": 2, "twin_share": 0.02, "sets": 1, "sets_across": 1, "rows_across": 2,
        "sets_expected": 0.5,
    }  # fmt: skip
    assert "2 of 100 rows (2.0%) equal a row of another lead, 2 of them one in another part" in found.message


def test_a_copy_within_a_part_passes():
    value = np.arange(100) + 0.5
    value[49] = value[0]
    (found,) = ask(TWINS, tabled({"size": value}, np.repeat(["train", "test"], 50)))
    assert (found.result, found.evidence["twins"], found.evidence["sets_across"]) == ("passed", 2, 0)


@pytest.mark.parametrize("difference", ["won", "created_at", "an attribute that is no feature"])
def test_rows_that_differ_in_anything_known_are_no_copies(difference: str):
    parts = np.repeat(["train", "test"], 50)
    value = np.arange(100) + 0.5
    value[99] = value[0]
    records = tabled({"size": value}, parts, created_at=days(np.zeros(100)))
    if difference == "won":
        records = replace(records, table=records.table.assign(won=np.arange(100) < 99))
    elif difference == "created_at":
        records = replace(records, leads=records.leads.assign(created_at=days(np.arange(100))))
    else:
        leads = records.leads.assign(city=["Delft"] * 99 + ["Ghent"])
        records = replace(records, leads=leads, attributes={"size": "number", "city": "text"})
    assert [f.result for f in ask(TWINS, records)] == ["passed"]


def test_ids_among_the_attributes_do_not_hide_a_copy():
    value = np.arange(100) + 0.5
    value[99] = value[0]
    records = tabled({"size": value}, np.repeat(["train", "test"], 50))
    leads = records.leads.assign(number=np.arange(100.0), uuid=[f"u{i}" for i in range(100)])
    attributes: Any = {"size": "number", "number": "number", "uuid": "text"}
    (found,) = ask(TWINS, replace(records, leads=leads, attributes=attributes))
    assert found.result == "issue"


def test_equal_rows_of_a_table_of_few_values_are_no_wonder():
    rng = np.random.default_rng(4)
    columns = {"a": rng.integers(0, 20, 2000) * 1.0, "b": rng.integers(0, 20, 2000) * 1.0}
    (found,) = ask(TWINS, tabled(columns, rng.permutation(np.repeat(PARTS, 500))))
    assert (found.result, found.evidence["twin_share"] > 0.9) == ("passed", True)
    assert found.evidence["sets_across"] == pytest.approx(found.evidence["sets_expected"], rel=0.1)


def test_more_of_them_across_parts_than_a_random_deal_gives_is_an_issue():
    value = np.tile(np.arange(200) + 0.5, 2)  # every row of train stands in test once more
    (found,) = ask(TWINS, tabled({"size": value}, np.repeat(["train", "test"], 200)))
    assert (found.result, found.evidence["sets_across"], found.evidence["sets_expected"]) == (
        "issue",
        200,
        100,
    )


def test_parts_that_follow_each_other_pass():
    (found,) = ask(OVERLAP, parted())
    assert (found.result, found.evidence) == ("passed", {"snapshots": 40})


def test_a_label_that_ends_as_the_next_part_begins_does_not_overlap():
    (found,) = ask(OVERLAP, parted(label_end=days(np.arange(40) + 1.0)))
    assert found.result == "passed"


def test_a_label_that_reaches_into_the_next_part_stops_a_run():
    reach = np.full(40, 0.5)
    reach[8:10] = 2.5  # the labels of days 8 and 9 end at 10.5 and 11.5; stop begins at day 10
    (found,) = ask(OVERLAP, parted(label_end=days(np.arange(40) + reach)))
    assert (found.severity, found.subject, found.stops) == ("blocking", "train", True)
    assert found.evidence == {
        "next_part": "stop", "reaching": 2, "snapshots": 10, "share": 0.2, "next_begins": "2024-01-11",
        "last_ends": "2024-01-12",
    }  # fmt: skip


def test_a_snapshot_after_the_next_part_begins_overlaps_where_labels_have_no_window():
    late = days(np.where(np.arange(40) == 29, 31, np.arange(40)))
    (found,) = ask(OVERLAP, parted(label_end=pd.NaT, as_of=late))
    assert (found.subject, found.evidence["reaching"]) == ("calibrate", 1)


def test_dated_leads_split_at_random_are_a_warning():
    (found,) = ask(OVERLAP, parted(split_by="random"))
    assert (found.result, found.severity, found.evidence) == ("issue", "warning", {"snapshots": 40})


def undated(order: Any, split_by: Any) -> Records:
    records = parted(split_by=split_by, created_at=pd.NaT, as_of=pd.NaT, label_end=pd.NaT)
    return replace(records, leads=records.leads.assign(created_at=pd.NaT, order_key=order))


def test_parts_that_cross_in_their_order_stop_a_run():
    order = np.arange(40.0)
    (found,) = ask(OVERLAP, undated(order, "order"))
    assert found.result == "passed"
    order[[5, 15]] = order[[15, 5]]
    (found,) = ask(OVERLAP, undated(order, "order"))
    assert (found.subject, found.severity, found.evidence["reaching"]) == ("train", "blocking", 5)
    assert found.evidence["next_begins"] == "place 5"


def test_undated_leads_without_an_order_have_no_time_to_overlap_in():
    (found,) = ask(OVERLAP, undated(np.nan, "random"))
    assert found.result == "not applicable"


@pytest.mark.skipif(not REAL.exists(), reason="the real data is not there")
def test_the_repeated_sessions_of_the_shop_are_a_warning_that_stops_nothing():
    raw = pd.read_csv(REAL / "uci_online_shoppers" / "online_shoppers_intention.csv", sep=";")
    parts = np.random.default_rng(7).choice(PARTS, len(raw), p=[0.55, 0.15, 0.15, 0.15])
    columns = {c: raw[c] if raw[c].dtype == "str" else raw[c].astype("float64") for c in raw.columns[:-1]}
    records = tabled(columns, parts)
    records = replace(records, table=records.table.assign(won=raw["Revenue"]))
    (found,) = ask(TWINS, records)
    assert (found.result, found.stops) == ("issue", False)
    # 125 rows repeat an earlier one, so that fewer than 250 have a twin, and more than 125.
    assert found.evidence["twins"] - found.evidence["sets"] == 125
