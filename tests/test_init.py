"""`propensity init`: from files to params that run, with and without a person at a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from intake_cases import VENDORS, world, write_export, write_rows
from propensity.params import load_params

COMMAND = [sys.executable, "-c", "from propensity.cli import main; main()"]
STAGES = ("ingest", "cohort", "features", "split", "audit", "train", "calibrate", "evaluate", "bundle")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def propensity(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def spaced(text: str) -> str:
    """Return a text without its line breaks."""
    return " ".join(text.replace("# ", "").split())


def write_small(folder: Path, name: str = "leads.csv", delimiter: str = ",", n: int = 700) -> Path:
    """Write a plain export with two columns that only the outcome explains."""
    columns = [
        "lead_id",
        "created",
        "lead source",
        "industry",
        "city",
        "stage",
        "closed on",
        "discount agreed",
    ]
    rows = [
        [
            lead["i"],
            f"{lead['created']:%Y-%m-%d %H:%M}",
            lead["source"],
            lead["industry"],
            "Select" if lead["i"] % 4 == 0 else "Bilbao" if lead["i"] % 3 else "Vigo",
            lead["status"],
            "" if lead["closed"] is None else f"{lead['closed']:%Y-%m-%d %H:%M}",
            lead["amount"] / 1000 if lead["status"] == "won" else "",
        ]
        for lead in world(n)
    ]
    return write_rows(folder / name, columns, rows, delimiter)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A workspace begun without a terminal from a file in another folder, and what was printed."""
    folder = tmp_path_factory.mktemp("started")
    (folder / "exports").mkdir()
    (folder / "work").mkdir()
    write_small(folder / "exports", delimiter=";")
    finished = propensity("--params", "work/params.yaml", "init", "exports/leads.csv", folder=folder)
    assert finished.returncode == 0, finished.stderr
    return folder / "work", finished.stdout


class TestWithoutTerminal:
    def test_it_decides_and_says_what_it_took_for_what(self, started):
        _, said = started
        assert "the lead's id: lead_id (unique in every row" in said
        assert "the time at which a lead was won or lost: closed on (given for 100%" in said
        assert said.rstrip().endswith("read it, then 'propensity --params work/params.yaml run'")

    def test_the_file_maps_the_columns_and_says_where_they_are_from_its_own_folder(self, started):
        params = load_params(started[0] / "params.yaml")
        assert params.data.leads.path == "../exports/leads.csv"
        assert params.data.leads.delimiter == ";"
        assert params.data.leads.missing == ["", "Select"]
        assert (params.data.leads.channel, params.data.outcomes.status) == ("lead source", "stage")
        assert params.features.firmographic == ["industry"]
        assert params.features.demographic == ["city"]

    def test_a_column_that_gives_the_outcome_away_is_refused_with_code_and_sentence(self, started):
        folder, said = started
        params = load_params(folder / "params.yaml")
        assert {"discount agreed", "closed on"} <= set(params.features.exclude)
        text = (folder / "params.yaml").read_text(encoding="utf-8")
        before = text[: text.index("    - discount agreed")].splitlines()[-5:]
        assert any(line.strip().startswith("# PRP") for line in before)
        assert "PRP101 closed on: known only because of the outcome" in spaced(said)

    def test_it_runs_at_once_on_what_it_wrote(self, started):
        finished = propensity("--params", "params.yaml", "run", folder=started[0])
        assert finished.returncode == 0, finished.stderr
        assert "test part, n" in finished.stdout
        assert (started[0] / "reports" / "review.html").exists()

    def test_it_does_not_overwrite_and_leaves_nothing_else_behind(self, started):
        folder, _ = started
        before = (folder / "params.yaml").read_bytes()
        finished = propensity(
            "--params", "work/params.yaml", "init", "exports/leads.csv", folder=folder.parent
        )
        assert finished.returncode == 3
        assert "work/params.yaml exists" in finished.stderr
        assert (folder / "params.yaml").read_bytes() == before
        assert [p.name for p in (folder.parent / "exports").iterdir()] == ["leads.csv"]


class TestRefusals:
    def test_without_an_outcome_nothing_is_written_and_the_columns_are_listed(self, tmp_path):
        write_rows(tmp_path / "a.csv", ["id", "height"], [[i, i % 9] for i in range(100)])
        finished = propensity("init", "a.csv", folder=tmp_path)
        assert finished.returncode == 3
        assert "no column says how a lead ended" in finished.stderr
        assert "Looked for words such as won and lost" in finished.stderr
        assert "'id', 'height'" in finished.stderr
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv"]

    def test_what_cannot_be_run_is_written_with_the_reason_at_its_top(self, tmp_path):
        rows = [[i, i % 5, int(i == 7)] for i in range(100)]
        write_rows(tmp_path / "a.csv", ["id", "visits", "converted"], rows)
        finished = propensity("init", "a.csv", folder=tmp_path)
        assert finished.returncode == 3
        text = (tmp_path / "params.yaml").read_text(encoding="utf-8")
        assert text.startswith("# REFUSED: this does not run as it stands.")
        assert "each part of the split needs won and not-won" in spaced(text)
        assert "train: 1 won and 54 not won" in spaced(text)
        assert load_params(tmp_path / "params.yaml").data.outcomes.status == "converted"

    def test_dates_that_are_not_read_are_said_and_a_refusal_names_the_file_as_it_was_given(self, tmp_path):
        rows = [[i, f"{1 + i % 28:02d}/03/2024", i % 4, ["won", "lost"][i % 3 % 2]] for i in range(200)]
        write_rows(tmp_path / "a.csv", ["id", "created_at", "visits", "status"], rows)
        finished = propensity("init", "a.csv", folder=tmp_path)
        assert finished.returncode == 3
        assert "in which day and month are not guessed" in spaced(finished.stderr)
        assert "a.csv: the columns 'created_at' have names" in spaced(finished.stderr)
        assert "propensity-init-" not in finished.stderr

    def test_a_missing_file_is_named(self, tmp_path):
        finished = propensity("init", "nowhere.csv", folder=tmp_path)
        assert finished.returncode == 3
        assert "nowhere.csv does not exist" in finished.stderr

    def test_events_without_leads_are_a_mistake_of_usage(self, tmp_path):
        finished = propensity("init", "--events", "e.csv", folder=tmp_path)
        assert finished.returncode == 2
        assert "need the leads they belong to" in finished.stderr

    def test_without_files_the_template_is_written_where_params_say(self, tmp_path):
        finished = propensity("--params", "mine.yaml", "init", folder=tmp_path)
        assert finished.returncode == 0
        assert "horizon_days" in (tmp_path / "mine.yaml").read_text(encoding="utf-8")


class TestEventsAndOutcomes:
    def test_types_that_only_follow_the_outcome_are_refused_and_the_rest_runs(self, tmp_path):
        leads = world(700)
        write_rows(
            tmp_path / "leads.csv",
            ["case_id", "reg_date", "source"],
            [[lead["i"], f"{lead['created']:%Y-%m-%dT%H:%M:%SZ}", lead["source"]] for lead in leads],
        )
        ended = [lead for lead in leads if lead["closed"] is not None]
        write_rows(
            tmp_path / "outcomes.csv",
            ["case_id", "result", "result_ts"],
            [[lead["i"], lead["status"], f"{lead['closed']:%Y-%m-%dT%H:%M:%SZ}"] for lead in ended],
        )
        visits = [[lead["i"], f"{lead['created']:%Y-%m-%dT%H:%M:%SZ}", "page visit"] for lead in leads]
        won = [lead for lead in ended if lead["status"] == "won"]
        bills = [[lead["i"], f"{lead['closed']:%Y-%m-%dT%H:%M:%SZ}", "contract signed"] for lead in won]
        write_rows(tmp_path / "events.csv", ["case_id", "timestamp", "activity"], [*visits, *bills])
        finished = propensity(
            "init", "leads.csv", "--events", "events.csv", "--outcomes", "outcomes.csv", folder=tmp_path
        )
        assert finished.returncode == 0, finished.stderr
        params = load_params(tmp_path / "params.yaml")
        assert params.features.qualifiers == {"web": ["page visit"]}
        assert params.features.exclude == ["contract signed"]
        assert "PRP401 contract signed" in finished.stdout
        assert (
            propensity("run", "ingest", "cohort", "features", "split", "audit", folder=tmp_path).returncode
            == 0
        )


@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_an_export_of_a_crm_is_recognised_and_runs(vendor, tmp_path):
    write_export(tmp_path / "export.csv", vendor)
    finished = propensity("init", "export.csv", folder=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert f"export: {vendor}" in finished.stdout
    params = load_params(tmp_path / "params.yaml")
    assert params.split.by == "time"
    assert params.data.leads.channel is not None
    assert len([*params.features.demographic, *params.features.firmographic]) == 2
    finished = propensity("run", *STAGES, folder=tmp_path)
    assert finished.returncode == 0, finished.stderr


class TestTerminal:
    """A session on a pseudo-terminal: the last column is binary, and nothing says that it is the outcome."""

    def session(self, folder: Path, answers: list[tuple[str, str]]) -> tuple[int, str]:
        """Run init on a terminal; send each answer once its question stands there."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.execve(COMMAND[0], [*COMMAND, "init", "leads.csv"], ENVIRONMENT)
        said, waiting, deadline = "", list(answers), time.monotonic() + 120
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                read = os.read(terminal, 65_536)
            except OSError:  # the other side has closed it
                break
            if not read:
                break
            said += read.decode(errors="replace")
            if waiting and waiting[0][0] in said:
                os.write(terminal, f"{waiting.pop(0)[1]}\n".encode())
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), said

    def write(self, folder: Path) -> None:
        rows = [
            [i, i % 7, (i * 5) % 3, "yes" if (i * 31) % 7 < 3 else "no", "yes" if i % 3 else "no"]
            for i in range(400)
        ]
        write_rows(folder / "leads.csv", ["id", "visits", "region", "took_part", "took_offer"], rows)

    def test_an_answer_takes_the_place_of_the_guess(self, tmp_path):
        self.write(tmp_path)
        code, said = self.session(
            tmp_path,
            [("[took_offer]", "took_prat"), ("did you mean", "took_part"), ("[id]", "none")],
        )
        assert "There is no column 'took_prat', did you mean 'took_part'?" in said
        assert code == 0, said
        params = load_params(tmp_path / "params.yaml")
        assert params.data.outcomes.status == "took_part"
        assert "took_offer" in params.features.demographic
        assert (params.split.by, params.data.leads.order_by) == ("random", None)

    def test_the_guess_is_what_an_empty_answer_means(self, tmp_path):
        self.write(tmp_path)
        code, said = self.session(tmp_path, [("Column [took_offer]", ""), ("Column [id]", "")])
        assert code == 0, said
        params = load_params(tmp_path / "params.yaml")
        assert (params.data.outcomes.status, params.data.leads.order_by) == ("took_offer", "id")
