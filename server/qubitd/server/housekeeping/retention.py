"""How long the daemon keeps what nobody needs any more: results from their first reading on, then a trace of the job.

Work is done in small batches, so that nobody waits for it; a job that was never read is kept. In a group each daemon
does it for its own backend, by its own rule, and for those that no daemon serves any more.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from qubitd.server.clocks import Clocks
from qubitd.server.front.uploads import Uploads
from qubitd.server.persistence import durable
from qubitd.server.store.store import Store

_log = logging.getLogger(__name__)
_DAY = 86_400 * 10**9
"""ns."""
LEAST_TOMBSTONES_DAYS = 90.0
"""For which a job's key and id stay taken at least: so long a client may send again what was never answered."""
BATCH = 50
"""Jobs in one commit."""
PERIOD = 600.0
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """For how long."""

    results_days: float = 30.0
    """From the first reading of a job's results to their removal."""
    tombstones_days: float = LEAST_TOMBSTONES_DAYS
    """From then on, for which the job's key and id stay taken."""


class Caretaker:
    """Removes what is too old."""

    def __init__(
        self, *, store: Store, uploads: Uploads, clocks: Clocks, retention: Retention, backend: str | None = None
    ) -> None:
        """Keep to `retention` for the jobs of all backends.

        Args:
            store: that holds them.
            uploads: of this daemon.
            clocks: of this daemon.
            retention: for how long.
            backend: this daemon's own in a group, where those that others serve are theirs; None for a daemon alone.
        """
        self._store = store
        self._uploads = uploads
        self._clocks = clocks
        self._retention = retention
        self._backend = backend

    async def serve(self) -> None:
        """Look now and then, for ever."""
        while True:
            await self.tidy()
            await asyncio.sleep(PERIOD)

    async def tidy(self) -> int:
        """Remove all that is too old now; gives the number of jobs whose results went."""
        self._uploads.tidy()
        now = self._clocks.wall()
        read_before = now - round(self._retention.results_days * _DAY)
        gone_before = now - round(self._retention.tombstones_days * _DAY)
        expired, besides = 0, self._served_by_others()
        while jobs := self._store.jobs.read_before(read_before, limit=BATCH, besides=besides):
            digests = await self._done(jobs, now)
            await self._remove_files(digests)
            expired += len(jobs)
        while await self._forgotten(gone_before, besides):
            pass
        if expired:
            _log.info("results expired", extra={"jobs": expired})
        return expired

    def _served_by_others(self) -> list[str]:
        if self._backend is None:
            return []
        members = self._store.members.all()
        return [member.backend for member in members if member.backend != self._backend and not member.is_forsaken]

    async def _forgotten(self, before: int, besides: list[str]) -> int:
        return await durable(self._store.write(lambda w: w.jobs.forget(before, limit=BATCH, besides=besides)))

    async def _remove_files(self, digests: list[str]) -> None:
        await durable(self._store.write(lambda w: w.jobs.remove_files(digests)))

    async def _done(self, numbers: list[int], now: int) -> list[str]:
        return await durable(self._store.write(lambda w: w.jobs.expire(numbers, time_ns=now)))
