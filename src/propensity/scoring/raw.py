"""What a scoring of raw tables starts from: the bundle, and the canonical tables as it reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from propensity.params import Params
from propensity.workspace import Workspace, shown


def load_model(ws: Workspace, model: str | None) -> tuple[Any, str]:
    """Return the bundle to score with, and where it is from.

    Parameters
    ----------
    ws : Workspace
    model : str or None
        A folder relative to the workspace, or an address such as ``models:/propensity@champion``; None: the
        champion, and while there is none the latest bundle.

    Raises
    ------
    BundleError
        It failed verification.
    InputError
        The address names no version.
    """
    from propensity.model.bundle import read_bundle
    from propensity.predict import Predictor

    threads = ws.params.model.threads
    if model is not None and model.startswith("models:"):
        from propensity.registry.store import tracking_uri

        uri = tracking_uri(ws.params.tracking, ws.folder)
        return Predictor.load(model, threads=threads, tracking_uri=uri).bundle, model
    folder = ws.serving if model is None else ws.folder / model
    return read_bundle(folder, threads=threads), shown(folder)


def ingest_for(ws: Workspace, params: Params, con: Any, made: Any, *, everyone: bool) -> Any:
    """Return the canonical tables that a bundle scores from, with the attributes it needs.

    Parameters
    ----------
    ws : Workspace
    params : Params
        That say where the raw tables are.
    con : ibis backend
    made : Bundle
    everyone : bool
        Whether the leads are a part that is handed in to be scored: rows of other leads are then ignored.
    """
    from propensity.bundled import needed_types
    from propensity.data.ingest import ingest

    tables = {"events"} if everyone else {"events", "outcomes", "stages"}
    tables |= {"outcomes"} if made.plan.has_account else set()
    tables |= {"history"} if made.plan.rebuilt else set()
    return ingest(
        params.data,
        ws.folder,
        now=datetime.now(UTC),
        con=con,
        types=needed_types(made),
        tables=tables,
        others="ignore" if everyone else "refuse",
    )
