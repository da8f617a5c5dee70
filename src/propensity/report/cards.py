"""The lead cards: all that the page shows of a lead, and how its score adds up."""

from __future__ import annotations

from typing import Any

import pandas as pd

from propensity.errors import InputError
from propensity.report.counts import TIERS
from propensity.report.figures import make_figure
from propensity.report.levers import UNNAMED, rests_on
from propensity.report.numbers import Row, count, day, decimal, finite, share, signed, text, title


def describe_cards(cards: pd.DataFrame, cutoffs: Row) -> list[dict[str, Any]]:
    """Return what the page shows of each lead, with the waterfall of its points.

    The expected value is left out where it is nought for every lead: nothing was said of money then.
    Identifiers stay as they are, for verdicts come back by them.

    Parameters
    ----------
    cards : DataFrame
        As `context.build_context`.
    cutoffs : mapping
        ``mql`` and ``sql``, each with its ``score``.

    Raises
    ------
    InputError
        The points of a lead do not add up to its score.
    """
    valued = bool((cards["expected_value"].astype("float64").fillna(0.0) != 0).any())
    rows = enumerate(cards.to_dict(orient="records"), start=1)
    return [_describe_card(index, row, cutoffs, valued=valued) for index, row in rows]


def _describe_card(index: int, row: Row, cutoffs: Row, *, valued: bool) -> dict[str, Any]:
    lead, steps, value = str(row["lead_id"]), _steps(row), finite(row["expected_value"])
    desc = ", ".join(f"{s['label']} {s['text']}" for s in steps)
    moment: str = "" if pd.isna(row["as_of"]) else pd.Timestamp(row["as_of"]).isoformat()
    reasons = _records(row["reasons"])
    facts = [{"label": text(f["label"]), "value": text(f["value"])} for f in _records(row["facts"])]
    return {
        "index": index,
        "lead_id": lead,
        "model_version": text(row["model_version"]),
        "why": title(text(row["why_shown"])),
        "tier": row["tier"] if row["tier"] in TIERS else "unknown",
        "tier_name": TIERS.get(row["tier"], text(row["tier"])),
        "grade": _given(row, "grade"),
        "score": decimal(row["score"], 1),
        "probability": share(row["probability"]),
        "as_of": day(row["as_of"]) if moment else "",
        "as_of_iso": moment,
        "expected_value": count(value) if valued and value is not None else "",
        "value_note": _tell_value(row),
        **{side: _side(row, side) for side in ("fit_points", "engagement_points")},
        "facts": facts,
        "figure": make_figure(f"lead-{index}-points", f"How the score of {text(lead)} adds up", desc, steps),
        "qualifiers": list(dict.fromkeys(q for r in reasons if (q := r["qualifier"]) and q not in UNNAMED)),
        "rests_on": rests_on(row["tier"], row["score"], reasons, cutoffs),
        **{name: _given(row, name) for name in ("channel", "owner", "outcome")},
        **{name: _known(row.get(name)) for name in ("change", "timeline", "lifts")},
    }


def _tell_value(row: Row) -> str:
    """Say in which currency the expected value is, how sure it is and what amount it rests on."""
    names = ("expected_value_low", "expected_value_high", "expected_amount", "amount_wins")
    low, high, amount, wins = (finite(row.get(name)) for name in names)
    told = ["in the currency of cutoffs.value"]
    if low is not None and high is not None and row["tier"] != "disqualified":
        told.append(f"95% interval {count(low)} to {count(high)}")
    if amount is not None:
        behind = f", by {count(wins)} wins like it" if wins else ""
        told.append(f"won, it would bring {count(amount)}{behind}")
    return "; ".join(told)


def _side(row: Row, name: str) -> str:
    points = finite(row.get(name))
    return "" if points is None else signed(points)


def _given(row: Row, name: str) -> str:
    """Return a text that may not be there."""
    value = row.get(name)
    return "" if value is None or pd.isna(value) else text(value)


def _known(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


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
