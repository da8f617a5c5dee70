"""How far a scoring is, for a person who watches it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def shown_progress(total: int) -> Iterator[Callable[[int], None]]:
    """Draw a bar with leads a second on stderr while the block runs; nothing where that is no terminal.

    Parameters
    ----------
    total : int
        Leads to score.

    Yields
    ------
    callable
        Takes how many leads more are done.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (
        TextColumn("scoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("scoring", total=total, speed="")

        def advance(leads: int) -> None:
            progress.advance(task, leads)
            speed = progress.tasks[0].speed
            progress.update(task, speed=f"{speed:,.0f} leads/s" if speed else "")

        yield advance
