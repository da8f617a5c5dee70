"""Scoring a feature table: a handful of rows one by one, many in chunks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from propensity.bundled import amounts_of, trained_with, voice_of
from propensity.decisions.amounts import AmountModel, expected_amounts
from propensity.decisions.tiers import assign_tiers
from propensity.decisions.value import expected_value, value_interval
from propensity.explain.contributions import compute_contributions
from propensity.explain.families import group_families
from propensity.explain.grades import assign_grades
from propensity.explain.lifts import tell_lifts
from propensity.explain.points import Points, compute_points, sum_by_side
from propensity.explain.reasons import REASONS_TYPE, Voice, tell_rule, top_reasons
from propensity.explain.words import Words
from propensity.model.bundle import Bundle
from propensity.model.encoding import count_unseen, encode
from propensity.model.estimators import Vector, probability_of
from propensity.online import FEW_LEADS, FewScorer, Hit, Row, group_hits
from propensity.params import CutoffsParams, ValueParams

# Contributions are held for this many rows at a time: a million rows of a hundred features would
# need most of a gigabyte.
CHUNK_ROWS = 20_000

logger = logging.getLogger(__name__)


def score_features(
    bundle: Bundle,
    table: pd.DataFrame,
    disqualified: pd.DataFrame | None = None,
    *,
    previous: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Score a feature table.

    Parameters
    ----------
    bundle : Bundle
    table : DataFrame
        ``lead_id``, ``as_of`` and the plan's features, one row a snapshot.
    disqualified : DataFrame, optional
        ``lead_id, rule, reason, column, value``: the rules that leads meet, as `rule_hits`; none if left out.
    previous : mapping, optional
        The tier each lead had when it was last scored, which ``cutoffs.hold`` lets it keep.

    Returns
    -------
    DataFrame
        As `Predictor.score`.
    """
    if 0 < len(table) <= FEW_LEADS:
        return score_few(bundle, *_rows_of(table), _hits_of(disqualified), previous or {})
    log_unknown(bundle, count_unknown(bundle, table), len(table))
    return score_rows(bundle, table, disqualified, previous=previous)


def count_unknown(bundle: Bundle, table: pd.DataFrame) -> dict[str, int]:
    """Return in how many rows of a feature table something lies outside of what the model learned from.

    Returns
    -------
    dict
        The name of a feature to the rows with a value of it that training did not know, and ``age_days`` to
        the rows of leads older than any of training; what is 0 is left out.
    """
    oldest = max(trained_with(bundle).snapshots.ages_days)
    older = int((table["age_days"] > oldest).sum()) if bundle.plan.dated else 0
    return count_unseen(table, bundle.encoding) | ({"age_days": older} if older else {})


def log_unknown(bundle: Bundle, counts: Mapping[str, int], n: int) -> None:
    """Log as warnings what `count_unknown` counted in `n` rows."""
    for name, rows in counts.items():
        if name == "age_days":
            logger.warning(
                "%d of %d leads are older than any the model learned from (%g days) and taken to be that "
                "old; add ages to snapshots.ages_days to learn about them",
                rows,
                n,
                max(trained_with(bundle).snapshots.ages_days),
            )
        else:
            logger.warning("%s: %d of %d rows have a value that training did not know", name, rows, n)


def score_rows(
    bundle: Bundle,
    table: pd.DataFrame,
    disqualified: pd.DataFrame | None = None,
    *,
    previous: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Score a feature table as `score_features` does, and log nothing."""
    params = trained_with(bundle)
    if 0 < len(table) <= FEW_LEADS:
        return few_scorer(bundle).score(*_rows_of(table), _hits_of(disqualified), previous or {})[0]
    rules = group_hits(_hits_of(disqualified))
    starts = range(0, max(len(table), 1), CHUNK_ROWS)
    held = {} if previous is None else previous
    voice = voice_of(bundle, params)
    amounts = amounts_of(bundle, params)
    chunks = [
        _score_chunk(bundle, params.cutoffs, table.iloc[s : s + CHUNK_ROWS], rules, held, voice, amounts)
        for s in starts
    ]
    return pd.concat(chunks, ignore_index=True)


def few_scorer(bundle: Bundle) -> FewScorer:
    """Return what scores a few rows with a bundle, made once."""
    params = trained_with(bundle)
    return bundle.keep(
        "few", lambda: FewScorer(bundle, params, voice_of(bundle, params), amounts_of(bundle, params))
    )


def score_few(
    bundle: Bundle, names: tuple[str, ...], rows: Sequence[Row], hits: list[Hit], previous: Mapping[str, str]
) -> pd.DataFrame:
    """Score a few rows; parameters as of `propensity.online.FewScorer.score`."""
    scores, unknown = few_scorer(bundle).score(names, rows, hits, previous)
    log_unknown(bundle, unknown, len(rows))
    return scores


def _rows_of(table: pd.DataFrame) -> tuple[tuple[str, ...], Sequence[Row]]:
    """Return a feature table as plain rows, None where a value is missing."""
    plain = table if table["as_of"].isna().all() else table.assign(as_of=table["as_of"].array.asi8)
    return tuple(table.columns), plain.to_numpy(dtype=object, na_value=cast(Any, None)).tolist()


def _hits_of(disqualified: pd.DataFrame | None) -> list[Hit]:
    if disqualified is None:
        return []
    return [Hit(*hit) for hit in disqualified[list(Hit._fields)].itertuples(index=False)]


def compute_table_points(bundle: Bundle, table: pd.DataFrame) -> Points:
    """Return the points of every feature for every row of a feature table."""
    contributions = compute_contributions(bundle.model, bundle.calibrator, encode(table, bundle.encoding))
    return compute_points(contributions, bundle.cutoffs["reference_odds"])


def _score_chunk(
    bundle: Bundle,
    params: CutoffsParams,
    table: pd.DataFrame,
    rules: Mapping[str, list[Hit]],
    previous: Mapping[str, str],
    voice: Voice,
    amounts: AmountModel,
) -> pd.DataFrame:
    matrix = encode(table, bundle.encoding)
    contributions = compute_contributions(bundle.model, bundle.calibrator, matrix)
    points = compute_points(contributions, bundle.cutoffs["reference_odds"])
    probability = 1 / (1 + np.exp(-contributions.log_odds))
    low, high = (probability_of(end) for end in bundle.calibrator.interval(contributions.log_odds))
    met = _look_up(rules, table["lead_id"])
    tier = assign_tiers(
        probability,
        met.astype(bool),
        bundle.cutoffs,
        previous=_look_up(previous, table["lead_id"]),
        hold=params.hold,
    )
    fit, engagement = sum_by_side(points, bundle.features)
    families = group_families(points, bundle.features)
    rest = tell_lifts(points, table, bundle.features, voice, wanted=tier == "nurture", families=families)
    worth = _value_leads(amounts, table, (probability, low, high), tier, params.value)
    told = top_reasons(points, table, bundle.features, voice, rest=rest, families=families)
    reasons = _with_rules(told, met, voice.words)
    scored = pd.DataFrame(
        {
            "lead_id": table["lead_id"].array,
            "as_of": table["as_of"].array,
            "probability": probability,
            "score": points.score,
            "tier": tier,
            "base_points": points.base,
            "fit_points": fit,
            "engagement_points": engagement,
            "expected_value": worth.pop("expected_value"),
            "reasons": pd.array(reasons, dtype=pd.ArrowDtype(REASONS_TYPE)),
            "model_version": bundle.model_version,
            "scored_at": pd.Timestamp.now(tz="UTC").as_unit("us"),
            "probability_low": low,
            "probability_high": high,
        }
    )
    grades = assign_grades(fit, engagement, bundle.documents.get("grades"))
    return pd.concat([scored, grades, worth], axis=1)


def _look_up(known: Mapping[str, Any], leads: pd.Series[str]) -> npt.NDArray[np.object_]:
    """Return what is known of each lead, None where nothing is."""
    found = np.full(len(leads), None, dtype=object)
    if known:
        for i, lead in enumerate(leads):
            found[i] = known.get(lead)
    return found


def _value_leads(
    model: AmountModel,
    table: pd.DataFrame,
    probability: tuple[Vector, Vector, Vector],
    tier: npt.NDArray[np.str_],
    value: ValueParams,
) -> pd.DataFrame:
    """Return the columns of the scores that tell of money; `probability` is the middle, low and high."""
    told = expected_amounts(model, table)
    amount, amount_low, amount_high = (told[c].to_numpy() for c in ("amount", "amount_low", "amount_high"))
    low, high = value_interval(probability, (amount, amount_low, amount_high), tier, value)
    return pd.DataFrame(
        {
            "expected_value": expected_value(probability[0], amount, tier, value),
            "expected_amount": amount,
            "expected_value_low": low,
            "expected_value_high": high,
            "amount_wins": told["amount_wins"].to_numpy(dtype=np.int64),
        }
    )


def _with_rules(reasons: pa.ListArray, met: npt.NDArray[np.object_], words: Words) -> pa.ListArray:
    """Put the rules that disqualified a lead before its other reasons, at no points."""
    rows = np.flatnonzero(met.astype(bool))
    if len(rows) == 0:
        return reasons
    own = reasons.take(pa.array(rows)).to_pylist()
    lists = [[*(tell_rule(hit, words) for hit in met[i]), *told] for i, told in zip(rows, own, strict=True)]
    place = np.arange(len(reasons))
    place[rows] = len(reasons) + np.arange(len(rows))
    return pa.concat_arrays([reasons, pa.array(lists, type=REASONS_TYPE)]).take(pa.array(place))
