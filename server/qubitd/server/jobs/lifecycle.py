"""A job's states. A trigger that the table does not list for a state is our mistake and raises with the story so
far.

States are the user's (Qiskit's): INITIALIZING is accepted and durable, VALIDATING decodes, checks and schedules,
QUEUED waits for the rack, RUNNING holds it. A cancel ends a waiting job at once; a running one by STOP at its next
chunk boundary.
"""

from __future__ import annotations

import enum

from qubitd.core.job import JobStatus
from qubitd.server.errors import IllegalTransitionError


class Trigger(enum.Enum):
    """What happens to a job."""

    VALIDATE = "validate"
    """It is decoded, checked and scheduled; again if the Target changed while it was queued."""
    QUEUE = "queue"
    """It can run and waits for the rack."""
    START = "start"
    """The rack is its own."""
    PUT_BACK = "put back"
    """It leaves the rack at a chunk boundary, since others need it or the daemon stops, and goes on from there."""
    RESUME = "resume"
    """The daemon died while it ran; the job goes on from its last chunk."""
    FINISH = "finish"
    """Every result is durable."""
    CANCEL = "cancel"
    """Its owner gave it up while it waited."""
    STOP = "stop"
    """Its owner gave it up while it ran, and the running chunk has ended."""
    FAIL = "fail"
    """It cannot run, or a fault ended it."""


_S, _T = JobStatus, Trigger

TRANSITIONS: dict[tuple[JobStatus, Trigger], JobStatus] = {
    (_S.INITIALIZING, _T.VALIDATE): _S.VALIDATING,
    (_S.INITIALIZING, _T.CANCEL): _S.CANCELLED,
    (_S.INITIALIZING, _T.FAIL): _S.ERROR,
    (_S.VALIDATING, _T.QUEUE): _S.QUEUED,
    (_S.VALIDATING, _T.CANCEL): _S.CANCELLED,
    (_S.VALIDATING, _T.FAIL): _S.ERROR,
    (_S.QUEUED, _T.VALIDATE): _S.VALIDATING,
    (_S.QUEUED, _T.START): _S.RUNNING,
    (_S.QUEUED, _T.CANCEL): _S.CANCELLED,
    (_S.QUEUED, _T.FAIL): _S.ERROR,
    (_S.RUNNING, _T.PUT_BACK): _S.QUEUED,
    (_S.RUNNING, _T.RESUME): _S.QUEUED,
    (_S.RUNNING, _T.FINISH): _S.DONE,
    (_S.RUNNING, _T.STOP): _S.CANCELLED,
    (_S.RUNNING, _T.FAIL): _S.ERROR,
}


class Lifecycle:
    """Where one job stands. `version` counts its changes, so that the store can tell a late write."""

    def __init__(self, *, job_id: str, status: JobStatus = JobStatus.INITIALIZING, version: int = 0) -> None:
        self.job_id = job_id
        self.status = status
        self.version = version
        self._story = [status.value]

    def allows(self, trigger: Trigger) -> bool:
        """Whether the trigger is legal now."""
        return (self.status, trigger) in TRANSITIONS

    def apply(self, trigger: Trigger) -> JobStatus:
        """Move on and give the new state.

        Raises:
            IllegalTransitionError: the state does not allow it.
        """
        after = TRANSITIONS.get((self.status, trigger))
        if after is None:
            raise IllegalTransitionError(
                job_id=self.job_id, status=self.status.value, trigger=trigger.value, story=self._story
            )
        self._story.append(f"{trigger.value}: {after.value}")
        self.status = after
        self.version += 1
        return after
