"""Disqualification: leads that are not pursued whatever their probability."""

from __future__ import annotations

import re
from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from propensity.errors import InputError, nearest
from propensity.params import DisqualifyRule


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
    if not rules:
        nothing = ibis.literal(None, "string")
        return leads.select("lead_id", reason=nothing, column=nothing, value=nothing).filter(
            ibis.literal(False)
        )
    met = [_meets(leads, rule) for rule in rules]
    found = leads.select(
        "lead_id",
        reason=ibis.cases(*zip(met, [rule.reason for rule in rules], strict=True)),
        column=ibis.cases(*zip(met, [rule.column for rule in rules], strict=True)),
        value=ibis.cases(*zip(met, [leads[rule.column].cast("string") for rule in rules], strict=True)),
    )
    return found.filter(found.reason.notnull())


def _meets(leads: ir.Table, rule: DisqualifyRule) -> ir.BooleanValue:
    words = "|".join(re.escape(text.lower()) for text in rule.matches)
    text = leads[rule.column].cast("string").lower()
    return text.re_search(rf"(^|[^\p{{L}}\p{{N}}])({words})($|[^\p{{L}}\p{{N}}])").fill_null(False)
