"""One job on the rack, chunk by chunk: while one runs, the next is assembled and brought to what stands idle, and the
last is discriminated and recorded.

The result of a chunk is durable before the next but one starts. A job leaves the rack at a chunk boundary, or by a
fault.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from qubitd.core.errors import QubitdError
from qubitd.core.program import Chunk
from qubitd.drivers.controller import Assembly
from qubitd.server.compiling.compile_process import LONGEST
from qubitd.server.compiling.compiled_job import Compiled, Part
from qubitd.server.errors import ResumeError
from qubitd.server.failpoints import failpoint
from qubitd.server.instruments.rack import RackThread, Run
from qubitd.server.jobs.events import Dated, Stage, reached
from qubitd.server.jobs.lifecycle import Trigger
from qubitd.server.queueing.book import Entry, JobBook, Move
from qubitd.server.running.run_limit import RunLimit
from qubitd.server.running.workshop import Workshop
from qubitd.server.store.rows import ChunkRow, NewChunk, Span
from qubitd.server.telemetry.meters import Meters
from qubitd.server.telemetry.spending import Activity, Spending
from qubitd.wire.jobs import ExecutionSpan, Progress, TimeSpent

_log = logging.getLogger(__name__)
_SEED_STEP = 0x9E3779B97F4A7C15
"""Golden ratio of 2^64: gives each chunk a seed of its own, the same however often the job was interrupted."""


_LIGHT = 8192
"""Programs x shots whose discrimination takes less time than to wake a thread for it."""
CANCELLED = "cancelled by its owner; finished parts of the result stay readable"
"""Message of a job that was cancelled while it ran."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assembled:
    """A chunk that is ready to be loaded."""

    n: int
    chunk: Chunk
    assembly: Assembly
    event: Dated

    @property
    def span(self) -> Span:
        """What it covers of the job."""
        return span_of(self.chunk)


class JobRun:
    """A job that holds the rack."""

    def __init__(
        self,
        entry: Entry,
        compiled: Compiled,
        *,
        book: JobBook,
        workshop: Workshop,
        rack: RackThread,
        must_leave: Callable[[], bool],
        turned: Callable[[float], None],
        meters: Meters,
    ) -> None:
        """Hold the rack.

        Args:
            entry: the job.
            compiled: what it plays.
            book: keeps its steps and results.
            workshop: assembles and discriminates.
            rack: plays.
            must_leave: asked between chunks whether somebody else needs the rack.
            turned: told at each step within how many seconds the next one comes, if all is well.
            meters: are told what was done.
        """
        self._meters = meters
        self._entry = entry
        self._compiled = compiled
        self._book = book
        self._workshop = workshop
        self._rack = rack
        self._must_leave = must_leave
        self._turned = turned
        self._broken_off = threading.Event()
        self.ending: Move | None = None
        """What it was broken off for; None if it was not."""
        self._recording: asyncio.Future[None] | None = None
        self._upcoming: Assembly | None = None
        self._spending = Spending()
        self._ended: float | None = None
        self._done = 0
        self._limit = RunLimit(estimate=entry.instrument_estimate, asked=compiled.spec.max_execution_time)
        self._total = compiled.spec.num_programs * compiled.spec.shots

    async def play(self, kept: list[ChunkRow], *, permit: Future[Any]) -> None:
        """Run every chunk that is not kept yet; the job has left RUNNING on return.

        Args:
            kept: its chunks that are durable.
            permit: given once the attempt is durable; nothing is played before.

        Raises:
            QubitdError: a fault; what was recorded before it stays.
        """
        self._done = sum(_size(row.span) for row in kept)
        parts = enumerate(self._compiled.parts)
        following = self._assemble(parts, kept)
        try:
            assembled = await following
            ending = self._ending(is_last=assembled is None)
            if ending is not None:
                await self._book.move(self._entry, ending)
                return
            failpoint("chunk.assembled")
            while assembled is not None:
                following = self._assemble(parts, kept)
                self._turned(self._rack.patience(assembled.assembly))
                run = await self._rack.run(
                    assembled.assembly,
                    seed=self._seed(assembled.n),
                    spending=self._spending,
                    permit=permit,
                    give_up=self._broken_off.is_set,
                    upcoming=lambda: self._upcoming,
                )
                self._turned(LONGEST)
                self._entry.ran += run.taken
                self._note_idleness(run)
                upcoming = await following
                await self._recorded()
                ending = self._ending(is_last=upcoming is None)
                if ending is not None:
                    await self._record(assembled, run, ending)
                    return
                self._recording = asyncio.ensure_future(self._record(assembled, run, None))
                assembled = upcoming
        finally:
            await _drop(following)

    def break_off(self, ending: Move) -> None:
        """Have the job leave the rack at once, wherever it is, with this step; the first one that is given counts.

        A chunk whose run has ended is still recorded; if it was the last one, the job has finished.
        """
        self.ending = self.ending or ending
        self._broken_off.set()

    async def settle(self) -> None:
        """Let what was played before a fault become durable, as far as it can."""
        if self._recording is not None:
            await asyncio.wait([self._recording])

    def _assemble(self, parts: Iterator[tuple[int, Part]], kept: list[ChunkRow]) -> asyncio.Future[Assembled | None]:
        self._upcoming = None

        def work() -> Assembled | None:
            n, part = next_to_run(parts, kept)
            if part is None:
                return None
            for activity, seconds in part.spent.items():
                self._spending.add(activity, seconds)
            with self._spending.timed(Activity.ASSEMBLE):
                assembly = part.assemble()
            self._upcoming = assembly
            return Assembled(n=n, chunk=part.chunk, assembly=assembly, event=reached(Stage.ASSEMBLED, self._book.now()))

        if self._compiled.is_made:
            return _done(work)
        return asyncio.ensure_future(self._workshop.for_running(work))

    def _seed(self, n: int) -> int | None:
        seed = self._compiled.spec.seed_simulator
        return None if seed is None else (seed + n * _SEED_STEP) % 2**64

    def _ending(self, *, is_last: bool) -> Move | None:
        if self._entry.cancelling:
            return Move(trigger=Trigger.STOP, message=CANCELLED)
        if is_last:
            return Move(trigger=Trigger.FINISH)
        if self.ending is not None:
            return self.ending
        overrun = self._limit.overrun(self._entry.ran)
        if overrun is None and self._must_leave():
            return Move(trigger=Trigger.PUT_BACK)
        return overrun

    def _note_idleness(self, run: Run) -> None:
        if self._ended is not None:
            self._spending.add(Activity.IDLE, run.started - self._ended)
        self._ended = run.ended

    async def _recorded(self) -> None:
        if self._recording is not None:
            await self._recording

    async def _record(self, assembled: Assembled, run: Run, ending: Move | None) -> None:
        is_light = _size(assembled.span) <= _LIGHT
        pieces = await self._workshop.for_running(lambda: self._results(assembled, run), is_light=is_light)
        self._done += _size(assembled.span)
        spent = self._spending.take()
        chunk = NewChunk(
            n=assembled.n,
            span=assembled.span,
            pieces=pieces,
            instrument_ns=round(assembled.assembly.duration * 1e9),
            spent=spent,
        )
        failpoint("chunk.recording")
        with self._spending.timed(Activity.RECORD):
            events = self._story(assembled, run, ending=ending)
            recorded = self._book.record(self._entry, chunk, events=events, then=ending)
            self._note(assembled, spent)
            await recorded
        failpoint("chunk.recorded")

    def _note(self, assembled: Assembled, spent: Sequence[TimeSpent]) -> None:
        for one in spent:
            self._meters.note("stage", one.seconds, one.activity)
        self._meters.note("instrument", assembled.assembly.duration)

    def _results(self, assembled: Assembled, run: Run) -> tuple[bytes, ...]:
        with self._spending.timed(Activity.DISCRIMINATE):
            return self._workshop.toolchain.results(self._compiled, assembled.chunk, run.readings)

    def _story(self, assembled: Assembled, run: Run, *, ending: Move | None) -> tuple[Dated, ...]:
        """Stages are told of the first chunk; those that follow tell their progress."""
        now = self._book.now()
        played = executed(assembled.span, run, now)
        progress = Dated(time_ns=now, what=Progress(done=self._done, total=self._total, span=played))
        stages: tuple[Dated, ...] = ()
        if assembled.n == 0:
            stages = (assembled.event, *run.events, reached(Stage.DISCRIMINATED, now))
        if ending is not None and ending.trigger is Trigger.FINISH:
            return (*stages, progress, reached(Stage.RECORDED, now), reached(Stage.DONE, now))
        return (*stages, progress)


def span_of(chunk: Chunk) -> Span:
    """Give what a chunk covers of its job."""
    return Span(
        first_program=chunk.first_program,
        programs=len(chunk.programs),
        first_shot=chunk.first_shot,
        shots=chunk.shots,
    )


def executed(span: Span, run: Run, now_ns: int) -> ExecutionSpan:
    """Give what a run played and when, told some time after its end."""
    since = time.monotonic()
    return ExecutionSpan(
        first_program=span.first_program,
        programs=span.programs,
        first_shot=span.first_shot,
        shots=span.shots,
        began_ns=now_ns - round((since - run.started) * 1e9),
        ended_ns=now_ns - round((since - run.ended) * 1e9),
    )


def next_to_run(parts: Iterator[tuple[int, Part]], kept: Sequence[ChunkRow]) -> tuple[int, Part | None]:
    """Give the next numbered part that is not kept yet; None after the last.

    Raises:
        ResumeError: the kept chunks are not those that the job is cut into now.
    """
    for n, part in parts:
        if n >= len(kept):
            return n, part
        if kept[n].span != span_of(part.chunk):
            raise ResumeError(kept=len(kept))
    return len(kept), None


def _size(span: Span) -> int:
    return span.programs * span.shots


def _done(work: Callable[[], Assembled | None]) -> asyncio.Future[Assembled | None]:
    """Do something that takes no time."""
    done: asyncio.Future[Assembled | None] = asyncio.get_running_loop().create_future()
    try:
        done.set_result(work())
    except QubitdError as error:
        done.set_exception(error)
    return done


async def _drop(task: asyncio.Future[Assembled | None]) -> None:
    """Give up what was assembled ahead, and take its error, if it has one, as read."""
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
