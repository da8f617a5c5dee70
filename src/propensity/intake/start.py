"""From a stranger's files to a params file that runs: read, guess, audit, write."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from propensity.data.files import write_text
from propensity.data.profiles import columns_with
from propensity.data.sources import connect
from propensity.errors import InputError, ParamsError, PropensityError
from propensity.intake.draft import make_draft, params_of
from propensity.intake.guesses import Ask, Draft
from propensity.intake.reading import Table, keep, read_table
from propensity.intake.rounds import Judgement, Settled, settle
from propensity.intake.telling import tell_draft
from propensity.intake.writing import write_draft
from propensity.params import DataParams, OutcomesParams, Params, parse_params
from propensity.workspace import shown

Name = Literal["leads", "events", "outcomes"]
# From a folder, params, and those that the tables in it were made with, to what the audit finds.
JudgeParams = Callable[[Path, Params, "Params | None"], Judgement]


def start(params_path: Path, given: Mapping[Name, Path], ask: Ask, judge_params: JudgeParams) -> str:
    """Write a params file for raw files, and return what each column was taken for.

    Parameters
    ----------
    params_path : Path
        The file to write; it must not exist.
    given : dict
        Table to its file; leads at least.
    ask : callable
        Asked about each guess that is not sure.
    judge_params : callable
        Runs the pipeline up to the audit in a folder.

    Raises
    ------
    InputError
        A file cannot be read, nothing says how leads ended (then nothing is written), or what was written
        does not run; the reason then stands at its top.
    """
    check_absent(params_path)
    folder = params_path.absolute().parent
    con = connect(DataParams(outcomes=OutcomesParams(won=["won"])))
    read = {name: read_table(con, path, folder, name) for name, path in given.items()}
    draft = make_draft(read["leads"], read.get("events"), read.get("outcomes"), ask)
    settled = _settle(draft, read, judge_params)
    refusal = _refusal(settled)
    text = write_draft(settled.draft, refusal)
    parse_params(text, name=str(params_path))  # what cannot be read again is not written
    write_text(text, params_path)
    told, at = tell_draft(settled), shown(params_path.absolute())
    if refusal:
        raise InputError(f"{told}\n{at} was written, but does not run as it stands: {refusal}")
    return f"{told}\n{at}: read it, then 'propensity --params {params_path} run'"


def check_absent(params_path: Path) -> None:
    """Refuse to overwrite a params file.

    Raises
    ------
    InputError
        It exists.
    """
    if params_path.exists():
        raise InputError(f"{params_path} exists; move it away or name another file by --params")


def _settle(draft: Draft, read: Mapping[Name, Table], judge_params: JudgeParams) -> Settled:
    leads = read["leads"]
    made: list[Params] = []
    with tempfile.TemporaryDirectory(prefix="propensity-init-") as name:
        paths = {str(table): str(Path(name) / f"{table}.parquet") for table in read}
        for table in read.values():
            keep(table, Path(paths[table.file.table]))

        def judge(candidate: Draft) -> Judgement:
            try:
                params = params_of(candidate, paths=paths)
            except ValidationError as error:
                raise ParamsError(str(error)) from None
            before = made.pop() if made else None
            try:
                judged = judge_params(Path(name) / "workspace", params, before)
            except PropensityError as error:
                raise type(error)(_named_as_given(str(error), read, paths)) from None
            made.append(params)
            return judged

        return settle(
            draft, judge, lambda value: columns_with(leads.con, leads.rows, leads.file.columns, value)
        )


def _named_as_given(message: str, read: Mapping[Name, Table], paths: Mapping[str, str]) -> str:
    """Return a message that names the files that were handed in, not the copies that were judged."""
    for table in read.values():
        message = message.replace(paths[table.file.table], table.file.path)
    return message


def _refusal(settled: Settled) -> str:
    """Return why what was settled does not run; empty if it does."""
    if settled.refusal is not None:
        return str(settled.refusal)
    return "; ".join(f"{finding.name}: {finding.message}" for finding in settled.stopping_still)
