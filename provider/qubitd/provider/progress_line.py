"""What a person sees of a job while they wait: a bar that moves on a terminal and in a notebook, nothing elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from qubitd.client import Progress as Shots


class ProgressLine:
    """A bar that shows one job's state and how many of its shots are durable; shows nothing on what is no terminal."""

    def __init__(self, job_id: str, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        self._shown = Progress(*columns, console=console, disable=not (console.is_terminal or console.is_jupyter))
        self._job_id = job_id
        self._task = self._shown.add_task(f"job {job_id}", total=None)

    def __enter__(self) -> ProgressLine:
        self._shown.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._shown.disable:  # rich before 13.8 ends even what it did not show with an empty line
            self._shown.stop()

    def show(self, status: str, shots: Shots | None) -> None:
        """Move the bar."""
        done, total = (0, None) if shots is None else (shots.done, shots.total)
        self._shown.update(self._task, description=f"job {self._job_id}: {status}", completed=done, total=total)
