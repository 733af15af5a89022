"""What becomes of a job when the daemon died: it goes on, or it ends with the place it reached."""

from __future__ import annotations

import pytest

from qubitd.core.job import JobStatus
from qubitd.server.jobs.lifecycle import Lifecycle, Trigger
from qubitd.server.queueing.book import Entry
from qubitd.server.queueing.recovery import interrupted
from qubitd.server.store.rows import ChunkRow, Span
from qubitd.wire.terms import JobTerms


def entry(status: JobStatus, *, cancelling: bool = False, attempt: int = 2, rerun: bool = False) -> Entry:
    return Entry(
        number=1,
        lifecycle=Lifecycle(job_id="j", status=status),
        shots=1000,
        owner="me",
        backend="line5",
        terms=JobTerms(rerun_on_interrupt=rerun),
        since=0.0,
        attempt=attempt,
        cancelling=cancelling,
    )


Columns = tuple[int, int, int, int]


def kept(*spans: Columns) -> list[ChunkRow]:
    return [
        ChunkRow(
            n=n,
            span=Span(first_program=first, programs=programs, first_shot=shot, shots=shots),
            pieces=1,
            digest="",
        )
        for n, (first, programs, shot, shots) in enumerate(spans)
    ]


@pytest.mark.parametrize("status", [JobStatus.INITIALIZING, JobStatus.VALIDATING, JobStatus.QUEUED])
def test_a_job_that_waited_goes_on(status: JobStatus) -> None:
    assert interrupted(entry(status), []) is None


@pytest.mark.parametrize(
    ("chunks", "place"),
    [
        ((), "program 0, shot 0"),
        (((0, 4, 0, 600),), "program 0, shot 600"),
        (((0, 4, 0, 600), (0, 4, 600, 400)), "program 4, shot 0"),
        (((0, 4, 0, 1000), (4, 2, 0, 300)), "program 4, shot 300"),
    ],
)
def test_a_job_that_ran_ends_with_the_place_it_reached(
    chunks: tuple[tuple[int, int, int, int], ...], place: str
) -> None:
    move = interrupted(entry(JobStatus.RUNNING), kept(*chunks))
    assert move is not None
    assert move.trigger is Trigger.FAIL
    assert move.message.startswith(f"interrupted at {place}, attempt 2;")


def test_a_job_that_was_being_cancelled_ends_cancelled() -> None:
    move = interrupted(entry(JobStatus.RUNNING, cancelling=True), [])
    assert move is not None
    assert move.trigger is Trigger.STOP
    assert "cancelled by its owner" in move.message


def test_a_job_that_asked_for_it_goes_on_but_not_for_ever() -> None:
    move = interrupted(entry(JobStatus.RUNNING, rerun=True), [])
    assert move is not None
    assert move.trigger is Trigger.RESUME
    second = interrupted(entry(JobStatus.RUNNING, rerun=True), [], before=1)
    assert second is not None
    assert second.trigger is Trigger.RESUME
    third = interrupted(entry(JobStatus.RUNNING, rerun=True), [], before=2)
    assert third is not None
    assert third.trigger is Trigger.FAIL
    often_preempted = interrupted(entry(JobStatus.RUNNING, rerun=True, attempt=9), [])
    assert often_preempted is not None
    assert often_preempted.trigger is Trigger.RESUME
    given_up = interrupted(entry(JobStatus.RUNNING, rerun=True, cancelling=True), [])
    assert given_up is not None
    assert given_up.trigger is Trigger.STOP
