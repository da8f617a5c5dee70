"""Bands against the simulation's truth, and re-centring after the base rate has moved.

From the top folder::

    python -m bench.recentring --leads 100000 --seed 7
    python -m bench.recentring bands WORKSPACE

The first simulates a CRM and moves the base rate of its leads created after the last snapshot that
training could use: winners (or losers) among them are taken out at random until the odds of winning are
those that the factor asks for. One logistic model is trained on what is known by `TRAINED`. At `MONITORED`
``propensity monitor`` reads the outcomes since and proposes a shift, which is put in as ``propensity promote
--recentre`` does. Held against it are the snapshots taken after that: none of them was there to be read.

``bands`` reads a workspace of simulated data after ``propensity run``: in how many tenths of the test part
does the mean true probability lie within the mean interval.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

from bench.cutoffs import LOGISTIC, ROOT, fit
from propensity.commands import monitor_workspace
from propensity.data.files import read_json
from propensity.data.ingest import ingest
from propensity.data.simulate import Simulation, simulate, write_simulation
from propensity.data.sources import connect
from propensity.evaluation.metrics import equal_mass_bins
from propensity.evaluation.recentring import recentre
from propensity.evaluation.reliability import expected_over_observed
from propensity.gathering import probe_rows
from propensity.loop.monitoring import matured_since
from propensity.model.bundle import Bundle, log_odds, read_bundle, write_bundle
from propensity.model.estimators import probability_of
from propensity.params import Params, load_params
from propensity.workspace import Workspace

TRAINED, MONITORED = "2024-01-01", "2024-12-31"
HORIZON_DAYS = 90
FACTORS = (0.5, 1.0, 2.0)


def compare(leads: int, seed: int, factors: Sequence[float]) -> Iterator[dict[str, Any]]:
    """Train once, and yield for each factor what was proposed and how the snapshots after it were met.

    Parameters
    ----------
    leads, seed : int
        Of the simulation, before leads are taken out.
    factors : list of float
        What the base rate is multiplied with.
    """
    simulation = simulate(leads, seed=seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_simulation(simulation, folder / "data" / "raw")
        ws = open_until(folder, TRAINED)
        write_bundle(fit(ws), ws.models / "bundle", probe_rows(ws))
        for factor in factors:
            write_simulation(move_base_rate(simulation, factor, seed=seed), folder / "data" / "raw")
            yield {"factor": factor, **meet(folder)}


def meet(folder: Path) -> dict[str, Any]:
    """Monitor a workspace, re-centre if that is proposed, and measure on the snapshots taken since."""
    ws = open_until(folder, MONITORED)
    monitor_workspace(ws)
    found = read_json(ws.reports / "monitor.json")
    made = read_bundle(ws.models / "bundle")
    after = recentre(made, found["shift"], found) if found["proposed"] else made
    coming = snapshots_after(open_until(folder, None), made)
    return {
        "seen": {name: found[name] for name in ("n", "leads", "wins", "shift", "shift_interval", "proposed")},
        "period": [str(coming["as_of"].min())[:10], str(coming["as_of"].max())[:10]],
        "as scored": level(made, coming),
        "re-centred": level(after, coming),
    }


def move_base_rate(simulation: Simulation, factor: float, *, seed: int) -> Simulation:
    """Take out winners, or others, of the leads created too late for training, until the rate has moved.

    With a base rate ``r`` the odds are to be those of ``factor * r``.
    """
    outcomes = simulation.outcomes
    won = (outcomes["status"] == "won").to_numpy()
    since = pd.Timestamp(TRAINED, tz="UTC") - pd.Timedelta(days=HORIZON_DAYS)
    created = simulation.leads.set_index("lead_id")["created_at"]
    late = (outcomes["lead_id"].map(created) >= since).to_numpy()
    rate = won[late].mean()
    odds = factor * rate / (1 - factor * rate) * (1 - rate) / rate
    kept = np.where(won, min(odds, 1.0), min(1 / odds, 1.0))
    drawn = ~late | (np.random.default_rng(seed).random(len(outcomes)) < kept)
    stay = set(outcomes.loc[drawn, "lead_id"])
    tables = {
        name: frame[frame["lead_id"].isin(stay)].reset_index(drop=True)
        for name in ("leads", "events", "outcomes", "stages", "history", "truth")
        if (frame := getattr(simulation, name)) is not None
    }
    return replace(simulation, **tables)


def open_until(folder: Path, until: str | None) -> Workspace:
    """Return the workspace as it stood at a moment; None for all that is known."""
    content = load_params(ROOT / "params.yaml").model_dump(warnings=False)
    content["data"]["observed_until"] = until
    content["model"] |= LOGISTIC
    return Workspace(folder, Params.model_validate(content))


def snapshots_after(ws: Workspace, made: Bundle) -> pd.DataFrame:
    """Return the snapshots with final labels that were taken after `MONITORED`."""
    con = connect(ws.params.data, folder=ws.folder)
    canonical = ingest(ws.params.data, ws.folder, now=datetime.now(UTC), con=con)
    until = canonical.observed_until
    assert until is not None
    table = matured_since(con, canonical.tables, made, observed_until=until)
    return table[table["as_of"] > pd.Timestamp(MONITORED, tz="UTC")]


def level(made: Bundle, table: pd.DataFrame) -> dict[str, Any]:
    """Return the wins seen, those expected for each of them with the interval, and the AUC."""
    won = table["won"].to_numpy(dtype=bool)
    z = log_odds(made, table)
    ratio, interval = expected_over_observed(won, probability_of(z), table["group"].to_numpy())
    return {
        "n": len(table),
        "leads": int(table["lead_id"].nunique()),
        "wins": int(won.sum()),
        "leads won": int(table.loc[won, "lead_id"].nunique()),
        "won": float(won.mean()),
        "expected over observed": ratio,
        "interval": interval,
        "auc": float(roc_auc_score(won, z)),
    }


def bands(workspace: Path) -> dict[str, Any]:
    """Return in how many tenths of the test part the mean interval holds the mean true probability."""
    made = read_bundle(workspace / "models" / "bundle")
    table = pd.read_parquet(workspace / "data/processed/training.parquet").query("split == 'test'")
    truth = pd.read_parquet(workspace / "data/raw/truth/snapshots.parquet")
    test = table.merge(truth, on=["lead_id", "as_of"], validate="1:1")
    z = log_odds(made, test)
    low, high = (probability_of(end) for end in made.calibrator.interval(z))
    true, bins = test["true_probability"].to_numpy(), equal_mass_bins(probability_of(z))
    inside = [holds(low[bins == k], true[bins == k], high[bins == k]) for k in np.unique(bins)]
    return {"n": len(test), "tenths whose band holds the true mean": f"{sum(inside)} of {len(inside)}"}


def holds(low: npt.NDArray[Any], true: npt.NDArray[Any], high: npt.NDArray[Any]) -> bool:
    """Tell whether the mean of `true` lies between those of the ends."""
    return bool(low.mean() <= true.mean() <= high.mean())


def main() -> None:
    """Do what the command line asks for, and print it as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=["shifted", "bands"], default="shifted")
    parser.add_argument("workspace", type=Path, nargs="?")
    parser.add_argument("--leads", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--factors", type=float, nargs="+", default=list(FACTORS))
    given = parser.parse_args()
    if given.what == "bands":
        print(json.dumps(bands(given.workspace)))
        return
    for found in compare(given.leads, given.seed, given.factors):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
