"""A job's events as bytes for whoever watches it: read from the store once for all watchers that stand at one cursor.

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
from qubitd.v1 import jobs_pb2
from qubitd.wire.jobs import StatusChange, encode_events, encode_outcome

MOST_TOLD_BYTES = 2**16
"""Of results that are told with the last event of their job."""
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
    """The pages that were read lately."""

    def __init__(self, *, store: Store, announcer: Announcer) -> None:
        self._store = store
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
            page = self._pages[key] = self._read(number, cursor, outcome=outcome, stages=stages)
            if len(self._pages) > _KEPT:
                self._pages.popitem(last=False)
        return page

    def _read(self, number: int, cursor: int, *, outcome: bool, stages: bool) -> EventPage:
        events = self._store.jobs.events(number, after=cursor, stages=stages)
        is_over = not events and self._store.jobs.is_over(number)
        if is_over:  # the last ones may have come between the two looks
            events = self._store.jobs.events(number, after=cursor, stages=stages)
        ends = any(isinstance(event.what, StatusChange) and event.what.status.is_final for event in events)
        message = encode_events(events)
        told = self._outcome(number) if ends and outcome else None
        if told is not None:
            message.events[-1].status.outcome.CopyFrom(told)
        return EventPage(
            message=message.SerializeToString(),
            last=events[-1].sequence if events else cursor,
            is_end=ends or (is_over and not events),
            is_full=len(events) >= job_reads.EVENTS_AT_ONCE,
            has_outcome=told is not None,
        )

    def _outcome(self, number: int) -> jobs_pb2.Outcome | None:
        """Read what came of a job, if it is DONE and small, and nobody deletes it meanwhile."""
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
        return encode_outcome(
            job_id=ending.job_id,
            backend=ending.backend,
            revision=ending.revision,
            shots=ending.shots,
            instrument_seconds=ending.instrument_seconds,
            results=b"".join(piece for blob in kept for piece in split(blob)),
        )
