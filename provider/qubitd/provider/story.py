"""What is known of a job, from the events that were pushed: every change of state once and in order. No I/O here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from qubitd.client import (
    Bookmark,
    ExecutionSpan,
    Job,
    JobEvent,
    LogLine,
    Outcome,
    Progress,
    QueuePlace,
    StageTime,
    StatusChange,
)
from qubitd.core.job import JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusTime:
    """A state and when it began."""

    status: JobStatus
    time_ns: int
    """ns since 1970-01-01 UTC."""
    message: str = ""
    """Why, for ERROR and CANCELLED."""


@dataclass(slots=True, kw_only=True)
class JobStory:
    """The events of one job so far."""

    statuses: list[StatusTime] = field(default_factory=list[StatusTime])
    """Every change of state, in order."""
    log: list[str] = field(default_factory=list[str])
    progress: Progress | None = None
    spans: list[ExecutionSpan] = field(default_factory=list[ExecutionSpan])
    """What was played when, in order."""
    place: QueuePlace | None = None
    """In the queue, as it was told last."""
    outcome: Outcome | None = None
    """What came of the job, if it was told."""
    last_sequence: int = 0
    """Of the newest event."""
    known: StatusTime | None = None
    """State that was asked for, until the events catch up with it."""
    known_sequence: int = 0

    @property
    def ended(self) -> StatusTime | None:
        """The final state, once its event has come."""
        last = self.statuses[-1] if self.statuses else None
        return last if last is not None and last.status.is_final else None

    @property
    def now(self) -> StatusTime | None:
        """The newest state that is known; None before anything is."""
        if self.known is not None and self.known_sequence > self.last_sequence:
            return self.known
        return self.statuses[-1] if self.statuses else self.known

    def learn(self, job: Job) -> None:
        """Take in a job's description as it stood when it was asked for."""
        if job.last_sequence >= self.known_sequence:
            self.known_sequence = job.last_sequence
            self.known = StatusTime(status=job.status, time_ns=job.created_ns, message=job.message)

    def apply(self, event: JobEvent) -> None:
        """Take in an event, unless it was before: of two who follow a job one may be ahead."""
        if event.sequence <= self.last_sequence and not isinstance(event.what, QueuePlace | Bookmark):
            return
        self.last_sequence = max(self.last_sequence, event.sequence)
        match event.what:
            case StatusChange(status=status, message=message, outcome=outcome):
                self.outcome = outcome
                self.statuses.append(StatusTime(status=status, time_ns=event.time_ns, message=message))
            case Progress() as progress:
                self.progress = progress
                if progress.span is not None:
                    self.spans.append(progress.span)
            case LogLine(text=text):
                self.log.append(text)
            case QueuePlace() as place:
                self.place = place
            case StageTime() | Bookmark():
                return
            case _:
                assert_never(event.what)

    def time_of(self, *statuses: JobStatus) -> int | None:
        """Give when the first of these states began, ns since 1970-01-01 UTC."""
        return next((entry.time_ns for entry in self.statuses if entry.status in statuses), None)
