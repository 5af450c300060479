"""What a person sees: one rich console for words and tables, progress bars that fall back to plain lines."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

PIPED_WIDTH = 140  # columns where nobody tells: a log or a pipe; a terminal says its own

out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A plain line on standard output."""
    out.print(text, markup=False, soft_wrap=True)


def fail(text: str) -> None:
    """A stated failure: one plain line on standard error."""
    err.print(f"error: {text}", markup=False, soft_wrap=True, style="red")


def table(title: str, columns: list[str], rows: list[list[str]], numeric_from: int = 1) -> None:
    """A table on standard output; columns from `numeric_from` on are right-aligned."""
    drawn = Table(title=title, title_justify="left", header_style="bold", title_style="bold")
    for position, name in enumerate(columns):
        drawn.add_column(name, justify="right" if position >= numeric_from else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    out.print(drawn)


@contextmanager
def progress() -> Iterator[Progress]:
    """Bars on a terminal (on stderr: output can be piped); nothing elsewhere, where callers `say` lines."""
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=err,
        disable=not err.is_terminal,
        transient=True,
    )
    with bars:
        yield bars
