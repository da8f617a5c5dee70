"""Raw tables in, canonical tables out: found, read, judged, counted and checked."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import ibis
import ibis.expr.types as ir
import pandas as pd

from propensity.data.canonical import find_types, finish, read_columns
from propensity.data.delimited import FILE, POSITION, ROW
from propensity.data.engines import Engine, connect, define, stage
from propensity.data.fetch import fetch
from propensity.data.files import sha256
from propensity.data.forgotten import RULE, Forgotten, read_forgotten
from propensity.data.frames import canonical_frames
from propensity.data.interim import REFUSED_COLUMNS, Canonical, read_canonical, write_canonical
from propensity.data.locations import RawSource, find_source
from propensity.data.postgresql import name_table
from propensity.data.quarantine import (
    Tally,
    check_counts,
    count_rows,
    join_quarantines,
    malformed_rows,
    quarantined_rows,
)
from propensity.data.rules import (
    BAD,
    judge,
    likely_repeats,
    repeat_rule,
    repeated_rows,
    row_rules,
    with_leads,
    with_repeats,
)
from propensity.data.sources import Raw, open_servers, read_raw
from propensity.data.tables import (
    AttributeType,
    TableSpec,
    attribute_names,
    check_attribute_names,
    check_columns,
    only_attributes,
    optional_order,
    table_specs,
    with_attributes,
)
from propensity.data.values import moment, moment_of
from propensity.errors import ParamsError
from propensity.params import DataParams

__all__ = [
    "Canonical",
    "canonical_frames",
    "ingest",
    "read_canonical",
    "summarise_counts",
    "tell_forgotten",
    "write_canonical",
]

logger = logging.getLogger(__name__)

# The columns that tell how far the data reaches. Spend is planned ahead, and a verdict may be given on
# data that ends earlier.
_OBSERVED = (
    ("leads", "created_at"),
    ("events", "event_at"),
    ("events", "known_at"),
    ("outcomes", "opened_at"),
    ("outcomes", "closed_at"),
    ("stages", "entered_at"),
    ("history", "changed_at"),
)


@dataclass(frozen=True)
class _Accepted:
    spec: TableSpec
    judged: ir.Table
    table: ir.Table
    tally: Tally
    quarantine: pd.DataFrame


def ingest(
    data: DataParams,
    workspace: Path,
    *,
    now: datetime,
    types: Mapping[str, AttributeType] | None = None,
    tables: Collection[str] | None = None,
    others: Literal["refuse", "ignore"] = "refuse",
    con: Engine | None = None,
) -> Canonical:
    """Read the raw tables of `data` into canonical tables; nothing is written to the workspace.

    Parameters
    ----------
    workspace
        The folder that paths in `data` are relative to.
    now
        The moment of the run, with a time zone: what is dated later is refused.
    types
        The attributes of leads to read and their types, as learned in training; then other columns are
        ignored and ``order_by`` is optional. None: all columns, with the types found in them.
    tables
        The tables to read beside leads; None: all that are configured.
    others
        What becomes of rows of leads that the leads table does not hold: bad rows, or, when leads are a
        part that is handed in to be scored, no concern of this call.
    con
        From `connect`; the tables are valid as long as it is.

    Raises
    ------
    InputError
        A file, table or column is missing, unreadable or empty, or a timestamp column cannot be read at all.
    QuarantineError
        More than ``data.max_quarantined`` of a table's rows are refused.
    BusyError
        A database is locked.
    """
    con = con or connect(data)
    stated = _stated_end(con, data)
    specs = _wanted(table_specs(data), tables)
    sources = _find_all(specs, data, workspace)
    columns = sources["leads"].columns
    if types is not None:
        specs["leads"] = optional_order(specs["leads"], columns)
        types = only_attributes(types)
    _check_all(specs, sources)
    names = list(types) if types is not None else attribute_names(columns, data)
    check_attribute_names(names, where=sources["leads"].where)
    untyped = with_attributes(specs["leads"], dict.fromkeys(names, "text"))
    raws = _read_all(con, specs | {"leads": untyped}, sources)
    if types is None:
        types = find_types(con, raws["leads"].table, names, missing=specs["leads"].missing)
    specs["leads"] = with_attributes(specs["leads"], types)
    judge_rows = partial(
        _accept,
        con,
        now=now,
        limit=data.max_quarantined,
        others=others,
        forgotten=read_forgotten(workspace),
    )
    accepted = _accept_all(judge_rows, specs, raws)
    quarantine = join_quarantines([part.quarantine for part in accepted.values()])
    unsettled = _unsettled(con, accepted)
    return Canonical(
        tables={name: part.table for name, part in accepted.items()} | unsettled,
        quarantine=quarantine,
        counts=_count_table(accepted),
        attribute_types=dict(types),
        observed_until=stated or _latest(accepted),
        rule_counts=_rule_table(quarantine),
        raw_hashes=_hash_raws(raws.values(), workspace),
        refused=_refused_leads(con, accepted, unsettled.get("unsettled")),
    )


def summarise_counts(counts: pd.DataFrame) -> str:
    """Return one line for each table: rows read = rows accepted + rows quarantined."""
    return "\n".join(
        f"{row.table}: {row.read:,} rows read = {row.accepted:,} accepted + {row.quarantined:,} quarantined"
        for row in counts.itertuples(index=False)
    )


def tell_forgotten(rule_counts: pd.DataFrame) -> str:
    """Return in a sentence how many rows of forgotten leads were left out, empty if none."""
    rows = rule_counts.loc[rule_counts["rule"] == RULE, ["table", "rows"]]
    if rows.empty:
        return ""
    told = ", ".join(f"{row.rows:,} of {row.table}" for row in rows.itertuples(index=False))
    return (
        f"rows of forgotten leads, which the raw tables still hold: {told}; left out, and in the quarantine"
    )


def _wanted(specs: dict[str, TableSpec], tables: Collection[str] | None) -> dict[str, TableSpec]:
    return {name: spec for name, spec in specs.items() if tables is None or name in {"leads", *tables}}


def _find_all(specs: Iterable[str], data: DataParams, workspace: Path) -> dict[str, RawSource]:
    sources: dict[str, RawSource] = {}
    for name in specs:
        section = getattr(data, name)
        if section.path is None:
            sources[name] = sources["leads"]
        else:
            sources[name] = find_source(
                section.path, workspace, delimiter=section.delimiter, section=f"data.{name}"
            )
    return sources


def _check_all(specs: Mapping[str, TableSpec], sources: Mapping[str, RawSource]) -> None:
    for name, spec in specs.items():
        source = sources[name]
        check_columns(spec, source.columns, where=source.where, delimiter=source.delimiter)


def _read_all(
    con: Engine, specs: Mapping[str, TableSpec], sources: Mapping[str, RawSource]
) -> dict[str, Raw]:
    """Read each raw table once, with the columns of all canonical tables that come from it."""
    _check_all(specs, sources)
    raws: dict[RawSource, Raw] = {}
    with open_servers(sources[name] for name in specs) as sessions:
        for name in specs:
            source = sources[name]
            if source not in raws:
                shared = [spec for other, spec in specs.items() if sources[other] is source]
                columns = [c for spec in shared for c in spec.raw_columns]
                raws[source] = read_raw(con, source, columns, sessions=sessions)
    return {name: raws[sources[name]] for name in specs}


def _accept_all(
    judge_rows: Callable[[TableSpec, Raw, ir.Table | None], _Accepted],
    specs: Mapping[str, TableSpec],
    raws: Mapping[str, Raw],
) -> dict[str, _Accepted]:
    accepted: dict[str, _Accepted] = {}
    for name, spec in specs.items():
        leads = accepted["leads"].table if spec.of_leads else None
        accepted[name] = judge_rows(spec, raws[name], leads)
    return accepted


def _accept(
    con: Engine,
    spec: TableSpec,
    raw: Raw,
    leads: ir.Table | None,
    *,
    now: datetime,
    limit: float,
    others: Literal["refuse", "ignore"],
    forgotten: Forgotten | None,
) -> _Accepted:
    """Judge one table's rows, refuse the table if too much of it is bad, and check what is left."""
    # Imported here because pandera takes a second to import, which scoring, through this module, is spared.
    from propensity.data.schemas import check_schema

    rules = row_rules(spec, forgotten)
    table = read_columns(raw.table, spec, now=moment(now))
    if others == "ignore" and leads is not None:
        table = table.semi_join(leads, "lead_id")
    table = with_leads(table, spec, leads)
    judged = stage(con, judge(table, rules))
    likely = likely_repeats(finish(judged, spec, keep=(POSITION, BAD)), spec)
    repeats = stage(con, repeated_rows(likely, spec))
    judged = define(con, with_repeats(judged, repeats, len(rules)))
    rules = [*rules, repeat_rule(spec)]
    tally = count_rows(con, judged, spec, rules, malformed=len(raw.malformed))
    logger.info("%s: %d rows read, %d quarantined", spec.name, tally.read, tally.quarantined)
    check_counts(con, tally, spec, judged, raw, limit=limit)
    table = define(con, finish(judged.filter(~judged[BAD]), spec))
    check_schema(table, spec)
    parts = [malformed_rows(raw.malformed, spec.name)]
    if tally.quarantined > len(raw.malformed):
        parts.append(quarantined_rows(con, judged, raw.table, spec, rules))
    return _Accepted(spec, judged, table, tally, join_quarantines(parts))


def _unsettled(con: Engine, accepted: Mapping[str, _Accepted]) -> dict[str, ir.Table]:
    if "outcomes" not in accepted:
        return {}
    outcomes, leads = accepted["outcomes"], accepted["leads"].table
    refused = outcomes.judged.filter(outcomes.judged[BAD]).select("lead_id").distinct()
    unsettled = refused.semi_join(leads, "lead_id").anti_join(outcomes.table, "lead_id")
    return {"unsettled": define(con, unsettled)}


def _refused_leads(
    con: Engine, accepted: Mapping[str, _Accepted], unsettled: ir.Table | None
) -> pd.DataFrame:
    found = [pd.DataFrame(columns=REFUSED_COLUMNS)]
    without = set() if unsettled is None else set(fetch(con, unsettled)["lead_id"])
    for name in ("leads", "outcomes"):
        if name in accepted:
            judged = accepted[name].judged
            rows = fetch(con, judged.filter(judged[BAD]).select(file=FILE, row=ROW, lead_id="lead_id"))
            known = rows["lead_id"].isin(without) & (name == "outcomes")
            found.append(rows.assign(table=name, unsettled=known)[REFUSED_COLUMNS])
    return pd.concat([part for part in found if len(part)] or found[:1], ignore_index=True)


def _count_table(accepted: Mapping[str, _Accepted]) -> pd.DataFrame:
    rows = [(t.table, t.read, t.accepted, t.quarantined) for t in (part.tally for part in accepted.values())]
    return pd.DataFrame(rows, columns=["table", "read", "accepted", "quarantined"])


def _rule_table(quarantine: pd.DataFrame) -> pd.DataFrame:
    return quarantine.groupby(["table", "rule", "column"], dropna=False).size().reset_index(name="rows")


def _stated_end(con: Engine, data: DataParams) -> datetime | None:
    if data.observed_until is None:
        return None
    end = con.to_pyarrow(moment_of(ibis.literal(data.observed_until), zone=data.timezone)).as_py()
    if end is None:
        raise ParamsError(
            "data.observed_until: expected an ISO 8601 timestamp such as 2024-06-30T00:00:00+00:00, "
            f"got {data.observed_until!r}"
        )
    return _as_utc(end)


def _latest(accepted: Mapping[str, _Accepted]) -> datetime | None:
    ends = [accepted[name].tally.latest.get(column) for name, column in _OBSERVED if name in accepted]
    return max((_as_utc(end) for end in ends if end is not None), default=None)


def _as_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _hash_raws(raws: Iterable[Raw], workspace: Path) -> dict[str, str]:
    """Name files from the workspace, so that moving it does not change what is recorded."""
    read = list(raws)
    found = {file for raw in read for file in raw.source.files}
    named = {Path(os.path.relpath(file, workspace)).as_posix(): sha256(file) for file in found}
    for raw in read:
        if raw.digest is not None:
            named[name_table(str(raw.source.url), str(raw.source.table))] = raw.digest
    return dict(sorted(named.items()))
