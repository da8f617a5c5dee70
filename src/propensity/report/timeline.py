"""What each lead shown did, on a line of days with the snapshot at zero."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd

from propensity.features.catalogue import Plan
from propensity.report.numbers import count, day, text

LANES = {"web": "Web", "email": "E-mail", "social": "Social", "sales": "Sales"}
MOST_MARKS, FEWEST_MARKS, MOST_AFTER = 40, 12, 10
MARKS_IN_ALL = 8000  # on a page, which has to stay small
LONGEST_NAME = 60
SECONDS_PER_DAY = 86_400


def add_timelines(
    cards: pd.DataFrame, events: pd.DataFrame | None, plan: Plan, *, until: datetime | None
) -> pd.DataFrame:
    """Add ``timeline``, what each lead did before and after its snapshot; None where nothing is known.

    The same action on the same day is one mark. Of what the model could know the newest marks are kept, of
    what came after the first few.

    Parameters
    ----------
    cards : DataFrame
        ``lead_id, as_of``.
    events : DataFrame or None
        Canonical events of these leads, ``lead_id, event_at, known_at, type, asset``; None where there are
        none.
    plan : Plan
        Only the event types the model reads are shown.
    until : datetime or None
        The last moment the data covers; what came later is not shown.

    Returns
    -------
    DataFrame
        `cards` with ``{start, end, moment, lanes, more, caption}`` a row: ``start`` and ``end`` in days from
        the snapshot, which is ``moment``, 0; a lane a qualifier, with ``marks`` of ``{x, text, after}``;
        ``more``, the actions without a mark. ``after`` marks what happened, or became known, after the
        snapshot, so that the score does not rest on it.
    """
    most = max(FEWEST_MARKS, min(MOST_MARKS, MARKS_IN_ALL // max(len(cards), 1)))
    qualifier = {t: q for q, types in plan.event_types.items() for t in types}
    if events is None:
        return cards.assign(timeline=None)
    shown = events[events["type"].isin(list(qualifier))]
    if until is not None:
        shown = shown[(shown["event_at"] <= until) & (shown["known_at"] <= until)]
    paired = cards[["lead_id", "as_of"]].merge(shown, on="lead_id").dropna(subset=["as_of"])
    marks = _merge_marks(paired.assign(lane=paired["type"].map(qualifier)))
    told = {lead: _describe(rows, most) for lead, rows in marks.groupby("lead_id")}
    made = [told.get(lead) for lead in cards["lead_id"]]
    return cards.assign(timeline=pd.Series(made, index=cards.index, dtype="object"))


def _merge_marks(paired: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each action of a lead on a day, at the time of its last."""
    placed = paired.assign(
        x=(paired["event_at"] - paired["as_of"]).dt.total_seconds() / SECONDS_PER_DAY,
        after=(paired["event_at"] > paired["as_of"]) | (paired["known_at"] > paired["as_of"]),
        late=(paired["event_at"] <= paired["as_of"]) & (paired["known_at"] > paired["as_of"]),
        day=paired["event_at"].dt.floor("D"),
    )
    keys = ["lead_id", "as_of", "lane", "type", "asset", "day", "after", "late"]
    merged = placed.groupby(keys, dropna=False, sort=False)["x"].agg(x="max", n="size")
    return merged.reset_index().sort_values(["lead_id", "x", "type"], kind="stable")


def _describe(rows: pd.DataFrame, most: int) -> dict[str, Any]:
    after = rows[rows["after"]].head(MOST_AFTER)
    kept = pd.concat([rows[~rows["after"]].tail(most - len(after)), after]).sort_values("x", kind="stable")
    lanes = [
        {"name": LANES.get(str(lane), text(lane)), "marks": [_mark(m) for m in marks.to_dict("records")]}
        for lane, marks in sorted(kept.groupby("lane"), key=lambda pair: _place(str(pair[0])))
    ]
    return {
        "start": min(round(float(kept["x"].min()), 2), 0.0),
        "end": max(round(float(kept["x"].max()), 2), 0.0),
        "moment": 0.0,
        "lanes": lanes,
        "more": int(rows["n"].sum() - kept["n"].sum()),
        "caption": _caption(rows),
    }


def _place(lane: str) -> tuple[int, str]:
    known = list(LANES)
    return (known.index(lane) if lane in known else len(known), lane)


def _mark(row: dict[Any, Any]) -> dict[str, Any]:
    asset = "" if pd.isna(row["asset"]) else f" {text(row['asset'], longest=LONGEST_NAME)}"
    times = f", {row['n']:,} times" if row["n"] > 1 else ""
    late = ", known later" if row["late"] else ""
    told = f"{text(row['type'], longest=LONGEST_NAME)}{asset}{times}, {day(row['day'])}{late}"
    return {"x": round(float(row["x"]), 2), "text": told, "after": bool(row["after"])}


def _caption(rows: pd.DataFrame) -> str:
    before, after = (int(rows.loc[rows["after"] == later, "n"].sum()) for later in (False, True))
    actions = f"{count(before)} action{'' if before == 1 else 's'} known at the snapshot"
    since = f", {count(after)} that came or became known after it" if after else ""
    return f"{actions} of {day(rows['as_of'].iloc[0])}{since}"
