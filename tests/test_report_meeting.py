"""What the meeting looks at: the trade-off, dependence, winners, what the model knows, addresses masked."""

from __future__ import annotations

import json
import time
from typing import Any

import pandas as pd
import pytest

from propensity.features.catalogue import Plan, catalogue
from propensity.params import Params
from propensity.report.addresses import MASKED, mask_addresses
from propensity.report.context import build_context
from propensity.report.knowledge import Background, tell_knowledge
from propensity.report.meeting import dependence_figures, list_reasons, tradeoff_section
from propensity.report.numbers import text
from report_cases import (
    MANIFEST,
    get_texts,
    make_card,
    make_dependence,
    make_finding,
    make_metrics,
    make_scores,
    make_tradeoff,
)

CUTOFFS = {"mql": {"score": 47.3}, "sql": {"score": 68.2}}


def test_the_tradeoff_is_told_with_its_interval_and_weeks() -> None:
    section = tradeoff_section(make_tradeoff(), CUTOFFS)
    assert section is not None
    assert (section["per_week"], section["mql"], section["sql"]) == (21.6, 47.3, 68.2)
    assert section["rows"][0] == {
        "score": 40.0,
        "n": 900,
        "share": 0.5,
        "volume": "50.0% of snapshots, about 15 leads a week",
        "precision": "20.0% (16.0% to 24.0%)",
        "recall": "90.0%",
        "gain": "−1,234",
        "gain_call": -1234.0,
        "gain_nurture": 250.0,
    }
    assert section["rows"][1]["volume"] == "2.0% of snapshots, about 1.2 leads a week"


def test_a_tradeoff_without_weeks_or_value_says_so() -> None:
    tradeoff = make_tradeoff(per_week=None)
    tradeoff["rows"] = [{**r, "per_week": None, "gain_call": None} for r in tradeoff["rows"]]
    section = tradeoff_section(tradeoff, CUTOFFS)
    assert section is not None
    assert section["rows"][0]["volume"] == "50.0% of snapshots"
    assert section["rows"][0]["gain"] == "not known"
    assert section["note"].endswith("How many leads arrive a week is not known.")


def test_what_was_not_measured_has_no_tradeoff() -> None:
    assert tradeoff_section(None, CUTOFFS) is None
    assert tradeoff_section(make_tradeoff(rows=[]), CUTOFFS) is None


def test_dependence_has_a_point_for_each_known_value_and_a_row_for_all() -> None:
    number, category = dependence_figures(make_dependence())
    assert (number["title"], number["x_label"]) == (
        "Visit: times in 30 days",
        "Visit: times in 30 days, events",
    )
    assert number["points"][1] == {"x": 2.5, "y": 3.25, "low": 1.0, "high": 5.0, "n": 40}
    assert [row[:2] for row in get_texts(number["table"])] == [
        ["0", "60"],
        ["1 to 4", "40"],
        ["not known", "7"],
    ]
    assert number["table"]["rows"][1][2] == {"text": "+3.2", "note": "+1.0 to +5.0"}
    assert [p["x"] for p in category["points"]] == ["software"]
    assert category["table"]["caption"].endswith("; 1 of 31, the most frequent")


def build(**options: Any) -> dict[str, Any]:
    metrics = make_metrics(tradeoff=make_tradeoff(), dependence=make_dependence())
    cards = pd.DataFrame([make_card()])
    return build_context(metrics, make_scores([50.0]), cards, MANIFEST, **options)


def test_the_context_has_every_part_of_the_meeting_and_stays_plain() -> None:
    context = build(background=make_background())
    assert json.loads(json.dumps(context, allow_nan=False)) == context
    assert context["tradeoff"]["rows"]
    assert len(context["dependence"]) == 2
    assert context["knows"]["does"]
    assert context["winners"] is None


def test_winners_are_a_table_or_nothing() -> None:
    columns = (
        "persona",
        "leads",
        "rate",
        "later_rate",
        "later_low",
        "later_high",
        "later_leads",
        "later_base",
    )
    row = dict(zip(columns, ("channel referral", 43, 0.4, 0.3, 0.1, 0.6, 12, 0.12), strict=True))
    winners = pd.DataFrame([{**row, "holds": True}])
    assert get_texts(build(winners=winners)["winners"])[0][0] == "channel referral"
    assert build(winners=winners.head(0))["winners"] is None


def test_reasons_for_a_verdict_have_different_values() -> None:
    values = [reason["value"] for reason in list_reasons()]
    assert len(set(values)) == len(values)
    assert {"already_customer", "model_misses_something", "other"} <= set(values)


def make_background(**features: Any) -> Background:
    params = Params.model_validate(
        {
            "data": {
                "leads": {"path": "leads.csv", "lead_id": "id", "created_at": "at"},
                "outcomes": {
                    "path": "o.csv",
                    "lead_id": "id",
                    "status": "s",
                    "won": ["won"],
                    "closed_at": "c",
                },
            },
            "features": {"demographic": ["seniority"], "use": ["demographic", "web"], **features},
            "snapshots": {"ages_days": [0, 14]},
        }
    )
    plan = Plan({"seniority": "text"}, {"seniority": "demographic"}, dated=True)
    return Background(params, catalogue(plan), ["seniority", "grade", "city"])


def test_what_the_model_knows_is_told_from_plan_and_parts() -> None:
    does = tell_knowledge(make_background(), make_metrics(), [])["does"]
    assert does[0].startswith("It reads 5 features, each as it was known when the lead was scored.")
    assert "The person (demographic): 1 feature" in does[0]
    assert "learned from 9,724 snapshots of 3,920 leads (1,188 won, 2024-01-01 to 2024-06-30)" in does[1]
    assert "looked at 0, 14 days after" in does[2]
    assert does[3] == "Won means within 90 days of being scored."


def test_what_it_does_not_know_names_families_columns_and_times() -> None:
    audit = [make_finding("issue", subject="grade", severity="note"), make_finding("tip", subject="city")]
    notices = [{"title": "There are few wins to learn from", "text": ""}]
    told = tell_knowledge(make_background(exclude=["phone"]), make_metrics(audit=audit), notices)["does_not"]
    assert "Work by sales, such as calls (it mirrors the judgement of sales): not read." in told
    assert "Web behaviour: nothing of it is in the data." in told
    assert not [s for s in told if s.startswith("Attributes of the person")]
    assert "Columns that the audit found fault with, and that it does not read: grade." in told
    assert "Other columns of leads that it does not read: city." in told
    assert "Left out by a person: phone." in told
    assert "Leads older than 14 days: they are scored as if they were that old." in told
    assert "Wins that take longer than 90 days: they count as not won." in told
    assert told[-1] == "There are few wins to learn from."


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("ana@example.com", MASKED),
        ("Ana <ana.diaz+sales@mail.example.co.uk>, again", f"Ana <{MASKED}>, again"),
        ("mailto:o'neil@exämple.de?x", f"mailto:{MASKED}?x"),
        ("/thanks?e=ana%40example.com&n=1", f"/thanks?e={MASKED}&n=1"),
        ("a@b.co and c@d.org", f"{MASKED} and {MASKED}"),
        ("２＠例え.jp", MASKED),
        ("meet @ noon. ok", "meet @ noon. ok"),
        ("price @5.00 each", "price @5.00 each"),
        ("example.com", "example.com"),
        ("100%40 off", "100%40 off"),
    ],
)
def test_what_looks_like_an_address_is_masked(given: str, shown: str) -> None:
    assert mask_addresses(given) == shown


def test_an_address_is_masked_before_a_text_is_cut() -> None:
    told = text("x" * 230 + " ana.diaz.of.a.long.name@example.com")
    assert "ana" not in told
    assert told.startswith("x" * 230 + " [e-mail")


def test_masking_a_long_text_takes_time_in_proportion_to_it() -> None:
    def seconds(n: int) -> float:
        start = time.perf_counter()
        mask_addresses("a" * n + "@")
        return time.perf_counter() - start

    assert min(seconds(80_000) for _ in range(3)) < 40 * min(seconds(8_000) for _ in range(3))
