"""A daemon's life among others on one store: its signs of life, its look at theirs, what they ask of it, and what it
does for one that is gone.

The store is the only truth. A notice from another daemon says no more than "look"; without one it is looked once a
second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from qubitd.core.job import JobStatus
from qubitd.server.clocks import Clocks
from qubitd.server.engine import Engine
from qubitd.server.errors import BackendTakenError, StoreError
from qubitd.server.failpoints import failpoint
from qubitd.server.group.ownership import Ownership
from qubitd.server.group.roster import Roster
from qubitd.server.instruments.backend import Backend
from qubitd.server.instruments.rack import TOPIC as RACK
from qubitd.server.membership import BEAT, Member, Notice
from qubitd.server.persistence import durable
from qubitd.server.queueing.book import jobs_of
from qubitd.server.queueing.fair_share import FairShare
from qubitd.server.revisions.calibrations import TOPIC as CALIBRATION
from qubitd.server.store.members import Errand, ErrandKind
from qubitd.server.store.rows import AliveJob
from qubitd.server.store.store import Store
from qubitd.server.watching.announcer import Announcer
from qubitd.server.workers.crew import Crew

_log = logging.getLogger(__name__)
_SPACING = 0.005
"""Least seconds between two looks."""
_PATIENCE = 1.0
"""Seconds that a cancel waits for the daemon that is to do it."""
_MOST_UNFIT = 10_000
ERRANDS = "errands"
"""Announced after a look at what is to be done."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupParts:
    """What a daemon's part of a group is made of."""

    store: Store
    ownership: Ownership
    engine: Engine
    roster: Roster
    fair_share: FairShare
    announcer: Announcer
    clocks: Clocks
    backend: Backend
    crew: Crew | None
    on_broken: Callable[[StoreError], None]
    """Told why this daemon must end."""


class Group:
    """This daemon, among others."""

    def __init__(self, parts: GroupParts) -> None:
        self._store = parts.store
        self._sharing = parts.ownership.sharing
        self._engine = parts.engine
        self._roster = parts.roster
        self._fair_share = parts.fair_share
        self._announcer = parts.announcer
        self._clocks = parts.clocks
        self._backend = parts.backend
        self._crew = parts.crew
        self._on_broken = parts.on_broken
        self._tasks: list[asyncio.Task[None]] = []
        self._pulse = parts.ownership.pulse
        self._news = 0
        self._written = asyncio.Event()
        self._unfit: set[tuple[str, int]] = set()
        self._told: Notice | None = None
        """What the others know of this daemon's backend."""

    @property
    def _own(self) -> str:
        return self._roster.own

    async def recovered(self) -> None:
        """Begin to see the others, and forget errands about jobs that recovery has found by itself; before any of these
        takes a step, and before anybody asks for the others' backends.
        """
        self._roster.look_again = self._look_at_members
        self._news = self._store.jobs.newest_sequence()
        self._look_at_members()
        self._fair_share.look()
        if self._crew is not None:
            self._crew.look()
        errands = self._store.members.errands(self._own)
        known = [e for e in errands if e.kind is ErrandKind.ADOPT and self._engine.knows(e.job_id)]
        await durable(self._store.write(lambda w: w.members.done(known)))

    async def start(self, address: str) -> None:
        """Serve the others, too, and be served by them; they know of this daemon on return."""
        self._roster.address = address
        loop = asyncio.get_running_loop()
        self._sharing.on_written = lambda: None if self._written.is_set() else _in_loop(loop, self._written.set)
        self._told = self._notice
        await self._publish(self._told)
        for life in (self._tell, self._look_for_ever, self._publish_for_ever, self._rescue_for_ever):
            self._live(life)

    async def end(self) -> None:
        """Look and act no more."""
        self._sharing.on_written = _nobody_told
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cancel(self, backend: str, *, owner: str, job_id: str, force: bool) -> JobStatus:
        """Have the daemon of a backend end a job, and wait a moment for it; durable on return. Gives its state."""
        kind = ErrandKind.BREAK_OFF if force else ErrandKind.CANCEL
        await durable(self._store.write(lambda w: w.members.send(job_id, kind)))
        for member in self._roster.abandoned():
            if member.backend == backend:
                with contextlib.suppress(BackendTakenError):  # it is back, and will do it
                    await self._cancel_for(member)
        until = self._clocks.steady() + _PATIENCE
        with self._announcer.listen(ERRANDS, job_id) as listener:
            while (left := until - self._clocks.steady()) > 0:
                listener.clear()
                if all(errand.job_id != job_id for errand in self._store.members.errands(backend)):
                    break
                await listener.wait(left)
        return self._store.jobs.get(owner=owner, job_id=job_id).status

    def _live(self, life: Callable[[], Coroutine[None, None, None]]) -> None:
        task = asyncio.create_task(life(), name=f"group: {life.__name__}")
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """They go on for ever; an error is the daemon's end."""
        if task.cancelled():
            return
        error = task.exception()
        self._on_broken(error if isinstance(error, StoreError) else StoreError(f"the group cannot go on: {error!r}"))

    async def _tell(self) -> None:
        """Have the others look whenever something was written here."""
        while True:
            await self._written.wait()
            self._written.clear()
            await self._pulse.tell()

    async def _look_for_ever(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(_SPACING)
            await self._pulse.hear(BEAT)

    async def _look(self) -> None:
        """See what is new."""
        self._look_at_members()
        self._fair_share.look()
        self._announce_news()
        if self._crew is not None:
            self._crew.look()
        await self._run_errands()
        self._announcer.announce(ERRANDS)

    def _look_at_members(self) -> None:
        self._roster.look(self._store.members.all())

    def _announce_news(self) -> None:
        news = self._store.group_jobs.news(after=self._news, besides=self._own)
        self._news = news.last
        for job_id, owner in news.jobs:
            self._announcer.announce(job_id)
            self._announcer.announce(jobs_of(owner))

    async def _run_errands(self) -> None:
        errands = self._store.members.errands(self._own)
        for errand in errands:
            await self._run(errand)
        if errands:
            failpoint("errands.run")
            await durable(self._store.write(lambda w: w.members.done(errands)))
            failpoint("errands.done")

    async def _run(self, errand: Errand) -> None:
        if errand.kind is ErrandKind.ADOPT:
            self._engine.adopt(errand.job_id)
        else:
            await self._engine.cancel_known(errand.job_id, force=errand.kind is ErrandKind.BREAK_OFF)

    async def _publish_for_ever(self) -> None:
        """Tell the others of this daemon's backend, and of each change of it."""
        with self._announcer.listen(CALIBRATION, RACK) as listener:
            while True:
                listener.clear()
                notice = self._notice
                if notice != self._told:
                    await self._publish(notice)
                self._told = notice
                await listener.wait(BEAT)

    @property
    def _notice(self) -> Notice:
        lab = self._engine.lab
        return Notice(description=self._backend.current(), lab=lab.state, lab_reason=lab.reason)

    async def _publish(self, notice: Notice) -> None:
        address = self._roster.address
        await durable(self._store.write(lambda w: w.members.tell(self._own, address=address, notice=notice)))

    async def _rescue_for_ever(self) -> None:
        """Do for daemons that are gone what need not wait until they are back."""
        while True:
            await asyncio.sleep(BEAT)
            for member in self._roster.abandoned():
                try:
                    await self._cancel_for(member)
                    await self._take_from(member)
                except BackendTakenError:
                    _log.info("a backend is back", extra={"backend": member.backend})

    async def _cancel_for(self, member: Member) -> None:
        if self._store.members.cancels(member.backend):
            now = self._clocks.wall()
            await durable(self._store.write(lambda w: w.group_jobs.cancel(member.backend, time_ns=now)))

    async def _take_from(self, member: Member) -> None:
        """Take the jobs that may run here instead, and can."""
        for job in self._store.group_jobs.movable(member.backend, to=self._own):
            if not self._engine.is_open:
                return
            mark = (job.job_id, self._engine.revision)
            if mark in self._unfit:
                continue
            if not await self._engine.can_run(job.job_id):
                self._note_unfit(mark)
                continue
            if await self._move(job, member):
                failpoint("job.moved")
                _log.info("took a job over", extra={"job": job.job_id, "backend": member.backend})
                self._engine.adopt(job.job_id)

    async def _move(self, job: AliveJob, member: Member) -> bool:
        now, because = self._clocks.wall(), member.trouble
        command = durable(
            self._store.write(lambda w: w.group_jobs.move(job, to=self._own, because=because, time_ns=now))
        )
        return await command

    def _note_unfit(self, mark: tuple[str, int]) -> None:
        if len(self._unfit) >= _MOST_UNFIT:
            self._unfit.clear()
        self._unfit.add(mark)


def _in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    """Call something from the writer's thread; nothing if the loop ended meanwhile."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call)


def _nobody_told() -> None:
    """The others hear the rest by themselves."""
