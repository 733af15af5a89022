"""The events of some jobs as they come, each job's in order and once: what one watch of them sends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from qubitd.server.watching.announcer import Announcer
from qubitd.server.watching.event_pages import EventPages
from qubitd.server.watching.silence import Silence
from qubitd.v1 import jobs_pb2
from qubitd.wire.jobs import Bookmark, JobEvent, QueuePlace, encode_events

PLACE_PERIOD = 1.0
"""Seconds between two looks at a queued job's place, which changes without its own doing."""
_UNREAD = -1


@dataclass(slots=True, kw_only=True)
class Watched:
    """How far the watch of one job has come."""

    job_id: str
    number: int
    """Of the job in the store."""
    cursor: int
    """Sequence number of the last event that was sent."""
    is_named: bool
    """Whether each event says which job it is of."""
    wants_outcome: bool = False
    """Whether what came of it is told, if that is small."""
    wants_stages: bool = True
    """Whether what it passed through is told."""
    place: QueuePlace | None = None
    """In the queue, as it was told last."""
    read_at: int = _UNREAD
    """The announcement up to which everything was read."""
    is_over: bool = False
    """Whether nothing can follow."""
    has_outcome: bool = False
    """Whether the whole result was told."""

    @property
    def stamp(self) -> bytes:
        """What goes before each message: fields of a message may come in pieces that are put together."""
        return jobs_pb2.JobsWatchResponse(job_id=self.job_id).SerializeToString() if self.is_named else b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Where events come from."""

    pages: EventPages
    announcer: Announcer
    place_of: Callable[[str], QueuePlace | None]
    """Says where a job stands in the queue."""
    now: Callable[[], int]
    """ns since 1970-01-01 UTC."""
    steady: Callable[[], float]
    """s on a clock that nobody sets."""
    on_read: Callable[[str, int], None]
    """Is told the id and the number of a job whose whole result was sent."""

    async def events(self, jobs: list[Watched]) -> AsyncGenerator[bytes]:
        """Give `qubitd.v1.JobsWatchResponse` messages until all jobs have ended; a bookmark when none came for long."""
        silence = Silence(self.steady)
        with self.announcer.listen(*(one.job_id for one in jobs)) as listener:
            is_time = True
            while jobs:
                listener.clear()
                for one in jobs:
                    message = self._news(one, is_time=is_time)
                    if message:
                        yield one.stamp + message
                        silence.end()
                    if one.has_outcome:
                        self.on_read(one.job_id, one.number)
                jobs = [one for one in jobs if not one.is_over]
                is_time = False
                if jobs and not any(self._is_unread(one) for one in jobs):
                    if not silence.left:
                        yield self._bookmark(jobs[0])
                        silence.end()
                    is_queued = any(one.place is not None for one in jobs)
                    await listener.wait(min(silence.left, PLACE_PERIOD) if is_queued else silence.left)
                    is_time = not listener.was_woken

    def _bookmark(self, one: Watched) -> bytes:
        """Of several jobs, one will do: whoever reads it knows how far it has come with the others."""
        mark = JobEvent(sequence=one.cursor, time_ns=self.now(), what=Bookmark())
        return one.stamp + bytes(encode_events([mark]).SerializeToString())

    def _is_unread(self, one: Watched) -> bool:
        return self.announcer.mark(one.job_id) != one.read_at

    def _news(self, one: Watched, *, is_time: bool) -> bytes:
        """Read what was announced of a job; its place in the queue then, too, or if it is time to look."""
        mark = self.announcer.mark(one.job_id)
        is_new = mark != one.read_at
        if is_new:
            page = self.pages.after(
                one.job_id, one.number, one.cursor, outcome=one.wants_outcome, stages=one.wants_stages
            )
            one.cursor, one.is_over, one.has_outcome = page.last, page.is_end, page.has_outcome
            if page.is_end or page.is_full:
                return page.message
            one.read_at = mark
            return page.message + self._place(one)
        return self._place(one) if is_time else b""

    def _place(self, one: Watched) -> bytes:
        place, before = self.place_of(one.job_id), one.place
        one.place = place
        if place is None or place == before:
            return b""
        return encode_events([JobEvent(sequence=one.cursor, time_ns=self.now(), what=place)]).SerializeToString()
