"""What was forgotten, and what else holds a lead, as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from propensity.errors import some
from propensity.workspace import Workspace, shown

if TYPE_CHECKING:
    from propensity.privacy.forgetting import Done


def tell(ws: Workspace, done: Done, listed_in: Path) -> str:
    """Return what `forget` did and what it leaves to a person."""
    return "\n".join([*_done(ws, done, listed_in), *_left(ws, done)])


def _done(ws: Workspace, done: Done, listed_in: Path) -> list[str]:
    known = len(done.ids) - len(done.unknown)
    lines = [f"{known:,} of {len(done.ids):,} leads were in the workspace and are taken out"]
    lines += [f"  {shown(path)}: {_count(rows)}" for path, rows in done.rows.items()]
    for command, paths in done.removed.items():
        lines.append(f"  removed: {', '.join(map(shown, paths))}; '{command}' makes them again")
    if done.reviews:
        lines.append(f"  removed from MLflow's artefacts: {', '.join(map(shown, done.reviews))}")
    if done.half_done:
        lines.append(f"  removed: {done.half_done:,} files and folders that killed commands had left")
    if done.unknown:
        lines.append(f"  in no file of the workspace: {some(done.unknown)}; on the list all the same")
    lines.append(
        f"{shown(ws.folder / listed_in)} has {done.listed:,} leads as salted hashes: ingest leaves them out"
    )
    return lines


def _left(ws: Workspace, done: Done) -> list[str]:
    """Return what this command does not touch, and how each is cleared."""
    lines = ["what else may hold them:"]
    for table, found in done.raw.items():
        told = f"{_count(found)}; take them out there" if isinstance(found, int) else f"not searched: {found}"
        lines.append(f"  {table}: {told}")
    if not done.raw:
        lines.append("  raw tables: none of those in params.yaml has them")
    folders = [ws.folder, *ws.folder.parents]
    cache = next((f / ".dvc" for f in folders if (f / ".dvc").is_dir()), None)
    if cache is not None:
        lines.append(
            f"  {shown(cache)}/cache: earlier tables and scores; 'dvc repro', then 'dvc gc --workspace', and "
            "with '--cloud' for a remote"
        )
    lines += [
        f"  MLflow at {ws.params.tracking.uri}: reviews logged elsewhere than in mlartifacts/; 'mlflow gc' "
        "after the runs are deleted",
        "  models: sums over many leads and no id; 'propensity run' learns without them",
        "  databases that scores were written to, CRMs that took an export, alerts, mails with a review: "
        "delete the lead there",
        "  backups: restore no table without running this again, or keep the list with them",
    ]
    return lines


def _count(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'}"
