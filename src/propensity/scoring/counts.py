"""What became of every lead that was read, and the leads that could not be scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from propensity.data.forgotten import RULE
from propensity.errors import QuarantineError

REFUSED = ("lead_id", "table", "rule", "column", "value")
_TOLD = {
    "scored": "scored",
    "not_open": "not open",
    "created_later": "created later",
    "unsettled": "with a refused outcome",
    "quarantined": "quarantined",
    "forgotten": "forgotten",
}


def count_leads(
    con: Any, canonical: Any, spine: Any, *, moment: datetime | None, everyone: bool
) -> dict[str, int]:
    """Count the rows of leads that were read by what became of them.

    Parameters
    ----------
    con : ibis backend
    canonical : Canonical
    spine : ibis table
        The leads to score, one row each.
    moment : datetime or None
        Of the scoring; None for data without dates.
    everyone : bool
        Whether leads count as open whatever their outcome.

    Returns
    -------
    dict
        ``read``, which is the sum of the others: ``scored``, ``not_open`` at the moment, ``created_later``
        than it, ``unsettled`` (the outcome was refused), ``quarantined`` (the row was) and ``forgotten``
        (the lead is to be).
    """
    tables = canonical.tables
    rows = canonical.counts.set_index("table").loc["leads"]
    left, unsettled = tables["leads"].anti_join(spine, "lead_id"), 0
    if not everyone:
        unsettled = _count(con, left.semi_join(tables["unsettled"], "lead_id"))
        left = left.anti_join(tables["unsettled"], "lead_id")
    later = 0 if moment is None else _count(con, left.filter(left.created_at > moment))
    forgotten = _count_forgotten(canonical)
    counts = {
        "read": int(rows["read"]),
        "scored": _count(con, spine),
        "not_open": _count(con, left) - later,
        "created_later": later,
        "unsettled": unsettled,
        "quarantined": int(rows["quarantined"]) - forgotten,
        "forgotten": forgotten,
    }
    check_sum(counts)
    return counts


def check_sum(counts: Mapping[str, int]) -> None:
    """Make sure that no lead is lost and none counts twice.

    Raises
    ------
    AssertionError
        The parts do not sum to the leads read: a bug.
    """
    total = sum(n for name, n in counts.items() if name != "read")
    if total != counts["read"]:
        raise AssertionError(f"{counts['read']} leads were read, and {total} are accounted for: {counts}")


def tell_counts(counts: Mapping[str, int]) -> str:
    """Return the counts as a sum in words; parts that are 0 are left out, but for those scored."""
    parts = [f"{counts[name]:,} {told}" for name, told in _TOLD.items() if counts[name] or name == "scored"]
    return f"{counts['read']:,} leads read = {' + '.join(parts)}"


def check_refused(counts: Mapping[str, int], limit: float) -> None:
    """Refuse to replace the last scores where too many leads could not be scored.

    Parameters
    ----------
    counts : mapping
        From `count_leads`.
    limit : float
        The largest share of the leads read that may be quarantined or unsettled, 0 to 1.

    Raises
    ------
    QuarantineError
        There are more.
    """
    refused = counts["quarantined"] + counts["unsettled"]
    share = refused / max(counts["read"], 1)
    if share > limit:
        raise QuarantineError(
            f"{refused:,} of {counts['read']:,} leads could not be scored ({share:.1%}; "
            f"scoring.max_quarantined allows {limit:.1%}): {counts['quarantined']:,} rows of leads and the "
            f"outcomes of {counts['unsettled']:,} leads are refused. The last scores stay as they were. Mend "
            "the data, or params.yaml where it misreads them"
        )


def list_refused(canonical: Any) -> pd.DataFrame:
    """Return the leads that could not be scored, with what was wrong with them.

    Returns
    -------
    DataFrame
        One row for each rule that a row of leads or outcomes broke: ``lead_id`` (null where it is what is
        missing, or the record could not be split into columns), ``table, rule, column`` and the masked
        ``value``. Of outcomes only those of leads whose every outcome was refused.
    """
    refused = canonical.quarantine[canonical.quarantine["table"].isin(["leads", "outcomes"])]
    refused = refused[refused["rule"] != RULE]  # who is forgotten is named nowhere
    named = refused.merge(canonical.refused, on=["table", "file", "row"], how="left")
    unsettled = set(canonical.refused.loc[canonical.refused["unsettled"], "lead_id"])
    kept = (named["table"] == "leads") | named["lead_id"].isin(unsettled)
    told: pd.DataFrame = named.loc[kept, list(REFUSED)].reset_index(drop=True)
    return told


def add_counts(marks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the marks of all chunks as one: counts are summed by name."""
    total: dict[str, Any] = {}
    for mark in marks:
        for name, value in mark.items():
            if isinstance(value, Mapping):
                total[name] = dict(Counter(total.get(name, {})) + Counter(value))
            else:
                total[name] = total.get(name, 0) + value
    return total


def _count_forgotten(canonical: Any) -> int:
    rows = canonical.rule_counts
    return int(rows.loc[(rows["table"] == "leads") & (rows["rule"] == RULE), "rows"].sum())


def _count(con: Any, table: Any) -> int:
    return int(con.to_pyarrow(table.count()).as_py())
