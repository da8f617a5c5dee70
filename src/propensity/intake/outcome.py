"""How leads ended: the column that says so, its values, and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from propensity.data.profiles import ColumnProfile, given_by
from propensity.errors import InputError
from propensity.intake import words
from propensity.intake.guesses import Ask, Guess, Outcome
from propensity.intake.reading import Table
from propensity.intake.roles import MOSTLY, Named, point_to_leads
from propensity.intake.words import has, tokens

MANY = 40  # values of a status
_ENOUGH = 2.0  # of a score from which on a column is taken for the outcome
_NEARLY_ALL = 0.95  # of the won leads with a date
_STRONG = frozenset({"won", "lost", "closedwon", "closedlost", "gewonnen", "verloren", "ganado", "perdido"})

STATUS = "the column that says whether a lead was won or lost"
CLOSED = "the column with the time at which a lead was won or lost ('none': there is none)"
AMOUNT = "the column with a won lead's amount ('none': there is none)"
REASON = "the column with why a lead was lost ('none': there is none)"


@dataclass(frozen=True)
class Reading:
    """How a column reads as an outcome."""

    column: str
    score: float
    won: tuple[str, ...]
    lost: tuple[str, ...]
    open: tuple[str, ...]
    evidence: str


def find_outcome(
    table: Table,
    leads: Table,
    lead_id: str,
    taken: Iterable[str | None],
    named: Named,
    ask: Ask,
    *,
    won: Sequence[str] = (),
    lost: Sequence[str] = (),
    dated: bool = True,
) -> Outcome:
    """Return how leads ended, from the outcomes or from the leads themselves.

    Parameters
    ----------
    table : Table
        Where the outcome stands; `leads` itself if there is no file of outcomes.
    leads : Table
    lead_id : str
    taken : iterable of str
        Columns that have another role.
    named : dict
        Role to column, as a vendor's export names them.
    ask : callable
    won, lost : sequence of str
        The values that a vendor's export uses.
    dated : bool
        Whether it is known when leads came in: then wins with a date and losses without one make every lead
        that is not won an open one, which a horizon can still judge.

    Raises
    ------
    InputError
        No column reads as an outcome.
    """
    own_file = table is not leads
    pointer = point_to_leads(table, leads, lead_id) if own_file else Guess("", lead_id, "")
    if pointer.column is None:
        raise InputError(f"outcomes: {pointer.evidence}. The columns there: {_listed(table)}")
    reserved: set[str | None] = {pointer.column} if own_file else set(taken)
    readings = read_outcomes(table, reserved, named, won, lost)
    status = ask(_choose(table, readings), table.file.columns)
    if status.column is None:
        raise InputError(_not_found(table))
    reading = next((r for r in readings if r.column == status.column), None) or _forced(table, status.column)
    used = {*reserved, status.column}
    closed = ask(find_closed(table, reading, used, named), table.file.columns)
    if closed.column is None and dated and reading.lost and (wins := find_win_date(table, reading, used)):
        closed, reading = wins, replace(reading, lost=(), open=(*reading.lost, *reading.open))
    used.add(closed.column)
    return Outcome(
        own_file=own_file,
        status=replace(status, evidence=reading.evidence),
        won=reading.won,
        lost=reading.lost,
        open=reading.open,
        lead_id=pointer,
        closed_at=closed,
        amount=find_amount(table, used, named, own_file=own_file),
        reason=find_reason(table, used, named, own_file=own_file),
    )


def read_outcomes(
    table: Table, taken: set[str | None], named: Named, won: Sequence[str], lost: Sequence[str]
) -> list[Reading]:
    """Return the columns that read as an outcome, the likeliest first."""
    last = next((p.name for p in reversed(table.file.profiles.values()) if p.given), None)
    readings = []
    for profile in table.file.profiles.values():
        if profile.name in taken:
            continue
        if named.get("status") == profile.name and (told := _as_told(profile, won, lost)):
            readings.append(told)
        elif reading := read_outcome(
            profile, is_last=profile.name == last, own_file=table.file.table == "outcomes"
        ):
            readings.append(reading)
    return sorted(readings, key=lambda r: -r.score)


def read_outcome(profile: ColumnProfile, *, is_last: bool, own_file: bool) -> Reading | None:
    """Return how a column reads as an outcome; None: not at all."""
    if not 2 <= profile.distinct <= MANY or profile.is_moment:
        return None
    telling = score_name(profile.name)
    flags = {value: reads_as_flag(value) for value in profile.values}
    if profile.distinct == 2 and set(flags.values()) == {True, False}:
        won, lost = ([v for v in profile.values if flags[v] is side] for side in (True, False))
        score = 1 + telling + is_last + own_file
        score += 1 if telling > 0 and not has(profile.name, frozenset({"stage", "status"})) else 0
        return _reading(profile, score, won, lost, [], "a flag")
    if profile.is_number or has(profile.name, words.STATUS_FLAG_ONLY):
        return None
    said = {value: reads_as(value) for value in profile.values}
    won, lost, rest = ([v for v in profile.values if said[v] == side] for side in ("won", "lost", "open"))
    if not won:
        return None
    score = (3 if lost else 1.5) + telling + own_file
    return _reading(profile, score, won, lost, rest, "values that say so")


def score_name(name: str) -> float:
    """Return how telling a column's name is: 2 for an outcome's, -2 for another thing's, else 0."""
    if set(tokens(name)) & words.STATUS_OTHER:
        return -2.0
    return 2.0 if set(tokens(name)) & (words.STATUS_STRONG | {"class"}) else 0.0


def reads_as(value: str) -> str:
    """Return what a status says: won, lost, or open for all that says neither."""
    parts = [t for t in tokens(value) if t]
    said = set(parts)
    negated = bool(said & words.NEGATION)
    content = said - words.VALUE_FILLERS - words.NEGATION
    if negated and ("interested" in said or (said & words.WON and not said & words.LOST)):
        return "lost"
    if negated:
        return "open"
    customers = said & frozenset({"customer", "client"})
    if customers and not content:
        return "won"
    if content and content <= words.LOST:
        return "lost"
    if content and content <= words.WON:
        return "won"
    strong = said & _STRONG
    if strong and len(parts) <= 6:
        lost, won = strong & words.LOST, strong & words.WON
        return "lost" if lost and not won else "won" if won and not lost else "open"
    return "open"


def reads_as_flag(value: str) -> bool | None:
    """Return what a yes or a no says, in several languages; None for anything else."""
    text = "".join(tokens(value.removesuffix(".0")))
    if text in words.YES:
        return True
    return False if text in words.NO else None


def find_closed(table: Table, reading: Reading, taken: set[str | None], named: Named) -> Guess:
    """Guess the time of closing: named so, given for leads that ended, and not for open ones."""
    dates = [p for p in table.file.profiles.values() if p.is_moment and p.name not in taken]
    if not dates:
        return Guess(CLOSED, None, "no other column holds dates")
    shares = given_by(
        table.con, table.rows, reading.column, [p.name for p in dates], missing=table.file.missing
    )
    counts = {value.lower(): n for value, n in table.file.profiles[reading.column].top}
    scored = []
    for profile in dates:
        ended = _mean(shares, counts, profile.name, [*reading.won, *reading.lost])
        unended = _mean(shares, counts, profile.name, reading.open)
        alone, own_file = len(dates) == 1, table.file.table == "outcomes"
        scored.append((score_closed(profile, ended, unended, named, alone, own_file), ended, profile))
    score, ended, best = max(scored, key=lambda s: s[0])
    if score < 1 or ended is None:
        shown = ", ".join(repr(p.name) for p in dates[:5])
        return Guess(CLOSED, None, f"no date is that of closing, given for leads that ended: {shown}")
    evidence = f"given for {ended:.0%} of the leads that ended"
    unended = _mean(shares, counts, best.name, reading.open)
    if unended is not None:
        evidence += f" and for {unended:.0%} of the open ones"
    return Guess(CLOSED, best.name, evidence, sure=score >= 2)


def find_win_date(table: Table, reading: Reading, taken: set[str | None]) -> Guess | None:
    """Guess the time of a win where losses have none: named like an end, and given for nearly every win."""
    dates = [p.name for p in table.file.profiles.values() if p.is_moment and p.name not in taken]
    dates = [name for name in dates if has(name, words.CLOSED) and not has(name, words.NOT_AN_END)]
    if not dates:
        return None
    shares = given_by(table.con, table.rows, reading.column, dates, missing=table.file.missing)
    counts = {value.lower(): n for value, n in table.file.profiles[reading.column].top}
    for name in dates:
        won, lost = (_mean(shares, counts, name, side) or 0.0 for side in (reading.won, reading.lost))
        if won >= _NEARLY_ALL:
            evidence = (
                f"given for {won:.0%} of the won leads and for {lost:.0%} of those that "
                f"{reading.column!r} counts "
                "as not won, so that a lead that is not won is read as open: it counts as not won once "
                "its horizon "
                "has passed"
            )
            return Guess(CLOSED, name, evidence)
    return None


def score_closed(
    profile: ColumnProfile,
    ended: float | None,
    unended: float | None,
    named: Named,
    alone: bool,
    own_file: bool,
) -> float:
    """Return how much a date looks like that of closing; below 1: it is not.

    The only date of a file of outcomes is that of closing, if nothing speaks against it.
    """
    if ended is None or ended < MOSTLY:
        return -1.0
    score = 0.0
    if unended is not None and unended <= 0.2:
        score += 1.5
    if named.get("closed_at") == profile.name:
        return score + 3
    if has(profile.name, words.NOT_AN_END):
        return score - 2
    if has(profile.name, words.CLOSED):
        return score + 2
    return score + (1 if alone and (own_file or score) else 0)


def find_amount(table: Table, taken: set[str | None], named: Named, *, own_file: bool) -> Guess:
    """Guess a won lead's amount: by the name of an amount, in leads by one that speaks of a deal too."""
    fitting = [
        p.name
        for p in table.file.profiles.values()
        if p.name not in taken and p.is_number and not p.negative and p.distinct > 2
        if named.get("amount") == p.name
        or (has(p.name, words.AMOUNT) and (own_file or has(p.name, words.OF_A_DEAL)))
    ]
    fitting.sort(key=lambda name: named.get("amount") != name)
    return _by_name(AMOUNT, fitting)


def find_reason(table: Table, taken: set[str | None], named: Named, *, own_file: bool) -> Guess:
    """Guess why a lead was lost, by name."""
    fitting = [
        p.name
        for p in table.file.profiles.values()
        if p.name not in taken and p.given and not p.is_moment
        if named.get("reason") == p.name
        or (has(p.name, words.REASON) and (own_file or has(p.name, words.OF_A_LOSS)))
    ]
    fitting.sort(key=lambda name: named.get("reason") != name)
    return _by_name(REASON, fitting)


def _by_name(role: str, fitting: list[str]) -> Guess:
    return Guess(role, fitting[0], "named so") if fitting else Guess(role, None, "no column is named so")


def _choose(table: Table, readings: list[Reading]) -> Guess:
    good = [r for r in readings if r.score >= _ENOUGH]
    if not good:
        near = tuple(r.column for r in readings[:3])
        return Guess(STATUS, None, _not_found(table), sure=False, others=near)
    best = good[0]
    near = tuple(r.column for r in good[1:4] if r.score > best.score - 1)
    return Guess(STATUS, best.column, best.evidence, sure=best.score >= 3 and not near, others=near)


def _forced(table: Table, column: str) -> Reading:
    """Return how a column that a person named reads, whatever its score."""
    found = read_outcome(table.file.profiles[column], is_last=True, own_file=True)
    if found is None:
        shown = ", ".join(repr(v) for v in table.file.profiles[column].values[:8])
        raise InputError(
            f"{table.file.path}: none of the values of {column!r} reads as won: {shown}. Expected words "
            "such as "
            "won, customer, converted, or yes and no; map them by hand under data.outcomes ('propensity "
            "init' "
            "without a file writes a params.yaml to start from)"
        )
    return found


def _as_told(profile: ColumnProfile, won: Sequence[str], lost: Sequence[str]) -> Reading | None:
    """Return how a vendor's status reads, by the values the vendor uses; None if it holds none of them."""
    wins, losses = {v.strip().lower() for v in won}, {v.strip().lower() for v in lost}
    held_won = [v for v in profile.values if v.lower() in wins]
    held_lost = [v for v in profile.values if v.lower() in losses]
    if not held_won or profile.distinct > MANY:
        return None
    rest = [v for v in profile.values if v not in {*held_won, *held_lost}]
    return _reading(profile, 6.0, held_won, held_lost, rest, "the vendor's values")


def _reading(
    profile: ColumnProfile, score: float, won: list[str], lost: list[str], rest: list[str], by: str
) -> Reading:
    counts = dict(profile.top)
    shown = "; ".join(
        f"{side} {', '.join(repr(v) for v in values[:4])} in {sum(counts[v] for v in values):,} rows"
        for side, values in (("won", won), ("lost", lost), ("open", rest))
        if values
    )
    empty = profile.rows - profile.given
    shown += f"; open: {empty:,} rows without a value" if empty else ""
    return Reading(profile.name, score, tuple(won), tuple(lost), tuple(rest), f"{by}: {shown}")


def _mean(
    shares: dict[str, dict[str, float]], counts: dict[str, int], name: str, values: Iterable[str]
) -> float | None:
    """Return the share of rows with a column given over several values of the status."""
    found = [(counts.get(v.lower(), 0), shares[v.lower()][name]) for v in values if v.lower() in shares]
    total = sum(n for n, _ in found)
    return sum(n * share for n, share in found) / total if total else None


def _not_found(table: Table) -> str:
    return (
        f"{table.file.path}: no column says how a lead ended. Looked for words such as won and lost, "
        "converted, "
        "customer, declined, cancelled among the values of columns with up to "
        f"{MANY} of them, and for yes and no, 1 and 0, true and false in a column named like an outcome "
        "(won, "
        "converted, outcome, status, stage, target, y) or in the last one. The columns there: "
        f"{_listed(table)}. "
        "Name the file with the outcomes by --outcomes, or rename the column"
    )


def _listed(table: Table) -> str:
    return ", ".join(repr(column) for column in table.file.columns)
