"""Which job runs next: a pure value without clock or I/O. The order is total, so every job has a position.

Rank is a tuple compared from the left; today it is the order of acceptance alone, and a job put back keeps its rank.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Rank:
    """What decides the order; lower goes first."""

    accepted: int
    """Position in the store's order of acceptance."""


class JobQueue:
    """Jobs that could run now, by rank."""

    def __init__(self) -> None:
        self._order: list[tuple[Rank, str]] = []
        self._rank_of: dict[str, Rank] = {}

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._rank_of

    def add(self, job_id: str, rank: Rank) -> None:
        """Put a job in its place. A job that is in the queue already stays where it is."""
        if job_id not in self._rank_of:
            self._rank_of[job_id] = rank
            bisect.insort(self._order, (rank, job_id))

    def remove(self, job_id: str) -> bool:
        """Take a job out; whether it was there."""
        rank = self._rank_of.pop(job_id, None)
        if rank is None:
            return False
        del self._order[bisect.bisect_left(self._order, (rank, job_id))]
        return True

    def next(self) -> str | None:
        """Give the job that runs next, and leave it in its place."""
        return self._order[0][1] if self._order else None

    def position(self, job_id: str) -> int | None:
        """Give how many jobs run before this one; None if it is not queued."""
        rank = self._rank_of.get(job_id)
        return None if rank is None else bisect.bisect_left(self._order, (rank, job_id))
