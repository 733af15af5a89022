"""What a daemon tells whoever supervises it (systemd, Type=notify): that it serves, that it still turns, that it stops.

The watchdog is fed for the loop that runs jobs, not by a timer of its own: a daemon that answers but runs nothing is
dead, too. A loop that waits for a chunk, a compiler or instruments is alive until that should have come to an end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

SIGN_OF_LIFE = "WATCHDOG=1"
_BEATS = 3
"""Beats in the time after which the supervisor takes the daemon for dead."""


@dataclass(slots=True, kw_only=True)
class Supervisor:
    """Someone who wants to know how the daemon is."""

    tell: Callable[[str], None]
    """Sends a message such as `READY=1`."""
    watchdog: float | None = None
    """Seconds without a sign of life after which the daemon is taken for dead; None if nobody looks."""
    steady: Callable[[], float] = time.monotonic
    _turned: bool = field(default=True, init=False)
    _patient_until: float = field(default=0.0, init=False)

    def serving(self, what: str) -> None:
        """Jobs are taken from now on."""
        self.tell(f"READY=1\nSTATUS={what}")

    def stopping(self) -> None:
        """Nothing new is taken."""
        self.tell("STOPPING=1")

    def turned(self, patience: float = 0.0) -> None:
        """The loop that runs jobs came round; what it waits for now ends within so many seconds, if all is well."""
        self._turned = True
        self._patient_until = self.steady() + patience

    async def watch(self, wake: Callable[[], None]) -> None:
        """Feed the watchdog for as long as the loop comes round when it is woken, or may wait; for ever."""
        if self.watchdog is None:
            await asyncio.Event().wait()
            return
        while True:
            if self._turned or self.steady() < self._patient_until:
                self.tell(SIGN_OF_LIFE)
            self._turned = False
            wake()
            await asyncio.sleep(self.watchdog / _BEATS)


def unsupervised() -> Supervisor:
    """Nobody looks."""
    return Supervisor(tell=_to_nobody)


def _to_nobody(message: str) -> None:
    """Say it to nobody."""
    del message
