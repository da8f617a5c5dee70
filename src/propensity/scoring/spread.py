"""Scoring where the rows are: on Spark every executor reads the bundle and scores its own part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from propensity.data.timing import timed
from propensity.errors import BundleError

if TYPE_CHECKING:
    from propensity.scoring.chunks import Chunk
    from propensity.scoring.jobs import Job

PLACE, COUNTED = "snapshot", "counted"  # what stands beside the scores
_MET, _VALUE, _TIER = "__met_{}", "__value_{}", "__tier_before"


def spread(job: Job) -> Job:
    """Return the job with all its leads scored, in files, if its engine has executors to do it.

    The bundle is read from its folder, which they see under the same path, and verified by each of them.
    """
    from propensity.data.engines import map_batches, stage

    if job.con.name != "pyspark":
        return job
    with timed("features"):
        rows = stage(job.con, _rows_to_score(job).order_by(PLACE))
    score = partial(score_batches, folder=str(job.made.folder), version=job.made.model_version)
    with timed("scores"):
        schema = _score(job.made, job.con.to_pyarrow(rows.limit(0)).to_pandas()).schema
        return replace(job, spread=stage(job.con, map_batches(job.con, rows, score, schema)))


def score_batches(
    batches: Iterator[pa.RecordBatch], *, folder: str, version: str
) -> Iterator[pa.RecordBatch]:
    """Score batches of the rows of `spread` with the bundle in a folder.

    Raises
    ------
    BundleError
        The bundle fails verification, or is another model than `version`.
    """
    made = _read(folder, version)
    for batch in batches:
        yield from _score(made, pa.Table.from_batches([batch]).to_pandas()).to_batches()


def take_chunk(job: Job, number: int, *, scored_at: datetime) -> Chunk:
    """Return a chunk of a job that was spread, as `score_chunk` does."""
    from propensity.explain.reasons import REASONS_TYPE
    from propensity.scoring.chunks import Chunk
    from propensity.scoring.counts import add_counts

    first = number * job.chunk_rows
    table = job.spread
    mine = table.filter(table[PLACE] >= first, table[PLACE] < first + job.chunk_rows).order_by(PLACE)
    found = job.con.to_pyarrow(mine)
    scores = found.drop_columns([PLACE, COUNTED, "reasons"]).to_pandas()
    reasons: Any = pd.array(found["reasons"].cast(REASONS_TYPE), dtype=pd.ArrowDtype(REASONS_TYPE))
    scores.insert(found.column_names.index("reasons") - 1, "reasons", reasons)
    scores["scored_at"] = pd.Timestamp(scored_at).as_unit("us")
    counted = add_counts([json.loads(text) for text in found[COUNTED].to_pylist() if text])
    tiers = {str(tier): int(n) for tier, n in scores["tier"].value_counts().items()}
    counts = {"rules": {}, "unknown": {}} | counted | {"leads": len(scores), "tiers": tiers}
    return Chunk(scores, counts)


def _rows_to_score(job: Job) -> Any:
    """Return the features of each lead with the rules that it meets and the tier that it may keep."""
    from propensity.bundled import trained_with
    from propensity.decisions.rules import rule_hits
    from propensity.features.build import build_features

    read = {name: job.tables.get(name) for name in ("events", "outcomes", "history")}
    rows = build_features(job.spine, job.tables["leads"], job.made.plan, **read)
    rules = trained_with(job.made).disqualify
    hits = rule_hits(job.tables["leads"].semi_join(job.spine, "lead_id"), rules)
    if rules:
        met: dict[str, Any] = {}
        for place in range(1, len(rules) + 1):
            mine = hits.rule == place
            met[_MET.format(place)] = hits.count(where=mine) > 0
            met[_VALUE.format(place)] = hits.value.max(where=mine)
        rows = rows.left_join(hits.group_by(of_lead=hits.lead_id).agg(**met), [("lead_id", "of_lead")])
        rows = rows.drop("of_lead")
    if job.held is not None:
        held = job.held.select(of_lead="lead_id", **{_TIER: job.held.tier})
        rows = rows.left_join(held, [("lead_id", "of_lead")]).drop("of_lead")
    return rows


@cache
def _read(folder: str, version: str) -> Any:
    """Read the bundle once a process; an executor's task has one core."""
    from propensity.model.bundle import read_bundle

    made = read_bundle(Path(folder), threads=1)
    if made.model_version != version:
        raise BundleError(
            f"{folder} holds model {made.model_version}, the scoring began with {version}; score again"
        )
    return made


def _score(made: Any, table: pd.DataFrame) -> pa.Table:
    from propensity.batch import count_unknown, score_rows

    hits = _hits(made, table)
    tiers: dict[str, str] | None = None
    if _TIER in table:
        tiers = dict(table.loc[table[_TIER].notna(), ["lead_id", _TIER]].itertuples(index=False))
    scores = score_rows(made, table, hits, previous=tiers)
    scores.insert(0, PLACE, table[PLACE].to_numpy(dtype="int64"))
    rules = {str(rule): int(n) for rule, n in hits.groupby("rule")["lead_id"].nunique().items()}
    counts = json.dumps({"rules": rules, "unknown": dict(count_unknown(made, table))})
    told = [counts, *[None] * (len(scores) - 1)][: len(scores)]
    found = pa.Table.from_pandas(scores.assign(scored_at=pd.Timestamp(0, tz="UTC").as_unit("us")))
    found = found.append_column(COUNTED, pa.array(told, type=pa.string()))
    plain = [field.with_type(_plain(field.type)) for field in found.schema]
    return found.cast(pa.schema(plain)).replace_schema_metadata()


def _hits(made: Any, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rules that the rows meet, as `rule_hits` does."""
    from propensity.bundled import trained_with

    parts = []
    for place, rule in enumerate(trained_with(made).disqualify, start=1):
        met = table[table[_MET.format(place)].fillna(value=False).astype(bool)]
        about: Mapping[str, Any] = {"rule": place, "reason": rule.reason, "column": rule.column}
        parts.append(met[["lead_id"]].assign(**about, value=met[_VALUE.format(place)]))
    columns = ["lead_id", "rule", "reason", "column", "value"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_large_string(kind) else kind
