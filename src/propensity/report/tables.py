"""Tables as plain dicts: how one is built, and those that say how well the model does.

A table has a `caption`, `columns` and `rows` of cells; a cell is a `text` with a smaller `note` under it,
an interval or an explanation, which may be empty. From column `numeric` on, cells are set to the right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from propensity.report.numbers import (
    NOT_AVAILABLE,
    Format,
    Row,
    age,
    count,
    decimal,
    finite,
    interval,
    loss,
    percent,
    ranking,
    ratio,
    share,
    signed,
    text,
    times,
    title,
    trim,
)

Cell = dict[str, str]
Table = dict[str, Any]

MOST_ROWS = 25
METRICS: tuple[tuple[str, str, str, Format], ...] = (
    ("auc", "Ranking (AUC)", "how often a won lead stands above one not won; 0.5 is chance",
     ranking),
    ("average_precision", "Average precision", "higher is better; chance is the share won", ranking),
    ("lift_at_10", "Lift in the best tenth", "share won in the best tenth of leads over the share won of all",
     times),
    ("log_loss", "Log-loss", "how far the probabilities are off; lower is better, 0 is perfect",
     loss),
    ("brier", "Brier score", "mean squared error of the probabilities; lower is better, 0 is perfect", loss),
    ("ece", "Calibration error (ECE)", "mean gap from predicted to seen share won; 0 is perfect", loss),
)  # fmt: skip


def make_table(caption: str, columns: list[str], rows: list[list[Cell]], *, numeric: int = 1) -> Table:
    return {"caption": caption, "columns": columns, "rows": rows, "numeric": numeric}


def make_cell(shown: str, note: str = "") -> Cell:
    return {"text": shown, "note": note}


def make_metric(values: Row, name: str, show: Format) -> Cell:
    """Return the cell of a metric with the interval that stands beside it."""
    low, high = values.get(f"{name}_interval") or (None, None)
    return make_cell(show(values[name]), interval(low, high, show))


def tell_cut(caption: str, shown: int, total: int, how: str) -> str:
    """Return `caption`, and if a table or chart leaves rows out, how many it shows of how many and which."""
    return caption if shown >= total else f"{caption}; {count(shown)} of {count(total)}, {how}"


def complete(rows: list[Row], keys: tuple[str, ...]) -> list[Row]:
    """Return the rows in which all of `keys` are known numbers."""
    return [r for r in rows if all(finite(r[k]) is not None for k in keys)]


def thin(rows: list[Row], limit: int) -> list[Row]:
    """Return at most `limit` rows, evenly spaced, the first and the last among them."""
    if len(rows) <= limit:
        return rows
    return [rows[round(i * (len(rows) - 1) / (limit - 1))] for i in range(limit)]


def measure_table(caption: str, test: Row, others: dict[str, Row]) -> Table:
    """Return every measure of the model beside those of `others`, by name."""
    all_of_them = (test, *others.values())
    rows = [
        [make_cell(name, note), *(make_metric(m, key, show) for m in all_of_them)]
        for key, name, note, show in METRICS
    ]
    rows.append([make_cell("Share won"), *(make_metric(m, "base_rate", share) for m in all_of_them)])
    rows.append([make_cell("Snapshots"), *(make_cell(count(m["n"])) for m in all_of_them)])
    return make_table(caption, ["Measure", "Model", *map(title, others)], rows)


def recentring_table(recentred: Row) -> Table:
    """Return the probabilities as scored beside those that follow the newest outcomes."""
    both = (recentred["as_scored"], recentred["recentred"])
    expected = make_cell("Wins expected per win seen", "1 is right, more too hopeful")
    rows = [[expected, *(make_cell(ratio(m["expected_over_observed"])) for m in both)]]
    for key, name, _, show in (m for m in METRICS if m[0] in ("log_loss", "ece")):
        rows.append([make_cell(name), *(make_metric(m, key, show) for m in both)])
    caption = f"As scored and re-centred, {count(recentred['n'])} test snapshots"
    return make_table(caption, ["", "As scored", "Re-centred"], rows)


def cutoff_table(cutoffs: Row) -> Table:
    """Return what the MQL and the SQL cut-off ask for and give."""
    both = [cutoffs[t] for t in ("mql", "sql")]
    rows = [
        [make_cell("Rule"), *(make_cell(_tell_policy(c)) for c in both)],
        [make_cell("Score from", "probability from"),
         *(make_cell(decimal(c["score"], 1), share(c["probability"])) for c in both)],
        [make_cell("Target met from score", "95% interval"), *(make_cell(_tell_place(c)) for c in both)],
        [make_cell("Share won above it", "precision"), *(make_metric(c, "precision", share) for c in both)],
        [make_cell("Wins above it", "recall"), *(make_metric(c, "recall", share) for c in both)],
        [make_cell("Snapshots above it", "of all"),
         *(make_cell(count(c["n"]), share(c["share"])) for c in both)],
        *([[make_cell("Weeks over capacity", "weeks a queue is held against"), *map(_queue_cell, both)]]
          if any(c.get("queue") for c in both) else []),
        [make_cell("Supported by the data"), *(make_cell("yes" if c["supported"] else "no") for c in both)],
    ]  # fmt: skip
    return make_table("The two cut-offs, calibration part", ["", "MQL", "SQL"], rows, numeric=3)


def _tell_policy(cutoff: Row) -> str:
    policy, target = cutoff["policy"], cutoff["target"]
    if policy == "precision":
        sure = f", with {percent(cutoff['confidence'])} confidence"
        return f"at least {percent(target)} won above it{sure}"
    if policy == "recall":
        return f"at least {percent(target)} of wins above it"
    if policy == "capacity":
        return f"about {trim(cutoff['per_week'])} leads a week above it"
    if policy == "value":
        return "acting on a lead gains more than it costs"
    return text(policy)


def _tell_place(cutoff: Row) -> str:
    low, high = cutoff.get("score_interval") or (None, None)
    if finite(low) is None:
        return NOT_AVAILABLE
    return f"{decimal(low, 1)} to {'no score' if finite(high) is None else decimal(high, 1)}"


def _queue_cell(cutoff: Row) -> Cell:
    queue = cutoff.get("queue")
    return make_cell(share(queue["overflow"]), count(queue["weeks"])) if queue else make_cell("")


def moves_table(cutoffs: Row) -> Table:
    """Return what each cut-off gives, and what it would give some points lower and higher."""
    rows = []
    for tier, name in (("mql", "MQL"), ("sql", "SQL")):
        cutoff = cutoffs[tier]
        stays = {**cutoff, "points": 0.0, "gain": cutoffs.get("gain"), "gain_change": None}
        for row in sorted([*cutoff.get("moves", []), stays], key=lambda r: float(r["points"])):
            rows.append([make_cell(_tell_move(name, row["points"])), *_move_cells(row)])
    columns = ["Cut-off", "Score from", "Snapshots above it", "Share won", "Wins kept", "Gain per 100"]
    caption = "What moving a cut-off would do, calibration part; gain of both together, per 100 snapshots"
    return make_table(caption, columns, rows)


def _tell_move(name: str, points: float) -> str:
    return f"{name} {'as it stands' if points == 0 else signed(points).removesuffix('.0') + ' points'}"


def _move_cells(row: Row) -> list[Cell]:
    gain = None if finite(row["gain"]) is None else row["gain"] * 100
    change = row.get("gain_change_interval") if row["gain_change"] is not None else None
    spread = f"{interval(change[0] * 100, change[1] * 100, count)} more" if change else ""
    return [
        make_cell(decimal(row["score"], 1)),
        make_cell(count(row["n"]), share(row["share"])),
        make_cell(share(row["precision"])),
        make_cell(share(row["recall"])),
        make_cell(count(gain), spread),
    ]


def age_table(groups: list[Row]) -> Table:
    caption = "By age of the lead when scored, test part"
    return _group_table(caption, "Age", groups, lambda g: age(g["age_days"]))


def channel_table(groups: list[Row]) -> Table:
    ordered = sorted(groups, key=lambda g: -(g["n"] or 0))
    kept = ordered[:MOST_ROWS]
    caption = tell_cut("By channel, test part", len(kept), len(ordered), "the largest")
    return _group_table(caption, "Channel", kept, lambda g: text(g["channel"]))


def _group_table(caption: str, first: str, groups: list[Row], label: Callable[[Row], str]) -> Table:
    shown = ("auc", "lift_at_10", "ece")
    measures = [(key, name, show) for key, name, _, show in METRICS if key in shown]
    rows = [
        [
            make_cell(label(g)),
            make_cell(count(g["n"])),
            make_metric(g, "base_rate", share),
            *(make_metric(g, key, show) for key, _, show in measures),
        ]
        for g in groups
    ]
    return make_table(caption, [first, "Snapshots", "Share won", *(name for _, name, _ in measures)], rows)


def choice_table(caption: str, choices: Row, chosen: str) -> Table:
    """Return the log-loss of each choice, the chosen one marked."""
    rows = [
        [
            make_cell(text(name)),
            make_metric(row, "log_loss", loss),
            make_cell("chosen" if name == chosen else ""),
        ]
        for name, row in choices.items()
    ]
    return make_table(caption, ["Name", "Log-loss", "Choice"], rows)
