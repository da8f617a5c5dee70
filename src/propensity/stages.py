"""The stages of the pipeline: each reads, calls and writes, and says in a sentence what it did.

``dvc.yaml`` and ``propensity run`` execute the same functions. Imports stand inside the functions,
so that a stage loads, and in DVC depends on, only what it uses.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from propensity.gathering import (
    assemble,
    data_window,
    gather_documents,
    probe_rows,
    read_part,
    scores_of,
    with_card,
)
from propensity.measuring import measure
from propensity.reviewing import choose_review_cards, read_feedback, read_money, read_monitoring
from propensity.scoring.tables import Outlet, score_tables
from propensity.workspace import Workspace, shown


def ingest(ws: Workspace) -> str:
    """Turn raw files into canonical tables and a quarantine."""
    from propensity.data.ingest import ingest as ingest_tables
    from propensity.data.ingest import summarise_counts, tell_forgotten, write_canonical
    from propensity.data.sources import connect

    canonical = ingest_tables(
        ws.params.data, ws.folder, now=datetime.now(UTC), con=connect(ws.params.data, folder=ws.folder)
    )
    write_canonical(canonical, ws.interim)
    forgotten = tell_forgotten(canonical.rule_counts)
    return summarise_counts(canonical.counts) + (f"\n{forgotten}" if forgotten else "")


def cohort(ws: Workspace) -> str:
    """Make the snapshots with their labels."""
    from propensity.cohort.delay import describe_horizon, episode_times, horizon_to_json, resolve_horizon
    from propensity.cohort.labels import add_labels
    from propensity.cohort.snapshots import training_snapshots
    from propensity.data.engines import connect, read_table, write_table
    from propensity.data.fetch import fetch
    from propensity.data.files import atomic_path, write_json
    from propensity.data.ingest import read_canonical
    from propensity.decisions.rules import count_hits, disqualified_leads, rule_hits, tell_hits

    con = connect(ws.params.data, folder=ws.folder)
    canonical = read_canonical(con, ws.interim)
    tables = canonical.tables
    dated = ws.params.data.leads.created_at is not None
    dated_closings = dated and ws.params.data.outcomes.closed_at is not None
    disqualified = disqualified_leads(tables["leads"], ws.params.disqualify)
    until = canonical.observed_until
    times = episode_times(
        tables["leads"],
        tables["outcomes"],
        disqualified,
        tables["unsettled"],
        observed_until=until,
        stages=tables.get("stages"),
        events=tables.get("events"),
    )
    horizon = resolve_horizon(
        fetch(con, times) if dated_closings else None,
        ws.params.snapshots.horizon_days,
        observed_until=until,
        seed=ws.params.model.seed,
    )
    snapshots, counted = training_snapshots(
        tables["leads"],
        tables["outcomes"],
        disqualified,
        tables["unsettled"],
        ages_days=ws.params.snapshots.ages_days if dated else None,
        observed_until=canonical.observed_until,
        stages=tables.get("stages"),
        events=tables.get("events"),
    )
    labelled = add_labels(
        snapshots,
        horizon_days=horizon.days,
        observed_until=until,
        dated_closings=dated_closings,
    )
    counts = fetch(con, counted).iloc[0].to_dict()
    with atomic_path(ws.interim / "snapshots.parquet") as path:
        write_table(con, labelled.order_by("snapshot"), path)
    written = read_table(con, ws.interim / "snapshots.parquet")
    counts["immature"] = int(fetch(con, written.agg(n=(~written.mature).sum().fill_null(0)))["n"].item())
    rules = count_hits(fetch(con, rule_hits(tables["leads"], ws.params.disqualify)), ws.params.disqualify)
    described = {**counts, "rules": rules, "horizon": horizon_to_json(horizon)}
    write_json(described, ws.interim / "cohort.json")
    hit = tell_hits(rules)
    return (
        f"{counts['leads']:,} leads gave {counts['snapshots']:,} snapshots; left out of training are "
        f"{counts['immature']:,} whose outcome is not final yet; {describe_horizon(horizon)}"
        f"{'; ' + hit if hit else ''}"
    )


def features(ws: Workspace) -> str:
    """Compute every feature of every mature snapshot as of its moment."""
    from functools import partial

    from propensity.data.cells import has_address
    from propensity.data.engines import connect, read_table, write_table
    from propensity.data.fetch import fetch
    from propensity.data.files import atomic_path, write_json
    from propensity.data.ingest import read_canonical
    from propensity.features.behaviour import filled_types, frequent_assets
    from propensity.features.build import build_features
    from propensity.features.catalogue import catalogue, feature_to_json, make_plan, plan_to_json
    from propensity.features.history import history_fields

    con = connect(ws.params.data, folder=ws.folder)
    canonical = read_canonical(con, ws.interim)
    tables = canonical.tables
    history = tables.get("history")
    logged = [] if history is None else fetch(con, history_fields(history))["field"].tolist()
    make = partial(
        make_plan, ws.params.data, ws.params.features, canonical.attribute_types, history_fields=logged
    )
    plan = make()
    if plan.event_types:
        found = fetch(con, filled_types(tables["events"])).set_index("type")
        filled = {column: found.index[found[column].astype(bool)].tolist() for column in ("asset", "value")}
        plan = make(filled=filled)
        if plan.asset_qualifiers:
            frequent = fetch(con, frequent_assets(tables["events"], plan.event_types))
            named = ~frequent["asset"].map(has_address).astype(bool)  # a feature is named after its asset
            assets = {str(q): list(rows) for q, rows in frequent[named].groupby("qualifier")["asset"]}
            plan = make(filled=filled, assets=assets)
    snapshots = read_table(con, ws.interim / "snapshots.parquet")
    built = build_features(
        snapshots.filter(snapshots.mature),
        tables["leads"],
        plan,
        events=tables.get("events"),
        outcomes=tables.get("outcomes"),
        history=history,
    )
    listed = catalogue(plan)
    with atomic_path(ws.interim / "features.parquet") as path:
        write_table(con, built.order_by("snapshot"), path)
    counted = con.to_pyarrow(read_table(con, ws.interim / "features.parquet").count()).as_py()
    content = {"plan": plan_to_json(plan), "catalogue": [feature_to_json(f) for f in listed]}
    write_json(content, ws.interim / "features.json")
    return f"{len(listed)} features of {counted:,} snapshots"


def split(ws: Workspace) -> str:
    """Cut the mature snapshots into train, stop, calibrate and test."""
    import pandas as pd

    from propensity.cohort.judged import tell_judged
    from propensity.cohort.splits import describe_parts, split_snapshots
    from propensity.data.files import write_json, write_parquet

    snapshots = pd.read_parquet(ws.interim / "snapshots.parquet").query("mature").reset_index(drop=True)
    leads = pd.read_parquet(ws.interim / "leads.parquet")
    parts = split_snapshots(
        snapshots,
        leads,
        ws.params.split,
        seed=ws.params.model.seed,
        immature=ws.params.snapshots.immature,
    )
    weight, judged = _judged_weights(ws, snapshots, parts)
    labelled = snapshots[["snapshot", "won"]].assign(split=parts.part, weight=weight)
    table = labelled.merge(pd.read_parquet(ws.interim / "features.parquet"), on="snapshot", validate="1:1")
    keys = ["lead_id", "as_of", "split", "won", "weight"]
    table = table[[*keys, *(c for c in table.columns if c not in {*keys, "snapshot"})]]
    write_parquet(table[table["split"].notna()], ws.processed / "training.parquet")
    description = describe_parts(snapshots, parts, ws.params.split) | ({"judged": judged} if judged else {})
    write_json(description, ws.processed / "split.json")
    sizes = ", ".join(f"{name} {part['snapshots']:,}" for name, part in description["parts"].items())
    warning = "; RANDOM, because nothing says which lead came first" if ws.params.split.by == "random" else ""
    weighed = f"; {tell_judged(judged)}" if judged else ""
    return f"snapshots by {ws.params.split.by}: {sizes}{warning}{weighed}"


def audit(ws: Workspace) -> str:
    """Look for what is not known in time; findings of the gravest kind stop the run."""
    from propensity.audit.catalogue import unmatched
    from propensity.audit.findings import finding_to_json
    from propensity.audit.telling import count_results, tell_stop, tell_unmatched
    from propensity.data.files import write_json
    from propensity.errors import AuditError

    findings = audit_findings(ws)
    write_json([finding_to_json(finding) for finding in findings], ws.reports / "audit.json")
    if any(finding.stops for finding in findings):
        raise AuditError(f"{tell_stop(findings)}\n\nAll findings: {shown(ws.reports / 'audit.json')}")
    needless = tell_unmatched(unmatched(ws.params.features.allow, findings))
    return f"{count_results(findings)}; {needless}{shown(ws.reports / 'audit.json')}"


def audit_findings(ws: Workspace) -> list[Any]:
    """Return what the audit finds in the tables that the stages before it wrote."""
    import pandas as pd

    from propensity.audit.catalogue import run_audit
    from propensity.audit.tables import make_records
    from propensity.data.files import read_json
    from propensity.data.ingest import read_canonical
    from propensity.data.sources import connect
    from propensity.features.catalogue import Plan

    con = connect(ws.params.data, folder=ws.folder)
    canonical = read_canonical(con, ws.interim)
    records = make_records(
        con,
        canonical.tables,
        canonical.attribute_types,
        pd.read_parquet(ws.interim / "snapshots.parquet"),
        pd.read_parquet(ws.processed / "training.parquet"),
        Plan(**read_json(ws.interim / "features.json")["plan"]),
        channel=ws.params.data.leads.channel,
        split=ws.params.split,
        seed=ws.params.model.seed,
        observed_until=canonical.observed_until,
    )
    return run_audit(records, ws.params.features.allow)


def train(ws: Workspace) -> str:
    """Fit the candidates and choose one."""
    import pandas as pd

    from propensity.data.fetch import read_rows
    from propensity.data.files import read_json, replaced_folder, write_json
    from propensity.features.catalogue import Feature
    from propensity.model.bundle import write_model
    from propensity.model.encoding import encoding_to_json
    from propensity.model.sampling import sample_rows, sampling_to_json, shift_margin
    from propensity.model.training import describe_candidates, train_model

    path = ws.processed / "training.parquet"
    keys = pd.read_parquet(path, columns=["split", "won"])
    sampling = sample_rows(
        keys["split"].isin(["train", "stop"]).to_numpy(),
        keys["won"].to_numpy(dtype=bool),
        most=ws.params.model.max_rows,
        seed=ws.params.model.seed,
    )
    table = read_rows(path, sampling.kept)
    listed = [Feature(**f) for f in read_json(ws.interim / "features.json")["catalogue"]]
    training = train_model(table, listed, ws.params.model, dict(ws.params.features.monotone))
    candidates = describe_candidates(training)
    sampled = sampling.rows < sampling.of
    if sampled:
        candidates["sampling"] = sampling_to_json(sampling)
    with replaced_folder(ws.models / "candidate") as folder:
        write_model(shift_margin(training.model, sampling.shift), folder)
        write_json(encoding_to_json(training.encoding), folder / "encoding.json")
        write_json(candidates, folder / "training.json")
    losses = ", ".join(f"{name} {row['log_loss']:.4f}" for name, row in candidates["candidates"].items())
    told = f" of a sample of {sampling.rows:,} of {sampling.of:,} rows" if sampled else ""
    return f"log-loss on the stop part{told}: {losses}; {training.chosen} is chosen"


def calibrate(ws: Workspace) -> str:
    """Fit the calibrator and the two cut-offs on the calibrate part."""
    import pandas as pd

    from propensity.data.files import read_json, write_json
    from propensity.decisions.arrivals import count_arrivals
    from propensity.decisions.curves import cutoff_curve
    from propensity.decisions.cutoffs import choose_cutoffs
    from propensity.model.bundle import read_model
    from propensity.model.calibration import calibrator_to_json, choose_calibrator, describe_choice
    from propensity.model.encoding import encode, encoding_from_json

    part = read_part(ws, "calibrate")
    folder = ws.models / "candidate"
    encoding = encoding_from_json(read_json(folder / "encoding.json"))
    weight = read_json(folder / "training.json")["settings"].get("weight")
    model = read_model(folder, encoding, blend_weight=weight, threads=ws.params.model.threads)
    won, groups = part["won"].to_numpy(dtype=bool), part["group"].to_numpy()
    margin = model.margin(encode(part, encoding))
    seed = ws.params.model.seed
    choice = choose_calibrator(
        margin, won, part["weight"].to_numpy(), groups, list(ws.params.calibration.methods), seed=seed
    )
    log_odds = choice.calibrator.log_odds(margin)
    cutoffs = choose_cutoffs(
        log_odds,
        won,
        groups,
        ws.params.cutoffs,
        seed=seed,
        arrivals=count_arrivals(part, pd.read_parquet(ws.interim / "snapshots.parquet")),
        champion=_champions_cutoffs(ws),
    )
    value = ws.params.cutoffs.value
    curve: pd.DataFrame = cutoff_curve(log_odds, won, cutoffs["reference_odds"], value=value)
    folder = ws.models / "calibration"
    write_json(calibrator_to_json(choice.calibrator), folder / "calibrator.json")
    write_json(cutoffs, folder / "cutoffs.json")
    write_json({**describe_choice(choice), "cutoff_curve": curve}, folder / "calibration.json")
    notes = "".join(f" ({name}: {cutoffs[name]['note']})" for name in ("mql", "sql") if cutoffs[name]["note"])
    return f"{choice.calibrator.method} calibrator; {cutoffs['said']}{notes}"


def evidence(ws: Workspace) -> str:
    """Gather what a bundle holds beside the model: words, evidence, grades and what else is told of leads."""
    from propensity.data.files import replaced_folder, write_json

    documents = gather_documents(ws)
    with replaced_folder(ws.models / "evidence") as folder:
        for name, content in documents.items():
            write_json(content, folder / f"{name}.json")
    counted, notes = documents["evidence"], [side["note"] for side in documents["grades"].values()]
    said = f"{counted['won']:,} of {counted['n']:,} leads won behind the reasons"
    return "; ".join([said, *filter(None, notes), shown(ws.models / "evidence")])


def evaluate(ws: Workspace) -> str:
    """Measure what is to be bundled on the test part, beside the baselines."""
    from propensity.data.files import write_json

    metrics = measure(ws, assemble(ws))
    write_json(metrics, ws.reports / "metrics.json")
    return f"{_headline(metrics)}; {shown(ws.reports / 'metrics.json')}"


def bundle(ws: Workspace) -> str:
    """Put model, calibrator, cut-offs, features and model card into the bundle, and verify it."""
    from propensity.data.files import read_json
    from propensity.errors import InputError
    from propensity.model.bundle import read_bundle, write_bundle

    made, metrics = assemble(ws), read_json(ws.reports / "metrics.json")
    measured = metrics["model_version"]
    if made.model_version != measured:
        raise InputError(
            f"{shown(ws.reports / 'metrics.json')} is about model {measured}, the parts of the bundle make "
            f"model {made.model_version}; run 'propensity run evaluate bundle'"
        )
    version = write_bundle(with_card(ws, made, metrics), ws.models / "bundle", probe_rows(ws))
    read_bundle(ws.models / "bundle")
    return f"model {version} in {shown(ws.models / 'bundle')}"


def score(ws: Workspace) -> str:
    """Score the open leads at the last moment the data covers, by the bundle just made.

    While a champion gives the scores in use, these are the challenger's and lie in a file of their own.
    """
    from propensity.data.ingest import read_canonical
    from propensity.data.sources import connect
    from propensity.model.bundle import read_bundle

    con = connect(ws.params.data, folder=ws.folder)
    made = read_bundle(ws.models / "bundle", threads=ws.params.model.threads)
    path = scores_of(ws, made.model_version)
    outlet = Outlet(path, alone=path != ws.scores)
    return score_tables(ws, made, con, read_canonical(con, ws.interim), outlet)


def report(ws: Workspace, *, wanted: list[str] | None = None, sample: int = 40) -> str:
    """Write the review, of the leads in `wanted` or of a choice of `sample` leads."""
    import pandas as pd

    from propensity.bundled import trained_with
    from propensity.data.files import read_json
    from propensity.model.bundle import read_bundle
    from propensity.money.evidence import gather_winners
    from propensity.report.context import build_context
    from propensity.report.knowledge import Background
    from propensity.report.render import render_review, write_review

    made = read_bundle(ws.models / "bundle", threads=ws.params.model.threads)
    metrics = read_json(ws.reports / "metrics.json")
    scores = pd.read_parquet(scores_of(ws, made.model_version))
    cards = choose_review_cards(ws, made, scores, wanted, sample)
    metrics["counts"]["tiers"] = scores["tier"].value_counts().to_dict()
    ingested = read_json(ws.interim / "ingest.json")
    training = pd.read_parquet(ws.processed / "training.parquet")
    context = build_context(
        metrics,
        scores,
        cards,
        {"model_version": made.model_version, "data": made.data, "versions": made.versions},
        read_money(ws, made.model_version),
        winners=gather_winners(training, pd.read_parquet(ws.interim / "snapshots.parquet"), made.plan),
        background=Background(trained_with(made), made.features, list(ingested["attribute_types"])),
        model_card=made.documents.get("model_card"),
        feedback=read_feedback(ws),
        monitoring=read_monitoring(ws, made.model_version),
    )
    path = ws.reports / "review.html"
    write_review(render_review(context), path)
    return f"review with {len(cards)} leads in {shown(path)}"


def track(ws: Workspace) -> str:
    """Log the run to MLflow, and register its model as the challenger."""
    from propensity.audit.findings import Finding
    from propensity.data.files import read_json
    from propensity.evaluation.metrics import METRICS
    from propensity.loop.tracking import track_run
    from propensity.params import without_passwords

    metrics = read_json(ws.reports / "metrics.json")
    window = data_window(ws)
    stops = sorted({found.name for found in (Finding(**row) for row in metrics["audit"]) if found.stops})
    tags = {
        "model_version": metrics["model_version"],
        "data.observed_until": str(window["observed_until"]),
        "data.test_from": str(window["parts"]["test"]["from"]),
        "data.test_to": str(window["parts"]["test"]["to"]),
        "test.log_loss": str(metrics["test"]["log_loss"]),
        "audit": f"stops: {', '.join(stops)}" if stops else "clean",
    }
    tags |= {f"data.sha256.{name}": digest for name, digest in window["files"].items()}
    numbers = {
        f"{part}.{name}": float(metrics[part][name])
        for part in ("test", "calibrate")
        for name in METRICS
        if metrics[part][name] is not None
    }
    artefacts = [ws.reports / "metrics.json", ws.reports / "model_card.md"]  # the review shows leads
    tracked = track_run(
        ws.params, ws.folder, ws.models / "bundle", metrics=numbers, tags=tags, artefacts=artefacts
    )
    again = "" if tracked.registered else ", registered before"
    return (
        f"MLflow run {tracked.run_id} in {without_passwords(ws.params.tracking.uri)}; model "
        f"{tracked.version.model_version} is version {tracked.version.number} of {ws.params.tracking.model}"
        f"{again}, the challenger"
    )


def _judged_weights(ws: Workspace, snapshots: Any, parts: Any) -> tuple[Any, dict[str, Any] | None]:
    """Return what each snapshot counts; verdicts are read only where ``feedback.use`` is weights."""
    import pandas as pd

    from propensity.cohort.judged import weigh_judged

    if ws.params.feedback.use != "weights" or not ws.feedback.exists():
        return parts.weight, None
    verdicts = pd.read_parquet(ws.feedback, columns=["lead_id", "as_of", "given_at"])
    return weigh_judged(snapshots, parts.part, parts.weight, verdicts, times=ws.params.feedback.weight)


def _champions_cutoffs(ws: Workspace) -> dict[str, Any] | None:
    """Return the cut-offs of the bundle that ``cutoffs.champion`` names."""
    from propensity.data.files import read_json
    from propensity.model.bundle import verify_files

    if ws.params.cutoffs.champion is None:
        return None
    folder = ws.folder / ws.params.cutoffs.champion
    verify_files(folder)
    cutoffs: dict[str, Any] = read_json(folder / "cutoffs.json")
    return cutoffs


def _headline(metrics: dict[str, Any]) -> str:
    test, rule = metrics["test"], metrics["baselines"]["points_rule"]
    shown = [f"{name} {_with_interval(test, name)}" for name in ("auc", "log_loss", "ece", "lift_at_10")]
    return f"test part, n {test['n']:,}: {', '.join(shown)}; points rule auc {_with_interval(rule, 'auc')}"


def _with_interval(report: dict[str, Any], name: str) -> str:
    value, interval = report[name], report[f"{name}_interval"]
    if value is None or interval is None:
        return "not available"
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


STAGES: dict[str, Callable[[Workspace], str]] = {
    "ingest": ingest,
    "cohort": cohort,
    "features": features,
    "split": split,
    "audit": audit,
    "train": train,
    "calibrate": calibrate,
    "evidence": evidence,
    "evaluate": evaluate,
    "bundle": bundle,
    "score": score,
    "report": report,
    "track": track,
}
