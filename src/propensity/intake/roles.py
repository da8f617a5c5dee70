"""Which column of the leads is what: the id, the dates, the account, the channel, the order in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from propensity.data.profiles import ColumnProfile, earliest_share, row_order, runs, share_known
from propensity.data.tables import ROW_NUMBER
from propensity.intake import words
from propensity.intake.guesses import Ask, Guess, LeadRoles
from propensity.intake.reading import Table
from propensity.intake.words import has, tokens

UNIQUE = 0.98  # share of an id's values that differ; the repeats are quarantined
MOSTLY = 0.8  # share of rows with a date; the others are quarantined, and no more than a fifth may be
_MONOTONE = 0.98  # share of neighbouring rows between which an id that follows the rows moves one way
_RUN = 20  # rows that a month lasts, on average, in a file in the order of its dates
_FORWARD = 0.8  # share of the changes of month that lead forward

Named = Mapping[str, str]  # role to column, as an export was recognised by

ID = "the column with the lead's id ('row': the row's number)"
CREATED = "the column with the time at which a lead came in ('none': there is none)"
ACCOUNT = "the column with the company that several leads share ('none': there is none)"
CHANNEL = "the column with where a lead came from ('none': there is none)"
ORDER = "the column that rises with time ('row': the rows are in order of time, 'none': nothing is)"


def find_lead_roles(leads: Table, others: Sequence[Table], named: Named, ask: Ask, *, zone: str) -> LeadRoles:
    """Return which column of the leads is what, but for the outcome and the order.

    Parameters
    ----------
    leads : Table
    others : sequence of Table
        Events and outcomes, whose rows point to leads.
    named : dict
        Role to column, as a vendor's export names them.
    ask : callable
    zone : str
    """
    columns = leads.file.columns
    lead_id = ask(find_id(leads, others, named), [ROW_NUMBER, *columns])
    created = ask(find_created(leads, named, zone=zone), columns)
    taken = {lead_id.column, created.column}
    account = ask(find_account(leads, named, taken), columns)
    channel = ask(find_channel(leads, named, taken | {account.column}), columns)
    return LeadRoles(lead_id, created, account, channel, Guess(ORDER, None, "leads have dates"))


def find_id(leads: Table, others: Sequence[Table], named: Named) -> Guess:
    """Guess the id: unique, complete, named so, and shared with the other files."""
    profiles = leads.file.profiles
    scored = [(score_id(leads, p, others, named), p) for p in profiles.values() if _can_be_id(p)]
    scored = sorted((s for s in scored if s[0] > 0), key=lambda s: -s[0])
    if not scored:
        return Guess(
            ID,
            ROW_NUMBER,
            "no column is unique and complete and looks like an id: the row's number is the id",
        )
    score, best = scored[0]
    repeats = best.given - best.distinct
    evidence = "unique in every row" if not repeats else f"{repeats:,} repeated values, which are quarantined"
    if best.given < best.rows:
        evidence += f"; {best.rows - best.given:,} rows without it, which are quarantined"
    if best.whole == best.given and best.numbers:
        evidence += f"; whole numbers, {_direction(leads, best.name)}"
    near = tuple(p.name for s, p in scored[1:4] if s >= score - 0.5)
    return Guess(ID, best.name, evidence, sure=score >= 2, others=near)


def score_id(leads: Table, profile: ColumnProfile, others: Sequence[Table], named: Named) -> float:
    """Return how much a unique column looks like the lead's id; 0 or less: not at all."""
    name = profile.name
    score = 0.0
    if named.get("lead_id") == name:
        score += 3
    if has(name, words.ID):
        score += 3 if has(name, words.ID_OWNERS) or len(tokens(name)) == 1 else 2
    elif "".join(tokens(name)) in words.ID_OWNERS:
        score += 2
    if score and profile.whole == profile.given:
        score += 0.25 * _is_monotone(leads, name)
    if not score and profile.longest <= 40 and not any(c in v for v in profile.values[:5] for c in "@ "):
        score = 1.0 if _looks_generated(profile) else 0.0
    if has(name, words.ACCOUNT) or has(name, frozenset({"owner", "user", "agent"})):
        score -= 2.5
    if score > 0 or others:
        score += 3 * max((_shared(leads, name, other) for other in others), default=0.0)
    return score - (profile.distinct < profile.given or profile.given < profile.rows)


def find_created(leads: Table, named: Named, *, zone: str) -> Guess:
    """Guess the time of creation: named so, nearly complete, and the earliest of a lead's times."""
    dates = [p for p in leads.file.profiles.values() if p.is_moment]
    if not dates:
        return Guess(CREATED, None, _no_dates(leads))
    first = earliest_share(leads.con, leads.rows, [p.name for p in dates], zone=zone)
    scored = sorted(((score_created(p, first[p.name], named), p) for p in dates), key=lambda s: -s[0])
    score, best = scored[0]
    if score < 1:
        shown = ", ".join(f"{p.name!r} ({p.complete:.0%} of rows)" for p in dates[:5])
        return Guess(CREATED, None, f"no date is that of creation: {shown}", sure=False)
    absent = best.rows - best.given
    span = f"{best.first:%Y-%m-%d} to {best.last:%Y-%m-%d}" if best.first and best.last else "dates"
    evidence = f"{span}; " + ("in every row" if not absent else _quarantined(absent, best.rows))
    if len(dates) > 1:
        evidence += f"; not after any other date in {first[best.name]:.0%} of rows"
    near = tuple(p.name for s, p in scored[1:4] if s >= max(score - 0.5, 1))
    return Guess(CREATED, best.name, evidence, sure=score >= 3 and not near, others=near)


def score_created(profile: ColumnProfile, earliest: float, named: Named) -> float:
    """Return how much a date looks like that of creation; below 1: it is not."""
    if profile.complete < MOSTLY:
        return -1.0
    score = 1.0 if profile.complete >= 0.98 else 0.5
    score += 1.0 if earliest >= 0.95 else 0.0
    if named.get("created_at") == profile.name:
        return score + 4
    if has(profile.name, words.NOT_A_BEGINNING) and not _begins_and_ends(profile.name):
        return score - 4
    if has(profile.name, words.CREATED):
        score += 3
    elif set(tokens(profile.name)) & words.EVENT_AT:
        score += 1.5
    return score


def find_account(leads: Table, named: Named, taken: set[str | None]) -> Guess:
    """Guess the company: named so, with several leads to a value."""
    fitting = [p for p in leads.file.profiles.values() if p.name not in taken and _is_account(p, named)]
    if not fitting:
        return Guess(ACCOUNT, None, "no column names a company that several leads share")
    best = max(fitting, key=lambda p: (named.get("account_id") == p.name, has(p.name, words.ID), p.given))
    evidence = f"{best.distinct:,} companies for {best.given:,} leads"
    if best.given < best.rows:
        evidence += f"; {best.rows - best.given:,} leads have none and stand alone"
    return Guess(ACCOUNT, best.name, evidence)


def find_channel(leads: Table, named: Named, taken: set[str | None]) -> Guess:
    """Guess where leads came from: by name, in an order from telling to vague."""
    fitting = [p for p in leads.file.profiles.values() if p.name not in taken and _few_values(p)]
    ranked = sorted((rank, i) for i, p in enumerate(fitting) if (rank := _channel_rank(p, named)) is not None)
    if not ranked:
        return Guess(CHANNEL, None, "no column is named like a source or a channel")
    best = fitting[ranked[0][1]]
    shown = ", ".join(repr(v) for v in best.values[:3])
    return Guess(CHANNEL, best.name, f"named so; {best.distinct} values such as {shown}")


def find_order(leads: Table, lead_id: str | None, status: str, own_status: bool) -> Guess:
    """Guess what says which lead of an undated table came first.

    Parameters
    ----------
    leads : Table
    lead_id : str or None
    status : str
        The outcome's column: rows that are sorted by it are in no order of time.
    own_status : bool
        Whether it stands in leads.
    """
    if own_status and _is_sorted(leads, status):
        return Guess(
            ORDER, None, f"the rows are sorted by the outcome {status!r}, so their order says nothing"
        )
    numbers = [p for p in leads.file.profiles.values() if _can_be_id(p) and p.whole == p.given == p.numbers]
    numbers.sort(key=lambda p: p.name != lead_id)
    for p in numbers:
        if p.name == lead_id or has(p.name, words.ID):
            order = row_order(leads.con, leads.rows, p.name)
            if max(order.rising, order.falling) >= _MONOTONE:
                way = "rises" if order.rising > order.falling else "falls"
                evidence = (
                    f"{way} from row to row in {max(order.rising, order.falling):.1%} of them, so it is "
                    "taken "
                    "to be given out in order of time"
                )
                return Guess(ORDER, p.name, evidence, sure=order.falling > order.rising)
    return _calendar_order(leads)


def _calendar_order(leads: Table) -> Guess:
    """Guess by months or weekdays that come in runs, in the calendar's order, again and again."""
    for profile in leads.file.profiles.values():
        cycle = calendar_cycle(profile)
        if cycle is None:
            continue
        places = _places(leads, profile, cycle)
        if len(places) < 3 or leads.file.profiles[profile.name].rows / len(places) < min(
            _RUN, 180 / len(cycle)
        ):
            continue
        forward, wraps = _steps(places, len(cycle))
        if forward >= _FORWARD and wraps:
            evidence = (
                f"the values of {profile.name!r} come in {len(places)} runs that follow the calendar in "
                f"{forward:.0%} of the changes and begin anew {wraps} times, as in a file in order of time"
            )
            return Guess(ORDER, ROW_NUMBER, evidence)
    return Guess(ORDER, None, "no date, no id that follows the rows, no month in the order of the rows")


def calendar_cycle(profile: ColumnProfile) -> tuple[frozenset[str], ...] | None:
    """Return the months or the weekdays, if that is what a column holds."""
    if not 3 <= profile.distinct <= 12:
        return None
    for cycle, named in ((words.MONTHS, words.MONTH_NAME), (words.WEEKDAYS, words.WEEKDAY_NAME)):
        if profile.distinct > len(cycle):
            continue
        if profile.is_number:
            numbers = tuple(frozenset({str(i)}) for i in range(1, len(cycle) + 1))
            if has(profile.name, named) and all(_place(v, numbers) is not None for v in profile.values):
                return numbers
        elif all(_place(v, cycle) is not None for v in profile.values):
            return cycle
    return None


def _places(leads: Table, profile: ColumnProfile, cycle: tuple[frozenset[str], ...]) -> list[int]:
    limit = max(leads.file.profiles[profile.name].rows // 3, 3)
    found = runs(leads.con, leads.rows, profile.name, limit=limit)
    if len(found) > limit:
        return []
    return [place for value in found if value is not None and (place := _place(value, cycle)) is not None]


def _place(value: str, cycle: tuple[frozenset[str], ...]) -> int | None:
    text = "".join(tokens(value))
    for place, names in enumerate(cycle):
        if text in names or (len(text) > 3 and not text.isdigit() and text[:3] in names):
            return place
    return None


def _steps(places: list[int], cycle: int) -> tuple[float, int]:
    """Return the share of steps forward by at most a quarter of the cycle, and how often it begins anew."""
    steps = [(after - before) % cycle for before, after in pairwise(places)]
    forward = sum(1 <= step <= max(cycle // 4, 2) for step in steps) / max(len(steps), 1)
    wraps = sum(after < before for before, after in pairwise(places))
    return forward, wraps


def _can_be_id(p: ColumnProfile) -> bool:
    fraction = p.is_number and p.whole < p.given
    return (
        p.given >= UNIQUE * p.rows
        and p.distinct >= UNIQUE * p.given
        and not (fraction or p.is_moment or p.other_dates)
    )


def _looks_generated(p: ColumnProfile) -> bool:
    """Whether values without a telling name look like ids: of one length, with digits in them."""
    same = len({len(v) for v in p.values}) == 1
    return (
        p.given >= 50 and same and not p.is_number and all(any(c.isdigit() for c in v) for v in p.values[:5])
    )


def _shared(leads: Table, name: str, other: Table) -> float:
    """Return the largest share of another file's rows that point to leads by this column."""
    alike = [c for c in other.file.columns if tokens(c) == tokens(name)]
    idlike = [
        c for c, p in other.file.profiles.items() if has(c, words.ID | words.ID_OWNERS) and not p.is_moment
    ]
    shares = (share_known(leads.con, other.rows, c, leads.rows, name) for c in alike or idlike)
    return max((share for share in shares if share >= 0.5), default=0.0)


def point_to_leads(other: Table, leads: Table, lead_id: str) -> Guess:
    """Guess the column of another file that holds the lead's id."""
    role = f"the column of the {other.file.table} with the lead's id"
    if lead_id == ROW_NUMBER:
        return Guess(role, None, "leads have no id to point to", sure=False)
    columns = [p.name for p in other.file.profiles.values() if not (p.is_moment or p.other_dates) and p.given]
    columns.sort(key=lambda c: (tokens(c) != tokens(lead_id), not has(c, words.ID)))
    best, share = None, 0.0
    for column in columns:
        known = share_known(other.con, other.rows, column, leads.rows, lead_id)
        if known > share:
            best, share = column, known
        if share > 0.9:
            break
    if best is None:
        return Guess(role, None, f"no column holds ids of {lead_id!r}", sure=False)
    return Guess(role, best, f"{share:.1%} of its rows hold an id that the leads have", sure=share >= 0.5)


def _is_monotone(leads: Table, name: str) -> bool:
    order = row_order(leads.con, leads.rows, name)
    return max(order.rising, order.falling) >= _MONOTONE


def _direction(leads: Table, name: str) -> str:
    order = row_order(leads.con, leads.rows, name)
    if max(order.rising, order.falling) < _MONOTONE:
        return "in no order"
    return "rising with the row" if order.rising > order.falling else "falling with the row"


def _no_dates(leads: Table) -> str:
    unread = [p.name for p in leads.file.profiles.values() if p.other_dates]
    if not unread:
        return "no column holds dates"
    example = leads.file.profiles[unread[0]].values[0]
    return (
        f"no column holds dates as they are read (2024-12-31, 2024-12-31T08:30:00+01:00); {unread[0]!r} has "
        f"{example!r}, in which day and month are not guessed: write it as year-month-day"
    )


def _quarantined(absent: int, rows: int) -> str:
    return f"{absent:,} of {rows:,} rows without it, which are quarantined"


def _begins_and_ends(name: str) -> bool:
    """Whether a name says creation in so many words, such as ``stage_created_at`` does not."""
    parts = set(tokens(name))
    return bool(parts & frozenset({"created", "create", "creation", "registered"})) and not (
        parts & (words.CLOSED | frozenset({"stage", "modified", "last", "activity"}))
    )


def _is_account(p: ColumnProfile, named: Named) -> bool:
    if p.is_moment or p.distinct < 2 or (p.is_number and p.whole < p.given):
        return False
    if p.name.lower() == "account_id":
        return True
    telling = named.get("account_id") == p.name or (
        has(p.name, words.ACCOUNT) and set(tokens(p.name)) <= words.ACCOUNT_FILLERS
    )
    return telling and p.distinct <= 0.9 * p.given


def _few_values(p: ColumnProfile) -> bool:
    if p.name.lower() == "channel":
        return True
    whole = not p.is_number or p.whole == p.given
    return (
        whole and not p.is_moment and p.complete >= 0.3 and 2 <= p.distinct <= min(200, max(p.given / 5, 2))
    )


def _channel_rank(p: ColumnProfile, named: Named) -> int | None:
    """Return the place of a column's name in the list of names of channels; None: not in it."""
    if named.get("channel") == p.name:
        return -1
    if p.name.lower() == "channel":
        return -2  # the name is the canonical column's: it can be nothing else
    parts = tokens(p.name)
    if {"latest", "last", "recent"} & set(parts):
        return None
    plain = tuple(t for t in parts if t not in words.CHANNEL_FILLERS)
    for rank, names in enumerate(words.CHANNEL_FIRST):
        if parts == names or (plain and plain == tuple(n for n in names if n not in words.CHANNEL_FILLERS)):
            return rank if "contact" not in names or _are_ways_of_contact(p) else None
    return None


def _are_ways_of_contact(p: ColumnProfile) -> bool:
    known = sum(bool(set(tokens(v)) & words.CONTACT_VALUES) for v in p.values)
    return known >= 0.5 * len(p.values)


def _is_sorted(leads: Table, status: str) -> bool:
    """Whether equal values of a column stand together, where chance would mix them."""
    profile = leads.file.profiles[status]
    limit = 2 * profile.distinct + 10
    return profile.rows > 10 * limit and len(runs(leads.con, leads.rows, status, limit=limit)) <= limit
