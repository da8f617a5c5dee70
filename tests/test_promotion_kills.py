"""Killed anywhere, the champion is exactly one; two at once cannot both win; a full disk changes nothing."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest

import killing
from gated_worlds import champions, copied, seal
from killing import Kill, Pause, Record, finish, run, said, start
from propensity.data.files import locked
from propensity.loop.handover import place_bundle, recover
from propensity.model.bundle import read_bundle
from propensity.registry.store import open_registry
from propensity.registry.versions import CHALLENGER, CHAMPION, set_alias, version_at
from propensity.workspace import LOCK, Workspace, open_workspace

pytestmark = pytest.mark.filterwarnings("ignore")  # mlflow and SQLAlchemy warn about each other

KILLED = -signal.SIGKILL
# The champion changes with its alias: killed before, the old one stays; killed after, the new one does.
BEFORE = ["promote: bundle staged", "promote: journal written"]
AFTER = [
    "promote: champion named",
    "promote: previous named",
    "promote: version tagged",
    "promote: journal moved",
    "promote: previous placed",
    "promote: champion placed",
    "promote: record written",
    "promote: journal removed",
]


@pytest.fixture(scope="module")
def settled(two_models, tmp_path_factory) -> Workspace:
    """Champion 2, previous 1."""
    workspace = copied(two_models, tmp_path_factory.mktemp("settled"))
    assert run(workspace.folder, "promote") == 0, said(workspace.folder)
    return workspace


def verdicts(workspace: Workspace) -> list[str]:
    return [json.loads(p.read_text())["verdict"] for p in sorted(workspace.promotions.glob("2*.json"))]


def champion_folder_is_whole(workspace: Workspace) -> bool:
    """Whoever scores at this moment finds a bundle, whole."""
    read_bundle(workspace.models / "champion", threads=1)
    return True


def test_the_points_at_which_is_killed_are_all_there_are(settled, tmp_path):
    workspace = copied(settled.folder, tmp_path / "copy")
    assert run(workspace.folder, "rollback", at=Record(tmp_path / "points")) == 0
    assert (tmp_path / "points").read_text().splitlines() == [*BEFORE, *AFTER]


@pytest.mark.parametrize("point", [*BEFORE, *AFTER])
def test_a_rollback_killed_at_a_point_is_undone_or_finished(settled, tmp_path, point):
    workspace = copied(settled.folder, tmp_path / "copy")
    assert run(workspace.folder, "rollback", at=Kill(point)) == KILLED
    assert champion_folder_is_whole(workspace)
    recover(workspace)
    new = point in AFTER
    assert champions(workspace) == (("1", "2") if new else ("2", "1"))
    assert verdicts(workspace).count("rolled back") == int(new)
    if not new:
        assert run(workspace.folder, "rollback") == 0
        assert champions(workspace) == ("1", "2")


@pytest.mark.parametrize("point", [BEFORE[-1], AFTER[0], AFTER[5]])
def test_a_promotion_killed_at_a_point_is_finished_by_the_same_command(two_models, tmp_path, point):
    workspace = copied(two_models, tmp_path / "copy")
    assert run(workspace.folder, "promote", at=Kill(point)) == KILLED
    assert champion_folder_is_whole(workspace)
    assert run(workspace.folder, "promote") == 0, said(workspace.folder)
    assert champions(workspace) == ("2", "1")
    assert verdicts(workspace)[1:] == ["promoted"]


def test_a_promotion_killed_at_any_moment_is_finished_by_the_same_command(two_models, tmp_path):
    """Two moments drawn over the second half of the time that a whole promotion takes here."""
    begun = time.perf_counter()
    assert run(copied(two_models, tmp_path / "whole").folder, "promote") == 0
    took = time.perf_counter() - begun
    draw = random.Random(5)
    for trial in range(2):
        workspace = copied(two_models, tmp_path / f"killed_{trial}")
        process = start(workspace.folder, "promote")
        process.join(draw.uniform(0.5, 1) * took)
        process.kill()
        finish(process)
        assert champion_folder_is_whole(workspace)
        assert run(workspace.folder, "promote") == 0, said(workspace.folder)
        assert champions(workspace) == ("2", "1")
        assert verdicts(workspace)[1:] == ["promoted"]


def test_scoring_and_verifying_finish_what_was_interrupted(settled, tmp_path):
    for command in ("score", "verify"):
        workspace = copied(settled.folder, tmp_path / command)
        assert run(workspace.folder, "rollback", at=Kill("promote: previous placed")) == KILLED
        assert run(workspace.folder, command) == 0, said(workspace.folder)
        assert champions(workspace) == ("1", "2")


# --- the run that makes the challenger -----------------------------------------------------------------


@pytest.mark.parametrize("point", ["run: run logged", "run: model logged", "run: version registered"])
def test_a_run_killed_while_it_registers_leaves_the_champion_and_finishes_again(two_models, tmp_path, point):
    workspace = copied(two_models, tmp_path / "copy")
    registry = open_registry(workspace.params.tracking, workspace.folder)
    registry.client.delete_model_version("propensity", "2")
    assert run(workspace.folder, "run", "track", at=Kill(point)) == KILLED
    assert champions(workspace) == ("1", None)
    assert run(workspace.folder, "run", "track") == 0, said(workspace.folder)
    assert version_at(registry, CHALLENGER).seal == seal(workspace.models / "bundle")
    assert len(registry.client.search_model_versions("name = 'propensity'")) == 2


def test_a_run_killed_at_any_moment_leaves_a_whole_bundle_and_the_champion(two_models, tmp_path):
    """Two moments drawn over the time that these stages take here."""
    stages = ("run", "evaluate", "bundle", "track")
    begun = time.perf_counter()
    assert run(copied(two_models, tmp_path / "whole").folder, *stages) == 0
    took = time.perf_counter() - begun
    workspace = copied(two_models, tmp_path / "copy")
    before, draw = seal(workspace.models / "bundle"), random.Random(2)
    for _ in range(2):
        process = start(workspace.folder, *stages)
        process.join(draw.uniform(0.5, 1) * took)
        process.kill()
        finish(process)
        assert champions(workspace) == ("1", None)
        assert seal(workspace.models / "bundle") == before
        read_bundle(workspace.models / "bundle", threads=1)
    assert run(workspace.folder, *stages) == 0, said(workspace.folder)
    registry = open_registry(workspace.params.tracking, workspace.folder)
    assert version_at(registry, CHALLENGER).number == "2"


# --- two at once, locks, a full disk -------------------------------------------------------------------


def test_of_two_promotions_at_once_one_wins(two_models, tmp_path):
    workspace = copied(two_models, tmp_path / "copy")
    barrier = killing.CONTEXT.Barrier(2)
    both = [start(workspace.folder, "promote", barrier=barrier) for _ in range(2)]
    codes = sorted(finish(process) for process in both)
    assert codes in ([0, 75], [0, 0])  # the second may come when the first is through: nothing is left to do
    assert verdicts(workspace)[1:] == ["promoted"]
    assert champions(workspace) == ("2", "1")


def sharing(folder: Path, to: Path) -> Workspace:
    """Return a workspace that shares the MLflow of `folder`."""
    workspace = copied(folder, to)
    params = to / "params.yaml"
    params.write_text(params.read_text().replace("sqlite:///mlflow.db", f"sqlite:///{folder}/mlflow.db"))
    return open_workspace(params) if workspace else workspace


def test_a_champion_that_changed_while_the_gate_was_computed_is_not_overrun(settled, tmp_path):
    """Two workspaces share one MLflow: while one compares against champion 2, the other rolls back to 1."""
    ours = copied(settled.folder, tmp_path / "ours")
    registry = open_registry(ours.params.tracking, ours.folder)
    set_alias(registry, CHALLENGER, "1")
    theirs = sharing(ours.folder, tmp_path / "theirs")
    reached, go_on = killing.CONTEXT.Event(), killing.CONTEXT.Event()
    slow = start(
        theirs.folder,
        *("promote", "--force", "whatever it says"),
        at=Pause("promote: outcomes gathered", reached, go_on),
    )
    assert reached.wait(600)
    # A third model becomes the champion meanwhile.
    made = version_at(registry, CHAMPION)
    third = registry.client.create_model_version(
        "propensity", made.source, tags={"model_version": "third", "seal": made.seal}
    )
    set_alias(registry, CHAMPION, str(third.version))
    go_on.set()
    assert finish(slow) == 75
    assert "run the command again" in said(theirs.folder)
    assert champions(theirs)[0] is not None
    assert version_at(registry, CHAMPION).number == "3"
    assert verdicts(theirs) == verdicts(settled)


def test_a_workspace_follows_a_champion_that_another_promoted(two_models, tmp_path):
    ours = copied(two_models, tmp_path / "ours")
    theirs = sharing(ours.folder, tmp_path / "theirs")
    assert run(ours.folder, "promote") == 0
    old = seal(theirs.models / "champion")
    assert run(theirs.folder, "promote") == 0
    assert "is the champion already" in said(theirs.folder)
    assert seal(theirs.models / "champion") == seal(ours.models / "champion") != old
    assert champions(theirs) == ("2", "1")


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_a_workspace_at_work_is_left_alone(settled, command):
    with locked(settled.folder / LOCK):
        assert run(settled.folder, command) == 75
    assert champions(settled) == ("2", "1")


def test_a_full_disk_leaves_the_old_champion_and_the_command_finishes_once_there_is_room(settled, tmp_path):
    workspace = copied(settled.folder, tmp_path / "copy")
    sizes = [path.stat().st_size for path in (workspace.models / "previous").iterdir()]
    open_registry(workspace.params.tracking, workspace.folder)  # a copy follows its folder first
    for largest in (max(sizes) // 2, max(sizes) - 1):
        assert run(workspace.folder, "rollback", largest_file=largest) == 75, said(workspace.folder)
        assert champion_folder_is_whole(workspace)
        recover(workspace)
        assert champions(workspace) == ("2", "1")
    assert run(workspace.folder, "rollback") == 0
    assert champions(workspace) == ("1", "2")


def test_a_bundle_is_placed_whole_or_not_at_all(settled, tmp_path):
    """What the registry gives is verified before it takes the place of what was there."""
    workspace = copied(settled.folder, tmp_path / "copy")
    registry = open_registry(workspace.params.tracking, workspace.folder)
    version = version_at(registry, CHAMPION)
    target = workspace.models / "champion"
    for name in ("champion", "bundle"):
        (workspace.models / name / "logistic.json").unlink()
    place_bundle(workspace, registry, version, target)
    assert seal(target) == version.seal
