"""Fields that change: what they held at a moment, by hand, against a plain loop, and blind to the future."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_worlds import LAST_DAY, as_tables, at, export, lives_of_leads
from ingest_cases import engine, read, write
from propensity.cohort.snapshots import make_spine, scoring_snapshots, training_snapshots
from propensity.commands import score_raw
from propensity.data.fetch import fetch
from propensity.data.simulate import simulate, write_simulation
from propensity.features.build import build_features
from propensity.features.catalogue import Plan, make_plan, plan_to_json
from propensity.features.history import history_fields
from propensity.features.tracked import tracked_columns
from propensity.params import parse_params
from propensity.predict import Predictor
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace

# Ibis calls what DuckDB and pandas have renamed.
pytestmark = [
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'future.infer_string':pandas.errors.Pandas4Warning"),
]

ROOT = Path(__file__).parents[1]
PLAN = Plan(
    attributes={"owner": "text", "employees": "number"},
    qualifier_of={"owner": "firmographic", "employees": "firmographic"},
    event_types={"web": ["visit"], "email": ["open"]},
    lookback_days=[7.0],
    has_account=True,
    tracked={"employees": ["Employees"], "owner": ["Owner"]},
)
LEADS = [
    {"lead_id": "a", "created_at": at(0), "channel": "ads", "owner": "Ada", "employees": 10.0},
    {"lead_id": "b", "created_at": at(0), "channel": "fair", "owner": "Bo", "employees": None},
]


def change(day: float, old: str | None, new: str | None, field: str = "Owner") -> dict[str, Any]:
    return {"lead_id": "a", "field": field, "changed_at": at(day), "old": old, "new": new}


@pytest.fixture
def look(con, make_table):
    def values(history, *moments: float, column: str = "owner", plan=PLAN):
        spine = [
            {**lead, "snapshot": 10 * i + j, "as_of": at(moment)}
            for i, lead in enumerate(LEADS)
            for j, moment in enumerate(moments)
        ]
        built = build_features(
            make_table("spine", spine),
            make_table("leads", LEADS, owner="string", employees="float64"),
            plan,
            events=make_table("events", []),
            outcomes=make_table("outcomes", []),
            history=None if history is None else make_table("history", history),
        )
        table = fetch(con, built.order_by("snapshot"))
        found = table[["lead_id", column]].astype(object).where(table[[column, "lead_id"]].notna(), None)
        return {lead: rows[column].tolist() for lead, rows in found.groupby("lead_id")}

    return values


# --- one field, by hand ----------------------------------------------------------------------------


def test_a_field_holds_what_the_last_change_up_to_the_moment_put_there(look):
    history = [change(6, "Cem", "Dina"), change(2, "Bo", "Cem"), change(9, "Dina", "Ada")]
    assert look(history, 1, 2, 5.99, 6, 8, 9, 50)["a"] == ["Bo", "Cem", "Cem", "Dina", "Dina", "Ada", "Ada"]


def test_before_the_first_change_it_held_what_that_change_found_there(look):
    assert look([change(6, "Bo", "Ada")], 5)["a"] == ["Bo"]
    assert look([change(6, None, "Ada")], 5, 6)["a"] == [None, "Ada"]


def test_a_field_that_was_emptied_is_empty(look):
    assert look([change(2, "Bo", None), change(6, None, "Ada")], 1, 3, 7)["a"] == ["Bo", None, "Ada"]


def test_without_a_change_or_without_a_history_the_leads_tell(look):
    assert look([change(6, "Cem", "Ada")], 1)["b"] == ["Bo"]
    assert look([change(6, "Cem", "Ada", "title")], 1)["a"] == ["Ada"]
    assert look(None, 1) == {"a": ["Ada"], "b": ["Bo"]}


def test_another_leads_changes_are_not_mine(look):
    assert look([{**change(6, "Cem", "Dina"), "lead_id": "b"}], 1, 7) == {
        "a": ["Ada", "Ada"],
        "b": ["Cem", "Dina"],
    }


@pytest.mark.parametrize(
    ("links", "before", "after"),
    [
        ([("p", "q"), ("q", "r"), ("r", "s")], "p", "s"),
        ([("q", "r"), (None, "q")], None, "r"),
        ([("q", None), ("p", "q")], "p", None),
        ([("p", "q"), ("q", "p")], "p", "q"),  # a circle has no end: the first and last by text
        ([("p", "r"), ("q", "s")], "p", "s"),  # nor have two that do not meet
        ([("p", "p")], "p", "p"),
        ([(None, "p"), (None, None)], None, "p"),
    ],
)
def test_changes_at_one_moment_are_one_from_the_start_of_the_chain_to_its_end(look, links, before, after):
    history = [change(6, old, new) for old, new in links]
    for rows in (history, history[::-1]):
        assert look(rows, 5, 6, 7)["a"] == [before, after, after]


def test_numbers_are_read_from_their_texts_as_at_ingest(look):
    history = [
        change(2, " 7 ", "1e3", "Employees"),
        change(4, "1e3", "many", "Employees"),
        change(6, "many", "inf", "Employees"),
        change(8, "inf", "10", "Employees"),
    ]
    found = look(history, 1, 2, 4, 6, 8, column="employees")
    assert found == {"a": [7.0, 1000.0, None, None, 10.0], "b": [None] * 5}


def test_the_channel_is_rebuilt_too(look):
    plan = Plan(attributes={}, qualifier_of={}, has_channel=True, tracked={"channel": ["Lead Source"]})
    assert look([change(6, "fair", "ads", "Lead Source")], 5, 6, column="channel", plan=plan) == {
        "a": ["fair", "ads"],
        "b": ["fair", "fair"],
    }


# --- which columns are tracked ---------------------------------------------------------------------


def test_names_are_compared_by_letters_and_digits_whatever_the_case():
    fields = ["Job Title", "JOB_TITLE", "jobtitle2", "Größe", "--"]
    columns = {
        "job_title": ["job_title"],
        "größe": ["größe"],
        "channel": ["channel", "job.title"],
        "-": ["-"],
    }
    assert tracked_columns(columns, fields) == {
        "job_title": ["JOB_TITLE", "Job Title"],
        "größe": ["Größe"],
        "channel": ["JOB_TITLE", "Job Title"],
    }


PARAMS = """
data:
  leads: {path: l.csv, created_at: %s, channel: Lead Source}
  outcomes: {path: o.csv, won: [won], closed_at: closed_at}
  history: {path: h.csv}
features: {demographic: [title], firmographic: [size]}
snapshots: {ages_days: [0]}
split: {by: %s}
"""
TYPES = {"title": "text", "size": "number", "owner": "text", "Lead Source": "text"}


def test_the_plan_records_the_tracked_columns_and_rebuilds_those_in_use():
    params = parse_params(PARAMS % ("made", "time"))
    fields = ["OWNER", "Title", "lead_source", "stage"]
    plan = make_plan(params.data, params.features, TYPES, history_fields=fields)
    assert plan.tracked == {
        "title": ["Title"],
        "owner": ["OWNER"],
        "Lead Source": ["lead_source"],
        "channel": ["lead_source"],
    }
    assert list(plan.rebuilt) == ["title", "channel"]
    assert Plan(**plan_to_json(plan)) == plan
    assert make_plan(params.data, params.features, TYPES, history_fields=fields[::-1]) == plan


def test_leads_without_dates_have_no_moment_to_rebuild_a_field_at():
    params = parse_params(PARAMS % ("null", "random"))
    assert make_plan(params.data, params.features, TYPES, history_fields=["title"]).tracked == {}


def test_the_fields_of_a_history_are_its_different_names(con, make_table):
    rows = [change(1, "x", "y"), change(2, "y", "z"), change(2, "y", "z", "Title")]
    assert fetch(con, history_fields(make_table("history", rows)))["field"].tolist() == ["Owner", "Title"]


# --- properties ------------------------------------------------------------------------------------

DAYS = st.integers(0, 20).map(float)
VALUES = st.sampled_from(["Ada", "Bo", "Cem", None])
CHAINS = st.lists(st.tuples(DAYS, VALUES), max_size=5, unique_by=lambda link: link[0])


@settings(max_examples=10)
@given(VALUES, CHAINS, st.randoms())
def test_the_value_agrees_with_a_plain_loop(look, first, links, random):
    links = sorted(links, key=lambda link: link[0])
    values = [first, *(value for _, value in links)]
    history = [change(day, old, new) for (day, new), old in zip(links, values[:-1], strict=True)]
    random.shuffle(history)
    moments = [0.0, 4.5, 10.0, 20.0]
    expected = []
    for moment in moments:
        held = first if links else "Ada"
        for day, new in links:
            held = new if day <= moment else held
        expected.append(held)
    assert look(history, *moments)["a"] == expected


MOMENTS = st.integers(0, 4 * LAST_DAY).map(lambda quarters: quarters / 4)


@settings(max_examples=8)
@given(lives_of_leads(most=3), MOMENTS, st.booleans())
def test_no_table_tells_a_feature_anything_of_what_comes_later(con, make_table, lives, moment, opened):
    """The export of a moment and a later one give the same features of every snapshot up to it."""
    seen = []
    for until in (moment, 2.0 * LAST_DAY):
        tables = as_tables(export(lives, until, opened=opened), make_table, opened=opened)
        signs = {name: tables[name] for name in ("stages", "events")}
        leads, outcomes = tables["leads"], tables["outcomes"]
        none = leads.filter(False).select("lead_id")
        learned, _ = training_snapshots(
            leads, outcomes, none, none, ages_days=[0.0, 2.5, 10.0], observed_until=at(until), **signs
        )
        for spine in (scoring_snapshots(leads, outcomes, as_of=at(moment), **signs), learned):
            rest = {name: tables[name] for name in ("events", "outcomes", "history")}
            table = fetch(con, build_features(spine, leads, PLAN, **rest).order_by("lead_id", "as_of"))
            seen.append(table[table["as_of"] <= at(moment)].drop(columns="snapshot").reset_index(drop=True))
    for early, late in zip(seen[:2], seen[2:], strict=True):
        pd.testing.assert_frame_equal(early, late)


# --- moments, from the file to the feature ---------------------------------------------------------

ZONE = ZoneInfo("Europe/Amsterdam")
MOMENTS_PARAMS = """
data:
  timezone: Europe/Amsterdam
  max_quarantined: 0.9
  leads: {path: leads.csv, created_at: created_at}
  outcomes: {path: outcomes.csv, won: [won], lost: [lost], closed_at: closed_at}
  events: {path: events.csv}
  stages: {path: stages.csv}
  history: {path: history.csv}
features: {demographic: [owner], qualifiers: {web: [visit]}, use: [demographic, web], lookback_days: [1]}
"""


def in_utc(local: datetime) -> datetime:
    """Read a clock: an hour that is skipped is moved on, one that is repeated is its second."""
    return max(local.replace(tzinfo=ZONE, fold=fold).astimezone(UTC) for fold in (0, 1))


def features_of(folder: Path, as_of: datetime) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the open leads and their features at a moment, from the files in a folder."""
    params = parse_params(MOMENTS_PARAMS)
    canonical = read(params, folder)
    tables = canonical.tables
    plan = make_plan(params.data, params.features, canonical.attribute_types, history_fields=["owner"])
    signs = {name: tables[name] for name in ("stages", "events")}
    open_leads = scoring_snapshots(tables["leads"], tables["outcomes"], as_of=as_of, **signs)
    leads = engine().to_pyarrow(tables["leads"].order_by("row")).to_pandas()
    everyone = engine().create_table(
        "everyone",
        make_spine(leads, pd.Series([as_of] * len(leads)).astype("datetime64[us, UTC]")),
        overwrite=True,
    )
    built = build_features(
        everyone, tables["leads"], plan, events=tables["events"], history=tables["history"]
    )
    return fetch(engine(), open_leads), fetch(engine(), built).set_index("lead_id")


LOCAL = st.sampled_from([datetime(2024, 3, 31), datetime(2024, 10, 27), datetime(2024, 2, 29)]).flatmap(
    lambda day: st.integers(-4 * 60, 8 * 60).map(lambda m: day + timedelta(minutes=m))
)


@settings(max_examples=8)
@given(LOCAL, st.lists(LOCAL, min_size=3, max_size=3), st.sampled_from(["", "Z", "+05:30", "-08:00"]))
def test_clocks_that_change_and_leap_days_move_nothing(tmp_path, created, moments, offset):
    """Zone-less times are read as the clock of the zone says, beside others with an offset of their own."""

    def spell(local: datetime) -> str:
        return (
            f"{in_utc(local).astimezone(_zone_of(offset)):%Y-%m-%d %H:%M:%S}{offset}"
            if offset
            else f"{local}"
        )

    visit, changed, ended = moments
    write(
        tmp_path,
        leads=f"lead_id,created_at,owner\na,{created},Bo\nz,2020-01-01,Bo",
        outcomes=f"lead_id,status,closed_at\na,won,{spell(ended)}\nz,lost,2020-02-01T00:00:00Z",
        events=f"lead_id,event_at,type\na,{spell(visit)},visit\nz,2020-01-02,visit",
        stages="lead_id,stage,entered_at\nz,new,2020-01-01",
        history=f"lead_id,field,changed_at,old,new\na,owner,{spell(changed)},Ada,Bo\nz,owner,2020-01-02,Bo,Bo",
    )
    as_of = max(in_utc(created), in_utc(visit))
    open_leads, features = features_of(tmp_path, as_of)
    a = features.loc["a"]
    assert a["age_days"] == pytest.approx((as_of - in_utc(created)) / timedelta(days=1), abs=1e-12)
    assert a["created_hour"] == in_utc(created).astimezone(ZONE).hour
    assert a["web_days_since"] == pytest.approx((as_of - in_utc(visit)) / timedelta(days=1), abs=1e-12)
    assert a["web_visit_count_1d"] == (as_of - in_utc(visit) < timedelta(days=1))
    assert a["owner"] == ("Bo" if in_utc(changed) <= as_of else "Ada")
    refused = in_utc(ended) < in_utc(created)  # the row is, so that the lead counts as open here
    assert ("a" in set(open_leads["lead_id"])) == (refused or in_utc(ended) > as_of)


def _zone_of(offset: str) -> Any:
    return datetime.fromisoformat(f"2024-01-01T00:00:00{offset}").tzinfo


def test_what_happens_at_the_very_moment_is_known_and_a_lead_closed_then_is_closed(tmp_path):
    write(
        tmp_path,
        leads="""
        lead_id,created_at,owner
        a,2024-02-29T12:00:00Z,Bo
        b,2024-02-29T12:00:00Z,Bo
        c,2024-02-29T13:00:00+01:00,Bo
        """,
        outcomes="""
        lead_id,status,closed_at
        a,won,2024-03-01 13:00
        b,open,
        c,lost,2024-02-29T12:00:00Z
        """,
        events="lead_id,event_at,type\na,2024-03-01T12:00:00Z,visit\nb,2024-03-01T12:00:00.000001Z,visit",
        stages="lead_id,stage,entered_at\na,new,2024-03-01T12:00:00Z",
        history="""
        lead_id,field,changed_at,old,new
        a,owner,2024-03-01T13:00:00+01:00,Ada,Bo
        b,owner,2024-03-01T12:00:00.000001Z,Ada,Bo
        """,
    )
    open_leads, features = features_of(tmp_path, datetime(2024, 3, 1, 12, tzinfo=UTC))
    assert open_leads["lead_id"].tolist() == ["b"]
    assert features["owner"].to_dict() == {"a": "Bo", "b": "Ada", "c": "Bo"}
    assert features["web_visit_count_1d"].to_dict() == {"a": 1, "b": 0, "c": 0}
    assert features["age_days"].tolist() == [1.0] * 3


# --- a workspace -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ws(tmp_path_factory) -> Workspace:
    """A workspace whose model reads one field that changes, trained up to the bundle."""
    folder = tmp_path_factory.mktemp("owners")
    write_simulation(simulate(800, seed=11), folder / "data" / "raw")
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["features"] = {"demographic": ["owner", "seniority"], "use": ["demographic"]}
    content["model"]["candidates"], content["calibration"]["methods"] = ["logistic"], ["sigmoid"]
    content["snapshots"]["ages_days"] = [0, 30]
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    opened = open_workspace(folder / "params.yaml")
    for name in list(STAGES)[: list(STAGES).index("score")]:
        STAGES[name](opened)
    return opened


@pytest.fixture(scope="module")
def raw(ws) -> dict[str, pd.DataFrame]:
    tables = {name: pd.read_parquet(ws.interim / f"{name}.parquet") for name in ("leads", "outcomes")}
    changes = pd.read_csv(ws.folder / "data/raw/history.csv", parse_dates=["changed_at"])
    return tables | {"history": changes}


def owners_at(raw: dict[str, pd.DataFrame], lead_ids: Any, moments: Any) -> list[str]:
    """Who the leads belonged to, by a plain loop: the old of the first later change, or the present one."""
    current = raw["leads"].set_index("lead_id")["owner"]
    changes = dict(list(raw["history"].groupby("lead_id")))
    found = []
    for lead_id, moment in zip(lead_ids, moments, strict=True):
        mine = changes.get(lead_id, raw["history"].head(0))
        later = mine[mine["changed_at"] > moment]
        found.append(later["old"].iloc[0] if len(later) else current[lead_id])
    return found


def test_training_sees_the_owner_of_the_moment(ws, raw):
    table = pd.read_parquet(ws.interim / "features.parquet")
    current = table["lead_id"].map(raw["leads"].set_index("lead_id")["owner"])
    assert table["owner"].tolist() == owners_at(raw, table["lead_id"], table["as_of"])
    assert (table["owner"] != current).mean() > 0.5


def test_the_bundle_rebuilds_a_field_from_the_history_that_is_passed(ws, raw):
    predictor = Predictor.load(ws.models / "bundle")
    leads = raw["leads"].head(200)
    as_of = leads["created_at"].max() + timedelta(days=1)
    rebuilt = predictor.features(leads, as_of=as_of, history=raw["history"])
    assert rebuilt["owner"].tolist() == owners_at(raw, leads["lead_id"], [as_of] * len(leads))
    assert predictor.features(leads, as_of=as_of)["owner"].tolist() == leads["owner"].tolist()


@pytest.mark.parametrize("file", [None, "data/raw/leads.csv"])
def test_scoring_from_the_raw_tables_rebuilds_a_field_too(ws, raw, file):
    as_of = pd.Timestamp("2024-06-30T00:00:00Z")
    said = score_raw(ws, leads=file, events=None, as_of=as_of.isoformat())
    scores = pd.read_parquet(ws.scores)
    scores = scores[scores["lead_id"].isin(raw["leads"]["lead_id"])]  # a column not read refuses no row
    leads = raw["leads"].set_index("lead_id").loc[scores["lead_id"]].reset_index()
    expected = Predictor.load(ws.models / "bundle").score(leads, as_of=as_of, history=raw["history"])
    assert len(scores) > 20
    assert scores["probability"].tolist() == pytest.approx(expected["probability"].tolist(), abs=1e-12)
    assert "history: " in said
    assert "as they stand" not in said


def test_scoring_without_the_history_says_which_fields_stand_as_they_are(ws, tmp_path):
    for name in ("models", "data/raw"):
        shutil.copytree(ws.folder / name, tmp_path / name)
    content = yaml.safe_load((ws.folder / "params.yaml").read_text(encoding="utf-8"))
    content["data"]["history"] = None
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    said = score_raw(open_workspace(tmp_path / "params.yaml"), leads=None, events=None, as_of=None)
    assert "; owner as they stand in leads, for data.history is not named; " in said
