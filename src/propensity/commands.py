"""What the command line does beside running stages: starting from raw files, scoring, telling a score."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from propensity.stages import score_tables
from propensity.workspace import Workspace, shown

if TYPE_CHECKING:
    from propensity.intake.rounds import Judgement
    from propensity.intake.start import Name
    from propensity.params import Params


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
    tables = {"events"} if leads else {"events", "outcomes", "stages"}
    tables |= {"outcomes"} if made.plan.has_account else set()
    tables |= {"history"} if made.plan.rebuilt else set()
    canonical = ingest_tables(
        params.data,
        ws.folder,
        now=datetime.now(UTC),
        con=con,
        types=needed_types(made),
        tables=tables,
        others="ignore" if leads else "refuse",
    )
    moment = in_utc(as_of, params.data.timezone).to_pydatetime() if as_of else None
    scored = score_tables(ws, made, con, canonical, as_of=moment, everyone=leads is not None)
    return f"{summarise_counts(canonical.counts)}\n{scored}"


def audit_raw(ws: Workspace) -> tuple[str, str]:
    """Run the stages up to the audit.

    Returns
    -------
    str
        All findings as text.
    str
        What stops a run, and the ways on; empty if nothing does.
    """
    from propensity.audit.findings import finding_to_json
    from propensity.audit.telling import tell_findings, tell_stop
    from propensity.data.files import write_json
    from propensity.stages import STAGES, audit_findings

    for name in list(STAGES)[: list(STAGES).index("audit")]:
        STAGES[name](ws)
    findings = audit_findings(ws)
    write_json([finding_to_json(finding) for finding in findings], ws.reports / "audit.json")
    stops = tell_stop(findings) if any(finding.stops for finding in findings) else ""
    return tell_findings(findings), stops


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


def write_template(params_path: Path) -> str:
    """Write the template of a params file, every key explained.

    Raises
    ------
    InputError
        The file exists.
    """
    from importlib.resources import files

    from propensity.data.files import write_text
    from propensity.intake.start import check_absent

    check_absent(params_path)
    write_text((files("propensity") / "params_template.yaml").read_text(encoding="utf-8"), params_path)
    return f"{params_path}: name your columns in it, then 'propensity --params {params_path} run'"


def start_params(
    params_path: Path, leads: Path, *, events: Path | None, outcomes: Path | None, interactive: bool
) -> str:
    """Write a params file for files that nobody has described, and return what each column was taken for.

    Parameters
    ----------
    params_path : Path
        The file to write; it must not exist.
    leads : Path
    events, outcomes : Path or None
    interactive : bool
        Whether a person can be asked about what is not sure.

    Raises
    ------
    InputError
        A file cannot be read, nothing says how leads ended (then nothing is written), or what was written
        does not run; the reason then stands at its top.
    """
    from propensity.intake.asking import ask_at_terminal
    from propensity.intake.guesses import as_guessed
    from propensity.intake.start import start

    given: dict[Name, Path | None] = {"leads": leads, "events": events, "outcomes": outcomes}
    return start(
        params_path,
        {table: path for table, path in given.items() if path is not None},
        ask_at_terminal if interactive else as_guessed,
        judge_params,
    )


def judge_params(folder: Path, params: Params, before: Params | None) -> Judgement:
    """Run the pipeline up to the audit in a folder, and return what the audit finds.

    Parameters
    ----------
    folder : Path
    params : Params
        With absolute paths.
    before : Params or None
        What the tables in the folder were made with; those that would come out the same are not made again.
    """
    from propensity import stages
    from propensity.data.files import read_json
    from propensity.intake.rounds import Judgement

    ws = Workspace(folder, params)
    if before is None or before.data != params.data:
        stages.ingest(ws)
    if before is None or (before.data, before.snapshots) != (params.data, params.snapshots):
        stages.cohort(ws)
    stages.features(ws)
    stages.split(ws)
    horizon = read_json(ws.interim / "cohort.json").get("horizon") or {}
    listed = read_json(ws.interim / "features.json")["catalogue"]
    return Judgement(
        findings=stages.audit_findings(ws),
        horizon_days=horizon.get("days"),
        subjects={feature["name"]: feature["subject"] for feature in listed},
    )
