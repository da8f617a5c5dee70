"""Disqualification: leads that are not pursued whatever their probability, and which rules say so.

A rule has one condition on one column of leads. It is met by a value, or by its absence, as it stands in the
canonical leads: texts are trimmed, and what counts as missing there is missing here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from propensity.data.values import number_of, text_of
from propensity.decisions.lists import FREE_MAIL, STUDENTS
from propensity.errors import InputError, nearest
from propensity.params import DisqualifyRule

if TYPE_CHECKING:
    import ibis.expr.types as ir

_OUTSIDE = r"[^\p{L}\p{M}\p{N}]"  # no letter, no accent on one, no digit
# Latin, Greek and Cyrillic letters whose accent can be taken off.
_LETTERS = (*range(0xC0, 0x250), *range(0x370, 0x500), *range(0x1E00, 0x1F00))


def disqualified_leads(leads: ir.Table, rules: Sequence[DisqualifyRule]) -> ir.Table:
    """Return the leads that meet a rule, with the first rule they meet.

    Parameters
    ----------
    leads : ibis table
        Canonical leads.
    rules : sequence of DisqualifyRule

    Returns
    -------
    ibis table
        ``lead_id, reason, column, value``, one row a lead.

    Raises
    ------
    InputError
        A rule names a column that leads do not have.
    """
    hits = rule_hits(leads, rules)
    first = hits.group_by("lead_id").mutate(first=hits.rule.min())
    return first.filter(first.rule == first.first).select("lead_id", "reason", "column", "value")


def rule_hits(leads: ir.Table, rules: Sequence[DisqualifyRule]) -> ir.Table:
    """Return every rule that every lead meets.

    Parameters
    ----------
    leads : ibis table
        Canonical leads.
    rules : sequence of DisqualifyRule

    Returns
    -------
    ibis table
        ``lead_id, rule, reason, column, value``, one row a lead and rule; ``rule`` is its place in
        `rules`, from 1. The value of a column of addresses is the domain alone; of a missing one, null.

    Raises
    ------
    InputError
        A rule names a column that leads do not have.
    """
    _check_columns(leads, rules)
    if not rules:
        return _hits(leads, DisqualifyRule(reason="none", column="lead_id", missing=True), 0).limit(0)
    first, *others = [_hits(leads, rule, place) for place, rule in enumerate(rules, start=1)]
    return first.union(*others, distinct=False) if others else first


def count_hits(hits: pd.DataFrame, rules: Sequence[DisqualifyRule]) -> list[dict[str, Any]]:
    """Return how many leads each rule hits, a rule that hits nobody among them.

    Parameters
    ----------
    hits : DataFrame
        As `rule_hits`.
    rules : sequence of DisqualifyRule

    Returns
    -------
    list of dict
        ``rule, reason, column, leads``; a lead that meets several rules counts under each.
    """
    leads = hits.groupby("rule")["lead_id"].nunique()
    return [
        {"rule": n, "reason": rule.reason, "column": rule.column, "leads": int(leads.get(n, 0))}
        for n, rule in enumerate(rules, start=1)
    ]


def tell_hits(counts: Iterable[Mapping[str, Any]]) -> str:
    """Return `count_hits` as a sentence's part, empty without rules."""
    told = ", ".join(f"{row['reason']} {row['leads']:,}" for row in counts)
    return f"disqualified by rule: {told}" if told else ""


def _check_columns(leads: ir.Table, rules: Sequence[DisqualifyRule]) -> None:
    columns = leads.columns
    for rule in rules:
        if rule.column not in columns:
            raise InputError(
                f"disqualify: the leads have no column '{rule.column}'{nearest(rule.column, columns)}; "
                f"they have {', '.join(columns)}"
            )


def _hits(leads: ir.Table, rule: DisqualifyRule, place: int) -> ir.Table:
    given = leads.lead_id.notnull()  # always: what makes a column of a constant without ibis
    table = leads.select(
        "lead_id",
        rule=given.ifelse(place, place).cast("int64"),
        reason=given.ifelse(rule.reason, rule.reason),
        column=given.ifelse(rule.column, rule.column),
        value=_shown(leads, rule),
        met=_meets(leads, rule),
    )
    return table.filter(table.met).drop("met")


def _meets(leads: ir.Table, rule: DisqualifyRule) -> ir.BooleanValue:
    name, wanted = rule.condition
    text = text_of(leads[rule.column])
    if name == "missing":
        return text.isnull()
    if name in ("below", "above"):
        number = number_of(leads[rule.column])
        return ((number < wanted) if name == "below" else (number > wanted)) & ~number.isnan()
    if name == "matches":
        return _has_word(text.lower(), [word.lower() for word in wanted])
    if name == "list" and wanted == "students":
        return _has_word(_without_accents(text), [_bare(word) for word in STUDENTS])
    if name in ("list", "domains"):
        return _is_under(_domain(text), FREE_MAIL if name == "list" else wanted)
    among = [value.strip().lower() for value in ([wanted] if name == "equals" else wanted)]
    return text.lower().notin(among) if name == "served" else text.lower().isin(among)


def _shown(leads: ir.Table, rule: DisqualifyRule) -> ir.StringValue:
    text = text_of(leads[rule.column])
    of_domains = rule.domains is not None or rule.builtin == "free_mail"
    return _domain(text) if of_domains else text


def _has_word(text: ir.StringValue, words: Iterable[str]) -> ir.BooleanValue:
    anyone = "|".join(re.escape(word) for word in words)
    return text.re_search(f"(^|{_OUTSIDE})({anyone})($|{_OUTSIDE})")


def _domain(text: ir.StringValue) -> ir.StringValue:
    """Return the domain of an e-mail address, an address of the web or a domain, in lower case."""
    host = text.lower().re_replace(r"^(mailto:|[a-z][a-z0-9+.-]*://)", "").re_replace(r"[/?#].*$", "")
    return host.re_replace(r"^.*@", "").re_replace(r"[:>].*$", "").re_replace(r"[.\s]+$", "")


def _is_under(domain: ir.StringValue, domains: Iterable[str]) -> ir.BooleanValue:
    anyone = "|".join(re.escape(name.strip().lower()) for name in domains)
    return domain.re_search(rf"(^|\.)({anyone})$")


def _without_accents(text: ir.StringValue) -> ir.StringValue:
    """Return text in lower case without accents, whether they are part of a letter or stand after it."""
    found = {chr(code): _bare(chr(code)) for code in _LETTERS if chr(code).islower()}
    single = {letter: bare for letter, bare in found.items() if len(bare) == 1 and bare != letter}
    plain = text.lower().translate("".join(single), "".join(single.values()))
    return plain.re_replace(r"\p{M}+", "")


def _bare(text: str) -> str:
    """Return text in lower case without the marks that Unicode's decomposition splits off."""
    split = unicodedata.normalize("NFD", text.lower())
    return "".join(letter for letter in split if not unicodedata.combining(letter))
