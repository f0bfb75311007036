"""A line on the terminal that says how far a long command has come; nothing of it is anywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress as Line
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from token_engine.tiers.progress import Progress


@contextmanager
def progress_of(title: str) -> Iterator[Progress]:
    """Show how far `title` is, on standard error if that is a terminal; the line is gone at the end. Print nothing to
    standard output meanwhile: it may be the same terminal.
    """
    console = Console(stderr=True)
    line = Line(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal, redirect_stdout=False,
    )  # fmt: skip
    task = line.add_task(title, total=None)
    under_way = ""

    def say(what: str, done: int, of: int) -> None:
        nonlocal under_way
        far = f" {decimal(done)} of {decimal(of)}" if of else ""
        # Each step is seen, however short; figures as often as the line is drawn.
        line.update(task, description=f"{title}: {what}{far}", refresh=what != under_way)
        under_way = what

    with line:
        yield say
