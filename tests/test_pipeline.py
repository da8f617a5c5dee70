"""The whole way, in a temporary workspace of simulated leads: what comes out, and that it comes out again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from propensity import __version__
from propensity.commands import explain_lead, score_raw
from propensity.data.files import sha256
from propensity.data.simulate import simulate, write_simulation
from propensity.evaluation.metrics import METRICS
from propensity.explain.words import load_words
from propensity.model.bundle import log_odds, read_bundle
from propensity.predict import Predictor
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[1]
N_LEADS = 2500
COLUMNS = [
    "lead_id", "as_of", "probability", "score", "tier", "base_points", "fit_points", "engagement_points",
    "expected_value", "reasons", "model_version", "scored_at", "probability_low", "probability_high",
    "grade", "fit_grade", "engagement_grade", "expected_amount", "expected_value_low", "expected_value_high",
    "amount_wins",
]  # fmt: skip


def propensity(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from propensity.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> tuple[Workspace, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("workspace")
    write_simulation(simulate(N_LEADS, seed=11), folder / "data" / "raw")
    shutil.copy(ROOT / "params.yaml", folder)
    finished = propensity("run", folder=folder)
    assert finished.returncode == 0, finished.stderr
    return open_workspace(folder / "params.yaml"), finished


@pytest.fixture(scope="session")
def ws(made) -> Workspace:
    return made[0]


@pytest.fixture(scope="session")
def predictor(ws) -> Predictor:
    return Predictor.load(ws.models / "bundle")


@pytest.fixture(scope="session")
def raw(ws) -> dict[str, pd.DataFrame]:
    """The canonical leads and events as frames, and the open leads' scores."""
    tables = {name: pd.read_parquet(ws.interim / f"{name}.parquet") for name in ("leads", "events")}
    return tables | {"scores": pd.read_parquet(ws.scores)}


def only(raw, ids):
    return tuple(raw[name][raw[name]["lead_id"].isin(ids)] for name in ("leads", "events"))


# --- what a run leaves behind ----------------------------------------------------------------------


def test_a_run_says_what_each_stage_did_and_reconciles_the_rows(made):
    lines = made[1].stdout.splitlines()
    assert [line.split(":")[0] for line in lines if line.split(":")[0] in STAGES] == list(STAGES)
    reconciled = [line for line in lines if "rows read" in line]
    assert len(reconciled) == 6
    for line in reconciled:
        read, accepted, quarantined = (
            int(word.replace(",", "")) for word in line.split() if word.replace(",", "").isdigit()
        )
        assert read == accepted + quarantined


def test_the_training_table_has_keys_parts_labels_and_features(ws):
    table = pd.read_parquet(ws.processed / "training.parquet")
    assert list(table.columns[:5]) == ["lead_id", "as_of", "split", "won", "weight"]
    assert set(table["split"]) == {"train", "stop", "calibrate", "test"}
    assert not table.duplicated(["lead_id", "as_of"]).any()


def test_labels_and_features_agree_with_the_raw_tables(ws, raw):
    table = pd.read_parquet(ws.processed / "training.parquet").sample(60, random_state=1)
    outcomes = pd.read_parquet(ws.interim / "outcomes.parquet").set_index("lead_id")
    events = raw["events"][raw["events"]["type"] == "visit"]
    for row in table.itertuples():
        closed = outcomes.loc[row.lead_id, "closed_at"]
        within = row.as_of < closed <= row.as_of + pd.Timedelta(days=90)
        assert row.won == (outcomes.loc[row.lead_id, "status"] == "won" and within)
        mine = events[(events["lead_id"] == row.lead_id) & (events["known_at"] <= row.as_of)]
        assert row.web_visit_count_7d == (row.as_of - mine["event_at"] < pd.Timedelta(days=7)).sum()


def test_the_metrics_have_an_interval_beside_each_figure(ws):
    metrics = json.loads((ws.reports / "metrics.json").read_text())
    for report in (metrics["test"], metrics["calibrate"], *metrics["baselines"].values()):
        assert report["n"] > 0
        for name in METRICS:
            low, high = report[f"{name}_interval"]
            assert low <= report[name] <= high or name in ("ece", "auc")
    assert {"audit", "counts", "by_age", "by_channel"} <= set(metrics)


def test_the_model_beats_the_base_rate_and_the_points_rule_on_the_test_part(ws):
    metrics = json.loads((ws.reports / "metrics.json").read_text())
    losses = {name: report["log_loss"] for name, report in metrics["baselines"].items()}
    assert metrics["test"]["log_loss"] < min(losses.values())


def test_scores_cover_the_open_leads_once(ws, raw):
    outcomes = pd.read_parquet(ws.interim / "outcomes.parquet")
    closed = set(outcomes.loc[outcomes["status"] != "open", "lead_id"])
    unsettled = set(pd.read_parquet(ws.interim / "unsettled.parquet")["lead_id"])
    scores = raw["scores"]
    assert list(scores.columns) == COLUMNS
    assert sorted(scores["lead_id"]) == sorted(set(raw["leads"]["lead_id"]) - closed - unsettled)


def test_students_are_scored_and_not_pursued(raw):
    scores = raw["scores"].merge(raw["leads"][["lead_id", "job_title"]], on="lead_id")
    student = scores["job_title"].str.contains(r"\b(?:student|intern|test)\b", case=False).fillna(value=False)
    assert student.any()
    assert ((scores["tier"] == "disqualified") == student).all()
    first = scores.loc[student, "reasons"].map(lambda reasons: reasons[0])
    assert first.map(lambda r: r["points"] == 0 and r["text"].startswith("Disqualified")).all()


def test_a_lead_is_worth_its_probability_times_the_amount_that_wins_like_it_brought(ws, raw):
    outcomes = pd.read_parquet(ws.interim / "outcomes.parquet")
    leads = raw["leads"].merge(outcomes[outcomes["status"] == "won"], on="lead_id")
    scores, values = raw["scores"].merge(raw["leads"], on="lead_id"), ws.params.cutoffs.value
    pursued = scores[scores["tier"] != "disqualified"]
    cost = np.where(pursued["tier"] == "sql", values.sales_touch, values.nurture)
    worth = pursued["probability"] * pursued["expected_amount"] * values.margin - cost
    np.testing.assert_allclose(pursued["expected_value"], worth)
    assert pursued["expected_value"].between(*(pursued[f"expected_value_{e}"] for e in ("low", "high"))).all()
    assert (scores.loc[scores["tier"] == "disqualified", "expected_value"] == 0).all()
    large = scores["employees"] > scores["employees"].median()
    assert scores[large]["expected_amount"].min() > leads["amount"].median() / 2
    assert scores[large]["expected_amount"].mean() > 1.5 * scores[~large]["expected_amount"].mean()
    assert (scores["amount_wins"] <= leads["channel"].value_counts().max()).all()


def test_base_and_reasons_sum_to_the_score_and_so_do_the_sides(raw):
    scores = raw["scores"]
    reasons = scores["reasons"].map(lambda rows: sum(r["points"] for r in rows))
    np.testing.assert_allclose(scores["base_points"] + reasons, scores["score"], rtol=0, atol=1e-9)
    sides = scores["base_points"] + scores["fit_points"] + scores["engagement_points"]
    np.testing.assert_allclose(sides, scores["score"], rtol=0, atol=1e-9)


def test_the_review_is_one_file_that_asks_for_nothing(ws):
    html = (ws.reports / "review.html").read_text(encoding="utf-8")
    assert "http" not in html.replace("http-equiv", "")
    assert "Content-Security-Policy" in html


@pytest.mark.filterwarnings("ignore")  # mlflow and SQLAlchemy warn about each other
def test_mlflow_holds_the_run_with_its_artefacts_and_hashes(ws):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{ws.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("propensity")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.metrics["test.auc"] > 0.5
    assert float(run.data.params["snapshots.horizon_days"]) == 90
    assert run.data.tags["data.sha256.data/raw/leads.csv"] == sha256(ws.folder / "data/raw/leads.csv")
    assert {a.path for a in client.list_artifacts(run.info.run_id)} == {
        "metrics.json",
        "model",
        "model_card.md",
    }


def test_a_second_run_gives_the_same_bundle_byte_for_byte(ws, tmp_path):
    shutil.copytree(ws.folder / "data" / "raw", tmp_path / "data" / "raw")
    shutil.copy(ws.folder / "params.yaml", tmp_path)
    other = open_workspace(tmp_path / "params.yaml")
    for name in list(STAGES)[: list(STAGES).index("bundle") + 1]:
        STAGES[name](other)
    for path in sorted((ws.models / "bundle").iterdir()):
        assert path.read_bytes() == (other.models / "bundle" / path.name).read_bytes(), path.name


# --- scoring ---------------------------------------------------------------------------------------


def test_a_frame_scores_as_the_batch_did(raw, predictor):
    expected = raw["scores"]
    found = predictor.score(*only(raw, expected["lead_id"]), as_of=expected["as_of"].iloc[0])
    found = found.set_index("lead_id").loc[expected["lead_id"]].reset_index()
    np.testing.assert_allclose(found["probability"], expected["probability"], rtol=0, atol=1e-12)
    assert (found["tier"] == expected["tier"]).all()
    for column in ("expected_amount", "expected_value", "expected_value_low", "expected_value_high"):
        np.testing.assert_allclose(found[column], expected[column], rtol=1e-9, atol=1e-9)
    assert (found["amount_wins"] == expected["amount_wins"]).all()
    for ours, theirs in zip(found["reasons"], expected["reasons"], strict=True):
        assert [(r["feature"], r["text"]) for r in ours] == [(r["feature"], r["text"]) for r in theirs]


def test_a_lead_alone_scores_as_in_the_batch(raw, predictor):
    for expected in raw["scores"].sample(5, random_state=3).itertuples():
        found = predictor.score(*only(raw, [expected.lead_id]), as_of=expected.as_of).iloc[0]
        assert found["probability"] == pytest.approx(expected.probability, rel=0, abs=1e-12)
        assert found["tier"] == expected.tier
        assert [r["text"] for r in found["reasons"]] == [r["text"] for r in expected.reasons]


def test_a_fresh_process_scores_the_same(ws, raw, tmp_path):
    leads, events = only(raw, raw["scores"]["lead_id"].head(20))
    leads.to_parquet(tmp_path / "leads.parquet")
    events.to_parquet(tmp_path / "events.parquet")
    code = (
        "import sys, pandas as pd; from propensity.predict import Predictor; "
        "bundle, folder, as_of = sys.argv[1:]; "
        "read = lambda name: pd.read_parquet(f'{folder}/{name}.parquet'); "
        "found = Predictor.load(bundle).score(read('leads'), read('events'), as_of=as_of); "
        "print(found[['lead_id', 'probability']].to_json(orient='records', double_precision=15))"
    )
    moment = raw["scores"]["as_of"].iloc[0].isoformat()
    command = [sys.executable, "-c", code, str(ws.models / "bundle"), str(tmp_path), moment]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = pd.DataFrame(json.loads(printed)).set_index("lead_id")["probability"]
    expected = raw["scores"].set_index("lead_id")["probability"].loc[found.index]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_columns_may_stand_in_any_order_and_extra_ones_are_ignored(raw, predictor):
    leads, events = only(raw, raw["scores"]["lead_id"].head(5))
    as_of = raw["scores"]["as_of"].iloc[0]
    plain = predictor.score(leads, events, as_of=as_of)
    turned = predictor.score(
        leads[leads.columns[::-1]].assign(spare=1), events[events.columns[::-1]], as_of=as_of
    )
    assert plain["probability"].tolist() == turned["probability"].tolist()


def test_no_leads_give_no_rows_with_the_same_columns(raw, predictor):
    found = predictor.score(raw["leads"].head(0), raw["events"].head(0), as_of="2025-12-31")
    assert list(found.columns) == COLUMNS
    assert found.empty


def test_rows_come_back_in_the_order_they_were_given(raw, predictor):
    leads, events = only(raw, raw["scores"]["lead_id"].head(7))
    shuffled = leads.sample(frac=1, random_state=2)
    found = predictor.score(shuffled, events, as_of=raw["scores"]["as_of"].iloc[0])
    assert found["lead_id"].tolist() == shuffled["lead_id"].tolist()


def test_a_lead_may_come_as_a_mapping(raw, predictor):
    leads, events = only(raw, raw["scores"]["lead_id"].head(1))
    as_of = raw["scores"]["as_of"].iloc[0]
    one = predictor.score(leads.iloc[0].to_dict(), events, as_of=as_of)
    assert one["probability"].item() == predictor.score(leads, events, as_of=as_of)["probability"].item()


def test_a_missing_column_is_refused_by_name(raw, predictor):
    leads, events = only(raw, raw["scores"]["lead_id"].head(2))
    with pytest.raises(Exception, match="industry") as caught:
        predictor.score(leads.drop(columns="industry"), events, as_of="2025-12-31")
    assert caught.value.exit_code == 3


def test_events_must_be_passed_to_a_model_that_reads_them(raw, predictor):
    with pytest.raises(Exception, match="reads events") as caught:
        predictor.score(raw["leads"].head(1))
    assert caught.value.exit_code == 3


def test_an_unseen_category_is_scored_and_counted_in_the_log(raw, predictor, caplog):
    leads, events = only(raw, raw["scores"]["lead_id"].head(3))
    found = predictor.score(leads.assign(industry="asteroid mining"), events, as_of="2025-12-31")
    assert found["probability"].between(0, 1).all()
    assert "industry: 3 of 3 rows have a value that training did not know" in caplog.text


def test_a_lead_created_after_the_moment_of_scoring_is_refused(raw, predictor):
    leads, events = only(raw, raw["scores"]["lead_id"].head(2))
    with pytest.raises(Exception, match=r"2 of 2 leads were created after as_of: 'L"):
        predictor.score(leads, events, as_of="2020-01-01")


def test_leads_older_than_the_model_has_seen_are_counted_in_the_log(raw, predictor, caplog):
    leads, events = only(raw, raw["scores"]["lead_id"].head(3))
    predictor.score(leads, events, as_of=leads["created_at"].max() + pd.Timedelta(days=400))
    assert "3 of 3 leads are older than any the model learned from (30 days)" in caplog.text


def test_events_after_the_moment_of_scoring_change_nothing(raw, predictor):
    leads, events = only(raw, raw["scores"]["lead_id"].head(3))
    as_of = leads["created_at"].max() + pd.Timedelta(days=5)
    blind = predictor.score(leads, events[events["known_at"] <= as_of], as_of=as_of)
    assert (
        blind["probability"].tolist() == predictor.score(leads, events, as_of=as_of)["probability"].tolist()
    )


def test_each_lead_may_have_its_own_moment(raw, predictor):
    leads, events = only(raw, raw["scores"]["lead_id"].head(2))
    moments = [leads["created_at"].iloc[0] + pd.Timedelta(days=d) for d in (2, 400)]
    both = predictor.score(leads.iloc[[0]].loc[lambda t: t.index.repeat(1)], events, as_of=[moments[0]])
    alone = predictor.score(leads.iloc[[0]], events, as_of=moments[0])
    assert both["probability"].tolist() == alone["probability"].tolist()
    with pytest.raises(Exception, match="as_of has 2 moments for 1 leads"):
        predictor.score(leads.iloc[[0]], events, as_of=moments)


@pytest.mark.filterwarnings("ignore")  # shap and matplotlib warn about each other
@pytest.mark.parametrize("by", ["family", "qualifier"])
def test_groups_of_the_explanation_sum_to_the_score(raw, predictor, by):
    leads, events = only(raw, raw["scores"]["lead_id"].head(4))
    explanation = predictor.explain(leads, events, as_of="2025-12-31", by=by)
    scores = predictor.score(leads, events, as_of="2025-12-31")["score"]
    np.testing.assert_allclose(explanation.base_values + explanation.values.sum(axis=1), scores, atol=1e-9)
    assert ("web" if by == "qualifier" else "web_visit") in explanation.feature_names


@pytest.mark.filterwarnings("ignore")  # shap and matplotlib warn about each other
def test_the_explanation_sums_to_the_score_for_shap(raw, predictor):
    leads, events = only(raw, raw["scores"]["lead_id"].head(4))
    explanation = predictor.explain(leads, events, as_of="2025-12-31")
    scores = predictor.score(leads, events, as_of="2025-12-31")["score"]
    np.testing.assert_allclose(explanation.base_values + explanation.values.sum(axis=1), scores, atol=1e-9)


def test_the_bundle_scores_the_training_table_as_the_predictor_does(ws, raw, predictor):
    test = pd.read_parquet(ws.processed / "training.parquet").query("split == 'test'").head(30)
    leads = raw["leads"].set_index("lead_id").loc[test["lead_id"]].reset_index()
    expected = log_odds(read_bundle(ws.models / "bundle"), test)
    for i in range(0, 30, 6):
        row = test.iloc[i]
        mine = raw["events"][raw["events"]["lead_id"] == row["lead_id"]]
        found = predictor.score(leads.iloc[[i]], mine, as_of=row["as_of"])["probability"].item()
        assert found == pytest.approx(1 / (1 + np.exp(-expected[i])), abs=1e-12)


# --- the command line ------------------------------------------------------------------------------


@pytest.fixture
def copy(ws, tmp_path) -> Workspace:
    for name in ("models", "scores", "data/raw"):
        shutil.copytree(ws.folder / name, tmp_path / name)
    shutil.copy(ws.folder / "params.yaml", tmp_path)
    return open_workspace(tmp_path / "params.yaml")


def test_scoring_from_the_raw_tables_equals_the_run(copy, raw):
    said = score_raw(copy, leads=None, events=None, as_of=None)
    assert "rows read" in said
    found = pd.read_parquet(copy.scores)
    pd.testing.assert_series_equal(found["probability"], raw["scores"]["probability"])


def test_scoring_a_file_scores_every_lead_in_it(copy, ws):
    leads = pd.read_csv(ws.folder / "data/raw/leads.csv", dtype=str, on_bad_lines="skip").head(30)
    leads = leads[leads["created_at"] < "2025"]
    leads.to_csv(copy.folder / "some.csv", index=False)
    score_raw(copy, leads="some.csv", events=None, as_of="2025-12-31T00:00:00Z")
    assert len(pd.read_parquet(copy.scores)) == leads["lead_id"].nunique()


def test_leads_created_after_the_moment_are_left_out_and_counted(copy):
    said = score_raw(copy, leads="data/raw/leads.csv", events=None, as_of="2020-01-01T00:00:00Z")
    assert said.splitlines()[-1].startswith(
        f"0 leads scored as of 2020-01-01 00:00:00 UTC: none is open; {N_LEADS:,}"
    )


def test_explaining_a_lead_adds_up_on_paper(copy):
    scored = pd.read_parquet(copy.scores).iloc[0]
    text = explain_lead(copy, scored["lead_id"])
    tier = load_words("en").texts["tiers"][scored["tier"]]
    assert text.startswith(f"{scored['lead_id']}: score {scored['score']:.1f}, tier {tier}")
    assert f"Grade {scored['grade']}: " in text.splitlines()[1]
    told = [float(line[:7].replace("+", "")) for line in text.splitlines()[2 : 4 + len(scored["reasons"])]]
    assert sum(told[:-1]) == pytest.approx(told[-1], abs=0.05 * len(told))


def test_an_unknown_lead_is_said_to_be_unknown(copy):
    finished = propensity("explain", "nobody", folder=copy.folder)
    assert finished.returncode == 3
    assert "no lead 'nobody'" in finished.stderr


def test_a_changed_bundle_fails_verification_with_its_exit_code(copy):
    model = copy.models / "bundle" / "cutoffs.json"
    assert propensity("verify", folder=copy.folder).returncode == 0
    model.write_bytes(model.read_bytes().replace(b"0", b"1", 1))
    finished = propensity("verify", folder=copy.folder)
    assert finished.returncode == 5
    assert "cutoffs.json" in finished.stderr
    scored = copy.scores.read_bytes()
    assert propensity("score", folder=copy.folder).returncode == 5
    assert copy.scores.read_bytes() == scored


def test_a_workspace_at_work_is_left_alone(copy):
    import fcntl

    with (copy.folder / ".propensity.lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        finished = propensity("run", "ingest", folder=copy.folder)
    assert finished.returncode == 75
    assert "locked" in finished.stderr


def test_an_unknown_key_is_refused_with_the_nearest(copy):
    params = copy.folder / "params.yaml"
    params.write_text(params.read_text().replace("horizon_days", "horizon_day"))
    finished = propensity("run", folder=copy.folder)
    assert finished.returncode == 3
    assert "snapshots.horizon_day: unknown key, did you mean 'horizon_days'?" in finished.stderr
    assert not (copy.folder / "data" / "interim").exists()


def test_a_missing_column_stops_the_run_and_writes_nothing(copy):
    content = yaml.safe_load((copy.folder / "params.yaml").read_text())
    content["data"]["leads"]["account_id"] = "acount_id"
    (copy.folder / "params.yaml").write_text(yaml.safe_dump(content))
    finished = propensity("run", folder=copy.folder)
    assert finished.returncode == 3
    assert "leads.csv" in finished.stderr
    assert "acount_id" in finished.stderr
    assert not (copy.folder / "data" / "interim").exists()


def test_the_version_is_printed_without_a_command(tmp_path):
    finished = propensity("--version", folder=tmp_path)
    assert (finished.returncode, finished.stdout.strip()) == (0, __version__)


def test_an_unknown_stage_is_a_usage_error(copy):
    finished = propensity("run", "trian", folder=copy.folder)
    assert finished.returncode == 2
    assert "did you mean 'train'" in finished.stderr


def test_python_dash_m_predict_is_the_score_command(copy):
    command = [sys.executable, "-m", "propensity.predict", "--help"]
    finished = subprocess.run(command, cwd=copy.folder, capture_output=True, text=True, check=True)
    assert "--as-of" in finished.stdout


def test_init_writes_params_that_the_demo_uses_and_never_overwrites(tmp_path):
    assert propensity("init", folder=tmp_path).returncode == 0
    assert (tmp_path / "params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()
    assert propensity("init", folder=tmp_path).returncode == 3


def test_dvc_runs_the_same_pipeline_and_has_nothing_to_do_the_second_time(ws, tmp_path):
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", "src"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    pipeline = yaml.safe_load((tmp_path / "dvc.yaml").read_text())
    del pipeline["stages"]["simulate"]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(pipeline))
    shutil.copytree(ws.folder / "data" / "raw", tmp_path / "data" / "raw")
    shutil.copytree(ROOT / "data" / "feedback", tmp_path / "data" / "feedback")
    scripts = Path(sys.executable).parent
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "PATH": f"{scripts}:{os.environ['PATH']}"}

    def dvc(*arguments: str) -> str:
        command = [str(scripts / "dvc"), *arguments]
        finished = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, finished.stderr + finished.stdout
        return finished.stdout

    dvc("init", "--no-scm", "--quiet")
    dvc("repro", "bundle")
    ours, theirs = (sha256(folder / "models/bundle/manifest.json") for folder in (ws.folder, tmp_path))
    assert ours == theirs
    assert "up to date" in dvc("repro", "bundle")
