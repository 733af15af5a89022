"""The daemon's heart: takes jobs, validates them, runs them, ends them when it is told to. All in one event loop."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from qubitd.compiler.compile import compile_job
from qubitd.core.job import JobSpec, JobStatus
from qubitd.server.book import Entry, JobBook, Move
from qubitd.server.calibrations import Calibrations
from qubitd.server.errors import DrainingError
from qubitd.server.lifecycle import Trigger
from qubitd.server.persistence import to_the_end
from qubitd.server.planning import plan_of
from qubitd.server.queue import JobQueue, Rank
from qubitd.server.rack import RackThread
from qubitd.server.recovery import interrupted
from qubitd.server.runner import Runner
from qubitd.server.store.rows import NewJob
from qubitd.server.store.store import Store
from qubitd.server.validator import Validator
from qubitd.server.workshop import Workshop
from qubitd.wire.plans import JobPlan

_log = logging.getLogger(__name__)
DRAIN_SECONDS = 25.0
"""How long the running chunk may take to end when the daemon is told to stop."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """What an engine is made of."""

    store: Store
    book: JobBook
    calibrations: Calibrations
    workshop: Workshop
    rack: RackThread


class Engine:
    """Jobs from their acceptance to their end."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._book = parts.book
        self._calibrations = parts.calibrations
        self._workshop = parts.workshop
        self._rack = parts.rack
        self._queue = JobQueue()
        self._is_draining = False
        self._validator = Validator(
            book=parts.book, workshop=parts.workshop, calibrations=parts.calibrations, on_queued=self._enqueue
        )
        self._runner = Runner(
            store=parts.store,
            book=parts.book,
            queue=self._queue,
            workshop=parts.workshop,
            calibrations=parts.calibrations,
            rack=parts.rack,
            validator=self._validator,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def recover(self) -> None:
        """Decide about an earlier process's jobs; durable on return. Those of another backend wait for it."""
        alive = self._store.jobs.alive()
        entries = self._book.take_over(alive)
        writes = []
        for job, entry in zip(alive, entries, strict=True):
            move = interrupted(entry, self._store.jobs.chunks(entry.number))
            if move is not None:
                writes.append(self._book.move(entry, move))
            elif job.backend != self._calibrations.device.name:
                _log.warning("a job waits for a backend that is not served", extra={"job": job.job_id})
            elif entry.status is JobStatus.QUEUED:
                self._enqueue(entry)
            else:
                self._validator.add(entry)
        await asyncio.gather(*writes)
        _log.info("recovered", extra={"waiting": len(entries) - len(writes), "interrupted": len(writes)})

    def start(self) -> list[asyncio.Task[None]]:
        """Begin to validate and run; the tasks end only by `drain` or by a mistake of ours."""
        self._tasks = [
            asyncio.create_task(self._validator.serve(), name="validator"),
            asyncio.create_task(self._runner.serve(), name="runner"),
        ]
        return self._tasks

    async def submit(self, new: NewJob) -> str:
        """Take a job; it is durable on return. Gives its id.

        Raises:
            DrainingError: the daemon stops.
            KeyReusedError: the key stands for other content.
        """
        if self._is_draining:
            raise DrainingError
        return await to_the_end(self._take(new))

    async def cancel(self, *, owner: str, job_id: str) -> JobStatus:
        """End a job, or have it end at its next chunk boundary; durable on return. Gives its state.

        Raises:
            UnknownJobError: the owner has no such job.
        """
        status = self._store.jobs.get(owner=owner, job_id=job_id).status
        entry = self._book.find(job_id)
        if entry is None:
            return status
        if entry.lifecycle.allows(Trigger.CANCEL):
            self._queue.remove(job_id)
            await self._book.move(entry, Move(trigger=Trigger.CANCEL, message="cancelled by its owner before it ran"))
        else:
            await self._book.note_cancel(entry)
        return entry.status

    async def explain(self, spec: JobSpec) -> JobPlan:
        """Compile without queueing and say what the job would take.

        Raises:
            QubitdError: the job cannot run.
        """
        snapshot = self._calibrations.current
        length = len(self._queue)

        def work() -> JobPlan:
            compiled = compile_job(self._calibrations.device, snapshot, spec)
            return plan_of(
                compiled,
                self._rack.controller,
                pack=self._workshop.toolchain.pack(reset=compiled.reset),
                shots=spec.shots,
                queue_length=length,
                revision=snapshot.revision,
            )

        return await self._workshop.for_waiting(work)

    async def delete(self, *, owner: str, job_id: str) -> None:
        """Remove an ended job's content.

        Raises:
            UnknownJobError: the owner has no such job.
            NotEndedError: it has not ended.
        """
        await to_the_end(self._book.delete(owner=owner, job_id=job_id))

    def refuse_new(self) -> None:
        """Take nothing more, and start no further chunk. Jobs that wait stay in the store."""
        self._is_draining = True
        self._rack.give_up()
        self._runner.drain()

    async def drain(self) -> None:
        """Let the running chunk end, and stop; after `refuse_new`."""
        validator, runner = self._tasks
        validator.cancel()
        _, late = await asyncio.wait([runner], timeout=DRAIN_SECONDS)
        for task in late:
            _log.warning("the running chunk does not end; leaving it", extra={"seconds": DRAIN_SECONDS})
            task.cancel()
        await asyncio.gather(validator, runner, return_exceptions=True)

    async def _take(self, new: NewJob) -> str:
        """Goes on when the caller is gone: a job that is in the store must be in the book."""
        accepted, entry = await self._book.accept(new)
        if entry is not None:
            self._validator.add(entry)
        return accepted.job_id

    def _enqueue(self, entry: Entry) -> None:
        self._queue.add(entry.job_id, Rank(accepted=entry.number))
        self._runner.wake()
