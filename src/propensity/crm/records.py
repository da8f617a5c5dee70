"""Files for a CRM's importer: a record's key, what its lead scored, a stage only where params say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from propensity.crm.advances import next_stage
from propensity.crm.parts import write_parts
from propensity.crm.rows import CHUNK_ROWS, read_chunks, write_values
from propensity.crm.systems import Layout, key_rule
from propensity.data.cells import printable, shorten
from propensity.errors import QuarantineError, some
from propensity.params import AdvanceParams


@dataclass
class Tally:
    """What became of the scored leads, and the first of those without a key that can be used."""

    counts: Counter[str] = field(default_factory=Counter)
    unusable: list[str] = field(default_factory=list)


def write_records(
    scores: Path, layout: Layout, folder: Path, *, looked_up: Path | None, most_unusable: float
) -> str:
    """Write the files of an export into a folder, and return what they hold in a sentence.

    Parameters
    ----------
    scores : Path
        ``scores.parquet``.
    layout : Layout
    folder : Path
        An empty one.
    looked_up : Path or None
        From `look_up`, where the key or the stage is another column of leads than the id.
    most_unusable : float
        The share of the leads, 0 to 1, that may have no key that the importer takes.

    Raises
    ------
    QuarantineError
        More have none.
    """
    tally = Tally()
    files = write_parts(
        _records(scores, layout, looked_up, tally),
        layout.headers,
        folder,
        layout.system,
        line_end=layout.line_end,
        most_rows=layout.rows,
        most_bytes=layout.size,
    )
    leads, bad = tally.counts["leads"], tally.counts["unusable"]
    if bad and bad > most_unusable * leads:
        raise QuarantineError(
            f"{layout.system}: {bad:,} of {leads:,} leads have no key under '{layout.header}': {layout.key} "
            f"should be {key_rule(layout.header).expected}; the first leads without: {some(tally.unusable)}. "
            f"Name the column and its header under crm.{layout.system} in params.yaml. The scores are "
            "written, this export is not"
        )
    return _tell(layout, tally, files)


def _records(scores: Path, layout: Layout, looked_up: Path | None, tally: Tally) -> Iterator[list[str]]:
    needed = list(dict.fromkeys(["lead_id", "tier", *layout.fields]))
    pattern = key_rule(layout.header).pattern
    for chunk, known in beside(read_chunks(scores, needed), looked_up):
        ids = chunk.column("lead_id").to_pylist()
        tally.counts["leads"] += len(ids)
        keys = ids if known is None or layout.key == "lead_id" else known["key"].to_pylist()
        again = [False] * len(ids) if known is None else known["repeated"].to_pylist()
        cells = [_cells(chunk, name, layout) for name in layout.fields]
        if layout.advance is not None and known is not None:
            cells.append(_stages(chunk, known, layout.advance))
        for place, (lead, key) in enumerate(zip(ids, keys, strict=True)):
            if key is None or not pattern.fullmatch(key):
                tally.counts["unusable"] += 1
                tally.unusable += [lead][: 5 - len(tally.unusable)]
            elif again[place]:
                tally.counts["repeated"] += 1
            else:
                tally.counts["written"] += 1
                tally.counts["moved"] += layout.advance is not None and cells[-1][place] != ""
                yield [key, *(column[place] for column in cells)]


def _cells(chunk: pa.RecordBatch, name: str, layout: Layout) -> list[str]:
    """Return the cells of a field; a text that the importer would refuse for its length is cut."""
    values = write_values(chunk.column(name), name)
    return [layout.empty if v is None else shorten(printable(v), layout.characters) for v in values]


def _stages(chunk: pa.RecordBatch, known: pa.Table, advance: AdvanceParams) -> list[str]:
    """Return the stage that each record is moved to, empty where it stays: importers then leave it alone."""
    tiers = chunk.column("tier").to_pylist()
    rows = zip(tiers, known["stage"].to_pylist(), known["found"].to_pylist(), strict=True)
    return [(next_stage(tier, stage, advance) or "") if found else "" for tier, stage, found in rows]


def beside(
    chunks: Iterator[pa.RecordBatch], looked_up: Path | None
) -> Iterator[tuple[pa.RecordBatch, pa.Table | None]]:
    """Yield each chunk with the rows of `looked_up` that belong to it; both have the scores' order."""
    if looked_up is None:
        for chunk in chunks:
            yield chunk, None
        return
    with pq.ParquetFile(looked_up, pre_buffer=False) as file:
        batches = file.iter_batches(batch_size=CHUNK_ROWS)
        held = file.schema_arrow.empty_table()
        for chunk in chunks:
            while held.num_rows < chunk.num_rows:
                held = pa.concat_tables([held, pa.Table.from_batches([next(batches)])])
            yield chunk, held.slice(0, chunk.num_rows)
            held = held.slice(chunk.num_rows)


def _tell(layout: Layout, tally: Tally, files: int) -> str:
    counts = tally.counts
    told = [f"{counts['written']:,} of {counts['leads']:,} leads in {files} file{'' if files == 1 else 's'}"]
    if counts["unusable"]:
        told.append(
            f"{counts['unusable']:,} left out, whose {layout.key} is not {key_rule(layout.header).expected}: "
            f"{some(tally.unusable)}"
        )
    if counts["repeated"]:
        told.append(f"{counts['repeated']:,} left out, for a lead with the same {layout.key} scores higher")
    if layout.advance is not None:
        told.append(f"{counts['moved']:,} moved on in {layout.advance_field}")
    return "; ".join(told)
