"""What the stages make of the hard world on an engine, and how the values of two engines are compared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from hard_worlds import END
from propensity.audit.events import event_counts, event_timing
from propensity.audit.tables import last_episodes
from propensity.cohort.labels import add_labels
from propensity.cohort.snapshots import scoring_snapshots, training_snapshots
from propensity.data.ingest import Canonical, ingest, read_canonical, write_canonical
from propensity.decisions.rules import disqualified_leads, rule_hits
from propensity.features.actions import count_followed, followed_events, typical_values
from propensity.features.behaviour import filled_types, frequent_assets
from propensity.features.build import build_features
from propensity.features.catalogue import Plan, make_plan
from propensity.features.history import history_fields
from propensity.features.states import build_states

NOW = datetime(2025, 1, 1, tzinfo=UTC)
UNTIL = datetime.fromisoformat(END)
ATTRIBUTES = {"title": "text", "employees": "number", "city": "text", "note": "text"}
FOLLOWED = ["qualifier", "type", "asset"]
FIELDS = ["Title", "employees", "title"]


def canonical_on(con: Any, world: tuple[Path, Any], folder: Path) -> Canonical:
    """Ingest the world on an engine, by way of the files that the stage writes."""
    made = ingest(world[1].data, world[0], now=NOW, con=con)
    write_canonical(made, folder)
    return read_canonical(con, folder)


def derived(
    con: Any, params: Any, canonical: Canonical, *, translated: Callable[[Any], Any] = lambda table: table
) -> dict[str, Any]:
    """Return what cohort, features and scoring make of canonical tables, each with what orders its rows.

    `translated` puts an expression into the words of the engine before it is computed.
    """
    tables = canonical.tables
    disqualified = disqualified_leads(tables["leads"], params.disqualify)
    told = {"stages": tables["stages"], "events": tables["events"]}
    snapshots, counts = training_snapshots(
        tables["leads"],
        tables["outcomes"],
        disqualified,
        tables["unsettled"],
        ages_days=params.snapshots.ages_days,
        observed_until=UNTIL,
        **told,
    )
    labelled = con.create_table(
        "labelled",
        translated(add_labels(snapshots, horizon_days=60, observed_until=UNTIL, dated_closings=True)),
        overwrite=True,
    )
    assert con.to_pyarrow(history_fields(tables["history"]))["field"].to_pylist() == FIELDS
    plan = plan_of(params, canonical.attribute_types, FIELDS)
    read = {"events": tables["events"], "outcomes": tables["outcomes"], "history": tables["history"]}
    open_leads = scoring_snapshots(tables["leads"], tables["outcomes"], as_of=UNTIL, **told)
    spine = con.create_table("spine", translated(open_leads), overwrite=True)
    before = spine.mutate(as_of_before=spine.as_of - pd.Timedelta(days=20)).filter(
        lambda t: t.created_at <= t.as_of_before
    )
    ended = tables["leads"].select("lead_id", "created_at").join(last_episodes(tables, UNTIL), "lead_id")
    followed = followed_events(labelled, tables["events"], plan, days_after=7)
    made = {
        "snapshots": (labelled, ["snapshot"]),
        "counts": (counts, []),
        "hits": (rule_hits(tables["leads"], params.disqualify), ["lead_id", "rule"]),
        "assets": (frequent_assets(tables["events"], plan.event_types, least=2), ["qualifier", "asset"]),
        "filled types": (filled_types(tables["events"]), ["type"]),
        "features": (build_features(labelled, tables["leads"], plan, **read), ["snapshot"]),
        "spine": (spine, ["snapshot"]),
        "states": (build_states(before, tables["leads"], plan, **read), ["snapshot", "state"]),
        "timing": (event_timing(tables["events"], ended), ["type"]),
        "counts of events": (event_counts(tables["events"], labelled, tables["leads"]), ["lead_id", "type"]),
        "followed": (count_followed(followed), [*FOLLOWED, "snapshot"]),
        "typical values": (typical_values(followed), FOLLOWED),
    }
    return {name: (translated(table), order) for name, (table, order) in made.items()}


def plan_of(params: Any, types: Any, fields: list[str]) -> Plan:
    assets = {"web": ["/pricing", "/préçios"], "email": []}
    return make_plan(params.data, params.features, types, assets=assets, history_fields=fields)


def check_equal(found: pa.Table, expected: pa.Table) -> None:
    """Compare two tables by schema, nulls and bits; NaN is equal to NaN."""
    assert found.schema.remove_metadata() == expected.schema.remove_metadata()
    assert found.num_rows == expected.num_rows
    for name in expected.column_names:
        mine, other = found[name].combine_chunks(), expected[name].combine_chunks()
        if pa.types.is_floating(mine.type):
            assert mine.is_null().equals(other.is_null()), name
            bits = [
                pa.array(a.fill_null(0).to_numpy(zero_copy_only=False).view("int64")) for a in (mine, other)
            ]
            assert bits[0].equals(bits[1]), (name, mine.to_pylist(), other.to_pylist())
        else:
            assert mine.equals(other), (name, mine.to_pylist(), other.to_pylist())
