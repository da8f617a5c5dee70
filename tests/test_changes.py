"""What changed since the last scoring: one cause at a time by hand, all together, at random, in a run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_worlds import LAST_DAY, Life, as_tables, at, export, lives_of_leads
from propensity.commands import score_raw
from propensity.data.fetch import CompiledQuery
from propensity.data.simulate import simulate, write_simulation
from propensity.errors import InputError
from propensity.explain.changes import COLUMNS, PARTS, compute_changes, crossings, crossings_csv
from propensity.explain.points import score_of
from propensity.explain.previous import check_previous
from propensity.explain.telling import Told, tell_change
from propensity.explain.words import LANGUAGES, load_words
from propensity.features.build import build_features
from propensity.features.catalogue import Plan, catalogue
from propensity.features.states import AGED, BEFORE, build_states
from propensity.model.bundle import Bundle, log_odds
from propensity.model.calibration import Calibrator
from propensity.model.encoding import Encoding
from propensity.model.estimators import Logistic
from propensity.predict import Predictor
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace
from tiny_models import FEATURES, KINDS, METHODS, bundle, table

ROOT = Path(__file__).parents[1]
POINT = np.log(2) / 10  # in log-odds
FIRST, SECOND = at(10), at(12)


# --- a model of three points a visit and a fifth of a point an employee ------------------------------


PLAN = Plan(
    attributes={"employees": "number"},
    qualifier_of={"employees": "firmographic"},
    event_types={"web": ["visit"]},
    lookback_days=[7.0],
    tracked={"employees": ["employees"]},
)
READ = [f for f in catalogue(PLAN) if f.name in ("employees", "web_visit_count_7d")]
PARAMS = {
    "data": {
        "leads": {"created_at": "created_at"},
        "outcomes": {"path": "outcomes.csv", "status": "status", "won": ["won"], "closed_at": "closed_at"},
        "events": {"path": "events.csv", "known_at": "known_at"},
        "history": {"path": "history.csv"},
    },
    "disqualify": [{"reason": "tiny", "column": "employees", "below": 1}],
}
CUTS = {"reference_odds": 1.0, "mql": {"probability": 0.5}, "sql": {"probability": 2 / 3}}


@cache
def by_hand(*, version: str = "one", base: float = 40.0, visit: float = 3.0) -> Bundle:
    """A bundle whose score is `base` plus `visit` a visit of the last 7 days plus 0.2 an employee.

    The MQL begins at 50 points, the SQL at 60.
    """
    per_unit = {"employees": 0.2, "web_visit_count_7d": visit}
    model = Logistic(
        base=(base - 50) * POINT,
        knots=[np.array([0.0, 1000.0]) for _ in READ],
        values=[np.array([0.0, 1000.0 * per_unit[f.name] * POINT]) for f in READ],
        missing=np.zeros(len(READ)),
        categories=frozenset(),
    )
    return Bundle(
        plan=PLAN,
        encoding=Encoding(READ, {}),
        model=model,
        calibrator=Calibrator("sigmoid", {"slope": 1.0, "intercept": 0.0}),
        cutoffs=CUTS,
        params=PARAMS,
        data={},
        model_version=version,
    )


PREDICTORS: dict[int, Predictor] = {}


def predictor(made: Bundle) -> Predictor:
    """One for each bundle: it compiles its queries the first time."""
    return PREDICTORS.setdefault(id(made), Predictor(made))


def lead(employees: float = 10.0, lead_id: str = "a") -> pd.DataFrame:
    return pd.DataFrame({"lead_id": [lead_id], "created_at": [at(0)], "employees": [employees]})


def visits(*days: float, known: float | None = None) -> pd.DataFrame:
    moments = [at(day) for day in days]
    return pd.DataFrame(
        {
            "lead_id": pd.Series(["a"] * len(days), dtype="str"),
            "event_at": pd.to_datetime(pd.Series(moments), utc=True),
            "known_at": pd.to_datetime(pd.Series(moments if known is None else [at(known)]), utc=True),
            "type": pd.Series(["visit"] * len(days), dtype="str"),
        }
    )


def fields(*changes: tuple[float, str, str]) -> pd.DataFrame:
    rows = [
        {"lead_id": "a", "field": "employees", "changed_at": at(day), "old": old, "new": new}
        for day, old, new in changes
    ]
    frame = pd.DataFrame(rows, columns=["lead_id", "field", "changed_at", "old", "new"])
    return frame.assign(changed_at=pd.to_datetime(frame["changed_at"], utc=True))


def told(before: dict[str, Any], now: dict[str, Any], **options: Any) -> pd.Series:
    """The change between two scorings, each ``{bundle, leads, events, history}``."""
    plain = {"bundle": by_hand(), "leads": lead(), "events": visits(9), "history": fields()}
    before, now = plain | before, plain | now
    scores = predictor(before.pop("bundle")).score(**before, as_of=FIRST)
    return predictor(now.pop("bundle")).changes(scores, **now, as_of=SECOND, **options).iloc[0]


def assert_parts(found: pd.Series, **expected: float) -> None:
    parts = [expected.get(part, 0.0) for part in PARTS]
    np.testing.assert_allclose(found[list(PARTS)].astype(float), parts, rtol=0, atol=1e-9)
    assert found["change"] == pytest.approx(sum(parts), rel=0, abs=1e-9)
    assert found["score"] == pytest.approx(found["score_before"] + found["change"], rel=0, abs=1e-9)


# --- one cause at a time ---------------------------------------------------------------------------


def test_nothing_new_changes_nothing():
    found = told({}, {})
    assert_parts(found)
    assert list(found.index) == list(COLUMNS)
    assert (found["score"], found["why"], found["crossed"]) == (pytest.approx(45), "No change", "")


def test_an_event_is_behaviour():
    found = told({}, {"events": visits(9, 11)})
    assert_parts(found, behaviour=3)
    assert found["why"] == "+3.0 points: behaviour +3.0 (visit +3.0)"


def test_an_event_that_had_happened_and_became_known_since_is_behaviour():
    late = visits(9, known=11)
    assert_parts(told({"events": late}, {"events": late}), behaviour=3)


def test_a_window_that_passes_is_time():
    found = told({"events": visits(4)}, {"events": visits(4)})
    assert_parts(found, time=-3)
    assert found["why"] == "-3.0 points: time -3.0 (visit -3.0)"


def test_a_field_that_changes_is_an_attribute():
    found = told({}, {"leads": lead(60), "history": fields((11, "10", "60"))})
    assert_parts(found, attributes=10)
    assert found["why"] == "Nurture to MQL: +10.0 points: attributes +10.0 (employees +10.0)"


def test_a_field_that_changed_before_the_first_moment_is_nothing_new():
    history = fields((8, "10", "60"))
    assert_parts(told({"leads": lead(60), "history": history}, {"leads": lead(60), "history": history}))


def test_another_model_is_the_model():
    found = told({}, {"bundle": by_hand(version="two", base=47)})
    assert_parts(found, model=7)
    assert found["model_version"] == "two"
    assert found["why"] == "Nurture to MQL: +7.0 points: another model +7.0"


def test_an_event_recorded_afterwards_is_data():
    found = told({}, {"events": visits(8, 9)})
    assert_parts(found, data=3)
    assert found["why"] == "+3.0 points: data corrected since +3.0"


def test_a_field_overwritten_without_a_history_is_data():
    assert_parts(told({"history": None}, {"leads": lead(60), "history": None}), data=10)


def test_a_field_overwritten_is_an_attribute_of_a_model_that_reads_fields_only():
    plan, whole = replace(PLAN, event_types={}), by_hand().model
    only = replace(
        by_hand(),
        plan=plan,
        encoding=Encoding(READ[:1], {}),
        model=replace(whole, knots=whole.knots[:1], values=whole.values[:1], missing=whole.missing[:1]),
    )
    undated = replace(only, plan=replace(plan, dated=False, tracked={}))
    for made in (only, undated):
        found = told({"bundle": made, "history": None}, {"bundle": made, "leads": lead(60), "history": None})
        assert_parts(found, attributes=10)


# --- all together ----------------------------------------------------------------------------------

BEFORE_ALL = {"events": visits(4, 9)}
ALL = {
    "bundle": by_hand(version="two", base=47, visit=2.0),
    "leads": lead(60),
    "events": visits(4, 8, 9, 11),
    "history": fields((11, "10", "60")),
}


def test_all_causes_at_once_are_told_apart_and_sum_to_the_change():
    # S0 40 + 2 + 2 visits of 3; S1 47 + 2 + 3 visits of 2; one visit passes, one comes, 50 employees more.
    assert_parts(told(BEFORE_ALL, ALL), model=7, time=-2, behaviour=2, attributes=10)


def test_the_previous_bundle_tells_the_model_from_corrected_data():
    found = told(BEFORE_ALL, ALL, previous_bundle=by_hand())
    assert_parts(found, data=3, model=4, time=-2, behaviour=2, attributes=10)
    assert found["why"] == (
        "Nurture to SQL: +17.0 points: attributes +10.0 (employees +10.0), another model +4.0, "
        "data corrected since +3.0, behaviour +2.0 (visit +2.0), time -2.0 (visit -2.0)"
    )


def test_a_bundle_that_did_not_give_the_scores_is_refused():
    with pytest.raises(InputError, match=r"by the previous bundle, model three; 1 rows are not: 'a: one'"):
        told({}, ALL, previous_bundle=by_hand(version="three"))


def test_each_language_tells_it_in_its_own_words():
    change = {"tier_before": "mql", "tier": "sql", "crossed": "up", "model_before": "a", "model_version": "b"}
    parts = {"change": 9.44, "behaviour": 12.0, "time": -2.6, "attributes": 0.04, "data": 0.0, "model": 0.0}
    moved = {"behaviour": np.array([[3.9, 8.1, 0.01]]), "time": np.array([[0.0, 0.0, -2.6]])}
    given = Told(["form", "visit", "age"], moved, {name: np.array([x]) for name, x in parts.items()})
    said = {
        language: tell_change(pd.DataFrame([change]), given, load_words(language))[0]
        for language in LANGUAGES
    }
    assert (
        said["en"] == "MQL to SQL: +9.4 points: behaviour +12.0 (visit +8.1, form +3.9), time -2.6 (age -2.6)"
    )
    assert said["es"].startswith("De MQL a SQL: +9,4 puntos: comportamiento +12,0 (visit +8,1, form +3,9), ")
    assert len(set(said.values())) == len(LANGUAGES)


# --- what happens to tiers -------------------------------------------------------------------------


def test_cut_offs_that_move_are_named_where_the_score_did_not():
    moved = replace(by_hand(version="two"), cutoffs=CUTS | {"mql": {"probability": 0.3}})
    found = told({}, {"bundle": moved})
    assert found["why"] == "Nurture to MQL: no change; the cut-offs are another model's"


def test_a_rule_that_a_lead_meets_now_is_named():
    found = told({}, {"leads": lead(0.5), "history": fields((11, "10", "0.5"))})
    assert (found["tier"], found["crossed"]) == ("disqualified", "down")
    assert found["why"].startswith("Nurture to disqualified: -1.9 points: ")
    assert found["why"].endswith(". Disqualified (tiny): employees is 0.5")
    back = told({"leads": lead(0.5)}, {"leads": lead(10), "history": fields((11, "0.5", "10"))})
    assert back["crossed"] == "up"
    assert back["why"].endswith("; no rule disqualifies it any more")


def test_a_tier_is_held_from_the_previous_scores():
    holding = replace(by_hand(), params=PARAMS | {"cutoffs": {"hold": 4}})
    before = {"bundle": holding, "leads": lead(25), "events": visits(4, 9)}  # 51 points, then 48
    found = told(before, {**before, "events": visits(4, 9)})
    assert found["score"] == pytest.approx(48)
    assert (found["tier"], found["crossed"]) == ("mql", "")


def test_a_lead_that_is_new_has_no_parts_and_one_that_is_gone_no_row():
    scores = predictor(by_hand()).score(lead(lead_id="gone"), visits(), FIRST, history=fields())
    found = predictor(by_hand()).changes(scores, lead(), visits(), SECOND, history=fields())
    assert found["lead_id"].tolist() == ["a"]
    assert found.iloc[0][["change", *PARTS, "score_before", "tier_before", "as_of_before"]].isna().all()
    assert found.iloc[0][["crossed", "why"]].tolist() == ["", "Not scored before"]


def test_the_crossings_hold_no_text_that_a_spreadsheet_calculates():
    scores = predictor(by_hand()).score(lead(lead_id="=1+1"), visits(), FIRST, history=fields())
    event = visits(11).assign(lead_id="=1+1")
    moved = by_hand(version="-2", base=50)
    found = predictor(moved).changes(scores, lead(lead_id="=1+1"), event, SECOND, history=fields())
    still = found.assign(lead_id="b", crossed="")
    header, row = crossings_csv(crossings(pd.concat([found, still]))).splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=False))
    assert (cells["lead_id"], cells["score_before"], cells["time"]) == ("'=1+1", "42.0", "0.0")
    assert row.endswith(",'-2")


def test_each_lead_may_have_been_scored_at_its_own_moment():
    leads = pd.concat([lead(), lead(lead_id="b")], ignore_index=True)
    events = pd.concat([visits(4), visits(4).assign(lead_id="b")], ignore_index=True)
    own = predictor(by_hand())
    scores = own.score(leads, events, [FIRST, at(11.5)], history=fields())
    found = own.changes(scores, leads, events, SECOND, history=fields())
    assert found["time"].tolist() == pytest.approx([-3, 0])  # b's visit had left the window by then


# --- bad input -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scored() -> pd.DataFrame:
    return predictor(by_hand()).score(lead(), visits(9), FIRST, history=fields())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.drop(columns=["tier", "score"]), r"'score', 'tier' are not there"),
        (lambda s: pd.concat([s, s]), r"one row a lead; 1 leads have several: 'a'"),
        (lambda s: s.assign(score=101.0), r"score should be 0 to 100; 1 rows are not: 'a: 101.0'"),
        (lambda s: s.assign(score="high"), r"score should be 0 to 100; 1 rows are not: 'a: high'"),
        (lambda s: s.assign(tier="hot"), r"disqualified, nurture, mql, sql; 1 rows are not: 'a: hot'"),
        (lambda s: s.assign(as_of="soon"), r"as_of should be a timestamp; 1 rows are not: 'a: soon'"),
        (lambda s: s.assign(as_of=at(13)), r"not be later than as_of; 1 rows are not: 'a: 2024-03-12"),
        (lambda s: s.assign(as_of=pd.NaT), r"not be later than as_of; 1 rows are not: 'a: NaT'"),
        (lambda s: s.assign(lead_id=None), r"lead_id should name a lead; 1 rows"),
    ],
)
def test_what_is_no_table_of_earlier_scores_is_refused(scored, spoil, message):
    with pytest.raises(InputError, match=message):
        predictor(by_hand()).changes(spoil(scored), lead(), visits(9), SECOND, history=fields())


# --- at random -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), same=st.booleans())
def test_the_parts_sum_to_the_change_for_every_model_and_calibrator(kind, method, seed, same):
    rng = np.random.default_rng(seed)
    made, n = replace(bundle(kind, method), model_version="now"), 30

    def draw() -> pd.DataFrame:
        rows = table().sample(n, random_state=rng.integers(2**32)).reset_index(drop=True)
        return rows.assign(snapshot=range(n), lead_id=[f"lead {i}" for i in range(n)], as_of=SECOND)

    def score(rows: pd.DataFrame) -> pd.Series:
        return pd.Series(score_of(log_odds(made, rows), made.cutoffs["reference_odds"]))

    one, aged, now = draw(), draw(), draw()
    fields_then = {f.name: one[f.name] for f in FEATURES if f.statistic == "attribute"}
    steps = [one, aged.assign(**fields_then), now.assign(**fields_then), now]
    path = [pd.Series(rng.uniform(0, 100, n)), *map(score, steps)]
    told_of = {"lead_id": now["lead_id"], "tier": "mql", "reasons": [[]] * n}
    scores = pd.DataFrame(told_of | {"as_of": SECOND, "score": path[-1], "model_version": "now"})
    before = scores.assign(as_of=FIRST, score=path[0], model_version="now" if same else "then")
    states = pd.concat([one.assign(state=BEFORE), aged.assign(state=AGED)])
    found = compute_changes(made, scores, check_previous(before), now, states, words=load_words("en"))
    first, other = ("data", "model") if same else ("model", "data")
    expected = {
        part: path[i + 1] - path[i] for i, part in enumerate((first, "time", "behaviour", "attributes"))
    }
    for part in (first, "time", "behaviour", "attributes"):
        np.testing.assert_allclose(found[part], expected[part], rtol=0, atol=1e-9)
    assert (found[other] == 0).all()
    np.testing.assert_allclose(found[list(PARTS)].sum(axis=1), path[-1] - path[0], rtol=0, atol=1e-9)


WORLD = Plan(
    attributes={"owner": "text", "employees": "number"},
    qualifier_of={"owner": "firmographic", "employees": "firmographic"},
    event_types={"web": ["visit"], "email": ["open"]},
    lookback_days=[3.0, 7.0],
    has_account=True,
    tracked={"employees": ["Employees"], "owner": ["Owner"]},
)


def rows_at(lives: list[Life], moment: float) -> dict[str, Any]:
    """The export of a CRM that says when it came to know of an event."""
    rows = export(lives, moment, opened=False)
    rows["events"] = [
        {"lead_id": life.lead_id, "event_at": at(t), "known_at": at(t + late), "type": kind}
        for life in lives
        for t, late, kind in life.events
        if t + late <= moment and life.created <= moment
    ]
    return rows


def compiled(build: Any) -> CompiledQuery:
    """Compiled once for all examples."""
    return CompiledQuery(
        lambda given: build(
            given["spine"],
            given["leads"],
            WORLD,
            **{name: given[name] for name in ("events", "outcomes", "history")},
        ).order_by("snapshot")
    )


STATES, FEATURE_TABLE = compiled(build_states), compiled(build_features)


@settings(max_examples=15)
@given(lives_of_leads(), st.lists(st.integers(0, 4 * LAST_DAY), min_size=4, max_size=4), st.data())
def test_the_states_are_those_that_a_crm_without_the_news_gives(con, make_table, lives, moments, data):
    """For each lead, built from what the CRM would have exported at its moment before."""
    later = data.draw(st.integers(max(moments), 6 * LAST_DAY)) / 4
    taken = {i: m / 4 for i, m in enumerate(moments[: len(lives)]) if lives[i].created <= m / 4}

    def tables_at(moment: float, leads: dict[int, float]) -> dict[str, Any]:
        made = as_tables(rows_at(lives, moment), make_table, opened=False)
        rows = [
            {"snapshot": i, "lead_id": lives[i].lead_id, "account_id": lives[i].account_id}
            | {"created_at": at(lives[i].created), "as_of": at(as_of), "as_of_before": at(taken[i])}
            for i, as_of in leads.items()
        ]
        made["spine"] = make_table("spine", rows, as_of_before="timestamp('UTC', 6)")
        return {name: con.to_pyarrow(found) for name, found in made.items() if name != "stages"}

    states = STATES.fetch(con, tables_at(later, dict.fromkeys(taken, later)))
    assert len(states) == 2 * len(taken)
    fields_then = [f.name for f in catalogue(WORLD) if f.statistic == "attribute"]
    for i in taken:
        for state, as_of, left_out in ((BEFORE, taken[i], []), (AGED, later, fields_then)):
            expected = FEATURE_TABLE.fetch(con, tables_at(taken[i], {i: as_of}))
            found = states[(states["snapshot"] == i) & (states["state"] == state)]
            pd.testing.assert_frame_equal(
                found.drop(columns=["state", *left_out]).reset_index(drop=True),
                expected.drop(columns=["lead_id", "as_of", *left_out]),
                check_exact=True,
                check_dtype=False,
            )


# --- a workspace -----------------------------------------------------------------------------------


def propensity(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from propensity.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Workspace:
    """A workspace whose model reads visits and a field that changes, trained up to the bundle."""
    folder = tmp_path_factory.mktemp("changes")
    write_simulation(simulate(800, seed=11), folder / "data" / "raw")
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["features"] |= {"demographic": ["owner", "seniority"], "use": ["demographic", "web"]}
    content["model"]["candidates"], content["calibration"]["methods"] = ["logistic"], ["sigmoid"]
    content["snapshots"]["ages_days"] = [0, 14]
    content["data"] |= {"spend": None}
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    opened = open_workspace(folder / "params.yaml")
    for name in list(STAGES)[: list(STAGES).index("bundle") + 1]:
        STAGES[name](opened)
    score_raw(opened, leads=None, events=None, as_of="2025-06-01")
    shutil.copy(opened.scores, opened.folder / "before.parquet")
    return opened


@pytest.fixture
def ws(made, tmp_path) -> Workspace:
    for name in ("models", "data/raw", "scores"):
        shutil.copytree(made.folder / name, tmp_path / name)
    for name in ("params.yaml", "before.parquet"):
        shutil.copy(made.folder / name, tmp_path)
    return open_workspace(tmp_path / "params.yaml")


def test_scoring_two_weeks_later_splits_every_change_and_lists_the_crossings(ws):
    before = pd.read_parquet(ws.folder / "before.parquet")
    finished = propensity(
        "score", "--as-of", "2025-06-15", "--previous", "scores/scores.parquet", folder=ws.folder
    )
    assert finished.returncode == 0, finished.stderr
    changes, scores = (pd.read_parquet(ws.scores.with_name(f"{n}.parquet")) for n in ("changes", "scores"))
    known = changes[changes["change"].notna()]
    assert changes["lead_id"].tolist() == scores["lead_id"].tolist()
    assert set(known["lead_id"]) == set(scores["lead_id"]) & set(before["lead_id"])
    np.testing.assert_allclose(known[list(PARTS)].sum(axis=1), known["change"], rtol=0, atol=1e-9)
    held = before.set_index("lead_id").loc[known["lead_id"]]
    assert known["score_before"].tolist() == held["score"].tolist()
    assert (known[["behaviour", "time", "attributes"]].abs().max() > 0.05).all()
    np.testing.assert_allclose(known[["data", "model"]], 0, rtol=0, atol=1e-9)
    new, gone = len(changes) - len(known), len(set(before["lead_id"]) - set(scores["lead_id"]))
    assert min(new, gone) > 0
    assert f"{len(known):,} leads compared with the scoring before, " in finished.stdout
    assert f"; {new:,} leads are new since, {gone:,} are no longer scored; " in finished.stdout
    crossed = pd.read_parquet(ws.scores.with_name("crossings.parquet"))
    assert set(crossed["lead_id"]) == set(known.loc[known["tier"] != known["tier_before"], "lead_id"])
    listed = pd.read_csv(ws.scores.with_name("crossings.csv"))
    assert listed["lead_id"].tolist() == crossed["lead_id"].tolist()
    assert len(listed) > 0


def test_the_predictor_tells_of_the_same_changes(ws, made):
    score_raw(ws, leads=None, events=None, as_of="2025-06-15", previous="before.parquet")
    expected = pd.read_parquet(ws.scores.with_name("changes.parquet"))
    leads, events = (pd.read_parquet(made.interim / f"{name}.parquet") for name in ("leads", "events"))
    expected = expected[expected["lead_id"].isin(leads["lead_id"])]  # a column not read refuses no row
    history = pd.read_parquet(made.interim / "history.parquet")
    leads = leads.set_index("lead_id").loc[expected["lead_id"]].reset_index()
    predictor = Predictor.load(ws.models / "bundle")
    before = pd.read_parquet(ws.folder / "before.parquet")
    found = predictor.changes(before, leads, events, "2025-06-15", history=history)
    assert found["why"].tolist() == expected["why"].tolist()
    for part in ("change", *PARTS):
        np.testing.assert_allclose(found[part], expected[part], rtol=0, atol=1e-9)


def test_a_bundle_given_beside_its_scores_leaves_nothing_to_the_model_but_what_it_changed(ws):
    """The bundle is given to itself, under the name of another: the data part is 0, and so is the model's."""
    before = pd.read_parquet(ws.folder / "before.parquet")
    score_raw(
        ws,
        leads="data/raw/leads.csv",
        events=None,
        as_of="2025-06-15",
        previous="before.parquet",
        previous_bundle="models/bundle",
    )
    changes = pd.read_parquet(ws.scores.with_name("changes.parquet"))
    known = changes[changes["change"].notna()]
    assert set(before["lead_id"]) <= set(known["lead_id"])
    np.testing.assert_allclose(known[["data", "model"]], 0, rtol=0, atol=1e-9)


def test_changes_of_an_earlier_scoring_do_not_outlive_it(ws):
    score_raw(ws, leads=None, events=None, as_of="2025-06-15", previous="before.parquet")
    beside = [ws.scores.with_name(n) for n in ("changes.parquet", "crossings.parquet", "crossings.csv")]
    assert all(path.exists() for path in beside)
    score_raw(ws, leads=None, events=None, as_of="2025-06-15")
    assert not any(path.exists() for path in beside)


@pytest.mark.parametrize(
    ("previous", "message"),
    [
        ("params.yaml", "params.yaml should be the Parquet file of an earlier scoring"),
        ("nowhere.parquet", "nowhere.parquet should be the Parquet file"),
        ("data/raw/events.parquet", "events.parquet should hold the scores of an earlier scoring"),
        ("before.parquet", "the previous scores should not be later than as_of"),
    ],
)
def test_a_file_that_cannot_be_compared_with_is_refused_and_nothing_is_written(ws, previous, message):
    held = {path: path.read_bytes() for path in ws.scores.parent.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=message):
        score_raw(ws, leads=None, events=None, as_of="2025-05-01", previous=previous)
    assert {path: path.read_bytes() for path in ws.scores.parent.rglob("*") if path.is_file()} == held


def test_a_previous_bundle_needs_its_scores(ws):
    finished = propensity("score", "--previous-bundle", "models/bundle", folder=ws.folder)
    assert finished.returncode == 2
    assert "--previous" in finished.stderr
