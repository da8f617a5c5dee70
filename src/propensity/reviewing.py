"""What the review and the command line tell of a workspace's leads, read and chosen."""

from __future__ import annotations

from typing import Any

from propensity.gathering import read_part
from propensity.workspace import Workspace


def choose_review_cards(ws: Workspace, made: Any, scores: Any, wanted: list[str] | None, sample: int) -> Any:
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

    from propensity.batch import score_features
    from propensity.model.bundle import log_odds
    from propensity.model.estimators import probability_of
    from propensity.report.selection import find_misses

    test = read_part(ws, "test").reset_index(drop=True)
    ended = pd.read_parquet(ws.interim / "snapshots.parquet", columns=["lead_id", "as_of", "status"])
    status = test[["lead_id", "as_of"]].merge(ended, on=["lead_id", "as_of"], validate="1:1")["status"]
    why = find_misses(test, probability_of(log_odds(made, test)), status, made.cutoffs)
    return score_features(made, test.loc[why.index]).assign(why_shown=why.to_numpy())


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


def read_money(ws: Workspace, model_version: str) -> dict[str, Any]:
    """Return the tables that the commands about money left for this model."""
    import pandas as pd

    from propensity.report.money import FILES

    paths = {name: ws.reports / f"{name}.parquet" for names in FILES.values() for name in names}
    found = {name: pd.read_parquet(path) for name, path in paths.items() if path.exists()}
    return {name: table for name, table in found.items() if set(table["model_version"]) == {model_version}}


def read_feedback(ws: Workspace) -> dict[str, Any] | None:
    """Return what ``propensity feedback`` found, if ``feedback.use`` lets the review show it."""
    from propensity.data.files import read_json

    path = ws.reports.joinpath("feedback.json")  # there or not, so no dependency that DVC could hold
    if ws.params.feedback.use == "off" or not path.exists():
        return None
    content: dict[str, Any] = read_json(path)
    return content


def read_monitoring(ws: Workspace, model_version: str) -> dict[str, Any] | None:
    """Return what the latest ``propensity monitor`` found, if it looked at this model."""
    from propensity.data.files import read_json

    path = ws.reports.joinpath("monitor.json")  # there or not, so no dependency that DVC could hold
    if not path.exists():
        return None
    content: dict[str, Any] = read_json(path)
    return content if content["model_version"] == model_version and "signals" in content else None
