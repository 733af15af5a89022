"""A job's events as bytes for whoever watches it: made once for all watchers that stand at one cursor, of what became
durable lately or else of what the store holds.

A page is good until the next announcement about its job; who was told so reads anew, so nothing is missed.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from qubitd.server.errors import StoreCorruptError
from qubitd.server.store import job_reads
from qubitd.server.store.frames import split
from qubitd.server.store.store import Store
from qubitd.server.watching.announcer import Announcer
from qubitd.server.watching.recent_jobs import MOST_TOLD_BYTES, Ended, RecentJobs
from qubitd.v1 import jobs_pb2
from qubitd.wire.jobs import JobEvent, encode_events, encode_outcome, tells_an_end

_KEPT = 256
"""Pages; watchers of one job stand at a few cursors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """What follows a cursor."""

    message: bytes
    """`qubitd.v1.JobsWatchResponse` with all of them; empty if there is none."""
    last: int
    """Sequence number of the last of them; the cursor if there is none."""
    is_end: bool
    """Whether nothing can follow these."""
    is_full: bool = False
    """Whether more of them may be there already."""
    has_outcome: bool = False
    """Whether the job's whole result is among them."""


class EventPages:
    """The pages that were made lately."""

    def __init__(self, *, store: Store, recent: RecentJobs, announcer: Announcer) -> None:
        self._store = store
        self._recent = recent
        self._announcer = announcer
        self._pages: OrderedDict[tuple[str, int, int, bool, bool], EventPage] = OrderedDict()

    def after(self, job_id: str, number: int, cursor: int, *, outcome: bool = False, stages: bool = True) -> EventPage:
        """Give the events of a job after a sequence number; the caller listens for announcements about it.

        Args:
            job_id: the job.
            number: of it in the store.
            cursor: the sequence number.
            outcome: whether what came of it is told with its last event, if that is small.
            stages: whether what it passed through is told, too.
        """
        key = (job_id, cursor, self._announcer.mark(job_id), outcome, stages)
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = self._made(job_id, number, cursor, outcome=outcome, stages=stages)
            if len(self._pages) > _KEPT:
                self._pages.popitem(last=False)
        return page

    def _made(self, job_id: str, number: int, cursor: int, *, outcome: bool, stages: bool) -> EventPage:
        events = self._recent.events(job_id, after=cursor, stages=stages, most=job_reads.EVENTS_AT_ONCE)
        if events is not None:
            is_over = not events and self._recent.is_over(job_id)
        else:
            events, is_over = self._read(number, cursor, stages=stages)
        ends = tells_an_end(events)
        message = encode_events(events)
        told = self._outcome(job_id, number) if ends and outcome else None
        if told is not None:
            message.events[-1].status.outcome.CopyFrom(told)
        return EventPage(
            message=message.SerializeToString(),
            last=events[-1].sequence if events else cursor,
            is_end=ends or is_over,
            is_full=len(events) >= job_reads.EVENTS_AT_ONCE,
            has_outcome=told is not None,
        )

    def _read(self, number: int, cursor: int, *, stages: bool) -> tuple[list[JobEvent], bool]:
        """Read what follows a cursor, and whether that is nothing since the job is over."""
        events = self._store.jobs.events(number, after=cursor, stages=stages)
        is_over = not events and self._store.jobs.is_over(number)
        if is_over:  # the last ones may have come between the two looks
            events = self._store.jobs.events(number, after=cursor, stages=stages)
        return events, is_over and not events

    def _outcome(self, job_id: str, number: int) -> jobs_pb2.Outcome | None:
        """Say what came of a job, if it is DONE and small, and nobody deletes it meanwhile."""
        ended = self._recent.ended(job_id) or self._ended(number)
        if ended is None:
            return None
        return encode_outcome(
            job_id=job_id,
            backend=ended.backend,
            revision=ended.revision,
            shots=ended.shots,
            instrument_seconds=ended.instrument_seconds,
            results=b"".join(ended.pieces),
        )

    def _ended(self, number: int) -> Ended | None:
        ending = self._store.jobs.ending(number)
        if ending is None or ending.result_bytes > MOST_TOLD_BYTES:
            return None
        try:
            kept = [self._store.blob(chunk.digest) for chunk in self._store.jobs.chunks(number)]
        except StoreCorruptError:
            if self._store.jobs.ending(number) is None:
                return None
            raise
        if sum(map(len, kept)) < ending.result_bytes:
            return None
        return Ended(
            backend=ending.backend,
            revision=ending.revision,
            shots=ending.shots,
            instrument_seconds=ending.instrument_seconds,
            pieces=[piece for blob in kept for piece in split(blob)],
        )
