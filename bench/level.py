"""Whether the calibrator's level should be drawn back towards that of earlier periods.

Reads what ``python -m bench.quality FOLDER prepare`` writes, and never the test part::

    python -m bench.level FOLDER

The other rows are put in the order of time and walked through. A block as long as the calibrate part
calibrates a logistic regression that was fitted on the rows before it whose labels were final by then; the
next block whose rows were taken after all its labels were final is predicted. The sigmoid's level, as it is
found on the one block, is compared with

- ``between``: drawn towards the mean of the earlier blocks' levels by the variance between them (DerSimonian
  and Laird 1986, doi:10.1016/0197-2456(86)90046-2), as for periods that differ by chance;
- ``walk``: the last state of a local level model through all blocks, its variance by maximum likelihood, as
  for a level that wanders;
- ``half``: half way back to the level that the model has by itself.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.quality import DATA
from propensity.evaluation.recentring import propose_shift
from propensity.evaluation.reliability import Z_95
from propensity.features.catalogue import Feature
from propensity.model.calibration import fit_calibrator
from propensity.model.encoding import encode, fit_encoding
from propensity.model.logistic import fit_logistic

Vector = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

PENALTY = 50.0
FIRST = 0.3  # of the rows, before the first block that calibrates
FEWEST_WINS = 20
LEAST_ERROR = 1e-3
VARIANCES = np.concatenate([[0.0], np.geomspace(1e-4, 4.0, 60)])  # of the walk's steps, in log-odds
WAYS = ("between", "walk", "half")


def read(folder: Path, name: str) -> tuple[pd.DataFrame, list[Feature]]:
    """Return a data set's rows without the test part in the order of time, and its features.

    Rows without a time are put in an order drawn at random.
    """
    table = pd.read_parquet(folder / name / "table.parquet").query("split != 'test'")
    features = [Feature(**f) for f in json.loads((folder / name / "features.json").read_text())]
    if table["moment"].nunique() == 1:
        order = np.random.default_rng(1).permutation(len(table))
        table = table.assign(moment=order, known=order)
    return table.sort_values(["moment", "lead_id"], kind="stable", ignore_index=True), features


def walk_through(table: pd.DataFrame, features: list[Feature]) -> Iterator[dict[str, float]]:
    """Yield for each block predicted its rows' mean log-loss, and each way's change of it as a share."""
    won, groups = table["won"].to_numpy(dtype=bool), table["group"].to_numpy()
    for before, now, coming in blocks(table):
        if won[before].sum() < FEWEST_WINS:
            continue
        encoding = fit_encoding(table.iloc[before], features)
        matrix = encode(table, encoding)
        weight = table["weight"].to_numpy(dtype=np.float64)
        model = fit_logistic(
            matrix[before], won[before], weight[before], encoding, penalty=PENALTY, monotone={}
        )
        margin = model.margin(matrix)
        parts = np.array_split(before, max(2 * len(before) // len(now), 4))
        found = np.array([find_level(margin[part], won[part], groups[part]) for part in [*parts, now]])
        line = fit_calibrator("sigmoid", margin[now], won[now], np.ones(len(now)))
        z = line.log_odds(margin[coming])
        loss = log_loss(z, won[coming])
        own = found[-1, 0]
        levels = {"between": draw_back(*found.T), "walk": walk(*found.T), "half": own / 2}
        yield {
            "loss": loss,
            **{way: log_loss(z + x - own, won[coming]) / loss - 1 for way, x in levels.items()},
        }


def blocks(table: pd.DataFrame) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Yield rows to fit on, to calibrate on and to predict; the blocks overlap by half."""
    moment, known = table["moment"].to_numpy(), table["known"].to_numpy()
    size = int((table["split"] == "calibrate").sum())
    for start in range(int(len(table) * FIRST), len(table) - size, max(size // 2, 1)):
        now = np.arange(start, start + size)
        first = max(int(np.searchsorted(moment, known[now].max(), side="right")), start + size)
        coming = np.arange(first, min(first + size, len(table)))
        if len(coming) >= size / 2:
            yield np.flatnonzero(known[:start] <= moment[start]), now, coming


def find_level(margin: Vector, won: npt.NDArray[np.bool_], groups: npt.NDArray[Any]) -> tuple[float, float]:
    """Return what is to be added to the margins so that they meet the wins, and its error."""
    found = propose_shift(margin, won, groups)
    low, high = found["shift_interval"]
    return found["shift"], max((high - low) / (2 * Z_95), LEAST_ERROR)


def draw_back(level: Vector, error: Vector) -> float:
    """Return the last level drawn towards the mean of the others by their variance beyond chance."""
    y, weight = level[:-1], 1 / error[:-1] ** 2
    mean = np.average(y, weights=weight)
    beyond = (weight * (y - mean) ** 2).sum() - (len(y) - 1)
    variance = max(beyond / (weight.sum() - (weight**2).sum() / weight.sum()), 0.0)
    return float(mean + (level[-1] - mean) * variance / (variance + error[-1] ** 2))


def walk(level: Vector, error: Vector) -> float:
    """Return the last state of a local level model with the likeliest variance of its steps."""
    return max(filtered(level, error, variance) for variance in VARIANCES)[1]


def filtered(level: Vector, error: Vector, variance: float) -> tuple[float, float]:
    """Return the log-likelihood of a local level model (Kalman filter), and its last state."""
    state, spread, likelihood = level[0], error[0] ** 2, 0.0
    for y, e in zip(level[1:], error[1:], strict=True):
        spread += variance
        total = spread + e**2
        likelihood -= 0.5 * (np.log(total) + (y - state) ** 2 / total)
        state += spread / total * (y - state)
        spread *= 1 - spread / total
    return float(likelihood), float(state)


def log_loss(z: Vector, won: npt.NDArray[np.bool_]) -> float:
    """Return the mean log-loss of log-odds."""
    return float(np.logaddexp(0.0, np.where(won, -z, z)).mean())


def main() -> None:
    """Print for each data set every way's mean change of log-loss with its standard error over blocks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", nargs="*", default=list(DATA))
    given = parser.parse_args()
    for name in given.data:
        found = pd.DataFrame(walk_through(*read(given.folder, name)))
        error = found[list(WAYS)].to_numpy().std(axis=0, ddof=1) / np.sqrt(len(found))
        told = [f"{way} {found[way].mean():+.2%} (error {e:.2%})" for way, e in zip(WAYS, error, strict=True)]
        print(
            f"{name}, {len(found)} blocks, log-loss {found['loss'].mean():.4f}: {', '.join(told)}", flush=True
        )


if __name__ == "__main__":
    main()
