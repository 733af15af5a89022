"""The daemon's streams, each with its cursor: job events by sequence, results by pieces, revisions by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from qubitd.client.link import Metadata
from qubitd.client.steps import writing
from qubitd.core.job import ProgramResult
from qubitd.v1 import backends_pb2, backends_pb2_grpc, calibrations_pb2, calibrations_pb2_grpc, jobs_pb2, jobs_pb2_grpc
from qubitd.wire.backends import BackendInfo, decode_backend
from qubitd.wire.calibrations import RevisionChange, decode_revision
from qubitd.wire.jobs import Bookmark, JobEvent, QueuePlace, decode_events, tells_an_end
from qubitd.wire.results import ResultsReader


class JobEvents:
    """What happens to a job, or to all of one's jobs in a session or on a backend."""

    def __init__(
        self,
        stub: jobs_pb2_grpc.JobsStub,
        after: int,
        *,
        job_id: str = "",
        session_id: str = "",
        backend: str = "",
        outcome: bool = False,
        stages: bool = True,
    ) -> None:
        self._stub = stub
        with writing():
            self._of = jobs_pb2.JobsWatchRequest(
                job_id=job_id, session_id=session_id, backend=backend, outcome=outcome, without_stages=not stages
            )
        self._last = after
        self.is_over = False

    def open(self, metadata: Metadata) -> grpc.CallIterator[jobs_pb2.JobsWatchResponse]:
        """Ask for the events after the cursor."""
        with writing():
            self._of.after_sequence = self._last
        return self._stub.Watch(self._of, metadata=metadata)

    def read(self, message: jobs_pb2.JobsWatchResponse) -> Sequence[JobEvent]:
        """Decode the events that are new, or are never kept."""
        events, self._last = _unseen(message, self._last)
        self.is_over = bool(self._of.job_id) and tells_an_end(events)
        return events


class EventsOfSome:
    """What happens to some jobs, each from a cursor of its own on."""

    def __init__(
        self, stub: jobs_pb2_grpc.JobsStub, after: Mapping[str, int], *, outcome: bool = False, stages: bool = True
    ) -> None:
        self._stub = stub
        self._last = dict(after)
        self._outcome = outcome
        self._stages = stages
        self._alive = set(after)

    def open(self, metadata: Metadata) -> grpc.CallIterator[jobs_pb2.JobsWatchResponse]:
        """Ask for the events after each cursor."""
        with writing():
            cursors = [jobs_pb2.JobCursor(job_id=job_id, after_sequence=last) for job_id, last in self._last.items()]
            request = jobs_pb2.JobsWatchRequest(jobs=cursors, outcome=self._outcome, without_stages=not self._stages)
        return self._stub.Watch(request, metadata=metadata)

    def read(self, message: jobs_pb2.JobsWatchResponse) -> Sequence[JobEvent]:
        """Decode the events that are new, or are never kept."""
        events, last = _unseen(message, self._last.get(message.job_id, 0))
        if message.job_id in self._last:
            self._last[message.job_id] = last
        if tells_an_end(events):
            self._alive.discard(message.job_id)
        return events

    @property
    def is_over(self) -> bool:
        """Whether all of them have ended."""
        return not self._alive


def results_call(channel: Any) -> grpc.UnaryStreamMultiCallable[jobs_pb2.ResultsRequest, bytes]:
    """Give `Jobs.Results` with its answers as they came; a stub has each parsed, which copies all data."""
    name = jobs_pb2.DESCRIPTOR.services_by_name["Jobs"].methods_by_name["Results"]
    return channel.unary_stream(  # type: ignore[no-any-return]  # a channel for threads or one for asyncio
        f"/{name.containing_service.full_name}/{name.name}",
        request_serializer=jobs_pb2.ResultsRequest.SerializeToString,
    )


class JobResults:
    """The pieces of a job's result."""

    is_over = False

    def __init__(
        self, results: grpc.UnaryStreamMultiCallable[jobs_pb2.ResultsRequest, bytes], job_id: str, received: int
    ) -> None:
        self._results = results
        self._job_id = job_id
        self._received = received
        self._reader = ResultsReader()

    def open(self, metadata: Metadata) -> grpc.CallIterator[bytes]:
        """Ask for the pieces that have not been received."""
        with writing():
            request = jobs_pb2.ResultsRequest(job_id=self._job_id, skip=self._received)
        return self._results(request, metadata=metadata)

    def read(self, message: bytes) -> Sequence[ProgramResult]:
        """Decode pieces."""
        results = self._reader.read(message)
        self._received += len(results)
        return results


class BackendRevisions:
    """A backend's description, now and after each commit."""

    is_over = False

    def __init__(self, stub: backends_pb2_grpc.BackendsStub, name: str) -> None:
        self._stub = stub
        self._name = name
        self._last: BackendInfo | None = None

    def open(self, metadata: Metadata) -> grpc.CallIterator[backends_pb2.BackendsWatchResponse]:
        """Ask for the description in force and those that follow."""
        with writing():
            request = backends_pb2.BackendsWatchRequest(name=self._name)
        return self._stub.Watch(request, metadata=metadata)

    def read(self, message: backends_pb2.BackendsWatchResponse) -> Sequence[BackendInfo]:
        """Decode a description that differs from the last."""
        if message.bookmark:
            return ()
        info = decode_backend(message.backend)
        if info == self._last:
            return ()
        self._last = info
        return (info,)


class CalibrationRevisions:
    """The revision in force, and each new one."""

    is_over = False

    def __init__(self, stub: calibrations_pb2_grpc.CalibrationsStub, backend: str) -> None:
        self._stub = stub
        self._backend = backend
        self._last = 0

    def open(self, metadata: Metadata) -> grpc.CallIterator[calibrations_pb2.CalibrationsWatchResponse]:
        """Ask for the revisions after the last one; at first for the one in force and those that follow."""
        with writing():
            request = calibrations_pb2.CalibrationsWatchRequest(backend=self._backend, after_revision=self._last)
        return self._stub.Watch(request, metadata=metadata)

    def read(self, message: calibrations_pb2.CalibrationsWatchResponse) -> Sequence[RevisionChange]:
        """Decode a revision that is new."""
        if message.bookmark:
            return ()
        revision = decode_revision(message.revision)
        if revision.revision <= self._last:
            return ()
        self._last = revision.revision
        return (RevisionChange(revision=revision, changed=tuple(message.changed)),)


def _unseen(message: jobs_pb2.JobsWatchResponse, last: int) -> tuple[list[JobEvent], int]:
    """Decode the events that came after a cursor, or are never kept; and give where the cursor stands now."""
    events = [event for event in decode_events(message) if event.sequence > last or not _is_kept(event)]
    return events, max((last, *(event.sequence for event in events)))


def _is_kept(event: JobEvent) -> bool:
    """Whether an event has a number of its own, which comes once."""
    return not isinstance(event.what, QueuePlace | Bookmark)
