"""What a served model answers: leads with their events in one request, scores with reasons back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from propensity.bundled import needed_types, trained_with
from propensity.data.delimited import POSITION
from propensity.data.tables import (
    TableSpec,
    only_attributes,
    optional_order,
    table_specs,
    with_attributes,
)
from propensity.errors import InputError, some
from propensity.model.bundle import Bundle
from propensity.predict import Predictor

NESTED = ("events", "outcomes", "history")  # tables whose rows stand with the lead they are about


def request_tables(bundle: Bundle) -> dict[str, TableSpec]:
    """Return the tables that a request holds: leads, and those that the model reads of them."""
    specs = table_specs(trained_with(bundle).data)
    leads = with_attributes(optional_order(specs["leads"], []), only_attributes(needed_types(bundle)))
    read = {
        "events": bool(bundle.plan.event_types),
        "outcomes": bundle.plan.has_account,
        "history": bool(bundle.plan.rebuilt),
    }
    return {"leads": leads} | {name: specs[name] for name in NESTED if read[name] and name in specs}


def own_columns(spec: TableSpec) -> list[str]:
    """Return the columns of a nested table's rows: all but the lead, with which they stand."""
    return [column for column in spec.raw_columns if column != lead_column(spec)]


def lead_column(spec: TableSpec) -> str:
    """Return the column that holds the lead's id; in a table without one, what it is called here."""
    raw = spec.raw_of("lead_id")
    return "lead_id" if raw == POSITION else raw


def score_request(
    predictor: Predictor, leads: pd.DataFrame, params: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Score the leads of a request.

    Parameters
    ----------
    predictor : Predictor
    leads : DataFrame
        One row a lead, columns as in the params the model was trained with; ``events``, and ``outcomes`` and
        ``history`` for a model that reads them, hold a list of objects each.
    params : mapping, optional
        ``as_of``, the moment of scoring; the current time if left out.

    Returns
    -------
    list of dict
        One for each lead, in the leads' order, as the rows of ``scores.parquet``; moments as text.

    Raises
    ------
    InputError
        There is no lead, a nested table is no list of objects, or as `Predictor.score`.
    """
    if leads.empty:
        raise InputError("the request holds no lead; expected one record a lead in dataframe_records")
    tables = request_tables(predictor.bundle)
    nested: dict[str, Any] = {
        name: _unnest(leads, name, lead_column(tables["leads"]), spec)
        for name, spec in tables.items()
        if name != "leads" and (name in leads.columns or name == "events")
    }
    as_of = (params or {}).get("as_of")
    scores = predictor.score(leads.drop(columns=list(nested), errors="ignore"), as_of=as_of, **nested)
    return [_plain(row) for row in scores.to_dict("records")]


def _unnest(leads: pd.DataFrame, name: str, lead_id: str, spec: TableSpec) -> pd.DataFrame:
    """Return the rows that stand with the leads as a table of their own."""
    rows: list[dict[str, Any]] = []
    lists = leads[name] if name in leads.columns else [None] * len(leads)
    bad: list[int] = []
    for place, (lead, held) in enumerate(zip(leads[lead_id], lists, strict=True), start=1):
        items = [] if held is None or (isinstance(held, float) and held != held) else held
        if isinstance(items, (str, Mapping)) or not all(isinstance(item, Mapping) for item in items):
            bad.append(place)
            continue
        rows += [{**item, lead_column(spec): lead} for item in items]
    if bad:
        raise InputError(
            f"'{name}' should be a list of objects with {', '.join(own_columns(spec))}; it is not in the "
            f"records {some(bad)}, counted from 1"
        )
    return pd.DataFrame(rows, columns=[lead_column(spec), *own_columns(spec)])


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row of scores as what JSON can hold; what is missing is null."""
    return {str(name): _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _plain(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain_value(item) for item in value]
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    return value.isoformat() if isinstance(value, pd.Timestamp) else value
