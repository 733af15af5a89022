"""Gives the rack to one job after another, and to none before the last one left it safe."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from functools import partial

from qubitd.core.errors import InvalidInputError
from qubitd.core.job import JobStatus
from qubitd.core.snapshot import Snapshot
from qubitd.drivers.errors import DriverError, RunBrokenOffError
from qubitd.server.compiling.compile_process import LONGEST
from qubitd.server.compiling.compiled_job import Compiled
from qubitd.server.errors import RevisionGoneError, StoreBrokenError
from qubitd.server.failpoints import failpoint
from qubitd.server.failure import failure_of
from qubitd.server.instruments.rack import RackThread
from qubitd.server.jobs.events import Stage, reached
from qubitd.server.jobs.lifecycle import Trigger
from qubitd.server.lab import LabSwitch
from qubitd.server.persistence import settled
from qubitd.server.queueing.book import Entry, JobBook, Move
from qubitd.server.queueing.dispatch import Dispatch
from qubitd.server.revisions.calibrations import Calibrations
from qubitd.server.running.job_run import JobRun
from qubitd.server.running.validator import Validator, pinned_revision
from qubitd.server.running.workshop import Workshop
from qubitd.server.store.store import Store
from qubitd.server.telemetry.logs import about
from qubitd.server.telemetry.meters import Meters
from qubitd.wire.terms import RevisionPolicy

_log = logging.getLogger(__name__)
CHUNK_PATIENCE = 0.8
"""Seconds that the chunk of a cancelled job has to end in, so that the job ends within one; an emulator may take longer
to compute a chunk."""


class Runner:
    """Brings jobs from QUEUED to their end."""

    def __init__(
        self,
        *,
        store: Store,
        book: JobBook,
        dispatch: Dispatch,
        lab: LabSwitch,
        tend: Callable[[], None],
        workshop: Workshop,
        calibrations: Calibrations,
        rack: RackThread,
        validator: Validator,
        misfit: Callable[[Entry, float], InvalidInputError | None],
        meters: Meters,
        turned: Callable[[float], None],
    ) -> None:
        self._meters = meters
        self._turned = turned
        self._store = store
        self._book = book
        self._dispatch = dispatch
        self._lab = lab
        self._tend = tend
        self._workshop = workshop
        self._calibrations = calibrations
        self._rack = rack
        self._validator = validator
        self._misfit = misfit
        self._wake = asyncio.Event()
        self._is_draining = False
        self._run: JobRun | None = None
        """Of the job that has the rack."""
        self._running_id = ""

    def wake(self) -> None:
        """Look at the queue again."""
        self._wake.set()

    def drain(self) -> None:
        """End at the next chunk boundary."""
        self._is_draining = True
        self._wake.set()

    def break_off(self, ending: Move, *, job_id: str = "") -> None:
        """Have the job that runs leave the rack at once with this step; nothing happens if none does, or another."""
        if self._run is not None and job_id in ("", self._running_id):
            self._run.break_off(ending)

    def break_off_later(self, ending: Move, *, job_id: str) -> None:
        """Have a job leave the rack with this step if its chunk does not end within `CHUNK_PATIENCE`."""
        asyncio.get_running_loop().call_later(CHUNK_PATIENCE, partial(self.break_off, ending, job_id=job_id))

    async def serve(self) -> None:
        """Run jobs until told to drain."""
        while not self._is_draining:
            self._wake.clear()
            self._turned(0.0)
            self._tend()
            decision = self._dispatch.decide()
            if decision.job_id is None or not self._may_start:
                await self._sleep(decision.look_again)
                continue
            self._dispatch.remove(decision.job_id)
            entry = self._book.find(decision.job_id)
            if entry is not None:
                with about(job=decision.job_id, session=entry.terms.session_id):
                    await self._serve_one(entry)

    @property
    def _may_start(self) -> bool:
        return self._lab.is_open and not self._is_draining

    async def _sleep(self, until: float) -> None:
        """Wait to be woken, or until a time on the steady clock."""
        seconds = until - self._dispatch.clocks.steady()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), None if math.isinf(seconds) else max(seconds, 0.0))

    async def _serve_one(self, entry: Entry) -> None:
        policy, current = entry.terms.revision_policy, self._calibrations.current.revision
        if entry.revision == 0 and policy is RevisionPolicy.EXACT and current != entry.terms.revision:
            self._fail(entry, RevisionGoneError(wanted=entry.terms.revision, current=current))
            return
        snapshot = self._calibrations.snapshot(pinned_revision(entry))
        self._turned(LONGEST)
        if entry.validated is not None and entry.validated != snapshot.revision:
            await self._validator.validate(entry)
            return
        compiled = None if entry.validated is None else self._workshop.kept(entry.job_id, snapshot)
        if compiled is None:
            made = await settled(self._compiled(entry, snapshot))
            error = made.exception()
            if entry.status is not JobStatus.QUEUED:
                return
            if error is not None:
                self._fail(entry, error)
                return
            compiled = made.result()
        if compiled is None:
            self._dispatch.add(entry)  # how long it takes was not known when it was chosen
        else:
            await self._play(entry, compiled, snapshot)

    async def _compiled(self, entry: Entry, snapshot: Snapshot) -> Compiled | None:
        """Take a job. One that an earlier process queued is only looked at again: much may have changed with it."""
        await self._book.until_accepted(entry)
        if entry.validated is None:
            validated = await self._workshop.validate(entry.job_id, snapshot)
            if misfit := self._misfit(entry, validated.instrument_seconds):
                raise misfit
            entry.validated, entry.instrument_estimate = snapshot.revision, validated.instrument_seconds
            return None
        return await self._workshop.take(entry.job_id, snapshot)

    async def _play(self, entry: Entry, compiled: Compiled, snapshot: Snapshot) -> None:
        if not self._may_start:  # as it was when the job was chosen, which may be long ago
            self._dispatch.add(entry)
            return
        run = JobRun(
            entry,
            compiled,
            book=self._book,
            workshop=self._workshop,
            rack=self._rack,
            must_leave=self._must_leave,
            turned=self._turned,
            meters=self._meters,
        )
        self._run, self._running_id = run, entry.job_id
        try:
            played = await settled(self._start_and_play(entry, run, snapshot))
        finally:
            self._run = None
        error = played.exception()
        if error is not None:
            safe = asyncio.ensure_future(self._rack.make_safe(before_try=self._turned))
            await run.settle()
            self._end(entry, run, error)
            await safe
        elif entry.status is JobStatus.QUEUED:
            self._dispatch.add(entry)

    def _must_leave(self) -> bool:
        """Asked between chunks."""
        return self._is_draining or self._dispatch.must_leave()

    async def _start_and_play(self, entry: Entry, run: JobRun, snapshot: Snapshot) -> None:
        started = reached(Stage.STARTED, self._book.now())
        failpoint("job.starting")
        recorded = self._book.start(entry, revision=snapshot.revision, events=(started,))
        kept = self._store.jobs.chunks(entry.number) if entry.attempt > 1 else []
        await run.play(kept, permit=recorded)

    def _end(self, entry: Entry, run: JobRun, error: BaseException) -> None:
        """End a job whose run ended badly: by a fault, or because somebody broke it off."""
        if isinstance(error, RunBrokenOffError) and run.ending is not None:
            self._book.move(entry, run.ending)
        else:
            self._fail(entry, error)

    def _fail(self, entry: Entry, error: BaseException) -> None:
        if isinstance(error, StoreBrokenError):
            # Not the job's fault: the daemon ends, and the next one finds the job where it was.
            return
        move = failed(error)
        if isinstance(error, DriverError):
            self._meters.count("faults", type(error).__name__)
        level = logging.INFO if isinstance(error, InvalidInputError) else logging.WARNING
        _log.log(level, "job failed", extra={"cause": move.message})
        if entry.lifecycle.allows(Trigger.FAIL):
            self._book.move(entry, move)


def failed(error: BaseException) -> Move:
    """Give the step of a job that an error ends."""
    failure = failure_of(error)
    return Move(trigger=Trigger.FAIL, message=failure.message, problems=failure.problems)
