"""What became durable lately of jobs that this process took, as the store holds it: whoever watches one of them need
not read it there, just after a commit, when nothing of it is at hand.

A job is here from its first event on or not at all. What is not here is in the store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from qubitd.server.store.rows import Accepted
from qubitd.wire.jobs import JobEvent, StageTime, tells_an_end

MOST_TOLD_BYTES = 2**16
"""Of results that are told with the last event of their job."""
_MOST_JOBS = 64
_MOST_EVENTS = 256
"""Of one job; one with more is left to the store."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ended:
    """What came of a job that is DONE, where it is small."""

    backend: str
    """The one that ran it."""
    revision: int
    """Calibration revision that it ran under."""
    shots: int
    """Of each program."""
    instrument_seconds: float
    pieces: Sequence[bytes]
    """All its results: `qubitd.v1.ResultsResponse` messages, in order."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Job:
    number: int
    owner: str
    events: list[JobEvent]
    ended: Ended | None = None
    is_read: bool = False
    """Whether it was noted that its results were read to their end."""


class RecentJobs:
    """The jobs that were taken last. All of it happens in the event loop's thread."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, _Job] = OrderedDict()

    def begin(self, owner: str, accepted: Accepted) -> None:
        """Keep a new job of an owner with its first events."""
        self._jobs[accepted.job_id] = _Job(number=accepted.number, owner=owner, events=list(accepted.events))
        if len(self._jobs) > _MOST_JOBS:
            self._jobs.popitem(last=False)

    def add(self, job_id: str, events: Sequence[JobEvent], *, ended: Ended | None = None) -> None:
        """Take in what was written of a job; nothing happens if it is not here."""
        job = self._jobs.get(job_id)
        if job is None:
            return
        job.events += events
        job.ended = ended
        if len(job.events) > _MOST_EVENTS:
            self.forget(job_id)

    def forget(self, job_id: str) -> None:
        """Leave a job to the store."""
        self._jobs.pop(job_id, None)

    def events(self, job_id: str, *, after: int, stages: bool, most: int) -> list[JobEvent] | None:
        """Give the first of a job's events after a number, with or without stages; None if it is not here."""
        job = self._jobs.get(job_id)
        if job is None:
            return None
        later = (event for event in job.events if event.sequence > after)
        return list(islice((event for event in later if stages or not isinstance(event.what, StageTime)), most))

    def number(self, job_id: str, *, owner: str) -> int | None:
        """Give the number of an owner's job that nobody has read, so that its results cannot expire; None if it is not
        here.
        """
        job = self._jobs.get(job_id)
        return None if job is None or job.is_read or job.owner != owner else job.number

    def is_unread(self, job_id: str) -> bool | None:
        """Whether nobody has read the results of a job to their end; None if it is not here, or not told to be over."""
        return not self._jobs[job_id].is_read if self.is_over(job_id) else None

    def note_read(self, job_id: str) -> None:
        """Take in that a job's results were read to their end."""
        job = self._jobs.get(job_id)
        if job is not None:
            job.is_read = True

    def is_over(self, job_id: str) -> bool:
        """Whether a job that is here has ended, as far as was told."""
        job = self._jobs.get(job_id)
        return job is not None and tells_an_end(job.events)

    def ended(self, job_id: str) -> Ended | None:
        """Give what came of a job; None if it is not here."""
        job = self._jobs.get(job_id)
        return None if job is None else job.ended
