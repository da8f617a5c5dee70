"""Scoring with a bundle: one lead or a million, with the reasons for each."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from propensity.cohort.snapshots import make_spine
from propensity.data.fetch import CompiledQuery
from propensity.data.frames import canonical_frames
from propensity.data.sources import connect
from propensity.data.tables import AttributeType
from propensity.decisions.rules import rule_hits
from propensity.decisions.tiers import assign_tiers
from propensity.decisions.value import expected_value
from propensity.errors import InputError
from propensity.explain.contributions import compute_contributions
from propensity.explain.explanation import make_explanation
from propensity.explain.lifts import tell_lifts
from propensity.explain.points import Points, compute_points, sum_by_side
from propensity.explain.reasons import REASONS_TYPE, top_reasons
from propensity.features.build import build_features
from propensity.model.bundle import Bundle, read_bundle
from propensity.model.encoding import count_unseen, encode
from propensity.model.estimators import probability_of
from propensity.params import CutoffsParams, Params

# Contributions are held for this many rows at a time: a million rows of a hundred features would
# need most of a gigabyte.
CHUNK_ROWS = 20_000

logger = logging.getLogger(__name__)


class Predictor:
    """Scores leads with a verified bundle.

    Parameters
    ----------
    bundle : Bundle

    Examples
    --------
    >>> predictor = Predictor.load("models/bundle")  # doctest: +SKIP
    >>> predictor.score(leads, events, as_of="2025-06-30T22:00:00Z")  # doctest: +SKIP
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.params = trained_with(bundle)
        self._types = needed_types(bundle)
        self._query = CompiledQuery(
            lambda given: build_features(
                given["spine"],
                given["leads"],
                bundle.plan,
                events=given.get("events"),
                outcomes=given.get("outcomes"),
                history=given.get("history"),
            ).order_by("snapshot")
        )
        self._rules = CompiledQuery(lambda given: rule_hits(given["leads"], self.params.disqualify))
        self._con: Any = None
        self._lock = threading.Lock()  # a connection serves one call at a time

    @classmethod
    def load(cls, path: str | Path, *, threads: int = 0) -> Predictor:
        """Verify a bundle's folder and load it.

        Parameters
        ----------
        path : str or Path
        threads : int
            Threads that LightGBM uses; 0 for all.

        Raises
        ------
        BundleError
            The folder is not a bundle or failed verification.
        """
        return cls(read_bundle(Path(path), threads=threads))

    def score(
        self,
        leads: pd.DataFrame | Mapping[str, Any],
        events: pd.DataFrame | None = None,
        as_of: Any = None,
        *,
        outcomes: pd.DataFrame | None = None,
        history: pd.DataFrame | None = None,
        previous: Mapping[str, str] | None = None,
    ) -> pd.DataFrame:
        """Score leads as of a moment.

        Parameters
        ----------
        leads : DataFrame or mapping
            One row a lead, or one lead as a mapping; columns in any order, named as in the params
            the model was trained with or by their canonical names. Others are ignored.
        events : DataFrame, optional
            The leads' events; those after `as_of` are not used. Required by a model that reads
            events: pass an empty frame for leads that did nothing yet.
        as_of : timestamp, str or one for each lead, optional
            The moment of scoring; without a zone it is in ``data.timezone``. The current time if
            left out.
        outcomes : DataFrame, optional
            How colleagues' leads ended, for a model that uses ``account``.
        history : DataFrame, optional
            The changes of the leads' fields, from which a model that was trained with ``data.history``
            rebuilds what they held at `as_of`. Without it, `leads` is taken to hold what was known then.
        previous : mapping, optional
            The tier each ``lead_id`` had when it was last scored, which ``cutoffs.hold`` lets it keep.

        Returns
        -------
        DataFrame
            One row a lead, in the leads' order: ``lead_id, as_of, probability, score, tier,
            base_points, fit_points, engagement_points, expected_value, reasons, model_version,
            scored_at, probability_low, probability_high``.

        Raises
        ------
        InputError
            A column is missing, a value is bad, or a lead was created after `as_of`.
        """
        table, disqualified = self._features(leads, events, as_of, outcomes, history)
        return score_features(self.bundle, table, disqualified, previous=previous)

    def explain(
        self,
        leads: pd.DataFrame | Mapping[str, Any],
        events: pd.DataFrame | None = None,
        as_of: Any = None,
        *,
        outcomes: pd.DataFrame | None = None,
        history: pd.DataFrame | None = None,
    ) -> Any:
        """Return a ``shap.Explanation`` of the scores, in points; parameters as for `score`."""
        table, _ = self._features(leads, events, as_of, outcomes, history)
        points = compute_table_points(self.bundle, table)
        return make_explanation(points, table, self.bundle.features)

    def features(
        self,
        leads: pd.DataFrame | Mapping[str, Any],
        events: pd.DataFrame | None = None,
        as_of: Any = None,
        *,
        outcomes: pd.DataFrame | None = None,
        history: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Return the feature table that `score` reads; parameters as for `score`."""
        return self._features(leads, events, as_of, outcomes, history)[0]

    def _features(
        self,
        leads: Any,
        events: pd.DataFrame | None,
        as_of: Any,
        outcomes: pd.DataFrame | None,
        history: pd.DataFrame | None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        plan, now = self.bundle.plan, datetime.now(UTC)
        frame = pd.DataFrame([dict(leads)]) if isinstance(leads, Mapping) else leads
        if plan.event_types and events is None:
            read = [event_type for types in plan.event_types.values() for event_type in types]
            raise InputError(
                f"this model reads events of the types {read}, but none were passed; pass the leads' events "
                "as a frame, an empty one if they did nothing yet"
            )
        if plan.has_account and outcomes is None:
            raise InputError("this model reads how colleagues' leads ended; pass outcomes as a frame")
        with self._lock:
            con = self._con = self._con or connect(self.params.data)
            tables = canonical_frames(
                frame,
                events,
                self.params,
                con,
                types=self._types,
                now=now,
                outcomes=outcomes,
                history=history,
            )
            passed = tables["leads"].to_pandas().sort_values("row", ignore_index=True)
            spine = make_spine(passed, self._moments(as_of, now, len(passed)))
            table = self._query.fetch(con, {"spine": spine, **tables})
            disqualified = self._rules.fetch(con, {"leads": tables["leads"]})
        return table, disqualified

    def _moments(self, as_of: Any, now: datetime, n: int) -> Any:
        """Return the moment of each lead's snapshot, in UTC; null in a table that has no time."""
        if as_of is None:
            as_of = now if self.bundle.plan.dated else pd.NaT
        moments = pd.Series(as_of, index=range(n)) if np.ndim(as_of) == 0 else pd.Series(list(as_of))
        if len(moments) != n:
            raise InputError(
                f"as_of has {len(moments)} moments for {n} leads; pass one, or one for each lead"
            )
        zone = self.params.data.timezone
        return pd.Series([in_utc(moment, zone) for moment in moments]).astype("datetime64[us, UTC]")


def score_features(
    bundle: Bundle,
    table: pd.DataFrame,
    disqualified: pd.DataFrame,
    *,
    previous: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Score a feature table.

    Parameters
    ----------
    bundle : Bundle
    table : DataFrame
        ``lead_id``, ``as_of`` and the plan's features, one row a snapshot.
    disqualified : DataFrame
        ``lead_id, rule, reason, column, value``: the rules that leads meet, as `rule_hits`.
    previous : mapping, optional
        The tier each lead had when it was last scored, which ``cutoffs.hold`` lets it keep.

    Returns
    -------
    DataFrame
        As `Predictor.score`.
    """
    for name, n in count_unseen(table, bundle.encoding).items():
        logger.warning("%s: %d of %d rows have a value that training did not know", name, n, len(table))
    params = trained_with(bundle)
    oldest = max(params.snapshots.ages_days)
    older = int((table["age_days"] > oldest).sum()) if bundle.plan.dated else 0
    if older:
        logger.warning(
            "%d of %d leads are older than any the model learned from (%g days) and taken to be that old; "
            "add ages to snapshots.ages_days to learn about them",
            older,
            len(table),
            oldest,
        )
    ordered = disqualified.sort_values(["lead_id", "rule"])
    rules = {str(lead): list(rows.itertuples()) for lead, rows in ordered.groupby("lead_id")}
    starts = range(0, max(len(table), 1), CHUNK_ROWS)
    held = {} if previous is None else previous
    chunks = [
        _score_chunk(bundle, params.cutoffs, table.iloc[s : s + CHUNK_ROWS], rules, held) for s in starts
    ]
    return pd.concat(chunks, ignore_index=True)


def compute_table_points(bundle: Bundle, table: pd.DataFrame) -> Points:
    """Return the points of every feature for every row of a feature table."""
    contributions = compute_contributions(bundle.model, bundle.calibrator, encode(table, bundle.encoding))
    return compute_points(contributions, bundle.cutoffs["reference_odds"])


def _score_chunk(
    bundle: Bundle,
    params: CutoffsParams,
    table: pd.DataFrame,
    rules: Mapping[str, list[Any]],
    previous: Mapping[str, str],
) -> pd.DataFrame:
    matrix = encode(table, bundle.encoding)
    contributions = compute_contributions(bundle.model, bundle.calibrator, matrix)
    points = compute_points(contributions, bundle.cutoffs["reference_odds"])
    probability = 1 / (1 + np.exp(-contributions.log_odds))
    low, high = bundle.calibrator.interval(contributions.log_odds)
    met = [rules.get(lead, []) for lead in table["lead_id"]]
    tier = assign_tiers(
        probability,
        np.array([bool(m) for m in met], dtype=bool),
        bundle.cutoffs,
        previous=np.array([previous.get(lead) for lead in table["lead_id"]], dtype=object),
        hold=params.hold,
    )
    fit, engagement = sum_by_side(points, bundle.features)
    rest = tell_lifts(points, table, bundle.features, wanted=tier == "nurture")
    reasons = _with_rules(top_reasons(points, table, bundle.features, rest=rest), met)
    return pd.DataFrame(
        {
            "lead_id": table["lead_id"].array,
            "as_of": table["as_of"].array,
            "probability": probability,
            "score": points.score,
            "tier": tier,
            "base_points": points.base,
            "fit_points": fit,
            "engagement_points": engagement,
            "expected_value": expected_value(probability, tier, params.value),
            "reasons": pd.array(reasons, dtype=pd.ArrowDtype(REASONS_TYPE)),
            "model_version": bundle.model_version,
            "scored_at": pd.Timestamp.now(tz="UTC").as_unit("us"),
            "probability_low": probability_of(low),
            "probability_high": probability_of(high),
        }
    )


def _with_rules(reasons: pa.ListArray, met: list[list[Any]]) -> pa.ListArray:
    """Put the rules that disqualified a lead before its other reasons, at no points."""
    if not any(met):
        return reasons
    lists = [[*map(_tell_rule, hits), *own] for hits, own in zip(met, reasons.to_pylist(), strict=True)]
    return pa.array(lists, type=REASONS_TYPE)


def _tell_rule(hit: Any) -> dict[str, Any]:
    value = None if pd.isna(hit.value) else hit.value
    held = "is not given" if value is None else f"is {value}"
    text = f"Disqualified ({hit.reason}): {hit.column} {held}"
    return {"feature": hit.column, "qualifier": "rule", "value": value, "points": 0.0, "text": text}


def trained_with(bundle: Bundle) -> Params:
    """Return the params a bundle was trained with."""
    return Params.model_validate(bundle.params)


def needed_types(bundle: Bundle) -> dict[str, AttributeType]:
    """Return the attributes of leads that scoring reads, with the types they had in training."""
    types: dict[str, AttributeType] = {rule.column: "text" for rule in trained_with(bundle).disqualify}
    for name, kind in bundle.plan.attributes.items():
        types[name] = "number" if kind == "number" else "text"
    return types


def in_utc(moment: Any, zone: str) -> pd.Timestamp:
    """Read a moment; without a zone of its own it is in `zone`."""
    try:
        read = pd.Timestamp(moment)
    except ValueError:
        raise InputError(
            f"as_of should be a timestamp such as 2025-06-30T22:00:00Z, it is {moment!r}"
        ) from None
    return (read.tz_localize(zone) if read.tzinfo is None else read).tz_convert("UTC")


if __name__ == "__main__":
    import sys

    from propensity.cli import main

    main(["score", *sys.argv[1:]])
