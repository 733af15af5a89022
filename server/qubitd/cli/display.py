"""What a command shows while it works: a live bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Display(Protocol):
    """Lines that stay, and one state that changes."""

    def say(self, text: str = "") -> None:
        """Write lines that stay."""
        ...

    def state(self, text: str, fraction: float) -> None:
        """Show what is going on, and how much of everything is done, 0..1."""
        ...


class PlainDisplay:
    """For a file, a pipe or a log: lines that stay, and nothing else."""

    def say(self, text: str = "") -> None:
        """Write at once."""
        print(text, flush=True)

    def state(self, text: str, fraction: float) -> None:
        """Show nothing: the lines that stay tell enough."""


class LiveDisplay:
    """For a person at a terminal: a bar at the bottom, the lines above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=1.0)

    def say(self, text: str = "") -> None:
        """Write above the bar."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def state(self, text: str, fraction: float) -> None:
        """Move the bar."""
        self._progress.update(self._task, description=text, completed=fraction)


@contextmanager
def open_display(console: Console | None = None) -> Generator[Display]:
    """Give the display that fits standard output."""
    console = console or Console()
    if not console.is_terminal:
        yield PlainDisplay()
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield LiveDisplay(progress)


def block_character() -> str:
    """Give a full block if standard output can write one."""
    try:
        "█".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "#"
    return "█"
