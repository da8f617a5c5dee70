"""``propensity price``, ``trends`` and ``funnel`` in a finished workspace, and what the review tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from propensity.commands import count_funnel, find_trends, price_channels
from propensity.data.planted import LOG_ODDS
from propensity.data.simulate import simulate, write_simulation
from propensity.errors import InputError
from propensity.money.trends import COLUMNS
from propensity.report.money import money_section
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    """A small workspace with everything but the review: two ages, one window, one candidate."""
    folder = tmp_path_factory.mktemp("money")
    made = simulate(1500, seed=5)
    write_simulation(made, folder / "data" / "raw")
    renamed = made.stages.assign(stage=made.stages["stage"].replace({"working": "SQL", "contacted": "MQL"}))
    renamed.to_csv(folder / "data" / "raw" / "stages.csv", index=False)
    events = pd.read_parquet(folder / "data" / "raw" / "events.parquet")
    campaign = np.where(np.arange(len(events)) % 7 == 0, "spring", "autumn")
    events.assign(campaign=campaign).to_parquet(folder / "data" / "raw" / "events.parquet")
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["snapshots"]["ages_days"], content["features"]["lookback_days"] = [0, 7], [30]
    content["model"]["candidates"], content["calibration"]["methods"] = ["logistic"], ["sigmoid"]
    content["data"]["events"]["campaign"] = "campaign"
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    opened = open_workspace(folder / "params.yaml")
    for name in list(STAGES)[: list(STAGES).index("report")]:
        STAGES[name](opened)
    return opened


def test_without_a_finished_run_the_commands_say_what_to_do(tmp_path):
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    for command in (lambda ws: price_channels(ws, since=None), find_trends, count_funnel):
        with pytest.raises(InputError, match="propensity run"):
            command(open_workspace(tmp_path / "params.yaml"))


def test_prices_add_up_to_the_tables_they_come_from(workspace):
    told = price_channels(workspace, since=None)
    table = pd.read_parquet(workspace.reports / "price.parquet")
    channels = table[table["by"] == "channel"].set_index("name")
    leads = pd.read_parquet(workspace.interim / "leads.parquet")
    spend = pd.read_parquet(workspace.interim / "spend.parquet")
    refused = pd.read_parquet(workspace.interim / "unsettled.parquet")["lead_id"]
    billed = leads[(leads["created_at"] < spend["period_end"].max()) & ~leads["lead_id"].isin(refused)]
    assert channels["leads"].sum() == billed["channel"].notna().sum()
    assert channels["spend"].sum() == pytest.approx(spend["spend"].sum())
    outcomes = pd.read_parquet(workspace.interim / "outcomes.parquet")
    won = set(outcomes.loc[outcomes["status"] == "won", "lead_id"])
    assert channels["wins"].sum() == billed.loc[billed["channel"].notna(), "lead_id"].isin(won).sum()
    assert (channels["wins_expected"] >= channels["wins"] - 1e-9).all()
    assert (channels["sqls"] <= channels["mqls"]).all()
    assert set(table.loc[table["by"] == "campaign", "name"]) == {"spring", "autumn"}
    assert all(name in told for name in LOG_ODDS["channel"])


def test_prices_since_a_moment_count_the_leads_and_the_spend_from_then_on(workspace):
    price_channels(workspace, since=None)
    all_time = pd.read_parquet(workspace.reports / "price.parquet")
    price_channels(workspace, since="2025-01-01")
    latest = pd.read_parquet(workspace.reports / "price.parquet")
    assert 0 < latest["leads"].sum() < all_time["leads"].sum()
    assert latest["periods"].max() == 11  # the last month is not billed yet
    price_channels(workspace, since=None)


def test_trends_are_written_with_the_profile_of_winners(workspace):
    find_trends(workspace)
    table = pd.read_parquet(workspace.reports / "trends.parquet")
    assert list(table.columns) == [*COLUMNS, "model_version"]
    assert {"event", "asset", "attribute", "campaign"} <= set(table["kind"])
    assert "call" not in set(table["subject"])  # work by reps is not in use
    assert (table["low"] <= table["difference"]).all() and (table["difference"] <= table["high"]).all()
    assert (workspace.reports / "winners.parquet").exists()


def test_the_funnel_counts_each_lead_once_in_each_cut(workspace):
    told = count_funnel(workspace)
    steps = pd.read_parquet(workspace.reports / "funnel.parquet")
    sums = steps.groupby("by")[["leads", "mqls", "sqls", "wins", "open"]].sum()
    assert (sums.nunique() == 1).all()
    pairs = pd.read_parquet(workspace.reports / "funnel_tiers.parquet")
    assert {"mql", "sql"} <= set(pairs["human"])
    assert "Tiers given by people" in told


def test_the_review_has_the_section_for_its_own_model_only(workspace):
    find_trends(workspace)
    count_funnel(workspace)
    STAGES["report"](workspace)
    page = (workspace.reports / "review.html").read_text(encoding="utf-8")
    assert "Money and funnel" in page and "Who wins" in page and "Days in stage" in page
    for path in workspace.reports.glob("*.parquet"):
        pd.read_parquet(path).assign(model_version="another").to_parquet(path)
    STAGES["report"](workspace)
    page = (workspace.reports / "review.html").read_text(encoding="utf-8")
    assert "Money and funnel" not in page


def test_the_section_says_which_commands_have_not_been_run():
    section = money_section({})
    assert section == {"tables": [], "absent": ["price", "trends", "funnel"]}
