"""The feed of crossings: who became an MQL or an SQL, who fell back, when and why, as lines of JSON.

``scores/crossings.jsonl`` has a line for each crossing, the newest last. A scoring adds its own and drops
those older than ``crm.crossings_days``; one that is repeated adds nothing, since a crossing has one ``key``
however often it is found. Readers remember the keys they have acted on.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.dataset as ds

from propensity.data.files import atomic_path
from propensity.errors import InputError
from propensity.explain.previous import RANK
from propensity.workspace import Workspace, shown

QUALIFIED = ("mql", "sql")


def append_crossings(ws: Workspace, con: Any, events: Any | None) -> str:
    """Add the crossings of the latest scoring to the feed, and return in a sentence what was added.

    Parameters
    ----------
    ws : Workspace
        With ``scores/changes.parquet``.
    con : ibis backend
    events : ibis table or None
        Canonical events. Without them, and for data without dates, no event is named.

    Raises
    ------
    InputError
        A line of the feed cannot be read; the feed is left as it is.
    """
    rows = _with_events(con, find_crossings(ws), events).to_dict("records")
    lines = [crossing_line(dict(row)) for row in rows]
    kept = _recent(_read_lines(ws.crossings), lines, days=ws.params.crm.crossings_days)
    known = {line["key"] for line in kept}
    fresh = [line for line in lines if line["key"] not in known]
    if fresh:
        with atomic_path(ws.crossings) as temporary, temporary.open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in [*kept, *fresh])
    down = sum(line["crossed"] == "down" for line in fresh)
    return f"{len(fresh) - down:,} leads became MQL or SQL, {down:,} fell back; {shown(ws.crossings)}"


def find_crossings(ws: Workspace) -> pd.DataFrame:
    """Return the leads that came into MQL or SQL, from another tier or as new leads, or fell back from them.

    Returns
    -------
    DataFrame
        The columns of ``changes.parquet`` with ``probability, reasons, scored_at`` of the scores; the highest
        tier and score first.
    """
    tier, before = ds.field("tier"), ds.field("tier_before")
    qualified, was = tier.isin(list(QUALIFIED)), before.isin(list(QUALIFIED))
    new = qualified & before.is_null()
    changed = ds.dataset(ws.scores.with_name("changes.parquet")).to_table(
        filter=new | ((tier != before) & (qualified | was))
    )
    scores = ds.dataset(ws.scores).to_table(
        columns=["lead_id", "probability", "reasons", "scored_at"],
        filter=ds.field("lead_id").isin(changed["lead_id"].combine_chunks()),
    )
    both: pd.DataFrame = changed.to_pandas().merge(scores.to_pandas(), on="lead_id", validate="1:1")
    ranked = both.assign(rank=both["tier"].map(RANK))
    ranked = ranked.sort_values(
        ["rank", "score", "lead_id"], ascending=[False, False, True], ignore_index=True
    )
    return ranked.drop(columns="rank")


def crossing_line(row: dict[Any, Any]) -> dict[str, Any]:
    """Return a crossing as it stands in the feed.

    Parameters
    ----------
    row : dict
        A row of `find_crossings` with ``age_us, type, asset`` of the latest event that became known since.
    """
    before = None if pd.isna(row["tier_before"]) else row["tier_before"]
    event = None
    if not pd.isna(row["age_us"]):
        at = row["as_of"] - pd.Timedelta(microseconds=int(row["age_us"]))
        asset = None if pd.isna(row["asset"]) else row["asset"]
        event = {"at": _written(at), "type": row["type"], "asset": asset}
    line = {
        "lead_id": row["lead_id"],
        "crossed": "new" if before is None else row["crossed"],
        "tier_before": before,
        "tier": row["tier"],
        "score_before": None if before is None else round(row["score_before"], 1),
        "score": round(row["score"], 1),
        "probability": round(row["probability"], 4),
        "why": row["why"],
        "reasons": [reason["text"] for reason in row["reasons"] if reason["text"]],
        "as_of_before": _written(row["as_of_before"]),
        "as_of": _written(row["as_of"]),
        "scored_at": _written(row["scored_at"]),
        "event": event,
        "minutes_since_event": None if event is None else _minutes(row["age_us"] / 60e6),
        "minutes_to_scoring": _minutes((row["scored_at"] - row["as_of"]).total_seconds() / 60),
        "model_version": row["model_version"],
    }
    return {"key": crossing_key(line), **line}


def crossing_key(line: dict[str, Any]) -> str:
    """Return what a crossing is known by: the same for the same lead, moment, tiers and model.

    Without dates there is no moment to tell one crossing from the next; the time of scoring stands in.
    """
    moment = line["as_of"] or line["scored_at"]
    parts = [line["lead_id"], moment, line["tier_before"], line["tier"], line["model_version"]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def _with_events(con: Any, crossed: pd.DataFrame, events: Any | None) -> pd.DataFrame:
    """Return the crossings with the latest event that became known since the scoring before."""
    from propensity.data.fetch import fetch
    from propensity.features.latest import latest_news

    if events is None or crossed.empty or crossed["as_of"].isna().any():
        return crossed.assign(age_us=float("nan"), type=None, asset=None)
    spine = crossed[["lead_id", "as_of", "as_of_before"]].reset_index(names="snapshot")
    spine = con.create_table("crossed", spine, overwrite=True)
    news = fetch(con, latest_news(spine, events)).set_index("snapshot")
    return crossed.join(news)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    lines: list[dict[str, Any]] = []
    for number, text in enumerate(_texts(path), start=1):
        try:
            line = json.loads(text)
            datetime.fromisoformat(line["scored_at"]), line["key"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{shown(path)}, line {number}, should be a crossing as JSON with key and scored_at; it "
                f"could not be read: {error!r}. The scores are written; mend or remove the feed, and "
                "score again"
            ) from None
        lines.append(line)
    return lines


def _texts(path: Path) -> list[str]:
    # A text may hold other characters at which str.splitlines would split.
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def _recent(kept: list[dict[str, Any]], found: list[dict[str, Any]], *, days: float) -> list[dict[str, Any]]:
    """Return the lines of the feed that are not too old beside the newest."""
    moments = [datetime.fromisoformat(line["scored_at"]) for line in [*kept, *found]]
    first = max(moments, default=None)
    if first is None:
        return kept
    return [line for line, at in zip(kept, moments, strict=False) if at >= first - timedelta(days=days)]


def _written(moment: Any) -> str | None:
    return None if pd.isna(moment) else moment.isoformat()


def _minutes(value: float) -> float | None:
    return None if pd.isna(value) else round(value, 1)
