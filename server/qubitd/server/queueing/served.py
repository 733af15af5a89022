"""How long a backend has been served, added up over its daemons' lives: what a waiting job's age is counted in.

So neither a step of the wall clock nor the time while no daemon is there makes any job older.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qubitd.server.clocks import Clocks
from qubitd.server.store.store import Store

PERIOD = 10.0
"""Seconds between two notes: by as much an age may be wrong after a restart."""


class ServedTime:
    """Seconds on the steady clock, those of earlier daemons included."""

    def __init__(self, *, store: Store, clocks: Clocks, backend: str) -> None:
        self._store = store
        self._clocks = clocks
        self._backend = backend
        self._before = store.jobs.served(backend)
        self._began = clocks.steady()

    def now(self) -> float:
        """Give the seconds up to now."""
        return self._before + self._clocks.steady() - self._began

    def note(self, *, hurried: bool = False) -> None:
        """Let the store know: with its next commit, or at once."""
        seconds = self.now()
        self._store.write(lambda w: w.jobs.note_served(self._backend, seconds), hurried=hurried)

    async def serve(self, *, is_compared: Callable[[], bool]) -> None:
        """Note it now and then, for ever.

        Args:
            is_compared: whether the store may hold a job whose age is told from this, or get one from another daemon;
                otherwise a note waits for the commit that brings one, and a daemon that idles writes nothing.
        """
        while True:
            self.note(hurried=is_compared())
            await asyncio.sleep(PERIOD)
