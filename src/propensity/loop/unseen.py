"""What two models can be compared on: leads with a final outcome that neither has learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.bundled import trained_with
from propensity.cohort.labels import add_labels
from propensity.cohort.snapshots import scoring_snapshots, training_snapshots
from propensity.cohort.splits import group_of
from propensity.data.fetch import fetch
from propensity.data.files import read_json, to_json
from propensity.decisions.arrivals import WEEK
from propensity.decisions.rules import disqualified_leads, rule_hits
from propensity.decisions.tiers import assign_tiers
from propensity.errors import some
from propensity.features.build import build_features
from propensity.model.bundle import Bundle, log_odds
from propensity.model.estimators import Vector, probability_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from propensity.data.ingest import Canonical


@dataclass(frozen=True)
class Unseen:
    """Snapshots that no model has learned from, and what each model says of them.

    Attributes
    ----------
    rows : DataFrame
        One row a snapshot: ``lead_id, as_of, won, group``, and a column for each slice.
    probability : dict
        By model, the probability of each row.
    slices : list of str
        Columns of `rows` that cut it.
    weekly : array of shape (n_weeks,)
        Leads that came in each whole week of the rows' period, those without a final outcome too.
    why : str
        What the rows are, or why there are none.
    """

    rows: pd.DataFrame
    probability: dict[str, Vector]
    slices: list[str]
    weekly: npt.NDArray[np.float64]
    why: str


def find_unseen(con: Any, canonical: Canonical, models: Mapping[str, Bundle], processed: Path) -> Unseen:
    """Gather the snapshots with a final outcome that none of the models has learned from.

    A lead counts from the moment at which the latest of the models' test parts begins: until then, labels
    of the calibrate part were not final. A group whose first lead came before is left out, and so is what
    a model was re-centred on.

    Parameters
    ----------
    con : ibis backend
    canonical : Canonical
        The tables as they are at present.
    models : mapping
        Bundles by name; the last one's ages, horizon, rules and segments count.
    processed : Path
        Where the training table lies. Where no dates tell what came later, its test part is taken, if all
        models were trained on this very split.
    """
    last = list(models.values())[-1]
    params, until = trained_with(last), canonical.observed_until
    begin = _begin(models.values())
    if begin is None or until is None:
        return _common_test_part(models, processed)
    tables = canonical.tables
    snapshots, _ = training_snapshots(
        tables["leads"],
        tables["outcomes"],
        disqualified_leads(tables["leads"], params.disqualify),
        tables["unsettled"],
        ages_days=params.snapshots.ages_days,
        observed_until=until,
        stages=tables.get("stages"),
        events=tables.get("events"),
    )
    labelled = con.create_table(
        "possible",
        add_labels(
            snapshots, horizon_days=last.data["horizon_days"], observed_until=until, dated_closings=True
        ),
        overwrite=True,
    )
    every = fetch(con, labelled)
    every = every.assign(group=group_of(every, params.split.group))
    first = every.groupby("group")["created_at"].transform("min")
    kept = every[every["mature"] & (first >= begin)]
    if (moved := _recentred_until(models.values())) is not None:
        kept = kept[kept["label_end"] > moved]
    if kept.empty:
        return _none(f"no lead that came from {begin:%Y-%m-%d} on has a final outcome yet")
    spine = labelled.semi_join(_keys(con, kept), "snapshot")
    slices = {"channel": "channel", "age": "age_days"} | {c: c for c in params.model.segments}
    built = {name: _features(con, spine, tables, made) for name, made in models.items()}
    rows = kept.sort_values("snapshot").reset_index(drop=True)
    about = built[list(models)[-1]]
    cut = {name: about[c] if c in about else rows[c] for name, c in slices.items() if c in about or c in rows}
    return Unseen(
        rows[["lead_id", "as_of", "won", "group"]].assign(**cut),
        {name: probability_of(log_odds(made, built[name])) for name, made in models.items()},
        list(cut),
        _arrivals(every, begin, rows["as_of"].max()),
        f"leads that came from {begin:%Y-%m-%d} on, which none of the models has learned from",
    )


def _common_test_part(models: Mapping[str, Bundle], processed: Path) -> Unseen:
    """Return the test part of the training table, where all models were trained on the other parts of it."""
    path, split = processed / "training.parquet", processed / "split.json"
    if not path.exists() or not split.exists():
        return _none(f"the split is not by time, and {processed} holds no training table")
    parts = read_json(split)["parts"]
    files = {to_json(made.data["files"]) for made in models.values()}
    if len(files) > 1 or any(made.data["parts"] != parts for made in models.values()):
        return _none("the split is not by time, and the models were not trained on the parts of one split")
    table = pd.read_parquet(path)
    rows = table[table["split"] == "test"].reset_index(drop=True)
    lacking = {name for made in models.values() for name in made.encoding.names} - set(rows.columns)
    if lacking:
        return _none(f"the split is not by time, and the training table lacks {some(sorted(lacking))}")
    return Unseen(
        rows[["lead_id", "as_of", "won"]].assign(group=rows["lead_id"]),
        {name: probability_of(log_odds(made, rows)) for name, made in models.items()},
        [],
        np.empty(0),
        "the test part of the split that the models were trained on, for nothing tells what came later",
    )


def open_tiers(con: Any, canonical: Canonical, models: Mapping[str, Bundle]) -> pd.DataFrame:
    """Return the tier that each model gives to each lead that is open at present.

    Returns
    -------
    DataFrame
        One row a lead, one column a model.
    """
    tables = canonical.tables
    leads = tables["leads"].anti_join(tables["unsettled"], "lead_id")
    dated = all(made.plan.dated for made in models.values())
    spine = scoring_snapshots(
        leads,
        tables["outcomes"],
        as_of=canonical.observed_until if dated else None,
        stages=tables.get("stages"),
        events=tables.get("events"),
    )
    spine = con.create_table("open_now", spine, overwrite=True)
    tiers = {name: _tiers(con, spine, tables, made) for name, made in models.items()}
    return pd.DataFrame(tiers)


def _tiers(con: Any, spine: ir.Table, tables: Mapping[str, ir.Table], made: Bundle) -> Any:
    features = _features(con, spine, tables, made)
    hits = fetch(con, rule_hits(tables["leads"], trained_with(made).disqualify))
    disqualified = features["lead_id"].isin(hits["lead_id"]).to_numpy()
    return assign_tiers(probability_of(log_odds(made, features)), disqualified, made.cutoffs)


def _features(con: Any, spine: ir.Table, tables: Mapping[str, ir.Table], made: Bundle) -> pd.DataFrame:
    built = build_features(
        spine,
        tables["leads"],
        made.plan,
        events=tables.get("events"),
        outcomes=tables.get("outcomes"),
        history=tables.get("history"),
    )
    return fetch(con, built.order_by("snapshot"))


def _keys(con: Any, rows: pd.DataFrame) -> ir.Table:
    return con.create_table("unseen", rows[["snapshot"]], overwrite=True)


def _begin(models: Sequence[Bundle] | Any) -> pd.Timestamp | None:
    """Return when the latest of the test parts begins; None where a model was not split by time."""
    begins = []
    for made in models:
        params, begin = trained_with(made), made.data["parts"]["test"]["from"]
        closings = params.data.outcomes.closed_at
        if params.split.by != "time" or begin is None or closings is None:
            return None
        begins.append(pd.Timestamp(begin))
    return max(begins)


def _recentred_until(models: Sequence[Bundle] | Any) -> pd.Timestamp | None:
    """Return until when outcomes went into a shift of one of the models."""
    seen = [
        datetime.fromisoformat(record["observed_until"])
        for made in models
        for record in made.data.get("recentred", [])
    ]
    return pd.Timestamp(max(seen)) if seen else None


def _arrivals(every: pd.DataFrame, begin: pd.Timestamp, end: pd.Timestamp) -> npt.NDArray[np.float64]:
    weeks = int((end - begin) // WEEK)
    week = (every.groupby("lead_id")["as_of"].min() - begin) // WEEK
    inside = week[(week >= 0) & (week < weeks)].to_numpy(dtype=np.int64)
    return np.bincount(inside, minlength=weeks).astype(np.float64)


def _none(why: str) -> Unseen:
    rows = pd.DataFrame({"lead_id": [], "as_of": [], "won": [], "group": []})
    return Unseen(rows, {}, [], np.empty(0), why)
