"""PRM1xx: whether the raw tables are what the model was trained on, and can be read."""

from __future__ import annotations

from collections.abc import Mapping

from propensity.errors import some
from propensity.evaluation.noise import adjust, share_p_value
from propensity.loop.signals import Check, Signal
from propensity.loop.watch import ANEW, NO_REFERENCE, Watch


def check_columns(check: Check, watch: Watch) -> list[Signal]:
    """Compare the raw tables' columns and kinds with those at training."""
    if not watch.reference:
        return [check.cannot_say(NO_REFERENCE, next_step=ANEW)]
    signals: list[Signal] = []
    fresh: list[str] = []
    for table, known in watch.reference["tables"].items():
        there = watch.columns.get(table)
        if there is None:
            step = f"name data.{table} in params.yaml again, or 'propensity run' without it"
            signals.append(
                check.alarm(f"the table {table} is not named in params.yaml", subject=table, next_step=step)
            )
            continue
        fresh += [f"{table}.{column}" for column in sorted(set(there) - set(known))]
        signals += _gone(check, watch, table, sorted(set(known) - set(there)))
        signals += _changed(check, table, known, there)
    if signals:
        return signals
    new = f"; not known at training: {some(fresh)}" if fresh else ""
    n = sum(len(columns) for columns in watch.reference["tables"].values())
    return [check.ok(f"all {n} raw columns are there, of their kind{new}", columns=n, new=fresh)]


def _gone(check: Check, watch: Watch, table: str, columns: list[str]) -> list[Signal]:
    used = set(watch.used_columns.get(table, []))
    signals = []
    for column in columns:
        what = "the model or params use it" if column in used else "nothing uses it"
        signals.append(
            check.alarm(
                f"column {column!r} of {table} is gone; {what}",
                subject=f"{table}.{column}",
                next_step="ask who owns the export; if it is gone for good: propensity run",
                used=column in used,
            )
        )
    return signals


def _changed(check: Check, table: str, known: Mapping[str, str], there: Mapping[str, str]) -> list[Signal]:
    both = [c for c in known if c in there and "unknown" not in (known[c], there[c])]
    return [
        check.alarm(
            f"column {column!r} of {table} holds {there[column]} values, {known[column]} ones at training",
            subject=f"{table}.{column}",
            next_step="ask who owns the export; 'propensity audit' shows what the new values do",
            was=known[column],
            now=there[column],
        )
        for column in both
        if known[column] != there[column]
    ]


def check_readable(check: Check, watch: Watch) -> list[Signal]:
    """Say whether the raw tables could be read at all."""
    if watch.refused is None:
        return [check.ok("the raw tables were read")]
    return [check.alarm(watch.refused, next_step="mend what the message names, then: propensity score")]


def check_quarantine(check: Check, watch: Watch) -> list[Signal]:
    """Compare the share of refused rows among those that came since with the share at training."""
    if not watch.reference:
        return [check.cannot_say(NO_REFERENCE, next_step=ANEW)]
    if watch.counts is None:
        return [check.cannot_say("refused rows have no date, so at an earlier moment nobody knows them")]
    told = []
    for row in watch.counts.to_dict("records"):
        table, read = str(row["table"]), int(row["read"])
        known = watch.reference["counts"].get(table)
        if known is not None and read > known["read"]:
            told.append((table, read - known["read"], int(row["quarantined"]), known))
    if not told:
        return [check.cannot_say("no table has more rows than at training")]
    added = [max(quarantined - known["quarantined"], 0) for _, _, quarantined, known in told]
    p_values = [
        share_p_value(
            hits,
            new,
            known["quarantined"] / known["read"],
            design_effect=1.0,
            reference_n=known["read"],
        )
        for hits, (_, new, _, known) in zip(added, told, strict=True)
    ]
    signals = []
    for (table, new, _, known), hits, p in zip(told, added, adjust(p_values), strict=True):
        share, before = hits / new, known["quarantined"] / known["read"]
        if p <= watch.alpha and share > before:
            signals.append(
                check.alarm(
                    f"{hits:,} of {new:,} rows that {table} has more than at training were refused "
                    f"({share:.2%}; {before:.2%} of {known['read']:,} then)",
                    subject=table,
                    next_step="look at data/interim/quarantine.parquet after: propensity run ingest",
                    refused=hits,
                    n=new,
                    before=before,
                    p_value=p,
                )
            )
    tables = ", ".join(
        f"{table} {hits:,} of {n:,}" for (table, n, _, _), hits in zip(told, added, strict=True)
    )
    return signals or [check.ok(f"refused since training: {tables}, as before")]


CHECKS = (
    Check("PRM101", "columns", "Raw columns gone, new or of another kind", check_columns, False, "critical"),
    Check("PRM102", "unreadable", "Raw tables that cannot be read", check_readable, False, "critical"),
    Check("PRM103", "refused_rows", "Rows refused at ingest", check_quarantine),
)
