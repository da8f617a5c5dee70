"""The figures of ``metrics.json``: a bundle measured on the parts of a workspace."""

from __future__ import annotations

from typing import Any

from propensity.gathering import read_part
from propensity.workspace import Workspace


def measure(ws: Workspace, made: Any) -> dict[str, Any]:
    """Return the figures of ``metrics.json`` for a bundle, in memory or read.

    Parameters
    ----------
    ws : Workspace
        Whose train, stop, calibrate and test parts are read.
    made : Bundle
    """
    import pandas as pd

    from propensity.data.files import read_json
    from propensity.decisions.arrivals import count_arrivals
    from propensity.decisions.tradeoff import compute_tradeoff
    from propensity.evaluation.comparison import base_rate_probability, points_rule_probability
    from propensity.evaluation.fairness import compare_groups
    from propensity.evaluation.metrics import gains_table, reliability_table, report_metrics, slices_of
    from propensity.evaluation.recentring import recentred_report
    from propensity.evaluation.reliability import calibration_report, calibration_slices
    from propensity.explain.dependence import compute_dependence
    from propensity.explain.grades import assign_grades, count_grades
    from propensity.explain.points import mean_absolute_points, sum_by_side
    from propensity.model.bundle import log_odds
    from propensity.model.encoding import encode
    from propensity.model.estimators import probability_of
    from propensity.predict import compute_table_points

    seed = ws.params.model.seed
    parts = ("train", "stop", "test", "calibrate")
    train, stop, test, calibration = (read_part(ws, name) for name in parts)
    # The baselines take no weights, and so only labels that were final before the next part.
    train = train[train["known"] <= stop["moment"].min()]
    won, groups = test["won"].to_numpy(dtype=bool), test["group"].to_numpy()
    won_train = train["won"].to_numpy(dtype=bool)
    probability = probability_of(log_odds(made, test))
    segments = {column: pd.DataFrame({"slice_level": test[column]}) for column in ws.params.model.segments}
    rule = points_rule_probability(
        encode(train, made.encoding), won_train, encode(test, made.encoding), made.encoding
    )
    sample = test.sample(min(len(test), 5000), random_state=seed)
    points = compute_table_points(made, sample)
    grades = assign_grades(*sum_by_side(points, made.features), made.documents.get("grades"))
    metrics: dict[str, Any] = {
        "model_version": made.model_version,
        "horizon_days": read_json(ws.interim / "cohort.json")["horizon"]["days"],
        "split": read_json(ws.processed / "split.json"),
        "model": {
            **read_json(ws.models / "candidate" / "training.json"),
            **read_json(ws.models / "calibration" / "calibration.json"),
        },
        "test": report_metrics(won, probability, groups, seed=seed),
        "calibrate": report_metrics(
            calibration["won"].to_numpy(dtype=bool),
            probability_of(log_odds(made, calibration)),
            calibration["group"].to_numpy(),
            seed=seed,
        ),
        "baselines": {
            "base_rate": report_metrics(won, base_rate_probability(won_train, len(test)), groups, seed=seed),
            "points_rule": report_metrics(won, rule, groups, seed=seed),
        },
        "by_age": slices_of(test, "age_days", won, probability, groups, seed=seed),
        "by_channel": slices_of(test, "channel", won, probability, groups, seed=seed),
        "by_segment": {
            column: slices_of(levels, "level", won, probability, groups, seed=seed)
            for column, levels in segments.items()
        },
        "calibration": {
            "test": calibration_report(won, probability, groups, seed=seed),
            "by_age": calibration_slices(test, "age_days", won, probability, groups, seed=seed),
            "by_channel": calibration_slices(test, "channel", won, probability, groups, seed=seed),
            "by_segment": {
                column: calibration_slices(levels, "level", won, probability, groups, seed=seed)
                for column, levels in segments.items()
            },
        },
        "fairness": {
            name: compare_groups(
                column,
                test["lead_id"],
                won,
                probability,
                groups,
                cutoffs={tier: made.cutoffs[tier]["probability"] for tier in ("mql", "sql")},
                seed=seed,
            )
            for name, column in _lead_columns(ws, test["lead_id"]).items()
        },
        "reliability": reliability_table(won, probability, groups),
        "gains": gains_table(won, probability),
        "recentred": recentred_report(
            log_odds(made, test), won, groups, test["moment"].to_numpy(), test["known"].to_numpy(), seed=seed
        )
        if ws.params.split.by != "random"
        else None,
        "cutoffs": made.cutoffs,
        **mean_absolute_points(points, made.features),
        "grades": count_grades(grades, sample["won"].to_numpy(dtype=bool)),
        "dependence": compute_dependence(points, sample, made.features),
        "tradeoff": compute_tradeoff(
            log_odds(made, calibration),
            calibration["won"].to_numpy(dtype=bool),
            calibration["group"].to_numpy(),
            count_arrivals(calibration, pd.read_parquet(ws.interim / "snapshots.parquet")),
            made.cutoffs["reference_odds"],
            ws.params.cutoffs.value,
        ),
        "audit": read_json(ws.reports / "audit.json"),
    }
    metrics["cutoff_curve"] = metrics["model"].pop("cutoff_curve")
    metrics["counts"] = {
        **read_json(ws.interim / "ingest.json"),
        "cohort": read_json(ws.interim / "cohort.json"),
    }
    return metrics


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
