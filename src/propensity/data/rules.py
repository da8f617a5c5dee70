"""What makes a row unfit, as data: each rule is a name, a column and an expression over the table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import ibis
import ibis.expr.types as ir

from propensity.data import values
from propensity.data.delimited import POSITION
from propensity.data.forgotten import Forgotten
from propensity.data.tables import GIVEN, NOW, Field, TableSpec

BAD = "__bad"  # true where any rule is broken
LARGEST_AMOUNT = 1e12
LONGEST_WRITTEN = 4000  # characters of what a person writes beside a verdict
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

_LEAD, _CREATED, _REPEATED, _HASH = "__known_lead", "__lead_created_at", "__repeated", "__hash"


@dataclass(frozen=True)
class Rule:
    """Rows where `broken` is true are refused under `name`; `column` is the canonical column at fault."""

    name: str
    column: str
    broken: Callable[[ir.Table], ir.BooleanValue]


def row_rules(
    spec: TableSpec, forgotten: Forgotten | None = None, *, typed: Collection[str] = ()
) -> list[Rule]:
    """Return the rules that a row of the table is held to whatever the other rows of its table are.

    Rows of leads that were forgotten are refused as such, and not for want of their lead. Columns that are
    `typed` come with the type they are read as: every value of theirs is understood.
    """
    mapped = [field for field in spec.fields if field.raw is not None]
    rules = [rule for field in mapped for rule in _field_rules(field) if _can_break(rule, typed)]
    if spec.of_leads:
        rules.append(Rule("unknown_lead", "lead_id", lambda t: _is_unknown(t, forgotten)))
    if forgotten is not None and "lead_id" in spec.columns:
        rules.append(Rule("forgotten", "lead_id", lambda t: forgotten.holds(t["lead_id"])))
    if spec.name == "outcomes" and "closed_at" in {field.name for field in mapped}:
        rules += _closing_rules()
    if {"opened_at", "closed_at"} <= {field.name for field in mapped}:
        rules.append(Rule("closed_before_opened", "closed_at", lambda t: t["closed_at"] < t["opened_at"]))
    if spec.name == "feedback":
        rules += [_too_long(field) for field in mapped if field.kind == "text"]
    if spec.name == "spend":
        rules.append(Rule("range", "period_end", lambda t: t["period_end"] < t["period_start"]))
    return rules


def repeat_rule(spec: TableSpec) -> Rule:
    """Return the rule that `repeated_rows` are refused under."""
    return Rule("duplicate_key" if spec.key else "duplicate_row", spec.fields[0].name, lambda t: t[_REPEATED])


def with_leads(table: ir.Table, spec: TableSpec, leads: ir.Table | None) -> ir.Table:
    """Return the table beside what its rules need of the accepted leads, where rows belong to one."""
    if not spec.of_leads or leads is None:
        return table
    known = leads.select(**{_LEAD: leads["lead_id"], _CREATED: leads["created_at"]})
    return table.left_join(known, table["lead_id"] == known[_LEAD])


def judge(table: ir.Table, rules: Sequence[Rule]) -> ir.Table:
    """Return the table with a column for each rule, true where it is broken, and `BAD` for any of them."""
    flags = {flag(i): _broken(rule, table) for i, rule in enumerate(rules)}
    table = table.mutate(**flags)
    return table.mutate(**{BAD: ibis.or_(*(table[name] for name in flags))})


def judge_briefly(table: ir.Table, rules: Sequence[Rule]) -> ir.Table:
    """Return the table with `BAD` alone."""
    return table.mutate(**{BAD: ibis.or_(*(_broken(rule, table) for rule in rules))})


def repeated_rows(judged: ir.Table, spec: TableSpec) -> ir.Table:
    """Return the positions of rows that repeat the key, or all canonical columns, of an earlier row.

    The first row stays. Only rows that break no other rule count: a good row does not go for coming after
    a bad one.
    """
    columns = spec.key or spec.columns
    good = judged.filter(~judged[BAD]).select(POSITION, *columns)
    later = ibis.row_number().over(ibis.window(group_by=columns, order_by=POSITION)) > 0
    return good.mutate(**{_REPEATED: later}).filter(ibis._[_REPEATED]).select(POSITION)


def likely_repeats(judged: ir.Table, spec: TableSpec) -> ir.Table:
    """Return the rows that may repeat another one, or be repeated: those whose hash is not theirs alone.

    What `repeated_rows` makes of them is what it makes of all. Numbering the copies of each row costs several
    times as much as counting the rows of each hash, in time and in memory. Floats are left out of the hash:
    engines need not give 0 and -0, which are equal, the same one.
    """
    columns = [name for name in spec.key or spec.columns if not judged[name].type().is_floating()]
    good = judged.filter(~judged[BAD])
    good = good.mutate(**{_HASH: ibis.struct({name: good[name] for name in columns}).hash()})
    counted = good.group_by(_HASH).agg(copies=good.count())
    return good.semi_join(counted.filter(counted.copies > 1), _HASH).drop(_HASH)


def with_repeats(judged: ir.Table, repeats: ir.Table, place: int) -> ir.Table:
    """Return a judged table that counts `repeats` as bad, under the rule at `place`."""
    marked = judged.left_join(repeats.mutate(**{_REPEATED: True}), POSITION).drop(f"{POSITION}_right")
    repeated = marked[_REPEATED].fill_null(False)
    return marked.mutate(**{flag(place): repeated, BAD: marked[BAD] | repeated}).drop(_REPEATED)


def _broken(rule: Rule, table: ir.Table) -> ir.BooleanValue:
    return rule.broken(table).fill_null(False)


def flag(place: int) -> str:
    """Return the column that holds where the rule at `place` is broken."""
    return f"__broken_{place}"


def _field_rules(field: Field) -> list[Rule]:
    rules = [_missing_key(field)] if field.required else []
    if field.parsed:
        rules.append(_type(field))
    if field.kind in ("number", "amount"):
        rules.append(Rule("not_finite", field.name, lambda t: ~_is_finite(t[field.name])))
    if field.kind == "amount":
        rules.append(Rule("range", field.name, lambda t: _is_finite(t[field.name]) & _outside(t[field.name])))
    if field.kind in ("moment", "past"):
        rules.append(Rule("range", field.name, lambda t: t[field.name] < values.moment(EARLIEST)))
    if field.kind == "past":
        rules.append(Rule("future", field.name, lambda t: t[field.name] > t[NOW]))
    return rules


def _is_unknown(table: ir.Table, forgotten: Forgotten | None) -> ir.BooleanValue:
    unknown = table["lead_id"].notnull() & table[_LEAD].isnull()
    return unknown if forgotten is None else unknown & ~forgotten.holds(table["lead_id"])


def _can_break(rule: Rule, typed: Collection[str]) -> bool:
    return rule.name != "type" or rule.column not in typed


def _missing_key(field: Field) -> Rule:
    if field.parsed:
        return Rule("missing_key", field.name, lambda t: ~t[GIVEN + field.name])
    return Rule("missing_key", field.name, lambda t: t[field.name].isnull())


def _type(field: Field) -> Rule:
    return Rule("type", field.name, lambda t: t[GIVEN + field.name] & t[field.name].isnull())


def _too_long(field: Field) -> Rule:
    return Rule("too_long", field.name, lambda t: t[field.name].length() > LONGEST_WRITTEN)


def _closing_rules() -> list[Rule]:
    return [
        Rule("closed_before_created", "closed_at", lambda t: t["closed_at"] < t[_CREATED]),
        Rule("closed_without_date", "closed_at", lambda t: (t["status"] != "open") & ~t[GIVEN + "closed_at"]),
    ]


def _is_finite(number: ir.NumericColumn) -> ir.BooleanValue:
    number = number.cast("float64")
    return ~(number.isnan() | number.isinf())


def _outside(number: ir.NumericColumn) -> ir.BooleanValue:
    return (number < 0) | (number > LARGEST_AMOUNT)
