"""The profile of winners: a handful of segments, each of a few attribute values, that are won more often.

Segments are found on the train part alone, by a beam search over conjunctions of attribute values that
maximises ``sqrt(n) * (rate - base rate)`` (the quality of Klösgen 1996, which weighs size against height).
After each segment its leads are set aside, so that the next one tells something else. How good a segment is,
later leads say: what was picked for its height looks higher than it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.evaluation.intervals import wilson_interval

Mask = npt.NDArray[np.bool_]
Condition = tuple[str, str]

MOST_SEGMENTS = 5
MOST_VALUES = 3
BEAM = 20
# A segment smaller than this is no persona, and its rate not worth telling.
SMALLEST_SHARE, FEWEST_WINS = 0.01, 10
# A value is added to a segment where it raises the quality by a twentieth: a shorter one reads better.
WORTH_ADDING = 1.05
COLUMNS = (
    *("persona", "conditions", "leads", "wins", "rate", "base"),
    *("later_leads", "later_wins", "later_rate", "later_low", "later_high", "later_base", "lift", "holds"),
)


@dataclass(frozen=True)
class Segment:
    """Leads that share the values of a few attributes."""

    conditions: tuple[Condition, ...]
    quality: float

    @property
    def persona(self) -> str:
        """The segment in words, such as ``channel referral, seniority executive``."""
        return ", ".join(f"{column.replace('_', ' ')} {value}" for column, value in self.conditions)


def profile_winners(
    attributes: pd.DataFrame,
    won: npt.NDArray[np.bool_],
    group: npt.NDArray[np.int64],
    train: Mask,
    later: Mask,
) -> pd.DataFrame:
    """Find the segments of winners on the train part and rate them on later leads.

    Parameters
    ----------
    attributes : DataFrame
        Levels as text, one row a lead.
    won, group, train, later : arrays of shape (n_leads,)

    Returns
    -------
    DataFrame
        Up to `MOST_SEGMENTS` rows with `COLUMNS`: on the train part ``leads, wins, rate, base``, on later
        leads the rate with its 95% interval, that of all, and their ratio ``lift``. ``holds``: the interval
        lies above the rate of all later leads. ``later_rate`` is null where no later lead is in the segment.
    """
    rows = [
        _rate(s, attributes, won, group, train, later) for s in find_segments(attributes[train], won[train])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def find_segments(attributes: pd.DataFrame, won: npt.NDArray[np.bool_]) -> list[Segment]:
    """Find segments with a high share won, one after the other, each among the leads that none yet holds."""
    found: list[Segment] = []
    left = np.ones(len(won), dtype=bool)
    base = float(won.mean()) if len(won) else 0.0
    masks = {
        (str(c), str(level)): (attributes[c] == level).to_numpy()
        for c in attributes
        for level in sorted(attributes[c].unique())
    }
    smallest = SMALLEST_SHARE * len(won)
    while len(found) < MOST_SEGMENTS:
        best = _search({c: m & left for c, m in masks.items()}, won, base, smallest)
        if best is None:
            break
        found.append(best)
        left &= ~members(best, attributes)
    return found


def members(segment: Segment, attributes: pd.DataFrame) -> Mask:
    """Say which leads are in a segment."""
    inside = np.ones(len(attributes), dtype=bool)
    for column, value in segment.conditions:
        inside &= (attributes[column] == value).to_numpy()
    return inside


def _search(
    masks: dict[Condition, Mask], won: npt.NDArray[np.bool_], base: float, smallest: float
) -> Segment | None:
    """Return the best segment by a beam search, or None where none is won more often than all."""
    beam: list[tuple[Segment, Mask]] = [(Segment((), 0.0), np.ones(len(won), dtype=bool))]
    best: Segment | None = None
    for _ in range(MOST_VALUES):
        grown: dict[tuple[Condition, ...], tuple[Segment, Mask]] = {}
        for segment, mask in beam:
            taken = {column for column, _ in segment.conditions}
            for condition, holds in masks.items():
                if condition[0] in taken:
                    continue
                inside = mask & holds
                n, wins = int(inside.sum()), int((inside & won).sum())
                if n < smallest or wins < FEWEST_WINS:
                    continue
                conditions = tuple(sorted((*segment.conditions, condition)))
                grown[conditions] = (Segment(conditions, float(np.sqrt(n) * (wins / n - base))), inside)
        beam = sorted(grown.values(), key=lambda s: (-s[0].quality, s[0].conditions))[:BEAM]
        if beam and beam[0][0].quality > (WORTH_ADDING * best.quality if best else 0.0):
            best = beam[0][0]
    return best


def _rate(
    segment: Segment,
    attributes: pd.DataFrame,
    won: npt.NDArray[np.bool_],
    group: npt.NDArray[np.int64],
    train: Mask,
    later: Mask,
) -> dict[str, object]:
    inside = members(segment, attributes)
    seen, after = inside & train, inside & later
    rate = float(won[after].mean()) if after.any() else float("nan")
    base = float(won[later].mean()) if later.any() else float("nan")
    low, high = wilson_interval(won[after], group[after])
    return {
        "persona": segment.persona,
        "conditions": [f"{column}={value}" for column, value in segment.conditions],
        "leads": int(seen.sum()),
        "wins": int(won[seen].sum()),
        "rate": float(won[seen].mean()),
        "base": float(won[train].mean()),
        "later_leads": int(after.sum()),
        "later_wins": int(won[after].sum()),
        "later_rate": rate,
        "later_low": low,
        "later_high": high,
        "later_base": base,
        "lift": rate / base if base > 0 else float("nan"),
        "holds": bool(low > base),
    }
