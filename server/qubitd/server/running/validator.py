"""Looks at jobs before they queue: decode, check, schedule. What cannot run ends here, early.

One after another, but for those that workers look at meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from qubitd.core.errors import InvalidInputError
from qubitd.core.job import JobStatus
from qubitd.core.snapshot import Snapshot
from qubitd.server.compiling.compiled_job import Validated
from qubitd.server.errors import StoreBrokenError
from qubitd.server.failpoints import failpoint
from qubitd.server.failure import failure_of
from qubitd.server.jobs.events import Dated, Stage, reached
from qubitd.server.jobs.lifecycle import Trigger
from qubitd.server.queueing.book import Entry, JobBook, Move
from qubitd.server.revisions.calibrations import Calibrations
from qubitd.server.running.workshop import Workshop
from qubitd.server.store.rows import Change
from qubitd.server.telemetry.logs import about
from qubitd.server.workers.crew import MOST_ASKED
from qubitd.wire.jobs import LogLine
from qubitd.wire.terms import RevisionPolicy


class Validator:
    """Brings jobs from INITIALIZING to QUEUED."""

    def __init__(
        self,
        *,
        book: JobBook,
        workshop: Workshop,
        calibrations: Calibrations,
        misfit: Callable[[Entry, float], InvalidInputError | None],
        on_queued: Callable[[Entry], None],
    ) -> None:
        """Prepare.

        Args:
            book: of the jobs.
            workshop: looks at them.
            calibrations: under which they are looked at.
            misfit: says why a job that takes so many seconds on the instruments cannot run where it asks to.
            on_queued: is given each job that can run.
        """
        self._book = book
        self._workshop = workshop
        self._calibrations = calibrations
        self._misfit = misfit
        self._on_queued = on_queued
        self._waiting: asyncio.Queue[Entry] = asyncio.Queue()
        self._elsewhere: set[asyncio.Task[None]] = set()
        """Looks that are left to workers."""
        self._looks: dict[str, asyncio.Future[Validated]] = {}
        """At jobs by their ids, while they go on."""

    def add(self, entry: Entry) -> None:
        """Look at a job when its turn comes."""
        self._waiting.put_nowait(entry)

    async def serve(self) -> None:
        """Look at jobs for ever."""
        try:
            async with asyncio.TaskGroup() as elsewhere:
                while True:
                    await self._next(elsewhere)
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _next(self, elsewhere: asyncio.TaskGroup) -> None:
        entry = await self._waiting.get()
        if entry.status not in (JobStatus.INITIALIZING, JobStatus.VALIDATING):
            return
        if len(self._elsewhere) < MOST_ASKED and self._workshop.is_for_others(entry.job_id):
            task = elsewhere.create_task(self.validate(entry))
            self._elsewhere.add(task)
            task.add_done_callback(self._elsewhere.discard)
        else:
            await self.validate(entry)

    def forgo(self, job_id: str) -> None:
        """Look at a job no longer: it has ended, and others wait."""
        if (look := self._looks.pop(job_id, None)) is not None:
            look.cancel()

    async def validate(self, entry: Entry) -> None:
        """Look at a job now; it ends up QUEUED, or at an end."""
        with about(job=entry.job_id, session=entry.terms.session_id):
            await self._look_at(entry, self._calibrations.snapshot(pinned_revision(entry)))

    async def _look_at(self, entry: Entry, snapshot: Snapshot) -> None:
        is_new = entry.lifecycle.allows(Trigger.VALIDATE)
        opening = [self._book.step(entry, Move(trigger=Trigger.VALIDATE))] if is_new else []
        began = reached(Stage.DECODING, self._book.now())
        failpoint("job.validating")
        validated = self._workshop.recall(entry.job_id, snapshot)
        if validated is None:
            if opening:
                self._book.keep(entry, opening)
                opening = []
            looked = await self._settled(entry, snapshot)
            if looked.cancelled():
                return
            error = looked.exception()
            if entry.status is not JobStatus.VALIDATING or isinstance(error, StoreBrokenError):
                # A store that is lost is not the job's fault: the daemon ends, and the next one looks again.
                return
            if error is not None:
                self._fail(entry, error, began)
                return
            validated = looked.result()
        if misfit := self._misfit(entry, validated.instrument_seconds):
            self._fail(entry, misfit, began, after=opening)
            return
        entry.validated = snapshot.revision
        entry.instrument_estimate = validated.instrument_seconds
        self._book.move(entry, Move(trigger=Trigger.QUEUE, events=self._story(began, validated)), after=opening)
        failpoint("job.queued")
        self._on_queued(entry)

    def _fail(self, entry: Entry, error: BaseException, began: Dated, *, after: Sequence[Change] = ()) -> None:
        failure = failure_of(error)
        move = Move(trigger=Trigger.FAIL, message=failure.message, problems=failure.problems, events=(began,))
        self._book.move(entry, move, after=after)

    async def _settled(self, entry: Entry, snapshot: Snapshot) -> asyncio.Future[Validated]:
        look = self._looks[entry.job_id] = asyncio.ensure_future(self._validated(entry, snapshot))
        try:
            await asyncio.wait([look])
        finally:
            look.cancel()
            self._looks.pop(entry.job_id, None)
        return look

    async def _validated(self, entry: Entry, snapshot: Snapshot) -> Validated:
        await self._book.until_accepted(entry)
        return await self._workshop.validate(entry.job_id, snapshot)

    def _story(self, began: Dated, validated: Validated) -> tuple[Dated, ...]:
        now = self._book.now()
        lines = (Dated(time_ns=now, what=LogLine(text=text)) for text in validated.log)
        return (began, *validated.events, *lines, reached(Stage.QUEUED, now))


def pinned_revision(entry: Entry) -> int:
    """Give the calibration that a job is bound to: that of its first start, or the one it named; 0 for the newest."""
    if entry.revision or entry.terms.revision_policy is RevisionPolicy.LATEST:
        return entry.revision
    return entry.terms.revision
