"""What would change it: actions that leads like this one take, priced by scoring the lead again with them.

The model says what goes with winning. That a lead with three more visits would score higher does not say that
bringing it to visit would make it buy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from propensity.explain.contributions import compute_contributions
from propensity.explain.habits import DAYS_AFTER, Action, read_actions
from propensity.explain.points import score_of
from propensity.explain.search import Case, Found, Picks, find_sets
from propensity.explain.words import (
    Words,
    capital,
    name_subject,
    say,
    write_decimal,
    write_number,
    write_share,
)
from propensity.features.catalogue import own_types
from propensity.model.bundle import Bundle, log_odds
from propensity.model.encoding import encode
from propensity.model.estimators import Vector

# Crossing by a hair would be undone by rounding.
HAIR_IN_LOG_ODDS = 1e-9
CHUNK_VARIANTS = 20_000
NEXT = {
    None: {"nurture": "mql", "mql": "sql"},
    "mql": {"nurture": "mql"},
    "sql": {"nurture": "sql", "mql": "sql"},
}
ACTIONS_TYPE = pa.list_(
    pa.struct(
        [
            ("qualifier", pa.string()),
            ("type", pa.string()),
            ("asset", pa.string()),
            ("value", pa.float64()),
            ("times", pa.int64()),
            ("points", pa.float64()),
            ("share", pa.float64()),
            ("n", pa.int64()),
            ("text", pa.string()),
        ]
    )
)
SPINE = pa.schema(
    [("snapshot", pa.int64()), ("lead_id", pa.string()), ("as_of", pa.timestamp("us", tz="UTC"))]
)
ADDED = pa.schema(
    [
        ("snapshot", pa.int64()),
        ("type", pa.string()),
        ("asset", pa.string()),
        ("value", pa.float64()),
        ("age_us", pa.int64()),
    ]
)

Rebuild = Callable[[pa.Table, pa.Table], pd.DataFrame]


def propose_actions(
    bundle: Bundle,
    table: pd.DataFrame,
    scored: pd.DataFrame,
    rebuild: Rebuild,
    words: Words,
    *,
    cutoff: str | None,
) -> pd.DataFrame:
    """Find what would bring each lead to the next tier; `Predictor.what_would_change` says what comes back.

    Parameters
    ----------
    bundle : Bundle
    table : DataFrame
        The leads' features, one row a lead.
    scored : DataFrame
        Their ``lead_id, as_of, score, tier``, in the same order.
    rebuild : callable
        From variants (`SPINE`) and what they did more (`ADDED`) to their behaviour features, in order.
    words : Words
    cutoff : {None, 'mql', 'sql'}
    """
    target = scored["tier"].map(NEXT[cutoff]).astype("object").where(lambda t: t.notna(), None)
    options = {name: read_actions(bundle.documents.get("actions"), name) for name in ("mql", "sql")}
    rows = np.array([i for i, name in enumerate(target) if name and options[name]], dtype=np.int64)
    actions = [options[target.iloc[i]] for i in rows]
    searched = table.iloc[rows].reset_index(drop=True)

    def build(asked: list[tuple[int, Picks]]) -> pd.DataFrame:
        return _variants(searched, actions, asked, rebuild)

    found = _search(bundle, searched, actions, [target.iloc[i] for i in rows], build)
    steps = _price_steps(bundle, found, build)
    told = {int(i): each for i, each in zip(rows, zip(found, actions, steps, strict=True), strict=True)}
    records = [
        _tell(bundle, words, tier, name, score, told.get(i))
        for i, (tier, name, score) in enumerate(zip(scored["tier"], target, scored["score"], strict=True))
    ]
    lists = pa.array([record["actions"] for record in records], type=ACTIONS_TYPE)
    return scored[["lead_id", "as_of", "tier"]].assign(
        target=pd.array(target.tolist(), dtype="str"),
        reached=[record["reached"] for record in records],
        score=scored["score"],
        score_after=np.array([record["score_after"] for record in records], dtype=np.float64),
        actions=pd.array(lists, dtype=pd.ArrowDtype(ACTIONS_TYPE)),
        note=pd.array([record["note"] for record in records], dtype="str"),
    )


def _search(
    bundle: Bundle,
    table: pd.DataFrame,
    actions: list[list[Action]],
    targets: list[str],
    build: Callable[[list[tuple[int, Picks]]], pd.DataFrame],
) -> list[Found]:
    if table.empty:
        return []
    start = log_odds(bundle, table)
    cases = [
        Case(float(now), _goal(bundle, name), tuple(action.shares for action in own))
        for now, name, own in zip(start, targets, actions, strict=True)
    ]

    def rescore(asked: list[tuple[int, Picks]]) -> Vector:
        parts = range(0, len(asked), CHUNK_VARIANTS)
        return np.concatenate([log_odds(bundle, build(asked[s : s + CHUNK_VARIANTS])) for s in parts])

    return find_sets(cases, rescore)


def _goal(bundle: Bundle, name: str) -> float:
    cutoff = float(bundle.cutoffs[name]["probability"])
    return float(np.log(cutoff / (1 - cutoff))) + HAIR_IN_LOG_ODDS if cutoff < 1 else np.inf


def _variants(
    table: pd.DataFrame, actions: list[list[Action]], asked: list[tuple[int, Picks]], rebuild: Rebuild
) -> pd.DataFrame:
    """Return the feature rows of leads that did more: behaviour from events, all else as it was.

    The first event of an action comes at ``as_of``, each further one a microsecond before: two that are equal
    in everything would be one event recorded twice.
    """
    variants = table.iloc[[i for i, _ in asked]].reset_index(drop=True)
    added = [
        (k, actions[i][a].type, actions[i][a].asset, actions[i][a].value, repeat)
        for k, (i, picks) in enumerate(asked)
        for a, times in picks
        for repeat in range(times)
    ]
    spine = variants[["lead_id", "as_of"]].assign(snapshot=np.arange(len(variants)))
    columns = list(zip(*added, strict=True)) or [()] * len(ADDED)
    behaviour = rebuild(
        pa.Table.from_pandas(spine[SPINE.names], schema=SPINE, preserve_index=False),
        pa.table([pa.array(c, f.type) for c, f in zip(columns, ADDED, strict=True)], schema=ADDED),
    )
    changed = [c for c in behaviour.columns if c in variants.columns and c not in SPINE.names]
    return pd.concat([variants.drop(columns=changed), behaviour[changed]], axis=1)


@dataclass(frozen=True)
class _Steps:
    """The score after each action, and whether the last crosses, as `Predictor.score` computes them."""

    scores: list[float]
    log_odds: float


def _price_steps(
    bundle: Bundle, found: list[Found], build: Callable[[list[tuple[int, Picks]]], pd.DataFrame]
) -> list[_Steps]:
    asked = [(i, each.picks[: k + 1]) for i, each in enumerate(found) for k in range(len(each.picks))]
    if not asked:
        return [_Steps([], -np.inf) for _ in found]
    exact = compute_contributions(
        bundle.model, bundle.calibrator, encode(build(asked), bundle.encoding)
    ).log_odds
    scores = score_of(exact, bundle.cutoffs["reference_odds"])
    steps, place = [], 0
    for each in found:
        end = place + len(each.picks)
        steps.append(_Steps(scores[place:end].tolist(), float(exact[end - 1]) if each.picks else -np.inf))
        place = end
    return steps


def _tell(
    bundle: Bundle,
    words: Words,
    tier: str,
    target: str | None,
    score: float,
    told: tuple[Found, list[Action], _Steps] | None,
) -> dict[str, Any]:
    if target is None or told is None:
        note = say(words, _why_nothing(bundle, tier, target))
        return {"reached": False, "score_after": np.nan, "actions": [], "note": note}
    found, options, steps = told
    points = np.diff([score, *steps.scores])
    listed = [
        _tell_pick(options[a], times, float(gained), words)
        for (a, times), gained in zip(found.picks, points, strict=True)
    ]
    reached = bool(1 / (1 + np.exp(-steps.log_odds)) >= bundle.cutoffs[target]["probability"])
    after = steps.scores[-1] if steps.scores else score
    note = "" if reached else say(words, "why_too_far")
    return {"reached": reached, "score_after": after, "actions": listed, "note": note}


def _tell_pick(action: Action, times: int, points: float, words: Words) -> dict[str, Any]:
    return {
        "qualifier": action.qualifier,
        "type": action.type,
        "asset": action.asset,
        "value": action.value,
        "times": times,
        "points": points,
        "share": action.shares[times - 1],
        "n": action.n,
        "text": phrase_action(action.type, action.asset, times, words),
    }


def _why_nothing(bundle: Bundle, tier: str, target: str | None) -> str:
    if tier == "disqualified":
        return "why_disqualified"
    if target is None:
        return "why_over"
    if not own_types(bundle.plan):
        return "why_no_behaviour"
    return "why_rare" if "actions" in bundle.documents else "why_no_habits"


def phrase_action(kind: str, asset: str | None, times: int, words: Words) -> str:
    """Return an action as text, such as ``Visit (pricing) 2 times``."""
    given = {"subject": name_subject(words, kind), "times": say(words, "times", times)}
    if asset is None:
        return capital(say(words, "action", **given))
    return capital(say(words, "action_asset", asset=name_subject(words, asset), **given))


def tell_change(row: Mapping[str, Any], words: Words, *, days: float = DAYS_AFTER) -> str:
    """Return one row of `propose_actions` as lines of text; empty for a lead with no target.

    Parameters
    ----------
    row : mapping
    words : Words
    days : float
        The days in which the shares are counted.
    """
    if not isinstance(row["target"], str):
        return ""
    tier = str(words.texts["tiers"].get(row["target"], row["target"]))
    if len(row["actions"]) == 0:
        return say(words, "change_none", tier=tier, why=row["note"])
    lines = [say(words, "change_reached" if row["reached"] else "change_closest", tier=tier)]
    for action in row["actions"]:
        often = {"share": write_share(words, action["share"]), "days": write_number(words, days)}
        n = write_number(words, action["n"])
        text = say(words, "change_action", what=action["text"], n=n, **often)
        lines.append(f"{write_decimal(words, action['points'], signed=True):>7}  {text}")
    return "\n".join([*lines, f"{write_decimal(words, row['score_after']):>7}  {say(words, 'change_score')}"])
