"""Places at which a daemon or a worker can be made to die, so that tests see what the next one makes of it.

Nothing happens unless a point is armed. `arm` is called by the command line alone, if the environment asks for it.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

POINTS = (
    "commit.begin",
    "commit.before",
    "commit.after",
    "blob.written",
    "blob.renamed",
    "blob.rowed",
    "blob.removing",
    "job.accepting",
    "job.accepted",
    "job.validating",
    "job.queued",
    "job.starting",
    "job.started",
    "job.ending",
    "job.deleted",
    "chunk.assembled",
    "chunk.loading",
    "chunk.running",
    "chunk.fetched",
    "chunk.recording",
    "chunk.recorded",
    "cancel.noted",
    "revision.committed",
    "session.written",
    "upload.piece",
    "upload.whole",
    "copy.made",
    "copy.named",
    "recovery.begun",
    "recovery.done",
    "drain.begun",
    "drain.done",
)
"""In no order; each is somewhere in the daemon."""
GROUP_POINTS = ("backend.owned", "job.passed", "errands.run", "errands.done", "job.moved")
"""Those that only a daemon reaches which shares its store with others."""

WORK_POINTS = ("worker.there", "work.claimed", "work.begun", "work.done", "work.answered", "worker.leaving")
"""Those that a worker reaches."""


@dataclass(slots=True)
class _Armed:
    point: str = ""
    left: int = 0
    """Times that it is still to be reached."""


_armed = _Armed()


def arm(text: str) -> None:
    """Die when a point is reached: `name`, or `name@n` for the n-th time.

    Raises:
        ValueError: there is no such point.
    """
    point, _, times = text.partition("@")
    known = (*POINTS, *GROUP_POINTS, *WORK_POINTS)
    if point not in known:
        raise ValueError(f"there is no failpoint {point!r}; there are {', '.join(known)}")
    _armed.point, _armed.left = point, int(times or 1)


def failpoint(point: str) -> None:
    """Die here as a power cut would have it, if this is the point that is armed."""
    if _armed.point == point:
        _armed.left -= 1
        if _armed.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
