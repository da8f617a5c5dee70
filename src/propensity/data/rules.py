"""What makes a row unfit, as data: each rule is a name, a column and an expression over the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import ibis
import ibis.expr.types as ir

from propensity.data import values
from propensity.data.delimited import POSITION
from propensity.data.tables import GIVEN, Field, TableSpec

BAD = "__bad"  # true where any rule is broken
LARGEST_AMOUNT = 1e12
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

_LEAD, _CREATED = "__known_lead", "__lead_created_at"


@dataclass(frozen=True)
class Rule:
    """Rows where `broken` is true are refused under `name`; `column` is the canonical column at fault."""

    name: str
    column: str
    broken: Callable[[ir.Table], ir.BooleanValue]


def row_rules(spec: TableSpec, *, now: datetime) -> list[Rule]:
    """Return the rules that a row of the table is held to whatever the other rows of its table are."""
    mapped = [field for field in spec.fields if field.raw is not None]
    rules = [rule for field in mapped for rule in _field_rules(field, now)]
    if spec.of_leads:
        rules.append(Rule("unknown_lead", "lead_id", lambda t: t["lead_id"].notnull() & t[_LEAD].isnull()))
    if spec.name == "outcomes" and "closed_at" in {field.name for field in mapped}:
        rules += _closing_rules()
    if spec.name == "spend":
        rules.append(Rule("range", "period_end", lambda t: t["period_end"] < t["period_start"]))
    return rules


def repeat_rule(spec: TableSpec) -> Rule:
    """Return the rule against repeats, which looks only at rows that break no other rule.

    The first row of a key stays, and the later ones go; a good row does not go for coming after a bad one.
    """
    name = "duplicate_key" if spec.key else "duplicate_row"
    same = ibis.window(group_by=[BAD, *(spec.key or spec.columns)], order_by=POSITION)
    return Rule(name, spec.fields[0].name, lambda t: ~t[BAD] & (ibis.row_number().over(same) > 0))


def judge(
    table: ir.Table, spec: TableSpec, rules: Sequence[Rule], *, leads: ir.Table | None = None
) -> ir.Table:
    """Return the table with a column for each rule and for the repeats, and `BAD` for any of them.

    `leads` are the accepted leads, needed where each row belongs to one.
    """
    if spec.of_leads and leads is not None:
        known = leads.select(**{_LEAD: leads["lead_id"], _CREATED: leads["created_at"]})
        table = table.left_join(known, table["lead_id"] == known[_LEAD])
    flags = {flag(i): rule.broken(table).fill_null(False) for i, rule in enumerate(rules)}
    table = table.mutate(**flags)
    table = table.mutate(**{BAD: ibis.or_(*(table[name] for name in flags))})
    repeated = flag(len(rules))
    table = table.mutate(**{repeated: repeat_rule(spec).broken(table)})
    return table.mutate(**{BAD: table[BAD] | table[repeated]})


def flag(place: int) -> str:
    """Return the column that holds where the rule at `place` is broken."""
    return f"__broken_{place}"


def _field_rules(field: Field, now: datetime) -> list[Rule]:
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
        rules.append(Rule("future", field.name, lambda t: t[field.name] > values.moment(now)))
    return rules


def _missing_key(field: Field) -> Rule:
    if field.parsed:
        return Rule("missing_key", field.name, lambda t: ~t[GIVEN + field.name])
    return Rule("missing_key", field.name, lambda t: t[field.name].isnull())


def _type(field: Field) -> Rule:
    return Rule("type", field.name, lambda t: t[GIVEN + field.name] & t[field.name].isnull())


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
