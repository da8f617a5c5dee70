"""The canonical tables: their columns, which raw column feeds each, and what every row must satisfy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from propensity.data.delimited import POSITION
from propensity.errors import InputError, nearest, some
from propensity.params import DataParams

AttributeType = Literal["number", "text"]
Kind = Literal["text", "category", "number", "amount", "moment", "past", "status", "verdict"]

LEADS_COLUMNS = ("lead_id", "created_at", "account_id", "channel", "order_key", "row")
GIVEN = "__given_"  # prefix of the columns that say where a parsed column holds anything
NOW = "__now"  # the moment of the run, beside every row: a column, so that a compiled expression serves again
ROW_NUMBER = "row"  # in params, for a file without an id or an order of its own

_PARSED = ("number", "amount", "moment", "past", "verdict")


@dataclass(frozen=True)
class Field:
    """A canonical column.

    Parameters
    ----------
    name
        Its canonical name.
    raw
        The raw column that feeds it; None where params map none, then it is null throughout.
    kind
        ``category`` is a text attribute; ``amount`` a number from 0 to 1e12; ``past`` a moment that
        cannot lie after the run; ``moment`` one that can.
    required
        Whether a row without it is refused.
    """

    name: str
    raw: str | None
    kind: Kind
    required: bool = False

    @property
    def parsed(self) -> bool:
        """Whether a value can be given and yet not understood."""
        return self.raw is not None and self.kind in _PARSED


@dataclass(frozen=True)
class TableSpec:
    """A canonical table: columns, what tells two rows apart, and how its raw values are read.

    `key` is unique over the accepted rows; with ``key`` empty, only rows equal in all columns are refused.
    `of_leads` says that each row belongs to a lead.
    """

    name: str
    section: str
    fields: tuple[Field, ...]
    missing: tuple[str, ...]
    zone: str
    key: tuple[str, ...] = ()
    of_leads: bool = True
    won: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def raw_columns(self) -> tuple[str, ...]:
        """The raw columns needed, each once."""
        return tuple(dict.fromkeys(f.raw for f in self.fields if f.raw not in (None, POSITION)))

    def raw_of(self, name: str) -> str:
        """Return the raw column behind a canonical one."""
        return next(f.raw or f.name for f in self.fields if f.name == name)

    @property
    def columns(self) -> tuple[str, ...]:
        """The canonical columns, in order."""
        return tuple(f.name for f in self.fields)


def table_specs(data: DataParams) -> dict[str, TableSpec]:
    """Return the specification of each configured table; that of leads has no attributes yet."""
    leads = data.leads
    created = Field("created_at", leads.created_at, "past", required=leads.created_at is not None)
    fields = [
        Field("lead_id", _row_or(leads.lead_id), "text", required=True),
        created,
        Field("account_id", leads.account_id, "text"),
        Field("channel", leads.channel, "text"),
    ]
    if leads.order_by is not None:
        fields.append(Field("order_key", _row_or(leads.order_by), "number", required=True))
    specs = {"leads": _spec("leads", data, fields, leads.missing, key=("lead_id",), of_leads=False)}
    specs["outcomes"] = _outcomes_spec(data)
    return specs | _dated_specs(data) | _spend_spec(data)


def _outcomes_spec(data: DataParams) -> TableSpec:
    outcomes, leads = data.outcomes, data.leads
    inside = outcomes.path is None
    fields = [
        Field("lead_id", _row_or(leads.lead_id if inside else outcomes.lead_id), "text", required=True),
        Field("status", outcomes.status, "status"),
        *([Field("opened_at", outcomes.opened_at, "past")] if outcomes.opened_at is not None else []),
        Field("closed_at", outcomes.closed_at, "past"),
        Field("amount", outcomes.amount, "amount"),
        Field("reason", outcomes.reason, "text"),
    ]
    missing = [*leads.missing, *outcomes.missing] if inside else outcomes.missing
    # A lead that was reopened ends several times; without dates nothing tells one end from another.
    several = not inside and leads.created_at is not None and outcomes.closed_at is not None
    key = ("lead_id", "closed_at") if several else ("lead_id",)
    spec = _spec("outcomes", data, fields, missing, key=key)
    return replace(spec, won=_folded(outcomes.won), lost=_folded(outcomes.lost))


def _dated_specs(data: DataParams) -> dict[str, TableSpec]:
    specs = {}
    if events := data.events:
        fields = [
            Field("lead_id", events.lead_id, "text", required=True),
            Field("event_at", events.event_at, "past", required=True),
            Field("known_at", events.known_at, "past"),
            Field("type", events.type, "text", required=True),
            Field("asset", events.asset, "text"),
            Field("campaign", events.campaign, "text"),
            Field("value", events.value, "amount"),
        ]
        specs["events"] = _spec("events", data, fields, events.missing)
    if stages := data.stages:
        fields = [
            Field("lead_id", stages.lead_id, "text", required=True),
            Field("stage", stages.stage, "text", required=True),
            Field("entered_at", stages.entered_at, "past", required=True),
        ]
        specs["stages"] = _spec("stages", data, fields, stages.missing)
    if history := data.history:
        fields = [
            Field("lead_id", history.lead_id, "text", required=True),
            Field("field", history.field, "text", required=True),
            Field("changed_at", history.changed_at, "past", required=True),
            Field("old", history.old, "category"),
            Field("new", history.new, "category"),
        ]
        specs["history"] = _spec("history", data, fields, history.missing)
    if feedback := data.feedback:
        fields = [
            Field("lead_id", feedback.lead_id, "text", required=True),
            # The moment that was looked at; a table without dates has none.
            Field("as_of", feedback.as_of, "past", required=data.leads.created_at is not None),
            Field("verdict", feedback.verdict, "verdict", required=True),
            Field("reason", feedback.reason, "text"),
            Field("given_by", feedback.given_by, "text"),
            Field("given_at", feedback.given_at, "past", required=True),
        ]
        specs["feedback"] = _spec("feedback", data, fields, feedback.missing)
    return specs


def _spend_spec(data: DataParams) -> dict[str, TableSpec]:
    if (spend := data.spend) is None:
        return {}
    fields = [
        Field("channel", spend.channel, "text", required=True),
        Field("period_start", spend.period_start, "past", required=True),
        Field("period_end", spend.period_end, "moment", required=True),
        Field("spend", spend.spend, "amount", required=True),
    ]
    key = ("channel", "period_start", "period_end")
    return {"spend": _spec("spend", data, fields, spend.missing, key=key, of_leads=False)}


def with_attributes(leads: TableSpec, types: Mapping[str, AttributeType]) -> TableSpec:
    """Return the leads' specification with the named raw columns as attributes."""
    kinds: dict[AttributeType, Kind] = {"number": "number", "text": "category"}
    attributes = tuple(Field(name, name, kinds[kind]) for name, kind in types.items())
    return replace(leads, fields=leads.fields + attributes)


def only_attributes(types: Mapping[str, AttributeType]) -> dict[str, AttributeType]:
    """Return `types` without the canonical columns of leads, which have types of their own."""
    return {name: kind for name, kind in types.items() if name not in LEADS_COLUMNS}


def optional_order(leads: TableSpec, columns: Sequence[str]) -> TableSpec:
    """Return the leads' specification with the order left null where its column is not there.

    An order is needed to split, not to score.
    """
    fields = [
        replace(f, raw=None, required=False)
        if f.name == "order_key" and f.raw not in (POSITION, *columns)
        else f
        for f in leads.fields
    ]
    return replace(leads, fields=tuple(fields))


def attribute_names(columns: Sequence[str], data: DataParams) -> list[str]:
    """Return the raw columns of leads that are attributes, in the file's order.

    Not among them are the id, the creation time, what stands in a canonical column of the same name, and
    the columns that hold the outcome where outcomes have no file of their own.
    """
    leads, outcomes = data.leads, data.outcomes
    taken = {leads.lead_id, leads.created_at}
    named_alike = (
        ("account_id", leads.account_id),
        ("channel", leads.channel),
        ("order_key", leads.order_by),
    )
    taken |= {raw for name, raw in named_alike if raw is not None and raw.lower() == name}
    if outcomes.path is None:
        taken |= {outcomes.status, outcomes.opened_at, outcomes.closed_at, outcomes.amount, outcomes.reason}
    return [column for column in columns if column not in taken]


def check_attribute_names(names: Iterable[str], *, where: str) -> None:
    """Refuse attributes that would be taken for a canonical column; engines ignore upper and lower case.

    Raises
    ------
    InputError
        Names the columns and the ways out.
    """
    clashing = [name for name in names if name.lower() in LEADS_COLUMNS]
    if clashing:
        raise InputError(
            f"{where}: the columns {some(clashing)} have names that this product gives to other content "
            f"({', '.join(LEADS_COLUMNS)}); map them under data.leads in params.yaml or rename them"
        )


def check_columns(
    spec: TableSpec, columns: Sequence[str], *, where: str, delimiter: str | None = None
) -> None:
    """Refuse a raw table without a column that params name.

    Raises
    ------
    InputError
        Names the table's place, each missing column, the nearest name and the columns there.
    """
    absent = [f for f in spec.fields if f.raw not in (None, POSITION, *columns)]
    if not absent:
        return
    missing = "; ".join(
        f"column {f.raw!r} ({spec.section}.{f.name}) is not there{nearest(str(f.raw), columns)}"
        for f in absent
    )
    raise InputError(
        f"{where}: {missing}. The columns there: {', '.join(map(repr, columns))}"
        f"{_delimiter_hint(columns, delimiter)}"
    )


def _delimiter_hint(columns: Sequence[str], delimiter: str | None) -> str:
    other = next((d for d in ";\t|," if len(columns) == 1 and d != delimiter and d in columns[0]), None)
    return f". Is the delimiter {other!r} rather than {delimiter!r}?" if delimiter and other else ""


def _spec(
    name: str,
    data: DataParams,
    fields: list[Field],
    missing: Sequence[str],
    *,
    key: tuple[str, ...] = (),
    of_leads: bool = True,
) -> TableSpec:
    return TableSpec(name, f"data.{name}", tuple(fields), tuple(missing), data.timezone, key, of_leads)


def _row_or(column: str) -> str:
    return POSITION if column == ROW_NUMBER else column


def _folded(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({str(value).strip().lower() for value in values}))
