"""The verdicts of sales as they are kept: one for each reviewer and snapshot, with what was shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from propensity.data.verdicts import VERDICT_COLUMNS

FIRST = 3  # reasons of a score that a verdict is taken to be about
KEY = ["lead_id", "as_of", "given_by"]
_ABOUT = ["lead_id", "as_of", "model_version"]
_SHOWN = ["probability", "score", "tier", "features", "qualifiers"]
_MOMENT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [(name, _MOMENT if name in ("as_of", "given_at") else pa.string()) for name in VERDICT_COLUMNS]
    + [("probability", pa.float64()), ("score", pa.float64()), ("tier", pa.string())]
    + [("features", pa.list_(pa.string())), ("qualifiers", pa.list_(pa.string()))]
)


@dataclass(frozen=True)
class Merge:
    """What became of new verdicts.

    Attributes
    ----------
    table : DataFrame
        All verdicts: `VERDICT_COLUMNS`, one row for each of `KEY`, sorted by it.
    added, replaced, left : int
        New rows whose key was not there, that took the place of an older verdict of the same reviewer, and
        that changed nothing: they were there already, or a newer one is.
    """

    table: pd.DataFrame
    added: int
    replaced: int
    left: int


def merge_verdicts(stored: pd.DataFrame, new: pd.DataFrame) -> Merge:
    """Keep the newest verdict of each reviewer on each snapshot; neither order nor repeats matter.

    Verdicts without a reviewer's name count as one reviewer's.

    Parameters
    ----------
    stored, new : DataFrame
        `VERDICT_COLUMNS`; those of one moment are told apart by their content.
    """
    columns = list(VERDICT_COLUMNS)
    both = pd.concat([stored[columns], new[columns]], ignore_index=True)
    content = [name for name in columns if name not in (*KEY, "given_at")]
    ordered = both.sort_values([*KEY, "given_at", *content], na_position="first", kind="stable")
    table = ordered.drop_duplicates(KEY, keep="last").reset_index(drop=True)
    before, unchanged = stored[KEY].drop_duplicates(), _shared(table, stored, columns)
    added = len(table) - len(before)
    replaced = len(before) - unchanged
    return Merge(table, added, replaced, len(new) - added - replaced)


def _shared(table: pd.DataFrame, stored: pd.DataFrame, columns: list[str]) -> int:
    return len(table.merge(stored[columns], on=columns))


def add_shown(verdicts: pd.DataFrame, stored: pd.DataFrame, scores: pd.DataFrame | None) -> pd.DataFrame:
    """Add what the model said to each verdict: as kept with an earlier one, or from the latest scores.

    A verdict that names a model is joined with that model's score only. What was shown is kept because the
    next scoring replaces the scores.

    Parameters
    ----------
    verdicts : DataFrame
        `VERDICT_COLUMNS`.
    stored : DataFrame
        As `read_stored`.
    scores : DataFrame or None
        As ``scores/scores.parquet``.

    Returns
    -------
    DataFrame
        With ``probability, score, tier``, and ``features`` and ``qualifiers`` of the first reasons; null
        where no score was found.
    """
    known = [stored.loc[stored["tier"].notna(), [*_ABOUT, *_SHOWN]]]
    if scores is not None:
        shown = _shown(scores)
        known += [shown, shown.assign(model_version=None)]
    table = pd.concat([part for part in known if len(part)] or known[:1], ignore_index=True)
    table = table.drop_duplicates(_ABOUT).astype({"model_version": "str"})
    return verdicts.merge(table, on=_ABOUT, how="left", validate="m:1")


def _shown(scores: pd.DataFrame) -> pd.DataFrame:
    first = [[r for r in reasons if r["feature"] != "other"][:FIRST] for reasons in scores["reasons"]]
    features = [[reason["feature"] for reason in reasons] for reasons in first]
    qualifiers = [sorted({reason["qualifier"] for reason in reasons}) for reasons in first]
    return scores[[*_ABOUT, "probability", "score", "tier"]].assign(
        features=pd.Series(features, index=scores.index, dtype="object"),
        qualifiers=pd.Series(qualifiers, index=scores.index, dtype="object"),
    )


def read_stored(path: Path) -> pd.DataFrame:
    """Return the verdicts kept at `path`; none if there is no file."""
    table = pq.read_table(path, schema=SCHEMA) if path.exists() else SCHEMA.empty_table()
    return table.to_pandas()  # type: ignore[no-any-return]


def to_stored(verdicts: pd.DataFrame) -> pa.Table:
    """Return verdicts with what was shown as the table to keep, which is the same for the same content."""
    lists = dict.fromkeys(("features", "qualifiers"), "object")  # all null, pandas calls them numbers
    table = pa.Table.from_pandas(verdicts[SCHEMA.names].astype(lists), schema=SCHEMA, preserve_index=False)
    return table.replace_schema_metadata(None)
