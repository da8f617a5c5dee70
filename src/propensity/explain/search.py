"""The smallest set of actions that brings a lead over a cut-off, found by re-scoring it.

Sets are tried from few events to many: every action once, the strongest more often, then two and three of the
strongest together. A set is left out where its actions, each taken alone, add up to less than `PROMISING` of
the distance. All leads are searched side by side, so that one re-scoring prices a round of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from propensity.model.estimators import Vector

MOST_RESCORED = 150  # variants of a lead, the pricing of the set found apart
MOST_ALONE = 60  # kinds of action tried once
STRONGEST = 5  # kinds of action that are tried more often and together
MOST_ACTIONS = 3
MOST_EVENTS = 10
PROMISING = 0.5

# Which actions, by their place, and how many times each; places ascend.
Picks = tuple[tuple[int, int], ...]
Rescore = Callable[[list[tuple[int, Picks]]], Vector]


@dataclass(frozen=True)
class Case:
    """A lead to bring over a cut-off.

    Attributes
    ----------
    start, goal : float
        Log-odds it has and needs.
    shares : tuple of tuple of float
        For each action it could take, the share of such leads that take it once or more, twice or more and
        so on; its length is how many times it may be taken.
    """

    start: float
    goal: float
    shares: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Found:
    """What came out for a case.

    Attributes
    ----------
    picks : tuple
        The set, the action that gives most by itself first; empty where nothing raises the log-odds.
    reached : bool
        Whether it crosses. If not, it is the one that came closest.
    """

    picks: Picks
    reached: bool


Prices = dict[Picks, float]


def find_sets(cases: Sequence[Case], rescore: Rescore) -> list[Found]:
    """Find each case's smallest crossing set: fewest events, then most often taken.

    How often a set is taken is taken to be how often its rarest action is.

    Parameters
    ----------
    cases : sequence of Case
    rescore : callable
        From (place of the case, set) pairs to the log-odds of each, called once a round.
    """
    prices: list[Prices] = [{} for _ in cases]
    once: list[list[Picks]] = [[((a, 1),) for a in range(min(len(c.shares), MOST_ALONE))] for c in cases]
    _price(prices, once, rescore)
    strongest = [_strongest(case, known) for case, known in zip(cases, prices, strict=True)]
    alone: list[list[Picks]] = [
        [((a, t),) for a in places for t in range(2, len(case.shares[a]) + 1)]
        for case, places in zip(cases, strongest, strict=True)
    ]
    _price(prices, alone, rescore)
    for total in range(2, MOST_EVENTS + 1):
        wanted = [
            _promising(case, known, places, total) if _events_needed(case, known) >= total else []
            for case, known, places in zip(cases, prices, strongest, strict=True)
        ]
        _price(prices, wanted, rescore, spare=1)
    _price(prices, [_last_try(*each) for each in zip(cases, prices, strongest, strict=True)], rescore)
    return [_choose(case, known) for case, known in zip(cases, prices, strict=True)]


def _price(prices: list[Prices], wanted: list[list[Picks]], rescore: Rescore, *, spare: int = 0) -> None:
    asked: list[tuple[int, Picks]] = []
    for i, sets in enumerate(wanted):
        fresh = [picks for picks in sets if picks not in prices[i]]
        asked += [(i, picks) for picks in fresh[: max(MOST_RESCORED - spare - len(prices[i]), 0)]]
    if asked:
        for (i, picks), log_odds in zip(asked, rescore(asked), strict=True):
            prices[i][picks] = float(log_odds)


def _strongest(case: Case, known: Prices) -> list[int]:
    """Return the places of the actions that raise the log-odds, the strongest first."""
    gains = {picks[0][0]: price - case.start for picks, price in known.items()}
    raising = [a for a, gain in gains.items() if gain > 0]
    return sorted(raising, key=lambda a: (-gains[a], a))[:STRONGEST]


def _events_needed(case: Case, known: Prices) -> float:
    """Return the events of the smallest set known to cross, infinity if there is none."""
    return min((_total(picks) for picks, price in known.items() if price >= case.goal), default=np.inf)


def _promising(case: Case, known: Prices, places: list[int], total: int) -> list[Picks]:
    """Return the sets of two or more actions and `total` events that may cross, the likeliest first."""
    counts, sums = _estimates(case, known, places)
    chosen = (counts.sum(axis=1) == total) & ((counts > 0).sum(axis=1) > 1)
    chosen &= sums >= PROMISING * (case.goal - case.start)
    rows = np.flatnonzero(chosen)
    return [_picks(places, counts[row]) for row in rows[np.argsort(-sums[rows], kind="stable")]]


def _last_try(case: Case, known: Prices, places: list[int]) -> list[Picks]:
    """Return the set that should come closest, for a case in which nothing crosses."""
    counts, sums = _estimates(case, known, places)
    if len(counts) == 0 or _events_needed(case, known) < np.inf:
        return []
    return [_picks(places, counts[int(sums.argmax())])]


def _estimates(case: Case, known: Prices, places: list[int]) -> tuple[npt.NDArray[np.int64], Vector]:
    """Return all sets of the actions as counts, and the sum of what their actions give alone."""
    counts = _all_counts(tuple(len(case.shares[a]) for a in places))
    sums = np.zeros(len(counts))
    for j, a in enumerate(places):
        gains = [0.0]
        for t in range(1, len(case.shares[a]) + 1):
            price = known.get(((a, t),))
            gains.append(gains[-1] if price is None else price - case.start)
        sums += np.array(gains)[counts[:, j]]
    return counts, sums


@lru_cache(maxsize=1024)
def _all_counts(most: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return the ways to take up to `MOST_ACTIONS` actions and `MOST_EVENTS` events, fewest events first."""
    rows = []
    for size in range(1, min(MOST_ACTIONS, len(most)) + 1):
        for chosen in combinations(range(len(most)), size):
            for times in product(*(range(1, most[j] + 1) for j in chosen)):
                if sum(times) <= MOST_EVENTS:
                    row = np.zeros(len(most), dtype=np.int64)
                    row[list(chosen)] = times
                    rows.append(row)
    rows.sort(key=lambda row: int(row.sum()))
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(most))


def _picks(places: list[int], counts: npt.NDArray[np.int64]) -> Picks:
    return tuple(sorted((a, int(t)) for a, t in zip(places, counts, strict=True) if t))


def _choose(case: Case, known: Prices) -> Found:
    crossing = [picks for picks, price in known.items() if price >= case.goal]
    if crossing:
        best = min(crossing, key=lambda p: (_total(p), -_share(case, p), len(p), p))
        return Found(_ordered(best, known), True)
    if not known or max(known.values()) <= case.start:
        return Found((), False)
    return Found(_ordered(min(known, key=lambda p: (-known[p], _total(p), p)), known), False)


def _ordered(picks: Picks, known: Prices) -> Picks:
    return tuple(sorted(picks, key=lambda pick: (-known.get((pick,), -np.inf), pick)))


def _total(picks: Picks) -> int:
    return sum(times for _, times in picks)


def _share(case: Case, picks: Picks) -> float:
    return min(case.shares[a][times - 1] for a, times in picks)
