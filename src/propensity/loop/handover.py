"""Handing over: the champion changes in MLflow, in the workspace and on record, all or nothing.

What is to be done is written down first. The champion has changed once its alias in MLflow has; what is
left then is finished by whichever command comes next, and what had not come so far is forgotten.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from propensity.data.files import locked, milestone, read_json, replaced_folder, write_json
from propensity.errors import BundleError, BusyError
from propensity.model.bundle import verify_files
from propensity.registry.store import Registry, changing, open_registry
from propensity.registry.versions import (
    CHAMPION,
    PREVIOUS,
    Version,
    check_seal,
    fetch_bundle,
    set_alias,
    tag_version,
    version_at,
)
from propensity.workspace import LOCK, Workspace

JOURNAL = ".pending.json"
INCOMING = ".incoming"


@dataclass(frozen=True)
class Handover:
    """A change of the champion.

    Attributes
    ----------
    expected : Version or None
        The champion that it starts from; with another one in MLflow it must not be carried out.
    champion : Version
        What becomes the champion.
    previous : Version or None
        What becomes the previous one.
    name : str
        The file name of the record.
    record : dict
        Written once the champion has changed.
    state : {"intended", "moved", "local"}
        ``moved``: MLflow has it; ``local``: only the workspace has it, since MLflow could not be reached.
    """

    expected: Version | None
    champion: Version
    previous: Version | None
    name: str
    record: dict[str, Any]
    state: Literal["intended", "moved", "local"] = "intended"


def hand_over(ws: Workspace, registry: Registry, change: Handover) -> None:
    """Carry out a change of the champion; the workspace's lock is held.

    Raises
    ------
    BusyError
        The champion in MLflow is not the expected one any more, or MLflow does not answer.
    """
    if change.previous is not None:
        # Once the alias has moved, the workspace has to hold both bundles, whatever becomes of MLflow.
        place_bundle(ws, registry, change.previous, ws.models / CHAMPION)
    place_bundle(ws, registry, change.champion, ws.models / INCOMING)
    milestone("promote: bundle staged")
    _write_journal(ws, change)
    milestone("promote: journal written")
    try:
        _move_aliases(registry, change)
    except SupersededError:
        _forget(ws)
        raise
    _finish(ws, change)


class SupersededError(BusyError):
    """Another promotion was quicker."""


def hand_over_locally(ws: Workspace, change: Handover) -> None:
    """Carry out a change of the champion in the workspace alone; MLflow is told by the next command.

    Raises
    ------
    BundleError
        The bundle is not in the workspace.
    """
    place_bundle(ws, None, change.champion, ws.models / INCOMING)
    local = replace(change, state="local")
    _write_journal(ws, local)
    milestone("rollback: journal written")
    _place_both(ws, local)
    write_json(local.record, ws.promotions / local.name)


def pending(ws: Workspace) -> Handover | None:
    """Return the change that was begun and not finished."""
    path = ws.promotions / JOURNAL
    if not path.exists():
        return None
    content = read_json(path)
    for name in ("expected", "champion", "previous"):
        content[name] = None if content[name] is None else Version(**content[name])
    return Handover(**content)


def recover(ws: Workspace) -> str:
    """Finish a change of the champion that was interrupted, or forget it; the workspace's lock is held.

    Returns
    -------
    str
        What was done, as a sentence; empty if there was nothing to do.

    Raises
    ------
    BusyError
        MLflow has to be asked whether the champion changed, and does not answer.
    """
    change = pending(ws)
    if change is None:
        _sweep(ws)
        return ""
    if change.state == "moved":
        _finish(ws, change)
        return f"an interrupted change was finished: model {change.champion.model_version} is the champion"
    registry = open_registry(ws.params.tracking, ws.folder)
    now = version_at(registry, CHAMPION)
    if _number(now) == change.champion.number or (
        change.state == "local" and _number(now) == _number(change.expected)
    ):
        _move_aliases(registry, change)
        _finish(ws, change)
        return f"an interrupted change was finished: model {change.champion.model_version} is the champion"
    _forget(ws)
    follow_registry(ws, registry)
    return f"an interrupted change to model {change.champion.model_version} was undone: the champion stays"


def recover_offline(ws: Workspace) -> str:
    """Do what `recover` does, or, where MLflow does not answer, only say that it is left to be done.

    Until MLflow can be asked, ``models/champion`` holds one whole bundle: the champion before, or, after a
    rollback without MLflow, the one after.
    """
    try:
        return recover(ws)
    except BusyError as error:
        return f"a change of the champion waits for MLflow: {error}"


def recover_under_lock(ws: Workspace) -> str:
    """Do what `recover_offline` does for a command that holds no lock."""
    if not (ws.promotions / JOURNAL).exists():
        return ""
    with locked(ws.folder / LOCK):
        return recover_offline(ws)


def follow_registry(ws: Workspace, registry: Registry) -> None:
    """Let ``models/champion`` and ``models/previous`` hold what MLflow names so.

    They lag behind where another workspace promoted into the same MLflow.
    """
    for alias in (PREVIOUS, CHAMPION):
        version = version_at(registry, alias)
        if version is not None:
            place_bundle(ws, registry, version, ws.models / alias)


def place_bundle(ws: Workspace, registry: Registry | None, version: Version, folder: Path) -> None:
    """Let a folder hold a version's bundle, from the workspace if it lies there, else from the registry.

    Raises
    ------
    BundleError
        It is nowhere whole.
    """
    if holds(folder, version):
        return
    for name in (INCOMING, CHAMPION, PREVIOUS, "bundle"):
        if holds(ws.models / name, version):
            with replaced_folder(folder) as fresh:
                shutil.copytree(ws.models / name, fresh, dirs_exist_ok=True)
                check_seal(fresh, version)
            return
    if registry is None:
        raise BundleError(
            f"the bundle of model {version.model_version} is not in {ws.models}, and MLflow was not asked"
        )
    fetch_bundle(registry, version, folder)


def version_to_json(version: Version | None) -> dict[str, Any] | None:
    """Return what a record says of a version."""
    if version is None:
        return None
    window = {name: value for name, value in version.tags.items() if name.startswith(("data.", "test."))}
    return {
        "number": version.number,
        "model_version": version.model_version,
        "seal": version.seal,
        **{name: value for name, value in window.items() if not name.startswith("data.sha256")},
    }


def _move_aliases(registry: Registry, change: Handover) -> None:
    """Name the new champion in MLflow, if the one before is still what was expected.

    A server has no request that does both, so it is asked again afterwards: of two that were let through, at
    most the later one stays.
    """
    with changing(registry):
        _check_expected(registry, change, (_number(change.expected), change.champion.number))
        set_alias(registry, CHAMPION, change.champion.number)
        milestone("promote: champion named")
        if change.previous is not None:
            set_alias(registry, PREVIOUS, change.previous.number)
        milestone("promote: previous named")
        tag_version(registry, change.champion.number, record_tags(change.record))
        _check_expected(registry, change, (change.champion.number,))
    milestone("promote: version tagged")


def _check_expected(registry: Registry, change: Handover, allowed: tuple[str | None, ...]) -> None:
    now = _number(version_at(registry, CHAMPION))
    if now not in allowed:
        raise SupersededError(
            f"the champion is version {now or 'none'} at {registry.shown} by now, and this was found "
            f"against version {_number(change.expected) or 'none'}; run the command again"
        )


def record_tags(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what MLflow keeps of a record beside the version."""
    names = ("verdict", "at", "by", "reason", "said")
    return {f"promotion.{name}": str(record[name])[:5000] for name in names if record.get(name)}


def _finish(ws: Workspace, change: Handover) -> None:
    """Bring the workspace up to what MLflow has: folders, record, and the journal goes."""
    moved = replace(change, state="moved")
    _write_journal(ws, moved)
    milestone("promote: journal moved")
    _place_both(ws, moved)
    write_json(moved.record, ws.promotions / moved.name)
    milestone("promote: record written")
    _forget(ws)
    milestone("promote: journal removed")


def _place_both(ws: Workspace, change: Handover) -> None:
    # The champion before is copied away before its folder is replaced.
    if change.previous is not None:
        place_bundle(ws, None, change.previous, ws.models / PREVIOUS)
    milestone("promote: previous placed")
    place_bundle(ws, None, change.champion, ws.models / CHAMPION)
    milestone("promote: champion placed")


def _forget(ws: Workspace) -> None:
    _sweep(ws)
    (ws.promotions / JOURNAL).unlink(missing_ok=True)


def _sweep(ws: Workspace) -> None:
    """Remove what a killed command left of folders that it was writing."""
    names = (INCOMING, CHAMPION, PREVIOUS, "bundle")
    begun = [path for name in names for path in ws.models.glob(f".{name}.*")]
    for folder in [ws.models / INCOMING, *begun]:
        if folder.exists():
            shutil.rmtree(folder)


def _write_journal(ws: Workspace, change: Handover) -> None:
    write_json(asdict(change), ws.promotions / JOURNAL)


def holds(folder: Path, version: Version) -> bool:
    """Return whether a folder holds a version's bundle, whole."""
    if not folder.exists():
        return False
    try:
        return bool(verify_files(folder)["seal"] == version.seal)
    except BundleError:
        return False


def _number(version: Version | None) -> str | None:
    return None if version is None else version.number
