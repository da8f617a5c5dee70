"""Files of scores made by hand, as a scoring leaves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from propensity.explain.reasons import REASONS_TYPE

AT = pd.Timestamp("2025-06-30T22:30:00Z")


def scored(lead_id: str, **changed: Any) -> dict[str, Any]:
    """A lead's row of scores.parquet; `reasons` may be given as sentences."""
    row: dict[str, Any] = {
        "lead_id": lead_id,
        "as_of": AT,
        "probability": 0.1234567,
        "score": 47.04,
        "tier": "nurture",
        "fit_points": -1.25,
        "engagement_points": 3.0,
        "expected_value": 12.5,
        "reasons": ["Industry is software: +3.", "No visit so far: -1."],
        "model_version": "abcdefabcdef",
        "scored_at": AT + pd.Timedelta(minutes=5),
        "grade": "B2",
        "expected_amount": 5000.0,
    } | changed
    texts = row["reasons"]
    row["reasons"] = [
        {"feature": "f", "qualifier": "web", "value": None, "points": 0.0, "text": text} for text in texts
    ]
    return row


def write_scores(rows: list[dict[str, Any]], path: Path) -> Path:
    """Write rows of scores as Parquet, with the types that scoring writes."""
    frame = pd.DataFrame(rows)
    for column in ("as_of", "scored_at"):
        frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[us, UTC]")
    table = pa.table(
        {
            name: pa.array(frame[name].tolist(), REASONS_TYPE)
            if name == "reasons"
            else pa.Array.from_pandas(frame[name])
            for name in frame
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")
    return path
