"""Work whose end must be seen: though whoever asked for it hung up, and though it ends badly."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


async def to_the_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Do something to its end and give what it gives; if the caller is cancelled meanwhile, the work goes on alone."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(_take_as_read)
    return await asyncio.shield(task)


async def unbroken(work: Coroutine[Any, Any, Result]) -> Result:
    """Do something to its end and give what it gives; a caller that is cancelled meanwhile is so only then."""
    task = asyncio.ensure_future(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as told:
            cancellation = told
    if cancellation is not None:
        _take_as_read(task)
        raise cancellation
    return task.result()


def durable(write: Future[Result]) -> asyncio.Future[Result]:
    """Give a write of the store as something to await; if the caller is cancelled meanwhile, the write goes on."""
    return asyncio.shield(asyncio.wrap_future(write))


async def settled(work: Coroutine[Any, Any, Result]) -> asyncio.Future[Result]:
    """Do something and give it back ended, well or badly; if the caller is cancelled meanwhile, so is the work."""
    ended: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    try:
        ended.set_result(await work)
    except Exception as error:  # noqa: BLE001  # whatever it is, the caller is told
        ended.set_exception(error)
        ended.exception()  # who asked for it looks at it, or may leave it
    return ended


@dataclass(frozen=True, slots=True, eq=False)
class _Landing(Generic[Result]):
    work: Future[Result]
    awaited: asyncio.Future[Result]
    told: Callable[[Future[Result]], None]

    def land(self) -> None:
        self.told(self.work)
        error = self.work.exception()
        if self.awaited.done():
            return
        if error is None:
            self.awaited.set_result(self.work.result())
        else:
            self.awaited.set_exception(error)
            self.awaited.exception()  # who was told knows; nobody need wait for it


class Landings:
    """Brings what other threads finish into the event loop, all that is there in one turn of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: list[_Landing[Any]] = []

    def follow(self, work: Future[Result], told: Callable[[Future[Result]], None]) -> asyncio.Future[Result]:
        """Give something to await whose cancelling leaves the work alone.

        Args:
            work: ends in another thread, and is never cancelled.
            told: is called in the loop when it has, whoever waits for it, before they go on.
        """
        loop = asyncio.get_running_loop()
        landing = _Landing(work, loop.create_future(), told)

        def ended(_: Future[Result]) -> None:
            with self._lock:
                self._ended.append(landing)
                is_first = len(self._ended) == 1
            if is_first and not loop.is_closed():
                loop.call_soon_threadsafe(self._land)

        work.add_done_callback(ended)
        return landing.awaited

    def _land(self) -> None:
        with self._lock:
            ended, self._ended = self._ended, []
        for landing in ended:
            landing.land()


def _take_as_read(task: asyncio.Future[Any]) -> None:
    """An error that nobody waits for any more was for the caller alone: a conflict, a key used twice."""
    if not task.cancelled():
        task.exception()
