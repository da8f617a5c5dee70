"""Tables of counts: the rows that were read, the leads and snapshots that were kept, the parts, the tiers.

Counts that should add up are checked to do so: a page with two figures that contradict each other is not
written.
"""

from __future__ import annotations

from propensity.errors import InputError, some
from propensity.report.numbers import Row, count, period, share, text, title, words
from propensity.report.tables import Table, make_cell, make_table, tell_cut

TIERS = {"sql": "SQL", "mql": "MQL", "nurture": "Nurture", "disqualified": "Disqualified"}
TIER_NOTES = {
    "sql": "a person should call now",
    "mql": "likelier than others to buy: marketing follows up",
    "nurture": "below both cut-offs",
    "disqualified": "a rule says not to pursue it",
}
PART_NOTES = {
    "train": "the models learn from it",
    "stop": "chooses among the models",
    "calibrate": "sets the probabilities and the cut-offs",
    "test": "looked at once, for this page",
}
MOST_RULES = 100


def ingest_table(ingest: list[Row]) -> Table:
    """Return the rows read of each table.

    Raises
    ------
    InputError
        Rows read are not rows accepted plus rows quarantined.
    """
    off = [r["table"] for r in ingest if r["read"] != r["accepted"] + r["quarantined"]]
    if off:
        raise InputError(
            f"rows read should equal rows accepted plus quarantined, they do not in table {some(off)} of "
            "counts.ingest in reports/metrics.json; run the stage ingest again"
        )
    numbers = ("read", "accepted", "quarantined")
    rows = [[make_cell(text(r["table"])), *(make_cell(count(r[k])) for k in numbers)] for r in ingest]
    return make_table("Rows read = accepted + quarantined", ["Table", *map(title, numbers)], rows)


def quarantine_table(quarantine: list[Row]) -> Table:
    """Return the quarantined rows by the rule they broke; a row that broke several stands under each."""
    kept = sorted(quarantine, key=lambda r: -r["rows"])[:MOST_RULES]
    rows = [
        [
            make_cell(text(r["table"])),
            make_cell(words(text(r["rule"]))),
            make_cell("whole row" if r["column"] is None else text(r["column"])),
            make_cell(count(r["rows"])),
        ]
        for r in kept
    ]
    caption = "Quarantined rows by rule; a row that breaks several rules counts under each"
    caption = tell_cut(caption, len(kept), len(quarantine), "the largest")
    return make_table(caption, ["Table", "Rule", "Column", "Rows"], rows, numeric=3)


def cohort_table(cohort: Row, split: Row) -> Table:
    """Return how leads become the snapshots of the four parts, step by step.

    Raises
    ------
    InputError
        The snapshots of the parts and those left out are not all snapshots.
    """
    kept = sum(p["snapshots"] for p in split["parts"].values())
    _check_snapshots(cohort, kept, split["dropped"])
    after, closed = cohort.get("after_the_data", 0), cohort["closed"]
    steps = [
        ("Leads", cohort["leads"]),
        ("less: disqualified by a rule", -cohort["disqualified"]),
        ("less: their outcome was refused when it was read", -cohort.get("unsettled", 0)),
        ("Possible snapshots of the others, one at each age", cohort["snapshots"] + closed + after),
        ("less: after the end of the data", -after),
        ("less: the lead was already closed then", -closed),
        ("Snapshots of open leads", cohort["snapshots"]),
        ("less: the outcome is not final yet", -cohort["immature"]),
        *((f"less: {words(text(reason))}", -n) for reason, n in split["dropped"].items()),
        ("Snapshots in the four parts", kept),
    ]
    rows = [[make_cell(name), make_cell(count(n))] for name, n in steps]
    return make_table("From leads to the snapshots used", ["", "Number"], rows)


def _check_snapshots(cohort: Row, kept: int, dropped: Row) -> None:
    used = kept + cohort["immature"] + sum(dropped.values())
    if used != cohort["snapshots"]:
        raise InputError(
            f"counts.cohort in reports/metrics.json has {cohort['snapshots']:,} snapshots, but the parts, "
            f"what was left out of them and what is not final make {used:,}; run all stages again"
        )


def split_table(split: Row) -> Table:
    rows = [
        [
            make_cell(title(name), PART_NOTES.get(name, "")),
            make_cell(period(p["from"], p["to"])),
            *(make_cell(count(p[k])) for k in ("snapshots", "leads", "wins")),
        ]
        for name, p in split["parts"].items()
    ]
    together = words(split["group"].removesuffix("_id"))
    caption = f"The four parts, split by {split['by']}; no {together} is in two of them"
    return make_table(caption, ["Part", "Period", "Snapshots", "Leads", "Wins"], rows, numeric=2)


def tier_table(tiers: Row) -> Table:
    """Return the scored leads by tier, the most urgent first, with their total."""
    ordered = [*(t for t in TIERS if t in tiers), *(t for t in tiers if t not in TIERS)]
    total = sum(tiers.values())
    rows = [
        [
            make_cell(TIERS.get(t, text(t)), TIER_NOTES.get(t, "")),
            make_cell(count(tiers[t])),
            make_cell(share(tiers[t] / total if total else None)),
        ]
        for t in ordered
    ]
    rows.append([make_cell("All"), make_cell(count(total)), make_cell("")])
    return make_table("Scored leads by tier", ["Tier", "Leads", "Share"], rows)
