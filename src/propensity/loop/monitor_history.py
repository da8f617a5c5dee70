"""The history of what `propensity monitor` said: every signal, and every estimate with what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from propensity.data.files import write_parquet
from propensity.evaluation.estimated import compute_realised
from propensity.loop.estimates import DAYS
from propensity.loop.signals import Signal
from propensity.loop.watch import Watch

FILE = "monitor_history.parquet"
TEXTS = (
    "kind",
    "model_version",
    "code",
    "check",
    "status",
    "severity",
    "subject",
    "message",
    "next_step",
    "evidence",
)
MOMENTS = ("as_of", "period_start", "period_end")
NUMBERS = ("n", "estimate", "low", "high", "realised")


def append_history(path: Path, watch: Watch, signals: Sequence[Signal], model_version: str) -> pd.DataFrame:
    """Add a look's signals and estimates, and fill in what earlier estimates came to.

    Parameters
    ----------
    path : Path
        The Parquet file; it is replaced as a whole.
    watch : Watch
    signals : sequence of Signal
    model_version : str

    Returns
    -------
    DataFrame
        The whole history, by moment: ``kind`` signal or estimate; of a signal its fields, ``evidence`` as
        JSON; of an estimate the figure as ``subject``, its period, ``n``, ``estimate``, ``low, high``, and
        ``realised`` once all labels of the period are final. A look at the same moment with the same model
        takes the place of an earlier one.
    """
    fresh = [_signal_row(signal) for signal in signals]
    for signal in signals:
        fresh += _estimate_rows(signal, watch.as_of)
    new = _typed(
        pd.DataFrame([row | {"as_of": watch.as_of, "model_version": model_version} for row in fresh])
    )
    known = _typed(pd.read_parquet(path)) if path.exists() else new.head(0)
    again = (known["as_of"] == pd.Timestamp(watch.as_of)) & (known["model_version"] == model_version)
    table = pd.concat([known[~again], new]).sort_values(
        ["as_of", "model_version", "kind", "code", "subject"], kind="stable", ignore_index=True
    )
    if watch.refused is None:
        table = fill_realised(table, watch, model_version)
    write_parquet(table, path)
    return table


def fill_realised(table: pd.DataFrame, watch: Watch, model_version: str) -> pd.DataFrame:
    """Return the history with the realised figure of each estimate whose labels are all final."""
    final = pd.Timestamp(watch.as_of) - pd.Timedelta(days=watch.horizon_days)
    due = (table["kind"] == "estimate") & table["realised"].isna() & (table["period_end"] <= final)
    due &= table["model_version"] == model_version
    filled = table.copy()
    for (start, end), rows in table[due].groupby(["period_start", "period_end"]):
        inside = watch.rows[(watch.rows["as_of"] > start) & (watch.rows["as_of"] <= end)]
        if len(inside) == rows["n"].iloc[0]:
            came = compute_realised(inside["won"].to_numpy(dtype=bool), inside["probability"].to_numpy())
            filled.loc[rows.index, "realised"] = rows["subject"].map(came).astype("float64")
    return filled


def count_coverage(table: pd.DataFrame) -> dict[str, int]:
    """Return how many estimates have been realised, and how many of them lie in their interval."""
    known = table[(table["kind"] == "estimate") & table["realised"].notna()]
    inside = (known["realised"] >= known["low"]) & (known["realised"] <= known["high"])
    return {"realised": len(known), "inside": int(inside.sum())}


def _signal_row(signal: Signal) -> dict[str, Any]:
    row = {name: getattr(signal, name) for name in TEXTS if hasattr(signal, name)}
    evidence = json.dumps(signal.evidence, sort_keys=True, default=str)
    return row | {"kind": "signal", "evidence": evidence, "n": signal.evidence.get("n")}


def _estimate_rows(signal: Signal, as_of: datetime) -> list[dict[str, Any]]:
    end = pd.Timestamp(as_of)
    found = signal.evidence.get("estimates")
    if not isinstance(found, dict):
        return []
    return [
        {
            "kind": "estimate",
            "code": signal.code,
            "check": signal.check,
            "subject": name,
            "period_start": end - pd.Timedelta(days=DAYS),
            "period_end": end,
            "n": signal.evidence["n"],
            "estimate": made["value"],
            "low": made["low"],
            "high": made["high"],
        }
        for name, made in found.items()
    ]


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    columns = {
        name: table.get(name, pd.Series(index=table.index, dtype="object"))
        for name in (*MOMENTS, *TEXTS, *NUMBERS)
    }
    frame = pd.DataFrame(columns, index=table.index)
    for name in MOMENTS:
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    texts = dict.fromkeys(TEXTS, "str")
    return frame.astype(texts | dict.fromkeys(NUMBERS, "float64"))
