"""What became known after a model was trained, gathered for the checks of `propensity monitor`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from propensity.bundled import needed_types, trained_with
from propensity.data.ingest import ingest
from propensity.data.layout import columns_named, read_layout
from propensity.data.sources import connect
from propensity.errors import InputError, QuarantineError
from propensity.evaluation.recentring import propose_shift
from propensity.loop.lookout import share_alpha
from propensity.loop.outcomes import EARLY_WINDOWS
from propensity.loop.reference import MOST_WEEKS, gather_feeds
from propensity.loop.rows import gather_rows, longest_age
from propensity.loop.watch import Watch
from propensity.model.bundle import Bundle
from propensity.params import Params
from propensity.workspace import Workspace

if TYPE_CHECKING:
    import ibis.expr.types as ir

READ = ("events", "outcomes", "stages", "history")


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


def data_end(made: Bundle) -> datetime:
    """Return the last moment that the data of a bundle covers, UTC."""
    return datetime.fromisoformat(made.data["observed_until"]).astimezone(UTC)


@dataclass(frozen=True)
class Gathered:
    """What the checks look at, with the engine and the canonical tables behind it; none if refused."""

    watch: Watch
    con: Any
    tables: Mapping[str, ir.Table]


def watch_workspace(ws: Workspace, made: Bundle, *, as_of: datetime | None) -> Gathered:
    """Read the raw tables and gather what the checks look at; nothing is written.

    Parameters
    ----------
    ws : Workspace
    made : Bundle
        Of data with dates.
    as_of : datetime, optional
        Nothing that was known later is seen; the last moment the data covers if left out.

    Raises
    ------
    BusyError
        A database is locked.
    """
    params, con = _until(ws.params, as_of), connect(ws.params.data, folder=ws.folder)
    watch = Watch(
        as_of=as_of or data_end(made),
        alpha=share_alpha(ws.params.monitor.false_alarms_per_year, ws.params.monitor.every_days),
        reference=made.documents.get("reference", {}),
        cutoffs=made.cutoffs,
        horizon_days=float(made.data["horizon_days"]),
        since=data_end(made),
        seed=ws.params.model.seed,
        used_columns=columns_named(params.data, [*made.plan.attributes]),
        families={feature.name: feature.family for feature in made.features},
        levels=made.encoding.levels,
        capacity=capacity_of(ws.params),
    )
    try:
        columns = read_layout(params.data, ws.folder)
    except InputError as error:
        return Gathered(replace(watch, refused=str(error)), con, {})
    try:
        canonical = ingest(
            params.data,
            ws.folder,
            now=datetime.now(UTC),
            con=con,
            types=needed_types(made),
            tables=[name for name in READ if getattr(params.data, name) is not None],
        )
    except (InputError, QuarantineError) as error:
        return Gathered(replace(watch, columns=columns, refused=str(error)), con, {})
    until = canonical.observed_until
    assert until is not None  # there are dates
    reach = made.data["horizon_days"] + max(EARLY_WINDOWS)
    since = data_end(made) - timedelta(days=reach) - longest_age(made)
    seen = replace(
        watch,
        as_of=until,
        columns=columns,
        counts=canonical.counts if as_of is None else None,
        feeds=gather_feeds(con, canonical.tables, until, MOST_WEEKS),
        rows=gather_rows(con, canonical.tables, made, since=since, until=until),
    )
    return Gathered(seen, con, canonical.tables)


def measure_level(watch: Watch) -> dict[str, Any]:
    """Return what `promote --recentre` goes by: the level on all labels that became final since training."""
    rows = watch.matured() if watch.refused is None else watch.rows
    if not len(rows):
        rows = pd.DataFrame({"lead_id": [], "log_odds": [], "won": [], "group": []})
    return {
        "since": watch.since.isoformat(),
        "observed_until": watch.as_of.isoformat(),
        "leads": int(rows["lead_id"].nunique()),
        **propose_shift(
            rows["log_odds"].to_numpy(dtype="float64"),
            rows["won"].to_numpy(dtype=bool),
            rows["group"].to_numpy(),
        ),
    }


def capacity_of(params: Params) -> dict[str, float]:
    """Return the leads a week that each tier can take, where params say so."""
    capacity, cutoffs = params.promotion.capacity, params.cutoffs
    found = {
        "mql": capacity.mql or cutoffs.mql.per_week,
        "sql": capacity.sql or cutoffs.sql.per_week,
    }
    return {tier: float(leads) for tier, leads in found.items() if leads is not None}


def _until(params: Params, as_of: datetime | None) -> Params:
    if as_of is None:
        return params
    data = params.data.model_copy(update={"observed_until": as_of.isoformat()})
    return params.model_copy(update={"data": data})


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
