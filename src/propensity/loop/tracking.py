"""One MLflow run for each training run: params, metrics, artefacts and the data's hashes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from propensity.data.files import locked
from propensity.params import Params, TrackingParams

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")


def track_run(
    params: Params,
    workspace: Path,
    *,
    metrics: dict[str, float],
    tags: dict[str, str],
    artefacts: list[Path],
) -> str:
    """Log a finished run and return its id.

    Parameters
    ----------
    params : Params
        Logged one by one, with dotted names.
    workspace : Path
        A relative SQLite file in ``tracking.uri`` is taken from here.
    metrics : dict
    tags : dict
        Such as the model's version and the raw files' SHA-256.
    artefacts : list of Path
        Files and folders, logged as they are.
    """
    import mlflow  # heavy, and not needed to score

    uri = tracking_uri(params.tracking, workspace)
    with locked(workspace / ".mlflow.lock", wait=True):
        # The first client creates the database's tables; two at once would both try.
        client = mlflow.MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(params.tracking.experiment)
        experiment_id = (
            experiment.experiment_id
            if experiment
            else client.create_experiment(
                params.tracking.experiment, artifact_location=(workspace / "mlartifacts").resolve().as_uri()
            )
        )
    run = client.create_run(experiment_id, tags=tags)
    run_id = str(run.info.run_id)
    for name, value in _flatten(params.model_dump(mode="json")).items():
        client.log_param(run_id, name, value[:6000])
    for name, number in metrics.items():
        client.log_metric(run_id, name, number)
    for path in artefacts:
        if path.is_dir():
            client.log_artifacts(run_id, str(path), artifact_path=path.name)
        else:
            client.log_artifact(run_id, str(path))
    client.set_terminated(run_id)
    return run_id


def tracking_uri(tracking: TrackingParams, workspace: Path) -> str:
    """Return the tracking URI with a relative SQLite file placed in the workspace."""
    prefix = "sqlite:///"
    if not tracking.uri.startswith(prefix) or tracking.uri.startswith(prefix + "/"):
        return tracking.uri
    return prefix + str((workspace / tracking.uri.removeprefix(prefix)).resolve())


def _flatten(content: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat
