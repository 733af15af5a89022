"""The rack, as the engine uses it: blocking instruments in one thread of their own, and a link that heals after a
fault.

A chunk is loaded, run and fetched in one go. Whatever goes wrong in between ends with the outputs safe before
anything else.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from typing import Any, TypeVar

from qubitd.compiler.chunk import RUN_TIME
from qubitd.drivers.controller import Assembly, Controller, Readings
from qubitd.drivers.errors import DriverError, InstrumentNotFoundError, LinkClosedError, RunBrokenOffError
from qubitd.drivers.rack import Rack as RackFile
from qubitd.server.failpoints import failpoint
from qubitd.server.instruments.simulator import Simulator
from qubitd.server.jobs.events import Dated, Stage, reached
from qubitd.server.telemetry.logs import about
from qubitd.server.telemetry.meters import Meters
from qubitd.server.telemetry.spending import Activity, Spending
from qubitd.server.watching.announcer import Announcer

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

TOPIC = "rack"
"""Announced when the rack stops answering, or answers again."""
VIRTUAL_DEADLINE = 120.0
"""Least seconds that a run may take where time is virtual: what an emulator computes takes as long as it takes."""
VIRTUAL_CHUNK_TIME = 100 * RUN_TIME
"""Ticks of virtual time in a chunk: an emulator computes all shots at once, so that cutting them only repeats work."""
RETRY_SECONDS = 1.0
"""How long to leave instruments alone between attempts to reach them again."""
REVIVAL_SECONDS = 60.0
"""Time that an emulated rack may take to start anew."""
HANDLING_SECONDS = 120.0
"""Time for what surrounds a run: a chunk is loaded, its attempt becomes durable, and what it gave is read."""
SEEN_WITHIN = 0.05
"""Seconds within which the end of a run is seen; they are not the job's."""
_EXCHANGES = 10
"""Exchanges with an instrument that may each take all of its time before it is given up."""
PERMIT_PAUSE = 0.02
"""Seconds between two looks at whether a run that waits for its permit is still wanted."""


def chunk_time(file: RackFile) -> int:
    """Give the ticks that a chunk runs at most, so that no more than about a second passes between two."""
    return RUN_TIME if file.time == "real" else VIRTUAL_CHUNK_TIME


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """What one run on the instruments gave."""

    readings: Readings
    events: tuple[Dated, ...]
    """The stages that it passed through."""
    started: float
    """When it began to run, on the monotonic clock."""
    ended: float
    """When its end was seen."""
    taken: float
    """Seconds of instrument time: as compiled, or as long as the instruments really took if that is longer."""


def not_told(_: float) -> None:
    """Nobody asks within how many seconds something ends."""


def not_ours() -> bool:
    """What the instruments are is not ours to start."""
    return False


class _Ahead:
    """Brings what comes next ahead, piece by piece, until nothing more of it can be."""

    def __init__(self, controller: Controller, spending: Spending, upcoming: Callable[[], Assembly | None]) -> None:
        self._controller = controller
        self._spending = spending
        self._upcoming = upcoming
        self._is_done = False
        self.seconds = 0.0
        """For which it kept the thread."""

    def bring(self) -> None:
        """Bring one piece."""
        assembly = None if self._is_done else self._upcoming()
        if assembly is None:
            return
        began = time.monotonic()
        with self._spending.timed(Activity.AHEAD):
            self._is_done = self._controller.load_ahead(assembly) is None
        self.seconds += time.monotonic() - began


class RackThread:
    """One rack's controller and the one thread that may talk to it."""

    def __init__(
        self,
        file: RackFile,
        controller: Controller,
        *,
        simulator: Simulator | None,
        revive: Callable[[], bool],
        announcer: Announcer,
        now: Callable[[], int],
        meters: Meters,
    ) -> None:
        self._meters = meters
        self.controller = controller
        self.is_operational = False
        self.fault = ""
        self._has_given_up = False
        self._is_over = threading.Event()
        self.file = file
        self._simulator = simulator
        self._revive = revive
        self._announcer = announcer
        self._now = now
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rack")

    @property
    def is_simulated(self) -> bool:
        """Whether instruments and chip are emulated."""
        return self.file.emulator is not None

    async def open(self) -> None:
        """Find the instruments, check who they are, and make them safe.

        Raises:
            DriverError: one is missing, is another, or cannot be made safe.
        """
        try:
            await self._do(self._open)
        except BaseException:
            self.controller.close()
            self._thread.shutdown()
            raise
        self._set_operational(True)

    async def run(
        self,
        assembly: Assembly,
        *,
        seed: int | None,
        spending: Spending,
        permit: Future[Any],
        give_up: Callable[[], bool],
        upcoming: Callable[[], Assembly | None],
    ) -> Run:
        """Play a chunk and read what came back.

        Args:
            assembly: the chunk.
            seed: of the emulated chip's chances; None for any.
            spending: is told how long each part took.
            permit: nothing is played before it is given, which may be while the chunk is loaded; what it raises is
                raised.
            give_up: asked now and then before and while it runs, by another thread; the run ends, or does not begin,
                when it says so.
            upcoming: gives what comes next, once it is known; what can be brought ahead of it is. Another thread asks.

        Raises:
            DriverError: the instruments' words.
            RunBrokenOffError: it was given up, or `end_runs` was called.
            SimulatorError: the seed could not be set.
        """
        return await self._do(lambda: self._run(assembly, seed, spending, permit, give_up, upcoming))

    def patience(self, assembly: Assembly) -> float:
        """Give the seconds within which `run` comes back with a chunk, if all is well."""
        return self._deadline(assembly) + HANDLING_SECONDS

    def end_runs(self) -> None:
        """Have the run that goes on end at once, and let none begin ever again: the daemon goes."""
        self._is_over.set()

    async def make_safe(self, *, before_try: Callable[[float], None] = not_told) -> None:
        """Leave no output on, whatever state the rack is in; tries until the instruments say so, or `give_up`.

        Args:
            before_try: told before each try within how many seconds it ends, if all is well.
        """
        patience = RETRY_SECONDS + _EXCHANGES * sum(one.timeout for one in self.file.instruments.values())
        patience += REVIVAL_SECONDS if self.is_simulated else 0.0
        before_try(patience)
        while not await self._is_safe():
            self._set_operational(False)
            if self._has_given_up:
                return
            await asyncio.sleep(RETRY_SECONDS)
            before_try(patience)
        self._set_operational(True)

    def give_up(self) -> None:
        """Try only once from now on to reach instruments that do not answer: the daemon stops."""
        self._has_given_up = True

    async def rest(self) -> None:
        """Play nothing more, and make the outputs safe once more."""
        self.end_runs()
        await self._is_safe()

    async def close(self) -> None:
        """Drop the links, with the rack at rest."""
        await self._do(self.controller.close)
        self._thread.shutdown()

    async def _is_safe(self) -> bool:
        try:
            await self._do(self._restore)
        except DriverError as error:
            self.fault = str(error)
            self._meters.count("faults", type(error).__name__)
            level = logging.WARNING if self.is_operational else logging.DEBUG
            _log.log(level, "the rack cannot be made safe yet", extra={"cause": str(error)})
            return False
        self.fault = ""
        return True

    def _set_operational(self, is_operational: bool) -> None:
        if is_operational != self.is_operational:
            self.is_operational = is_operational
            self._announcer.announce(TOPIC)

    def _open(self) -> None:
        try:
            self.controller.connect()
        except InstrumentNotFoundError as error:
            if not self.is_simulated:
                raise
            if not self._is_revived():
                what = "the emulated rack does not answer; start it again at the same address"
                raise InstrumentNotFoundError(resource=error.resource, what=what) from error
            self.controller.connect()
        self.controller.stop()

    def _reopen(self) -> None:
        self.controller.close()
        self._open()

    def _is_revived(self) -> bool:
        """Have an emulated rack that is gone started anew, unless we go too; whether it was."""
        return not (self._has_given_up or self._is_over.is_set()) and self._revive()

    def _restore(self) -> None:
        try:
            self.controller.stop()
        except DriverError as error:
            _log.info("opening the links again", extra={"cause": str(error)})
            self._reopen()

    def _run(
        self,
        assembly: Assembly,
        seed: int | None,
        spending: Spending,
        permit: Future[Any],
        give_up: Callable[[], bool],
        upcoming: Callable[[], Assembly | None],
    ) -> Run:
        def is_unwanted() -> bool:
            return self._is_over.is_set() or give_up()

        events: list[Dated] = []
        failpoint("chunk.loading")
        with spending.timed(Activity.UPLOAD):
            self._load(assembly, is_unwanted)
            if not permit.done():
                self.controller.arm()
        events.append(reached(Stage.UPLOADED, self._now()))
        if seed is not None and self._simulator is not None:
            self._simulator.seed(seed)
        self._await(permit, is_unwanted)
        failpoint("job.started")
        started = time.monotonic()
        events.append(reached(Stage.RUN, self._now()))
        ahead = _Ahead(self.controller, spending, upcoming)
        with spending.timed(Activity.RUN):
            self.controller.start()
            failpoint("chunk.running")
            self.controller.wait(self._deadline(assembly), give_up=is_unwanted, meanwhile=ahead.bring)
        ended = time.monotonic()
        taken = self._taken(assembly, ended - started - ahead.seconds)
        with spending.timed(Activity.FETCH):
            readings = self.controller.fetch()
        failpoint("chunk.fetched")
        events.append(reached(Stage.FETCHED, self._now()))
        return Run(readings=readings, events=tuple(events), started=started, ended=ended, taken=taken)

    def _load(self, assembly: Assembly, is_unwanted: Callable[[], bool]) -> None:
        """Bring a chunk in, if need be into an emulated rack that is started anew for it."""
        try:
            self.controller.load(assembly, give_up=is_unwanted)
        except LinkClosedError:
            if not self._is_revived():
                raise
            self._reopen()
            self.controller.load(assembly, give_up=is_unwanted)

    def _await(self, permit: Future[Any], is_unwanted: Callable[[], bool]) -> None:
        """Wait for a permit without keeping the rack from being made safe, however long it takes."""
        while not is_unwanted():
            if permit.done() or wait_for([permit], timeout=PERMIT_PAUSE).done:
                permit.result()
                return
        raise RunBrokenOffError(resource=", ".join(self.file.instruments))

    def _taken(self, assembly: Assembly, seconds: float) -> float:
        return max(assembly.duration, seconds - SEEN_WITHIN) if self.file.time == "real" else assembly.duration

    def _deadline(self, assembly: Assembly) -> float:
        if self.file.time == "real":
            return assembly.deadline
        return max(assembly.deadline, VIRTUAL_DEADLINE)

    async def _do(self, work: Callable[[], _Result]) -> _Result:
        started = time.monotonic()
        with about(instrument=", ".join(self.file.instruments)):
            context = contextvars.copy_context()
            result = await asyncio.get_running_loop().run_in_executor(self._thread, context.run, work)
            _log.debug("rack", extra={"seconds": time.monotonic() - started})
        return result
