"""What a bundle is made of, read from a workspace: parts of the training table, documents, the card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from propensity.params import OPERATING, without_passwords
from propensity.workspace import Workspace


def gather_documents(ws: Workspace) -> dict[str, Any]:
    """Return what a bundle holds beside the model, by the names of `DOCUMENTS`, the card apart."""
    import pandas as pd

    from propensity.batch import compute_table_points
    from propensity.explain.evidence import evidence_to_json, gather_evidence
    from propensity.explain.grades import choose_grades
    from propensity.explain.points import sum_by_side
    from propensity.explain.words import words_to_json

    made = assemble_parts(ws)
    training = pd.read_parquet(ws.processed / "training.parquet")
    points = compute_table_points(made, training[training["split"] == "calibrate"])
    return {
        "words": words_to_json(read_words(ws)),
        "evidence": evidence_to_json(gather_evidence(training, made.features)),
        "grades": choose_grades(*sum_by_side(points, made.features)),
        "actions": actions_document(ws, made),
        "amounts": amounts_document(ws, made),
        **reference_document(ws, made),
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
    return name_bundle(replace(assemble_parts(ws), documents=documents), probe_rows(ws))


def assemble_parts(ws: Workspace) -> Any:
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
        params=without_passwords(ws.params.model_dump(mode="json", exclude=set(OPERATING))),
        data=data_window(ws),
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
    return read_part(ws, "calibrate").head(50)


def scores_of(ws: Workspace, model_version: str) -> Path:
    """Return where the pipeline's own scores belong: apart while a champion of another model is in use."""
    from propensity.model.bundle import find_version

    champion = find_version(ws.champion)
    return ws.scores if champion in (None, model_version) else ws.challenger_scores


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
    from propensity.data.engines import connect, read_table
    from propensity.data.fetch import fetch
    from propensity.data.ingest import read_canonical
    from propensity.explain.habits import DAYS_AFTER, gather_actions
    from propensity.model.bundle import log_odds
    from propensity.model.estimators import probability_of

    con = connect(ws.params.data, folder=ws.folder)
    canonical = read_canonical(con, ws.interim)
    training = pd.read_parquet(ws.processed / "training.parquet").loc[lambda t: t["split"] != "test"]
    known = training[["lead_id", "as_of", "won"]].assign(probability=probability_of(log_odds(made, training)))
    seen = read_table(con, ws.interim / "snapshots.parquet")
    if canonical.observed_until is not None:
        seen = seen.filter(seen.as_of + days(DAYS_AFTER) <= canonical.observed_until)
    parts = read_table(con, ws.processed / "training.parquet").filter(lambda t: t.split != "test")
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


def reference_document(ws: Workspace, made: Any) -> dict[str, Any]:
    """Return, under ``reference``, what later weeks are compared with; nothing for data without dates."""
    from datetime import datetime

    from propensity.data.ingest import read_canonical
    from propensity.data.layout import read_layout
    from propensity.data.sources import connect
    from propensity.loop.reference import gather_reference

    if not made.plan.dated or ws.params.data.outcomes.closed_at is None:
        return {}
    con = connect(ws.params.data, folder=ws.folder)
    canonical = read_canonical(con, ws.interim)
    begun = {name: read_part(ws, name)["as_of"].min() for name in ("calibrate", "test")}
    return {
        "reference": gather_reference(
            con,
            canonical.tables,
            made,
            columns=read_layout(ws.params.data, ws.folder),
            counts=canonical.counts,
            start=begun["calibrate"].to_pydatetime(),
            until=datetime.fromisoformat(made.data["observed_until"]),
            tested_from=begun["test"].to_pydatetime(),
        )
    }


def read_part(ws: Workspace, part: str) -> Any:
    """Return a part of the training table with the columns that evaluation groups by."""
    import pandas as pd

    from propensity.cohort.splits import describe_rows

    table = pd.read_parquet(ws.processed / "training.parquet").loc[lambda t: t["split"] == part]
    snapshots = pd.read_parquet(ws.interim / "snapshots.parquet")
    leads = pd.read_parquet(ws.interim / "leads.parquet")
    about = describe_rows(snapshots, leads, ws.params.split)
    return table.merge(about, on=["lead_id", "as_of"], validate="1:1")


def data_window(ws: Workspace) -> dict[str, Any]:
    from propensity.data.files import read_json

    ingested, parts = read_json(ws.interim / "ingest.json"), read_json(ws.processed / "split.json")
    return {
        "observed_until": ingested["observed_until"],
        "files": ingested["files"],
        "parts": parts["parts"],
        "horizon_days": read_json(ws.interim / "cohort.json")["horizon"]["days"],
    }
