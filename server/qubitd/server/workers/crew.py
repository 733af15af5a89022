"""The workers as a daemon sees them: asked while some are there, and never waited for in vain.

What no worker touched for a while, or three began and none ended, the daemon does in processes of its own.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from qubitd.core.job import JobSpec
from qubitd.core.plan import JobPlan
from qubitd.core.snapshot import Snapshot
from qubitd.server.backend import server_version
from qubitd.server.clocks import Clocks
from qubitd.server.membership import BEAT
from qubitd.server.meters import Meters
from qubitd.server.persistence import durable
from qubitd.server.store.store import Store, Writes
from qubitd.server.store.work import NewWork, Standing, WorkKind
from qubitd.server.toolchain import Validated
from qubitd.server.workers.papers import KitFiles, decode_explained, decode_validated, encode_task

PATIENCE = 30.0
"""Seconds without a change of a piece after which the daemon does it by itself, whatever the database's clock says."""
MOST_PATIENCE = 600.0
"""Seconds after which it does what one worker has had in hand all the time: that may be alive and stuck."""


@dataclass(slots=True, kw_only=True)
class _Asked:
    """A piece that is waited for."""

    answer: asyncio.Future[bytes | None]
    """None if the daemon is to do it by itself."""
    since: float
    """When it changed last, s on the steady clock."""
    seen: tuple[int, int] = (0, 0)
    """Number and end of its claim then."""
    claimed: float = math.inf
    """When its claim was first seen, s on the steady clock."""


class Crew:
    """Whoever is there, as one."""

    def __init__(self, *, store: Store, files: KitFiles, clocks: Clocks, meters: Meters) -> None:
        self._store = store
        self._files = files
        self._clocks = clocks
        self._meters = meters
        self._version = server_version()
        self._asked: dict[str, _Asked] = {}
        self._counted = -math.inf
        self.is_there = False
        """Whether there was any worker of this version within the last second."""

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

    async def explain(self, spec: JobSpec, snapshot: Snapshot) -> JobPlan | None:
        """Have said what a job would take, as by `Toolchain.explain`; None if no worker did.

        Raises:
            InvalidInputError: with every problem of the job.
        """
        content = await asyncio.to_thread(encode_task, self._files, snapshot, spec)
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
            answer = None if standing is None else standing.answer
            if answer is None and self.is_there and standing is not None and _may_come(asked, standing, now):
                continue
            self._meters.count("work", "daemon" if answer is None else "worker")
            self._asked.pop(key).answer.set_result(answer)
            self._store.write(_withdrawal(key))

    async def _answer(self, new: NewWork) -> bytes | None:
        await durable(self._store.write(lambda w: w.work.ask(new)))
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        asked = self._asked.setdefault(new.key, _Asked(answer=answer, since=self._clocks.steady()))
        return await asyncio.shield(asked.answer)


def _may_come(asked: _Asked, standing: Standing, now: float) -> bool:
    seen = (standing.fence, standing.lease_ns)
    if standing.fence != asked.seen[0]:
        asked.claimed = now
    if seen != asked.seen:
        asked.seen, asked.since = seen, now
    return not standing.is_given_up and now - asked.since < PATIENCE and now - asked.claimed < MOST_PATIENCE


def _withdrawal(key: str) -> Callable[[Writes], None]:
    return lambda writes: writes.work.withdraw(key)
