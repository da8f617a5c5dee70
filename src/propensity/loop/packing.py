"""A bundle as a model that MLflow can register and serve: code as text, signature, example, requirements."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from propensity.data.tables import Field, TableSpec
from propensity.loop.serving import lead_column, own_columns, request_tables
from propensity.model.bundle import PACKAGES, Bundle

CODE = Path(__file__).with_name("served.py")


def pack_model(made: Bundle, bundle: Path, folder: Path) -> None:
    """Write a bundle as an MLflow model.

    Parameters
    ----------
    made : Bundle
    bundle : Path
        Its folder, which is copied as it is.
    folder : Path
        Must not exist.
    """
    import mlflow

    mlflow.pyfunc.save_model(
        path=str(folder),
        python_model=str(CODE),
        artifacts={"bundle": str(bundle)},
        signature=make_signature(made),
        input_example=(make_example(made), {"as_of": _example_moment(made)}),
        pip_requirements=requirements(),
    )
    _leave_out_places(folder / "MLmodel")


def _leave_out_places(path: Path) -> None:
    """Take out of MLflow's description where code and bundle were: it reads the copies beside it."""
    described = yaml.safe_load(path.read_text(encoding="utf-8"))
    flavor = described["flavors"]["python_function"]
    flavor["model_code_path"] = CODE.name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    path.write_text(yaml.safe_dump(described), encoding="utf-8")


def requirements() -> list[str]:
    """Return the packages, with versions, that a server of the model needs."""
    return [f"{name}=={version(name)}" for name in ("mlflow", *PACKAGES)]


def make_signature(made: Bundle) -> Any:
    """Return what a request holds and what the answer is, in MLflow's words.

    The columns are those of the params that the model was trained with. Numbers are doubles, all else is
    text, moments too: ISO 8601, in ``data.timezone`` where they have no zone.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Object, Property

    tables = request_tables(made)
    columns: list[Any] = [
        ColSpec(kind, name, required=required) for name, kind, required in _columns(tables["leads"])
    ]
    for name, spec in tables.items():
        if name == "leads":
            continue
        properties = [
            Property(column, kind, required=required)
            for column, kind, required in _columns(spec)
            if column != lead_column(spec)
        ]
        columns.append(ColSpec(Array(Object(properties)), name, required=False))
    answer: list[Any] = [
        ColSpec("string", "lead_id"),
        ColSpec("string", "as_of", required=False),
        *(ColSpec("double", name) for name in ("probability", "score")),
        ColSpec("string", "tier"),
        *(ColSpec("double", name) for name in ("base_points", "fit_points", "engagement_points")),
        ColSpec("double", "expected_value"),
        ColSpec(
            Array(
                Object(
                    [
                        *(Property(name, "string", required=False) for name in ("feature", "qualifier")),
                        Property("value", "string", required=False),
                        Property("points", "double"),
                        Property("text", "string"),
                    ]
                )
            ),
            "reasons",
        ),
        ColSpec("string", "model_version"),
        ColSpec("string", "scored_at"),
    ]
    moment = ParamSpec("as_of", "string", default=None)
    return ModelSignature(inputs=Schema(columns), outputs=Schema(answer), params=ParamSchema([moment]))


def make_example(made: Bundle) -> pd.DataFrame:
    """Return an invented request of two leads: one that did something, one that did nothing yet."""
    tables = request_tables(made)
    created = datetime.fromisoformat(_example_moment(made)) - timedelta(days=7)
    leads = [_example_row(tables["leads"], f"example-{i}", created) for i in (1, 2)]
    for name, spec in tables.items():
        if name == "leads":
            continue
        leads[0][name] = [_example_row(spec, "", created, made) | {}] if name == "events" else []
        leads[0][name] = [{c: row[c] for c in own_columns(spec)} for row in leads[0][name]]
        leads[1][name] = []
    return pd.DataFrame(leads)


def _example_moment(made: Bundle) -> str:
    return str(made.data.get("observed_until") or "2025-06-30T00:00:00+00:00")


def _example_row(spec: TableSpec, lead: str, created: datetime, made: Bundle | None = None) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for field in spec.fields:
        if field.raw is None or field.raw in row:
            continue
        name = lead_column(spec) if field.name == "lead_id" else field.raw
        row[name] = _example_value(field, lead, created, made)
    return row


def _example_value(field: Field, lead: str, created: datetime, made: Bundle | None) -> Any:
    if field.name == "lead_id":
        return lead
    if field.kind in ("past", "moment"):
        return created.isoformat()
    if field.kind in ("number", "amount"):
        return 1.0
    if field.name == "type" and made is not None:
        return next(kind for kinds in made.plan.event_types.values() for kind in kinds)
    return "example"


def _columns(spec: TableSpec) -> list[tuple[str, str, bool]]:
    """Return the raw columns of a table with the kind that MLflow calls it and whether it has to be there."""
    found: dict[str, tuple[str, str, bool]] = {}
    for field in spec.fields:
        if field.raw is None:
            continue
        name = lead_column(spec) if field.name == "lead_id" else field.raw
        kind = "double" if field.kind in ("number", "amount") else "string"
        found.setdefault(name, (name, kind, True if not spec.of_leads else field.required))
    return list(found.values())
