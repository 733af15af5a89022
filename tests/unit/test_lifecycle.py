"""A job's states: the table is complete, final states are final, and an illegal step tells the story so far."""

from __future__ import annotations

import itertools

import pytest

from qubitd.core.job import JobStatus
from qubitd.server.errors import IllegalTransitionError
from qubitd.server.jobs.lifecycle import TRANSITIONS, Lifecycle, Trigger


def test_a_good_job_passes_through_every_state_in_order() -> None:
    job = Lifecycle(job_id="j")
    path = [job.apply(t) for t in (Trigger.VALIDATE, Trigger.QUEUE, Trigger.START, Trigger.FINISH)]
    assert path == [JobStatus.VALIDATING, JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE]
    assert job.version == 4


@pytest.mark.parametrize("status", [status for status in JobStatus if status.is_final])
def test_no_trigger_leaves_a_final_state(status: JobStatus) -> None:
    assert not any(Lifecycle(job_id="j", status=status).allows(trigger) for trigger in Trigger)


@pytest.mark.parametrize("status", [status for status in JobStatus if not status.is_final])
def test_every_other_state_can_fail_and_can_be_given_up(status: JobStatus) -> None:
    job = Lifecycle(job_id="j", status=status)
    assert job.allows(Trigger.FAIL)
    assert job.allows(Trigger.STOP if status is JobStatus.RUNNING else Trigger.CANCEL)


def test_every_state_is_reached_from_the_first() -> None:
    reached = {JobStatus.INITIALIZING}
    for _ in JobStatus:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    assert reached == set(JobStatus)


@pytest.mark.parametrize(
    ("status", "trigger"), [pair for pair in itertools.product(JobStatus, Trigger) if pair not in TRANSITIONS]
)
def test_an_illegal_step_changes_nothing(status: JobStatus, trigger: Trigger) -> None:
    job = Lifecycle(job_id="j", status=status, version=3)
    with pytest.raises(IllegalTransitionError):
        job.apply(trigger)
    assert (job.status, job.version) == (status, 3)


def test_an_illegal_step_tells_the_story_so_far() -> None:
    job = Lifecycle(job_id="j")
    job.apply(Trigger.VALIDATE)
    job.apply(Trigger.QUEUE)
    with pytest.raises(IllegalTransitionError, match=r"so far: INITIALIZING -> validate: VALIDATING -> queue"):
        job.apply(Trigger.FINISH)
