"""Scored leads as texts, a chunk at a time: one way to write each value, whatever file it goes to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

CHUNK_ROWS = 2_000
DECIMALS = {
    "score": 1,
    "probability": 4,
    "fit_points": 1,
    "engagement_points": 1,
    "expected_value": 2,
    "expected_amount": 2,
}
MOMENTS = ("as_of", "scored_at")
_BETWEEN_REASONS = " | "


def read_chunks(scores: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the named columns of a file of scores, at most `CHUNK_ROWS` rows at a time, in its order.

    ``reasons`` comes as one text a lead: the sentences of its reasons, the weightiest first.
    """
    with pq.ParquetFile(scores, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=columns):
            if "reasons" in columns:
                place = batch.schema.get_field_index("reasons")
                batch = batch.set_column(place, "reasons", join_reasons(batch.column(place)))
            yield batch


def join_reasons(reasons: pa.ListArray) -> pa.Array:
    """Return each lead's sentences as one text, null for a lead without any."""
    texts = pc.struct_field(reasons.values, "text")
    sentences = pa.ListArray.from_arrays(reasons.offsets, texts)
    filled = pc.fill_null(pc.binary_join(sentences, _BETWEEN_REASONS), "")
    return pc.if_else(pc.equal(filled, ""), None, filled)


def write_values(column: pa.Array, name: str) -> list[str | None]:
    """Return a column's values as text: decimals with a point, moments as UTC dates, null as None."""
    values: list[Any] = column.to_pylist()
    if name in DECIMALS:
        digits = DECIMALS[name]
        return [None if v is None or v != v else write_decimal(v, digits) for v in values]
    if name in MOMENTS:
        return [None if v is None else f"{v:%Y-%m-%d}" for v in values]
    return [None if v is None or v == "" else str(v) for v in values]


def write_decimal(value: float, digits: int) -> str:
    """Return a number with a point, and a zero without a sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}"
