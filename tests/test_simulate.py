"""The simulated CRM: its truth against hand-worked and realised figures, its files, its planted dirt."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from propensity.data import mechanism, planted
from propensity.data.simulate import (
    AGES_DAYS,
    HORIZON_DAYS,
    Simulation,
    simulate,
    true_probability,
    write_simulation,
)
from propensity.errors import InputError

FILES = (
    "leads.csv",
    "outcomes.csv",
    "events.parquet",
    "stages.csv",
    "history.csv",
    "spend.csv",
    "truth/snapshots.parquet",
    "truth/effects.json",
)
CREATED = pd.Timestamp("2024-03-01T12:00:00", tz="UTC")


@pytest.fixture(scope="module")
def crm() -> Simulation:
    return simulate(20_000, 5)


@pytest.fixture(scope="module")
def small() -> Simulation:
    return simulate(2_000, 3)


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("crm")
    write_simulation(small, path)
    return path


@pytest.fixture(scope="module")
def mature(crm) -> pd.DataFrame:
    """Snapshots whose horizon has passed, with the label and the age in days."""
    rows = crm.truth.merge(crm.leads[["lead_id", "created_at"]], on="lead_id").merge(
        crm.outcomes, on="lead_id"
    )
    until = rows["as_of"] + pd.Timedelta(days=HORIZON_DAYS)
    rows["won"] = (rows["status"] == "won") & (rows["closed_at"] <= until)
    rows["age"] = (rows["as_of"] - rows["created_at"]) / pd.Timedelta(days=1)
    return rows[until <= crm.observed_until]


def one_lead(**values: object) -> pd.DataFrame:
    missing = dict.fromkeys([*planted.LOG_ODDS, "job_title"])
    lead = {"lead_id": "L1", "created_at": CREATED, "employees": None} | missing | values
    return pd.DataFrame([lead]).astype({"employees": "Int64", "created_at": "datetime64[us, UTC]"})


def events_of(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["event_at", "known_at", "type", "asset"])
    for column in ("event_at", "known_at"):
        table[column] = pd.to_datetime(table[column], utc=True).dt.as_unit("us")
    return table.assign(lead_id="L1", value=np.nan)


def snapshot(as_of: str) -> pd.DataFrame:
    return pd.DataFrame({"lead_id": ["L1"], "as_of": [pd.Timestamp(as_of, tz="UTC").as_unit("us")]})


def normal_share(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def slow_posterior(
    log_odds: float,
    seen: list[tuple[str, str, float]],
    age: float,
    nightly_age: float,
    unseen: tuple[str, ...] = (),
    undo: Sequence[float] = (0.0, 0.0, 0.0),
) -> float:
    """The probability by Bayes' rule, class by class and event by event, in plain floats.

    `seen` holds the type, asset and age in days of each known event; `nightly_age` is the age up to
    which e-mail events are known; `undo` how many of the expected events of each class nobody watched.
    """
    wins = alive = 0.0
    for z in range(3):
        likelihood = math.exp(planted.CLASS_INTERCEPT[z] + planted.CLASS_SLOPE[z] * log_odds)
        likelihood *= math.exp(undo[z])
        decay = planted.DECAY_DAYS[z]
        for kind, total in planted.EVENTS_PER_LEAD.items():
            if kind in unseen:
                continue
            lift = {
                a: share * (extra if z == 2 else 1.0) for a, (share, extra) in planted.ASSETS[kind].items()
            }
            for seen_kind, asset, event_age in seen:
                if seen_kind == kind:
                    rate = total[z] / decay * math.exp(-event_age / decay)
                    likelihood *= rate * lift[asset] / sum(lift.values())
            until = nightly_age if kind in ("open", "click", "unsubscribe") else age
            likelihood *= math.exp(-total[z] * (1 - math.exp(-until / decay)))

        def closed(status: str, at: float, z: int = z) -> float:
            share = planted.OUTCOME_SHARE[status][z]
            standard = math.log(at / planted.MEDIAN_DAYS[status][z]) / planted.LOG_SD_DAYS[status][z]
            return share * normal_share(standard)

        wins += likelihood * (closed("won", age + 90) - closed("won", age))
        alive += likelihood * (1 - closed("won", age) - closed("lost", age))
    return wins / alive


def season_and_drift() -> float:
    years = (CREATED - pd.Timestamp("2022-01-01", tz="UTC")) / pd.Timedelta(days=365.25)
    return -0.08 * years + 0.12 * math.cos(2 * math.pi * (years - 15 / 365.25))


def test_truth_is_bayes_rule_worked_out_by_a_slow_loop():
    leads = one_lead(channel="referral", employees=1000)
    events = events_of(
        ("2024-03-01T18:00", "2024-03-01T18:00", "visit", "pricing"),  # age 0.25
        ("2024-03-02T12:00", "2024-03-03T02:00", "open", "offer"),  # age 1, known at 1.5833
        ("2024-03-03T12:00", "2024-03-04T02:00", "click", "digest"),  # age 2, not yet known
        ("2024-03-03T15:00", "2024-03-03T15:00", "call", ""),  # tells nothing
    )
    found = true_probability(leads, events, snapshot("2024-03-03T18:00"), horizon_days=90)
    odds = planted.LOG_ODDS["channel"]["referral"] + planted.EMPLOYEES_SLOPE + season_and_drift()
    seen = [("visit", "pricing", 0.25), ("open", "offer", 1.0)]
    assert found[0] == pytest.approx(slow_posterior(odds, seen, age=2.25, nightly_age=38 / 24), rel=1e-9)


def test_an_event_type_that_nobody_watches_tells_nothing_not_even_by_its_silence():
    events = events_of(
        ("2024-03-01T18:00", "2024-03-01T18:00", "visit", "pricing"),  # age 0.25
        ("2024-03-02T12:00", "2024-03-03T02:00", "open", "offer"),  # age 1, known at 1.5833
    )
    moment = snapshot("2024-03-03T18:00")
    found = true_probability(one_lead(), events, moment, horizon_days=90, unseen={"visit", "share"})
    times = {"age": 2.25, "nightly_age": 38 / 24, "unseen": ("visit", "share")}
    expected = slow_posterior(season_and_drift(), [("open", "offer", 1.0)], **times)
    assert found[0] == pytest.approx(expected, rel=1e-9)


def test_no_email_event_can_be_known_before_the_first_sync():
    found = true_probability(one_lead(), events_of(), snapshot("2024-03-01T18:00"), horizon_days=90)
    expected = slow_posterior(season_and_drift(), [], age=0.25, nightly_age=0.0)
    assert found[0] == pytest.approx(expected, rel=1e-9)


def test_a_missing_value_adds_nothing_to_the_log_odds():
    assert mechanism.log_odds(one_lead())[0] == pytest.approx(season_and_drift())
    assert mechanism.log_odds(one_lead(seniority="junior"))[0] == pytest.approx(
        season_and_drift() + planted.LOG_ODDS["seniority"]["junior"]
    )


def test_email_events_become_known_at_the_next_two_in_the_morning():
    def at(text: str) -> np.ndarray:
        return mechanism.to_micros(pd.Series([pd.Timestamp(text, tz="UTC")]))

    assert mechanism.next_sync(at("2024-03-01T01:59")) == at("2024-03-01T02:00")
    assert mechanism.next_sync(at("2024-03-01T02:00")) == at("2024-03-01T02:00")
    assert mechanism.next_sync(at("2024-03-01T02:01")) == at("2024-03-02T02:00")
    assert mechanism.last_sync(at("2024-03-01T01:59")) == at("2024-02-29T02:00")
    assert mechanism.last_sync(at("2024-03-01T02:00")) == at("2024-03-01T02:00")


@pytest.mark.parametrize("age", AGES_DAYS)
def test_truth_is_calibrated_in_every_tenth(mature, age):
    rows = mature[mature["age"] == age]
    tenth = pd.qcut(rows["true_probability"], 10, labels=False)
    for _, part in rows.groupby(tenth):
        p = part["true_probability"].to_numpy()
        error = math.sqrt((p * (1 - p)).sum())
        assert abs(part["won"].sum() - p.sum()) < 3.5 * error


@pytest.mark.parametrize(("age", "least_gain"), [(0, 0.08), (7, 0.2), (30, 0.35)])
def test_truth_gains_more_log_loss_over_the_base_rate_as_a_lead_ages(mature, age, least_gain):
    rows = mature[mature["age"] == age]
    won, p, base = rows["won"].to_numpy(), rows["true_probability"].to_numpy(), rows["won"].mean()
    of_truth = -np.where(won, np.log(p), np.log1p(-p)).mean()
    of_base = -np.where(won, np.log(base), np.log1p(-base)).mean()
    assert of_truth < (1 - least_gain) * of_base
    assert 0.1 < base < 0.16


def test_truth_is_blind_to_what_became_known_later(small):
    as_of = small.leads["created_at"].median() + pd.Timedelta(days=20)
    created = small.leads["created_at"]
    chosen = small.leads.loc[(created < as_of) & (created > as_of - pd.Timedelta(days=60)), "lead_id"]
    asked = pd.DataFrame({"lead_id": chosen, "as_of": as_of})
    past = small.events[small.events["known_at"] <= as_of]
    later = small.events["known_at"] > as_of
    altered = small.events.assign(
        type=small.events["type"].mask(later, "form"), asset=small.events["asset"].mask(later, "contact")
    )
    expected = true_probability(small.leads, small.events, asked, horizon_days=30)
    assert len(asked) > 50
    assert (small.events["event_at"] <= as_of)[later].any()
    for events in (past, altered):
        np.testing.assert_array_equal(true_probability(small.leads, events, asked, horizon_days=30), expected)


def test_truth_uses_no_leaky_column(small):
    honest = small.leads.drop(columns=small.effects["leak_columns"] + small.effects["columns_without_effect"])
    again = true_probability(honest, small.events, small.truth, horizon_days=HORIZON_DAYS)
    np.testing.assert_array_equal(again, small.truth["true_probability"])


def test_truth_has_each_open_lead_at_each_age_and_at_the_end(small):
    merged = small.leads[["lead_id", "created_at"]].merge(
        small.outcomes[["lead_id", "closed_at"]], on="lead_id"
    )
    expected = set()
    for lead_id, created, closed in merged.itertuples(index=False):
        moments = [created + pd.Timedelta(days=age) for age in AGES_DAYS] + [small.observed_until]
        expected |= {
            (lead_id, as_of)
            for as_of in moments
            if as_of <= small.observed_until and (pd.isna(closed) or closed > as_of)
        }
    found = list(small.truth[["lead_id", "as_of"]].itertuples(index=False, name=None))
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_snapshots_outside_the_tables_are_refused():
    with pytest.raises(InputError, match="snapshots: every lead_id must stand in leads, missing: 'L2'"):
        true_probability(
            one_lead(), events_of(), snapshot("2024-03-02").assign(lead_id="L2"), horizon_days=90
        )
    with pytest.raises(InputError, match="before the lead's created_at, it does for 'L1'"):
        true_probability(one_lead(), events_of(), snapshot("2024-02-28"), horizon_days=90)
    strange = events_of(("2024-03-02", "2024-03-02", "visit", "shop"))
    with pytest.raises(InputError, match=r"no such type and asset: \('visit', 'shop'\)"):
        true_probability(one_lead(), strange, snapshot("2024-03-03"), horizon_days=90)


@pytest.mark.parametrize(("n_leads", "seed"), [(0, 1), (10, -1)])
def test_impossible_sizes_and_seeds_are_refused(n_leads, seed):
    with pytest.raises(InputError, match=f"got {n_leads} and {seed}"):
        simulate(n_leads, seed)


def test_a_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 9), ("b", 9), ("c", 10)):
        write_simulation(simulate(150, seed), tmp_path / name)
    for file in FILES:
        content = (tmp_path / "a" / file).read_bytes()
        assert content == (tmp_path / "b" / file).read_bytes()
        assert content != (tmp_path / "c" / file).read_bytes()


@pytest.mark.parametrize("n_leads", [1, 2, 5])
def test_a_handful_of_leads_is_enough(tmp_path, n_leads):
    for seed in range(5):
        write_simulation(simulate(n_leads, seed), tmp_path)
        assert len(pq.read_table(tmp_path / "truth/snapshots.parquet")) >= 1


def test_facts_are_in_the_order_of_life(small):
    events = small.events.merge(small.leads[["lead_id", "created_at"]]).merge(small.outcomes, on="lead_id")
    assert (events["event_at"] > events["created_at"]).all()
    assert not (events["event_at"] >= events["closed_at"]).any()
    delay = events["known_at"] - events["event_at"]
    assert delay[events["type"].isin(planted.NIGHTLY_TYPES)].between("0s", "1D").all()
    assert (delay[~events["type"].isin(planted.NIGHTLY_TYPES)] == pd.Timedelta(0)).all()
    stages = small.stages.merge(small.outcomes, on="lead_id")
    last = stages.groupby("lead_id").tail(1)
    ended = last[last["status"] != "open"]
    assert (ended["entered_at"] == ended["closed_at"]).all()


def test_nothing_stands_in_the_tables_after_observed_until(small):
    stamped = {
        "leads": ["created_at"],
        "events": ["event_at", "known_at"],
        "outcomes": ["closed_at"],
        "stages": ["entered_at"],
        "history": ["changed_at"],
        "spend": ["period_end"],
        "truth": ["as_of"],
    }
    latest = max(
        getattr(small, table)[column].max() for table, columns in stamped.items() for column in columns
    )
    assert latest == small.observed_until <= pd.Timestamp("2025-12-31", tz="UTC")


def test_channels_are_won_in_the_order_of_their_planted_effects(crm, mature):
    at_creation = mature[mature["age"] == 0].merge(crm.leads[["lead_id", "channel"]], on="lead_id")
    won = at_creation.groupby("channel")["won"].mean()
    planted_order = pd.Series(planted.LOG_ODDS["channel"])
    assert planted_order.corr(won, method="spearman") > 0.9
    assert won.idxmax() == "referral"
    assert won["content_syndication"] < 0.5 * won["organic_search"]


def test_students_act_like_others_and_almost_never_buy(crm):
    student = mechanism.is_student(crm.leads)
    won = crm.outcomes["status"].eq("won").to_numpy()
    n_events = crm.leads["lead_id"].map(crm.events["lead_id"].value_counts()).fillna(0).to_numpy()
    assert 0.02 < student.mean() < 0.04
    assert won[student].mean() < 0.02 < 0.1 < won[~student].mean()
    assert n_events[student].mean() == pytest.approx(n_events[~student].mean(), rel=0.15)


def test_buyers_look_at_lifted_pages_more_often(crm):
    status = crm.events["lead_id"].map(crm.outcomes.set_index("lead_id")["status"])
    visits = crm.events["type"] == "visit"
    share = pd.crosstab(crm.events["asset"][visits], status[visits], normalize="columns")
    observed = share["won"] / share["lost"]
    lift = pd.Series(crm.effects["asset_lifts"]["visit"])
    assert lift.corr(observed) > 0.95


def test_sizes_are_those_of_a_real_crm(crm):
    assert 22 < len(crm.events) / len(crm.leads) < 28
    assert 2.2 < len(crm.leads) / crm.leads["account_id"].nunique() < 2.8
    assert 0.1 < crm.outcomes["status"].eq("open").mean() < 0.3
    first_days = crm.outcomes["closed_at"] - crm.leads["created_at"] < pd.Timedelta(days=3)
    assert 0.01 < first_days.mean() < 0.1
    assert set(crm.spend["channel"]) == set(crm.leads["channel"])


def test_leaky_columns_give_the_outcome_away(crm):
    won = crm.outcomes["status"] == "won"
    lost = crm.outcomes["status"] == "lost"
    assert won[crm.leads["next_step"] == "send contract"].all()
    assert lost[crm.leads["lost_reason_code"].notna()].all()
    assert won[crm.leads["lead_rating"] == "hot"].mean() > 3 * won.mean()
    visits = crm.events.loc[crm.events["type"] == "visit", "lead_id"].value_counts()
    assert (crm.leads.set_index("lead_id")["visits_total"].reindex(visits.index) == visits).all()


def test_each_lead_had_its_owners_one_after_the_other_and_has_the_last(small):
    first_of: dict[str, str] = {}
    held: dict[str, str] = {}
    for change in small.history.itertuples():
        first_of.setdefault(change.lead_id, change.old)
        assert change.old == held.get(change.lead_id, change.old)
        assert change.new != change.old
        held[change.lead_id] = change.new
    owner = small.leads.set_index("lead_id")["owner"]
    assert owner[list(held)].to_dict() == held
    assert (owner.loc[list(first_of)] != pd.Series(first_of)).mean() > 0.8
    assert "owner" in small.effects["columns_without_effect"]


def test_owners_change_after_the_creation_and_up_to_the_end(small):
    changes = small.history.merge(small.leads[["lead_id", "created_at"]], on="lead_id")
    assert (changes["changed_at"] > changes["created_at"]).all()
    assert small.history["changed_at"].is_monotonic_increasing
    late = small.history["changed_at"] > small.leads["created_at"].max() - pd.Timedelta(days=60)
    assert late.sum() > 20


def test_owners_tell_nothing_about_the_outcome(crm):
    ended = crm.outcomes["status"] != "open"
    won = crm.outcomes["status"][ended] == "won"
    by_owner = won.groupby(crm.leads["owner"][ended]).agg(["mean", "size"])
    error = np.sqrt(won.mean() * (1 - won.mean()) / by_owner["size"])
    assert ((by_owner["mean"] - won.mean()).abs() < 3.5 * error).all()
    years = (crm.observed_until - crm.leads["created_at"]) / pd.Timedelta(days=365)
    changes = crm.leads["lead_id"].map(crm.history["lead_id"].value_counts()).fillna(0)
    for rows in (ended, ~ended):
        rate = changes[rows].sum() / years[rows].sum()
        assert rate == pytest.approx(1.0, abs=3.5 / np.sqrt(years[rows].sum()))


# --- the written files -----------------------------------------------------------------------------


def csv_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    return header, rows


def is_moment(text: str) -> bool:
    return text.endswith("+00:00") and not pd.isna(pd.to_datetime(text, errors="coerce", format="ISO8601"))


def test_each_kind_of_dirt_is_in_the_leads_file_as_often_as_stated(folder):
    header, rows = csv_rows(folder / "leads.csv")
    counts = json.loads((folder / "truth/effects.json").read_text())["dirt"]["leads"]
    straight = [row for row in rows if len(row) == len(header)]
    undated = [row for row in straight if not is_moment(row[header.index("created_at")])]
    uncounted = [row for row in straight if row[header.index("employees")].strip("0123456789")]
    assert min(counts.values()) >= 1
    assert len(rows) - len(straight) == counts["malformed"]
    assert len(undated) >= 1
    assert len(uncounted) >= 1
    assert len(undated) + len(uncounted) == counts["type"]
    assert len(straight) - len({row[0] for row in straight}) == counts["duplicate_key"]


def test_honest_leads_are_written_whole_and_before_their_copies(folder, small):
    header, rows = csv_rows(folder / "leads.csv")
    honest = set(small.leads["lead_id"])
    kept = list({row[0]: row for row in reversed(rows) if row[0] in honest}.values())[::-1]
    written = pd.DataFrame(kept, columns=header).sort_values("lead_id", ignore_index=True)
    assert written["lead_id"].tolist() == small.leads["lead_id"].tolist()
    created = pd.to_datetime(written["created_at"], format="ISO8601").dt.as_unit("us")
    pd.testing.assert_series_equal(created, small.leads["created_at"])
    for column in [*planted.LOG_ODDS, "job_title", "city"]:
        assert written[column].tolist() == small.leads[column].fillna("").tolist()


def test_each_kind_of_dirt_is_in_the_events_file_as_often_as_stated(folder, small):
    table = pq.read_table(folder / "events.parquet")
    counts = json.loads((folder / "truth/effects.json").read_text())["dirt"]["events"]
    values = np.array([v for v in table["value"].to_pylist() if v is not None])
    known = set(small.leads["lead_id"])
    unknown = [lead for lead in table["lead_id"].to_pylist() if lead not in known]
    assert np.isnan(values).any()
    assert np.isinf(values).any()
    assert (~np.isfinite(values)).sum() == counts["not_finite"]
    assert len(unknown) == counts["unknown_lead"] >= 1
    assert sum(at.year == 2099 for at in table["event_at"].to_pylist()) == counts["future"] >= 1
    assert len(table) == len(small.events) + sum(counts.values())


def test_a_visit_alone_has_a_value_in_the_events_file(folder):
    table = pq.read_table(folder / "events.parquet").to_pylist()
    honest = [row for row in table if row["value"] is None or math.isfinite(row["value"])]
    assert {row["type"] for row in honest if row["value"] is not None} == {"visit"}
    assert not [row for row in honest if row["value"] is None and row["type"] == "visit"]


def test_outcomes_closed_too_early_come_after_the_honest_row(folder, small):
    header, rows = csv_rows(folder / "outcomes.csv")
    counts = json.loads((folder / "truth/effects.json").read_text())["dirt"]["outcomes"]
    created = small.leads.set_index("lead_id")["created_at"]
    seen: set[str] = set()
    early = 0
    for row in rows:
        closed = row[header.index("closed_at")]
        if closed and pd.Timestamp(closed) < created[row[0]]:
            early += 1
            assert row[0] in seen
        seen.add(row[0])
    assert early == counts["closed_before_created"] == len(rows) - len(small.leads) >= 1


def test_the_truth_file_joins_the_leads_to_the_microsecond(folder, small):
    truth = pq.read_table(folder / "truth/snapshots.parquet")
    assert truth.column_names == ["lead_id", "as_of", "horizon_days", "true_probability"]
    assert str(truth.schema.field("as_of").type) == "timestamp[us, tz=UTC]"
    frame = truth.to_pandas().merge(small.leads[["lead_id", "created_at"]], on="lead_id", how="left")
    assert len(frame) == len(small.truth)
    assert frame["true_probability"].between(0, 1, inclusive="neither").all()
    at_age = (frame["as_of"] - frame["created_at"]).isin([pd.Timedelta(days=age) for age in AGES_DAYS])
    assert (at_age | (frame["as_of"] == small.observed_until)).all()


def test_the_effects_file_names_what_was_planted(folder, small):
    effects = json.loads((folder / "truth/effects.json").read_text())
    assert effects["log_odds"] == planted.LOG_ODDS
    assert effects["asset_lifts"]["visit"]["pricing"] == planted.ASSETS["visit"]["pricing"][1]
    assert set(effects["leak_columns"]) < set(small.leads.columns)
    assert pd.Timestamp(effects["observed_until"]) == small.observed_until
