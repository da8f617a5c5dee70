"""Canonical tables from data frames: the same as from files, and refusals instead of a quarantine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

from ingest_cases import NOW, OUTCOMES, at, engine, params, read, rows
from propensity.data.ingest import canonical_frames
from propensity.errors import InputError
from propensity.params import HistoryParams

# Ibis calls what DuckDB and pandas have renamed.
pytestmark = [
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'future.infer_string':pandas.errors.Pandas4Warning"),
]


class TestFrames:
    GIVEN = params(
        leads={
            "path": "x.csv",
            "lead_id": "id",
            "created_at": "made",
            "channel": "Source",
            "missing": ["Select"],
        },
        outcomes=OUTCOMES,
        events={"path": "x.csv", "lead_id": "id", "event_at": "when", "value": "seconds"},
        timezone="Europe/Madrid",
    )
    TYPES: ClassVar = {"size": "number", "code": "text", "flag": "text", "channel": "text"}

    def leads(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "more": [object(), object()],
                "code": [1.0, None],
                "id": [11, 12],
                "size": ["7", "Select"],
                "Source": pd.Categorical(["web", "Select"]),
                "made": ["2024-01-01", "2024-01-01T00:00:00Z"],
                "flag": [True, None],
            }
        )

    def events(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "when": pd.to_datetime(["2024-02-01T12:00", "2024-02-02T12:00"]),
                "type": ["visit", "visit"],
                "id": [11, 99],
                "seconds": [1, 2],
            }
        )

    def tables(self, **changed: Any) -> dict[str, list[tuple[Any, ...]]]:
        frames = {"leads": self.leads(), "events": self.events()} | changed
        made = canonical_frames(**frames, params=self.GIVEN, con=engine(), types=self.TYPES, now=NOW)
        return {n: [tuple(r.values()) for r in t.to_pylist()] for n, t in made.items()}

    def test_raw_names(self) -> None:
        tables = self.tables()
        assert tables["leads"] == [
            ("11", at("2023-12-31T23:00Z"), None, "web", 1, 7.0, "1", "true"),
            ("12", at("2024-01-01T00:00Z"), None, None, 2, None, None, None),
        ]
        when = at("2024-02-01T11:00Z")
        assert tables["events"] == [("11", when, when, "visit", None, None, 1.0)]

    def test_canonical_names_do_as_well(self) -> None:
        leads = self.leads().rename(columns={"id": "lead_id", "made": "created_at", "Source": "channel"})
        events = self.events().rename(columns={"id": "lead_id", "when": "event_at", "seconds": "value"})
        assert self.tables(leads=leads, events=events) == self.tables()

    def test_one_row_reads_as_it_does_among_many(self) -> None:
        many = pd.concat([self.leads()] + [self.leads().assign(id=i, code=0.5) for i in range(50)]).iloc[:-1]
        alone = self.tables(leads=self.leads().head(1), events=None)["leads"]
        assert alone == self.tables(leads=many.drop_duplicates("id"), events=None)["leads"][:1]

    def test_files_and_frames_agree(self, tmp_path: Path) -> None:
        leads, events = self.leads().drop(columns="more"), self.events()
        leads.assign(flag=["TRUE", ""], code=["1", ""]).to_csv(tmp_path / "x.csv", index=False)
        events.to_csv(tmp_path / "e.csv", index=False)
        data = self.GIVEN.data
        data = data.model_copy(update={"events": data.events.model_copy(update={"path": "e.csv"})})
        given = self.GIVEN.model_copy(update={"data": data.model_copy(update={"max_quarantined": 0.9})})
        canonical = read(given, tmp_path, types=self.TYPES, tables=["events"])
        tables = self.tables()
        assert rows(canonical, "leads") == tables["leads"]
        assert rows(canonical, "events") == tables["events"]

    def test_outcomes_of_the_leads(self) -> None:
        outcomes = pd.DataFrame(
            {"lead_id": ["11", "99"], "status": ["Won", "lost"], "closed_at": ["2024-03-01"] * 2}
        )
        tables = self.tables(outcomes=outcomes)
        assert tables["outcomes"] == [("11", "won", at("2024-02-29T23:00Z"), None, None)]

    def test_changes_of_the_leads_fields(self) -> None:
        data = self.GIVEN.data.model_copy(update={"history": HistoryParams(path="x.csv", missing=["n/a"])})
        changes = pd.DataFrame(
            {
                "lead_id": ["11", "99"],
                "field": "Size",
                "changed_at": ["2024-07-01T12:00"] * 2,
                "old": [None, "1"],
                "new": [" 7 ", "n/a"],
            }
        )
        made = canonical_frames(
            self.leads(),
            None,
            self.GIVEN.model_copy(update={"data": data}),
            engine(),
            types=self.TYPES,
            now=NOW,
            history=changes,
        )
        assert [tuple(row.values()) for row in made["history"].to_pylist()] == [
            ("11", "Size", at("2024-07-01T10:00Z"), None, "7")
        ]

    def test_no_events(self) -> None:
        assert self.tables(events=self.events().head(0))["events"] == []

    def test_an_id_is_preferred_to_the_row_number(self) -> None:
        flat = params(leads={"path": "x.csv", "lead_id": "row", "order_by": "row"})
        for frame, expected in (({"size": [5]}, "1"), ({"size": [5], "lead_id": ["z"]}, "z")):
            leads = canonical_frames(
                pd.DataFrame(frame), None, flat, engine(), types={"size": "number"}, now=NOW
            )["leads"]
            assert leads["lead_id"].to_pylist() == [expected]

    def test_an_empty_frame(self) -> None:
        assert self.tables(leads=self.leads().head(0), events=None)["leads"] == []

    def test_a_missing_column_is_named(self) -> None:
        with pytest.raises(
            InputError, match=r"the frame of leads: column 'size' \(data.leads.size\) is not there"
        ):
            self.tables(leads=self.leads().drop(columns="size"))
        with pytest.raises(
            InputError, match=r"the frame of events: column 'when'.* The columns there: 'type', 'id'"
        ):
            self.tables(events=self.events()[["type", "id"]])

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (
                {"size": ["x1", "7"]},
                r"leads has 1 bad rows.*type in column 'size': 1 rows, the first 1 .*'a9'",
            ),
            ({"size": [1.0, float("inf")]}, r"not_finite in column 'size': 1 rows, the first 2 "),
            ({"id": [11, 11]}, r"duplicate_key in column 'id': 1 rows, the first 2 "),
            ({"made": ["2026-01-01", "soon"]}, r"2 bad rows.*future in column 'made'.*type in column 'made'"),
        ],
    )
    def test_a_bad_row_is_refused(self, change: dict[str, Any], told: str) -> None:
        with pytest.raises(InputError, match=told):
            self.tables(leads=self.leads().assign(**change))

    def test_mixed_objects_are_text(self) -> None:
        codes = pd.Series([1.0, "x"], dtype=object)
        assert [row[-2] for row in self.tables(leads=self.leads().assign(code=codes))["leads"]] == [
            "1",
            "x",
        ]
