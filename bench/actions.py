"""What would change it: how many leads a realistic set of actions brings over each cut-off, each re-scored.

After ``propensity run`` in the workspaces::

    python -m bench.actions WORKSPACE [WORKSPACE ...] --sample 300

Of the test part, one snapshot of each of so many leads under each cut-off is searched. The events found are
then put among the lead's events, and it is scored again by ``Predictor.score``.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from propensity.gathering import actions_document
from propensity.model.bundle import log_odds, read_bundle
from propensity.model.estimators import probability_of
from propensity.predict import Predictor
from propensity.workspace import Workspace, open_workspace

FRAMES = ("events", "outcomes", "history")
OVER = {"mql": ("mql", "sql"), "sql": ("sql",)}


def load(ws: Workspace) -> Predictor:
    """Load the workspace's bundle, with what leads do found again."""
    made = read_bundle(ws.models / "bundle", threads=1)
    return Predictor(replace(made, documents={**made.documents, "actions": actions_document(ws, made)}))


def sample_under(ws: Workspace, predictor: Predictor, name: str, n: int) -> pd.DataFrame:
    """Return ``lead_id, as_of`` of leads under a cut-off, a snapshot each."""
    table = pd.read_parquet(ws.processed / "training.parquet").query("split == 'test'")
    probability = probability_of(log_odds(predictor.bundle, table))
    under = table[probability < predictor.bundle.cutoffs[name]["probability"]]
    mixed = under.sample(frac=1, random_state=7).drop_duplicates("lead_id")[["lead_id", "as_of"]]
    return mixed.head(n).reset_index(drop=True)


def gather(ws: Workspace, chosen: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the leads in the order chosen, and what belongs to them."""
    leads = pd.read_parquet(ws.interim / "leads.parquet").set_index("lead_id", drop=False)
    frames = {"leads": leads.loc[chosen["lead_id"]].reset_index(drop=True).assign(row=range(len(chosen)))}
    for name in FRAMES:
        path = ws.interim / f"{name}.parquet"
        if path.exists():
            frames[name] = pd.read_parquet(path).loc[lambda t: t["lead_id"].isin(chosen["lead_id"])]
    return frames


def added_events(changes: pd.DataFrame) -> pd.DataFrame:
    """Return the actions of the rows of `what_would_change` as events."""
    return pd.DataFrame(
        [
            {
                "lead_id": row.lead_id,
                "event_at": row.as_of - pd.Timedelta(microseconds=repeat),
                "known_at": row.as_of,
                **{name: action[name] for name in ("type", "asset", "value")},
            }
            for row in changes.itertuples()
            for action in row.actions
            for repeat in range(action["times"])
        ]
    )


def measure(ws: Workspace, predictor: Predictor, name: str, n: int) -> dict[str, Any]:
    """Search a sample under one cut-off and score what was reached again."""
    chosen = sample_under(ws, predictor, name, n)
    frames = gather(ws, chosen)
    leads, events = frames.pop("leads"), frames.pop("events")
    moments = list(chosen["as_of"])
    start = time.perf_counter()
    changes = predictor.what_would_change(leads, events, moments, cutoff=name, **frames)
    seconds = time.perf_counter() - start
    reached = changes[changes["reached"]]
    more = pd.concat([events, added_events(reached)], ignore_index=True)
    again = predictor.score(leads, more, moments, **frames)[changes["reached"].to_numpy()]
    gap = np.abs(again["score"].to_numpy() - reached["score_after"].to_numpy())
    sizes = [sum(action["times"] for action in actions) for actions in reached["actions"]]
    return {
        "cut-off": name,
        "leads": int(changes["target"].notna().sum()),
        "reached": f"{len(reached) / max(int(changes['target'].notna().sum()), 1):.0%}",
        "mean events": f"{np.mean(sizes):.1f}" if sizes else "-",
        "crosses when scored": f"{int(again['tier'].isin(OVER[name]).sum())} of {len(reached)}",
        "largest gap": f"{gap.max(initial=0.0):.0e}",
        "seconds a lead": f"{seconds / max(len(changes), 1):.2f}",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspaces", type=Path, nargs="+")
    parser.add_argument("--sample", type=int, default=300)
    given = parser.parse_args()
    rows = []
    for folder in given.workspaces:
        workspace = open_workspace(folder / "params.yaml")
        loaded = load(workspace)
        rows += [
            {"workspace": folder.resolve().name, **measure(workspace, loaded, cutoff, given.sample)}
            for cutoff in ("mql", "sql")
        ]
    print(f"| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        print(f"| {' | '.join(str(value) for value in row.values())} |")
