"""Disqualification: leads that are not pursued whatever their probability."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from propensity.errors import InputError, nearest
from propensity.params import DisqualifyRule

if TYPE_CHECKING:
    import ibis.expr.types as ir


def disqualified_leads(leads: ir.Table, rules: Sequence[DisqualifyRule]) -> ir.Table:
    """Return the leads that meet a rule, with the first rule they meet.

    A rule is met when its column holds one of its texts as whole words, whatever the case: "intern"
    is met by "Marketing Intern", not by "Internal Audit".

    Parameters
    ----------
    leads : ibis table
        Canonical leads.
    rules : sequence of DisqualifyRule

    Returns
    -------
    ibis table
        ``lead_id, reason, column, value``.

    Raises
    ------
    InputError
        A rule names a column that leads do not have.
    """
    columns = leads.columns
    for rule in rules:
        if rule.column not in columns:
            raise InputError(
                f"disqualify: the leads have no column '{rule.column}'{nearest(rule.column, columns)}; "
                f"they have {', '.join(columns)}"
            )
    reason = column = value = leads.lead_id.nullif(leads.lead_id)
    # From the last rule to the first, so that the first one met has the last word.
    for rule in reversed(rules):
        met = _meets(leads, rule)
        reason = met.ifelse(rule.reason, reason)
        column = met.ifelse(rule.column, column)
        value = met.ifelse(leads[rule.column].cast("string"), value)
    found = leads.select("lead_id", reason=reason, column=column, value=value)
    return found.filter(found.reason.notnull())


def _meets(leads: ir.Table, rule: DisqualifyRule) -> ir.BooleanValue:
    words = "|".join(re.escape(text.lower()) for text in rule.matches)
    text = leads[rule.column].cast("string").lower()
    outside = r"[^\p{L}\p{M}\p{N}]"  # no letter, no accent on one, no digit
    return text.re_search(f"(^|{outside})({words})($|{outside})")
