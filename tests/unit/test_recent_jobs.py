"""What is kept in memory of jobs: all of a job or nothing, of few jobs, and of none with much to tell."""

from __future__ import annotations

from qubitd.core.job import JobStatus
from qubitd.server.store.rows import Accepted
from qubitd.server.watching import recent_jobs
from qubitd.server.watching.recent_jobs import Ended, RecentJobs
from qubitd.wire.jobs import JobEvent, LogLine, StageTime, StatusChange

TAKEN = JobEvent(sequence=7, time_ns=1, what=StatusChange(status=JobStatus.INITIALIZING))
STAGE = JobEvent(sequence=8, time_ns=2, what=StageTime(stage="decoding", time_ns=2))
DONE = JobEvent(sequence=11, time_ns=3, what=StatusChange(status=JobStatus.DONE))


def taken(job_id: str) -> Accepted:
    return Accepted(job_id=job_id, number=5, is_new=True, events=(TAKEN,))


def test_a_job_is_told_from_any_of_its_events_on_with_and_without_stages() -> None:
    recent = RecentJobs()
    recent.begin("ann", taken("a"))
    assert not recent.is_over("a")
    recent.add("a", [STAGE, DONE])
    assert recent.is_over("a")
    assert recent.events("a", after=0, stages=True, most=9) == [TAKEN, STAGE, DONE]
    assert recent.events("a", after=0, stages=False, most=9) == [TAKEN, DONE]
    assert recent.events("a", after=7, stages=True, most=9) == [STAGE, DONE]
    assert recent.events("a", after=7, stages=True, most=1) == [STAGE]
    assert recent.events("a", after=7, stages=False, most=1) == [DONE]
    assert recent.events("a", after=11, stages=True, most=9) == []


def test_what_came_of_a_job_is_told_until_something_follows_or_it_is_forgotten() -> None:
    recent, ended = RecentJobs(), Ended(backend="b", revision=1, shots=2, instrument_seconds=0.5, pieces=[b"x"])
    recent.begin("ann", taken("a"))
    recent.add("a", [DONE], ended=ended)
    assert recent.ended("a") is ended
    recent.forget("a")
    assert recent.ended("a") is None
    assert recent.events("a", after=0, stages=True, most=9) is None


def test_a_job_that_began_before_is_not_here_whatever_is_written_of_it() -> None:
    recent = RecentJobs()
    recent.add("a", [DONE])
    assert recent.events("a", after=0, stages=True, most=9) is None


def test_the_oldest_job_makes_way_and_one_with_much_to_tell_is_left_to_the_store() -> None:
    recent = RecentJobs()
    for number in range(recent_jobs._MOST_JOBS + 1):
        recent.begin("ann", taken(str(number)))
    assert recent.events("0", after=0, stages=True, most=9) is None
    assert recent.events("1", after=0, stages=True, most=9) == [TAKEN]
    lines = [JobEvent(sequence=8 + i, time_ns=2, what=LogLine(text="")) for i in range(recent_jobs._MOST_EVENTS)]
    recent.add("1", lines)
    assert recent.events("1", after=0, stages=True, most=9) is None


def test_a_job_is_unread_until_that_is_noted_and_its_number_is_given_to_its_owner_until_then() -> None:
    recent = RecentJobs()
    assert recent.is_unread("a") is None
    recent.note_read("a")
    recent.begin("ann", taken("a"))
    assert recent.is_unread("a") is None
    assert (recent.number("a", owner="ann"), recent.number("a", owner="bob")) == (5, None)
    recent.add("a", [DONE])
    assert recent.is_unread("a")
    recent.note_read("a")
    assert recent.is_unread("a") is False
    assert recent.number("a", owner="ann") is None
