"""The stages of the pipeline: each reads, calls and writes, and says in a sentence what it did.

``dvc.yaml`` and ``propensity run`` execute the same functions. Imports stand inside the functions,
so that a stage loads, and in DVC depends on, only what it uses.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from propensity.workspace import Workspace, shown


def ingest(ws: Workspace) -> str:
    """Turn raw files into canonical tables and a quarantine."""
    from propensity.data.ingest import ingest as ingest_tables
    from propensity.data.ingest import summarise_counts, write_canonical
    from propensity.data.sources import connect

    canonical = ingest_tables(
        ws.params.data, ws.folder, now=datetime.now(UTC), con=connect(ws.params.data, folder=ws.folder)
    )
    write_canonical(canonical, ws.interim)
    return summarise_counts(canonical.counts)


def cohort(ws: Workspace) -> str:
    """Make the snapshots with their labels."""
    from propensity.cohort.delay import describe_horizon, episode_times, horizon_to_json, resolve_horizon
    from propensity.cohort.labels import add_labels
    from propensity.cohort.snapshots import training_snapshots
    from propensity.data.fetch import fetch
    from propensity.data.files import write_json, write_parquet
    from propensity.data.ingest import read_canonical
    from propensity.data.sources import connect
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
    table = con.to_pyarrow(labelled.order_by("snapshot"))
    counts = fetch(con, counted).iloc[0].to_dict()
    counts["immature"] = table.num_rows - int(table["mature"].to_numpy().sum())
    write_parquet(table, ws.interim / "snapshots.parquet")
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

    from propensity.data.fetch import fetch
    from propensity.data.files import write_json, write_parquet
    from propensity.data.ingest import read_canonical
    from propensity.data.sources import connect
    from propensity.features.behaviour import frequent_assets
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
    if plan.has_asset and plan.event_types:
        frequent = fetch(con, frequent_assets(tables["events"], plan.event_types))
        assets = {str(q): list(rows) for q, rows in frequent.groupby("qualifier")["asset"]}
        plan = make(assets=assets)
    snapshots = con.read_parquet(ws.interim / "snapshots.parquet")
    built = build_features(
        snapshots.filter(snapshots.mature),
        tables["leads"],
        plan,
        events=tables.get("events"),
        outcomes=tables.get("outcomes"),
        history=history,
    )
    table = con.to_pyarrow(built.order_by("snapshot"))
    listed = catalogue(plan)
    write_parquet(table, ws.interim / "features.parquet")
    content = {"plan": plan_to_json(plan), "catalogue": [feature_to_json(f) for f in listed]}
    write_json(content, ws.interim / "features.json")
    return f"{len(listed)} features of {table.num_rows:,} snapshots"


def split(ws: Workspace) -> str:
    """Cut the mature snapshots into train, stop, calibrate and test."""
    import pandas as pd

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
    labelled = snapshots[["snapshot", "won"]].assign(split=parts.part, weight=parts.weight)
    table = labelled.merge(pd.read_parquet(ws.interim / "features.parquet"), on="snapshot", validate="1:1")
    keys = ["lead_id", "as_of", "split", "won", "weight"]
    table = table[[*keys, *(c for c in table.columns if c not in {*keys, "snapshot"})]]
    write_parquet(table[table["split"].notna()], ws.processed / "training.parquet")
    description = describe_parts(snapshots, parts, ws.params.split)
    write_json(description, ws.processed / "split.json")
    sizes = ", ".join(f"{name} {part['snapshots']:,}" for name, part in description["parts"].items())
    warning = "; RANDOM, because nothing says which lead came first" if ws.params.split.by == "random" else ""
    return f"snapshots by {ws.params.split.by}: {sizes}{warning}"


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

    from propensity.data.files import read_json, replaced_folder, write_json
    from propensity.features.catalogue import Feature
    from propensity.model.bundle import write_model
    from propensity.model.encoding import encoding_to_json
    from propensity.model.training import describe_candidates, train_model

    table = pd.read_parquet(ws.processed / "training.parquet")
    listed = [Feature(**f) for f in read_json(ws.interim / "features.json")["catalogue"]]
    training = train_model(table, listed, ws.params.model, dict(ws.params.features.monotone))
    with replaced_folder(ws.models / "candidate") as folder:
        write_model(training.model, folder)
        write_json(encoding_to_json(training.encoding), folder / "encoding.json")
        candidates = describe_candidates(training)
        write_json(candidates, folder / "training.json")
    losses = ", ".join(f"{name} {row['log_loss']:.4f}" for name, row in candidates["candidates"].items())
    return f"log-loss on the stop part: {losses}; {training.chosen} is chosen"


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

    part = _read_part(ws, "calibrate")
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

    made, measured = assemble(ws), read_json(ws.reports / "metrics.json")["model_version"]
    if made.model_version != measured:
        raise InputError(
            f"{shown(ws.reports / 'metrics.json')} is about model {measured}, the parts of the bundle make "
            f"model {made.model_version}; run 'propensity run evaluate bundle'"
        )
    version = write_bundle(made, ws.models / "bundle", probe_rows(ws))
    read_bundle(ws.models / "bundle")
    return f"model {version} in {shown(ws.models / 'bundle')}"


def score(ws: Workspace) -> str:
    """Score the open leads at the last moment the data covers."""
    from propensity.data.ingest import read_canonical
    from propensity.data.sources import connect
    from propensity.model.bundle import read_bundle

    con = connect(ws.params.data, folder=ws.folder)
    made = read_bundle(ws.models / "bundle", threads=ws.params.model.threads)
    return score_tables(ws, made, con, read_canonical(con, ws.interim))


def report(ws: Workspace) -> str:
    """Write the review."""
    import pandas as pd

    from propensity.data.files import read_json
    from propensity.model.bundle import read_bundle
    from propensity.report.cards import add_facts, choose_cards
    from propensity.report.context import build_context
    from propensity.report.render import render_review, write_review

    made = read_bundle(ws.models / "bundle")
    metrics = read_json(ws.reports / "metrics.json")
    scores = pd.read_parquet(ws.scores)
    leads = pd.read_parquet(ws.interim / "leads.parquet")
    cards = add_facts(choose_cards(scores, made.cutoffs), leads, made.plan)
    metrics["counts"]["tiers"] = scores["tier"].value_counts().to_dict()
    manifest = {"model_version": made.model_version, "data": made.data, "versions": made.versions}
    path = ws.reports / "review.html"
    money = _read_money(ws, made.model_version)
    write_review(render_review(build_context(metrics, scores, cards, manifest, money)), path)
    return f"review with {len(cards)} leads in {shown(path)}"


def track(ws: Workspace) -> str:
    """Log the run to MLflow."""
    from propensity.data.files import read_json
    from propensity.evaluation.metrics import METRICS
    from propensity.loop.tracking import track_run

    metrics = read_json(ws.reports / "metrics.json")
    window = _data_window(ws)
    tags = {"model_version": metrics["model_version"]}
    tags |= {f"data.sha256.{name}": digest for name, digest in window["files"].items()}
    numbers = {
        f"{part}.{name}": float(metrics[part][name])
        for part in ("test", "calibrate")
        for name in METRICS
        if metrics[part][name] is not None
    }
    artefacts = [ws.models / "bundle", ws.reports / "metrics.json", ws.reports / "review.html"]
    run_id = track_run(ws.params, ws.folder, metrics=numbers, tags=tags, artefacts=artefacts)
    return f"MLflow run {run_id} in {ws.params.tracking.uri}"


def assemble(ws: Workspace) -> Any:
    """Return the bundle that candidate, calibration and evidence make, named and not yet written."""
    from propensity.data.files import read_json
    from propensity.features.catalogue import Plan
    from propensity.model.bundle import DOCUMENTS, Bundle, name_bundle, read_model
    from propensity.model.calibration import calibrator_from_json
    from propensity.model.encoding import encoding_from_json

    candidate, calibration, evidence = (ws.models / name for name in ("candidate", "calibration", "evidence"))
    encoding = encoding_from_json(read_json(candidate / "encoding.json"))
    weight = read_json(candidate / "training.json")["settings"].get("weight")
    documents = {name: evidence / f"{name}.json" for name in DOCUMENTS}
    made = Bundle(
        plan=Plan(**read_json(ws.interim / "features.json")["plan"]),
        encoding=encoding,
        model=read_model(candidate, encoding, blend_weight=weight, threads=ws.params.model.threads),
        calibrator=calibrator_from_json(read_json(calibration / "calibrator.json")),
        cutoffs=read_json(calibration / "cutoffs.json"),
        params=ws.params.model_dump(mode="json"),
        data=_data_window(ws),
        documents={name: read_json(path) for name, path in documents.items() if path.exists()},
    )
    return name_bundle(made, probe_rows(ws))


def probe_rows(ws: Workspace) -> Any:
    """Return the rows of the calibrate part that a bundle scores again each time it is read."""
    return _read_part(ws, "calibrate").head(50)


def measure(ws: Workspace, made: Any) -> dict[str, Any]:
    """Return the figures of ``metrics.json`` for a bundle, in memory or read.

    Parameters
    ----------
    ws : Workspace
        Whose train, stop, calibrate and test parts are read.
    made : Bundle
    """
    from propensity.data.files import read_json
    from propensity.evaluation.comparison import base_rate_probability, points_rule_probability
    from propensity.evaluation.metrics import gains_table, reliability_table, report_metrics, slices_of
    from propensity.evaluation.recentring import recentred_report
    from propensity.evaluation.reliability import calibration_report, calibration_slices
    from propensity.explain.points import mean_absolute_points
    from propensity.model.bundle import log_odds
    from propensity.model.encoding import encode
    from propensity.model.estimators import probability_of
    from propensity.predict import compute_table_points

    seed = ws.params.model.seed
    parts = ("train", "stop", "test", "calibrate")
    train, stop, test, calibration = (_read_part(ws, name) for name in parts)
    # The baselines take no weights, and so only labels that were final before the next part.
    train = train[train["known"] <= stop["moment"].min()]
    won, groups = test["won"].to_numpy(dtype=bool), test["group"].to_numpy()
    won_train = train["won"].to_numpy(dtype=bool)
    probability = probability_of(log_odds(made, test))
    rule = points_rule_probability(
        encode(train, made.encoding), won_train, encode(test, made.encoding), made.encoding
    )
    points = compute_table_points(made, test.sample(min(len(test), 5000), random_state=seed))
    metrics: dict[str, Any] = {
        "model_version": made.model_version,
        "horizon_days": read_json(ws.interim / "cohort.json")["horizon"]["days"],
        "split": read_json(ws.processed / "split.json"),
        "model": {
            **read_json(ws.models / "candidate" / "training.json"),
            **read_json(ws.models / "calibration" / "calibration.json"),
        },
        "test": report_metrics(won, probability, groups, seed=seed),
        "calibrate": report_metrics(
            calibration["won"].to_numpy(dtype=bool),
            probability_of(log_odds(made, calibration)),
            calibration["group"].to_numpy(),
            seed=seed,
        ),
        "baselines": {
            "base_rate": report_metrics(won, base_rate_probability(won_train, len(test)), groups, seed=seed),
            "points_rule": report_metrics(won, rule, groups, seed=seed),
        },
        "by_age": slices_of(test, "age_days", won, probability, groups, seed=seed),
        "by_channel": slices_of(test, "channel", won, probability, groups, seed=seed),
        "calibration": {
            "test": calibration_report(won, probability, groups, seed=seed),
            "by_age": calibration_slices(test, "age_days", won, probability, groups, seed=seed),
            "by_channel": calibration_slices(test, "channel", won, probability, groups, seed=seed),
        },
        "reliability": reliability_table(won, probability, groups),
        "gains": gains_table(won, probability),
        "recentred": recentred_report(
            log_odds(made, test), won, groups, test["moment"].to_numpy(), test["known"].to_numpy(), seed=seed
        )
        if ws.params.split.by != "random"
        else None,
        "cutoffs": made.cutoffs,
        **mean_absolute_points(points, made.features),
        "audit": read_json(ws.reports / "audit.json"),
    }
    metrics["cutoff_curve"] = metrics["model"].pop("cutoff_curve")
    metrics["counts"] = {
        **read_json(ws.interim / "ingest.json"),
        "cohort": read_json(ws.interim / "cohort.json"),
    }
    return metrics


def score_tables(
    ws: Workspace,
    made: Any,
    con: Any,
    canonical: Any,
    *,
    as_of: datetime | None = None,
    everyone: bool = False,
) -> str:
    """Score canonical tables: the leads open at `as_of`, or everyone in them.

    Parameters
    ----------
    ws : Workspace
    made : Bundle
    con : ibis backend
    canonical : Canonical
    as_of : datetime, optional
        The last moment the data covers if left out.
    everyone : bool
        Take every lead to be open, as in a file of leads that is handed in to be scored.
    """
    from propensity.cohort.snapshots import scoring_snapshots
    from propensity.data.fetch import fetch
    from propensity.data.files import write_parquet
    from propensity.decisions.rules import count_hits, rule_hits, tell_hits
    from propensity.features.build import build_features
    from propensity.predict import score_features, trained_with

    tables = canonical.tables
    moment = (as_of or canonical.observed_until) if made.plan.dated else None
    outcomes = None if everyone else tables["outcomes"]
    leads = tables["leads"] if everyone else tables["leads"].anti_join(tables["unsettled"], "lead_id")
    spine = scoring_snapshots(
        leads, outcomes, as_of=moment, stages=tables.get("stages"), events=tables.get("events")
    )
    if moment is None and fetch(con, spine).empty:
        # An undated table of closed leads: the test part stands in for the leads to come.
        test = _read_part(ws, "test")["lead_id"].tolist()
        spine = scoring_snapshots(leads.filter(leads.lead_id.isin(test)), None, as_of=None)
    spine = con.create_table("spine", spine, overwrite=True)
    table = build_features(
        spine,
        tables["leads"],
        made.plan,
        events=tables.get("events"),
        outcomes=tables.get("outcomes"),
        history=tables.get("history"),
    )
    rules = trained_with(made).disqualify
    hits = fetch(con, rule_hits(tables["leads"], rules))
    held = _tiers_before(ws) if trained_with(made).cutoffs.hold else None
    scores = score_features(made, fetch(con, table.order_by("snapshot")), hits, previous=held)
    hit = tell_hits(count_hits(hits[hits["lead_id"].isin(scores["lead_id"])], rules))
    write_parquet(scores, ws.scores)
    tiers = ", ".join(f"{n:,} {tier}" for tier, n in scores["tier"].value_counts().items())
    scored = f"{len(scores):,} leads scored{f' as of {moment:%Y-%m-%d %H:%M:%S} UTC' if moment else ''}"
    left_out = fetch(con, leads.agg(n=leads.count()))["n"].item() - len(scores) if everyone else 0
    later = f"; {left_out:,} created later are left out" if left_out else ""
    stale = "" if "history" in tables else ", ".join(made.plan.rebuilt)
    taken = f"; {stale} as they stand in leads, for data.history is not named" if stale else ""
    return f"{scored}: {tiers or 'none is open'}{later}{taken}{'; ' + hit if hit else ''}; {shown(ws.scores)}"


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


def _tiers_before(ws: Workspace) -> dict[str, str] | None:
    """Return the tier that each lead had in the workspace's latest scores, whichever model gave it."""
    import pandas as pd

    if not ws.scores.exists():
        return None
    latest = pd.read_parquet(ws.scores, columns=["lead_id", "tier"])
    return dict(zip(latest["lead_id"], latest["tier"], strict=True))


def _read_part(ws: Workspace, part: str) -> Any:
    """Return a part of the training table with the columns that evaluation groups by."""
    import pandas as pd

    from propensity.cohort.splits import describe_rows

    table = pd.read_parquet(ws.processed / "training.parquet").loc[lambda t: t["split"] == part]
    snapshots = pd.read_parquet(ws.interim / "snapshots.parquet")
    leads = pd.read_parquet(ws.interim / "leads.parquet")
    about = describe_rows(snapshots, leads, ws.params.split)
    return table.merge(about, on=["lead_id", "as_of"], validate="1:1")


def _read_money(ws: Workspace, model_version: str) -> dict[str, Any]:
    """Return the tables that the commands about money left for this model."""
    import pandas as pd

    from propensity.report.money import FILES

    paths = {name: ws.reports / f"{name}.parquet" for names in FILES.values() for name in names}
    found = {name: pd.read_parquet(path) for name, path in paths.items() if path.exists()}
    return {name: table for name, table in found.items() if set(table["model_version"]) == {model_version}}


def _data_window(ws: Workspace) -> dict[str, Any]:
    from propensity.data.files import read_json

    ingested, parts = read_json(ws.interim / "ingest.json"), read_json(ws.processed / "split.json")
    return {
        "observed_until": ingested["observed_until"],
        "files": ingested["files"],
        "parts": parts["parts"],
        "horizon_days": read_json(ws.interim / "cohort.json")["horizon"]["days"],
    }


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
    "evaluate": evaluate,
    "bundle": bundle,
    "score": score,
    "report": report,
    "track": track,
}
