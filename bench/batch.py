"""One lead alone against the same lead in a large batch: equal, and at what speed.

Run in a workspace of simulated data after ``propensity run``::

    python -m bench.batch WORKSPACE --rows 1000000

The batch is the workspace's leads with their events, and copies of them under new ids without events.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from propensity.predict import Predictor


def compare(workspace: Path, rows: int, sample: int) -> dict[str, object]:
    """Score a batch and some of its leads alone; return the largest differences and the seconds."""
    predictor = Predictor.load(workspace / "models" / "bundle")
    leads = pd.read_parquet(workspace / "data/interim/leads.parquet")
    events = pd.read_parquet(workspace / "data/interim/events.parquet")
    as_of = leads["created_at"].max() + pd.Timedelta(days=1)
    copies = [leads.assign(lead_id=leads["lead_id"] + f"-{k}") for k in range(1, rows // len(leads) + 1)]
    batch = pd.concat([leads, *copies], ignore_index=True).head(rows)
    batch["row"] = np.arange(len(batch))
    start = time.perf_counter()
    scored = predictor.score(batch, events, as_of=as_of).head(len(leads))
    seconds = time.perf_counter() - start
    chosen = leads.sample(sample, random_state=1)
    together = scored.set_index("lead_id").loc[chosen["lead_id"]]
    start = time.perf_counter()
    alone = pd.concat(
        [
            predictor.score(leads.loc[[i]], events[events["lead_id"] == leads.loc[i, "lead_id"]], as_of=as_of)
            for i in chosen.index
        ]
    ).set_index("lead_id")
    each = (time.perf_counter() - start) / sample
    return {
        "rows": len(batch),
        "rows a second": round(len(batch) / seconds),
        "seconds for one": round(each, 3),
        "compared": sample,
        "largest difference in probability": float(
            np.abs(alone["probability"] - together["probability"]).max()
        ),
        "equal scores, to 1e-9": bool(np.allclose(alone["score"], together["score"], rtol=0, atol=1e-9)),
        "equal tiers": bool((alone["tier"] == together["tier"]).all()),
        "equal reasons": [_said(r) for r in alone["reasons"]] == [_said(r) for r in together["reasons"]],
    }


def _said(reasons: list[dict[str, object]]) -> list[tuple[object, object]]:
    return [(reason["feature"], reason["text"]) for reason in reasons]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sample", type=int, default=100)
    given = parser.parse_args()
    for name, value in compare(given.workspace, given.rows, given.sample).items():
        print(f"{name}: {value}")
