"""What the command line does beside running stages: raw files, scoring, telling a score, money."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def monitor_outcomes(ws: Workspace) -> str:
    """Compare the bundle's probabilities with the outcomes since, propose a shift, write monitor.json.

    Raises
    ------
    InputError
        The model was trained without dates.
    """
    from propensity.data.files import write_json
    from propensity.data.ingest import ingest as ingest_tables
    from propensity.data.sources import connect
    from propensity.evaluation.recentring import propose_shift
    from propensity.loop.monitoring import check_dated, matured_since, tell_proposal
    from propensity.model.bundle import log_odds, read_bundle
    from propensity.predict import needed_types

    made = read_bundle(ws.models / "bundle", threads=ws.params.model.threads)
    check_dated(made)
    con = connect(ws.params.data, folder=ws.folder)
    canonical = ingest_tables(
        ws.params.data,
        ws.folder,
        now=datetime.now(UTC),
        con=con,
        types=needed_types(made),
        tables={"events", "outcomes", "stages"} | ({"history"} if made.plan.rebuilt else set()),
    )
    until = canonical.observed_until
    assert until is not None  # there are dates
    table = matured_since(con, canonical.tables, made, observed_until=until)
    found = {
        "model_version": made.model_version,
        "since": made.data["observed_until"],
        "observed_until": until.isoformat(),
        "leads": int(table["lead_id"].nunique()),
        **propose_shift(log_odds(made, table), table["won"].to_numpy(dtype=bool), table["group"].to_numpy()),
    }
    write_json(found, ws.reports / "monitor.json")
    return f"{tell_proposal(found)}; {shown(ws.reports / 'monitor.json')}"


def promote_recentred(ws: Workspace) -> str:
    """Put the shift that `monitor_outcomes` proposed into the workspace's bundle.

    Raises
    ------
    InputError
        Nothing was measured, for another model, or nothing is proposed.
    """
    import pandas as pd

    from propensity.data.files import read_json, write_json
    from propensity.errors import InputError
    from propensity.evaluation.recentring import recentre
    from propensity.model.bundle import name_bundle, read_bundle, write_bundle
    from propensity.stages import measure

    folder, path = ws.models / "bundle", ws.reports / "monitor.json"
    made = read_bundle(folder)
    if not path.exists():
        raise InputError(f"{shown(path)} does not exist; 'propensity monitor' writes it")
    found = read_json(path)
    if found["model_version"] != made.model_version:
        raise InputError(
            f"{shown(path)} is about model {found['model_version']}, the bundle holds {made.model_version}; "
            "run 'propensity monitor' again"
        )
    if not found["proposed"]:
        raise InputError(f"{shown(path)} proposes no shift, so there is nothing to promote")
    probe = pd.read_parquet(folder / "probe.parquet").drop(columns="expected_log_odds")
    moved = name_bundle(recentre(made, found["shift"], found), probe)
    metrics = measure(ws, moved)
    write_json(metrics, ws.reports / "metrics.json")
    write_bundle(moved, folder, probe)
    read_bundle(folder)
    return (
        f"model {made.model_version} with {found['shift']:+.3f} added to its log-odds is model "
        f"{moved.model_version} in {shown(folder)}, measured in {shown(ws.reports / 'metrics.json')}; "
        "'propensity run score report track' brings the scores up to it"
    )


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


def price_channels(ws: Workspace, *, since: str | None) -> str:
    """Set what leads cost beside what they bring, write ``reports/price.parquet`` and return it as text.

    Parameters
    ----------
    ws : Workspace
    since : str, optional
        Only leads created from then on; without a zone it is in ``data.timezone``.
    """
    from propensity.data.fetch import fetch
    from propensity.money.price import price_leads
    from propensity.money.telling import tell_notes, tell_price
    from propensity.predict import in_utc

    evidence = _gather(ws)
    spend = evidence.tables.get("spend")
    found = price_leads(
        _ledger(evidence),
        None if spend is None else fetch(evidence.con, spend),
        ws.params.cutoffs.value,
        seed=ws.params.model.seed,
        since=in_utc(since, ws.params.data.timezone) if since else None,
    )
    _write_told(ws, evidence, "price", found.table)
    written = f"In {shown(ws.reports / 'price.parquet')}; 'propensity review' shows it in the review."
    return "\n\n".join([tell_price(found.table), tell_notes([*found.notes, written])])


def find_trends(ws: Workspace) -> str:
    """Find what goes with winning, write ``reports/trends.parquet`` and ``winners.parquet``, and tell it."""
    import pandas as pd

    from propensity.money.evidence import gather_trends, gather_winners
    from propensity.money.telling import tell_notes, tell_trends

    evidence = _gather(ws)
    plan = evidence.made.plan
    features = pd.read_parquet(ws.interim / "features.parquet")
    trends = gather_trends(evidence.con, evidence.tables, evidence.snapshots, features, plan).find()
    training = pd.read_parquet(ws.processed / "training.parquet")
    winners = gather_winners(training, evidence.snapshots, plan)
    _write_told(ws, evidence, "trends", trends)
    _write_told(ws, evidence, "winners", winners)
    notes = [
        "Points: percentage points more or fewer won than among leads of the same age and quarter that had "
        "not met it, shrunk. As active: than among those that also did as much of the same type. They are "
        "differences between leads, not what showing a page would bring.",
    ]
    if not plan.event_types:
        notes.append("No events are in use, so no pages, offers or mails are compared: see data.events.")
    written = f"All in {shown(ws.reports / 'trends.parquet')} and {shown(ws.reports / 'winners.parquet')}."
    return "\n\n".join([tell_trends(trends, winners), tell_notes([*notes, written])])


def count_funnel(ws: Workspace) -> str:
    """Count the funnel, write ``reports/funnel.parquet`` and what belongs to it, and return it as text."""
    from propensity.data.fetch import fetch
    from propensity.money.funnel import make_funnel
    from propensity.money.telling import tell_funnel, tell_notes

    evidence = _gather(ws)
    stages = evidence.tables.get("stages")
    found = make_funnel(_ledger(evidence), None if stages is None else fetch(evidence.con, stages))
    _write_told(ws, evidence, "funnel", found.steps)
    _write_told(ws, evidence, "funnel_stages", found.stages)
    _write_told(ws, evidence, "funnel_tiers", found.agreement)
    written = f"In {shown(ws.reports / 'funnel.parquet')}, funnel_stages.parquet and funnel_tiers.parquet."
    told = tell_funnel(found.steps, found.stages, found.agreement)
    return "\n\n".join([told, tell_notes([*found.notes, written])])


@dataclass(frozen=True)
class _Evidence:
    con: Any
    tables: dict[str, Any]
    observed_until: datetime | None
    made: Any
    snapshots: Any
    scores: Any


def _gather(ws: Workspace) -> _Evidence:
    """Read what a finished run left; the commands about money need all of it."""
    import pandas as pd

    from propensity.data.ingest import read_canonical
    from propensity.data.sources import connect
    from propensity.errors import InputError
    from propensity.model.bundle import read_bundle

    for path in (ws.interim / "snapshots.parquet", ws.processed / "training.parquet", ws.scores):
        if not path.exists():
            raise InputError(f"{shown(path)} does not exist; 'propensity run' writes it")
    con = connect(ws.params.data, folder=ws.folder)
    canonical = read_canonical(con, ws.interim)
    return _Evidence(
        con=con,
        tables=canonical.tables,
        observed_until=canonical.observed_until,
        made=read_bundle(ws.models / "bundle", threads=ws.params.model.threads),
        snapshots=pd.read_parquet(ws.interim / "snapshots.parquet"),
        scores=pd.read_parquet(ws.scores),
    )


def _write_told(ws: Workspace, evidence: _Evidence, name: str, table: Any) -> None:
    """Write a table with the model it goes with: the review shows it only beside that one."""
    from propensity.data.files import write_parquet

    versioned = table.assign(model_version=evidence.made.model_version)
    write_parquet(versioned, ws.reports / f"{name}.parquet")


def _ledger(evidence: _Evidence) -> Any:
    from propensity.money.ledger import make_ledger

    return make_ledger(
        evidence.con,
        evidence.tables,
        evidence.made,
        evidence.snapshots,
        evidence.scores,
        observed_until=evidence.observed_until,
        horizon_days=evidence.made.data["horizon_days"],
    )
