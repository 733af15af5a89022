"""How long a job may run: as long as it was estimated to take, with a margin, and no longer than its owner allows.

What counts is its time on the instruments. That the daemon itself was slow ends no job.
"""

from __future__ import annotations

from dataclasses import dataclass

from qubitd.core.job import MAX_EXECUTION_TIME
from qubitd.server.jobs.lifecycle import Trigger
from qubitd.server.queueing.book import Move

MARGIN = 1.5
"""Times its estimate that a job may take."""
SLACK = 30.0
"""Seconds on top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimit:
    """Of one job."""

    estimate: float
    """Seconds of instrument time, as compiled."""
    asked: float
    """Seconds that its owner gave it; at most MAX_EXECUTION_TIME, which any job has."""

    @property
    def seconds(self) -> float:
        """Seconds of instrument time."""
        return min(self.asked, MARGIN * self.estimate + SLACK)

    def overrun(self, ran: float) -> Move | None:
        """Give the step of a job that has run for some seconds and is not done; None for one that may go on."""
        if ran <= self.seconds:
            return None
        text = (
            f"not done after {ran:.4g} s on the instruments, where {self.estimate:.4g} s were estimated; the limit is "
            f"{self.seconds:.4g} s ({self._origin}). Finished parts of the result stay readable; submit the rest again"
        )
        return Move(trigger=Trigger.FAIL, message=f"{text}{self._advice}")

    @property
    def _origin(self) -> str:
        if self.asked > self.seconds:
            return f"{MARGIN:g} times the estimate and {SLACK:g} s"
        return "max_execution_time, with which it was submitted" if self.asked < MAX_EXECUTION_TIME else "for any job"

    @property
    def _advice(self) -> str:
        if self.asked == self.seconds < MAX_EXECUTION_TIME:
            return ", or give it more time"
        return ", and tell the operator if it happens again: the instruments take longer than they were told to"
