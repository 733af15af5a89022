"""The compiler's work, off the event loop: one thread for jobs that do not run yet, one for the job that does.

Compiled jobs are kept by what went in, the job and the revision, and only a few of them: a long queue holds no
programs.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from qubitd.core.errors import QubitdError
from qubitd.core.job import JobSpec
from qubitd.core.plan import JobPlan
from qubitd.core.snapshot import Snapshot
from qubitd.server.compiling.compile_process import CompileProcess
from qubitd.server.compiling.compiled_job import Compiled, Validated
from qubitd.server.compiling.effort import effort
from qubitd.server.compiling.spec_memory import MOST_REMEMBERED_BYTES
from qubitd.server.compiling.toolchain import Toolchain
from qubitd.server.store.store import Store
from qubitd.server.workers.crew import Crew

_Result = TypeVar("_Result")
BIG_PROGRAMS = 2_000
"""Programs of a job above which another process looks at it."""
BIG_BYTES = 2**18
"""Bytes of such a job."""
BIG_OPERATIONS = 100_000
"""Operations of such a job (`effort`): about a second's work."""
_KEPT = 4
"""Compiled jobs that are kept for their start; any other is compiled again then."""
_FEW_PROGRAMS = 8
"""Programs of a job that is compiled while it is being taken."""
AT_ONCE = 0.02
"""Seconds for which a small job may be compiled before it is taken; it is taken in any case then."""
_BROUGHT = 256
"""Small jobs whose bytes are kept from their acceptance until they are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Helpers:
    """Processes that compile big jobs; neither is started before it is needed."""

    waiting: CompileProcess
    """For jobs that do not run yet."""
    running: CompileProcess
    """For the job that does: it makes and assembles the next chunk while one runs."""
    simulating: CompileProcess
    """For circuits that are simulated for their explanation, which may take long."""
    crew: Crew | None = None
    """Workers on other machines, for jobs that do not run yet; None for a daemon that shares its store with nobody."""


class Workshop:
    """Two threads, each with a process for big jobs, and what they know how to do."""

    def __init__(self, *, store: Store, toolchain: Toolchain, helpers: Helpers) -> None:
        self.toolchain = toolchain
        self._helpers = helpers
        self._store = store
        self._waiting_jobs = ThreadPoolExecutor(max_workers=1, thread_name_prefix="validate")
        self._running_job = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prepare")
        self._simulated = ThreadPoolExecutor(max_workers=1, thread_name_prefix="simulate")
        self._kept: OrderedDict[tuple[str, int], Compiled] = OrderedDict()
        self._brought: OrderedDict[str, bytes] = OrderedDict()
        self._ahead: Future[None] = Future()
        self._ahead.set_result(None)
        self._asked: Future[Any] = self._ahead
        """What was asked for last of the thread for jobs that do not run, besides what is compiled ahead."""

    def begin(self, spec: bytes, programs: int, snapshot: Snapshot) -> None:
        """Compile a small job while it is being taken, unless another is; it is known then when it is looked at."""
        if self._is_small(spec, programs) and self._ahead.done() and not self.toolchain.knows(spec, snapshot):
            self._ahead = self._waiting_jobs.submit(self._compile_ahead, spec, snapshot)

    async def knows(self, spec: bytes, programs: int, snapshot: Snapshot) -> bool:
        """Whether everything is known of a job, from one like it, or because it is small and could be compiled now,
        quickly and without waiting for others.
        """
        if self.toolchain.knows(spec, snapshot):
            return True
        if not self._is_small(spec, programs) or not (self._asked.done() and self._ahead.done()):
            return False
        self._ahead = self._waiting_jobs.submit(self._compile_ahead, spec, snapshot)
        await asyncio.wait([asyncio.wrap_future(self._ahead)], timeout=AT_ONCE)
        return self.toolchain.knows(spec, snapshot)

    def bring(self, job_id: str, spec: bytes) -> None:
        """Hand over a job that was just taken; a small one need not be read from the store to be looked at."""
        if len(spec) <= MOST_REMEMBERED_BYTES:
            self._brought[job_id] = spec
        if len(self._brought) > _BROUGHT:
            self._brought.popitem(last=False)

    def recall(self, job_id: str, snapshot: Snapshot) -> Validated | None:
        """Say at once what is known of a job that was just taken, if the same came before; it is kept for its start."""
        spec = self._brought.get(job_id)
        validated = None if spec is None else self.toolchain.recall(spec, snapshot)
        return None if validated is None else self._keep(job_id, snapshot, validated)

    async def validate(self, job_id: str, snapshot: Snapshot) -> Validated:
        """Look at a job that waits; a small one is kept for its start.

        Raises:
            QubitdError: the job cannot run, or the store has lost it.
        """
        validated = await self._validate_elsewhere(job_id, snapshot)
        if validated is None:
            is_big, spec = self._is_big(job_id), self._spec(job_id)
            validated = (
                await self._while_wanted(partial(self._validate_big, spec, snapshot))
                if is_big
                else await self.for_waiting(lambda: self.toolchain.validate(spec(), snapshot))
            )
        return self._keep(job_id, snapshot, validated)

    def is_for_others(self, job_id: str) -> bool:
        """Whether workers are there who could look at a job: one that is big, while they have few others."""
        crew = self._helpers.crew
        return crew is not None and crew.can_take and self._is_big(job_id)

    def kept(self, job_id: str, snapshot: Snapshot) -> Compiled | None:
        """Give a job that was looked at lately for its start, and keep it no longer."""
        return self._kept.pop((job_id, snapshot.revision), None)

    async def explain(self, spec: JobSpec, snapshot: Snapshot, *, wants_expected: bool = False) -> JobPlan:
        """Say what a job would take, and what it would give if that is wanted.

        Raises:
            QubitdError: the job cannot run.
        """
        is_big = spec.num_programs > BIG_PROGRAMS or effort(spec) > BIG_OPERATIONS
        crew = self._helpers.crew
        if (is_big or wants_expected) and crew is not None and crew.can_take:
            plan = await crew.explain(spec, snapshot, wants_expected=wants_expected)
            if plan is not None:
                return plan
        if wants_expected:
            simulating = partial(self._helpers.simulating.explain, wants_expected=True)
            return await asyncio.get_running_loop().run_in_executor(self._simulated, simulating, spec, snapshot)
        if is_big:
            explaining = partial(self._helpers.waiting.explain, spec, snapshot)
            return await self._while_wanted(lambda is_wanted: explaining(is_wanted=is_wanted))
        return await self.for_waiting(lambda: self.toolchain.explain(spec, snapshot))

    async def take(self, job_id: str, snapshot: Snapshot) -> Compiled:
        """Give a compiled job for its start, as kept or compiled now, and keep it no longer.

        Raises:
            QubitdError: as for `validate`.
        """
        kept = self.kept(job_id, snapshot)
        if kept is not None:
            return kept
        compiler = self._helpers.running if self._is_big(job_id) else self.toolchain
        spec = self._spec(job_id)
        return await self.for_running(lambda: compiler.compile(spec(), snapshot))

    async def for_waiting(self, work: Callable[[], _Result]) -> _Result:
        """Do something for a job that does not run."""
        asked = self._asked = self._waiting_jobs.submit(work)
        return await asyncio.wrap_future(asked)

    async def for_running(self, work: Callable[[], _Result], *, is_light: bool = False) -> _Result:
        """Do something for the job that runs; at once if it takes less than a thread's waking."""
        if is_light:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._running_job, work)

    async def _while_wanted(self, work: Callable[[Callable[[], bool]], _Result]) -> _Result:
        """Do something for a job that does not run, as long as the caller is not cancelled."""
        is_forgone = threading.Event()
        try:
            return await self.for_waiting(lambda: work(lambda: not is_forgone.is_set()))
        except asyncio.CancelledError:
            is_forgone.set()
            raise

    def close(self) -> None:
        """Start nothing more."""
        for thread in (self._waiting_jobs, self._running_job, self._simulated):
            thread.shutdown(wait=False, cancel_futures=True)
        self._helpers.waiting.close()
        self._helpers.running.close()
        self._helpers.simulating.close()

    def _compile_ahead(self, spec: bytes, snapshot: Snapshot) -> None:
        with contextlib.suppress(QubitdError):  # its owner is told when the job is looked at
            self.toolchain.look_ahead(spec, snapshot)

    async def _validate_elsewhere(self, job_id: str, snapshot: Snapshot) -> Validated | None:
        if self._helpers.crew is None or not self.is_for_others(job_id):
            return None
        return await self._helpers.crew.validate(self._store.jobs.spec_digest(job_id), snapshot)

    def _validate_big(self, spec: Callable[[], bytes], snapshot: Snapshot, is_wanted: Callable[[], bool]) -> Validated:
        return self._helpers.waiting.validate(spec(), snapshot, is_wanted=is_wanted)

    def _is_big(self, job_id: str) -> bool:
        extent = self._store.jobs.extent(job_id)
        if extent.programs > BIG_PROGRAMS or extent.bytes > BIG_BYTES:
            return True
        if extent.bytes > MOST_REMEMBERED_BYTES:
            return False
        spec = self._brought.get(job_id)
        return self._is_laborious(self._store.blob(self._store.jobs.spec_digest(job_id)) if spec is None else spec)

    def _is_small(self, spec: bytes, programs: int) -> bool:
        return len(spec) <= MOST_REMEMBERED_BYTES and programs <= _FEW_PROGRAMS and not self._is_laborious(spec)

    def _is_laborious(self, spec: bytes) -> bool:
        return effort(self.toolchain.specs.of_bytes(spec)) > BIG_OPERATIONS

    def _keep(self, job_id: str, snapshot: Snapshot, validated: Validated) -> Validated:
        self._brought.pop(job_id, None)
        if validated.compiled is not None:
            self._kept[job_id, snapshot.revision] = validated.compiled
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return validated

    def _spec(self, job_id: str) -> Callable[[], bytes]:
        brought = self._brought.pop(job_id, None)
        if brought is not None:
            return lambda: brought
        digest = self._store.jobs.spec_digest(job_id)
        return lambda: self._store.blob(digest)
