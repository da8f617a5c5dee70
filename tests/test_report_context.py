"""What the review says: notices, headline, tables and counts, and what it refuses to say."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from propensity.errors import InputError
from propensity.report.context import build_context
from propensity.report.render import render_review
from report_cases import (
    MANIFEST,
    NAMES,
    Page,
    build,
    get_texts,
    make_card,
    make_cutoff,
    make_finding,
    make_horizon,
    make_measures,
    make_metrics,
    make_scores,
    render,
)


def get_titles(**changed: Any) -> list[str]:
    context = build_context(
        make_metrics(**changed), make_scores([50.0]), pd.DataFrame([make_card()]), MANIFEST
    )
    return [notice["title"] for notice in context["notices"]]


def test_a_dated_split_and_supported_cutoffs_raise_no_notice() -> None:
    assert get_titles() == []


def test_a_random_split_is_said_loudly() -> None:
    metrics = make_metrics()
    metrics["split"]["by"] = "random"
    for part in metrics["split"]["parts"].values():
        part["from"] = part["to"] = None
    page = Page(render(metrics))
    assert "Nothing here was tested on a later period" in page.text
    assert "Results on the test part drawn at random" in page.text
    assert "297 won, undated" in page.text
    assert "later test period" not in page.text


def test_an_unsupported_cutoff_is_said_loudly_with_its_note() -> None:
    cutoff = make_cutoff(supported=False, note="Only 14 wins reach 40%.", score=None, probability=None)
    metrics = make_metrics()
    metrics["cutoffs"]["sql"] = cutoff
    page = Page(render(metrics))
    assert "The SQL cut-off is not supported by the data Only 14 wins reach 40%." in page.text
    assert "The MQL cut-off is not supported" not in page.text
    assert "SQL from" not in page.text


def test_a_model_beaten_by_a_baseline_is_said_loudly() -> None:
    baselines = {"base_rate": make_measures(log_loss=0.30), "points_rule": make_measures(log_loss=None)}
    assert get_titles(baselines=baselines) == ["The model's probabilities are no better than the base rate"]


def test_null_metrics_are_not_available_and_never_zero() -> None:
    nothing = {f"{name}{end}": None for name in NAMES[1:] for end in ("", "_interval")}
    test = {**make_measures(40, base_rate=1.0), **nothing}
    context = build_context(
        make_metrics(test=test), make_scores([50.0]), pd.DataFrame([make_card()]), MANIFEST
    )
    rows = {row[0]["text"]: row[1] for row in context["headline"]["table"]["rows"]}
    assert rows["Ranking (AUC)"] == {"text": "not available", "note": ""}
    assert rows["Log-loss"] == {"text": "not available", "note": ""}
    assert rows["Share won"]["text"] == "100.0%"
    assert [n["title"] for n in context["notices"]] == ["The ranking could not be measured"]


def test_audit_findings_are_pointed_out() -> None:
    found = make_finding("issue", subject="grade")
    assert get_titles(audit=[found]) == ["The audit of the data found issues"]
    assert get_titles(audit=[make_finding("passed"), make_finding("tip", subject="colour")]) == []


def test_the_context_is_plain_and_its_numbers_are_formatted() -> None:
    context = build_context(make_metrics(), make_scores(), pd.DataFrame([make_card()]), MANIFEST)
    assert json.loads(json.dumps(context, allow_nan=False)) == context
    assert context["heading"]["scored"] == "4,600"
    assert context["headline"]["period"] == "2,431 snapshots of 980 leads, 297 won, 2024-10-01 to 2024-11-15"
    assert context["headline"]["tiles"][0]["text"] == "0.741"
    assert context["headline"]["tiles"][0]["interval"] == "0.731 to 0.753"
    assert [row[0]["text"] for row in context["tables"]["by_age"]["rows"]] == [
        "0 days",
        "1 hour",
        "3 days",
        "7 days",
        "14 days",
    ]


def test_a_score_is_explained_from_the_reference_odds() -> None:
    # Odds 0.25: 20%; ten points less 0.125 / 1.125; twenty points more 1 / 2.
    context = build_context(make_metrics(), make_scores([50.0]), pd.DataFrame([make_card()]), MANIFEST)
    shown = {row[0]["text"]: row[2]["text"] for row in context["reading"]["table"]["rows"]}
    assert shown["50"] == "20.0%"
    assert shown["40"] == "11.1%"
    assert shown["70"] == "50.0%"


def test_rows_that_do_not_add_up_are_refused() -> None:
    metrics = make_metrics()
    metrics["counts"]["ingest"][1]["accepted"] -= 1
    with pytest.raises(InputError, match=r"rows accepted plus quarantined, they do not in table 'events'"):
        render(metrics)


def test_a_missing_section_or_column_is_named() -> None:
    metrics = make_metrics()
    del metrics["gains"]
    with pytest.raises(InputError, match=r"needs 'gains' in reports/metrics\.json"):
        render(metrics)
    without = make_card()
    del without["why_shown"]
    with pytest.raises(InputError, match="needs 'why_shown' in the lead cards"):
        render(cards=[without])


def test_long_tables_are_cut_and_say_so() -> None:
    channels = [{"channel": f"c{i}", **make_measures(i)} for i in range(60)]
    context = build_context(
        make_metrics(by_channel=channels), make_scores([50.0]), pd.DataFrame([make_card()]), MANIFEST
    )
    table = context["tables"]["by_channel"]
    assert [row[0]["text"] for row in table["rows"]] == [f"c{i}" for i in range(59, 34, -1)]
    assert table["caption"] == "By channel, test part; 25 of 60, the largest"


def make_recentred(level: float) -> dict[str, Any]:
    report = {"expected_over_observed": level, "base_rate": 0.5, "base_rate_interval": [0.4, 0.6]}
    for name in ("log_loss", "brier", "ece"):
        report |= {name: 0.25, f"{name}_interval": [0.2, 0.3]}
    return {"n": 1234, "as_scored": report, "recentred": {**report, "expected_over_observed": 1.02}}


@pytest.mark.parametrize(
    ("level", "moved"), [(0.21, True), (0.89, True), (0.9, False), (1.0, False), (1.1, False), (1.15, True)]
)
def test_a_base_rate_that_moved_by_more_than_a_tenth_is_said_plainly(level: float, moved: bool) -> None:
    context = build(recentred=make_recentred(level))
    assert [n["title"] for n in context["notices"]] == (["The base rate has moved"] if moved else [])
    word = "moved" if moved else "hardly moved"
    sentence = f"The base rate has {word}: as scored, {level:.2f} wins were expected for each win seen."
    assert context["recentring"]["verdict"] == sentence
    page = Page(render(make_metrics(recentred=make_recentred(level))))
    assert sentence in page.text


def test_probabilities_are_shown_as_scored_and_recentred() -> None:
    table = build(recentred=make_recentred(0.21))["recentring"]["table"]
    assert table["caption"] == "As scored and re-centred, 1,234 test snapshots"
    assert get_texts(table) == [
        ["Wins expected per win seen", "0.21", "1.02"],
        ["Log-loss", "0.2500", "0.2500"],
        ["Calibration error (ECE)", "0.2500", "0.2500"],
    ]
    assert table["rows"][1][1]["note"] == "0.2000 to 0.3000"


def test_recentring_that_could_not_be_tried_is_not_shown() -> None:
    sentence = "Whether following the newest outcomes would help is not known"
    assert sentence in Page(render(make_metrics(recentred=None))).text
    assert sentence not in Page(render()).text
    metrics = make_metrics(recentred=None)
    metrics["split"]["by"] = "random"
    assert sentence not in Page(render(metrics)).text


def test_the_way_from_leads_to_snapshots_adds_up() -> None:
    # 26,432 + 2,113 + 640 = 29,185 possible; 26,432 - 8,123 - 1,204 - 88 = 17,017 in the parts.
    rows = build()["tables"]["cohort"]["rows"]
    assert [(row[0]["text"], row[1]["text"]) for row in rows] == [
        ("Leads", "20,000"),
        ("less: disqualified by a rule", "−1,002"),
        ("less: their outcome was refused when it was read", "−17"),
        ("Possible snapshots of the others, one at each age", "29,185"),
        ("less: after the end of the data", "−640"),
        ("less: the lead was already closed then", "−2,113"),
        ("Snapshots of open leads", "26,432"),
        ("less: the outcome is not final yet", "−8,123"),
        ("less: label overlaps next part", "−1,204"),
        ("less: account on two sides", "−88"),
        ("Snapshots in the four parts", "17,017"),
    ]


def test_snapshots_that_do_not_add_up_are_refused() -> None:
    metrics = make_metrics()
    metrics["counts"]["cohort"]["immature"] += 1
    with pytest.raises(InputError, match=r"has 26,432 snapshots, but .* make 26,433; run all stages again"):
        build(metrics)


def test_tiers_are_in_order_of_urgency_with_their_total() -> None:
    rows = get_texts(build()["tables"]["tiers"])
    assert [row[:2] for row in rows] == [
        ["SQL", "328"],
        ["MQL", "940"],
        ["Nurture", "3,120"],
        ["Disqualified", "212"],
        ["All", "4,600"],
    ]
    assert rows[0][2] == "7.1%"


def test_metrics_scores_and_bundle_must_be_of_one_model() -> None:
    with pytest.raises(
        InputError, match=r"holds model 2025-02-01\.1, but .* come from 'other'; run the stages"
    ):
        build(model_version="other")
    with pytest.raises(InputError, match="come from 'old'"):
        build_context(
            make_metrics(), make_scores([50.0], model_version="old"), pd.DataFrame([make_card()]), MANIFEST
        )


def test_data_without_dates_has_no_horizon_and_no_age() -> None:
    metrics = make_metrics(by_age=[])
    for part in metrics["split"]["parts"].values():
        part["from"] = part["to"] = None
    metrics["split"]["by"] = "order"
    metrics["split"]["parts"]["test"]["leads"] = 1
    scores = make_scores([50.0], as_of=pd.NaT)
    card = pd.DataFrame([make_card(as_of=pd.NaT)])
    context = build_context(metrics, scores, card, {**MANIFEST, "data": {"observed_until": None}})
    page = Page(render_review(context))
    assert [fact["label"] for fact in context["heading"]["facts"]] == ["Model", "Leads scored", "Won means"]
    assert "within 90 days" not in page.text
    assert "Not by age: the data has no dates." in page.text
    assert "those of the test part stand in" in page.text
    assert "those of the test part stand in" not in Page(render()).text


@pytest.mark.parametrize(
    ("interval", "said"), [([0.40, 0.43], True), ([0.49, 0.61], True), ([0.51, 0.61], False)]
)
def test_a_ranking_not_shown_to_beat_chance_is_said_loudly(interval: list[float], said: bool) -> None:
    titles = get_titles(test=make_measures(auc=0.5, auc_interval=interval))
    assert titles == (["The ranking is not shown to be better than chance"] if said else [])


def test_scores_that_are_nearly_all_the_same_are_said_loudly() -> None:
    card = pd.DataFrame([make_card()])
    alike = build_context(make_metrics(), make_scores([50.0, 50.1, 50.2]), card, MANIFEST)
    assert alike["notices"][0]["text"].startswith("Nine leads in ten score between 50.0 and 50.2")
    assert build_context(make_metrics(), make_scores([40.0, 60.0]), card, MANIFEST)["notices"] == []


def test_the_audit_shows_what_matters_first_and_the_rest_apart() -> None:
    audit = [
        make_finding("passed", code="PRP701"),
        make_finding("tip", subject="colour"),
        make_finding("overruled", subject="form"),
        make_finding("issue", subject="grade", severity="blocking"),
        make_finding("skipped", code="PRP202", message="too few leads"),
    ]
    section = build(audit=audit)["audit"]
    assert [row[2]["text"] for row in section["found"]["rows"]] == ["grade", "form", "colour"]
    assert section["found"]["rows"][0][1] == {"text": "Issue", "note": "stops a run"}
    assert section["found"]["rows"][1][3]["note"] == "Overruled: asked on the form"
    assert [row[0]["text"] for row in section["others"]["rows"]] == ["PRP202", "PRP701"]
    assert [row[1]["text"] for row in section["counts"]["rows"]] == ["1", "1", "1", "1", "1", "0"]


def test_open_and_overruled_issues_are_named_in_the_notice() -> None:
    audit = [make_finding("issue", subject="grade"), make_finding("overruled", subject="form")]
    (notice,) = build(audit=audit)["notices"]
    assert notice["text"].startswith("1 open: grade. 1 overruled by a person: form.")


def test_the_time_to_win_is_told_with_its_interval_and_source() -> None:
    metrics = make_metrics()
    metrics["counts"]["cohort"]["horizon"] = make_horizon()
    context = build(counts=metrics["counts"])
    told = context["delay"]["verdict"]
    assert told.startswith("90% of the wins that the data can show come within 88 days")
    assert told.endswith("it was found from this curve, cut to a tenth of the history.")
    figure = context["figures"]["delay"]
    assert [row["days"] for row in figure["rows"]] == [10, 50, 100]
    assert figure["marks"] == [{"days": 60.0, "text": "horizon 60 days"}]


def test_without_dates_of_closing_no_curve_is_shown() -> None:
    metrics = make_metrics()
    metrics["counts"]["cohort"]["horizon"] = make_horizon(estimate=None, curve=[])
    page = render(metrics)
    assert "How long winning takes is not known" in page


def test_without_a_horizon_a_win_counts_whenever_it_came() -> None:
    heading = build(horizon_days=None)["heading"]
    assert heading["within"] == ""
    assert {"label": "Won means", "value": "at any time"} in heading["facts"]


def test_few_wins_to_learn_from_are_said_with_their_number() -> None:
    model = {**make_metrics()["model"], "wins": 44, "few_wins": True}
    assert "There are few wins to learn from" in get_titles(model=model)
    (notice,) = [n for n in build(model=model)["notices"] if n["title"].startswith("There are few wins")]
    assert notice["text"].startswith("The model learned from 44 won leads.")
    assert get_titles(model={**model, "wins": 400, "few_wins": False}) == []
