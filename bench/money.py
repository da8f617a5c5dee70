"""Prices and trends against the simulation's truth, and trends where the outcomes are dealt anew.

From the top folder::

    python -m bench.money truth --leads 8000 --seeds 1 2 3 4
    python -m bench.money permuted --leads 8000 --times 20
    python -m bench.money amounts --leads 4000 --times 40

``truth`` runs the pipeline in a folder of its own for each seed, with one candidate and one calibrator, and
sets what ``propensity price`` and ``propensity trends`` write beside what follows from the mechanism:

- price: the win rate and the value of a lead of each channel, by the class probabilities of its leads;
- trends: the differences that come out where each label is replaced by its snapshot's true probability.

``amounts`` draws wins from simulated leads and sets the expected amount of every lead beside the planted one.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml
from scipy.stats import spearmanr

from propensity.commands import find_trends as write_trends
from propensity.commands import price_channels
from propensity.data.bookkeeping import AMOUNT_PER_EMPLOYEES, MEDIAN_AMOUNT
from propensity.data.ingest import read_canonical
from propensity.data.mechanism import is_student, log_class_prior, outcome_shares
from propensity.data.planted import ASSETS, EVENTS_PER_LEAD, LOG_ODDS
from propensity.data.simulate import simulate, write_simulation
from propensity.data.sources import connect
from propensity.decisions.amounts import TENTHS, expected_amounts, fit_amounts
from propensity.decisions.levels import QUARTERS
from propensity.model.bundle import read_bundle
from propensity.money.evidence import TrendInputs, gather_trends
from propensity.params import ValueParams
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace

TEMPLATE = Path(__file__).parents[1] / "params.yaml"
MARGIN = 0.3
AMOUNT_LOG_SD = 0.5


def prepare(folder: Path, n_leads: int, seed: int, *, until: str) -> tuple[Workspace, Any]:
    """Simulate and run the pipeline up to a stage, with one candidate, one calibrator and no sales costs."""
    made = simulate(n_leads, seed)
    write_simulation(made, folder / "data" / "raw")
    content = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    content["model"] |= {"candidates": ["logistic"], "threads": 1}
    content["calibration"]["methods"] = ["sigmoid"]
    content["cutoffs"]["value"] = {"won": 5000, "margin": MARGIN, "sales_touch": 0, "nurture": 0}
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    workspace = open_workspace(folder / "params.yaml")
    for name in list(STAGES)[: list(STAGES).index(until) + 1]:
        STAGES[name](workspace)
    return workspace, made


def true_prices(leads: pd.DataFrame) -> pd.DataFrame:
    """Return the true win rate and value of a lead, for each channel."""
    prior = np.exp(log_class_prior(leads))
    won = (prior * outcome_shares(is_student(leads))["won"]).sum(axis=1)
    value = won * true_amounts(leads) * MARGIN
    return pd.DataFrame({"name": leads["channel"], "win_rate": won, "value": value}).groupby("name").mean()


def true_amounts(leads: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the amount that each lead brings on average if it is won."""
    relative = leads["employees"].astype("float64").fillna(100.0).to_numpy() / 100.0
    amounts: npt.NDArray[np.float64] = relative**AMOUNT_PER_EMPLOYEES * np.exp(AMOUNT_LOG_SD**2 / 2)
    return MEDIAN_AMOUNT * amounts


def gather(workspace: Workspace) -> TrendInputs:
    """Return what ``propensity trends`` compares."""
    con = connect(workspace.params.data, folder=workspace.folder)
    canonical = read_canonical(con, workspace.interim)
    plan = read_bundle(workspace.models / "bundle", threads=1).plan
    snapshots = pd.read_parquet(workspace.interim / "snapshots.parquet")
    features = pd.read_parquet(workspace.interim / "features.parquet")
    return gather_trends(con, canonical.tables, snapshots, features, plan)


def true_trends(given: TrendInputs, truth: pd.DataFrame) -> pd.DataFrame:
    """Return the trends with each snapshot's true probability for its label."""
    joined = given.snapshots.merge(truth, "left", ["lead_id", "as_of"], validate="1:1")
    assert joined["true_probability"].notna().all()
    return replace(given, snapshots=joined.assign(won=joined["true_probability"])).find()


def planted(row: Any) -> float:
    """Return what was planted for a thing: log-odds, an asset's log lift, a type's log ratio of rates."""
    if row.kind == "attribute":
        return LOG_ODDS.get(row.subject, {}).get(row.value, np.nan)
    if row.kind == "asset":
        return float(np.log(ASSETS[row.subject][row.value][1]))
    return float(np.log(EVENTS_PER_LEAD[row.subject][2] / EVENTS_PER_LEAD[row.subject][0]))


def compare_price(workspace: Workspace, made: Any) -> pd.DataFrame:
    """Return the prices of channels beside the truth."""
    price_channels(workspace, since=None)
    told = pd.read_parquet(workspace.reports / "price.parquet").query("by == 'channel'")
    return told.merge(true_prices(made.leads).add_prefix("true_"), left_on="name", right_index=True)


def compare_trends(workspace: Workspace, made: Any) -> pd.DataFrame:
    """Return the trends beside the truth."""
    write_trends(workspace)
    told = pd.read_parquet(workspace.reports / "trends.parquet")
    keys = ["kind", "subject", "value"]
    true = true_trends(gather(workspace), made.truth)[[*keys, "difference", "difference_as_active"]]
    both = told.merge(true, on=keys, suffixes=("", "_true"), validate="1:1")
    return both.assign(planted=[planted(row) for row in both.itertuples()])


def covered(table: pd.DataFrame, name: str, true: str, low: str, high: str) -> str:
    """Return how many intervals hold the truth, of those that have one."""
    known = table[table[true].notna() & table[low].notna()]
    inside = (known[true] >= known[low]) & (known[true] <= known[high])
    return f"| {name} | {len(known)} | {inside.mean():.1%} |"


def tell_truth(n_leads: int, seeds: list[int]) -> None:
    """Print rank correlations, coverage and errors over the seeds."""
    prices, trends = [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            workspace, made = prepare(Path(folder), n_leads, seed, until="score")
            prices.append(compare_price(workspace, made).assign(seed=seed))
            trends.append(compare_trends(workspace, made).assign(seed=seed))
    price, trend = pd.concat(prices, ignore_index=True), pd.concat(trends, ignore_index=True)
    print(f"{len(seeds)} simulations of {n_leads:,} leads\n")
    print("| rank correlation with what was planted | n | mean |\n|---|---|---|")
    effect = price["name"].map(LOG_ODDS["channel"])
    for name, ranks in (
        ("value of a lead by channel, with its true value", _rank(price, "value", price["true_value"])),
        ("win rate by channel, with the planted log-odds", _rank(price, "win_rate", effect)),
        *(
            (f"{kind}: {column}, with the planted effect", _rank(rows, column, rows["planted"]))
            for kind, column in (
                ("attribute", "shrunk"),
                ("event", "shrunk"),
                ("asset", "difference_as_active"),
            )
            for rows in [trend[trend["kind"] == kind]]
        ),
    ):
        print(f"| {name} | {ranks[1]} | {ranks[0]:.2f} |")
    print("\n| 95% intervals that hold the truth | n | share |\n|---|---|---|")
    print(covered(price, "win rate by channel", "true_win_rate", "win_rate_low", "win_rate_high"))
    print(covered(price, "value of a lead by channel", "true_value", "value_low", "value_high"))
    print(covered(trend, "difference", "difference_true", "low", "high"))
    print(
        covered(trend, "difference as active", "difference_as_active_true", "low_as_active", "high_as_active")
    )
    for name in ("difference", "shrunk"):
        error = np.sqrt(((trend[name] - trend["difference_true"]) ** 2).mean())
        print(f"\nroot mean squared error of {name}: {error * 100:.2f} points, n {len(trend)}")
    wrong = (trend["named"] & (np.sign(trend["difference"]) != np.sign(trend["difference_true"]))).sum()
    print(f"\nnamed: {int(trend['named'].sum())} of {len(trend)}, {int(wrong)} with the wrong sign")


def _rank(table: pd.DataFrame, column: str, truth: pd.Series) -> tuple[float, int]:
    """Return the mean over seeds of Spearman's correlation, and the number of pairs."""
    known = table.assign(truth=truth).dropna(subset=[column, "truth"])
    each = [spearmanr(rows[column], rows["truth"]).statistic for _, rows in known.groupby("seed")]
    return float(np.mean(each)), len(known)


def deal_labels(snapshots: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Give each lead the labels of another that was looked at at the same ages."""
    rows = snapshots.sort_values(["lead_id", "age_days"])
    ages = rows.groupby("lead_id")["age_days"].agg(tuple)
    labels = rows.groupby("lead_id")["won"].agg(list)
    dealt = pd.Series(index=labels.index, dtype=object)
    for _, leads in ages.groupby(ages):
        dealt.loc[leads.index] = labels.loc[rng.permutation(leads.index)].to_numpy()
    return rows.assign(won=np.concatenate(dealt.to_numpy()).astype(bool)).sort_index()


def tell_permuted(n_leads: int, seed: int, times: int) -> None:
    """Print how often trends name anything where outcomes are dealt anew."""
    with tempfile.TemporaryDirectory() as folder:
        workspace, _ = prepare(Path(folder), n_leads, seed, until="bundle")
        given = gather(workspace)
    named, tested = [], 0
    for i in range(times):
        rng = np.random.default_rng([seed, i])
        found = replace(given, snapshots=deal_labels(given.snapshots, rng)).find()
        tested = int(found["q"].notna().sum() + found["q_as_active"].notna().sum())
        named.append(int((found["named"] | found["named_as_active"]).sum()))
    honest = given.find()
    once = int((honest["named"] | honest["named_as_active"]).sum())
    print(f"{n_leads:,} leads, {tested} comparisons: {once} of {len(honest)} named by the true outcomes;")
    print(f"of {times} permutations {sum(n > 0 for n in named)} name anything ({named})")


def tell_amounts(n_leads: int, seed: int, times: int) -> None:
    """Print how close expected amounts come to the planted ones, by wins and by the cuts of numbers."""
    leads = simulate(n_leads, seed).leads
    leads = leads.assign(employees=leads["employees"].astype("float64"))
    print(f"{n_leads:,} leads, {times} draws of wins\n")
    print("| wins | employees in | relative error | intervals that hold the lead's own amount |")
    print("|---|---|---|---|")
    for wins in (20, 60, 200, 700):
        for name, cuts in (("quarters", QUARTERS), ("tenths", TENTHS)):
            found = np.array([judge_amounts(leads, wins, cuts, [seed, i]) for i in range(times)]).mean(axis=0)
            print(f"| {wins} | {name} | {found[0]:.1%} | {found[1]:.1%} |")


def judge_amounts(
    leads: pd.DataFrame, wins: int, cuts: tuple[float, ...], seed: list[int]
) -> tuple[float, float]:
    """Return the root mean squared logarithm of estimate over truth, and the share of intervals that hold."""
    rng, truth = np.random.default_rng(seed), true_amounts(leads)
    drawn = rng.choice(len(leads), wins, replace=False)
    noise = np.exp(rng.normal(0.0, AMOUNT_LOG_SD, wins) - AMOUNT_LOG_SD**2 / 2)
    won = leads.iloc[drawn].assign(amount=truth[drawn] * noise)
    columns = ["channel", "industry", "employees"]
    found = expected_amounts(fit_amounts(won, columns, ValueParams(), cuts=cuts), leads)
    error = np.sqrt((np.log(found["amount"] / truth) ** 2).mean())
    return float(error), float(((found["amount_low"] <= truth) & (truth <= found["amount_high"])).mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["truth", "permuted", "amounts"])
    parser.add_argument("--leads", type=int, default=8000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--times", type=int, default=20)
    asked = parser.parse_args()
    if asked.what == "truth":
        tell_truth(asked.leads, asked.seeds)
    elif asked.what == "amounts":
        tell_amounts(asked.leads, asked.seeds[0], asked.times)
    else:
        tell_permuted(asked.leads, asked.seeds[0], asked.times)
