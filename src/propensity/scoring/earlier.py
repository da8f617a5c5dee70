"""The scoring to compare with: its scores, and the bundle that gave them where it is at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from propensity.params import Params
from propensity.scoring.history import find_latest
from propensity.scoring.raw import ingest_for
from propensity.workspace import Workspace, shown

LATEST = "latest"


@dataclass(frozen=True)
class Earlier:
    """The scoring to compare with.

    Attributes
    ----------
    path : Path
        Of a Parquet file: ``lead_id, as_of_before, score_before, tier_before, model_before``, a row a lead.
    rows : int
    name : str
        What to call it.
    bundle : Bundle or None
        The bundle that gave them, where it is at hand.
    tables : mapping
        Canonical tables as that bundle reads them.
    """

    path: Path
    rows: int
    name: str
    bundle: Any
    tables: Mapping[str, Any]


def read_earlier(
    ws: Workspace,
    params: Params,
    con: Any,
    made: Any,
    previous: str | None,
    bundle: str | None,
    *,
    moment: datetime | None,
    everyone: bool,
) -> Earlier | None:
    """Return the scoring that ``--previous`` names.

    Parameters
    ----------
    ws : Workspace
    params : Params
        That say where the raw tables are.
    con : ibis backend
    made : Bundle
        The one that scores.
    previous : str or None
        A file of scores, relative to the workspace, or ``latest``: the last run of the history before
        `moment`, with the bundle that gave it if that is still in the workspace.
    bundle : str or None
        The folder of the bundle that gave the scores, relative to the workspace.
    moment : datetime or None
        Of the new scoring.
    everyone : bool
        As in `ingest_for`.

    Returns
    -------
    Earlier or None
        None without `previous`, and where the history holds no run to compare with.

    Raises
    ------
    InputError
        The file holds no scores.
    BundleError
    """
    from propensity.model.bundle import read_bundle

    if previous is None:
        return None
    path: Path | None = ws.folder / previous
    if previous == LATEST:
        run = find_latest(ws, as_of=moment, model_version=made.model_version)
        path = None if run is None else run.path
    if path is None:
        return None
    earlier = _read_scores(con, path)
    folder = None if bundle is None else ws.folder / bundle
    if folder is None and previous == LATEST:
        folder = _find_bundle(ws, earlier, made)
    if folder is None:
        return earlier
    found = read_bundle(folder, threads=ws.params.model.threads)
    tables = ingest_for(ws, params, con, found, everyone=everyone).tables
    return replace(earlier, bundle=found, tables=tables)


def _read_scores(con: Any, path: Path) -> Earlier:
    """Read and check the scores of an earlier scoring, and keep them out of memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from propensity.data.engines import staging_path
    from propensity.data.files import write_parquet
    from propensity.errors import InputError
    from propensity.explain.previous import NEEDED, check_previous

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"{shown(path)} should be the Parquet file of an earlier scoring, such as scores/scores.parquet; "
            f"it could not be read: {error}"
        ) from None
    known = [name for name in NEEDED if name in table.column_names]
    frame = table.select(known).to_pandas() if len(known) == len(NEEDED) else table.to_pandas()
    checked, kept = check_previous(frame, where=shown(path)), staging_path(con)
    write_parquet(checked, kept)
    return Earlier(kept, len(checked), shown(path), None, {})


def _find_bundle(ws: Workspace, earlier: Earlier, made: Any) -> Path | None:
    """Return where the one other model lies that gave the earlier scores, if it is in the workspace."""
    import pyarrow.parquet as pq

    from propensity.model.bundle import find_version

    versions = pq.read_table(earlier.path, columns=["model_before"])["model_before"].unique().to_pylist()
    others = [version for version in versions if version != made.model_version]
    if len(others) != 1:
        return None
    places = [ws.champion, ws.models / "previous", ws.models / "bundle"]
    return next((place for place in places if find_version(place) == others[0]), None)
