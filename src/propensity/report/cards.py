"""Which leads are worth looking at together, what is known about them, and how each score adds up."""

from __future__ import annotations

from typing import Any

import pandas as pd

from propensity.errors import InputError
from propensity.features.catalogue import Plan
from propensity.report.counts import TIERS
from propensity.report.figures import make_figure
from propensity.report.numbers import Row, count, day, decimal, finite, share, signed, text, title, trim


def choose_cards(scores: pd.DataFrame, cutoffs: dict[str, Any], *, most: int = 30) -> pd.DataFrame:
    """Choose leads for the review: the top, either side of each cut-off, the disqualified.

    Parameters
    ----------
    scores : DataFrame
        As in ``scores.parquet``.
    cutoffs : dict
        The content of ``cutoffs.json``.
    most : int
        Cards at most.

    Returns
    -------
    DataFrame
        Rows of `scores` with ``why_shown``, likeliest first within each group; a lead once.
    """
    ordered = scores.sort_values(["probability", "lead_id"], ascending=[False, True])
    out = ordered["tier"] == "disqualified"
    pursued = ordered[~out]
    each = max(most // 6, 1)
    groups = [("top of the queue", pursued.head(each))]
    for name in ("sql", "mql"):
        above = pursued["probability"] >= cutoffs[name]["probability"]
        groups.append((f"just above the {name.upper()} cut-off", pursued[above].tail(each)))
        groups.append((f"just under the {name.upper()} cut-off", pursued[~above].head(each)))
    groups.append(("disqualified", ordered[out].head(each)))
    cards = pd.concat([rows.assign(why_shown=why) for why, rows in groups])
    return cards.drop_duplicates("lead_id").head(most).reset_index(drop=True)


def add_facts(cards: pd.DataFrame, leads: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Add ``facts``, what is known of each lead: account, channel, creation and the model's attributes.

    Parameters
    ----------
    cards : DataFrame
    leads : DataFrame
        Canonical leads; only columns the model reads are shown.
    plan : Plan

    Returns
    -------
    DataFrame
        `cards` with a list of ``{label, value}`` a row.
    """
    shown = ["account_id", "channel", "created_at", *(c for c in plan.attributes if c in leads.columns)]
    known = leads.set_index("lead_id").reindex(cards["lead_id"])[list(dict.fromkeys(shown))]
    facts = [
        [
            {"label": title(str(name).removesuffix("_id")), "value": _tell(value)}
            for name, value in row.items()
            if pd.notna(value)
        ]
        for row in known.to_dict(orient="records")
    ]
    return cards.assign(facts=pd.Series(facts, index=cards.index, dtype="object"))


def _tell(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return trim(value) if isinstance(value, float) else str(value)


def describe_cards(cards: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what the page shows of each lead, with the waterfall of its points.

    The expected value is left out where it is nought for every lead: nothing was said of money then.

    Raises
    ------
    InputError
        The points of a lead do not add up to its score.
    """
    valued = bool((cards["expected_value"].astype("float64").fillna(0.0) != 0).any())
    rows = enumerate(cards.to_dict(orient="records"), start=1)
    return [_describe_card(index, row, valued=valued) for index, row in rows]


def _describe_card(index: int, row: Row, *, valued: bool) -> dict[str, Any]:
    lead, steps, value = text(row["lead_id"]), _steps(row), finite(row["expected_value"])
    desc = ", ".join(f"{s['label']} {s['text']}" for s in steps)
    return {
        "index": index,
        "lead_id": lead,
        "why": title(text(row["why_shown"])),
        "tier": row["tier"] if row["tier"] in TIERS else "unknown",
        "tier_name": TIERS.get(row["tier"], text(row["tier"])),
        "score": decimal(row["score"], 1),
        "probability": share(row["probability"]),
        "as_of": "" if pd.isna(row["as_of"]) else day(row["as_of"]),
        "expected_value": count(value) if valued and value is not None else "",
        "facts": [{"label": text(f["label"]), "value": text(f["value"])} for f in _records(row["facts"])],
        "figure": make_figure(f"lead-{index}-points", f"How the score of {lead} adds up", desc, steps),
    }


def _steps(row: Row) -> list[dict[str, Any]]:
    """Return the waterfall's bars from base to score, empty for a lead without a score or reasons."""
    score, base, reasons = finite(row["score"]), finite(row["base_points"]), _records(row["reasons"])
    if score is None or base is None or not reasons:
        return []
    steps = [_step("Start", 0.0, base, "total", "Where every lead starts")]
    number = 0
    for reason in reasons:
        number += reason["feature"] != "other"
        label = "other" if reason["feature"] == "other" else f"{number} {text(reason['qualifier'])}"
        before = steps[-1]["end"]
        steps.append(_step(label, before, before + reason["points"], "", text(reason["text"])))
    _check_sum(text(row["lead_id"]), steps[-1]["end"], score)
    return [*steps, _step("Score", 0.0, score, "total", "The start and all points together")]


def _check_sum(lead: str, total: float, score: float) -> None:
    if abs(score - total) > 1e-6:
        raise InputError(
            f"the points of lead {lead} should add up to its score {score:g}, they add up to {total:g}; "
            "write the scores again with the bundle they came from"
        )


def _step(label: str, start: float, end: float, kind: str, sentence: str) -> dict[str, Any]:
    change = end - start
    told = decimal(end, 1) if kind == "total" else signed(change)
    kind = kind or ("flat" if told == "0.0" else "down" if change < 0 else "up")
    return {"label": label, "start": start, "end": end, "kind": kind, "text": told, "sentence": sentence}


def _records(value: Any) -> list[Row]:
    """A list column read from Parquet is an array, and null where there is none."""
    return [] if value is None or value is pd.NA or isinstance(value, float) else list(value)
