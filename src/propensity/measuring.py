"""The figures of ``metrics.json``: a bundle measured on the parts of a workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from propensity.gathering import read_part
from propensity.workspace import Workspace


@dataclass(frozen=True)
class _Judged:
    """A part of the training table with what the bundle says of it."""

    table: Any
    won: Any
    groups: Any
    log_odds: Any
    probability: Any


def measure(ws: Workspace, made: Any) -> dict[str, Any]:
    """Return the figures of ``metrics.json`` for a bundle, in memory or read.

    Parameters
    ----------
    ws : Workspace
        Whose train, stop, calibrate and test parts are read.
    made : Bundle
    """
    from propensity.data.files import read_json

    test, calibration = (_judge(made, read_part(ws, name)) for name in ("test", "calibrate"))
    fitting = read_json(ws.models / "calibration" / "calibration.json")
    curve = fitting.pop("cutoff_curve")
    return {
        "model_version": made.model_version,
        "horizon_days": read_json(ws.interim / "cohort.json")["horizon"]["days"],
        "split": read_json(ws.processed / "split.json"),
        "model": {**read_json(ws.models / "candidate" / "training.json"), **fitting},
        **_measure_parts(ws, made, test, calibration),
        **_measure_slices(ws, test),
        "fairness": _compare_groups(ws, made, test),
        "recentred": _measure_recentred(ws, test),
        "cutoffs": made.cutoffs,
        "cutoff_curve": curve,
        **_measure_points(ws, made, test.table),
        "tradeoff": _measure_tradeoff(ws, made, calibration),
        "audit": read_json(ws.reports / "audit.json"),
        "counts": {
            **read_json(ws.interim / "ingest.json"),
            "cohort": read_json(ws.interim / "cohort.json"),
        },
    }


def _judge(made: Any, table: Any) -> _Judged:
    from propensity.model.bundle import log_odds
    from propensity.model.estimators import probability_of

    found = log_odds(made, table)
    won, groups = table["won"].to_numpy(dtype=bool), table["group"].to_numpy()
    return _Judged(table, won, groups, found, probability_of(found))


def _measure_parts(ws: Workspace, made: Any, test: _Judged, calibration: _Judged) -> dict[str, Any]:
    """Measure test and calibrate part, and the baselines on the test part."""
    from propensity.evaluation.comparison import base_rate_probability, points_rule_probability
    from propensity.evaluation.metrics import gains_table, reliability_table, report_metrics
    from propensity.model.encoding import encode

    seed, (train, stop) = ws.params.model.seed, (read_part(ws, name) for name in ("train", "stop"))
    # The baselines take no weights, and so only labels that were final before the next part.
    train = train[train["known"] <= stop["moment"].min()]
    won = train["won"].to_numpy(dtype=bool)
    by_rule = points_rule_probability(
        encode(train, made.encoding), won, encode(test.table, made.encoding), made.encoding
    )
    by_rate = base_rate_probability(won, len(test.table))
    return {
        "test": report_metrics(test.won, test.probability, test.groups, seed=seed),
        "calibrate": report_metrics(calibration.won, calibration.probability, calibration.groups, seed=seed),
        "baselines": {
            "base_rate": report_metrics(test.won, by_rate, test.groups, seed=seed),
            "points_rule": report_metrics(test.won, by_rule, test.groups, seed=seed),
        },
        "reliability": reliability_table(test.won, test.probability, test.groups),
        "gains": gains_table(test.won, test.probability),
    }


def _measure_slices(ws: Workspace, test: _Judged) -> dict[str, Any]:
    """Measure the test part by age, channel and the levels of ``model.segments``."""
    import pandas as pd

    from propensity.evaluation.metrics import slices_of
    from propensity.evaluation.reliability import calibration_report, calibration_slices

    judged, seed = (test.won, test.probability, test.groups), ws.params.model.seed
    segments = {c: pd.DataFrame({"slice_level": test.table[c]}) for c in ws.params.model.segments}
    return {
        "by_age": slices_of(test.table, "age_days", *judged, seed=seed),
        "by_channel": slices_of(test.table, "channel", *judged, seed=seed),
        "by_segment": {c: slices_of(levels, "level", *judged, seed=seed) for c, levels in segments.items()},
        "calibration": {
            "test": calibration_report(*judged, seed=seed),
            "by_age": calibration_slices(test.table, "age_days", *judged, seed=seed),
            "by_channel": calibration_slices(test.table, "channel", *judged, seed=seed),
            "by_segment": {
                c: calibration_slices(levels, "level", *judged, seed=seed) for c, levels in segments.items()
            },
        },
    }


def _compare_groups(ws: Workspace, made: Any, test: _Judged) -> dict[str, Any]:
    from propensity.evaluation.fairness import compare_groups

    cutoffs = {tier: made.cutoffs[tier]["probability"] for tier in ("mql", "sql")}
    judged = (test.table["lead_id"], test.won, test.probability, test.groups)
    return {
        name: compare_groups(column, *judged, cutoffs=cutoffs, seed=ws.params.model.seed)
        for name, column in _lead_columns(ws, test.table["lead_id"]).items()
    }


def _measure_recentred(ws: Workspace, test: _Judged) -> Any:
    from propensity.evaluation.recentring import recentred_report

    if ws.params.split.by == "random":
        return None
    moments, known = (test.table[name].to_numpy() for name in ("moment", "known"))
    seed = ws.params.model.seed
    return recentred_report(test.log_odds, test.won, test.groups, moments, known, seed=seed)


def _measure_points(ws: Workspace, made: Any, test: Any) -> dict[str, Any]:
    """Measure what moves scores, on 5,000 rows of the test part at most."""
    from propensity.batch import compute_table_points
    from propensity.explain.dependence import compute_dependence
    from propensity.explain.grades import assign_grades, count_grades
    from propensity.explain.points import mean_absolute_points, sum_by_side
    from propensity.model.encoding import veil

    sample = test.sample(min(len(test), 5000), random_state=ws.params.model.seed)
    points = compute_table_points(made, sample)
    grades = assign_grades(*sum_by_side(points, made.features), made.documents.get("grades"))
    return {
        **mean_absolute_points(points, made.features),
        "grades": count_grades(grades, sample["won"].to_numpy(dtype=bool)),
        "dependence": compute_dependence(points, veil(sample, made.encoding), made.features),
    }


def _measure_tradeoff(ws: Workspace, made: Any, calibration: _Judged) -> Any:
    import pandas as pd

    from propensity.decisions.arrivals import count_arrivals
    from propensity.decisions.tradeoff import compute_tradeoff

    snapshots = pd.read_parquet(ws.interim / "snapshots.parquet")
    return compute_tradeoff(
        calibration.log_odds,
        calibration.won,
        calibration.groups,
        count_arrivals(calibration.table, snapshots),
        made.cutoffs["reference_odds"],
        ws.params.cutoffs.value,
    )


def _lead_columns(ws: Workspace, lead_id: Any) -> dict[str, Any]:
    """Return the columns by which the model card compares groups of leads, in the order of `lead_id`."""
    import pandas as pd

    from propensity.errors import ParamsError, nearest

    leads = pd.read_parquet(ws.interim / "leads.parquet").set_index("lead_id")
    for name in ws.params.card.fairness:
        if name not in leads.columns:
            raise ParamsError(
                f"card.fairness names '{name}', which the leads do not have{nearest(name, leads.columns)}; "
                f"they have {', '.join(leads.columns)}"
            )
    rows = leads.loc[lead_id, ws.params.card.fairness].reset_index(drop=True)
    return {name: rows[name] for name in rows}
