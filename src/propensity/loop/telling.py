"""What `propensity feedback` prints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from propensity.data.verdicts import Verdicts
from propensity.loop.agreement import ALL, plain
from propensity.loop.disagreement import FEWEST, LEVEL
from propensity.loop.verdicts import Merge
from propensity.money.telling import UNKNOWN, number, share, tell_notes, tell_table
from propensity.workspace import shown

MOST = 12  # rows of a part of a table
REFUSED = 5  # refused rows told one by one
_BY = ("tier", "qualifier", "feature", "reviewer", "reason")


def tell_merge(read: Verdicts, merge: Merge, *, where: str, refused: Path) -> str:
    """Return what became of the rows of new files, with the first that were refused."""
    bad = read.read - len(read.table)
    changed = f"{merge.added:,} new, {merge.replaced:,} in place of an earlier one of the same reviewer"
    if not merge.added and not merge.replaced:
        changed = "nothing changed"
    told = f"{read.read:,} verdicts read = {len(read.table):,} accepted + {bad:,} refused; {changed}"
    told += f"; {merge.left:,} were there already, or older than what is. " if merge.left else ". "
    told += f"{len(merge.table):,} in {where}"
    if not bad:
        return told
    rows = read.quarantine.to_dict("records")
    lines = [_tell_refused(row) for row in rows[:REFUSED]]
    more = f"and {len(rows) - REFUSED:,} more" if len(rows) > REFUSED else ""
    return "\n".join([told, *lines, f"{more}{', ' if more else ''}all in {shown(refused)}"])


def _tell_refused(row: Mapping[Any, Any]) -> str:
    column = "" if pd.isna(row["column"]) else f", column {plain(row['column'])}"
    value = "" if pd.isna(row["value"]) else f", a value like {plain(row['value'])!r}"
    return f"  refused: {plain(row['file'])}, row {row['row']}{column}: {row['rule']}{value}"


def tell_feedback(
    found: Mapping[str, pd.DataFrame], counts: Mapping[str, Any], named: Mapping[str, str]
) -> str:
    """Return the report on verdicts as text.

    Parameters
    ----------
    found : mapping
        The tables of `feedback.TABLES`.
    counts : mapping
        ``counts`` of ``reports/feedback.json``.
    named : mapping
        The names to show, by reviewers' codes.
    """
    blocks = [
        _tell_agreement(found["agreement"], named),
        _tell_pairs(found["reviewers"], named),
        _tell_contrasts(found["disagreement"]),
        _tell_outcomes(found["outcomes"]),
        _tell_right(found["right"]),
        _tell_candidates(found["candidates"]),
        tell_notes(notes(counts)),
    ]
    return "\n\n".join(block for block in blocks if block)


def notes(counts: Mapping[str, Any]) -> list[str]:
    """Return what a reader has to know beside the tables, as sentences."""
    told = [
        f"{counts['verdicts']:,} verdicts on {counts['leads']:,} leads; of {counts['without_score']:,} no "
        "score was found that they are about: tiers, qualifiers, features and outcomes leave them out.",
        f"The outcome of {counts['final']:,} is final; {counts['known_before']:,} of them were given when it "
        "was known and are left out, as are those without a score or on a disqualified lead: "
        f"{counts['decided']:,} are set beside outcomes.",
        "A lead that sales gave up after disagreeing is likelier lost: outcomes lean towards its verdicts.",
        "Nothing of this is applied, and verdicts are no labels: feedback.use in params.yaml says what they "
        "are for.",
    ]
    return told if counts["verdicts"] else ["There are no verdicts yet."]


def _tell_agreement(table: pd.DataFrame, named: Mapping[str, str]) -> str:
    rows = []
    for by in (ALL, *_BY):
        of = table[table["by"] == by].to_dict("records")
        rows += [
            ["" if by == ALL else by, _name(row["name"], by, named), number(row["verdicts"]), *_shares(row)]
            for row in of[:MOST]
        ]
        if len(of) > MOST:
            rows.append([by, f"and {len(of) - MOST} more", *[""] * 3])
    headers = ["by", "", "verdicts", "agree", "95% interval"]
    return tell_table("How far sales agrees", headers, rows, texts=2)


def _tell_pairs(table: pd.DataFrame, named: Mapping[str, str]) -> str:
    rows = [
        [
            f"{_name(row['reviewer'], 'reviewer', named)}, {_name(row['other'], 'reviewer', named)}",
            *(number(row["snapshots"]), *_shares(row), number(row["kappa"], 2)),
        ]
        for row in table.head(MOST).to_dict("records")
    ]
    headers = ["reviewers", "judged by both", "same verdict", "95% interval", "kappa"]
    return tell_table("How far reviewers agree with each other", headers, rows) if rows else ""


def _tell_contrasts(table: pd.DataFrame) -> str:
    rows = [
        [
            str(plain(f"{row['subject']}: {row['value']}" if row["value"] else row["subject"])),
            *(number(row["leads"]), share(row["share"]), number(row["leads_others"])),
            *(share(row["share_others"]), f"{row['q']:.3f}"),
        ]
        for row in table[table["named"]].head(MOST).to_dict("records")
    ]
    title = f"Where sales disagrees more, or less, than elsewhere (false-discovery rate under {LEVEL:.0%})"
    if not rows:
        return f"{title}\nnowhere, of {len(table)} features and levels with {FEWEST} leads on either side"
    return tell_table(title, ["", "leads", "disagree", "others", "disagree", "q"], rows)


def _tell_outcomes(table: pd.DataFrame) -> str:
    rows = [
        [
            f"{row['tier']}, {row['verdict']}",
            *(number(row[name]) for name in ("verdicts", "leads", "won")),
            *(*_shares(row), share(row["expected"])),
        ]
        for row in table[table["verdicts"] > 0].to_dict("records")
    ]
    headers = ["tier, verdict", "verdicts", "leads", "won", "share", "95% interval", "model expected"]
    return tell_table("How the judged leads ended", headers, rows) if rows else ""


def _tell_right(table: pd.DataFrame) -> str:
    rows = [
        [
            str(row["tier"]),
            number(row["verdicts"]),
            number(row["right"]),
            *_shares(row),
            share(row["expected"]),
        ]
        for row in table[table["verdicts"] > 0].to_dict("records")
    ]
    title = "In how many disagreements sales was right"
    if not rows:
        return f"{title}\nno disagreement has an outcome yet"
    headers = ["tier", "disagreements", "right", "share", "95% interval", "if verdicts told nothing"]
    return tell_table(title, headers, rows)


def _tell_candidates(table: pd.DataFrame) -> str:
    if table.empty:
        return "Candidates for rules or columns: none"
    lines = ["Candidates for rules under disqualify, or for columns; none is applied"]
    for row in table.to_dict("records"):
        lines += [f"  {row['suggestion']}", f"    {_standing(row)}"]
    return "\n".join(lines)


def _standing(row: Mapping[Any, Any]) -> str:
    about = f"disagreements on {row['leads']:,} leads"
    if not row["known"]:
        return f"{about}; the outcomes are not in yet ({row['decided']:,} are)"
    low_high = f"{share(row['low'])} to {share(row['high'])}"
    return (
        f"{about}; sales was right in {row['right']:,} of the {row['decided']:,} with an outcome: "
        f"{share(row['share'])} ({low_high}), {share(row['expected'])} if verdicts told nothing"
    )


def _shares(row: Mapping[Any, Any]) -> list[str]:
    unknown = row["low"] is None or pd.isna(row["low"])
    return [share(row["share"]), UNKNOWN if unknown else f"{share(row['low'])} to {share(row['high'])}"]


def _name(name: Any, by: str, named: Mapping[str, str]) -> str:
    return str(plain(named.get(name, name) if by == "reviewer" else name))
