"""Checks of the split: parts that share a lead, an account, equal rows, or a stretch of time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.audit.findings import Check, Finding
from propensity.audit.gaps import date_of, days_of
from propensity.audit.records import Records
from propensity.cohort.splits import PARTS
from propensity.errors import some

KEYS = ("lead_id", "as_of", "split", "won", "weight")
ALIKE = 0.05  # from this share of rows with a twin on, equal rows are the rule of a table of few values
EXCESS = 4.0  # standard deviations over what dealing the equal rows at random gives
MIN_EXCESS = 10  # sets of equal rows


def find_shared_groups(check: Check, records: Records) -> list[Finding]:
    """Find leads, and accounts, that stand in two parts."""
    rows = _in_parts(records)
    if rows.empty:
        return check.not_applicable("there are no parts")
    findings = []
    for column in ("lead_id", "account_id"):
        of_group = rows.dropna(subset=column).groupby(column)["part"].nunique()
        shared = sorted(of_group.index[of_group > 1])
        if shared:
            findings.append(_shared_finding(check, records, rows, column, shared, len(of_group)))
    return findings or check.passed(
        f"no lead and no account stands in two parts ({rows['lead_id'].nunique():,} leads)",
        leads=int(rows["lead_id"].nunique()),
        accounts=int(rows["account_id"].nunique()),
    )


def _in_parts(records: Records) -> pd.DataFrame:
    return records.snapshots[records.snapshots["part"].notna()]


def _shared_finding(
    check: Check, records: Records, rows: pd.DataFrame, column: str, shared: list[str], groups: int
) -> Finding:
    inside = pd.Index(shared).get_indexer(pd.Index(rows[column])) >= 0
    what = "leads" if column == "lead_id" else "accounts"
    grave = column == "lead_id" or records.group == column
    return check.issue(
        f"{len(shared):,} of {groups:,} {what} stand in more than one part, with "
        f"{int(inside.sum()):,} snapshots: {some(shared)}",
        remedy=f"split by {column} (split.group), so that no part is tested on what another has seen",
        subject=column,
        severity="blocking" if grave else "warning",
        shared=len(shared),
        groups=groups,
        share=len(shared) / groups,
        snapshots=int(inside.sum()),
        examples=some(shared),
    )


def find_duplicates(check: Check, records: Records) -> list[Finding]:
    """Find rows of different leads that are equal in all that is known of them and stand in two parts."""
    rows = _described(records)
    parts = rows["split"].nunique()
    if parts < 2:
        return check.not_applicable("there are no two parts")
    if rows.shape[1] == len(KEYS):
        return check.not_applicable("leads have neither attributes nor features")
    sets = _equal_sets(rows)
    figures: dict[str, Any] = {
        "rows": len(rows),
        "twins": int(sets["rows"].sum()),
        "twin_share": float(sets["rows"].sum() / len(rows)),
        "sets": len(sets),
        "sets_across": int(sets["across"].sum()),
        "rows_across": int(sets.loc[sets["across"], "rows"].sum()),
        "sets_expected": round(float(sets["expected"].sum()), 1),
    }
    said = (
        f"{figures['twins']:,} of {figures['rows']:,} rows ({figures['twin_share']:.1%}) equal a row of "
        f"another lead, {figures['rows_across']:,} of them one in another part: {figures['sets_across']:,} "
        f"of {figures['sets']:,} sets of equal rows stand in two parts, where a random deal gives "
        f"{figures['sets_expected']:,}"
    )
    if sets.empty:
        return check.passed(f"no row of {len(rows):,} equals a row of another lead", **figures)
    if not figures["sets_across"] or (figures["twin_share"] >= ALIKE and not _in_excess(sets)):
        wonder = "" if not figures["sets_across"] else ", no more than rows of so few values must"
        return check.passed(said + wonder, **figures)
    return [
        check.issue(
            said,
            remedy="remove the copies from the export, or give leads that are one person one account_id and "
            "split by it (split.group)",
            severity="warning",
            **figures,
        )
    ]


def _described(records: Records) -> pd.DataFrame:
    """Return the training rows with the attributes and the creation time of their leads, but for ids."""
    columns = [c for c in records.attributes if not _identifies(records.leads[c])]
    about = records.leads[["lead_id", "created_at", *columns]]
    about = about.rename(columns={c: f"lead: {c}" for c in ("created_at", *columns)})
    if not records.dated:
        about = about.drop(columns="lead: created_at")
    return records.table.merge(about, on="lead_id")


def _identifies(values: pd.Series[str]) -> bool:
    """Whether a column tells the leads apart by name: all different, and no measured quantity."""
    if values.isna().any() or not values.is_unique:
        return False
    number = pd.api.types.is_numeric_dtype(values)
    return not number or bool((values.to_numpy(dtype=np.float64) % 1 == 0).all())


def _equal_sets(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the sets of rows, of more leads than one, that are equal: ``rows, across, expected``.

    ``expected`` is the probability that a set stands in two parts if its rows are dealt to the parts at
    random, in proportion to their sizes.
    """
    compared = [c for c in rows.columns if c not in {"lead_id", "split", "weight"}]
    alike = pd.util.hash_pandas_object(rows[compared], index=False).to_numpy()
    sets = rows.groupby(alike).agg(
        rows=("split", "size"), leads=("lead_id", "nunique"), parts=("split", "nunique")
    )
    sets = sets[sets["leads"] > 1]
    shares = rows["split"].value_counts(normalize=True).to_numpy(dtype=np.float64)
    in_one: npt.NDArray[np.float64] = (shares[None, :] ** sets["rows"].to_numpy()[:, None]).sum(axis=1)
    return sets.assign(across=sets["parts"] > 1, expected=1 - in_one)


def _in_excess(sets: pd.DataFrame) -> bool:
    """Whether more sets stand in two parts than chance puts there."""
    expected = sets["expected"].to_numpy(dtype=np.float64)
    excess = float(sets["across"].sum() - expected.sum())
    return excess >= MIN_EXCESS and excess > EXCESS * float(np.sqrt(np.sum(expected * (1 - expected))))


def find_time_overlap(check: Check, records: Records) -> list[Finding]:
    """Find parts whose snapshots or labels reach into the time of a later part."""
    rows = _in_parts(records)
    if rows.empty:
        return check.not_applicable("there are no parts")
    ordered = bool(records.leads["order_key"].notna().any())
    if not records.dated and not ordered:
        return check.not_applicable("leads have neither a creation time nor an order")
    if records.split_by == "random":
        known = "creation times are" if records.dated else "the leads' order is"
        return [
            check.issue(
                f"{len(rows):,} snapshots are split at random, though {known} known: each part lies in the "
                "time of the others",
                remedy="split by time (split.by: time), or by order where leads have no creation time",
                severity="warning",
                snapshots=len(rows),
            )
        ]
    dated = records.split_by == "time"
    begins, ends = _stretch(records, rows)
    present = [part for part in PARTS if (rows["part"] == part).any()]
    found = [
        finding
        for part, following in pairwise(present)
        if (finding := _overlap_finding(check, rows["part"], begins, ends, part, following, dated=dated))
    ]
    return found or check.passed(
        f"each of {len(present)} parts ends, labels included, before the next begins", snapshots=len(rows)
    )


def _stretch(records: Records, rows: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float]]:
    """Return where each snapshot's lead begins, and where its label ends, in days or in the given order."""
    if records.split_by == "time":
        begins, as_of, label_end = (days_of(rows[c]) for c in ("created_at", "as_of", "label_end"))
        ends = np.where(np.isnan(label_end), np.where(np.isnan(as_of), begins, as_of), label_end)
        return pd.Series(begins, index=rows.index), pd.Series(ends, index=rows.index)
    place = records.leads.set_index("lead_id")["order_key"].reindex(rows["lead_id"]).to_numpy()
    order = pd.Series(place, index=rows.index, dtype="float64")
    return order, order


def _overlap_finding(
    check: Check,
    parts: pd.Series[str],
    begins: pd.Series[float],
    ends: pd.Series[float],
    part: str,
    following: str,
    *,
    dated: bool,
) -> Finding | None:
    """Judge a part and the one that follows; equal places do not overlap."""
    start = float(begins[parts == following].min())
    reaching = int((ends[parts == part] > start).sum())
    if not reaching:
        return None
    n, last = int((parts == part).sum()), float(ends[parts == part].max())
    where, until = (date_of(start), date_of(last)) if dated else (f"place {start:g}", f"place {last:g}")
    return check.issue(
        f"{reaching:,} of {n:,} snapshots of {part} reach, with their labels, beyond {where}, where "
        f"{following} begins (the last until {until})",
        remedy="leave out snapshots whose label window ends after the next part begins (split.by: time does)",
        subject=part,
        severity="blocking",
        next_part=following,
        reaching=reaching,
        snapshots=n,
        share=reaching / n,
        next_begins=where,
        last_ends=until,
    )


CHECKS: tuple[Check, ...] = (
    Check("PRP601", "shared_group", "a lead or an account in two parts", find_shared_groups),
    Check("PRP602", "duplicates_across_parts", "equal rows in two parts", find_duplicates),
    Check("PRP603", "time_overlap", "parts that overlap in time", find_time_overlap),
)
