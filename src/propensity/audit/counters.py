"""Numbers of the export that count events, and went on counting after the snapshot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from propensity.audit.findings import Check, Finding
from propensity.audit.records import Records
from propensity.audit.wilson import wilson_interval
from propensity.errors import some

Vector = npt.NDArray[np.float64]

MIN_MOVED = 50  # leads whose count went on after the snapshot, and can tell end and snapshot apart
EQUAL = 0.5  # agreement beyond chance from which a counter is the count
NEARLY = 0.95  # rank correlation from which it is nearly the count
NEARLY_MARGIN = 0.05  # by which its lower bound is above the correlation with the count as of the snapshot
MAX_LEADS = 20_000  # leads looked at: more tell nothing more


@dataclass(frozen=True)
class _Counts:
    """Events per lead (rows) and type (columns), at three moments."""

    types: list[str]
    at_end: Vector
    at_first: Vector
    at_last: Vector


@dataclass(frozen=True)
class _Match:
    """How a counter agrees with the number of events of some types, at the end and as of the snapshot."""

    types: list[str]
    moment: str
    n: int
    moved: int
    equal: float
    equal_at_first: float
    moved_equal: float
    moved_equal_at_first: float
    beyond_chance: float
    rank_correlation: float
    rank_correlation_at_first: float

    @property
    def is_count(self) -> bool:
        """Whether it is the later number, judged where that as of the snapshot is another one."""
        return self.beyond_chance > EQUAL

    @property
    def is_nearly_count(self) -> bool:
        """Whether it goes with the later number, by more than it goes with that as of the snapshot."""
        low = _correlation_low(self.rank_correlation, self.n)
        return low > NEARLY and low > self.rank_correlation_at_first + NEARLY_MARGIN


def find_counters(check: Check, records: Records) -> list[Finding]:
    """Find the numbers of the export that count events after the snapshot."""
    if records.event_counts is None:
        return check.not_applicable("there are no events")
    numbers = sorted(c for c, kind in records.attributes.items() if kind == "number")
    if not numbers:
        return check.not_applicable("leads have no numbers")
    rows = _looked_at(records)
    counts = _count_matrix(records.event_counts, rows["lead_id"])
    if int(_moved(counts.at_end, counts.at_first).sum()) < MIN_MOVED:
        return check.skipped(
            f"fewer than {MIN_MOVED} leads had events after their first snapshot: what was known then "
            "and what is known in the end cannot be told apart"
        )
    columns = [c for c in numbers if c not in records.tracked]
    matches = {column: _best_match(rows[column], counts) for column in columns}
    found = [_counter_finding(check, records, c, match) for c, match in matches.items() if match is not None]
    return found or check.passed(
        f"none of {len(columns)} numbers is the count of events at the end of the data",
        columns=len(columns),
        leads=len(rows),
    )


def _looked_at(records: Records) -> pd.DataFrame:
    """Return leads with a dated snapshot, evenly spread over all of them where there are very many."""
    dated = records.snapshots.loc[records.snapshots["as_of"].notna(), "lead_id"]
    place = pd.Index(dated.unique()).get_indexer(
        pd.Index(records.leads["lead_id"])
    )  # isin takes ten times as long
    rows = records.leads[place >= 0]
    spread: pd.DataFrame = rows.iloc[:: 1 + len(rows) // MAX_LEADS]
    return spread.reset_index(drop=True)


def _count_matrix(counts: pd.DataFrame, leads: pd.Series[str]) -> _Counts:
    """Spread the counts over leads and types; a lead without events of a type has none."""
    types = sorted(counts["type"].unique())
    row = pd.Index(leads).get_indexer(pd.Index(counts["lead_id"]))
    column = pd.Index(types).get_indexer(pd.Index(counts["type"]))
    here = row >= 0

    def spread(name: str) -> Vector:
        matrix = np.zeros((len(leads), len(types)))
        matrix[row[here], column[here]] = counts[name].to_numpy(dtype=np.float64)[here]
        return matrix

    return _Counts(types, spread("at_end"), spread("at_first"), spread("at_last"))


def _moved(later: Vector, first: Vector) -> npt.NDArray[np.bool_]:
    moved: npt.NDArray[np.bool_] = later.sum(axis=1) != first.sum(axis=1)
    return moved


def _best_match(values: pd.Series[float], counts: _Counts) -> _Match | None:
    """Return the sum of types that a counter is at a later moment, if there is one."""
    given = values.to_numpy(dtype=np.float64)
    known = np.isfinite(given)
    number: Vector = np.asarray(given[known], dtype=np.float64)
    if len(np.unique(number)) < 3:
        return None  # a flag agrees with the presence of events, not with their number
    first = counts.at_first[known]
    matches = []
    for moment, later in (("end", counts.at_end[known]), ("last snapshot", counts.at_last[known])):
        for picked in _candidate_sums(number, later):
            types = [counts.types[i] for i in picked]
            sums = later[:, picked].sum(axis=1), first[:, picked].sum(axis=1)
            matches.append(_match(number, *sums, types=types, moment=moment))
    found = [m for m in matches if m is not None and (m.is_count or m.is_nearly_count)]
    return max(found, key=lambda m: (m.is_count, m.moved_equal, m.rank_correlation), default=None)


def _candidate_sums(number: Vector, later: Vector) -> list[list[int]]:
    """Return each type, all types, and those that least squares gives a weight near one."""
    n_types = later.shape[1]
    weights = np.linalg.lstsq(later, number, rcond=None)[0]
    fitted = [int(i) for i in np.flatnonzero(np.abs(weights - 1) < 0.5)]
    sums = [*([i] for i in range(n_types)), list(range(n_types)), fitted]
    return [picked for i, picked in enumerate(sums) if picked and picked not in sums[:i]]


def _match(number: Vector, later: Vector, first: Vector, *, types: list[str], moment: str) -> _Match | None:
    moved = later != first
    n_moved = int(moved.sum())
    if n_moved < MIN_MOVED:
        return None
    equal, equal_at_first = number == later, number == first
    low = wilson_interval(int(equal[moved].sum()), n_moved)[0]
    chance = _chance(number[moved], later[moved])
    return _Match(
        types=types,
        moment=moment,
        n=len(number),
        moved=n_moved,
        equal=float(equal.mean()),
        equal_at_first=float(equal_at_first.mean()),
        moved_equal=float(equal[moved].mean()),
        moved_equal_at_first=float(equal_at_first[moved].mean()),
        beyond_chance=(low - chance) / (1 - chance) if chance < 1 else 0.0,
        rank_correlation=_rank_correlation(number, later),
        rank_correlation_at_first=_rank_correlation(number, first),
    )


def _chance(a: Vector, b: Vector) -> float:
    """Share of rows in which two unrelated columns with these values would be equal (Cohen 1960)."""
    shares_a, shares_b = pd.Series(a).value_counts(normalize=True), pd.Series(b).value_counts(normalize=True)
    return float((shares_a * shares_b).sum())


def _rank_correlation(a: Vector, b: Vector) -> float:
    if len(np.unique(a)) < 2 or len(np.unique(b)) < 2:
        return 0.0
    return float(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1])


def _correlation_low(correlation: float, n: int) -> float:
    """Lower 95% bound of a rank correlation, by Fisher's transformation (Bonett and Wright 2000)."""
    if n <= 3:
        return -1.0
    error = np.sqrt((1 + correlation**2 / 2) / (n - 3))
    return float(np.tanh(np.arctanh(min(correlation, 1 - 1e-12)) - 1.96 * error))


def _counter_finding(check: Check, records: Records, column: str, match: _Match) -> Finding:
    kinds = "all events" if len(match.types) > 3 else " and ".join(f"'{t}'" for t in match.types) + " events"
    how = "is" if match.is_count else "goes with"
    when = "at the end of the data" if match.moment == "end" else "at its last snapshot"
    return check.issue(
        f"'{column}' {how} the number of a lead's {kinds} {when}: of {match.moved:,} leads with more of them "
        f"then than at their first snapshot, it equals the later number in {match.moved_equal:.1%} and that "
        f"as of the snapshot in {match.moved_equal_at_first:.1%} (rank correlation over {match.n:,} leads "
        f"{match.rank_correlation:.3f} and {match.rank_correlation_at_first:.3f})",
        remedy=f"leave '{column}' out (features.exclude): the features count these events as of the snapshot",
        subject=column,
        severity=records.severity(column),
        types=some(match.types),
        moment=match.moment,
        n=match.n,
        equal_share=match.equal,
        equal_share_at_first=match.equal_at_first,
        n_moved=match.moved,
        moved_equal_share=match.moved_equal,
        moved_equal_share_at_first=match.moved_equal_at_first,
        rank_correlation=match.rank_correlation,
        rank_correlation_at_first=match.rank_correlation_at_first,
    )
