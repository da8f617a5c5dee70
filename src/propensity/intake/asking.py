"""Asking a person at a terminal about what is not sure."""

from __future__ import annotations

from dataclasses import replace

import typer

from propensity.errors import nearest
from propensity.intake.guesses import NONE, Guess


def ask_at_terminal(guess: Guess, columns: list[str]) -> Guess:
    """Return the guess, or what a person says instead if it is not sure."""
    if guess.sure:
        return guess
    typer.echo(f"Not sure: {guess.role}. {guess.evidence}")
    if guess.others:
        typer.echo(f"  Also possible: {', '.join(guess.others)}")
    answer = _prompt(guess.column or NONE, columns)
    if answer == (guess.column or NONE):
        return replace(guess, sure=True, evidence=f"{guess.evidence}; confirmed")
    return replace(guess, column=None if answer == NONE else answer, sure=True, evidence="as answered")


def _prompt(default: str, columns: list[str]) -> str:
    """Ask until the answer is a column, in whatever case, or none."""
    known = {column.lower(): column for column in [NONE, *reversed(columns)]}
    while True:
        answer = str(typer.prompt("Column", default=default)).strip()
        if answer in columns:
            return answer
        if answer.lower() in known:
            return known[answer.lower()]
        typer.echo(
            f"There is no column {answer!r}{nearest(answer, columns)}. The columns: {', '.join(columns)}"
        )
