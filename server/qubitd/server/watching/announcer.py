"""Wakes those who wait for news of a topic. It carries no news itself: whoever is woken reads the store from its
cursor.

All of it happens in the event loop's thread. A listener clears, reads, then waits, so nothing is missed in between.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Generator, Hashable
from contextlib import contextmanager

from qubitd.server.errors import DrainingError


class Listener:
    """One who waits. Hundreds may be woken at once: a wait is one future, and a timer if it has an end."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._waiting: asyncio.Future[bool] | None = None
        self.is_called = False
        """Whether something was announced since `clear`."""
        self.was_woken = False
        """Whether the last wait ended by an announcement."""

    def clear(self) -> None:
        """Forget what was announced so far; read after this."""
        self.is_called = False

    def call(self) -> None:
        """Tell of an announcement."""
        self.is_called = True
        self._wake(is_called=True)

    async def wait(self, timeout: float | None = None) -> None:
        """Return at the next announcement after `clear`, or after some seconds.

        Raises:
            DrainingError: the daemon stops; nothing more will be announced.
        """
        if not self._announcer.is_closed:
            self.was_woken = self.is_called or await self._woken(timeout)
        if self._announcer.is_closed:
            raise DrainingError

    async def _woken(self, timeout: float | None) -> bool:
        """Wait, and say whether it was an announcement that ended it."""
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        timer = None if timeout is None else loop.call_later(timeout, self._wake)
        try:
            return await self._waiting
        finally:
            self._waiting = None
            if timer is not None:
                timer.cancel()

    def _wake(self, *, is_called: bool = False) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(is_called)


class Announcer:
    """Topics and who waits for them."""

    def __init__(self) -> None:
        self.is_closed = False
        self._listeners: dict[Hashable, set[Listener]] = {}
        self._ticks = itertools.count(1)
        self._marks: dict[Hashable, int] = {}

    @contextmanager
    def listen(self, *topics: Hashable) -> Generator[Listener]:
        """Wait for any of some topics."""
        listener = Listener(self)
        for topic in topics:
            self._listeners.setdefault(topic, set()).add(listener)
            self._marks.setdefault(topic, next(self._ticks))
        try:
            yield listener
        finally:
            for topic in topics:
                self._forget(topic, listener)

    def announce(self, topic: Hashable) -> None:
        """Wake those who wait for a topic."""
        if topic in self._listeners:
            self._marks[topic] = next(self._ticks)
        for listener in self._listeners.get(topic, ()):
            listener.call()

    def mark(self, topic: Hashable) -> int:
        """Give a number that is another one after each announcement of a topic that somebody listens to."""
        return self._marks[topic]

    def close(self) -> None:
        """Wake everybody for good."""
        self.is_closed = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.call()

    def _forget(self, topic: Hashable, listener: Listener) -> None:
        listeners = self._listeners[topic]
        listeners.discard(listener)
        if not listeners:
            del self._listeners[topic]
            del self._marks[topic]
