"""What a training run leaves in MLflow: params, metrics, artefacts, and its model as the challenger."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from propensity.data.files import milestone
from propensity.loop.packing import pack_model
from propensity.model.bundle import Bundle, read_bundle, verify_files
from propensity.params import OPERATING, Params, without_passwords
from propensity.registry.store import Registry, changing, open_registry, reaching
from propensity.registry.versions import CHALLENGER, Version, find_version, register_version, set_alias

LONGEST_PARAM = 6000  # characters that MLflow takes
MODEL = "model"  # the artifact's name in the run

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tracked:
    """What a run became in MLflow.

    Attributes
    ----------
    run_id : str
    version : Version
        The registered model version, which is the challenger.
    registered : bool
        Whether this run registered it; False where an equal model was registered before.
    """

    run_id: str
    version: Version
    registered: bool


def track_run(
    params: Params,
    workspace: Path,
    bundle: Path,
    *,
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    artefacts: list[Path],
) -> Tracked:
    """Log a finished run, and register its bundle as the challenger.

    A model that is registered already is not registered again: the same content has the same name.

    Parameters
    ----------
    params : Params
        Logged one by one, with dotted names; passwords in addresses are left out.
    workspace : Path
        A relative SQLite file in ``tracking.uri`` is taken from here.
    bundle : Path
        The folder of the bundle.
    metrics : mapping
    tags : mapping
        Of the run and of the version, such as the raw files' SHA-256.
    artefacts : list of Path
        Files, logged as they are.

    Raises
    ------
    BundleError
        The bundle failed verification.
    BusyError
        The tracking server does not answer.
    """
    made, seal = read_bundle(bundle, threads=params.model.threads), verify_files(bundle)["seal"]
    registry = open_registry(params.tracking, workspace, create=True)
    with reaching(registry.uri):
        run_id = _log_run(registry, params, metrics, tags, artefacts)
    milestone("run: run logged")
    with changing(registry):
        version = find_version(registry, made.model_version)
        known = version is not None
        if version is None:
            version = _register(registry, run_id, made, bundle, {**tags, "seal": seal})
        milestone("run: version registered")
        set_alias(registry, CHALLENGER, version.number)
    with reaching(registry.uri):
        registry.client.set_terminated(run_id)
    milestone("run: challenger named")
    return Tracked(run_id, version, registered=not known)


def _log_run(
    registry: Registry,
    params: Params,
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    artefacts: list[Path],
) -> str:
    client = registry.client
    run = client.create_run(_experiment(registry, params.tracking.experiment), tags=dict(tags))
    run_id = str(run.info.run_id)
    for name, value in _flatten(
        without_passwords(params.model_dump(mode="json", exclude=set(OPERATING)))
    ).items():
        client.log_param(run_id, name, value[:LONGEST_PARAM])
    for name, number in metrics.items():
        client.log_metric(run_id, name, number)
    for path in artefacts:
        client.log_artifact(run_id, str(path))
    return run_id


def _experiment(registry: Registry, name: str) -> str:
    """Return the experiment's id; it is made if it is missing."""
    from mlflow.exceptions import MlflowException

    found = registry.client.get_experiment_by_name(name)
    if found:
        return str(found.experiment_id)
    place = None if registry.artefacts is None else registry.artefacts.as_uri()
    try:
        return str(registry.client.create_experiment(name, artifact_location=place))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another was quicker
            raise
    return str(registry.client.get_experiment_by_name(name).experiment_id)


def _register(
    registry: Registry, run_id: str, made: Bundle, bundle: Path, tags: Mapping[str, str]
) -> Version:
    """Log the model with its bundle, and register it; the version is there whole or not at all."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / MODEL
        pack_model(made, bundle, folder)
        with reaching(registry.uri):
            registry.client.log_artifacts(run_id, str(folder), artifact_path=MODEL)
            source = f"{registry.client.get_run(run_id).info.artifact_uri}/{MODEL}"
    milestone("run: model logged")
    return register_version(registry, source=source, run_id=run_id, tags=tags)


def _flatten(content: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat
