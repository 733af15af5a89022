"""A job as it stands, and what happens to it <-> messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import assert_never

from qubitd.core.errors import Problem
from qubitd.core.job import JobStatus, ProgramResult
from qubitd.v1 import jobs_pb2
from qubitd.wire.errors import decode_problems, encode_problem, malformed
from qubitd.wire.parsing import check_finite
from qubitd.wire.results import decode_results

MAX_LISTED_PROBLEMS = 100
MAX_WATCHED = 1000
"""Jobs of one watch."""

STATUS_NUMBER = {
    JobStatus.INITIALIZING: jobs_pb2.STATUS_INITIALIZING,
    JobStatus.VALIDATING: jobs_pb2.STATUS_VALIDATING,
    JobStatus.QUEUED: jobs_pb2.STATUS_QUEUED,
    JobStatus.RUNNING: jobs_pb2.STATUS_RUNNING,
    JobStatus.DONE: jobs_pb2.STATUS_DONE,
    JobStatus.CANCELLED: jobs_pb2.STATUS_CANCELLED,
    JobStatus.ERROR: jobs_pb2.STATUS_ERROR,
}
"""The wire's number of each state."""
_STATUS_OF: dict[int, JobStatus] = {number: status for status, number in STATUS_NUMBER.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """One stage that a job passed through."""

    stage: str
    """Such as `accepted`, `checked`, `queued`, `started`, `uploaded`, `fetched`, `done`."""
    time_ns: int
    """When it began, ns since 1970-01-01 UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlace:
    """Where a queued job stands. It changes without a trace: it is told as it is now, and never stored."""

    position: int
    """Jobs that are expected to start before it."""
    expected_start_ns: int
    """When it is expected to start, ns since 1970-01-01 UTC; 0 if that cannot be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSpent:
    """Wall time that a job spent on one activity, while it held the rack or for what was kept until then."""

    activity: str
    """`compile`, `assemble`, `ahead`, `upload`, `run`, `fetch`, `discriminate`, `record`; or `idle`: lost between
    chunks.
    """
    seconds: float
    """Added up over chunks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it stands."""

    job_id: str
    backend: str
    status: JobStatus
    message: str = ""
    """Why it ended, for ERROR and CANCELLED."""
    problems: tuple[Problem, ...] = ()
    """Where its input failed, for ERROR."""
    revision: int = 0
    """Calibration revision that it runs or ran under; 0 before it starts."""
    shots: int
    num_circuits: int
    num_programs: int
    """Circuits x bindings x grid points."""
    tags: tuple[str, ...] = ()
    timeline: tuple[StageTime, ...] = ()
    last_sequence: int
    """Sequence number of its newest event."""
    created_ns: int
    """When it was accepted, ns since 1970-01-01 UTC."""
    instrument_seconds: float = 0.0
    client_data: bytes = b""
    """What its client wanted to have back; empty in a list of jobs."""
    session_id: str = ""
    """The session that it belongs to; empty if there is none."""
    queue: QueuePlace | None = None
    """Where it stands, while it is queued."""
    spent: tuple[TimeSpent, ...] = ()
    """Where its time on the rack went, as far as its chunks are durable."""
    submitted_to: str = ""
    """The backend that it was submitted to, if another one took it over; empty if not."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What came of a job that is DONE, where it is small."""

    job_id: str
    backend: str
    """The one that ran it."""
    revision: int
    """Calibration revision that it ran under."""
    shots: int
    """Of each program."""
    instrument_seconds: float
    results: tuple[ProgramResult, ...]
    """All of them, in the order in which they became durable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """The state changed."""

    status: JobStatus
    message: str = ""
    """Why, for ERROR and CANCELLED."""
    outcome: Outcome | None = field(default=None, compare=False)
    """For DONE, if the watch asked for it and it is small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSpan:
    """Some shots of some programs of a job, and when they were played: together, one program after another in each
    shot.
    """

    first_program: int
    """(Circuits and bindings before it) * grid points + point."""
    programs: int
    first_shot: int
    shots: int
    """Of each program."""
    began_ns: int
    """When the instruments were started, ns since 1970-01-01 UTC."""
    ended_ns: int
    """When their end was seen, ns since 1970-01-01 UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A part of the result became durable."""

    done: int
    """Programs x shots that are durable."""
    total: int
    """Programs x shots in all."""
    span: ExecutionSpan | None = None
    """What became durable; None of jobs that ran before this was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """Something the owner should read, such as a rounded delay."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark:
    """Where a watch of many jobs stands. It is told as it is now, and never stored."""


Happening = StatusChange | StageTime | Progress | LogLine
"""What is kept of a job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One event of a job."""

    sequence: int
    """Counts up; never given twice, save to a `QueuePlace`, which has that of the event before it."""
    time_ns: int
    """When it happened, ns since 1970-01-01 UTC."""
    what: Happening | QueuePlace | Bookmark
    job_id: str = ""
    """The job that it is of, in a watch of many."""


def decode_status(number: int) -> JobStatus:
    """Read a state.

    Raises:
        MalformedMessageError: there is no such state.
    """
    try:
        return _STATUS_OF[number]
    except KeyError:
        raise malformed("status", f"is {number}, which names no state; the other end may be newer") from None


def encode_job(job: Job) -> jobs_pb2.Job:
    """Give the message of a job as it stands in a list, without its client's data."""
    return jobs_pb2.Job(
        job_id=job.job_id,
        backend=job.backend,
        status=STATUS_NUMBER[job.status],
        message=job.message,
        revision=job.revision,
        shots=job.shots,
        num_circuits=job.num_circuits,
        num_programs=job.num_programs,
        tags=job.tags,
        timeline=[jobs_pb2.StageTime(stage=s.stage, time_ns=s.time_ns) for s in job.timeline],
        last_sequence=job.last_sequence,
        created_ns=job.created_ns,
        instrument_seconds=job.instrument_seconds,
        spent=[jobs_pb2.TimeSpent(activity=s.activity, seconds=s.seconds) for s in job.spent],
        problems=[encode_problem(problem) for problem in job.problems[:MAX_LISTED_PROBLEMS]],
        session_id=job.session_id,
        submitted_to=job.submitted_to,
        queue=None if job.queue is None else _encode_place(job.queue),
    )


def encode_job_answer(job: Job) -> jobs_pb2.JobsGetResponse:
    """Give the answer of Get: the job with what its client wanted to have back."""
    return jobs_pb2.JobsGetResponse(job=encode_job(job), client_data=job.client_data)


def decode_job_answer(message: jobs_pb2.JobsGetResponse) -> Job:
    """Read the answer of Get.

    Raises:
        MalformedMessageError: as `decode_job`.
    """
    return replace(decode_job(message.job), client_data=message.client_data)


def decode_job(message: jobs_pb2.Job) -> Job:
    """Read a job as it stands in a list, without its client's data.

    Raises:
        MalformedMessageError: its state is unknown, or a number is not finite.
    """
    return Job(
        job_id=message.job_id,
        backend=message.backend,
        status=decode_status(message.status),
        message=message.message,
        problems=decode_problems(message.problems),
        revision=message.revision,
        shots=message.shots,
        num_circuits=message.num_circuits,
        num_programs=message.num_programs,
        tags=tuple(message.tags),
        timeline=tuple(StageTime(stage=s.stage, time_ns=s.time_ns) for s in message.timeline),
        last_sequence=message.last_sequence,
        created_ns=message.created_ns,
        instrument_seconds=check_finite(message.instrument_seconds, where="instrument_seconds"),
        spent=tuple(
            TimeSpent(activity=s.activity, seconds=check_finite(s.seconds, where=s.activity)) for s in message.spent
        ),
        session_id=message.session_id,
        submitted_to=message.submitted_to,
        queue=_decode_place(message.queue) if message.HasField("queue") else None,
    )


def encode_events(events: Iterable[JobEvent]) -> jobs_pb2.JobsWatchResponse:
    """Give the message of events that come together."""
    message = jobs_pb2.JobsWatchResponse()
    for event in events:
        _write_event(message.events.add(), event)
    return message


def decode_events(message: jobs_pb2.JobsWatchResponse) -> tuple[JobEvent, ...]:
    """Read events that came together.

    Raises:
        MalformedMessageError: one of them says nothing that this end knows.
    """
    job_id = message.job_id
    return tuple([decode_event(event, job_id=job_id) for event in message.events])


def tells_an_end(events: Iterable[JobEvent]) -> bool:
    """Whether a job's last state is among these."""
    return any(isinstance(event.what, StatusChange) and event.what.status.is_final for event in events)


def encode_event(event: JobEvent) -> jobs_pb2.JobEvent:
    """Give the message of an event."""
    message = jobs_pb2.JobEvent()
    _write_event(message, event)
    return message


def _write_event(message: jobs_pb2.JobEvent, event: JobEvent) -> None:
    """Write an event into its message in place: what is put there as a message of its own is copied."""
    message.sequence, message.time_ns, message.job_id = event.sequence, event.time_ns, event.job_id
    match event.what:
        case StageTime(stage=stage, time_ns=time_ns):
            own = message.stage
            own.SetInParent()
            own.stage, own.time_ns = stage, time_ns
        case StatusChange(status=status, message=text):
            message.status.SetInParent()
            message.status.status, message.status.message = STATUS_NUMBER[status], text
        case Progress() as progress:
            _write_progress(message.progress, progress)
        case LogLine(text=text):
            message.log.CopyFrom(jobs_pb2.LogLine(text=text))
        case QueuePlace() as place:
            message.queue.CopyFrom(_encode_place(place))
        case Bookmark():
            message.bookmark.SetInParent()
        case _:
            assert_never(event.what)


def decode_event(message: jobs_pb2.JobEvent, *, job_id: str = "") -> JobEvent:
    """Read an event, of this job if it does not say of which it is.

    Raises:
        MalformedMessageError: it says nothing that this end knows.
    """
    return JobEvent(
        sequence=message.sequence,
        time_ns=message.time_ns,
        what=_decode_happening(message),
        job_id=job_id or message.job_id,
    )


def _decode_happening(message: jobs_pb2.JobEvent) -> Happening | QueuePlace | Bookmark:
    match message.WhichOneof("event"):
        case "status":
            return _decode_change(message.status)
        case "stage":
            return StageTime(stage=message.stage.stage, time_ns=message.stage.time_ns)
        case "progress":
            return _decode_progress(message.progress)
        case "log":
            return LogLine(text=message.log.text)
        case "queue":
            return _decode_place(message.queue)
        case "bookmark":
            return Bookmark()
        case None:
            raise malformed(f"event {message.sequence}", "says nothing that this end knows; the other end may be newer")


def encode_outcome(
    *, job_id: str, backend: str, revision: int, shots: int, instrument_seconds: float, results: bytes
) -> jobs_pb2.Outcome:
    """Give the message of what came of a job.

    Args:
        job_id: the job.
        backend: that ran it.
        revision: calibration revision that it ran under.
        shots: of each program.
        instrument_seconds: that it took.
        results: all of them as one `ResultsResponse`.
    """
    return jobs_pb2.Outcome(
        job_id=job_id,
        backend=backend,
        revision=revision,
        shots=shots,
        instrument_seconds=instrument_seconds,
        results=jobs_pb2.ResultsResponse.FromString(results),
    )


def _decode_change(message: jobs_pb2.StatusChange) -> StatusChange:
    outcome = _decode_outcome(message.outcome) if message.HasField("outcome") else None
    return StatusChange(status=decode_status(message.status), message=message.message, outcome=outcome)


def _decode_outcome(message: jobs_pb2.Outcome) -> Outcome:
    return Outcome(
        job_id=message.job_id,
        backend=message.backend,
        revision=message.revision,
        shots=message.shots,
        instrument_seconds=check_finite(message.instrument_seconds, where="instrument_seconds"),
        results=tuple(decode_results(message.results.SerializeToString())),
    )


def _write_progress(message: jobs_pb2.Progress, progress: Progress) -> None:
    message.SetInParent()
    message.done, message.total = progress.done, progress.total
    if progress.span is not None:
        message.span.SetInParent()
        for name in ExecutionSpan.__slots__:
            setattr(message.span, name, getattr(progress.span, name))


def _decode_progress(message: jobs_pb2.Progress) -> Progress:
    span = _decode_span(message.span) if message.HasField("span") else None
    return Progress(done=message.done, total=message.total, span=span)


def _decode_span(message: jobs_pb2.ExecutionSpan) -> ExecutionSpan:
    return ExecutionSpan(
        first_program=message.first_program,
        programs=message.programs,
        first_shot=message.first_shot,
        shots=message.shots,
        began_ns=message.began_ns,
        ended_ns=message.ended_ns,
    )


def _encode_place(place: QueuePlace) -> jobs_pb2.QueuePlace:
    return jobs_pb2.QueuePlace(position=place.position, expected_start_ns=place.expected_start_ns)


def _decode_place(message: jobs_pb2.QueuePlace) -> QueuePlace:
    return QueuePlace(position=message.position, expected_start_ns=message.expected_start_ns)
