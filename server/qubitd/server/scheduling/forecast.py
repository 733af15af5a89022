"""When each waiting job may expect to start: the scheduler's own decisions, rehearsed with the estimates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from qubitd.server.scheduling.lanes import LaneKey
from qubitd.server.scheduling.scheduler import Scheduler
from qubitd.server.scheduling.waiting import QueueClass, Window

REHEARSED = 1000
"""Jobs whose start is forecast."""

_TELLING, _STEP, _MOST_STRETCH = 1.0, 0.005, 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a job stands."""

    position: int
    """Jobs that start before it."""
    start: float
    """Expected start, s; infinite if it cannot be told."""


@dataclass(slots=True, kw_only=True)
class Stretch:
    """How much longer waits turn out than rehearsed, since others come meanwhile: the middle of the last hundred or so.

    Each wait moves it by one step, up or down, so that a rare long one counts no more than any other.
    """

    factor: float = 1.0

    def learn(self, *, rehearsed: float, waited: float) -> None:
        """Take in a wait, s; a short one tells nothing."""
        if rehearsed >= _TELLING:
            step = _STEP if waited > rehearsed * self.factor else -_STEP
            self.factor = min(max(self.factor + step, 1.0), _MOST_STRETCH)


def places(
    scheduler: Scheduler,
    *,
    now: float,
    busy_until: float,
    running_session: str = "",
    most: int = REHEARSED,
    last: str | None = None,
) -> dict[str, Place]:
    """Rehearse the queue.

    Args:
        scheduler: as it stands; it is not changed.
        now: s.
        busy_until: when the running job is expected to end, s; now if none runs.
        running_session: the session of the running job; empty if it has none.
        most: jobs that are rehearsed.
        last: id of a job behind which nobody's place matters; None if everybody's does.

    Returns:
        the place of each waiting job that was rehearsed, in the order of their starts.
    """
    rehearsal = scheduler.copy(most)
    found: dict[str, Place] = {}
    at = max(now, busy_until)
    if running_session:
        rehearsal.windows = _after_job(rehearsal, running_session, at)
    while len(found) < min(most, len(scheduler.lanes)) and last not in found:
        decision = rehearsal.decide(at)
        if decision.job_id is None:
            if not math.isfinite(decision.look_again):
                break
            at = max(decision.look_again, math.nextafter(at, math.inf))
            continue
        job = scheduler.lanes.jobs[decision.job_id]
        rehearsal.lanes.pass_over(job)
        found[job.job_id] = Place(position=len(found), start=at)
        at += job.estimate
        rehearsal.shares.add(job.project, job.estimate, at=at)
        if job.queue_class is QueueClass.SESSION:
            rehearsal.windows = _after_job(rehearsal, job.session, at)
    return found


def _after_job(scheduler: Scheduler, session: str, at: float) -> list[Window]:
    """Give the sessions as a job of one leaves them: that holds the rack while more of it wait, or for its patience."""
    is_last = scheduler.lanes.first(LaneKey(queue_class=QueueClass.SESSION, session=session)) is None
    return [_held(window, at, is_last) if window.session == session else window for window in scheduler.windows]


def _held(window: Window, at: float, is_last: bool) -> Window:
    ends = window.holds_until if window.holds_until > at else at + window.needs
    return replace(window, holds_until=min(ends, at + window.patience) if is_last else ends)
