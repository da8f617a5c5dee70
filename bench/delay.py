"""What immature labels cost and what weights give back, beside the simulation's truth and on bpic2012.

The raw data of bpic2012 is not part of the project: see its example's README. From the top folder::

    python -m bench.delay [--leads N] [--seed S] [--only labels|simulation|bpic2012]
"""

from __future__ import annotations

import argparse
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.truth import compare
from propensity.cohort.censoring import inverse_probability
from propensity.cohort.incidence import SECONDS_PER_DAY
from propensity.data.files import read_json, write_json, write_text
from propensity.data.simulate import HORIZON_DAYS, Simulation, simulate, true_probability, write_simulation
from propensity.evaluation.intervals import bootstrap
from propensity.model.bundle import log_odds, read_bundle
from propensity.stages import STAGES
from propensity.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[1]
SETTINGS = ("leave_out", "weight")
Vector = npt.NDArray[np.float64]


def half_open(simulation: Simulation) -> pd.Timestamp:
    """Return the moment at which half of the leads created so far are open, by bisection."""
    created = simulation.leads["created_at"]
    closed = simulation.outcomes.set_index("lead_id")["closed_at"].reindex(simulation.leads["lead_id"])
    low, high = created.min(), simulation.observed_until
    while high - low > pd.Timedelta(hours=1):
        clock = low + (high - low) / 2
        there = (created <= clock).to_numpy()
        still_open = float(1 - (closed[there] <= clock).mean())
        low, high = (clock, high) if still_open > 0.5 else (low, clock)
    return high.floor("h")


def label_leads(simulation: Simulation, clock: pd.Timestamp, *, horizon: float) -> pd.DataFrame:
    """Return what is known at `clock` of the leads created a day or more before, in days, and the truth."""
    leads = simulation.leads[simulation.leads["created_at"] <= clock - pd.Timedelta(days=1)]
    both = leads[["lead_id", "created_at"]].merge(simulation.outcomes, on="lead_id", validate="1:1")
    waited = (both["closed_at"] - both["created_at"]).dt.total_seconds() / SECONDS_PER_DAY
    closed = waited.where(both["closed_at"] <= clock, np.inf)
    at_creation = both.rename(columns={"created_at": "as_of"})[["lead_id", "as_of"]]
    return pd.DataFrame(
        {
            "closed": closed,
            "until_end": (clock - both["created_at"]).dt.total_seconds() / SECONDS_PER_DAY,
            "won": (both["status"] == "won") & (closed <= horizon),
            "won_later": (both["status"] == "won") & (waited <= horizon),
            "truth": true_probability(simulation.leads, simulation.events, at_creation, horizon_days=horizon),
        }
    )


def compare_labels(rows: pd.DataFrame, *, horizon: float, seed: int) -> pd.DataFrame:
    """Return the share won by each way of labelling, beside the mean true probability of all leads."""
    closed, until_end = rows["closed"].to_numpy(), rows["until_end"].to_numpy()
    won, truth = rows["won"].to_numpy(dtype=np.float64), rows["truth"].to_numpy()
    later = rows["won_later"].to_numpy(dtype=np.float64)
    mature, decided = until_end >= horizon, np.minimum(closed, horizon) <= until_end

    def shares(times: Vector) -> Vector:
        drawn = np.repeat(np.arange(len(rows)), times.astype(int))
        found = inverse_probability(closed[drawn], until_end[drawn], np.full(len(drawn), horizon))
        weight = np.zeros(len(drawn)) if found is None else np.nan_to_num(found)
        naive = won[drawn].mean()
        closed_only = won[drawn][np.isfinite(closed[drawn])].mean()
        return np.array(
            [
                naive,
                closed_only,
                won[drawn][mature[drawn]].mean(),
                np.average(won[drawn], weights=weight) if weight.any() else np.nan,
                later[drawn].mean(),
                truth[drawn].mean(),
            ]
        )

    found = shares(np.ones(len(rows)))
    draws = bootstrap(shares, np.arange(len(rows)), seed=seed, resamples=300)
    ratio = draws[:, :-1] / draws[:, -1:]
    ways = ["open counted as lost", "closed leads alone", "mature alone", "weighted", "as it came out later"]
    sizes = [len(rows), int(np.isfinite(closed).sum()), int(mature.sum()), int(decided.sum()), len(rows)]
    return pd.DataFrame(
        {
            "label": ways,
            "n": sizes,
            "share won": [_interval(f, d) for f, d in zip(found[:-1], draws.T[:-1], strict=True)],
            "true mean of all": [f"{found[-1]:.4f}"] * len(ways),
            "labels over truth": [
                _interval(f, d) for f, d in zip(found[:-1] / found[-1], ratio.T, strict=True)
            ],
        }
    )


@dataclass(frozen=True)
class Fitted:
    """What the pipeline gave with one setting of ``snapshots.immature``."""

    metrics: dict[str, Any]
    losses: dict[str, pd.DataFrame]
    gap: str


def fit_both(folder: Path, params: str) -> dict[str, Fitted]:
    """Run the pipeline up to `evaluate` in `folder` with each setting, on the same features."""
    for stage in ("ingest", "cohort", "features"):
        STAGES[stage](_workspace(folder, params, SETTINGS[0]))
    fitted = {}
    for setting in SETTINGS:
        ws = _workspace(folder, params, setting)
        write_json([], ws.reports / "audit.json")
        for stage in ("split", "train", "calibrate", "evaluate", "bundle"):
            STAGES[stage](ws)
        has_truth = (folder / "data" / "raw" / "truth").exists()
        gap = f"{_gap(compare(folder))}" if has_truth else "not known"
        losses = {part: _losses(ws, part) for part in ("calibrate", "test")}
        fitted[setting] = Fitted(read_json(ws.reports / "metrics.json"), losses, gap)
    return fitted


def describe_fits(fitted: dict[str, Fitted], *, seed: int) -> list[str]:
    """Return the figures of both settings, and how much lower the log-loss is with weights."""
    lines = []
    for setting, found in fitted.items():
        parts = found.metrics["split"]["parts"]
        sizes = ", ".join(f"{p} {parts[p]['snapshots']:,}" for p in parts)
        weights = {p: parts[p].get("weights") for p in ("train", "stop")}
        test = found.metrics["test"]
        figures = ", ".join(
            f"{m} {test[m]:.4f} [{test[f'{m}_interval'][0]:.4f}, {test[f'{m}_interval'][1]:.4f}]"
            for m in ("auc", "log_loss", "ece")
        )
        lines += [
            f"{setting}: {sizes}; {found.metrics['model']['chosen']}",
            f"  weights: {weights}",
            f"  test: {figures}",
            f"  gap to the truth: {found.gap}",
        ]
    for part in ("calibrate", "test"):
        one, other = (found.losses[part] for found in fitted.values())
        difference = _difference(one, other, seed=seed)
        lines.append(f"  loss (expected, if the truth is known), weight less leave_out, {part}: {difference}")
    return lines


def _workspace(folder: Path, params: str, setting: str) -> Workspace:
    text = re.sub(r"\n  immature: .*", "", params)
    text = text.replace("snapshots:\n", f"snapshots:\n  immature: {setting}\n", 1)
    write_text(text, folder / "params.yaml")
    return open_workspace(folder / "params.yaml")


def _losses(ws: Workspace, part: str) -> pd.DataFrame:
    table = pd.read_parquet(ws.processed / "training.parquet").loc[lambda t: t["split"] == part]
    margin = log_odds(read_bundle(ws.models / "bundle"), table)
    table = table[["lead_id", "as_of", "won"]].assign(margin=margin)
    truth = ws.folder / "data" / "raw" / "truth" / "snapshots.parquet"
    if truth.exists():
        # The expected loss under the truth has no label noise.
        table = table.merge(pd.read_parquet(truth), on=["lead_id", "as_of"], validate="1:1")
        table["won"] = table["true_probability"]
    loss = np.logaddexp(0.0, table["margin"]) - table["won"].astype("float64") * table["margin"]
    return table[["lead_id", "as_of"]].assign(loss=loss)


def _difference(one: pd.DataFrame, other: pd.DataFrame, *, seed: int) -> str:
    """Return the mean difference of the losses on the same snapshots, with leads kept together."""
    both = one.merge(other, on=["lead_id", "as_of"], suffixes=("", "_other"), validate="1:1")
    assert len(both) == len(one) == len(other)
    difference = (both["loss_other"] - both["loss"]).to_numpy()

    def mean(weight: Vector) -> Vector:
        return np.array([np.average(difference, weights=weight)])

    draws = bootstrap(mean, both["lead_id"].to_numpy(), seed=seed, resamples=300)[:, 0]
    return f"{_interval(float(difference.mean()), draws, digits=5)}, n {len(both):,}"


def _gap(found: dict[str, Any]) -> str:
    low, high = found["gap_interval"]
    noiseless = found["gap_without_label_noise"]
    return f"{found['gap']:.1%} [{low:.1%}, {high:.1%}], without label noise {noiseless:.1%}"


def _interval(value: float, draws: Vector, digits: int = 4) -> str:
    if np.isnan(value):
        return "none"
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", choices=["labels", "simulation", "bpic2012"])
    asked = parser.parse_args()
    if asked.only != "bpic2012":
        simulation = simulate(asked.leads, asked.seed)
    if asked.only in (None, "labels"):
        clock = half_open(simulation)
        print(f"{asked.leads:,} leads, seed {asked.seed}; of those created by {clock}, half are open then")
        for horizon in (HORIZON_DAYS, HORIZON_DAYS / 2):
            rows = label_leads(simulation, clock, horizon=float(horizon))
            print(f"\nhorizon {horizon:g} days, {np.mean(rows['until_end'] >= horizon):.1%} mature")
            print(compare_labels(rows, horizon=float(horizon), seed=asked.seed).to_string(index=False))
    if asked.only in (None, "simulation"):
        with tempfile.TemporaryDirectory() as name:
            write_simulation(simulation, Path(name) / "data" / "raw")
            params = (ROOT / "params.yaml").read_text(encoding="utf-8")
            print("\nthe simulation", *describe_fits(fit_both(Path(name), params), seed=7), sep="\n")
    if asked.only in (None, "bpic2012"):
        with tempfile.TemporaryDirectory() as name:
            params = (ROOT / "examples" / "bpic2012" / "params.yaml").read_text(encoding="utf-8")
            params = params.replace("../../../shared", str(ROOT.parent / "shared"))
            print("\nbpic2012", *describe_fits(fit_both(Path(name), params), seed=7), sep="\n")


if __name__ == "__main__":
    main()
