"""The scheduler's one decision: which job gets the rack now, if any, and when to look again.

Safety first; then the session that holds the rack, alone; then the slot that is open, alone; then what has waited for
its time, whatever it is, in the order in which that came; then sessions that want the rack, in the order in which they
were opened; then normal jobs, of the project first that is owed most; then background. No job starts that would not end
before the next slot: a shorter one from behind may go first.

So a job waits for its time, then for what holds the rack, and then for those alone whose time came before its own.
Slots and safety, which are an operator's, come on top.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from qubitd.server.scheduling.lanes import LaneKey, Lanes
from qubitd.server.scheduling.shares import Shares
from qubitd.server.scheduling.waiting import SLACK, QueueClass, Slot, Waiting, Window
from qubitd.wire.slots import SlotKind

NORMAL_AGE = 3600.0
"""Seconds after which a normal job, or a session that wants the rack, goes by its age alone."""
BACKGROUND_AGE = 24 * 3600.0
"""Seconds after which a background job does, too."""
_AGES = {QueueClass.SESSION: NORMAL_AGE, QueueClass.NORMAL: NORMAL_AGE, QueueClass.BACKGROUND: BACKGROUND_AGE}
_LOOKED_AT = 64
"""Jobs of a lane that are tried when the first does not fit before a slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do now."""

    job_id: str | None
    """The job that gets the rack; None to wait."""
    look_again: float = math.inf
    """When a new decision may fall without any job or session changing, s."""


@dataclass(slots=True, kw_only=True)
class Scheduler:
    """Who waits, who holds the rack, what is reserved."""

    lanes: Lanes = field(default_factory=Lanes)
    shares: Shares = field(default_factory=Shares)
    windows: Sequence[Window] = ()
    """Sessions that are open, in any order."""
    slots: Sequence[Slot] = ()
    """Not over yet, sorted by start; they do not overlap."""

    def decide(self, now: float) -> Decision:
        """Choose."""
        safety = self.lanes.first(LaneKey(queue_class=QueueClass.SAFETY))
        if safety is not None:
            return Decision(job_id=safety.job_id)
        holder = self.holder(now)
        if holder is not None:
            mine = self.lanes.first(_session_lane(holder))
            return Decision(job_id=mine.job_id if mine else None, look_again=holder.holds_until)
        slot = self.open_slot(now)
        if slot is not None:
            return self._in_slot(slot)
        until = self._next_start(now)
        job = next(self._candidates(now, room=until - now), None)
        return Decision(job_id=job.job_id if job else None, look_again=until)

    def preempts(self, running: QueueClass, running_session: str, running_slot: str, now: float) -> bool:
        """Say whether a running job has to leave at its next chunk boundary."""
        if running is QueueClass.SAFETY:
            return False
        if self.lanes.first(LaneKey(queue_class=QueueClass.SAFETY)) is not None:
            return True
        slot = self.open_slot(now)
        if slot is None or slot.slot_id == running_slot:
            return False
        holder = self.holder(now)
        return holder is None or holder.session != running_session

    def open_slot(self, now: float) -> Slot | None:
        """Give the slot that is open now."""
        return next((slot for slot in self.slots if slot.start <= now < slot.end), None)

    def holder(self, now: float) -> Window | None:
        """Give the session that has the rack to itself."""
        return next((window for window in self.windows if window.holds_until > now), None)

    def copy(self, most: int) -> Scheduler:
        """Give one for a rehearsal of so many starts."""
        return Scheduler(
            lanes=self.lanes.copy(most + _LOOKED_AT), shares=self.shares.copy(), windows=self.windows, slots=self.slots
        )

    def _in_slot(self, slot: Slot) -> Decision:
        job = None
        if slot.kind is SlotKind.CALIBRATION:
            job = self.lanes.first(LaneKey(queue_class=QueueClass.CALIBRATION, slot=slot.slot_id))
        return Decision(job_id=job.job_id if job else None, look_again=slot.end)

    def _next_start(self, now: float) -> float:
        return next((slot.start for slot in self.slots if slot.start > now), math.inf)

    def _candidates(self, now: float, room: float) -> Iterator[Waiting]:
        """Give the jobs that may start, best first."""
        yield from self._aged(now, room)
        for window in sorted(self.windows, key=lambda window: window.opened):
            yield from self._of_session(window, room)
        for queue_class in (QueueClass.NORMAL, QueueClass.BACKGROUND):
            yield from self._by_share(queue_class, room)

    def _aged(self, now: float, room: float) -> Iterator[Waiting]:
        """Give those whose time has come, in the order in which it came."""
        oldest = (self.lanes.oldest(queue_class, _LOOKED_AT) for queue_class in _AGES)
        due = heapq.merge(*(takewhile(lambda job: _due(job) <= now, jobs) for jobs in oldest), key=_due)
        for job in due:
            if job.queue_class is QueueClass.SESSION:
                for window in self.windows:
                    if window.session == job.session:
                        yield from self._of_session(window, room)
            elif job.estimate * SLACK <= room:
                yield job

    def _of_session(self, window: Window, room: float) -> Iterator[Waiting]:
        """Give the first job of a session, if all its time fits."""
        first = self.lanes.first(_session_lane(window))
        if first is not None and max(window.needs, first.estimate * SLACK) <= room:
            yield first

    def _by_share(self, queue_class: QueueClass, room: float) -> Iterator[Waiting]:
        keys = sorted(self.lanes.keys(queue_class), key=lambda key: (self.shares.standing(key.project), key.project))
        for key in keys:
            for job in self.lanes.head(key, _LOOKED_AT):
                if job.estimate * SLACK <= room:
                    yield job
                    break


def _due(job: Waiting) -> float:
    """When a job's time comes, s: from then on it goes by that alone."""
    return job.since + _AGES[job.queue_class]


def _session_lane(window: Window) -> LaneKey:
    return LaneKey(queue_class=QueueClass.SESSION, session=window.session)
