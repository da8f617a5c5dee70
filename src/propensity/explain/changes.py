"""What changed since the last scoring: the difference of two scores, split exactly, and why.

The lead is scored anew in the steps that lie between the two scores, each step changing one thing::

    S0  the score before, at the moment before, by the model before
    S1  this model at the moment before, on today's record of what was known then
    S2  this model at the new moment, on the same record
    S3  with the events that became known since
    S4  with the fields as they are at the new moment: the new score

``model`` or ``data`` is S1 - S0, ``time`` S2 - S1, ``behaviour`` S3 - S2, ``attributes`` S4 - S3. Sums of
neighbours telescope, so that the parts sum to the change whatever the model. The order is fixed: an
event can only be seen from a moment at which it has happened, so time comes before behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.data.cells import disarm
from propensity.explain.contributions import compute_contributions
from propensity.explain.points import Points, compute_points
from propensity.explain.previous import RANK
from propensity.explain.telling import Told, name_briefly, tell_change
from propensity.explain.words import Words, capital, say
from propensity.features.catalogue import AGED, BEFORE, Feature
from propensity.model.bundle import Bundle
from propensity.model.encoding import encode
from propensity.model.estimators import Matrix, Vector

PARTS = ("behaviour", "time", "attributes", "data", "model")
COLUMNS = (
    "lead_id", "as_of_before", "as_of", "score_before", "score", "change", *PARTS,
    "tier_before", "tier", "crossed", "why", "model_version",
)  # fmt: skip


@dataclass(frozen=True)
class _Steps:
    """The scores S1 to S4 of the leads that were scored before, and what moved them.

    Attributes
    ----------
    scores : array of shape (n_leads, 4)
    names : list of str
        What the model's features are about.
    moved : dict
        ``time``, ``behaviour`` and ``attributes`` to points by name, shape (n_leads, n_names).
    """

    scores: Matrix
    names: list[str]
    moved: dict[str, Matrix]


def compute_changes(
    bundle: Bundle,
    scores: pd.DataFrame,
    previous: pd.DataFrame,
    table: pd.DataFrame,
    states: pd.DataFrame | None,
    *,
    words: Words,
    before: pd.Series[float] | None = None,
) -> pd.DataFrame:
    """Split the change of each lead's score since an earlier scoring.

    Parameters
    ----------
    bundle : Bundle
        Of the new scores.
    scores : DataFrame
        As `Predictor.score` returns.
    previous : DataFrame
        From `check_previous`.
    table : DataFrame
        The feature table of the new scores: ``snapshot, lead_id``, then the features.
    states : DataFrame or None
        From `build_states`, for the leads that were scored before; None for an undated table, in which
        no time passes.
    words : Words
        What ``why`` is told with.
    before : Series, optional
        Per ``lead_id``, the score by the previous bundle at the moment before, on today's record. With
        it ``model`` is what that bundle and this one make of the same record, and ``data`` the rest.
        Without it ``data`` is 0 where the model is another.

    Returns
    -------
    DataFrame
        One row a lead of `scores`, in its order: `COLUMNS`. Scores and parts are in points; ``behaviour,
        time, attributes, data, model`` sum to ``change``, which is ``score - score_before``. ``crossed`` is
        ``up``, ``down`` or empty. A lead without an earlier score has nulls, and nothing crossed.
    """
    now = table[table["lead_id"].isin(previous["lead_id"])].sort_values("snapshot", ignore_index=True)
    steps = _take_steps(bundle, now, states, words)
    news = now[["lead_id"]].assign(place=np.arange(len(now)))
    merged = scores[["lead_id", "as_of", "score", "tier", "reasons", "model_version"]].merge(
        previous, on="lead_id", how="left"
    )
    merged = merged.merge(news, on="lead_id", how="left")
    known = merged["place"].notna().to_numpy()
    place = merged.loc[known, "place"].to_numpy(dtype=np.int64)
    ours = merged[known]
    rescored = None if before is None else np.asarray(before.loc[ours["lead_id"]], dtype=np.float64)
    parts = _split(bundle, ours, steps.scores[place], rescored)
    for name in ("change", *PARTS):
        merged[name] = np.nan
        merged.loc[known, name] = parts[name]
    merged["crossed"] = _crossed(merged["tier_before"], merged["tier"])
    merged["why"] = capital(say(words, "change_new"))
    told = Told(steps.names, {part: moved[place] for part, moved in steps.moved.items()}, parts)
    merged.loc[known, "why"] = tell_change(merged[known], told, words)
    return merged[list(COLUMNS)]


def rescore(bundle: Bundle, table: pd.DataFrame) -> pd.Series[float]:
    """Return the score of each row of a feature table, by ``lead_id``; 0 to 100."""
    return pd.Series(_points(bundle, table).score, index=pd.Index(table["lead_id"]))


def crossings(changes: pd.DataFrame) -> pd.DataFrame:
    """Return the changes of the leads whose tier is another: the highest tier and the largest rise first."""
    crossed = changes[changes["crossed"] != ""]
    rank = crossed["tier"].map(RANK)
    order = crossed.assign(_rank=rank).sort_values(
        ["_rank", "change", "lead_id"], ascending=[False, False, True], ignore_index=True
    )
    return order.drop(columns="_rank")


def crossings_csv(crossed: pd.DataFrame) -> str:
    """Return `crossings` as CSV for people: points to a tenth, no text that a spreadsheet would calculate."""
    shown = crossed.copy()
    for column in ("score_before", "score", "change", *PARTS):
        shown[column] = shown[column].round(1) + 0.0  # a zero without a sign
    for column in ("as_of_before", "as_of"):
        shown[column] = shown[column].dt.strftime("%Y-%m-%d %H:%M:%S UTC")
    for column in ("lead_id", "tier_before", "tier", "why", "model_version"):
        shown[column] = [disarm(cell) for cell in shown[column]]
    return str(shown.to_csv(index=False, lineterminator="\n"))


def tell_changes(counts: Mapping[str, int]) -> str:
    """Return in a sentence how many leads were compared, moved, came and went.

    Parameters
    ----------
    counts : mapping
        ``compared, up, down, new, gone``.
    """
    return (
        f"{counts['compared']:,} leads compared with the scoring before, {counts['up']:,} in a higher tier "
        f"and {counts['down']:,} in a lower one; {counts['new']:,} leads are new since, "
        f"{counts['gone']:,} are no longer scored"
    )


def _take_steps(bundle: Bundle, now: pd.DataFrame, states: pd.DataFrame | None, words: Words) -> _Steps:
    """Score S1 to S4, from the feature tables of two states and of the new moment."""
    if states is None:
        before = aged = now
    else:
        ordered = states.sort_values("snapshot")
        before, aged = (ordered[ordered["state"] == state].reset_index(drop=True) for state in (BEFORE, AGED))
    fields = {f.name: before[f.name].array for f in bundle.features if f.statistic == "attribute"}
    tables = (before, aged.assign(**fields), now.assign(**fields) if states is not None else now, now)
    points = [_points(bundle, table) for table in tables]
    names, sums = _by_name(points, bundle.features, words)
    moved = ("time", "behaviour", "attributes")
    return _Steps(
        scores=np.column_stack([p.score for p in points]),
        names=names,
        moved={part: sums[i + 1] - sums[i] for i, part in enumerate(moved)},
    )


def _points(bundle: Bundle, table: pd.DataFrame) -> Points:
    matrix = encode(table, bundle.encoding)
    contributions = compute_contributions(bundle.model, bundle.calibrator, matrix)
    return compute_points(contributions, bundle.cutoffs["reference_odds"])


def _by_name(points: list[Points], features: list[Feature], words: Words) -> tuple[list[str], list[Matrix]]:
    """Sum points over the features that are about the same thing, whatever they count of it."""
    names = [name_briefly(feature, words) for feature in features]
    distinct = list(dict.fromkeys(names))
    member = np.array([[name == other for other in distinct] for name in names], dtype=np.float64)
    member = member.reshape(len(names), len(distinct))
    return distinct, [p.values @ member for p in points]


def _split(bundle: Bundle, ours: pd.DataFrame, steps: Matrix, rescored: Vector | None) -> dict[str, Vector]:
    """Return the parts of the change, and the change; rows as `ours`."""
    score, start = ours["score"].to_numpy(dtype=np.float64), ours["score_before"].to_numpy(dtype=np.float64)
    other = (ours["model_before"] != ours["model_version"]).to_numpy(dtype=bool)
    at_start = steps[:, 0]
    middle = start if rescored is None else rescored
    model = np.where(other, at_start - middle, 0.0)
    data = np.where(other, middle - start, at_start - start)
    attributes = score - steps[:, 2]
    if not bundle.plan.event_types and not bundle.plan.has_account:
        # The model reads fields only, so a record that tells otherwise of then is a field overwritten since.
        attributes, data = attributes + data, np.zeros_like(data)
    return {
        "change": score - start,
        "behaviour": steps[:, 2] - steps[:, 1],
        "time": steps[:, 1] - at_start,
        "attributes": attributes,
        "data": data,
        "model": model,
    }


def _crossed(before: pd.Series[Any], now: pd.Series[Any]) -> npt.NDArray[np.str_]:
    step = now.map(RANK).to_numpy(dtype=np.float64) - before.map(RANK).to_numpy(
        dtype=np.float64, na_value=np.nan
    )
    return np.select([step > 0, step < 0], ["up", "down"], "")
