"""Jobs in their lanes: one for each class, project and session, each in its own order."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from qubitd.server.scheduling.waiting import QueueClass, Waiting

Order = list[tuple[tuple[int, int], str]]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LaneKey:
    """What the jobs of a lane have in common."""

    queue_class: QueueClass
    project: str = ""
    session: str = ""
    slot: str = ""


def lane_of(job: Waiting) -> LaneKey:
    """Give the lane of a job: that of its session or slot, else that of its project in its class."""
    if job.session and job.queue_class is QueueClass.SESSION:
        return LaneKey(queue_class=QueueClass.SESSION, session=job.session)
    if job.queue_class is QueueClass.CALIBRATION:
        return LaneKey(queue_class=QueueClass.CALIBRATION, slot=job.slot)
    if job.queue_class is QueueClass.SAFETY:
        return LaneKey(queue_class=QueueClass.SAFETY)
    return LaneKey(queue_class=job.queue_class, project=job.project)


@dataclass(slots=True)
class Lanes:
    """All jobs that wait. A job is added or removed in the logarithm of their number."""

    jobs: dict[str, Waiting] = field(default_factory=dict[str, Waiting])
    _lanes: dict[LaneKey, Order] = field(default_factory=dict[LaneKey, Order])
    _by_age: dict[QueueClass, Order] = field(default_factory=dict[QueueClass, Order])

    def __len__(self) -> int:
        return len(self.jobs)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self.jobs

    def add(self, job: Waiting) -> None:
        """Put a job in its place. One that is there already is put anew."""
        self.remove(job.job_id)
        self.jobs[job.job_id] = job
        _insert(self._lanes.setdefault(lane_of(job), []), (job.rank, job.job_id))
        _insert(self._by_age.setdefault(job.queue_class, []), ((0, job.accepted), job.job_id))

    def remove(self, job_id: str) -> Waiting | None:
        """Take a job out and give it, if it was there."""
        job = self.jobs.get(job_id)
        if job is not None:
            self.pass_over(job)
            del self.jobs[job_id]
        return job

    def pass_over(self, job: Waiting) -> None:
        """Give a job in no answer any more."""
        key = lane_of(job)
        lane = self._lanes[key]
        _take(lane, (job.rank, job.job_id))
        if not lane:
            del self._lanes[key]
        _take(self._by_age[job.queue_class], ((0, job.accepted), job.job_id))

    def keys(self, queue_class: QueueClass) -> list[LaneKey]:
        """Give the lanes of a class that hold a job."""
        return [key for key in self._lanes if key.queue_class is queue_class]

    def first(self, key: LaneKey) -> Waiting | None:
        """Give the job of a lane that goes first."""
        lane = self._lanes.get(key)
        return self.jobs[lane[0][1]] if lane else None

    def head(self, key: LaneKey, most: int) -> Iterator[Waiting]:
        """Give the first jobs of a lane in order."""
        return (self.jobs[job_id] for _, job_id in islice(self._lanes.get(key, ()), most))

    def oldest(self, queue_class: QueueClass, most: int) -> Iterator[Waiting]:
        """Give the jobs of a class that were accepted first, in order."""
        return (self.jobs[job_id] for _, job_id in islice(self._by_age.get(queue_class, ()), most))

    def copy(self, most: int) -> Lanes:
        """Give lanes for a rehearsal: the first of each lane, and the oldest of each class. They know the same jobs:
        nothing but `pass_over` may be done to them.
        """
        return Lanes(
            self.jobs,
            {key: order[:most] for key, order in self._lanes.items()},
            {queue_class: order[:most] for queue_class, order in self._by_age.items()},
        )


def _insert(order: Order, item: tuple[tuple[int, int], str]) -> None:
    """Put an item in its place; most come in order, and a hundred thousand of them when a daemon starts."""
    if order and item < order[-1]:
        bisect.insort(order, item)
    else:
        order.append(item)


def _take(order: Order, item: tuple[tuple[int, int], str]) -> None:
    """Take a job out of an order; in a copy it may be beyond what was copied of one of its two."""
    at = bisect.bisect_left(order, item)
    if order[at : at + 1] == [item]:
        del order[at]
