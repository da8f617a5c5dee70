"""Where MLflow keeps runs and model versions: opened, moved along with its folder, locked, unreachable."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from propensity.data.files import locked
from propensity.errors import BusyError, InputError
from propensity.params import TrackingParams, without_passwords

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# MLflow's own seven retries take four minutes to find that nobody answers; a scheduler tries again anyway.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

SQLITE = "sqlite:///"
ARTEFACTS = "mlartifacts"
LOCK = ".mlflow.lock"
# The columns of MLflow's tables that hold where artefacts are, as absolute addresses.
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


@dataclass(frozen=True)
class Registry:
    """A tracking server or database, open.

    Attributes
    ----------
    client : mlflow.MlflowClient
    uri : str
    model : str
        The name that versions are registered under.
    folder : Path
        Where the lock lies: beside the SQLite file, or in the workspace.
    artefacts : Path or None
        Where artefacts lie; None where the server decides.
    """

    client: Any
    uri: str
    model: str
    folder: Path
    artefacts: Path | None

    @property
    def shown(self) -> str:
        """The address as messages and logs may show it."""
        return str(without_passwords(self.uri))


def open_registry(tracking: TrackingParams, folder: Path, *, create: bool = False) -> Registry:
    """Open the tracking server or database of a workspace.

    A SQLite file and the folder of artefacts beside it may have been moved or copied together since they
    were written: the addresses that MLflow wrote down are then brought up to where they are.

    Parameters
    ----------
    tracking : TrackingParams
    folder : Path
        The workspace; a relative SQLite file is taken from here.
    create : bool
        Make a SQLite file that is not there.

    Raises
    ------
    InputError
        There is no such SQLite file.
    BusyError
        The server does not answer.
    """
    uri = tracking_uri(tracking, folder)
    if not uri.startswith(SQLITE):
        local = not uri.startswith(("http://", "https://", "databricks"))
        artefacts = (folder / ARTEFACTS).resolve() if local else None
        return Registry(_make_client(uri), uri, tracking.model, folder, artefacts)
    database = Path(uri.removeprefix(SQLITE))
    if not create and not database.exists():
        raise InputError(
            f"{database} does not exist, so no model is registered there; 'propensity run track' makes it"
        )
    artefacts = database.parent / ARTEFACTS
    with locked(database.parent / LOCK, wait=True):
        # The first client creates the database's tables; two at once would both try.
        if database.exists():
            _follow_move(database, artefacts)
        client = _make_client(uri)
    return Registry(client, uri, tracking.model, database.parent, artefacts)


def tracking_uri(tracking: TrackingParams, folder: Path) -> str:
    """Return the tracking URI with a relative SQLite file placed in the workspace."""
    if not tracking.uri.startswith(SQLITE) or tracking.uri.startswith(SQLITE + "/"):
        return tracking.uri
    return SQLITE + str((folder / tracking.uri.removeprefix(SQLITE)).resolve())


@contextmanager
def changing(registry: Registry) -> Iterator[None]:
    """Keep others on this machine from changing the registry at the same time; wait for them."""
    with locked(registry.folder / LOCK, wait=True):
        yield


@contextmanager
def reaching(uri: str) -> Iterator[None]:
    """Turn MLflow's word for a server that does not answer or a locked database into `BusyError`."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        text = str(error)
        if error.error_code == "TEMPORARILY_UNAVAILABLE" or text.startswith("API request to"):
            first = without_passwords(text.splitlines()[0])
            raise BusyError(
                f"MLflow at {without_passwords(uri)} does not answer: {first}; try again later"
            ) from None
        raise


def _make_client(uri: str) -> Any:
    import mlflow  # heavy, and not needed to score

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # It prints a traceback of what `reaching` says in a sentence.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    with reaching(uri):
        client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


def _follow_move(database: Path, artefacts: Path) -> None:
    """Bring the addresses in MLflow's tables up to where the folder of artefacts is.

    MLflow knows absolute addresses only, so a workspace that was moved would point at where it was.
    """
    if not artefacts.exists():
        return
    here = artefacts.as_uri()
    connection = sqlite3.connect(database, timeout=20)
    try:
        with connection:
            tables = {
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            }
            for table, column in ADDRESSES:
                if table in tables:
                    _readdress(connection, table, column, here)
    except sqlite3.OperationalError as error:
        raise BusyError(f"{database} could not be opened: {error}; try again later") from None
    finally:
        connection.close()


def _readdress(connection: sqlite3.Connection, table: str, column: str, here: str) -> None:
    rows = connection.execute(
        f"SELECT rowid, {column} FROM {table} WHERE {column} LIKE 'file://%/{ARTEFACTS}%'"
    ).fetchall()
    for row, address in rows:
        before, _, rest = str(address).rpartition(f"/{ARTEFACTS}")
        if f"{before}/{ARTEFACTS}" != here and (rest == "" or rest.startswith("/")):
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (here + rest, row))
