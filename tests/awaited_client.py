"""The client for asyncio used like the blocking one, so that one test holds for both: each wait runs its loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from types import TracebackType
from typing import Any, Self

from tests.quick_clock import QuickClock

from qubitd.client.aio import AsyncQubitdClient, AsyncStream


class AwaitedClock:
    """A quick clock as asyncio wants it."""

    def __init__(self, clock: QuickClock) -> None:
        self.now = clock.now
        self._clock = clock

    async def wait(self, _: asyncio.Event, seconds: float) -> None:
        await asyncio.sleep(0)
        self._clock.wait(threading.Event(), seconds)


class AwaitedStream(Iterator[Any]):
    """Waits for each value in the client's loop."""

    def __init__(self, stream: AsyncStream[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop

    def __next__(self) -> Any:
        try:
            return self._loop.run_until_complete(self._following())
        except StopAsyncIteration:
            raise StopIteration from None

    def cancel(self) -> None:
        self._stream.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run_until_complete(self._stream.__aexit__(kind, error, trace))

    async def _following(self) -> Any:
        return await anext(self._stream)


class AwaitedClient:
    """Has the methods of `QubitdClient`."""

    def __init__(
        self, address: str, token: str | None = None, *, clock: QuickClock | None = None, **fields: Any
    ) -> None:
        self._loop = asyncio.new_event_loop()
        own = None if clock is None else AwaitedClock(clock)
        self._client = self._loop.run_until_complete(_made(address, token, clock=own, **fields))

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **named: Any) -> Any:
            found = method(*args, **named)
            return self._wait(found) if isinstance(found, Coroutine) else AwaitedStream(found, self._loop)

        return call

    def __repr__(self) -> str:
        return repr(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wait(self._client.close())
        self._loop.close()

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(coroutine)


async def _made(address: str, token: str | None, **fields: Any) -> AsyncQubitdClient:
    return AsyncQubitdClient(address, token, **fields)
