"""What the columns of a raw table hold, counted by the engine: enough to guess what each column is.

Every value is read by the rules of the ingest (`propensity.data.values`), so that what counts here as a
number or a timestamp is one there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from propensity.data.delimited import POSITION
from propensity.data.sources import stage
from propensity.data.values import moment_of, number_of, text_of

TOP = 60  # how many of a column's most frequent values are kept
_SECONDS_PER_DAY = 86_400.0
_LIKE_A_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}")
_OTHER_DATE = re.compile(
    r"^(\d{1,2}[/.]\d{1,2}[/.]\d{2,4}|\d{4}/\d{1,2}/\d{1,2}|\d{1,2}-\d{1,2}-\d{4}"
    r"|\d{1,2}[ -][A-Za-z]{3,9}[ -]\d{2,4}|[A-Za-z]{3,9} \d{1,2}, ?\d{4})"
)
_OFFSET = r"([+-][01][0-9]:?[0-9]{2})$"


@dataclass(frozen=True)
class ColumnProfile:
    """What a column holds.

    Attributes
    ----------
    name : str
    rows, given, distinct : int
        Rows of the table; those in which the column holds anything; how many different texts.
    longest : int
        Characters of the longest value.
    numbers, whole, negative : int
        Values that read as numbers; of these the whole ones and those below zero.
    moments : int
        Values that read as timestamps.
    first, last : datetime or None
        The earliest and the latest of these, in UTC.
    offsets : tuple of str
        The UTC offsets that are written in the values, at most four.
    other_dates : bool
        Whether the values look like dates in a spelling that is not read, such as 31/12/2024.
    top : tuple of (str, int)
        The most frequent values with their numbers of rows, at most `TOP`.
    """

    name: str
    rows: int
    given: int
    distinct: int
    longest: int
    numbers: int
    whole: int
    negative: int
    moments: int
    first: datetime | None
    last: datetime | None
    offsets: tuple[str, ...]
    other_dates: bool
    top: tuple[tuple[str, int], ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The most frequent values."""
        return tuple(value for value, _ in self.top)

    @property
    def complete(self) -> float:
        """The share of rows that hold a value, 0 to 1."""
        return self.given / self.rows if self.rows else 0.0

    @property
    def is_number(self) -> bool:
        """Whether nearly all its values are numbers."""
        return self.given > 0 and self.numbers >= 0.99 * self.given

    @property
    def is_moment(self) -> bool:
        """Whether nearly all its values are timestamps."""
        return self.given > 0 and self.moments >= 0.99 * self.given


@dataclass(frozen=True)
class RowOrder:
    """How a number goes from row to row.

    Attributes
    ----------
    rising, falling : float
        Share of the pairs of neighbouring rows in which it rises and in which it falls, 0 to 1.
    """

    rising: float
    falling: float


@dataclass(frozen=True)
class Delays:
    """How long leads take to end.

    Attributes
    ----------
    closed : int
        Leads with both times.
    before, within_hour : float
        Share of them that end before they begin, and within the first hour.
    median_days : float
        The median of the days from beginning to end.
    """

    closed: int
    before: float
    within_hour: float
    median_days: float


def profile_columns(
    con: Backend, table: ir.Table, names: Sequence[str], *, missing: Sequence[str] = (), zone: str = "UTC"
) -> dict[str, ColumnProfile]:
    """Return what each named column holds; one pass over a column, a second one over dates.

    Parameters
    ----------
    con : ibis backend
    table : ibis table
        Raw rows, as from `propensity.data.sources.read_raw`.
    names : sequence of str
    missing : sequence of str
        Texts that mean missing.
    zone : str
        The zone of timestamps without one.
    """
    rows = _count(con, table)
    return {name: _profile(con, table[name], rows, missing, zone) for name in names}


def row_order(con: Backend, table: ir.Table, name: str) -> RowOrder:
    """Return how often a column's numbers rise and fall from one row to the next."""
    numbers = table.select(place=table[POSITION], number=number_of(table[name]))
    before = numbers["number"].lag().over(ibis.window(order_by=numbers["place"]))
    steps = numbers.mutate(step=numbers["number"] - before)
    found = _row(
        con,
        steps.aggregate(
            pairs=steps["step"].count(), up=(steps["step"] > 0).sum(), down=(steps["step"] < 0).sum()
        ),
    )
    pairs = max(found["pairs"], 1)
    return RowOrder((found["up"] or 0) / pairs, (found["down"] or 0) / pairs)


def runs(con: Backend, table: ir.Table, name: str, *, limit: int) -> list[str | None]:
    """Return a column's value in each run of equal values, in the order of the rows.

    At most `limit` + 1 of them: a column that changes more often is in no long runs.
    """
    texts = table.select(place=table[POSITION], text=text_of(table[name]))
    before = texts["text"].lag().over(ibis.window(order_by=texts["place"]))
    begins = (texts["place"] == texts["place"].min().over(ibis.window())) | ~texts["text"].identical_to(
        before
    )
    marked = texts.mutate(begins=begins)
    found = marked.filter(marked["begins"]).order_by("place").limit(limit + 1)
    values: list[str | None] = con.to_pyarrow(found)["text"].to_pylist()
    return values


def share_known(con: Backend, table: ir.Table, name: str, of: ir.Table, other: str) -> float:
    """Return the share of a table's rows with an id that `other` of the table `of` holds, 0 to 1."""
    ids = table.select(id=text_of(table[name]))
    known = of.select(id=text_of(of[other])).distinct()
    total = _count(con, ids.filter(ids["id"].notnull()))
    return _count(con, ids.semi_join(known, "id")) / total if total else 0.0


def given_by(
    con: Backend, table: ir.Table, by: str, names: Sequence[str], *, missing: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """Return, for each value of the column `by` in lower case, the share of its rows with each column given.

    Rows without a value of `by` stand under the empty text.
    """
    given = {f"given_{i}": text_of(table[n], missing).notnull().cast("float64") for i, n in enumerate(names)}
    flat = table.select(by=text_of(table[by], missing).lower().fill_null(""), **given)
    found = con.to_pyarrow(flat.group_by("by").aggregate(**{g: flat[g].mean() for g in given})).to_pylist()
    return {row["by"]: {n: float(row[f"given_{i}"]) for i, n in enumerate(names)} for row in found}


def earliest_share(con: Backend, table: ir.Table, names: Sequence[str], *, zone: str) -> dict[str, float]:
    """Return, for each named timestamp column, the share of its values that no other one precedes."""
    moments = table.select(**{f"at_{i}": moment_of(table[name], zone=zone) for i, name in enumerate(names)})
    counts: dict[str, ir.Value] = {}
    for i in range(len(names)):
        at = moments[f"at_{i}"]
        others = [moments[f"at_{j}"] for j in range(len(names)) if j != i]
        first = ibis.and_(*((at <= other).fill_null(True) for other in others)) if others else at.notnull()
        counts[f"given_{i}"] = at.count()
        counts[f"first_{i}"] = (first & at.notnull()).sum()
    row = _row(con, moments.aggregate(**counts))
    return {name: (row[f"first_{i}"] or 0) / max(row[f"given_{i}"], 1) for i, name in enumerate(names)}


def delays(
    con: Backend,
    leads: ir.Table,
    created: tuple[str, str],
    outcomes: ir.Table,
    closed: tuple[str, str],
    *,
    status: str,
    ended: Iterable[str],
    zone: str,
) -> Delays:
    """Return how long the leads that ended took.

    Parameters
    ----------
    con : ibis backend
    leads, outcomes : ibis tables
        Raw rows; the same table where the outcome stands in leads.
    created, closed : (str, str)
        The columns with the id and the time, of leads and of outcomes.
    status : str
        The column of outcomes that says how a lead ended.
    ended : iterable of str
        The values of it that end a lead, in lower case.
    zone : str
        The zone of timestamps without one.
    """
    begun = leads.select(id=_id(leads, created[0]), begun=moment_of(leads[created[1]], zone=zone))
    over = outcomes.filter(text_of(outcomes[status]).lower().isin(sorted(ended)))
    over = over.select(id=_id(over, closed[0]), over=moment_of(over[closed[1]], zone=zone))
    both = begun.join(over, "id").filter(lambda t: t["begun"].notnull() & t["over"].notnull())
    lasted = both.select(
        days=(both["over"].epoch_seconds() - both["begun"].epoch_seconds()).cast("float64") / _SECONDS_PER_DAY
    )
    row = _row(
        con,
        lasted.aggregate(
            closed=lasted["days"].count(),
            before=(lasted["days"] < 0).sum(),
            hour=((lasted["days"] >= 0) & (lasted["days"] <= 1 / 24)).sum(),
            median=lasted["days"].median(),
        ),
    )
    n = max(row["closed"], 1)
    return Delays(
        row["closed"], (row["before"] or 0) / n, (row["hour"] or 0) / n, float(row["median"] or 0.0)
    )


def columns_with(con: Backend, table: ir.Table, names: Sequence[str], value: str) -> list[str]:
    """Return the named columns that hold a value, as text."""
    if not names:
        return []
    counts = {f"held_{i}": (text_of(table[name]) == value).any() for i, name in enumerate(names)}
    row = _row(con, table.aggregate(**counts))
    return [name for i, name in enumerate(names) if row[f"held_{i}"]]


def distinct_values(con: Backend, table: ir.Table, name: str, *, limit: int) -> list[str]:
    """Return a column's different values in order, at most `limit` + 1."""
    texts = table.select(text=text_of(table[name])).distinct()
    found = texts.filter(texts["text"].notnull()).order_by("text").limit(limit + 1)
    values: list[str] = con.to_pyarrow(found)["text"].to_pylist()
    return values


def keep_columns(con: Backend, table: ir.Table, names: Sequence[str], path: str) -> None:
    """Write the named columns of a raw table as Parquet, in the order of its rows."""
    con.to_parquet(table.order_by(POSITION).select(*names), path, compression="zstd")


def _profile(con: Backend, column: ir.Column, rows: int, missing: Sequence[str], zone: str) -> ColumnProfile:
    table = column.name("raw").as_table()
    grouped = table.select(text=text_of(table["raw"], missing)).group_by("text").aggregate(n=ibis._.count())
    texts = stage(con, grouped.filter(grouped["text"].notnull()).mutate(number=number_of(grouped["text"])))
    n, number = texts["n"], texts["number"]
    counted = _row(
        con,
        texts.aggregate(
            given=n.sum(),
            distinct=n.count(),
            longest=texts["text"].length().max(),
            numbers=n.sum(where=number.notnull()),
            whole=n.sum(where=(number % 1) == 0),
            negative=n.sum(where=number < 0),
        ),
    )
    counts = {name: int(value or 0) for name, value in counted.items()}
    top = _top(con, texts)
    typed = column.type().is_timestamp() or column.type().is_date()
    dates = typed or _most(_LIKE_A_DATE, top)
    moments = _moments(con, table, missing, zone) if dates else (0, None, None, ())
    return ColumnProfile(
        name=column.get_name(),
        rows=rows,
        given=counts["given"],
        distinct=counts["distinct"],
        longest=counts["longest"],
        numbers=counts["numbers"],
        whole=counts["whole"],
        negative=counts["negative"],
        moments=moments[0],
        first=moments[1],
        last=moments[2],
        offsets=moments[3],
        other_dates=not dates and _most(_OTHER_DATE, top),
        top=top,
    )


def _top(con: Backend, texts: ir.Table) -> tuple[tuple[str, int], ...]:
    found = con.to_pyarrow(texts.select("text", "n").order_by(ibis.desc("n"), "text").limit(TOP)).to_pylist()
    return tuple((row["text"], row["n"]) for row in found)


def _most(pattern: re.Pattern[str], top: Sequence[tuple[str, int]]) -> bool:
    return bool(top) and sum(bool(pattern.match(value)) for value, _ in top) >= 0.8 * len(top)


def _moments(
    con: Backend, table: ir.Table, missing: Sequence[str], zone: str
) -> tuple[int, datetime | None, datetime | None, tuple[str, ...]]:
    at = moment_of(table["raw"], missing, zone=zone)
    row = _row(
        con, table.select(at=at).aggregate(n=ibis._.at.count(), low=ibis._.at.min(), high=ibis._.at.max())
    )
    offsets: list[str] = []
    if table["raw"].type().is_string():
        written = table.select(offset=text_of(table["raw"]).re_extract(_OFFSET, 1))
        written = written.filter(written["offset"] != "").distinct().order_by("offset").limit(4)
        offsets = con.to_pyarrow(written)["offset"].to_pylist()
    return row["n"], row["low"], row["high"], tuple(offsets)


def _id(table: ir.Table, name: str) -> ir.StringColumn:
    column = table[name]
    return column.cast("string") if name == POSITION else text_of(column)


def _row(con: Backend, table: ir.Table) -> dict[str, Any]:
    row: dict[str, Any] = con.to_pyarrow(table).to_pylist()[0]
    return row


def _count(con: Backend, table: ir.Table) -> int:
    return int(con.to_pyarrow(table.count()).as_py())
