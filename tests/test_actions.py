"""What would change it: realistic actions, the smallest set of them, and that it does cross."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ibis import memtable

from propensity.data.fetch import fetch
from propensity.data.simulate import simulate, write_simulation
from propensity.errors import InputError
from propensity.explain import search
from propensity.explain.actions import phrase_action, propose_actions, tell_change
from propensity.explain.habits import describe_actions, read_actions
from propensity.explain.search import Case, Picks, find_sets
from propensity.explain.words import load_words
from propensity.features.actions import count_followed, followed_events, typical_values, variant_features
from propensity.features.build import build_features
from propensity.features.catalogue import Plan
from propensity.gathering import actions_document, assemble
from propensity.predict import Predictor
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace
from tiny_models import bundle as tiny_bundle
from tiny_models import table as tiny_table

ROOT = Path(__file__).parents[1]
ENGLISH = load_words("en")
CUTOFFS = {"mql": {"probability": 0.2}, "sql": {"probability": 0.5}}
PLAN = Plan(
    attributes={},
    qualifier_of={},
    event_types={"web": ["visit", "form"], "sales": ["call"]},
    assets={"web": ["pricing"]},
    lookback_days=[7.0, 30.0],
    asset_types=["call", "form", "visit"],
    value_types=["call", "form", "visit"],
)


# The search, against functions that stand in for a model.


def gains(table: list[list[float]], *, damp: float = 1.0) -> Any:
    """Return the sum of what a set's actions give, times `damp` for each beyond the first."""

    def of(picks: Picks) -> float:
        return sum(table[a][t - 1] for a, t in picks) * damp ** (len(picks) - 1)

    return of


def find(of: Any, goal: float, shares: list[list[float]]) -> search.Found:
    case = Case(0.0, goal, tuple(tuple(each) for each in shares))
    return find_sets([case], lambda asked: np.array([of(picks) for _, picks in asked]))[0]


def test_one_event_is_preferred_to_two_and_the_more_frequent_to_the_stronger() -> None:
    of = gains([[2.0, 3.0], [1.2, 1.4], [0.5, 2.5]])
    shares = [[0.05, 0.02], [0.30, 0.10], [0.9, 0.8]]
    assert find(of, 1.0, shares).picks == ((1, 1),)
    assert find(of, 1.5, shares).picks == ((0, 1),)
    # Two events: twice the third (80% do) before the first and third together (5% do the first).
    assert find(of, 2.4, shares).picks == ((2, 2),)
    assert find(of, 4.0, shares).picks == ((2, 2), (0, 1))


def test_what_lowers_is_never_taken_and_what_comes_closest_is_told() -> None:
    found = find(gains([[-1.0, 9.0], [0.5], [0.25]]), 5.0, [[0.5, 0.5], [0.2], [0.3]])
    assert (found.picks, found.reached) == (((1, 1), (2, 1)), False)
    nothing = find(gains([[-1.0], [0.0]]), 5.0, [[0.5], [0.5]])
    assert (nothing.picks, nothing.reached) == ((), False)


CURVES = st.lists(st.tuples(st.floats(-1, 3), st.integers(1, 3), st.floats(0.01, 1)), min_size=1, max_size=4)


@given(CURVES, st.floats(0.1, 8), st.floats(0.8, 1.0))
def test_no_smaller_or_more_frequent_set_crosses(curves, goal, damp) -> None:
    table = [[gain * t**0.8 for t in range(1, most + 1)] for gain, most, _ in curves]
    shares = [[share / t for t in range(1, most + 1)] for _, most, share in curves]
    of = gains(table, damp=damp)
    crossing = [
        (sum(t for _, t in picks), -min(shares[a][t - 1] for a, t in picks))
        for size in (1, 2, 3)
        for chosen in combinations(range(len(curves)), size)
        for times in product(*(range(1, curves[a][1] + 1) for a in chosen))
        for picks in [tuple(zip(chosen, times, strict=True))]
        if of(picks) >= goal
    ]
    found = find(of, goal, shares)
    assert found.reached == bool(crossing)
    if crossing:
        size = sum(t for _, t in found.picks)
        share = min(shares[a][t - 1] for a, t in found.picks)
        assert (size, -share) == min(crossing)


def test_no_lead_is_scored_more_often_than_allowed_and_all_leads_side_by_side() -> None:
    shares = tuple((0.5,) * 10 for _ in range(100))
    rounds: list[list[tuple[int, Picks]]] = []

    def rescore(asked: list[tuple[int, Picks]]) -> np.ndarray:
        rounds.append(asked)
        return np.array([sum(t for _, t in picks) * 0.1 for _, picks in asked])

    found = find_sets([Case(0.0, 1.1, shares), Case(0.0, 0.05, shares)], rescore)
    asked = [i for each in rounds for i, _ in each]
    assert asked.count(0) == search.MOST_RESCORED
    assert all(len(set(each)) == len(each) for each in rounds)
    assert [each.reached for each in found] == [False, True]
    assert len(rounds) <= search.MOST_EVENTS + 2


# What leads do.


def test_what_follows_a_snapshot_is_what_was_known_within_the_days_while_it_was_open(con, make_table) -> None:
    spine = make_table(
        "spine",
        [
            {"snapshot": 0, "lead_id": "a", "as_of": "2025-03-01"},
            {"snapshot": 1, "lead_id": "b", "as_of": "2025-03-01", "closed_at": "2025-03-03"},
        ],
        closed_at="timestamp('UTC', 6)",
    )
    visit = {"type": "visit", "asset": "pricing"}
    rows = [
        {"lead_id": "a", "event_at": "2025-03-01", "known_at": "2025-03-01", **visit},
        {"lead_id": "a", "event_at": "2025-03-02", "known_at": "2025-03-02", "value": 10.0, **visit},
        {"lead_id": "a", "event_at": "2025-03-08", "known_at": "2025-03-08", "value": 40.0, **visit},
        {"lead_id": "a", "event_at": "2025-03-04", "known_at": "2025-03-09", **visit},
        {
            "lead_id": "a",
            "event_at": "2025-03-04",
            "known_at": "2025-03-04",
            "type": "visit",
            "asset": "rare",
        },
        {"lead_id": "a", "event_at": "2025-03-04", "known_at": "2025-03-04", "type": "call"},
        {"lead_id": "b", "event_at": "2025-03-02", "known_at": "2025-03-02", "type": "form"},
        {"lead_id": "b", "event_at": "2025-03-04", "known_at": "2025-03-04", "type": "form"},
    ]
    followed = followed_events(spine, make_table("events", rows), PLAN, days_after=7.0)
    counts = fetch(con, count_followed(followed).order_by("snapshot", "type", "asset"))
    told = [
        (row.snapshot, row.type, None if pd.isna(row.asset) else row.asset, row.times)
        for row in counts.itertuples()
    ]
    assert sorted(told, key=str) == [
        (0, "visit", "pricing", 2),
        (0, "visit", None, 1),
        (1, "form", None, 1),
    ]
    values = fetch(con, typical_values(followed))
    assert values.loc[values["asset"] == "pricing", "value"].tolist() == [25.0]


def known_leads(n: int) -> pd.DataFrame:
    """Return two snapshots of each of `n` leads under both cut-offs; the first half of the leads is won."""
    leads = [f"l{i:03d}" for i in range(n) for _ in range(2)]
    return pd.DataFrame(
        {
            "snapshot": range(2 * n),
            "lead_id": leads,
            "probability": 0.1,
            "won": [i < n // 2 for i in range(n) for _ in range(2)],
        }
    )


def did(kind: str, snapshots: list[int], times: list[int]) -> pd.DataFrame:
    return pd.DataFrame(
        {"snapshot": snapshots, "qualifier": "web", "type": kind, "asset": None, "times": times}
    )


def described(counts: pd.DataFrame, known: pd.DataFrame) -> dict[str, Any]:
    values = counts[["qualifier", "type", "asset"]].drop_duplicates().assign(value=3.0)
    return describe_actions(known, counts, values, CUTOFFS)


def test_a_share_counts_a_lead_once_and_times_end_at_the_90th_percentile() -> None:
    # 40 leads after one of their two snapshots each, 30 of them twice; 3 of 40 did it 9 times.
    counts = did("visit", list(range(0, 80, 2)), [1] * 10 + [2] * 27 + [9] * 3)
    found = described(counts, known_leads(50))["mql"]
    assert found["leads"] == 50
    assert [a["type"] for a in found["actions"]] == ["visit"]
    assert found["actions"][0]["shares"] == pytest.approx([40 / 2 / 50, 30 / 2 / 50])
    assert found["actions"][0]["value"] == 3.0


def test_what_few_leads_do_is_not_realistic() -> None:
    both_snapshots = [2 * i + k for i in range(19) for k in (0, 1)]
    assert described(did("visit", both_snapshots, [1] * 38), known_leads(50))["mql"]["actions"] == []
    assert described(did("visit", [*both_snapshots, 38], [1] * 39), known_leads(50))["mql"]["actions"]


def test_what_is_followed_by_fewer_wins_is_left_out() -> None:
    last = did("unsubscribe", list(range(50, 100, 2)), [1] * 25)
    first = did("visit", list(range(0, 50, 2)), [1] * 25)
    found = described(pd.concat([last, first]), known_leads(50))["sql"]["actions"]
    assert [a["type"] for a in found] == ["visit"]


def test_only_leads_under_the_cutoff_count() -> None:
    known = known_leads(60)
    known.loc[known["snapshot"] >= 50, "probability"] = 0.3
    found = described(did("visit", list(range(0, 50, 2)), [1] * 25), known)
    assert (found["mql"]["leads"], found["sql"]["leads"]) == (25, 60)
    assert found["mql"]["actions"][0]["shares"] == pytest.approx([0.5])
    assert found["sql"]["actions"][0]["shares"] == pytest.approx([25 / 2 / 60])


# Variants.


def test_a_variant_has_the_features_of_a_lead_that_did_it(con, make_table) -> None:
    spine = [
        {"snapshot": 0, "lead_id": "a", "as_of": "2025-03-10"},
        {"snapshot": 1, "lead_id": "a", "as_of": "2025-03-10"},
    ]
    rows = [
        {"lead_id": "a", "event_at": "2025-03-01", "known_at": "2025-03-01", "type": "visit",
         "asset": "pricing", "value": 5.0},
        {"lead_id": "a", "event_at": "2025-03-09", "known_at": "2025-03-11", "type": "form"},
    ]  # fmt: skip
    demo = {"lead_id": "a", "known_at": "2025-03-10", "type": "visit", "asset": "demo", "value": 7.0}
    done = [{**demo, "event_at": at} for at in ("2025-03-10", "2025-03-09T23:59:59.999999")]
    added = pd.DataFrame({"snapshot": 1, "type": "visit", "asset": "demo", "value": 7.0, "age_us": [0, 1]})
    built = variant_features(make_table("spine", spine), make_table("events", rows), memtable(added), PLAN)
    variants = fetch(con, built.order_by("snapshot"))
    only_behaviour = replace(PLAN, dated=False)
    leads = make_table("leads", [{"lead_id": "a"}])
    for k, known in enumerate([rows, rows + done]):
        direct = build_features(
            make_table("spine", spine[:1]), leads, only_behaviour, events=make_table("events", known)
        )
        expected = fetch(con, direct).drop(columns="snapshot")
        pd.testing.assert_frame_equal(
            variants.iloc[[k]].drop(columns="snapshot").reset_index(drop=True), expected
        )
    assert variants["web_visit_count_7d"].tolist() == [0.0, 2.0]
    assert variants["web_last_asset"].tolist() == ["pricing", "demo"]


# The whole way.


@pytest.fixture(scope="module")
def ws(tmp_path_factory) -> Workspace:
    folder = tmp_path_factory.mktemp("actions")
    write_simulation(simulate(900, seed=5), folder / "data" / "raw")
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["features"]["use"].append("account")
    content["model"] |= {"candidates": ["blend"], "threads": 1}
    content["calibration"]["methods"] = ["sigmoid"]
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    workspace = open_workspace(folder / "params.yaml")
    for name in ("ingest", "cohort", "features", "split", "train", "calibrate"):
        STAGES[name](workspace)
    return workspace


@pytest.fixture(scope="module")
def predictor(ws) -> Predictor:
    made = assemble(ws)
    return Predictor(replace(made, documents={"actions": actions_document(ws, made)}))


@pytest.fixture(scope="module")
def frames(ws) -> dict[str, pd.DataFrame]:
    """The open leads of a month and their colleagues, with all that belongs to them."""
    read = {
        n: pd.read_parquet(ws.interim / f"{n}.parquet") for n in ("leads", "events", "outcomes", "history")
    }
    leads = read["leads"].sort_values("created_at")
    before = leads[leads["created_at"] <= MOMENT]
    accounts = before["account_id"].dropna().drop_duplicates().tail(20)
    read["leads"] = before[before["account_id"].isin(accounts)].reset_index(drop=True)
    return {n: t[t["lead_id"].isin(read["leads"]["lead_id"])].reset_index(drop=True) for n, t in read.items()}


MOMENT = pd.Timestamp("2025-06-30T22:00:00Z")


@pytest.fixture(scope="module")
def changes(predictor, frames) -> pd.DataFrame:
    return search_all(predictor, frames)


def search_all(predictor: Predictor, frames: dict[str, pd.DataFrame], **options: Any) -> pd.DataFrame:
    return predictor.what_would_change(
        frames["leads"], frames["events"], MOMENT, outcomes=frames["outcomes"], history=frames["history"],
        **options,
    )  # fmt: skip


def as_events(row: Any) -> pd.DataFrame:
    """Return a lead's actions as events; of several times each further one comes a microsecond before."""
    return pd.DataFrame(
        [
            {
                "lead_id": row.lead_id,
                "event_at": MOMENT - pd.Timedelta(microseconds=repeat),
                "known_at": MOMENT,
                **{name: action[name] for name in ("type", "asset", "value")},
            }
            for action in row.actions
            for repeat in range(action["times"])
        ]
    )


def score_again(predictor: Predictor, frames: dict[str, pd.DataFrame], more: pd.DataFrame) -> pd.DataFrame:
    events = pd.concat([frames["events"], more], ignore_index=True)
    scored = predictor.score(
        frames["leads"], events, MOMENT, outcomes=frames["outcomes"], history=frames["history"]
    )
    return scored.set_index("lead_id")


def test_every_lead_that_is_said_to_cross_crosses(predictor, frames, changes) -> None:
    # One lead of each account at a time: what one does moves its colleagues.
    reached = changes[changes["reached"]].merge(frames["leads"][["lead_id", "account_id"]], on="lead_id")
    assert len(reached) > 10
    assert reached["tier"].isin(["nurture", "mql"]).all()
    while len(reached):
        each = reached.drop_duplicates("account_id")
        again = score_again(predictor, frames, pd.concat([as_events(row) for row in each.itertuples()]))
        for row in each.itertuples():
            assert again.loc[row.lead_id, "score"] == pytest.approx(row.score_after, abs=1e-9)
            assert again.loc[row.lead_id, "tier"] in {"mql": ("mql", "sql"), "sql": ("sql",)}[row.target]
        reached = reached.drop(each.index)


def test_points_sum_to_the_change_and_what_is_proposed_leads_do_themselves(changes) -> None:
    for row in changes[changes["target"].notna()].itertuples():
        points = [action["points"] for action in row.actions]
        assert row.score + sum(points) == pytest.approx(row.score_after, abs=1e-9)
        assert {action["qualifier"] for action in row.actions} <= {"web", "email", "social"}
        assert all(action["share"] >= 0.01 and action["n"] >= 20 for action in row.actions)
        assert sum(points) > 0 or not row.actions


def test_what_the_leads_are_scored_at_is_what_score_gives(predictor, frames, changes) -> None:
    scored = score_again(predictor, frames, frames["events"].head(0)).loc[changes["lead_id"]]
    assert changes["lead_id"].tolist() == frames["leads"]["lead_id"].tolist()
    np.testing.assert_allclose(changes["score"], scored["score"], rtol=0, atol=1e-9)
    assert changes["tier"].tolist() == scored["tier"].tolist()


def test_nothing_is_proposed_to_disqualified_leads(changes) -> None:
    out = changes[changes["tier"] == "disqualified"]
    assert len(out)
    assert out["target"].isna().all()
    assert not out["reached"].any()
    assert all(len(actions) == 0 for actions in out["actions"])
    assert set(out["note"]) == {"it is disqualified"}


def test_one_event_less_does_not_cross(predictor, frames, changes) -> None:
    several = [
        row for row in changes[changes["reached"]].itertuples() if sum(a["times"] for a in row.actions) > 1
    ]
    assert several
    for row in several[:1]:
        events = as_events(row)
        for left_out in range(len(events)):
            again = score_again(predictor, frames, events.drop(index=left_out))
            assert again.loc[row.lead_id, "tier"] == row.tier


def test_a_named_cutoff_is_the_one_aimed_at(predictor, frames) -> None:
    few = {**frames, "leads": frames["leads"].head(6)}
    aimed = search_all(predictor, few, cutoff="sql")
    under = aimed["tier"].isin(["nurture", "mql"])
    assert (aimed.loc[under, "target"] == "sql").all()
    with pytest.raises(InputError, match=r"'mql', 'sql' or None .* it is 'hot'"):
        search_all(predictor, few, cutoff="hot")


def test_leads_searched_together_and_alone_get_the_same(predictor, frames, changes) -> None:
    leads = frames["leads"].set_index("lead_id")
    account = leads.loc[[changes.loc[changes["reached"], "lead_id"].iloc[0]]]
    together = frames["leads"]["account_id"].isin(account["account_id"])
    alone = search_all(predictor, {**frames, "leads": frames["leads"][together].reset_index(drop=True)})
    same = changes.set_index("lead_id").loc[alone["lead_id"]]
    assert [list(actions) for actions in alone["actions"]] == [list(actions) for actions in same["actions"]]


def test_a_model_that_reads_no_events_says_so() -> None:
    made = tiny_bundle("logistic")
    made = replace(made, plan=replace(made.plan, event_types={}), documents={"actions": {}})
    table = tiny_table().head(3)
    scored = table[["lead_id", "as_of"]].assign(score=40.0, tier=["nurture", "mql", "sql"])
    found = propose_actions(made, table, scored, lambda *_: pytest.fail("was rebuilt"), ENGLISH, cutoff=None)
    assert found["target"].tolist()[:2] == ["mql", "sql"]
    assert pd.isna(found["target"].iloc[2])
    assert not found["reached"].any()
    silent = "the model reads nothing that a lead does itself"
    assert found["note"].tolist() == [silent, silent, "it is over the cut-off"]
    assert "reads nothing that a lead does" in tell_change(found.iloc[0].to_dict(), ENGLISH)


def test_what_would_change_a_lead_is_told_with_points_and_how_often() -> None:
    row = {
        "target": "mql",
        "reached": True,
        "score_after": 51.24,
        "note": "",
        "actions": [{"points": 6.12, "text": "Visit pricing 2 times", "share": 0.081, "n": 1907}],
    }
    assert tell_change(row, ENGLISH) == (
        "What would bring it to MQL, by the scores of leads like it:\n"
        "   +6.1  Visit pricing 2 times (8% of 1,907 such leads do within 7 days)\n"
        "   51.2  Score then"
    )
    assert tell_change({**row, "target": None}, ENGLISH) == ""
    assert tell_change({**row, "reached": False}, ENGLISH).startswith(
        "Nothing found that such leads do brings it to MQL; the most is:"
    )


def test_a_bundle_without_habits_offers_none() -> None:
    assert read_actions(None, "mql") == []
    assert read_actions({"days": 7.0}, "sql") == []


def test_an_action_is_told_in_the_language_of_the_words() -> None:
    assert phrase_action("visit", None, 1, ENGLISH) == "Visit once"
    assert phrase_action("visit", "pricing", 2, ENGLISH) == "Visit (pricing) 2 times"
    assert phrase_action("visit", "pricing", 2, load_words("ru")) == "Visit (pricing) 2 раза"
