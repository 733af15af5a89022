"""A daemon of a few canned answers, in this process: it notes what it was asked, and refuses or cuts as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import TypeVar

import grpc
import numpy as np

from qubitd.client import JobEvent, StatusChange
from qubitd.core.job import JobStatus, ProgramResult
from qubitd.core.plan import JobPlan
from qubitd.core.snapshot import Parameter, Snapshot
from qubitd.v1 import backends_pb2, backends_pb2_grpc, calibrations_pb2, calibrations_pb2_grpc, jobs_pb2, jobs_pb2_grpc
from qubitd.wire.calibrations import encode_parameter, encode_revision, encode_snapshot, revision_of
from qubitd.wire.errors import DETAILS_KEY, Refusal, encode_refusal
from qubitd.wire.jobs import Job, encode_events, encode_job, encode_job_answer
from qubitd.wire.plans import encode_plan
from qubitd.wire.results import ResultsWriter

MessageT = TypeVar("MessageT")
Context = grpc.ServicerContext
STORY = [JobStatus.INITIALIZING, JobStatus.VALIDATING, JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE]
EVENTS = [JobEvent(sequence=3 * i + 1, time_ns=i, what=StatusChange(status=s)) for i, s in enumerate(STORY)]
PIECES = [ProgramResult(program=0, first_shot=i, shots=1, bits=np.array([[i]], dtype=np.uint8)) for i in range(6)]
BASE = Snapshot(
    revision=4,
    parent=3,
    author="local",
    message="m",
    created_at=5,
    parameters={"q0.t1": Parameter(name="q0.t1", value=1e-4, unit="s")},
)
JOB = Job(
    job_id="j1",
    backend="line5",
    status=JobStatus.RUNNING,
    shots=10,
    num_circuits=1,
    num_programs=1,
    last_sequence=9,
    created_ns=1,
    client_data=b"names",
)
PLAN = JobPlan(programs=(), memories=(), upload_bytes=1, instrument_seconds=2.0, queue_length=3, revision=4)


@dataclass
class Daemon:
    """What the canned answers share: notes what it was asked, and how calls end."""

    asked: list[object] = field(default_factory=list)
    refuse: Refusal | None = None
    """How the next calls end."""
    cut_after: int = 1_000
    """Messages after which a stream is cut."""
    hold: threading.Event | None = None
    """What a stream waits for after its last message; set when its client has left."""

    forgets: bool = False
    """Whether tables that are named are missing."""

    def note(self, request: object, context: Context) -> None:
        self.asked.append(request)
        if self.forgets and isinstance(request, jobs_pb2.SubmitRequest) and request.spec.batch.value_table.sha256:
            missing = (request.spec.batch.value_table.sha256,)
            self.refuse, self.forgets = Refusal(code=9, message="not here", missing_tables=missing), False
            try:
                self.note(request, context)
            finally:
                self.refuse = None
                self.asked.pop()
        if self.refuse is not None:
            code = next(c for c in grpc.StatusCode if c.value[0] == self.refuse.code)
            context.set_trailing_metadata(((DETAILS_KEY, encode_refusal(self.refuse)),))
            context.abort(code, self.refuse.message)

    def stream(self, request: object, messages: Iterable[MessageT], context: Context) -> Iterator[MessageT]:
        self.note(request, context)
        if self.hold is not None:
            context.add_callback(self.hold.set)
        for sent, message in enumerate(messages):
            if sent == self.cut_after:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the daemon stops")
            yield message
        if self.hold is not None:
            self.hold.wait()


class Jobs(jobs_pb2_grpc.JobsServicer):
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def Submit(self, request: jobs_pb2.SubmitRequest, context: Context) -> jobs_pb2.SubmitResponse:
        self.daemon.note(request, context)
        return jobs_pb2.SubmitResponse(job_id="j1")

    def Upload(self, request_iterator: Iterator[jobs_pb2.UploadRequest], context: Context) -> jobs_pb2.UploadResponse:
        received = sum(len(request.piece.data) for request in request_iterator)
        return jobs_pb2.UploadResponse(received=received)

    def Get(self, request: jobs_pb2.JobsGetRequest, context: Context) -> jobs_pb2.JobsGetResponse:
        self.daemon.note(request, context)
        return encode_job_answer(JOB)

    def List(self, request: jobs_pb2.JobsListRequest, context: Context) -> jobs_pb2.JobsListResponse:
        self.daemon.note(request, context)
        more = "" if request.page_token else "next"
        return jobs_pb2.JobsListResponse(jobs=[encode_job(JOB)] * min(request.page_size, 2), next_page_token=more)

    def Watch(self, request: jobs_pb2.JobsWatchRequest, context: Context) -> Iterator[jobs_pb2.JobsWatchResponse]:
        # One event too many, which the client must not give twice.
        new = [event for event in EVENTS if event.sequence >= request.after_sequence]
        groups = [new[n : n + 2] for n in range(0, len(new), 2)]
        yield from self.daemon.stream(request, map(encode_events, groups), context)

    def Results(self, request: jobs_pb2.ResultsRequest, context: Context) -> Iterator[jobs_pb2.ResultsResponse]:
        answers = [jobs_pb2.ResultsResponse.FromString(ResultsWriter().write(piece)) for piece in PIECES]
        yield from self.daemon.stream(request, answers[request.skip :], context)

    def Cancel(self, request: jobs_pb2.JobsCancelRequest, context: Context) -> jobs_pb2.JobsCancelResponse:
        self.daemon.note(request, context)
        return jobs_pb2.JobsCancelResponse(status=jobs_pb2.STATUS_CANCELLED)

    def Explain(self, request: jobs_pb2.ExplainRequest, context: Context) -> jobs_pb2.ExplainResponse:
        self.daemon.note(request, context)
        return encode_plan(PLAN)

    def Delete(self, request: jobs_pb2.JobsDeleteRequest, context: Context) -> jobs_pb2.JobsDeleteResponse:
        self.daemon.note(request, context)
        return jobs_pb2.JobsDeleteResponse()


class Backends(backends_pb2_grpc.BackendsServicer):
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def List(self, request: backends_pb2.BackendsListRequest, context: Context) -> backends_pb2.BackendsListResponse:
        self.daemon.note(request, context)
        return backends_pb2.BackendsListResponse(names=["line5"])

    def Get(self, request: backends_pb2.BackendsGetRequest, context: Context) -> backends_pb2.BackendsGetResponse:
        self.daemon.note(request, context)
        return backends_pb2.BackendsGetResponse(backend=backends_pb2.Backend(name="line5", dt=1e-9))

    def Watch(
        self, request: backends_pb2.BackendsWatchRequest, context: Context
    ) -> Iterator[backends_pb2.BackendsWatchResponse]:
        rows = [backends_pb2.Backend(name="line5", dt=1e-9, revision=revision) for revision in (1, 1, 2)]
        answers = [backends_pb2.BackendsWatchResponse(backend=row) for row in rows]
        yield from self.daemon.stream(request, answers, context)


class Calibrations(calibrations_pb2_grpc.CalibrationsServicer):
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def Snapshot(
        self, request: calibrations_pb2.SnapshotRequest, context: Context
    ) -> calibrations_pb2.SnapshotResponse:
        self.daemon.note(request, context)
        return encode_snapshot(BASE)

    def History(self, request: calibrations_pb2.HistoryRequest, context: Context) -> calibrations_pb2.HistoryResponse:
        self.daemon.note(request, context)
        entry = calibrations_pb2.HistoryEntry(
            revision=encode_revision(revision_of(BASE)), parameter=encode_parameter(BASE.parameters["q0.t1"])
        )
        return calibrations_pb2.HistoryResponse(entries=[entry])

    def Diff(self, request: calibrations_pb2.DiffRequest, context: Context) -> calibrations_pb2.DiffResponse:
        self.daemon.note(request, context)
        return calibrations_pb2.DiffResponse(changes=[calibrations_pb2.ParameterChange(name="q0.t1")])

    def Commit(self, request: calibrations_pb2.CommitRequest, context: Context) -> calibrations_pb2.CommitResponse:
        self.daemon.note(request, context)
        return calibrations_pb2.CommitResponse(revision=calibrations_pb2.Revision(revision=5))

    def Rollback(
        self, request: calibrations_pb2.RollbackRequest, context: Context
    ) -> calibrations_pb2.RollbackResponse:
        self.daemon.note(request, context)
        return calibrations_pb2.RollbackResponse(revision=calibrations_pb2.Revision(revision=6))

    def Watch(
        self, request: calibrations_pb2.CalibrationsWatchRequest, context: Context
    ) -> Iterator[calibrations_pb2.CalibrationsWatchResponse]:
        rows = [calibrations_pb2.Revision(revision=revision) for revision in (1, 1, 2)]
        answers = [calibrations_pb2.CalibrationsWatchResponse(revision=row, changed=["q0.t1"]) for row in rows]
        yield from self.daemon.stream(request, answers, context)


def serve(daemon: Daemon, port: int = 0) -> tuple[grpc.Server, int]:
    server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    jobs_pb2_grpc.add_JobsServicer_to_server(Jobs(daemon), server)
    backends_pb2_grpc.add_BackendsServicer_to_server(Backends(daemon), server)
    calibrations_pb2_grpc.add_CalibrationsServicer_to_server(Calibrations(daemon), server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, port
