"""How many leads a nightly job could leave alone: no event for a day, and none that crossed an edge.

Run::

    python -m bench.unchanged --leads 100000 --events-per-lead 20
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from bench.feature_tables import AS_OF, DAY, PLAN, write_tables


def find_unchanged(con: Any, folder: Path) -> float:
    """Return the share of the leads in ``leads.parquet`` whose counts are the same a day later."""
    edges = [0, *(round(w) for w in PLAN.lookback_days)]
    crossed = " OR ".join(f"(age >= {e * DAY} AND age < {(e + 1) * DAY})" for e in edges)
    (row,) = con.execute(
        f"""SELECT avg((NOT coalesce(changed, false))::INT)
        FROM '{folder / "leads.parquet"}' LEFT JOIN (
            SELECT lead_id, bool_or({crossed}) AS changed
            FROM (SELECT lead_id, epoch_us(TIMESTAMPTZ '{AS_OF}') - epoch_us(known_at) AS age
                FROM '{folder / "events.parquet"}' WHERE type <> 'call')
            GROUP BY lead_id) USING (lead_id)"""
    ).fetchall()
    return float(row[0])


def main() -> None:
    """Simulate and count."""
    from propensity.data.engines import connect_here

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--leads", type=int, default=100_000)
    parser.add_argument("--events-per-lead", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-unchanged-") as scratch:
        con = connect_here(folder=Path(scratch))
        write_tables(con.con, Path(scratch), leads=given.leads, events=given.leads * given.events_per_lead)
        print(f"{find_unchanged(con.con, Path(scratch)):.1%} of {given.leads:,} leads, a day apart")


if __name__ == "__main__":
    main()
