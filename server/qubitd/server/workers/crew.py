"""The workers as a daemon sees them: asked while some are there, and never waited for in vain.

What no worker touched for a while the daemon does in processes of its own. So it does with what none managed, and
gives that away no more.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from qubitd.core.job import JobSpec
from qubitd.core.plan import JobPlan
from qubitd.core.snapshot import Snapshot
from qubitd.server.clocks import Clocks
from qubitd.server.compiling.compile_process import LONGEST
from qubitd.server.compiling.compiled_job import Validated
from qubitd.server.membership import BEAT
from qubitd.server.persistence import durable
from qubitd.server.store.store import Store, Writes
from qubitd.server.store.work import NewWork, Standing, WorkKind
from qubitd.server.telemetry.meters import Meters
from qubitd.server.version import server_version
from qubitd.server.workers.papers import DECLINED, KitFiles, decode_explained, decode_validated, encode_task

_log = logging.getLogger(__name__)
PATIENCE = 30.0
"""Seconds without a change of a piece after which the daemon does it by itself, whatever the database's clock says."""
MOST_PATIENCE = LONGEST + 60.0
"""Seconds from its first claim after which it does a piece, whoever has had it: that one may be alive and stuck."""
MOST_ASKED = 32
"""Pieces that are with workers at a time; any more the daemon does meanwhile."""
MOST_ASKED_BYTES = 2**26
"""Bytes of them in the table."""


class Fate(enum.Enum):
    """What becomes of a piece that is with workers."""

    WAITED_FOR = "waited for"
    ANSWERED = "answered"
    HOME = "home"
    """The daemon does it: workers were not there, or had no time."""
    FORSAKEN = "forsaken"
    """The daemon does it, and gives it away no more: workers died of it, gave it back, or came to no end."""


@dataclass(slots=True, kw_only=True)
class Asked:
    """A piece that is waited for."""

    new: NewWork
    answer: asyncio.Future[bytes | None]
    """None if the daemon is to do it by itself."""
    since: float
    """When it changed last, s on the steady clock."""
    seen: tuple[int, int] = (0, 0)
    """Number and end of its claim then."""
    claimed: float = math.inf
    """When it was first seen to be claimed, s on the steady clock."""


class Crew:
    """Whoever is there, as one."""

    def __init__(self, *, store: Store, files: KitFiles, clocks: Clocks, meters: Meters) -> None:
        self._store = store
        self._files = files
        self._clocks = clocks
        self._meters = meters
        self._version = server_version()
        self._asked: dict[str, Asked] = {}
        self._sent: list[int] = []
        """Bytes of each piece that is not in the table yet; 0 while they are not known."""
        self._counted = -math.inf
        self.is_there = False
        """Whether there was any worker of this version within the last second."""

    @property
    def can_take(self) -> bool:
        """Whether a piece more may be given away now."""
        count = len(self._asked) + len(self._sent)
        size = sum(len(asked.new.content) for asked in self._asked.values()) + sum(self._sent)
        return self.is_there and count < MOST_ASKED and size < MOST_ASKED_BYTES

    async def validate(self, spec_digest: str, snapshot: Snapshot) -> Validated | None:
        """Have a job of the store looked at, as by `Toolchain.validate`; None if no worker did.

        Raises:
            InvalidInputError: with every problem of the job.
        """
        asked = self._clocks.wall()
        content = encode_task(self._files, snapshot)
        new = NewWork(kind=WorkKind.VALIDATE, version=self._version, content=content, spec_digest=spec_digest)
        answer = await self._answer(new)
        return None if answer is None else decode_validated(answer, between=(asked, self._clocks.wall()))

    async def explain(self, spec: JobSpec, snapshot: Snapshot, *, wants_expected: bool) -> JobPlan | None:
        """Have said what a job takes, and gives if that is wanted, as by `Toolchain.explain`; None if no worker did.

        Raises:
            InvalidInputError: with every problem of the job.
        """
        with self._sending(0):
            content = await asyncio.to_thread(encode_task, self._files, snapshot, spec, wants_expected=wants_expected)
        if not self.can_take:  # others came to their bytes before
            self._meters.count("work", "daemon")
            return None
        answer = await self._answer(NewWork(kind=WorkKind.EXPLAIN, version=self._version, content=content))
        return None if answer is None else decode_explained(answer)

    def look(self) -> None:
        """See who is there, and what came of the pieces that are waited for."""
        now = self._clocks.steady()
        if now - self._counted >= BEAT:
            self._counted, self.is_there = now, self._store.work.workers(self._version) > 0
        if not self._asked:
            return
        standings = self._store.work.standings(list(self._asked))
        for key, asked in list(self._asked.items()):
            standing = standings.get(key)
            fate = fate_of(asked, standing, now, is_there=self.is_there)
            if fate is not Fate.WAITED_FOR:
                self._end(key, fate, None if standing is None else standing.answer)

    def _end(self, key: str, fate: Fate, answer: bytes | None) -> None:
        is_answer = fate is Fate.ANSWERED
        self._meters.count("work", "worker" if is_answer else "daemon")
        self._asked.pop(key).answer.set_result(answer if is_answer else None)
        self._store.write(_forsaking(key) if fate is Fate.FORSAKEN else _withdrawal(key))
        if fate is Fate.FORSAKEN:
            _log.warning("no worker managed a piece of work; the daemon does it", extra={"work": key})

    async def _answer(self, new: NewWork) -> bytes | None:
        if self._store.work.is_forsaken(new):
            self._meters.count("work", "daemon")
            return None
        with self._sending(len(new.content)):
            await durable(self._store.write(lambda w: w.work.ask(new)))
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        asked = self._asked.setdefault(new.key, Asked(new=new, answer=answer, since=self._clocks.steady()))
        return await asyncio.shield(asked.answer)

    @contextmanager
    def _sending(self, size: int) -> Generator[None]:
        """Count a piece on its way to the table: while it is waited for, others ask whether there is room."""
        self._sent.append(size)
        try:
            yield
        finally:
            self._sent.remove(size)


def fate_of(asked: Asked, standing: Standing | None, now: float, *, is_there: bool) -> Fate:
    """Say what becomes of a piece, and note what is seen of it.

    Args:
        asked: what is known of it.
        standing: its row; None if that is gone.
        now: s on the steady clock.
        is_there: whether any worker is.
    """
    if standing is None:
        return Fate.HOME
    if standing.answer is not None:
        return Fate.FORSAKEN if standing.answer == DECLINED else Fate.ANSWERED
    if standing.is_given_up:
        return Fate.FORSAKEN
    if not is_there:
        return Fate.HOME
    seen = (standing.fence, standing.lease_ns)
    if standing.fence and math.isinf(asked.claimed):
        asked.claimed = now
    if seen != asked.seen:
        asked.seen, asked.since = seen, now
    if now - asked.claimed >= MOST_PATIENCE:
        return Fate.FORSAKEN
    return Fate.WAITED_FOR if now - asked.since < PATIENCE else Fate.HOME


def _withdrawal(key: str) -> Callable[[Writes], None]:
    return lambda writes: writes.work.withdraw(key)


def _forsaking(key: str) -> Callable[[Writes], None]:
    return lambda writes: writes.work.forsake(key)
