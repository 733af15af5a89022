"""What becomes of the jobs that an earlier process left behind: a decision for each, without I/O.

A job that was running ends with the place it reached, since nobody knows what the chip did after that; its finished
chunks stay readable. All others go on where they were.
"""

from __future__ import annotations

from collections.abc import Sequence

from qubitd.core.job import JobStatus
from qubitd.server.jobs.lifecycle import Trigger
from qubitd.server.queueing.book import Entry, Move
from qubitd.server.store.rows import ChunkRow

MAX_INTERRUPTIONS = 3
"""Interruptions of a job that asked to go on after one: the last of them ends it."""


def interrupted(entry: Entry, kept: Sequence[ChunkRow], *, before: int = 0) -> Move | None:
    """Give the step of a job that the daemon's death interrupted; None for one that goes on.

    Args:
        entry: the job.
        kept: its chunks that are durable.
        before: how often it had been interrupted already; that it left the rack for others does not count.
    """
    if entry.status is not JobStatus.RUNNING:
        return None
    program, shot = _reached(kept, entry.shots)
    if entry.terms.rerun_on_interrupt and before + 1 < MAX_INTERRUPTIONS and not entry.cancelling:
        return Move(trigger=Trigger.RESUME)
    where = f"interrupted at program {program}, shot {shot}, attempt {entry.attempt}"
    if entry.cancelling:
        return Move(trigger=Trigger.STOP, message=f"cancelled by its owner, then {where}")
    return Move(
        trigger=Trigger.FAIL,
        message=f"{where}; the daemon was stopped while the job ran. Finished parts of the result stay readable; "
        f"submit the job again for the rest",
    )


def _reached(kept: Sequence[ChunkRow], shots: int) -> tuple[int, int]:
    """The first program and shot that no kept chunk holds: where the chunk that was running began, at the least."""
    if not kept:
        return 0, 0
    last = kept[-1].span
    shot = last.first_shot + last.shots
    return (last.first_program, shot) if shot < shots else (last.first_program + last.programs, 0)
