"""When each waiting job may expect to start: the scheduler's own decisions, rehearsed with the estimates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qubitd.server.scheduling.scheduler import Scheduler

REHEARSED = 1000
"""Jobs whose start is forecast; those behind them are told the last one's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a job stands."""

    position: int
    """Jobs that start before it."""
    start: float
    """Expected start, s; infinite if it cannot be told."""


def places(scheduler: Scheduler, *, now: float, busy_until: float, most: int = REHEARSED) -> dict[str, Place]:
    """Rehearse the queue.

    Args:
        scheduler: as it stands; it is not changed.
        now: s.
        busy_until: when the running job is expected to end, s; now if none runs.
        most: jobs that are rehearsed.

    Returns:
        the place of each waiting job that was rehearsed, in the order of their starts.
    """
    rehearsal = scheduler.copy()
    found: dict[str, Place] = {}
    at = max(now, busy_until)
    while len(rehearsal.lanes) and len(found) < most:
        decision = rehearsal.decide(at)
        if decision.job_id is None:
            if not math.isfinite(decision.look_again):
                break
            at = max(decision.look_again, math.nextafter(at, math.inf))
            continue
        job = rehearsal.lanes.jobs[decision.job_id]
        rehearsal.lanes.remove(job.job_id)
        found[job.job_id] = Place(position=len(found), start=at)
        at += job.estimate
        rehearsal.shares.add(job.project, job.estimate, at=at)
    return found
