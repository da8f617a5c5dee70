"""What the tests of the review share: metrics, scores and cards by hand, and a page as a browser finds it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd

from propensity.report.context import build_context
from propensity.report.render import render_review

NAMES = ("base_rate", "auc", "average_precision", "log_loss", "brier", "ece", "lift_at_10")
VALUES = (0.122, 0.7412, 0.3309, 0.3123, 0.0912, 0.0114, 3.4)


def make_measures(n: int = 2431, *, shift: float = 0.0, **changed: Any) -> dict[str, Any]:
    measures: dict[str, Any] = {"n": n}
    for name, value in zip(NAMES, VALUES, strict=True):
        measures[name] = value + shift
        measures[f"{name}_interval"] = [value + shift - 0.01, value + shift + 0.012]
    return {**measures, **changed}


def make_cutoff(**changed: Any) -> dict[str, Any]:
    cutoff = {
        "policy": "precision",
        "target": 0.4,
        "confidence": 0.9,
        "probability": 0.41,
        "score": 68.2,
        "supported": True,
        "note": None,
        "n": 2204,
        "precision": 0.462,
        "precision_interval": [0.411, 0.514],
        "recall": 0.351,
        "recall_interval": [0.298, 0.402],
        "share": 0.093,
    }
    return {**cutoff, **changed}


def make_finding(result: str, **changed: Any) -> dict[str, Any]:
    finding = {
        "code": "PRP301",
        "check": "sorts_alone",
        "result": result,
        "severity": "warning" if result == "issue" else "note",
        "subject": None,
        "message": "what was found",
        "evidence": {},
        "remedy": "what to do" if result in ("issue", "tip") else "",
        "reason": "asked on the form" if result == "overruled" else None,
    }
    return {**finding, **changed}


def make_horizon(**changed: Any) -> dict[str, Any]:
    curve = [
        {"days": d, "won": w, "won_low": w - 0.01, "won_high": w + 0.01, "lost": 2 * w, "at_risk": 900 - d}
        for d, w in ((10, 0.02), (50, 0.06), (100, 0.08))
    ]
    horizon = {
        "days": 60.0,
        "source": "data",
        "estimate": 88.0,
        "low": 80.0,
        "high": 97.0,
        "share": 0.9,
        "covered": 0.8,
        "watched": 100.0,
        "longest": 65.0,
        "capped": True,
        "n_leads": 1000,
        "n_wins": 81,
        "estimator": "Aalen-Johansen",
        "curve": curve,
    }
    return {**horizon, **changed}


def make_metrics(**changed: Any) -> dict[str, Any]:
    days = [
        ("2024-01-01", "2024-06-30"),
        ("2024-07-01", "2024-08-15"),
        ("2024-08-16", "2024-09-30"),
        ("2024-10-01", "2024-11-15"),
    ]
    parts = {
        name: {"snapshots": 2431 * k, "leads": 980 * k, "wins": 297 * k, "from": first, "to": last}
        for (name, k), (first, last) in zip(
            {"train": 4, "stop": 1, "calibrate": 1, "test": 1}.items(), days, strict=True
        )
    }
    metrics = {
        "split": {
            "by": "time",
            "group": "account_id",
            "parts": parts,
            "dropped": {"label_overlaps_next_part": 1204, "account_on_two_sides": 88},
        },
        "horizon_days": 90,
        "model": {
            "chosen": "blend",
            "candidates": {
                "logistic": {"log_loss": 0.3251, "log_loss_interval": [0.3122, 0.3384]},
                "lightgbm": {"log_loss": 0.3190, "log_loss_interval": [0.3061, 0.3320]},
                "blend": {"log_loss": 0.3145, "log_loss_interval": [0.3022, 0.3271]},
            },
            "calibrator": "beta",
            "calibrators": {
                "sigmoid": {"log_loss": 0.3161, "chosen": False},
                "beta": {"log_loss": 0.3150, "chosen": True},
            },
        },
        "test": make_measures(),
        "calibrate": make_measures(),
        "baselines": {
            "base_rate": make_measures(log_loss=0.371, auc=0.5, ece=0.021, lift_at_10=1.0),
            "points_rule": make_measures(log_loss=0.352, auc=0.641, ece=0.034, lift_at_10=2.1),
        },
        "by_age": [{"age_days": a, **make_measures(500)} for a in (0, 0.0416666667, 3, 7, 14)],
        "by_channel": [
            {"channel": c, **make_measures(n)}
            for c, n in (("paid", 510), ("organic", 1320), ("partner", 211))
        ],
        "reliability": [
            {
                "bin": i + 1,
                "n": 243,
                "mean_predicted": p,
                "observed": o,
                "low": o * 0.75,
                "high": o * 1.25 + 0.01,
            }
            for i, (p, o) in enumerate(
                zip(
                    (0.011, 0.02, 0.031, 0.045, 0.062, 0.083, 0.112, 0.158, 0.243, 0.455),
                    (0.012, 0.016, 0.037, 0.041, 0.07, 0.086, 0.099, 0.172, 0.235, 0.452),
                    strict=True,
                )
            )
        ],
        "gains": [
            {
                "share_contacted": k / 20,
                "share_won": 1 - (1 - k / 20) ** 3,
                "lift": (1 - (1 - k / 20) ** 3) / (k / 20),
            }
            for k in range(1, 21)
        ],
        "cutoff_curve": [
            {
                "probability": k / 101,
                "score": 10.0 + k * 0.8,
                "share": (1 - k / 101) ** 2,
                "precision": 0.12 + 0.7 * k / 101,
                "recall": 1 - (k / 101) ** 2,
            }
            for k in range(1, 101)
        ],
        "cutoffs": {
            "reference_odds": 0.25,
            "mql": make_cutoff(
                policy="recall",
                target=0.8,
                confidence=None,
                score=47.3,
                probability=0.17,
                share=0.31,
                precision=0.261,
                recall=0.803,
                precision_interval=[0.24, 0.29],
                recall_interval=[0.76, 0.85],
            ),
            "sql": make_cutoff(),
        },
        "drivers": [
            {"feature": f"f{i}", "label": label, "qualifier": q, "mean_abs_points": 6.4 / (i + 1) ** 0.7}
            for i, (label, q) in enumerate(
                [
                    ("Visits in the last 30 days", "web"),
                    ("Days since the last form", "web"),
                    ("Industry", "firmographic"),
                    ("Employees", "firmographic"),
                    ("Mails opened in the last 7 days", "email"),
                    ("Seniority", "demographic"),
                    ("Pages of the pricing section seen in the last 90 days, whole account", "web"),
                    ("Age of the lead", "demographic"),
                ]
            )
        ],
        "qualifiers": [
            {"qualifier": q, "mean_abs_points": v}
            for q, v in (
                ("web", 8.21),
                ("firmographic", 5.3),
                ("email", 3.4),
                ("demographic", 2.22),
                ("social", 0.61),
            )
        ],
        "counts": {
            "ingest": [
                {"table": "leads", "read": 20012, "accepted": 20000, "quarantined": 12},
                {"table": "events", "read": 501234, "accepted": 501200, "quarantined": 34},
            ],
            "quarantine": [
                {"table": "leads", "rule": "duplicate_key", "column": "lead_id", "rows": 12},
                {"table": "events", "rule": "in_the_future", "column": "event_at", "rows": 34},
            ],
            "cohort": {
                "leads": 20000,
                "snapshots": 26432,
                "immature": 8123,
                "closed": 2113,
                "after_the_data": 640,
                "disqualified": 1002,
                "unsettled": 17,
            },
            "tiers": {"disqualified": 212, "nurture": 3120, "mql": 940, "sql": 328},
        },
        "audit": [],
    }
    return {**metrics, **changed}


def make_card(index: int = 0, **changed: Any) -> dict[str, Any]:
    """Points: 42 + 14.5 + 9.1 - 3.4 + 6 = 68.2."""
    told = [
        ("visits_30", "web", "12", 14.5, "Visited 12 times in the last 30 days, more than nine leads in ten"),
        ("industry", "firmographic", "software", 9.1, "Works in software"),
        ("opens_7", "email", "0", -3.4, "Opened no mail in the last 7 days"),
        ("other", "", None, 6.0, "All other evidence"),
    ]
    keys = ("feature", "qualifier", "value", "points", "text")
    card = {
        "lead_id": f"L-{index:05d}",
        "as_of": pd.Timestamp("2025-01-31", tz="UTC"),
        "probability": 0.468,
        "score": 68.2,
        "tier": ("sql", "mql", "nurture", "disqualified")[index // 8],
        "base_points": 42.0,
        "fit_points": 9.1,
        "engagement_points": 17.1,
        "expected_value": 641.5,
        "reasons": [dict(zip(keys, reason, strict=True)) for reason in told],
        "model_version": "2025-02-01.1",
        "scored_at": pd.Timestamp("2025-02-01 04:00", tz="UTC"),
        "why_shown": "top of the queue",
        "facts": [
            {"label": "Job title", "value": "Head of Operations"},
            {"label": "Employees", "value": "1,200"},
            {"label": "Channel", "value": "organic"},
        ],
    }
    return {**card, **changed}


def make_scores(values: Any = None, **changed: Any) -> pd.DataFrame:
    scores = np.random.default_rng(3).normal(45, 14, 4600).clip(0, 100) if values is None else values
    rows = [make_card(0, score=float(s), **changed) for s in scores]
    return pd.DataFrame(rows).drop(columns=["why_shown", "facts"])


MANIFEST = {
    "model_version": "2025-02-01.1",
    "data": {"observed_until": "2025-01-31T23:59:10+00:00"},
    "versions": {"python": "3.11.7", "lightgbm": "4.7.0"},
}


def render(
    metrics: dict[str, Any] | None = None, cards: list[dict[str, Any]] | None = None, **manifest: Any
) -> str:
    shown = pd.DataFrame([make_card()] if cards is None else cards)
    version = manifest.get("model_version", MANIFEST["model_version"])
    scores = make_scores([12.0, 12.5, 68.2], model_version=version)
    return render_review(build_context(metrics or make_metrics(), scores, shown, {**MANIFEST, **manifest}))


class Page(HTMLParser):
    """The tags, attributes and texts a browser would find."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def values(self, name: str) -> list[str]:
        return [value for attribute, value in self.attributes if attribute == name]


def build(metrics: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    made = metrics or make_metrics(**changed)
    return build_context(made, make_scores([50.0]), pd.DataFrame([make_card()]), MANIFEST)


def get_texts(table: dict[str, Any]) -> list[list[str]]:
    return [[cell["text"] for cell in row] for row in table["rows"]]


def make_tradeoff(**changed: Any) -> dict[str, Any]:
    """Two cut-offs: half of the snapshots above the first, a fiftieth above the second."""
    rows = [
        {
            "score": 40.0 + 30 * k,
            "n": (900, 36)[k],
            "share": (0.5, 0.02)[k],
            "per_week": (14.7, 1.2)[k],
            "precision": 0.2 + 0.3 * k,
            "precision_interval": [0.16 + 0.3 * k, 0.24 + 0.3 * k],
            "recall": 0.9 - 0.8 * k,
            "gain_call": -12.34,
            "gain_nurture": 2.5,
        }
        for k in (0, 1)
    ]
    return {"n": 1800, "per_week": 21.6, "rows": rows, **changed}


def make_dependence() -> list[dict[str, Any]]:
    """A number with two bins and rows in which it is not known, and a category of which one level is told."""
    keys = ("x", "first", "last", "n", "points", "low", "high")
    number = [(0.0, 0.0, 0.0, 60, -2.0, -3.0, -1.0), (2.5, 1.0, 4.0, 40, 3.25, 1.0, 5.0)]
    visits = [dict(zip(keys, row, strict=True)) for row in (*number, (None, None, None, 7, -4.0, -4.5, -3.5))]
    industry = [dict(zip(keys, ("software", None, None, 100, 6.0, 4.0, 8.0), strict=True))]
    about = {"qualifier": "web", "unit": "events", "n": 107, "levels": 5}
    return [
        {"feature": "v", "label": "visit: times in 30 days", "kind": "number", **about, "rows": visits},
        {
            "feature": "industry",
            "label": "industry",
            "kind": "category",
            **{**about, "qualifier": "firmographic", "unit": "text", "levels": 31},
            "rows": industry,
        },
    ]
