"""What the command line does beside running stages: raw files, scoring, telling a score, money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from propensity.gathering import read_words
from propensity.scoring.tables import Outlet, score_tables
from propensity.workspace import Workspace, shown

if TYPE_CHECKING:
    from propensity.intake.rounds import Judgement
    from propensity.intake.start import Name
    from propensity.params import Params


def score_raw(
    ws: Workspace,
    *,
    leads: str | None,
    events: str | None,
    as_of: str | None,
    previous: str | None = None,
    previous_bundle: str | None = None,
    model: str | None = None,
    exports: Sequence[str] = (),
) -> str:
    """Score from the raw tables: the open leads of the params' files, or every lead of the files given.

    Parameters
    ----------
    ws : Workspace
    leads, events : str, optional
        Files to read instead of those in params, relative to the workspace. With files of their own, leads
        are no night's run: neither the history nor a database takes them.
    as_of : str, optional
        The moment of scoring; without a zone it is in ``data.timezone``.
    previous : str, optional
        The scores of an earlier scoring to compare with, relative to the workspace; the file of the
        latest scores will do. ``latest``: the last run in the history.
    previous_bundle : str, optional
        The folder of the bundle that gave them, relative to the workspace.
    model : str, optional
        As in `propensity.scoring.raw.load_model`.
    exports : sequence of str
        Of `propensity.crm.exports.NAMES`; what is not among them is removed from ``scores/export``.

    Raises
    ------
    InputError
        A file cannot be read as what it should be; nothing is written.
    QuarantineError
        Too many leads could not be scored; nothing is replaced.
    BusyError
        A database does not answer or there is no room left; started again, the scoring goes on.
    """
    from propensity.crm.exports import check_exports
    from propensity.data.files import told_when_full
    from propensity.data.ingest import summarise_counts, tell_forgotten
    from propensity.data.sources import connect
    from propensity.data.timing import timed
    from propensity.params import with_files
    from propensity.predict import in_utc
    from propensity.scoring.earlier import LATEST, read_earlier
    from propensity.scoring.raw import ingest_for, load_model

    with timed("model"):
        made, origin = load_model(ws, model)
    params, everyone = with_files(ws.params, leads=leads, events=events), leads is not None
    check_exports(Workspace(ws.folder, params), exports)
    with told_when_full():
        con = connect(params.data, folder=ws.folder)
        with timed("ingest"):
            canonical = ingest_for(ws, params, con, made, everyone=everyone)
        moment = canonical.observed_until
        if as_of:
            moment = in_utc(as_of, params.data.timezone).to_pydatetime()
        moment = moment if made.plan.dated else None
        earlier = read_earlier(
            ws, params, con, made, previous, previous_bundle, moment=moment, everyone=everyone
        )
        outlet = _nightly_outlet(ws) if leads is None else Outlet(ws.scores, told=True)
        scored = score_tables(
            ws, made, con, canonical, outlet, as_of=moment, everyone=everyone, earlier=earlier
        )
    forgotten = tell_forgotten(canonical.rule_counts)
    told = [summarise_counts(canonical.counts), *([forgotten] if forgotten else [])]
    told += [f"model {made.model_version} of {origin}", scored]
    if previous == LATEST and earlier is None:
        told.append("the history holds no earlier run to compare with")
    scored_from = Workspace(ws.folder, params)
    with told_when_full():
        told += _hand_over(scored_from, con, canonical, exports, compared=earlier is not None)
    return "\n".join(told)


def _hand_over(
    ws: Workspace, con: Any, canonical: Any, exports: Sequence[str], *, compared: bool
) -> list[str]:
    """Write what other systems read of the latest scores: the feed of crossings, the exports."""
    from propensity.crm.crossings import append_crossings
    from propensity.crm.exports import write_exports

    feed = [append_crossings(ws, con, canonical.tables.get("events"))] if compared else []
    exported = write_exports(ws, exports)
    return [*feed, *([exported] if exported else [])]


def _nightly_outlet(ws: Workspace) -> Outlet:
    scoring = ws.params.scoring
    keeping = ws.kept if scoring.incremental else None
    return Outlet(ws.scores, told=True, history=scoring.history, database=scoring.to, keeping=keeping)


def review_leads(ws: Workspace, *, leads: Path | None, sample: int | None) -> str:
    """Write the review of the leads that a file names, or of a choice.

    Parameters
    ----------
    ws : Workspace
    leads : Path, optional
        A CSV with a column ``lead_id``, or one lead a line, in UTF-8.
    sample : int, optional
        How many leads to choose; `selection.DEFAULT_CARDS` if left out.

    Raises
    ------
    InputError
        The file cannot be read, or names leads without a score.
    """
    from propensity.errors import InputError
    from propensity.report.selection import DEFAULT_CARDS, parse_leads
    from propensity.stages import report

    if leads is None:
        return report(ws, sample=sample or DEFAULT_CARDS)
    try:
        content = leads.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file of leads {leads} could not be read as UTF-8 text: {error}") from None
    return report(ws, wanted=parse_leads(content))


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


def monitor_workspace(ws: Workspace, *, as_of: str | None = None, retrain: bool = False) -> tuple[str, str]:
    """Ask all checks of what came since the training, and write what they say to ``reports/``.

    Parameters
    ----------
    ws : Workspace
    as_of : str, optional
        Nothing that was known later is seen; ``now`` is the clock. Left out: the last moment of the data.
    retrain : bool
        Fit a model on the newer outcomes too, and compare.

    Returns
    -------
    str
        All that was found, as text.
    str
        The alarms in a line; empty if there is none.

    Raises
    ------
    InputError
        The model was trained without dates, or `as_of` is no moment.
    """
    from propensity.data.files import write_json
    from propensity.loop.bulletin import tell_alarms, tell_signals
    from propensity.loop.lookout import ask_checks, count_statuses, sort_signals
    from propensity.loop.monitor_history import FILE, append_history, count_coverage
    from propensity.loop.monitoring import check_dated, measure_level, tell_proposal, watch_workspace
    from propensity.loop.signals import signal_to_json
    from propensity.model.bundle import read_bundle

    made = read_bundle(ws.serving, threads=ws.params.model.threads)
    check_dated(made)
    gathered = watch_workspace(ws, made, as_of=_moment_given(ws, as_of))
    watch, signals = gathered.watch, ask_checks(gathered.watch)
    if retrain and watch.refused is None:
        from propensity.loop.retraining import compare_retrained

        seed = ws.params.model.seed
        compared = compare_retrained(gathered.con, gathered.tables, made, until=watch.as_of, seed=seed)
        signals = sort_signals([*signals, compared])
    found = {"model_version": made.model_version, **measure_level(watch)}
    history = append_history(ws.reports / FILE, watch, signals, made.model_version)
    content = {
        **found,
        "as_of": watch.as_of.isoformat(),
        "alpha": watch.alpha,
        "statuses": count_statuses(signals),
        "signals": [signal_to_json(signal) for signal in signals],
        "coverage": count_coverage(history),
    }
    write_json(content, ws.reports / "monitor.json")
    alarmed = any(signal.status == "alarm" for signal in signals)
    head = f"model {made.model_version} of {shown(ws.serving)}, as of {watch.as_of:%Y-%m-%d %H:%M:%S} UTC"
    told = [head, tell_signals(signals), tell_proposal(found), shown(ws.reports / "monitor.json")]
    return "\n".join(told), tell_alarms(signals) if alarmed else ""


def _moment_given(ws: Workspace, as_of: str | None) -> datetime | None:
    from propensity.predict import in_utc

    if as_of is None:
        return None
    if as_of == "now":
        return datetime.now(UTC)
    return in_utc(as_of, ws.params.data.timezone).to_pydatetime()


def promote_recentred(ws: Workspace) -> str:
    """Put the shift that `propensity monitor` proposed into the workspace's bundle.

    Raises
    ------
    InputError
        Nothing was measured, for another model, or nothing is proposed.
    """
    import pandas as pd

    from propensity.data.files import read_json, write_json
    from propensity.errors import InputError
    from propensity.evaluation.recentring import RECENTRING, recentre
    from propensity.gathering import with_card
    from propensity.measuring import measure
    from propensity.model.bundle import name_bundle, read_bundle, verify_files, write_bundle

    folder, path = ws.models / "bundle", ws.reports / "monitor.json"
    made = read_bundle(folder)
    if not path.exists():
        raise InputError(f"{shown(path)} does not exist; 'propensity monitor' writes it")
    found = read_json(path)
    if found["model_version"] != made.model_version:
        serves = verify_files(ws.serving)["model_version"]
        way = "run 'propensity monitor' again"
        if found["model_version"] == serves:
            way = (
                "that is the champion, and the tables here are those of the latest run: promote what it made"
            )
        raise InputError(
            f"{shown(path)} is about model {found['model_version']}, the bundle holds {made.model_version}; "
            f"{way}"
        )
    if not found["proposed"]:
        raise InputError(f"{shown(path)} proposes no shift, so there is nothing to promote")
    probe = pd.read_parquet(folder / "probe.parquet").drop(columns="expected_log_odds")
    moved = name_bundle(recentre(made, found["shift"], {name: found[name] for name in RECENTRING}), probe)
    metrics = measure(ws, moved)
    write_json(metrics, ws.reports / "metrics.json")
    write_bundle(with_card(ws, moved, metrics), folder, probe)
    read_bundle(folder)
    return (
        f"model {made.model_version} with {found['shift']:+.3f} added to its log-odds is model "
        f"{moved.model_version} in {shown(folder)}, measured in {shown(ws.reports / 'metrics.json')}; "
        "'propensity run score report track' brings the scores up to it and makes it the challenger"
    )


def verify_models(params_path: Path) -> str:
    """Verify the bundles of a workspace, and finish a change of the champion that was interrupted.

    Raises
    ------
    BundleError
        The workspace has no bundle, or one of them failed verification.
    """
    from propensity.loop.handover import JOURNAL, recover_under_lock
    from propensity.registry.versions import CHAMPION, PREVIOUS
    from propensity.workspace import open_workspace

    models, told = params_path.resolve().parent / "models", []
    if (models / "promotions" / JOURNAL).exists():
        told.append(recover_under_lock(open_workspace(params_path)))
    there = [name for name in (CHAMPION, PREVIOUS) if (models / name).exists()]
    return "\n".join([*told, *(verify_bundle(models / name) for name in ("bundle", *there))])


def verify_bundle(folder: Path) -> str:
    """Verify a bundle and say what it holds.

    Raises
    ------
    BundleError
    """
    from propensity.bundled import trained_with
    from propensity.model.bundle import read_bundle

    found = read_bundle(folder)
    trained_with(found)
    return f"{folder}: intact, model {found.model_version}"


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
    words = read_words(ws)
    told = [tell(dict(row), words) for _, row in found.iterrows()]
    return "\n\n".join([*told, *_tell_levers(ws, found, words)])


def _tell_levers(ws: Workspace, scored: Any, words: Any) -> list[str]:
    """Return what a lead's tier rests on and what would change it, where the workspace can tell."""
    from propensity.explain.actions import tell_change
    from propensity.explain.words import say
    from propensity.model.bundle import read_bundle
    from propensity.report.levers import rests_on
    from propensity.reviewing import what_would_change

    made = read_bundle(ws.models / "bundle", threads=ws.params.model.threads)
    current = scored[scored["model_version"] == made.model_version]
    told = []
    for row in current.to_dict("records"):
        held_by = rests_on(row["tier"], row["score"], list(row["reasons"]), made.cutoffs)
        if held_by:
            tier = words.texts["tiers"][row["tier"]]
            told.append(say(words, "rests_on", tier=tier, list="; ".join(held_by)))
    if len(current) and (ws.interim / "ingest.json").exists():
        changes = what_would_change(ws, made, current)
        told += [text for row in changes.to_dict("records") if (text := tell_change(row, words))]
    return told


def forget_leads(ws: Workspace, lead_ids: Sequence[str], file: Path | None) -> str:
    """Forget the leads that are named and those of a file, one a line.

    Raises
    ------
    InputError
        The file cannot be read, or no lead is named.
    """
    from propensity.errors import InputError
    from propensity.privacy.forgetting import forget

    named = list(lead_ids)
    if file is not None:
        try:
            named += file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the file of leads {file} could not be read as UTF-8 text: {error}") from None
    return forget(ws, named)


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
