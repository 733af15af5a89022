"""What the methods of a client ask of the daemon: requests made and answers read, for threads and for asyncio alike.

Each gives the steps to its answer, or the course of a stream.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from qubitd.client.course import Course, Source
from qubitd.client.errors import OlderDaemonError
from qubitd.client.link import Link
from qubitd.client.sources import (
    BackendRevisions,
    CalibrationRevisions,
    EventsOfSome,
    JobEvents,
    JobResults,
    results_call,
)
from qubitd.client.steps import Steps
from qubitd.client.tables import TabledCalls
from qubitd.core.job import JobSpec, JobStatus, ProgramResult
from qubitd.core.plan import JobPlan
from qubitd.core.snapshot import Parameter, Snapshot
from qubitd.v1 import backends_pb2, backends_pb2_grpc, calibrations_pb2, calibrations_pb2_grpc, jobs_pb2, jobs_pb2_grpc
from qubitd.wire.backends import BackendInfo, BackendStanding, decode_backend, decode_standing
from qubitd.wire.calibrations import (
    HistoryEntry,
    ParameterChange,
    Revision,
    RevisionChange,
    decode_changes,
    decode_history,
    decode_revision,
    decode_snapshot,
    encode_parameter,
)
from qubitd.wire.jobs import STATUS_NUMBER, Job, JobEvent, decode_job, decode_job_answer, decode_status
from qubitd.wire.plans import decode_plan
from qubitd.wire.specs import Submission, encode_spec, encode_submission
from qubitd.wire.terms import JobTerms

ValueT = TypeVar("ValueT")

_PAGE = 1_000


class DaemonSteps:
    """Jobs, backends and their calibration."""

    def __init__(self, link: Link, channel: Any) -> None:
        self._link = link
        self._backends: backends_pb2_grpc.BackendsStub = backends_pb2_grpc.BackendsStub(channel)
        self._jobs: jobs_pb2_grpc.JobsStub = jobs_pb2_grpc.JobsStub(channel)
        self._results = results_call(channel)
        self._tabled = TabledCalls(link, self._jobs)
        self._calibrations: calibrations_pb2_grpc.CalibrationsStub = calibrations_pb2_grpc.CalibrationsStub(channel)

    def backends(self) -> Steps[tuple[str, ...]]:
        """Give the names of the daemon's backends, sorted."""
        request = backends_pb2.BackendsListRequest()
        answer = yield from self._link.call(self._backends.List, request, doing="listing the backends")
        return tuple(answer.names)

    def standings(self) -> Steps[tuple[BackendStanding, ...]]:
        """Say of each backend, by name, whether its daemon is there: several daemons may share one queue."""
        request = backends_pb2.BackendsListRequest()
        answer = yield from self._link.call(self._backends.List, request, doing="listing the backends")
        return tuple(decode_standing(standing) for standing in answer.standings)

    def backend(self, name: str, revision: int = 0) -> Steps[BackendInfo]:
        """Describe a backend at a calibration revision, 0 for the one in force."""
        request = backends_pb2.BackendsGetRequest(name=name, revision=revision)
        answer = yield from self._link.call(self._backends.Get, request, doing=f"asking for {name}")
        return decode_backend(answer.backend)

    def watch_backend(self, name: str, *, patience: float | None = None) -> Course[BackendInfo]:
        """Give the description in force, then each that differs, as it is committed."""
        return self._course(BackendRevisions(self._backends, name), doing=f"watching {name}", patience=patience)

    def submit(
        self, spec: JobSpec, backend: str, key: str | None = None, *, terms: JobTerms | None = None
    ) -> Steps[str]:
        """Hand a job over and give its id; from then on it survives a crash of the daemon.

        Args:
            spec: what is to be run.
            backend: name of the backend.
            key: names the submission; the same key with the same content gives the same job. Made up unless given.
            terms: how and when it is to run: its session, its class, its calibration.
        """
        submission = Submission(key=key or secrets.token_hex(16), backend=backend, spec=spec, terms=terms or JobTerms())
        request = encode_submission(submission)
        answer = yield from self._tabled.call(self._jobs.Submit, request, doing=f"submitting to {backend}")
        return answer.job_id

    def get_job(self, job_id: str, *, patience: float | None = None) -> Steps[Job]:
        """Describe a job as it stands.

        Args:
            job_id: the job.
            patience: seconds for which a daemon that was there may stay away.
        """
        request = jobs_pb2.JobsGetRequest(job_id=job_id)
        doing = f"asking for job {job_id}"
        answer = yield from self._link.call(self._jobs.Get, request, doing=doing, patience=patience)
        return decode_job_answer(answer)

    def list_jobs(
        self,
        *,
        limit: int = 100,
        statuses: Sequence[JobStatus] = (),
        tags: Sequence[str] = (),
        backend: str = "",
        since_ns: int = 0,
        session_id: str = "",
    ) -> Steps[tuple[Job, ...]]:
        """List jobs, newest first, without their client data.

        Args:
            limit: how many at most.
            statuses: only jobs in one of these states; empty for all.
            tags: only jobs that carry all of these.
            backend: only jobs of this backend; empty for all.
            since_ns: only jobs that were accepted then or later, ns since 1970-01-01 UTC.
            session_id: only jobs of this session; empty for all.
        """
        found: list[Job] = []
        token = ""
        while len(found) < limit:
            request = jobs_pb2.JobsListRequest(
                page_size=min(limit - len(found), _PAGE),
                page_token=token,
                statuses=[STATUS_NUMBER[status] for status in statuses],
                tags=tags,
                backend=backend,
                session_id=session_id,
                since_ns=since_ns,
            )
            page = yield from self._link.call(self._jobs.List, request, doing="listing the jobs")
            found += map(decode_job, page.jobs)
            token = page.next_page_token
            if not token:
                break
        return tuple(found)

    def watch(
        self,
        job_id: str,
        after: int = 0,
        *,
        outcome: bool = False,
        stages: bool = True,
        patience: float | None = None,
    ) -> Course[JobEvent]:
        """Give every event of a job after a sequence number, in order and once, until the job has ended.

        A `Bookmark` comes when nothing has happened for a while.

        Args:
            job_id: the job.
            after: the sequence number; 0 for all.
            outcome: whether the last event tells what came of the job, where that is small: then neither `get_job` nor
                `results` need be asked.
            stages: whether stages are among them, which only say where the time went; `get_job` tells them, too.
            patience: seconds for which a daemon that was there may stay away.
        """
        source = JobEvents(self._jobs, after, job_id=job_id, outcome=outcome, stages=stages)
        return self._course(source, doing=f"watching job {job_id}", patience=patience)

    def watch_some(
        self,
        after: Mapping[str, int],
        *,
        outcome: bool = False,
        stages: bool = True,
        patience: float | None = None,
    ) -> Course[JobEvent]:
        """Give every event of some jobs, of each in order and once, until all have ended, in one stream.

        A `Bookmark` of one of them comes when nothing has happened to any for a while.

        Args:
            after: for each job's id, the sequence number of the last event already seen; 0 for all. At most 1000 jobs.
            outcome: as for `watch`, of each.
            stages: as for `watch`.
            patience: seconds for which a daemon that was there may stay away.
        """
        source = EventsOfSome(self._jobs, after, outcome=outcome, stages=stages)
        return self._course(source, doing=f"watching {len(after)} jobs", patience=patience)

    def watch_session(self, session_id: str, after: int = 0, *, patience: float | None = None) -> Course[JobEvent]:
        """Give every event of all jobs of a session after a sequence number, in order and once, and those to come.

        A `Bookmark` comes when nothing has happened for a while: the number to go on from.
        """
        source = JobEvents(self._jobs, after, session_id=session_id)
        return self._course(source, doing=f"watching session {session_id}", patience=patience)

    def watch_jobs(self, backend: str, after: int = 0, *, patience: float | None = None) -> Course[JobEvent]:
        """Give every event of one's jobs on a backend, in order and once, for ever.

        Args:
            backend: its name.
            after: sequence number of the last event already seen; 0 for those to come. The first `Bookmark` tells it.
            patience: seconds for which a daemon that was there may stay away.
        """
        source = JobEvents(self._jobs, after, backend=backend)
        return self._course(source, doing=f"watching the jobs on {backend}", patience=patience)

    def results(self, job_id: str, *, skip: int = 0, patience: float | None = None) -> Course[ProgramResult]:
        """Give the results that are durable, in pieces, in the order in which they became so.

        Args:
            job_id: the job.
            skip: pieces to leave out: those that were received before.
            patience: seconds for which a daemon that was there may stay away.
        """
        source = JobResults(self._results, job_id, skip)
        return self._course(source, doing=f"reading the results of job {job_id}", patience=patience)

    def cancel(self, job_id: str, *, force: bool = False) -> Steps[JobStatus]:
        """Ask for a job to end and give its state now. A job that has ended stays as it is.

        Args:
            job_id: the job.
            force: whether a running chunk is broken off at once; else it has most of a second to end in.
        """
        request = jobs_pb2.JobsCancelRequest(job_id=job_id, force=force)
        answer = yield from self._link.call(self._jobs.Cancel, request, doing=f"cancelling job {job_id}")
        return decode_status(answer.status)

    def explain(self, spec: JobSpec, backend: str, *, expected: bool = False) -> Steps[JobPlan]:
        """Say what a job would take, without running it; and what it is `expected` to give, by a simulation.

        Raises:
            OlderDaemonError: the daemon knows of no such simulation.
        """
        request = jobs_pb2.ExplainRequest(backend=backend, spec=encode_spec(spec), wants_expected=expected)
        answer = yield from self._tabled.call(self._jobs.Explain, request, doing=f"explaining a job to {backend}")
        plan = decode_plan(answer)
        if expected and len(plan.expected) != len(plan.programs):
            listed = yield from self._link.call(
                self._backends.List, backends_pb2.BackendsListRequest(), doing="asking for the daemon's version"
            )
            raise OlderDaemonError(
                address=str(self._link.address), version=listed.server_version, left_out="`expected` of `explain`"
            )
        return plan

    def delete(self, job_id: str) -> Steps[None]:
        """Remove a job that has ended, with its results."""
        request = jobs_pb2.JobsDeleteRequest(job_id=job_id)
        yield from self._link.call(self._jobs.Delete, request, doing=f"deleting job {job_id}", replay=False)

    def snapshot(self, backend: str, revision: int = 0) -> Steps[Snapshot]:
        """Give all calibration parameters at a revision, 0 for the one in force."""
        request = calibrations_pb2.SnapshotRequest(backend=backend, revision=revision)
        doing = f"reading the calibration of {backend}"
        answer = yield from self._link.call(self._calibrations.Snapshot, request, doing=doing)
        return decode_snapshot(answer)

    def history(self, backend: str, name: str, *, limit: int = 100) -> Steps[tuple[HistoryEntry, ...]]:
        """Give the values that a parameter had, newest first."""
        request = calibrations_pb2.HistoryRequest(backend=backend, name=name, limit=limit)
        doing = f"reading the history of {name}"
        answer = yield from self._link.call(self._calibrations.History, request, doing=doing)
        return decode_history(answer)

    def diff(self, backend: str, from_revision: int, to_revision: int = 0) -> Steps[tuple[ParameterChange, ...]]:
        """Give the parameters that differ between two revisions, sorted by name; 0 for the one in force."""
        request = calibrations_pb2.DiffRequest(backend=backend, from_revision=from_revision, to_revision=to_revision)
        doing = f"comparing revisions of {backend}"
        answer = yield from self._link.call(self._calibrations.Diff, request, doing=doing)
        return decode_changes(answer)

    def commit(
        self, backend: str, *, base_revision: int, parameters: Sequence[Parameter], message: str
    ) -> Steps[Revision]:
        """Make a new revision in which these parameters have new values.

        An answer that is lost is not asked for again: look at `snapshot` to see whether the revision was made.

        Raises:
            ConflictError: others changed one of them since `base_revision`.
            RefusedError: a value is outside what physics and units allow.
        """
        request = calibrations_pb2.CommitRequest(
            backend=backend,
            base_revision=base_revision,
            parameters=map(encode_parameter, parameters),
            message=message,
        )
        doing = f"committing to {backend}"
        answer = yield from self._link.call(self._calibrations.Commit, request, doing=doing, replay=False)
        return decode_revision(answer.revision)

    def rollback(self, backend: str, *, to_revision: int, names: Sequence[str] = (), message: str) -> Steps[Revision]:
        """Make a new revision in which some parameters, or all, have the values of an older one."""
        request = calibrations_pb2.RollbackRequest(
            backend=backend, to_revision=to_revision, names=names, message=message
        )
        doing = f"rolling {backend} back"
        method = self._calibrations.Rollback
        answer = yield from self._link.call(method, request, doing=doing, replay=False)
        return decode_revision(answer.revision)

    def watch_calibrations(self, backend: str, *, patience: float | None = None) -> Course[RevisionChange]:
        """Give the revision in force, then each new one."""
        source = CalibrationRevisions(self._calibrations, backend)
        return self._course(source, doing=f"watching the calibration of {backend}", patience=patience)

    def _course(self, source: Source[Any, ValueT], *, doing: str, patience: float | None = None) -> Course[ValueT]:
        return Course(self._link, source, doing=doing, patience=patience)
