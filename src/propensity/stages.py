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
    """Score the open leads at the last moment the data covers."""
    from propensity.data.ingest import read_canonical
    from propensity.data.sources import connect
    from propensity.model.bundle import read_bundle

    con = connect(ws.params.data, folder=ws.folder)
    made = read_bundle(ws.models / "bundle", threads=ws.params.model.threads)
    return score_tables(ws, made, con, read_canonical(con, ws.interim))


def report(ws: Workspace, *, wanted: list[str] | None = None, sample: int = 40) -> str:
    """Write the review, of the leads in `wanted` or of a choice of `sample` leads."""
    import pandas as pd

    from propensity.data.files import read_json
    from propensity.model.bundle import read_bundle
    from propensity.money.evidence import gather_winners
    from propensity.predict import trained_with
    from propensity.report.context import build_context
    from propensity.report.knowledge import Background
    from propensity.report.render import render_review, write_review

    made = read_bundle(ws.models / "bundle", threads=ws.params.model.threads)
    metrics = read_json(ws.reports / "metrics.json")
    scores = pd.read_parquet(ws.scores)
    cards = _review_cards(ws, made, scores, wanted, sample)
    metrics["counts"]["tiers"] = scores["tier"].value_counts().to_dict()
    ingested = read_json(ws.interim / "ingest.json")
    training = pd.read_parquet(ws.processed / "training.parquet")
    context = build_context(
        metrics,
        scores,
        cards,
        {"model_version": made.model_version, "data": made.data, "versions": made.versions},
        _read_money(ws, made.model_version),
        winners=gather_winners(training, pd.read_parquet(ws.interim / "snapshots.parquet"), made.plan),
        background=Background(trained_with(made), made.features, list(ingested["attribute_types"])),
        model_card=made.documents.get("model_card"),
        feedback=_read_feedback(ws),
    )
    path = ws.reports / "review.html"
    write_review(render_review(context), path)
    return f"review with {len(cards)} leads in {shown(path)}"


def _review_cards(ws: Workspace, made: Any, scores: Any, wanted: list[str] | None, sample: int) -> Any:
    """Return the leads that the review shows one by one, with all that is told of them."""
    from datetime import datetime

    import pandas as pd

    from propensity.data.files import read_json
    from propensity.report.facts import add_facts, add_outcomes
    from propensity.report.levers import add_changes, add_lifts, of_this_moment
    from propensity.report.selection import choose_cards, pick_cards
    from propensity.report.timeline import add_timelines

    path = ws.scores.with_name("changes.parquet")
    changes = of_this_moment(pd.read_parquet(path) if path.exists() else None, scores)
    if wanted is None:
        closed = _closed_misses(ws, made)
        cards = choose_cards(scores, made.cutoffs, changes=changes, closed=closed, most=sample)
    else:
        cards = pick_cards(scores, wanted)
    observed = read_json(ws.interim / "ingest.json")["observed_until"]
    until = None if observed is None else datetime.fromisoformat(observed)
    shown_leads = [("lead_id", "in", set(cards["lead_id"]))]
    events = ws.interim / "events.parquet"
    cards = add_facts(cards, pd.read_parquet(ws.interim / "leads.parquet"), made.plan)
    cards = add_outcomes(cards, pd.read_parquet(ws.interim / "outcomes.parquet"), until=until)
    known = pd.read_parquet(events, filters=shown_leads) if made.plan.event_types and len(cards) else None
    cards = add_timelines(add_changes(cards, changes), known, made.plan, until=until)
    scored_now = scores.merge(cards[["lead_id", "as_of"]], on=["lead_id", "as_of"])
    return add_lifts(cards, what_would_change(ws, made, scored_now) if len(scored_now) else None)


def _closed_misses(ws: Workspace, made: Any) -> Any:
    """Return snapshots of the test part that the model was confidently wrong about, scored with reasons."""
    import pandas as pd

    from propensity.model.bundle import log_odds
    from propensity.model.estimators import probability_of
    from propensity.predict import score_features
    from propensity.report.selection import find_misses

    test = _read_part(ws, "test").reset_index(drop=True)
    ended = pd.read_parquet(ws.interim / "snapshots.parquet", columns=["lead_id", "as_of", "status"])
    status = test[["lead_id", "as_of"]].merge(ended, on=["lead_id", "as_of"], validate="1:1")["status"]
    why = find_misses(test, probability_of(log_odds(made, test)), status, made.cutoffs)
    rules = pd.DataFrame({"lead_id": [], "rule": []})
    return score_features(made, test.loc[why.index], rules).assign(why_shown=why.to_numpy())


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


def gather_documents(ws: Workspace) -> dict[str, Any]:
    """Return what a bundle holds beside the model, by the names of `DOCUMENTS`, the card apart."""
    import pandas as pd

    from propensity.explain.evidence import evidence_to_json, gather_evidence
    from propensity.explain.grades import choose_grades
    from propensity.explain.points import sum_by_side
    from propensity.explain.words import words_to_json
    from propensity.predict import compute_table_points

    made = _assemble_parts(ws)
    training = pd.read_parquet(ws.processed / "training.parquet")
    points = compute_table_points(made, training[training["split"] == "calibrate"])
    return {
        "words": words_to_json(read_words(ws)),
        "evidence": evidence_to_json(gather_evidence(training, made.features)),
        "grades": choose_grades(*sum_by_side(points, made.features)),
        "actions": actions_document(ws, made),
        "amounts": amounts_document(ws, made),
    }


def read_words(ws: Workspace) -> Any:
    """Return the words of ``reasons.language``, with those of the file ``reasons.words`` in their place.

    Raises
    ------
    ParamsError
        The file cannot be read or has a word that does not fit.
    """
    from propensity.errors import ParamsError
    from propensity.explain.words import load_words, merge_words

    words, own = load_words(ws.params.reasons.language), ws.params.reasons.words
    if own is None:
        return words
    try:
        content = (ws.folder / own).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"reasons.words names '{own}', which could not be read as UTF-8: {error}") from None
    return merge_words(words, content, own)


def assemble(ws: Workspace) -> Any:
    """Return the bundle that candidate, calibration and evidence make, named and not yet written."""
    from dataclasses import replace

    from propensity.data.files import read_json
    from propensity.model.bundle import DOCUMENTS, name_bundle

    paths = {name: ws.models / "evidence" / f"{name}.json" for name in DOCUMENTS}
    documents = {name: read_json(path) for name, path in paths.items() if path.exists()}
    return name_bundle(replace(_assemble_parts(ws), documents=documents), probe_rows(ws))


def _assemble_parts(ws: Workspace) -> Any:
    """Return the bundle that candidate and calibration make, without a name or documents."""
    from propensity.data.files import read_json
    from propensity.features.catalogue import Plan
    from propensity.model.bundle import Bundle, read_model
    from propensity.model.calibration import calibrator_from_json
    from propensity.model.encoding import encoding_from_json

    candidate, calibration = ws.models / "candidate", ws.models / "calibration"
    encoding = encoding_from_json(read_json(candidate / "encoding.json"))
    weight = read_json(candidate / "training.json")["settings"].get("weight")
    return Bundle(
        plan=Plan(**read_json(ws.interim / "features.json")["plan"]),
        encoding=encoding,
        model=read_model(candidate, encoding, blend_weight=weight, threads=ws.params.model.threads),
        calibrator=calibrator_from_json(read_json(calibration / "calibrator.json")),
        cutoffs=read_json(calibration / "cutoffs.json"),
        params=ws.params.model_dump(mode="json"),
        data=_data_window(ws),
    )


def with_card(ws: Workspace, made: Any, metrics: dict[str, Any]) -> Any:
    """Return the bundle with the card that its figures make, and write the card as Markdown too."""
    from dataclasses import replace

    from propensity.data.files import write_text
    from propensity.report.model_card import card_to_markdown, make_card

    card = make_card(
        metrics, made.features, made.data, ws.params.card, horizon_days=made.data["horizon_days"]
    )
    write_text(card_to_markdown(card), ws.reports / "model_card.md")
    return replace(made, documents={**made.documents, "model_card": card})


def probe_rows(ws: Workspace) -> Any:
    """Return the rows of the calibrate part that a bundle scores again each time it is read."""
    return _read_part(ws, "calibrate").head(50)


def actions_document(ws: Workspace, made: Any) -> dict[str, Any]:
    """Return what leads under each cut-off do, which `Predictor.what_would_change` draws on.

    Parameters
    ----------
    ws : Workspace
        Whose train, stop and calibrate parts are read.
    made : Bundle
    """
    import pandas as pd

    from propensity.cohort.snapshots import days
    from propensity.data.fetch import fetch
    from propensity.data.ingest import read_canonical
    from propensity.data.sources import connect
    from propensity.explain.habits import DAYS_AFTER, gather_actions
    from propensity.model.bundle import log_odds
    from propensity.model.estimators import probability_of

    con = connect(ws.params.data, folder=ws.folder)
    canonical = read_canonical(con, ws.interim)
    training = pd.read_parquet(ws.processed / "training.parquet").loc[lambda t: t["split"] != "test"]
    known = training[["lead_id", "as_of", "won"]].assign(probability=probability_of(log_odds(made, training)))
    seen = con.read_parquet(ws.interim / "snapshots.parquet")
    if canonical.observed_until is not None:
        seen = seen.filter(seen.as_of + days(DAYS_AFTER) <= canonical.observed_until)
    parts = con.read_parquet(ws.processed / "training.parquet").filter(lambda t: t.split != "test")
    spine = seen.semi_join(parts, ["lead_id", "as_of"]).select("snapshot", "lead_id", "as_of", "closed_at")
    numbered = fetch(con, spine)[["snapshot", "lead_id", "as_of"]]
    known = numbered.merge(known, on=["lead_id", "as_of"], validate="1:1")
    return gather_actions(con, spine, canonical.tables.get("events"), known, made.plan, made.cutoffs)


def amounts_document(ws: Workspace, made: Any) -> dict[str, Any]:
    """Return what wins bring, learned from those of the train, stop and calibrate parts."""
    import pandas as pd

    from propensity.decisions.amounts import amounts_to_json, fit_amounts
    from propensity.decisions.wins import amount_columns, won_amounts

    training = pd.read_parquet(ws.processed / "training.parquet")
    snapshots = pd.read_parquet(ws.interim / "snapshots.parquet")
    outcomes = pd.read_parquet(ws.interim / "outcomes.parquet")
    columns = amount_columns(made.plan, ws.params.model.segments)
    won = won_amounts(training, snapshots, outcomes, columns)
    return amounts_to_json(fit_amounts(won, columns, ws.params.cutoffs.value))


def what_would_change(ws: Workspace, made: Any, scored: Any) -> Any:
    """Return what would bring leads of the workspace to the next tier, as `Predictor.what_would_change`.

    Parameters
    ----------
    ws : Workspace
        Whose canonical tables are read.
    made : Bundle
    scored : DataFrame
        Rows of the scores, of one moment. A lead whose score does not follow from those tables and this
        bundle, such as one scored from other files, is left out.
    """
    import numpy as np
    import pandas as pd

    from propensity.data.fetch import fetch
    from propensity.data.ingest import read_canonical
    from propensity.data.sources import connect
    from propensity.predict import Predictor

    con = connect(ws.params.data, folder=ws.folder)
    tables = read_canonical(con, ws.interim).tables
    moment = scored["as_of"].iloc[0] if made.plan.dated and len(scored) else None
    about = tables["leads"].filter(lambda t: t.lead_id.isin(scored["lead_id"].tolist()))
    leads = fetch(con, about)
    if made.plan.has_account:
        colleagues = tables["leads"].filter(lambda t: t.account_id.isin(about.account_id))
        together = pd.concat([leads, fetch(con, colleagues.filter(colleagues.created_at <= moment))])
        leads = together.drop_duplicates("lead_id", ignore_index=True)
    ids = leads["lead_id"].tolist()

    def rows_of(name: str, *, wanted: bool) -> Any:
        return fetch(con, tables[name].filter(tables[name].lead_id.isin(ids))) if wanted else None

    found = Predictor(made).what_would_change(
        leads,
        rows_of("events", wanted=bool(made.plan.event_types)),
        as_of=moment,
        outcomes=rows_of("outcomes", wanted=made.plan.has_account),
        history=rows_of("history", wanted=bool(made.plan.rebuilt) and "history" in tables),
        previous=dict(zip(scored["lead_id"], scored["tier"], strict=True)),
    )
    held = found["lead_id"].map(scored.set_index("lead_id")["score"])
    return found[np.isclose(found["score"], held, rtol=0, atol=1e-6)].reset_index(drop=True)


def measure(ws: Workspace, made: Any) -> dict[str, Any]:
    """Return the figures of ``metrics.json`` for a bundle, in memory or read.

    Parameters
    ----------
    ws : Workspace
        Whose train, stop, calibrate and test parts are read.
    made : Bundle
    """
    import pandas as pd

    from propensity.data.files import read_json
    from propensity.decisions.arrivals import count_arrivals
    from propensity.decisions.tradeoff import compute_tradeoff
    from propensity.evaluation.comparison import base_rate_probability, points_rule_probability
    from propensity.evaluation.fairness import compare_groups
    from propensity.evaluation.metrics import gains_table, reliability_table, report_metrics, slices_of
    from propensity.evaluation.recentring import recentred_report
    from propensity.evaluation.reliability import calibration_report, calibration_slices
    from propensity.explain.dependence import compute_dependence
    from propensity.explain.grades import assign_grades, count_grades
    from propensity.explain.points import mean_absolute_points, sum_by_side
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
    segments = {column: pd.DataFrame({"slice_level": test[column]}) for column in ws.params.model.segments}
    rule = points_rule_probability(
        encode(train, made.encoding), won_train, encode(test, made.encoding), made.encoding
    )
    sample = test.sample(min(len(test), 5000), random_state=seed)
    points = compute_table_points(made, sample)
    grades = assign_grades(*sum_by_side(points, made.features), made.documents.get("grades"))
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
        "by_segment": {
            column: slices_of(levels, "level", won, probability, groups, seed=seed)
            for column, levels in segments.items()
        },
        "calibration": {
            "test": calibration_report(won, probability, groups, seed=seed),
            "by_age": calibration_slices(test, "age_days", won, probability, groups, seed=seed),
            "by_channel": calibration_slices(test, "channel", won, probability, groups, seed=seed),
            "by_segment": {
                column: calibration_slices(levels, "level", won, probability, groups, seed=seed)
                for column, levels in segments.items()
            },
        },
        "fairness": {
            name: compare_groups(
                column,
                test["lead_id"],
                won,
                probability,
                groups,
                cutoffs={tier: made.cutoffs[tier]["probability"] for tier in ("mql", "sql")},
                seed=seed,
            )
            for name, column in _lead_columns(ws, test["lead_id"]).items()
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
        "grades": count_grades(grades, sample["won"].to_numpy(dtype=bool)),
        "dependence": compute_dependence(points, sample, made.features),
        "tradeoff": compute_tradeoff(
            log_odds(made, calibration),
            calibration["won"].to_numpy(dtype=bool),
            calibration["group"].to_numpy(),
            count_arrivals(calibration, pd.read_parquet(ws.interim / "snapshots.parquet")),
            made.cutoffs["reference_odds"],
            ws.params.cutoffs.value,
        ),
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
    previous: Any | None = None,
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
    previous : Previous, optional
        The scoring to compare with. The changes since are then written beside the scores; without it, those
        of another scoring are removed.
    """
    from propensity.cohort.snapshots import scoring_snapshots
    from propensity.data.fetch import fetch
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
    held = _tiers_before(ws, previous) if trained_with(made).cutoffs.hold else None
    features = fetch(con, table.order_by("snapshot"))
    scores = score_features(made, features, hits, previous=held)
    changes = _compute_changes(con, made, tables, spine, features, scores, previous)
    hit = tell_hits(count_hits(hits[hits["lead_id"].isin(scores["lead_id"])], rules))
    told = _write_scores(ws, scores, changes, previous)
    tiers = ", ".join(f"{n:,} {tier}" for tier, n in scores["tier"].value_counts().items())
    scored = f"{len(scores):,} leads scored{f' as of {moment:%Y-%m-%d %H:%M:%S} UTC' if moment else ''}"
    left_out = fetch(con, leads.agg(n=leads.count()))["n"].item() - len(scores) if everyone else 0
    later = f"; {left_out:,} created later are left out" if left_out else ""
    stale = "" if "history" in tables else ", ".join(made.plan.rebuilt)
    taken = f"; {stale} as they stand in leads, for data.history is not named" if stale else ""
    ruled = f"; {hit}" if hit else ""
    return f"{scored}: {tiers or 'none is open'}{later}{taken}{ruled}; {shown(ws.scores)}{told}"


def _compute_changes(
    con: Any, made: Any, tables: Any, spine: Any, features: Any, scores: Any, previous: Any
) -> Any:
    """Return what changed since the previous scoring; None without one."""
    from propensity.data.fetch import fetch
    from propensity.explain.changes import compute_changes, rescore
    from propensity.explain.previous import check_comparable
    from propensity.features.build import build_features
    from propensity.features.states import at_moment_before, build_states
    from propensity.predict import trained_with, voice_of

    if previous is None:
        return None
    check_comparable(previous.scores, features, made, previous.bundle)
    moments = con.create_table("scored_before", previous.scores[["lead_id", "as_of_before"]], overwrite=True)
    both, optional = spine.inner_join(moments, "lead_id"), ("events", "outcomes", "history")
    states = before = None
    if made.plan.dated:
        read = {name: tables.get(name) for name in optional}
        states = fetch(con, build_states(both, tables["leads"], made.plan, **read))
    if previous.bundle is not None:
        read = {name: previous.tables.get(name) for name in optional}
        at = at_moment_before(both)
        built = build_features(at, previous.tables["leads"], previous.bundle.plan, **read)
        before = rescore(previous.bundle, fetch(con, built))
    words = voice_of(made, trained_with(made)).words
    return compute_changes(made, scores, previous.scores, features, states, words=words, before=before)


def _write_scores(ws: Workspace, scores: Any, changes: Any, previous: Any) -> str:
    """Write the scores, and the changes that lead to them or none; return what is said of the changes."""
    from propensity.data.files import atomic_paths, write_parquet, write_text
    from propensity.explain.changes import crossings, crossings_csv, summarise_changes

    beside = [ws.scores.with_name(f) for f in ("changes.parquet", "crossings.parquet", "crossings.csv")]
    if changes is None:
        for path in beside:
            path.unlink(missing_ok=True)
        write_parquet(scores, ws.scores)
        return ""
    crossed = crossings(changes)
    with atomic_paths([ws.scores, *beside]) as (own, all_changes, table, readable):
        write_parquet(scores, own)
        write_parquet(changes, all_changes)
        write_parquet(crossed, table)
        write_text(crossings_csv(crossed), readable)
    return f"\n{summarise_changes(changes, previous.scores)}; {shown(beside[0])}, {shown(beside[2])}"


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


def _tiers_before(ws: Workspace, previous: Any | None) -> dict[str, str] | None:
    """Return the tier each lead had in the previous or else the latest scores, whichever model gave it."""
    import pandas as pd

    if previous is not None:
        return dict(zip(previous.scores["lead_id"], previous.scores["tier_before"], strict=True))
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


def _lead_columns(ws: Workspace, lead_id: Any) -> dict[str, Any]:
    """Return the columns by which the model card compares groups of leads, in the order of `lead_id`."""
    import pandas as pd

    from propensity.errors import ParamsError, nearest

    leads = pd.read_parquet(ws.interim / "leads.parquet").set_index("lead_id")
    for name in ws.params.card.fairness:
        if name not in leads.columns:
            raise ParamsError(
                f"card.fairness names '{name}', which the leads do not have{nearest(name, leads.columns)}; "
                f"they have {', '.join(leads.columns)}"
            )
    rows = leads.loc[lead_id, ws.params.card.fairness].reset_index(drop=True)
    return {name: rows[name] for name in rows}


def _read_money(ws: Workspace, model_version: str) -> dict[str, Any]:
    """Return the tables that the commands about money left for this model."""
    import pandas as pd

    from propensity.report.money import FILES

    paths = {name: ws.reports / f"{name}.parquet" for names in FILES.values() for name in names}
    found = {name: pd.read_parquet(path) for name, path in paths.items() if path.exists()}
    return {name: table for name, table in found.items() if set(table["model_version"]) == {model_version}}


def _read_feedback(ws: Workspace) -> dict[str, Any] | None:
    """Return what ``propensity feedback`` found, if ``feedback.use`` lets the review show it."""
    from propensity.data.files import read_json

    path = ws.reports.joinpath("feedback.json")  # there or not, so no dependency that DVC could hold
    if ws.params.feedback.use == "off" or not path.exists():
        return None
    content: dict[str, Any] = read_json(path)
    return content


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
    "evidence": evidence,
    "evaluate": evaluate,
    "bundle": bundle,
    "score": score,
    "report": report,
    "track": track,
}
