"""Scoring with a bundle: one lead or a million, with the reasons for each."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from propensity.batch import compute_table_points, few_scorer, score_features, score_few
from propensity.bundled import needed_types, trained_with, voice_of
from propensity.errors import InputError
from propensity.explain.actions import propose_actions
from propensity.explain.changes import compute_changes, rescore
from propensity.explain.explanation import By, make_explanation
from propensity.explain.previous import check_comparable, check_previous
from propensity.model.bundle import Bundle, read_bundle
from propensity.model.encoding import encode_rows
from propensity.online import FEW_LEADS, Hit, Row

if TYPE_CHECKING:
    from propensity.data.rows import RowProgram


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
        # Ibis and DuckDB load here, not with the module: they take as long as pandas does.
        from propensity.data.fetch import CompiledQuery
        from propensity.data.plain import PlainReader
        from propensity.decisions.rules import rule_hits
        from propensity.features.actions import variant_features
        from propensity.features.build import build_features
        from propensity.features.states import build_states

        self._reader = PlainReader(self.params, self._types)

        def features(given: Mapping[str, Any]) -> Any:
            return build_features(
                given["spine"],
                given["leads"],
                bundle.plan,
                events=given.get("events"),
                outcomes=given.get("outcomes"),
                history=given.get("history"),
            ).order_by("snapshot")

        self._query = CompiledQuery(features)
        self._few = CompiledQuery(lambda given: features(given).select(few_scorer(bundle).columns))
        self._variants = CompiledQuery(
            lambda given: variant_features(
                given["spine"], given["events"], given["added"], bundle.plan
            ).order_by("snapshot")
        )
        self._states = CompiledQuery(
            lambda given: build_states(
                given["spine"],
                given["leads"],
                bundle.plan,
                events=given.get("events"),
                outcomes=given.get("outcomes"),
                history=given.get("history"),
            )
        )
        self._rules = CompiledQuery(lambda given: rule_hits(given["leads"], self.params.disqualify))
        self._programs = lru_cache(maxsize=64)(self._find_programs)
        self._con: Any = None
        self._lock = threading.Lock()  # a connection serves one call at a time

    @classmethod
    def load(cls, path: str | Path, *, threads: int = 0, tracking_uri: str | None = None) -> Predictor:
        """Verify a bundle and load it, from a folder or from MLflow's registry.

        Parameters
        ----------
        path : str or Path
            A bundle's folder, or an address such as ``models:/propensity@champion``.
        threads : int
            Threads that LightGBM uses; 0 for all.
        tracking_uri : str, optional
            Where such an address is looked up; if left out, the environment's ``MLFLOW_TRACKING_URI``, or
            what the ``params.yaml`` of the current folder says.

        Raises
        ------
        BundleError
            The folder is not a bundle or failed verification.
        InputError
            The address names no version.
        BusyError
            The tracking server does not answer.
        """
        if not str(path).startswith("models:"):
            return cls(read_bundle(Path(path), threads=threads))
        from propensity.registry.versions import fetch_uri

        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "bundle"
            fetch_uri(str(path), folder, uri=tracking_uri)
            return cls(read_bundle(folder, threads=threads))

    def warm(self) -> None:
        """Make now what the first lead would wait for: the tables of contributions, and their compiled loops.

        A service calls it before its first request. It takes about a second; where the loops were never
        compiled on this machine, some ten.
        """
        nothing = [None] * len(self.bundle.encoding.names)
        self.bundle.model.contributions(encode_rows([nothing], self.bundle.encoding)[0])

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
            scored_at, probability_low, probability_high, grade, fit_grade, engagement_grade,
            expected_amount, expected_value_low, expected_value_high, amount_wins``. ``expected_value`` is
            the probability times ``expected_amount``, what such a lead brings if it is won, times the
            margin, less what its tier costs; low and high are the ends of its 95% interval
            (`propensity.decisions.value.value_interval`), and ``amount_wins`` the wins behind the amount,
            0 where it is ``cutoffs.value.won`` (`propensity.decisions.amounts.expected_amounts`). The grades
            are quarters of the leads the model was calibrated on: ``fit_grade`` (who the lead is) from
            ``A`` to ``D``, ``engagement_grade`` (what it did and when) from ``1`` to ``4``, and both as
            ``grade``, such as ``B2``; null for a bundle without grades.

        Raises
        ------
        InputError
            A column is missing, a value is bad, or a lead was created after `as_of`.
        """
        few = self._few_features(leads, events, as_of) if outcomes is None and history is None else None
        if few is not None:
            return score_few(self.bundle, *few, previous or {})
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
        by: By = "feature",
    ) -> Any:
        """Return a ``shap.Explanation`` of the scores, in points.

        Parameters
        ----------
        leads, events, as_of, outcomes, history
            As for `score`.
        by : {'feature', 'family', 'qualifier'}
            What a column stands for: a feature, all features of one behaviour (its windows, when last), or
            all of one qualifier. Base and values sum to the score each time.
        """
        table, _ = self._features(leads, events, as_of, outcomes, history)
        points = compute_table_points(self.bundle, table)
        return make_explanation(points, table, self.bundle.features, by=by)

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

    def changes(
        self,
        previous: pd.DataFrame,
        leads: pd.DataFrame | Mapping[str, Any],
        events: pd.DataFrame | None = None,
        as_of: Any = None,
        *,
        outcomes: pd.DataFrame | None = None,
        history: pd.DataFrame | None = None,
        previous_bundle: Bundle | None = None,
    ) -> pd.DataFrame:
        """Score leads, and split what changed since an earlier scoring into what it comes from.

        Parameters
        ----------
        previous : DataFrame
            The earlier scores, as `score` returned them; one row a lead, each with its own ``as_of``.
        leads, events, as_of, outcomes, history
            As for `score`.
        previous_bundle : Bundle, optional
            The bundle that gave the earlier scores, where it is another one. With it the part of the model
            is apart from what was corrected in the data since.

        Returns
        -------
        DataFrame
            One row a lead, in the leads' order, as `propensity.explain.changes.compute_changes`: ``behaviour,
            time, attributes, data, model`` sum to ``change``, in points; null for a lead that `previous`
            does not hold.

        Raises
        ------
        InputError
            As `score`, or `previous` is no table of scores or holds some that are later than `as_of`.
        """
        earlier = check_previous(previous)
        tiers = dict(zip(earlier["lead_id"], earlier["tier_before"], strict=True))
        with self._lock:
            con, tables = self._canonical(leads, events, as_of, outcomes, history)
            table, disqualified = self._compute(con, tables)
            check_comparable(earlier, table, self.bundle, previous_bundle)
            spine = _with_moments(tables["spine"], earlier)
            states = self._states.fetch(con, tables | {"spine": spine}) if self.bundle.plan.dated else None
        before = None
        if previous_bundle is not None:
            before = Predictor(previous_bundle)._score_before(spine, leads, events, outcomes, history)
        scores = score_features(self.bundle, table, disqualified, previous=tiers)
        words = voice_of(self.bundle, self.params).words
        return compute_changes(self.bundle, scores, earlier, table, states, words=words, before=before)

    def what_would_change(
        self,
        leads: pd.DataFrame | Mapping[str, Any],
        events: pd.DataFrame | None = None,
        as_of: Any = None,
        *,
        cutoff: Literal["mql", "sql"] | None = None,
        outcomes: pd.DataFrame | None = None,
        history: pd.DataFrame | None = None,
        previous: Mapping[str, str] | None = None,
    ) -> pd.DataFrame:
        """Find the smallest realistic set of actions that would bring each lead over a cut-off.

        An action is a number of events of one type, and asset where the model counts it, that the lead takes
        at `as_of`; what counts as realistic was found in the history and lies in the bundle. Each set is
        scored by the model itself, with features built from the lead's events and those added. Who the lead
        is never changes. The model says what goes with winning, not what an action would cause.

        Parameters
        ----------
        leads, events, as_of, outcomes, history, previous
            As for `score`.
        cutoff : {'mql', 'sql'}, optional
            The cut-off to cross; the next one up for each lead if left out.

        Returns
        -------
        DataFrame
            One row a lead, in the leads' order: ``lead_id, as_of, tier, target`` (null where there is
            nothing to cross, as for a disqualified lead), ``reached``, ``score``, ``score_after``,
            ``actions`` and ``note`` (why nothing crosses). If ``reached`` is false, the actions are those
            that come closest. An action is a struct of ``qualifier, type, asset, value, times, points, share,
            n, text``: ``points`` is what it adds after those before it, so that they sum to the change;
            ``share`` of ``n`` such leads do it that often in 7 days. Of several times, the first comes at
            `as_of` and each further one a microsecond before it.

        Raises
        ------
        InputError
            As `score`, or `cutoff` is no cut-off.
        """
        if cutoff not in (None, "mql", "sql"):
            raise InputError(f"cutoff should be 'mql', 'sql' or None for the next one up, it is {cutoff!r}")
        with self._lock:
            con, tables = self._canonical(leads, events, as_of, outcomes, history)
            table, disqualified = self._compute(con, tables)
            scored = score_features(self.bundle, table, disqualified, previous=previous)
            return propose_actions(
                self.bundle,
                table,
                scored,
                lambda spine, added: self._variants.fetch(
                    con, {"spine": spine, "events": tables["events"], "added": added}
                ),
                voice_of(self.bundle, self.params).words,
                cutoff=cutoff,
            )

    def _score_before(
        self,
        spine: pa.Table,
        leads: Any,
        events: pd.DataFrame | None,
        outcomes: pd.DataFrame | None,
        history: pd.DataFrame | None,
    ) -> pd.Series[float]:
        """Return the scores at ``as_of_before`` by ``lead_id``."""
        moved = spine.drop_columns(["as_of"]).rename_columns({"as_of_before": "as_of"})
        with self._lock:
            con, tables = self._canonical(leads, events, None, outcomes, history)
            return rescore(self.bundle, self._query.fetch(con, tables | {"spine": moved}))

    def _features(
        self,
        leads: Any,
        events: pd.DataFrame | None,
        as_of: Any,
        outcomes: pd.DataFrame | None,
        history: pd.DataFrame | None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        with self._lock:
            return self._compute(*self._canonical(leads, events, as_of, outcomes, history))

    def _few_features(
        self, leads: Any, events: pd.DataFrame | None, as_of: Any
    ) -> tuple[tuple[str, ...], Sequence[Row], list[Hit]] | None:
        """Return names and rows of the feature table and the rules met, without frames or the engine.

        None where leads are many, or it takes the engine or the long way to say what is wrong.
        """
        from propensity.cohort.snapshots import spine_rows
        from propensity.data.rows import Declined

        plan, now = self.bundle.plan, datetime.now(UTC)
        if plan.has_account or (plan.event_types and events is None):
            return None
        if not isinstance(leads, Mapping) and not 0 < len(leads) <= FEW_LEADS:
            return None
        tables = self._reader.read(leads, events, now)
        if tables is None:
            return None
        passed = tables["leads"]
        spine = spine_rows(passed.rows, passed.names, self._moments(as_of, now, len(passed.rows)))
        if spine is None:
            return None
        programs = self._programs(tuple((name, table.judge) for name, table in tables.items()))
        if programs is None:
            return None
        features, rules = programs
        given = {"spine": spine, **{name: table.rows for name, table in tables.items()}}
        try:
            hits = [Hit(*hit) for hit in rules.run({"leads": passed.rows})]
            return features.names, features.run(given), hits
        except Declined:
            return None

    def _find_programs(
        self, judges: tuple[tuple[str, RowProgram], ...]
    ) -> tuple[RowProgram, RowProgram] | None:
        """Return what computes features and rules of what these judged; None if that takes the engine."""
        from propensity.cohort.snapshots import SPINE

        schemas = {name: judge.schema for name, judge in judges}
        features = self._few.compile({"spine": pa.schema(SPINE), **schemas}).program
        rules = self._rules.compile({"leads": schemas["leads"]}).program
        return None if features is None or rules is None else (features, rules)

    def _compute(self, con: Any, tables: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the feature table and the rules that leads meet; the lock is held."""
        table = self._query.fetch(con, tables)
        return table, self._rules.fetch(con, {"leads": tables["leads"]})

    def _canonical(
        self,
        leads: Any,
        events: pd.DataFrame | None,
        as_of: Any,
        outcomes: pd.DataFrame | None,
        history: pd.DataFrame | None,
    ) -> tuple[Any, dict[str, Any]]:
        """Return the engine and the canonical tables with the ``spine``; the lock is held."""
        from propensity.cohort.snapshots import make_spine
        from propensity.data.engines import connect_here
        from propensity.data.frames import canonical_frames

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
        con = self._con = self._con or connect_here()
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
        moments = self._moments(as_of, now, len(passed))
        spine = make_spine(passed, pd.Series(pd.to_datetime(moments, utc=True).as_unit("us")))
        return con, {"spine": spine, **tables}

    def _moments(self, as_of: Any, now: datetime, n: int) -> list[pd.Timestamp]:
        """Return the moment of each lead's snapshot, in UTC; NaT in a table that has no time."""
        if as_of is None:
            as_of = now if self.bundle.plan.dated else pd.NaT
        zone = self.params.data.timezone
        if isinstance(as_of, datetime) or np.ndim(as_of) == 0:
            return [in_utc(as_of, zone)] * n
        moments = list(as_of)
        if len(moments) != n:
            raise InputError(
                f"as_of has {len(moments)} moments for {n} leads; pass one, or one for each lead"
            )
        return [in_utc(moment, zone) for moment in moments]


def _with_moments(spine: pa.Table, earlier: pd.DataFrame) -> pa.Table:
    """Return the rows of the leads that were scored before, with the moment of that as ``as_of_before``."""
    moments = earlier[["lead_id", "as_of_before"]]
    schema = spine.schema.append(pa.field("as_of_before", pa.timestamp("us", tz="UTC")))
    return pa.Table.from_pandas(
        spine.to_pandas().merge(moments, on="lead_id"), schema=schema, preserve_index=False
    )


def in_utc(moment: Any, zone: str) -> pd.Timestamp:
    """Read a moment; without a zone of its own it is in `zone`."""
    try:
        read = moment if type(moment) is pd.Timestamp else pd.Timestamp(moment)
    except ValueError:
        raise InputError(
            f"as_of should be a timestamp such as 2025-06-30T22:00:00Z, it is {moment!r}"
        ) from None
    if read.tzinfo is UTC:  # converting takes as long as reading
        return read
    return (read.tz_localize(zone) if read.tzinfo is None else read).tz_convert("UTC")


if __name__ == "__main__":
    import sys

    from propensity.cli import main

    main(["score", *sys.argv[1:]])
