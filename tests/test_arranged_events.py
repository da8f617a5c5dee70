"""Events laid out by lead, read chunk by chunk, and an engine bounded in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from propensity.data.engines import connect
from propensity.data.fetch import fetch
from propensity.errors import ParamsError
from propensity.features.build import arrange_events, build_features
from propensity.features.catalogue import Plan
from propensity.params import parse_params

T0 = datetime(2024, 5, 31, 12, 30, tzinfo=UTC)
PARAMS = """
data:
  memory_limit: {limit}
  leads: {{path: l.csv, created_at: created_at}}
  outcomes: {{path: o.csv, won: [won], closed_at: closed_at}}
"""
LEADS = [
    {"lead_id": f"lead-{i}", "account_id": f"acc-{i % 3}" if i % 4 else None, "created_at": T0}
    for i in (3, 1, 7, 2, 9, 4, 8)
]
EVENTS = [
    {
        "lead_id": f"lead-{(7 * k) % 10}",
        "event_at": T0 - timedelta(hours=5 * k),
        "known_at": T0 - timedelta(hours=5 * k - (k % 4)),
        "type": ["visit", "open", "call"][k % 3],
        "asset": ["a", "b", None][k % 3],
        "value": float(k),
    }
    for k in range(60)
]


def plan(*, account: bool) -> Plan:
    return Plan(
        attributes={},
        qualifier_of={},
        event_types={"web": ["visit"], "email": ["open"]},
        lookback_days=[1.0, 7.0],
        asset_types=["open", "visit"],
        value_types=["open", "visit"],
        has_account=account,
    )


@pytest.mark.parametrize("account", [False, True])
def test_chunks_of_arranged_events_give_the_features_of_all_events(make_table, account):
    con = connect(parse_params(PARAMS.format(limit="null")).data)
    spine_rows = sorted(
        ({**lead, "snapshot": i, "as_of": T0} for i, lead in enumerate(LEADS)), key=lambda r: r["lead_id"]
    )
    spine = con.create_table("spine", make_table("spine", spine_rows))
    leads = con.create_table("leads", make_table("leads", LEADS))
    events = con.create_table("events", make_table("events", EVENTS))
    outcomes = make_table("outcomes", [{"lead_id": "lead-1", "status": "won", "closed_at": T0}])
    used = plan(account=account)
    whole = build_features(spine, leads, used, events=events, outcomes=outcomes)
    arranged = arrange_events(con, events, spine, leads, used)
    parts = [spine.filter(spine.snapshot.isin(part)) for part in ([0, 1, 2], [3, 4], [5, 6])]
    chunks = [build_features(part, leads, used, events=arranged, outcomes=outcomes) for part in parts]
    found = pd.concat([fetch(con, chunk) for chunk in chunks]).sort_values("snapshot", ignore_index=True)
    pd.testing.assert_frame_equal(found, fetch(con, whole.order_by("snapshot")), check_exact=True)


def test_arranged_events_are_those_of_the_leads_and_types_that_are_read_in_the_order_of_leads(make_table):
    con = connect(parse_params(PARAMS.format(limit="null")).data)
    spine = con.create_table("spine", make_table("spine", [{**lead, "as_of": T0} for lead in LEADS[:3]]))
    leads = make_table("leads", LEADS)
    found = fetch(con, arrange_events(con, make_table("events", EVENTS), spine, leads, plan(account=False)))
    names = found["lead_id"].tolist()
    assert names == sorted(names)
    assert set(names) == {"lead-1", "lead-3", "lead-7"}
    assert set(found["type"]) == {"visit", "open"}


def test_the_engine_holds_no_more_memory_than_params_allow():
    con = connect(parse_params(PARAMS.format(limit="512MiB")).data)
    assert con.con.execute("SELECT current_setting('memory_limit')").fetchall() == [("512.0 MiB",)]


def test_a_memory_limit_without_a_unit_is_refused():
    with pytest.raises(ParamsError, match="memory_limit"):
        parse_params(PARAMS.format(limit="4000"))
