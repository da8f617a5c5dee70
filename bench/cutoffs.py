"""Whether cut-offs keep what they promise: the guarantee of precision, the intervals, the regret.

From the top folder::

    python -m bench.cutoffs guarantee [--data FOLDER] [--only NAME ...]
    python -m bench.cutoffs intervals [--data FOLDER] [--only NAME ...]
    python -m bench.cutoffs regret --leads N --seeds 7 8 9

``guarantee`` and ``intervals`` fit a model once on half of the groups of a population, score the other
half, and take that half for all leads there are: calibrate and test parts are drawn from it, whole
groups with replacement, 300 times. The populations are the simulation and, where the folder that holds
them is given, the bank's calls and the shop's visits; their columns are those of the examples' params.
``regret`` runs the pipeline on simulated leads and measures the chosen pair on the test part's true
probabilities.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from propensity.data.simulate import simulate, write_simulation
from propensity.decisions.cutoffs import bootstrap_targets
from propensity.decisions.policies import Evidence, choose, target_finder
from propensity.decisions.value import gain_of_pair
from propensity.gathering import assemble, read_part
from propensity.model.bundle import Bundle, log_odds
from propensity.model.estimators import probability_of
from propensity.params import CutoffParams, CutoffsParams, Params, ValueParams, load_params
from propensity.stages import STAGES
from propensity.workspace import Workspace

ROOT = Path(__file__).parents[1]
RESAMPLES = 300
PART_ROWS = 5000
VALUE = ValueParams(won=5000, margin=0.3, sales_touch=60, nurture=2, untouched=0.3, nurtured=0.5)
FILES = {
    "bank_marketing": "uci_bank_marketing/bank-additional-full.csv",
    "online_shoppers": "uci_online_shoppers/online_shoppers_intention.csv",
}


@dataclass(frozen=True)
class Population:
    """Scored rows that stand for all leads there are.

    Attributes
    ----------
    log_odds : array of shape (n_rows,)
        Calibrated on other rows.
    won, groups : arrays of shape (n_rows,)
    """

    log_odds: npt.NDArray[np.float64]
    won: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.int64]


# --- populations -----------------------------------------------------------------------------------


def fit(ws: Workspace) -> Bundle:
    """Run the stages of a workspace up to the cut-offs, and return the bundle that they make."""
    for name in ("ingest", "cohort", "features", "split", "train", "calibrate"):
        STAGES[name](ws)
    made: Bundle = assemble(ws)
    return made


def simulated_workspace(folder: Path, *, leads: int, seed: int, **changed: Any) -> Workspace:
    """Write a simulation to a folder, and return its workspace, some of the repository's params changed."""
    write_simulation(simulate(leads, seed=seed), folder / "data" / "raw")
    content = load_params(ROOT / "params.yaml").model_dump(warnings=False)
    for section, keys in changed.items():
        content[section] |= keys
    return Workspace(folder, Params.model_validate(content))


def example_workspace(folder: Path, name: str, raw: Path) -> Workspace:
    """Return an example's workspace, its leads drawn at random into the parts: a pseudo-population."""
    content = load_params(ROOT / "examples" / name / "params.yaml").model_dump(warnings=False)
    content["data"]["leads"]["path"] = str(raw.resolve())
    content["split"] = HALVES | {"by": "random", "group": "lead_id"}
    content["model"] |= LOGISTIC
    return Workspace(folder, Params.model_validate(content))


HALVES = {"train": 0.3, "stop": 0.1, "calibrate": 0.1, "test": 0.5}
LOGISTIC = {"candidates": ["logistic"]}


def populations(data: Path | None, only: list[str]) -> Iterator[tuple[str, Population]]:
    """Yield each population by its name."""
    if "simulation" in only:
        with tempfile.TemporaryDirectory() as folder:
            split = HALVES | {"by": "random"}
            ws = simulated_workspace(Path(folder), leads=20_000, seed=7, split=split, model=LOGISTIC)
            yield "simulation", scored_half(ws)
    for name, path in FILES.items():
        if name in only and data is not None and (data / path).exists():
            with tempfile.TemporaryDirectory() as folder:
                yield name, scored_half(example_workspace(Path(folder), name, data / path))


def scored_half(ws: Workspace) -> Population:
    """Fit and calibrate on one half of a workspace's leads, and score the other."""
    made = fit(ws)
    test = read_part(ws, "test")
    return Population(
        log_odds(made, test),
        test["won"].to_numpy(dtype=bool),
        pd.factorize(test["group"])[0].astype(np.int64),
    )


def draw(population: Population, rng: np.random.Generator, rows: int) -> Population:
    """Draw whole groups with replacement until they hold about `rows` rows; each draw is a group anew."""
    order = np.argsort(population.groups, kind="stable")
    sizes = np.bincount(population.groups)
    starts = np.cumsum(sizes) - sizes
    drawn = rng.integers(0, len(sizes), max(round(rows / sizes.mean()), 2))
    index = np.concatenate([order[starts[g] : starts[g] + sizes[g]] for g in drawn])
    groups = np.repeat(np.arange(len(drawn)), sizes[drawn])
    return Population(population.log_odds[index], population.won[index], groups)


# --- the guarantee ---------------------------------------------------------------------------------


def precision_above(population: Population, cutoff: float) -> float:
    """Return the share won at or above a cut-off; NaN where nobody is."""
    above = probability_of(population.log_odds) >= cutoff
    return float(population.won[above].mean()) if above.any() else float("nan")


def guarantee(name: str, population: Population, *, target: float, confidence: float) -> dict[str, Any]:
    """Return how often the promised and the naive cut-off miss their target, and what the promise costs."""
    policy = CutoffParams(policy="precision", target=target, confidence=confidence)
    params = CutoffsParams(sql=policy)
    rng = np.random.default_rng(1)
    whole = as_evidence(population)
    best = target_finder(policy, "sql", whole, params)(np.ones(len(whole.won)))
    volume = float((whole.probability >= best).mean())
    rows = []
    for _ in range(RESAMPLES):
        calibrate, test = (draw(population, rng, PART_ROWS) for _ in range(2))
        evidence = as_evidence(calibrate)
        found = choose(policy, "sql", evidence, params)
        naive = target_finder(policy, "sql", evidence, params)(np.ones(len(evidence.won)))
        rows.append(
            {
                "supported": found.supported,
                "missed": found.supported and precision_above(population, found.probability) < target,
                "missed_on_test": found.supported and precision_above(test, found.probability) < target,
                "naive_missed": precision_above(population, naive) < target,
                "naive_missed_on_test": precision_above(test, naive) < target,
                "volume": float((whole.probability >= found.probability).mean()) if found.supported else 0.0,
                "naive_volume": float((whole.probability >= naive).mean()),
            }
        )
    table = pd.DataFrame(rows)
    told = {key: with_binomial(int(table[key].sum()), len(table)) for key in rows[0] if "missed" in key}
    volumes = {
        key: f"{table[key].mean():.1%} of {volume:.1%}, {table[key].mean() / volume:.0%}"
        for key in ("volume", "naive_volume")
    }
    size = {"data": name, "n": len(whole.won), "won": f"{population.won.mean():.1%}", "target": target}
    return size | {"confidence": confidence, "promised": int(table["supported"].sum())} | told | volumes


def as_evidence(population: Population) -> Evidence:
    """Return a population, or a draw of it, as cut-offs are read from it."""
    p = probability_of(population.log_odds)
    return Evidence(p, population.won, population.groups, population.groups)


def with_binomial(k: int, n: int) -> str:
    """Return a share of `n` with its 95% Clopper-Pearson interval."""
    low = stats.beta.ppf(0.025, k, n - k + 1) if k else 0.0
    high = stats.beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    return f"{k / n:.1%} [{low:.1%}, {high:.1%}] ({k} of {n})"


# --- the intervals ---------------------------------------------------------------------------------


def coverage(name: str, population: Population) -> Iterator[dict[str, Any]]:
    """Yield how many of the bootstrap intervals hold the population's cut-off, for each policy.

    For ``capacity`` the population arrives at its own pace, 100 leads a week, and 20 of them fit.
    """
    whole = as_evidence(population)
    weekly = np.full(52, 100.0)
    pairs = (
        ({"policy": "recall", "target": 0.8}, {"policy": "precision", "target": target_for(population)}),
        ({"policy": "capacity", "per_week": 40}, {"policy": "capacity", "per_week": 20}),
        ({"policy": "value"}, {"policy": "value"}),
    )
    for mql, sql in pairs:
        params = CutoffsParams.model_validate({"mql": mql, "sql": sql, "value": VALUE.model_dump()})
        policies = {"mql": params.mql, "sql": params.sql}
        evidence = replace(whole, weekly=weekly)
        ones = np.ones(len(whole.won))
        truth = {k: target_finder(p, k, evidence, params)(ones) for k, p in policies.items()}
        held = dict.fromkeys(policies, 0)
        rng = np.random.default_rng(2)
        for run in range(RESAMPLES):
            part = draw(population, rng, PART_ROWS)
            found = bootstrap_targets(replace(as_evidence(part), weekly=weekly), params, seed=run)
            for key, (low, high) in found.items():
                held[key] += low <= truth[key] <= high
        for key, policy in policies.items():
            yield {
                "data": name,
                "cut-off": key,
                "policy": policy.policy,
                "target": policy.target or policy.per_week,
                "population's": round(truth[key], 4),
                "covered": with_binomial(held[key], RESAMPLES),
            }


def target_for(population: Population) -> float:
    """Return a precision that about a tenth of the population's rows can be promised at, in twentieths."""
    p = probability_of(population.log_odds)
    return float(np.floor(population.won[p >= np.quantile(p, 0.9)].mean() * 20) / 20)


# --- regret ----------------------------------------------------------------------------------------


def regret(leads: int, seed: int) -> dict[str, Any]:
    """Return what the chosen pair gains by the truth, beside the best pair and the best plan.

    ``best pair`` is the best that two cut-offs on this model's score can do on the test part, ``truth``
    what acting on the true probabilities would. ``on outcomes`` is the pair with the largest gain on
    the calibrate part's outcomes, which does not trust the calibrator.
    """
    policies = {"mql": {"policy": "value"}, "sql": {"policy": "value"}, "value": VALUE.model_dump()}
    with tempfile.TemporaryDirectory() as folder:
        ws = simulated_workspace(Path(folder), leads=leads, seed=seed, model=LOGISTIC, cutoffs=policies)
        made = fit(ws)
        parts = {name: read_part(ws, name) for name in ("calibrate", "test")}
        truth = pd.read_parquet(ws.folder / "data/raw/truth/snapshots.parquet")
        test = parts["test"].merge(truth, on=["lead_id", "as_of"], validate="1:1")
        scored = probability_of(log_odds(made, test))
        true = test["true_probability"].to_numpy()
        seen = probability_of(log_odds(made, parts["calibrate"]))
        outcome = parts["calibrate"]["won"].to_numpy(dtype=np.float64)
    chosen = (made.cutoffs["mql"]["probability"], made.cutoffs["sql"]["probability"])
    ideal = best_pair(scored, true)
    gains = {
        "chosen": gain(scored, true, chosen),
        "on outcomes": gain(scored, true, best_pair(seen, outcome)),
        "best pair": gain(scored, true, ideal),
        "truth": gain(true, true, best_pair(true, true)),
        "call everybody": gain(scored, true, (0.0, 0.0)),
    }
    lost = {f"regret, {name}": 1 - gains[name] / gains["best pair"] for name in ("chosen", "on outcomes")}
    return {
        "leads": leads,
        "seed": seed,
        "n calibrate": len(seen),
        "wins": int(outcome.sum()),
        "n test": len(test),
        "cut-offs": "{:.3f}, {:.3f}".format(*chosen),
        "best": "{:.3f}, {:.3f}".format(*ideal),
        **{name: round(g, 3) for name, g in gains.items()},
        **lost,
        "regret to the truth": 1 - gains["chosen"] / gains["truth"],
    }


def summarise(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield for each regret its mean over the seeds, the mean's standard error, and the range."""
    table = pd.DataFrame(rows)
    for name in (key for key in rows[0] if key.startswith("regret")):
        shares = table[name]
        yield {
            "leads": table["leads"].iloc[0],
            "seeds": len(table),
            "of": name,
            "mean": f"{shares.mean():.2%}",
            "standard error": f"{shares.std() / np.sqrt(len(table)):.2%}",
            "least, median, most": ", ".join(f"{x:.2%}" for x in shares.quantile([0, 0.5, 1])),
        }


def gain(score: npt.NDArray[Any], p: npt.NDArray[Any], pair: tuple[float, float]) -> float:
    """Return the mean gain of a pair of cut-offs on scores, for the probabilities `p` of winning."""
    return float(gain_of_pair(p, score >= pair[0], score >= pair[1], VALUE).mean())


def best_pair(score: npt.NDArray[Any], p: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the pair with the largest gain: that of nurture, and that of calling over nurture, apart.

    Where the two would cross, nurture has no room, and calling over leaving alone decides.
    """
    order = np.argsort(-score, kind="stable")
    everybody = np.ones(len(p), dtype=bool)
    nobody = ~everybody
    nurture = gain_of_pair(p, everybody, nobody, VALUE)[order]
    call = gain_of_pair(p, everybody, everybody, VALUE)[order]
    edges = np.append(np.inf, score[order])
    mql, sql = (edges[np.argmax(np.append(0.0, np.cumsum(g)))] for g in (nurture, call - nurture))
    if mql > sql:
        mql = sql = edges[np.argmax(np.append(0.0, np.cumsum(call)))]
    return float(mql), float(sql)


def show(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print each row as soon as it is there; return them all."""
    shown = []
    for row in rows:
        told = {key: f"{x:.2%}" if key.startswith("regret") else x for key, x in row.items()}
        print(" | ".join(f"{key}: {value}" for key, value in told.items()), flush=True)
        shown.append(row)
    return shown


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["guarantee", "intervals", "regret"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", nargs="+", default=["simulation", *FILES])
    parser.add_argument("--leads", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7])
    given = parser.parse_args()
    if given.what == "regret":
        rows = show(regret(given.leads, seed) for seed in given.seeds)
        if len(rows) > 1:
            show(summarise(rows))
        return
    for name, population in populations(given.data, given.only):
        if given.what == "intervals":
            show(coverage(name, population))
            continue
        target = target_for(population)
        show(guarantee(name, population, target=target, confidence=c) for c in (0.8, 0.9))


if __name__ == "__main__":
    main()
