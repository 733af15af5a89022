"""Reads about jobs, on a read-only connection of the event loop's thread. All are small and indexed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qubitd.core.errors import QubitdError
from qubitd.core.job import JobStatus
from qubitd.server.errors import ExpiredJobError, UnknownJobError
from qubitd.server.store.database import Database
from qubitd.server.store.event_rows import COLUMNS, FLOOR, NO_STAGES, event_of
from qubitd.server.store.paging import marks, page_rows
from qubitd.server.store.problem_text import problems_of
from qubitd.server.store.rows import AliveJob, ChunkRow, Ending, Extent, JobPage, JobQuery, Span, Usage
from qubitd.server.store.terms_columns import TERMS_COLUMNS, terms_of
from qubitd.wire.jobs import Job, JobEvent, StageTime, TimeSpent

_JOB = (
    "number, id, backend, status, revision, shots, circuits, programs, created_ns, instrument_ns, message, problems,"
    " (SELECT coalesce(max(own), 0) FROM event WHERE job = job.number), session, submitted_to"
)
_SIZE = "(SELECT coalesce(max(size), 0) FROM blob WHERE digest = spec_digest)"
ALIVE = (
    "number, id, backend, status, version, attempt, revision, cancelling, shots, owner, created_ns, served,"
    f" {_SIZE}, {TERMS_COLUMNS}"
)
"""Columns of `alive_job`."""
LIVES = "status NOT IN ('DONE', 'CANCELLED', 'ERROR')"
"""Condition of jobs that have not ended, as their partial indexes have it."""
INTERRUPTED = "INTERRUPTED"
"""Outcome of an attempt after which the job went on, though the daemon had died; any other is the state after it."""
_OF_SESSION = (
    "event.session > 0 AND event.session = (SELECT session.number FROM session WHERE session.id = ? AND owner = ?)"
)
_OF_BACKEND = (
    "event.project = (SELECT project.number FROM project WHERE name = ?) AND (job.backend = ? OR job.submitted_to = ?)"
)
"""Conditions of events, the first as its partial index has it."""
EVENTS_AT_ONCE = 100
"""Most events that one read gives: every watcher may hold as many."""


class JobReads:
    """What can be asked about jobs."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection

    def get(self, *, owner: str, job_id: str) -> Job:
        """Give a job.

        Raises:
            UnknownJobError: the owner has no such job.
        """
        row = self._connection.execute(
            f"SELECT {_JOB} FROM job WHERE id = ? AND owner = ? AND deleted = 0",  # noqa: S608 (constant)
            (job_id, owner),
        ).fetchone()
        if row is None:
            raise self._missing(owner, job_id)
        return self._with_details([row])[0]

    def owner_of(self, job_id: str) -> str:
        """Give whose a job is.

        Raises:
            UnknownJobError: there is none.
        """
        row = self._connection.execute("SELECT owner FROM job WHERE id = ? AND deleted = 0", (job_id,)).fetchone()
        if row is None:
            raise UnknownJobError(job_id=job_id)
        return str(row[0])

    def had(self, *, owner: str, job_id: str) -> bool:
        """Whether an owner has a job, or had it and its id is still taken."""
        row = self._connection.execute("SELECT 1 FROM job WHERE id = ? AND owner = ?", (job_id, owner)).fetchone()
        return row is not None

    def is_known(self, *, owner: str, key: str) -> bool:
        """Whether an owner's key stands for a job already."""
        row = self._connection.execute("SELECT 1 FROM job WHERE owner = ? AND key = ?", (owner, key)).fetchone()
        return row is not None

    def number(self, *, owner: str, job_id: str) -> int:
        """Give a job's place in the order of acceptance.

        Raises:
            UnknownJobError: the owner has no such job.
        """
        row = self._connection.execute(
            "SELECT number FROM job WHERE id = ? AND owner = ? AND deleted = 0", (job_id, owner)
        ).fetchone()
        if row is None:
            raise self._missing(owner, job_id)
        return int(row[0])

    def read_before(self, time_ns: int, *, limit: int, besides: Sequence[str] = ()) -> list[int]:
        """Give the numbers of ended jobs, save of some backends, that were read first before a time and are here."""
        rows = self._connection.execute(
            "SELECT number FROM job WHERE read_ns > 0 AND read_ns < ? AND deleted = 0"  # noqa: S608 (constants)
            f"{of_others(besides)} ORDER BY read_ns LIMIT ?",
            (time_ns, *besides, limit),
        )
        return [int(row[0]) for row in rows]

    def is_unread(self, number: int) -> bool:
        """Whether a job has ended and nobody has read its results to their end."""
        row = self._connection.execute(
            "SELECT 1 FROM job WHERE number = ? AND read_ns = 0 AND status IN ('DONE', 'CANCELLED', 'ERROR')", (number,)
        ).fetchone()
        return row is not None

    def _missing(self, owner: str | None, job_id: str) -> QubitdError:
        """Say whether a job was never there, or is expired; what was deleted was never there. None: whoever asks may
        know of it.
        """
        row = self._connection.execute(
            f"SELECT status FROM job WHERE id = ? AND expired_ns > 0{'' if owner is None else ' AND owner = ?'}",  # noqa: S608 (constants)
            (job_id,) if owner is None else (job_id, owner),
        ).fetchone()
        return UnknownJobError(job_id=job_id) if row is None else ExpiredJobError(job_id=job_id, status=row[0])

    def page(self, query: JobQuery) -> JobPage:
        """List jobs, newest first: as many as are asked for, or fewer if they have much to say or are hard to find."""
        rows, below = page_rows(self._connection, query, columns=_JOB)
        return JobPage(jobs=tuple(self._with_details(rows)), next_below=below)

    def events(self, number: int, *, after: int, stages: bool = True) -> list[JobEvent]:
        """Give a job's events after a number within its project, in order, at most `EVENTS_AT_ONCE`."""
        rows = self._connection.execute(
            f"SELECT {COLUMNS} FROM event WHERE job = ? AND own > ?{'' if stages else NO_STAGES}"  # noqa: S608 (constants)
            " ORDER BY own LIMIT ?",
            (number, after, EVENTS_AT_ONCE),
        )
        return [event_of(row) for row in rows]

    def newest_sequence(self) -> int:
        """Give the number of the newest event of any job, for other daemons; 0 before the first."""
        return int(self._connection.execute("SELECT coalesce(max(sequence), 0) FROM event").fetchone()[0])

    def newest_of(self, owner: str) -> int:
        """Give the number within a project of its newest event; the floor of all numbers before the first."""
        row = self._connection.execute(
            f"SELECT coalesce((SELECT events FROM project WHERE name = ?), {FLOOR})",  # noqa: S608 (constant)
            (owner,),
        ).fetchone()
        return int(row[0])

    def removed_of(self, owner: str, *, session_id: str) -> int:
        """Give the number of the newest event that went with its job, of a session or of all of a project's jobs."""
        which, values = (
            ("session WHERE id = ? AND owner = ?", (session_id, owner))
            if session_id
            else ("project WHERE name = ?", (owner,))
        )
        row = self._connection.execute(f"SELECT removed FROM {which}", values).fetchone()  # noqa: S608 (constants)
        return 0 if row is None else int(row[0])

    def events_of_many(self, *, owner: str, session_id: str, backend: str, after: int) -> list[JobEvent]:
        """Give the events of an owner's jobs in a session, or on a backend, after a number, in order."""
        values: tuple[str, ...]
        if session_id:
            condition, values = _OF_SESSION, (session_id, owner)
        else:
            condition, values = _OF_BACKEND, (owner, backend, backend)
        rows = self._connection.execute(
            f"SELECT job.id, {COLUMNS} FROM event JOIN job ON job.number = event.job"  # noqa: S608 (constants)
            f" WHERE {condition} AND own > ? ORDER BY own LIMIT ?",
            (*values, after, EVENTS_AT_ONCE),
        )
        return [replace(event_of(row[1:]), job_id=row[0]) for row in rows]

    def is_over(self, number: int) -> bool:
        """Whether a job has ended, or is gone: no event will follow those that are there now."""
        row = self._connection.execute(
            f"SELECT 1 FROM job WHERE number = ? AND deleted = 0 AND {LIVES}",  # noqa: S608 (constant)
            (number,),
        ).fetchone()
        return row is None

    def interruptions(self, number: int) -> int:
        """Give how often a job went on after the daemon's death."""
        counted = self._connection.execute(
            "SELECT count(*) FROM attempt WHERE job = ? AND outcome = ?", (number, INTERRUPTED)
        )
        return int(counted.fetchone()[0])

    def chunks(self, number: int) -> list[ChunkRow]:
        """Give a job's kept chunks, in order."""
        rows = self._connection.execute(
            "SELECT n, first_program, programs, first_shot, shots, pieces, digest FROM chunk WHERE job = ? ORDER BY n",
            (number,),
        )
        return [
            ChunkRow(
                n=n,
                span=Span(first_program=first_program, programs=programs, first_shot=first_shot, shots=shots),
                pieces=pieces,
                digest=digest,
            )
            for n, first_program, programs, first_shot, shots, pieces, digest in rows
        ]

    def ending(self, number: int) -> Ending | None:
        """Say what is told of a job that is DONE beside its results; None if it is not, or is gone."""
        row = self._connection.execute(
            "SELECT id, backend, revision, shots, instrument_ns,"
            " (SELECT coalesce(sum(size), 0) FROM chunk JOIN blob ON blob.digest = chunk.digest WHERE job = number)"
            " FROM job WHERE number = ? AND status = 'DONE' AND deleted = 0",
            (number,),
        ).fetchone()
        if row is None:
            return None
        job_id, backend, revision, shots, instrument_ns, size = row
        return Ending(
            job_id=job_id,
            backend=backend,
            revision=revision,
            shots=shots,
            instrument_seconds=instrument_ns * 1e-9,
            result_bytes=int(size),
        )

    def extent(self, job_id: str) -> Extent:
        """Say how big a job is.

        Raises:
            UnknownJobError: there is none.
        """
        row = self._connection.execute(
            f"SELECT programs, {_SIZE} FROM job WHERE id = ? AND deleted = 0",  # noqa: S608 (constant)
            (job_id,),
        ).fetchone()
        if row is None:
            raise UnknownJobError(job_id=job_id)
        return Extent(programs=row[0], bytes=row[1])

    def spec_digest(self, job_id: str) -> str:
        """Give the digest of the blob that holds what a job asks for."""
        return self._digest("spec_digest", job_id)

    def client_digest(self, job_id: str) -> str:
        """Give the digest of the blob that holds what a job's client wants back."""
        return self._digest("client_digest", job_id)

    def alive(self, backend: str | None = None) -> list[AliveJob]:
        """Give every job that has not ended, of one backend or of all, in the order of acceptance."""
        of_one = "" if backend is None else " AND backend = ?"
        rows = self._connection.execute(
            f"SELECT {ALIVE} FROM job"  # noqa: S608 (constants)
            f" WHERE {LIVES}{of_one} ORDER BY number",
            () if backend is None else (backend,),
        )
        return [alive_job(*row) for row in rows]

    def served(self, backend: str) -> float:
        """Give the seconds for which a backend had been served at the last note; 0 before the first."""
        row = self._connection.execute("SELECT seconds FROM served WHERE backend = ?", (backend,)).fetchone()
        return 0.0 if row is None else float(row[0])

    def usage(self) -> list[Usage]:
        """Give what every project used of every rack."""
        rows = self._connection.execute(
            "SELECT usage.backend, owner, usage.seconds, coalesce(served.seconds, 0) - usage.served"
            " FROM usage LEFT JOIN served ON served.backend = usage.backend"
        )
        return [Usage(backend=row[0], owner=row[1], seconds=row[2], age=row[3]) for row in rows]

    def _digest(self, column: str, job_id: str) -> str:
        row = self._connection.execute(
            f"SELECT {column} FROM job WHERE id = ? AND deleted = 0",  # noqa: S608 (names above)
            (job_id,),
        ).fetchone()
        if row is None:
            raise self._missing(None, job_id)
        return str(row[0])

    def _with_details(self, rows: Sequence[tuple[Any, ...]]) -> list[Job]:
        numbers = [row[0] for row in rows]
        stages: dict[int, list[StageTime]] = {number: [] for number in numbers}
        tags: dict[int, list[str]] = {number: [] for number in numbers}
        for job, time_ns, name in self._connection.execute(
            "SELECT job, time_ns, name FROM event"  # noqa: S608 (question marks)
            f" WHERE job IN ({marks(numbers)}) AND kind = 'stage' ORDER BY own",
            numbers,
        ):
            stages[job].append(StageTime(stage=name, time_ns=time_ns))
        for job, tag in self._connection.execute(
            f"SELECT job, tag FROM tag WHERE job IN ({marks(numbers)}) ORDER BY job, position",  # noqa: S608 (question marks)
            numbers,
        ):
            tags[job].append(tag)
        spent: dict[int, list[TimeSpent]] = {number: [] for number in numbers}
        for job, activity, seconds in self._connection.execute(
            f"SELECT job, activity, seconds FROM spent WHERE job IN ({marks(numbers)}) ORDER BY job, activity",  # noqa: S608 (question marks)
            numbers,
        ):
            spent[job].append(TimeSpent(activity=activity, seconds=seconds))
        return [
            replace(
                _job(row),
                timeline=tuple(stages[row[0]]),
                tags=tuple(tags[row[0]]),
                spent=tuple(spent[row[0]]),
            )
            for row in rows
        ]


def alive_job(*columns: Any) -> AliveJob:
    """Read a row of `ALIVE`."""
    number, job_id, backend, status, version, attempt, revision, cancelling, shots, owner, *further = columns
    created_ns, served, size, *terms = further
    return AliveJob(
        number=number,
        job_id=job_id,
        backend=backend,
        status=JobStatus(status),
        version=version,
        attempt=attempt,
        revision=revision,
        cancelling=bool(cancelling),
        shots=shots,
        owner=owner,
        created_ns=created_ns,
        served=served,
        size=size,
        terms=terms_of(tuple(terms)),
    )


def _job(row: tuple[Any, ...]) -> Job:
    return Job(
        job_id=row[1],
        backend=row[2],
        status=JobStatus(row[3]),
        revision=row[4],
        shots=row[5],
        num_circuits=row[6],
        num_programs=row[7],
        created_ns=row[8],
        instrument_seconds=row[9] * 1e-9,
        message=row[10],
        problems=problems_of(row[11]),
        last_sequence=row[12],
        session_id=row[13],
        submitted_to=row[14],
    )


def of_others(backends: Sequence[str]) -> str:
    """Condition, after others, of jobs of none of some backends, which are its values."""
    return f" AND backend NOT IN ({marks(backends)})" if backends else ""
