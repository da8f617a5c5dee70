"""What the review says: metrics, scores and cards turned into one plain dict with every number formatted.

The dict holds only texts, numbers, lists and dicts. A table is a `caption`, `columns` and `rows` of cells,
each a `text` with its `interval` (which may be empty); a figure is what `charts` draws, with its `table`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from propensity.errors import InputError, some
from propensity.report.charts import Figure

Row = Mapping[Any, Any]
Table = dict[str, Any]
Format = Callable[[Any], str]

NOT_AVAILABLE = "not available"
TIERS = {"sql": "SQL", "mql": "MQL", "nurture": "Nurture", "disqualified": "Disqualified"}
SECTIONS = (
    "split", "horizon_days", "model", "test", "calibrate", "baselines", "by_age", "by_channel", "reliability",
    "gains", "cutoff_curve", "cutoffs", "drivers", "qualifiers", "counts", "audit",
)  # fmt: skip
SCORE_COLUMNS = ("lead_id", "as_of", "probability", "score", "tier")
CARD_COLUMNS = (*SCORE_COLUMNS, "base_points", "expected_value", "reasons", "why_shown", "facts")
TABLE_ROWS, CURVE_POINTS, BARS, TEXT = 25, 200, 15, 240


def build_context(
    metrics: dict[str, Any], scores: pd.DataFrame, cards: pd.DataFrame, manifest: dict[str, Any]
) -> dict[str, Any]:
    """Gather all that the review shows.

    Parameters
    ----------
    metrics
        The content of ``reports/metrics.json``.
    scores
        One row per scored lead, as ``scores/scores.parquet``.
    cards
        The leads to show one by one: the columns of `scores` with `why_shown`, a text, and `facts`, a
        list of ``{label, value}``.
    manifest
        The bundle's ``manifest.json``: `model_version`, `data.observed_until` and `versions` are read.

    Raises
    ------
    InputError
        A section of `metrics` or a column is missing, rows read are not accepted plus quarantined, or a
        card's points do not add up to its score.
    """
    _check_present("reports/metrics.json", SECTIONS, metrics)
    _check_present("the scores", SCORE_COLUMNS, scores.columns)
    _check_present("the lead cards", CARD_COLUMNS, cards.columns)
    return {
        "heading": _heading(metrics, scores, manifest),
        "notices": _notices(metrics),
        "reading": _reading(metrics["cutoffs"].get("reference_odds")),
        "headline": _headline(metrics),
        "figures": {
            "reliability": _reliability(metrics),
            "gains": _gains(metrics["gains"]),
            "cutoff_curve": _cutoff_curve(metrics["cutoff_curve"], metrics["cutoffs"]),
            "qualifiers": _bars("qualifiers", "Points by family of evidence", metrics["qualifiers"]),
            "drivers": _bars("drivers", "Points by feature", metrics["drivers"]),
            "histogram": _histogram(scores, metrics["cutoffs"]),
        },
        "tables": _tables(metrics),
        "cards": [_card(i, row) for i, row in enumerate(cards.to_dict(orient="records"), start=1)],
    }


def _check_present(where: str, expected: Iterable[str], found: Iterable[Any]) -> None:
    present = list(found)
    missing = [name for name in expected if name not in present]
    if missing:
        raise InputError(
            f"the review needs {some(missing)} in {where}, which has {some(present, 30)}; run the stages "
            "evaluate and score again"
        )


def _heading(metrics: Row, scores: pd.DataFrame, manifest: Row) -> dict[str, Any]:
    moments = scores["as_of"].dropna()
    split = metrics["split"]
    return {
        "model_version": _text(manifest["model_version"]),
        "observed_until": _day(manifest["data"].get("observed_until")),
        "scored": _count(len(scores)),
        "as_of": _period(moments.min(), moments.max()) if len(moments) else "undated",
        "horizon": f"{_trim(metrics['horizon_days'])} days",
        "split_by": split["by"],
        "versions": [{"label": _text(k), "value": _text(v)} for k, v in manifest.get("versions", {}).items()],
    }


def _notices(metrics: Row) -> list[dict[str, str]]:
    cutoffs = metrics["cutoffs"]
    return [
        *_untimed(metrics["split"]["by"]),
        *(_unsupported(tier, cutoffs[tier]) for tier in ("mql", "sql") if not cutoffs[tier]["supported"]),
        *_beaten(metrics["test"], metrics["baselines"]),
        *_unranked(metrics["test"]),
        *_found(metrics["audit"]),
    ]


def _untimed(split_by: str) -> list[dict[str, str]]:
    if split_by != "random":
        return []
    text = (
        "There is no time in the data, so the test part was drawn at random. How well the model will do on "
        "leads that come later is unknown; it is usually worse than what is shown."
    )
    return [{"title": "Nothing here was tested on a later period", "text": text}]


def _unranked(test: Row) -> list[dict[str, str]]:
    if _finite(test["auc"]) is not None:
        return []
    size = f"The test part has {_count(test['n'])} snapshots, share won {_share(test['base_rate'])}"
    text = f"{size}; ranking is measured between won leads and others, so it takes both."
    return [{"title": "The ranking could not be measured", "text": text}]


def _found(audit: list[Any]) -> list[dict[str, str]]:
    if not audit:
        return []
    text = f"Number of findings: {_count(len(audit))}. Read them under 'audit' in reports/metrics.json first."
    return [{"title": "The audit of the data found something", "text": text}]


def _unsupported(tier: str, cutoff: Row) -> dict[str, str]:
    note = cutoff["note"] or "There are not enough data to set it as asked."
    return {"title": f"The {TIERS[tier]} cut-off is not supported by the data", "text": _text(note)}


def _beaten(test: Row, baselines: Row) -> list[dict[str, str]]:
    mine = _finite(test["log_loss"])
    notices = []
    for name, baseline in baselines.items():
        theirs = _finite(baseline["log_loss"])
        if mine is not None and theirs is not None and mine >= theirs:
            title = f"The model's probabilities are no better than the {_words(name)}"
            text = f"Log-loss on the test part: model {_loss(mine)}, {_words(name)} {_loss(theirs)}."
            notices.append({"title": title, "text": text})
    return notices


def _reading(reference_odds: Any) -> dict[str, Any]:
    odds = _finite(reference_odds)
    columns = ["Score", "Odds of being won", "Probability"]
    names = {
        30: "a quarter of the reference",
        40: "half",
        50: "the reference",
        60: "double",
        70: "four times",
    }
    rows = []
    for score, words in names.items():
        lead = None if odds is None else odds * 2 ** ((score - 50) / 10)
        rows.append(
            [_cell(str(score)), _cell(words), _cell(_share(None if lead is None else lead / (1 + lead)))]
        )
    reference = None if odds is None else odds / (1 + odds)
    return {"reference": _share(reference), "table": _table("What a score means", columns, rows, numeric=2)}


def _headline(metrics: Row) -> dict[str, Any]:
    test, baselines = metrics["test"], metrics["baselines"]
    part = metrics["split"]["parts"]["test"]
    kinds = {"time": "later test period", "order": "later test part", "random": "test part drawn at random"}
    others = {_words(name): values for name, values in baselines.items()}
    rows = [
        [_cell(title, note), _metric(test, name, show), *(_metric(b, name, show) for b in others.values())]
        for name, title, note, show in METRICS
    ]
    rows.append([_cell("Share won"), *(_metric(m, "base_rate", _share) for m in (test, *others.values()))])
    rows.append([_cell("Snapshots"), *(_cell(_count(m["n"])) for m in (test, *others.values()))])
    kind = kinds[metrics["split"]["by"]]
    return {
        "kind": kind,
        "period": f"{_size(part)}, {_period(part['from'], part['to'])}",
        "tiles": [_tile(row, test, others) for row in METRICS if row[0] in TILES],
        "table": _table(
            f"Model and baselines on the {kind}", ["Measure", "Model", *map(_title, others)], rows
        ),
    }


def _tile(metric: tuple[str, str, str, Format], test: Row, others: Row) -> dict[str, Any]:
    name, title, note, show = metric
    cell = _metric(test, name, show)
    return {
        "title": title,
        "note": note,
        **cell,
        "others": [f"{k}: {show(b[name])}" for k, b in others.items()],
    }


def _reliability(metrics: Row) -> dict[str, Any]:
    keys = ("mean_predicted", "observed", "low", "high")
    bins = metrics["reliability"]
    rows = [{**{k: r[k] for k in keys}, "text": _reliability_text(r)} for r in _complete(bins, keys)]
    cells = [
        [_cell(str(r["bin"])), _cell(_count(r["n"])), _cell(_share(r["mean_predicted"])),
         _cell(_share(r["observed"]), _range(r["low"], r["high"], _share))]
        for r in bins
    ]  # fmt: skip
    columns = ["Tenth", "Snapshots", "Predicted", "Share won"]
    desc = f"Share won against predicted probability in {len(rows)} groups of test snapshots, with intervals."
    table = _table("Predicted and observed, test part", columns, cells)
    return _figure("reliability", "Predicted against observed", desc, rows, table)


def _reliability_text(row: Row) -> str:
    won = f"{_share(row['observed'])} won ({_range(row['low'], row['high'], _share)})"
    return f"predicted {_share(row['mean_predicted'])}, {won}, n {_count(row['n'])}"


def _gains(gains: list[Row]) -> dict[str, Any]:
    known = _complete(gains, ("share_contacted", "share_won"))
    rows = [{"x": r["share_contacted"], "y": r["share_won"]} for r in _thin(known, CURVE_POINTS)]
    tenth = min(known, key=lambda r: abs(r["share_contacted"] - 0.1), default=None)
    marks, desc = [], "Share of wins reached against share of leads contacted, best first, on the test part."
    if tenth is not None:
        text = f"{_share(tenth['share_won'])} of wins in the best {_share(tenth['share_contacted'])}"
        marks = [{"x": tenth["share_contacted"], "y": tenth["share_won"], "text": text}]
        desc += f" {text}."
    cells = [
        [_cell(_share(r["share_contacted"])), _cell(_share(r["share_won"])), _cell(_times(r["lift"]))]
        for r in _thin(gains, TABLE_ROWS)
    ]
    table = _table("Gains, test part", ["Leads contacted", "Wins reached", "Lift"], cells)
    return _figure("gains", "Wins reached by contacting the best leads first", desc, rows, table, marks)


def _cutoff_marks(cutoffs: Row) -> list[dict[str, Any]]:
    known = [(TIERS[t], _finite(cutoffs[t]["score"])) for t in ("mql", "sql")]
    return [{"score": s, "text": f"{name} from {_decimal(s, 1)}"} for name, s in known if s is not None]


def _cutoff_curve(curve: list[Row], cutoffs: Row) -> dict[str, Any]:
    keys = ("precision", "recall", "share")
    known = sorted(_complete(curve, ("score",)), key=lambda r: float(r["score"]))
    rows = [{"score": r["score"], **{k: _finite(r[k]) for k in keys}} for r in _thin(known, CURVE_POINTS)]
    cells = [
        [
            _cell(_decimal(r["score"], 1)),
            _cell(_share(r["probability"])),
            *(_cell(_share(r[k])) for k in keys),
        ]
        for r in _thin(known, TABLE_ROWS)
    ]
    marks = _cutoff_marks(cutoffs)
    desc = "Precision, recall and share of leads for every possible cut-off, on the calibration part."
    desc = " ".join([desc, *(f"{m['text']}." for m in marks)])
    columns = ["Score from", "Probability from", "Share won", "Wins kept", "Leads"]
    table = _table("What each cut-off would give, calibration part", columns, cells)
    return _figure("cutoff-curve", "What each cut-off would give", desc, rows, table, marks)


def _bars(name: str, title: str, drivers: list[Row]) -> dict[str, Any]:
    ordered = sorted(_complete(drivers, ("mean_abs_points",)), key=lambda r: -float(r["mean_abs_points"]))
    named = [{**r, "label": _text(r.get("label") or r["qualifier"])} for r in ordered]
    rows = [
        {"label": r["label"], "value": r["mean_abs_points"], "text": _decimal(r["mean_abs_points"], 2)}
        for r in named[:BARS]
    ]
    cells = [
        [_cell(r["label"]), _cell(_text(r["qualifier"])), _cell(_decimal(r["mean_abs_points"], 2))]
        for r in named[:100]
    ]
    desc = "Mean size of the points given or taken per lead."
    if rows:
        desc += f" The largest: {rows[0]['label']}, {rows[0]['text']}."
    return _figure(name, title, desc, rows, _table(title, ["Evidence", "Family", "Mean points"], cells))


def _histogram(scores: pd.DataFrame, cutoffs: Row) -> dict[str, Any]:
    edges = np.arange(0, 101, 5)
    known = scores["score"].dropna().to_numpy(dtype=float)
    counts, _ = np.histogram(known, bins=edges)
    rows = [
        {"low": int(low), "high": int(low) + 5, "n": int(n), "text": f"{low} to {low + 5}: {_count(n)} leads"}
        for low, n in zip(edges[:-1], counts, strict=True)
    ]
    cells = [[_cell(f"{r['low']} to {r['high']}"), _cell(_count(r["n"]))] for r in rows]
    desc = f"Number of leads in each band of five points, {_count(len(known))} scored leads."
    table = _table("Leads by score", ["Score", "Leads"], cells)
    return _figure("histogram", "Leads by score", desc, rows, table, _cutoff_marks(cutoffs))


def _tables(metrics: Row) -> dict[str, Table]:
    split, model = metrics["split"], metrics["model"]
    return {
        "cutoffs": _cutoff_table(metrics["cutoffs"]),
        "by_age": _group_table("By age of the lead when scored, test part", "Age", metrics["by_age"], _age),
        "by_channel": _channel_table(metrics["by_channel"]),
        **_count_tables(metrics["counts"]),
        "split": _split_table(split),
        "dropped": _pairs("Left out of every part", split["dropped"]),
        "candidates": _choice_table("Models, stop part", model["candidates"], model["chosen"]),
        "calibrators": _choice_table(
            "Calibrators, calibration part", model["calibrators"], model["calibrator"]
        ),
    }


def _count_tables(counts: Row) -> dict[str, Table]:
    _check_counts(counts["ingest"])
    numbers = ["read", "accepted", "quarantined"]
    return {
        "ingest": _count_table("Rows read = accepted + quarantined", counts["ingest"], ["table"], numbers),
        "quarantine": _count_table(
            "Quarantined rows by rule", counts["quarantine"], ["table", "rule", "column"], ["rows"]
        ),
        "cohort": _pairs("From leads to snapshots", counts["cohort"]),
        "tiers": _pairs("Scored leads by tier", counts["tiers"], TIERS),
    }


def _check_counts(ingest: list[Row]) -> None:
    off = [r["table"] for r in ingest if r["read"] != r["accepted"] + r["quarantined"]]
    if off:
        raise InputError(
            f"rows read should equal rows accepted plus quarantined, they do not in table {some(off)} of "
            "counts.ingest in reports/metrics.json; run the stage ingest again"
        )


def _cutoff_table(cutoffs: Row) -> Table:
    both = [cutoffs[t] for t in ("mql", "sql")]
    rows = [
        [_cell("Rule"), *(_cell(_policy(c)) for c in both)],
        [_cell("Score from"), *(_cell(_decimal(c["score"], 1)) for c in both)],
        [_cell("Probability from"), *(_cell(_share(c["probability"])) for c in both)],
        [_cell("Share won above it", "precision"), *(_metric(c, "precision", _share) for c in both)],
        [_cell("Wins above it", "recall"), *(_metric(c, "recall", _share) for c in both)],
        [_cell("Leads above it"), *(_cell(_share(c["share"])) for c in both)],
        [_cell("Snapshots above it"), *(_cell(_count(c["n"])) for c in both)],
        [_cell("Supported by the data"), *(_cell("yes" if c["supported"] else "no") for c in both)],
        [_cell("Note"), *(_cell(_text(c["note"] or "none")) for c in both)],
    ]
    return _table("The two cut-offs, calibration part", ["", "MQL", "SQL"], rows, numeric=3)


def _policy(cutoff: Row) -> str:
    target = _percent(cutoff["target"])
    words = {
        "precision": f"at least {target} of the leads above it are won",
        "recall": f"at least {target} of the wins are above it",
    }
    sure = "" if cutoff["confidence"] is None else f", with {_percent(cutoff['confidence'])} confidence"
    return words.get(cutoff["policy"], f"{_text(cutoff['policy'])}, target {target}") + sure


def _group_table(caption: str, first: str, groups: list[Row], label: Callable[[Row], str]) -> Table:
    shown = ("auc", "lift_at_10", "ece")
    measures = [(name, title, show) for name, title, _, show in METRICS if name in shown]
    rows = [
        [
            _cell(label(g)),
            _cell(_count(g["n"])),
            _metric(g, "base_rate", _share),
            *(_metric(g, name, show) for name, _, show in measures),
        ]
        for g in groups
    ]
    return _table(caption, [first, "Snapshots", "Share won", *(title for _, title, _ in measures)], rows)


def _channel_table(groups: list[Row]) -> Table:
    ordered = sorted(groups, key=lambda g: -(g["n"] or 0))
    more = len(ordered) - TABLE_ROWS
    caption = "By channel, test part" + (
        f"; the {TABLE_ROWS} largest, {_count(more)} more left out" if more > 0 else ""
    )
    return _group_table(caption, "Channel", ordered[:TABLE_ROWS], lambda g: _text(g["channel"]))


def _count_table(caption: str, records: list[Row], texts: list[str], numbers: list[str]) -> Table:
    rows = [
        [*(_cell(_text(r[k])) for k in texts), *(_cell(_count(r[k])) for k in numbers)] for r in records[:100]
    ]
    return _table(caption, [_title(k) for k in (*texts, *numbers)], rows, numeric=len(texts))


def _pairs(caption: str, counts: Row, names: Mapping[str, str] | None = None) -> Table:
    rows = [[_cell((names or {}).get(k) or _title(_words(k))), _cell(_count(v))] for k, v in counts.items()]
    return _table(caption, ["", "Number"], rows)


def _split_table(split: Row) -> Table:
    rows = [
        [
            _cell(_title(_words(name))),
            _cell(_period(p["from"], p["to"])),
            *(_cell(_count(p[k])) for k in ("snapshots", "leads", "wins")),
        ]
        for name, p in split["parts"].items()
    ]
    caption = f"Parts, split by {split['by']}, no {_words(split['group'].removesuffix('_id'))} in two of them"
    return _table(caption, ["Part", "Period", "Snapshots", "Leads", "Wins"], rows, numeric=2)


def _choice_table(caption: str, choices: Row, chosen: str) -> Table:
    rows = [
        [_cell(_text(name)), _metric(row, "log_loss", _loss), _cell("chosen" if name == chosen else "")]
        for name, row in choices.items()
    ]
    return _table(caption, ["Name", "Log-loss", "Choice"], rows)


def _card(index: int, row: Row) -> dict[str, Any]:
    lead, steps, value = _text(row["lead_id"]), _steps(row), _finite(row["expected_value"])
    desc = ", ".join(f"{s['label']} {s['text']}" for s in steps)
    return {
        "index": index,
        "lead_id": lead,
        "why": _text(row["why_shown"]),
        "tier": row["tier"] if row["tier"] in TIERS else "unknown",
        "tier_name": TIERS.get(row["tier"], _text(row["tier"])),
        "score": _decimal(row["score"], 1),
        "probability": _share(row["probability"]),
        "as_of": _day(row["as_of"]),
        "expected_value": "" if value is None else _count(value),
        "facts": [{"label": _text(f["label"]), "value": _text(f["value"])} for f in _records(row["facts"])],
        "figure": _figure(f"lead-{index}-points", f"How the score of {lead} adds up", desc, steps),
    }


def _steps(row: Row) -> list[dict[str, Any]]:
    """Return the waterfall's bars from base to score, empty for a lead without a score or reasons.

    Raises
    ------
    InputError
        The points add up to another score.
    """
    score, base, reasons = _finite(row["score"]), _finite(row["base_points"]), _records(row["reasons"])
    if score is None or base is None or not reasons:
        return []
    steps = [_bar("Start", 0.0, base, "total", "Where every lead starts, before its own evidence")]
    number = 0
    for reason in reasons:
        number += reason["feature"] != "other"
        label = "other" if reason["feature"] == "other" else f"{number} {_text(reason['qualifier'])}"
        steps.append(
            _bar(label, steps[-1]["end"], steps[-1]["end"] + reason["points"], "", _text(reason["text"]))
        )
    _check_sum(_text(row["lead_id"]), steps[-1]["end"], score)
    return [*steps, _bar("Score", 0.0, score, "total", "The start and all points together")]


def _check_sum(lead: str, total: float, score: float) -> None:
    if abs(score - total) > 1e-6:
        raise InputError(
            f"the points of lead {lead} should add up to its score {score:g}, they add up to {total:g}; "
            "write the scores again with the bundle they came from"
        )


def _bar(label: str, start: float, end: float, kind: str, sentence: str) -> dict[str, Any]:
    change = end - start
    kind = kind or ("down" if change < 0 else "up")
    text = _decimal(end, 1) if kind == "total" else _signed(change)
    return {"label": label, "start": start, "end": end, "kind": kind, "text": text, "sentence": sentence}


def _figure(
    name: str,
    title: str,
    desc: str,
    rows: list[dict[str, Any]],
    table: Table | None = None,
    marks: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    drawn: Figure = {"name": name, "title": title, "desc": desc, "rows": rows, "marks": marks or []}
    return {**drawn, "table": table}


def _table(caption: str, columns: list[str], rows: list[list[dict[str, str]]], *, numeric: int = 1) -> Table:
    """Return a table; the columns from `numeric` on are set to the right."""
    return {"caption": caption, "columns": columns, "rows": rows, "numeric": numeric}


def _cell(text: str, interval: str = "") -> dict[str, str]:
    return {"text": text, "interval": interval}


def _metric(values: Row, name: str, show: Format) -> dict[str, str]:
    low, high = values.get(f"{name}_interval") or (None, None)
    return _cell(show(values[name]), _range(low, high, show))


def _complete(rows: Iterable[Row], keys: tuple[str, ...]) -> list[Row]:
    return [r for r in rows if all(_finite(r[k]) is not None for k in keys)]


def _thin(rows: list[Row], limit: int) -> list[Row]:
    """Return at most `limit` rows, evenly spaced, the first and the last among them."""
    if len(rows) <= limit:
        return rows
    return [rows[round(i * (len(rows) - 1) / (limit - 1))] for i in range(limit)]


def _records(value: Any) -> list[Row]:
    """A list column read from Parquet is an array, and null where there is none."""
    return [] if value is None or value is pd.NA or isinstance(value, float) else list(value)


def _finite(value: Any) -> float | None:
    if value is None or value is pd.NA or not math.isfinite(value):
        return None
    return float(value)


def _decimal(value: Any, places: int) -> str:
    number = _finite(value)
    return NOT_AVAILABLE if number is None else f"{number:,.{places}f}".replace("-", "−")


def _count(value: Any) -> str:
    return _decimal(value, 0)


def _share(value: Any) -> str:
    number = _finite(value)
    if number is None:
        return NOT_AVAILABLE
    return f"{number:.2%}" if 0 < number < 0.01 else f"{number:.1%}"


def _auc(value: Any) -> str:
    return _decimal(value, 3)


def _loss(value: Any) -> str:
    return _decimal(value, 4)


def _times(value: Any) -> str:
    return NOT_AVAILABLE if _finite(value) is None else f"{_decimal(value, 2)}×"


def _signed(value: float) -> str:
    rounded = round(value, 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "−")


def _range(low: Any, high: Any, show: Format) -> str:
    return "" if _finite(low) is None or _finite(high) is None else f"{show(low)} to {show(high)}"


def _percent(share: float) -> str:
    """Return a share that somebody chose, with no more digits than it was given."""
    return f"{_trim(round(share * 100, 6))}%"


def _trim(value: float) -> str:
    return f"{value:,.10g}"


def _age(group: Row) -> str:
    days = float(group["age_days"])
    amount, unit = (days, "day") if days == 0 or days >= 1 else (days * 24, "hour")
    amount = round(amount, 1)
    return f"{_trim(amount)} {unit}{'' if amount == 1 else 's'}"


def _size(part: Row) -> str:
    return (
        f"{_count(part['snapshots'])} snapshots of {_count(part['leads'])} leads, {_count(part['wins'])} won"
    )


def _period(start: Any, end: Any) -> str:
    first, last = _day(start), _day(end)
    return first if first == last else f"{first} to {last}"


def _day(value: Any) -> str:
    moment = pd.NaT if value is None else pd.Timestamp(value)
    return "undated" if moment is pd.NaT else f"{moment:%Y-%m-%d}"


def _text(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "not known"
    text = _trim(value) if isinstance(value, float) else str(value)
    return text if len(text) <= TEXT else text[: TEXT - 1] + "…"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _title(words: str) -> str:
    return words[:1].upper() + words[1:]


METRICS: tuple[tuple[str, str, str, Format], ...] = (
    ("auc", "Ranking (AUC)", "0.5 is chance; 1 puts every won lead above every other", _auc),
    ("average_precision", "Average precision", "higher is better; chance is the share won", _auc),
    ("lift_at_10", "Lift in the best tenth", "share won there over the share won overall", _times),
    ("log_loss", "Log-loss", "lower is better; 0 is perfect", _loss),
    ("brier", "Brier score", "lower is better; 0 is perfect", _loss),
    ("ece", "Calibration error (ECE)", "mean gap from predicted to observed; 0 is perfect", _loss),
)
TILES = ("auc", "lift_at_10", "log_loss", "ece")
