"""Features as of a moment: against a slow, plain computation, and blind to what came later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.data.fetch import fetch
from propensity.errors import InputError, ParamsError
from propensity.features.behaviour import filled_types, frequent_assets
from propensity.features.build import build_features
from propensity.features.catalogue import Plan, catalogue, make_plan, window_name
from propensity.params import parse_params

T0 = datetime(2024, 5, 31, 12, 30, tzinfo=UTC)
PLAN = Plan(
    attributes={"industry": "text", "employees": "number"},
    qualifier_of={"industry": "firmographic", "employees": "firmographic"},
    event_types={"web": ["visit", "form"], "email": ["open"]},
    assets={"web": ["pricing"]},
    lookback_days=[1.0, 7.0],
    has_channel=True,
    asset_types=["form", "open", "visit"],
    value_types=["form", "open", "visit"],
    has_account=True,
)
LEADS = [
    {"lead_id": "a", "account_id": "x", "channel": "ads", "industry": "retail", "employees": 10.0},
    {"lead_id": "b", "account_id": "x", "channel": None, "industry": None, "employees": None},
    {"lead_id": "c", "account_id": None, "channel": "fair", "industry": "bank", "employees": 5.0},
]
DAY = timedelta(days=1)


def event(lead: str, days_ago: float, kind: str = "visit", **more: Any) -> dict[str, Any]:
    """An event so many days before T0, known at once unless said otherwise."""
    at = T0 - timedelta(days=days_ago)
    known = at + timedelta(days=more.pop("known_after", 0))
    return {"lead_id": lead, "event_at": at, "known_at": known, "type": kind, **more}


@pytest.fixture
def compute(con, make_table):
    def features(events=(), outcomes=(), *, as_of=T0, created=T0 - 3 * DAY, plan=PLAN, leads=LEADS):
        leads = [{"created_at": created, **row} for row in leads]
        spine = [{**row, "snapshot": i, "as_of": as_of} for i, row in enumerate(leads)]
        built = build_features(
            make_table("spine", spine),
            make_table("leads", leads, industry="string", employees="float64"),
            plan,
            events=make_table("events", list(events)),
            outcomes=make_table("outcomes", list(outcomes)),
        )
        return fetch(con, built.order_by("snapshot")).set_index("lead_id")

    return features


def test_the_columns_are_those_of_the_catalogue(compute):
    assert list(compute().columns) == ["snapshot", "as_of", *(f.name for f in catalogue(PLAN))]


def test_counts_recency_variety_and_value_by_hand(compute):
    table = compute(
        [
            event("a", 0.5, asset="pricing", value=30.0),
            event("a", 0.5, asset="home", value=10.0),
            event("a", 3.0, asset="pricing", value=5.0),
            event("a", 30.0, "form", asset="demo"),
            event("a", 2.0, "open", asset="offer"),
            event("a", 0.1, "call"),
        ]
    )
    a = table.loc["a"]
    assert a["web_visit_count_1d"] == 2
    assert a["web_visit_count_7d"] == 3
    assert a["web_form_count_7d"] == 0
    assert a["web_visit_value_7d"] == 45.0
    assert a["web_visit_days_since"] == 0.5
    assert a["web_form_days_since"] == 30.0
    assert a["web_days_since"] == 0.5
    assert a["email_days_since"] == 2.0
    assert a["web_assets_1d"] == 2
    assert a["web_assets_7d"] == 2
    assert a["web_active_days_7d"] == 2
    assert a["web_asset_pricing_count_7d"] == 2
    assert a["web_last_asset"] == "home"  # two at the same moment: the first by name
    assert a["email_last_asset"] == "offer"


def test_nothing_seen_is_zero_for_counts_and_unknown_for_recency(compute):
    c = compute().loc["c"]
    assert c["web_visit_count_7d"] == 0
    assert c["web_visit_value_7d"] == 0
    assert pd.isna(c["web_days_since"])
    assert pd.isna(c["web_last_asset"])


def test_a_window_is_open_at_its_start_and_closed_at_its_end(compute):
    table = compute([event("a", 0), event("a", 1), event("a", 7), event("b", 1 - 1e-9)])
    assert table.loc["a", "web_visit_count_1d"] == 1
    assert table.loc["a", "web_visit_count_7d"] == 2
    assert table.loc["b", "web_visit_count_1d"] == 1


def test_an_event_counts_from_when_it_was_known(compute):
    late = [event("a", 2, known_after=2.5)]
    assert compute(late).loc["a", "web_visit_count_7d"] == 0
    assert compute(late, as_of=T0 + DAY).loc["a", "web_visit_count_7d"] == 1


def test_attributes_age_and_calendar(compute):
    a = compute().loc["a"]
    assert (a["industry"], a["employees"], a["channel"]) == ("retail", 10.0, "ads")
    assert a["age_days"] == 3.0
    # T0 less three days is Tuesday 28 May 2024, 12:30.
    assert (a["created_hour"], a["created_weekday"], a["as_of_month"]) == (12, 1, 5)
    assert pd.isna(compute().loc["b", "industry"])


def test_the_calendar_reads_the_clock_of_the_time_zone(compute):
    plan = Plan(**{**vars(PLAN), "timezone": "Pacific/Auckland"})  # UTC+12 in May and June
    a = compute(plan=plan).loc["a"]
    assert (a["created_hour"], a["created_weekday"], a["as_of_month"]) == (0, 2, 6)


def test_colleagues_count_without_the_lead_itself(compute):
    table = compute(
        [event("a", 0.5), event("a", 3), event("b", 2), event("b", 2, "open")],
        [{"lead_id": "b", "status": "won", "closed_at": T0 - DAY}],
    )
    assert table.loc["a", "account_web_count_7d"] == 1
    assert table.loc["a", "account_web_count_1d"] == 0
    assert table.loc["a", "account_email_count_7d"] == 1
    assert table.loc["b", "account_web_count_7d"] == 2
    assert table.loc["b", "account_web_count_1d"] == 1
    assert table.loc["a", "account_leads"] == 1
    assert table.loc["a", "account_won"] == 1
    assert table.loc["b", "account_won"] == 0
    assert pd.isna(table.loc["c", "account_leads"])


def test_a_colleague_won_later_is_not_known_yet(compute):
    outcome = [{"lead_id": "b", "status": "won", "closed_at": T0 + timedelta(microseconds=1)}]
    assert compute([], outcome).loc["a", "account_won"] == 0


def test_the_sum_of_values_does_not_depend_on_their_order(compute):
    values = [0.1 * k for k in range(1, 40)]
    up = [event("a", 0.5, value=v) for v in values]
    assert compute(up).equals(compute(up[::-1]))


EVENTS = st.lists(
    st.builds(
        event,
        st.sampled_from(["a", "b", "c"]),
        st.floats(0, 10).map(lambda x: round(x, 3)),
        st.sampled_from(["visit", "form", "open", "call"]),
        asset=st.sampled_from(["pricing", "home", None]),
        value=st.sampled_from([1.5, 20.0, None]),
        known_after=st.sampled_from([0, 0, 1, 4]),
    ),
    max_size=25,
)
LATER = st.lists(
    st.builds(
        event,
        st.sampled_from(["a", "b", "c"]),
        st.floats(-5, 5).map(lambda x: round(x, 3)),
        st.sampled_from(["visit", "form", "open"]),
        asset=st.sampled_from(["pricing", "new", None]),
        value=st.sampled_from([1.5, None]),
        known_after=st.just(6),
    ),
    max_size=10,
)
CLOSINGS = st.lists(
    st.builds(
        lambda lead, days, status: {
            "lead_id": lead,
            "status": status,
            "closed_at": T0 + timedelta(days=days),
        },
        st.sampled_from(["a", "b", "c"]),
        st.floats(0.001, 20),
        st.sampled_from(["won", "lost"]),
    ),
    unique_by=lambda row: row["lead_id"],
)


@settings(max_examples=15)
@given(EVENTS, LATER, CLOSINGS)
def test_what_becomes_known_later_changes_no_feature(compute, events, later, closings):
    before = compute(events)
    pd.testing.assert_frame_equal(before, compute([*events, *later], closings))


@settings(max_examples=10)
@given(EVENTS, st.randoms())
def test_the_order_of_the_rows_changes_no_feature(compute, events, random):
    shuffled = list(events)
    random.shuffle(shuffled)
    pd.testing.assert_frame_equal(compute(events), compute(shuffled))


@settings(max_examples=15)
@given(EVENTS)
def test_behaviour_agrees_with_a_plain_computation(compute, events):
    table = compute(events)
    for lead in ("a", "b", "c"):
        expected = _plainly(lead, events)
        for name, value in expected.items():
            found = table.loc[lead, name]
            assert found == pytest.approx(value) or (pd.isna(found) and pd.isna(value)), (lead, name)


LONG_AGO = st.lists(
    st.builds(
        event,
        st.sampled_from(["a", "b"]),
        st.sampled_from([0, 0.5, 59.5, 60, 119.75, 120, 150.25, 179.999]) | st.floats(0, 200),
        st.sampled_from(["visit", "form", "open"]),
        asset=st.sampled_from(["pricing", None]),
        value=st.none(),
    ),
    max_size=40,
)


@settings(max_examples=15)
@given(LONG_AGO)
def test_days_of_wide_and_broken_windows_agree_with_a_plain_computation(compute, events):
    plan = Plan(**{**vars(PLAN), "lookback_days": [0.5, 7.0, 90.0, 120.25, 180.0]})
    table = compute(events, plan=plan)
    for lead in ("a", "b"):
        for name, value in _plainly(lead, events, plan).items():
            if "_active_days_" in name or "_count_" in name:
                assert table.loc[lead, name] == value, (lead, name)


def _plainly(lead: str, events: list[dict[str, Any]], plan: Plan = PLAN) -> dict[str, Any]:
    mine = [e for e in events if e["lead_id"] == lead and e["known_at"] <= T0]
    out: dict[str, Any] = {}
    for q, types in plan.event_types.items():
        own = [e for e in mine if e["type"] in types]
        for w in plan.lookback_days:
            inside = [e for e in own if T0 - e["event_at"] < w * DAY]
            for t in types:
                of_type = [e for e in inside if e["type"] == t]
                out[f"{q}_{t}_count_{window_name(w)}"] = len(of_type)
                out[f"{q}_{t}_value_{window_name(w)}"] = sum(e["value"] or 0 for e in of_type)
            out[f"{q}_assets_{window_name(w)}"] = len({e["asset"] for e in inside} - {None})
            out[f"{q}_active_days_{window_name(w)}"] = len({(T0 - e["event_at"]) // DAY for e in inside})
        ages = [(T0 - e["event_at"]) / DAY for e in own]
        out[f"{q}_days_since"] = min(ages, default=float("nan"))
        named = sorted((T0 - e["event_at"], e["asset"]) for e in own if e["asset"])
        out[f"{q}_last_asset"] = named[0][1] if named else None
    return out


def test_frequent_assets_are_the_most_seen_of_each_qualifier(con, make_table):
    rows = [event("a", 1, asset=x) for x in ["p"] * 3 + ["q"] * 2 + ["r"]] + [
        event("a", 1, "open", asset="m")
    ] * 2
    found = fetch(con, frequent_assets(make_table("events", rows), PLAN.event_types, most=2, least=2))
    assert found[["qualifier", "asset"]].apply(tuple, axis=1).tolist() == [
        ("email", "m"),
        ("web", "p"),
        ("web", "q"),
    ]


def test_assets_and_values_are_features_of_the_event_types_that_have_them(con, make_table, compute):
    rows = [
        event("a", 1, asset="p", value=2.0),
        event("a", 2, "form", asset="q", value=None),
        event("a", 3, "open", asset=None, value=None),
        event("a", 4, "open", asset=None, value=None),
    ]
    filled = fetch(con, filled_types(make_table("events", rows)).order_by("type"))
    assert filled.to_dict("list") == {
        "type": ["form", "open", "visit"],
        "asset": [True, False, True],
        "value": [False, False, True],
    }
    plan = Plan(**{**vars(PLAN), "asset_types": ["form", "visit"], "value_types": ["visit"]})
    table, whole = compute(rows, plan=plan), compute(rows)
    gone = set(whole.columns) - set(table.columns)
    assert gone == {
        *(f"web_form_value_{w}" for w in ("1d", "7d")),
        *(f"email_open_value_{w}" for w in ("1d", "7d")),
        *(f"email_assets_{w}" for w in ("1d", "7d")),
        "email_last_asset",
    }
    pd.testing.assert_frame_equal(table, whole[table.columns])


PARAMS = """
data:
  leads: {path: l.csv, created_at: created_at, account_id: acc, channel: source}
  outcomes: {path: o.csv, won: [won], closed_at: closed_at}
  events: {path: e.csv, asset: page, value: seconds}
features:
  demographic: [title]
  firmographic: [size]
  qualifiers: {web: [visit], sales: [call]}
  exclude: [%s]
"""


def plan_of(exclude: str = "", types: dict[str, str] | None = None) -> Plan:
    found = types or {"title": "text", "size": "number", "spare": "text"}
    params = parse_params(PARAMS % exclude)
    return make_plan(params.data, params.features, found)


def test_the_plan_counts_assets_and_values_only_where_some_event_has_one():
    params = parse_params(PARAMS % "")
    filled = {"asset": ["visit", "other"], "value": []}
    plan = make_plan(params.data, params.features, {"title": "text", "size": "number"}, filled=filled)
    assert (plan.asset_types, plan.value_types, plan.asset_qualifiers) == (["visit"], [], ["web"])
    assert (plan_of().asset_types, plan_of().value_types) == (["visit"], ["visit"])


def test_the_plan_holds_what_params_name_and_use():
    plan = plan_of()
    assert plan.attributes == {"title": "text", "size": "number"}
    assert plan.event_types == {"web": ["visit"]}  # sales is not in `use` by default
    assert plan.has_channel
    assert not plan.has_account


@pytest.mark.parametrize("excluded", ["title", "visit", "source"])
def test_excluded_columns_and_event_types_give_no_feature(excluded):
    gone = {"title": "title", "visit": "web_visit_count_7d", "source": "channel"}[excluded]
    assert gone in {f.name for f in catalogue(plan_of())}
    assert gone not in {f.name for f in catalogue(plan_of(excluded))}


def test_a_column_that_leads_lack_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="'title', did you mean 'titles'") as caught:
        plan_of(types={"titles": "text", "size": "number"})
    assert caught.value.exit_code == 3


def test_a_column_named_as_a_feature_is_refused():
    params = parse_params(PARAMS.replace("[size]", "[age_days]") % "")
    with pytest.raises(ParamsError, match="age_days"):
        make_plan(params.data, params.features, {"title": "text", "age_days": "number"})
