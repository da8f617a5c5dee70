"""Spark's SQL where Ibis' would give other values than it gives on DuckDB.

Nulls are not NaN, timestamps are with and without a zone, and texts of numbers and moments read and are
written alike.
"""

from __future__ import annotations

import re
import string
from typing import Any

import ibis.expr.datatypes as dt
import pyspark.sql.types as pt
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.base import NULL
from ibis.backends.sql.compilers.pyspark import PySparkCompiler
from ibis.backends.sql.datatypes import PySparkType
from ibis.common.exceptions import UnsupportedOperationError
from pyspark.sql import SparkSession

_LONGEST_OVERLAP = 3  # hours that clocks are put back at once, at most
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SPELL = "propensity_spell_{}"


def register_spellings(session: SparkSession) -> None:
    """Register how floats are written as text: Java's way and DuckDB's differ.

    The functions are local so that they travel to executors whole, which then need no copy of this
    product.
    """

    def spell_double(value: float | None) -> str | None:
        return None if value is None else repr(float(value))

    def spell_single(value: float | None) -> str | None:
        import numpy as np

        return None if value is None else repr(float(str(np.float32(value))))

    for bits, spell in ((32, spell_single), (64, spell_double)):
        session.udf.register(_SPELL.format(bits), spell, pt.StringType())


class _Types(PySparkType):  # type: ignore[misc]
    @classmethod
    def _from_ibis_Timestamp(cls, dtype: dt.Timestamp) -> sge.DataType:  # noqa: N802, Ibis' name
        kind = sge.DataType.Type.TIMESTAMPNTZ if dtype.timezone is None else sge.DataType.Type.TIMESTAMPLTZ
        return sge.DataType(this=kind)


class SparkCompiler(PySparkCompiler):  # type: ignore[misc]
    """Ibis' compiler for Spark where its SQL would give other values than its SQL for DuckDB."""

    __slots__ = ()

    type_mapper = _Types

    def visit_IsNull(self, _op: Any, *, arg: Any) -> Any:  # noqa: N802
        """NaN is a number that was given, not a missing one."""
        return arg.is_(NULL)

    def visit_NotNull(self, _op: Any, *, arg: Any) -> Any:  # noqa: N802
        return arg.is_(sg.not_(NULL))

    def visit_IsInf(self, op: Any, *, arg: Any) -> Any:  # noqa: N802
        """Ibis compares the expressions themselves here, in Python, which is never true."""
        if not op.arg.dtype.is_floating():
            return sge.false()
        return sg.or_(arg.eq(self.POS_INF), arg.eq(self.NEG_INF))

    def visit_BitOr(self, _op: Any, *, arg: Any, where: Any) -> Any:  # noqa: N802
        """Ibis does not know that Spark has it."""
        return self.agg.bit_or(arg, where=where)

    def visit_ExtractEpochSeconds(self, _op: Any, *, arg: Any) -> Any:  # noqa: N802
        """Spark's own are whole."""
        return self.cast(self.f.anon.unix_micros(arg), dt.float64) / 1_000_000

    def visit_Median(self, _op: Any, *, arg: Any, where: Any) -> Any:  # noqa: N802
        """Ibis puts the condition on the share too, which Spark wants to be the same for all rows."""
        return self.f.percentile(arg if where is None else self.if_(where, arg, NULL), sge.convert(0.5))

    def visit_Cast(self, op: Any, *, arg: Any, to: dt.DataType) -> Any:  # noqa: N802
        kind = op.arg.dtype
        if to.is_string() and kind.is_floating():
            return self.f.anon[_SPELL.format(kind.nbytes * 8)](arg)
        if to.is_string() and kind.is_timestamp() and kind.timezone is not None:
            return self.f.concat(self.cast(arg, to), "+00")
        return super().visit_Cast(op, arg=arg, to=to)

    def visit_TryCast(self, op: Any, *, arg: Any, to: dt.DataType) -> Any:  # noqa: N802
        """Read texts of moments as DuckDB does: ``24:00``, no seconds, and offsets in hours alone."""
        if op.arg.dtype.is_string() and to.is_timestamp():
            return self._local(arg) if to.timezone is None else self._zoned(arg)
        if op.arg.dtype.is_string() and to.is_floating():
            return self._float(arg, to)
        return super().visit_TryCast(op, arg=arg, to=to)

    def visit_NonNullLiteral(self, op: Any, *, value: Any, dtype: dt.DataType) -> Any:  # noqa: N802
        """Spell control characters, which Spark's literals escape in other ways, by their numbers."""
        if not dtype.is_string() or not _CONTROL.search(value):
            return super().visit_NonNullLiteral(op, value=value, dtype=dtype)
        return self._text(value)

    def visit_Strip(self, _op: Any, *, arg: Any) -> Any:  # noqa: N802
        return sge.Trim(this=arg, expression=self._text(string.whitespace), position="BOTH")

    def visit_Lowercase(self, _op: Any, *, arg: Any) -> Any:  # noqa: N802
        """Java lowers two letters by their neighbours or to two letters; DuckDB each to one."""
        return self.f.lower(self.f.anon.translate(arg, "\u0130\u03a3", "i\u03c3"))

    def visit_First(  # noqa: N802
        self, op: Any, *, arg: Any, where: Any, order_by: Any, include_null: bool
    ) -> Any:
        """Spark's FIRST takes no order; the least of the sort keys does."""
        if not order_by or include_null:
            return super().visit_First(op, arg=arg, where=where, order_by=order_by, include_null=include_null)
        given = arg.is_(sg.not_(NULL)) if where is None else sg.and_(where, arg.is_(sg.not_(NULL)))
        keys = [part for key in order_by for part in self._ascending(key)]
        return self.f.anon.min_by(arg, self.if_(given, self.f.anon.struct(*keys), NULL))

    def visit_ScalarUDF(self, op: Any, **arguments: Any) -> Any:  # noqa: N802
        """``timezone(zone, moment)`` is two functions in Spark, by what the moment is."""
        if op.__func_name__ == "epoch_us":
            return self.f.anon.unix_micros(*arguments.values())
        if op.__func_name__ != "timezone":
            return super().visit_ScalarUDF(op, **arguments)
        zone, moment = arguments.values()
        local = sge.DataType(this=sge.DataType.Type.TIMESTAMPNTZ)
        if op.dtype.timezone is None:
            return sg.cast(self.f.anon.convert_timezone("UTC", zone, sg.cast(moment, local)), local)
        return self._instant_of(zone, moment)

    def _instant_of(self, zone: Any, local: Any) -> Any:
        """Of an hour that the clocks repeat, Spark takes the first; what is meant is the second."""
        utc = dt.Timestamp(timezone="UTC", scale=6)
        if isinstance(zone, sge.Literal) and zone.this == "UTC":
            return self.cast(local, utc)
        first = self.f.anon.to_utc_timestamp(local, zone)
        after = self.f.anon.timestampadd(sge.Var(this="HOUR"), sge.convert(_LONGEST_OVERLAP), first)
        offset = self._micros(after, self.f.anon.from_utc_timestamp(after, zone))
        second = self.f.anon.timestampadd(sge.Var(this="MICROSECOND"), -offset, self.cast(local, utc))
        repeated = self.f.anon.from_utc_timestamp(second, zone).eq(self.cast(local, utc))
        return self.if_(repeated, second, first)

    def _micros(self, since: Any, until: Any) -> Any:
        return self.f.anon.timestampdiff(sge.Var(this="MICROSECOND"), since, until)

    def _text(self, value: str) -> Any:
        pieces = [piece for piece in re.split(f"({_CONTROL.pattern})", value) if piece]
        return self.f.concat(
            *(
                self.f.anon.chr(sge.convert(ord(piece))) if _CONTROL.fullmatch(piece) else sge.convert(piece)
                for piece in pieces
            )
        )

    def _float(self, text: Any, to: dt.DataType) -> Any:
        lower = self.f.lower(text)
        spelt = {"^[+-]?nan$": "NaN", "^[+]?inf(inity)?$": "Infinity", "^-inf(inity)?$": "-Infinity"}
        cases = [
            self.if_(self.f.anon.rlike(lower, pattern), self.cast(sge.convert(word), to))
            for pattern, word in spelt.items()
        ]
        return sge.Case(ifs=cases, default=self._plain(text, to))

    def _ascending(self, key: Any) -> list[Any]:
        if key.args.get("desc"):
            raise UnsupportedOperationError("the first in a descending order is not translated for Spark")
        nulls_first = bool(key.args.get("nulls_first"))
        return [key.this.is_(NULL) if not nulls_first else key.this.is_(sg.not_(NULL)), key.this]

    def _local(self, text: Any) -> Any:
        kind = dt.Timestamp(scale=6)
        plain = self._plain(text, kind)
        midnight = self._plain(self.f.regexp_replace(text, "([T ])24:", "$1" + "00:"), kind)
        day = sge.Interval(this=sge.convert("1"), unit=sge.Var(this="DAY"))
        after = sge.Add(this=midnight, expression=day)
        return self.if_(self.f.anon.rlike(text, "[T ]24:00(:00([.]0*)?)?$"), after, plain)

    def _plain(self, text: Any, kind: dt.DataType) -> Any:
        return sge.TryCast(this=text, to=self.type_mapper.from_ibis(kind), safe=True)

    def _zoned(self, text: Any) -> Any:
        """Read the local time, then take off the offset, of which Spark knows fewer than may be written."""
        shape = "^(.*[0-9])(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
        clock = self._local(self.f.anon.regexp_extract(text, shape, 1))
        zone = self.f.anon.regexp_extract(text, shape, 2)
        digits = self.f.regexp_replace(zone, "[^0-9]", "")
        padded = self.f.anon.rpad(digits, 4, "0")
        hours, minutes = (self.cast(self.f.substring(padded, start, 2), dt.int32) for start in (1, 3))
        sign = self.if_(self.f.anon.startswith(zone, "-"), sge.convert(1), sge.convert(-1))
        shift = sign * sge.Paren(this=hours * 60 + minutes)
        moment = self.cast(clock, dt.Timestamp(timezone="UTC", scale=6))
        return self.f.anon.timestampadd(sge.Var(this="MINUTE"), shift, moment)
