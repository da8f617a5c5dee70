"""Model versions in the registry: registered once, found by alias, fetched and verified."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from propensity.data.files import replaced_folder
from propensity.errors import BundleError, InputError
from propensity.model.bundle import verify_files
from propensity.params import TrackingParams, load_params, without_passwords
from propensity.registry.store import Registry, open_registry, reaching

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
BUNDLE = "bundle"  # the artifact's name in the model
_MODELS_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<number>\d+))")


@dataclass(frozen=True)
class Version:
    """A registered model version.

    Attributes
    ----------
    number : str
        MLflow's own, counted from 1.
    model_version, seal : str
        What the bundle in it is called, and the hash of its manifest.
    source : str
        Where its artefacts are.
    run_id : str
    tags : mapping
    """

    number: str
    model_version: str
    seal: str
    source: str
    run_id: str
    tags: Mapping[str, str]


def register_version(registry: Registry, *, source: str, run_id: str, tags: Mapping[str, str]) -> Version:
    """Register artefacts as a version of the model, and return it.

    Parameters
    ----------
    registry : Registry
    source : str
        Where the artefacts were logged.
    run_id : str
    tags : mapping
        With ``model_version`` and ``seal``; they stand with the version from its first moment.
    """
    from mlflow.exceptions import MlflowException

    with reaching(registry.uri):
        try:
            registry.client.create_registered_model(registry.model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        made = registry.client.create_model_version(
            registry.model, source, run_id=run_id, tags=dict(tags), await_creation_for=0
        )
    return _read(made)


def find_version(registry: Registry, model_version: str) -> Version | None:
    """Return the version that holds a model of this name; None if it is not registered."""
    with reaching(registry.uri):
        found = registry.client.search_model_versions(
            f"name = '{registry.model}' and tags.model_version = '{model_version}'"
        )
    return _read(min(found, key=lambda version: int(version.version))) if found else None


def version_at(registry: Registry, alias: str) -> Version | None:
    """Return the version that an alias names; None if it names none."""
    from mlflow.exceptions import MlflowException

    with reaching(registry.uri):
        try:
            return _read(registry.client.get_model_version_by_alias(registry.model, alias))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise


def set_alias(registry: Registry, alias: str, number: str | None) -> None:
    """Let an alias name a version, or nothing."""
    with reaching(registry.uri):
        if number is None:
            registry.client.delete_registered_model_alias(registry.model, alias)
        else:
            registry.client.set_registered_model_alias(registry.model, alias, number)


def tag_version(registry: Registry, number: str, tags: Mapping[str, str]) -> None:
    """Put tags on a version."""
    with reaching(registry.uri):
        for name, value in tags.items():
            registry.client.set_model_version_tag(registry.model, number, name, value)


def fetch_bundle(registry: Registry, version: Version, folder: Path) -> None:
    """Bring a version's bundle into a folder; whole and verified, or not at all.

    Raises
    ------
    BundleError
        What lies there is not what was registered.
    BusyError
        The server does not answer.
    """
    with replaced_folder(folder) as fresh:
        with tempfile.TemporaryDirectory(prefix=".fetched.", dir=fresh.parent) as scratch:
            found = _download(registry, f"{version.source}/artifacts/{BUNDLE}", scratch)
            shutil.copytree(found, fresh, dirs_exist_ok=True)
        check_seal(fresh, version)


def check_seal(folder: Path, version: Version) -> None:
    """Refuse a folder that does not hold the bundle that was registered.

    Raises
    ------
    BundleError
    """
    seal = verify_files(folder)["seal"]
    if seal != version.seal:
        raise BundleError(
            f"version {version.number} was registered with the seal {version.seal[:12]}..., its artefacts "
            f"have {seal[:12]}...: they were changed since; restore them from a copy, or train again"
        )


def fetch_uri(address: str, folder: Path, *, uri: str | None = None) -> None:
    """Bring the bundle that ``models:/NAME@ALIAS`` or ``models:/NAME/NUMBER`` names into a folder.

    Parameters
    ----------
    address : str
    folder : Path
    uri : str, optional
        The tracking server or database; if left out, the environment's ``MLFLOW_TRACKING_URI``, or that of
        the ``params.yaml`` in the current folder.

    Raises
    ------
    InputError
        The address has another form, or names no version.
    BundleError, BusyError
        As `fetch_bundle`.
    """
    parsed = _MODELS_URI.fullmatch(address)
    if parsed is None:
        raise InputError(f"'{address}' should be such as models:/propensity@champion or models:/propensity/3")
    tracking = _tracking(uri).model_copy(update={"model": parsed["name"]})
    registry = open_registry(tracking, Path.cwd())
    version = (
        version_at(registry, parsed["alias"]) if parsed["alias"] else _numbered(registry, parsed["number"])
    )
    if version is None:
        raise InputError(
            f"'{address}' names no version of a model at {registry.shown}; 'propensity run track' registers "
            f"one, 'propensity promote' makes one the {CHAMPION}"
        )
    fetch_bundle(registry, version, folder)


def _tracking(uri: str | None) -> TrackingParams:
    given = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if given:
        return TrackingParams(uri=given)
    if Path("params.yaml").exists():
        return load_params(Path("params.yaml")).tracking
    raise InputError(
        "nothing says where the model is registered: pass tracking_uri, set MLFLOW_TRACKING_URI, or call "
        "from a folder with a params.yaml"
    )


def _numbered(registry: Registry, number: str) -> Version | None:
    from mlflow.exceptions import MlflowException

    with reaching(registry.uri):
        try:
            return _read(registry.client.get_model_version(registry.model, number))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise


def _download(registry: Registry, address: str, folder: str) -> str:
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        with reaching(registry.uri):
            return str(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=address, dst_path=folder, tracking_uri=registry.uri
                )
            )
    except (MlflowException, OSError) as error:
        raise BundleError(
            f"the artefacts at {without_passwords(address)} could not be read: {error}; restore them from a "
            "copy, or train again"
        ) from None


def _read(version: Any) -> Version:
    tags = dict(version.tags)
    lacking = [name for name in ("model_version", "seal") if name not in tags]
    if lacking:
        raise InputError(
            f"version {version.version} of '{version.name}' has no tag {' or '.join(lacking)}: it was not "
            "registered by 'propensity run track'"
        )
    return Version(
        str(version.version),
        tags["model_version"],
        tags["seal"],
        str(version.source),
        str(version.run_id),
        tags,
    )
