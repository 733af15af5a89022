"""The jobs that have not ended, in memory and in the store, kept in step. Whatever happens to a job passes through
here.

All of it runs in the event loop's thread. Writes are queued in order; the future of one ends when it is durable, and
then those who watch the job are woken. A step that nobody waits for shares the commit of the next one that somebody
does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from qubitd.core.errors import Problem
from qubitd.core.job import JobStatus
from qubitd.server.clocks import Clocks
from qubitd.server.errors import BookDisagreesError, ImpossibleWriteError, StaleWriteError
from qubitd.server.failpoints import failpoint
from qubitd.server.jobs.events import Dated
from qubitd.server.jobs.lifecycle import Lifecycle, Trigger
from qubitd.server.persistence import Landings
from qubitd.server.queueing.served import ServedTime
from qubitd.server.store.event_rows import Events
from qubitd.server.store.rows import Accepted, AliveJob, Change, NewChunk, NewJob
from qubitd.server.store.store import Store, Writes
from qubitd.server.watching.announcer import Announcer
from qubitd.server.watching.recent_jobs import MOST_TOLD_BYTES, Ended, RecentJobs
from qubitd.wire.jobs import LogLine
from qubitd.wire.terms import JobTerms

Result = TypeVar("Result")
_COMPANY = 0.005
"""Seconds for which a step that nobody waits for may wait for one that somebody does."""
_UNHURRIED = (Trigger.VALIDATE, Trigger.QUEUE)
_NOT_YET = 0
"""Number of a job that is not written yet. It came when there was no other, so that all others come after it."""


@dataclass(slots=True, kw_only=True, eq=False)
class Entry:
    """A job that has not ended."""

    number: int
    """Order of acceptance."""
    lifecycle: Lifecycle
    shots: int
    """Of each program."""
    owner: str
    backend: str
    """That it was sent to, or was given to."""
    terms: JobTerms
    since: float
    """When it was accepted, s on the steady clock."""
    attempt: int = 0
    """How often it was started."""
    revision: int = 0
    """Calibration revision that it is pinned to; 0 before it starts."""
    validated: int | None = None
    """Revision that it was last validated for by this process."""
    cancelling: bool = False
    """Its owner gave it up while it runs."""
    instrument_estimate: float = 0.0
    """Seconds that all of it takes on the instruments, as compiled; 0 before."""
    instrument_ns: int = 0
    """That it took on the instruments in this process, ns."""
    recorded: float = 0.0
    """When its last chunk came in, s on the steady clock; 0 before the first."""
    ran: float = 0.0
    """Seconds that its runs kept the instruments in this process: more than that, if they were late."""
    left_session: bool = False
    """Its session was over while it waited: it waits with everybody's."""
    accepted: asyncio.Future[Accepted] | None = None
    """Ends when it is in the store, for one that was taken in passing; None for one that was there before."""

    @property
    def job_id(self) -> str:
        """Its id."""
        return self.lifecycle.job_id

    @property
    def status(self) -> JobStatus:
        """Where it stands."""
        return self.lifecycle.status


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A job's next step and what is said about it."""

    trigger: Trigger
    message: str = ""
    problems: tuple[Problem, ...] = ()
    events: tuple[Dated, ...] = ()
    """What happened before the step."""


def jobs_of(owner: str) -> tuple[str, str]:
    """Give the topic that is announced when anything happens to any job of an owner."""
    return ("jobs", owner)


class JobBook:
    """Every job that has not ended."""

    def __init__(
        self,
        *,
        store: Store,
        announcer: Announcer,
        clocks: Clocks,
        served: ServedTime,
        on_disagreement: Callable[[BookDisagreesError], None],
    ) -> None:
        """Keep jobs; `on_disagreement` is told if the store holds one otherwise than the book: then end the daemon."""
        self.now = clocks.wall
        self.on_move: Callable[[Entry, JobStatus], None] = _nobody_told
        self._clocks = clocks
        self._served = served
        self._on_disagreement = on_disagreement
        self._store = store
        self._announcer = announcer
        self._entries: dict[str, Entry] = {}
        self.recent = RecentJobs()
        """What became durable lately, if nobody else writes of our jobs."""
        self._is_alone = store.sharing is None
        self._hurry_due: asyncio.TimerHandle | None = None
        self._landings = Landings()

    @property
    def is_empty(self) -> bool:
        """Whether every job has ended."""
        return not self._entries

    def of_session(self, session_id: str) -> list[Entry]:
        """Give the jobs of a session that have not ended."""
        return [entry for entry in self._entries.values() if entry.terms.session_id == session_id]

    def of_slot(self, slot_id: str) -> list[Entry]:
        """Give the jobs for a slot that have not ended."""
        return [entry for entry in self._entries.values() if entry.terms.slot_id == slot_id]

    def find(self, job_id: str) -> Entry | None:
        """Give a job that has not ended."""
        return self._entries.get(job_id)

    def take_over(self, alive: Iterable[AliveJob]) -> list[Entry]:
        """Enter the jobs that an earlier process left in the store."""
        entries = [
            Entry(
                number=job.number,
                lifecycle=Lifecycle(job_id=job.job_id, status=job.status, version=job.version),
                shots=job.shots,
                owner=job.owner,
                backend=job.backend,
                terms=job.terms,
                since=self._clocks.steady() - self._age(job),
                attempt=job.attempt,
                revision=job.revision,
                cancelling=job.cancelling,
            )
            for job in alive
        ]
        self._entries.update((entry.job_id, entry) for entry in entries)
        return entries

    def _age(self, job: AliveJob) -> float:
        """Seconds for which it was served, not those on the wall: that may have stepped meanwhile."""
        if job.served is None:
            return max(0.0, (self.now() - job.created_ns) * 1e-9)
        return max(0.0, self._served.now() - job.served)

    def announce_job(self, job_id: str, owner: str) -> None:
        """Wake those who watch a job."""
        self._announcer.announce(job_id)
        self._announcer.announce(jobs_of(owner))

    async def accept(self, new: NewJob) -> tuple[Accepted, Entry | None]:
        """Take a job; durable on return. Gives its entry if it is new.

        Raises:
            KeyReusedError: the key stands for other content.
        """
        failpoint("job.accepting")
        dated, begun = replace(new, served=self._served.now()), partial(self._begun, new.owner)
        accepted = await self._write(new.job_id, new.owner, lambda w: w.jobs.accept(dated), told=begun)
        failpoint("job.accepted")
        return accepted, self._entered(new, accepted.number) if accepted.is_new else None

    def take_in_passing(self, new: NewJob) -> tuple[Entry, asyncio.Future[Accepted]]:
        """Take a job that is certainly new: it is in the book at once, and written with the steps that follow now.

        Whoever brought it waits for the future; until then nobody else may learn of the job.
        """
        failpoint("job.accepting")
        entry = self._entered(new, _NOT_YET)
        dated, begun = replace(new, served=self._served.now()), partial(self._begun, new.owner)
        accepted = self._write(new.job_id, new.owner, lambda w: w.jobs.accept(dated), told=begun, hurried=False)
        entry.accepted = accepted
        return entry, accepted

    async def until_accepted(self, entry: Entry) -> None:
        """Wait until the store can be asked about a job; one that was taken in passing waits for company no longer."""
        if entry.accepted is None:
            return
        if not entry.accepted.done():
            self._came_along()
            self._store.hurry()
        await asyncio.shield(entry.accepted)

    def _entered(self, new: NewJob, number: int) -> Entry:
        entry = Entry(
            number=number,
            lifecycle=Lifecycle(job_id=new.job_id),
            shots=new.shots,
            owner=new.owner,
            backend=new.backend,
            terms=new.terms,
            since=self._clocks.steady(),
        )
        self._entries[entry.job_id] = entry
        return entry

    def move(self, entry: Entry, move: Move, *, after: Sequence[Change] = ()) -> asyncio.Future[Events]:
        """Take a step, and write it with those that were taken by `step` just before.

        Raises:
            IllegalTransitionError: the job's state does not allow it.
        """
        changes = [*after, self.step(entry, move)]
        return self.keep(entry, changes, hurried=move.trigger not in _UNHURRIED)

    def keep(self, entry: Entry, changes: Sequence[Change], *, hurried: bool = False) -> asyncio.Future[Events]:
        """Write steps that were taken by `step`, together."""
        told = partial(self.recent.add, entry.job_id)
        return self._write(entry.job_id, entry.owner, lambda w: w.jobs.change(*changes), told=told, hurried=hurried)

    def start(self, entry: Entry, *, revision: int, events: tuple[Dated, ...]) -> Future[Events]:
        """Give the rack to a job, under a calibration revision. The attempt must be durable before any pulse.

        Whichever thread plays it waits for that.

        Raises:
            IllegalTransitionError: the job's state does not allow it.
        """
        entry.revision = revision
        entry.attempt += 1
        attempt = entry.attempt
        change = self.step(entry, Move(trigger=Trigger.START, events=events))
        written = self._store.write(lambda w: w.jobs.start(change, attempt=attempt))
        self._came_along()
        self._announced(entry.job_id, entry.owner, written, partial(self.recent.add, entry.job_id))
        return written

    def record(
        self, entry: Entry, chunk: NewChunk, *, events: Sequence[Dated], then: Move | None = None
    ) -> asyncio.Future[Events]:
        """Keep a chunk's result, and take the last step in the same commit if there is one.

        Raises:
            IllegalTransitionError: the job's state does not allow the step.
        """
        attempt = entry.attempt
        entry.instrument_ns += chunk.instrument_ns
        entry.recorded = self._clocks.steady()
        change = None if then is None else self.step(entry, then)

        def command(writes: Writes) -> Events:
            return writes.jobs.record_chunk(entry.job_id, chunk, attempt=attempt, events=events, then=change)

        ended = _ended(entry, chunk) if change is not None and change.after is JobStatus.DONE else None
        return self._write(entry.job_id, entry.owner, command, told=partial(self.recent.add, entry.job_id, ended=ended))

    def note_cancel(self, entry: Entry) -> asyncio.Future[None]:
        """Remember that a running job is to end at its next chunk boundary."""
        entry.cancelling = True
        failpoint("cancel.noted")
        return self._write(entry.job_id, entry.owner, lambda w: w.jobs.request_cancel(entry.job_id))

    def say(self, entry: Entry, text: str) -> asyncio.Future[Events]:
        """Tell those who watch a job what was done with it."""
        line = Dated(time_ns=self.now(), what=LogLine(text=text))
        told = partial(self.recent.add, entry.job_id)
        return self._write(
            entry.job_id, entry.owner, lambda w: w.jobs.append(entry.job_id, [line]), told=told, hurried=False
        )

    async def delete(self, *, owner: str, job_id: str, by: str) -> None:
        """Remove an ended job's content; its id and key stay taken.

        Raises:
            UnknownJobError: the owner has no such job.
            NotEndedError: it has not ended.
        """
        now = self.now()
        digests = await self._write(
            job_id,
            owner,
            lambda w: w.jobs.delete(owner=owner, job_id=job_id, who=by, time_ns=now),
            told=lambda _: self.recent.forget(job_id),
        )
        failpoint("job.deleted")
        await self._write(job_id, owner, lambda w: w.jobs.remove_files(digests))

    def step(self, entry: Entry, move: Move) -> Change:
        """Take a step in memory; the caller writes it before the job's next one.

        Raises:
            IllegalTransitionError: the job's state does not allow it.
        """
        before, version = entry.status, entry.lifecycle.version
        after = entry.lifecycle.apply(move.trigger)
        if after.is_final:
            self._entries.pop(entry.job_id, None)
        self.on_move(entry, before)
        return Change(
            job_id=entry.job_id,
            before=before,
            version=version,
            after=after,
            time_ns=self.now(),
            message=move.message,
            problems=move.problems,
            is_interruption=move.trigger is Trigger.RESUME,
            revision=entry.revision or None,
            events=move.events,
        )

    def _begun(self, owner: str, accepted: Accepted) -> None:
        if accepted.is_new and self._is_alone:
            self.recent.begin(owner, accepted)

    def _write(
        self,
        job_id: str,
        owner: str,
        command: Callable[[Writes], Result],
        *,
        told: Callable[[Result], None] | None = None,
        hurried: bool = True,
    ) -> asyncio.Future[Result]:
        """Write, whatever becomes of the caller that waits for it: memory has moved already.

        Args:
            job_id: the job that it is about.
            owner: of the job.
            command: what is written.
            told: is given what came of it once that is durable, before those who watch the job are woken.
            hurried: whether somebody waits for it.
        """
        written = self._store.write(command, hurried=hurried)
        if hurried:
            self._came_along()
        elif self._hurry_due is None:
            self._hurry_due = asyncio.get_running_loop().call_later(_COMPANY, self._hurry)
        return self._announced(job_id, owner, written, told)

    def _came_along(self) -> None:
        """Nothing waits for company any more: it went with what was written just now."""
        if self._hurry_due is not None:
            self._hurry_due.cancel()
            self._hurry_due = None

    def _hurry(self) -> None:
        self._hurry_due = None
        self._store.hurry()

    def _announced(
        self, job_id: str, owner: str, written: Future[Result], told: Callable[[Result], None] | None
    ) -> asyncio.Future[Result]:
        return self._landings.follow(written, lambda done: self._written(job_id, owner, done, told))

    def _written(self, job_id: str, owner: str, done: Future[Result], told: Callable[[Result], None] | None) -> None:
        error = done.exception()
        if error is None:
            if told is not None:
                told(done.result())
            self.announce_job(job_id, owner)
        elif isinstance(error, StaleWriteError | ImpossibleWriteError):
            self._on_disagreement(BookDisagreesError(job_id=job_id, cause=str(error)))


def _nobody_told(_: Entry, before: JobStatus) -> None:
    """Nobody keeps accounts yet."""


def _ended(entry: Entry, chunk: NewChunk) -> Ended | None:
    """Give what came of a job whose last chunk is at hand, if that is all of it, and small."""
    is_whole = chunk.n == 0 and entry.attempt == 1
    if not is_whole or sum(map(len, chunk.pieces)) > MOST_TOLD_BYTES:
        return None
    return Ended(
        backend=entry.backend,
        revision=entry.revision,
        shots=entry.shots,
        instrument_seconds=chunk.instrument_ns * 1e-9,
        pieces=chunk.pieces,
    )
