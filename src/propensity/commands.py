"""What the command line does beside running stages: scoring from the raw tables, and telling a score."""

from __future__ import annotations

from datetime import UTC, datetime

from propensity.stages import score_tables
from propensity.workspace import Workspace, shown


def score_raw(ws: Workspace, *, leads: str | None, events: str | None, as_of: str | None) -> str:
    """Score from the raw tables: the open leads of the params' files, or every lead of the files given.

    Parameters
    ----------
    ws : Workspace
    leads, events : str, optional
        Files to read instead of those in params, relative to the workspace.
    as_of : str, optional
        The moment of scoring; without a zone it is in ``data.timezone``.
    """
    from propensity.data.ingest import ingest as ingest_tables
    from propensity.data.ingest import summarise_counts
    from propensity.data.sources import connect
    from propensity.model.bundle import read_bundle
    from propensity.params import with_files
    from propensity.predict import in_utc, needed_types

    made = read_bundle(ws.models / "bundle", threads=ws.params.model.threads)
    params = with_files(ws.params, leads=leads, events=events)
    con = connect(params.data, folder=ws.folder)
    canonical = ingest_tables(
        params.data,
        ws.folder,
        now=datetime.now(UTC),
        con=con,
        types=needed_types(made),
        tables={"events"} if leads and not made.plan.has_account else {"events", "outcomes"},
        others="ignore" if leads else "refuse",
    )
    moment = in_utc(as_of, params.data.timezone).to_pydatetime() if as_of else None
    scored = score_tables(ws, made, con, canonical, as_of=moment, everyone=leads is not None)
    return f"{summarise_counts(canonical.counts)}\n{scored}"


def explain_lead(ws: Workspace, lead_id: str) -> str:
    """Return a lead's score and reasons as text, from the latest scores."""
    import pandas as pd

    from propensity.errors import InputError
    from propensity.explain.reasons import tell

    if not ws.scores.exists():
        raise InputError(f"{shown(ws.scores)} does not exist; 'propensity score' writes it")
    scores = pd.read_parquet(ws.scores)
    found = scores[scores["lead_id"] == lead_id]
    if found.empty:
        raise InputError(
            f"{shown(ws.scores)} has no lead '{lead_id}' among its {len(scores):,}; "
            "a lead is scored while it is open"
        )
    return "\n\n".join(tell(dict(row)) for _, row in found.iterrows())
