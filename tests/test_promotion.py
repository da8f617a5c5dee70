"""Promotion and rollback in a workspace: the gate's answer, the record, the champion everywhere."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gated_worlds import STRONG, champions, copied, seal, set_params
from propensity.errors import BundleError, BusyError, InputError, PromotionError
from propensity.loop.handover import pending, recover
from propensity.loop.promotion import promote_challenger, roll_back
from propensity.predict import Predictor
from propensity.registry.store import open_registry
from propensity.registry.versions import CHALLENGER, set_alias, version_at
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace

pytestmark = pytest.mark.filterwarnings("ignore")  # mlflow and SQLAlchemy warn about each other


def promote(workspace: Workspace, *, force: str | None = None, dry_run: bool = False) -> str:
    return promote_challenger(workspace, by="ana", force=force, dry_run=dry_run)


def records(workspace: Workspace) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(workspace.promotions.glob("*.json"))]


def challenge(workspace: Workspace, number: str) -> None:
    """Make a version that is registered already the challenger."""
    set_alias(open_registry(workspace.params.tracking, workspace.folder), CHALLENGER, number)


def nobody() -> str:
    """Return an address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def workspace(two_models, tmp_path) -> Workspace:
    """Champion 1 knows companies' attributes alone, challenger 2 all."""
    return copied(two_models, tmp_path / "copy")


@pytest.fixture(scope="module")
def promoted(two_models, tmp_path_factory) -> Workspace:
    """The challenger took the champion's place; tests leave it as it is."""
    workspace = copied(two_models, tmp_path_factory.mktemp("promoted"))
    promote(workspace)
    return workspace


# --- the gate's answer -------------------------------------------------------------------------------


def test_the_first_champion_is_promoted_and_on_record(two_models):
    (record,) = records(open_workspace(two_models / "params.yaml"))
    assert (record["action"], record["by"], record["champion"]) == ("promote", "ana", None)
    assert record["verdict"] in ("promoted", "forced")
    assert record["reason"] == "the first model"


def test_a_better_challenger_takes_the_champions_place_everywhere(promoted, two_models):
    assert champions(promoted) == ("2", "1")
    assert seal(promoted.models / "champion") == seal(promoted.models / "bundle")
    assert seal(promoted.models / "previous") == seal(two_models / "models" / "champion")
    record = records(promoted)[-1]
    assert (record["verdict"], record["gate"], record["by"]) == ("promoted", "promoted", "ana")
    assert record["challenger"]["number"], record["champion"]["number"] == ("2", "1")
    assert record["comparison"]["log_loss"]["high"] < 0
    assert all(check["said"] for check in record["checks"])


def test_mlflow_keeps_the_verdict_with_the_version(promoted):
    registry = open_registry(promoted.params.tracking, promoted.folder)
    tags = version_at(registry, "champion").tags
    assert (tags["promotion.verdict"], tags["promotion.by"]) == ("promoted", "ana")
    assert {"model_version", "seal", "data.observed_until", "test.log_loss", "audit"} <= set(tags)


def test_the_models_are_compared_on_leads_that_neither_has_learned_from(promoted):
    """By hand: mature snapshots of groups that first appear when the test part begins, or later."""
    snapshots = pd.read_parquet(promoted.interim / "snapshots.parquet")
    group = snapshots["account_id"].fillna(snapshots["lead_id"])
    begin = json.loads((promoted.processed / "split.json").read_text())["parts"]["test"]["from"]
    first = snapshots.groupby(group)["created_at"].transform("min")
    kept = snapshots[snapshots["mature"] & (first >= pd.Timestamp(begin))]
    training = pd.read_parquet(promoted.processed / "training.parquet")
    fitted = training[training["split"].isin(["train", "stop", "calibrate"])]
    assert not set(kept["lead_id"]) & set(fitted["lead_id"])
    (enough,) = [c for c in records(promoted)[-1]["checks"] if c["name"] == "enough"]
    assert enough["figures"]["snapshots"] == len(kept)
    assert enough["figures"]["leads"] == kept["lead_id"].nunique()
    assert enough["figures"]["wins"] == kept.loc[kept["won"], "lead_id"].nunique()


def test_a_worse_challenger_is_refused_with_a_sentence_for_each_check(promoted, tmp_path):
    workspace = copied(promoted.folder, tmp_path / "copy")
    challenge(workspace, "1")
    before = seal(workspace.models / "champion")
    with pytest.raises(
        PromotionError, match=r"FAILED  log_loss .*worse by more than 0 \(promotion.log_loss\)"
    ):
        promote(workspace)
    assert champions(workspace) == ("2", "1")
    assert seal(workspace.models / "champion") == before
    record = records(workspace)[-1]
    assert (record["verdict"], record["reason"]) == ("refused", None)
    assert "log-loss" in record["said"]
    tags = version_at(open_registry(workspace.params.tracking, workspace.folder), CHALLENGER).tags
    assert tags["promotion.verdict"] == "refused"


def test_force_needs_a_reason_and_keeps_what_the_gate_said(promoted, tmp_path):
    workspace = copied(promoted.folder, tmp_path / "copy")
    challenge(workspace, "1")
    with pytest.raises(InputError, match="takes the reason"):
        promote(workspace, force=" ")
    said = promote(workspace, force="the other one breaks on Mondays")
    assert "by force: the other one breaks on Mondays" in said
    assert champions(workspace) == ("1", "2")
    record = records(workspace)[-1]
    assert (record["verdict"], record["gate"]) == ("forced", "refused")
    assert record["reason"] == "the other one breaks on Mondays"


def test_a_dry_run_says_it_and_changes_nothing(workspace):
    open_registry(workspace.params.tracking, workspace.folder)  # a copy follows its folder first
    before = digests(workspace.folder)
    said = promote(workspace, dry_run=True)
    assert "passed  log_loss" in said
    assert "nothing was changed" in said
    after = digests(workspace.folder)
    assert {name for name in before | after if before.get(name) != after.get(name)} == set()


def test_too_few_outcomes_are_an_answer_and_params_say_what_then(workspace):
    strict = set_params(workspace.folder, promotion={"min_leads": 100_000})
    with pytest.raises(PromotionError, match=r"FAILED  enough +too few to tell: \d+ leads with"):
        promote(strict)
    assert records(strict)[-1]["verdict"] == "too few"
    assert champions(strict) == ("1", None)
    lenient = set_params(workspace.folder, promotion={"too_few": "promote"})
    promote(lenient)
    assert champions(lenient) == ("2", "1")


def test_volumes_over_capacity_are_refused(workspace):
    small = set_params(workspace.folder, promotion={"capacity": {"mql": 0.01, "sql": None}})
    with pytest.raises(PromotionError, match=r"FAILED  volumes +mql \d+\.\d leads a week, room for 0.01"):
        promote(small)


def test_a_challenger_that_is_the_champion_changes_nothing(promoted):
    before = records(promoted)
    assert "is the champion already" in promote(promoted)
    assert records(promoted) == before


def test_without_a_challenger_the_way_to_one_is_told(workspace):
    shutil.rmtree(workspace.folder / "mlartifacts")
    (workspace.folder / "mlflow.db").unlink()
    with pytest.raises(InputError, match="'propensity run track' makes it"):
        promote(workspace)
    assert not (workspace.folder / "mlflow.db").exists()


# --- registering -------------------------------------------------------------------------------------


def test_the_same_model_registered_again_is_one_version_and_the_challenger(promoted, tmp_path):
    workspace = copied(promoted.folder, tmp_path / "copy")
    challenge(workspace, "1")
    assert "registered before, the challenger" in STAGES["track"](workspace)
    registry = open_registry(workspace.params.tracking, workspace.folder)
    assert len(registry.client.search_model_versions("name = 'propensity'")) == 2
    assert version_at(registry, CHALLENGER).number == "2"


def test_what_mlflow_keeps_holds_no_password_no_lead_and_no_pickle(two_models, tmp_path):
    workspace = copied(two_models, tmp_path / "copy")
    secret = {"path": {"url": "postgresql://ana:hunter2@db.example/crm", "table": "feedback"}}
    set_params(workspace.folder, data={"feedback": secret}, features={"use": STRONG})
    opened = open_workspace(workspace.folder / "params.yaml")
    for name in ("evaluate", "bundle", "track"):
        STAGES[name](opened)
    kept = [
        opened.folder / "mlflow.db",
        *(opened.folder / "mlartifacts").rglob("*"),
        *opened.models.rglob("*"),
    ]
    content = b"".join(path.read_bytes() for path in kept if path.is_file())
    assert b"hunter2" not in content
    assert b"postgresql://ana:***@db.example/crm" in content
    leads = pd.read_parquet(opened.interim / "leads.parquet")["lead_id"]
    assert not [lead for lead in leads if lead.encode() in content]
    assert not [path for path in kept if path.suffix in (".pkl", ".pickle", ".joblib")]
    assert b"cloudpickle.loads" not in content


# --- back again --------------------------------------------------------------------------------------


def test_a_rollback_swaps_champion_and_previous_and_can_be_taken_back(promoted, tmp_path):
    workspace = copied(promoted.folder, tmp_path / "copy")
    said = roll_back(workspace, by="bo", reason="calls went up")
    assert "is the champion again" in said
    assert champions(workspace) == ("1", "2")
    record = records(workspace)[-1]
    assert (record["action"], record["by"], record["reason"]) == ("rollback", "bo", "calls went up")
    roll_back(workspace, by="bo", reason=None)
    assert champions(workspace) == ("2", "1")


def test_without_a_previous_champion_there_is_nothing_to_go_back_to(workspace):
    with pytest.raises(InputError, match="no previous champion"):
        roll_back(workspace, by=None, reason=None)


def test_a_rollback_without_mlflow_changes_the_workspace_and_mlflow_once_it_answers(promoted, tmp_path):
    workspace = copied(promoted.folder, tmp_path / "copy")
    uri = workspace.params.tracking.uri
    cut_off = set_params(workspace.folder, tracking={"uri": nobody()})
    before = seal(cut_off.models / "champion"), seal(cut_off.models / "previous")
    assert "MLflow does not answer" in roll_back(cut_off, by="bo", reason=None)
    assert (seal(cut_off.models / "previous"), seal(cut_off.models / "champion")) == before
    with pytest.raises(BusyError, match="not finished"):
        roll_back(cut_off, by="bo", reason=None)
    reached = set_params(workspace.folder, tracking={"uri": uri})
    assert "was finished" in recover(reached)
    assert champions(reached) == ("1", "2")


def test_without_mlflow_nothing_is_promoted_and_the_exit_code_says_try_again(workspace):
    cut_off = set_params(workspace.folder, tracking={"uri": nobody().replace("://", "://ana:hunter2@")})
    with pytest.raises(BusyError, match="does not answer") as refused:
        promote(cut_off)
    assert refused.value.exit_code == 75
    assert "hunter2" not in str(refused.value)
    assert pending(cut_off) is None


# --- reading from the registry -----------------------------------------------------------------------


def scored(predictor: Predictor, workspace: Workspace) -> Any:
    leads = pd.read_parquet(workspace.interim / "leads.parquet").tail(20)
    events = pd.read_parquet(workspace.interim / "events.parquet")
    return predictor.score(leads, events, as_of="2026-01-01T00:00:00Z")["probability"].to_numpy()


def test_a_workspace_that_was_moved_still_finds_its_champion(promoted, tmp_path):
    first = copied(promoted.folder, tmp_path / "first")
    expected = scored(Predictor.load(first.models / "champion"), first)
    moved = tmp_path / "elsewhere" / "crm"
    moved.parent.mkdir()
    first.folder.rename(moved)
    predictor = Predictor.load("models:/propensity@champion", tracking_uri=f"sqlite:///{moved}/mlflow.db")
    np.testing.assert_array_equal(scored(predictor, open_workspace(moved / "params.yaml")), expected)
    database = (moved / "mlflow.db").read_bytes()
    assert str(moved).encode() in database


def test_a_copy_is_independent_of_the_original(promoted, tmp_path):
    copy = copied(promoted.folder, tmp_path / "copy")
    uri = f"sqlite:///{copy.folder}/mlflow.db"
    shutil.rmtree(copy.models / "champion")
    for path in (copy.folder / "mlartifacts").rglob("logistic.json"):
        path.write_text(path.read_text().replace("0", "1", 1))
    with pytest.raises(BundleError, match="changed"):
        Predictor.load("models:/propensity@champion", tracking_uri=uri)
    Predictor.load(promoted.models / "champion")
    original = f"sqlite:///{promoted.folder}/mlflow.db"
    assert Predictor.load("models:/propensity@champion", tracking_uri=original).bundle.model_version


def test_the_address_is_looked_up_where_the_folder_or_the_environment_says(promoted, monkeypatch, tmp_path):
    monkeypatch.chdir(promoted.folder)
    by_params = Predictor.load("models:/propensity/1").bundle.model_version
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="nothing says where"):
        Predictor.load("models:/propensity/1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{promoted.folder}/mlflow.db")
    assert Predictor.load("models:/propensity/1").bundle.model_version == by_params


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("models:/propensity@nobody", "names no version"),
        ("models:/propensity/77", "names no version"),
        ("models:/other@champion", "names no version"),
        ("models:/propensity", "should be such as models:/propensity@champion"),
    ],
)
def test_an_address_that_names_nothing_is_refused(promoted, address, message):
    with pytest.raises(InputError, match=message):
        Predictor.load(address, tracking_uri=f"sqlite:///{promoted.folder}/mlflow.db")


def test_a_registry_that_does_not_answer_or_is_not_there_is_told_apart(tmp_path):
    with pytest.raises(BusyError, match="does not answer"):
        Predictor.load("models:/propensity@champion", tracking_uri=nobody())
    with pytest.raises(InputError, match="does not exist"):
        Predictor.load("models:/propensity@champion", tracking_uri=f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []
