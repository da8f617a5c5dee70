"""Checks of columns that tell nothing, tell the period, or hold what means "missing"."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.audit.findings import Check, Finding
from propensity.audit.records import Records

FEW = 50
SENTINEL_SHARE = 0.05
SENTINELS = re.compile(r"-?(9{2,}|1)|-?9{1,}\.9+|99999\d*|0001|1900")
PLACEHOLDERS = frozenset(
    {
        "select", "please select", "choose", "choose one", "- select -", "--select--", "-- none --",
        "--none--", "-none-", "none selected", "n/a", "na", "#n/a", "n.a.", "null", "none", "nan", "nil",
        "-", "--", "?", ".", "undefined", "(blank)", "blank", "(not set)", "not set", "not specified",
        "seleccione", "selecione", "kies", "auswählen", "bitte wählen", "выберите",
    }
)  # fmt: skip
NEARLY_UNIQUE = 0.9
BLOCKS = 200
BY_PERIOD = 0.9  # share of a number's variance that lies between short runs of leads
UNSEEN = 0.5  # of the latest leads, the share whose value lies outside all earlier ones
COUNTER = re.compile(
    r"\b(total|counts?|number of|num|nr of|visits?|views?|clicks|opens|sessions|time spent|page ?views?)\b",
    re.IGNORECASE,
)


def look_for_constants(check: Check, records: Records) -> list[Finding]:
    """Find columns with one value, or none."""
    if not records.attributes:
        return check.not_applicable("the leads have no attributes")
    found = []
    for column in records.attributes:
        levels = records.leads[column].dropna().unique()
        if len(levels) > 1:
            continue
        holds = f"holds nothing but {levels[0]!r}" if len(levels) else "is empty"
        found.append(
            check.tip(
                f"'{column}' {holds} in {len(records.leads):,} leads",
                remedy=f"Leave '{column}' out: it tells nothing",
                subject=column,
                n=len(records.leads),
            )
        )
    return found or check.passed(f"each of {len(records.attributes)} columns varies")


def look_for_sentinels(check: Check, records: Records) -> list[Finding]:
    """Find numbers such as 999 or -1 that are frequent and stand apart from all others."""
    numbers = [c for c, kind in records.attributes.items() if kind == "number"]
    if not numbers:
        return check.not_applicable("the leads have no numbers")
    found = []
    for column in numbers:
        sentinel = _sentinel(records.leads[column])
        if sentinel is None:
            continue
        share = float((records.leads[column] == sentinel).mean())
        rest = records.leads[column].dropna()
        rest = rest[rest != sentinel]
        found.append(
            check.tip(
                f"'{column}' is {sentinel:g} for {share:.0%} of the leads and between {rest.min():g} and "
                f"{rest.max():g} for the others: a number that means missing, never or unknown",
                remedy=f'Add "{sentinel:g}" to data.leads.missing, unless other columns hold it as a number',
                subject=column,
                sentinel=float(sentinel),
                share=share,
                rest_low=float(rest.min()),
                rest_high=float(rest.max()),
            )
        )
    return found or check.passed(
        f"none of {len(numbers)} number columns holds a number apart from the others"
    )


def look_for_placeholders(check: Check, records: Records) -> list[Finding]:
    """Find texts that mean "missing" and are read as values."""
    texts = [c for c, kind in records.attributes.items() if kind == "text"]
    if not texts:
        return check.not_applicable("the leads have no texts")
    found = []
    for column in texts:
        counts = records.leads[column].value_counts()
        known = counts[[str(level).strip().lower() in PLACEHOLDERS for level in counts.index]]
        for level, n in known.items():
            found.append(
                check.tip(
                    f"'{column}' is '{level}' for {int(n):,} leads: a text that means missing",
                    remedy=f'Add "{level}" to data.leads.missing',
                    subject=column,
                    text=str(level),
                    n=int(n),
                )
            )
    return found or check.passed(f"none of {len(texts)} text columns holds a text that means missing")


def look_for_identifiers(check: Check, records: Records) -> list[Finding]:
    """Find columns that hold another value for nearly every lead."""
    if not records.attributes:
        return check.not_applicable("the leads have no attributes")
    found = []
    for column, kind in records.attributes.items():
        given = records.leads[column].dropna()
        distinct = given.nunique()
        whole = kind == "text" or bool((given == given.round()).all())
        if len(given) < FEW or not whole or distinct < NEARLY_UNIQUE * len(given):
            continue
        if kind == "number" and not _is_numbering(given):
            continue
        found.append(
            check.tip(
                f"'{column}' holds {distinct:,} different values in {len(given):,} leads: it names a lead",
                remedy=f"Leave '{column}' out: a value seen once teaches nothing, a running number the date",
                subject=column,
                distinct=distinct,
                n=len(given),
            )
        )
    return found or check.passed(f"none of {len(records.attributes)} columns names the lead")


def look_for_calendars(check: Check, records: Records) -> list[Finding]:
    """Find numbers that are a matter of the period, and take values at the end that they never had before."""
    numbers = [c for c, kind in records.attributes.items() if kind == "number"]
    order = _order(records)
    if order is None:
        return check.not_applicable("the leads have no order in time")
    if not numbers:
        return check.not_applicable("the leads have no numbers")
    if len(order) < 10 * BLOCKS:
        return check.skipped(f"{len(order):,} leads are too few to compare {BLOCKS} periods")
    found = []
    for column in numbers:
        values = records.leads[column].to_numpy(dtype=float)[order]
        between, unseen = _between_periods(values), _unseen_later(values)
        if between < BY_PERIOD or unseen < UNSEEN:
            continue
        found.append(
            check.tip(
                f"'{column}' tells the period, not the lead: {between:.0%} of its variance lies between runs "
                f"of neighbouring leads, and {unseen:.0%} of the last quarter hold values outside those of "
                "the first half",
                remedy=f"Leave '{column}' out: what was learned of it does not carry to the values to come",
                subject=column,
                between_periods=between,
                unseen_later=unseen,
                n=len(order),
            )
        )
    return found or check.passed(f"none of {len(numbers)} number columns stands for the period")


def look_for_unchecked_counters(check: Check, records: Records) -> list[Finding]:
    """Find counters of what the lead did that no event log can be held against."""
    if records.event_counts is not None:
        return check.not_applicable("there are events; the counters are held against them")
    counters = [
        c
        for c, kind in records.attributes.items()
        if kind == "number" and COUNTER.search(re.sub(r"[_\W]+|(?<=[a-z])(?=[A-Z])", " ", c))
    ]
    found = [
        check.tip(
            f"'{c}' counts what the lead did, as of the export: nobody can tell how much of it was done by "
            "the time the lead would have been scored",
            remedy=f"Bring the events themselves (data.events) in place of '{c}', or make sure that it is as "
            "of creation",
            subject=c,
        )
        for c in counters
    ]
    return found or check.passed("no column is named like a counter of what leads did")


def _sentinel(values: pd.Series) -> float | None:
    given = values.dropna().to_numpy(dtype=float)
    if len(given) < FEW:
        return None
    for edge, sign in ((given.max(), 1), (given.min(), -1)):
        rest = given[given != edge]
        if len(rest) < 2 or not SENTINELS.fullmatch(f"{edge:g}") or np.mean(given == edge) < SENTINEL_SHARE:
            continue
        gap, spread = sign * (edge - (rest.max() if sign > 0 else rest.min())), rest.max() - rest.min()
        if (edge == -1 and rest.min() >= 0) or gap > 3 * max(spread, 1.0):
            return float(edge)
    return None


def _is_numbering(given: pd.Series) -> bool:
    """Whole numbers that are spread as evenly as a running number is."""
    span = float(given.max() - given.min())
    return (
        bool(span < 20 * len(given)) and abs(float(given.median() - given.min()) / max(span, 1) - 0.5) < 0.25
    )


def _order(records: Records) -> npt.NDArray[np.int64] | None:
    key = records.leads["created_at"] if records.dated else records.leads["order_key"]
    if key.isna().all():
        return None
    known = np.flatnonzero(key.notna().to_numpy())
    return known[np.argsort(key.to_numpy()[known], kind="stable")]


def _between_periods(values: npt.NDArray[np.float64]) -> float:
    block = np.arange(len(values)) * BLOCKS // len(values)
    known = ~np.isnan(values)
    values, block = values[known], block[known]
    total = values.var() if len(values) else 0.0
    if total == 0:
        return 0.0
    n = np.bincount(block, minlength=BLOCKS)
    means = np.bincount(block, values, minlength=BLOCKS) / np.maximum(n, 1)
    return float(np.sum(n * (means - values.mean()) ** 2) / len(values) / total)


def _unseen_later(values: npt.NDArray[np.float64]) -> float:
    early, late = values[: len(values) // 2], values[3 * len(values) // 4 :]
    early, late = early[~np.isnan(early)], late[~np.isnan(late)]
    if not len(early) or not len(late):
        return 0.0
    return float(np.mean((late < early.min()) | (late > early.max())))


CHECKS = (
    Check("PRP701", "constant", "A column with one value", look_for_constants),
    Check("PRP702", "sentinel", "A number that means missing", look_for_sentinels),
    Check("PRP703", "placeholder", "A text that means missing", look_for_placeholders),
    Check("PRP704", "identifier", "A column that names the lead", look_for_identifiers),
    Check("PRP705", "calendar", "A column that tells the period", look_for_calendars),
    Check(
        "PRP706", "unchecked_counter", "A counter without events to check it by", look_for_unchecked_counters
    ),
)
