"""Gives the rack to one job after another, and to none before the last one left it safe."""

from __future__ import annotations

import asyncio
import logging

from qubitd.core.errors import InvalidInputError
from qubitd.core.job import JobStatus
from qubitd.core.snapshot import Snapshot
from qubitd.server.book import Entry, JobBook, Move
from qubitd.server.calibrations import Calibrations
from qubitd.server.events import Stage, reached
from qubitd.server.failure import failure_of
from qubitd.server.job_run import JobRun
from qubitd.server.lifecycle import Trigger
from qubitd.server.logs import about_job
from qubitd.server.persistence import settled
from qubitd.server.queue import JobQueue, Rank
from qubitd.server.rack import RackThread
from qubitd.server.store.store import Store
from qubitd.server.toolchain import Compiled
from qubitd.server.validator import Validator
from qubitd.server.workshop import Workshop

_log = logging.getLogger(__name__)


class Runner:
    """Brings jobs from QUEUED to their end."""

    def __init__(
        self,
        *,
        store: Store,
        book: JobBook,
        queue: JobQueue,
        workshop: Workshop,
        calibrations: Calibrations,
        rack: RackThread,
        validator: Validator,
    ) -> None:
        self._store = store
        self._book = book
        self._queue = queue
        self._workshop = workshop
        self._calibrations = calibrations
        self._rack = rack
        self._validator = validator
        self._wake = asyncio.Event()
        self._is_draining = False

    def wake(self) -> None:
        """Look at the queue again."""
        self._wake.set()

    def drain(self) -> None:
        """End at the next chunk boundary."""
        self._is_draining = True
        self._wake.set()

    async def serve(self) -> None:
        """Run jobs until told to drain."""
        while not self._is_draining:
            self._wake.clear()
            job_id = self._queue.next()
            if job_id is None:
                await self._wake.wait()
                continue
            self._queue.remove(job_id)
            entry = self._book.find(job_id)
            if entry is not None:
                with about_job(job_id):
                    await self._serve_one(entry)

    async def _serve_one(self, entry: Entry) -> None:
        snapshot = self._snapshot_for(entry)
        if entry.validated is not None and entry.validated != snapshot.revision:
            await self._validator.validate(entry)
            return
        compiled = await settled(self._workshop.take(entry.job_id, snapshot))
        error = compiled.exception()
        if entry.status is not JobStatus.QUEUED:
            return
        if error is not None:
            self._fail(entry, error)
            return
        await self._play(entry, compiled.result(), snapshot)

    def _snapshot_for(self, entry: Entry) -> Snapshot:
        """A job keeps the revision that it first started under."""
        return self._calibrations.snapshot(entry.revision)

    async def _play(self, entry: Entry, compiled: Compiled, snapshot: Snapshot) -> None:
        run = JobRun(
            entry,
            compiled,
            book=self._book,
            workshop=self._workshop,
            rack=self._rack,
            is_draining=lambda: self._is_draining,
        )
        played = await settled(self._start_and_play(entry, run, snapshot))
        error = played.exception()
        if error is not None:
            await run.settle()
            safe = asyncio.ensure_future(self._rack.make_safe())
            self._fail(entry, error)
            await safe
        elif entry.status is JobStatus.QUEUED:
            self._queue.add(entry.job_id, Rank(accepted=entry.number))

    async def _start_and_play(self, entry: Entry, run: JobRun, snapshot: Snapshot) -> None:
        started = reached(Stage.STARTED, self._book.now())
        await self._book.start(entry, revision=snapshot.revision, events=(started,))
        await run.play(self._store.jobs.chunks(entry.number))

    def _fail(self, entry: Entry, error: BaseException) -> None:
        failure = failure_of(error)
        level = logging.INFO if isinstance(error, InvalidInputError) else logging.WARNING
        _log.log(level, "job failed", extra={"cause": failure.message})
        if entry.lifecycle.allows(Trigger.FAIL):
            self._book.move(entry, Move(trigger=Trigger.FAIL, message=failure.message, problems=failure.problems))
