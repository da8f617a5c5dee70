"""The scores of an earlier scoring, as a file or frame holds them, and whether they can be compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from propensity.errors import InputError, some
from propensity.model.bundle import Bundle

# From the lowest queue to the highest.
RANK = {"disqualified": 0, "nurture": 1, "mql": 2, "sql": 3}
NEEDED = ("lead_id", "as_of", "score", "tier", "model_version")


@dataclass(frozen=True)
class Previous:
    """What is known of an earlier scoring.

    Attributes
    ----------
    scores : DataFrame
        From `check_previous`.
    bundle : Bundle or None
        The bundle that gave them, where it is at hand.
    tables : mapping
        Canonical tables as that bundle reads them.
    """

    scores: pd.DataFrame
    bundle: Bundle | None
    tables: Mapping[str, Any]


def check_previous(previous: pd.DataFrame, *, where: str = "the previous scores") -> pd.DataFrame:
    """Return the scores of an earlier scoring under the names by which a change tells of them.

    Parameters
    ----------
    previous : DataFrame
        As `Predictor.score` returns or ``scores/scores.parquet`` holds it; other columns are ignored.
    where : str
        What to call it in a message.

    Returns
    -------
    DataFrame
        ``lead_id, as_of_before, score_before, tier_before, model_before``, one row a lead.

    Raises
    ------
    InputError
        A column is missing, a value is none of a score, or a lead stands there more than once.
    """
    missing = [column for column in NEEDED if column not in previous.columns]
    if missing:
        raise InputError(
            f"{where} should hold the scores of an earlier scoring, as scores/scores.parquet does; the "
            f"columns {some(missing)} are not there, those there are {some(list(previous.columns), 20)}"
        )
    ids = previous["lead_id"].astype("str")
    _check_rows(ids, ids.notna(), ids, f"{where}: lead_id should name a lead")
    twice = ids[ids.duplicated()].unique().tolist()
    if twice:
        raise InputError(
            f"{where} should have one row a lead; {len(twice):,} leads have several: {some(twice)}. "
            "Keep the row of the scoring to compare with"
        )
    score = pd.to_numeric(previous["score"], errors="coerce").astype("float64")
    _check_rows(previous["score"], score.between(0, 100), ids, f"{where}: score should be 0 to 100")
    known = previous["tier"].isin(list(RANK))
    _check_rows(previous["tier"], known, ids, f"{where}: tier should be one of {', '.join(RANK)}")
    moment = pd.to_datetime(previous["as_of"], utc=True, errors="coerce")
    read = moment.notna() | previous["as_of"].isna()
    _check_rows(previous["as_of"], read, ids, f"{where}: as_of should be a timestamp")
    return pd.DataFrame(
        {
            "lead_id": ids.array,
            "as_of_before": moment.astype("datetime64[us, UTC]").array,
            "score_before": score.array,
            "tier_before": previous["tier"].astype("str").array,
            "model_before": previous["model_version"].astype("str").array,
        }
    )


def check_comparable(
    previous: pd.DataFrame, leads: pd.DataFrame, bundle: Bundle, before: Bundle | None = None
) -> None:
    """Refuse earlier scores that the leads at hand cannot be compared with.

    Parameters
    ----------
    previous : DataFrame
        From `check_previous`.
    leads : DataFrame
        ``lead_id, as_of`` of the new scoring.
    bundle : Bundle
    before : Bundle, optional
        The previous bundle.

    Raises
    ------
    InputError
        A lead was scored later than it is now, without a moment, or by a model that is neither of the two.
    """
    both = leads[["lead_id", "as_of"]].merge(previous, on="lead_id")
    if bundle.plan.dated:
        late = ~(both["as_of_before"] <= both["as_of"])
        _check_rows(
            both["as_of_before"], ~late, both["lead_id"], "the previous scores should not be later than as_of"
        )
    if before is None:
        return
    if before.plan.dated != bundle.plan.dated:
        raise InputError(
            "of the previous bundle and this one only one knows dates; leave the previous one out"
        )
    known = both["model_before"].isin([bundle.model_version, before.model_version])
    _check_rows(
        both["model_before"],
        known,
        both["lead_id"],
        f"the previous scores should be by the previous bundle, model {before.model_version}",
    )


def _check_rows(values: pd.Series[Any], good: pd.Series[bool], ids: pd.Series[Any], expected: str) -> None:
    bad = ~good.to_numpy(dtype=bool)
    if bad.any():
        rows = [f"{lead}: {value}" for lead, value in zip(ids[bad], values[bad], strict=True)]
        raise InputError(
            f"{expected}; {len(rows):,} rows are not: {some(rows)}. Give the file of another scoring"
        )
