"""What ``propensity score --export`` writes, each export whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from propensity.crm.records import write_records
from propensity.crm.spreadsheets import write_csv, write_xlsx
from propensity.crm.systems import LAYOUTS, Layout
from propensity.data.files import replaced_folder
from propensity.errors import ParamsError, nearest
from propensity.workspace import Workspace, shown

NAMES = (*LAYOUTS, "csv", "xlsx")


def check_exports(ws: Workspace, names: Sequence[str]) -> None:
    """Refuse exports that cannot be written, before anything is scored.

    Raises
    ------
    ParamsError
        A column that ``crm`` names is not among those of the leads.
    InputError
        The leads are not there.
    """
    from propensity.data.locations import find_source

    layouts = [LAYOUTS[name](ws.params.crm) for name in names if name in LAYOUTS]
    wanted = [(layout.system, column) for layout in layouts for column in layout.columns]
    if not wanted:
        return
    leads = ws.params.data.leads
    source = find_source(leads.path, ws.folder, delimiter=leads.delimiter, section="data.leads")
    for system, column in wanted:
        if column not in source.columns:
            raise ParamsError(
                f"crm.{system} names the column '{column}', which {source.where} does not have"
                f"{nearest(column, source.columns)}; it has {', '.join(source.columns)}"
            )


def write_exports(ws: Workspace, names: Sequence[str]) -> str:
    """Write exports of ``scores/scores.parquet`` to ``scores/export``, and remove those not named.

    An export of another scoring would tell of other scores than those it lies beside.

    Parameters
    ----------
    ws : Workspace
        Its params say where the leads are that were scored.
    names : sequence of str
        Of `NAMES`; each is written to a folder of its own name, which takes the place of the one before.

    Returns
    -------
    str
        A line for each.

    Raises
    ------
    QuarantineError
        Too many leads have no key that a CRM takes; the export before stays.
    """
    told = []
    for name in dict.fromkeys(names):
        target = ws.exports / name
        with replaced_folder(target) as folder:
            said = _writer(ws, name)(folder)
        told.append(f"{name}: {said}; {shown(target)}")
    for other in set(NAMES) - set(names):
        shutil.rmtree(ws.exports / other, ignore_errors=True)
    return "\n".join(told)


def _writer(ws: Workspace, name: str) -> Callable[[Path], str]:
    if name == "csv":
        return partial(write_csv, ws.scores)
    if name == "xlsx":
        return partial(write_xlsx, ws.scores)
    return partial(_write_system, ws, LAYOUTS[name](ws.params.crm))


def _write_system(ws: Workspace, layout: Layout, folder: Path) -> str:
    """Write a CRM's files; the leads are read anew only for what the scores do not hold."""
    from propensity.data.engines import connect_here
    from propensity.data.ingest import ingest
    from propensity.data.lookup import look_up

    limit = ws.params.data.max_quarantined
    if not layout.columns:
        return write_records(ws.scores, layout, folder, looked_up=None, most_unusable=limit)
    con = connect_here(folder=ws.folder)
    read = ingest(
        ws.params.data,
        ws.folder,
        now=datetime.now(UTC),
        con=con,
        types=dict.fromkeys(layout.columns, "text"),
        tables=set(),
        others="ignore",
    )
    stage = None if layout.advance is None else layout.advance.column
    looked_up = look_up(con, read.tables["leads"], ws.scores, key=layout.key, stage=stage)
    return write_records(ws.scores, layout, folder, looked_up=looked_up, most_unusable=limit)
