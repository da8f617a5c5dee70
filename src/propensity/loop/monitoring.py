"""What became known after a model was trained: the outcomes that its probabilities can be held against."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from propensity.cohort.labels import add_labels
from propensity.cohort.snapshots import training_snapshots
from propensity.cohort.splits import group_of
from propensity.data.fetch import fetch
from propensity.data.values import moment
from propensity.decisions.rules import disqualified_leads
from propensity.errors import InputError
from propensity.features.build import build_features
from propensity.model.bundle import Bundle
from propensity.predict import trained_with

if TYPE_CHECKING:
    import ibis.expr.types as ir


def check_dated(made: Bundle) -> None:
    """Refuse a model whose data cannot tell what came after them.

    Raises
    ------
    InputError
    """
    if not made.plan.dated or trained_with(made).data.outcomes.closed_at is None:
        raise InputError(
            "what became final after the model was trained is known by dates alone: name "
            "data.leads.created_at and data.outcomes.closed_at, which this model was trained without"
        )


def matured_since(
    con: Any, tables: Mapping[str, ir.Table], made: Bundle, *, observed_until: datetime
) -> pd.DataFrame:
    """Return the snapshots whose label became final after the data that a bundle was made from end.

    Ages, horizon, rules and features are those the bundle was trained with.

    Parameters
    ----------
    con : ibis backend
    tables : mapping
        Canonical tables.
    made : Bundle
        Of data with dates.
    observed_until : datetime
        The last moment `tables` cover.

    Returns
    -------
    DataFrame
        The bundle's features with ``lead_id, as_of, won`` and ``group``, in the order of leads and moments.
    """
    params = trained_with(made)
    leads, events = tables["leads"], tables.get("events")
    snapshots, _ = training_snapshots(
        leads,
        tables["outcomes"],
        disqualified_leads(leads, params.disqualify),
        tables["unsettled"],
        ages_days=params.snapshots.ages_days,
        observed_until=observed_until,
        stages=tables.get("stages"),
        events=events,
    )
    labelled = add_labels(
        snapshots, horizon_days=made.data["horizon_days"], observed_until=observed_until, dated_closings=True
    )
    since = moment(datetime.fromisoformat(made.data["observed_until"]))
    matured = con.create_table(
        "matured", labelled.filter(labelled.mature, labelled.label_end > since), overwrite=True
    )
    built = build_features(
        matured,
        leads,
        made.plan,
        events=events,
        outcomes=tables.get("outcomes"),
        history=tables.get("history"),
    )
    about = fetch(con, matured.select("snapshot", "lead_id", "account_id", "won"))
    about = about.assign(group=group_of(about, params.split.group))[["snapshot", "won", "group"]]
    return fetch(con, built.order_by("snapshot")).merge(about, on="snapshot", validate="1:1")


def tell_proposal(found: Mapping[str, Any]) -> str:
    """Return what was found, and proposed, as a sentence.

    Parameters
    ----------
    found : mapping
        As ``reports/monitor.json``.
    """
    since, until = found["since"][:10], found["observed_until"][:10]
    if found["n"] == 0:
        return f"no outcome became final after {since}, where the model's data end; nothing is proposed"
    period = f"{found['n']:,} snapshots of {found['leads']:,} leads became final from {since} to {until}"
    told = "none was won"
    if found["wins"]:
        told = f"{found['expected_over_observed']:.2f}{_span(found['expected_over_observed_interval'])} wins "
        told += f"were expected for each of the {found['wins']:,} seen"
    shift = f"{found['shift']:+.3f}{_span(found['shift_interval'])}"
    if not found["proposed"]:
        return f"{period}: {told}; a shift of the log-odds by {shift} is within noise, and none is proposed"
    return f"{period}: {told}; proposed: {shift} on the log-odds, which 'propensity promote --recentre' adds"


def _span(interval: list[float] | None) -> str:
    return "" if interval is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]"
