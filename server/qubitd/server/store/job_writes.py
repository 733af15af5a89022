"""Writes about jobs, each one atomic. A state changes only from the state and version that the writer believes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qubitd.core.job import JobStatus
from qubitd.server.errors import KeyReusedError, NotEndedError, StaleWriteError, UnknownJobError
from qubitd.server.jobs.events import Dated, Stage, reached
from qubitd.server.store.audit import AuditWrites
from qubitd.server.store.database import Blobs, Database
from qubitd.server.store.event_rows import WHOSE, Events, EventWrites, Whose
from qubitd.server.store.frames import join
from qubitd.server.store.job_reads import INTERRUPTED, of_others
from qubitd.server.store.problem_text import problems_text
from qubitd.server.store.rows import Accepted, Change, NewChunk, NewJob, Usage
from qubitd.server.store.terms_columns import terms_columns
from qubitd.wire.jobs import StatusChange

_MOVE = (
    "UPDATE job SET status = ?, version = version + ?, message = ?, problems = ?,"  # noqa: S608 (constant)
    " instrument_ns = instrument_ns + ?, revision = coalesce(?, revision), attempt = coalesce(?, attempt)"
    f" WHERE id = ? AND status = ? AND version = ? AND attempt = coalesce(?, attempt) RETURNING attempt, {WHOSE}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ran:
    """What the last chunk of a job was run by."""

    attempt: int
    """That must hold the job."""
    ns: int
    """On the instruments."""


class JobWrites:
    """What the writer's thread can do to jobs."""

    def __init__(self, connection: Database, blobs: Blobs, audit: AuditWrites) -> None:
        self._connection = connection
        self._audit = audit
        self._blobs = blobs
        self._events = EventWrites(connection)

    def postpone(self) -> None:
        """Keep events and lines of the audit's book from now on until they are settled."""
        self._events.postpone()
        self._audit.postpone()

    def settle(self) -> None:
        """Write the events and lines that were kept."""
        self._events.settle()
        self._audit.settle()

    def drop(self) -> None:
        """Forget the events and lines that were kept."""
        self._events.drop()
        self._audit.drop()

    def accept(self, new: NewJob) -> Accepted:
        """Take a job, or recognise one that was taken before.

        Raises:
            KeyReusedError: the key stands for a job with other content.
        """
        known = self._connection.execute(
            "SELECT id, number, request_digest FROM job WHERE owner = ? AND key = ?", (new.owner, new.key)
        ).fetchone()
        if known is None:
            number, events = self._insert(new)
            return Accepted(job_id=new.job_id, number=number, is_new=True, events=events)
        job_id, number, request_digest = known
        if request_digest != new.request_digest:
            raise KeyReusedError(key=new.key, job_id=job_id)
        return Accepted(job_id=job_id, number=number, is_new=False)

    def change(self, *changes: Change) -> Events:
        """Move a job to another state, or through several in turn; gives what is told of it.

        Raises:
            StaleWriteError: the store holds it in another state or version.
        """
        return self._move(changes)[1]

    def start(self, change: Change, *, attempt: int) -> Events:
        """Move a job to RUNNING and keep the attempt: durable before any pulse. Gives what is told of it.

        Raises:
            StaleWriteError: as for `change`.
        """
        number, events = self._move((change,), attempt=attempt)
        self._connection.execute(
            "INSERT INTO attempt (job, n, revision, started_ns) VALUES (?, ?, ?, ?)",
            (number, attempt, change.revision or 0, change.time_ns),
        )
        return events

    def append(self, job_id: str, events: Sequence[Dated]) -> Events:
        """Append events of a job that do not change its state."""
        return self._events.append(self._whose(job_id), events)

    def record_chunk(
        self, job_id: str, chunk: NewChunk, *, attempt: int, events: Sequence[Dated], then: Change | None = None
    ) -> Events:
        """Keep a chunk's result, and move its job to another state if it was the last; gives what is told of it.

        Raises:
            StaleWriteError: this attempt no longer holds the job; or as for `change`.
        """
        if then is not None:
            number, told = self._move((then,), events=events, ran=_Ran(attempt=attempt, ns=chunk.instrument_ns))
            self._keep(number, chunk)
            return told
        row = self._connection.execute(
            "UPDATE job SET instrument_ns = instrument_ns + ?"  # noqa: S608 (constant)
            f" WHERE id = ? AND status = ? AND attempt = ? RETURNING {WHOSE}",
            (chunk.instrument_ns, job_id, JobStatus.RUNNING.value, attempt),
        ).fetchone()
        if row is None:
            raise self._not_held(job_id, attempt)
        whose = Whose(*row)
        self._keep(whose.job, chunk)
        return self._events.append(whose, events)

    def request_cancel(self, job_id: str) -> None:
        """Remember that a running job is to end at its next chunk boundary."""
        self._connection.execute("UPDATE job SET cancelling = 1 WHERE id = ?", (job_id,))

    def delete(self, *, owner: str, job_id: str, who: str, time_ns: int) -> list[str]:
        """Remove an ended job's content; its id and key stay taken. Gives the digests of blobs that it had.

        Raises:
            UnknownJobError: the owner has no such job.
            NotEndedError: it has not ended.
        """
        row = self._connection.execute(
            "SELECT number, status, spec_digest, client_digest FROM job WHERE owner = ? AND id = ? AND deleted = 0",
            (owner, job_id),
        ).fetchone()
        if row is None:
            raise UnknownJobError(job_id=job_id)
        number, status, *own = row
        if not JobStatus(status).is_final:
            raise NotEndedError(job_id=job_id, status=status)
        self._audit.append(time_ns=time_ns, who=who, what=f"deleted job {job_id}")
        return self._empty(number, own, time_ns)

    def mark_read(self, number: int, *, time_ns: int) -> None:
        """Note that an ended job's results were read to their end, if they were not before."""
        self._connection.execute("UPDATE job SET read_ns = ? WHERE number = ? AND read_ns = 0", (time_ns, number))

    def expire(self, numbers: Sequence[int], *, time_ns: int) -> list[str]:
        """Remove the content of jobs that were kept long enough; gives the digests of blobs that they had."""
        digests: list[str] = []
        for number in numbers:
            row = self._connection.execute(
                "SELECT spec_digest, client_digest, id FROM job WHERE number = ? AND deleted = 0", (number,)
            ).fetchone()
            if row is None:
                continue
            digests += self._empty(number, list(row[:2]), time_ns)
            self._connection.execute("UPDATE job SET expired_ns = ? WHERE number = ?", (time_ns, number))
            self._audit.append(time_ns=time_ns, who="daemon", what=f"results of job {row[2]} expired")
        return digests

    def forget(self, before_ns: int, *, limit: int, besides: Sequence[str] = ()) -> int:
        """Forget jobs whose content went before a time, save those of some backends; gives how many."""
        self._events.settle()
        cursor = self._connection.execute(
            "DELETE FROM job WHERE number IN"  # noqa: S608 (constants)
            " (SELECT number FROM job WHERE gone_ns > 0 AND gone_ns < ?"
            f"{of_others(besides)} ORDER BY gone_ns LIMIT ?)",
            (before_ns, *besides, limit),
        )
        return cursor.rowcount

    def _empty(self, number: int, own: list[str], time_ns: int) -> list[str]:
        self._events.settle()
        self._note_removed(number)
        chunks = self._connection.execute("SELECT digest FROM chunk WHERE job = ?", (number,)).fetchall()
        for table in ("chunk", "event", "tag", "attempt", "spent"):
            self._connection.execute(f"DELETE FROM {table} WHERE job = ?", (number,))  # noqa: S608 (names above)
        self._connection.execute(
            "UPDATE job SET deleted = 1, gone_ns = ?, spec_digest = '', client_digest = '' WHERE number = ?",
            (time_ns, number),
        )
        digests = [*own, *(chunk[0] for chunk in chunks)]
        self._blobs.drop_unused(self._connection, digests)
        return digests

    def _note_removed(self, number: int) -> None:
        """Note up to which number the events of a job's project, and of its session, are not all there any more."""
        owner, session, last = self._connection.execute(
            "SELECT owner, session, (SELECT coalesce(max(own), 0) FROM event WHERE job = number)"
            " FROM job WHERE number = ?",
            (number,),
        ).fetchone()
        self._connection.execute("UPDATE project SET removed = ? WHERE name = ? AND removed < ?", (last, owner, last))
        self._connection.execute("UPDATE session SET removed = ? WHERE id = ? AND removed < ?", (last, session, last))

    def note_served(self, backend: str, seconds: float) -> None:
        """Note for how long a backend has been served."""
        self._connection.execute(
            "INSERT INTO served VALUES (?, ?) ON CONFLICT (backend) DO UPDATE SET seconds = excluded.seconds",
            (backend, seconds),
        )

    def note_usage(self, used: Usage, *, served: float) -> None:
        """Note what a project used of a rack up to now, when that had been served for so many seconds."""
        self._connection.execute(
            "INSERT INTO usage VALUES (?, ?, ?, ?)"
            " ON CONFLICT (backend, owner) DO UPDATE SET seconds = excluded.seconds, served = excluded.served",
            (used.backend, used.owner, used.seconds, served),
        )

    def remove_files(self, digests: list[str]) -> None:
        """Remove the files of deleted blobs; a command of its own, after the one that deleted their rows."""
        self._blobs.remove_files(self._connection, digests)

    def _insert(self, new: NewJob) -> tuple[int, Events]:
        spec_digest = self._blobs.put(self._connection, new.spec)
        client_digest = self._blobs.put(self._connection, new.client_data)
        row = self._connection.execute(
            "INSERT INTO job (id, owner, key, backend, request_digest, spec_digest, client_digest, shots,"  # noqa: S608 (constant)
            " circuits, programs, created_ns, status, session, slot, urgency, priority, revision_policy,"
            " wanted_revision, rerun, equivalents, served)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
            " coalesce(?, (SELECT coalesce(max(seconds), 0) FROM served WHERE backend = ?)))"
            f" RETURNING {WHOSE}",
            (
                new.job_id,
                new.owner,
                new.key,
                new.backend,
                new.request_digest,
                spec_digest,
                client_digest,
                new.shots,
                new.circuits,
                new.programs,
                new.created_ns,
                JobStatus.INITIALIZING.value,
                *terms_columns(new.terms),
                new.served,
                new.backend,
            ),
        ).fetchone()
        whose = Whose(*row)
        if new.tags:
            self._connection.executemany(
                "INSERT INTO tag VALUES (?, ?, ?)",
                [(whose.job, position, tag) for position, tag in enumerate(new.tags)],
            )
        self._audit.append(time_ns=new.created_ns, who=new.author, what=f"submitted job {new.job_id}")
        accepted = reached(Stage.ACCEPTED, new.created_ns)
        began = _status_event(JobStatus.INITIALIZING, new.created_ns if new.opened_ns is None else new.opened_ns)
        first = sorted((accepted, began), key=lambda event: event.time_ns)
        return whose.job, self._events.append(whose, first)

    def _keep(self, number: int, chunk: NewChunk) -> None:
        span = chunk.span
        digest = self._blobs.put(self._connection, join(chunk.pieces))
        self._connection.execute(
            "INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                chunk.n,
                span.first_program,
                span.programs,
                span.first_shot,
                span.shots,
                len(chunk.pieces),
                digest,
            ),
        )
        self._connection.executemany(
            "INSERT INTO spent VALUES (?, ?, ?)"
            " ON CONFLICT (job, activity) DO UPDATE SET seconds = spent.seconds + excluded.seconds",
            [(number, spent.activity, spent.seconds) for spent in chunk.spent],
        )

    def _move(
        self,
        changes: Sequence[Change],
        *,
        attempt: int | None = None,
        events: Sequence[Dated] = (),
        ran: _Ran | None = None,
    ) -> tuple[int, Events]:
        """Take a job through states, after some events; gives its number and what is told of it."""
        whose, held = self._compare_and_set(changes, attempt, ran)
        told = [*events]
        for one in changes:
            told += (*one.events, _status_event(one.after, one.time_ns, one.message))
        numbered = self._events.append(whose, told)
        self._audit.extend(
            (one.time_ns, "daemon", f"job {one.job_id}: {one.before.value} to {one.after.value}") for one in changes
        )
        ended = next((one for one in changes if one.before is JobStatus.RUNNING), None)
        if ended is not None:
            self._connection.execute(
                "UPDATE attempt SET outcome = ? WHERE job = ? AND n = ?",
                (INTERRUPTED if ended.is_interruption else ended.after.value, whose.job, held),
            )
        return whose.job, numbered

    def _compare_and_set(self, changes: Sequence[Change], attempt: int | None, ran: _Ran | None) -> tuple[Whose, int]:
        """Set a job's state; gives whose events tell of it, and the attempt."""
        first, last = changes[0], changes[-1]
        revisions = [one.revision for one in changes if one.revision is not None]
        row = self._connection.execute(
            _MOVE,
            (
                last.after.value,
                len(changes),
                last.message,
                problems_text(last.problems),
                0 if ran is None else ran.ns,
                revisions[-1] if revisions else None,
                attempt,
                first.job_id,
                first.before.value,
                first.version,
                None if ran is None else ran.attempt,
            ),
        ).fetchone()
        if row is None:
            raise self._stale(first, ran)
        return Whose(*row[1:]), int(row[0])

    def _stale(self, change: Change, ran: _Ran | None) -> StaleWriteError:
        """Say why a job is not moved."""
        if ran is not None and self._standing_of_attempt(change.job_id) != _holds(ran.attempt):
            return self._not_held(change.job_id, ran.attempt)
        return StaleWriteError(
            job_id=change.job_id,
            expected=f"{change.before.value} (version {change.version})",
            found=self._standing(change.job_id),
        )

    def _not_held(self, job_id: str, attempt: int) -> StaleWriteError:
        """Say that an attempt lost its job."""
        return StaleWriteError(job_id=job_id, expected=_holds(attempt), found=self._standing_of_attempt(job_id))

    def _whose(self, job_id: str) -> Whose:
        row = self._connection.execute(
            f"SELECT {WHOSE} FROM job WHERE id = ?",  # noqa: S608 (constant)
            (job_id,),
        ).fetchone()
        if row is None:
            raise UnknownJobError(job_id=job_id)
        return Whose(*row)

    def _standing(self, job_id: str) -> str:
        row = self._connection.execute("SELECT status, version FROM job WHERE id = ?", (job_id,)).fetchone()
        return "gone" if row is None else f"{row[0]} (version {row[1]})"

    def _standing_of_attempt(self, job_id: str) -> str:
        row = self._connection.execute("SELECT status, attempt FROM job WHERE id = ?", (job_id,)).fetchone()
        return "gone" if row is None else f"{row[0]} (attempt {row[1]})"


def _holds(attempt: int) -> str:
    return f"{JobStatus.RUNNING.value} (attempt {attempt})"


def _status_event(status: JobStatus, time_ns: int, message: str = "") -> Dated:
    return Dated(time_ns=time_ns, what=StatusChange(status=status, message=message))
