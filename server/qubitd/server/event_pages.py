"""A job's events as bytes for whoever watches it: read from the store once for all watchers that stand at one cursor.

A page is good until the next announcement about its job; who was told so reads anew, so nothing is missed.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from qubitd.server.announcer import Announcer
from qubitd.server.store.store import Store
from qubitd.wire.jobs import StatusChange, encode_events

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


class EventPages:
    """The pages that were read lately."""

    def __init__(self, *, store: Store, announcer: Announcer) -> None:
        self._store = store
        self._announcer = announcer
        self._pages: OrderedDict[tuple[str, int, int], EventPage] = OrderedDict()

    def after(self, job_id: str, number: int, cursor: int) -> EventPage:
        """Give the events of a job after a sequence number; the caller listens for announcements about it."""
        key = (job_id, cursor, self._announcer.mark(job_id))
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = self._read(number, cursor)
            if len(self._pages) > _KEPT:
                self._pages.popitem(last=False)
        return page

    def _read(self, number: int, cursor: int) -> EventPage:
        events = self._store.jobs.events(number, after=cursor)
        is_over = not events and self._store.jobs.is_over(number)
        if is_over:  # the last ones may have come between the two looks
            events = self._store.jobs.events(number, after=cursor)
        ends = any(isinstance(event.what, StatusChange) and event.what.status.is_final for event in events)
        return EventPage(
            message=encode_events(events).SerializeToString(),
            last=events[-1].sequence if events else cursor,
            is_end=ends or (is_over and not events),
        )
