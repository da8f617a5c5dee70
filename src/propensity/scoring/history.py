"""The score history: one file for each finished run of ``propensity score``, named by moment and model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from propensity.workspace import Workspace

# What is needed to compare a run with another, to watch its probabilities and to hold them against outcomes.
COLUMNS = ("lead_id", "as_of", "probability", "score", "tier", "model_version", "scored_at")

_UNDATED = "undated"
_STAMP = "%Y%m%dT%H%M%S.%fZ"
_NAME = re.compile(rf"(?P<moment>\d{{8}}T\d{{6}}\.\d{{6}}Z|{_UNDATED})-(?P<model>\w+)\.parquet")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes
    ----------
    path : Path
        Of its scores.
    as_of : datetime or None
        In UTC; None for data without dates.
    model_version : str
    """

    path: Path
    as_of: datetime | None
    model_version: str


def list_runs(ws: Workspace) -> list[Run]:
    """Return the finished runs, by moment and model; those without a moment come first."""
    if not ws.history.is_dir():
        return []
    found = ((path, _NAME.fullmatch(path.name)) for path in ws.history.iterdir())
    runs = [Run(path, _parse_moment(m["moment"]), m["model"]) for path, m in found if m is not None]
    return sorted(runs, key=lambda run: (_rank(run.as_of), run.model_version))


def read_history(ws: Workspace, *, since: datetime | None = None, columns: Iterable[str] = COLUMNS) -> Any:
    """Return the scores of all finished runs.

    Parameters
    ----------
    ws : Workspace
    since : datetime, optional
        With a time zone; runs as of an earlier moment are left out, and so are those without one.
    columns : iterable of str
        Of `COLUMNS`.

    Returns
    -------
    DataFrame
        One row a ``(lead_id, as_of, model_version)``, sorted by run and lead. Empty without a history.
    """
    wanted = list(columns)
    runs = [run for run in list_runs(ws) if since is None or _rank(run.as_of) >= since]
    tables = [pq.read_table(run.path, columns=wanted) for run in runs]
    empty = pa.schema([(name, _SCHEMA.field(name).type) for name in wanted]).empty_table()
    return pa.concat_tables([empty, *tables], promote_options="permissive").to_pandas()


def find_latest(ws: Workspace, *, as_of: datetime | None, model_version: str) -> Run | None:
    """Return the last run to compare a scoring with: none later than `as_of`, and not that scoring itself.

    A run that is done again is so compared with what it was compared with the first time.
    """
    earlier = [
        run
        for run in list_runs(ws)
        if (run.as_of, run.model_version) != (as_of, model_version)
        and (run.as_of is None) == (as_of is None)
        and _rank(run.as_of) <= _rank(as_of)
    ]
    if not earlier:
        return None
    last = max(_rank(run.as_of) for run in earlier)
    return max((run for run in earlier if _rank(run.as_of) == last), key=_finished_at)


def append_run(
    ws: Workspace,
    tables: Iterator[pa.Table],
    as_of: datetime | None,
    model_version: str,
    *,
    keep_days: float | None,
) -> Path:
    """Keep a finished run, in the place of one of the same moment and model, and forget those too old.

    Parameters
    ----------
    ws : Workspace
    tables : iterator of Table
        The scores, part by part, with `COLUMNS` among their columns; at least one part.
    as_of : datetime or None
    model_version : str
    keep_days : float or None
        Days before the newest run's ``as_of`` from which on runs are kept; None: all.

    Returns
    -------
    Path
        The run's file.
    """
    from propensity.data.files import write_tables

    moment = _UNDATED if as_of is None else as_of.astimezone(UTC).strftime(_STAMP)
    path = ws.history / f"{moment}-{model_version}.parquet"
    write_tables((table.select(COLUMNS) for table in tables), path)
    if keep_days is not None:
        _forget(list_runs(ws), timedelta(days=keep_days))
    return path


def _forget(runs: list[Run], age: timedelta) -> None:
    dated = [run for run in runs if run.as_of is not None]
    newest = max((_rank(run.as_of) for run in dated), default=None)
    for run in dated:
        if newest is not None and _rank(run.as_of) < newest - age:
            run.path.unlink()


def _finished_at(run: Run) -> datetime:
    """Return when a run was scored; two models may have scored the same moment."""
    scored = pq.ParquetFile(run.path)
    first = next(scored.iter_batches(batch_size=1, columns=["scored_at"]), None)
    return datetime.min.replace(tzinfo=UTC) if first is None or not len(first) else first[0][0].as_py()


def _parse_moment(text: str) -> datetime | None:
    return None if text == _UNDATED else datetime.strptime(text, _STAMP).replace(tzinfo=UTC)


def _rank(moment: datetime | None) -> datetime:
    return datetime.min.replace(tzinfo=UTC) if moment is None else moment


_MOMENT = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    {
        "lead_id": pa.string(),
        "as_of": _MOMENT,
        "probability": pa.float64(),
        "score": pa.float64(),
        "tier": pa.string(),
        "model_version": pa.string(),
        "scored_at": _MOMENT,
    }
)
