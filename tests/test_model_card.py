"""The model card tells the figures it was given, says what nobody filled in, and stays text as Markdown."""

from __future__ import annotations

from typing import Any

from propensity.features.catalogue import Feature
from propensity.params import CardParams
from propensity.report.model_card import CONTEST, NOT_FOR, USE, card_to_markdown, make_card
from report_cases import make_metrics

FEATURES = [
    Feature("country", "category", "demographic", "country", "attribute", "text", "country", "country"),
    Feature("web_visit_count_7d", "number", "web", "web_visit", "count", "events", "visit", "visit", 7),
    Feature("web_visit_count_30d", "number", "web", "web_visit", "count", "events", "visit", "visit", 30),
]


def make(card: CardParams | None = None, **changed: Any) -> dict[str, Any]:
    metrics = {"model_version": "abc", **make_metrics(), **changed}
    data = {"parts": metrics["split"]["parts"], "horizon_days": 90.0}
    return make_card(metrics, FEATURES, data, card or CardParams(), horizon_days=90.0)


def section(card: dict[str, Any], title: str) -> dict[str, Any]:
    (found,) = [s for s in card["sections"] if s["title"] == title]
    return found


def test_every_section_is_there_and_says_something() -> None:
    card = make()
    assert [s["title"] for s in card["sections"]] == [
        "Intended use",
        "Data and target",
        "Model",
        "Performance on the test part",
        "Calibration",
        "Cut-offs",
        "Groups of leads",
        "Limits",
        "How to contest a score",
    ]
    assert all(s["paragraphs"] or s["tables"] for s in card["sections"] if s["title"] != "Calibration")


def test_what_no_data_tells_comes_from_params_or_is_said_to_be_missing() -> None:
    assert section(make(), "Intended use")["paragraphs"] == [
        USE,
        NOT_FOR,
        "Nobody is named as answerable for it.",
    ]
    given = CardParams(owner="growth team", intended_use="Calls to trial users.", contest="Write to Ana.")
    card = make(given)
    assert section(card, "Intended use")["paragraphs"][0] == "Calls to trial users."
    assert section(card, "Intended use")["paragraphs"][2] == "Answerable for the model: growth team."
    assert section(card, "How to contest a score")["paragraphs"] == ["Write to Ana."]
    assert section(make(), "How to contest a score")["paragraphs"] == [CONTEST]


def test_the_features_are_counted_by_family() -> None:
    assert "3 features: 1 demographic, 2 web" in section(make(), "Model")["paragraphs"][0]


def test_an_open_lead_is_said_not_to_be_lost() -> None:
    told = section(make(), "Data and target")["paragraphs"][0]
    assert "won within 90 days of the moment it is scored" in told
    assert "not counted as lost" in told


def test_groups_stand_in_a_table_with_their_intervals() -> None:
    row: dict[str, Any] = {"level": "NL", "n": 40, "leads": 30, "won": 10, "mean_probability": 0.2}
    for name in ("base_rate", "expected_over_observed", "above_mql", "found_mql", "above_sql", "found_sql"):
        row |= {name: 0.25, f"{name}_interval": [0.2, 0.3]}
    nobody = row | {"level": "DE", "found_sql": None, "found_sql_interval": None}
    (table,) = section(make(fairness={"country": [row, nobody]}), "Groups of leads")["tables"]
    assert table["columns"][:4] == ["Country", "Snapshots", "Share won", "Expected per win seen"]
    assert table["columns"][-1] == "Winners found by SQL"
    assert [cell["text"] for cell in table["rows"][0]] == ["NL", "40", "25.0%", "0.25", *["25.0%"] * 4]
    assert table["rows"][0][2]["note"] == "20.0% to 30.0%"
    assert table["rows"][1][-1] == {"text": "not available", "note": ""}


def test_without_columns_it_says_that_groups_were_not_compared() -> None:
    found = section(make(fairness={}), "Groups of leads")
    assert found["tables"] == []
    assert "No column is named under card.fairness" in found["paragraphs"][0]


def test_the_limits_repeat_what_the_figures_cannot_support() -> None:
    metrics = make_metrics()
    metrics["model"]["few_wins"], metrics["model"]["wins"] = True, 41
    told = " ".join(section(make(model=metrics["model"]), "Limits")["paragraphs"])
    assert "not what would happen if somebody changed it" in told
    assert "learned from 41 won leads" in told


def test_markdown_keeps_hostile_words_as_text() -> None:
    card = make(CardParams(intended_use="<script>x</script> [a](b) | *c*\n# d"))
    told = card_to_markdown(card)
    assert r"\<script\>x\</script\> \[a\](b) \| \*c\* \# d" in told
    assert "\n# d" not in told


def test_markdown_tables_have_as_many_cells_in_each_line() -> None:
    lines = card_to_markdown(make()).splitlines()
    blocks: list[list[int]] = [[]]
    for line in lines:
        if line.startswith("| "):
            blocks[-1].append(line.replace(r"\|", "").count("|"))
        elif blocks[-1]:
            blocks.append([])
    assert len(blocks) > 2
    assert all(len(set(block)) == 1 for block in blocks if block)
