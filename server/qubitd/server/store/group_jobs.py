"""What daemons of a group ask and do about jobs of each other's backends."""

from __future__ import annotations

from dataclasses import dataclass

from qubitd.core.job import JobStatus
from qubitd.server.jobs.events import Dated
from qubitd.server.store.audit import AuditWrites
from qubitd.server.store.database import Database
from qubitd.server.store.job_reads import ALIVE, LIVES, alive_job
from qubitd.server.store.job_writes import JobWrites
from qubitd.server.store.members import ErrandKind, MemberWrites
from qubitd.server.store.rows import Accepted, AliveJob, Change, NewJob
from qubitd.wire.jobs import LogLine

_WAITS = "status IN ('INITIALIZING', 'VALIDATING', 'QUEUED')"
_SERVED = "(SELECT coalesce(max(seconds), 0) FROM served WHERE served.backend = {})"
_AS_OLD_THERE = f"{_SERVED.format('?')} - ({_SERVED.format('job.backend')} - job.served)"
"""When a job was accepted, in seconds for which another backend was served: it is as old there as it was here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What happened to jobs of other daemons."""

    last: int
    """Number of the newest event of any job."""
    jobs: tuple[tuple[str, str], ...]
    """Id and owner of each job that has new events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a project has on the backends of other daemons."""

    jobs: int = 0
    """That have not ended."""
    bytes: int = 0
    """Of these, as they were sent."""


class GroupJobReads:
    """What can be asked about jobs of the group."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection

    def find(self, job_id: str, *, backend: str) -> AliveJob | None:
        """Give a job of a backend that has not ended; None if there is none."""
        row = self._connection.execute(
            f"SELECT {ALIVE} FROM job WHERE id = ? AND backend = ? AND {LIVES}",  # noqa: S608 (constants)
            (job_id, backend),
        ).fetchone()
        return None if row is None else alive_job(*row)

    def news(self, *, after: int, besides: str) -> News:
        """Give the jobs that have events after a number, besides those of a backend."""
        last = int(self._connection.execute("SELECT coalesce(max(sequence), 0) FROM event").fetchone()[0])
        if last <= after:
            return News(last=after, jobs=())
        rows = self._connection.execute(
            "SELECT DISTINCT job.id, job.owner FROM event JOIN job ON job.number = event.job"
            " WHERE event.sequence > ? AND event.sequence <= ? AND job.backend <> ?",
            (after, last, besides),
        )
        return News(last=last, jobs=tuple((job_id, owner) for job_id, owner in rows))

    def movable(self, backend: str, *, to: str) -> list[AliveJob]:
        """Give jobs of a backend that never started and may go to another, in order."""
        rows = self._connection.execute(
            f"SELECT {ALIVE} FROM job"  # noqa: S608 (constants)
            f" WHERE backend = ? AND {LIVES} AND {_WAITS} AND attempt = 0 AND cancelling = 0 AND equivalents <> ''"
            " ORDER BY number",
            (backend,),
        )
        return [job for job in (alive_job(*row) for row in rows) if to in job.terms.equivalents]

    def held(self, *, owner: str, besides: str) -> Held:
        """Add up what a project has on other backends than one."""
        row = self._connection.execute(
            "SELECT count(*), coalesce(sum(blob.size), 0)"  # noqa: S608 (constants)
            f" FROM job LEFT JOIN blob ON blob.digest = job.spec_digest WHERE owner = ? AND backend <> ? AND {LIVES}",
            (owner, besides),
        ).fetchone()
        return Held(jobs=int(row[0]), bytes=int(row[1]))


class GroupJobWrites:
    """What the writer's thread can do to jobs of other daemons: take them for their owner, and act for an owner that is
    gone.
    """

    def __init__(self, connection: Database, jobs: JobWrites, members: MemberWrites, audit: AuditWrites) -> None:
        self._audit = audit
        self._connection = connection
        self._jobs = jobs
        self._members = members

    def accept(self, new: NewJob) -> Accepted:
        """Take a job for another daemon, and tell it.

        Raises:
            KeyReusedError: the key stands for a job with other content.
        """
        accepted = self._jobs.accept(new)
        if accepted.is_new:
            self._members.send(accepted.job_id, ErrandKind.ADOPT)
        return accepted

    def move(self, job: AliveJob, *, to: str, because: str, time_ns: int) -> bool:
        """Give a job of an abandoned backend, that never started, to another, as old as it is; False if it is too late.

        Raises:
            BackendTakenError: its daemon is there after all.
        """
        self._members.evict(job.backend)
        row = self._connection.execute(
            f"UPDATE job SET backend = ?, version = version + 1, served = {_AS_OLD_THERE},"  # noqa: S608 (constants)
            " submitted_to = CASE WHEN submitted_to = '' THEN backend ELSE submitted_to END"
            f" WHERE id = ? AND backend = ? AND {_WAITS} AND attempt = 0 AND cancelling = 0 RETURNING 1",
            (to, to, job.job_id, job.backend),
        ).fetchone()
        if row is None:
            return False
        self._members.hand_on(job.job_id, to=to)
        text = f"goes to {to}, as was allowed: {because}"
        self._audit.append(time_ns=time_ns, who="daemon", what=f"job {job.job_id}: from {job.backend} to {to}")
        self._jobs.append(job.job_id, [Dated(time_ns=time_ns, what=LogLine(text=text))])
        return True

    def cancel(self, backend: str, *, time_ns: int) -> None:
        """Do what an abandoned backend is asked to cancel: what waits ends, what ran ends when its daemon is back.

        Raises:
            BackendTakenError: its daemon is there after all.
        """
        self._members.evict(backend)
        errands = self._members.reads.cancels(backend)
        for errand in errands:
            row = self._connection.execute(
                f"SELECT status, version FROM job WHERE id = ? AND backend = ? AND {LIVES}",  # noqa: S608 (constants)
                (errand.job_id, backend),
            ).fetchone()
            if row is None:
                continue
            status, version = JobStatus(row[0]), int(row[1])
            if status is JobStatus.RUNNING:
                self._jobs.request_cancel(errand.job_id)
                continue
            message = "cancelled by its owner before it ran"
            self._jobs.change(
                Change(
                    job_id=errand.job_id,
                    before=status,
                    version=version,
                    after=JobStatus.CANCELLED,
                    time_ns=time_ns,
                    message=message,
                )
            )
        self._members.done(errands)
