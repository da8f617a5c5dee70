"""Nobody's address or name where it has no business, and nothing left of a lead that is forgotten.

A small workspace in which every text of a few leads is a marker, run the whole way; then every file of it
is read, whatever its format.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from propensity.data.forgotten import FORGOTTEN, Forgotten, add_forgotten, read_forgotten
from propensity.data.simulate import simulate
from propensity.errors import InputError, ParamsError
from propensity.model.bundle import read_bundle
from propensity.privacy.forgetting import forget
from propensity.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[1]
RARE = re.compile(r"plantedname\d+|mark\d+@planted")
COMMON = "desk@planted.example"  # an address that many leads share, so that it could become a level
REVIEWER = "Rita Plantedname999"


@dataclass
class Planted:
    """A workspace that was run, what it printed, and the leads all of whose texts are markers."""

    ws: Workspace
    printed: str
    leads: list[str]


def propensity(*arguments: str, folder: Path, code: int = 0) -> str:
    command = [sys.executable, "-c", "from propensity.cli import main; main()", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stderr
    return run.stdout + run.stderr


class Marks:
    """Texts that nobody else has: a name and an address, numbered."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> str:
        self.number += 1
        return f"Zoe Plantedname{self.number} <mark{self.number}@planted.example>"

    def fill(self, table: pd.DataFrame, leads: list[str], columns: list[str]) -> pd.DataFrame:
        filled = table.astype(dict.fromkeys(columns, "str"))
        for column in columns:
            for row in filled.index[filled["lead_id"].isin(leads)]:
                filled.loc[row, column] = self()
        return filled


def plant(folder: Path) -> list[str]:
    """Write raw tables with markers, and return the leads that have them: open ones and closed ones."""
    made = simulate(700, seed=5)
    status = made.outcomes.set_index("lead_id")["status"]
    live = set(made.events["lead_id"])
    leads = [lead for lead in made.leads["lead_id"] if lead in live]
    chosen = [lead for lead in leads if status[lead] == "open"][-3:]
    chosen += [lead for lead in leads if status[lead] == "won"][:2]
    chosen += [lead for lead in leads if status[lead] == "lost"][:2]
    marks = Marks()
    people = made.leads.assign(
        email=[f"mark{i + 5000}@planted.example" for i in range(len(made.leads))],
        full_name=[f"Ana Plantedname{i + 5000}" for i in range(len(made.leads))],
        desk=[COMMON if i % 3 else "web" for i in range(len(made.leads))],
        badge=[f"{i + 1_000_000}" for i in range(len(made.leads))],
    )
    texts = [name for name in people if people[name].dtype == "str" and name not in ("lead_id", "account_id")]
    people = marks.fill(people, chosen, [name for name in texts if name not in ("email", "badge")])
    events = marks.fill(made.events, chosen, ["asset"])
    shared = events.index[events["asset"].isin(["pricing"])]
    events.loc[shared, "asset"] = f"mailto:{COMMON}"
    outcomes = marks.fill(made.outcomes, chosen, ["reason"])
    history = marks.fill(made.history, chosen, ["old", "new"])
    bad = people.iloc[[0]].assign(lead_id="bad-1", created_at=marks())
    raw = folder / "data" / "raw"
    raw.mkdir(parents=True)
    pd.concat([people.astype({"created_at": "str"}), bad]).to_csv(raw / "leads.csv", index=False)
    events.to_parquet(raw / "events.parquet")
    for name, table in {
        "outcomes": outcomes,
        "history": history,
        "stages": made.stages,
        "spend": made.spend,
    }.items():
        table.to_csv(raw / f"{name}.csv", index=False)
    return chosen


def write_params(folder: Path) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["snapshots"]["ages_days"], content["features"]["lookback_days"] = [0, 14], [30]
    content["model"]["candidates"], content["calibration"]["methods"] = ["logistic"], ["sigmoid"]
    content["features"]["demographic"] += ["email", "full_name", "desk", "city"]
    content["features"]["allow"] = [
        {"check": check, "subject": subject, "reason": "planted by a test"}
        for subject in ("email", "full_name", "desk", "city")
        for check in ("PRP101", "PRP301", "PRP302")
    ]
    content["crm"]["hubspot"] = {"key": "email", "header": "Email"}
    content["crm"]["salesforce"] = {"header": "Lead_Key__c"}
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Planted:
    folder = tmp_path_factory.mktemp("planted")
    leads = plant(folder)
    write_params(folder)
    printed = propensity("--verbose", "run", folder=folder)
    ws = open_workspace(folder / "params.yaml")
    printed += propensity("--verbose", "score", "--as-of", "2025-12-01T00:00:00Z", folder=folder)
    shutil.copy(ws.scores, folder / "scores" / "before.parquet")
    every = [word for name in ("hubspot", "salesforce", "csv", "xlsx") for word in ("--export", name)]
    printed += propensity("--verbose", "score", "--previous", "scores/before.parquet", *every, folder=folder)
    scores = pd.read_parquet(ws.scores)
    shown = [lead for lead in leads if lead in set(scores["lead_id"])]
    assert shown
    (folder / "shown.txt").write_text("\n".join([*shown, *scores["lead_id"].head(3)]))
    printed += propensity("--verbose", "review", "--leads", "shown.txt", folder=folder)
    (folder / "shown.txt").unlink()
    about = scores[scores["lead_id"].isin([*shown, *scores["lead_id"].head(3)])]
    pd.DataFrame(
        {
            "lead_id": about["lead_id"],
            "as_of": about["as_of"],
            "verdict": "disagree",
            "reason": "asked by mark998@planted.example",
            "note": "spoke with Yan Plantedname997",
            "given_by": REVIEWER,
            "given_at": "2025-12-31T12:00:00Z",
        }
    ).to_csv(folder / "verdicts.csv", index=False)
    printed += propensity("--verbose", "feedback", "verdicts.csv", folder=folder)
    (folder / "verdicts.csv").unlink()
    return Planted(ws, printed, leads)


# --- reading everything ------------------------------------------------------------------------------


def texts_in(path: Path) -> str:
    """All that a file says, in lower case: as it is, unpacked, and with its tables decoded."""
    content = path.read_bytes()
    found = [content.decode("utf-8", errors="replace")]
    if path.suffix == ".parquet" or content[:4] == b"PAR1":
        table = pq.read_table(path)
        found += [str(column.to_pylist()) for column in table.columns] + [str(table.schema)]
    elif content[:16] == b"SQLite format 3\0":
        with sqlite3.connect(path) as database:
            names = [
                row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            found += [str(database.execute(f'SELECT * FROM "{name}"').fetchall()) for name in names]
        database.close()
    elif content[:2] == b"\x1f\x8b":
        found.append(gzip.decompress(content).decode("utf-8", errors="replace"))
    elif content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(path) as packed:
            found += [packed.read(name).decode("utf-8", errors="replace") for name in packed.namelist()]
    return "\n".join(found).lower()


def files_of(ws: Workspace, *, without: tuple[str, ...] = ()) -> list[Path]:
    kept = [path for path in ws.folder.rglob("*") if path.is_file()]
    return [p for p in kept if not p.relative_to(ws.folder).as_posix().startswith(without)]


def holding(
    ws: Workspace, pattern: re.Pattern[str], *, without: tuple[str, ...] = ()
) -> dict[str, list[str]]:
    found = {
        p.relative_to(ws.folder).as_posix(): pattern.findall(texts_in(p))
        for p in files_of(ws, without=without)
    }
    return {name: sorted(set(hits))[:5] for name, hits in found.items() if hits}


def test_the_search_finds_what_is_there(planted):
    """In every format that a workspace has, or the tests below would pass for want of eyes."""
    found = holding(planted.ws, RARE)
    assert {"data/raw/leads.csv", "data/interim/leads.parquet", "data/processed/training.parquet"} <= set(
        found
    )
    assert "scores/export/hubspot/hubspot-001.csv" in found
    an_id = re.compile(planted.leads[0].lower())
    everywhere = holding(planted.ws, an_id)
    assert {"scores/export/xlsx/scores-001.xlsx", "scores/scores.parquet", "reports/review.html"} <= set(
        everywhere
    )
    assert "mlflow.db" in {path.name for path in files_of(planted.ws)}


# --- where no address and no name may be -----------------------------------------------------------------

PRIVATE = ("models/", "mlflow.db", "mlartifacts/", "data/interim/quarantine.parquet", "reports/")
REVIEW = "reports/review.html"  # shows people's answers about leads, to people


def test_no_name_or_address_is_in_a_bundle_mlflow_a_report_or_the_quarantine(planted):
    found = holding(planted.ws, RARE)
    assert {n: hits for n, hits in found.items() if n.startswith(PRIVATE) and n != REVIEW} == {}
    assert [hit for hit in found.get(REVIEW, []) if "@" in hit] == []


def test_no_name_or_address_is_printed_or_logged(planted):
    assert RARE.findall(planted.printed.lower()) == []
    assert REVIEWER not in planted.printed


def test_an_address_that_many_share_is_no_level_of_a_model(planted):
    made = read_bundle(planted.ws.models / "bundle")
    assert "desk" in made.encoding.levels or "desk" not in made.encoding.names
    levels = [level for levels in made.encoding.levels.values() for level in levels]
    assert levels
    assert [level for level in levels if "@" in level] == []
    assert [n for n in holding(planted.ws, re.compile(re.escape(COMMON))) if n.startswith(PRIVATE[:4])] == []


def test_no_lead_is_named_in_a_bundle_or_in_mlflow(planted):
    ids = re.compile("|".join(lead.lower() for lead in planted.leads))
    assert [n for n in holding(planted.ws, ids) if n.startswith(PRIVATE[:3])] == []


# --- forgetting ------------------------------------------------------------------------------------------


@pytest.fixture
def copied(planted, tmp_path) -> Workspace:
    """A copy of the workspace, to be changed."""
    shutil.copytree(planted.ws.folder, tmp_path / "copy")
    return open_workspace(tmp_path / "copy" / "params.yaml")


def markers_of(ws: Workspace, leads: list[str]) -> re.Pattern[str]:
    """The ids of leads and every marker that the raw tables have of them, these alone."""
    ours, others = set(), set()
    for path in (ws.folder / "data" / "raw").rglob("*"):
        if path.suffix not in (".csv", ".parquet"):
            continue
        table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        if "lead_id" in table:
            mine = table["lead_id"].isin(leads)
            ours |= set(RARE.findall(table[mine].to_csv().lower()))
            others |= set(RARE.findall(table[~mine].to_csv().lower()))
    found = {lead.lower() for lead in leads} | (ours - others)
    assert len(found) > 20 * len(leads) / 2
    return re.compile("|".join(rf"\b{re.escape(marker)}\b" for marker in sorted(found)))


def test_nothing_of_a_forgotten_lead_is_left_but_in_the_raw_tables(planted, copied):
    leads = planted.leads
    pattern = markers_of(copied, leads)
    before = holding(copied, pattern, without=("data/raw/",))
    assert len(before) > 10
    others = pd.read_parquet(copied.scores)
    said = propensity("forget", *leads, folder=copied.folder)
    assert holding(copied, pattern, without=("data/raw/",)) == {}
    assert f"{len(leads)} of {len(leads)} leads were in the workspace and are taken out" in said
    assert "reports/review.html; 'propensity review' makes them again" in said
    assert re.search(r"data\.leads \(data/raw/leads\.csv\): 7 rows; take them out there", said)
    # Everybody else is there as before.
    kept = others[~others["lead_id"].isin(leads)].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(copied.scores), kept)
    read_bundle(copied.models / "bundle")
    # No way back: not by ingest, not by a score, not by a verdict.
    again = propensity("run", "ingest", "cohort", "features", "split", folder=copied.folder)
    assert "rows of forgotten leads, which the raw tables still hold" in again
    for line in [line for line in again.splitlines() if "rows read =" in line]:
        read, accepted, refused = (int(word) for word in re.findall(r"\d[\d,]*", line.replace(",", "")))
        assert read == accepted + refused
    propensity("score", "--export", "hubspot", "--export", "xlsx", folder=copied.folder)
    propensity("review", folder=copied.folder)
    assert holding(copied, pattern, without=("data/raw/",)) == {}


def test_forgetting_again_or_somebody_unknown_is_said_and_changes_no_table(copied):
    before = {path: path.read_bytes() for path in files_of(copied) if path.suffix == ".parquet"}
    review = (copied.reports / "review.html").read_bytes()
    said = forget(copied, ["nobody", " nobody ", "no-one"])
    assert "0 of 2 leads were in the workspace" in said
    assert "in no file of the workspace: 'nobody', 'no-one'; on the list all the same" in said
    assert {path: path.read_bytes() for path in before} == before
    assert (copied.reports / "review.html").read_bytes() == review
    listed = read_forgotten(copied.folder)
    assert listed is not None
    assert listed.digest("nobody") in listed.digests
    assert "nobody" not in (copied.folder / FORGOTTEN).read_text()


def test_a_file_names_one_lead_a_line(planted, copied):
    (copied.folder / "gone.txt").write_text(
        f"\ufeff{planted.leads[0]}\r\n\n{planted.leads[1]}\n", encoding="utf-8"
    )
    said = propensity("forget", "--file", "gone.txt", folder=copied.folder)
    assert "2 of 2 leads were in the workspace" in said
    propensity("forget", folder=copied.folder, code=2)
    propensity("forget", "--file", "absent.txt", folder=copied.folder, code=3)


def test_what_killed_commands_left_goes_too(planted, copied):
    for name in (
        ".propensity-x1/part.parquet",
        "scores/.scores.parquet.ab.tmp",
        "scores/export/.csv.zz/new/a.csv",
    ):
        (copied.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (copied.folder / name).write_text(planted.leads[0])
    said = forget(copied, [planted.leads[0]])
    assert "removed: 3 files and folders that killed commands had left" in said
    pattern = re.compile(planted.leads[0].lower())
    assert holding(copied, pattern, without=("data/raw/",)) == {}


def test_a_review_that_an_older_run_logged_is_removed_from_the_artefacts(planted, copied):
    logged = copied.folder / "mlartifacts" / "1" / "artifacts"
    logged.mkdir(parents=True)
    (logged / "review.html").write_text(f"<b>{planted.leads[0]}</b>")
    (logged.parent / "review.html").write_text(f"<b>{planted.leads[0]}9</b>")
    said = forget(copied, [planted.leads[0]])
    assert "removed from MLflow's artefacts" in said
    assert (logged / "review.html").exists() is False
    assert (logged.parent / "review.html").exists()


def test_forgetting_that_was_killed_is_finished_by_calling_it_again(planted, copied, monkeypatch):
    """Whatever step it is killed before; the list comes first, so that nothing comes back meanwhile."""
    lead = planted.leads[0]
    pattern = markers_of(copied, [lead])
    for step in ("_remove_what_is_made_again", "_write_tables_anew"):

        def die(*arguments):
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(f"propensity.privacy.forgetting.{step}", die)
            with pytest.raises(KeyboardInterrupt):
                forget(copied, [lead])
        listed = read_forgotten(copied.folder)
        assert listed is not None
        assert listed.digest(lead) in listed.digests
    forget(copied, [lead])
    assert holding(copied, pattern, without=("data/raw/",)) == {}


def test_row_numbers_are_no_ids_to_forget(tmp_path, planted):
    data = planted.ws.params.data
    rows = data.model_copy(update={"leads": data.leads.model_copy(update={"lead_id": "row"})})
    ws = Workspace(tmp_path, planted.ws.params.model_copy(update={"data": rows}))
    with pytest.raises(ParamsError, match="a number names another lead"):
        forget(ws, ["7"])
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_list_stops_what_would_bring_leads_back(tmp_path):
    add_forgotten(tmp_path, ["a"])
    (tmp_path / FORGOTTEN).write_text("{")
    with pytest.raises(InputError, match="forgotten leads come back"):
        read_forgotten(tmp_path)


def test_lists_of_two_workspaces_cannot_be_compared(tmp_path):
    first, second = (add_forgotten(tmp_path / name, ["a", "b"]) for name in "xy")
    assert not first.digests & second.digests
    assert add_forgotten(tmp_path / "x", ["b"]) == first
    assert first.digests == {Forgotten(first.salt, frozenset()).digest(lead) for lead in "ab"}
