"""What the page says of verdicts: how far sales agrees, who was right, what that suggests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from propensity.report.numbers import NOT_AVAILABLE, Row, count, finite, interval, ratio, share, text, words
from propensity.report.tables import MOST_ROWS, Table, make_cell, make_table, tell_cut

_CAPTIONS = {
    "tier": "Verdicts by tier",
    "qualifier": "Verdicts by qualifier of the first reasons",
    "feature": "Verdicts by feature of the first reasons",
    "reviewer": "Verdicts by reviewer",
    "reason": "Verdicts by the reason given",
}


def feedback_section(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section's tables and sentences.

    Parameters
    ----------
    content : mapping
        ``reports/feedback.json``; reviewers stand in it by a code.

    Returns
    -------
    dict
        ``summary``, a sentence; ``tables``, without the empty ones; ``notes``, sentences.
    """
    counts = content["counts"]
    agreed = next((row for row in content["agreement"] if row["by"] == "all"), None)
    if agreed is None:
        return {"summary": "There are no verdicts yet.", "tables": [], "notes": []}
    summary = (
        f"{count(counts['verdicts'])} verdicts on {count(counts['leads'])} leads; "
        f"{share(agreed['share'])} agree ({interval(agreed['low'], agreed['high'], share)})."
    )
    by = [agreement_table(name, _where(content["agreement"], name)) for name in _CAPTIONS]
    tables = [*by, pair_table(content["reviewers"]), contrast_table(content["disagreement"])]
    tables += [outcome_table(content["outcomes"]), right_table(content["right"])]
    tables.append(candidate_table(content["candidates"]))
    return {"summary": summary, "tables": [t for t in tables if t["rows"]], "notes": _notes(counts)}


def agreement_table(by: str, rows: list[Row]) -> Table:
    """Return the share of verdicts that agree, by name."""
    cells = [
        [
            make_cell(words(text(r["name"])) if by == "feature" else text(r["name"])),
            make_cell(count(r["verdicts"]), f"on {count(r['leads'])} leads"),
            make_cell(share(r["share"]), interval(r["low"], r["high"], share)),
        ]
        for r in rows[:MOST_ROWS]
    ]
    caption = tell_cut(_CAPTIONS[by], len(cells), len(rows), "the most frequent")
    return make_table(caption, [by.capitalize(), "Verdicts", "Agree"], cells)


def pair_table(rows: list[Row]) -> Table:
    """Return how far each two reviewers agree on what both judged."""
    cells = [
        [
            make_cell(f"{text(r['reviewer'])} and {text(r['other'])}"),
            make_cell(count(r["snapshots"])),
            make_cell(share(r["share"]), interval(r["low"], r["high"], share)),
            make_cell(NOT_AVAILABLE if finite(r["kappa"]) is None else ratio(r["kappa"])),
        ]
        for r in rows[:MOST_ROWS]
    ]
    columns = ["Reviewers", "Judged by both", "Same verdict", "Kappa"]
    return make_table("Reviewers with each other", columns, cells)


def contrast_table(rows: list[Row]) -> Table:
    """Return features and levels on which sales disagrees more or less than on the rest."""
    named = [r for r in rows if r["named"]]
    cells = [
        [
            make_cell(_thing(r), text(r["kind"])),
            make_cell(share(r["share"]), f"of {count(r['leads'])} leads"),
            make_cell(share(r["share_others"]), f"of {count(r['leads_others'])} leads"),
        ]
        for r in named[:MOST_ROWS]
    ]
    caption = tell_cut("Where sales disagrees more, or less", len(cells), len(named), "the surest")
    return make_table(caption, ["Feature or level", "Disagreed on", "Others"], cells)


def outcome_table(rows: list[Row]) -> Table:
    """Return how leads ended by tier and verdict."""
    cells = [
        [
            make_cell(
                f"{text(r['tier']).upper() if r['tier'] != 'nurture' else 'Nurture'}, {text(r['verdict'])}"
            ),
            make_cell(count(r["verdicts"]), f"on {count(r['leads'])} leads"),
            make_cell(share(r["share"]), interval(r["low"], r["high"], share)),
            make_cell(share(r["expected"])),
        ]
        for r in rows
        if r["verdicts"]
    ]
    columns = ["Tier and verdict", "Verdicts", "Won", "The model expected"]
    return make_table("How the judged leads ended", columns, cells)


def right_table(rows: list[Row]) -> Table:
    """Return in how many disagreements sales was right, beside what chance would give."""
    cells = [
        [
            make_cell(text(r["tier"])),
            make_cell(f"{count(r['right'])} of {count(r['verdicts'])}"),
            make_cell(share(r["share"]), interval(r["low"], r["high"], share)),
            make_cell(share(r["expected"]), "more than that" if r["beyond"] else ""),
        ]
        for r in rows
        if r["verdicts"]
    ]
    columns = ["Tier", "Sales was right", "Share", "If verdicts told nothing"]
    return make_table("Who was right where sales disagreed", columns, cells)


def candidate_table(rows: list[Row]) -> Table:
    """Return the rules and columns that disagreements suggest."""
    cells = [
        [
            make_cell(text(r["suggestion"]), f"disagreements on {count(r['leads'])} leads"),
            make_cell(
                share(r["share"]) if r["known"] else "outcomes are not in yet",
                interval(r["low"], r["high"], share) if r["known"] else "",
            ),
        ]
        for r in rows[:MOST_ROWS]
    ]
    return make_table("Candidates for a rule or a column; none is applied", ["Candidate", "Right"], cells)


def _where(rows: list[Row], by: str) -> list[Row]:
    return [r for r in rows if r["by"] == by]


def _thing(row: Row) -> str:
    subject = words(text(row["subject"]))
    return f"{subject}: {text(row['value'])}" if row["value"] else subject


def _notes(counts: Row) -> list[str]:
    return [
        f"Of {count(counts['without_score'])} verdicts no score was found that they are about.",
        f"{count(counts['decided'])} verdicts are set beside outcomes; {count(counts['known_before'])} were "
        "given when the outcome was known and are left out.",
        "A lead that sales gave up after disagreeing is likelier lost: outcomes lean towards its verdicts.",
    ]
